//! What a driver does for its node: carries out orders, and reports what became of them.

use std::collections::VecDeque;
use std::time::Duration;

use peerage_proto::hello::{HelloError, Refusal};
use peerage_proto::id::LinkId;
use peerage_proto::node::{Control, DialError, DialId, Input, Order, Output, WhyClosed, WhyDown};
use peerage_proto::outcome::LinkLost;

use super::oracle::Oracle;
use super::planted::Planted;
use super::storm::{Event, Process, Storm};
use super::wire::{End, Frame, State, Wire};

impl Storm {
    /// The node of a host is told something, if that run of it still lives.
    pub(crate) fn tell(&mut self, host: usize, run: u32, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let now = self.now;
            let is_current = self.hosts[host].run == run;
            let Some(process) = self.hosts[host].process.as_mut().filter(|_| is_current) else { return };
            let outputs: Vec<Output> = process.node.handle(now, input).collect();
            for output in outputs {
                if let Output::Order(order) = output {
                    self.carry_out(host, order, &mut inputs);
                }
            }
        }
        self.arm(host);
    }

    fn process(&mut self, host: usize) -> &mut Process {
        self.hosts[host].process.as_mut().expect("orders come from a process that runs")
    }

    fn end(&self, host: usize, link: LinkId) -> Option<(usize, End)> {
        self.hosts[host].process.as_ref()?.links.get(&link).copied()
    }

    fn carry_out(&mut self, host: usize, order: Order, inputs: &mut VecDeque<Input>) {
        let link = match &order {
            Order::Dial { dial, address, dial_seq, .. } => {
                let to = self.places[address];
                let is_first = self.hosts[host].dialled.insert(address.clone());
                if is_first || self.planted != Some(Planted::DialsOnce) {
                    self.dial(host, to, *dial, *dial_seq);
                }
                return;
            }
            Order::Abandon { dial } => {
                if let Some(wire) = self.process(host).dials.remove(dial) {
                    self.end_of_dial(wire);
                }
                return;
            }
            Order::Renew { .. } => return self.mark("a stale epoch was renewed"),
            Order::Admit { link }
            | Order::Refuse { link, .. }
            | Order::Activate { link, .. }
            | Order::Retire { link }
            | Order::Restore { link }
            | Order::WhenIdle { link, .. }
            | Order::Probe { link }
            | Order::Send { link, .. }
            | Order::Close { link, .. } => *link,
            Order::Drain { .. } | Order::Answer { .. } | Order::StopListening | Order::Stopped => {
                return self.broken(Oracle::Manners, format!("nobody asked for {order}"));
            }
        };
        let Some((wire, end)) = self.end(host, link) else { return };
        let [a, b] = self.wires[wire].hosts;
        if self.tells {
            println!("{:>16}n{a}→n{b} n{host}, wire {wire}: {order:?}", "");
        }
        self.touched.insert((a.min(b), a.max(b)));
        self.do_with(wire, end, order, inputs);
    }

    fn do_with(&mut self, wire: usize, end: End, order: Order, inputs: &mut VecDeque<Input>) {
        let host = self.wires[wire].hosts[end];
        match order {
            Order::Admit { .. } => {
                self.wires[wire].admitted[end] = true;
                self.send(wire, end, Frame::Admitted);
                self.introduce(wire, end);
            }
            Order::Refuse { link, why } => {
                match why {
                    Refusal::Busy { .. } => self.mark("one link too many was refused"),
                    Refusal::StaleEpoch { .. } => self.mark("a stale epoch was refused"),
                    _ => {}
                }
                self.send(wire, end, Frame::Refused(why));
                self.wires[wire].ends[end] = State::Gone;
                self.process(host).links.remove(&link);
            }
            Order::Activate { link, peer } => _ = self.process(host).active.insert(peer, link),
            Order::Retire { .. } => {
                self.wires[wire].retired[end] = true;
                self.mark("a link was given up for another one");
                if self.planted.is_some_and(Planted::is_hasty) {
                    self.close(wire, end, true);
                }
            }
            Order::Restore { .. } => {
                self.mark("a loser came back because the winner had died");
                let it = &mut self.wires[wire];
                (it.retired[end], it.given_up[end], it.asked[end]) = (false, false, None);
            }
            Order::WhenIdle { ask, .. } => {
                let it = &mut self.wires[wire];
                (it.given_up[end], it.asked[end]) = (true, Some(ask));
                inputs.extend(self.idle(wire, end));
            }
            Order::Probe { link } => {
                self.mark("a peer was asked for a sign of life");
                let other = self.wires[wire].hosts[1 - end];
                let answers = self.wires[wire].is_usable() && self.hosts[other].process.is_some();
                if answers {
                    let run = self.hosts[host].run;
                    self.soon(2 * self.weather.delay, Event::Tell(host, run, Input::Answered { link }));
                }
            }
            Order::Send { control, .. } => {
                if matches!(control, Control::Superseded { round: 1.., winner } if winner == self.order(wire, end)) {
                    self.mark("a link was kept or asked back");
                }
                self.send(wire, end, Frame::Word(control));
            }
            Order::Close { why, .. } => {
                if let (WhyClosed::Misbehaved(what), None) = (&why, self.planted) {
                    self.broken(Oracle::Manners, format!("n{host} finds fault with its peer: {what}"));
                }
                self.close(wire, end, why == WhyClosed::Superseded);
            }
            _ => {}
        }
    }

    fn dial(&mut self, from: usize, to: usize, dial: DialId, dial_seq: u64) {
        let (now, run) = (self.now, self.hosts[from].run);
        let wire = self.wires.len();
        let process = self.process(from);
        process.dials.insert(dial, wire);
        let epoch = process.node.epoch();
        self.wires.push(Wire::new([from, to], run, (dial, dial_seq), epoch, now));
        self.pair(from, to).wires.push(wire);
        self.stir(from, to);
        self.tally.dials += 1;
        self.at(now + HANDSHAKE, Event::Overdue(wire));
        if self.is_trouble() && self.dice.chance(self.weather.lost_dials) {
            // At some point of the handshake the network takes it.
            let at = 4 * self.weather.delay;
            self.soon(at, Event::Sever(wire));
        }
        self.send(wire, 0, Frame::Hello);
    }

    /// The dialling end is given up before its peer has proved itself.
    fn end_of_dial(&mut self, wire: usize) {
        if self.wires[wire].links[0].is_none() && self.wires[wire].is_open(0) {
            self.close(wire, 0, false);
        }
    }

    /// A connection has got through to a node, or its answer back to the one that dialled.
    pub(crate) fn hello(&mut self, wire: usize, end: End) {
        let [host, other] = [self.wires[wire].hosts[end], self.wires[wire].hosts[1 - end]];
        if end == 1 {
            self.wires[wire].runs[1] = self.hosts[host].run;
            self.wires[wire].said[1] = self.hosts[host].process.as_ref().map(|process| process.node.epoch());
            self.send(wire, 1, Frame::Hello);
        }
        let dial = self.wires[wire].dial;
        let process = self.process(host);
        let link = LinkId(process.next_link);
        process.next_link += 1;
        process.links.insert(link, (wire, end));
        self.wires[wire].links[end] = Some(link);
        let dialled = (end == 0).then_some(dial);
        let epoch = self.wires[wire].said[1 - end].expect("it said Hello");
        let proved = self.proved(wire, end, other, epoch);
        self.tell_end(wire, end, Input::Proved { link, proved, dialled });
    }

    /// Tells the node at this end.
    pub(crate) fn tell_end(&mut self, wire: usize, end: End, input: Input) {
        let (host, run) = (self.wires[wire].hosts[end], self.wires[wire].runs[end]);
        self.tell(host, run, input);
    }

    /// Says who this end is, if both ends have admitted the link by what is known here.
    pub(crate) fn introduce(&mut self, wire: usize, end: End) {
        let it = &self.wires[wire];
        if it.ends[end] == State::Greeting && it.admitted[end] && it.heard_admitted[end] {
            self.send(wire, end, Frame::Introduction);
        }
    }

    /// The other end has said who it is: the link stands.
    pub(crate) fn stand(&mut self, wire: usize, end: End) {
        let it = &mut self.wires[wire];
        it.ends[end] = State::Up;
        let (host, other, is_broken) = (it.hosts[end], it.hosts[1 - end], it.cut);
        let link = it.links[end].expect("an end that was admitted has proved itself");
        if is_broken {
            self.pair(host, other).disturb(); // as good as a link that breaks right after it came up
        }
        self.tell_end(wire, end, Input::Up { link });
        if self.weather.introduces {
            let addresses =
                self.places.iter().filter(|(_, at)| **at == other).map(|(place, _)| place.clone()).collect();
            self.tell_end(wire, end, Input::Addresses { peer: self.hosts[other].id, addresses });
        }
    }

    /// The answer to the question whether anything is open, if it is asked and nothing is.
    pub(crate) fn idle(&mut self, wire: usize, end: End) -> Option<Input> {
        let at_once = self.planted == Some(Planted::IdleAtOnce);
        let it = &mut self.wires[wire];
        let is_idle = it.calls[end].is_empty() && it.serving[end] == 0;
        let ask = it.asked[end].take_if(|_| it.ends[end] == State::Up && (is_idle || at_once))?;
        it.links[end].map(|link| Input::Idle { link, ask })
    }

    /// Closes this end. Its node hears of it in the next step.
    pub(crate) fn close(&mut self, wire: usize, end: End, by_rule: bool) {
        if !self.wires[wire].is_open(end) {
            return;
        }
        let [a, b] = self.wires[wire].hosts;
        self.touched.insert((a.min(b), a.max(b)));
        if !by_rule {
            self.stir(a, b);
        }
        self.abandon(wire, end, !by_rule);
        self.send(wire, end, Frame::Fin);
        let it = &mut self.wires[wire];
        it.ends[end] = State::Closed { by_rule };
        if by_rule && it.calls_flying[end] > 0 && !it.cut {
            self.broken(Oracle::NoLoss, format!("wire {wire} is closed with a call on its way"));
        }
        let it = &self.wires[wire];
        let (host, run) = (it.hosts[end], it.runs[end]);
        if let Some(link) = it.links[end] {
            self.forget(host, link);
            let why = WhyDown::Lost(LinkLost::ClosedHere);
            self.at(self.now, Event::Tell(host, run, Input::Down { link, why }));
        }
    }

    /// This end learns that the connection is gone.
    pub(crate) fn lost(&mut self, wire: usize, end: End, why: WhyDown) {
        let it = &mut self.wires[wire];
        it.ends[end] = State::Gone;
        let (host, link, dial) = (it.hosts[end], it.links[end], it.dial);
        let [a, b] = it.hosts;
        self.stir(a, b);
        if let Some(link) = link {
            self.forget(host, link);
            if self.planted != Some(Planted::DeafToLoss) || end == 0 {
                self.tell_end(wire, end, Input::Down { link, why });
            }
        } else if end == 0 {
            let why = match why {
                WhyDown::Hello(why) => DialError::Hello(why),
                _ => DialError::Hello(HelloError::Closed),
            };
            self.tell_end(wire, 0, Input::DialFailed { dial, why });
        }
    }

    fn forget(&mut self, host: usize, link: LinkId) {
        if let Some(process) = &mut self.hosts[host].process {
            process.links.remove(&link);
            process.active.retain(|_, active| *active != link);
        }
    }

    /// Where calls from one host to another go.
    pub(crate) fn active_end(&self, from: usize, to: usize) -> Option<(usize, End)> {
        let process = self.hosts[from].process.as_ref()?;
        let (wire, end) = *process.links.get(process.active.get(&self.hosts[to].id)?)?;
        (self.wires[wire].ends[end] == State::Up).then_some((wire, end))
    }
}

/// The time for a handshake.
const HANDSHAKE: Duration = Duration::from_secs(5);
