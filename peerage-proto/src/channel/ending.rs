//! How a link's life goes on when its peer closes, when this end closes, and when the time of something has come.

use std::time::Instant;

use bytes::Bytes;

use super::in_flight::Ending;
use super::{Channel, Output, Phase, Token};
use crate::frame::FrameDecoder;
use crate::limits;
use crate::outcome::{CallError, LinkLost};

impl Channel {
    pub(super) fn stalls_at(&self) -> Option<Instant> {
        if !self.decoder.is_partial() || !self.wants_bytes() {
            return None;
        }
        self.progress.map(|progress| progress + limits::FRAME_STALL)
    }

    pub(super) fn timeout(&mut self, now: Instant) {
        if self.stalls_at().is_some_and(|at| at <= now) {
            self.end(LinkLost::Stalled);
        }
        self.cut_slow_feeds(now);
        // More than once, because after a jump of the time a call may have passed its deadline and the grace behind it.
        loop {
            let expired = self.calls.expired(now);
            if expired.is_empty() {
                return;
            }
            for token in expired {
                self.call_expired(now, token);
            }
        }
    }

    pub(super) fn peer_closed(&mut self) {
        match self.phase {
            Phase::Open if !self.held.is_empty() => self.peer_is_closed = true,
            Phase::Open if self.decoder.is_partial() => {
                self.end(LinkLost::Broken("closed in the middle of a frame".to_owned()));
            }
            Phase::Open => {
                // No answer can come any more, but what the peer asked before is still answered: it may only have
                // closed its own direction.
                self.settle_all(&LinkLost::PeerClosed);
                self.end_conversations();
                self.end_events(&LinkLost::PeerClosed);
                self.phase = Phase::Answering;
                self.thrift.forget();
                if self.watch.is_gated() {
                    self.refuse_withheld();
                }
            }
            Phase::Answering | Phase::Flushing | Phase::Ended(_) => {}
        }
    }

    pub(super) fn close(&mut self) {
        if matches!(self.phase, Phase::Open | Phase::Answering) {
            self.settle_all(&LinkLost::ClosedHere);
            self.forget_conversations();
            self.end_events(&LinkLost::ClosedHere);
            self.serving.clear();
            self.forget_input();
            self.phase = Phase::Flushing;
        }
    }

    pub(super) fn finish_if_done(&mut self) {
        let done = match self.phase {
            Phase::Answering => self.serving.len() == 0 && self.outgoing.len() == 0,
            Phase::Flushing => self.outgoing.len() == 0,
            Phase::Open | Phase::Ended(_) => false,
        };
        if done {
            let why = if self.phase == Phase::Answering { LinkLost::PeerClosed } else { LinkLost::ClosedHere };
            self.end(why);
        }
    }

    /// Ends the link at once: every call gets its outcome, what waits to be written is dropped.
    pub(super) fn end(&mut self, why: LinkLost) {
        if self.is_ended() {
            return;
        }
        self.settle_all(&why);
        self.forget_conversations();
        self.end_events(&why);
        self.serving.clear();
        self.forget_input();
        self.outgoing.clear();
        self.phase = Phase::Ended(why.clone());
        self.orders.push_back(Output::Ended(why));
    }

    /// Nobody hears our events any more, and none can come.
    fn end_events(&mut self, why: &LinkLost) {
        self.forget_feeds(why);
        self.end_subscriptions(why);
    }

    /// This end is about to leave.
    pub(super) fn drain(&mut self) {
        self.standing.draining = true;
        self.drain_feeds();
    }

    /// Frees what arrived and was not taken in.
    pub(super) fn forget_input(&mut self) {
        self.thrift.forget();
        self.decoder = FrameDecoder::new(self.config.frame_bytes);
        (self.held, self.held_since, self.progress) = (Bytes::new(), None, None);
    }

    /// Gives a call its outcome.
    pub(super) fn settle(&mut self, token: Token, error: CallError) {
        let id = self.calls.get(token).map(|waiting| waiting.id);
        if self.calls.settle(token, Ending::Failed(Box::new(error))) {
            self.orders.push_back(Output::Settled(token));
        }
        if let Some(id) = id {
            self.call_is_over(id);
        }
    }
}
