//! Whom this node wants links with, and the dials that are under way for it.
//!
//! A contact is tried address by address, one dial at a time, and never is one address dialled twice at once. A round that
//! failed at every address is followed by a wait: 200 ms at first, twice as long each time, up to 10 s, and of each wait a
//! random part, so that those who lost the same node do not come back as one wave. What the application asked to be kept is
//! tried for ever, and what was found until it is withdrawn. Any other node that a link was lost with is tried like that for ten minutes, then every 1 to 60 minutes,
//! and forgotten after an hour.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use super::budget::{GossipDials, Withheld};
use super::contact::{Contact, Kept, Route, State};
use super::order::Fact;
use super::{ConnectError, ConnectId, DialError, DialId, Jitter, Keep, Order};
use crate::address::Address;
use crate::hello::{HelloError, Refusal};
use crate::id::NodeId;
use crate::limits;
use crate::outcome::LinkLost;

/// The contacts and their dials.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub(super) struct Contacts {
    by_id: BTreeMap<ContactId, Contact>,
    /// Contacts in state `Waiting`, by time.
    waiting: BTreeSet<(Instant, ContactId)>,
    /// Contacts in state `Ready`.
    ready: BTreeSet<ContactId>,
    dials: BTreeMap<DialId, Dial>,
    next_contact: u64,
    next_dial: u64,
    /// What the next dial says in its Hello.
    next_seq: u64,
    asks: usize,
    /// What dials cost that only hearsay causes.
    gossip: GossipDials,
    /// Nodes that this node has parted from: they are not dialled because others tell of them.
    parted: BTreeSet<NodeId>,
}

#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
struct ContactId(u64);

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Dial {
    contact: ContactId,
    route: Route,
    /// When it is given up; `None` once the peer has proved itself, because then the handshake has its own limit.
    until: Option<Instant>,
    /// Only a third node has told of the address.
    is_hearsay: bool,
}

/// Where orders and facts go.
pub(super) struct Out<'a> {
    pub(super) orders: &'a mut VecDeque<Order>,
    pub(super) facts: &'a mut VecDeque<Fact>,
    pub(super) jitter: &'a mut Jitter,
}

impl Contacts {
    /// The application wants a link with whoever is at `address`. `held` is the expected node, if there is a link with it.
    pub(super) fn connect(
        &mut self,
        connect: Option<ConnectId>,
        route: Route,
        keep: Keep,
        held: impl Fn(&NodeId) -> bool,
        out: &mut Out<'_>,
    ) {
        // What was found may be what a peer says of itself, with which there is a link already.
        let same = |contact: &Contact| {
            contact.routes.iter().any(|known| {
                (known.given || keep == Keep::Found)
                    && known.address == route.address
                    && (route.expected.is_none() || known.expected == route.expected)
            })
        };
        let known = self.by_id.iter().find(|(_, contact)| same(contact)).map(|(id, _)| *id);
        let pinned = route.expected.filter(&held);
        if let (Some(peer), Some(connect), Keep::Once) = (pinned, connect, keep) {
            out.orders.push_back(Order::Answer { connect, result: Ok(peer) });
            return;
        }
        if connect.is_some() && self.asks >= limits::CONNECTS_AT_ONCE_MAX
            || known.is_none() && self.by_id.len() >= limits::CONTACTS_MAX
        {
            out.orders.extend(connect.map(|connect| Order::Answer { connect, result: Err(ConnectError::TooMany) }));
            return;
        }
        let address = route.address.clone();
        let id = known.unwrap_or_else(|| {
            let id = ContactId(self.next_contact);
            self.next_contact = self.next_contact.wrapping_add(1);
            self.by_id.insert(id, Contact::new(route, keep));
            self.ready.insert(id);
            id
        });
        let contact = self.by_id.get_mut(&id).expect("found or made above");
        match keep {
            Keep::Once => {}
            Keep::Forever => contact.kept = Kept::Forever,
            Keep::Found => contact.find(&address),
        }
        if let Some(peer) = pinned {
            self.hold(id, peer, out);
        }
        let contact = self.by_id.get_mut(&id).expect("found or made above");
        match (contact.state, contact.peer, connect) {
            (State::Held, Some(peer), Some(connect)) => {
                out.orders.push_back(Order::Answer { connect, result: Ok(peer) })
            }
            (State::Held, ..) => {}
            _ => {
                contact.asks.extend(connect);
                self.asks = self.asks.saturating_add(connect.is_some().into());
                if let State::Waiting(_) | State::Parked = contact.state {
                    self.set(id, State::Ready);
                }
            }
        }
    }

    /// Nobody finds this address any more. A node that there is a link with stays a member.
    pub(super) fn withdraw(&mut self, address: &Address, out: &mut Out<'_>) {
        let mut over = Vec::new();
        for (id, contact) in &mut self.by_id {
            if contact.withdraw(address) {
                over.push((*id, contact.state, contact.peer));
            }
        }
        for (id, state, peer) in over {
            let contact = self.by_id.get_mut(&id).expect("listed above");
            match (state, peer) {
                (State::Held, Some(peer)) => {
                    contact.kept = Kept::Once;
                    contact.hold(peer);
                }
                _ if !contact.asks.is_empty() => contact.kept = Kept::Once,
                _ => self.forget_one(id, out),
            }
        }
    }

    /// This node's network is another one: whoever waits is dialled now.
    pub(super) fn network_changed(&mut self) {
        let waiting: Vec<ContactId> = self.waiting.iter().map(|(_, id)| *id).collect();
        for id in waiting {
            self.by_id.get_mut(&id).expect("only contacts wait").take_heart();
            self.set(id, State::Ready);
        }
    }

    /// Seeds and found addresses of which it is not yet known whether somebody is there.
    pub(super) fn untried(&self) -> impl Iterator<Item = &Address> {
        let is_untried = |contact: &&Contact| {
            matches!(contact.kept, Kept::Forever | Kept::Found) && !contact.was_tried && contact.state != State::Parked
        };
        self.by_id.values().filter(is_untried).filter_map(|contact| contact.routes.first()).map(|route| &route.address)
    }

    /// A peer with which there is a link says where it can be reached.
    pub(super) fn learn(&mut self, peer: NodeId, mut addresses: Vec<Address>) {
        if let Some(contact) = self.by_id.values_mut().find(|contact| contact.leads_to(&peer)) {
            contact.learn(peer, addresses);
        } else if !addresses.is_empty() && self.by_id.len() < limits::CONTACTS_MAX {
            let first = addresses.remove(0);
            self.by_id.insert(ContactId(self.next_contact), Contact::of_member(peer, first, addresses));
            self.next_contact = self.next_contact.wrapping_add(1);
        }
    }

    /// There should be a link with a member, at these addresses. `informant`: who has told of them, if not the member itself.
    pub(super) fn reach(
        &mut self,
        peer: NodeId,
        mut addresses: Vec<Address>,
        informant: Option<NodeId>,
        is_held: bool,
    ) {
        if self.parted.contains(&peer) {
            return;
        }
        let known = self.by_id.iter_mut().find(|(_, contact)| contact.leads_to(&peer));
        if let Some((id, contact)) = known {
            let (id, before) = (*id, contact.routes.clone());
            contact.learn(peer, addresses);
            if contact.routes != before && matches!(contact.state, State::Waiting(_)) {
                self.set(id, State::Ready);
            }
        } else if !addresses.is_empty() && self.by_id.len() < limits::CONTACTS_MAX {
            let first = addresses.remove(0);
            let id = ContactId(self.next_contact);
            self.next_contact = self.next_contact.wrapping_add(1);
            let mut contact = Contact::of_member(peer, first, addresses);
            if !is_held {
                (contact.state, contact.was_tried, contact.told_by) = (State::Ready, false, informant);
            }
            self.by_id.insert(id, contact);
            self.note(id);
        }
    }

    /// Nobody wants a link with this member any more.
    pub(super) fn forget(&mut self, peer: NodeId, out: &mut Out<'_>) {
        self.parted.remove(&peer);
        self.forget_member(peer, out);
    }

    /// The dial has led to a node that has proved itself.
    pub(super) fn proved(&mut self, dial: DialId) {
        if let Some(dial) = self.dials.get_mut(&dial) {
            dial.until = None;
            if std::mem::take(&mut dial.is_hearsay) {
                self.gossip.end();
            }
        }
    }

    /// A dial is over.
    fn take(&mut self, dial: DialId) -> Option<Dial> {
        let dial = self.dials.remove(&dial)?;
        if dial.is_hearsay {
            self.gossip.end();
        }
        Some(dial)
    }

    /// The dial has led to a link.
    pub(super) fn reached(&mut self, dial: DialId, peer: NodeId, out: &mut Out<'_>) {
        let Some(dial) = self.take(dial) else { return };
        self.hold(dial.contact, peer, out);
    }

    /// There is a link with this node, whoever dialled it.
    pub(super) fn held(&mut self, peer: NodeId, out: &mut Out<'_>) {
        let leading = self.by_id.iter().filter(|(_, contact)| contact.leads_to(&peer));
        let ids: Vec<ContactId> = leading.map(|(id, _)| *id).collect();
        for id in ids {
            self.hold(id, peer, out);
        }
    }

    fn hold(&mut self, id: ContactId, peer: NodeId, out: &mut Out<'_>) {
        self.parted.remove(&peer);
        self.set(id, State::Held);
        let contact = self.by_id.get_mut(&id).expect("the caller found it");
        contact.hold(peer);
        if contact.kept == Kept::Forever {
            let given = contact.routes.iter().filter(|route| route.given);
            out.facts.extend(given.map(|route| Fact::Reached { address: route.address.clone() }));
        }
        self.asks = self.asks.saturating_sub(contact.asks.len());
        let answers = contact.asks.drain(..).map(|connect| Order::Answer { connect, result: Ok(peer) });
        out.orders.extend(answers);
    }

    /// The last link with this node is gone without a goodbye; it had held for so long.
    pub(super) fn lost(&mut self, now: Instant, peer: NodeId, held_for: Duration, out: &mut Out<'_>) {
        for id in self.holding(peer) {
            let contact = self.by_id.get_mut(&id).expect("listed above");
            contact.lose(now, held_for, out.jitter);
            self.note(id);
        }
    }

    /// The node said goodbye. Only what is kept for ever is tried again.
    pub(super) fn left(&mut self, now: Instant, peer: NodeId, held_for: Duration, out: &mut Out<'_>) {
        self.forget_member(peer, out);
        self.lost(now, peer, held_for, out);
    }

    /// This node said goodbye to that one. What is kept for ever rests until it is asked for.
    pub(super) fn parted(&mut self, peer: NodeId, out: &mut Out<'_>) {
        self.forget_member(peer, out);
        for id in self.holding(peer) {
            self.set(id, State::Parked);
        }
        if self.parted.len() < limits::CONTACTS_MAX {
            self.parted.insert(peer);
        }
    }

    fn holding(&self, peer: NodeId) -> Vec<ContactId> {
        let holding = |contact: &Contact| contact.state == State::Held && contact.peer == Some(peer);
        self.by_id.iter().filter(|(_, contact)| holding(contact)).map(|(id, _)| *id).collect()
    }

    /// A dial failed.
    pub(super) fn failed(&mut self, now: Instant, dial: DialId, why: DialError, out: &mut Out<'_>) {
        let Some(dial) = self.take(dial) else { return };
        let contact = self.by_id.get_mut(&dial.contact).expect("a contact stays while it is dialled");
        if let State::Held | State::Parked = contact.state {
            if contact.kept == Kept::Once {
                self.forget_one(dial.contact, out);
            }
            return;
        }
        let more = self.dials.values().any(|other| other.contact == dial.contact);
        let over = contact.fail(more);
        contact.note_refusal(&dial.route.address, &why);
        let member = contact.peer.or(dial.route.expected);
        out.facts.push_back(Fact::DialFailed {
            address: dial.route.address,
            why: why.clone(),
            in_a_row: contact.failures,
            kept: contact.kept == Kept::Forever,
        });
        if over {
            self.asks = self.asks.saturating_sub(contact.asks.len());
            let error = ConnectError::Dial(why.clone());
            out.orders
                .extend(contact.asks.drain(..).map(|connect| Order::Answer { connect, result: Err(error.clone()) }));
            if contact.kept == Kept::Once {
                return self.forget_one(dial.contact, out);
            }
            contact.wait(now, at_least(&why), out.jitter);
        }
        self.note(dial.contact);
        if let Some(peer) = member {
            self.tell_of_member(peer, over, out);
        }
    }

    /// What a failed dial means for the member that was looked for.
    fn tell_of_member(&self, peer: NodeId, is_over: bool, out: &mut Out<'_>) {
        let mut leading = self.by_id.values().filter(|contact| contact.leads_to(&peer)).peekable();
        if leading.peek().is_some() && leading.all(Contact::refuses) {
            out.facts.push_back(Fact::Refused { peer });
        }
        if is_over {
            out.facts.push_back(Fact::Tried { peer });
        }
    }

    /// Every known address is dialled at once, whatever the state of its contact.
    pub(super) fn redial(&mut self, now: Instant, out: &mut Out<'_>) {
        let ids: Vec<ContactId> = self.by_id.keys().copied().collect();
        for id in ids {
            self.set(id, State::Ready);
            for _ in 0..self.by_id[&id].routes.len() {
                self.dial(now, id, out);
            }
        }
    }

    /// Nothing is dialled any more.
    pub(super) fn stop(&mut self, out: &mut Out<'_>) {
        out.orders.extend(self.dials.keys().map(|dial| Order::Abandon { dial: *dial }));
        let asks = self.by_id.values_mut().flat_map(|contact| contact.asks.drain(..));
        out.orders.extend(asks.map(|connect| Order::Answer { connect, result: Err(ConnectError::ShuttingDown) }));
        let (next_contact, next_dial, next_seq) = (self.next_contact, self.next_dial, self.next_seq);
        *self = Contacts { next_contact, next_dial, next_seq, ..Contacts::default() };
    }

    /// Gives up dials whose time is over, forgets who is lost for good, and dials what is due.
    pub(super) fn pump(&mut self, now: Instant, out: &mut Out<'_>) {
        let expired = |dial: &Dial| dial.until.is_some_and(|until| until <= now);
        let expired: Vec<DialId> = self.dials.iter().filter(|(_, dial)| expired(dial)).map(|(id, _)| *id).collect();
        for dial in expired {
            out.orders.push_back(Order::Abandon { dial });
            self.failed(now, dial, DialError::TimedOut(limits::DIAL_TIMEOUT), out);
        }
        while let Some((_, id)) = self.waiting.first().copied().filter(|(at, _)| *at <= now) {
            self.set(id, State::Ready);
            if self.by_id[&id].is_over(now) {
                self.forget_one(id, out);
            }
        }
        let mut after = ContactId(0);
        while self.dials.len() < limits::DIALS_AT_ONCE_MAX
            && let Some(id) = self.ready.range(after..).next().copied()
        {
            after = ContactId(id.0.saturating_add(1));
            self.dial(now, id, out);
        }
    }

    /// Starts a dial for this contact, unless its address is being dialled or too many dials are under way.
    fn dial(&mut self, now: Instant, id: ContactId, out: &mut Out<'_>) {
        let contact = self.by_id.get_mut(&id).expect("only contacts of the table are dialled");
        let route = contact.next_route();
        let taken = self.dials.values().any(|dial| dial.route.address == route.address);
        if taken || self.dials.len() >= limits::DIALS_AT_ONCE_MAX {
            return;
        }
        let told_by = contact.told_by.filter(|_| !route.given);
        match told_by.map(|informant| self.gossip.begin(now, informant, &route.address)) {
            None | Some(Ok(())) => {}
            Some(Err(Withheld::AtOnce)) => return, // until one of them ends
            Some(Err(Withheld::Until(at))) => return self.set(id, State::Waiting(at)),
        }
        contact.tried = contact.tried.saturating_add(1);
        let dial = DialId(self.next_dial);
        self.next_dial = self.next_dial.wrapping_add(1);
        self.next_seq = self.next_seq.saturating_add(1);
        out.orders.push_back(Order::Dial {
            dial,
            address: route.address.clone(),
            expected: route.expected,
            dial_seq: self.next_seq,
        });
        let (until, is_hearsay) = (Some(now + limits::DIAL_TIMEOUT), told_by.is_some());
        self.dials.insert(dial, Dial { contact: id, route, until, is_hearsay });
        self.set(id, State::Dialling);
    }

    /// When `pump` is due.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        let expiry = self.dials.values().filter_map(|dial| dial.until).min();
        expiry.into_iter().chain(self.waiting.first().map(|(at, _)| *at)).min()
    }

    fn forget_member(&mut self, peer: NodeId, out: &mut Out<'_>) {
        let is_member = |contact: &Contact| matches!(contact.kept, Kept::Member { .. }) && contact.leads_to(&peer);
        let ids: Vec<ContactId> =
            self.by_id.iter().filter(|(_, contact)| is_member(contact)).map(|(id, _)| *id).collect();
        for id in ids {
            self.forget_one(id, out);
        }
    }

    /// A contact that is being dialled stays until that has ended, as one that was wanted once.
    fn forget_one(&mut self, id: ContactId, out: &mut Out<'_>) {
        let contact = self.by_id.get_mut(&id).expect("the caller found it");
        if self.dials.values().any(|dial| dial.contact == id) {
            contact.kept = Kept::Once;
            return;
        }
        // Somebody may still wait for the turn of an address that is being dialled for another contact.
        self.asks = self.asks.saturating_sub(contact.asks.len());
        let error = ConnectError::Dial(DialError::Lost(LinkLost::ClosedHere));
        out.orders.extend(contact.asks.drain(..).map(|connect| Order::Answer { connect, result: Err(error.clone()) }));
        self.set(id, State::Parked);
        self.by_id.remove(&id);
    }

    fn set(&mut self, id: ContactId, state: State) {
        if let Some(contact) = self.by_id.get_mut(&id) {
            if let State::Waiting(until) = contact.state {
                self.waiting.remove(&(until, id));
            }
            contact.state = state;
        }
        self.note(id);
    }

    /// Puts the contact into the list that belongs to its state.
    fn note(&mut self, id: ContactId) {
        self.ready.remove(&id);
        match self.by_id.get(&id).map(|contact| contact.state) {
            Some(State::Ready) => _ = self.ready.insert(id),
            Some(State::Waiting(until)) => _ = self.waiting.insert((until, id)),
            _ => {}
        }
    }
}

/// How long to wait at the least after such a failure.
fn at_least(why: &DialError) -> Duration {
    match why {
        DialError::Hello(HelloError::Refused(Refusal::Busy { retry_after })) => *retry_after,
        // The address is our own. It may belong to another node one day.
        DialError::Hello(HelloError::ToMyself) => limits::RECONNECT_SLOWLY_LAST,
        _ => Duration::ZERO,
    }
}
