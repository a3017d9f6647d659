//! What befalls connections, clocks and processes without ending anything.

use std::time::Duration;

use super::Happening;
use crate::channel::Input as LinkInput;
use crate::node::Input;
use crate::sim::network::wire::{EndId, Stage};
use crate::sim::network::{Event, Network};

impl Network {
    /// A process stands still, and does not know.
    pub(super) fn pause(&mut self, host: usize) {
        let limit = [Duration::from_secs(2), Duration::from_secs(8), Duration::from_secs(40)];
        let limit = limit[self.dice.below(3) as usize];
        let time = self.until_calm(limit);
        let here = &mut self.hosts[host];
        if here.process.is_none() || here.paused_until.is_some() {
            return;
        }
        let until = self.now + time;
        here.paused_until = Some(until);
        here.pauses_since = self.now;
        self.hurt_all(host);
        self.at(until, Event::Happening(Happening::Resume(host)));
    }

    pub(super) fn resume(&mut self, host: usize) {
        let now = self.now;
        let here = &mut self.hosts[host];
        if here.paused_until.is_none_or(|until| until > now) {
            return;
        }
        here.paused_until = None;
        let stood = here.clock.local(now) - here.clock.local(here.pauses_since);
        self.went_on(host, stood);
        if self.is_calm {
            self.for_links(host, |_| LinkInput::LocalHealth(1));
            self.feed(host, Input::LocalHealth(1));
        }
    }

    /// The clock of a node is set forward.
    pub(super) fn step(&mut self, host: usize) {
        let by = self.dice.time(Duration::from_secs(6));
        let now = self.now;
        if self.hosts[host].paused_until.is_none() {
            self.hosts[host].clock.step(now, by);
            self.hurt_all(host);
            self.went_on(host, by);
        }
    }

    /// The clock on the wall is set: the driver notices and tells the links.
    pub(super) fn jump(&mut self, host: usize) {
        if self.hosts[host].paused_until.is_none() {
            let factor = self.dice.between(1, 8) as u8;
            self.for_links(host, |_| LinkInput::Jumped);
            self.for_links(host, |_| LinkInput::LocalHealth(factor));
            self.feed(host, Input::Jumped);
            self.feed(host, Input::LocalHealth(factor));
        }
    }

    /// To the process it looks as if it had stood still for so long.
    fn went_on(&mut self, host: usize, stood: Duration) {
        let (now, local) = (self.now, self.local(host));
        let here = &mut self.hosts[host];
        here.woke = Some(local);
        if stood >= SURELY_NOTICED {
            here.jumped_at = Some(now);
        }
        let Some(process) = &mut here.process else { return };
        process.armed = None;
        let ends: Vec<EndId> = process.ends.keys().copied().collect();
        for end in &ends {
            if let Some(linked) = self.wires.get_mut(&end.wire).and_then(|wire| wire.linked(end.side)) {
                linked.end.woke(local);
            }
        }
        if stood >= Duration::from_secs(1) && self.dice.chance(30) {
            self.for_links(host, |_| LinkInput::Jumped);
            self.feed(host, Input::Jumped);
        }
        if self.dice.chance(50) {
            ends.iter().for_each(|end| self.turn(*end));
        }
        self.wake(host);
        self.turns.extend(ends);
    }

    fn hurt_all(&mut self, host: usize) {
        let Some(process) = &self.hosts[host].process else { return };
        let ends: Vec<EndId> = process.ends.keys().copied().collect();
        ends.into_iter().for_each(|end| self.hurt(end));
    }

    pub(super) fn cut(&mut self, ways: &[(usize, usize)]) {
        self.cuts.extend(ways);
        for wire in self.wires.values_mut() {
            let [a, b] = wire.hosts;
            for (side, pair) in [(a, b), (b, a)].into_iter().enumerate() {
                if ways.contains(&pair) {
                    wire.ways[side].cut();
                    wire.is_hurt = true;
                }
            }
        }
    }

    pub(super) fn mend(&mut self, ways: &[(usize, usize)]) {
        for way in ways {
            if let Some(at) = self.cuts.iter().position(|cut| cut == way) {
                self.cuts.swap_remove(at);
            }
        }
        let wires: Vec<u32> = self.wires.keys().copied().collect();
        for id in wires {
            // What was held up is sent again, now or a little later.
            let at = self.now + self.dice.time(Duration::from_secs(1));
            let Some(wire) = self.wires.get_mut(&id).filter(|wire| !wire.is_forgotten) else { continue };
            let [a, b] = wire.hosts;
            for (side, pair) in [(a, b), (b, a)].into_iter().enumerate() {
                if ways.contains(&pair) && !self.cuts.contains(&pair) {
                    wire.ways[side].mend(at);
                    self.turns.insert(EndId { wire: id, side: 1 - side });
                }
            }
        }
    }

    /// Some connection.
    fn any_wire(&mut self) -> Option<u32> {
        let linked = |stage: &Stage| matches!(stage, Stage::Linked(_) | Stage::Shaking(_));
        let wires: Vec<u32> =
            self.wires.iter().filter(|(_, wire)| wire.stages.iter().any(linked)).map(|(id, _)| *id).collect();
        let nth = self.dice.below(wires.len() as u64) as usize;
        wires.get(nth).copied()
    }

    pub(super) fn reset(&mut self) {
        let Some(id) = self.any_wire() else { return };
        for side in [0, 1] {
            let (at, keep) = (self.now + self.dice.time(Duration::from_millis(500)), self.dice.below(4) as usize);
            if let Some(wire) = self.wires.get_mut(&id) {
                wire.is_hurt = true;
                wire.ways[side].reset(at, keep);
                self.at(at, Event::Turn(EndId { wire: id, side: 1 - side }));
            }
        }
    }

    /// Something on the way has forgotten the connection: nothing arrives any more, and nobody says so.
    pub(super) fn half_open(&mut self) {
        let Some(id) = self.any_wire() else { return };
        if let Some(wire) = self.wires.get_mut(&id) {
            (wire.is_hurt, wire.is_forgotten) = (true, true);
            wire.ways.iter_mut().for_each(super::super::way::Way::cut);
        }
    }
}

/// A pause that a link notices whenever it began: longer than it ever sleeps, and a second.
const SURELY_NOTICED: Duration = Duration::from_millis(2_500);
