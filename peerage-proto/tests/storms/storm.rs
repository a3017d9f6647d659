//! Many nodes that dial each other at once, in one thread, on virtual time.
//!
//! Every node is the shipped machine. Around it is as much of a driver and of a handshake as the machine can tell from the
//! real ones: who proves himself when, who is told what, what is closed by whom. There are no bytes, so that a storm takes
//! milliseconds and hundred thousand of them an hour at most.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use peerage_proto::address::Address;
use peerage_proto::id::{Epoch, LinkId, LinkOrder, NodeId};
use peerage_proto::node::{Config, DialId, Input, Keep, Node};
use peerage_proto::sim::Dice;

use super::oracle::{Broken, Oracle, Pair};
use super::planted::Planted;
use super::weather::Weather;
use super::wire::{End, Frame, Wire};

/// A storm from one seed.
#[derive(Debug)]
pub(crate) struct Storm {
    pub(crate) dice: Dice,
    pub(crate) weather: Weather,
    pub(crate) planted: Option<Planted>,
    pub(crate) now: Instant,
    begin: Instant,
    agenda: BTreeMap<(Instant, u64), Event>,
    pub(crate) hosts: Vec<Host>,
    pub(crate) by_id: BTreeMap<NodeId, usize>,
    pub(crate) places: BTreeMap<Address, usize>,
    pub(crate) wires: Vec<Wire>,
    /// By the smaller host times the number of hosts, plus the greater one.
    pub(crate) pairs: Vec<Pair>,
    pub(crate) touched: BTreeSet<(usize, usize)>,
    pub(crate) calls: Vec<Call>,
    pub(crate) tally: Tally,
    found: Option<Broken>,
    /// Prints what happens.
    pub(crate) tells: bool,
}

/// A computer with a process on it, or without.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) id: NodeId,
    /// How often the process was started.
    pub(crate) run: u32,
    /// Whom it dials.
    seeds: Vec<(Address, Option<NodeId>)>,
    /// What it has dialled.
    pub(crate) dialled: BTreeSet<Address>,
    pub(crate) process: Option<Process>,
}

#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) node: Node,
    /// Links whose peer has proved itself.
    pub(crate) links: BTreeMap<LinkId, (usize, End)>,
    pub(crate) dials: BTreeMap<DialId, usize>,
    /// Where new calls go.
    pub(crate) active: BTreeMap<NodeId, LinkId>,
    pub(crate) next_link: u64,
    /// When it is woken next.
    woken: Option<Instant>,
}

#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) wire: usize,
    pub(crate) caller: End,
}

/// What a storm was like.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Tally {
    pub(crate) steps: u64,
    pub(crate) dials: u64,
    pub(crate) calls: u64,
    pub(crate) replies: u64,
    /// Links of one pair that were up at one end.
    pub(crate) most_links: usize,
    /// Rare things that happened.
    pub(crate) markers: BTreeSet<&'static str>,
}

/// Something that is due.
#[derive(Debug)]
pub(crate) enum Event {
    Start(usize),
    Wake(usize, u32),
    /// The node is told something, if that run of it still lives.
    Tell(usize, u32, Input),
    Arrive(usize, End, Frame),
    /// An end notices that the wire is broken.
    Lose(usize, End),
    /// The time for a handshake is over.
    Overdue(usize),
    Redial(usize),
    Kill,
    /// This connection breaks.
    Sever(usize),
    Crash(usize, Duration),
    Call(usize),
    Serve(usize),
    /// Some time after a pair was stirred for the so manieth time.
    Quiet((usize, usize), u64),
}

impl Storm {
    pub(crate) fn new(seed: u64, planted: Option<Planted>) -> Storm {
        let mut dice = Dice::seeded(seed);
        let weather = Weather::of(seed, &mut dice);
        let begin = peerage_proto::sim::epoch();
        let mut storm = Storm {
            dice,
            planted,
            now: begin,
            begin,
            agenda: BTreeMap::new(),
            hosts: Vec::new(),
            by_id: BTreeMap::new(),
            places: BTreeMap::new(),
            wires: Vec::new(),
            pairs: (0..weather.nodes * weather.nodes).map(|_| Pair::default()).collect(),
            touched: BTreeSet::new(),
            calls: Vec::new(),
            tally: Tally::default(),
            found: None,
            tells: false,
            weather,
        };
        storm.settle_down();
        storm.plan();
        storm
    }

    /// Prints what happens.
    pub(crate) fn told(mut self) -> Storm {
        self.tells = true;
        println!("{:#?}", self.weather);
        self
    }

    /// Runs until long after the last trouble.
    pub(crate) fn run(mut self) -> Result<Tally, Broken> {
        let end = self.begin + self.weather.end + self.weather.settling();
        while let Some(((at, _), event)) = self.agenda.pop_first().filter(|((at, _), _)| *at <= end) {
            self.now = at;
            if self.tells {
                println!("{:>12?}  {}{event:?}", at - self.begin, self.whose(&event));
            }
            self.happen(event);
            for pair in std::mem::take(&mut self.touched) {
                self.check(pair);
            }
            if let Some(found) = self.found {
                return Err(found);
            }
        }
        self.now = end;
        self.check_end();
        self.found.map_or(Ok(self.tally), Err)
    }

    /// The hosts that an event on a wire concerns, for people.
    fn whose(&self, event: &Event) -> String {
        match event {
            Event::Arrive(wire, ..) | Event::Lose(wire, _) | Event::Overdue(wire) | Event::Sever(wire) => {
                let [a, b] = self.wires[*wire].hosts;
                format!("n{a}→n{b} ")
            }
            _ => String::new(),
        }
    }

    /// Gives every host an id, addresses, and others to dial.
    fn settle_down(&mut self) {
        let Weather { nodes, addresses, both_dial, expects, .. } = self.weather;
        for host in 0..nodes {
            let id = NodeId::from_bytes(std::array::from_fn(|_| self.dice.below(256) as u8));
            self.by_id.insert(id, host);
            self.hosts.push(Host { id, run: 0, seeds: Vec::new(), dialled: BTreeSet::new(), process: None });
        }
        for (a, b) in (0..nodes).flat_map(|a| (a + 1..nodes).map(move |b| (a, b))) {
            let both = self.dice.chance(both_dial);
            let first = self.dice.chance(50);
            self.pairs[a * nodes + b].wanted = true;
            for (from, to) in [(a, b), (b, a)] {
                if both || first == (from == a) {
                    let expected = expects.then_some(self.hosts[to].id);
                    self.hosts[from].seeds.extend((0..addresses).map(|n| (address(to, n), expected)));
                }
            }
        }
        self.places = (0..nodes).flat_map(|host| (0..addresses).map(move |n| (address(host, n), host))).collect();
    }

    fn plan(&mut self) {
        let Weather { nodes, start, redials, kills, crashes, flaps, calls, end, .. } = self.weather.clone();
        let begin = self.begin;
        for host in 0..nodes {
            let at = begin + self.dice.time(start);
            self.at(at, Event::Start(host));
            for redial in &redials {
                let at = begin + *redial + self.dice.time(Duration::from_millis(10));
                self.at(at, Event::Redial(host));
            }
            for _ in 0..calls {
                let at = begin + self.dice.time(end);
                self.at(at, Event::Call(host));
            }
        }
        for kill in kills {
            self.at(begin + kill, Event::Kill);
        }
        for (crash, gone) in crashes {
            let host = if flaps { 0 } else { self.dice.below(nodes as u64) as usize };
            self.at(begin + crash, Event::Crash(host, gone));
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Start(host) => self.start(host),
            Event::Wake(host, run) => self.tell(host, run, Input::Timeout),
            Event::Tell(host, run, input) => self.tell(host, run, input),
            Event::Arrive(wire, end, frame) => self.arrive(wire, end, frame),
            Event::Lose(wire, end) => self.lose(wire, end),
            Event::Overdue(wire) => self.overdue(wire),
            Event::Redial(host) => self.redial(host),
            Event::Kill => self.kill(),
            Event::Sever(wire) => self.sever(wire),
            Event::Crash(host, gone) => self.crash(host, gone),
            Event::Call(host) => self.call(host),
            Event::Serve(call) => self.serve(call),
            Event::Quiet(pair, stirs) => self.check_rest(pair, stirs),
        }
    }

    pub(crate) fn at(&mut self, at: Instant, event: Event) {
        self.tally.steps += 1;
        self.agenda.insert((at, self.tally.steps), event);
    }

    pub(crate) fn soon(&mut self, limit: Duration, event: Event) {
        let at = self.now + self.dice.time(limit);
        self.at(at, event);
    }

    /// Something may still go wrong.
    pub(crate) fn is_trouble(&self) -> bool {
        self.now < self.begin + self.weather.end
    }

    pub(crate) fn mark(&mut self, what: &'static str) {
        self.tally.markers.insert(what);
    }

    pub(crate) fn broken(&mut self, oracle: Oracle, what: String) {
        let at = self.now - self.begin;
        self.found.get_or_insert(Broken { oracle, at, what });
    }

    /// Something has happened between two hosts that may take a while to come to rest.
    pub(crate) fn stir(&mut self, a: usize, b: usize) {
        let key = (a.min(b), a.max(b));
        self.touched.insert(key);
        let pair = self.pair(a, b);
        pair.stirs += 1;
        let stirs = pair.stirs;
        self.at(self.now + self.weather.quiet(), Event::Quiet(key, stirs));
    }

    pub(crate) fn pair(&mut self, a: usize, b: usize) -> &mut Pair {
        let count = self.hosts.len();
        &mut self.pairs[a.min(b) * count + a.max(b)]
    }

    fn start(&mut self, host: usize) {
        if self.hosts[host].process.is_some() {
            return; // it was started again already
        }
        self.hosts[host].run += 1;
        let Host { id, run, seeds, .. } = &self.hosts[host];
        let (run, seeds) = (*run, seeds.clone());
        let epoch = Epoch::new(run.into(), [host as u8; 16]);
        let node = Node::new(Config::new(*id, epoch, self.dice.below(u64::MAX)));
        self.hosts[host].process = Some(Process {
            node,
            links: BTreeMap::new(),
            dials: BTreeMap::new(),
            active: BTreeMap::new(),
            next_link: 1,
            woken: None,
        });
        for (address, expected) in seeds {
            self.tell(host, run, Input::Connect { connect: None, address, expected, keep: Keep::Forever });
        }
    }

    fn redial(&mut self, host: usize) {
        if self.hosts[host].process.is_some() {
            for other in (0..self.hosts.len()).filter(|other| *other != host) {
                self.pair(host, other).disturb();
                self.stir(host, other);
            }
            self.tell(host, self.hosts[host].run, Input::Redial);
        }
    }

    /// A process ends without a word, and is started again later.
    fn crash(&mut self, host: usize, gone: Duration) {
        if self.hosts[host].process.take().is_none() {
            return;
        }
        for other in (0..self.hosts.len()).filter(|other| *other != host) {
            self.pair(host, other).disturb();
            self.stir(host, other);
            for wire in self.pair(host, other).wires.clone() {
                self.die(wire, host);
            }
        }
        self.at(self.now + gone, Event::Start(host));
    }

    /// Sees to it that a process is woken when its node wants to be.
    pub(crate) fn arm(&mut self, host: usize) {
        let (now, run) = (self.now, self.hosts[host].run);
        let Some(process) = &mut self.hosts[host].process else { return };
        let Some(next) = process.node.next_timeout().map(|next| next.max(now)) else { return };
        if process.woken.is_none_or(|woken| next < woken || woken <= now) {
            process.woken = Some(next);
            self.at(next, Event::Wake(host, run));
        }
    }

    /// The place of a link, as this end reckons it.
    pub(crate) fn order(&self, wire: usize, end: End) -> LinkOrder {
        let Wire { hosts, dial_seq, links, .. } = &self.wires[wire];
        let mut binding = [0; 32];
        binding[..8].copy_from_slice(&(wire as u64).to_be_bytes());
        let mut order = LinkOrder { dialer: self.hosts[hosts[0]].id, dial_seq: *dial_seq, binding };
        match self.planted {
            Some(Planted::NewestWins) => {
                order.dialer = self.hosts[hosts[1 - end]].id;
                order.dial_seq = links[end].map_or(u64::MAX, |link| link.0);
            }
            Some(Planted::SmallerWinsAtOnce) => {
                order.dialer = NodeId::from_bytes(order.dialer.as_bytes().map(|byte| !byte));
                order.dial_seq = !order.dial_seq;
            }
            _ => {}
        }
        order
    }
}

fn address(host: usize, n: usize) -> Address {
    format!("tcp://10.0.{n}.{host}:5000").parse().expect("a place and a port")
}
