//! A publisher and a subscriber, the links between them, and the equation that must close (oracle O4).
//!
//! ```text
//!   Topics ──▶ Channel ══ link, cut, link, … ══▶ Channel ──▶ Positions ──▶ Account
//!      └──────────────── what was published ───────────────────────────▶ compares
//! ```
//!
//! The subscriber reads as it likes, stands still, is cut for it and comes back; links break and others take their place, or
//! one is superseded while both live; the publisher is started anew. Calls go to and fro beside all that. In the end, for every
//! (epoch, name, subscription): events delivered and events reported missing are what was published, each once and in order.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::dice::Dice;
use super::epoch;
use super::trace::Trace;
use crate::codec::Encoding;
#[cfg(feature = "planted-bugs")]
use crate::planted::{Bug, plant};

mod account;
mod links;
mod publisher;
mod subscriber;

use links::Link;
use publisher::Publisher;
use subscriber::Subscriber;

/// What a run is made of. The seed decides everything else.
#[derive(Clone, Debug)]
pub struct FeedPlan {
    /// In which encoding. Default MessagePack.
    pub encoding: Encoding,
    /// Events of the publisher, in all. Default 400.
    pub events: u32,
    /// Time for each of them; they come in bursts. Default 20 ms.
    pub pace: Duration,
    /// The policy of every subscription. Default one by chance for each.
    pub policy: Option<&'static str>,
    /// How often the link is cut, and another one takes its place. Default never.
    pub cuts: u32,
    /// How often another link takes the place of one that lives. Default never.
    pub moves: u32,
    /// How often the publisher is started anew. Default never.
    pub restarts: u32,
    /// How many of 100 times a subscriber that could read stands still, for up to 15 s. Default 0.
    pub stalls: u64,
    /// Calls of each end, on each link. Default 20.
    pub calls: u32,
}

impl Default for FeedPlan {
    fn default() -> FeedPlan {
        FeedPlan {
            encoding: Encoding::MsgPack,
            events: 400,
            pace: Duration::from_millis(20),
            policy: None,
            cuts: 0,
            moves: 0,
            restarts: 0,
            stalls: 0,
            calls: 20,
        }
    }
}

/// What came of a run.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct FeedReport {
    /// Events published, one for each subscription that was there to hear of it.
    pub published: u64,
    /// Events delivered.
    pub delivered: u64,
    /// Events reported missing, by the word for why.
    pub missing: BTreeMap<String, u64>,
    /// How subscriptions ended at a link, by name.
    pub ends: BTreeMap<String, u64>,
    /// Marks that were confirmed.
    pub confirmed: u64,
    /// The fingerprint of the run.
    pub trace: u64,
}

/// Runs a publisher and a subscriber until all is told.
///
/// # Panics
///
/// If a promise is broken; the message names it.
pub fn feeds(seed: u64, plan: &FeedPlan) -> FeedReport {
    let mut world = World::new(seed, plan.clone());
    world.schedule();
    world.run();
    world.settle();
    world.report()
}

/// The same with a rule broken, to see which oracle finds it.
#[cfg(feature = "planted-bugs")]
pub fn planted_feeds(bug: Bug, seed: u64, plan: &FeedPlan) -> FeedReport {
    /// Mends the rule, by a panic too.
    struct Mend;

    impl Drop for Mend {
        fn drop(&mut self) {
            plant(None);
        }
    }

    plant(Some(bug));
    let _mend = Mend;
    feeds(seed, plan)
}

/// The subscriber's end of a link, which dials.
const S: usize = 0;
/// The publisher's.
const P: usize = 1;

struct World {
    dice: Dice,
    plan: FeedPlan,
    now: Instant,
    /// Those that live, by their numbers; the last one is in use.
    links: BTreeMap<u32, Link>,
    next_link: u32,
    publisher: Publisher,
    subscriber: Subscriber,
    agenda: BTreeMap<(Instant, u64), Event>,
    events: u64,
    /// Nothing is planned any more.
    is_settling: bool,
    report: FeedReport,
    trace: Trace,
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Publish,
    Call(u32, usize),
    Answer(u32, usize, crate::channel::Served),
    /// A subscription reads what there is on a link.
    Read(u32, u64),
    GiveBack(u32, usize),
    Cut,
    Move,
    Restart,
    Connect,
    Break(u32, usize),
    Close(u32),
    /// A subscription that was cut comes back.
    Resubscribe(usize),
    /// A subscription leaves the links that were superseded.
    MoveOn(usize),
}

impl World {
    fn new(seed: u64, plan: FeedPlan) -> World {
        let mut dice = Dice::seeded(seed);
        let subscriber = Subscriber::new(&mut dice, plan.policy);
        World {
            dice,
            now: epoch(),
            links: BTreeMap::new(),
            next_link: 0,
            publisher: Publisher::new(),
            subscriber,
            agenda: BTreeMap::new(),
            events: 0,
            is_settling: false,
            report: FeedReport::default(),
            trace: Trace::new(),
            plan,
        }
    }

    fn schedule(&mut self) {
        let all = self.plan.pace * self.plan.events;
        self.at(self.now, Event::Connect);
        let mut left = u64::from(self.plan.events);
        while left > 0 {
            let at = self.now + self.dice.time(all);
            let burst = self.dice.between(1, 40).min(left);
            (0..burst).for_each(|_| self.at(at, Event::Publish));
            left -= burst;
        }
        let (cuts, moves, restarts) = (self.plan.cuts, self.plan.moves, self.plan.restarts);
        for (count, event) in [(cuts, Event::Cut), (moves, Event::Move), (restarts, Event::Restart)] {
            for _ in 0..count {
                let at = self.now + self.dice.time(all);
                self.at(at, event);
            }
        }
    }

    fn at(&mut self, at: Instant, event: Event) {
        self.events += 1;
        self.agenda.insert((at, self.events), event);
    }

    fn soon(&mut self, limit: Duration, event: Event) {
        let at = self.now + self.dice.time(limit);
        self.at(at, event);
    }

    /// Lets everything happen that will happen by itself.
    fn run(&mut self) {
        loop {
            let mut rounds = 0_u32;
            while self.turn() {
                rounds += 1;
                assert!(rounds < 1_000_000, "the ends keep each other busy for ever");
            }
            let times = self.links.values().filter_map(|link| link.next_time(self.now)).min();
            let event = self.agenda.first_key_value().map(|((at, _), _)| *at);
            let Some(next) = times.into_iter().chain(event).min() else { return };
            self.now = self.now.max(next);
            assert!(self.now < epoch() + LONG_ENOUGH, "the links stand still");
            for number in self.links.keys().copied().collect::<Vec<_>>() {
                for side in [S, P] {
                    if let Some(link) = self.links.get_mut(&number) {
                        link.ends[side].ring_if_due(self.now);
                    }
                    self.hear_news(number, side);
                }
            }
            while let Some(entry) = self.agenda.first_entry().filter(|entry| entry.key().0 <= self.now) {
                let event = entry.remove();
                self.happen(event);
            }
        }
    }

    /// One step of the drivers of all ends; whether any did anything.
    fn turn(&mut self) -> bool {
        let mut did = false;
        for number in self.links.keys().copied().collect::<Vec<_>>() {
            for side in [S, P] {
                did |= self.read(number, side) | self.write(number, side);
                self.hear_news(number, side);
            }
        }
        did
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Publish => self.publish(),
            Event::Call(link, side) => self.call(link, side),
            Event::Answer(link, side, served) => self.answer(link, side, served),
            Event::Read(link, number) => self.read_events(link, number),
            Event::GiveBack(link, side) => {
                if let Some(there) = self.links.get_mut(&link) {
                    there.ends[side].give_back(self.now);
                }
                self.hear_news(link, side);
            }
            Event::Cut => self.cut(),
            Event::Move => self.connect(),
            Event::Restart => {
                // The process dies: its ends are gone at once.
                for number in self.links.keys().copied().collect::<Vec<_>>() {
                    self.break_end(number, P);
                }
                self.cut();
                self.publisher.restart();
            }
            Event::Connect => {
                if self.links.is_empty() {
                    self.connect();
                }
            }
            Event::Break(link, side) => self.break_end(link, side),
            Event::Close(link) => self.close(link),
            Event::Resubscribe(nth) => self.resubscribe(nth),
            Event::MoveOn(nth) => self.move_on(nth),
        }
    }

    /// All that was planned has happened: a link that is not cut any more, and subscribers that read.
    fn settle(&mut self) {
        self.is_settling = true;
        for _ in 0..20 {
            if self.links.is_empty() {
                self.connect();
            }
            self.run();
            self.resubscribe_all();
            self.run();
        }
    }

    fn report(mut self) -> FeedReport {
        let live = self.publisher.published();
        for (pattern, account) in self.subscriber.accounts() {
            account.check(pattern, self.publisher.epoch(), &live);
            self.report.delivered += account.delivered;
        }
        self.report.published = self.publisher.total();
        self.close_all();
        self.report.trace = self.trace.value();
        self.report
    }
}

/// Virtual time after which a run that is not over never will be.
const LONG_ENOUGH: Duration = Duration::from_secs(24 * 3_600);
