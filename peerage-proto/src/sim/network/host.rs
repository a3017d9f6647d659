//! A computer with at most one process on it: a node.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;

use super::clock::Clock;
use super::members::Told;
use super::seal::Seal;
use super::wire::EndId;
use crate::codec::Payload;
use crate::frame::Kind;
use crate::hello::{HelloError, Trust};
use crate::id::{Epoch, LinkId, NodeId};
use crate::membership::ServiceList;
use crate::node::{DialError, DialId, Node, Proved, WhyDown};

/// What outlives a process.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) id: NodeId,
    pub(super) seal: Seal,
    pub(super) clock: Clock,
    /// Seconds that the clock on the wall is wrong by.
    pub(super) wall: i64,
    /// The start counter that is stored.
    pub(super) counter: u64,
    /// Processes so far.
    pub(super) run: u32,
    pub(super) process: Option<Process>,
    /// Whether the computer is on: if not, nobody refuses a connection either.
    pub(super) is_on: bool,
    /// It never comes back.
    pub(super) is_buried: bool,
    pub(super) paused_until: Option<Instant>,
    /// When the last pause began.
    pub(super) pauses_since: Instant,
    /// When the process last went on after standing still, by its own clock.
    pub(super) woke: Option<Instant>,
    /// When the process last went on after standing still for so long that requests have to wait.
    pub(super) jumped_at: Option<Instant>,
    /// Connections can be accepted.
    pub(super) accepts: bool,
    /// Handlers take what they are given.
    pub(super) reads: bool,
}

/// One run of a node: what the driver of a real node holds.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) node: Node,
    /// What connections have come to, and what links tell. Two queues, each in order.
    pub(super) arrivals: VecDeque<Arrival>,
    pub(super) words: VecDeque<(LinkId, Word)>,
    /// The driver is about to look at them.
    pub(super) is_awake: bool,
    pub(super) dials: BTreeMap<DialId, Option<EndId>>,
    pub(super) undecided: BTreeMap<LinkId, EndId>,
    /// Links that were closed before they had come to stand.
    pub(super) stillborn: BTreeSet<LinkId>,
    /// Links whose peers have not introduced themselves, and until when they may.
    pub(super) unnamed: BTreeMap<LinkId, Instant>,
    pub(super) links: BTreeMap<LinkId, EndId>,
    /// Which link carries new calls to whom.
    pub(super) directory: BTreeMap<NodeId, LinkId>,
    /// The connection over which each peer could be reached after the last step.
    pub(super) usable: BTreeMap<NodeId, u32>,
    /// The newest epoch of each peer that was let in, with how far its id was to be trusted.
    pub(super) newest: BTreeMap<NodeId, (Trust, Epoch)>,
    /// Who asks to be let in.
    pub(super) asking: BTreeMap<LinkId, (NodeId, Trust, Epoch)>,
    /// Its ends of connections, and when something is due there, as it was when they were last looked at.
    pub(super) ends: BTreeMap<EndId, Option<Instant>>,
    pub(super) next_link: u64,
    pub(super) is_listening: bool,
    /// Takes no calls of its application any more.
    pub(super) is_leaving: bool,
    /// When it exits.
    pub(super) exits_at: Option<Instant>,
    /// What its application offers, and since when, in the time of the simulation.
    pub(super) offers: ServiceList,
    pub(super) offers_since: Instant,
    /// What the application was told last of each member.
    pub(super) told: Told,
    /// For when it is to be woken, in the time of the simulation.
    pub(super) armed: Option<Instant>,
}

/// What a connection has come to.
#[derive(Debug)]
pub(super) enum Arrival {
    Proved { link: LinkId, end: EndId, proved: Proved, dialled: Option<DialId> },
    Admitted { link: LinkId, end: EndId },
    DialFailed { dial: DialId, why: DialError },
    Failed { link: LinkId, why: HelloError },
}

/// What a link tells its node.
#[derive(Debug)]
pub(super) enum Word {
    Control {
        kind: Kind,
        content: Payload,
    },
    Idle(u32),
    Answered,
    /// The peer has not been heard for long, or is heard again.
    Quiet(bool),
    Ended(WhyDown),
}

impl Process {
    pub(super) fn new(node: Node, now: Instant) -> Process {
        Process {
            node,
            arrivals: VecDeque::new(),
            words: VecDeque::new(),
            is_awake: false,
            dials: BTreeMap::new(),
            undecided: BTreeMap::new(),
            stillborn: BTreeSet::new(),
            unnamed: BTreeMap::new(),
            links: BTreeMap::new(),
            directory: BTreeMap::new(),
            usable: BTreeMap::new(),
            newest: BTreeMap::new(),
            asking: BTreeMap::new(),
            ends: BTreeMap::new(),
            next_link: 0,
            is_listening: true,
            is_leaving: false,
            exits_at: None,
            offers: ServiceList::default(),
            offers_since: now,
            told: Told::new(),
            armed: None,
        }
    }

    /// No new calls go over this link; another one to the same peer stays.
    pub(super) fn forget(&mut self, link: LinkId) {
        self.directory.retain(|_, known| *known != link);
    }
}

impl Host {
    /// The next epoch, as a process that starts now takes it.
    pub(super) fn begin_epoch(&mut self, seconds: u64, random: [u8; 16]) -> Epoch {
        self.counter = self.counter.saturating_add(1).max(seconds.saturating_add_signed(self.wall));
        Epoch::new(self.counter, random)
    }
}
