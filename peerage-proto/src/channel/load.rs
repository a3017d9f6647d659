//! How busy the two nodes of a link are, as they tell each other.
//!
//! Whoever chooses among several callees wants to know which of them has least to do. A callee says so behind its answers,
//! in a few bytes and not more often than every [`limits::LOAD_PERIOD`]; a pong says it too, for links on which nothing is
//! asked. What the number counts is the node's business: requests in service.

use std::time::Instant;

use super::content::Part;
use super::{Channel, Output, Phase};
use crate::codec::Payload;
use crate::frame::{Dialect, Kind};
use crate::limits;
use crate::outcome::PeerMisbehaved;

/// What is known about it at one end.
#[derive(Debug, Default)]
pub(super) struct Load {
    /// Of this node, if anybody has told.
    present: Option<u32>,
    /// What the peer was told last, and when.
    said: Option<(u32, Instant)>,
    /// We have answered something since then.
    has_answered: bool,
    /// The peer has answered something since it said its load.
    is_answered: bool,
}

impl Load {
    /// This end has answered a request.
    #[inline]
    pub(super) fn answered(&mut self) {
        self.has_answered = true;
    }

    /// The peer has answered a request.
    #[inline]
    pub(super) fn is_answered(&mut self) {
        self.is_answered = true;
    }

    fn is_worth_saying(&self, now: Instant, load: u32) -> bool {
        let is_news =
            self.said.is_none_or(|(said, at)| said != load && now.saturating_duration_since(at) >= limits::LOAD_PERIOD);
        self.has_answered && is_news
    }
}

impl Channel {
    /// Whether the peer may want to hear of this node's load: something was answered since it heard of it last.
    #[inline]
    pub fn owes_load(&self) -> bool {
        self.load.has_answered
    }

    /// This node has so much to do.
    pub(super) fn note_load(&mut self, now: Instant, load: u32) {
        self.load.present = Some(load);
        if self.config.dialect != Dialect::Full || self.phase != Phase::Open || !self.load.is_worth_saying(now, load) {
            return;
        }
        let Some(content) = self.encoding.and_then(|encoding| Payload::encode(&load, encoding).ok()) else { return };
        // Behind the answers it speaks of, so that the reader can tell that it does not come for nothing.
        let fits = self.put_frame(Kind::Load, 0, Part::Copied(content.bytes()));
        debug_assert!(fits.is_ok(), "a number fits into the smallest frame");
        self.load.said = Some((load, now));
        self.load.has_answered = false;
    }

    /// Answers a ping, with this node's load if it is known.
    pub(super) fn put_pong(&mut self, now: Instant, id: u64) {
        self.thrift.spend(now);
        let present = self.load.present;
        self.put_value(Kind::Pong, id, &present);
    }

    /// The peer's node has so much to do. A word of it that follows no answer counts as a small frame.
    pub(super) fn hear_load(&mut self, now: Instant, content: &Payload) -> Result<(), PeerMisbehaved> {
        if !std::mem::take(&mut self.load.is_answered) {
            self.allowance.spend(now).map_err(|_| PeerMisbehaved::TooManyResets)?;
        }
        let load: u64 = content.decode().map_err(|_| PeerMisbehaved::BadContent("load"))?;
        self.tell_load(load);
        Ok(())
    }

    /// A pong may say the same; what else it may say is for later versions.
    pub(super) fn hear_load_of_pong(&mut self, content: &Payload) {
        if let Ok(load) = content.decode() {
            self.tell_load(load);
        }
    }

    fn tell_load(&mut self, load: u64) {
        self.orders.push_back(Output::PeerLoad(u32::try_from(load).unwrap_or(u32::MAX)));
    }
}
