//! One place or node that this node wants a link with: its addresses, how often it failed, when to try again.

use std::time::{Duration, Instant};

use super::{ConnectId, DialError, Jitter, Keep};
use crate::address::{Address, Scheme};
use crate::backoff::Backoff;
use crate::id::NodeId;
use crate::limits;

/// Something to dial.
///
/// ```text
///   Ready ──dial──▶ Dialling ──link up──▶ Held ──link lost──▶ Waiting ──time──▶ Ready
///                       └──every address failed────────────────▲
///   Parked: nobody wants it now; `Connect` and `Redial` wake it
/// ```
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct Contact {
    pub(super) routes: Vec<Route>,
    /// The route to try next.
    turn: usize,
    /// Routes tried since the last wait.
    pub(super) tried: usize,
    pub(super) kept: Kept,
    /// Where the last link led.
    pub(super) peer: Option<NodeId>,
    pub(super) state: State,
    backoff: Backoff,
    /// Failed rounds since a link was up.
    pub(super) failures: u32,
    /// Whether a round has ended since it is known: there was a link, or there was none.
    pub(super) was_tried: bool,
    /// Who waits for the outcome of this round.
    pub(super) asks: Vec<ConnectId>,
    /// The node that told of it, as long as there was no link with it here.
    pub(super) told_by: Option<NodeId>,
}

/// One address of a contact.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct Route {
    pub(super) address: Address,
    /// Who must be there.
    pub(super) expected: Option<NodeId>,
    /// The application named it; otherwise the peer did.
    pub(super) given: bool,
    /// Nobody listened there when it was dialled last.
    pub(super) refuses: bool,
}

/// How long a contact is wanted.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) enum Kept {
    /// For one attempt.
    Once,
    /// As long as the node runs.
    Forever,
    /// Until it is withdrawn.
    Found,
    /// Until it has been lost for [`limits::MEMBER_KEPT`]; holds since when it is.
    Member { lost: Option<Instant> },
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) enum State {
    Ready,
    Dialling,
    Held,
    Waiting(Instant),
    Parked,
}

impl Contact {
    pub(super) fn new(route: Route, keep: Keep) -> Contact {
        Contact {
            routes: vec![route],
            turn: 0,
            tried: 0,
            kept: match keep {
                Keep::Once => Kept::Once,
                Keep::Forever => Kept::Forever,
                Keep::Found => Kept::Found,
            },
            peer: None,
            state: State::Ready,
            backoff: Backoff::for_node(),
            failures: 0,
            was_tried: false,
            asks: Vec::new(),
            told_by: None,
        }
    }

    /// A member that dialled us and said where it can be reached.
    pub(super) fn of_member(peer: NodeId, first: Address, others: Vec<Address>) -> Contact {
        let mut contact =
            Contact::new(Route { address: first, expected: Some(peer), given: false, refuses: false }, Keep::Once);
        contact.routes[0].given = true; // kept by `learn` below
        contact.learn(peer, others);
        contact.routes[0].given = false;
        contact.hold(peer);
        contact
    }

    /// The route whose turn it is; the turn passes on to the next one.
    pub(super) fn next_route(&mut self) -> Route {
        let turn = self.turn.checked_rem(self.routes.len()).unwrap_or(0);
        self.turn = turn.saturating_add(1);
        self.routes[turn].clone()
    }

    /// Whether it may lead to this node, as far as is known.
    pub(super) fn leads_to(&self, peer: &NodeId) -> bool {
        self.peer.as_ref() == Some(peer)
            || (self.peer.is_none() && self.routes.iter().all(|route| route.expected.as_ref() == Some(peer)))
    }

    /// Replaces what the peer said about its addresses. What the application named stays.
    pub(super) fn learn(&mut self, peer: NodeId, addresses: Vec<Address>) {
        let mut routes = self.routes.clone();
        routes.retain(|route| route.given);
        for address in addresses {
            let known = routes.iter().any(|route| route.address == address);
            if !known && routes.len() < limits::ADDRESSES_PER_CONTACT_MAX {
                routes.push(Route { address, expected: Some(peer), given: false, refuses: false });
            }
        }
        if !routes.is_empty() {
            (self.routes, self.turn, self.tried) = (routes, 0, 0);
        }
    }

    /// A link with `peer` is up.
    pub(super) fn hold(&mut self, peer: NodeId) {
        let is_given = self.routes.iter().any(|route| route.given);
        if is_given && self.peer.is_some_and(|before| before != peer) {
            // Another node answers at a kept address: what the former one said about itself is of no use.
            self.routes.retain(|route| route.given);
        }
        for route in &mut self.routes {
            route.refuses = false;
        }
        self.told_by = None;
        self.peer = Some(peer);
        self.state = State::Held;
        self.was_tried = true;
        self.tried = 0;
        self.failures = 0;
        if let Kept::Once | Kept::Member { .. } = self.kept {
            self.kept = Kept::Member { lost: None };
            for route in &mut self.routes {
                route.expected = Some(peer);
            }
        }
    }

    /// The last link with the peer is gone; it had held for so long.
    pub(super) fn lose(&mut self, now: Instant, held_for: Duration, jitter: &mut Jitter) {
        if held_for >= limits::RECONNECT_HEALTH {
            self.backoff = Backoff::for_node();
        }
        if let Kept::Member { lost } = &mut self.kept {
            *lost = Some(now);
        }
        self.turn = 0;
        self.wait(now, Duration::ZERO, jitter);
    }

    /// A dial failed. True if that ends the round: every address has been tried, and no other dial is under way.
    pub(super) fn fail(&mut self, more: bool) -> bool {
        if self.state == State::Dialling && !more {
            self.state = State::Ready;
        }
        let over = self.state == State::Ready && self.tried >= self.routes.len();
        if over {
            self.was_tried = true;
            self.failures = self.failures.saturating_add(1);
        }
        over
    }

    /// How a dial to this address failed.
    pub(super) fn note_refusal(&mut self, address: &Address, why: &DialError) {
        let refuses = matches!(why, DialError::Unreachable { refused: true, .. });
        for route in self.routes.iter_mut().filter(|route| route.address == *address) {
            route.refuses = refuses;
        }
    }

    /// Whether nobody listens at any of its addresses. A host whose TLS port refuses has nobody at the QUIC port of that number
    /// either: a node has both from one process, and UDP has no way to refuse that could be relied on.
    pub(super) fn refuses(&self) -> bool {
        let place = |route: &Route| (route.address.host().cloned(), route.address.port());
        let is_refused = |route: &Route| {
            let beside = |other: &&Route| other.address.scheme() == Scheme::Tls && place(other) == place(route);
            route.refuses
                || route.address.scheme() == Scheme::Quic
                    && self.routes.iter().find(beside).is_some_and(|other| other.refuses)
        };
        self.routes.iter().all(is_refused)
    }

    /// Waits before the next round: as long as the backoff says, and at least so long.
    pub(super) fn wait(&mut self, now: Instant, at_least: Duration, jitter: &mut Jitter) {
        self.tried = 0;
        if let Kept::Member { lost: Some(lost) } = self.kept
            && now.saturating_duration_since(lost) >= limits::RECONNECT_QUICKLY
            && self.backoff.cap() < limits::RECONNECT_SLOWLY_LAST
        {
            self.backoff = Backoff::for_lost_member();
        }
        let delay = self.backoff.next_spread(jitter.next()).max(at_least);
        self.state = State::Waiting(now + delay);
    }

    /// The next wait is a first one: what failed so far may have failed because of this node's own network.
    pub(super) fn take_heart(&mut self) {
        self.backoff = Backoff::for_node();
    }

    /// Somebody found this address, which may be one that the peer named.
    pub(super) fn find(&mut self, address: &Address) {
        for route in self.routes.iter_mut().filter(|route| route.address == *address) {
            route.given = true;
        }
        if self.kept != Kept::Forever {
            self.kept = Kept::Found;
        }
    }

    /// Nobody finds this address any more. True if with it went the reason to keep the contact.
    pub(super) fn withdraw(&mut self, address: &Address) -> bool {
        if self.kept != Kept::Found {
            return false;
        }
        for route in self.routes.iter_mut().filter(|route| route.address == *address) {
            route.given = false;
        }
        !self.routes.iter().any(|route| route.given)
    }

    /// Whether it was lost so long ago that it is forgotten.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        matches!(self.kept, Kept::Member { lost: Some(lost) } if now.saturating_duration_since(lost) >= limits::MEMBER_KEPT)
    }
}
