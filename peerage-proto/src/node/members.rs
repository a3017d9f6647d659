//! Between links and members: what happens to links goes down to the membership, and its wishes come back up as orders.

use std::collections::BTreeMap;
use std::time::Instant;

use super::{Event, Fact, Node, Order, Output, WhyClosed, WhyDown};
use crate::address::Address;
use crate::codec::Payload;
use crate::id::{Epoch, LinkId, NodeId};
use crate::membership::{InvalidRecord, LinkEnd, Membership, SignedRecord, Wish, Word};
use crate::outcome::LinkLost;

/// The members of the network, and what the peer of each link has introduced itself with.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct Members {
    pub(super) machine: Membership,
    introduced: BTreeMap<LinkId, Introduced>,
}

/// What is known of a link before it is up.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Introduced {
    /// Until it is among the members.
    record: Option<SignedRecord>,
    path: String,
}

impl Members {
    pub(super) fn new(machine: Membership) -> Members {
        Members { machine, introduced: BTreeMap::new() }
    }

    /// The peer of a link has introduced itself with this record.
    pub(super) fn introduced(
        &mut self,
        link: LinkId,
        peer: &NodeId,
        record: &Payload,
        path: String,
    ) -> Result<(), InvalidRecord> {
        let record = Some(self.machine.open_own(peer, record)?);
        self.introduced.insert(link, Introduced { record, path });
        Ok(())
    }

    /// Whether the peer of this link has introduced itself.
    pub(super) fn knows(&self, link: LinkId) -> bool {
        self.introduced.contains_key(&link)
    }

    /// The newest run of a node of which a record is known.
    pub(super) fn newest(&self, peer: &NodeId) -> Option<Epoch> {
        self.machine.member(peer).map(|member| member.record.incarnation.epoch)
    }

    /// A link has ended.
    pub(super) fn ended(&mut self, link: LinkId) {
        self.introduced.remove(&link);
    }

    /// Calls to a peer go over this link now.
    pub(super) fn moved(&mut self, now: Instant, link: LinkId, peer: &NodeId) {
        if let Some(introduced) = self.introduced.get(&link) {
            self.machine.moved(now, *peer, &introduced.path);
        }
    }

    /// Something has become true about links.
    pub(super) fn learn(&mut self, now: Instant, fact: &Fact) {
        match fact {
            Fact::Up { peer, epoch, link, .. } => {
                let Some(introduced) = self.introduced.get_mut(link) else { return };
                let record = introduced.record.take().or_else(|| self.machine.record_of(peer).cloned());
                if let Some(record) = record {
                    self.machine.linked(now, *peer, *epoch, record, &introduced.path);
                }
            }
            Fact::Down { peer, why, .. } => {
                let (end, detail) = end_of(why);
                self.machine.unlinked(now, *peer, end, &detail);
            }
            Fact::Refused { peer } => self.machine.refused(now, *peer),
            Fact::Tried { peer } => self.machine.tried(peer),
            Fact::Leaving { reason, .. } => self.machine.leave(now, reason),
            _ => {}
        }
    }
}

impl Node {
    /// The peer of a link has introduced itself.
    pub(super) fn introduced(&mut self, now: Instant, link: LinkId, record: &Payload, path: String) {
        let Some(peer) = self.peers.peer_of(link) else { return };
        let judged = self.members.as_mut().map(|members| members.introduced(link, &peer, record, path));
        match judged {
            Some(Err(why)) => self.outputs.push_back(Output::Cut { link, why: why.to_string() }),
            Some(Ok(())) | None => self.peers.up(now, link),
        }
    }

    pub(super) fn down(&mut self, now: Instant, link: LinkId, why: WhyDown) {
        self.peers.down(now, link, why);
        if let Some(members) = &mut self.members {
            members.ended(link);
        }
    }

    /// A peer says something about members.
    pub(super) fn told(&mut self, now: Instant, link: LinkId, word: Word) {
        let peer = self.peers.peer_of(link);
        if let (Some(peer), Some(members)) = (peer, &mut self.members)
            && members.knows(link)
        {
            members.machine.told(now, peer, word);
        }
    }

    pub(super) fn of_members(&mut self, act: impl FnOnce(&mut Membership)) {
        if let Some(members) = &mut self.members {
            act(&mut members.machine);
        }
    }

    /// What a link does that is being given up says nothing about its peer.
    pub(super) fn about_active(&mut self, link: LinkId, act: impl FnOnce(&mut Membership, NodeId)) {
        let peer = self.peers.peer_of(link).filter(|peer| self.peers.active(peer) == Some(link));
        if let (Some(peer), Some(members)) = (peer, &mut self.members) {
            act(&mut members.machine, peer);
        }
    }

    /// Some of what is ordered concerns the membership as well.
    pub(super) fn heed(&mut self, now: Instant, order: &Order) {
        let Some(members) = &mut self.members else { return };
        match order {
            Order::Activate { link, peer } => members.moved(now, *link, peer),
            Order::Renew { epoch } => members.machine.renew(now, *epoch),
            _ => {}
        }
    }

    pub(super) fn tell_changes(&mut self) {
        let changes = self.members.iter_mut().flat_map(|members| members.machine.changes.drain(..));
        self.outputs.extend(changes.map(|change| Output::Event(Event::Member(change))));
    }

    /// Turns the wishes of the membership into orders.
    pub(super) fn wish(&mut self, now: Instant) {
        let Some(members) = &mut self.members else { return };
        for wish in std::mem::take(&mut *members.machine.wishes) {
            match wish {
                Wish::Say { peer, word } => {
                    // Who is about to leave has links that carry no new calls, and says farewell on them.
                    let link = self.peers.active(&peer).or_else(|| self.peers.links_of(peer).first().copied());
                    self.outputs.extend(link.map(|link| Output::Tell { link, word }));
                }
                Wish::Probe { peer } => {
                    let link = self.peers.active(&peer);
                    self.outputs.extend(link.map(|link| Output::Order(Order::Probe { link })));
                }
                Wish::Reach { peer, addresses, informant } => {
                    let Some(member) = members.machine.member(&peer) else { continue };
                    let is_here = member.record.machine == members.machine.record().record().machine;
                    // Who is here for one command only comes by himself.
                    let is_wanted =
                        informant.is_none() || !member.record.ephemeral && self.peers.connected() < self.full_mesh;
                    let may_dial = |address: &Address| is_wanted && self.here.may_dial(address, is_here);
                    let addresses: Vec<Address> = addresses.into_iter().filter(may_dial).collect();
                    if addresses.is_empty() {
                        members.machine.tried(&peer);
                    }
                    self.peers.reach(peer, addresses, informant);
                }
                Wish::Forget { peer } => self.peers.forget(peer),
                Wish::Outdated { peer, newest } => self.peers.outdated(now, peer, newest),
                Wish::Cut { peer, why } => {
                    let cut = |link| Output::Cut { link, why: why.to_owned() };
                    self.outputs.extend(self.peers.links_of(peer).into_iter().map(cut));
                }
            }
        }
        self.peers.pump(now);
        self.outputs.extend(self.peers.orders.drain(..).map(Output::Order));
    }
}

/// What the end of the last link says about its peer.
fn end_of(why: &WhyDown) -> (LinkEnd, String) {
    let end = match why {
        WhyDown::Left { reason } => return (LinkEnd::Goodbye, reason.clone()),
        WhyDown::Closed(WhyClosed::Goodbye { reason }) => {
            return (LinkEnd::Goodbye, format!("this node parted from it: {reason}"));
        }
        WhyDown::Lost(LinkLost::PeerClosed) => LinkEnd::Fin,
        WhyDown::Lost(LinkLost::Broken(_) | LinkLost::Stalled) => LinkEnd::Reset,
        WhyDown::Lost(LinkLost::Silent) => LinkEnd::Silence,
        WhyDown::Lost(_) | WhyDown::Closed(_) | WhyDown::TooSlow | WhyDown::Hello(_) => LinkEnd::Cut,
    };
    (end, why.to_string())
}
