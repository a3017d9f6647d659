//! How far each name has been told in a feed.
//!
//! Of each name that has something to tell stands here the first number that has not been told and the last that came in.
//! What lies between and does not wait in the queue was dropped, and is a gap: so no drop can be forgotten, not even that of
//! the last event, and remembering it takes no memory. Of names that have nothing to tell few are remembered.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::{Event, Why};
use super::queue::Lane;
use crate::limits;

/// A name of which something may have to be told.
#[derive(Debug)]
pub(super) struct Name {
    pub(super) topic: u32,
    pub(super) text: Arc<str>,
    /// The first number that has not been told.
    pub(super) next: u64,
    /// The last number that came in.
    last: u64,
    /// Events of it that wait.
    pub(super) queued: u32,
    /// The list in which the last of them waits.
    pub(super) lane: Option<Lane>,
    /// Under `latest`: where its one event waits.
    pub(super) place: Option<u32>,
    /// Something of what was dropped was dropped for want of room.
    is_full: bool,
    /// It stands in the list of those whose gap waits for nothing.
    pub(super) is_listed: bool,
    /// Of a member of a group: what was dropped, as runs of numbers. What lies between went to other members.
    lost: Option<Vec<(u64, u64)>>,
}

impl Name {
    fn new(event: &Event<'_>, is_shared: bool) -> Name {
        Name {
            topic: event.topic,
            text: event.name.clone(),
            next: event.seq,
            last: event.seq.saturating_sub(1),
            queued: 0,
            lane: None,
            place: None,
            is_full: false,
            is_listed: false,
            lost: is_shared.then(Vec::new),
        }
    }

    /// The next gap that can be told before the event with this number.
    #[inline]
    pub(super) fn gap_before(&self, seq: u64) -> Option<(u64, u64, Why)> {
        let why = if self.is_full { Why::QueueFull } else { Why::Policy };
        match &self.lost {
            None => (self.next < seq).then(|| (self.next, seq - 1, why)),
            Some(lost) => {
                lost.first().filter(|(first, _)| *first < seq).map(|&(first, last)| (first, last.min(seq - 1), why))
            }
        }
    }

    /// The next gap that can be told when no event of it waits.
    pub(super) fn gap_at_end(&self) -> Option<(u64, u64, Why)> {
        if self.queued > 0 { None } else { self.gap_before(self.last.saturating_add(1)) }
    }

    /// Everything up to this number has been told.
    #[inline]
    pub(super) fn told(&mut self, seq: u64) {
        self.next = seq + 1;
        if let Some(lost) = &mut self.lost {
            lost.retain_mut(|(first, last)| {
                *first = (*first).max(seq + 1);
                first <= last
            });
        }
        self.is_full &= self.next <= self.last;
    }

    /// An event came in.
    pub(super) fn came(&mut self, seq: u64) {
        self.last = self.last.max(seq);
    }

    /// An event was dropped.
    pub(super) fn dropped(&mut self, seq: u64, why: Why) {
        self.is_full |= why == Why::QueueFull;
        let Some(lost) = &mut self.lost else { return };
        let at = lost.partition_point(|(first, _)| *first <= seq);
        match at.checked_sub(1).and_then(|before| lost.get_mut(before)) {
            Some((_, last)) if *last + 1 >= seq => *last = (*last).max(seq),
            _ => lost.insert(at, (seq, seq)),
        }
        if lost.len() > limits::EVENT_LOST_RUNS_MAX
            && let Some((_, last)) = lost.pop()
            && let Some(before) = lost.last_mut()
        {
            before.1 = last;
        }
    }

    fn is_idle(&self) -> bool {
        self.queued == 0 && !self.is_listed && self.gap_at_end().is_none()
    }
}

/// The names of a feed that have something to tell, and some more.
#[derive(Debug)]
pub(super) struct Names {
    places: Vec<Option<Name>>,
    free: Vec<u32>,
    by_topic: BTreeMap<u32, u32>,
    /// The topic last asked for, and its place.
    last: Option<(u32, u32)>,
    is_shared: bool,
    /// How many are remembered that have nothing to tell.
    pub(super) idle_kept: usize,
}

impl Names {
    pub(super) fn new(is_shared: bool) -> Names {
        Names {
            places: Vec::new(),
            free: Vec::new(),
            by_topic: BTreeMap::new(),
            last: None,
            is_shared,
            idle_kept: limits::EVENT_IDLE_NAMES_KEPT,
        }
    }

    /// The place of the event's name.
    #[inline]
    pub(super) fn place_of(&mut self, event: &Event<'_>) -> u32 {
        match self.last {
            Some((topic, place)) if topic == event.topic => place,
            _ => self.look_up(event),
        }
    }

    fn look_up(&mut self, event: &Event<'_>) -> u32 {
        let place = match self.by_topic.get(&event.topic) {
            Some(place) => *place,
            None => {
                let name = Some(Name::new(event, self.is_shared));
                let place = match self.free.pop() {
                    Some(place) => {
                        self.places[place as usize] = name;
                        place
                    }
                    None => {
                        self.places.push(name);
                        (self.places.len() - 1) as u32
                    }
                };
                self.by_topic.insert(event.topic, place);
                place
            }
        };
        self.last = Some((event.topic, place));
        place
    }

    #[inline]
    pub(super) fn get(&self, place: u32) -> &Name {
        self.places[place as usize].as_ref().expect("a place is given up only when nothing names it")
    }

    #[inline]
    pub(super) fn get_mut(&mut self, place: u32) -> &mut Name {
        self.places[place as usize].as_mut().expect("a place is given up only when nothing names it")
    }

    /// Forgets a name that has nothing to tell, unless few are remembered.
    #[inline]
    pub(super) fn settle(&mut self, place: u32) {
        if self.by_topic.len() > self.idle_kept && self.get(place).is_idle() {
            self.forget(place);
        }
    }

    fn forget(&mut self, place: u32) {
        if let Some(name) = self.places[place as usize].take() {
            self.by_topic.remove(&name.topic);
            self.free.push(place);
            self.last = None;
        }
    }

    /// How many are remembered.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.by_topic.len()
    }
}
