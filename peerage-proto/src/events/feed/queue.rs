//! The events that wait in a feed: lists by priority over places that are used again.
//!
//! Lists and not rings, because under `latest-by` events are taken out of the middle. Events of the past have lists of their
//! own, before those of the same priority: they were asked for, so no policy drops them.

use bytes::Bytes;

use super::super::Priority;

/// No place.
const NONE: u32 = u32::MAX;

/// Places kept when nothing waits any more.
const KEPT: usize = 1_024;

/// An event that waits.
#[derive(Debug)]
pub(super) struct Queued {
    /// Which of the feed's names.
    pub(super) name: u32,
    pub(super) seq: u64,
    pub(super) value: Bytes,
}

/// One of the lists.
#[derive(Clone, Copy, Debug, Eq, PartialEq, PartialOrd)]
pub(super) struct Lane(u8);

impl Lane {
    /// For events as they are published.
    pub(super) fn live(priority: Priority) -> Lane {
        Lane(2 * priority as u8 + 1)
    }

    /// For events of the past.
    pub(super) fn past(priority: Priority) -> Lane {
        Lane(2 * priority as u8)
    }

    fn is_live(self) -> bool {
        self.0 % 2 == 1
    }

    pub(super) fn priority(self) -> Priority {
        Priority::ALL[usize::from(self.0 / 2)]
    }
}

#[derive(Debug)]
struct Place {
    /// `None`: free.
    queued: Option<Queued>,
    lane: Lane,
    before: u32,
    /// The next one of the list; of a free place the next free one.
    behind: u32,
}

#[derive(Clone, Copy, Debug)]
struct Ends {
    first: u32,
    last: u32,
}

/// All lists of a feed.
#[derive(Debug)]
pub(super) struct Queue {
    places: Vec<Place>,
    free: u32,
    lanes: [Ends; 6],
    live: Count,
    past: Count,
}

/// How much waits.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Count {
    pub(super) events: u32,
    pub(super) bytes: usize,
}

impl Queue {
    pub(super) fn new() -> Queue {
        let empty = Ends { first: NONE, last: NONE };
        Queue { places: Vec::new(), free: NONE, lanes: [empty; 6], live: Count::default(), past: Count::default() }
    }

    /// Events as they were published.
    #[inline]
    pub(super) fn live(&self) -> Count {
        self.live
    }

    /// Events of the past.
    pub(super) fn past(&self) -> Count {
        self.past
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.live.events == 0 && self.past.events == 0
    }

    /// Appends an event to a list, and says in which place it waits.
    #[inline]
    pub(super) fn push(&mut self, lane: Lane, queued: Queued) -> u32 {
        self.count(lane).add(queued.value.len());
        let ends = self.lanes[usize::from(lane.0)];
        let place = Place { queued: Some(queued), lane, before: ends.last, behind: NONE };
        let number = match self.free {
            NONE => {
                self.places.push(place);
                (self.places.len() - 1) as u32
            }
            free => {
                self.free = self.places[free as usize].behind;
                self.places[free as usize] = place;
                free
            }
        };
        match ends.last {
            NONE => self.lanes[usize::from(lane.0)].first = number,
            last => self.places[last as usize].behind = number,
        }
        self.lanes[usize::from(lane.0)].last = number;
        number
    }

    /// Puts a newer event of the same name in the place of one, and gives back the older one.
    pub(super) fn replace(&mut self, number: u32, newer: Queued) -> Option<Queued> {
        let lane = self.places[number as usize].lane;
        let added = newer.value.len();
        let older = self.places[number as usize].queued.replace(newer)?;
        self.count(lane).take(older.value.len());
        self.count(lane).add(added);
        Some(older)
    }

    /// Takes out an event, wherever it waits.
    #[inline]
    pub(super) fn remove(&mut self, number: u32) -> Option<Queued> {
        let place = &mut self.places[number as usize];
        let queued = place.queued.take()?;
        let (lane, before, behind) = (place.lane, place.before, place.behind);
        place.behind = self.free;
        self.free = number;
        match before {
            NONE => self.lanes[usize::from(lane.0)].first = behind,
            before => self.places[before as usize].behind = behind,
        }
        match behind {
            NONE => self.lanes[usize::from(lane.0)].last = before,
            behind => self.places[behind as usize].before = before,
        }
        self.count(lane).take(queued.value.len());
        if self.is_empty() {
            self.free = NONE;
            self.places.clear();
            self.places.shrink_to(KEPT);
        }
        Some(queued)
    }

    /// The place of the event that leaves next.
    #[inline]
    pub(super) fn first(&self) -> Option<u32> {
        if self.is_empty() {
            return None;
        }
        self.lanes.iter().map(|ends| ends.first).find(|first| *first != NONE)
    }

    /// The event in a place that is taken.
    #[inline]
    pub(super) fn get(&self, number: u32) -> Option<&Queued> {
        self.places.get(number as usize)?.queued.as_ref()
    }

    /// The list in which an event waits.
    pub(super) fn lane(&self, number: u32) -> Option<Lane> {
        self.places.get(number as usize).map(|place| place.lane)
    }

    /// The place of the event that is dropped first: the oldest live one of the lowest priority.
    pub(super) fn first_to_drop(&self) -> Option<u32> {
        let live = self.lanes.iter().enumerate().rev().filter(|(lane, _)| Lane(*lane as u8).is_live());
        live.map(|(_, ends)| ends.first).find(|first| *first != NONE)
    }

    #[inline]
    fn count(&mut self, lane: Lane) -> &mut Count {
        if lane.is_live() { &mut self.live } else { &mut self.past }
    }
}

impl Count {
    #[inline]
    fn add(&mut self, bytes: usize) {
        self.events += 1;
        self.bytes += bytes;
    }

    #[inline]
    fn take(&mut self, bytes: usize) {
        self.events -= 1;
        self.bytes -= bytes;
    }
}
