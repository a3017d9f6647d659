//! What neighbours say to each other about the members of the network.
//!
//! Nobody's word about a third node is believed: where a word carries records, they are signed by their subjects, and what
//! it asks or answers about a node moves no more than the time at which the own judgement falls.

use std::fmt;
use std::time::Duration;

use super::record::{Incarnation, MARK_BYTES};
use super::services::ServiceList;
use crate::codec::Payload;
use crate::id::NodeId;

/// A word of one neighbour to another.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Word {
    /// "Here are records."
    Discovered {
        /// At most [`limits::DISCOVERED_RECORDS_MAX`](crate::limits::DISCOVERED_RECORDS_MAX) of them, and
        /// [`limits::DISCOVERED_BYTES_MAX`](crate::limits::DISCOVERED_BYTES_MAX) in all.
        records: Vec<Handed>,
        /// In the last piece of an answer to [`Word::Summary`]: the sender's digest that the answer brings the other up to.
        /// `None` in what comes before it, and in what nobody asked for.
        at: Option<Digest>,
    },
    /// "This is the digest of the members that are live for me."
    Digest(Digest),
    /// "This is what I know. Send me what I lack." Answered with [`Word::Discovered`].
    Summary(Vec<Known>),
    /// "Try that node for me."
    Check {
        /// The asker's number for the answer.
        ask: u32,
        /// Which node.
        node: NodeId,
    },
    /// "I have tried."
    Checked {
        /// The number of the question.
        ask: u32,
        /// What came of it.
        answer: Answer,
    },
    /// "Somebody doubts that you live. I have just heard you." Its receiver signs a new record.
    Suspected,
    /// "Tell me the lists of services with these digests." At most
    /// [`limits::WANTED_MAX`](crate::limits::WANTED_MAX). Answered with [`Word::Services`].
    Wanted(Vec<[u8; 32]>),
    /// "Here are lists of services."
    Services {
        /// At most [`limits::WANTED_MAX`](crate::limits::WANTED_MAX), in all as large as one may be; or one.
        lists: Vec<ServiceList>,
        /// Whether this is the last piece of an answer: what was wanted and has not come is not held there.
        whole: bool,
    },
}

/// A record as it is handed on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Handed {
    /// The [`SignedRecord`](super::SignedRecord), as it came.
    pub record: Payload,
    /// How much of its lease is left.
    pub remaining: Duration,
}

/// What a set of records comes down to: the marks of all of them, XORed. Two nodes whose digests are equal hold the same.
#[derive(Clone, Copy, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Digest(pub [u8; MARK_BYTES]);

/// One line of a summary: which record of a node is known. Ordered, so that who is asked can tell the newer of two.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Known {
    /// The first 8 bytes of the node's id, as a big-endian number.
    pub node: u64,
    /// The start counter of its epoch.
    pub start: u64,
    /// The first 8 of the epoch's random bytes, as a big-endian number.
    pub random: u64,
    /// The record's number in its epoch.
    pub sequence: u64,
}

/// What came of trying a node for somebody else.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Answer {
    /// It gave a sign of life after the question.
    Alive,
    /// It gave none, or counts as suspect or gone here.
    Unreachable,
    /// There is no link with it here, or too much to do.
    CannotTell,
}

impl Digest {
    /// Adds a mark, or takes it out again.
    pub(super) fn toggle(&mut self, mark: &[u8; MARK_BYTES]) {
        for (byte, other) in self.0.iter_mut().zip(mark) {
            *byte ^= other;
        }
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, ..] = self.0;
        write!(f, "Digest({a:02x}{b:02x}{c:02x}{d:02x}…)")
    }
}

impl Known {
    /// The line for this record.
    pub(super) fn of(id: &NodeId, incarnation: Incarnation) -> Known {
        let Incarnation { epoch, sequence } = incarnation;
        Known { node: short(id), start: epoch.start(), random: first_8(epoch.random()), sequence }
    }

    /// Which record it is, of whatever node.
    pub(super) fn age(&self) -> (u64, u64, u64) {
        (self.start, self.random, self.sequence)
    }
}

/// The number by which a summary names a node.
pub(super) fn short(id: &NodeId) -> u64 {
    first_8(id.as_bytes())
}

fn first_8(bytes: &[u8]) -> u64 {
    bytes.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Answer::Alive => "alive",
            Answer::Unreachable => "unreachable",
            Answer::CannotTell => "cannot-tell",
        })
    }
}
