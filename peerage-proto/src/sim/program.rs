//! Input bytes read as a program: what a peer sends and what the application does, step by step.
//!
//! Every input is a program, so a fuzzer never wastes one. Numbers come from a table of extremes, because that is where
//! faults are; a small change of the input is a small change of the program.

use std::time::Duration;

use crate::channel::{Config, Side};
use crate::codec::{Encoding, Form};
use crate::frame::Dialect;
use crate::liveness::Profile;

/// Reads steps from bytes.
#[derive(Debug)]
pub(super) struct Program<'a> {
    bytes: &'a [u8],
}

/// One step of a session.
#[derive(Clone, Debug)]
pub(super) enum Step<'a> {
    /// The peer sends a frame that is well-formed at least as far as its triple.
    PeerSends {
        kind: u8,
        id: u64,
        content: u8,
    },
    /// The peer sends a body of its own making, framed.
    PeerSendsBody(&'a [u8]),
    /// The peer sends bytes that are not even framed.
    PeerSendsBytes(&'a [u8]),
    /// What the peer sent arrives, in pieces of this size, as far as reading is wanted.
    Arrive(usize),
    PeerCloses,
    LinkBreaks,
    TimePasses(Duration),
    RingForNothing,
    Call {
        padding: usize,
        deadline: Deadline,
    },
    /// The same as a conversation.
    Open {
        padding: usize,
        deadline: Deadline,
    },
    Notify {
        padding: usize,
    },
    /// An item of the n-th conversation.
    Item {
        nth: usize,
        padding: usize,
    },
    /// Something about events that our application or our node does.
    Events {
        what: u8,
        nth: usize,
        size: usize,
    },
    /// Take what there is of the n-th conversation.
    Read(usize),
    /// End our direction of the n-th conversation: well, broken off, or by reading no more.
    EndTalk {
        nth: usize,
        how: u8,
    },
    /// Cancel the n-th call that waits.
    Cancel(usize),
    /// Answer the n-th request in service, or one that was answered already.
    Reply {
        nth: usize,
        padding: usize,
    },
    Fail {
        nth: usize,
        code: u8,
        message: u8,
        data: u8,
    },
    Stopped {
        nth: usize,
        word: u8,
    },
    Fetch(usize),
    /// The node, or the application, wants something of the link.
    Order(Order),
    /// The node says something.
    Say {
        kind: u8,
        content: u8,
    },
    /// The process stands still for so long.
    Pause(Duration),
    /// The peer answers what we have said about forms as it should: it agrees, and marks its direction.
    PeerAgrees,
    PeerDeclines,
    /// The driver takes what waits and keeps it.
    Take,
    /// The driver writes so many bytes of it and gives back the rest.
    Write(usize),
    Close,
}

/// Something that is wanted of a link.
#[derive(Clone, Copy, Debug)]
pub(super) enum Order {
    Retire,
    Restore,
    Drain,
    Probe,
    Jumped,
    Propose(Form),
    LocalHealth(u8),
    PeerProfile(u64),
}

/// When a call is due.
#[derive(Clone, Copy, Debug)]
pub(super) enum Deadline {
    None,
    In(Duration),
    /// As far away as an `Instant` can be.
    EndOfTime,
}

impl<'a> Program<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Program<'a> {
        Program { bytes }
    }

    /// The first byte and the second: who we are, what we speak, how small our limits are.
    pub(super) fn config(&mut self) -> Config {
        let (head, limits) = (self.byte(), self.byte());
        Config {
            encoding: [Some(Encoding::Json), Some(Encoding::MsgPack), None, None][usize::from(head & 3)],
            dialect: if head & 4 == 0 { Dialect::Plain } else { Dialect::Full },
            side: if head & 8 == 0 { Side::Dialler } else { Side::Acceptor },
            frame_bytes: [0, 100, 1_000, 200_000][usize::from(limits & 3)],
            calls_in_flight: [1, 2, 8, 64][usize::from(limits >> 2 & 3)],
            served_at_once: [1, 2, 8, 64][usize::from(limits >> 4 & 3)],
            liveness: (head & 16 != 0).then_some(Profile::LAN),
            compression: head & 32 != 0,
            ..Config::default()
        }
    }

    pub(super) fn step(&mut self) -> Option<Step<'a>> {
        if self.bytes.is_empty() {
            return None;
        }
        Some(match self.byte() % 32 {
            0 | 1 => Step::PeerSends { kind: self.kind(), id: self.number(), content: self.byte() },
            2 => Step::PeerSendsBody(self.slice()),
            3 => Step::PeerSendsBytes(self.slice()),
            4 => Step::Arrive([1, 2, 3, 5, 17, 100, 5_000, usize::MAX][usize::from(self.byte() % 8)]),
            5 => match self.byte() % 8 {
                0 => Step::PeerCloses,
                1 => Step::LinkBreaks,
                2 => Step::Close,
                5..=7 => Step::Events { what: self.byte(), nth: usize::from(self.byte()), size: self.size() },
                _ => Step::RingForNothing,
            },
            6 => Step::TimePasses(self.time()),
            7 | 8 => Step::Call { padding: self.size(), deadline: self.deadline() },
            9 => Step::Cancel(usize::from(self.byte())),
            10 => Step::Reply { nth: usize::from(self.byte()), padding: self.size() },
            11 => {
                Step::Fail { nth: usize::from(self.byte()), code: self.byte(), message: self.byte(), data: self.byte() }
            }
            12 => Step::Stopped { nth: usize::from(self.byte()), word: self.byte() },
            13 => Step::Fetch(usize::from(self.byte())),
            14 => Step::Take,
            18 | 19 => Step::Order(self.order()),
            20 => Step::Say { kind: self.kind(), content: self.byte() },
            21 => Step::Pause(self.time()),
            22 => Step::PeerSends { kind: 128 + self.byte() % 3, id: self.number(), content: self.byte() },
            23 | 24 => Step::PeerAgrees,
            25 => Step::PeerDeclines,
            26 => Step::Arrive(usize::MAX),
            15 => Step::Open { padding: self.size(), deadline: self.deadline() },
            16 => Step::Item { nth: usize::from(self.byte()), padding: self.size() },
            17 => match self.byte() {
                byte @ 0..100 => Step::Read(usize::from(byte)),
                100..160 => Step::Notify { padding: self.size() },
                byte => Step::EndTalk { nth: usize::from(self.byte()), how: byte },
            },
            27 => Step::Write(usize::MAX),
            28 => Step::TimePasses(self.time()),
            _ => Step::Write([0, 1, 3, 4, 20, 1_000, usize::MAX, usize::MAX][usize::from(self.byte() % 8)]),
        })
    }

    fn order(&mut self) -> Order {
        match self.byte() % 16 {
            0 => Order::Retire,
            1 => Order::Restore,
            2 => Order::Drain,
            3 => Order::Probe,
            4 => Order::Jumped,
            5 => Order::LocalHealth(self.byte()),
            6 => Order::PeerProfile(self.number()),
            7 => Order::Propose(Form::plain(Encoding::Json)),
            8 => Order::Propose(Form::plain(Encoding::MsgPack)),
            _ => Order::Propose(Form::COMPRESSED),
        }
    }

    fn byte(&mut self) -> u8 {
        match self.bytes.split_first() {
            Some((first, rest)) => {
                self.bytes = rest;
                *first
            }
            None => 0,
        }
    }

    fn slice(&mut self) -> &'a [u8] {
        let len = usize::from(self.byte()).min(self.bytes.len());
        let (slice, rest) = self.bytes.split_at(len);
        self.bytes = rest;
        slice
    }

    /// Mostly kinds that exist.
    fn kind(&mut self) -> u8 {
        let byte = self.byte();
        match byte {
            0..64 => byte % 6,
            64..160 => 12 + byte % 11,
            160..208 => 31 + byte % 6,
            224.. => 37 + byte % 7,
            _ => [6, 7, 31, 32, 63, 64, 128, 255, 129, 130, 131, 8, 20, 21, 22, 72][usize::from(byte % 16)],
        }
    }

    /// Mostly small numbers, else extremes.
    fn number(&mut self) -> u64 {
        let byte = self.byte();
        if byte < 200 {
            return u64::from(byte % 32);
        }
        let extremes = [127, 128, 255, 65_535, (1 << 31) - 1, 1 << 32, (1 << 63) - 1, u64::MAX - 1, u64::MAX];
        extremes[usize::from(byte) % extremes.len()]
    }

    fn size(&mut self) -> usize {
        [0, 1, 30, 70, 900, 1_000, 17_000, 199_980, 200_000, 1_100][usize::from(self.byte() % 10)]
    }

    fn time(&mut self) -> Duration {
        let millis = [0, 1, 49, 50, 99, 100, 101, 900, 1_000, 9_999, 10_000, 3_600_000];
        Duration::from_millis(millis[usize::from(self.byte()) % millis.len()])
    }

    fn deadline(&mut self) -> Deadline {
        match self.byte() % 4 {
            0 => Deadline::None,
            1 | 2 => Deadline::In(self.time()),
            _ => Deadline::EndOfTime,
        }
    }
}
