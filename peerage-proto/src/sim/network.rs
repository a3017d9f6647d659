//! Whole nodes and the weather between them: N processes on N computers, each with its own clock, in one thread.
//!
//! Every process is what ships: the `node` machine, a `hello` machine for each connection that is not admitted, a `channel`
//! machine for each link. Between them is what a driver does, written down once more without tasks: queues, time limits,
//! first frames, who forgets what when.
//!
//! ```text
//!   Host ── Process ── node ◀─arrivals, words─┬── hello ──┐
//!     │ clock             └──────orders──────▶└── channel ┴── Way ══ delay, rate, cut, reset ══ Way ── …
//!     └ pause, crash, drain                         ▲
//!                                            application: calls, handlers
//! ```
//!
//! Chance decides everything from one seed: first which faults there are at all, each with one chance in two (Groce et al.,
//! *Swarm testing*, 2012), then when and where. For the last third of the time all is healed, then the calls end, and at the
//! end every node leaves. The oracles look on all the time, with the knowledge of both ends that no node has:
//!
//! | oracle | |
//! |---|---|
//! | O1 | each call has exactly one outcome, no later than its deadline + 100 ms of its node's own clock |
//! | O2 | what ended as *did not run* never ran; nothing ran twice; nothing began that was given up before a pause |
//! | O3 | requests of one end begin in their order |
//! | O6 | once healed, two nodes have one link, the same one, and it works; before, the rule for duplicates costs no call, and |
//! | | no moment without a link; nobody goes back behind the newest epoch of a peer |
//! | O7 | events about members keep their grammar; nobody is called absent who has been there and linked for 10 s, nor what |
//! | | it has offered for as long |
//! | O8 | every table keeps to its bound and is empty at the end |
//! | O9 | 40 s after the last trouble all views of the members are equal, true and complete |
//! | O10 | no panic, no link and no timer that is left over; nobody gets in with a signature that is not its own |
//!
//! Whether they see anything at all is tested with bugs that are planted (feature `planted-bugs`), and whether the runs go
//! where it is interesting by the rare things that they must meet ([`MARKERS`]).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use super::dice::Dice;
use super::epoch;
use crate::hello::NetworkKey;
use crate::id::NodeId;
use crate::outcome::Outcome;
use crate::planted::{Bug, plant};

mod admission;
mod application;
mod clock;
mod driver;
mod faults;
mod host;
mod lies;
mod links;
mod log;
mod marker;
mod members;
mod oracle;
mod orders;
mod seal;
mod way;
mod wire;

use application::Call;
use faults::Happening;
pub use faults::{Fault, Faults};
use host::Host;
use log::Log;
pub use marker::MARKERS;
pub use oracle::{Oracle, Violation};
#[cfg(test)]
pub(crate) use seal::{Judge, Seal};
use wire::{EndId, Wire};

/// A network of nodes from one seed.
///
/// ```
/// use peerage_proto::sim::Network;
///
/// let report = Network::seeded(4_711).run().expect("no promise is broken");
/// assert_eq!(report.trace, Network::seeded(4_711).run().expect("nor is one the second time").trace);
/// ```
#[derive(Debug)]
pub struct Network {
    seed: u64,
    dice: Dice,
    faults: Faults,
    key: NetworkKey,
    now: Instant,
    begin: Instant,
    agenda: BTreeMap<(Instant, u64), Event>,
    events: u64,
    hosts: Vec<Host>,
    by_id: BTreeMap<NodeId, usize>,
    /// Pairs of hosts of which the first keeps dialling the second.
    seeds: BTreeSet<(usize, usize)>,
    wires: BTreeMap<u32, Wire>,
    next_wire: u32,
    /// Ends that have something to read or to write.
    turns: BTreeSet<EndId>,
    /// Hosts whose timers may have changed, and those ends of connections that may be the reason.
    touched: Touched,
    calls: Vec<Call>,
    /// Which call each request of an end is.
    attempts: BTreeMap<(EndId, u64), application::Attempt>,
    /// Ways that nothing gets through, from host to host; more than once if cut more than once.
    cuts: Vec<(usize, usize)>,
    is_calm: bool,
    log: Log,
    outcomes: BTreeMap<Outcome, u32>,
    markers: BTreeSet<&'static str>,
    violation: Option<Violation>,
    /// The rule that is broken on purpose.
    bug: Option<Bug>,
    /// Connections that were over before anything befell them.
    gone_unhurt: BTreeSet<u32>,
    /// Since when the first has been linked with the second, in the same runs of both, over whatever others.
    together: BTreeMap<(usize, usize), (Instant, (u32, u32))>,
    /// How long that has to be until nobody may be called absent.
    presence_after: Duration,
    sample_every: Duration,
    /// Nodes start within this time, and nothing else happens.
    starts_within: Option<Duration>,
    script: Vec<(Duration, Event)>,
    lies: lies::Lies,
}

/// What came of a run.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Report {
    /// Calls made.
    pub calls: u64,
    /// How they ended. Calls of crashed processes have no outcome.
    pub outcomes: BTreeMap<Outcome, u32>,
    /// Rare things that happened.
    pub markers: BTreeSet<&'static str>,
    /// Steps of the simulation.
    pub steps: u64,
    /// The fingerprint of the run.
    pub trace: u64,
}

/// Where something has happened, so that something else may be due.
#[derive(Debug, Default)]
struct Touched {
    hosts: BTreeSet<usize>,
    ends: BTreeSet<EndId>,
}

impl Touched {
    fn end(&mut self, host: usize, end: EndId) {
        self.hosts.insert(host);
        self.ends.insert(end);
    }
}

/// Something that is due at a time.
#[derive(Clone, Debug)]
enum Event {
    /// Something may have arrived at an end.
    Turn(EndId),
    Wake(usize),
    /// The driver of a node looks at its queues.
    Drive(usize, u32),
    Knock(admission::Knock),
    Connected(EndId),
    Accept(EndId),
    Refused(admission::Knock),
    Application(application::Doing),
    Happening(Happening),
    /// The answers about members are looked at.
    Sample,
    /// Every two nodes must have a link.
    Whole,
    /// All views of the members must be equal.
    Equal,
    /// Everything that was broken is whole again.
    Calm,
    /// Everything has come to rest: look, then let every node leave.
    Rest,
    Over,
}

impl Network {
    /// The network of this seed: so many nodes, so many faults, all by chance.
    pub fn seeded(seed: u64) -> Network {
        let mut dice = Dice::seeded(seed);
        let faults = Faults::by_chance(&mut dice);
        // The lesser of two throws: the work grows with the square.
        let nodes = dice.between(3, 10).min(dice.between(3, 10)) as usize;
        Network::new(seed, dice, faults).nodes(nodes)
    }

    fn new(seed: u64, dice: Dice, faults: Faults) -> Network {
        Network {
            seed,
            dice,
            faults,
            key: NetworkKey::new("sim", b"a secret that everybody knows").expect("a name and a secret"),
            now: epoch(),
            begin: epoch(),
            agenda: BTreeMap::new(),
            events: 0,
            hosts: Vec::new(),
            by_id: BTreeMap::new(),
            seeds: BTreeSet::new(),
            wires: BTreeMap::new(),
            next_wire: 0,
            turns: BTreeSet::new(),
            touched: Touched::default(),
            calls: Vec::new(),
            attempts: BTreeMap::new(),
            cuts: Vec::new(),
            is_calm: false,
            log: Log::new(),
            outcomes: BTreeMap::new(),
            markers: BTreeSet::new(),
            violation: None,
            bug: None,
            gone_unhurt: BTreeSet::new(),
            together: BTreeMap::new(),
            presence_after: members::PRESENCE_AFTER,
            sample_every: members::SAMPLE,
            starts_within: None,
            script: Vec::new(),
            lies: lies::Lies::default(),
        }
    }

    /// So many nodes instead of 3 to 10.
    #[must_use]
    pub fn nodes(mut self, nodes: usize) -> Network {
        let now = self.now;
        (self.hosts, self.by_id) = (Vec::new(), BTreeMap::new());
        for name in 0..nodes {
            let host = self.new_host(now);
            self.by_id.insert(host.id, name);
            self.hosts.push(host);
        }
        self
    }

    /// These faults instead of those that the seed drew.
    #[must_use]
    pub fn faults(mut self, faults: Faults) -> Network {
        self.faults = faults;
        self
    }

    /// Nothing gets through on these ways, each from one host to another, for `time` from `from` on. Within 15 s of its end
    /// each two nodes must have a link again, and within 20 s all views must be equal.
    #[must_use]
    pub fn apart(mut self, ways: &[(usize, usize)], from: Duration, time: Duration) -> Network {
        let (ways, end) = (ways.to_vec(), from + time);
        self.script.push((from, Event::Happening(Happening::Cut(ways.clone()))));
        self.script.push((end, Event::Happening(Happening::Mend(ways))));
        self.script.push((end + Duration::from_secs(15), Event::Whole));
        self.script.push((end + Duration::from_secs(20), Event::Equal));
        self
    }

    /// All that happens is that the nodes start, in any order, within `time`. Nobody may be called absent who has been there
    /// and linked for a second, and 10 s after the last start all views must be equal.
    #[must_use]
    pub fn starting_within(mut self, time: Duration) -> Network {
        self.faults = Faults::default();
        self.starts_within = Some(time);
        (self.presence_after, self.sample_every) = (Duration::from_secs(1), Duration::from_millis(50));
        self
    }

    /// With [`starting_within`](Self::starting_within): one after the other, every `every` from `from` on, these hosts crash or
    /// leave, by turns, and are back 15 s later.
    #[must_use]
    pub fn churning(mut self, hosts: &[usize], from: Duration, every: Duration) -> Network {
        let mut at = from;
        for (nth, host) in hosts.iter().enumerate() {
            let goes = if nth % 2 == 0 { Happening::Crash(*host) } else { Happening::Leave(*host) };
            self.script.push((at, Event::Happening(goes)));
            self.script.push((at + Duration::from_secs(15), Event::Happening(Happening::Boot(*host))));
            at += every;
        }
        self
    }

    /// One node lies at this time: it sends each of its links so many records of nodes that do not exist, each with ten
    /// addresses at which nobody is, or may be dialled.
    #[must_use]
    pub fn luring(mut self, at: Duration, records: usize) -> Network {
        self.script.push((at, Event::Happening(Happening::Lure(records))));
        self
    }

    /// Prints what happens, step by step, one line each.
    #[must_use]
    pub fn traced(mut self, prints: fn(&str)) -> Network {
        self.log.print(prints);
        self
    }

    /// Breaks this rule in all the machines, to see whether it is noticed.
    #[cfg(feature = "planted-bugs")]
    #[must_use]
    pub fn planted(mut self, bug: Bug) -> Network {
        self.bug = Some(bug);
        self
    }

    /// Runs until everything is over.
    ///
    /// # Errors
    /// The first promise that was broken, with the line that replays it.
    pub fn run(mut self) -> Result<Report, Box<Violation>> {
        plant(self.bug);
        let result = catch_unwind(AssertUnwindSafe(|| self.run_all()));
        plant(None);
        if let Err(panic) = result {
            let what = oracle::text_of(panic.as_ref());
            self.violated_by_panic(&what);
        }
        match self.violation.take() {
            Some(violation) => Err(Box::new(violation)),
            None => Ok(Report {
                calls: self.calls.len() as u64,
                outcomes: self.outcomes,
                markers: self.markers,
                steps: self.events,
                trace: self.log.value(),
            }),
        }
    }

    fn run_all(&mut self) {
        self.schedule();
        while let Some(((at, _), event)) = self.agenda.pop_first() {
            self.now = self.now.max(at);
            if let Event::Over = event {
                self.check_over();
                return;
            }
            self.happen(event);
            self.settle();
            if self.violation.is_some() {
                return;
            }
        }
    }

    /// What happens by itself until the next event.
    fn settle(&mut self) {
        let mut rounds = 0_u32;
        while let Some(end) = self.turns.pop_first() {
            rounds += 1;
            assert!(rounds < 100_000, "two ends keep each other busy for ever");
            self.turn(end);
        }
        while let Some(end) = self.touched.ends.pop_first() {
            let Some(wire) = self.wires.get(&end.wire) else { continue };
            let (host, due) = (wire.hosts[end.side], wire.next_timeout(end.side));
            let known = self.hosts[host].process.as_mut().and_then(|process| process.ends.get_mut(&end));
            if let Some(known) = known {
                *known = due;
            }
        }
        for host in std::mem::take(&mut self.touched.hosts) {
            self.arm(host);
        }
    }

    fn happen(&mut self, event: Event) {
        if let Some(until) = self.host_of(&event).and_then(|host| self.hosts[host].paused_until) {
            // Nothing of it happens before the process goes on.
            return self.at(until, event);
        }
        match event {
            Event::Turn(end) => _ = self.turns.insert(end),
            Event::Wake(host) => self.wake(host),
            Event::Drive(host, run) => self.drive(host, run),
            Event::Knock(knock) => self.knock(knock),
            Event::Connected(end) => self.connected(end),
            Event::Accept(end) => self.accept(end),
            Event::Refused(knock) => self.refused(&knock),
            Event::Application(doing) => self.application(doing),
            Event::Happening(happening) => self.befall(happening),
            Event::Sample => self.sample(),
            Event::Whole => self.check_links(),
            Event::Equal => self.check_views(),
            Event::Calm => self.calm(),
            Event::Rest => self.rest(),
            Event::Over => {}
        }
    }

    /// The host whose process an event is for.
    fn host_of(&self, event: &Event) -> Option<usize> {
        let at_end = |end: &EndId| self.wires.get(&end.wire).map(|wire| wire.hosts[end.side]);
        match event {
            Event::Turn(end) | Event::Connected(end) | Event::Accept(end) => at_end(end),
            Event::Wake(host) | Event::Drive(host, _) => Some(*host),
            Event::Refused(knock) => Some(knock.from),
            Event::Application(doing) => match doing {
                application::Doing::Begin { from } | application::Doing::Probe { from, .. } => Some(*from),
                application::Doing::Try(call)
                | application::Doing::Cancel(call)
                | application::Doing::Overdue(call) => self.calls.get(*call).map(|call| call.from),
                application::Doing::Fetch(end, _)
                | application::Doing::Answer(end, _)
                | application::Doing::Stopped(end, ..) => at_end(end),
            },
            Event::Sample | Event::Whole | Event::Equal => None,
            Event::Knock(_) | Event::Happening(_) | Event::Calm | Event::Rest | Event::Over => None,
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

    /// The time at a host.
    fn local(&self, host: usize) -> Instant {
        self.hosts[host].clock.local(self.now)
    }

    /// How long something needs from one host to another just now.
    fn delay(&mut self, base: Duration) -> Duration {
        let heavy = self.faults.has(Fault::Delay) && !self.is_calm;
        let limit = match self.dice.below(100) {
            0 | 1 if heavy => Duration::from_secs(2),
            2..10 if heavy => Duration::from_millis(200),
            _ => base,
        };
        base + self.dice.time(limit)
    }

    fn is_cut(&self, from: usize, to: usize) -> bool {
        self.cuts.contains(&(from, to))
    }

    fn mark(&mut self, what: &'static str) {
        marker::note(&mut self.markers, what);
    }

    /// Makes sure that a host is woken when its next timer is due.
    fn arm(&mut self, host: usize) {
        let next = self.next_timeout(host).map(|local| self.hosts[host].clock.global(local));
        let now = self.now;
        let Some(process) = &mut self.hosts[host].process else { return };
        let Some(next) = next.map(|next| next.max(now)) else { return };
        if process.armed.is_none_or(|armed| next < armed || armed < now) {
            process.armed = Some(next);
            self.at(next, Event::Wake(host));
        }
    }

    fn next_timeout(&self, host: usize) -> Option<Instant> {
        let process = self.hosts[host].process.as_ref()?;
        let ends = process.ends.values().flatten().copied();
        let own = [process.node.next_timeout(), process.exits_at];
        own.into_iter().flatten().chain(process.unnamed.values().copied()).chain(ends).min()
    }
}

/// Who, for people.
#[derive(Clone, Copy)]
struct Name(usize);

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}", self.0)
    }
}
