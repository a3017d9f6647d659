//! What travels between nodes, and what breaks on the way.

use std::time::Duration;

use peerage_proto::hello::{HelloError, Trust};
use peerage_proto::id::{Epoch, LinkOrder};
use peerage_proto::node::{Control, DialError, Input, Proved, WhyDown};
use peerage_proto::outcome::LinkLost;

use super::oracle::Oracle;
use super::storm::{Call, Event, Storm};
use super::wire::{End, Frame, State};

impl Storm {
    /// Puts a frame on its way to the other end.
    pub(crate) fn send(&mut self, wire: usize, from: End, frame: Frame) {
        let to = 1 - from;
        let [a, b] = self.wires[wire].hosts;
        let (delay, now) = (self.dice.time(self.weather.delay), self.now);
        let shaken = self.pair(a, b).shaken;
        let it = &mut self.wires[wire];
        let is_into_closed = it.ends[to] == (State::Closed { by_rule: true }) && frame != Frame::Fin;
        if is_into_closed && (frame.is_of_calls() || !shaken) {
            self.broken(Oracle::NoLoss, format!("{frame:?} is sent on wire {wire}, which its other end has closed"));
            return;
        }
        if it.cut || !it.is_open(to) {
            return;
        }
        it.last[to] = it.last[to].max(now + delay);
        it.flying[to] += 1;
        it.calls_flying[to] += u32::from(frame.is_of_calls());
        let at = it.last[to];
        self.at(at, Event::Arrive(wire, to, frame));
    }

    pub(crate) fn arrive(&mut self, wire: usize, end: End, frame: Frame) {
        let it = &mut self.wires[wire];
        it.flying[end] -= 1;
        it.calls_flying[end] -= u32::from(frame.is_of_calls());
        let [a, b] = it.hosts;
        self.touched.insert((a.min(b), a.max(b)));
        if !self.wires[wire].is_open(end) {
            return; // nobody reads there any more
        }
        match frame {
            Frame::Hello if end == 1 && self.hosts[b].process.is_none() => self.nobody_there(wire),
            Frame::Hello => self.hello(wire, end),
            Frame::Admitted => {
                self.wires[wire].heard_admitted[end] = true;
                self.introduce(wire, end);
            }
            Frame::Introduction => self.stand(wire, end),
            Frame::Refused(why) => self.lost(wire, end, WhyDown::Hello(HelloError::Refused(why))),
            Frame::Word(control) => self.word(wire, end, control),
            Frame::Request(call) => {
                self.wires[wire].serving[end] += 1;
                let limit = Duration::from_millis(if self.dice.chance(10) { 3_000 } else { 50 });
                self.soon(limit, Event::Serve(call));
            }
            Frame::Reply(call) => {
                self.tally.replies += 1;
                self.wires[wire].calls[end].retain(|open| *open != call);
                self.call_ended(wire, end);
            }
            Frame::Fin => self.lose(wire, end),
        }
    }

    /// No process runs on the host that was dialled.
    fn nobody_there(&mut self, wire: usize) {
        let it = &mut self.wires[wire];
        it.ends = [State::Gone; 2];
        let why = DialError::Unreachable { refused: true, why: "connection refused".to_owned() };
        let (host, run, dial) = (it.hosts[0], it.runs[0], it.dial);
        self.soon(self.weather.delay, Event::Tell(host, run, Input::DialFailed { dial, why }));
    }

    fn word(&mut self, wire: usize, end: End, control: Control) {
        let Some(link) = self.wires[wire].links[end] else { return };
        let host = self.wires[wire].hosts[end];
        let control = match control {
            Control::Superseded { winner, round } => Control::Superseded { winner: self.read(host, winner), round },
            Control::SupersededOk { winner, round } => Control::SupersededOk { winner: self.read(host, winner), round },
            other => other,
        };
        self.tell_end(wire, end, Input::Heard { link, control });
    }

    /// A link that was named, as the host reckons its place: with a wrong rule each end may have an order of its own.
    fn read(&self, host: usize, named: LinkOrder) -> LinkOrder {
        let (number, _) = named.binding.split_first_chunk().expect("32 bytes hold 8");
        let wire = u64::from_be_bytes(*number) as usize;
        self.order(wire, self.wires[wire].end_of(host))
    }

    pub(crate) fn proved(&self, wire: usize, end: End, other: usize, epoch: Epoch) -> Proved {
        Proved { peer: self.hosts[other].id, trust: Trust::Proven, epoch, order: self.order(wire, end) }
    }

    /// The end learns that the other one has closed, or that the connection is broken.
    pub(crate) fn lose(&mut self, wire: usize, end: End) {
        if !self.wires[wire].is_open(end) {
            return;
        }
        let it = &self.wires[wire];
        let by_rule = it.ends[1 - end] == (State::Closed { by_rule: true }) && !it.cut;
        self.abandon(wire, end, !by_rule);
        self.lost(wire, end, WhyDown::Lost(LinkLost::PeerClosed));
    }

    /// Calls of this end end without a value.
    pub(crate) fn abandon(&mut self, wire: usize, end: End, for_a_reason: bool) {
        let it = &mut self.wires[wire];
        let lost = it.calls[end].len();
        it.calls[end].clear();
        it.serving[end] = 0;
        if lost > 0 && !for_a_reason && !it.cut {
            self.broken(Oracle::NoLoss, format!("{lost} calls are lost because wire {wire} was closed by the rule"));
        }
    }

    pub(crate) fn overdue(&mut self, wire: usize) {
        for end in 0..2 {
            if self.wires[wire].ends[end] == State::Greeting {
                self.send(wire, end, Frame::Fin);
                self.lost(wire, end, WhyDown::Hello(HelloError::TimedOut));
            }
        }
    }

    /// Breaks a connection, whichever: half of the time one of a pair that has several.
    pub(crate) fn kill(&mut self) {
        let count = self.hosts.len() as u64;
        for _ in 0..50 {
            let [a, b] = [self.dice.below(count) as usize, self.dice.below(count) as usize];
            let wires = if a == b { Vec::new() } else { self.pair(a, b).wires.clone() };
            let Some(wire) = (!wires.is_empty()).then(|| wires[self.dice.below(wires.len() as u64) as usize]) else {
                continue;
            };
            if self.wires[wire].is_usable() || self.wires[wire].is_open(0) {
                return self.sever(wire);
            }
        }
    }

    /// The network takes a connection. Each end notices by itself.
    pub(crate) fn sever(&mut self, wire: usize) {
        if self.wires[wire].cut || self.wires[wire].is_over() {
            return;
        }
        let [a, b] = self.wires[wire].hosts;
        // The loss of a link that an end has given up already, and that carries no new calls, excuses nothing.
        let carries = |(from, to)| self.active_end(from, to).is_some_and(|(active, _)| active == wire);
        let in_use = self.wires[wire].given_up == [false; 2] || carries((a, b)) || carries((b, a));
        let pair = self.pair(a, b);
        pair.shaken = true;
        if in_use {
            pair.disturb();
        }
        self.wires[wire].cut = true;
        self.stir(a, b);
        for end in 0..2 {
            let limit = if self.dice.chance(self.weather.silent) { Duration::from_secs(6) } else { self.weather.delay };
            self.soon(limit, Event::Lose(wire, end));
        }
    }

    /// The process at one end is gone.
    pub(crate) fn die(&mut self, wire: usize, host: usize) {
        let end = self.wires[wire].end_of(host);
        let it = &mut self.wires[wire];
        let was_open = it.is_open(end);
        it.ends[end] = State::Gone;
        it.calls[end].clear();
        if was_open && !it.cut {
            it.cut = true;
            let limit = if self.dice.chance(self.weather.silent) { Duration::from_secs(6) } else { self.weather.delay };
            self.soon(limit, Event::Lose(wire, 1 - end));
        }
    }

    /// A node calls another one.
    pub(crate) fn call(&mut self, from: usize) {
        let to = self.dice.below(self.hosts.len() as u64) as usize;
        let Some((wire, caller)) = self.active_end(from, to) else { return };
        let call = self.calls.len();
        self.calls.push(Call { wire, caller });
        self.tally.calls += 1;
        self.wires[wire].calls[caller].push(call);
        self.send(wire, caller, Frame::Request(call));
    }

    /// A request is answered.
    pub(crate) fn serve(&mut self, call: usize) {
        let Call { wire, caller } = self.calls[call];
        let end = 1 - caller;
        if self.wires[wire].ends[end] == State::Up {
            self.wires[wire].serving[end] -= 1;
            self.send(wire, end, Frame::Reply(call));
            self.call_ended(wire, end);
        }
    }

    /// A call is no longer open at this end.
    fn call_ended(&mut self, wire: usize, end: End) {
        if self.wires[wire].retired[end] {
            let [a, b] = self.wires[wire].hosts;
            self.stir(a, b);
        }
        if let Some(input) = self.idle(wire, end) {
            self.tell_end(wire, end, input);
        }
    }
}
