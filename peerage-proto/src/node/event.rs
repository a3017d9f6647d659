//! What a node tells its application.

use super::{Fault, WhyDown};
use crate::id::{Epoch, LinkId, NodeId};
use crate::membership::Change;
use crate::peers::Fact;

/// Something that happened to a node. For each peer `LinkUp` and `LinkDown` take turns, whatever number of links there is.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A peer can be called that could not be called before.
    LinkUp {
        /// Which peer.
        peer: NodeId,
        /// Which run of it.
        epoch: Epoch,
        /// The link that calls go over at first. Others may take its place without another event.
        link: LinkId,
        /// Whether this node dialled it.
        dialled: bool,
    },
    /// A peer can no longer be called.
    LinkDown {
        /// Which peer.
        peer: NodeId,
        /// Which run of it.
        epoch: Epoch,
        /// What ended its last link.
        why: WhyDown,
    },
    /// A member has joined, left, or counts as something else. Only of nodes that keep members.
    Member(Change),
    /// This node had no link and has one now.
    Connected,
    /// This node has lost its last link.
    Isolated,
    /// A peer says that it is about to leave: it takes no new calls.
    PeerDraining {
        /// Which peer.
        peer: NodeId,
    },
    /// Two processes use the key of this peer. The newcomer was refused.
    IdentityConflict {
        /// Whose key.
        peer: NodeId,
    },
    /// This node takes no new work.
    Draining,
    /// This node says goodbye to all peers.
    Leaving {
        /// Whether all accepted work was done; if not, what is open now will be abandoned.
        idle: bool,
    },
    /// Something is wrong that was not before.
    Fault(Fault),
    /// It is no longer wrong.
    Cleared(Fault),
}

impl Event {
    /// The event that this fact is; `None` if it concerns other parts of the node alone.
    pub(super) fn of(fact: Fact) -> Option<Event> {
        match fact {
            Fact::Up { peer, epoch, link, dialled } => Some(Event::LinkUp { peer, epoch, link, dialled }),
            Fact::Down { peer, epoch, why } => Some(Event::LinkDown { peer, epoch, why }),
            Fact::PeerDraining { peer } => Some(Event::PeerDraining { peer }),
            Fact::Conflict { peer } => Some(Event::IdentityConflict { peer }),
            Fact::Draining => Some(Event::Draining),
            Fact::Leaving { idle, .. } => Some(Event::Leaving { idle }),
            Fact::Healthy { .. }
            | Fact::TooSlow { .. }
            | Fact::PeerForgotten { .. }
            | Fact::DialFailed { .. }
            | Fact::Refused { .. }
            | Fact::Tried { .. }
            | Fact::Reached { .. }
            | Fact::ConflictOver { .. } => None,
        }
    }
}
