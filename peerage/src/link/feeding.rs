//! Subscriptions of the peer at this node, under the lock for an instant: what is published goes straight into their queues.

use std::task::{Context, Poll};

use peerage_proto::channel::{FeedId, Input};
use peerage_proto::codec::Payload;
use peerage_proto::events::{Attachment, Event, Mark, Policy, Tally};
use peerage_proto::outcome::FeedEnd;
use tokio::time::Instant;

use super::{Errands, Link};

/// What a node makes of subscriptions of its peers. All of it is called without the lock of the link.
pub(crate) trait Feeder: Send + Sync {
    /// The peer wants events: to be answered with [`Link::attach`] or [`Link::end_feed`].
    fn subscribed(&self, link: &Link, feed: FeedId, wish: &Payload);

    /// The events of a mark are accounted for: those that left lie with the subscriber.
    fn confirmed(&self, mark: u64, tally: Tally);

    /// A subscription has ended; its marks without an answer, and what is known of their events.
    fn over(&self, link: &Link, feed: FeedId, unconfirmed: Vec<(u64, Tally)>);
}

/// What a feeder is to be told.
#[derive(Debug)]
pub(super) enum FeedWord {
    Subscribed(FeedId, Payload),
    Confirmed(u64, Tally),
    Over(FeedId, Vec<(u64, Tally)>),
}

/// What became of events that were offered to a subscription.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Fed {
    /// Those that wait in it now.
    pub(crate) queued: u64,
    /// Those that it dropped because of them, older ones among them.
    pub(crate) dropped: u64,
    /// Whether the subscriber will say what became of them, if it was to be asked.
    pub(crate) is_marked: bool,
}

impl Link {
    /// The node takes a subscription: this is what it is told first.
    pub(crate) fn attach(&self, feed: FeedId, policy: Policy, attachment: Attachment) {
        self.about_feed(Input::Attach { feed, policy, attachment });
    }

    /// The node ends a subscription, or refuses it.
    pub(crate) fn end_feed(&self, feed: FeedId, why: FeedEnd) {
        self.about_feed(Input::EndFeed { feed, why });
    }

    /// Puts events into a subscription's queue. With a mark the subscriber is asked to say when they have come.
    pub(crate) fn feed<'a>(&self, feed: FeedId, mark: Option<Mark>, events: impl Iterator<Item = Event<'a>>) -> Fed {
        let mut state = self.lock();
        let clock = state.clock.recent();
        let now = clock.into_std();
        let is_marked = mark.is_none_or(|mark| state.machine.mark(now, feed, mark));
        let mut fed = Fed { is_marked, ..Fed::default() };
        for event in events {
            let offered = state.machine.offer(now, feed, &event);
            fed.queued += u64::from(offered.queued);
            fed.dropped += u64::from(offered.dropped);
        }
        // A queue that overflows may be over.
        state.obey(clock);
        self.release(state);
        self.wake_driver();
        fed
    }

    /// How many events with values of these sizes can be put into a subscription's queue. If it is none of them, the waker is
    /// woken when something has left.
    pub(crate) fn poll_feed(
        &self,
        cx: &mut Context<'_>,
        feed: FeedId,
        sizes: impl ExactSizeIterator<Item = usize>,
    ) -> Poll<usize> {
        let mut state = self.lock();
        let count = state.machine.feed_takes(feed, sizes);
        if count > 0 {
            return Poll::Ready(count);
        }
        let waiting = state.feed_writers.entry(feed).or_default();
        if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            waiting.push(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Whether a value of this size can be put into a subscription's queue.
    pub(crate) fn feed_has_room(&self, feed: FeedId, size: usize) -> bool {
        self.lock().machine.feed_takes(feed, std::iter::once(size)) > 0
    }

    /// How many events wait in a subscription's queue.
    pub(crate) fn feed_waiting(&self, feed: FeedId) -> usize {
        self.lock().machine.feed_waiting(feed).0
    }

    fn about_feed(&self, input: Input<'_>) {
        let mut state = self.lock();
        state.carry_out(Instant::now(), input);
        self.release(state);
        self.wake_driver();
    }

    /// Tells whoever feeds the peer's subscriptions; without anybody there are none.
    pub(super) fn tell_feeder(&self, errands: &mut Errands) {
        let words = std::mem::take(&mut errands.feeds);
        let feeder = self.0.standing.as_ref().map(|standing| &standing.feeder);
        for word in words {
            match (feeder, word) {
                (Some(feeder), FeedWord::Subscribed(feed, wish)) => feeder.subscribed(self, feed, &wish),
                (None, FeedWord::Subscribed(feed, _)) => {
                    self.end_feed(feed, FeedEnd::BadRequest("nothing is published here".to_owned()));
                }
                (Some(feeder), FeedWord::Confirmed(mark, tally)) => feeder.confirmed(mark, tally),
                (Some(feeder), FeedWord::Over(feed, unconfirmed)) => feeder.over(self, feed, unconfirmed),
                (None, FeedWord::Confirmed(..) | FeedWord::Over(..)) => {}
            }
        }
    }
}
