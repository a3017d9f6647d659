//! What befalls the nodes.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::host::{Host, Process};
use super::seal::{Judge, Seal};
use super::wire::EndId;
use super::{Event, Network, application, lies, members};
use crate::channel::Input as LinkInput;
use crate::id::NodeId;
use crate::liveness::Profile;
use crate::membership::Keys;
use crate::node::{Config, Input, Keep, KeepsMembers, Node};
use crate::sim::dice::Dice;

use super::clock::Clock;

mod weather;

/// A kind of trouble.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Fault {
    /// Processes and computers die, and come back.
    Crash,
    /// Processes stand still for 0.1 to 40 s.
    Pause,
    /// Nothing gets through between some nodes.
    Partition,
    /// Nothing gets through in one direction.
    OneWay,
    /// Bytes take up to 2 s.
    Delay,
    /// Connections of 1 to 200 KB a second.
    Slow,
    /// Connections are reset.
    Reset,
    /// Connections carry nothing any more, and nobody is told.
    HalfOpen,
    /// Clocks are an hour off, 5 % fast or slow, and are set.
    Clock,
    /// Handlers take up to 30 s.
    Handlers,
    /// Applications do not take what they are given.
    Unread,
    /// Calls are cancelled.
    Cancels,
    /// Calls have hardly any time.
    Deadlines,
    /// Connections cannot be accepted.
    Accept,
    /// Nodes leave in good order and come back.
    Drain,
    /// Everybody dials everybody, at several addresses.
    Storm,
    /// Everybody drops all links and dials all addresses.
    Redial,
    /// Start counters are lost.
    Counter,
    /// Links take a handful of calls at once.
    Narrow,
    /// Some dial with the key of another node.
    Forgery,
    /// One node dies for good, and some hear of it only then.
    Ghost,
    /// One node lies: it hands on forged and old records, and those of nodes that do not exist, and says of others that they
    /// are gone.
    Poison,
}

impl Fault {
    /// All of them.
    pub const ALL: [Fault; 22] = [
        Fault::Crash,
        Fault::Pause,
        Fault::Partition,
        Fault::OneWay,
        Fault::Delay,
        Fault::Slow,
        Fault::Reset,
        Fault::HalfOpen,
        Fault::Clock,
        Fault::Handlers,
        Fault::Unread,
        Fault::Cancels,
        Fault::Deadlines,
        Fault::Accept,
        Fault::Drain,
        Fault::Storm,
        Fault::Redial,
        Fault::Counter,
        Fault::Narrow,
        Fault::Forgery,
        Fault::Ghost,
        Fault::Poison,
    ];
}

/// Which kinds of trouble there are in a run.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Faults(BTreeSet<Fault>);

impl Faults {
    /// Each one with one chance in two.
    pub fn by_chance(dice: &mut Dice) -> Faults {
        Faults(Fault::ALL.into_iter().filter(|_| dice.chance(50)).collect())
    }

    /// These.
    pub fn of(faults: &[Fault]) -> Faults {
        Faults(faults.iter().copied().collect())
    }

    /// Whether there is this one.
    pub fn has(&self, fault: Fault) -> bool {
        self.0.contains(&fault)
    }
}

/// Something that befalls.
#[derive(Clone, Debug)]
pub(super) enum Happening {
    Boot(usize),
    Crash(usize),
    Pause(usize),
    Resume(usize),
    Cut(Vec<(usize, usize)>),
    Mend(Vec<(usize, usize)>),
    Reset,
    HalfOpen,
    Step(usize),
    Jump(usize),
    Accepts(usize, bool),
    Reads(usize, bool),
    Leave(usize),
    Storm,
    Redial(usize),
    Bury(usize),
    Lie(usize),
    Lure(usize),
    /// The application of a node offers something more, or less, if it is still this run of it.
    Offer(usize, u32),
}

/// How the connections of a process end with it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum HowItEnds {
    /// Its computer says so, behind what was written.
    Closes,
    /// Its computer says so, and some of what was written is lost.
    Resets,
    /// Nobody says anything: the computer is off.
    Vanishes,
}

impl Network {
    pub(super) fn new_host(&mut self, now: Instant) -> Host {
        let id = NodeId::from_bytes(self.random());
        let (mut offset, mut rate, mut wall) = (3_600_000, 1_000, 0);
        if self.faults.has(Fault::Clock) {
            (offset, rate) = (self.dice.between(0, 7_200_000), self.dice.between(950, 1_050));
            wall = self.dice.between(0, 7_200) as i64 - 3_600;
        }
        Host {
            id,
            seal: Seal::of(id),
            clock: Clock::new(now, now + Duration::from_millis(offset), rate),
            wall,
            counter: 0,
            run: 0,
            process: None,
            is_on: true,
            is_buried: false,
            paused_until: None,
            pauses_since: now,
            woke: None,
            jumped_at: None,
            accepts: true,
            reads: true,
        }
    }

    /// Writes down when what is to happen.
    pub(super) fn schedule(&mut self) {
        let count = self.hosts.len();
        self.draw_seeds();
        self.at(self.begin + members::SAMPLE, Event::Sample);
        let starts_within = self.starts_within.unwrap_or(Duration::from_secs(2));
        for a in 0..count {
            self.soon(starts_within, Event::Happening(Happening::Boot(a)));
        }
        if let Some(time) = self.starts_within {
            for (after, event) in std::mem::take(&mut self.script) {
                self.at(self.begin + after, event);
            }
            // Whoever dials a seed that is not there yet waits up to 6 s in between.
            self.at(self.begin + time + Duration::from_secs(10), Event::Equal);
            return self.at(self.begin + time + Duration::from_secs(11), Event::Rest);
        }
        for a in 0..count {
            let doing = application::Doing::Begin { from: a };
            self.soon(Duration::from_secs(3), Event::Application(doing));
        }
        for fault in Fault::ALL {
            if self.faults.has(fault) {
                for _ in 0..self.dice.between(1, 12) {
                    let at = self.begin + self.dice.time(CALM);
                    self.schedule_one(at, fault);
                }
            }
        }
        for (from, to) in (0..count).flat_map(|from| (0..count).map(move |to| (from, to))) {
            self.at(self.begin + PROBE, Event::Application(application::Doing::Probe { from, to }));
        }
        if self.faults.has(Fault::Ghost) && count > 2 {
            self.prepare_ghost();
        }
        for (after, event) in std::mem::take(&mut self.script) {
            self.at(self.begin + after, event);
        }
        self.at(self.begin + CALM, Event::Calm);
        self.at(self.begin + REST, Event::Rest);
    }

    /// One node is cut off from some others from the beginning, so that they know of it by its record alone, and dies early
    /// for good.
    fn prepare_ghost(&mut self) {
        let ghost = self.hosts.len() - 1;
        // Somebody knows it, and is known by the others.
        let kept = self.dice.below(ghost as u64) as usize;
        self.seeds.extend([(kept, ghost)]);
        let cut = (0..ghost).filter(|other| *other != kept);
        self.cuts.extend(cut.flat_map(|other| [(other, ghost), (ghost, other)]));
        let at = self.begin + Duration::from_secs(5) + self.dice.time(Duration::from_secs(10));
        self.at(at, Event::Happening(Happening::Bury(ghost)));
    }

    /// A computer is gone for good. Nobody says so.
    fn bury(&mut self, host: usize) {
        self.end_process(host, HowItEnds::Vanishes);
        let here = &mut self.hosts[host];
        (here.is_buried, here.is_on, here.paused_until) = (true, false, None);
    }

    /// Who knows whom from the beginning: nearly everybody everybody, or just so many that all hang together.
    fn draw_seeds(&mut self) {
        let (count, is_sparse) = (self.hosts.len(), self.dice.chance(50));
        for b in 1..count {
            let first = self.dice.below(b as u64) as usize;
            for a in 0..b {
                let throw = self.dice.below(10);
                if is_sparse {
                    let pair = if throw < 5 { (a, b) } else { (b, a) };
                    self.seeds.extend((a == first).then_some(pair));
                } else {
                    self.seeds.extend((throw < 6).then_some((a, b)));
                    self.seeds.extend((throw > 3).then_some((b, a)));
                }
            }
        }
    }

    fn schedule_one(&mut self, at: Instant, fault: Fault) {
        let count = self.hosts.len() as u64;
        let host = self.dice.below(count) as usize;
        let later = (at + self.dice.time(Duration::from_secs(20))).min(self.begin + CALM);
        let happening = match fault {
            Fault::Crash => Happening::Crash(host),
            Fault::Pause => Happening::Pause(host),
            Fault::Partition | Fault::OneWay => {
                let ways = self.ways_to_cut(fault == Fault::OneWay);
                self.at(later, Event::Happening(Happening::Mend(ways.clone())));
                Happening::Cut(ways)
            }
            Fault::Reset => Happening::Reset,
            Fault::HalfOpen => Happening::HalfOpen,
            Fault::Clock if self.dice.chance(50) => Happening::Step(host),
            Fault::Clock => Happening::Jump(host),
            Fault::Accept => {
                self.at(later, Event::Happening(Happening::Accepts(host, true)));
                Happening::Accepts(host, false)
            }
            Fault::Unread => {
                self.at(later, Event::Happening(Happening::Reads(host, true)));
                Happening::Reads(host, false)
            }
            Fault::Drain => Happening::Leave(host),
            Fault::Storm => Happening::Storm,
            Fault::Redial => {
                for host in 0..self.hosts.len() {
                    let spread = self.dice.time(Duration::from_millis(10));
                    self.at(at + spread, Event::Happening(Happening::Redial(host)));
                }
                return;
            }
            Fault::Delay | Fault::Slow | Fault::Handlers | Fault::Cancels | Fault::Deadlines => return,
            Fault::Counter | Fault::Narrow | Fault::Forgery | Fault::Ghost => return,
            // Who hands on what a ghost once signed lets it live a little longer.
            Fault::Poison if self.faults.has(Fault::Ghost) => return,
            Fault::Poison => Happening::Lie(lies::LIAR),
        };
        self.at(at, Event::Happening(happening));
    }

    /// Two halves, one node alone, or two nodes.
    fn ways_to_cut(&mut self, one_way: bool) -> Vec<(usize, usize)> {
        let count = self.hosts.len();
        let kind = self.dice.below(3);
        let [a, b] = [0, 1].map(|_| self.dice.below(count as u64) as usize);
        let side: Vec<bool> = (0..count).map(|host| if kind == 0 { self.dice.chance(50) } else { host == a }).collect();
        let pairs = (0..count).flat_map(|from| (0..count).map(move |to| (from, to)));
        let parted = pairs.filter(|(from, to)| match kind {
            2 => (*from, *to) == (a, b) || (!one_way && (*to, *from) == (a, b)),
            _ => side[*from] != side[*to] && (!one_way || side[*from]),
        });
        parted.filter(|(from, to)| from != to).collect()
    }

    pub(super) fn befall(&mut self, happening: Happening) {
        self.log.note(self.now, &[50], || format!("** {happening:?}"));
        match happening {
            Happening::Boot(host) => self.boot(host),
            Happening::Crash(host) => self.crash(host),
            Happening::Pause(host) => self.pause(host),
            Happening::Resume(host) => self.resume(host),
            Happening::Cut(ways) => self.cut(&ways),
            Happening::Mend(ways) => self.mend(&ways),
            Happening::Reset => self.reset(),
            Happening::HalfOpen => self.half_open(),
            Happening::Step(host) => self.step(host),
            Happening::Jump(host) => self.jump(host),
            Happening::Accepts(host, accepts) => self.hosts[host].accepts = accepts,
            Happening::Reads(host, reads) => self.hosts[host].reads = reads,
            Happening::Leave(host) => self.leave(host),
            Happening::Storm => self.storm(),
            Happening::Redial(host) if self.hosts[host].paused_until.is_none() => self.feed(host, Input::Redial),
            Happening::Redial(_) => {}
            Happening::Bury(host) => self.bury(host),
            Happening::Lie(host) => self.lie(host),
            Happening::Lure(records) => self.lure_all(records),
            Happening::Offer(host, run) => self.offer(host, run),
        }
    }

    fn boot(&mut self, host: usize) {
        if self.hosts[host].process.is_some() || self.hosts[host].is_buried || self.now >= self.begin + REST {
            return;
        }
        if self.faults.has(Fault::Counter) && !self.is_calm && self.dice.chance(30) {
            let lost = &mut self.hosts[host];
            (lost.counter, lost.wall) = (lost.counter.saturating_sub(3), lost.wall - 3_600);
        }
        let (random, seed) = (self.random(), self.dice.below(u64::MAX));
        let seconds = BOOT_SECONDS + self.now.duration_since(self.begin).as_secs();
        let here = &mut self.hosts[host];
        let epoch = here.begin_epoch(seconds, random);
        here.run += 1;
        (here.is_on, here.jumped_at) = (true, None);
        let config = Config { here: Network::here(host), ..Config::new(here.id, epoch, seed) };
        let signer = std::sync::Arc::new(here.seal);
        let keys = Keys { signer, verifier: std::sync::Arc::new(Judge), network: self.key.clone() };
        let keeps = KeepsMembers { keys, profile: Profile::LAN, about: self.about(host) };
        let node = Node::with_members(self.local(host), config, keeps).expect("few words");
        let (now, run) = (self.now, self.hosts[host].run);
        self.hosts[host].process = Some(Process::new(node, now));
        self.soon(self.starts_within.unwrap_or(Duration::from_secs(15)), Event::Happening(Happening::Offer(host, run)));
        self.feed(host, Input::Searched);
        let seeds: Vec<usize> = self.seeds.iter().filter(|(from, _)| *from == host).map(|(_, to)| *to).collect();
        for to in seeds {
            let address = Network::address_of(to);
            self.feed(host, Input::Connect { connect: None, address, expected: None, keep: Keep::Forever });
        }
    }

    fn crash(&mut self, host: usize) {
        let how = [HowItEnds::Closes, HowItEnds::Resets, HowItEnds::Vanishes][self.dice.below(3) as usize];
        if self.hosts[host].process.is_none() {
            return;
        }
        self.end_process(host, how);
        self.hosts[host].paused_until = None;
        self.hosts[host].is_on = how != HowItEnds::Vanishes;
        let back = (self.now + self.dice.time(Duration::from_secs(15))).min(self.begin + CALM);
        self.at(back, Event::Happening(Happening::Boot(host)));
    }

    /// A process is gone, with all it held.
    pub(super) fn end_process(&mut self, host: usize, how: HowItEnds) {
        let Some(process) = &self.hosts[host].process else { return };
        let ends: Vec<EndId> = process.ends.keys().copied().collect();
        for end in ends {
            self.hurt(end);
            self.end_attempts(end);
            if how == HowItEnds::Resets {
                let at = self.now + self.dice.time(Duration::from_millis(20));
                let keep = self.dice.below(4) as usize;
                if let Some(wire) = self.wires.get_mut(&end.wire) {
                    wire.ways[end.side].reset(at, keep);
                    self.at(at, Event::Turn(end.other()));
                }
            }
            self.let_go(end, how == HowItEnds::Closes);
        }
        self.forget_calls(host);
        self.hosts[host].process = None;
    }

    fn leave(&mut self, host: usize) {
        if self.hosts[host].process.is_none() || self.hosts[host].paused_until.is_some() {
            return;
        }
        let within = self.dice.time(Duration::from_secs(6));
        let reason = "the simulation wants it".to_owned();
        let input = if self.dice.chance(80) { Input::Drain { within, reason } } else { Input::Stop { reason } };
        self.feed(host, input);
        // Draining and the last words on its links take up to 12.5 s.
        let back = (self.now + Duration::from_secs(13)).max(self.now + self.dice.time(Duration::from_secs(20)));
        if self.starts_within.is_none() && back < self.begin + REST {
            self.at(back, Event::Happening(Happening::Boot(host)));
        }
    }

    /// Everybody dials everybody, at an address of its choice.
    fn storm(&mut self) {
        for from in 0..self.hosts.len() {
            for to in 0..self.hosts.len() {
                let is_there = self.hosts[from].process.is_some() && self.hosts[from].paused_until.is_none();
                if from != to && is_there && self.dice.chance(50) {
                    let address = Network::address_of(to).with_port(1_000 + self.dice.below(1_000) as u16);
                    self.feed(from, Input::Connect { connect: None, address, expected: None, keep: Keep::Once });
                }
            }
        }
    }

    /// From now on nothing is broken, and nothing breaks.
    pub(super) fn calm(&mut self) {
        self.log.note(self.now, &[51], || "** calm".to_owned());
        self.is_calm = true;
        let cuts = self.cuts.clone();
        self.mend(&cuts);
        let now = self.now;
        for (id, wire) in &mut self.wires {
            wire.ways.iter_mut().for_each(|way| way.calm(now));
            self.turns.extend([0, 1].map(|side| EndId { wire: *id, side }));
        }
        for host in 0..self.hosts.len() {
            (self.hosts[host].accepts, self.hosts[host].reads) = (true, true);
            if self.hosts[host].paused_until.is_none() {
                self.for_links(host, |_| LinkInput::LocalHealth(1));
                self.feed(host, Input::LocalHealth(1));
            }
            self.soon(Duration::from_secs(3), Event::Happening(Happening::Boot(host)));
        }
    }

    /// Tells every link of a host something.
    pub(super) fn for_links(&mut self, host: usize, input: impl Fn(EndId) -> LinkInput<'static>) {
        let local = self.local(host);
        let Some(process) = &self.hosts[host].process else { return };
        let ends: Vec<EndId> = process.links.values().copied().collect();
        for end in ends {
            self.order_link(end, local, input(end));
        }
    }

    /// Until when a trouble that begins now lasts at most.
    pub(super) fn until_calm(&mut self, limit: Duration) -> Duration {
        let left = (self.begin + CALM).saturating_duration_since(self.now);
        (Duration::from_millis(100) + self.dice.time(limit)).min(left)
    }
}

/// Seconds on the wall at the beginning.
const BOOT_SECONDS: u64 = 1_760_000_000;

/// When everything is whole again.
pub(super) const CALM: Duration = Duration::from_secs(80);

/// When the last call is made.
pub(super) const CALLS_END: Duration = Duration::from_secs(88);

/// When each two nodes must have a link that works.
const PROBE: Duration = Duration::from_secs(112);

/// When everything must have come to rest.
pub(super) const REST: Duration = Duration::from_secs(120);

/// Who has left may come back until then, so that there is time to be found.
pub(super) const LAST_BOOT: Duration = Duration::from_secs(100);

/// How long the nodes have to leave.
pub(super) const LEAVING: Duration = Duration::from_secs(16);
