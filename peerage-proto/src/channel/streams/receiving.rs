//! One direction of a conversation at the end that receives: items that wait for the application, and what was granted.
//!
//! The window is what the peer may have under way: granted and not yet taken by the application. It begins small and
//! doubles when a whole one was taken, so that a stream that is really read gets fast, and one that is not costs little.

#![allow(clippy::arithmetic_side_effects, reason = "lengths of what lies in memory")]

use std::collections::VecDeque;

use bytes::Bytes;

use super::super::credit::{Credit, Overdrawn};
use crate::codec::{Encoding, Payload};
use crate::limits;
use crate::outcome::CallError;
use crate::planted::{self, Bug};

/// Items that came in.
#[derive(Debug)]
pub(in super::super) struct Receiving {
    /// What the peer may still send.
    credit: Credit,
    window: usize,
    /// Bytes that were taken and not granted anew.
    owed: usize,
    /// Bytes that were taken since the window grew.
    taken: usize,
    /// With what each cost.
    queue: VecDeque<(Payload, usize)>,
    /// Bytes of large items among them.
    large: usize,
    /// A large item of which parts have come.
    assembly: Option<Assembly>,
    /// How this direction has ended, behind the items.
    end: Option<End>,
    /// Nobody reads: what comes is thrown away, and nothing is granted.
    is_deaf: bool,
}

/// A large item of which parts have come.
#[derive(Debug)]
struct Assembly {
    /// That of its first part.
    encoding: Encoding,
    bytes: Vec<u8>,
    /// What its parts cost and was not granted anew.
    unpaid: usize,
}

/// How a direction ends.
#[derive(Clone, Debug)]
pub(in super::super) enum End {
    Well,
    Aborted(Box<CallError>),
    /// And the application has read so.
    Told,
}

/// What a peer did that no credit or form allows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in super::super) enum Fault {
    Overdrawn,
    /// Behind its own end.
    Behind,
    /// A large item that is too large.
    TooLarge,
    /// A large item that is no value, or whose end is not null.
    NoValue,
}

impl From<Overdrawn> for Fault {
    fn from(_: Overdrawn) -> Fault {
        Fault::Overdrawn
    }
}

impl Receiving {
    pub(in super::super) fn new() -> Receiving {
        Receiving {
            credit: Credit::START,
            window: limits::STREAM_CREDIT_START as usize,
            owed: 0,
            taken: 0,
            queue: VecDeque::new(),
            large: 0,
            assembly: None,
            end: None,
            is_deaf: false,
        }
    }

    /// Bytes by which the window is wider than at the beginning.
    pub(in super::super) fn widened(&self) -> usize {
        self.window - limits::STREAM_CREDIT_START as usize
    }

    /// Bytes of a large item that is not whole yet, or that is whole and was not taken.
    pub(in super::super) fn held(&self) -> usize {
        self.large + self.assembly.as_ref().map_or(0, |assembly| assembly.bytes.len())
    }

    /// Whether there is something that the application has not read.
    pub(in super::super) fn is_readable(&self) -> bool {
        !self.queue.is_empty() || matches!(self.end, Some(End::Well | End::Aborted(_)))
    }

    /// Whether the application has read everything up to the end.
    pub(in super::super) fn is_over(&self) -> bool {
        self.is_deaf || self.queue.is_empty() && !matches!(self.end, Some(End::Aborted(_)))
    }

    /// What came in last and was not taken.
    pub(in super::super) fn newest(&self) -> Option<&Payload> {
        self.queue.back().map(|(item, _)| item)
    }

    /// An item of one frame, or the end of a large one.
    pub(in super::super) fn item(&mut self, content: Payload) -> Result<(), Fault> {
        let cost = content.len() + limits::ITEM_OVERHEAD_BYTES;
        self.spend(cost)?;
        if self.is_deaf {
            return Ok(());
        }
        let (item, cost) = match self.assembly.take() {
            None => (content, cost),
            Some(assembly) if content.bytes() == content.encoding().null() => {
                let item =
                    Payload::parse(assembly.encoding, Bytes::from(assembly.bytes)).map_err(|_| Fault::NoValue)?;
                (item, assembly.unpaid + cost)
            }
            Some(_) => return Err(Fault::NoValue),
        };
        self.large += large(&item);
        self.queue.push_back((item, cost));
        Ok(())
    }

    /// A part of a large item.
    pub(in super::super) fn part(&mut self, encoding: Encoding, content: usize, bytes: &[u8]) -> Result<(), Fault> {
        let cost = content + limits::ITEM_OVERHEAD_BYTES;
        self.spend(cost)?;
        if self.is_deaf {
            return Ok(());
        }
        let assembly = self.assembly.get_or_insert_with(|| Assembly { encoding, bytes: Vec::new(), unpaid: 0 });
        assembly.unpaid += cost;
        if assembly.bytes.len() + bytes.len() > limits::VALUE_BYTES_MAX {
            return Err(Fault::TooLarge);
        }
        assembly.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// The end of this direction.
    pub(in super::super) fn ended(&mut self, end: End) -> Result<(), Fault> {
        if self.end.is_some() {
            return Err(Fault::Behind);
        }
        // A large item that was begun and is not finished is not the application's business.
        self.assembly = None;
        self.end = Some(end);
        Ok(())
    }

    fn spend(&mut self, cost: usize) -> Result<(), Fault> {
        if self.end.is_some() {
            return Err(Fault::Behind);
        }
        Ok(self.credit.spend(cost)?)
    }

    /// The next item, or how this direction ended.
    pub(in super::super) fn take(&mut self) -> Option<Result<Payload, End>> {
        if let Some((item, cost)) = self.queue.pop_front() {
            self.owed += cost;
            self.taken += cost;
            self.large -= large(&item);
            return Some(Ok(item));
        }
        let end = self.end.clone()?;
        self.end = Some(End::Told);
        Some(Err(end))
    }

    /// Nobody reads any more.
    pub(in super::super) fn deafen(&mut self) {
        self.is_deaf = true;
        self.queue.clear();
        self.large = 0;
        self.assembly = None;
    }

    /// Nothing more will come; what came is kept.
    pub(in super::super) fn cut_off(&mut self) {
        self.assembly = None;
        self.end.get_or_insert(End::Told);
    }

    /// What is to be granted now, if it is worth a frame. The window may grow by as much as `more`.
    pub(in super::super) fn grant(&mut self, more: usize, may_assemble: bool) -> Option<u32> {
        if self.is_deaf || self.end.is_some() {
            return None;
        }
        // Whoever waits for a large item can take nothing before it is whole.
        if may_assemble
            && self.queue.is_empty()
            && let Some(assembly) = &mut self.assembly
        {
            self.owed += assembly.unpaid;
            self.taken += std::mem::take(&mut assembly.unpaid);
        }
        if self.owed < self.window / GRANTS_PER_WINDOW {
            return None;
        }
        let mut bytes = self.owed;
        if !planted::is(Bug::CreditReturnedTwice) {
            self.owed = 0;
        }
        if self.taken >= self.window && self.window <= more && self.window < limits::STREAM_WINDOW_MAX {
            bytes += self.window;
            self.window *= 2;
            self.taken = 0;
        }
        // What is granted never exceeds the window, which is far below what a credit holds.
        self.credit.grant(bytes as u64).ok()?;
        u32::try_from(bytes).ok()
    }
}

/// Bytes of an item if it came in parts, more or less.
fn large(item: &Payload) -> usize {
    if item.len() > limits::SEGMENT_BYTES { item.len() } else { 0 }
}

/// Grants for each window that is taken: few, so that they cost little, and so many that the sender need not stand still.
const GRANTS_PER_WINDOW: usize = 4;
