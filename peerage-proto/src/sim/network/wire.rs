//! A connection between two processes, and what each end of it is doing.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::way::Way;
use crate::channel::Served;
use crate::hello::{Binding, Handshake};
use crate::id::LinkId;
use crate::node::DialId;
use crate::sim::end::End;

/// One end of one connection. Side 0 dialled.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) struct EndId {
    pub(super) wire: u32,
    pub(super) side: usize,
}

impl EndId {
    pub(super) fn other(self) -> EndId {
        EndId { wire: self.wire, side: 1 - self.side }
    }
}

/// A connection.
#[derive(Debug)]
pub(super) struct Wire {
    /// The hosts at its ends, and which of their processes.
    pub(super) hosts: [usize; 2],
    pub(super) runs: [u32; 2],
    /// `ways[i]` carries what side `i` writes.
    pub(super) ways: [Way; 2],
    pub(super) stages: [Stage; 2],
    /// For when each side is called to look at what has arrived.
    pub(super) awaited: [Option<Instant>; 2],
    /// How long a byte needs.
    pub(super) delay: Duration,
    /// It carries few bytes a second.
    pub(super) is_slow: bool,
    /// What the transport has proved; both ends see the same.
    pub(super) exporter: Option<[u8; 32]>,
    /// An end closed its link because another one stays.
    pub(super) closed_by_rule: [bool; 2],
    /// The dial that it is for: its number, who must be there, what Hello says.
    pub(super) knock: (crate::node::DialId, Option<crate::id::NodeId>, u64),
    /// Its dialler signs with a key that is not that of its id.
    pub(super) is_forged: bool,
    /// Something was done to it that may cost calls.
    pub(super) is_hurt: bool,
    /// Something on the way has forgotten it: nothing gets through ever again.
    pub(super) is_forgotten: bool,
}

/// What an end is doing.
#[derive(Debug)]
pub(super) enum Stage {
    /// Its process has not taken the connection yet.
    Absent,
    /// It shakes hands.
    Shaking(Box<Shaking>),
    /// Both ends take the link; the driver will make it of these first bytes.
    Admitted(Bytes),
    /// It is a link.
    Linked(Box<Linked>),
    /// Everything is said; what the peer still sends is read away until then, by the clock of the node.
    Lingering(Linger),
    /// The process has let go of it.
    Gone,
}

/// How long an end that has said everything reads on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Linger {
    pub(super) until: Instant,
    /// Not even a peer that sends on holds it for longer.
    pub(super) at_most: Instant,
}

/// A handshake.
#[derive(Debug)]
pub(super) struct Shaking {
    pub(super) machine: Handshake,
    pub(super) dial: Option<DialId>,
    pub(super) link: Option<LinkId>,
    /// The driver was asked, so nothing is read until it has decided.
    pub(super) waits: bool,
}

/// A link.
#[derive(Debug)]
pub(super) struct Linked {
    pub(super) end: End,
    pub(super) link: LinkId,
    /// Requests that came in this turn.
    pub(super) inbox: VecDeque<(Served, u64)>,
    /// The node wants to be told of idleness with this number.
    pub(super) asked_idle: Option<u32>,
    /// Until when its last answers are written.
    pub(super) closes_by: Option<Instant>,
    pub(super) is_told_of_end: bool,
    pub(super) peer_closed: bool,
    /// Which of the peer's calls a request is, while its handler runs.
    pub(super) running: BTreeMap<Served, u64>,
    /// The call of the peer that began last.
    pub(super) last_started: Option<u64>,
}

impl Linked {
    pub(super) fn new(end: End, link: LinkId) -> Linked {
        Linked {
            end,
            link,
            inbox: VecDeque::new(),
            asked_idle: None,
            closes_by: None,
            is_told_of_end: false,
            peer_closed: false,
            running: BTreeMap::new(),
            last_started: None,
        }
    }
}

impl Wire {
    /// The end's view of what ties proofs to this connection.
    pub(super) fn binding(&self, side: usize, peer: crate::id::NodeId) -> Binding {
        debug_assert!(side < 2);
        self.exporter.map_or(Binding::Local, |value| Binding::Exporter { value, peer })
    }

    /// When something is due at this end, by the clock of its node.
    pub(super) fn next_timeout(&self, side: usize) -> Option<Instant> {
        match &self.stages[side] {
            Stage::Shaking(shaking) => shaking.machine.next_timeout(),
            Stage::Linked(linked) => {
                let own = if linked.is_told_of_end { None } else { linked.end.next_timeout() };
                [own, linked.closes_by].into_iter().flatten().min()
            }
            Stage::Lingering(linger) => Some(linger.until),
            Stage::Absent | Stage::Admitted(_) | Stage::Gone => None,
        }
    }

    /// The link at this end.
    pub(super) fn linked(&mut self, side: usize) -> Option<&mut Linked> {
        match &mut self.stages[side] {
            Stage::Linked(linked) => Some(linked),
            _ => None,
        }
    }
}
