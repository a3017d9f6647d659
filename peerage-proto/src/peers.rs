//! Whom this node is connected to: its links, the peers at their other ends, and the contacts it dials.
//!
//! Here is decided which connection may become a link, which of several links to one peer stays, whom to dial and when, and
//! how to part. Nothing else dials, and nothing else closes a link that works.
//!
//! ```text
//!   Connect, Addresses ──▶ contacts ──Dial──▶ (transport, hello) ──Proved──▶ admission ──Admit──▶ … ──Up──▶ pair
//!                              ▲                                                │                           │
//!                              └──────────── lost ◀─────────────── Down ◀───────┴── Refuse, Close ◀─────────┘
//! ```
//!
//! The parts: `admission` answers a peer that has proved itself; `pair` holds the rule for duplicate links, one value for
//! each peer; `contacts` knows addresses and waits; `policy` and `budget` bound what addresses from others can cause;
//! `farewell` is for goodbyes.
//!
//! Every link has one life here: `Proved`, then `Admit` or `Refuse`. After `Refuse` it is forgotten. After `Admit` it ends
//! in exactly one `Down`, before or after it was `Up`.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::address::Address;
use crate::hello::{HelloError, Refusal, Trust};
use crate::id::{Epoch, LinkId, NodeId};
use crate::jitter::Jitter;
use crate::limits;
use crate::outputs::Outbox;

mod admission;
mod budget;
mod contact;
mod contacts;
mod control;
mod farewell;
mod order;
mod pair;
pub(crate) mod policy;
#[cfg(test)]
mod tests;
mod words;

use contact::Route;
use contacts::{Contacts, Out};
pub(crate) use order::Fact;
use pair::{NoWinner, Pair, Standing};

pub use control::Control;
pub use order::{ConnectError, DialError, Order, WhyClosed, WhyDown};
pub use words::{ConnectId, DialId, Keep, LinkView, Phase, Proved};

/// Links, peers and contacts of one node.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Peers {
    own: NodeId,
    epoch: Epoch,
    links_max: u32,
    phase: Phase,
    peers: BTreeMap<NodeId, Peer>,
    links: BTreeMap<LinkId, Link>,
    contacts: Contacts,
    jitter: Jitter,
    pub(crate) orders: Outbox<Order>,
    pub(crate) facts: Outbox<Fact>,
}

/// A node that there is a link with, or was not long ago.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Peer {
    /// Its newest epoch, and how far that can be relied on.
    epoch: Epoch,
    trust: Trust,
    pair: Pair,
    /// Since when it can be called.
    up: Option<Instant>,
    /// Since when there has been no link; it is remembered for a while, because its epoch is.
    gone: Option<Instant>,
    /// It has said that it is about to leave.
    draining: bool,
    /// When it counts as healthy.
    healthy_at: Option<Instant>,
    suspicion: admission::Suspicion,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Link {
    peer: NodeId,
    dialled: Option<DialId>,
    state: State,
}

/// What this node is about to do with a link.
///
/// ```text
///   Trial ──▶ Paired ──▶ Draining ──▶ Parting ──▶ Closing ──Down──▶
///     └─refused─▶         (a step may be left out; Down ends each)
/// ```
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
enum State {
    /// Neither admitted nor refused: another link is asked for a sign of life first.
    Trial,
    /// Subject to the rule for duplicate links.
    Paired,
    /// The node is about to leave; whether nothing is open on it any more.
    Draining { idle: bool },
    /// Goodbye was said on it; closed at this time at the latest.
    Parting { until: Instant, reason: String },
    /// Closed; its end has not been reported yet.
    Closing,
}

impl Peers {
    /// A node without links. `seed` is random, so that many nodes do not wait alike.
    pub(crate) fn new(own: NodeId, epoch: Epoch, links_max: u32, seed: u64) -> Peers {
        Peers {
            own,
            epoch,
            links_max: links_max.clamp(1, limits::LINKS_MAX),
            phase: Phase::Running,
            peers: BTreeMap::new(),
            links: BTreeMap::new(),
            contacts: Contacts::default(),
            jitter: Jitter::new(seed),
            orders: Outbox::default(),
            facts: Outbox::default(),
        }
    }

    /// The application wants a link with whoever is at the address.
    pub(crate) fn connect(
        &mut self,
        connect: Option<ConnectId>,
        address: Address,
        expected: Option<NodeId>,
        keep: Keep,
    ) {
        if self.phase != Phase::Running {
            let result = Err(ConnectError::ShuttingDown);
            self.orders.extend(connect.map(|connect| Order::Answer { connect, result }));
            return;
        }
        let expected = expected.or(address.node());
        let route = Route { address, expected, given: true, refuses: false };
        let peers = &self.peers;
        let mut out = Out { orders: &mut self.orders, facts: &mut self.facts, jitter: &mut self.jitter };
        let held = |peer: &NodeId| peers.get(peer).is_some_and(|peer| peer.up.is_some());
        self.contacts.connect(connect, route, keep, held, &mut out);
    }

    /// Nobody finds the address any more.
    pub(crate) fn withdraw(&mut self, address: &Address) {
        let mut out = Out { orders: &mut self.orders, facts: &mut self.facts, jitter: &mut self.jitter };
        self.contacts.withdraw(address, &mut out);
    }

    /// This node's network is another one.
    pub(crate) fn network_changed(&mut self) {
        self.contacts.network_changed();
    }

    /// Seeds and found addresses of which it is not yet known whether somebody is there.
    pub(crate) fn untried(&self) -> impl Iterator<Item = &Address> {
        self.contacts.untried()
    }

    /// A peer says where it can be reached.
    pub(crate) fn addresses(&mut self, peer: NodeId, addresses: Vec<Address>) {
        if self.phase == Phase::Running && self.peers.get(&peer).is_some_and(|peer| peer.up.is_some()) {
            self.contacts.learn(peer, addresses);
        }
    }

    /// There should be a link with a member, at these addresses. `informant`: who has told of them, if not the member itself.
    pub(crate) fn reach(&mut self, peer: NodeId, addresses: Vec<Address>, informant: Option<NodeId>) {
        if self.phase == Phase::Running && peer != self.own {
            let is_held = self.peers.get(&peer).is_some_and(|peer| peer.up.is_some());
            self.contacts.reach(peer, addresses, informant, is_held);
        }
    }

    /// Nobody wants a link with this member any more, if there is none.
    pub(crate) fn forget(&mut self, peer: NodeId) {
        if self.peers.get(&peer).is_none_or(|peer| peer.up.is_none()) {
            let mut out = Out { orders: &mut self.orders, facts: &mut self.facts, jitter: &mut self.jitter };
            self.contacts.forget(peer, &mut out);
        }
    }

    /// Whom this link leads to.
    pub(crate) fn peer_of(&self, link: LinkId) -> Option<NodeId> {
        self.links.get(&link).map(|link| link.peer)
    }

    /// The link that carries calls to this peer.
    pub(crate) fn active(&self, peer: &NodeId) -> Option<LinkId> {
        self.peers.get(peer).and_then(|peer| peer.pair.active())
    }

    /// A dial led to nobody who proved himself.
    pub(crate) fn dial_failed(&mut self, now: Instant, dial: DialId, why: DialError) {
        if let DialError::Hello(HelloError::Refused(refusal)) = &why {
            self.heed(refusal);
        }
        let mut out = Out { orders: &mut self.orders, facts: &mut self.facts, jitter: &mut self.jitter };
        self.contacts.failed(now, dial, why, &mut out);
    }

    /// Both ends have admitted the link.
    pub(crate) fn up(&mut self, now: Instant, id: LinkId) {
        let Some(link) = self.links.get(&id).filter(|link| link.state == State::Paired) else { return };
        let (peer, dialled) = (link.peer, link.dialled);
        let known = self.peers.get_mut(&peer).expect("a paired link has a peer");
        known.pair.up(id, &mut self.orders);
        if let Some(dial) = dialled {
            let mut out = Out { orders: &mut self.orders, facts: &mut self.facts, jitter: &mut self.jitter };
            self.contacts.reached(dial, peer, &mut out);
        }
        self.observe(now, peer, None);
    }

    /// A link has ended.
    pub(crate) fn down(&mut self, now: Instant, id: LinkId, why: WhyDown) {
        let Some(link) = self.links.remove(&id) else { return };
        if let WhyDown::Hello(HelloError::Refused(refusal)) = &why {
            self.heed(refusal);
        }
        if let Some(dial) = link.dialled {
            let why = match &why {
                WhyDown::Hello(why) => DialError::Hello(why.clone()),
                WhyDown::Lost(why) => DialError::Lost(why.clone()),
                _ => DialError::Lost(crate::outcome::LinkLost::ClosedHere),
            };
            let mut out = Out { orders: &mut self.orders, facts: &mut self.facts, jitter: &mut self.jitter };
            self.contacts.failed(now, dial, why, &mut out); // no effect once the link was up
        }
        if link.state == State::Paired {
            self.peers.get_mut(&link.peer).expect("a paired link has a peer").pair.down(id, &mut self.orders);
        }
        if why == WhyDown::TooSlow {
            self.facts.push_back(Fact::TooSlow { peer: link.peer });
            if let Some(peer) = self.peers.get_mut(&link.peer) {
                peer.healthy_at = peer.up.map(|_| now + limits::RECONNECT_HEALTH);
            }
        }
        self.trial_lost(now, link.peer, id);
        self.observe(now, link.peer, Some(why));
        self.proceed_with_leaving(now);
    }

    /// The peer said something about the link, or about itself.
    pub(crate) fn heard(&mut self, now: Instant, id: LinkId, control: Control) {
        let Some(link) = self.links.get(&id) else { return };
        let (peer, is_paired) = (link.peer, link.state == State::Paired);
        match control {
            Control::Disconnect { reason } => return self.told_goodbye(now, id, reason),
            Control::Disconnected => return self.goodbye_heard(now, id),
            Control::Draining => {
                let known = self.peers.get_mut(&peer).filter(|known| known.up.is_some());
                // Once: each time would be an event of its own.
                if known.is_some_and(|known| !std::mem::replace(&mut known.draining, true)) {
                    self.facts.push_back(Fact::PeerDraining { peer });
                }
                return;
            }
            Control::Superseded { .. } | Control::SupersededOk { .. } if !is_paired => return,
            Control::Superseded { winner, round } => {
                let pair = &mut self.peers.get_mut(&peer).expect("a paired link has a peer").pair;
                if let Err(NoWinner) = pair.superseded(id, (winner, round), &mut self.orders) {
                    let why = WhyClosed::Misbehaved("it gives up a link for a lesser one");
                    self.close(now, id, why);
                }
            }
            Control::SupersededOk { winner, round } => {
                let pair = &mut self.peers.get_mut(&peer).expect("a paired link has a peer").pair;
                pair.superseded_ok(id, (winner, round), &mut self.orders);
            }
        }
        self.observe(now, peer, None);
    }

    /// Nothing is open on this link.
    pub(crate) fn idle(&mut self, now: Instant, id: LinkId, ask: u32) {
        let Some(link) = self.links.get_mut(&id) else { return };
        match &mut link.state {
            State::Paired => {
                let peer = link.peer;
                let pair = &mut self.peers.get_mut(&peer).expect("a paired link has a peer").pair;
                pair.idle(id, ask, &mut self.orders);
                self.observe(now, peer, None);
            }
            State::Draining { idle } => {
                *idle |= ask == farewell::LAST_ASK;
                self.proceed_with_leaving(now);
            }
            State::Trial | State::Parting { .. } | State::Closing => {}
        }
    }

    /// Drops all links and dials all known addresses.
    pub(crate) fn redial(&mut self, now: Instant) {
        if self.phase != Phase::Running {
            return;
        }
        let ids: Vec<LinkId> = self.links.keys().copied().collect();
        for id in ids {
            self.close(now, id, WhyClosed::Redial);
        }
        let mut out = Out { orders: &mut self.orders, facts: &mut self.facts, jitter: &mut self.jitter };
        self.contacts.redial(now, &mut out);
    }

    /// Does what is due.
    pub(crate) fn timeout(&mut self, now: Instant) {
        self.end_trials(now);
        self.end_goodbyes(now);
        self.proceed_with_leaving(now);
        let facts = &mut self.facts;
        self.peers.retain(|id, peer| {
            if peer.healthy_at.take_if(|at| *at <= now).is_some() {
                facts.push_back(Fact::Healthy { peer: *id });
            }
            let is_over = peer.gone.is_some_and(|gone| now.saturating_duration_since(gone) >= limits::MEMBER_KEPT);
            if is_over {
                facts.push_back(Fact::PeerForgotten { peer: *id });
            }
            !is_over
        });
    }

    /// Ends every step: dials what is due.
    pub(crate) fn pump(&mut self, now: Instant) {
        if self.phase == Phase::Running {
            let mut out = Out { orders: &mut self.orders, facts: &mut self.facts, jitter: &mut self.jitter };
            self.contacts.pump(now, &mut out);
        }
    }

    /// When `timeout` and `pump` are due.
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        let peers = self.peers.values().filter_map(Peer::next_timeout);
        let links = self.links.values().filter_map(|link| match link.state {
            State::Parting { until, .. } => Some(until),
            _ => None,
        });
        let phase = match &self.phase {
            Phase::Draining { until, .. } | Phase::Leaving { until } => Some(*until),
            Phase::Running | Phase::Stopped => None,
        };
        peers.chain(links).chain(phase).chain(self.contacts.next_timeout()).min()
    }

    pub(crate) fn own(&self) -> NodeId {
        self.own
    }

    pub(crate) fn epoch(&self) -> Epoch {
        self.epoch
    }

    pub(crate) fn phase(&self) -> &Phase {
        &self.phase
    }

    /// All links that are up.
    pub(crate) fn views(&self) -> impl Iterator<Item = LinkView> {
        self.links.iter().filter_map(|(id, link)| {
            let peer = self.peers.get(&link.peer)?;
            let standing = peer.pair.links().find(|(link, ..)| link == id).map(|(_, _, standing)| standing);
            let is_up = match link.state {
                State::Paired => standing.is_some_and(|standing| standing != Standing::Pending),
                State::Draining { .. } | State::Parting { .. } => true,
                State::Trial | State::Closing => false,
            };
            is_up.then(|| LinkView {
                link: *id,
                peer: link.peer,
                epoch: peer.epoch,
                trust: peer.trust,
                dialled: link.dialled.is_some(),
                active: peer.pair.active() == Some(*id),
            })
        })
    }

    /// Peers that can be called.
    pub(crate) fn connected(&self) -> usize {
        self.peers.values().filter(|peer| peer.up.is_some()).count()
    }

    /// Closes a link at once. Its end is certain, so that it no longer counts for anything but the number of links.
    fn close(&mut self, now: Instant, id: LinkId, why: WhyClosed) {
        let Some(link) = self.links.get_mut(&id).filter(|link| link.state != State::Closing) else { return };
        let (peer, was) = (link.peer, std::mem::replace(&mut link.state, State::Closing));
        if was == State::Trial {
            self.orders.push_back(Order::Refuse { link: id, why: Refusal::Draining });
            self.links.remove(&id);
        } else {
            self.orders.push_back(Order::Close { link: id, why: why.clone() });
        }
        if was == State::Paired {
            self.peers.get_mut(&peer).expect("a paired link has a peer").pair.down(id, &mut self.orders);
        }
        self.trial_lost(now, peer, id);
        self.observe(now, peer, Some(WhyDown::Closed(why)));
    }

    /// Compares whether the peer can be called with what was told before. `why`: the end that may have changed it.
    fn observe(&mut self, now: Instant, id: NodeId, why: Option<WhyDown>) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let (mut has_links, mut drains) = (false, false);
        for (link, entry) in self.links.iter_mut().filter(|(_, entry)| entry.peer == id) {
            // What the rule no longer holds it has closed; it counts until its end is reported.
            if entry.state == State::Paired && !peer.pair.has(*link) {
                entry.state = State::Closing;
            }
            has_links |= entry.state != State::Closing;
            drains |= matches!(entry.state, State::Draining { .. });
        }
        peer.gone = if has_links { None } else { peer.gone.or(Some(now)) };
        let mut out = Out { orders: &mut self.orders, facts: &mut self.facts, jitter: &mut self.jitter };
        match (peer.up, peer.pair.active()) {
            (None, Some(link)) => {
                (peer.up, peer.healthy_at) = (Some(now), Some(now + limits::RECONNECT_HEALTH));
                peer.draining = false;
                let dialled = self.links.get(&link).is_some_and(|link| link.dialled.is_some());
                out.facts.push_back(Fact::Up { peer: id, epoch: peer.epoch, link, dialled });
                self.contacts.held(id, &mut out);
            }
            (Some(since), None) if !drains => {
                (peer.up, peer.healthy_at) = (None, None);
                let held_for = now.saturating_duration_since(since);
                let why = why.unwrap_or(WhyDown::Closed(WhyClosed::Superseded));
                match &why {
                    WhyDown::Left { .. } => self.contacts.left(now, id, held_for, &mut out),
                    WhyDown::Closed(WhyClosed::Goodbye { .. }) => self.contacts.parted(id, &mut out),
                    _ => self.contacts.lost(now, id, held_for, &mut out),
                }
                out.facts.push_back(Fact::Down { peer: id, epoch: peer.epoch, why });
            }
            _ => {}
        }
    }
}

impl Peer {
    fn new(id: NodeId, epoch: Epoch, trust: Trust) -> Peer {
        Peer {
            epoch,
            trust,
            pair: Pair::with(id),
            up: None,
            gone: None,
            draining: false,
            healthy_at: None,
            suspicion: admission::Suspicion::default(),
        }
    }

    fn next_timeout(&self) -> Option<Instant> {
        let forgotten = self.gone.map(|gone| gone + limits::MEMBER_KEPT);
        [self.healthy_at, forgotten, self.suspicion.next_timeout()].into_iter().flatten().min()
    }
}
