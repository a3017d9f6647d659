//! Subscriptions of the peer at this node (PROTOCOL §17): what waits for each of them, and how it leaves.
//!
//! ```text
//!   subscribe ──▶ Subscribed ──▶ node ── Attach ────────▶ ┌──────┐
//!                 publish ──────────────── offer ───────▶ │ feed │ ── fill ──▶ outgoing
//!   grant, confirmed, unsubscribe ──────────────────────▶ └──────┘    in turns with streams
//! ```
//!
//! Publishing only pushes into the queues of those who listen. When the driver comes for something to write, as many events
//! as fit go into one frame: the busier the link, the larger the batches, and no timer is needed for it. What stands between
//! a publisher and its subscribers is each one's own [`Feed`], bounded by the policy that the subscriber chose.

#![allow(clippy::arithmetic_side_effects, reason = "counts and lengths of what lies in memory")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::content::Part;
use super::credit::Credit;
use super::{Channel, Output};
use crate::codec::{Encoding, Payload};
use crate::events::{Attachment, Cut, Event, Feed, Mark, Offered, Policy, Priority};
use crate::frame::Kind;
use crate::limits;
use crate::outcome::{FeedEnd, LinkLost};

mod filling;
mod granted;
mod pending;

use pending::Pending;

/// Names what a subscription of the peer gets, for as long as the link lives.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct FeedId(pub(super) u64);

impl FeedId {
    /// The number that the peer has given its subscription.
    pub fn number(self) -> u64 {
        self.0
    }
}

/// The feeds of a link.
#[derive(Debug, Default)]
pub(super) struct Feeds {
    all: BTreeMap<u64, Sender>,
    /// Highest number that the peer has used.
    last: Option<u64>,
    /// Those that could send a frame: what goes first, then in the order of their turns.
    lane: BTreeSet<Turn>,
    /// Turns given so far.
    turns: u64,
    /// Frames of feeds since one of the last class had its turn.
    passed: u32,
    /// Whether a stream is next when both could go on.
    is_streams_turn: bool,
    /// When to look again for subscribers that take nothing.
    look_at: Option<Instant>,
    /// The latest time that was heard of.
    now: Option<Instant>,
}

/// A place in the lane: class, turn, number.
type Turn = (Priority, u64, u64);

/// What is sent to one subscription.
#[derive(Debug)]
struct Sender {
    credit: Credit,
    /// What was taken out of the feed and has not left whole.
    pending: Option<Pending>,
    /// From the node's word on.
    feed: Option<Feed>,
    /// Behind everything that waits the feed ends, for this reason.
    end: Option<FeedEnd>,
    turn: Option<Turn>,
    /// A publisher waits for room.
    is_awaited: bool,
    /// Since when something is pending and nothing of it has left.
    pending_since: Option<Instant>,
    /// Where its last frame ends among the outgoing bytes.
    place: u64,
}

impl Sender {
    fn new() -> Sender {
        Sender {
            credit: Credit::START,
            pending: None,
            feed: None,
            end: None,
            turn: None,
            is_awaited: false,
            pending_since: None,
            place: 0,
        }
    }

    /// Whether nothing waits but the end.
    fn is_empty(&self) -> bool {
        self.pending.is_none() && self.feed.as_ref().is_none_or(Feed::is_empty)
    }

    /// Nothing could leave until now, or the subscriber has shown that it takes something.
    fn excuse(&mut self, now: Instant) {
        self.pending_since = self.pending_since.map(|_| now);
        if let Some(feed) = &mut self.feed {
            feed.excuse(now);
        }
    }

    /// When it counts as too slow if nothing leaves until then.
    fn stalls_at(&self) -> Option<Instant> {
        match self.pending_since {
            Some(since) => since.checked_add(limits::EVENT_STALL),
            None => self.feed.as_ref().and_then(Feed::stalls_at),
        }
    }
}

impl Feeds {
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether any could send a frame.
    #[inline]
    pub(super) fn has_turns(&self) -> bool {
        !self.lane.is_empty()
    }

    /// When to look for subscribers that take nothing.
    pub(super) fn due(&self) -> Option<Instant> {
        self.look_at
    }

    /// Something happens at this time.
    pub(super) fn note_time(&mut self, now: Instant) {
        self.now = Some(now);
    }

    /// Something waits for a subscriber from now on, if it does.
    #[inline]
    fn watch(&mut self, number: u64) {
        if self.look_at.is_none() {
            self.look_at = self.all.get(&number).and_then(Sender::stalls_at);
        }
    }

    /// Gives a feed its turn if it could send a frame, or an earlier one if it has more urgent things to say by now; takes it
    /// away if it could not.
    fn line_up(&mut self, number: u64, encoding: Encoding, frame_bytes: u32) {
        let Some(sender) = self.all.get_mut(&number) else { return };
        let class = sender.sendable(encoding, frame_bytes);
        match (sender.turn, class) {
            (Some((present, ..)), Some(class)) if present <= class => return,
            // What goes first by now may cost more than there is credit for.
            (Some(turn), _) => {
                self.lane.remove(&turn);
                sender.turn = None;
            }
            (None, _) => {}
        }
        let Some(class) = class else { return };
        self.turns += 1;
        let turn = (class, self.turns, number);
        sender.turn = Some(turn);
        self.lane.insert(turn);
    }

    /// Time passed in which nothing could leave: it is no fault of the subscribers.
    pub(super) fn excuse(&mut self, now: Instant) {
        self.now = Some(now);
        for sender in self.all.values_mut() {
            sender.excuse(now);
        }
        self.look_at = self.look_at.and_then(|_| now.checked_add(limits::EVENT_STALL));
    }

    fn remove(&mut self, number: u64) -> Option<Sender> {
        let sender = self.all.remove(&number)?;
        if let Some(turn) = sender.turn {
            self.lane.remove(&turn);
        }
        Some(sender)
    }
}

impl Channel {
    /// Subscriptions of the peer that have not ended.
    pub fn feeds(&self) -> usize {
        self.feeds.len()
    }

    /// The node accepts a subscription.
    pub(super) fn attach(&mut self, now: Instant, feed: FeedId, policy: Policy, attachment: Attachment) {
        self.feeds.note_time(now);
        let sender = self.feeds.all.get_mut(&feed.0).filter(|sender| sender.feed.is_none());
        if let Some(sender) = sender {
            sender.feed = Some(Feed::new(now, policy, attachment));
            self.feeds.watch(feed.0);
            self.line_up_feed(feed.0);
        }
    }

    /// An event for a feed: it waits there until the driver comes for it, as long as the subscriber's policy allows.
    ///
    /// Wake the driver if [`wants_to_write`](Self::wants_to_write). A feed that is cut by its policy takes nothing more: when its
    /// subscriber has been told, [`Output::FeedOver`] comes.
    #[inline]
    pub fn offer(&mut self, now: Instant, feed: FeedId, event: &Event<'_>) -> Offered {
        self.feeds.note_time(now);
        let sender = self.feeds.all.get_mut(&feed.0).filter(|sender| sender.end.is_none());
        let Some(queue) = sender.and_then(|sender| sender.feed.as_mut()) else { return Offered::default() };
        let offered = queue.offer(now, event);
        if offered.cut == Some(Cut::Overflow) {
            // What waited was dropped, which is told before the end.
            let why = "more was published than the subscriber keeps room for";
            self.finish_feed(feed.0, FeedEnd::Overflow(why.to_owned()));
        }
        self.feeds.watch(feed.0);
        self.line_up_feed(feed.0);
        offered
    }

    /// How many events with values of these sizes can be offered to a feed, one behind the other, without cutting it. If that is
    /// none of them, [`Output::FeedWritable`] follows as soon as something has left. One that is over takes them all: nothing
    /// waits for it.
    pub fn feed_takes(&mut self, feed: FeedId, sizes: impl ExactSizeIterator<Item = usize>) -> usize {
        let (wanted, sender) = (sizes.len(), self.feeds.all.get_mut(&feed.0));
        let Some((queue, is_awaited)) =
            sender.and_then(|sender| sender.feed.as_ref().map(|queue| (queue, &mut sender.is_awaited)))
        else {
            return wanted;
        };
        let taken = queue.takes(sizes);
        *is_awaited |= taken == 0 && wanted > 0;
        taken
    }

    /// Sets a mark on events that are offered after this: the subscriber is asked to say when they have arrived, which is
    /// [`Output::Confirmed`]. False if the feed is over, or has too many marks.
    pub fn mark(&mut self, now: Instant, feed: FeedId, mark: Mark) -> bool {
        self.feeds.note_time(now);
        let sender = self.feeds.all.get_mut(&feed.0).filter(|sender| sender.end.is_none());
        let Some(queue) = sender.and_then(|sender| sender.feed.as_mut()) else { return false };
        let is_set = queue.mark(now, mark);
        self.feeds.watch(feed.0);
        self.line_up_feed(feed.0);
        is_set
    }

    /// Events that wait in a feed, and their bytes.
    pub fn feed_waiting(&self, feed: FeedId) -> (usize, usize) {
        let queue = self.feeds.all.get(&feed.0).and_then(|sender| sender.feed.as_ref());
        queue.map_or((0, 0), |queue| (queue.waiting().events, queue.waiting().bytes))
    }

    /// Ends a feed at once; the peer is told why behind what has left.
    pub(super) fn end_feed(&mut self, feed: FeedId, why: FeedEnd) {
        if self.feeds.all.contains_key(&feed.0) {
            self.put_over(feed.0, &why);
            self.feed_is_over(feed.0, why);
        }
    }

    /// Sends what a feed holds and then ends it.
    fn finish_feed(&mut self, number: u64, why: FeedEnd) {
        let Some(sender) = self.feeds.all.get_mut(&number) else { return };
        if sender.feed.is_none() {
            return self.end_feed(FeedId(number), why);
        }
        if let Some(feed) = &mut sender.feed {
            feed.finish();
        }
        sender.end.get_or_insert(why);
        self.line_up_feed(number);
    }

    /// This end is about to leave: feeds send what they hold.
    pub(super) fn drain_feeds(&mut self) {
        for number in self.feeds.all.keys().copied().collect::<Vec<_>>() {
            self.finish_feed(number, FeedEnd::Draining);
        }
    }

    /// Nobody hears events any more.
    pub(super) fn forget_feeds(&mut self, why: &LinkLost) {
        while let Some(number) = self.feeds.all.first_key_value().map(|(number, _)| *number) {
            self.feed_is_over(number, FeedEnd::Lost(why.clone()));
        }
        self.feeds.look_at = None;
    }

    fn feed_is_over(&mut self, number: u64, why: FeedEnd) {
        if let Some(mut sender) = self.feeds.remove(number) {
            let queued = sender.feed.as_ref().map_or(0, |feed| feed.waiting().events as u64);
            let unconfirmed = sender.feed.as_mut().map(Feed::unconfirmed).unwrap_or_default();
            self.orders.push_back(Output::FeedOver { feed: FeedId(number), why, queued, unconfirmed });
        }
        if self.feeds.is_empty() {
            self.feeds.look_at = None;
        }
    }

    /// Cuts subscribers that took nothing for too long though something waited.
    pub(super) fn cut_slow_feeds(&mut self, now: Instant) {
        if self.feeds.look_at.is_none_or(|at| now < at) {
            return;
        }
        let mut slow = Vec::new();
        for (number, sender) in &mut self.feeds.all {
            let is_slow = sender.stalls_at().is_some_and(|at| at <= now);
            if is_slow && self.outgoing.is_written(sender.place) {
                slow.push(*number);
            } else if is_slow {
                // What was sent to it last has not left this end: the link is slow, and not the subscriber.
                sender.excuse(now);
            }
        }
        for number in slow {
            let why = format!("nothing was taken for {} s", limits::EVENT_STALL.as_secs());
            self.end_feed(FeedId(number), FeedEnd::TooSlow(why));
        }
        self.feeds.look_at = self.feeds.all.values().filter_map(Sender::stalls_at).min();
    }

    /// Gives a feed its turn if it could send a frame.
    #[inline]
    pub(super) fn line_up_feed(&mut self, number: u64) {
        if let Some(encoding) = self.encoding {
            self.feeds.line_up(number, encoding, self.config.frame_bytes);
        }
    }

    fn put_over(&mut self, number: u64, why: &FeedEnd) {
        let Some(encoding) = self.encoding else { return };
        let Some((code, message)) = why.for_peer() else {
            let put = self.put_frame(Kind::Over, number, Part::Copied(encoding.null()));
            debug_assert!(put.is_ok(), "null fits into the smallest frame");
            return;
        };
        let most = (self.config.frame_bytes - limits::FRAME_BYTES_MIN) as usize / 6;
        let short = &message[..message.floor_char_boundary(most.min(limits::FAILURE_MESSAGE_BYTES))];
        for message in [short, ""] {
            let content = Payload::encode(&(code, message), encoding);
            if content.is_ok_and(|content| self.put_frame(Kind::Over, number, Part::Shared(content.bytes())).is_ok()) {
                return;
            }
        }
        debug_assert!(false, "a word fits into the smallest frame");
    }
}
