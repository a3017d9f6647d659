//! Subscriptions of an end: what it wants of the other one, and what it publishes to it.

use std::time::Instant;

use super::End;
use crate::channel::{FeedId, Input, Listened};
use crate::codec::Payload;
use crate::events::{Attachment, Event, Mark, Offered, Policy};
use crate::outcome::FeedEnd;

impl End {
    /// Asks for events; the number of the subscription.
    pub(in super::super) fn subscribe(&mut self, now: Instant, wish: &Payload) -> u64 {
        let number = self.channel.next_subscription();
        self.feed(now, Input::Subscribe { number, wish });
        number
    }

    pub(in super::super) fn unsubscribe(&mut self, now: Instant, number: u64, finish: bool) {
        self.feed(now, Input::Unsubscribe { number, finish });
    }

    pub(in super::super) fn take_events(&mut self, number: u64) -> Listened {
        self.channel.take_events(number)
    }

    /// Accepts a subscription of the other end.
    pub(in super::super) fn attach(&mut self, now: Instant, feed: FeedId, policy: Policy, attachment: Attachment) {
        self.feed(now, Input::Attach { feed, policy, attachment });
    }

    pub(in super::super) fn end_feed(&mut self, now: Instant, feed: FeedId, why: FeedEnd) {
        self.feed(now, Input::EndFeed { feed, why });
    }

    pub(in super::super) fn offer(&mut self, now: Instant, feed: FeedId, event: &Event<'_>) -> Offered {
        let offered = self.channel.offer(now, feed, event);
        self.obey_what_waits(now);
        offered
    }

    pub(in super::super) fn mark(&mut self, now: Instant, feed: FeedId, mark: Mark) -> bool {
        self.channel.mark(now, feed, mark)
    }

    /// What came on subscriptions is taken, up to their ends.
    pub(super) fn take_all_events(&mut self) {
        for number in 0..self.channel.next_subscription().min(SUBSCRIPTIONS_LOOKED_AT) {
            while !matches!(self.channel.take_events(number), Listened::Nothing | Listened::Over(_)) {}
        }
    }

    fn obey_what_waits(&mut self, now: Instant) {
        for order in self.channel.orders().collect::<Vec<_>>() {
            self.obey(now, order);
        }
    }
}

/// Numbers at which there may be something to take: more than any run subscribes.
const SUBSCRIPTIONS_LOOKED_AT: u64 = 10_000;
