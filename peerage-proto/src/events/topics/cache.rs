//! What is kept of the past of one name: the newest events without a hole, as many as there is room and time for.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;

use super::super::Priority;
use super::Keep;
use crate::limits;

#[derive(Debug)]
pub(super) struct Cache {
    keep: Keep,
    events: VecDeque<Past>,
    bytes: usize,
}

#[derive(Debug)]
pub(super) struct Past {
    pub(super) seq: u64,
    pub(super) value: Bytes,
    pub(super) priority: Priority,
    at: Instant,
}

impl Cache {
    pub(super) fn new(keep: Keep) -> Cache {
        let mut cache = Cache { keep: Keep { events: 0, time: keep.time }, events: VecDeque::new(), bytes: 0 };
        cache.keep(keep);
        cache
    }

    /// Keeps as much as this asks for, if that is more than before.
    pub(super) fn keep(&mut self, keep: Keep) {
        let time = match (self.keep.time, keep.time) {
            _ if self.keep.events == 0 => keep.time,
            _ if keep.events == 0 => self.keep.time,
            (Some(before), Some(time)) => Some(before.max(time)),
            _ => None,
        };
        self.keep = Keep { events: self.keep.events.max(keep.events).min(limits::EVENTS_KEPT_MAX), time };
    }

    #[inline]
    pub(super) fn push(&mut self, now: Instant, seq: u64, value: &Bytes, priority: Priority) {
        if self.keep.events == 0 {
            return;
        }
        self.bytes += value.len();
        self.events.push_back(Past { seq, value: value.clone(), priority, at: now });
        while self.events.len() > self.keep.events as usize || self.bytes > limits::EVENTS_KEPT_BYTES {
            self.forget();
        }
        self.expire(now);
    }

    fn expire(&mut self, now: Instant) {
        let Some(time) = self.keep.time else { return };
        while self.events.front().is_some_and(|oldest| now.saturating_duration_since(oldest.at) > time) {
            self.forget();
        }
    }

    fn forget(&mut self) {
        if let Some(oldest) = self.events.pop_front() {
            self.bytes -= oldest.value.len();
        }
    }

    /// What there is, the newest first.
    pub(super) fn newest_first(&mut self, now: Instant) -> impl Iterator<Item = &Past> {
        self.expire(now);
        self.events.iter().rev()
    }

    pub(super) fn len(&self) -> usize {
        self.events.len()
    }
}
