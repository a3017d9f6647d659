//! One direction of a conversation at the end that sends: items that wait for credit, and what comes behind them.

#![allow(clippy::arithmetic_side_effects, reason = "lengths of what lies in memory")]

use std::collections::VecDeque;

use bytes::Bytes;

use super::super::credit::{Credit, Overflow};
use crate::codec::{Encoding, Payload};
use crate::limits;
use crate::outcome::{Code, Refused};

/// Items on their way out.
#[derive(Debug)]
pub(in super::super) struct Sending {
    credit: Credit,
    queue: VecDeque<Payload>,
    /// Bytes of the first item that have left as parts.
    cut: usize,
    /// Bytes of items that wait, with what each takes besides.
    waiting: usize,
    /// Behind the items this direction ends: well with null, else with the failure.
    end: Option<Payload>,
    /// The application has said that nothing more comes.
    is_closed: bool,
    /// The answer of the whole call, behind everything.
    pub(in super::super) last: Option<LastWord>,
    /// A frame of it was put among the outgoing ones.
    has_begun: bool,
    /// Whether it waits for its turn in the lane.
    pub(in super::super) has_turn: bool,
}

/// How the callee ends the call, once all items have left.
#[derive(Debug)]
pub(in super::super) enum LastWord {
    Value(Payload),
    Failure(Code, String, Option<Payload>),
    Rejection(Refused),
}

/// What a frame of a stream may hold.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Measure {
    /// What the link writes in.
    pub(in super::super) encoding: Encoding,
    /// Largest content, in bytes.
    pub(in super::super) room: usize,
}

impl Measure {
    /// For frames of at most so many bytes.
    pub(in super::super) fn of(encoding: Encoding, frame_bytes: u32) -> Measure {
        Measure { encoding, room: limits::SEGMENT_BYTES.min(frame_bytes as usize - FRAME_AROUND_BYTES) }
    }

    /// How many bytes of a large item go into one part.
    pub(in super::super) fn part(self) -> usize {
        match self.encoding {
            Encoding::MsgPack => self.room - 5,
            Encoding::Json => (self.room - 2) / 2,
        }
    }

    /// How long the content of a part is that carries so many bytes.
    pub(in super::super) fn content_of_part(self, bytes: usize) -> usize {
        match self.encoding {
            Encoding::MsgPack if bytes < 1 << 8 => bytes + 2,
            Encoding::MsgPack if bytes < 1 << 16 => bytes + 3,
            Encoding::MsgPack => bytes + 5,
            Encoding::Json => 2 * bytes + 2,
        }
    }
}

/// A frame's worth of a stream.
#[derive(Debug)]
pub(in super::super) enum Piece {
    /// A part of a large item.
    Part(Bytes),
    /// A whole item.
    Item(Payload),
    /// The end of a large item.
    Rest,
    /// The end of this direction.
    End(Payload),
}

impl Sending {
    pub(super) fn new() -> Sending {
        Sending {
            credit: Credit::START,
            queue: VecDeque::new(),
            cut: 0,
            waiting: 0,
            end: None,
            is_closed: false,
            last: None,
            has_begun: false,
            has_turn: false,
        }
    }

    /// Bytes of items that wait.
    pub(in super::super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Whether a frame of it was put among the outgoing ones.
    pub(in super::super) fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// Whether the application has ended this direction.
    pub(in super::super) fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Whether nothing is left but the last word.
    pub(in super::super) fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.end.is_none()
    }

    /// Another item.
    pub(in super::super) fn push(&mut self, item: Payload) {
        self.waiting += item.len() + limits::ITEM_OVERHEAD_BYTES;
        self.queue.push_back(item);
    }

    /// Nothing more comes: null, or why.
    pub(in super::super) fn close(&mut self, end: Payload) {
        self.is_closed = true;
        self.end = Some(end);
    }

    /// Nothing more comes but the last word.
    pub(in super::super) fn shut(&mut self) {
        self.is_closed = true;
    }

    /// Nothing more comes, and what waits is not sent either.
    pub(in super::super) fn abandon(&mut self) {
        let (credit, has_begun) = (self.credit, self.has_begun);
        *self = Sending { is_closed: true, credit, has_begun, ..Sending::new() };
    }

    pub(in super::super) fn granted(&mut self, bytes: u64) -> Result<(), Overflow> {
        self.credit.grant(bytes)
    }

    /// What the next frame costs; `None` if there is none.
    fn price(&self, measure: Measure) -> Option<usize> {
        let Some(first) = self.queue.front() else {
            // An end costs nothing.
            return self.end.is_some().then_some(0);
        };
        let left = first.len() - self.cut;
        let content = match (self.cut, left) {
            (0, whole) if whole <= measure.room => whole,
            (_, 0) => measure.encoding.null().len(),
            (_, left) => measure.content_of_part(left.min(measure.part())),
        };
        Some(content + limits::ITEM_OVERHEAD_BYTES)
    }

    /// Whether a frame could leave.
    pub(in super::super) fn is_sendable(&self, measure: Measure) -> bool {
        self.price(measure).is_some_and(|price| price <= self.credit.left())
    }

    /// The next frame, if there is credit for it.
    pub(in super::super) fn next(&mut self, measure: Measure) -> Option<Piece> {
        let price = self.price(measure)?;
        self.credit.spend(price).ok()?;
        self.has_begun = true;
        let Some(first) = self.queue.front() else {
            return self.end.take().map(Piece::End);
        };
        let left = first.len() - self.cut;
        if left > 0 && (self.cut > 0 || left > measure.room) {
            let until = self.cut + left.min(measure.part());
            let part = first.bytes().slice(self.cut..until);
            self.waiting -= part.len();
            self.cut = until;
            return Some(Piece::Part(part));
        }
        self.waiting -= left + limits::ITEM_OVERHEAD_BYTES;
        let whole = std::mem::take(&mut self.cut) == 0;
        let item = self.queue.pop_front()?;
        Some(if whole { Piece::Item(item) } else { Piece::Rest })
    }

    /// Puts what waits into another encoding. False if it cannot carry an item.
    pub(in super::super) fn transcode(&mut self, encoding: Encoding) -> bool {
        let begun = usize::from(self.cut > 0);
        let mut items = self.queue.iter_mut().skip(begun).chain(&mut self.end);
        let fits = items.all(|item| item.transcode(encoding).map(|other| *item = other).is_ok());
        let each = self.queue.iter().map(|item| item.len() + limits::ITEM_OVERHEAD_BYTES);
        self.waiting = each.sum::<usize>() - self.cut;
        fits
    }
}

/// Head and tail of a frame in either encoding, in bytes, at most.
const FRAME_AROUND_BYTES: usize = 32;
