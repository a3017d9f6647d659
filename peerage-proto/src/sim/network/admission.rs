//! From a dial to a link: knocking at a host, shaking hands, asking the node.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::host::Arrival;
use super::way::{AMPLE, Notice, Way};
use super::wire::{EndId, Shaking, Stage, Wire};
use super::{Event, Fault, Name, Network, Oracle};
use crate::address::Address;
use crate::frame::Side;
use crate::hello::{Config, Handshake, HelloError, Input, Misbehaved, Output};
use crate::id::{LinkId, NodeId};
use crate::limits;
use crate::node::{DialError, DialId, Proved};

use super::seal::Judge;

/// A dial as the node ordered it.
#[derive(Debug)]
pub(super) struct Dialling {
    pub(super) dial: DialId,
    pub(super) address: Address,
    pub(super) expected: Option<NodeId>,
    pub(super) dial_seq: u64,
}

/// A connection that is asked for.
#[derive(Clone, Debug)]
pub(super) struct Knock {
    pub(super) from: usize,
    run: u32,
    dial: DialId,
    to: usize,
    expected: Option<NodeId>,
    dial_seq: u64,
    base: Duration,
}

impl Network {
    /// The address at which a host listens.
    pub(super) fn address_of(host: usize) -> Address {
        let host = u8::try_from(host + 1).expect("no more hosts than that");
        Address::tls(([10, 0, 0, host], limits::PORT_DEFAULT).into())
    }

    pub(super) fn dial(&mut self, host: usize, dialling: Dialling) {
        let Dialling { dial, address, expected, dial_seq } = dialling;
        // A host listens at all its ports.
        let address = address.with_port(limits::PORT_DEFAULT);
        let Some(to) = (0..self.hosts.len()).find(|host| Network::address_of(*host) == address) else {
            return self.lured(host, &address);
        };
        let base = self.dice.time(if self.faults.has(Fault::Delay) { FAR } else { NEAR });
        let knock = Knock { from: host, run: self.hosts[host].run, dial, to, expected, dial_seq, base };
        let delay = self.delay(base);
        self.at(self.now + delay, Event::Knock(knock));
    }

    /// A connection is asked for at a host.
    pub(super) fn knock(&mut self, knock: Knock) {
        let (from, to) = (knock.from, knock.to);
        if self.is_cut(from, to) || self.is_cut(to, from) || !self.hosts[to].is_on {
            // The dialler will lose its patience.
            return;
        }
        let delay = self.delay(knock.base);
        let is_listening = self.hosts[to].process.as_ref().is_some_and(|process| process.is_listening);
        if !is_listening {
            return self.at(self.now + delay, Event::Refused(knock));
        }
        if self.hosts[from].run != knock.run || self.hosts[from].process.is_none() {
            return;
        }
        let wire = self.new_wire(&knock);
        let [dialler, acceptor] = [0, 1].map(|side| EndId { wire, side });
        for end in [dialler, acceptor] {
            let host = if end.side == 0 { from } else { to };
            self.hosts[host].process.as_mut().expect("both processes live").ends.insert(end, None);
        }
        let open = self.hosts[from].process.as_mut().and_then(|process| process.dials.get_mut(&knock.dial));
        match open {
            Some(slot) => *slot = Some(dialler),
            // Given up meanwhile.
            None => self.let_go(dialler, true),
        }
        if !self.hosts[to].accepts {
            self.mark("a connection could not be accepted");
            self.let_go(acceptor, true);
        } else {
            let limit = Duration::from_millis(1);
            self.soon(limit, Event::Accept(acceptor));
        }
        self.at(self.now + delay, Event::Connected(dialler));
    }

    fn new_wire(&mut self, knock: &Knock) -> u32 {
        let wire = self.next_wire;
        self.next_wire += 1;
        let slow = self.faults.has(Fault::Slow) && !self.is_calm && self.dice.chance(30);
        let rate = slow.then(|| [1 << 10, 10 << 10, 200 << 10][self.dice.below(3) as usize]);
        // What a socket takes of a slow connection is less than half a minute's worth.
        let most = rate.map_or(usize::MAX, |rate| rate as usize * 30);
        let capacity = [600, 16 << 10, AMPLE][if self.is_calm { 2 } else { self.dice.below(3) as usize }].min(most);
        let is_local = self.dice.chance(30);
        let exporter = (!is_local).then(|| self.random());
        let is_forged = is_local && self.faults.has(Fault::Forgery) && !self.is_calm && self.dice.chance(20);
        let runs = [knock.from, knock.to].map(|host| self.hosts[host].run);
        let ways = [0, 1].map(|_| Way::new(self.now, capacity, rate));
        let is_hurt = [knock.from, knock.to].iter().any(|host| self.hosts[*host].paused_until.is_some());
        self.wires.insert(
            wire,
            Wire {
                hosts: [knock.from, knock.to],
                runs,
                ways,
                stages: [Stage::Absent, Stage::Absent],
                awaited: [None; 2],
                delay: knock.base,
                is_slow: slow,
                exporter,
                closed_by_rule: [false; 2],
                is_forged,
                is_hurt,
                is_forgotten: false,
                knock: (knock.dial, knock.expected, knock.dial_seq),
            },
        );
        wire
    }

    pub(super) fn random<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.dice.below(256) as u8)
    }

    /// Nobody listens there.
    pub(super) fn refused(&mut self, knock: &Knock) {
        if self.hosts[knock.from].run == knock.run {
            self.mark("a dial was refused");
            let why = DialError::Unreachable { refused: true, why: "nobody listens there".to_owned() };
            self.report(knock.from, Arrival::DialFailed { dial: knock.dial, why });
        }
    }

    /// The dialler has its connection.
    pub(super) fn connected(&mut self, end: EndId) {
        let Some(wire) = self.wires.get(&end.wire).filter(|wire| matches!(wire.stages[0], Stage::Absent)) else {
            return;
        };
        let (host, (dial, expected, dial_seq)) = (wire.hosts[0], wire.knock);
        if expected.is_some_and(|expected| expected != self.hosts[wire.hosts[1]].id) {
            self.let_go(end, true);
            let why = DialError::Unreachable { refused: false, why: "another node".to_owned() };
            return self.report(host, Arrival::DialFailed { dial, why });
        }
        self.begin_handshake(end, Side::Dialler, Some(dial), dial_seq, expected);
    }

    /// The acceptor takes a connection.
    pub(super) fn accept(&mut self, end: EndId) {
        let is_absent = |wire: &&Wire| matches!(wire.stages[1], Stage::Absent);
        if self.wires.get(&end.wire).filter(is_absent).is_some() {
            self.begin_handshake(end, Side::Acceptor, None, 0, None);
        }
    }

    fn begin_handshake(
        &mut self,
        end: EndId,
        side: Side,
        dial: Option<DialId>,
        dial_seq: u64,
        expected: Option<NodeId>,
    ) {
        let nonce = self.random();
        let wire = &self.wires[&end.wire];
        let host = wire.hosts[end.side];
        let binding = wire.binding(end.side, self.hosts[wire.hosts[1 - end.side]].id);
        let Some(process) = &self.hosts[host].process else { return };
        let seal = self.hosts[host].seal;
        let signer = Arc::new(if wire.is_forged && end.side == 0 { seal.forged() } else { seal });
        let config = Config {
            dial_seq,
            expected,
            verifier: Arc::new(Judge),
            ..Config::new(side, signer, self.key.clone(), process.node.epoch(), nonce, binding)
        };
        let machine = Handshake::new(self.local(host), config);
        let shaking = Shaking { machine, dial, link: None, waits: false };
        self.wires.get_mut(&end.wire).expect("looked up above").stages[end.side] = Stage::Shaking(Box::new(shaking));
        self.feed_handshake(end, Input::Start);
        self.turns.insert(end);
    }

    /// One turn of a handshake.
    pub(super) fn shake(&mut self, end: EndId) {
        loop {
            let now = self.now;
            let Some(wire) = self.wires.get_mut(&end.wire) else { return };
            let way = &mut wire.ways[1 - end.side];
            match &wire.stages[end.side] {
                Stage::Shaking(shaking) if !shaking.waits => {}
                _ => return,
            }
            match way.notice(now) {
                Notice::Nothing => return,
                Notice::Bytes => {
                    let limit = [7, 100, READ_BYTES][self.dice.below(3) as usize];
                    let bytes = way.read(now, limit);
                    self.feed_handshake(end, Input::Received(&bytes));
                }
                Notice::Closed | Notice::Reset => self.feed_handshake(end, Input::PeerClosed),
            }
        }
    }

    /// Feeds a handshake and does what it wants.
    pub(super) fn feed_handshake(&mut self, end: EndId, input: Input<'_>) {
        let Some(wire) = self.wires.get_mut(&end.wire) else { return };
        let host = wire.hosts[end.side];
        let local = self.hosts[host].clock.local(self.now);
        let Stage::Shaking(shaking) = &mut wire.stages[end.side] else { return };
        shaking.waits = false;
        let outputs: Vec<Output> = shaking.machine.handle(local, input).collect();
        self.touched.end(host, end);
        for output in outputs {
            match output {
                Output::Send(bytes) => self.write_way(end, bytes),
                Output::Proved(established) => {
                    let proved = Proved {
                        peer: established.peer,
                        trust: established.trust,
                        epoch: established.epoch,
                        order: established.order,
                    };
                    self.ask(host, end, proved);
                }
                Output::Admitted { behind, .. } => {
                    let link = self.link_of_handshake(end);
                    let wire = self.wires.get_mut(&end.wire).expect("looked up above");
                    wire.stages[end.side] = Stage::Admitted(behind);
                    if let Some(link) = link {
                        self.report(host, Arrival::Admitted { link, end });
                    }
                }
                Output::Failed(why) => self.handshake_failed(end, &why),
            }
        }
    }

    fn link_of_handshake(&self, end: EndId) -> Option<LinkId> {
        match &self.wires.get(&end.wire)?.stages[end.side] {
            Stage::Shaking(shaking) => shaking.link,
            _ => None,
        }
    }

    /// Asks the driver about a peer that has proved itself.
    fn ask(&mut self, host: usize, end: EndId, proved: Proved) {
        let Some(process) = &mut self.hosts[host].process else { return };
        let link = LinkId(process.next_link);
        process.next_link += 1;
        let Some(Stage::Shaking(shaking)) = self.wires.get_mut(&end.wire).map(|wire| &mut wire.stages[end.side]) else {
            return;
        };
        (shaking.link, shaking.waits) = (Some(link), true);
        let dialled = shaking.dial;
        if end.side == 1 && self.wires[&end.wire].is_forged {
            self.violated(Oracle::O10, &[host], format!("a false signature is believed on wire {}", end.wire));
        }
        let peer = self.by_id.get(&proved.peer).copied();
        self.log.note(self.now, &[30, host as u64, link.0, u64::from(end.wire)], || {
            let peer = peer.map_or_else(|| "?".to_owned(), |peer| Name(peer).to_string());
            format!("{} {link} is wire {} with {peer}, {:?}", Name(host), end.wire, proved.order)
        });
        self.report(host, Arrival::Proved { link, end, proved, dialled });
    }

    /// The node's decision.
    pub(super) fn decide(&mut self, host: usize, link: LinkId, input: Input<'_>) {
        let Some(process) = &mut self.hosts[host].process else { return };
        if let Some(end) = process.undecided.remove(&link) {
            self.feed_handshake(end, input);
            self.turns.insert(end);
        }
    }

    fn handshake_failed(&mut self, end: EndId, why: &HelloError) {
        let Some(wire) = self.wires.get(&end.wire) else { return };
        let Stage::Shaking(shaking) = &wire.stages[end.side] else { return };
        let (host, link, dial) = (wire.hosts[end.side], shaking.link, shaking.dial);
        self.log.note(self.now, &[31, host as u64, u64::from(end.wire)], || {
            format!("{} handshake on wire {} failed: {why}", Name(host), end.wire)
        });
        if wire.is_forged && *why == HelloError::Misbehaved(Misbehaved::BadSignature) {
            self.mark("a false signature was seen through");
        }
        match (link, dial) {
            (Some(_), _) if matches!(why, HelloError::RefusedHere(_)) => {}
            (Some(link), _) => {
                self.mark("a handshake failed after the proof");
                self.report(host, Arrival::Failed { link, why: why.clone() });
            }
            (None, Some(dial)) => {
                self.report(host, Arrival::DialFailed { dial, why: DialError::Hello(why.clone()) });
            }
            (None, None) => {}
        }
        self.let_go(end, true);
    }

    /// Nobody wants this dial any more.
    pub(super) fn abandon(&mut self, host: usize, dial: DialId) {
        let Some(process) = &mut self.hosts[host].process else { return };
        let Some(Some(end)) = process.dials.remove(&dial) else { return };
        match self.wires.get(&end.wire).map(|wire| &wire.stages[0]) {
            Some(Stage::Shaking(_)) => self.handshake_failed(end, &HelloError::Closed),
            Some(Stage::Absent) => self.let_go(end, true),
            _ => {}
        }
    }

    /// The handshake's time is up, or it rings for nothing.
    pub(super) fn ring_handshake(&mut self, end: EndId, local: Instant) {
        let Some(wire) = self.wires.get(&end.wire) else { return };
        let Stage::Shaking(shaking) = &wire.stages[end.side] else { return };
        if shaking.machine.next_timeout().is_some_and(|at| at <= local) {
            self.mark("a handshake took too long");
            self.feed_handshake(end, Input::Timeout);
        }
    }
}

/// How long a byte needs in one building, and around the world.
const NEAR: Duration = Duration::from_millis(2);
const FAR: Duration = Duration::from_millis(80);

/// Bytes read at a time.
const READ_BYTES: usize = 4 << 10;
