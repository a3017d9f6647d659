//! Parting: from one peer, or from all of them because this node leaves.
//!
//! ```text
//!   one peer:  Disconnect(reason) ──▶ Disconnected, or 1 s ──▶ closed
//!   the node:  Draining to all ──▶ nothing open any more, or the time is over ──▶ Disconnect to all ──▶ … ──▶ Stopped
//! ```
//!
//! While a node drains, its links are no longer subject to the rule for duplicates: each stays until what is open on it
//! has ended.

use std::time::{Duration, Instant};

use super::contacts::Out;
use super::order::Fact;
use super::{Control, Order, Peers, Phase, Standing, State, WhyClosed, WhyDown};
use crate::hello::Refusal;
use crate::id::{LinkId, NodeId};
use crate::limits;

/// The number under which idleness is asked for before leaving. The rule for duplicates counts from 1 and never gets here.
pub(super) const LAST_ASK: u32 = u32::MAX;

impl Peers {
    /// Parts from one peer, which is told why. Its addresses are not dialled again by themselves.
    pub(crate) fn disconnect(&mut self, now: Instant, peer: NodeId, reason: &str) {
        for id in self.links_of(peer) {
            self.say_goodbye(now, id, reason);
        }
        let mut out = Out { orders: &mut self.orders, facts: &mut self.facts, jitter: &mut self.jitter };
        self.contacts.parted(peer, &mut out);
        self.observe(now, peer, Some(WhyDown::Closed(WhyClosed::Goodbye { reason: cut(reason) })));
    }

    /// Says goodbye on one link, or closes it if there is nobody to say it to yet.
    fn say_goodbye(&mut self, now: Instant, id: LinkId, reason: &str) {
        let Some(state) = self.links.get(&id).map(|link| link.state.clone()) else { return };
        match state {
            State::Trial => self.close(now, id, WhyClosed::Stopped),
            State::Paired if !self.take_out(id) => {
                let why = WhyClosed::Goodbye { reason: cut(reason) };
                self.close(now, id, why);
            }
            State::Paired | State::Draining { .. } => {
                let reason = cut(reason);
                self.orders.push_back(Order::Retire { link: id });
                self.orders
                    .push_back(Order::Send { link: id, control: Control::Disconnect { reason: reason.clone() } });
                self.part(now, id, reason);
            }
            State::Parting { .. } | State::Closing => {}
        }
    }

    /// Takes a link out of the rule for duplicates. True if it was up.
    fn take_out(&mut self, id: LinkId) -> bool {
        let Some(link) = self.links.get(&id) else { return false };
        let pair = &mut self.peers.get_mut(&link.peer).expect("a paired link has a peer").pair;
        let is_up = pair.links().any(|(link, _, standing)| link == id && standing != Standing::Pending);
        if is_up {
            pair.forget(id);
        }
        is_up
    }

    fn part(&mut self, now: Instant, id: LinkId, reason: String) {
        let link = self.links.get_mut(&id).expect("the caller found it");
        link.state = State::Parting { until: now + limits::GOODBYE_TIME, reason };
    }

    /// The peer says goodbye on this link.
    pub(super) fn told_goodbye(&mut self, now: Instant, id: LinkId, reason: String) {
        let Some(link) = self.links.get(&id) else { return };
        let (peer, state) = (link.peer, link.state.clone());
        match state {
            State::Trial | State::Closing => return,
            State::Paired => {
                self.peers.get_mut(&peer).expect("a paired link has a peer").pair.down(id, &mut self.orders);
            }
            State::Draining { .. } | State::Parting { .. } => {}
        }
        if !matches!(state, State::Parting { .. }) {
            self.orders.push_back(Order::Retire { link: id });
            self.part(now, id, cut(&reason));
        }
        self.orders.push_back(Order::Send { link: id, control: Control::Disconnected });
        self.observe(now, peer, Some(WhyDown::Left { reason: cut(&reason) }));
        self.proceed_with_leaving(now);
    }

    /// The peer has heard our goodbye.
    pub(super) fn goodbye_heard(&mut self, now: Instant, id: LinkId) {
        if let Some(State::Parting { reason, .. }) = self.links.get(&id).map(|link| link.state.clone()) {
            self.close(now, id, WhyClosed::Goodbye { reason });
        }
    }

    /// Closes links whose peers had a second for their goodbye.
    pub(super) fn end_goodbyes(&mut self, now: Instant) {
        let over = self.links.iter().filter_map(|(id, link)| match &link.state {
            State::Parting { until, .. } if *until <= now => Some(*id),
            _ => None,
        });
        for id in over.collect::<Vec<_>>() {
            self.goodbye_heard(now, id);
        }
    }

    /// Leaves in good order: takes nothing new, finishes what was accepted within this time, says goodbye.
    pub(crate) fn drain(&mut self, now: Instant, within: Duration, reason: &str) {
        if self.phase != Phase::Running {
            return;
        }
        self.phase = Phase::Draining { until: now + within.min(limits::DRAIN_TIME_MAX), reason: cut(reason) };
        self.facts.push_back(Fact::Draining);
        self.orders.push_back(Order::StopListening);
        self.contacts.stop(&mut Out { orders: &mut self.orders, facts: &mut self.facts, jitter: &mut self.jitter });
        let ids: Vec<LinkId> = self.links.keys().copied().collect();
        for link in ids {
            match self.links[&link].state.clone() {
                State::Trial => {
                    self.links.remove(&link);
                    self.orders.push_back(Order::Refuse { link, why: Refusal::Draining });
                }
                State::Paired if self.take_out(link) => {
                    self.links.get_mut(&link).expect("listed above").state = State::Draining { idle: false };
                    self.orders.push_back(Order::Send { link, control: Control::Draining });
                    self.orders.push_back(Order::Drain { link });
                    self.orders.push_back(Order::WhenIdle { link, ask: LAST_ASK });
                }
                State::Paired => self.close(now, link, WhyClosed::Stopped),
                _ => {}
            }
        }
        self.proceed_with_leaving(now);
    }

    /// Leaves at once: says goodbye without waiting for what is open. The second time: without waiting for anything.
    pub(crate) fn stop(&mut self, now: Instant, reason: &str) {
        match &self.phase {
            Phase::Running => self.drain(now, Duration::ZERO, reason),
            Phase::Draining { .. } => self.leave(now, cut(reason)),
            Phase::Leaving { .. } => self.stopped(),
            Phase::Stopped => {}
        }
    }

    /// Goes on to the next step of leaving, if its time has come.
    pub(super) fn proceed_with_leaving(&mut self, now: Instant) {
        match &self.phase {
            Phase::Draining { until, reason } if *until <= now || self.is_idle() => {
                let reason = reason.clone();
                self.leave(now, reason);
            }
            Phase::Leaving { until } if *until <= now || self.links.is_empty() => self.stopped(),
            _ => {}
        }
    }

    fn is_idle(&self) -> bool {
        self.links.values().all(|link| !matches!(link.state, State::Draining { idle: false }))
    }

    fn leave(&mut self, now: Instant, reason: String) {
        let idle = self.is_idle();
        self.facts.push_back(Fact::Leaving { idle, reason: reason.clone() });
        self.phase = Phase::Leaving { until: now + limits::GOODBYE_TIME.saturating_mul(2) };
        let ids: Vec<LinkId> = self.links.keys().copied().collect();
        for id in ids {
            self.say_goodbye(now, id, &reason);
        }
        let ids: Vec<NodeId> = self.peers.keys().copied().collect();
        for id in ids {
            self.observe(now, id, Some(WhyDown::Closed(WhyClosed::Goodbye { reason: reason.clone() })));
        }
        self.proceed_with_leaving(now);
    }

    fn stopped(&mut self) {
        self.phase = Phase::Stopped;
        let open = self.links.iter().filter(|(_, link)| link.state != State::Closing);
        self.orders.extend(open.map(|(id, _)| Order::Close { link: *id, why: WhyClosed::Stopped }));
        self.links.clear();
        self.peers.clear();
        self.orders.push_back(Order::Stopped);
    }

    pub(crate) fn links_of(&self, peer: NodeId) -> Vec<LinkId> {
        self.links.iter().filter(|(_, link)| link.peer == peer).map(|(id, _)| *id).collect()
    }
}

/// A reason as it travels: cut at a character, at [`limits::REASON_BYTES_MAX`] bytes.
fn cut(reason: &str) -> String {
    reason[..reason.floor_char_boundary(limits::REASON_BYTES_MAX)].to_owned()
}
