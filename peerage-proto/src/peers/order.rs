//! What the machine of links wants done, what it tells the parts above it, and the reasons in both.

use std::fmt;
use std::time::Duration;

use super::{ConnectId, Control, DialId};
use crate::address::Address;
use crate::hello::{HelloError, Refusal};
use crate::id::{Epoch, LinkId, NodeId};
use crate::outcome::LinkLost;

/// What is to be done about links. To be carried out in the order given.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Order {
    /// Dial: connect, then shake hands with this `dial_seq`. Ends in `Proved` with this dial, or in `DialFailed`.
    Dial {
        /// The number of this attempt, to report it by.
        dial: DialId,
        /// Where to.
        address: Address,
        /// Who must be there; `None`: anybody of the network.
        expected: Option<NodeId>,
        /// What Hello says. Never used again in this epoch.
        dial_seq: u64,
    },
    /// Give up this dial: its time is over, or nobody wants it any more. Nothing is to be reported about it.
    Abandon {
        /// Which.
        dial: DialId,
    },
    /// Tell the handshake that this node takes the link. Ends in `Up` or `Down`.
    Admit {
        /// Which.
        link: LinkId,
    },
    /// Tell the handshake that this node declines, and forget the link. Nothing is to be reported about it.
    Refuse {
        /// Which.
        link: LinkId,
        /// What the peer is told.
        why: Refusal,
    },
    /// New calls to this peer go over this link from now on.
    Activate {
        /// Which.
        link: LinkId,
        /// Whom it leads to.
        peer: NodeId,
    },
    /// Open nothing more on this link; what was begun there goes on, and the peer's requests are served.
    Retire {
        /// Which.
        link: LinkId,
    },
    /// Undoes `Retire`: the link for which this one was given up has died.
    Restore {
        /// Which.
        link: LinkId,
    },
    /// Like `Retire`, and refuse the peer's new requests as busy: this node is about to leave.
    Drain {
        /// Which.
        link: LinkId,
    },
    /// Report `Idle` with this number as soon as no call is open on the link in either direction; at once if none is.
    ///
    /// Asked only of a link on which nothing new begins. A later `WhenIdle` takes the place of an earlier one.
    WhenIdle {
        /// Which.
        link: LinkId,
        /// The number to report.
        ask: u32,
    },
    /// Send a ping at once, and report `Answered` when anything has arrived since.
    Probe {
        /// Which.
        link: LinkId,
    },
    /// Send this to the peer, ahead of bulk.
    Send {
        /// On which link.
        link: LinkId,
        /// What.
        control: Control,
    },
    /// Close the link once everything is written, and forget it in all directories. `Down` follows.
    Close {
        /// Which.
        link: LinkId,
        /// Why.
        why: WhyClosed,
    },
    /// One `Connect` that was to be answered has its answer.
    Answer {
        /// Which.
        connect: ConnectId,
        /// The node that was reached, or why none was.
        result: Result<NodeId, ConnectError>,
    },
    /// This node's epoch is now this one: to be used in every handshake from now on, and to be stored.
    Renew {
        /// The new epoch. Only its start counter differs.
        epoch: Epoch,
    },
    /// Stop listening and advertising.
    StopListening,
    /// All links are gone. The last order: what comes in from now on has no effect.
    Stopped,
}

/// What has become true about links, for the parts above.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Fact {
    /// A peer that could not be called can be called.
    Up { peer: NodeId, epoch: Epoch, link: LinkId, dialled: bool },
    /// A peer can no longer be called.
    Down { peer: NodeId, epoch: Epoch, why: WhyDown },
    /// A peer could be called for [`RECONNECT_HEALTH`](crate::limits::RECONNECT_HEALTH) without trouble.
    Healthy { peer: NodeId },
    /// A link to the peer was cut because it does not read.
    TooSlow { peer: NodeId },
    /// A peer has been gone for so long that nothing is known of it any more.
    PeerForgotten { peer: NodeId },
    /// The peer says that it is about to leave.
    PeerDraining { peer: NodeId },
    /// A dial failed; how many rounds in a row, and whether it was for a contact that is kept for ever.
    DialFailed { address: Address, why: DialError, in_a_row: u32, kept: bool },
    /// Nobody listens at any address that is known of this node.
    Refused { peer: NodeId },
    /// Every address that is known of this node has been dialled in vain.
    Tried { peer: NodeId },
    /// There is a link with the node behind a kept address.
    Reached { address: Address },
    /// Two nodes use one key; the newcomer was refused.
    Conflict { peer: NodeId },
    /// For [`CLONE_WINDOW`](crate::limits::CLONE_WINDOW) nothing has been seen of a conflict any more.
    ConflictOver { peer: NodeId },
    /// This node refuses new work.
    Draining,
    /// This node says goodbye; whether all accepted work was done.
    Leaving { idle: bool, reason: String },
}

/// Why this end closes a link.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum WhyClosed {
    /// Another link to the same peer stays; both ends have said so.
    #[error("another link to the same peer stays")]
    Superseded,
    /// The peer's process was started again.
    #[error("the peer runs in the newer epoch {0}")]
    NewerEpoch(Epoch),
    /// A link whose peer proved the id came where the id was only claimed.
    #[error("the same id was proved on another link")]
    Proven,
    /// One of the two ends said goodbye.
    #[error("goodbye: {reason}")]
    Goodbye {
        /// The reason that was given.
        reason: String,
    },
    /// All links are dropped on request and dialled again.
    #[error("dropped to be dialled again")]
    Redial,
    /// This node stops.
    #[error("this node stops")]
    Stopped,
    /// The peer said something that makes no sense here.
    #[error("the peer misbehaved: {0}")]
    Misbehaved(&'static str),
}

/// Why a link is gone, or never came to be after the peer had proved itself.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum WhyDown {
    /// The handshake failed after the proof: the peer declined, or was lost.
    #[error(transparent)]
    Hello(HelloError),
    /// The link ended.
    #[error(transparent)]
    Lost(LinkLost),
    /// The peer took too long to read; the driver cut the link because a queue was full for too long.
    #[error("too slow: a queue of this link stayed full")]
    TooSlow,
    /// The peer said goodbye.
    #[error("the peer said goodbye: {reason}")]
    Left {
        /// Its reason.
        reason: String,
    },
    /// This end closed it.
    #[error("closed by this node: {0}")]
    Closed(WhyClosed),
}

/// Why a dial led to no link.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DialError {
    /// The transport got no connection.
    #[error("{why}")]
    Unreachable {
        /// Whether the other side refused actively (nobody listens there) rather than not at all.
        refused: bool,
        /// What the transport says.
        why: String,
    },
    /// No answer within the time for a dial.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// There was a connection, but no handshake.
    #[error(transparent)]
    Hello(HelloError),
    /// The link ended before it was up, or right then.
    #[error("lost before it was up: {0}")]
    Lost(LinkLost),
}

/// Why a `Connect` led to no link.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The attempt failed.
    #[error(transparent)]
    Dial(DialError),
    /// More attempts wait than are allowed.
    #[error("too many nodes are being connected to at once; try again later")]
    TooMany,
    /// This node is about to leave, or was told to leave that peer alone.
    #[error("this node is shutting down")]
    ShuttingDown,
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Order::Dial { dial, address, .. } => write!(f, "{dial} to {address}"),
            Order::Abandon { dial } => write!(f, "abandon {dial}"),
            Order::Admit { link } => write!(f, "admit {link}"),
            Order::Refuse { link, why } => write!(f, "refuse {link}: {why}"),
            Order::Activate { link, peer } => write!(f, "activate {link} to {peer}"),
            Order::Retire { link } => write!(f, "retire {link}"),
            Order::Restore { link } => write!(f, "restore {link}"),
            Order::Drain { link } => write!(f, "drain {link}"),
            Order::WhenIdle { link, ask } => write!(f, "when {link} is idle, say {ask}"),
            Order::Probe { link } => write!(f, "probe {link}"),
            Order::Send { link, control } => write!(f, "on {link} send {control:?}"),
            Order::Close { link, why } => write!(f, "close {link}: {why}"),
            Order::Answer { connect, result: Ok(peer) } => write!(f, "answer {connect}: {peer}"),
            Order::Answer { connect, result: Err(why) } => write!(f, "answer {connect}: {why}"),
            Order::Renew { epoch } => write!(f, "epoch {epoch}"),
            Order::StopListening => f.write_str("stop listening"),
            Order::Stopped => f.write_str("stopped"),
        }
    }
}
