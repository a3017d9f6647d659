//! One direction of a connection, with its weather.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Bytes on their way, in order. They may be slow, held up by a cut, thrown away by a reset, or go where nobody listens.
#[derive(Debug)]
pub(super) struct Way {
    pieces: VecDeque<(Instant, Vec<u8>)>,
    held: usize,
    /// Bytes it holds at most; a writer waits for the rest.
    capacity: usize,
    /// Bytes a second, at most.
    rate: Option<u64>,
    closed_at: Option<Instant>,
    reset_at: Option<Instant>,
    /// When the last thing that was sent arrives.
    last: Instant,
    /// Nothing arrives before, because of a cut.
    not_before: Instant,
    is_cut: bool,
    /// Nobody reads any more.
    is_deaf: bool,
}

/// What there is to notice at the reading side.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Notice {
    Nothing,
    Bytes,
    Closed,
    Reset,
}

impl Way {
    pub(super) fn new(now: Instant, capacity: usize, rate: Option<u64>) -> Way {
        Way {
            pieces: VecDeque::new(),
            held: 0,
            capacity,
            rate,
            closed_at: None,
            reset_at: None,
            last: now,
            not_before: now,
            is_cut: false,
            is_deaf: false,
        }
    }

    /// How many bytes could be written now.
    pub(super) fn space(&self) -> usize {
        if self.is_deaf || self.reset_at.is_some() { usize::MAX } else { self.capacity.saturating_sub(self.held) }
    }

    /// Takes bytes that need so long. Returns when the first of them arrive, as things are.
    pub(super) fn write(&mut self, now: Instant, delay: Duration, bytes: Vec<u8>) -> Instant {
        let takes = !self.is_deaf && self.closed_at.is_none() && self.reset_at.is_none();
        let Some(rate) = self.rate else {
            self.last = self.last.max(now + delay);
            if takes && !bytes.is_empty() {
                self.held += bytes.len();
                self.pieces.push_back((self.last, bytes));
            }
            return self.last;
        };
        let mut first = None;
        for piece in bytes.chunks((rate / 4) as usize) {
            let sending = Duration::from_micros(piece.len() as u64 * 1_000_000 / rate);
            self.last = (now + delay).max(self.last + sending);
            first.get_or_insert(self.last);
            if takes {
                self.held += piece.len();
                self.pieces.push_back((self.last, piece.to_vec()));
            }
        }
        first.unwrap_or(self.last)
    }

    /// Nothing more will be written.
    pub(super) fn close(&mut self, now: Instant, delay: Duration) {
        self.last = self.last.max(now + delay);
        self.closed_at.get_or_insert(self.last);
    }

    /// The connection is reset: at this time the reader learns of it, of the bytes before it perhaps only a part.
    pub(super) fn reset(&mut self, at: Instant, keep: usize) {
        self.pieces.truncate(keep);
        self.held = self.pieces.iter().map(|(_, piece)| piece.len()).sum();
        self.reset_at = Some(self.reset_at.map_or(at, |before| before.min(at)));
    }

    /// Nothing more will be read.
    pub(super) fn deafen(&mut self) {
        self.pieces.clear();
        self.held = 0;
        self.is_deaf = true;
    }

    pub(super) fn is_deaf(&self) -> bool {
        self.is_deaf
    }

    /// Nothing gets through from now on.
    pub(super) fn cut(&mut self) {
        self.is_cut = true;
    }

    /// What was held up gets through from this time on.
    pub(super) fn mend(&mut self, at: Instant) {
        self.is_cut = false;
        self.not_before = self.not_before.max(at);
    }

    /// From now on as fast as can be, with what is under way too.
    pub(super) fn calm(&mut self, now: Instant) {
        (self.rate, self.capacity) = (None, AMPLE);
        self.pieces.iter_mut().for_each(|(at, _)| *at = now.min(*at));
        self.last = self.last.min(now);
        self.closed_at = self.closed_at.map(|at| at.min(now));
    }

    pub(super) fn notice(&self, now: Instant) -> Notice {
        let is_past = |at: Instant| at <= now;
        if self.is_cut || now < self.not_before {
            Notice::Nothing
        } else if self.pieces.front().is_some_and(|(at, _)| is_past(*at)) {
            Notice::Bytes
        } else if self.reset_at.is_some_and(is_past) {
            Notice::Reset
        } else if self.pieces.is_empty() && self.closed_at.is_some_and(is_past) {
            Notice::Closed
        } else {
            Notice::Nothing
        }
    }

    /// Reads up to `limit` of the bytes that have arrived.
    pub(super) fn read(&mut self, now: Instant, limit: usize) -> Vec<u8> {
        let mut read = Vec::new();
        while let Some((at, piece)) = self.pieces.front_mut() {
            if *at > now || read.len() == limit {
                break;
            }
            let take = piece.len().min(limit - read.len());
            if take == piece.len() && read.is_empty() {
                read = std::mem::take(piece);
            } else {
                read.extend(piece.drain(..take));
            }
            if piece.is_empty() {
                self.pieces.pop_front();
            }
        }
        self.held -= read.len();
        read
    }

    /// When there is next something to notice, as things are.
    pub(super) fn next_notice(&self) -> Option<Instant> {
        if self.is_cut {
            return None;
        }
        let first = self.pieces.front().map(|(at, _)| *at);
        let ends = self.closed_at.filter(|_| self.pieces.is_empty());
        [first, self.reset_at, ends].into_iter().flatten().min().map(|at| at.max(self.not_before))
    }
}

/// Bytes that a connection of which nothing is wrong holds.
pub(super) const AMPLE: usize = 256 << 10;
