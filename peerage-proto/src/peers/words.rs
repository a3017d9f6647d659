//! What links and dials are called, and what is said about them.

use std::fmt;
use std::time::Instant;

use crate::hello::Trust;
use crate::id::{Epoch, LinkId, LinkOrder, NodeId};

/// Identifies a dial among all dials of this process.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct DialId(pub u64);

impl fmt::Display for DialId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "dial#{}", self.0)
    }
}

/// The driver's number for a `Connect` that is to be answered.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ConnectId(pub u64);

impl fmt::Display for ConnectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "connect#{}", self.0)
    }
}

/// How long an address is wanted.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Keep {
    /// For one attempt. If it leads to a link, the node behind it is kept like any other member.
    Once,
    /// As long as the node runs: a seed.
    Forever,
    /// Until it is withdrawn: somebody found it, and may find it gone. That nobody answers there is no fault.
    Found,
}

/// What is known about the other end of a connection once it has proved itself.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Proved {
    /// Who it is.
    pub peer: NodeId,
    /// How far that can be relied on.
    pub trust: Trust,
    /// Which run of it.
    pub epoch: Epoch,
    /// The link's place among all links between the two.
    pub order: LinkOrder,
}

/// How far the node is on its way out.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Phase {
    /// Takes part.
    Running,
    /// Finishes what it has accepted, takes nothing new.
    Draining {
        /// When it says goodbye, finished or not.
        until: Instant,
        /// What it will say then.
        reason: String,
    },
    /// Has said goodbye; waits for the peers' word.
    Leaving {
        /// When it waits no longer.
        until: Instant,
    },
    /// Is gone.
    Stopped,
}

/// One link, for status.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LinkView {
    /// Which.
    pub link: LinkId,
    /// Whom it leads to.
    pub peer: NodeId,
    /// Which run of it.
    pub epoch: Epoch,
    /// How far the peer's id can be relied on.
    pub trust: Trust,
    /// Whether this node dialled.
    pub dialled: bool,
    /// Whether new calls go over it.
    pub active: bool,
}
