//! Why there is no link with a node.

use std::borrow::Cow;
use std::time::Duration;

use peerage_proto::hello::{HelloError, Refusal, Versions};
use peerage_proto::id::{Epoch, NodeId};
use peerage_proto::node;
use peerage_proto::outcome::{Class, Outcome};

/// Why [`Node::connect`](super::Node::connect) gave no link. Nothing of the application was sent: the class is always
/// [`Class::DidNotRun`].
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// Whoever is there did not prove to belong to this network.
    #[error(
        "closed without proof: other network, other secret, or not a Peerage node. Compare the tickets of both sides"
    )]
    WrongNetwork,
    /// Another node is there than the one that was to be reached.
    #[error(
        "{expected} was to be reached, but {found} answers: the address belongs to another node now, or the id is old"
    )]
    IdentityMismatch {
        /// Who was to be there.
        expected: NodeId,
        /// Who is there.
        found: NodeId,
    },
    /// Another process runs with this node's key, and the peer keeps to that one.
    #[error("another process runs with this node's key: give one of them a key of its own")]
    IdentityConflict,
    /// The address leads to this node itself.
    #[error("the address leads to this node itself, or to another one that runs with a copy of its key")]
    ToMyself,
    /// There is no version of the protocol that both speak.
    #[error("no common version of the protocol{}: update the older node", spoken(*.ours, *.theirs))]
    Incompatible {
        /// What this node speaks, if the peer said nothing more than no.
        ours: Option<Versions>,
        /// What the peer speaks.
        theirs: Option<Versions>,
    },
    /// The peer has no room for another link.
    #[error("the peer has no room for another link, try again after {retry_after:?}")]
    Busy {
        /// When to try again.
        retry_after: Duration,
    },
    /// The peer is about to leave.
    #[error("the peer is about to leave")]
    Draining,
    /// The peer knows a newer run of this node. By the time this is read the node goes on as a newer one: try again.
    #[error("the peer knows a newer run of this node ({newest}); try again")]
    StaleEpoch {
        /// The newest run it knows.
        newest: Epoch,
    },
    /// There was no connection.
    #[error("{why}")]
    Dial {
        /// Whether the other side refused actively: nobody listens there.
        refused: bool,
        /// What the transport says, with the address.
        why: String,
    },
    /// No answer in time.
    #[error("no answer within {after:?}")]
    TimedOut {
        /// How long was waited.
        after: Duration,
    },
    /// The peer broke the protocol, or the connection ended before it was a link.
    #[error("{why}")]
    Lost {
        /// What happened.
        why: String,
    },
    /// Too many connections are being made at once.
    #[error("too many nodes are being connected to at once; try again later")]
    TooMany,
    /// This node is leaving.
    #[error("this node is shutting down")]
    ShuttingDown,
}

impl ConnectError {
    /// Which row of the outcome table this is.
    pub fn outcome(&self) -> Outcome {
        match self {
            ConnectError::WrongNetwork
            | ConnectError::IdentityMismatch { .. }
            | ConnectError::IdentityConflict
            | ConnectError::ToMyself => Outcome::Refused,
            ConnectError::Incompatible { .. } => Outcome::Incompatible,
            ConnectError::Busy { .. } | ConnectError::Draining => Outcome::Busy,
            ConnectError::StaleEpoch { .. }
            | ConnectError::Dial { .. }
            | ConnectError::TimedOut { .. }
            | ConnectError::Lost { .. }
            | ConnectError::TooMany
            | ConnectError::ShuttingDown => Outcome::NotSent,
        }
    }

    /// What is known about the work: there was none.
    pub fn class(&self) -> Class {
        self.outcome().class()
    }

    /// How long the peer asks us to wait before another try, if it said so.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            ConnectError::Busy { retry_after } => Some(*retry_after),
            _ => None,
        }
    }

    /// The reason inside the outcome in kebab case, as records print it.
    pub fn why(&self) -> Cow<'static, str> {
        match self {
            ConnectError::WrongNetwork => "wrong-network",
            ConnectError::IdentityMismatch { .. } => "identity-mismatch",
            ConnectError::IdentityConflict => "identity-conflict",
            ConnectError::ToMyself => "to-myself",
            ConnectError::Incompatible { .. } => "incompatible",
            ConnectError::Busy { .. } => "limit-reached",
            ConnectError::Draining => "draining",
            ConnectError::StaleEpoch { .. } => "stale-epoch",
            ConnectError::Dial { .. } | ConnectError::TimedOut { .. } | ConnectError::Lost { .. } => "no-route",
            ConnectError::TooMany => "limit-reached",
            ConnectError::ShuttingDown => "shutting-down",
        }
        .into()
    }
}

fn spoken(ours: Option<Versions>, theirs: Option<Versions>) -> String {
    match (ours, theirs) {
        (Some(ours), Some(theirs)) => format!(" (this node speaks {ours}, the peer {theirs})"),
        _ => String::new(),
    }
}

impl From<node::ConnectError> for ConnectError {
    fn from(why: node::ConnectError) -> ConnectError {
        match why {
            node::ConnectError::Dial(why) => why.into(),
            node::ConnectError::TooMany => ConnectError::TooMany,
            node::ConnectError::ShuttingDown => ConnectError::ShuttingDown,
            why => ConnectError::Lost { why: why.to_string() },
        }
    }
}

impl From<node::DialError> for ConnectError {
    fn from(why: node::DialError) -> ConnectError {
        match why {
            node::DialError::Unreachable { refused, why } => ConnectError::Dial { refused, why },
            node::DialError::TimedOut(after) => ConnectError::TimedOut { after },
            node::DialError::Hello(why) => why.into(),
            why => ConnectError::Lost { why: why.to_string() },
        }
    }
}

impl From<HelloError> for ConnectError {
    fn from(why: HelloError) -> ConnectError {
        match why {
            HelloError::WrongNetwork => ConnectError::WrongNetwork,
            HelloError::IdentityMismatch { expected, found } => ConnectError::IdentityMismatch { expected, found },
            HelloError::ToMyself => ConnectError::ToMyself,
            HelloError::Incompatible { ours, theirs } => {
                ConnectError::Incompatible { ours: Some(ours), theirs: Some(theirs) }
            }
            HelloError::TimedOut => ConnectError::TimedOut { after: peerage_proto::limits::HANDSHAKE_TIME_DEFAULT },
            HelloError::Refused(why) | HelloError::RefusedHere(why) => why.into(),
            why => ConnectError::Lost { why: why.to_string() },
        }
    }
}

impl From<Refusal> for ConnectError {
    fn from(why: Refusal) -> ConnectError {
        match why {
            Refusal::Incompatible => ConnectError::Incompatible { ours: None, theirs: None },
            Refusal::Busy { retry_after } => ConnectError::Busy { retry_after },
            Refusal::IdentityConflict => ConnectError::IdentityConflict,
            Refusal::StaleEpoch { newest } => ConnectError::StaleEpoch { newest },
            Refusal::Draining => ConnectError::Draining,
            why => ConnectError::Lost { why: why.to_string() },
        }
    }
}

/// There is no link with this node.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("there is no link with {peer}")]
pub struct NotConnected {
    /// Which node.
    pub peer: NodeId,
}
