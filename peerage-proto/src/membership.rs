//! Who exists, by their own word; what each of them counts as here, and why.
//!
//! What nodes tell each other about third nodes is worth nothing unless the third has said it. So all there is to say about
//! a node stands in one [`Record`] that its key has signed; others keep it, hand it on byte for byte, and can neither change
//! it nor make one up. Of two records of one node the one with the greater [`Incarnation`] counts. And whether a member is
//! there, every node judges by what it has seen itself: its own links, addresses that refuse, a lease that ran out. What
//! others say can only make it wait, or ask. Nobody is evicted by hearsay.
//!
//! ```text
//!   links ──linked, quiet, unlinked──▶ ┌───────────────────────────┐ ──changes──▶ the application
//!   dials ──refused, tried───────────▶ │ own record                │ ──Reach────▶ whom to dial
//!   neighbours ──words───────────────▶ │ table ◀── digest, summary │ ──Say──────▶ neighbours
//!   time ────────────────────────────▶ │   └─ suspicion, evidence  │ ──Probe────▶ links
//!                                      └───────────────────────────┘ ◀──members, missing── everybody
//! ```
//!
//! The parts: `own` signs the record of this node; `table` holds those of others; `hearing` judges what a record says;
//! `exchange` (with `neighbour`) brings neighbours up to date; `lists` fetches what the members offer; `suspicion` goes from doubt to verdict; `checks` tries nodes
//! for others; `evidence` remembers why.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use crate::codec::Payload;
use crate::id::{Epoch, NodeId};
use crate::jitter::Jitter;
use crate::limits;
use crate::liveness::Profile;
use crate::outputs::Outbox;
use crate::planted::{self, Bug};

pub use evidence::{Evidence, State, Transition};
pub use record::{Incarnation, InvalidRecord, Record, SignedRecord, UnverifiedRecord};
pub use services::{EVERYBODYS, InvalidServices, ServiceList};
pub use view::{About, Change, ChangedTo, Keys, MemberView, Missing};
pub(crate) use view::{LinkEnd, Wish};
pub use wire::InvalidWord;
pub use word::{Answer, Digest, Handed, Known, Word};

mod checks;
mod evidence;
mod exchange;
mod hearing;
mod lists;
mod neighbour;
mod own;
mod record;
mod services;
mod suspicion;
mod table;
#[cfg(test)]
mod tests;
mod view;
mod wire;
mod word;

use checks::Checks;
use evidence::Seen;
use lists::Lists;
use neighbour::Neighbour;
use own::Own;
use suspicion::patience;
use table::{Member, Table};

/// What one node knows of all others. Not a word of it is about how links are made.
///
/// After each call the queues of wishes and changes are to be emptied, and [`next_timeout`](Self::next_timeout) to be asked.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Membership {
    own: Own,
    profile: Profile,
    /// How slow this node is: 1 to 8.
    health: u8,
    jitter: Jitter,
    table: Table,
    /// What the members offer.
    lists: Lists,
    neighbours: BTreeMap<NodeId, Neighbour>,
    checks: Checks,
    /// Whom each question to a neighbour is about.
    asks: BTreeMap<u32, NodeId>,
    next_ask: u32,
    /// Seeds and ways of discovery that have not been tried yet.
    sources: BTreeSet<String>,
    /// Nobody is judged before: this node stood still, and has not listened.
    verdicts_from: Instant,
    /// Answers in a row that brought nothing new: the next question waits longer.
    fruitless: u32,
    /// What is due next of all members, as it was when the table was looked through last: a node has many, and most steps
    /// concern none of them.
    due: Due,
    /// When a neighbour was asked last only because records run out.
    refreshed: Option<Instant>,
    version: u64,
    pub(crate) wishes: Outbox<Wish>,
    pub(crate) changes: Outbox<Change>,
}

/// The first moments at which something is due in the table.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
struct Due {
    /// A verdict, the end of a lease, or somebody to be forgotten.
    end: Option<Instant>,
    /// A record that has to be asked for.
    stale: Option<Instant>,
}

impl Membership {
    /// A node that knows nobody. `seed` is random.
    ///
    /// # Errors
    /// [`InvalidRecord`] if what it says of itself is none, however few addresses it has.
    pub(crate) fn new(
        keys: Keys,
        profile: Profile,
        about: About,
        epoch: Epoch,
        seed: u64,
        now: Instant,
    ) -> Result<Membership, InvalidRecord> {
        let mut jitter = Jitter::new(seed);
        Ok(Membership {
            own: Own::new(keys, about, epoch, now, &mut jitter)?,
            profile,
            health: 1,
            jitter,
            table: Table::default(),
            lists: Lists::default(),
            neighbours: BTreeMap::new(),
            checks: Checks::default(),
            asks: BTreeMap::new(),
            next_ask: 0,
            sources: BTreeSet::new(),
            verdicts_from: now,
            fruitless: 0,
            due: Due::default(),
            refreshed: None,
            version: 0,
            wishes: Outbox::default(),
            changes: Outbox::default(),
        })
    }

    /// From now on this node says this of itself.
    ///
    /// # Errors
    /// [`InvalidRecord`] if that is no record; then it goes on saying what it said before.
    pub(crate) fn announce(&mut self, now: Instant, about: About) -> Result<(), InvalidRecord> {
        self.own.announce(about)?;
        if !self.own.has_left() {
            self.own.sign(now, &mut self.jitter);
            self.push(now);
        }
        self.pump(now);
        Ok(())
    }

    /// Whether this node could say this of itself.
    ///
    /// # Errors
    /// [`InvalidRecord`] if that is no record.
    pub(crate) fn check_about(&self, about: &About) -> Result<(), InvalidRecord> {
        self.own.check(about)
    }

    /// This node goes on in a newer epoch.
    pub(crate) fn renew(&mut self, now: Instant, epoch: Epoch) {
        if !self.own.has_left() {
            self.own.sign_in(now, epoch, &mut self.jitter);
            self.push(now);
        }
        self.pump(now);
    }

    /// This node leaves, for this reason: says so in a last record. What it hears from now on has no effect.
    pub(crate) fn leave(&mut self, now: Instant, reason: &str) {
        if !self.own.has_left() {
            self.own.leave(now, reason);
            self.push(now);
        }
    }

    /// Judges the record that a peer introduces itself with.
    ///
    /// # Errors
    /// [`InvalidRecord`]; [`InvalidRecord::NotOurs`] if it is somebody else's.
    pub(crate) fn open_own(&self, peer: &NodeId, content: &Payload) -> Result<SignedRecord, InvalidRecord> {
        let record = UnverifiedRecord::read(content)?;
        if record.id() != peer {
            return Err(InvalidRecord::NotOurs);
        }
        let keys = self.own.keys();
        record.verify(&keys.network, keys.verifier.as_ref())
    }

    /// A peer can be called. `record`: the one from its introduction; `path`: how the link goes, for people.
    pub(crate) fn linked(&mut self, now: Instant, peer: NodeId, epoch: Epoch, record: SignedRecord, path: &str) {
        if self.own.has_left() {
            return;
        }
        self.neighbours.insert(peer, Neighbour::new(epoch, path));
        self.note_link(&peer);
        let known = self.table.get(&peer).map(Member::incarnation);
        let is_news = known.is_none_or(|known| record.record().incarnation > known);
        let was_live = self.state(&peer).is_some_and(State::is_live);
        let has_joined =
            is_news && (!was_live || known.is_some_and(|known| record.record().incarnation.epoch != known.epoch));
        if is_news {
            let lease = record.record().lease;
            self.adopt(now, record, lease, peer);
        }
        self.table.with(&peer, |member| {
            member.tried = true;
            member.refuses_always = false;
        });
        if self.is_linked(&peer) && !has_joined {
            let seen = Seen { path: self.path(&peer), ..Seen::of(Evidence::Link) };
            match self.state(&peer) {
                // The same run, back after it was given up: it stood still, or could not be reached.
                Some(State::Left | State::Lost) if !self.is_farewell(&peer) => self.join(now, peer, seen),
                Some(State::Up | State::Suspect) => self.turn(now, peer, State::Up, seen),
                _ => {}
            }
        }
        self.version = self.version.saturating_add(1);
        self.pump(now);
    }

    /// Another link with a neighbour has taken the place of the one before. Whether that one was silent says nothing any more.
    pub(crate) fn moved(&mut self, now: Instant, peer: NodeId, path: &str) {
        if let Some(neighbour) = self.neighbours.get_mut(&peer) {
            neighbour.go(path);
            self.version = self.version.saturating_add(1);
            self.heard(now, peer);
        }
    }

    /// A peer cannot be called any more.
    pub(crate) fn unlinked(&mut self, now: Instant, peer: NodeId, end: LinkEnd, detail: &str) {
        let was_linked = self.is_linked(&peer);
        let Some(neighbour) = self.neighbours.remove(&peer) else { return };
        self.note_link(&peer);
        self.lists_lost(now, &peer);
        self.version = self.version.saturating_add(1);
        // The end of a link with an earlier run says nothing about this one.
        if was_linked {
            self.bereft(now, peer, neighbour.path, end, detail);
        }
        self.pump(now);
    }

    /// A round of dials to this member has ended, or nothing of it may be dialled.
    pub(crate) fn tried(&mut self, peer: &NodeId) {
        self.table.with(peer, |member| member.tried = true);
    }

    /// A seed or a way of discovery that will be tried; until it is, the view is not complete.
    pub(crate) fn expect(&mut self, source: String) {
        self.sources.insert(source);
    }

    /// It has been tried once, with whatever success.
    pub(crate) fn explored(&mut self, source: &str) {
        self.sources.remove(source);
    }

    /// How slow this process is: 1 (not at all) to 8, moved into these bounds.
    pub(crate) fn local_health(&mut self, now: Instant, factor: u8) {
        self.health = factor.clamp(1, limits::LOCAL_HEALTH_MAX);
        // What was to wait longer may be due now.
        self.judge_all(now);
        self.due = self.look_through();
    }

    /// This process, or the whole machine, stood still. Verdicts wait until everybody could be heard again.
    pub(crate) fn jumped(&mut self, now: Instant) {
        self.verdicts_from = self.verdicts_from.max(now + patience(self.profile.suspect_after(), self.health));
        self.due = self.look_through();
    }

    /// Does what is due.
    pub(crate) fn timeout(&mut self, now: Instant) {
        let stood = self.next_timeout().map(|due| now.saturating_duration_since(due));
        if stood.is_some_and(|stood| stood >= limits::JUMP) {
            self.jumped(now);
        }
        self.judge_all(now);
        let over = |(_, member): &(&NodeId, &Member)| self.lease_due(member).is_some_and(|due| due <= now);
        for id in self.table.iter().filter(over).map(|(id, _)| *id).collect::<Vec<_>>() {
            self.turn(now, id, State::Lost, Seen::of(Evidence::Lease));
        }
        for id in self.table.forgettable(now) {
            self.forget(id);
        }
        self.pump(now);
    }

    /// When to call [`timeout`](Self::timeout).
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        if self.own.has_left() {
            return None;
        }
        let ours = self.digest();
        let neighbours = self.neighbours.values().filter_map(|neighbour| neighbour.due(ours));
        let own = [self.due().end, self.own.due(), self.checks.due(), self.stale_at(), self.lists_due()]
            .into_iter()
            .flatten();
        neighbours.chain(own).min()
    }

    /// Who this node is.
    #[cfg(test)]
    pub(crate) fn id(&self) -> NodeId {
        self.own.id()
    }

    /// The newest record of this node.
    pub(crate) fn record(&self) -> &SignedRecord {
        self.own.signed()
    }

    /// All members that are known, by id, those included that are gone. Not this node.
    pub(crate) fn members(&self) -> impl Iterator<Item = MemberView<'_>> {
        self.table.iter().map(|(id, member)| self.view(id, member))
    }

    /// One member.
    pub(crate) fn member(&self, id: &NodeId) -> Option<MemberView<'_>> {
        self.table.get(id).map(|member| self.view(member_id(member), member))
    }

    /// The newest record of a member, as it came.
    pub(crate) fn record_of(&self, id: &NodeId) -> Option<&SignedRecord> {
        self.table.get(id).map(|member| &member.signed)
    }

    /// Why a member counts as what it does: its latest transitions, oldest first.
    pub(crate) fn transitions(&self, id: &NodeId) -> impl DoubleEndedIterator<Item = &Transition> {
        self.table.get(id).into_iter().flat_map(|member| member.history.iter())
    }

    /// What is missing before the view is complete. Empty: whoever is not in it is absent.
    pub(crate) fn missing(&self) -> Vec<Missing> {
        let ours = self.digest();
        let links = self.neighbours.is_empty().then_some(Missing::Links);
        let sources = self.sources.iter().cloned().map(Missing::Source);
        let differing = self.neighbours.iter().filter(|(_, neighbour)| !neighbour.agrees(ours));
        let undialled = self.table.iter().filter(|(_, member)| {
            let can_be_dialled = member.state.is_live() && !member.record().addresses.is_empty();
            can_be_dialled && !member.tried && !member.is_linked
        });
        let differing = differing.map(|(id, _)| Missing::Agreement(*id));
        let undialled = undialled.map(|(id, _)| Missing::Dial(*id));
        let unlisted = self.without_lists().map(|id| Missing::Services(*id));
        links.into_iter().chain(sources).chain(differing).chain(undialled).chain(unlisted).collect()
    }

    /// Rises with each change of what [`members`](Self::members) shows.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// Changes the state of a member, remembers why, and tells it.
    fn turn(&mut self, now: Instant, id: NodeId, to: State, seen: Seen) {
        let local_health = self.health;
        let Seen { evidence, detail, informant, path, asked } = seen;
        let turned = self.table.with(&id, |member| {
            let from = Some(member.state).filter(|_| member.history.is_of(member.epoch()));
            let epoch = member.epoch();
            let transition =
                Transition { at: now, from, to, epoch, evidence, detail, informant, path, asked, local_health };
            let why = transition.to_string();
            member.history.add(transition);
            if member.state != to || from.is_none() {
                (member.state, member.since) = (to, now);
            }
            (from, Change { id, name: member.record().name.clone(), epoch, to: ChangedTo::Joined, why })
        });
        let Some((from, change)) = turned else { return };
        if to != State::Suspect {
            self.acquit(&id);
        }
        if to == State::Left {
            self.wishes.push_back(Wish::Forget { peer: id });
        }
        let to = match (from, to) {
            (Some(State::Up), State::Up) => None,
            (Some(State::Suspect), State::Up) => Some(ChangedTo::Up),
            (_, State::Up) => Some(ChangedTo::Joined),
            (_, State::Suspect) => Some(ChangedTo::Suspect),
            (_, State::Left) => Some(ChangedTo::Left),
            (_, State::Lost) => Some(ChangedTo::Lost),
        };
        self.changes.extend(to.map(|to| Change { to, ..change }));
        self.version = self.version.saturating_add(1);
    }

    /// Ends each step: signs, probes, tells and asks what is due.
    fn pump(&mut self, now: Instant) {
        if self.own.has_left() {
            return;
        }
        if self.own.due().is_some_and(|due| due <= now) {
            self.own.sign(now, &mut self.jitter);
            self.push(now);
        }
        self.check(now);
        self.note_due();
        self.seek_lists(now);
        self.converse(now);
        self.note_due();
    }

    /// What is due next in the table.
    fn due(&self) -> Due {
        if self.table.has_changed() { self.look_through() } else { self.due }
    }

    /// Looks the table through if it may have changed.
    fn note_due(&mut self) {
        if self.table.take_changed() {
            self.due = self.look_through();
        }
    }

    fn look_through(&self) -> Due {
        let mut first = Due::default();
        let earlier = |before: Option<Instant>, at: Instant| Some(before.map_or(at, |before| before.min(at)));
        for (_, member) in self.table.iter() {
            let verdict = member.suspicion.as_ref().and_then(|suspicion| suspicion.due(self.health));
            let verdict = verdict.map(|due| due.max(self.verdicts_from));
            let forgotten = (!member.state.is_live()).then(|| member.since + limits::MEMBER_KEPT);
            for at in [verdict, self.lease_due(member), forgotten].into_iter().flatten() {
                first.end = earlier(first.end, at);
            }
            if member.state.is_live() && !member.is_linked {
                first.stale = earlier(first.stale, member.stale_at());
            }
        }
        first
    }

    /// When a member without a link is lost because its lease is over.
    fn lease_due(&self, member: &Member) -> Option<Instant> {
        let counts = member.state.is_live() && !member.is_linked && !planted::is(Bug::GhostNeverExpires);
        counts.then(|| member.lease_until.max(self.verdicts_from))
    }

    fn view<'a>(&'a self, id: &NodeId, member: &'a Member) -> MemberView<'a> {
        let neighbour = self.neighbours.get(id).filter(|_| member.is_linked);
        MemberView {
            record: member.record(),
            state: member.state,
            since: member.since,
            lease_until: member.lease_until,
            path: neighbour.map(|neighbour| neighbour.path.as_str()),
            services: self.lists.of(member.record().services),
        }
    }

    fn state(&self, id: &NodeId) -> Option<State> {
        self.table.get(id).map(|member| member.state)
    }

    /// Whether its newest record is its farewell.
    fn is_farewell(&self, id: &NodeId) -> bool {
        self.table.get(id).is_some_and(|member| member.record().left.is_some())
    }

    fn is_linked(&self, id: &NodeId) -> bool {
        self.table.get(id).is_some_and(|member| member.is_linked)
    }

    /// Notes at a member whether there is a link with this run of it.
    fn note_link(&mut self, id: &NodeId) {
        let epoch = self.neighbours.get(id).map(|neighbour| neighbour.epoch);
        self.table.with(id, |member| member.is_linked = epoch >= Some(member.epoch()));
    }

    fn path(&self, id: &NodeId) -> Option<String> {
        self.neighbours.get(id).map(|neighbour| neighbour.path.clone())
    }
}

fn member_id(member: &Member) -> &NodeId {
    &member.record().id
}
