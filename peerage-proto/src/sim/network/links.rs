//! Links at work: bytes in and out, and what comes of them.

use std::time::{Duration, Instant};

use super::host::Word;
use super::way::Notice;
use super::wire::{EndId, Linger, Stage};
use super::{Event, Name, Network};
use crate::node::WhyDown;
use crate::outcome::LinkLost;
use crate::sim::end::News;

impl Network {
    /// One turn of an end: reads and writes what can be read and written.
    pub(super) fn turn(&mut self, end: EndId) {
        let Some(wire) = self.wires.get(&end.wire) else { return };
        let host = wire.hosts[end.side];
        if self.hosts[host].paused_until.is_some() || self.hosts[host].run != wire.runs[end.side] {
            return;
        }
        self.touched.end(host, end);
        match &wire.stages[end.side] {
            Stage::Shaking(_) => self.shake(end),
            Stage::Linked(_) => self.work(end),
            Stage::Lingering(_) => self.linger(end),
            Stage::Absent | Stage::Admitted(_) | Stage::Gone => {}
        }
        self.await_next(end);
    }

    /// Looks again when the next bytes arrive.
    fn await_next(&mut self, end: EndId) {
        let now = self.now;
        let Some(wire) = self.wires.get_mut(&end.wire) else { return };
        let Some(next) = wire.ways[1 - end.side].next_notice().filter(|at| *at > now) else { return };
        let awaited = &mut wire.awaited[end.side];
        if awaited.is_none_or(|at| at <= now || next < at) {
            *awaited = Some(next);
            self.at(next, Event::Turn(end));
        }
    }

    fn work(&mut self, end: EndId) {
        for _ in 0..ROUNDS {
            let did = self.read(end) | self.write(end);
            self.serve(end);
            if !did {
                return;
            }
        }
        self.turns.insert(end);
    }

    fn read(&mut self, end: EndId) -> bool {
        let (now, limit) = (self.now, [20, 600, 70_000, 70_000][self.dice.below(4) as usize]);
        let Some(wire) = self.wires.get_mut(&end.wire) else { return false };
        let local = self.hosts[wire.hosts[end.side]].clock.local(now);
        let way = &mut wire.ways[1 - end.side];
        let Stage::Linked(linked) = &mut wire.stages[end.side] else { return false };
        if !linked.end.wants_bytes() || linked.peer_closed {
            return false;
        }
        match way.notice(now) {
            Notice::Nothing => return false,
            Notice::Bytes => {
                if let Some(mut lent) = linked.end.lend() {
                    let (buffer, room) = lent.buffer();
                    let read = way.read(now, room);
                    buffer.extend_from_slice(&read);
                    linked.end.take_back(local, lent, &read);
                } else {
                    let bytes = way.read(now, limit);
                    self.log.say(now, || format!("      wire {} side {} reads {}", end.wire, end.side, bytes.len()));
                    linked.end.receive(local, &bytes);
                }
                // There is room again.
                self.turns.insert(end.other());
            }
            Notice::Closed => {
                linked.peer_closed = true;
                linked.end.peer_closed(local);
            }
            Notice::Reset => {
                linked.peer_closed = true;
                linked.end.broken(local);
            }
        }
        self.heed_news(end);
        true
    }

    fn write(&mut self, end: EndId) -> bool {
        let limit = if self.dice.chance(20) { self.dice.between(1, 300) as usize } else { usize::MAX };
        let Some(wire) = self.wires.get_mut(&end.wire) else { return false };
        let local = self.hosts[wire.hosts[end.side]].clock.local(self.now);
        let space = wire.ways[end.side].space().min(1 << 20);
        let Stage::Linked(linked) = &mut wire.stages[end.side] else { return false };
        if space == 0 || !linked.end.takes() {
            return false;
        }
        let bytes = linked.end.write(limit.min(space));
        self.write_way(end, bytes);
        if let Some(linked) = self.wires.get_mut(&end.wire).and_then(|wire| wire.linked(end.side)) {
            linked.end.give_back(local);
        }
        self.heed_news(end);
        true
    }

    /// Puts bytes on their way.
    pub(super) fn write_way(&mut self, end: EndId, bytes: Vec<u8>) {
        let Some(base) = self.wires.get(&end.wire).map(|wire| wire.delay) else { return };
        let (delay, count) = (self.delay(base), bytes.len());
        let Some(wire) = self.wires.get_mut(&end.wire) else { return };
        self.log.note_bytes(self.now, &[60, u64::from(end.wire), end.side as u64], &bytes);
        let at = wire.ways[end.side].write(self.now, delay, bytes);
        self.log.say(self.now, || {
            let when = at.duration_since(self.begin);
            format!("      wire {} side {} writes {count}, to arrive at {when:?}", end.wire, end.side)
        });
        if wire.ways[end.side].is_deaf() {
            return self.answer_with_reset(end);
        }
        self.await_next(end.other());
    }

    /// Bytes arrived where nobody knows of the connection: if there is a computer at all, it says so.
    fn answer_with_reset(&mut self, end: EndId) {
        let Some(wire) = self.wires.get(&end.wire) else { return };
        let (here, there, base) = (wire.hosts[end.side], wire.hosts[1 - end.side], wire.delay);
        if !self.hosts[there].is_on || self.is_cut(here, there) || self.is_cut(there, here) {
            return;
        }
        let at = self.now + self.delay(base) + self.delay(base);
        if let Some(wire) = self.wires.get_mut(&end.wire) {
            wire.ways[1 - end.side].reset(at, usize::MAX);
            self.await_next(end);
        }
    }

    /// What a link told while it was fed.
    pub(super) fn heed_news(&mut self, end: EndId) {
        let Some(wire) = self.wires.get_mut(&end.wire) else { return };
        let host = wire.hosts[end.side];
        let Stage::Linked(linked) = &mut wire.stages[end.side] else { return };
        self.touched.end(host, end);
        let link = linked.link;
        if linked.end.channel().is_gated() && linked.end.channel().requests_in_service() > linked.end.working().len() {
            self.mark("the pause rule held a handler back");
        }
        let Some(linked) = self.wires.get_mut(&end.wire).and_then(|wire| wire.linked(end.side)) else { return };
        for news in linked.end.news() {
            match news {
                News::Request { served, number } => self.asked(end, served, number),
                News::Settled { number, result } => self.settled(end, number, result),
                News::Stop(served) => self.told_to_stop(end, served),
                // Applications of the network hold no conversations.
                News::Readable(_) => {}
                // Nor do they subscribe to anything.
                News::OfEvents(order) => unreachable!("nobody subscribed: {order:?}"),
                News::Control { kind, content } => self.tell(host, link, Word::Control { kind, content }),
                News::Idle => {
                    let linked = self.wires.get_mut(&end.wire).and_then(|wire| wire.linked(end.side));
                    if let Some(ask) = linked.and_then(|linked| linked.asked_idle.take()) {
                        self.tell(host, link, Word::Idle(ask));
                    }
                }
                News::Answered => self.tell(host, link, Word::Answered),
                News::Quiet(is_quiet) => {
                    self.mark(if is_quiet { "a peer was suspected" } else { "a suspected peer was heard" });
                    self.tell(host, link, Word::Quiet(is_quiet));
                }
                News::GaveUp { number } => self.gave_up(end, number),
                News::Ended => self.link_ended(end),
            }
        }
    }

    /// The link has ended: says so to the socket, and to the node.
    fn link_ended(&mut self, end: EndId) {
        let Some(wire) = self.wires.get_mut(&end.wire) else { return };
        let host = wire.hosts[end.side];
        let local = self.hosts[host].clock.local(self.now);
        let Some(linked) = wire.linked(end.side) else { return };
        linked.is_told_of_end = true;
        linked.closes_by = None;
        linked.inbox.clear();
        linked.running.clear();
        linked.end.check_empty(local);
        let (link, why) = (linked.link, linked.end.ended().cloned().expect("told so"));
        self.end_attempts(end);
        self.tell(host, link, Word::Ended(WhyDown::Lost(why.clone())));
        match why {
            LinkLost::ClosedHere => {
                self.close_way(end);
                if let Some(wire) = self.wires.get_mut(&end.wire) {
                    wire.stages[end.side] =
                        Stage::Lingering(Linger { until: local + LINGER_WITHIN, at_most: local + LINGER_AT_MOST });
                }
                self.turns.insert(end);
            }
            LinkLost::Misbehaved(_) | LinkLost::TooSlow => {
                self.violated(super::Oracle::O10, &[host], format!("an honest link ended so: {why}"));
            }
            _ => self.let_go(end, true),
        }
    }

    /// Reads away what the peer sent before it learned of the end.
    fn linger(&mut self, end: EndId) {
        loop {
            let now = self.now;
            let Some(wire) = self.wires.get_mut(&end.wire) else { return };
            let local = self.hosts[wire.hosts[end.side]].clock.local(now);
            let way = &mut wire.ways[1 - end.side];
            match way.notice(now) {
                Notice::Nothing => return,
                Notice::Bytes => {
                    way.read(now, usize::MAX);
                    if let Stage::Lingering(linger) = &mut wire.stages[end.side] {
                        linger.until = (local + LINGER_WITHIN).min(linger.at_most);
                    }
                    self.turns.insert(end.other());
                }
                Notice::Closed | Notice::Reset => return self.let_go(end, true),
            }
        }
    }

    /// Closes a link: what was answered is still written, within a second.
    pub(super) fn close_link(&mut self, end: EndId, local: Instant) {
        let Some(linked) = self.wires.get_mut(&end.wire).and_then(|wire| wire.linked(end.side)) else { return };
        if linked.is_told_of_end {
            return;
        }
        linked.closes_by.get_or_insert(local + CLOSE_WITHIN);
        linked.inbox.clear();
        linked.running.clear();
        linked.end.close(local);
        self.heed_news(end);
        self.turns.insert(end);
    }

    /// What is due at an end.
    pub(super) fn ring(&mut self, end: EndId) {
        let Some(wire) = self.wires.get_mut(&end.wire) else { return };
        let host = wire.hosts[end.side];
        let local = self.hosts[host].clock.local(self.now);
        match &mut wire.stages[end.side] {
            Stage::Shaking(_) => self.ring_handshake(end, local),
            Stage::Linked(linked) if !linked.is_told_of_end => {
                if linked.closes_by.is_some_and(|at| at <= local) {
                    linked.end.broken(local);
                } else if !linked.end.ring_if_due(local) {
                    return;
                }
                self.heed_news(end);
                self.serve(end);
                self.turns.insert(end);
            }
            Stage::Lingering(linger) if linger.until <= local => self.let_go(end, true),
            _ => {}
        }
    }

    fn close_way(&mut self, end: EndId) {
        let Some(base) = self.wires.get(&end.wire).map(|wire| wire.delay) else { return };
        let delay = self.delay(base);
        if let Some(wire) = self.wires.get_mut(&end.wire) {
            wire.ways[end.side].close(self.now, delay);
            self.await_next(end.other());
        }
    }

    /// The process lets go of its end. `says_so`: its computer tells the other.
    pub(super) fn let_go(&mut self, end: EndId, says_so: bool) {
        if says_so {
            self.close_way(end);
        }
        let Some(wire) = self.wires.get_mut(&end.wire) else { return };
        wire.stages[end.side] = Stage::Gone;
        wire.ways[1 - end.side].deafen();
        let host = wire.hosts[end.side];
        let is_over = wire.stages.iter().all(|stage| matches!(stage, Stage::Gone));
        if let Some(process) = &mut self.hosts[host].process {
            process.ends.remove(&end);
        }
        self.log.say(self.now, || format!("{} lets go of wire {}", Name(host), end.wire));
        if is_over {
            if !wire.is_hurt {
                self.gone_unhurt.insert(end.wire);
            }
            self.wires.remove(&end.wire);
        } else {
            self.turns.insert(end.other());
        }
    }

    /// Something happened to the connection that may cost calls.
    pub(super) fn hurt(&mut self, end: EndId) {
        if let Some(wire) = self.wires.get_mut(&end.wire) {
            wire.is_hurt = true;
        }
    }
}

/// How long closing waits for the peer to take the last answers.
const CLOSE_WITHIN: Duration = Duration::from_secs(1);

/// How long what the peer sends is read away after that and after each byte of it, until it closes its side. A socket that
/// is closed before answers the next byte of the peer with a reset, which overtakes what is still under way to it.
const LINGER_WITHIN: Duration = Duration::from_secs(5);

/// How long in all.
const LINGER_AT_MOST: Duration = Duration::from_secs(60);

/// Rounds of one turn before others get theirs.
const ROUNDS: usize = 16;
