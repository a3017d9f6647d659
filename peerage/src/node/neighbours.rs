//! Whom this node knows, and how they are: from links that come and go to `joined`, `suspect`, `left`, `lost`.
//!
//! A link that is silent or gone makes its peer *suspect*. The peer is *lost* when nobody answers at any of its addresses
//! any more, or when the time for a verdict has passed without a new link. In this release a node judges by its own links
//! alone; others are not asked yet.
//!
//! ```text
//!             ┌────────── heard, new link ─────────┐
//!   (unknown) ┴─link─▶ Up ──silence, link gone──▶ Suspect ──time, or all addresses refuse──▶ Lost
//!                       └──goodbye──▶ Left                       a new epoch ends the old one first
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use peerage_proto::address::Address;
use peerage_proto::id::{Epoch, NodeId};
use peerage_proto::limits;

use super::event::Event;
use super::held::Said;
use super::snapshot::{Direction, PeerEntry, PeerState};

/// The nodes that are known.
#[derive(Debug, Default)]
pub(crate) struct Neighbours {
    known: BTreeMap<NodeId, Neighbour>,
    version: u64,
}

#[derive(Clone, Debug)]
struct Neighbour {
    said: Said,
    epoch: Epoch,
    state: PeerState,
    since: Instant,
    link: Option<Way>,
    /// When a suspect is lost at the latest.
    lost_at: Option<Instant>,
    /// Its addresses at which nobody listens, as found out since it is suspect.
    refused: BTreeSet<Address>,
}

/// How a peer is reached.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Way {
    pub(crate) direction: Direction,
    pub(crate) path: String,
}

/// Why a peer can no longer be called.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Gone {
    /// It said goodbye, or we did.
    Left(String),
    /// The link is gone without a word.
    Lost(String),
}

impl Neighbours {
    /// A peer can be called.
    pub(crate) fn up(
        &mut self,
        now: Instant,
        id: NodeId,
        epoch: Epoch,
        said: Said,
        link: Way,
        events: &mut Vec<Event>,
    ) {
        self.version += 1;
        let why = format!("admitted over {}", link.path);
        let before = self.known.get(&id).map(|known| (known.epoch, known.state));
        if let Some((old, PeerState::Up | PeerState::Suspect)) = before
            && old != epoch
        {
            let event = self.event(id, |who| who.lost("it was started again".to_owned()));
            events.extend(event);
        }
        let known = Neighbour {
            said,
            epoch,
            state: PeerState::Up,
            since: now,
            link: Some(link),
            lost_at: None,
            refused: BTreeSet::new(),
        };
        let was_here =
            before.is_some_and(|(old, state)| old == epoch && state != PeerState::Left && state != PeerState::Lost);
        let was_up = was_here && before.is_some_and(|(_, state)| state == PeerState::Up);
        let since = self.known.get(&id).filter(|_| was_up).map(|known| known.since);
        self.known.insert(id, Neighbour { since: since.unwrap_or(now), ..known });
        events.extend(match (was_here, was_up) {
            (_, true) => None,
            (true, false) => self.event(id, |who| who.up("linked again".to_owned())),
            (false, _) => self.event(id, |who| who.joined(why)),
        });
        self.bound();
    }

    /// Another link to a peer that is up carries its calls now.
    pub(crate) fn moved(&mut self, id: &NodeId, link: Way) {
        if let Some(known) = self.known.get_mut(id).filter(|known| known.link.as_ref() != Some(&link)) {
            known.link = Some(link);
            self.version += 1;
        }
    }

    /// A peer that has a link is silent.
    pub(crate) fn quiet(&mut self, now: Instant, id: NodeId, events: &mut Vec<Event>) {
        self.suspect(now, id, None, "no sign of life on its link", events);
    }

    /// It is heard again.
    pub(crate) fn heard(&mut self, now: Instant, id: NodeId, events: &mut Vec<Event>) {
        let Some(known) = self.known.get_mut(&id) else { return };
        if known.state == PeerState::Suspect && known.link.is_some() {
            (known.state, known.since, known.lost_at) = (PeerState::Up, now, None);
            self.version += 1;
            events.extend(self.event(id, |who| who.up("heard again".to_owned())));
        }
    }

    /// The last link of a peer is gone. `patience`: how long until it is lost if nothing is heard of it.
    pub(crate) fn down(
        &mut self,
        now: Instant,
        id: NodeId,
        epoch: Epoch,
        gone: Gone,
        patience: Duration,
        events: &mut Vec<Event>,
    ) {
        let Some(known) = self.known.get_mut(&id).filter(|known| known.epoch == epoch) else { return };
        known.link = None;
        match gone {
            Gone::Lost(why) => self.suspect(now, id, Some(now + patience), &why, events),
            Gone::Left(why) if !matches!(known.state, PeerState::Left | PeerState::Lost) => {
                (known.state, known.since, known.lost_at) = (PeerState::Left, now, None);
                self.version += 1;
                events.extend(self.event(id, |who| who.left(why)));
            }
            Gone::Left(_) => {}
        }
    }

    fn suspect(&mut self, now: Instant, id: NodeId, lost_at: Option<Instant>, why: &str, events: &mut Vec<Event>) {
        let Some(known) = self.known.get_mut(&id) else { return };
        if let PeerState::Left | PeerState::Lost = known.state {
            return;
        }
        known.lost_at = lost_at;
        known.refused.clear();
        self.version += 1;
        if std::mem::replace(&mut known.state, PeerState::Suspect) == PeerState::Up {
            known.since = now;
            events.extend(self.event(id, |who| who.suspect(why.to_owned())));
        }
    }

    /// Nobody listens at this address.
    pub(crate) fn refused(&mut self, now: Instant, address: &Address, events: &mut Vec<Event>) {
        let address = address.bare();
        let mut lost = Vec::new();
        for (id, known) in &mut self.known {
            let addresses = &known.said.record.record().addresses;
            if known.lost_at.is_none() || !addresses.iter().any(|theirs| theirs.bare() == address) {
                continue;
            }
            known.refused.insert(address.clone());
            if addresses.iter().all(|theirs| known.refused.contains(&theirs.bare())) {
                lost.push(*id);
            }
        }
        for id in lost {
            self.lose(now, id, "nobody listens at its addresses any more", events);
        }
    }

    /// Gives up whom nobody has heard of for too long, and forgets who has been gone for long.
    pub(crate) fn timeout(&mut self, now: Instant, events: &mut Vec<Event>) {
        let due = |known: &Neighbour| known.lost_at.is_some_and(|at| at <= now);
        let lost: Vec<NodeId> = self.known.iter().filter(|(_, known)| due(known)).map(|(id, _)| *id).collect();
        for id in lost {
            self.lose(now, id, "no link came back", events);
        }
        let before = self.known.len();
        self.known.retain(|_, known| {
            let is_gone = matches!(known.state, PeerState::Left | PeerState::Lost);
            !is_gone || now.saturating_duration_since(known.since) < limits::MEMBER_KEPT
        });
        self.version += u64::from(self.known.len() != before);
    }

    fn lose(&mut self, now: Instant, id: NodeId, why: &str, events: &mut Vec<Event>) {
        if let Some(known) = self.known.get_mut(&id) {
            (known.state, known.since, known.lost_at, known.link) = (PeerState::Lost, now, None, None);
            self.version += 1;
            events.extend(self.event(id, |who| who.lost(why.to_owned())));
        }
    }

    /// When [`timeout`](Self::timeout) is due.
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        let gone = |known: &Neighbour| {
            matches!(known.state, PeerState::Left | PeerState::Lost).then(|| known.since + limits::MEMBER_KEPT)
        };
        self.known.values().flat_map(|known| [known.lost_at, gone(known)]).flatten().min()
    }

    /// Rises with every change.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// Everybody, in the order of ids, and since when they are as they are.
    pub(crate) fn entries(&self) -> Vec<(NodeId, Instant, PeerEntry)> {
        self.known.iter().map(|(id, known)| (*id, known.since, known.entry(*id))).collect()
    }

    /// Whoever was gone longest makes way when there are too many.
    fn bound(&mut self) {
        while self.known.len() > KNOWN_MAX {
            let is_gone = |known: &Neighbour| matches!(known.state, PeerState::Left | PeerState::Lost);
            let longest = self.known.iter().filter(|(_, known)| is_gone(known)).min_by_key(|(_, known)| known.since);
            let Some((id, _)) = longest else { return };
            let id = *id;
            self.known.remove(&id);
        }
    }

    fn event(&self, id: NodeId, event: impl FnOnce(Who) -> Event) -> Option<Event> {
        let known = self.known.get(&id)?;
        let name = known.said.record.record().name.clone();
        Some(event(Who { id: id.to_string(), name, epoch: known.epoch.to_string() }))
    }
}

impl Neighbour {
    fn entry(&self, id: NodeId) -> PeerEntry {
        let (said, build) = (self.said.record.record(), &self.said.introduction.build);
        PeerEntry {
            id: id.to_string(),
            name: said.name.clone(),
            state: self.state,
            direction: self.link.as_ref().map(|link| link.direction),
            path: self.link.as_ref().map(|link| link.path.clone()),
            rtt_us: None,
            groups: said.groups.iter().map(ToString::to_string).collect(),
            hub: said.hub,
            ephemeral: said.ephemeral,
            machine: said.machine.iter().map(|byte| format!("{byte:02x}")).collect(),
            addresses: said.addresses.iter().map(Address::to_string).collect(),
            services: Vec::new(),
            // Others say which program they are, and its version; of ours the version is enough.
            build: build.strip_prefix("peerage ").unwrap_or(build).to_owned(),
            epoch: self.epoch.to_string(),
            since_ms: 0,
        }
    }
}

/// Whom an event is about.
struct Who {
    id: String,
    name: String,
    epoch: String,
}

impl Who {
    fn joined(self, why: String) -> Event {
        let Who { id, name, epoch } = self;
        Event::Joined { id, name, epoch, why }
    }

    fn up(self, why: String) -> Event {
        let Who { id, name, epoch } = self;
        Event::Up { id, name, epoch, why }
    }

    fn suspect(self, why: String) -> Event {
        let Who { id, name, epoch } = self;
        Event::Suspect { id, name, epoch, why }
    }

    fn left(self, why: String) -> Event {
        let Who { id, name, epoch } = self;
        Event::Left { id, name, epoch, why }
    }

    fn lost(self, why: String) -> Event {
        let Who { id, name, epoch } = self;
        Event::Lost { id, name, epoch, why }
    }
}

/// Nodes that are remembered, those that are gone included. More than there can be links.
const KNOWN_MAX: usize = limits::LINKS_MAX as usize + 4_096;
