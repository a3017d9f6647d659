//! The lists of services behind the digests in records: which are held, which are missing, and who is asked for them.
//!
//! A list is asked for as soon as a record that counts names its digest: of its owner if there is a link, else of whoever
//! handed the record on, then of the other neighbours in turn. It is taken from anybody, because its digest is signed.
//!
//! ```text
//!   a record names a digest ──▶ wanted ──Wanted──▶ owner, teller, others … ──Services──▶ held
//!                                  ▲                                          │ no live record names it
//!                                  └── 1 s without, or "that is all": elsewhere └──▶ forgotten
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::services::ServiceList;
use super::table::Member;
use super::{Membership, Word};
use crate::id::NodeId;
use crate::limits;
use crate::planted::{self, Bug};

/// SHA-256 over a list.
pub(super) type ListDigest = [u8; 32];

/// The lists of the live members.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub(super) struct Lists {
    held: BTreeMap<ListDigest, ServiceList>,
    /// Bytes of all that are held.
    bytes: usize,
    wanted: BTreeMap<ListDigest, Want>,
    /// The list of who offers nothing.
    none: ServiceList,
}

/// A list that is missing.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
struct Want {
    /// When it is to be asked for.
    at: Instant,
    /// Who was asked last.
    asked: Option<NodeId>,
    tries: usize,
}

impl Lists {
    /// The list behind what a record says; `None` while it is not held.
    pub(super) fn of(&self, digest: Option<ListDigest>) -> Option<&ServiceList> {
        match digest {
            None => Some(&self.none),
            Some(digest) => self.held.get(&digest),
        }
    }

    /// These are named by live records now: what else is held is forgotten, what is not held is wanted.
    pub(super) fn need(&mut self, now: Instant, named: &BTreeSet<ListDigest>) {
        self.held.retain(|digest, _| named.contains(digest));
        self.wanted.retain(|digest, _| named.contains(digest));
        self.bytes = self.held.values().map(ServiceList::bytes).sum();
        for digest in named.iter().filter(|digest| !self.held.contains_key(*digest)) {
            self.wanted.entry(*digest).or_insert(Want { at: now, asked: None, tries: 0 });
        }
    }

    /// Takes a list that is wanted. Whether it is held now.
    pub(super) fn take(&mut self, now: Instant, list: ServiceList) -> bool {
        let digest = match self.wanted.first_key_value() {
            Some((wanted, _)) if planted::is(Bug::ListUnchecked) => Some(*wanted),
            _ => list.digest(),
        };
        let Some((digest, want)) = digest.and_then(|digest| Some((digest, self.wanted.get_mut(&digest)?))) else {
            return false;
        };
        let bytes = self.bytes.saturating_add(list.bytes());
        if bytes > limits::SERVICE_LISTS_BYTES_MAX {
            want.at = now + limits::SERVICE_LISTS_FULL_PAUSE;
            return false;
        }
        self.wanted.remove(&digest);
        self.held.insert(digest, list);
        self.bytes = bytes;
        true
    }

    /// This neighbour has told all that it had of what it was asked for, or is none any more.
    fn is_done(&mut self, peer: &NodeId, again: Instant) {
        for want in self.wanted.values_mut().filter(|want| want.asked == Some(*peer)) {
            (want.at, want.asked) = (want.at.min(again), None);
        }
    }

    fn due(&self) -> Option<Instant> {
        self.wanted.values().map(|want| want.at).min()
    }
}

impl Membership {
    /// When a list is to be asked for.
    pub(super) fn lists_due(&self) -> Option<Instant> {
        if self.neighbours.is_empty() { None } else { self.lists.due() }
    }

    /// Asks for the lists that are missing.
    pub(super) fn seek_lists(&mut self, now: Instant) {
        if self.table.take_lists_changed() {
            let live = self.table.iter().filter(|(_, member)| member.state.is_live());
            let named = live.filter_map(|(_, member)| member.record().services).collect();
            self.lists.need(now, &named);
        }
        if self.lists_due().is_none_or(|due| due > now) {
            return;
        }
        let due = self.lists.wanted.iter().filter(|(_, want)| want.at <= now);
        let mut sources: BTreeMap<ListDigest, Vec<NodeId>> = due.map(|(digest, _)| (*digest, Vec::new())).collect();
        let speaks = |peer: &NodeId| self.neighbours.get(peer).is_some_and(|neighbour| !neighbour.is_quiet);
        for owner in [true, false] {
            for (id, member) in self.table.iter().filter(|(_, member)| member.state.is_live()) {
                let source = if owner { *id } else { member.teller };
                let known = member.record().services.and_then(|digest| sources.get_mut(&digest));
                if let Some(known) = known.filter(|known| speaks(&source) && !known.contains(&source)) {
                    known.push(source);
                }
            }
        }
        let others: Vec<NodeId> = self.neighbours.keys().copied().filter(speaks).collect();
        let mut asked: BTreeMap<NodeId, Vec<ListDigest>> = BTreeMap::new();
        for (digest, first) in sources {
            let Some(want) = self.lists.wanted.get_mut(&digest) else { continue };
            let rest = others.iter().filter(|other| !first.contains(other));
            let all: Vec<NodeId> = first.iter().chain(rest).copied().collect();
            let next = want.tries.checked_rem(all.len()).and_then(|at| all.get(at)).copied();
            (want.at, want.asked) = (now + limits::WANTED_AGAIN, next);
            want.tries = want.tries.saturating_add(1);
            if let Some(peer) = next {
                asked.entry(peer).or_default().push(digest);
            }
        }
        for (peer, digests) in asked {
            for digests in digests.chunks(limits::WANTED_MAX) {
                self.say(peer, Word::Wanted(digests.to_vec()));
            }
        }
    }

    /// A neighbour asks for lists. What is not held here, or goes beyond its budget, it asks for elsewhere.
    pub(super) fn told_wanted(&mut self, now: Instant, from: NodeId, digests: &[ListDigest]) {
        if !self.neighbours.get_mut(&from).is_some_and(|neighbour| neighbour.may_want(now)) {
            return;
        }
        let own = self.own.services().clone();
        let known = |digest: &ListDigest| {
            if own.digest() == Some(*digest) { Some(own.clone()) } else { self.lists.held.get(digest).cloned() }
        };
        let found: Vec<ServiceList> = digests.iter().collect::<BTreeSet<_>>().into_iter().filter_map(known).collect();
        let Some(neighbour) = self.neighbours.get_mut(&from) else { return };
        let mut pieces = pieces(found.into_iter().filter(|list| neighbour.may_be_told(now, list.bytes())));
        let last = pieces.pop().unwrap_or_default();
        for lists in pieces {
            self.say(from, Word::Services { lists, whole: false });
        }
        self.say(from, Word::Services { lists: last, whole: true });
    }

    /// A neighbour tells lists. Those that are not wanted are not looked at.
    pub(super) fn told_services(&mut self, now: Instant, from: NodeId, lists: Vec<ServiceList>, whole: bool) {
        for list in lists {
            let is_news = self.lists.take(now, list);
            self.version = self.version.saturating_add(u64::from(is_news));
        }
        if whole {
            self.lists.is_done(&from, now + limits::WANTED_ELSEWHERE);
        }
    }

    /// A neighbour is none any more: what it was asked for is asked for elsewhere.
    pub(super) fn lists_lost(&mut self, now: Instant, peer: &NodeId) {
        self.lists.is_done(peer, now);
    }

    /// Live members whose lists are not held.
    pub(super) fn without_lists(&self) -> impl Iterator<Item = &NodeId> {
        let is_without = |member: &Member| member.state.is_live() && self.lists.of(member.record().services).is_none();
        self.table.iter().filter(move |(_, member)| is_without(member)).map(|(id, _)| id)
    }
}

/// Lists in pieces that a frame holds.
fn pieces(lists: impl Iterator<Item = ServiceList>) -> Vec<Vec<ServiceList>> {
    let mut pieces = Vec::<Vec<ServiceList>>::new();
    let (mut bytes, mut tags) = (0_usize, 0_usize);
    for list in lists {
        bytes = bytes.saturating_add(list.bytes());
        tags = tags.saturating_add(list.tags().len());
        let fits = bytes <= limits::SERVICES_BYTES_MAX && tags <= limits::SERVICES_MAX;
        match pieces.last_mut() {
            Some(piece) if fits && piece.len() < limits::WANTED_MAX => piece.push(list),
            _ => {
                (bytes, tags) = (list.bytes(), list.tags().len());
                pieces.push(vec![list]);
            }
        }
    }
    pieces
}
