//! The node that subscribes.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::dice::Dice;
use super::account::Account;
use super::{Event, S, World};
use crate::channel::{Listened, Output};
use crate::codec::{Encoding, Payload};
use crate::events::{Heard, Missing, Positions, Record, Records, Wish};
use crate::id::{Epoch, Pattern};

pub(super) struct Subscriber {
    all: Vec<Subscription>,
    /// Which subscription each number of a link belongs to.
    numbers: BTreeMap<(u32, u64), usize>,
}

struct Subscription {
    wish: Wish,
    positions: Positions,
    account: Account,
    /// Where it listens: the first one is read until its end, then the next.
    at: Vec<(u32, u64)>,
    /// The one that is being read.
    begun: Option<(u32, u64)>,
    /// Told to finish already.
    finishing: Vec<(u32, u64)>,
}

impl Subscriber {
    pub(super) fn new(dice: &mut Dice, policy: Option<&'static str>) -> Subscriber {
        let policies = ["ring:5", "ring:200", "latest", "block:1s", "close", "latest-by:/0"];
        let all = (0..dice.between(1, 4)).map(|_| {
            let pattern = ["a/*", "**", "a/one", "b/kept"][dice.below(4) as usize];
            let mut wish = Wish::new(pattern.parse().expect("a pattern"));
            let by_chance = policies[dice.below(policies.len() as u64) as usize];
            wish.policy = policy.unwrap_or(by_chance).parse().expect("a policy");
            wish.history = if dice.chance(30) { 10 } else { 0 };
            wish.recover = dice.chance(50);
            Subscription {
                wish,
                positions: Positions::new(),
                account: Account::default(),
                at: Vec::new(),
                begun: None,
                finishing: Vec::new(),
            }
        });
        Subscriber { all: all.collect(), numbers: BTreeMap::new() }
    }

    pub(super) fn accounts(&self) -> impl Iterator<Item = (&Pattern, &Account)> {
        self.all.iter().map(|subscription| (&subscription.wish.pattern, &subscription.account))
    }
}

impl World {
    /// Asks for everything on a new link.
    pub(super) fn subscribe_on(&mut self, link: u32) {
        for nth in 0..self.subscriber.all.len() {
            self.subscribe(nth, link);
        }
    }

    fn subscribe(&mut self, nth: usize, number: u32) {
        let epoch = self.publisher.epoch();
        let Some(link) = self.links.get_mut(&number) else { return };
        let subscription = &mut self.subscriber.all[nth];
        subscription.wish.positions = subscription.positions.for_wish(epoch);
        let encoding = if self.dice.chance(50) { Encoding::MsgPack } else { Encoding::Json };
        let wish = subscription.wish.encode(encoding);
        let there = (number, link.ends[S].subscribe(self.now, &wish));
        self.subscriber.numbers.insert(there, nth);
        self.subscriber.all[nth].at.push(there);
        self.soon(Duration::from_millis(500), Event::MoveOn(nth));
        self.hear_news(number, S);
    }

    /// A subscription that has ended everywhere asks again where there is a link.
    pub(super) fn resubscribe(&mut self, nth: usize) {
        let Some(link) = self.links.last_key_value().map(|(link, _)| *link) else { return };
        if self.subscriber.all[nth].at.is_empty() && self.links[&link].ends[S].ended().is_none() {
            self.subscribe(nth, link);
        }
    }

    pub(super) fn resubscribe_all(&mut self) {
        (0..self.subscriber.all.len()).for_each(|nth| self.resubscribe(nth));
    }

    pub(super) fn subscriber_is_told(&mut self, link: u32, order: &Output) {
        let Output::Events(number) = order else { unreachable!("no order of a subscriber: {order:?}") };
        let stalls = !self.is_settling && self.dice.chance(self.plan.stalls);
        let limit = if stalls { Duration::from_secs(15) } else { Duration::from_millis(20) };
        self.soon(limit, Event::Read(link, *number));
    }

    /// Reads what there is on a link, if it is that link's turn.
    pub(super) fn read_events(&mut self, link: u32, number: u64) {
        let Some(nth) = self.subscriber.numbers.get(&(link, number)).copied() else { return };
        while let Some(first) = self.subscriber.all[nth].at.first().copied() {
            // The order between two feeds is that of their links; each is read to its end.
            if !self.read_feed(nth, first) {
                break;
            }
            self.subscriber.all[nth].at.remove(0);
        }
        self.move_on(nth);
    }

    /// Whether the feed is over.
    fn read_feed(&mut self, nth: usize, there: (u32, u64)) -> bool {
        if self.subscriber.all[nth].begun != Some(there) {
            let Some(epoch) = self.links.get(&there.0).map(|link| link.epoch) else { return true };
            let subscription = &mut self.subscriber.all[nth];
            let tails = subscription.positions.attach(epoch).expect("epochs rise");
            for missing in &tails {
                note(&mut self.report.missing, missing);
                subscription.account.miss(missing);
            }
            subscription.begun = Some(there);
        }
        for _ in 0..1_000 {
            let Some(link) = self.links.get_mut(&there.0) else { return true };
            let epoch = link.epoch;
            match link.ends[S].take_events(there.1) {
                Listened::Nothing => return false,
                Listened::Records(records) => self.hear_records(nth, epoch, &records),
                Listened::Over(why) => {
                    self.trace.note(self.now, &[3, there.1, why.name().len() as u64]);
                    self.soon(Duration::from_millis(500), Event::Resubscribe(nth));
                    return true;
                }
            }
        }
        self.soon(Duration::from_millis(1), Event::Read(there.0, there.1));
        false
    }

    fn hear_records(&mut self, nth: usize, epoch: Epoch, content: &Payload) {
        let subscription = &mut self.subscriber.all[nth];
        let mut records = Records::new(content.encoding(), content.bytes()).expect("records");
        while let Some(record) = records.next_record().expect("well-formed records") {
            let is_first = !subscription.positions.has_begun();
            if let Record::Position { name, seq } = record
                && is_first
            {
                subscription.account.stands(epoch, name, seq);
            }
            match subscription.positions.hear(&record).expect("an honest publisher") {
                Heard::Events { name, first, known, missing } => {
                    assert_eq!(missing, None, "O4: events are missing on a link, and no gap was told");
                    let mut seq = first;
                    let mut left = known;
                    while let Some(value) = records.next_value().expect("a value") {
                        if left > 0 {
                            left -= 1;
                            continue;
                        }
                        let value = Payload::from_parts(content.encoding(), bytes::Bytes::copy_from_slice(value));
                        let (of, said, _): (u64, u64, String) = value.decode().expect("what was published");
                        assert_eq!((of, said), (epoch.start(), seq), "O4: {name} {seq} is another event");
                        subscription.account.deliver(epoch, &name, seq);
                        seq += 1;
                    }
                    self.trace.note(self.now, &[2, nth as u64, seq]);
                }
                Heard::Gap(missing) => {
                    note(&mut self.report.missing, &missing);
                    subscription.account.miss(&missing);
                }
                Heard::Attached { .. } | Heard::Nothing => {}
            }
        }
    }

    /// Where it listens on a newer link, the older ones are told to finish.
    pub(super) fn move_on(&mut self, nth: usize) {
        let at = self.subscriber.all[nth].at.clone();
        let Some((newest, older)) = at.split_last() else { return };
        let is_up = |there: &(u32, u64)| self.links.get(&there.0).is_some_and(|link| link.ends[S].ended().is_none());
        if !is_up(newest) {
            return;
        }
        for there in older.iter().filter(|there| is_up(there)).copied().collect::<Vec<_>>() {
            if !self.subscriber.all[nth].finishing.contains(&there)
                && let Some(link) = self.links.get_mut(&there.0)
            {
                self.subscriber.all[nth].finishing.push(there);
                link.ends[S].unsubscribe(self.now, there.1, true);
                self.hear_news(there.0, S);
            }
        }
    }

    /// A link has ended: what came on it is read, then the next one.
    pub(super) fn read_rest(&mut self, link: u32) {
        let numbers: Vec<u64> =
            self.subscriber.numbers.range((link, 0)..=(link, u64::MAX)).map(|((_, number), _)| *number).collect();
        for number in numbers {
            self.read_events(link, number);
            // It may not be its turn; then it is read after those before it, which have ended, too.
            if let Some(there) = self.links.get_mut(&link) {
                let nth = self.subscriber.numbers[&(link, number)];
                if self.subscriber.all[nth].at.contains(&(link, number)) {
                    while !matches!(there.ends[S].take_events(number), Listened::Over(_)) {}
                    self.subscriber.all[nth].at.retain(|other| *other != (link, number));
                }
            }
        }
    }
}

fn note(counts: &mut BTreeMap<String, u64>, missing: &Missing) {
    *counts.entry(missing.why.to_string()).or_default() += missing.count().unwrap_or(1);
}
