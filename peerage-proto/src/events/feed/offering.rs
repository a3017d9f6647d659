//! Putting events in, by the subscriber's policy.

use std::time::Instant;

use super::super::Event;
use super::keys::Key;
use super::{Attachment, Beginning, Cut, Feed, Lane, Offered, Policy, Queued, Why};
use crate::planted::{self, Bug};

impl Feed {
    pub(super) fn begin(&mut self, mut attachment: Attachment) {
        for kept in std::mem::take(&mut attachment.backlog) {
            let Some(standing) = attachment.names.get(kept.name) else { continue };
            let (topic, name, seq, value) = (standing.topic, &standing.name, kept.seq, &kept.value);
            let event = Event { topic, name, seq, value, priority: kept.priority };
            self.push(&event, Lane::past(kept.priority));
        }
        self.attachment = Some(Beginning { attachment, told: 0 });
    }

    /// Puts in the next event of a name.
    ///
    /// Events of one name come in the order of their numbers, and none is left out: a hole would be told as a gap.
    #[inline]
    pub fn offer(&mut self, now: Instant, event: &Event<'_>) -> Offered {
        if self.is_finishing {
            return Offered { cut: Some(Cut::Finishing), ..Offered::default() };
        }
        let offered = match &self.policy {
            Policy::Ring(_) => self.offer_queue(event),
            Policy::Latest => self.offer_latest(event),
            Policy::LatestBy(pointer) => {
                let key = Key::of(pointer, event.value);
                self.offer_latest_by(event, key)
            }
            Policy::Block(_) if !self.fits(event) => Offered::default(),
            Policy::Close if !self.fits(event) => self.overflow(event),
            Policy::Block(_) | Policy::Close => self.offer_queue(event),
        };
        self.wait(now);
        self.check();
        offered
    }

    /// Whether it fits in beside what waits.
    #[inline]
    fn fits(&self, event: &Event<'_>) -> bool {
        let live = self.queue.live();
        self.room.has_space(live.events, live.bytes, event.value.len())
    }

    #[inline]
    fn offer_queue(&mut self, event: &Event<'_>) -> Offered {
        let place = self.push(event, Lane::live(event.priority));
        self.make_room(place)
    }

    /// Drops the oldest events of the lowest priority until what waits fits; `newest` may be one of them.
    #[inline]
    fn make_room(&mut self, newest: u32) -> Offered {
        let mut offered = Offered { queued: true, ..Offered::default() };
        loop {
            let live = self.queue.live();
            let events = self.room.events + u32::from(planted::is(Bug::RingOffByOne));
            if live.events <= events && (live.bytes <= self.room.bytes || live.events == 1) {
                return offered;
            }
            let Some(oldest) = self.queue.first_to_drop() else { return offered };
            offered.queued &= oldest != newest;
            offered.dropped += 1;
            self.drop_event(oldest, Why::QueueFull);
        }
    }

    fn offer_latest(&mut self, event: &Event<'_>) -> Offered {
        let name = self.names.place_of(event);
        let is_one_more = planted::is(Bug::LatestKeepsTwo) && self.names.get(name).queued == 1;
        let Some(place) = self.names.get(name).place.filter(|_| !is_one_more) else {
            let place = self.push(event, Lane::live(event.priority));
            self.names.get_mut(name).place = Some(place);
            return self.make_room(place);
        };
        // It takes the turn of the older one, or a name that changes often would never have one.
        self.ledger.offered += 1;
        self.names.get_mut(name).came(event.seq);
        let newer = Queued { name, seq: event.seq, value: event.value.clone() };
        let mut offered = Offered { queued: true, dropped: 1, cut: None };
        if let Some(older) = self.queue.replace(place, newer) {
            self.dropped(name, older.seq, Why::Policy);
        }
        let more = self.make_room(place);
        offered.queued &= more.queued;
        offered.dropped += more.dropped;
        offered
    }

    fn offer_latest_by(&mut self, event: &Event<'_>, key: Key) -> Offered {
        let name = self.names.place_of(event);
        let mut dropped = 0;
        // Not in the turn of the older one: events of one name leave in the order of their numbers.
        if let Some(older) = self.keys.remove(&(name, key.clone()))
            && let Some(older) = self.queue.remove(older)
        {
            self.names.get_mut(name).queued -= 1;
            self.dropped(name, older.seq, Why::Policy);
            dropped = 1;
        }
        let place = self.push(event, Lane::live(event.priority));
        self.keys.insert((name, key), place);
        let mut offered = self.make_room(place);
        offered.dropped += dropped;
        offered
    }

    /// Cuts the subscriber: what waits is dropped, and the gaps that this makes are the last it is told.
    fn overflow(&mut self, event: &Event<'_>) -> Offered {
        let newest = self.push(event, Lane::live(event.priority));
        let mut dropped = 0;
        while let Some(oldest) = self.queue.first_to_drop() {
            self.drop_event(oldest, Why::QueueFull);
            dropped += 1;
        }
        debug_assert!(self.queue.get(newest).is_none());
        self.is_finishing = true;
        Offered { queued: false, dropped, cut: Some(Cut::Overflow) }
    }

    /// Appends an event to its list, or to that of an earlier one of its name if that leaves later.
    #[inline]
    fn push(&mut self, event: &Event<'_>, lane: Lane) -> u32 {
        let place = self.names.place_of(event);
        let name = self.names.get_mut(place);
        name.came(event.seq);
        let lane = match name.lane {
            Some(earlier) if name.queued > 0 && earlier > lane && !planted::is(Bug::PriorityBeforeOrder) => earlier,
            _ => lane,
        };
        name.lane = Some(lane);
        name.queued += 1;
        self.ledger.offered += 1;
        self.queue.push(lane, Queued { name: place, seq: event.seq, value: event.value.clone() })
    }

    /// Drops an event that waits.
    fn drop_event(&mut self, place: u32, why: Why) {
        if let Some(queued) = self.unqueue(place) {
            self.dropped(queued.name, queued.seq, why);
        }
    }

    /// Takes an event out of the queue and of what points to it.
    #[inline]
    pub(super) fn unqueue(&mut self, place: u32) -> Option<Queued> {
        let queued = self.queue.remove(place)?;
        if let Policy::LatestBy(pointer) = &self.policy {
            let key = (queued.name, Key::of(pointer, &queued.value));
            if self.keys.get(&key) == Some(&place) {
                self.keys.remove(&key);
            }
        }
        let name = self.names.get_mut(queued.name);
        name.queued -= 1;
        if name.place == Some(place) {
            name.place = None;
        }
        Some(queued)
    }

    /// An event of a name is gone, and will be told as missing.
    pub(super) fn dropped(&mut self, place: u32, seq: u64, why: Why) {
        self.ledger.dropped += 1;
        let name = self.names.get_mut(place);
        name.dropped(seq, why);
        if !self.marks.is_empty() {
            self.marks.dropped(name.topic, seq);
        }
        if name.queued == 0 && !name.is_listed && !planted::is(Bug::LastGapForgotten) {
            name.is_listed = true;
            self.gaps.push_back(place);
        }
    }
}
