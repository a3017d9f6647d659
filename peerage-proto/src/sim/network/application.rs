//! What the applications do: calls between any two nodes, and handlers that take their time.

use std::time::{Duration, Instant};

use super::wire::{EndId, Stage};
use super::{Event, Fault, Name, Network, Oracle};
use crate::channel::{Room, Served};
use crate::codec::Encoding;
use crate::id::LinkId;
use crate::limits;
use crate::outcome::{CallError, Code, NotSent, Outcome, Stop};
use crate::sim::end::numbered;

/// One call of an application, over one link or several.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) from: usize,
    run: u32,
    to: usize,
    /// By the clock of its node.
    deadline: Option<Instant>,
    /// The link that it was tried on last, and its number there.
    on: Option<(EndId, LinkId, u64)>,
    tries: u32,
    ran: bool,
    /// It is on no link just now.
    waits: bool,
    is_cancelled: bool,
    is_over: bool,
    /// It must succeed.
    is_probe: bool,
}

/// One try of a call, on one link.
#[derive(Debug)]
pub(super) struct Attempt {
    call: usize,
    ran: bool,
    did_not_run: bool,
    /// When the word that nobody waits any more was put on its way.
    gave_up: Option<Instant>,
    /// When the caller's end of the link ended.
    ended: Option<Instant>,
}

/// Something that an application does.
#[derive(Clone, Debug)]
pub(super) enum Doing {
    Begin {
        from: usize,
    },
    /// A call that must succeed: everything is whole.
    Probe {
        from: usize,
        to: usize,
    },
    Try(usize),
    Cancel(usize),
    /// The call must have its outcome by now.
    Overdue(usize),
    Fetch(EndId, Served),
    Answer(EndId, Served),
    Stopped(EndId, Served, Stop),
}

impl Network {
    pub(super) fn application(&mut self, doing: Doing) {
        match doing {
            Doing::Begin { from } => self.begin_call(from),
            Doing::Probe { from, to } => self.probe(from, to),
            Doing::Try(call) => self.try_call(call),
            Doing::Cancel(call) => self.cancel_call(call),
            Doing::Overdue(call) => self.overdue(call),
            Doing::Fetch(end, served) => self.with_end(end, |linked, local| linked.end.fetched(local, served)),
            Doing::Answer(end, served) => self.answer(end, served),
            Doing::Stopped(end, served, stop) => self.with_end(end, |linked, local| {
                if linked.running.remove(&served).is_some() {
                    linked.end.stopped(local, served, stop);
                }
            }),
        }
    }

    fn with_end(&mut self, end: EndId, act: impl FnOnce(&mut super::wire::Linked, Instant)) {
        let Some(wire) = self.wires.get_mut(&end.wire) else { return };
        let local = self.hosts[wire.hosts[end.side]].clock.local(self.now);
        let Some(linked) = wire.linked(end.side).filter(|linked| !linked.is_told_of_end) else { return };
        act(linked, local);
        self.heed_news(end);
        self.turns.insert(end);
    }

    fn begin_call(&mut self, from: usize) {
        if self.now >= self.begin + super::faults::CALLS_END {
            return;
        }
        self.soon(BETWEEN_CALLS, Event::Application(Doing::Begin { from }));
        let host = &self.hosts[from];
        if host.process.is_none() || self.hosts.len() < 2 {
            return;
        }
        let others = self.hosts.len() as u64 - 1;
        let to = (from + 1 + self.dice.below(others) as usize) % self.hosts.len();
        let time = match self.dice.below(10) {
            0 => None,
            1..4 if self.faults.has(Fault::Deadlines) => Some(self.dice.time(Duration::from_millis(300))),
            _ => Some(Duration::from_secs(1) + self.dice.time(Duration::from_secs(29))),
        };
        let number = self.open_a_call(from, to, time);
        if self.faults.has(Fault::Cancels) && self.dice.chance(30) {
            let limit = [Duration::from_millis(3), Duration::from_millis(500), Duration::from_secs(10)];
            let limit = limit[self.dice.below(3) as usize];
            self.soon(limit, Event::Application(Doing::Cancel(number)));
        }
        self.try_call(number);
    }

    fn open_a_call(&mut self, from: usize, to: usize, time: Option<Duration>) -> usize {
        let deadline = time.map(|time| self.local(from) + time);
        let number = self.calls.len();
        self.calls.push(Call {
            from,
            run: self.hosts[from].run,
            to,
            deadline,
            on: None,
            tries: 0,
            ran: false,
            waits: true,
            is_cancelled: false,
            is_over: false,
            is_probe: false,
        });
        if let Some(deadline) = deadline {
            let at = self.hosts[from].clock.global(deadline + limits::OUTCOME_GRACE + Duration::from_millis(1));
            self.at(at, Event::Application(Doing::Overdue(number)));
        }
        number
    }

    /// What a call carries beside its number, in bytes; a probe nothing, so that the slowest connection is fast enough.
    fn padding(&mut self, call: usize) -> usize {
        if self.calls[call].is_probe { 0 } else { self.dice.size(PADDING) }
    }

    /// Nothing has been broken for so long that a call must succeed.
    fn probe(&mut self, from: usize, to: usize) {
        let is_there = |host: usize| self.hosts[host].process.as_ref().is_some_and(|process| !process.is_leaving);
        if from != to && is_there(from) && is_there(to) {
            let number = self.open_a_call(from, to, Some(PROBE_WITHIN));
            self.calls[number].is_probe = true;
            self.try_call(number);
        }
    }

    /// Sends a call over the link that carries calls to its peer now.
    fn try_call(&mut self, number: usize) {
        let call = &self.calls[number];
        if call.is_over {
            return;
        }
        let (from, to, deadline, before) = (call.from, call.to, call.deadline, call.on.map(|(_, link, _)| link));
        let (local, peer) = (self.local(from), self.hosts[to].id);
        let Some(process) = &self.hosts[from].process else { return };
        let is_late = deadline.is_some_and(|deadline| deadline <= local);
        let link = process.directory.get(&peer).copied();
        let end = link.and_then(|link| process.links.get(&link).copied());
        let way = link.zip(end).filter(|(link, _)| before != Some(*link));
        let Some((link, end)) = way.filter(|_| !is_late && !process.is_leaving && !call.is_cancelled) else {
            return self.over(number, Outcome::NotSent);
        };
        let padding = self.padding(number);
        let Some(wire) = self.wires.get_mut(&end.wire) else { return self.over(number, Outcome::NotSent) };
        let closed_there = wire.closed_by_rule[1 - end.side];
        let Some(linked) = wire.linked(end.side) else { return self.over(number, Outcome::NotSent) };
        let room = linked.end.channel().room();
        let Some(id) = linked.end.call(local, padding, deadline) else {
            self.mark("a call waited for room");
            return self.soon(Duration::from_millis(20), Event::Application(Doing::Try(number)));
        };
        let attempt = Attempt { call: number, ran: false, did_not_run: false, gave_up: None, ended: None };
        self.attempts.insert((end, id), attempt);
        let call = &mut self.calls[number];
        (call.on, call.waits) = (Some((end, link, id)), false);
        call.tries += 1;
        let numbers = [40, number as u64, u64::from(end.wire), id];
        self.log.note(self.now, &numbers, || {
            format!("{} call {number} to {} over {link} (wire {}) as {id}", Name(from), Name(to), end.wire)
        });
        if closed_there && room == Room::Yes {
            self.violated(Oracle::O6, &[from, to], format!("call {number} is opened where the peer has closed"));
        }
        self.heed_news(end);
        self.turns.insert(end);
    }

    fn cancel_call(&mut self, number: usize) {
        let call = &mut self.calls[number];
        if call.is_over {
            return;
        }
        call.is_cancelled = true;
        if let Some((end, _, id)) = call.on {
            self.with_end(end, |linked, local| linked.end.cancel(local, id));
        }
    }

    fn overdue(&mut self, number: usize) {
        let call = &self.calls[number];
        let (from, on) = (call.from, call.on);
        if call.is_over || self.hosts[from].run != call.run {
            return;
        }
        if call.waits {
            return self.over(number, Outcome::NotSent);
        }
        if let Some((end, ..)) = on {
            self.ring(end);
        }
        if !self.calls[number].is_over && self.calls[number].deadline.is_some_and(|at| self.local(from) > at) {
            self.violated(Oracle::O1, &[from], format!("call {number} has no outcome at its deadline + 100 ms"));
        }
    }

    /// The outcome of a try.
    pub(super) fn settled(&mut self, end: EndId, id: u64, result: Result<Option<u64>, CallError>) {
        let Some(attempt) = self.attempts.get_mut(&(end, id)) else {
            return self.violated(Oracle::O1, &[], format!("a call that nobody made ended on wire {}", end.wire));
        };
        let (number, ran) = (attempt.call, attempt.ran);
        let call = &self.calls[number];
        let nodes = [call.from, call.to];
        let outcome = result.as_ref().map_or_else(CallError::outcome, |_| Outcome::Ok);
        let stop = match &result {
            Err(CallError::Deadline { stop } | CallError::Cancelled { stop }) => Some(*stop),
            _ => None,
        };
        let did_not_run = outcome.class() == crate::outcome::Class::DidNotRun || stop == Some(Stop::NotStarted);
        attempt.did_not_run |= did_not_run;
        self.log.note(self.now, &[41, number as u64, outcome as u64], || {
            let text = result.as_ref().map_or_else(ToString::to_string, |_| "ok".to_owned());
            format!("{} call {number}: {text}", Name(nodes[0]))
        });
        if did_not_run && ran {
            self.violated(Oracle::O2, &nodes, format!("call {number} ran, and is said not to have run: {outcome}"));
        }
        if self.calls[number].is_over {
            return self.violated(Oracle::O1, &nodes, format!("call {number} has two outcomes"));
        }
        self.mark_outcome(&result);
        match result {
            Ok(answer) if answer != Some(id) || !ran => {
                self.violated(Oracle::O2, &nodes, format!("call {number} has the answer of another call"));
            }
            Err(CallError::Protocol { why }) => {
                self.violated(Oracle::O10, &nodes, format!("call {number}: {why}, where all are honest"));
            }
            Err(CallError::ConnectionLost { why }) if self.is_unhurt(end) => {
                self.violated(
                    Oracle::O6,
                    &nodes,
                    format!("call {number} is lost on a link that nothing befell: {why}"),
                );
            }
            Err(CallError::NotSent { why: NotSent::NoRoute | NotSent::ShuttingDown }) => {
                self.mark("a call looked for another link");
                self.calls[number].waits = true;
                return self.soon(Duration::from_millis(1), Event::Application(Doing::Try(number)));
            }
            _ => {}
        }
        self.over(number, outcome);
    }

    fn mark_outcome(&mut self, result: &Result<Option<u64>, CallError>) {
        use crate::outcome::Busy;
        self.mark(match result {
            Ok(_) => "a call was answered",
            Err(CallError::Busy { why: Busy::Draining, .. }) => "drain refused a call",
            Err(CallError::Busy { .. }) => "a call was refused as busy",
            Err(CallError::Deadline { stop: Stop::Unconfirmed }) => "a deadline passed without a word",
            Err(CallError::Deadline { .. }) => "a deadline passed and the callee said what became of it",
            Err(CallError::Cancelled { stop: Stop::NotStarted }) => "a cancel came before the start",
            Err(CallError::Cancelled { stop: Stop::Completed }) => "a cancel came too late",
            Err(CallError::Cancelled { .. }) => "a call was cancelled",
            Err(CallError::NotSent { why: NotSent::Cancelled }) => "a cancel took a call out before it left",
            Err(CallError::NotSent { .. }) => "a call was not sent",
            Err(CallError::ConnectionLost { .. }) => "a call was lost with its link",
            Err(_) => "a call ended otherwise",
        });
    }

    /// Whether nothing but the nodes themselves touched this connection.
    fn is_unhurt(&self, end: EndId) -> bool {
        self.wires.get(&end.wire).is_some_and(|wire| !wire.is_hurt)
    }

    fn over(&mut self, number: usize, outcome: Outcome) {
        let call = &mut self.calls[number];
        call.is_over = true;
        if call.tries > 1 && outcome == Outcome::Ok {
            self.mark("a call went on over another link");
        }
        *self.outcomes.entry(outcome).or_default() += 1;
        let call = &self.calls[number];
        if call.is_probe && !matches!(outcome, Outcome::Ok | Outcome::Remote) {
            let nodes = [call.from, call.to];
            self.violated(Oracle::O6, &nodes, format!("long after everything was healed a call ends so: {outcome}"));
        }
        let call = &self.calls[number];
        // Clocks of other rates are read to the nanosecond only, so a timer may ring a few of them late.
        let last = call.deadline.map(|deadline| deadline + limits::OUTCOME_GRACE + Duration::from_nanos(10));
        let from = call.from;
        let is_late = last.is_some_and(|last| self.local(from) > last)
            && !call.waits
            && !self.hosts[from].has_stood_still(last, self.now);
        if is_late {
            self.violated(Oracle::O1, &[from], format!("call {number} ended late, as {outcome}"));
        }
    }

    /// A process is gone, and its calls with it.
    pub(super) fn forget_calls(&mut self, host: usize) {
        for call in self.calls.iter_mut().filter(|call| call.from == host) {
            call.is_over = true;
        }
    }

    /// Calls without an outcome.
    pub(super) fn open_call(&self) -> Option<(usize, usize)> {
        let (number, call) = self.calls.iter().enumerate().find(|(_, call)| !call.is_over)?;
        Some((number, call.from))
    }
}

/// The side of the callee.
impl Network {
    /// A request came.
    pub(super) fn asked(&mut self, end: EndId, served: Served, number: Option<u64>) {
        let number = number.expect("O10: all nodes are honest");
        if let Some(linked) = self.wires.get_mut(&end.wire).and_then(|wire| wire.linked(end.side)) {
            linked.inbox.push_back((served, number));
        }
    }

    /// Starts the handlers of the requests that came in this turn.
    pub(super) fn serve(&mut self, end: EndId) {
        loop {
            let Some(wire) = self.wires.get_mut(&end.wire) else { return };
            let host = wire.hosts[end.side];
            let Some(linked) = wire.linked(end.side) else { return };
            let Some((served, id)) = linked.inbox.pop_front() else { return };
            linked.running.insert(served, id);
            let last = linked.last_started.replace(id);
            self.start(host, end, id, last);
            let calm_at = (self.begin + super::faults::CALM).max(self.now);
            if !self.hosts[host].reads {
                self.mark("an application did not read");
                let at = calm_at + self.dice.time(Duration::from_secs(3));
                self.at(at, Event::Application(Doing::Fetch(end, served)));
                self.at(at, Event::Application(Doing::Answer(end, served)));
                continue;
            }
            let is_slow = self.faults.has(Fault::Handlers) && !self.is_calm && self.dice.chance(10);
            let limit = if is_slow { Duration::from_secs(30) } else { Duration::from_millis(50) };
            let at = (self.now + self.dice.time(limit)).min(calm_at + Duration::from_secs(3));
            self.at(self.now, Event::Application(Doing::Fetch(end, served)));
            self.at(at, Event::Application(Doing::Answer(end, served)));
        }
    }

    /// A handler starts: the moment that most promises are about.
    fn start(&mut self, host: usize, end: EndId, id: u64, last: Option<u64>) {
        let key = (end.other(), id);
        let Some(attempt) = self.attempts.get_mut(&key) else {
            return self.violated(Oracle::O2, &[host], format!("request {id} of wire {} was never made", end.wire));
        };
        let (number, ran_before) = (attempt.call, std::mem::replace(&mut attempt.ran, true));
        let (did_not_run, gave_up, ended) = (attempt.did_not_run, attempt.gave_up, attempt.ended);
        let call = &mut self.calls[number];
        let nodes = [call.from, host];
        let ran_elsewhere = std::mem::replace(&mut call.ran, true);
        self.log.note(self.now, &[42, number as u64, host as u64], || format!("{} runs call {number}", Name(host)));
        let jumped_at = self.hosts[host].jumped_at;
        let is_before_jump = |at: Option<Instant>| at.zip(jumped_at).is_some_and(|(at, jump)| at < jump);
        if ran_before || ran_elsewhere {
            self.violated(Oracle::O2, &nodes, format!("call {number} runs twice"));
        } else if did_not_run {
            self.violated(Oracle::O2, &nodes, format!("call {number} did not run, and runs"));
        } else if is_before_jump(gave_up) {
            self.violated(Oracle::O2, &nodes, format!("call {number} was cancelled before a pause ended, and begins"));
        } else if is_before_jump(ended) {
            self.violated(
                Oracle::O2,
                &nodes,
                format!("the link of call {number} ended before a pause did, and it begins"),
            );
        } else if last.is_some_and(|last| id <= last) {
            self.violated(Oracle::O3, &nodes, format!("call {number} begins after one that was made later"));
        }
    }

    fn answer(&mut self, end: EndId, served: Served) {
        let running = self.wires.get(&end.wire).and_then(|wire| match &wire.stages[end.side] {
            Stage::Linked(linked) => linked.running.get(&served),
            _ => None,
        });
        let attempt = running.and_then(|id| self.attempts.get(&(end.other(), *id)));
        let Some(call) = attempt.map(|attempt| attempt.call) else { return };
        let (fails, padding) = (self.dice.chance(5), self.padding(call));
        self.with_end(end, |linked, local| {
            let Some(id) = linked.running.remove(&served) else { return };
            match fails {
                true => linked.end.fail(local, served, Code::new("sim"), "no", None),
                false => linked.end.reply(local, served, &numbered(id, padding, Encoding::MsgPack)),
            }
        });
    }

    /// The caller no longer waits.
    pub(super) fn told_to_stop(&mut self, end: EndId, served: Served) {
        let goes_on = self.dice.chance(20);
        let Some(wire) = self.wires.get_mut(&end.wire) else { return };
        let local = self.hosts[wire.hosts[end.side]].clock.local(self.now);
        let Some(linked) = wire.linked(end.side) else { return };
        let before = linked.inbox.len();
        linked.inbox.retain(|(waiting, _)| *waiting != served);
        if linked.inbox.len() < before {
            linked.end.stopped(local, served, Stop::NotStarted);
        } else if goes_on {
            linked.running.remove(&served);
            linked.end.stopped(local, served, Stop::Detached);
        } else {
            self.soon(Duration::from_millis(30), Event::Application(Doing::Stopped(end, served, Stop::Stopped)));
        }
        self.turns.insert(end);
    }

    /// The word that the caller has given up is on its way.
    pub(super) fn gave_up(&mut self, end: EndId, id: u64) {
        let now = self.now;
        if let Some(attempt) = self.attempts.get_mut(&(end, id)) {
            attempt.gave_up.get_or_insert(now);
        }
    }

    /// The caller's end of a link has ended.
    pub(super) fn end_attempts(&mut self, end: EndId) {
        let now = self.now;
        for (_, attempt) in self.attempts.range_mut((end, 0)..=(end, u64::MAX)) {
            attempt.ended.get_or_insert(now);
        }
    }
}

/// Largest padding of a call, in bytes.
const PADDING: usize = 100_000;

/// Time of a call that must succeed.
const PROBE_WITHIN: Duration = Duration::from_secs(5);

/// Time between two calls of a node, at most.
const BETWEEN_CALLS: Duration = Duration::from_millis(600);
