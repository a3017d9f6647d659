//! One publisher, a few subscribers, and links that carry, stall and break, by chance from one seed.
//!
//! A link is a queue of contents. A subscriber reads one link after the other; it may open a new one while the old one lives,
//! and lets the old one finish once something has come in on the new one.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::oracle::{Accounts, Seen, Written, ensure};
use super::{node, start, value};
use crate::codec::{Encoding, Value};
use crate::events::{Cut, Feed, Keep, Mark, Policy, Positions, Priority, Tally, Topics, Wish};
use crate::id::{Epoch, Pattern};

const NAMES: [&str; 5] = ["a", "a/b", "a/c", "b", "c/d"];
const PATTERNS: [&str; 5] = ["**", "a/**", "b", "*", "*/*"];
const POLICIES: [&str; 7] = ["ring:1", "ring:3", "ring:20", "latest", "latest-by:/0", "block:1s", "close"];
const KEYS: u64 = 3;

/// A subscriber, and which of its links.
type Target = (usize, u64);

pub(super) struct World {
    chance: Chance,
    now: Instant,
    epoch: Epoch,
    topics: Topics<Target>,
    subscribers: Vec<Subscriber>,
    links: u64,
    marks: u64,
}

struct Subscriber {
    pattern: &'static str,
    history: u32,
    recover: bool,
    positions: Positions,
    accounts: Accounts,
    /// The one that is read, and the one that it moves to.
    links: VecDeque<Link>,
}

struct Link {
    subscriber: usize,
    number: u64,
    pattern: Pattern,
    epoch: Epoch,
    encoding: Encoding,
    /// `None`: it has ended at the publisher.
    feed: Option<Feed>,
    written: Written,
    wire: VecDeque<Vec<u8>>,
    has_begun: bool,
    room: u32,
    /// Receipts that were not answered.
    receipts: BTreeMap<u64, (Arc<str>, Mark)>,
}

/// Chance from a seed (splitmix64).
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64) -> Chance {
        Chance(seed)
    }

    pub(super) fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((bits ^ (bits >> 31)) % limit as u64) as usize
    }

    pub(super) fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    pub(super) fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }
}

impl World {
    pub(super) fn new(seed: u64) -> World {
        let mut chance = Chance::new(seed);
        let subscriber = |chance: &mut Chance| Subscriber {
            pattern: chance.of(&PATTERNS),
            history: chance.of(&[0, 0, 2, 10]),
            recover: chance.once_in(3),
            positions: Positions::new(),
            accounts: Accounts::default(),
            links: VecDeque::new(),
        };
        let subscribers = (0..1 + chance.below(3)).map(|_| subscriber(&mut chance)).collect();
        let epoch = Epoch::new(1, [0; 16]);
        let mut world = World { chance, now: start(), epoch, topics: Topics::new(), subscribers, links: 0, marks: 0 };
        world.start();
        world
    }

    fn start(&mut self) {
        self.topics = Topics::new();
        for name in NAMES {
            if !self.chance.once_in(3) {
                self.declare(name);
            }
        }
    }

    fn declare(&mut self, name: &str) -> u32 {
        let keep =
            Keep { events: self.chance.of(&[0, 2, 10]), time: self.chance.of(&[None, Some(Duration::from_secs(5))]) };
        self.topics.declare(name, keep, None).unwrap()
    }

    /// What has happened to those who subscribe now.
    pub(super) fn seen(&self) -> Seen {
        let mut sum = Seen::default();
        self.subscribers.iter().for_each(|subscriber| sum.add(&subscriber.accounts.seen));
        sum
    }

    /// Lets chance do so many things, then heals everything and closes the accounts.
    pub(super) fn run(&mut self, steps: usize) -> Result<(), String> {
        for _ in 0..steps {
            self.now += Duration::from_millis(self.chance.below(800) as u64);
            let which = self.chance.below(self.subscribers.len());
            match self.chance.below(40) {
                0..=13 => self.publish()?,
                14..=21 => self.fill(which)?,
                22..=29 => self.deliver(which)?,
                30..=33 => self.attach(which)?,
                34..=35 => self.finish(which),
                36 => self.cut(which),
                37 if self.chance.once_in(4) => self.restart(),
                38 if self.chance.once_in(6) => self.forget_everything(which),
                _ => self.expand(which)?,
            }
            self.check()?;
        }
        self.heal()
    }

    fn publish(&mut self) -> Result<(), String> {
        let name = self.chance.of(&NAMES);
        let topic = self.declare(name);
        let priority = if self.chance.once_in(4) { self.chance.of(&Priority::ALL) } else { Priority::Normal };
        let count = 1 + if self.chance.once_in(5) { self.chance.below(30) } else { self.chance.below(3) };
        let first = self.topics.topic(topic).map_or(0, |topic| topic.seq()) + 1;
        if self.chance.once_in(3) {
            self.set_marks(topic, first, count as u64);
        }
        for seq in first..first + count as u64 {
            let key = self.chance.below(KEYS as usize) as u64;
            // JSON carries no bytes, and says so.
            let value =
                if self.chance.once_in(20) { value((Value::Bytes(vec![key as u8]), seq)) } else { value((key, seq)) };
            let published = self.topics.publish(self.now, topic, &value, priority).ok_or("no such topic")?;
            ensure!(published.event.seq == seq, "{name} {} in place of {seq}", published.event.seq);
            let mut ended = Vec::new();
            for target in published.targets {
                let link = self.subscribers[target.0].links.iter_mut().find(|link| link.number == target.1);
                let feed = link.and_then(|link| link.feed.as_mut()).ok_or("a target without a feed")?;
                let before = feed.waiting().events as u64;
                let had_room = feed.has_room();
                let offered = feed.offer(self.now, &published.event);
                let is_refused = !offered.queued && offered.dropped == 0;
                let after = feed.waiting().events as u64 + u64::from(offered.dropped);
                ensure!(is_refused != (before + 1 == after), "{before} waited, then {after}: {offered:?}");
                ensure!(!is_refused || !had_room, "there was room, and it was not taken: {offered:?}");
                if is_refused || offered.cut == Some(Cut::Overflow) {
                    ended.push((*target, is_refused));
                }
            }
            for (target, at_once) in ended {
                self.end(target, at_once);
            }
        }
        Ok(())
    }

    fn set_marks(&mut self, topic: u32, first: u64, events: u64) {
        let name = self.topics.topic(topic).map_or("".into(), |topic| topic.name().clone());
        for link in self.subscribers.iter_mut().flat_map(|subscriber| &mut subscriber.links) {
            let Some(feed) = &mut link.feed else { continue };
            // Only of those that will get the events: others are finishing, or want other names.
            let is_target = self.topics.is_subscribed(&(link.subscriber, link.number)) && link.pattern.matches(&name);
            self.marks += 1;
            let mark = Mark { number: self.marks, topic, first, last: first + events - 1, events };
            if is_target && feed.mark(self.now, mark) {
                link.receipts.insert(self.marks, (name.clone(), mark));
            }
        }
    }

    /// A subscriber was cut: what its feed has to say is said, or the feed is thrown away.
    fn end(&mut self, target: Target, at_once: bool) {
        self.topics.unsubscribe(&target);
        let links = &mut self.subscribers[target.0].links;
        if let Some(link) = links.iter_mut().find(|link| link.number == target.1)
            && at_once
        {
            link.feed = None;
        }
    }

    fn link(&mut self, which: usize) -> Option<&mut Link> {
        let links = self.subscribers[which].links.len();
        let at = if links == 0 { 0 } else { self.chance.below(links) };
        self.subscribers[which].links.get_mut(at)
    }

    fn fill(&mut self, which: usize) -> Result<(), String> {
        let room = self.chance.of(&[20, 120, 200, 1_000, 60_000]);
        let now = self.now;
        match self.link(which) {
            Some(link) => link.fill(now, room).map(drop),
            None => Ok(()),
        }
    }

    /// The subscriber reads one content of the link that it reads.
    fn deliver(&mut self, which: usize) -> Result<(), String> {
        let Subscriber { positions, accounts, links, .. } = &mut self.subscribers[which];
        let Some(link) = links.front_mut() else { return Ok(()) };
        if !link.has_begun {
            link.has_begun = true;
            if positions.epoch().is_some_and(|epoch| epoch != link.epoch) && !positions.has_begun() {
                accounts.forget();
            }
            for missing in positions.attach(link.epoch).map_err(|why| why.to_string())? {
                accounts.miss(&missing)?;
            }
        }
        if let Some(content) = link.wire.pop_front() {
            let marks = accounts.hear(positions, link.encoding, &content)?;
            for number in marks {
                link.confirm(number)?;
                accounts.seen.confirmed += 1;
            }
        }
        // The one that is read is done with, or the one that it moves to has broken before anything came.
        links.retain(|link| !link.wire.is_empty() || !link.feed.as_ref().is_none_or(Feed::is_over));
        Ok(())
    }

    /// A new link, beside an old one or not.
    fn attach(&mut self, which: usize) -> Result<(), String> {
        let policy: Policy = self.chance.of(&POLICIES).parse().map_err(|why| format!("{why}"))?;
        let encoding = self.chance.of(&Encoding::ALL);
        let (links, epoch, now) = (self.links + 1, self.epoch, self.now);
        let subscriber = &mut self.subscribers[which];
        if subscriber.links.len() >= 2 || subscriber.links.iter().any(|link| link.epoch != epoch && link.feed.is_some())
        {
            return Ok(());
        }
        self.links = links;
        let mut wish = Wish::new(subscriber.pattern.parse().map_err(|why| format!("{why}"))?);
        wish.history = subscriber.history;
        wish.recover = subscriber.recover;
        wish.positions = subscriber.positions.for_wish(epoch);
        wish.policy = policy;
        let wish = Wish::read(&wish.encode(encoding)).map_err(|why| why.to_string())?;
        let attachment = self.topics.subscribe(now, (which, links), node(which as u8), &wish);
        let attachment = attachment.map_err(|why| why.to_string())?;
        let mut feed = Feed::new(now, wish.policy, attachment);
        feed.keep_idle_names(self.chance.below(4));
        let room = room(feed.policy());
        subscriber.links.push_back(Link {
            subscriber: which,
            number: links,
            pattern: wish.pattern,
            epoch,
            encoding,
            feed: Some(feed),
            written: Written::default(),
            wire: VecDeque::new(),
            has_begun: false,
            room,
            receipts: BTreeMap::new(),
        });
        Ok(())
    }

    /// Something has come in on the new link: the old one is to finish.
    fn finish(&mut self, which: usize) {
        let links = &mut self.subscribers[which].links;
        if links.get(1).is_some_and(|new| !new.wire.is_empty())
            && let Some(old) = links.front_mut()
            && let Some(feed) = &mut old.feed
        {
            feed.finish();
            let number = old.number;
            self.topics.unsubscribe(&(which, number));
        }
    }

    /// A link breaks: of what is on its way the beginning may still arrive.
    fn cut(&mut self, which: usize) {
        let Some(link) = self.link(which) else { return };
        let (number, arriving) = (link.number, link.wire.len() + 1);
        link.feed = None;
        let arriving = self.chance.below(arriving);
        let links = &mut self.subscribers[which].links;
        if let Some(link) = links.iter_mut().find(|link| link.number == number) {
            link.wire.truncate(arriving);
        }
        self.topics.unsubscribe(&(which, number));
    }

    fn restart(&mut self) {
        for which in 0..self.subscribers.len() {
            for _ in 0..2 {
                self.cut(which);
            }
            for link in &mut self.subscribers[which].links {
                link.feed = None;
            }
        }
        self.epoch = Epoch::new(self.epoch.start() + 1, [0; 16]);
        self.start();
    }

    /// The subscriber is started again.
    fn forget_everything(&mut self, which: usize) {
        let subscriber = &mut self.subscribers[which];
        subscriber.positions = Positions::new();
        subscriber.accounts = Accounts::default();
        subscriber.links.clear();
        self.topics.unsubscribe_all(|target| target.0 == which);
    }

    /// A few frames at once, as when a link that stood still goes on.
    fn expand(&mut self, which: usize) -> Result<(), String> {
        for _ in 0..3 {
            self.fill(which)?;
            self.deliver(which)?;
        }
        Ok(())
    }

    fn check(&self) -> Result<(), String> {
        for link in self.subscribers.iter().flat_map(|subscriber| &subscriber.links) {
            let Some(feed) = &link.feed else { continue };
            link.written.check(feed)?;
            let live = feed.live();
            ensure!(live <= link.room, "{live} wait under {}", feed.policy());
        }
        Ok(())
    }

    /// Everybody has one link in the end, and everything comes that can.
    fn heal(&mut self) -> Result<(), String> {
        for which in 0..self.subscribers.len() {
            for _ in 0..10_000 {
                let links = &mut self.subscribers[which].links;
                let is_settled = links.back().is_some_and(|link| {
                    link.feed.is_some() && link.epoch == self.epoch && self.topics.is_subscribed(&(which, link.number))
                });
                if is_settled && links.len() == 1 && links[0].is_quiet() {
                    break;
                }
                if !is_settled && links.len() < 2 {
                    self.attach(which)?;
                }
                let now = self.now;
                for link in &mut self.subscribers[which].links {
                    link.fill(now, 60_000)?;
                }
                self.finish(which);
                self.deliver(which)?;
                self.check()?;
            }
            let links = &self.subscribers[which].links;
            ensure!(links.len() == 1 && links[0].is_quiet(), "subscriber {which} does not come to rest");
            self.close(which)?;
        }
        Ok(())
    }

    fn close(&self, which: usize) -> Result<(), String> {
        let Subscriber { pattern, accounts, .. } = &self.subscribers[which];
        let pattern: Pattern = pattern.parse().map_err(|why| format!("{why}"))?;
        let matching = NAMES.into_iter().filter(|name| pattern.matches(name));
        let seq =
            |name: &str| self.topics.number(name).and_then(|number| self.topics.topic(number)).map_or(0, |t| t.seq());
        accounts.close(self.epoch, &matching.map(|name| (name.to_owned(), seq(name))).collect())
    }
}

/// How many events may wait at most, those of the past not counted.
fn room(policy: &Policy) -> u32 {
    match policy {
        Policy::Ring(events) => *events,
        Policy::Latest => NAMES.len() as u32,
        // Each key comes as a number and as bytes.
        Policy::LatestBy(_) => NAMES.len() as u32 * 2 * KEYS as u32,
        Policy::Block(_) | Policy::Close => crate::limits::EVENT_QUEUE_DEFAULT,
    }
}

impl Link {
    fn fill(&mut self, now: Instant, room: usize) -> Result<bool, String> {
        let Some(feed) = &mut self.feed else { return Ok(false) };
        let mut content = Vec::new();
        let filled = feed.fill(now, self.encoding, room, &mut content);
        content.extend_from_slice(filled.value.as_deref().unwrap_or(&Bytes::new()));
        ensure!(filled.bytes == content.len() && filled.bytes <= room, "{filled:?} of {room}");
        if !content.is_empty() {
            self.written.add(feed, self.encoding, &content)?;
            self.wire.push_back(content);
        }
        Ok(filled.bytes > 0)
    }

    /// The answer to a mark reaches the publisher, if the feed is still there: what left of its events was delivered.
    fn confirm(&mut self, number: u64) -> Result<(), String> {
        let (name, mark) = self.receipts.remove(&number).ok_or("a mark that nobody set, or that came twice")?;
        let Some(feed) = &mut self.feed else { return Ok(()) };
        let Some(Tally { left, dropped, waiting }) = feed.confirmed(number) else {
            return Err(format!("mark {number} came in and has not left"));
        };
        ensure!(waiting == 0 && left + dropped == mark.events, "{left} left, {dropped} dropped: {mark:?}");
        let really = self.written.count(&name, mark.first..=mark.last);
        ensure!(left == really, "{left} of {mark:?} have left, {really} really");
        Ok(())
    }

    fn is_quiet(&self) -> bool {
        self.has_begun && self.wire.is_empty() && self.feed.as_ref().is_some_and(Feed::is_empty)
    }
}
