//! Who the nodes say is there, held against who really is.
//!
//! Two promises are watched (O7): the events about members keep their grammar; and no node whose view is complete misses
//! one that has been there and linked with it, directly or over others, for long enough. And once all has been whole for
//! long enough, all views are equal and true (O9).

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::faults::{CALM, Happening};
use super::host::Process;
use super::wire::Stage;
use super::{Event, Fault, Name, Network, Oracle};
use crate::codec::Payload;
use crate::hello::Introduction;
use crate::id::{Epoch, NodeId};
use crate::limits;
use crate::membership::{About, Change, ChangedTo, Evidence, Missing, ServiceList, State, Word};
use crate::node::{Here, Input, Phase};

/// What the application of a node knows of the members, by what it was told.
pub(super) type Told = BTreeMap<NodeId, (Epoch, ChangedTo)>;

impl Network {
    /// What a host's node says of itself.
    pub(super) fn about(&self, host: usize) -> About {
        let mut machine = [0; 16];
        machine.copy_from_slice(&self.hosts[host].id.as_bytes()[..16]);
        About {
            name: Name(host).to_string(),
            machine,
            groups: BTreeSet::new(),
            hub: false,
            ephemeral: false,
            addresses: vec![Network::address_of(host)],
            services: self.hosts[host].process.as_ref().map(|process| process.offers.clone()).unwrap_or_default(),
            sealing_key: None,
        }
    }

    /// Where a host is in the network of addresses.
    pub(super) fn here(host: usize) -> Here {
        let address = Network::address_of(host);
        let interfaces = address.host().and_then(|host| host.ip()).into_iter().collect();
        Here { own: vec![address.clone()], listening: vec![address], interfaces, plaintext: false }
    }

    /// What a link begins with.
    pub(super) fn introduction(&self, host: usize) -> Option<Payload> {
        let here = &self.hosts[host];
        let introduction = Introduction {
            record: here.process.as_ref()?.node.record()?.encode(),
            process: here.run,
            encodings: BTreeSet::new(),
            compression: BTreeSet::new(),
            build: "sim".to_owned(),
            ping_interval: limits::PING_LAN,
            sees_us_at: None,
        };
        Some(introduction.encode().expect("short and printable"))
    }

    /// The application of a node is told that a member has changed.
    pub(super) fn member_changed(&mut self, host: usize, change: &Change) {
        let Some(process) = &mut self.hosts[host].process else { return };
        let before = process.told.insert(change.id, (change.epoch, change.to));
        let evidence = process.node.transitions(&change.id).next_back().map(|last| last.evidence);
        if !is_grammatical(change, before) {
            let nodes: Vec<usize> = [Some(host), self.by_id.get(&change.id).copied()].into_iter().flatten().collect();
            self.violated(Oracle::O7, &nodes, format!("{:?} of {} after {before:?}", change.to, change.epoch));
        }
        if change.to == ChangedTo::Joined && before.is_some_and(|(epoch, _)| epoch == change.epoch) {
            self.mark("a member came back in the same epoch");
        }
        match (change.to, evidence) {
            (_, Some(Evidence::Refuted)) => self.mark("a suspicion was refuted"),
            (ChangedTo::Lost, _) if change.why.starts_with("restarted") => self.mark("a member was started again"),
            (_, Some(Evidence::Lease)) => self.mark("a lease ran out"),
            (ChangedTo::Joined, Some(Evidence::Record)) => self.mark("a member was known before it was linked"),
            (ChangedTo::Lost, Some(Evidence::Refused)) => self.mark("a member was lost because its address refuses"),
            (ChangedTo::Lost, Some(Evidence::Indirect)) => self.mark("a member was lost and a neighbour had tried it"),
            (ChangedTo::Left, _) => self.mark("a member left"),
            _ => {}
        }
    }

    /// A node says something about members.
    pub(super) fn mark_word(&mut self, word: &Word) {
        match word {
            Word::Summary(_) => self.mark("a neighbour was asked what it knows"),
            Word::Wanted(_) => self.mark("a neighbour was asked for lists of services"),
            Word::Checked { answer, .. } => self.mark(match answer {
                crate::membership::Answer::Alive => "a suspect was reached for another",
                crate::membership::Answer::Unreachable => "a suspect was not reached for another",
                crate::membership::Answer::CannotTell => "nothing could be said about a suspect",
            }),
            _ => {}
        }
    }

    /// Looks at what every node would answer if it was asked for every other.
    pub(super) fn sample(&mut self) {
        self.at(self.now + self.sample_every, Event::Sample);
        let groups = self.groups();
        let count = self.hosts.len();
        for (a, b) in (0..count).flat_map(|a| (0..count).map(move |b| (a, b))).filter(|(a, b)| a != b) {
            let together = groups[a].is_some() && groups[a] == groups[b];
            let accept = self.hosts[a].accepts && self.hosts[b].accepts;
            let reachable = accept && !self.is_cut(a, b) && !self.is_cut(b, a);
            let runs = (self.hosts[a].run, self.hosts[b].run);
            if !together || !reachable {
                self.together.remove(&(a, b));
                continue;
            }
            if let Some(what) = self.absurdity(a, b) {
                self.violated(Oracle::O7, &[a, b], what);
            }
            let (since, known) = *self.together.entry((a, b)).or_insert((self.now, runs));
            if known != runs {
                self.together.insert((a, b), (self.now, runs));
            } else if self.now.duration_since(since) >= self.presence_after && self.is_missed(a, b) {
                let since = self.now.duration_since(since);
                self.violated(
                    Oracle::O7,
                    &[a, b],
                    format!("absent, it says, of a node with which it is linked for {since:?}"),
                );
            } else if let Some(what) = self.misses_offer(a, b, since) {
                self.violated(Oracle::O7, &[a, b], what);
            }
        }
    }

    /// What a node cannot rightly believe of another one, whatever happens.
    fn absurdity(&self, a: usize, b: usize) -> Option<String> {
        let [here, there] = [a, b].map(|host| self.hosts[host].process.as_ref());
        let member = here?.node.members().find(|member| member.record.id == self.hosts[b].id)?;
        let [held, newest] = [member.record.incarnation, there?.node.record()?.record().incarnation];
        if held.epoch == newest.epoch && held.sequence > newest.sequence {
            return Some(format!(
                "{} holds record {} of {}, which has signed {}",
                Name(a),
                held.sequence,
                Name(b),
                newest.sequence
            ));
        }
        let is_gone_and_linked = member.state == State::Lost && member.path.is_some();
        is_gone_and_linked.then(|| "a member is lost that there is a link with".to_owned())
    }

    /// Whether a node would call another one absent. A verdict of its own it may hold to until it must have found out that
    /// it was wrong: there may be links that only seem to stand.
    fn is_missed(&self, a: usize, b: usize) -> bool {
        let [Some(here), Some(there)] = [a, b].map(|host| self.hosts[host].process.as_ref()) else { return false };
        let (id, local) = (self.hosts[b].id, self.local(a));
        let is_known = here.node.members().any(|member| {
            let epoch = member.record.incarnation.epoch;
            let is_excused = local.saturating_duration_since(member.since) < FOUND_AGAIN;
            // Who has lost its counter runs in an epoch that is over, until somebody tells it so.
            let is_this_run = epoch == there.node.epoch() && (member.state.is_live() || is_excused);
            member.record.id == id && (is_this_run || epoch > there.node.epoch())
        });
        !is_known && self.is_complete(here)
    }

    /// Whether a node that knows another one knows something else of it than what it offers, and believes to know all.
    /// `together`: since when the two have been linked.
    fn misses_offer(&self, a: usize, b: usize, together: Instant) -> Option<String> {
        let [here, there] = [a, b].map(|host| self.hosts[host].process.as_ref());
        let (here, there) = (here?, there?);
        let known_for = self.now.duration_since(together.max(there.offers_since));
        // On a slow connection a word may wait behind long calls.
        if known_for < self.presence_after || self.faults.has(Fault::Slow) || !self.is_complete(here) {
            return None;
        }
        let member = here.node.member(&self.hosts[b].id)?;
        let is_this_run = member.record.incarnation.epoch == there.node.epoch() && member.state.is_live();
        let is_known = member.services.is_some_and(|known| *known == there.offers);
        let (known, offers) = (member.services.map(ServiceList::tags), there.offers.tags());
        (is_this_run && !is_known)
            .then(|| format!("{known:?} is what it knows of {offers:?}, offered for {known_for:?}"))
    }

    /// Whether nothing is missing in the view of a node, beside what a liar has made up.
    fn is_complete(&self, process: &Process) -> bool {
        process.node.missing().iter().all(|missing| match missing {
            Missing::Dial(id) => !self.by_id.contains_key(id),
            _ => false,
        })
    }

    /// Something more, or less, is offered by a node.
    pub(super) fn offer(&mut self, host: usize, run: u32) {
        if self.hosts[host].run != run || self.now > self.begin + OFFERS_END {
            return;
        }
        if let Some(until) = self.hosts[host].paused_until {
            return self.at(until, Event::Happening(Happening::Offer(host, run)));
        }
        let tag = format!("s{}", self.dice.below(4));
        let now = self.now;
        let Some(process) = &mut self.hosts[host].process else { return };
        let mut tags: BTreeSet<String> = process.offers.tags().iter().cloned().collect();
        if !tags.remove(&tag) {
            tags.insert(tag);
        }
        process.offers = ServiceList::of(tags).expect("few and short");
        process.offers_since = now;
        let about = self.about(host);
        self.feed(host, Input::Announce(about));
        if self.starts_within.is_none() && self.dice.chance(70) {
            self.soon(Duration::from_secs(15), Event::Happening(Happening::Offer(host, run)));
        }
    }

    /// Which hosts are linked with each other, over whatever others: each has the number of its group. None: nobody can say.
    fn groups(&self) -> Vec<Option<usize>> {
        let runs = |host: usize| {
            let here = &self.hosts[host];
            let is_running = |process: &super::host::Process| *process.node.phase() == Phase::Running;
            here.paused_until.is_none() && here.process.as_ref().is_some_and(is_running)
        };
        let mut groups: Vec<Option<usize>> = (0..self.hosts.len()).map(|host| runs(host).then_some(host)).collect();
        let mut pairs: BTreeSet<(usize, usize)> = BTreeSet::new();
        for (name, host) in self.hosts.iter().enumerate() {
            let Some(process) = &host.process else { continue };
            let ends = process.directory.values().filter_map(|link| process.links.get(link));
            let whole = ends.filter_map(|end| self.wires.get(&end.wire)).filter(|wire| {
                let [a, b] = wire.hosts;
                let is_linked = wire.stages.iter().all(|stage| matches!(stage, Stage::Linked(_)));
                is_linked && !wire.is_forgotten && !wire.is_slow && !self.is_cut(a, b) && !self.is_cut(b, a)
            });
            pairs.extend(whole.map(|wire| (name, wire.hosts[0] + wire.hosts[1] - name)));
        }
        // A link counts that both ends use.
        for (a, b) in pairs.iter().filter(|(a, b)| pairs.contains(&(*b, *a))) {
            if let (Some(one), Some(other)) = (groups[*a], groups[*b]) {
                let joined = groups.iter_mut().filter(|group| **group == Some(other));
                joined.for_each(|group| *group = Some(one));
            }
        }
        groups
    }

    /// All has been whole for long enough: everybody sees everybody, in the run that is, and nothing is missing.
    pub(super) fn check_views(&mut self) {
        let truth: BTreeMap<NodeId, Epoch> = self.running().map(|(_, id, epoch)| (id, epoch)).collect();
        let running: Vec<usize> = self.running().map(|(host, ..)| host).collect();
        let leased: BTreeSet<NodeId> = running.iter().flat_map(|host| self.leased_ghosts(*host)).collect();
        for host in running {
            if let Some(what) = self.untruth(host, &truth, &leased) {
                return self.violated(Oracle::O9, &[host], what);
            }
        }
    }

    /// Nodes that are gone for good without a word, and that a node knows by a record alone which still holds. A record is handed on
    /// with what is left of its lease; while it lies on a link that is slow, or with a reader that does not read, nothing of that
    /// passes. So its lease may be over at one node and not at another, for as long as trouble could last.
    fn leased_ghosts(&self, host: usize) -> Vec<NodeId> {
        let Some(process) = &self.hosts[host].process else { return Vec::new() };
        let clock = &self.hosts[host].clock;
        let (now, last) = (clock.local(self.now), clock.local(self.begin + CALM) + limits::RECORD_LEASE);
        let is_ghost = |id: &NodeId| self.by_id.get(id).is_some_and(|name| self.hosts[*name].is_buried);
        let live = process.node.members().filter(|member| member.state.is_live() && member.path.is_none());
        let holds = live.filter(|member| member.lease_until > now && member.lease_until <= last);
        holds.map(|member| member.record.id).filter(is_ghost).collect()
    }

    /// What is wrong in the view of a node.
    fn untruth(&self, host: usize, truth: &BTreeMap<NodeId, Epoch>, leased: &BTreeSet<NodeId>) -> Option<String> {
        let node = &self.hosts[host].process.as_ref()?.node;
        let is_judged = |id: &NodeId| self.by_id.contains_key(id) && !leased.contains(id);
        let of_hosts = node.members().filter(|member| is_judged(&member.record.id));
        let live = of_hosts.filter(|member| member.state.is_live());
        let view: BTreeMap<NodeId, (Epoch, State)> =
            live.map(|member| (member.record.id, (member.record.incarnation.epoch, member.state))).collect();
        let wrong = |id: &NodeId, seen: Option<&(Epoch, State)>, is: Option<&Epoch>| {
            let why: Vec<String> = node.transitions(id).map(ToString::to_string).collect();
            format!("{} is {is:?} and seen as {seen:?}: {why:?}", Name(self.by_id[id]))
        };
        let ids: BTreeSet<&NodeId> = truth.keys().chain(view.keys()).filter(|id| **id != node.id()).collect();
        let odd = ids.into_iter().find(|id| view.get(id).copied() != truth.get(id).map(|epoch| (*epoch, State::Up)));
        let odd = odd.map(|id| wrong(id, view.get(id), truth.get(id)));
        let misses = |host: usize| {
            let there = self.hosts[host].process.as_ref()?;
            let (offers, is_told) = (&there.offers, self.now.duration_since(there.offers_since) > OFFER_TOLD);
            let known = node.member(&self.hosts[host].id)?.services;
            (is_told && known != Some(offers))
                .then(|| format!("{known:?} is what it knows of what {} offers: {offers:?}", Name(host)))
        };
        let odd = odd.or_else(|| truth.keys().find_map(|id| misses(self.by_id[id])));
        // Nodes that a liar has made up are no business of anybody's.
        let is_real = |missing: &Missing| match missing {
            Missing::Dial(id) | Missing::Services(id) => is_judged(id),
            // Who holds such a record, and who does not any more, do not agree.
            Missing::Agreement(_) => leased.is_empty(),
            _ => true,
        };
        let missing: Vec<Missing> = node.missing().into_iter().filter(is_real).collect();
        odd.or_else(|| (!missing.is_empty()).then(|| format!("the view is not complete: {missing:?}")))
    }

    /// Nodes that take part.
    pub(super) fn running(&self) -> impl Iterator<Item = (usize, NodeId, Epoch)> {
        let all = self.hosts.iter().enumerate();
        all.filter_map(|(name, host)| Some((name, host.id, &host.process.as_ref()?.node)))
            .filter(|(_, _, node)| *node.phase() == Phase::Running)
            .map(|(name, id, node)| (name, id, node.epoch()))
    }
}

/// Whether an event about a member may follow the one before.
fn is_grammatical(change: &Change, before: Option<(Epoch, ChangedTo)>) -> bool {
    let is_over = |to: ChangedTo| matches!(to, ChangedTo::Left | ChangedTo::Lost);
    match (change.to, before) {
        (ChangedTo::Joined, None) => true,
        (ChangedTo::Joined, Some((epoch, to))) => is_over(to) && epoch <= change.epoch,
        (_, None) => false,
        (ChangedTo::Up, Some((epoch, to))) => epoch == change.epoch && to == ChangedTo::Suspect,
        (ChangedTo::Suspect, Some((epoch, to))) => {
            epoch == change.epoch && matches!(to, ChangedTo::Joined | ChangedTo::Up)
        }
        (ChangedTo::Left | ChangedTo::Lost, Some((epoch, to))) => epoch == change.epoch && !is_over(to),
    }
}

/// When what nodes offer changes for the last time.
const OFFERS_END: Duration = Duration::from_secs(100);

/// How long what a node offers takes to all others at most, where nothing is broken.
const OFFER_TOLD: Duration = Duration::from_secs(3);

/// How often the answers are looked at.
pub(super) const SAMPLE: Duration = Duration::from_millis(500);

/// How long a node has to be there and linked until nobody may call it absent.
pub(super) const PRESENCE_AFTER: Duration = Duration::from_secs(10);

/// How long a node takes at most to find again what it has lost by mistake: the longest wait between two dials, a dial that
/// nobody answers, and an admission.
const FOUND_AGAIN: Duration = Duration::from_secs(16);
