//! What the driver of a node does: hears of connections and links, feeds the node, sees to what is due.

use std::time::{Duration, Instant};

use super::host::{Arrival, Word};
use super::lies::LIAR;
use super::wire::{EndId, Linked, Stage};
use super::{Event, Fault, Name, Network, Oracle};
use crate::channel::{Config, Input as LinkInput, Side};
use crate::codec::Payload;
use crate::frame::Kind;
use crate::hello::Introduction;
use crate::id::LinkId;
use crate::limits;
use crate::liveness::Profile;
use crate::membership as members;
use crate::node::{Control, Input, Output, WhyDown};
use crate::outcome::LinkLost;
use crate::sim::end::End;

impl Network {
    /// Something is due at a host.
    pub(super) fn wake(&mut self, host: usize) {
        let local = self.local(host);
        let Some(process) = &mut self.hosts[host].process else { return };
        process.armed = None;
        self.touched.hosts.insert(host);
        let exits = process.exits_at.is_some_and(|at| at <= local);
        let is_due = |due: &Option<Instant>| due.is_some_and(|at| at <= local);
        let due = process.ends.iter().filter(|(_, due)| is_due(due));
        let mut ends: Vec<EndId> = due.map(|(end, _)| *end).collect();
        let late: Vec<LinkId> = process.unnamed.iter().filter(|(_, at)| **at <= local).map(|(id, _)| *id).collect();
        let node_is_due = process.node.next_timeout().is_some_and(|at| at <= local);
        for link in late {
            self.cut_link(host, link, NO_INTRODUCTION);
        }
        if node_is_due {
            self.feed(host, Input::Timeout);
        }
        if self.dice.chance(50) {
            ends.reverse();
        }
        for end in ends {
            self.touched.end(host, end);
            self.ring(end);
        }
        // Behind a pause all of it may be due at once.
        if exits {
            self.exit(host);
        }
    }

    /// Looks at the queues of the driver.
    pub(super) fn drive(&mut self, host: usize, run: u32) {
        if self.hosts[host].run != run {
            return;
        }
        self.touched.hosts.insert(host);
        loop {
            let first = self.dice.chance(50);
            let Some(process) = &mut self.hosts[host].process else { return };
            let arrival = if first || process.words.is_empty() { process.arrivals.pop_front() } else { None };
            if let Some(arrival) = arrival {
                self.arrived(host, arrival);
            } else if let Some((link, word)) = process.words.pop_front() {
                self.told(host, link, word);
            } else {
                process.is_awake = false;
                return;
            }
        }
    }

    /// Puts something into a queue of the driver, which will look at it soon.
    pub(super) fn awaken(&mut self, host: usize) {
        let run = self.hosts[host].run;
        let Some(process) = &mut self.hosts[host].process else { return };
        if !std::mem::replace(&mut process.is_awake, true) {
            let limit = if self.dice.chance(90) { Duration::from_micros(50) } else { Duration::from_millis(5) };
            self.soon(limit, Event::Drive(host, run));
        }
    }

    pub(super) fn tell(&mut self, host: usize, link: LinkId, word: Word) {
        if let Some(process) = &mut self.hosts[host].process {
            process.words.push_back((link, word));
            self.check_queues(host);
            self.awaken(host);
        }
    }

    pub(super) fn report(&mut self, host: usize, arrival: Arrival) {
        if let Some(process) = &mut self.hosts[host].process {
            process.arrivals.push_back(arrival);
            self.check_queues(host);
            self.awaken(host);
        }
    }

    /// Feeds the node and carries out what it orders.
    pub(super) fn feed(&mut self, host: usize, input: Input) {
        let local = self.local(host);
        self.log.say(self.now, || format!("{} <- {input:?}", Name(host)));
        let Some(process) = &mut self.hosts[host].process else { return };
        let outputs: Vec<Output> = process.node.handle(local, input).collect();
        self.touched.hosts.insert(host);
        for output in outputs {
            match output {
                Output::Order(order) => self.carry_out(host, order),
                Output::Event(event) => self.heard_of(host, &event),
                Output::Tell { link, word } => {
                    self.mark_word(&word);
                    let (kind, content) = word.encode();
                    self.order_of(host, link, LinkInput::Control { kind, content: &content });
                }
                Output::Cut { link, why } => self.cut_liar(host, link, &why),
            }
        }
        self.check_node(host);
    }

    fn arrived(&mut self, host: usize, arrival: Arrival) {
        let Some(process) = &mut self.hosts[host].process else { return };
        match arrival {
            Arrival::Proved { link, end, proved, dialled } => {
                dialled.map(|dial| process.dials.remove(&dial));
                process.undecided.insert(link, end);
                process.asking.insert(link, (proved.peer, proved.trust, proved.epoch));
                self.feed(host, Input::Proved { link, proved, dialled });
            }
            Arrival::Admitted { link, end } => self.admitted(host, link, end),
            Arrival::DialFailed { dial, why } => {
                if process.dials.remove(&dial).is_some() {
                    self.feed(host, Input::DialFailed { dial, why });
                }
            }
            Arrival::Failed { link, why } => {
                process.undecided.remove(&link);
                process.stillborn.remove(&link);
                self.feed(host, Input::Down { link, why: WhyDown::Hello(why) });
            }
        }
    }

    /// Both ends take the link: it begins, and says who we are.
    fn admitted(&mut self, host: usize, link: LinkId, end: EndId) {
        let local = self.local(host);
        let grid = self.hosts[host].clock.local(self.begin);
        let Some(process) = &mut self.hosts[host].process else { return };
        let behind = match self.wires.get_mut(&end.wire).map(|wire| &mut wire.stages[end.side]) {
            Some(Stage::Admitted(behind)) => std::mem::take(behind),
            _ => return,
        };
        if process.stillborn.remove(&link) {
            self.let_go(end, true);
            return self.feed(host, Input::Down { link, why: WhyDown::Lost(LinkLost::ClosedHere) });
        }
        let side = if end.side == 0 { Side::Dialler } else { Side::Acceptor };
        let config = Config { liveness: Some(Profile::LAN), grid: Some(grid), ..Config::for_node(side) };
        let at_once = if self.faults.has(Fault::Narrow) { NARROW } else { config.served_at_once };
        let config = Config { served_at_once: at_once, calls_in_flight: at_once * 2, ..config };
        process.links.insert(link, end);
        process.unnamed.insert(link, local + limits::HANDSHAKE_TIME_DEFAULT);
        let introduction = self.introduction(host).expect("it keeps members");
        let wire = self.wires.get_mut(&end.wire).expect("looked up above");
        wire.stages[end.side] = Stage::Linked(Box::new(Linked::new(End::new(config), link)));
        let linked = wire.linked(end.side).expect("made above");
        if !behind.is_empty() {
            linked.end.receive(local, &behind);
        }
        linked.end.order(local, LinkInput::Control { kind: Kind::Introduction, content: &introduction });
        self.heed_news(end);
        self.turns.insert(end);
    }

    fn told(&mut self, host: usize, link: LinkId, word: Word) {
        match word {
            Word::Control { kind, content } => self.said(host, link, kind, &content),
            Word::Idle(ask) => self.feed(host, Input::Idle { link, ask }),
            Word::Answered => self.feed(host, Input::Answered { link }),
            Word::Quiet(true) => self.feed(host, Input::Quiet { link }),
            Word::Quiet(false) => self.feed(host, Input::Audible { link }),
            Word::Ended(why) => self.ended(host, link, why),
        }
    }

    /// The peer's node says something.
    fn said(&mut self, host: usize, link: LinkId, kind: Kind, content: &Payload) {
        let Some(process) = &mut self.hosts[host].process else { return };
        if kind == Kind::Introduction {
            return match Introduction::decode(content) {
                Ok(said) if process.unnamed.remove(&link).is_some() => self.introduced(host, link, said),
                Ok(_) => self.cut_link(host, link, "it introduced itself twice"),
                Err(why) => self.cut_link(host, link, &why.to_string()),
            };
        }
        if process.unnamed.contains_key(&link) {
            return self.cut_link(host, link, "it speaks of links before it has introduced itself");
        }
        match Control::decode(kind, content) {
            Ok(Some(control)) => return self.feed(host, Input::Heard { link, control }),
            Ok(None) => {}
            Err(why) => self.cut_link(host, link, &why.to_string()),
        }
        match members::Word::decode(kind, content) {
            Ok(Some(word)) => self.feed(host, Input::Told { link, word }),
            Ok(None) => {}
            Err(why) => self.cut_link(host, link, &why.to_string()),
        }
    }

    fn introduced(&mut self, host: usize, link: LinkId, said: Introduction) {
        let local = self.local(host);
        let Some(process) = &self.hosts[host].process else { return };
        let Some(end) = process.links.get(&link).copied() else { return };
        self.order_link(end, local, LinkInput::PeerProfile(Profile::every(said.ping_interval)));
        self.feed(host, Input::Introduced { link, record: said.record, path: format!("wire {}", end.wire) });
    }

    /// A link has ended.
    fn ended(&mut self, host: usize, link: LinkId, why: WhyDown) {
        let Some(process) = &mut self.hosts[host].process else { return };
        if process.links.remove(&link).is_none() {
            return;
        }
        process.unnamed.remove(&link);
        process.forget(link);
        self.log.note(self.now, &[20, host as u64, link.0], || format!("{} {link} ended: {why}", Name(host)));
        if why == WhyDown::Lost(LinkLost::Silent) {
            self.mark("a silent peer was given up");
        }
        self.feed(host, Input::Down { link, why });
    }

    /// Ends a link whose peer lies.
    fn cut_liar(&mut self, host: usize, link: LinkId, why: &str) {
        let end = self.end_of(host, link);
        let is_liar =
            end.is_some_and(|end| self.wires.get(&end.wire).is_some_and(|wire| wire.hosts[1 - end.side] == LIAR));
        if !is_liar || !self.faults.has(Fault::Poison) {
            return self.cut_link(host, link, why);
        }
        self.mark("a liar was cut");
        self.cut_link(host, link, NO_INTRODUCTION);
    }

    /// Ends a link whose peer does not keep to the protocol. All are honest here, but some do not get to speak.
    fn cut_link(&mut self, host: usize, link: LinkId, why: &str) {
        let local = self.local(host);
        let Some(process) = &mut self.hosts[host].process else { return };
        process.unnamed.remove(&link);
        process.forget(link);
        let Some(end) = process.links.get(&link).copied() else { return };
        let is_closing = self.wires.get_mut(&end.wire).and_then(|wire| wire.linked(end.side));
        let is_closing = is_closing.is_none_or(|linked| linked.closes_by.is_some() || linked.is_told_of_end);
        if why != NO_INTRODUCTION && !is_closing {
            self.violated(Oracle::O10, &[host], format!("an honest peer was cut: {why}"));
        }
        self.hurt(end);
        self.close_link(end, local);
    }
}

/// Calls at once on a narrow link.
const NARROW: u32 = 2;

/// Why a link is cut that may be an honest one.
const NO_INTRODUCTION: &str = "it did not introduce itself";
