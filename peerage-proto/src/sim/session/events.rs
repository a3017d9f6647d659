//! Subscriptions of a session, and what the peer says of its own.

use std::sync::Arc;

use bytes::Bytes;

use super::{Session, encoded};
use crate::channel::{FeedId, Input, Listened};
use crate::codec::{Encoding, Payload};
use crate::events::{Attachment, Event, Mark, Priority, Records};
use crate::limits;
use crate::outcome::FeedEnd;

impl Session {
    /// Does something about the n-th subscription, or the n-th feed.
    pub(super) fn events(&mut self, what: u8, nth: usize, size: usize) {
        let now = self.now;
        let number = nth as u64 % self.end.channel().next_subscription().max(1);
        let feed = self.feeds.get(nth % self.feeds.len().max(1)).copied();
        match (what % 8, feed) {
            (0, _) => {
                let wish = Payload::encode(&("wish", "w".repeat(size)), [Encoding::Json, Encoding::MsgPack][nth % 2]);
                self.end.subscribe(now, &wish.expect("plain data"));
            }
            (1, _) => self.end.unsubscribe(now, number, nth.is_multiple_of(2)),
            (2, _) => self.take_events(number),
            (3, Some(feed)) => {
                let policy = ["ring:2", "latest", "block:1ms", "close"][nth % 4].parse().expect("a policy");
                self.end.attach(now, feed, policy, Attachment::default());
            }
            (4 | 5, Some(feed)) => self.publish(feed, nth, size),
            (6, Some(feed)) => {
                let (number, seq) = (nth as u64, self.published + 1);
                self.end.mark(now, feed, Mark { number, topic: 0, first: seq, last: seq, events: 1 });
            }
            (7, Some(feed)) => self.end.end_feed(now, feed, FeedEnd::Refused("no".repeat(size))),
            _ => {}
        }
    }

    fn publish(&mut self, feed: FeedId, nth: usize, size: usize) {
        self.published += 1;
        let name: Arc<str> = "a".into();
        let value = match nth % 8 {
            // JSON cannot carry it.
            0 => Bytes::from_static(b"\xc4\x01\xff"),
            _ => encoded(&"v".repeat(size), Encoding::MsgPack).into(),
        };
        let priority = Priority::ALL[nth % 3];
        let event = Event { topic: 0, name: &name, seq: self.published, value: &value, priority };
        self.end.offer(self.now, feed, &event);
        let waiting = self.end.channel().feed_waiting(feed).0;
        assert!(waiting <= limits::EVENT_QUEUE_DEFAULT as usize, "O8: {waiting} events wait for one subscriber");
    }

    /// Takes what there is, and gives the link up if it is nonsense.
    fn take_events(&mut self, number: u64) {
        while let Listened::Records(records) = self.end.take_events(number) {
            let read = Records::new(records.encoding(), records.bytes()).and_then(|mut records| {
                while records.next_record()?.is_some() {}
                Ok(())
            });
            if read.is_err() {
                return self.end.order(self.now, Input::Garbled { number });
            }
        }
    }
}

/// Contents of a peer that has to do with events.
pub(super) fn content(kind: u8, choice: u8, encoding: Encoding) -> Vec<u8> {
    let number = u64::from(choice % 8);
    match kind {
        37 => encoded(&("pattern", "*".repeat(usize::from(choice))), encoding),
        38 if choice < 64 => encoded(&[(4, number), (4, number + 1), (3, 0)], encoding),
        38 if choice < 128 => encoded(&[(0, "a", number, "value")], encoding),
        38 if choice < 192 => encoded(&(), encoding),
        38 => encoded(&[(1, "a", number, number, 2)], encoding),
        39 if choice < 128 => encoded(&true, encoding),
        40 if choice < 128 => encoded(&("draining", "soon"), encoding),
        39 | 40 => encoded(&(), encoding),
        41 => encoded(&(u64::from(choice) << (choice % 40)), encoding),
        42 if encoding == Encoding::Json => encoded("5b5b342c375d5d", encoding),
        42 => [&[0xc4, 4][..], b"\x91\x92\x04\x07"].concat(),
        _ => encoded(&number, encoding),
    }
}
