//! The members: of each its newest record, its state, and how long its record holds.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::evidence::History;
use super::record::MARK_BYTES;
use super::suspicion::Suspicion;
use super::{Digest, Handed, Incarnation, Record, SignedRecord, State};
use crate::id::{Epoch, NodeId};
use crate::limits;

/// What is known of one member.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct Member {
    pub(super) signed: SignedRecord,
    mark: [u8; MARK_BYTES],
    /// Who handed the record on; the member itself, if it came by its own link.
    pub(super) teller: NodeId,
    /// When what it adds to the digest was changed last, in counts of such changes.
    changed: u64,
    /// When the record came.
    pub(super) came: Instant,
    /// When its lease is over.
    pub(super) lease_until: Instant,
    pub(super) state: State,
    pub(super) since: Instant,
    pub(super) history: History,
    pub(super) suspicion: Option<Suspicion>,
    /// There is a link with this run of it.
    pub(super) is_linked: bool,
    /// A round of dials to it has ended, or it was linked, since its addresses are known.
    pub(super) tried: bool,
    /// It was refuted that it is gone although its addresses refuse: then they say nothing about it.
    pub(super) refuses_always: bool,
}

/// All members, and the digest of those that are live.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub(super) struct Table {
    members: BTreeMap<NodeId, Member>,
    digest: Digest,
    /// How often the digest was changed.
    changes: u64,
    /// Something may have changed since this was taken.
    has_changed: bool,
    /// The lists of services that live records name may be others than when this was taken.
    lists_changed: bool,
}

impl Member {
    /// A member that is up.
    pub(super) fn new(signed: SignedRecord, teller: NodeId, now: Instant, remaining: Duration) -> Member {
        Member {
            mark: signed.mark(),
            teller,
            changed: 0,
            signed,
            came: now,
            lease_until: now + remaining,
            state: State::Up,
            since: now,
            history: History::default(),
            suspicion: None,
            is_linked: false,
            tried: false,
            refuses_always: false,
        }
    }

    /// Takes a newer record in the place of the one before.
    pub(super) fn renew(&mut self, signed: SignedRecord, teller: NodeId, now: Instant, remaining: Duration) {
        self.mark = signed.mark();
        self.teller = teller;
        self.signed = signed;
        self.came = now;
        self.lease_until = now + remaining;
    }

    pub(super) fn record(&self) -> &Record {
        self.signed.record()
    }

    pub(super) fn incarnation(&self) -> Incarnation {
        self.record().incarnation
    }

    pub(super) fn epoch(&self) -> Epoch {
        self.incarnation().epoch
    }

    pub(super) fn mark(&self) -> &[u8; MARK_BYTES] {
        &self.mark
    }

    /// The record as it is handed on now; `None` once its lease is over.
    pub(super) fn handed(&self, now: Instant) -> Option<Handed> {
        let remaining = self.lease_until.saturating_duration_since(now);
        (!remaining.is_zero()).then(|| Handed { record: self.signed.encode(), remaining })
    }

    /// When the record has to be asked for, so that it does not run out.
    pub(super) fn stale_at(&self) -> Instant {
        self.lease_until.checked_sub(self.record().lease / 2).unwrap_or(self.lease_until)
    }
}

impl Table {
    pub(super) fn get(&self, id: &NodeId) -> Option<&Member> {
        self.members.get(id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&NodeId, &Member)> {
        self.members.iter()
    }

    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    /// Adds a member that was not known.
    pub(super) fn insert(&mut self, mut member: Member) {
        self.has_changed = true;
        self.changes = self.changes.saturating_add(1);
        member.changed = self.changes;
        self.digest.toggle(&member.mark);
        self.lists_changed |= member.record().services.is_some();
        self.members.insert(member.record().id, member);
    }

    /// Changes a member, and the digest with it. `None` if it is not known.
    pub(super) fn with<T>(&mut self, id: &NodeId, change: impl FnOnce(&mut Member) -> T) -> Option<T> {
        let member = self.members.get_mut(id)?;
        self.has_changed = true;
        let before = member.state.is_live().then_some(member.mark);
        let result = change(member);
        let after = member.state.is_live().then_some(member.mark);
        if before != after {
            self.lists_changed = true;
            self.changes = self.changes.saturating_add(1);
            member.changed = self.changes;
            before.iter().chain(&after).for_each(|mark| self.digest.toggle(mark));
        }
        Some(result)
    }

    /// Forgets a member.
    pub(super) fn remove(&mut self, id: &NodeId) {
        self.has_changed = true;
        if let Some(member) = self.members.remove(id)
            && member.state.is_live()
        {
            self.digest.toggle(&member.mark);
            self.lists_changed = true;
        }
    }

    /// Whether something may have changed since this was taken last.
    pub(super) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.has_changed)
    }

    /// Whether live records may name other lists of services since this was taken last.
    pub(super) fn take_lists_changed(&mut self) -> bool {
        std::mem::take(&mut self.lists_changed)
    }

    pub(super) fn has_changed(&self) -> bool {
        self.has_changed
    }

    /// How often the digest was changed so far.
    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    /// Live members that were changed since, and that nobody dials: others hear of them by hearsay alone.
    pub(super) fn undialled_since(&self, changes: u64) -> impl Iterator<Item = (&NodeId, &Member)> {
        let is_undialled = |member: &Member| member.record().ephemeral || member.record().addresses.is_empty();
        let is_news = move |member: &Member| member.changed > changes && member.state.is_live();
        self.members.iter().filter(move |(_, member)| is_news(member) && is_undialled(member))
    }

    /// The digest of the live members.
    pub(super) fn digest(&self) -> Digest {
        self.digest
    }

    /// Who makes way for another: whoever has been gone for longest, else the one without a link whose record is oldest.
    pub(super) fn dispensable(&self) -> Option<NodeId> {
        let gone = self.members.iter().filter(|(_, member)| !member.state.is_live());
        let unlinked = self.members.iter().filter(|(_, member)| !member.is_linked);
        let gone = gone.min_by_key(|(_, member)| member.since);
        gone.or_else(|| unlinked.min_by_key(|(_, member)| member.came)).map(|(id, _)| *id)
    }

    /// Members that have been gone for so long that they are to be forgotten.
    pub(super) fn forgettable(&self, now: Instant) -> Vec<NodeId> {
        let is_over = |member: &Member| {
            !member.state.is_live() && now.saturating_duration_since(member.since) >= limits::MEMBER_KEPT
        };
        self.members.iter().filter(|(_, member)| is_over(member)).map(|(id, _)| *id).collect()
    }
}
