//! What a record leads to: whether it counts, and what it says about its node.

use std::time::{Duration, Instant};

use super::table::Member;
use super::{Evidence, Handed, Incarnation, Membership, Seen, SignedRecord, State, UnverifiedRecord, Wish};
use crate::id::NodeId;
use crate::limits;
use crate::planted::{self, Bug};

impl Membership {
    /// A neighbour hands on a record: it counts if its subject has signed it and it is newer than what is known. Whether it
    /// counts.
    pub(super) fn learn(&mut self, now: Instant, from: NodeId, handed: &Handed) -> bool {
        let Ok(record) = UnverifiedRecord::read(&handed.record) else {
            self.forged(now, from);
            return false;
        };
        // What costs nothing comes first: most of what is hostile is also old.
        let (id, incarnation) = (*record.id(), record.incarnation());
        let is_own = id == self.own.id();
        let known = if is_own { Some(self.own.incarnation()) } else { self.table.get(&id).map(Member::incarnation) };
        let is_news = known.is_none_or(|known| is_news(known, incarnation));
        if handed.remaining.is_zero() || !is_news || is_own && !self.is_of_this_run(incarnation) {
            return false;
        }
        let keys = self.own.keys();
        let verified = if planted::is(Bug::RecordUnverified) {
            Ok(record.believe())
        } else {
            record.verify(&keys.network, keys.verifier.as_ref())
        };
        let counts = verified.is_ok();
        match verified {
            Err(_) => self.forged(now, from),
            Ok(_) if is_own => {
                // A copy of this key runs somewhere, or remembers for us what we have forgotten.
                self.own.rise_above(now, incarnation.sequence, &mut self.jitter);
                self.push(now);
            }
            Ok(signed) => {
                self.adopt(now, signed, handed.remaining, from);
                self.pass_on(now, id);
            }
        }
        counts
    }

    /// A neighbour handed on what nobody signed.
    pub(super) fn forged(&mut self, now: Instant, from: NodeId) {
        let neighbour = self.neighbours.get_mut(&from);
        if neighbour.is_some_and(|neighbour| neighbour.has_forged(now)) {
            self.wishes.push_back(Wish::Cut { peer: from, why: "it hands on records that nobody signed" });
        }
    }

    /// Takes a record that counts. `from`: who handed it on; the node itself, if it came by its own link.
    pub(super) fn adopt(&mut self, now: Instant, signed: SignedRecord, remaining: Duration, from: NodeId) {
        let (id, incarnation, reason) = (signed.record().id, signed.record().incarnation, signed.record().left.clone());
        let left = reason.is_some();
        let remaining = remaining.min(signed.record().lease).min(limits::WIRE_TIME_MAX);
        if from == id
            && let Some(neighbour) = self.neighbours.get_mut(&id)
        {
            // Whoever is at the other end of the link is in this run now.
            neighbour.epoch = neighbour.epoch.max(incarnation.epoch);
        }
        let seen = self.seen_of(id, from);
        let Some(known) = self.table.get(&id) else {
            if !left && self.make_room(now) {
                self.table.insert(Member::new(signed, from, now, remaining));
                self.note_link(&id);
                self.join(now, id, seen);
            }
            return;
        };
        let (was, before) = (known.state, known.incarnation().epoch);
        let (addresses, mark) = (known.record().addresses != signed.record().addresses, known.mark() != &signed.mark());
        let is_new_run = incarnation.epoch != before;
        if is_new_run && was.is_live() {
            let detail = format!("epoch {} has begun", incarnation.epoch);
            self.turn(now, id, State::Lost, Seen { evidence: Evidence::Restarted, ..seen.clone() }.saying(&detail));
        }
        if is_new_run && from != id && self.neighbours.contains_key(&id) {
            self.wishes.push_back(Wish::Outdated { peer: id, newest: incarnation.epoch });
        }
        let refuted = known_refuted(self, &id, incarnation);
        self.table.with(&id, |member| {
            member.renew(signed, from, now, remaining);
            member.refuses_always &= !is_new_run && !addresses;
            // Of a run of which only the farewell is known nothing is told.
            if left && is_new_run {
                (member.state, member.since) = (State::Left, now);
            }
        });
        self.note_link(&id);
        self.version = self.version.saturating_add(u64::from(mark));
        match (is_new_run, left, was.is_live()) {
            (_, true, false) | (true, true, true) => {}
            (false, true, true) => {
                let seen = Seen { evidence: Evidence::Left, ..seen };
                self.turn(now, id, State::Left, seen.saying(&reason.unwrap_or_default()));
            }
            (true, false, _) | (false, false, false) => self.join(now, id, seen),
            (false, false, true) => {
                if let Some(refuses) = refuted {
                    self.table.with(&id, |member| member.refuses_always |= refuses);
                    self.turn(now, id, State::Up, Seen { evidence: Evidence::Refuted, ..seen });
                }
                if addresses {
                    self.reach(id, from);
                }
            }
        }
    }

    /// A run of a node is there that was not, or was gone.
    pub(super) fn join(&mut self, now: Instant, id: NodeId, seen: Seen) {
        let informant = seen.informant.unwrap_or(id);
        self.turn(now, id, State::Up, seen);
        self.reach(id, informant);
    }

    /// Wishes for a link at the addresses of a member.
    fn reach(&mut self, id: NodeId, informant: NodeId) {
        let is_linked = self.is_linked(&id);
        let addresses = self.table.with(&id, |member| {
            member.tried = is_linked;
            member.record().addresses.clone()
        });
        let informant = Some(informant).filter(|informant| *informant != id);
        if let Some(addresses) = addresses {
            self.wishes.push_back(Wish::Reach { peer: id, addresses, informant });
        }
    }

    /// How a record came: by a neighbour, or from the node itself.
    fn seen_of(&self, id: NodeId, from: NodeId) -> Seen {
        if from == id {
            Seen { path: self.path(&id), ..Seen::of(Evidence::Link) }
        } else {
            Seen::of(Evidence::Record).by(from)
        }
    }

    /// Whether there is room for one more member; somebody makes way if there must.
    fn make_room(&mut self, now: Instant) -> bool {
        if self.table.len() < limits::MEMBERS_MAX {
            return true;
        }
        let Some(id) = self.table.dispensable() else { return false };
        if self.state(&id).is_some_and(State::is_live) {
            self.turn(now, id, State::Lost, Seen::of(Evidence::NoRoom));
        }
        self.forget(id);
        true
    }

    /// Forgets a member that is gone.
    pub(super) fn forget(&mut self, id: NodeId) {
        self.acquit(&id);
        self.table.remove(&id);
        self.wishes.push_back(Wish::Forget { peer: id });
        self.version = self.version.saturating_add(1);
    }

    fn is_of_this_run(&self, incarnation: Incarnation) -> bool {
        incarnation.epoch == self.own.incarnation().epoch
    }
}

/// Whether this record of a suspect refutes the suspicion; and if so, whether his addresses refuse all the same.
fn known_refuted(membership: &Membership, id: &NodeId, incarnation: Incarnation) -> Option<bool> {
    let suspicion = membership.table.get(id)?.suspicion.as_ref()?;
    (incarnation > suspicion.held).then(|| suspicion.refuses())
}

/// Whether a record is newer than the known one, and not so much newer that it can only be meant to be the last one ever.
fn is_news(known: Incarnation, other: Incarnation) -> bool {
    let is_older_run = other.epoch < known.epoch && planted::is(Bug::OlderRecordAccepted);
    let is_newer = other > known || is_older_run;
    let jump = if other.epoch == known.epoch {
        other.sequence.saturating_sub(known.sequence)
    } else {
        other.epoch.start().saturating_sub(known.epoch.start())
    };
    is_newer && jump <= limits::INCARNATION_JUMP_MAX
}
