//! One direction of a connection.

use std::collections::VecDeque;
use std::time::Instant;

/// Bytes on their way, in order, each piece readable from its time on.
#[derive(Debug)]
pub(super) struct Pipe {
    pieces: VecDeque<(Instant, Vec<u8>)>,
    held: usize,
    /// Bytes it holds at most; a writer waits for the rest.
    capacity: usize,
    closed_at: Option<Instant>,
    /// Nobody reads any more; what is written vanishes.
    deaf: bool,
}

impl Pipe {
    pub(super) fn new(capacity: usize) -> Pipe {
        Pipe { pieces: VecDeque::new(), held: 0, capacity, closed_at: None, deaf: false }
    }

    /// How many bytes could be written now.
    pub(super) fn space(&self) -> usize {
        if self.deaf { usize::MAX } else { self.capacity - self.held }
    }

    /// Takes bytes that can be read from `at` on, but never before those written earlier.
    pub(super) fn write(&mut self, at: Instant, bytes: Vec<u8>) {
        if self.deaf || bytes.is_empty() {
            return;
        }
        self.held += bytes.len();
        let at = self.pieces.back().map_or(at, |(last, _)| at.max(*last));
        self.pieces.push_back((at, bytes));
    }

    /// Nothing more will be written.
    pub(super) fn close(&mut self, at: Instant) {
        let at = self.pieces.back().map_or(at, |(last, _)| at.max(*last));
        self.closed_at.get_or_insert(at);
    }

    /// Nothing more will be read.
    pub(super) fn deafen(&mut self) {
        self.pieces.clear();
        self.held = 0;
        self.deaf = true;
    }

    /// Reads up to `limit` of the bytes that have arrived.
    pub(super) fn read(&mut self, now: Instant, limit: usize) -> Vec<u8> {
        let mut read = Vec::new();
        while let Some((at, piece)) = self.pieces.front_mut() {
            if *at > now || read.len() == limit {
                break;
            }
            let take = piece.len().min(limit - read.len());
            read.extend(piece.drain(..take));
            if piece.is_empty() {
                self.pieces.pop_front();
            }
        }
        self.held -= read.len();
        read
    }

    pub(super) fn has_arrived(&self, now: Instant) -> bool {
        self.pieces.front().is_some_and(|(at, _)| *at <= now)
    }

    /// Whether everything was read and nothing more comes.
    pub(super) fn is_finished(&self, now: Instant) -> bool {
        self.pieces.is_empty() && self.closed_at.is_some_and(|at| at <= now)
    }

    /// When there is next something to notice at the reading side.
    pub(super) fn next_arrival(&self) -> Option<Instant> {
        self.pieces.front().map(|(at, _)| *at).or(self.closed_at)
    }
}
