//! Subscriptions: both ends of them, and what a peer may not do.

use std::sync::Arc;

use super::*;
use crate::channel::{FeedId, Listened};
use crate::events::{Attachment, Event, Mark, Offered, Priority, Tally};
use crate::outcome::FeedEnd;

mod listening;
mod misuse;
mod publishing;
mod turns;

fn subscribe(number: u64, content: impl Into<Json>) -> Frame {
    frame(37, number, content)
}

fn events(number: u64, content: impl Into<Json>) -> Frame {
    frame(38, number, content)
}

fn unsubscribe(number: u64, finish: bool) -> Frame {
    frame(39, number, if finish { json!(true) } else { Json::Null })
}

fn over(number: u64, content: impl Into<Json>) -> Frame {
    frame(40, number, content)
}

fn grant(number: u64, bytes: u64) -> Frame {
    frame(41, number, bytes)
}

fn confirmed(number: u64, mark: u64) -> Frame {
    frame(43, number, mark)
}

/// What a peer asks for in most tests.
fn wish() -> Json {
    json!({ "pattern": "a/*" })
}

/// A value so long that four of them are nearly all the credit that a subscription begins with.
fn long_value() -> String {
    "x".repeat(15_000)
}

/// As many of them as leave at once.
const LONG_VALUES: u64 = 4;

/// As a subscriber.
impl Transcript {
    fn we_subscribe(self, number: u64) -> Self {
        let wish = Payload::encode(&wish(), Encoding::MsgPack).expect("plain data");
        self.feed(Input::Subscribe { number, wish: &wish })
    }

    fn we_unsubscribe(self, number: u64, finish: bool) -> Self {
        self.feed(Input::Unsubscribe { number, finish })
    }

    fn gets_events(mut self, number: u64) -> Self {
        match self.next_order() {
            Output::Events(found) => assert_eq!(found, number),
            other => panic!("there should be events of {number}, but: {other:?}"),
        }
        self
    }

    fn we_take_records(mut self, number: u64, expected: impl Into<Json>) -> Self {
        match self.channel.take_events(number) {
            Listened::Records(records) => assert_eq!(records.decode::<Json>(), Ok(expected.into())),
            other => panic!("records should come, but: {other:?}"),
        }
        self
    }

    fn we_take_no_records(mut self, number: u64) -> Self {
        assert!(matches!(self.channel.take_events(number), Listened::Nothing));
        self
    }

    fn subscription_is_over(mut self, number: u64, expected: FeedEnd) -> Self {
        match self.channel.take_events(number) {
            Listened::Over(why) => assert_eq!(why, expected),
            other => panic!("the subscription should be over, but: {other:?}"),
        }
        self
    }
}

/// As a publisher.
impl Transcript {
    fn our_node_is_asked(mut self, number: u64, wish: impl Into<Json>) -> Self {
        match self.next_order() {
            Output::Subscribed { feed, wish: found } => {
                assert_eq!((feed, found.decode::<Json>()), (FeedId(number), Ok(wish.into())));
            }
            other => panic!("the peer should subscribe, but: {other:?}"),
        }
        self
    }

    fn we_attach(self, number: u64, policy: &str) -> Self {
        let policy = policy.parse().expect("a policy");
        let attachment = Attachment::default();
        self.feed(Input::Attach { feed: FeedId(number), policy, attachment })
    }

    /// A subscription of the peer, attached, of which nothing waits.
    fn with_subscriber(self, number: u64, policy: &str) -> Self {
        self.peer_sends(subscribe(number, wish()))
            .our_node_is_asked(number, wish())
            .we_attach(number, policy)
            .we_send(events(number, json!([[3, 0]])))
    }

    fn offer(&mut self, number: u64, seq: u64, value: impl Into<Json>, priority: Priority) -> Offered {
        let name: Arc<str> = format!("a/{priority}").into();
        let value = Payload::encode(&value.into(), Encoding::MsgPack).expect("plain data").into_bytes();
        let event = Event { topic: priority as u32, name: &name, seq, value: &value, priority };
        self.channel.offer(self.now, FeedId(number), &event)
    }

    fn we_publish(mut self, number: u64, seq: u64, value: impl Into<Json>) -> Self {
        let offered = self.offer(number, seq, value, Priority::Normal);
        assert_eq!(offered, Offered { queued: true, dropped: 0, cut: None });
        self
    }

    fn we_end_feed(self, number: u64, why: FeedEnd) -> Self {
        self.feed(Input::EndFeed { feed: FeedId(number), why })
    }

    fn feed_is_over(mut self, number: u64, expected: FeedEnd, waited: u64) -> Self {
        match self.next_order() {
            Output::FeedOver { feed, why, queued, .. } => {
                assert_eq!((feed, why, queued), (FeedId(number), expected, waited));
            }
            other => panic!("feed {number} should be over, but: {other:?}"),
        }
        self
    }
}
