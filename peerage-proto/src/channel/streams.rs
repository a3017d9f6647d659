//! Conversations: calls whose two directions are streams of items (PROTOCOL §16).
//!
//! ```text
//!   caller ── open ──────────────▶ callee
//!          ── item item … end ───▶          up: the caller's items
//!          ◀─── item item … end ──          down: the callee's items
//!          ◀───────────── result ──         ends everything
//! ```
//!
//! Each direction has its own credit. What waits to be sent stands here and not among the outgoing frames, so that small
//! frames never wait behind it; what has come in stands here until the application takes it, so that whoever does not read
//! makes nobody wait but the one who sends to it.

#![allow(clippy::arithmetic_side_effects, reason = "lengths of what lies in memory")]

use std::collections::{BTreeMap, VecDeque};

use super::Output;
use crate::codec::Encoding;
use crate::limits;

mod receiving;
mod sending;

pub(super) use receiving::{End, Fault, Receiving};
pub(super) use sending::{LastWord, Measure, Piece, Sending};

/// Names a conversation on its link, for as long as the link lives.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct StreamId {
    /// Whether the peer opened it.
    pub(super) is_peers: bool,
    /// Its id on the wire.
    pub(super) id: u64,
}

/// Both directions of a conversation.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) sending: Sending,
    pub(super) receiving: Receiving,
    /// The call has its outcome: nothing more comes or goes.
    is_over: bool,
}

/// All conversations of a link that the application has not done with.
#[derive(Debug, Default)]
pub(super) struct Streams {
    all: BTreeMap<StreamId, Stream>,
    /// Those that could send a frame, in the order of their turns.
    lane: VecDeque<StreamId>,
    /// Bytes by which all windows are wider than at the beginning.
    widened: usize,
    /// Of those that hold large items the one that may always go on.
    elder: Option<StreamId>,
}

impl Streams {
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// How many have only their last word and items before it.
    pub(super) fn kept_back(&self) -> usize {
        self.all.values().filter(|both| both.sending.last.is_some()).count()
    }

    /// Whether any could send a frame.
    #[inline]
    pub(super) fn has_turns(&self) -> bool {
        !self.lane.is_empty()
    }

    pub(super) fn open(&mut self, stream: StreamId) {
        let both = Stream { sending: Sending::new(), receiving: Receiving::new(), is_over: false };
        self.all.insert(stream, both);
    }

    pub(super) fn get(&self, stream: StreamId) -> Option<&Stream> {
        self.all.get(&stream)
    }

    /// The conversation, if its call has no outcome yet.
    pub(super) fn live(&mut self, stream: StreamId) -> Option<&mut Stream> {
        self.all.get_mut(&stream).filter(|both| !both.is_over)
    }

    /// The conversation, if the application may still read of it.
    pub(super) fn readable(&mut self, stream: StreamId) -> Option<&mut Stream> {
        self.all.get_mut(&stream)
    }

    /// Gives a conversation a turn in the lane if it could send a frame.
    pub(super) fn line_up(&mut self, stream: StreamId, measure: Measure) {
        if let Some(both) = self.all.get_mut(&stream)
            && !both.sending.has_turn
            && both.sending.is_sendable(measure)
        {
            both.sending.has_turn = true;
            self.lane.push_back(stream);
        }
    }

    /// The next one whose turn it is.
    pub(super) fn next_turn(&mut self) -> Option<StreamId> {
        let stream = self.lane.pop_front()?;
        if let Some(both) = self.all.get_mut(&stream) {
            both.sending.has_turn = false;
        }
        Some(stream)
    }

    /// The link writes in another encoding from now on: what waits is put into it, and all turns are given anew. Returns
    /// those with an item that the encoding cannot carry.
    pub(super) fn transcode(&mut self, encoding: Encoding, measure: Measure) -> Vec<StreamId> {
        self.lane.clear();
        let mut spoiled = Vec::new();
        for (stream, both) in &mut self.all {
            if !both.sending.transcode(encoding) {
                spoiled.push(*stream);
            }
            both.sending.has_turn = both.sending.is_sendable(measure);
            self.lane.extend(both.sending.has_turn.then_some(*stream));
        }
        spoiled
    }

    /// The call of a conversation has its outcome, or nobody waits for it: nothing more is sent, nor taken in. What came
    /// before can still be read by the caller; the handler of a peer's call has ended, so there it is thrown away.
    pub(super) fn over(&mut self, stream: StreamId, orders: &mut VecDeque<Output>) {
        let Some(both) = self.all.get_mut(&stream) else { return };
        if both.is_over {
            return;
        }
        both.is_over = true;
        both.sending.abandon();
        both.receiving.cut_off();
        orders.extend([Output::Readable(stream), Output::Writable(stream)]);
        self.lane.retain(|other| *other != stream);
        if stream.is_peers || both.receiving.is_over() {
            self.forget(stream);
        }
    }

    /// Of our calls: nobody reads what came in, nor what will.
    pub(super) fn deafen(&mut self, stream: StreamId) {
        let Some(both) = self.all.get_mut(&stream) else { return };
        both.receiving.deafen();
        if both.is_over {
            self.forget(stream);
        } else {
            self.pass_on(stream);
        }
    }

    /// Forgets a conversation that is over and read to its end.
    pub(super) fn forget_if_read(&mut self, stream: StreamId) {
        if self.all.get(&stream).is_some_and(|both| both.is_over && both.receiving.is_over()) {
            self.forget(stream);
        }
    }

    fn forget(&mut self, stream: StreamId) {
        if let Some(both) = self.all.remove(&stream) {
            self.widened -= both.receiving.widened();
        }
        self.pass_on(stream);
    }

    /// Those that the peer opened, or we.
    pub(super) fn opened_by(&self, is_peers: bool) -> Vec<StreamId> {
        self.all.keys().filter(|stream| stream.is_peers == is_peers).copied().collect()
    }

    /// What is to be granted to a stream now.
    ///
    /// Large items are assembled in memory. When more than one value's worth of them lies here, only one stream may go on:
    /// else a peer could begin a thousand large items at once and fill the memory with their beginnings.
    pub(super) fn grant(&mut self, stream: StreamId) -> Option<u32> {
        let held: usize = match self.all.get(&stream)?.receiving.held() {
            0 => 0,
            _ => self.all.values().map(|both| both.receiving.held()).sum(),
        };
        let elder = *self.elder.get_or_insert(stream);
        let may_assemble = held <= limits::VALUE_BYTES_MAX || elder == stream;
        let more = limits::LINK_WINDOWS_MAX.saturating_sub(self.widened);
        let both = self.all.get_mut(&stream)?;
        let before = both.receiving.widened();
        let granted = both.receiving.grant(more, may_assemble);
        self.widened += both.receiving.widened() - before;
        if both.receiving.held() == 0 {
            self.pass_on(stream);
        }
        granted
    }

    /// A stream holds no large item any more: another one may always go on.
    fn pass_on(&mut self, stream: StreamId) {
        if self.elder == Some(stream) {
            self.elder = self.all.iter().find(|(_, both)| both.receiving.held() > 0).map(|(other, _)| *other);
        }
    }

    /// Bytes of large items on all of them.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.all.values().map(|both| both.receiving.held()).sum()
    }

    /// The stream that may always go on.
    pub(super) fn elder(&self) -> Option<StreamId> {
        self.elder
    }
}
