//! One connection between two nodes: what is on its way, and how far each end is.

use std::time::Instant;

use peerage_proto::hello::Refusal;
use peerage_proto::id::{Epoch, LinkId};
use peerage_proto::node::{Control, DialId};

/// One of the two ends of a wire: 0 dialled, 1 accepted.
pub(crate) type End = usize;

/// A connection. Frames arrive at each end in the order in which they were sent, nothing else is known about the network.
#[derive(Debug)]
pub(crate) struct Wire {
    /// Whose ends they are, and which run of each process.
    pub(crate) hosts: [usize; 2],
    pub(crate) runs: [u32; 2],
    pub(crate) dial: DialId,
    pub(crate) dial_seq: u64,
    /// The epoch in each end's Hello.
    pub(crate) said: [Option<Epoch>; 2],
    pub(crate) ends: [State; 2],
    /// The number of each end's node for the link, once its peer has proved itself.
    pub(crate) links: [Option<LinkId>; 2],
    pub(crate) admitted: [bool; 2],
    /// The other end has admitted it.
    pub(crate) heard_admitted: [bool; 2],
    /// When the last frame sent to each end arrives there.
    pub(crate) last: [Instant; 2],
    /// Frames on their way to each end.
    pub(crate) flying: [u32; 2],
    /// Requests and replies among them.
    pub(crate) calls_flying: [u32; 2],
    /// It is broken: nothing arrives any more.
    pub(crate) cut: bool,
    /// Calls that each end has opened.
    pub(crate) calls: [Vec<usize>; 2],
    /// How many of the other end's calls each end serves.
    pub(crate) serving: [u32; 2],
    pub(crate) retired: [bool; 2],
    /// The end has confirmed that it needs the link no longer.
    pub(crate) given_up: [bool; 2],
    /// The number under which each end wants to hear that nothing is open.
    pub(crate) asked: [Option<u32>; 2],
}

/// A wire, as one end sees it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum State {
    /// The handshake is under way.
    Greeting,
    Up,
    /// Closed by this end: by the rule for duplicates?
    Closed {
        by_rule: bool,
    },
    /// Lost, or refused.
    Gone,
}

/// What travels.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Frame {
    Hello,
    Admitted,
    Introduction,
    Refused(Refusal),
    Word(Control),
    Request(usize),
    Reply(usize),
    Fin,
}

impl Wire {
    /// A connection that is being dialled.
    pub(crate) fn new(
        hosts: [usize; 2],
        run: u32,
        (dial, dial_seq): (DialId, u64),
        epoch: Epoch,
        now: Instant,
    ) -> Wire {
        Wire {
            hosts,
            runs: [run, 0],
            dial,
            dial_seq,
            said: [Some(epoch), None],
            ends: [State::Greeting; 2],
            links: [None; 2],
            admitted: [false; 2],
            heard_admitted: [false; 2],
            last: [now; 2],
            flying: [0; 2],
            calls_flying: [0; 2],
            cut: false,
            calls: [Vec::new(), Vec::new()],
            serving: [0; 2],
            retired: [false; 2],
            given_up: [false; 2],
            asked: [None; 2],
        }
    }

    /// Which end belongs to this host.
    pub(crate) fn end_of(&self, host: usize) -> End {
        usize::from(self.hosts[0] != host)
    }

    pub(crate) fn has_calls(&self) -> bool {
        self.calls.iter().any(|calls| !calls.is_empty()) || self.serving != [0; 2]
    }

    pub(crate) fn is_open(&self, end: End) -> bool {
        matches!(self.ends[end], State::Greeting | State::Up)
    }

    /// Both ends can use it.
    pub(crate) fn is_usable(&self) -> bool {
        !self.cut && self.ends == [State::Up; 2]
    }

    /// Nothing more happens here by itself but calls.
    pub(crate) fn is_at_rest(&self) -> bool {
        let over = self.ends.iter().all(|end| matches!(end, State::Closed { .. } | State::Gone));
        over || self.is_usable() && self.flying == self.calls_flying
    }

    /// Whether it makes no difference any more.
    pub(crate) fn is_over(&self) -> bool {
        !self.is_open(0) && !self.is_open(1)
    }
}

impl Frame {
    pub(crate) fn is_of_calls(&self) -> bool {
        matches!(self, Frame::Request(_) | Frame::Reply(_))
    }
}
