//! Carrying out what a node orders.

use super::host::Process;
use super::wire::{EndId, Stage};
use super::{Event, Name, Network, Oracle, admission};
use crate::channel::Input as LinkInput;
use crate::hello::{Input as HelloInput, Refusal};
use crate::id::LinkId;
use crate::node::{Event as NodeEvent, Order, WhyClosed};

impl Network {
    pub(super) fn carry_out(&mut self, host: usize, order: Order) {
        let numbers = [10, host as u64, number_of(&order)];
        self.log.note(self.now, &numbers, || format!("{} -> {order}", Name(host)));
        let local = self.local(host);
        let Some(process) = &mut self.hosts[host].process else { return };
        match order {
            Order::Dial { dial, address, expected, dial_seq } => {
                process.dials.insert(dial, None);
                self.dial(host, admission::Dialling { dial, address, expected, dial_seq });
            }
            Order::Abandon { dial } => {
                self.mark("a dial was abandoned");
                self.abandon(host, dial);
            }
            Order::Admit { link } => {
                self.check_epoch(host, link);
                self.decide(host, link, HelloInput::Admit);
            }
            Order::Refuse { link, why } => {
                match &why {
                    Refusal::StaleEpoch { .. } => self.mark("a stale epoch was refused"),
                    Refusal::Busy { .. } => self.mark("one link too many was refused"),
                    Refusal::Draining => self.mark("a draining node refused a link"),
                    why => self.violated(Oracle::O10, &[host], format!("an honest peer is refused: {why:?}")),
                }
                self.decide(host, link, HelloInput::Refuse(why));
            }
            Order::Activate { link, peer } => {
                if process.links.contains_key(&link) {
                    process.directory.insert(peer, link);
                }
            }
            Order::Retire { link } => self.order_of(host, link, LinkInput::Retire),
            Order::Restore { link } => {
                self.mark("a loser was returned to active");
                self.order_of(host, link, LinkInput::Restore);
            }
            Order::Drain { link } => {
                self.order_of(host, link, LinkInput::Retire);
                self.order_of(host, link, LinkInput::Drain);
            }
            Order::WhenIdle { link, ask } => self.when_idle(host, link, ask),
            Order::Probe { link } => {
                self.mark("an established peer was probed");
                self.order_of(host, link, LinkInput::Probe);
            }
            Order::Send { link, control } => {
                let (kind, content) = control.encode();
                self.order_of(host, link, LinkInput::Control { kind, content: &content });
            }
            Order::Close { link, why } => self.close(host, link, &why, local),
            Order::Answer { .. } => {}
            Order::Renew { epoch } => {
                self.mark("a node raised its epoch");
                let counter = &mut self.hosts[host].counter;
                *counter = (*counter).max(epoch.start());
            }
            Order::StopListening => process.is_listening = false,
            Order::Stopped => self.stopped(host),
        }
    }

    pub(super) fn heard_of(&mut self, host: usize, event: &NodeEvent) {
        self.log.say(self.now, || format!("{} == {event:?}", Name(host)));
        let Some(process) = &mut self.hosts[host].process else { return };
        match event {
            NodeEvent::Draining => process.is_leaving = true,
            NodeEvent::Leaving { idle: true } => self.mark("a node left with everything done"),
            NodeEvent::Leaving { idle: false } => {
                let ends: Vec<EndId> = process.links.values().copied().collect();
                ends.into_iter().for_each(|end| self.hurt(end));
                self.mark("a node left with work undone");
            }
            NodeEvent::IdentityConflict { .. } => {
                self.violated(Oracle::O10, &[host], "two processes with one key, where there is one".to_owned());
            }
            NodeEvent::Isolated => self.mark("a node was isolated"),
            NodeEvent::Member(change) => self.member_changed(host, change),
            _ => {}
        }
    }

    fn close(&mut self, host: usize, link: LinkId, why: &WhyClosed, local: std::time::Instant) {
        let Some(process) = &mut self.hosts[host].process else { return };
        match process.links.get(&link).copied() {
            Some(end) => {
                process.forget(link);
                match why {
                    WhyClosed::Superseded => {
                        self.mark("a loser was closed");
                        let Some(wire) = self.wires.get_mut(&end.wire) else { return };
                        wire.closed_by_rule[end.side] = true;
                    }
                    WhyClosed::Misbehaved(what) => {
                        self.violated(Oracle::O10, &[host], format!("an honest peer is said to misbehave: {what}"));
                    }
                    _ => self.hurt(end),
                }
                self.close_link(end, local);
            }
            None => {
                process.undecided.remove(&link);
                process.stillborn.insert(link);
            }
        }
    }

    fn when_idle(&mut self, host: usize, link: LinkId, ask: u32) {
        let Some(end) = self.end_of(host, link) else { return };
        let Some(linked) = self.wires.get_mut(&end.wire).and_then(|wire| wire.linked(end.side)) else { return };
        if linked.end.channel().is_idle() {
            self.tell(host, link, super::host::Word::Idle(ask));
        } else {
            linked.asked_idle = Some(ask);
        }
    }

    pub(super) fn end_of(&self, host: usize, link: LinkId) -> Option<EndId> {
        self.hosts[host].process.as_ref()?.links.get(&link).copied()
    }

    pub(super) fn order_of(&mut self, host: usize, link: LinkId, input: LinkInput<'_>) {
        let local = self.local(host);
        if let Some(end) = self.end_of(host, link) {
            self.order_link(end, local, input);
        }
    }

    /// Tells a link what its node wants of it.
    pub(super) fn order_link(&mut self, end: EndId, local: std::time::Instant, input: LinkInput<'_>) {
        let Some(linked) = self.wires.get_mut(&end.wire).and_then(|wire| wire.linked(end.side)) else { return };
        if linked.is_told_of_end {
            return;
        }
        linked.end.order(local, input);
        self.heed_news(end);
        self.turns.insert(end);
    }

    /// The node has said goodbye: its process ends once its links have.
    fn stopped(&mut self, host: usize) {
        let local = self.local(host);
        let Some(process) = &mut self.hosts[host].process else { return };
        process.is_leaving = true;
        process.is_listening = false;
        process.exits_at = Some(local + EXIT_WITHIN);
        process.directory.clear();
        let ends: Vec<EndId> = process.ends.keys().copied().collect();
        for end in ends {
            let Some(wire) = self.wires.get_mut(&end.wire) else { continue };
            match &wire.stages[end.side] {
                Stage::Linked(_) => {
                    self.hurt(end);
                    self.close_link(end, local);
                }
                Stage::Lingering(_) => {}
                Stage::Absent | Stage::Shaking(_) | Stage::Admitted(_) | Stage::Gone => self.let_go(end, true),
            }
        }
    }

    /// The process ends in good order: nothing may be left.
    pub(super) fn exit(&mut self, host: usize) {
        let Some(process) = self.hosts[host].process.as_ref() else { return };
        let left = check_stopped(process);
        let open = process.ends.keys().filter(|end| {
            let stage = self.wires.get(&end.wire).map(|wire| &wire.stages[end.side]);
            matches!(stage, Some(Stage::Linked(linked)) if !linked.is_told_of_end)
        });
        let open = open.count();
        if let Some(left) = left.or((open > 0).then(|| format!("{open} links do not end"))) {
            self.violated(Oracle::O8, &[host], format!("after the end there is still something: {left}"));
        }
        self.mark("a process ended in good order");
        self.end_process(host, super::faults::HowItEnds::Closes);
        // Whoever took longer than was thought comes back all the same.
        if self.starts_within.is_none() && self.now < self.begin + super::faults::LAST_BOOT {
            self.soon(std::time::Duration::from_secs(3), Event::Happening(super::faults::Happening::Boot(host)));
        }
    }
}

/// What is left of a node that has stopped.
fn check_stopped(process: &Process) -> Option<String> {
    let node = &process.node;
    if let Some(view) = node.links().next() {
        return Some(format!("{}", view.link));
    }
    if node.next_timeout().is_some() {
        return Some("a timer".to_owned());
    }
    (node.connected() > 0).then(|| "a peer".to_owned())
}

fn number_of(order: &Order) -> u64 {
    match order {
        Order::Dial { dial, .. } | Order::Abandon { dial } => dial.0 << 8,
        Order::Admit { link } => link.0 << 8 | 1,
        Order::Refuse { link, .. } => link.0 << 8 | 2,
        Order::Activate { link, .. } => link.0 << 8 | 3,
        Order::Retire { link } => link.0 << 8 | 4,
        Order::Restore { link } => link.0 << 8 | 5,
        Order::Drain { link } => link.0 << 8 | 6,
        Order::WhenIdle { link, .. } => link.0 << 8 | 7,
        Order::Probe { link } => link.0 << 8 | 8,
        Order::Send { link, .. } => link.0 << 8 | 9,
        Order::Close { link, .. } => link.0 << 8 | 10,
        Order::Answer { connect, .. } => connect.0 << 8 | 11,
        Order::Renew { epoch } => epoch.start() << 8 | 12,
        Order::StopListening => 13,
        Order::Stopped => 14,
    }
}

/// A process whose node has stopped is gone after this: its links have a second to say their last words, and five to hear
/// that they are heard.
const EXIT_WITHIN: std::time::Duration = std::time::Duration::from_millis(6_500);
