//! Two nodes and the links between them: everything that can happen next, and what it leads to.
//!
//! A link is two queues of frames, first in, first out; nothing else is known about the network, so any delay and any
//! reordering between links is among the interleavings. What can happen at any moment: a node dials, a frame arrives, a
//! request is answered, a node calls the other one, a connection breaks, an end notices that, a node is started again.
//!
//! The machines are kept in a table ([`Machines`]) and a world holds their numbers.

use std::hash::{Hash, Hasher};

use crate::budget::Budget;
use crate::machines::{Fast, Machines};
use crate::rule::{Act, End, Fact, Place, Rule, Wire};
use crate::wire::{Frame, Queue};

/// Links that can be dialled in one run.
pub(crate) const WIRES: usize = 4;

/// One moment.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) struct World {
    machines: [u32; 2],
    epochs: [u8; 2],
    active: [Option<Wire>; 2],
    pub(crate) wires: [Link; WIRES],
    pub(crate) dialled: u8,
    kills: u8,
    restarts: u8,
    /// Calls begun by each node, and what became of them.
    calls: [[Call; 2]; 2],
    /// A link was up at both ends and nothing has been broken since.
    calm: bool,
    /// A promise that was broken in the step that led here.
    pub(crate) broken: Option<Broken>,
}

/// Promises of the rule.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) enum Broken {
    /// P1: quiet, and the ends do not hold the same single link.
    Agreement,
    /// P2: no link is usable.
    Continuity,
    /// P3: something was sent to an end that had closed the link by the rule.
    IntoClosed,
    /// P3: a call was lost to tidying up.
    CallLost,
}

/// One connection.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Link {
    dialler: u8,
    seq: u8,
    /// Of each end when it said Hello.
    epochs: [u8; 2],
    pub(crate) ends: [State; 2],
    /// What is on its way to each end.
    queues: [Queue; 2],
    broken: bool,
    /// The number under which each end wants to hear that nothing is open; 0: it does not.
    asked: [u8; 2],
}

/// A link, as one end sees it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum State {
    /// Not yet, or no longer.
    None,
    /// The handshake is under way.
    Greeting,
    Up,
    /// Closed by this end: by the rule for duplicates?
    Closed {
        by_rule: bool,
    },
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Call {
    Ready,
    Open(Wire),
    Served(Wire),
    Over,
}

/// Something that can happen next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Step {
    Dial(End),
    Deliver(Wire, End),
    Serve(End, u8),
    Notice(Wire, End),
    Call(End, u8),
    /// The connection breaks, and this end notices. What the other end has sent and sends is lost; it notices later.
    Kill(Wire, End),
    Restart(End),
}

impl Step {
    /// Whether it happens by itself, sooner or later. Everything else may also never happen.
    pub(crate) fn is_due(self) -> bool {
        matches!(self, Step::Deliver(..) | Step::Serve(..) | Step::Notice(..))
    }
}

impl Link {
    fn is_open(&self, end: End) -> bool {
        matches!(self.ends[end], State::Greeting | State::Up)
    }
}

impl World {
    pub(crate) fn new<R: Rule>(machines: &mut Machines<R>) -> World {
        const NOTHING: Link = Link {
            dialler: 0,
            seq: 0,
            epochs: [0; 2],
            ends: [State::None; 2],
            queues: [Queue::EMPTY; 2],
            broken: false,
            asked: [0; 2],
        };
        World {
            machines: [0, 1].map(|end| machines.number(R::new(end, 1))),
            epochs: [1; 2],
            active: [None; 2],
            wires: [NOTHING; WIRES],
            dialled: 0,
            kills: 0,
            restarts: 0,
            calls: [[Call::Ready; 2]; 2],
            calm: false,
            broken: None,
        }
    }

    /// Everything that can happen next.
    pub(crate) fn steps(&self, budget: &Budget, steps: &mut Vec<Step>) {
        for end in 0..2 {
            let may_dial = |diallers: [End; WIRES]| diallers[self.dialled as usize] == end;
            if self.dialled < budget.dials && budget.diallers.is_none_or(may_dial) {
                steps.push(Step::Dial(end));
            }
            if self.restarts < budget.restarts && self.dialled > 0 {
                steps.push(Step::Restart(end));
            }
            for (n, call) in (0..budget.calls).zip(&self.calls[end]) {
                match call {
                    // Calls are alike: the first one that is ready stands for all.
                    Call::Ready
                        if self.active[end].is_some() && !self.calls[end][..n as usize].contains(&Call::Ready) =>
                    {
                        steps.push(Step::Call(end, n));
                    }
                    Call::Served(wire) if self.wires[*wire as usize].ends[1 - end] == State::Up => {
                        steps.push(Step::Serve(1 - end, n));
                    }
                    _ => {}
                }
            }
        }
        for (wire, link) in (0..).zip(&self.wires[..self.dialled as usize]) {
            for end in 0..2 {
                if link.queues[end].len > 0 {
                    steps.push(Step::Deliver(wire, end));
                }
                if link.broken && link.is_open(end) {
                    steps.push(Step::Notice(wire, end));
                }
            }
            // A link that breaks before it is up at an end is as good as one that breaks right after: what is said on it
            // is lost in both cases. And one that breaks before an end notices is as good as a slow one.
            if self.kills < budget.kills && !link.broken && link.ends.contains(&State::Up) {
                let open = (0..2).filter(|end| link.is_open(*end));
                steps.extend(open.map(|end| Step::Kill(wire, end)));
            }
        }
    }

    /// The moment after this step.
    pub(crate) fn after<R: Rule>(&self, step: Step, budget: &Budget, machines: &mut Machines<R>) -> World {
        let mut next = *self;
        next.broken = None;
        match step {
            Step::Dial(end) => {
                next.dial(end);
                // What a node does with a Hello concerns no other link and nobody else, unless somebody starts again: so it
                // makes no difference when it arrives.
                if budget.restarts == 0 {
                    let wire = next.dialled - 1;
                    for reader in [1 - end, end] {
                        let hello = next.wires[wire as usize].queues[reader].pop();
                        next.deliver(wire, reader, hello, machines);
                    }
                }
            }
            Step::Deliver(wire, end) => {
                let frame = next.wires[wire as usize].queues[end].pop();
                next.deliver(wire, end, frame, machines);
            }
            Step::Serve(end, n) => {
                if let Call::Served(wire) = next.calls[1 - end][n as usize] {
                    next.calls[1 - end][n as usize] = Call::Open(wire);
                    next.send(wire, end, Frame::Reply(n));
                    next.tell_idle(wire, end, machines);
                }
            }
            Step::Notice(wire, end) => next.lose(wire, end, machines),
            Step::Call(end, n) => {
                if let Some(wire) = next.active[end] {
                    next.calls[end][n as usize] = Call::Open(wire);
                    next.send(wire, end, Frame::Request(n));
                }
            }
            Step::Kill(wire, end) => {
                next.wires[wire as usize].broken = true;
                next.kills += 1;
                next.calm = false;
                next.lose(wire, end, machines);
            }
            Step::Restart(end) => next.restart(end, machines),
        }
        next.tidy();
        next.check();
        next
    }

    fn dial(&mut self, end: End) {
        let wire = self.dialled;
        let mine = |link: &&Link| usize::from(link.dialler) == end && link.epochs[end] == self.epochs[end];
        let seq = self.wires[..wire as usize].iter().filter(mine).count() as u8 + 1;
        let link = &mut self.wires[wire as usize];
        (link.dialler, link.seq, link.epochs[end]) = (end as u8, seq, self.epochs[end]);
        link.ends = [State::Greeting; 2];
        link.queues[1 - end].push(Frame::Hello);
        self.dialled += 1;
    }

    fn deliver<R: Rule>(&mut self, wire: Wire, end: End, frame: Frame, machines: &mut Machines<R>) {
        let link = self.wires[wire as usize];
        if !link.is_open(end) {
            return; // nobody reads there any more
        }
        let proved = Fact::Proved { wire, epoch: link.epochs[1 - end], dialler: link.dialler.into(), seq: link.seq };
        match frame {
            Frame::Hello => {
                self.wires[wire as usize].epochs[end] = self.epochs[end];
                self.tell(end, proved, machines);
            }
            Frame::HelloAdmitted => self.tell(end, proved, machines),
            Frame::AdmittedIntroduction => {
                self.send(wire, end, Frame::Introduction);
                self.stand(wire, end, machines);
            }
            Frame::Introduction => self.stand(wire, end, machines),
            Frame::Refused => {
                self.wires[wire as usize].ends[end] = State::None;
                self.tell(end, Fact::Refused(wire), machines);
            }
            Frame::Superseded(winner, round) => {
                self.tell(end, Fact::Superseded(wire, self.place(winner), round), machines);
            }
            Frame::SupersededOk(winner, round) => {
                self.tell(end, Fact::SupersededOk(wire, self.place(winner), round), machines);
            }
            Frame::Request(n) => {
                let call = &mut self.calls[1 - end][n as usize];
                if *call == Call::Open(wire) {
                    *call = Call::Served(wire);
                }
            }
            Frame::Reply(n) => {
                self.calls[end][n as usize] = Call::Over;
                self.tell_idle(wire, end, machines);
            }
            Frame::Fin => self.lose(wire, end, machines),
        }
    }

    /// The other end has introduced itself: the link stands.
    fn stand<R: Rule>(&mut self, wire: Wire, end: End, machines: &mut Machines<R>) {
        self.wires[wire as usize].ends[end] = State::Up;
        self.tell(end, Fact::Up(wire), machines);
    }

    fn place(&self, wire: Wire) -> Place {
        let link = &self.wires[wire as usize];
        Place { dialler: link.dialler, seq: link.seq, wire }
    }

    /// The end learns that the link is gone.
    fn lose<R: Rule>(&mut self, wire: Wire, end: End, machines: &mut Machines<R>) {
        let link = &mut self.wires[wire as usize];
        link.ends[end] = State::None;
        let for_a_reason = link.broken || link.ends[1 - end] == (State::Closed { by_rule: false });
        self.abandon(wire, end, for_a_reason);
        self.tell(end, Fact::Lost(wire), machines);
    }

    /// Calls of this end that waited on the link end without a value.
    fn abandon(&mut self, wire: Wire, end: End, for_a_reason: bool) {
        for call in &mut self.calls[end] {
            if matches!(call, Call::Open(on) | Call::Served(on) if *on == wire) {
                *call = Call::Over;
                if !for_a_reason {
                    self.broken = Some(Broken::CallLost);
                }
            }
        }
    }

    fn restart<R: Rule>(&mut self, end: End, machines: &mut Machines<R>) {
        self.restarts += 1;
        self.calm = false;
        self.epochs[end] += 1;
        self.machines[end] = machines.number(R::new(end, self.epochs[end]));
        self.active[end] = None;
        for link in &mut self.wires[..self.dialled as usize] {
            link.broken = true;
            link.ends[end] = State::None;
            link.queues[end] = Queue::EMPTY;
            link.asked[end] = 0;
        }
        for call in &mut self.calls[end] {
            if matches!(call, Call::Open(_) | Call::Served(_)) {
                *call = Call::Over;
            }
        }
    }

    /// Runs one step of the machine at an end and does what it wants.
    fn tell<R: Rule>(&mut self, end: End, fact: Fact, machines: &mut Machines<R>) {
        let (next, acts) = machines.step(self.machines[end], fact);
        self.machines[end] = next;
        for act in acts {
            match *act {
                Act::Admit(wire) => {
                    let dialled = usize::from(self.wires[wire as usize].dialler) == end;
                    self.send(wire, end, if dialled { Frame::AdmittedIntroduction } else { Frame::HelloAdmitted });
                }
                Act::Refuse(wire) => {
                    self.send(wire, end, Frame::Refused);
                    self.wires[wire as usize].ends[end] = State::None;
                }
                Act::Activate(wire) => self.active[end] = Some(wire),
                Act::Retire(wire) | Act::Restore(wire) => self.wires[wire as usize].asked[end] = 0,
                Act::WhenIdle(wire, number) => self.wires[wire as usize].asked[end] = number,
                Act::Superseded(wire, winner, round) => self.send(wire, end, Frame::Superseded(winner.wire, round)),
                Act::SupersededOk(wire, winner, round) => self.send(wire, end, Frame::SupersededOk(winner.wire, round)),
                Act::Close(wire, by_rule) => {
                    self.send(wire, end, Frame::Fin);
                    self.close(wire, end, by_rule);
                }
            }
        }
        let is_up = |wire: &Wire| self.wires[*wire as usize].ends[end] == State::Up;
        self.active[end] = self.active[end].filter(is_up);
        for wire in 0..self.dialled {
            self.tell_idle(wire, end, machines);
        }
    }

    fn close(&mut self, wire: Wire, end: End, by_rule: bool) {
        self.abandon(wire, end, !by_rule || self.wires[wire as usize].broken);
        let link = &mut self.wires[wire as usize];
        link.ends[end] = State::Closed { by_rule };
        let lost = |frame: Frame| matches!(frame, Frame::Request(_) | Frame::Reply(_));
        if by_rule && link.queues[end].frames().any(lost) {
            self.broken = Some(Broken::IntoClosed);
        }
    }

    /// Puts a frame on its way to the other end.
    fn send(&mut self, wire: Wire, from: End, frame: Frame) {
        let storms = self.kills > 0 || self.restarts > 0;
        let link = &mut self.wires[wire as usize];
        let is_call = matches!(frame, Frame::Request(_) | Frame::Reply(_));
        if link.ends[1 - from] == (State::Closed { by_rule: true }) && frame != Frame::Fin && (is_call || !storms) {
            self.broken = Some(Broken::IntoClosed);
        }
        if !link.broken && link.is_open(1 - from) {
            link.queues[1 - from].push(frame);
        }
    }

    /// Answers the question whether anything is open on a link, if it is asked and nothing is.
    fn tell_idle<R: Rule>(&mut self, wire: Wire, end: End, machines: &mut Machines<R>) {
        let link = &self.wires[wire as usize];
        let ask = link.asked[end];
        let ours = self.calls[end].iter().any(|call| matches!(call, Call::Open(on) | Call::Served(on) if *on == wire));
        let theirs = self.calls[1 - end].contains(&Call::Served(wire));
        if ask != 0 && link.ends[end] == State::Up && !ours && !theirs {
            self.wires[wire as usize].asked[end] = 0;
            self.tell(end, Fact::Idle(wire, ask), machines);
        }
    }

    /// Forgets what can make no difference any more, so that equal moments look equal.
    fn tidy(&mut self) {
        for link in &mut self.wires[..self.dialled as usize] {
            for end in 0..2 {
                if !link.is_open(end) {
                    link.queues[end] = Queue::EMPTY;
                    link.asked[end] = 0;
                }
            }
        }
    }

    /// Whether the link can be used at both ends.
    fn is_usable(&self, link: &Link) -> bool {
        !link.broken && link.ends == [State::Up; 2]
    }

    fn check(&mut self) {
        let links = &self.wires[..self.dialled as usize];
        // Whatever an end would say now, if it had something to say.
        let speaks_into = |end: End| {
            let wire = self.active[end].map(|wire| links[wire as usize]);
            wire.is_some_and(|link| link.ends[1 - end] == State::Closed { by_rule: true })
        };
        if speaks_into(0) || speaks_into(1) {
            self.broken = Some(Broken::IntoClosed);
        }
        let usable = links.iter().any(|link| self.is_usable(link));
        let storms = self.kills > 0 || self.restarts > 0;
        if !self.calm {
            // Promised from the first link on; and again when everything has come to rest after something was broken.
            self.calm = usable && (!storms || self.is_at_rest());
        } else if !usable && self.broken.is_none() {
            self.broken = Some(Broken::Continuity);
        }
        // Before anything is broken each end that had a link has one, and the other end reads there.
        if self.kills == 0 && self.restarts == 0 && self.calm && self.broken.is_none() {
            let reaches = |end: End| {
                let read =
                    |wire: Wire| !matches!(links[wire as usize].ends[1 - end], State::Closed { .. } | State::None);
                self.active[end].is_some_and(read)
            };
            if !reaches(0) || !reaches(1) {
                self.broken = Some(Broken::Continuity);
            }
        }
    }

    /// Nothing is due any more.
    fn is_at_rest(&self) -> bool {
        let rests = |link: &Link| {
            let open = |state: &State| matches!(state, State::Greeting | State::Up);
            link.queues.iter().all(|queue| queue.len == 0) && !(link.broken && link.ends.iter().any(open))
        };
        let served = |call: &Call| matches!(call, Call::Served(_));
        self.wires[..self.dialled as usize].iter().all(rests) && !self.calls.iter().flatten().any(served)
    }

    /// Nothing is due any more: whether both ends hold the same single link, or none.
    pub(crate) fn agrees(&self) -> bool {
        let links = &self.wires[..self.dialled as usize];
        let up: Vec<usize> = (0..links.len()).filter(|wire| links[*wire].ends.contains(&State::Up)).collect();
        let greeting = links.iter().any(|link| link.ends.contains(&State::Greeting));
        match up[..] {
            [] => !greeting && self.active == [None; 2] && (self.kills + self.restarts > 0 || self.dialled == 0),
            [wire] => !greeting && links[wire].ends == [State::Up; 2] && self.active == [Some(wire as Wire); 2],
            _ => false,
        }
    }

    /// Stands for this moment in the set of moments that were seen: 64 bits, so that of ten million moments two are
    /// taken for one with a probability of one in 400,000.
    pub(crate) fn fingerprint(&self) -> u64 {
        let mut fast = Fast::default();
        self.hash(&mut fast);
        fast.finish()
    }
}
