//! What the tests of events share.

mod accounting;
mod groups;
mod oracle;
mod speed;
mod world;

use std::time::Instant;

use bytes::Bytes;

use super::*;
use crate::codec::{Encoding, Payload};
use crate::id::NodeId;

/// The first instant of a run.
pub(super) fn start() -> Instant {
    #[allow(clippy::disallowed_methods, reason = "an instant to count from; only differences matter")]
    static START: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    *START
}

/// A value in MessagePack.
pub(super) fn value(of: impl serde::Serialize) -> Bytes {
    Payload::encode(&of, Encoding::MsgPack).unwrap().into_bytes()
}

/// The records of a content, each as a line: `a stands at 3`, `attached to 1`, `a 4: 7`, `a lacks 5-6 (policy)`, `mark 9`.
pub(super) fn told(encoding: Encoding, content: &[u8]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut records = Records::new(encoding, content).unwrap();
    while let Some(record) = records.next_record().unwrap() {
        match record {
            Record::Events { name, first, count } => {
                for seq in first..first + count {
                    let value = Bytes::copy_from_slice(records.next_value().unwrap().unwrap());
                    let value: crate::codec::Value = Payload::from_parts(encoding, value).decode().unwrap();
                    lines.push(format!("{name} {seq}: {value}"));
                }
            }
            Record::Gap { name, first, last, why } => lines.push(format!("{name} lacks {first}-{last} ({why})")),
            Record::Position { name, seq } => lines.push(format!("{name} stands at {seq}")),
            Record::Attached { matching } => lines.push(format!("attached to {matching}")),
            Record::Mark { number } => lines.push(format!("mark {number}")),
        }
    }
    lines
}

/// Some node.
pub(super) fn node(number: u8) -> NodeId {
    NodeId::from_bytes([number; 32])
}

/// A publisher with one topic for each letter, and one feed that all of it goes into.
pub(super) struct Letters {
    pub(super) now: Instant,
    pub(super) topics: Topics<u8>,
    pub(super) feed: Feed,
}

impl Letters {
    /// The names `a`, `b`, `c` at a subscriber with this policy that has read its attachment.
    pub(super) fn with(policy: &str) -> Letters {
        let mut letters = Letters::unread(policy, |_| {});
        letters.read(usize::MAX);
        letters
    }

    /// As [`with`](Self::with), with a wish that is changed, and nothing read yet.
    pub(super) fn unread(policy: &str, change: impl Fn(&mut Wish)) -> Letters {
        let now = start();
        let mut topics = Topics::new();
        for name in ["a", "b", "c"] {
            topics.declare(name, Keep { events: 3, time: None }, None).unwrap();
        }
        let mut wish = Wish::new("*".parse().unwrap());
        wish.policy = policy.parse().unwrap();
        change(&mut wish);
        let attachment = topics.subscribe(now, 1, node(1), &wish).unwrap();
        Letters { now, topics, feed: Feed::new(now, wish.policy, attachment) }
    }

    /// Publishes a number as the next event of a name.
    pub(super) fn publish(&mut self, name: &str, number: u64) -> Offered {
        self.publish_value(name, &value(number), Priority::Normal)
    }

    pub(super) fn publish_value(&mut self, name: &str, value: &Bytes, priority: Priority) -> Offered {
        let topic = self.topics.number(name).unwrap();
        let published = self.topics.publish(self.now, topic, value, priority).unwrap();
        self.feed.offer(self.now, &published.event)
    }

    /// The next content, of this size at most.
    pub(super) fn read(&mut self, room: usize) -> Vec<String> {
        self.read_as(Encoding::MsgPack, room)
    }

    pub(super) fn read_as(&mut self, encoding: Encoding, room: usize) -> Vec<String> {
        let mut out = vec![7];
        let filled = self.feed.fill(self.now, encoding, room, &mut out);
        assert_eq!(out[0], 7);
        out.remove(0);
        out.extend_from_slice(filled.value.as_deref().unwrap_or(&[]));
        assert_eq!(out.len(), filled.bytes);
        if out.is_empty() { Vec::new() } else { told(encoding, &out) }
    }
}

#[test]
fn names_of_priorities_and_reasons_are_those_that_programs_read() {
    assert_eq!(Priority::ALL.map(|priority| priority.to_string()), ["control", "normal", "bulk"]);
    let reasons = [Why::QueueFull, Why::Policy, Why::Expired, Why::Unencodable, Why::LinkLost, Why::SourceRestarted];
    let names = reasons.map(|why| why.to_string());
    assert_eq!(names, ["queue-full", "policy", "expired", "unencodable", "link-lost", "source-restarted"]);
    for why in reasons {
        assert_eq!(why.number().map_or(why, Why::from_number), why);
    }
    assert_eq!(Why::from_number(99), Why::QueueFull);
}
