//! The node that publishes.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;

use super::{P, World};
use crate::channel::{FeedId, Output};
use crate::codec::{Encoding, Payload};
use crate::events::{Event, Keep, Mark, Policy, Priority, Topics, Wish};
use crate::id::{Epoch, NodeId};
use crate::outcome::FeedEnd;

/// A feed: a link, and what it is called there.
type Target = (u32, FeedId);

/// An event that waits.
#[derive(Debug)]
struct Waiting {
    topic: u32,
    name: Arc<str>,
    seq: u64,
    value: Bytes,
    priority: Priority,
}

impl Waiting {
    fn event(&self) -> Event<'_> {
        let Waiting { topic, name, seq, value, priority } = self;
        Event { topic: *topic, name, seq: *seq, value, priority: *priority }
    }
}

pub(super) struct Publisher {
    epoch: u64,
    topics: Topics<Target>,
    policies: BTreeMap<Target, Policy>,
    /// Events that subscribers who make the publisher wait have no room for yet.
    waiting: BTreeMap<Target, VecDeque<Waiting>>,
    marks: u64,
    total: u64,
}

impl Publisher {
    pub(super) fn new() -> Publisher {
        let mut publisher = Publisher {
            epoch: 0,
            topics: Topics::new(),
            policies: BTreeMap::new(),
            waiting: BTreeMap::new(),
            marks: 0,
            total: 0,
        };
        publisher.restart();
        publisher
    }

    /// The process starts anew, and knows nothing of before.
    pub(super) fn restart(&mut self) {
        self.epoch += 1;
        self.topics = Topics::new();
        self.policies.clear();
        self.waiting.clear();
    }

    pub(super) fn epoch(&self) -> Epoch {
        Epoch::new(self.epoch, [0; 16])
    }

    /// How many events there were of each name in the present epoch.
    pub(super) fn published(&self) -> BTreeMap<Arc<str>, u64> {
        let topics = NAMES.iter().filter_map(|(name, _)| self.topics.topic(self.topics.number(name)?));
        topics.map(|topic| (topic.name().clone(), topic.seq())).collect()
    }

    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// The link has ended.
    pub(super) fn forget(&mut self, link: u32) {
        self.topics.unsubscribe_all(|(of, _)| *of == link);
        self.policies.retain(|(of, _), _| *of != link);
        self.waiting.retain(|(of, _), _| *of != link);
    }

    fn forget_feed(&mut self, target: Target) {
        self.topics.unsubscribe(&target);
        self.policies.remove(&target);
        self.waiting.remove(&target);
    }
}

impl World {
    /// Publishes the next event of some name, now and then with a mark.
    pub(super) fn publish(&mut self) {
        let (name, priority) = NAMES[self.dice.below(NAMES.len() as u64) as usize];
        let keep = Keep { events: if name == "b/kept" { 20 } else { 0 }, time: None };
        let topic = self.publisher.topics.declare(name, keep, None).expect("a name");
        let seq = self.publisher.topics.topic(topic).map_or(0, |topic| topic.seq()) + 1;
        let padding = self.dice.size(60_000);
        let value = (self.publisher.epoch, seq, "x".repeat(padding));
        let value = Payload::encode(&value, Encoding::MsgPack).expect("plain data").into_bytes();
        let wants_mark = self.dice.chance(10);
        let published = self.publisher.topics.publish(self.now, topic, &value, priority).expect("it was declared");
        self.publisher.total += published.matched() as u64;
        let targets = published.targets.to_vec();
        let name = published.event.name.clone();
        for target in targets {
            let Some(link) = self.links.get_mut(&target.0) else { continue };
            let event = Waiting { topic, name: name.clone(), seq, value: value.clone(), priority };
            if let Some(waiting) = self.publisher.waiting.get_mut(&target) {
                waiting.push_back(event);
                continue;
            }
            if wants_mark {
                self.publisher.marks += 1;
                let number = self.publisher.marks;
                link.ends[P].mark(self.now, target.1, Mark { number, topic, first: seq, last: seq, events: 1 });
            }
            let offered = link.ends[P].offer(self.now, target.1, &event.event());
            let policy = self.publisher.policies.get(&target);
            match policy {
                Some(Policy::Ring(events)) => {
                    let (waiting, _) = link.ends[P].channel().feed_waiting(target.1);
                    assert!(waiting <= *events as usize + 60, "O8: {waiting} events wait in a ring of {events}");
                }
                Some(Policy::Latest) => {
                    let (waiting, _) = link.ends[P].channel().feed_waiting(target.1);
                    assert!(waiting <= NAMES.len() + 60, "O8: {waiting} events wait where the latest should");
                }
                Some(Policy::Block(_)) if !offered.queued && offered.cut.is_none() => {
                    self.publisher.waiting.insert(target, [event].into());
                }
                _ => {}
            }
            self.hear_news(target.0, P);
        }
    }

    pub(super) fn publisher_is_told(&mut self, number: u32, order: Output) {
        match order {
            Output::Subscribed { feed, wish } => self.subscribed((number, feed), &wish),
            Output::FeedOver { feed, why, .. } => {
                let end = self.report.ends.entry(why.name().to_owned()).or_default();
                *end += 1;
                self.publisher.forget_feed((number, feed));
            }
            Output::FeedWritable(feed) => self.go_on((number, feed)),
            Output::Confirmed { tally, .. } => {
                assert_eq!(tally.waiting, 0, "a mark is confirmed when its events are accounted for");
                self.report.confirmed += 1;
            }
            order => unreachable!("no order of a publisher: {order:?}"),
        }
    }

    fn subscribed(&mut self, target: Target, wish: &Payload) {
        let wish = Wish::read(wish).expect("an honest subscriber");
        let Some(link) = self.links.get_mut(&target.0) else { return };
        let peer = NodeId::from_bytes([7; 32]);
        match self.publisher.topics.subscribe(self.now, target, peer, &wish) {
            Ok(attachment) => {
                self.publisher.policies.insert(target, wish.policy.clone());
                link.ends[P].attach(self.now, target.1, wish.policy, attachment);
            }
            Err(why) => link.ends[P].end_feed(self.now, target.1, FeedEnd::Refused(why.to_string())),
        }
    }

    /// A subscriber that the publisher waits for has room again.
    fn go_on(&mut self, target: Target) {
        let Some(mut waiting) = self.publisher.waiting.remove(&target) else { return };
        let Some(link) = self.links.get_mut(&target.0) else { return };
        while let Some(event) = waiting.front() {
            let offered = link.ends[P].offer(self.now, target.1, &event.event());
            if !offered.queued {
                self.publisher.waiting.insert(target, waiting);
                return;
            }
            waiting.pop_front();
        }
    }
}

/// What is published.
const NAMES: [(&str, Priority); 5] = [
    ("a/one", Priority::Normal),
    ("a/two", Priority::Normal),
    ("a/alarm", Priority::Control),
    ("a/bulk", Priority::Bulk),
    ("b/kept", Priority::Normal),
];
