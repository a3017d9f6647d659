//! The queue of one subscriber at a publisher's node, and everything that is said to it, in order.
//!
//! ```text
//!   attachment ──▶ positions · attached · events of the past ─┐
//!   offer ──policy──▶ queue, by priority ─────────────────────┼──fill──▶ content of one frame
//!             └──dropped──▶ a hole in the numbers ──▶ gap ────┤
//!   mark ──when its events have left──────────────────────────┘
//! ```
//!
//! A feed belongs to one link and lives as long as the subscription on it. Publishing puts an event in; the link's driver takes
//! out as many as one frame holds whenever it can write. So events gather into batches while a write is under way, and an idle
//! link sends at once. What is dropped is not remembered: the numbers that are missing in the queue are the gap, and it is
//! told in its place, before the next event of its name, or at once if none waits.
//!
//! Offered = left + dropped + waiting, at any time: [`Ledger`]. Debug builds check it.

#![allow(clippy::arithmetic_side_effects, reason = "lengths of what lies in memory, and numbers counted one by one")]

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use bytes::Bytes;

use self::marks::Marks;
use self::names::Names;
use self::queue::{Lane, Queue, Queued};
use super::policy::Room;
use super::{Attachment, Policy, Priority, Why};
use crate::limits;

mod content;
mod keys;
mod marks;
mod names;
mod offering;
mod queue;
#[cfg(test)]
mod tests;
mod writing;

use self::keys::Key;

/// What waits for one subscriber.
#[derive(Debug)]
pub struct Feed {
    policy: Policy,
    room: Room,
    attachment: Option<Beginning>,
    names: Names,
    queue: Queue,
    /// Under `latest-by`: where the event of a name and key waits.
    keys: BTreeMap<(u32, Key), u32>,
    /// Names of which no event waits and of which a gap is to be told.
    gaps: VecDeque<u32>,
    marks: Marks,
    /// Nothing more is taken in.
    is_finishing: bool,
    /// Since when something waits and nothing has left.
    waiting_since: Option<Instant>,
    ledger: Ledger,
}

/// What is told before anything else, and how far that has come.
#[derive(Debug)]
struct Beginning {
    attachment: Attachment,
    told: usize,
}

/// What became of an event that was offered.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Offered {
    /// It waits in the feed. If it does not, and neither was dropped nor cut the feed, then it was not taken: under `block`
    /// there was no room, and it is to be offered again when there is.
    pub queued: bool,
    /// How many events were dropped because of it: older ones, or itself.
    pub dropped: u32,
    /// The feed takes no more.
    pub cut: Option<Cut>,
}

/// Why a feed takes no more.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Cut {
    /// There was no room, and the subscriber's policy is to be cut then. What waited is dropped and told as gaps.
    Overflow,
    /// It is finishing. What is offered to it is not for this subscription any more.
    Finishing,
}

/// What a publisher wants to know of some of its events: that they have been taken in, or were dropped.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Mark {
    /// The name of the mark. Unique in the feed.
    pub number: u64,
    /// Whose events.
    pub topic: u32,
    /// The number of the first of them.
    pub first: u64,
    /// The number of the last of them.
    pub last: u64,
    /// How many of these are offered to this feed: all, except in a group.
    pub events: u64,
}

/// What became of the events of a mark.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Tally {
    /// Those that have left for the subscriber. When the mark is confirmed, they are delivered.
    pub left: u64,
    /// Those that were dropped.
    pub dropped: u64,
    /// Those that wait, or have not been offered yet.
    pub waiting: u64,
}

/// How much waits.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Waiting {
    /// Events, those of the past among them.
    pub events: usize,
    /// Bytes of their values.
    pub bytes: usize,
}

/// What a feed has done so far. Offered = left + dropped + those that wait.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Ledger {
    /// Events that came in, those of the past among them.
    pub offered: u64,
    /// Events that have left.
    pub left: u64,
    /// Events that were dropped.
    pub dropped: u64,
}

/// What was written.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Filled {
    /// Bytes of the whole content; 0 if there was nothing to write, or no room for it.
    pub bytes: usize,
    /// How many events it holds.
    pub events: u32,
    /// The end of the content, if one value is so large that it is shared instead of copied: it stands behind what was
    /// appended.
    pub value: Option<Bytes>,
}

impl Feed {
    /// Begins with what the subscriber is to be told first.
    pub fn new(now: Instant, policy: Policy, attachment: Attachment) -> Feed {
        let mut feed = Feed {
            room: policy.room(),
            policy,
            names: Names::new(attachment.is_shared),
            attachment: None,
            queue: Queue::new(),
            keys: BTreeMap::new(),
            gaps: VecDeque::new(),
            marks: Marks::default(),
            is_finishing: false,
            waiting_since: Some(now),
            ledger: Ledger::default(),
        };
        feed.begin(attachment);
        feed
    }

    /// Sets a mark on events that are offered after this. False: there are too many marks, or one of this name.
    pub fn mark(&mut self, now: Instant, mark: Mark) -> bool {
        let is_set = self.marks.set(mark);
        self.wait(now);
        is_set
    }

    /// The subscriber's answer to a mark. `None`: no such mark has left, which is for its peer to explain.
    pub fn confirmed(&mut self, number: u64) -> Option<Tally> {
        self.marks.confirmed(number)
    }

    /// The link has ended, or the subscription: what becomes of the marks. What has left is unknown, what waits will not leave.
    pub fn unconfirmed(&mut self) -> Vec<(u64, Tally)> {
        self.marks.end()
    }

    /// Takes in nothing more. What waits still leaves.
    pub fn finish(&mut self) {
        self.is_finishing = true;
    }

    /// Whether everything has left and nothing more is taken in.
    pub fn is_over(&self) -> bool {
        self.is_finishing && self.is_empty()
    }

    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.attachment.is_none() && self.queue.is_empty() && self.gaps.is_empty() && self.marks.due().is_none()
    }

    /// Whether an event would be taken, if it is not too large for what is left. Only under `block` and `close` it may be too many.
    pub fn has_room(&self) -> bool {
        self.takes([1]) > 0
    }

    /// How many events with values of these sizes would be taken, one behind the other. Only under `block` and `close` it may be
    /// less than all.
    pub fn takes(&self, sizes: impl IntoIterator<Item = usize>) -> usize {
        let is_bounded = matches!(self.policy, Policy::Block(_) | Policy::Close);
        let mut live = self.queue.live();
        let taken = sizes.into_iter().take_while(|size| {
            let is_taken = !is_bounded || self.room.has_space(live.events, live.bytes, *size);
            live.events = live.events.saturating_add(1);
            live.bytes = live.bytes.saturating_add(*size);
            is_taken
        });
        taken.count()
    }

    /// The subscriber's policy.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// How much waits.
    pub fn waiting(&self) -> Waiting {
        let (live, past) = (self.queue.live(), self.queue.past());
        Waiting { events: live.events as usize + past.events as usize, bytes: live.bytes + past.bytes }
    }

    /// What has become of all events so far.
    pub fn ledger(&self) -> Ledger {
        self.ledger
    }

    /// The highest priority of what is written next. What is no event is neither control nor bulk.
    pub fn next_priority(&self) -> Option<Priority> {
        let event = self.queue.first().and_then(|first| self.queue.lane(first)).map(Lane::priority);
        let is_more = self.attachment.is_some() || !self.gaps.is_empty() || self.marks.due().is_some();
        if is_more { event.into_iter().chain([Priority::Normal]).min() } else { event }
    }

    /// With so much room [`fill`](Self::fill) surely writes something in MessagePack, in bytes; 0 if there is nothing to write.
    pub fn next_len(&self) -> usize {
        if self.is_empty() {
            return 0;
        }
        let first = self.queue.first().and_then(|place| self.queue.get(place));
        // A gap that was listed may be told before an event that has come in since.
        let tells_gap = self.gaps.iter().any(|place| self.names.get(*place).gap_at_end().is_some());
        match first {
            Some(event) if self.attachment.is_none() && !tells_gap && self.marks.due().is_none() => {
                content::most_of_event(&self.names.get(event.name).text, event.value.len())
            }
            // A position and the gap behind it.
            _ => 2 * content::most_of_event("", limits::GROUP_BYTES_MAX),
        }
    }

    /// This process stood still until now: nothing could leave.
    pub fn excuse(&mut self, now: Instant) {
        self.waiting_since = self.waiting_since.map(|_| now);
    }

    /// When it counts as too slow if nothing leaves until then.
    pub fn stalls_at(&self) -> Option<Instant> {
        self.waiting_since.map(|since| since + limits::EVENT_STALL)
    }

    /// Whether it is too slow: something has waited for [`EVENT_STALL`](limits::EVENT_STALL) and nothing has left.
    pub fn is_stalled(&self, now: Instant) -> bool {
        self.stalls_at().is_some_and(|at| at <= now)
    }

    /// Something waits from now on, if it does.
    #[inline]
    fn wait(&mut self, now: Instant) {
        if self.waiting_since.is_none() && !self.is_empty() {
            self.waiting_since = Some(now);
        }
    }

    /// Remembers so many names that have nothing to tell.
    #[cfg(test)]
    pub(super) fn keep_idle_names(&mut self, count: usize) {
        self.names.idle_kept = count;
    }

    /// How many events wait that the policy is about.
    #[cfg(test)]
    pub(super) fn live(&self) -> u32 {
        self.queue.live().events
    }

    #[inline]
    fn check(&self) {
        let waiting = self.queue.live().events + self.queue.past().events;
        debug_assert_eq!(self.ledger.offered, self.ledger.left + self.ledger.dropped + u64::from(waiting));
    }
}
