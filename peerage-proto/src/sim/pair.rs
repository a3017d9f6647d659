//! Two machines and the weather between them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::dice::Dice;
use super::end::{End, News, numbered};
use super::epoch;
use super::pipe::Pipe;
use super::trace::Trace;
use crate::channel::{Config, Served, Side, StreamId};
use crate::codec::Encoding;
use crate::frame::Dialect;
use crate::outcome::{CallError, Code, LinkLost, Outcome, Stop};
#[cfg(feature = "planted-bugs")]
use crate::planted::{Bug, plant};

/// What a run is made of. The seed decides everything else.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What the link speaks. Default plain.
    pub dialect: Dialect,
    /// In which encoding. Default JSON.
    pub encoding: Encoding,
    /// Calls of each end. Default 200.
    pub calls: u32,
    /// How many of 100 calls are cancelled. Default 0.
    pub cancels: u64,
    /// How many of 100 calls have a deadline, from none left to far more than needed. Default 0.
    pub deadlines: u64,
    /// How many of 100 handlers take up to 10 s instead of 200 ms. Default 0.
    pub hangs: u64,
    /// How many of 100 calls are conversations. Full dialect only. Default 0.
    pub conversations: u64,
    /// Whether the connection is cut somewhere in the middle. Default not.
    pub kill: bool,
    /// Requests each end serves at once. Default 1,024, as shipped.
    pub served_at_once: u32,
}

impl Default for Plan {
    fn default() -> Plan {
        Plan {
            dialect: Dialect::Plain,
            encoding: Encoding::Json,
            calls: 200,
            cancels: 0,
            deadlines: 0,
            hangs: 0,
            conversations: 0,
            kill: false,
            served_at_once: crate::limits::SERVED_AT_ONCE_DEFAULT,
        }
    }
}

/// What came of a run.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Report {
    /// Calls made at both ends.
    pub calls: u64,
    /// How they ended.
    pub outcomes: BTreeMap<Outcome, u32>,
    /// The fingerprint of the run.
    pub trace: u64,
}

/// Runs two ends on one link until everything is over.
///
/// # Panics
///
/// If a promise is broken; the message names it.
pub fn pair(seed: u64, plan: &Plan) -> Report {
    let mut pair = Pair::new(seed, plan.clone());
    pair.schedule();
    pair.run();
    for side in [0, 1] {
        pair.at(pair.now + Duration::from_secs(side as u64), Event::Close(side));
    }
    pair.run();
    pair.report()
}

/// The same with a rule broken, to see which oracle finds it.
#[cfg(feature = "planted-bugs")]
pub fn planted_pair(bug: Bug, seed: u64, plan: &Plan) -> Report {
    /// Mends the rule, by a panic too.
    struct Mend;

    impl Drop for Mend {
        fn drop(&mut self) {
            plant(None);
        }
    }

    plant(Some(bug));
    let _mend = Mend;
    pair(seed, plan)
}

struct Pair {
    dice: Dice,
    plan: Plan,
    now: Instant,
    ends: [End; 2],
    /// `pipes[i]` carries what `ends[i]` writes.
    pipes: [Pipe; 2],
    /// Largest padding of a call, in bytes.
    padding_max: usize,
    told_of_close: [bool; 2],
    agenda: BTreeMap<(Instant, u64), Event>,
    events: u64,
    /// Calls of each end whose request reached the other's application.
    ran: [BTreeSet<u64>; 2],
    did_not_run: [BTreeSet<u64>; 2],
    last_ran: [Option<u64>; 2],
    /// Which call of the other end a request is.
    numbers: [BTreeMap<Served, u64>; 2],
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Call(usize),
    /// So many items are still to be said.
    Say(usize, StreamId, u64),
    Read(usize, StreamId),
    Cancel(usize, u64),
    Fetch(usize, Served),
    Answer(usize, Served),
    Stopped(usize, Served),
    GiveBack(usize),
    Break(usize),
    Close(usize),
}

impl Pair {
    fn new(seed: u64, plan: Plan) -> Pair {
        let mut dice = Dice::seeded(seed);
        let end = |side| {
            End::new(Config {
                encoding: Some(plan.encoding),
                dialect: plan.dialect,
                side,
                frame_bytes: 200_000,
                calls_in_flight: 64,
                served_at_once: plan.served_at_once,
                ..Config::default()
            })
        };
        let ends = [end(Side::Dialler), end(Side::Acceptor)];
        // One size for both, so that large frames do not creep through the narrowest.
        let capacity = [1, 50, 4_000, 300_000][dice.below(4) as usize];
        let padding_max = (capacity * 20).min(150_000);
        let pipes = [0, 1].map(|_| Pipe::new(capacity));
        Pair {
            dice,
            plan,
            now: epoch(),
            ends,
            pipes,
            padding_max,
            told_of_close: [false; 2],
            agenda: BTreeMap::new(),
            events: 0,
            ran: Default::default(),
            did_not_run: Default::default(),
            last_ran: [None; 2],
            numbers: Default::default(),
        }
    }

    /// Calls in bursts over some seconds, and the cut if there is one.
    fn schedule(&mut self) {
        let all = Duration::from_millis(u64::from(self.plan.calls) * 5);
        for side in [0, 1] {
            let mut left = self.plan.calls;
            while left > 0 {
                let at = self.now + self.dice.time(all);
                let burst = self.dice.between(1, 20).min(u64::from(left)) as u32;
                (0..burst).for_each(|_| self.at(at, Event::Call(side)));
                left -= burst;
            }
        }
        if self.plan.kill {
            let at = self.now + all / 4 + self.dice.time(all / 2);
            let first = self.dice.below(2) as usize;
            self.at(at, Event::Break(first));
            let later = self.dice.time(Duration::from_millis(300));
            self.at(at + later, Event::Break(1 - first));
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
            while self.turn(0) | self.turn(1) {
                rounds += 1;
                assert!(rounds < 1_000_000, "the ends keep each other busy for ever");
            }
            let times = [0, 1].into_iter().flat_map(|side| {
                let arrival = self.pipes[1 - side].next_arrival().filter(|at| *at > self.now);
                [arrival, self.ends[side].next_timeout()]
            });
            let event = self.agenda.first_key_value().map(|((at, _), _)| *at);
            let Some(next) = times.flatten().chain(event).min() else {
                return;
            };
            self.now = self.now.max(next);
            assert!(self.now < epoch() + LONG_ENOUGH, "the link stands still");
            for side in [0, 1] {
                self.ends[side].ring_if_due(self.now);
                self.hear_news(side);
            }
            while let Some(entry) = self.agenda.first_entry().filter(|entry| entry.key().0 <= self.now) {
                let event = entry.remove();
                self.happen(event);
            }
        }
    }

    fn happen(&mut self, event: Event) {
        let now = self.now;
        let side = match event {
            Event::Call(side) => {
                self.call(side);
                side
            }
            Event::Say(side, stream, left) => {
                self.say(side, stream, left);
                side
            }
            Event::Read(side, stream) => {
                self.ends[side].read_items(now, stream, true);
                side
            }
            Event::Cancel(side, number) => {
                self.ends[side].cancel(now, number);
                side
            }
            Event::Fetch(side, request) => {
                self.ends[side].fetched(now, request);
                side
            }
            Event::Answer(side, request) => {
                self.answer(side, request);
                side
            }
            Event::Stopped(side, request) => {
                let word = if self.dice.chance(50) { Stop::Stopped } else { Stop::Detached };
                self.ends[side].stopped(now, request, word);
                side
            }
            Event::GiveBack(side) => {
                self.ends[side].give_back(now);
                side
            }
            Event::Break(side) => {
                self.ends[side].broken(now);
                side
            }
            Event::Close(side) => {
                self.ends[side].close(now);
                side
            }
        };
        self.hear_news(side);
    }

    fn call(&mut self, side: usize) {
        let has_deadline = self.dice.chance(self.plan.deadlines);
        let deadline = has_deadline.then(|| self.now + self.dice.time(Duration::from_millis(600)));
        let padding = self.dice.size(self.padding_max);
        let converses = self.plan.dialect == Dialect::Full && self.dice.chance(self.plan.conversations);
        let called = match converses {
            true => self.ends[side].open(self.now, padding, deadline),
            false => self.ends[side].call(self.now, padding, deadline).map(|number| (number, None)),
        };
        if let Some((_, Some(stream))) = called {
            let items = self.dice.below(30);
            self.soon(Duration::from_millis(20), Event::Say(side, stream, items));
        }
        match called.map(|(number, _)| number) {
            None => self.soon(Duration::from_millis(20), Event::Call(side)),
            Some(number) if self.dice.chance(self.plan.cancels) => {
                self.soon(Duration::from_millis(300), Event::Cancel(side, number));
            }
            Some(_) => {}
        }
    }

    /// Says an item of a conversation, and later the next one, until it has said enough.
    fn say(&mut self, side: usize, stream: StreamId, left: u64) {
        if left == 0 {
            let well = self.dice.chance(80);
            return self.ends[side].end_talk(self.now, stream, well);
        }
        let padding = self.dice.size(self.padding_max);
        if self.ends[side].say_item(self.now, stream, padding) {
            self.soon(Duration::from_millis(10), Event::Say(side, stream, left - 1));
        }
    }

    fn answer(&mut self, side: usize, request: Served) {
        let Some(number) = self.numbers[side].get(&request).copied() else {
            return;
        };
        if self.dice.chance(10) {
            let message = "no".repeat(self.dice.size(self.padding_max.min(6_000)));
            return self.ends[side].fail(self.now, request, Code::new("sim"), &message, None);
        }
        // Beyond the largest call there are answers that do not fit into a frame.
        let padding = self.dice.size(self.padding_max * 3 / 2);
        self.ends[side].reply(self.now, request, &numbered(number, padding, self.plan.encoding));
    }

    /// One step of the driver of an end; whether it did anything.
    fn turn(&mut self, side: usize) -> bool {
        let did = self.read(side) | self.write(side);
        self.hear_news(side);
        did
    }

    fn read(&mut self, side: usize) -> bool {
        let (now, pipe) = (self.now, &mut self.pipes[1 - side]);
        let end = &mut self.ends[side];
        if !end.wants_bytes() {
            return false;
        }
        if pipe.has_arrived(now) {
            if let Some(mut lent) = end.lend() {
                let (buffer, room) = lent.buffer();
                let read = pipe.read(now, room);
                buffer.extend_from_slice(&read);
                end.take_back(now, lent, &read);
                return true;
            }
            let limit = [1, 7, 300, 70_000][self.dice.below(4) as usize];
            let bytes = pipe.read(now, limit);
            end.receive(now, &bytes);
            return true;
        }
        if pipe.is_finished(now) && !self.told_of_close[side] {
            self.told_of_close[side] = true;
            end.peer_closed(now);
            return true;
        }
        false
    }

    fn write(&mut self, side: usize) -> bool {
        let space = self.pipes[side].space();
        if space == 0 || self.ends[side].holds_transmit() || !self.ends[side].takes() {
            return false;
        }
        let limit = if self.dice.chance(30) { self.dice.between(1, 200) as usize } else { usize::MAX };
        let bytes = self.ends[side].write(limit.min(space));
        let at = self.now + self.dice.time(Duration::from_millis(10));
        self.pipes[side].write(at, bytes);
        if self.dice.chance(20) {
            self.soon(Duration::from_millis(5), Event::GiveBack(side));
        } else {
            self.ends[side].give_back(self.now);
        }
        true
    }

    fn hear_news(&mut self, side: usize) {
        for news in self.ends[side].news() {
            match news {
                News::Request { served, number } => self.request(side, served, number),
                News::Settled { number, result } => self.settled(side, number, &result),
                News::Stop(served) => self.soon(Duration::from_millis(30), Event::Stopped(side, served)),
                News::Readable(stream) => self.soon(Duration::from_millis(20), Event::Read(side, stream)),
                News::Ended => self.ended(side),
                News::Control { .. }
                | News::Idle
                | News::Answered
                | News::Quiet(_)
                | News::GaveUp { .. }
                | News::OfEvents(_) => {}
            }
        }
    }

    fn request(&mut self, side: usize, served: Served, number: Option<u64>) {
        let (caller, number) = (1 - side, number.expect("both ends are honest"));
        assert!(!self.did_not_run[caller].contains(&number), "call {number} did not run, yet it runs");
        assert!(self.ran[caller].insert(number), "call {number} runs once");
        assert!(self.last_ran[caller].is_none_or(|last| number > last), "requests keep their order");
        self.last_ran[caller] = Some(number);
        self.numbers[side].insert(served, number);
        if let Some(stream) = self.ends[side].stream_of(served) {
            let items = self.dice.below(30);
            self.soon(Duration::from_millis(20), Event::Say(side, stream, items));
        }
        self.soon(Duration::from_millis(10), Event::Fetch(side, served));
        let limit = match self.dice.below(2) {
            _ if self.dice.chance(self.plan.hangs) => Duration::from_secs(10),
            0 => Duration::from_millis(1),
            _ => Duration::from_millis(200),
        };
        self.soon(limit, Event::Answer(side, served));
    }

    fn settled(&mut self, side: usize, number: u64, result: &Result<Option<u64>, CallError>) {
        match result {
            Ok(answer) => assert_eq!(*answer, Some(number), "an answer belongs to its call"),
            Err(error) if !error.may_have_run() => {
                assert!(!self.ran[side].contains(&number), "call {number} ran, yet it {error}");
                self.did_not_run[side].insert(number);
            }
            Err(CallError::Protocol { why }) => panic!("both ends are honest: {why}"),
            Err(_) => {}
        }
    }

    fn ended(&mut self, side: usize) {
        self.pipes[1 - side].deafen();
        match self.ends[side].ended() {
            Some(LinkLost::ClosedHere | LinkLost::PeerClosed) => self.pipes[side].close(self.now),
            Some(LinkLost::Broken(_)) if self.plan.kill => {
                let limit = Duration::from_millis(100);
                self.soon(limit, Event::Break(1 - side));
            }
            why => panic!("an honest link does not end so: {why:?}"),
        }
    }

    fn report(&mut self) -> Report {
        let (mut outcomes, mut trace, mut calls) = (BTreeMap::new(), Trace::new(), 0);
        for end in &mut self.ends {
            end.check_empty(self.now);
            assert_eq!(end.calls(), u64::from(self.plan.calls), "every call was made");
            calls += end.calls();
            for (outcome, count) in end.outcomes() {
                *outcomes.entry(*outcome).or_default() += count;
            }
            trace.note(self.now, &[end.trace()]);
        }
        let settled: u32 = outcomes.values().sum();
        assert_eq!(u64::from(settled), calls, "every call has exactly one outcome");
        Report { calls, outcomes, trace: trace.value() }
    }
}

/// Virtual time after which a run that is not over never will be.
const LONG_ENOUGH: Duration = Duration::from_secs(24 * 3_600);
