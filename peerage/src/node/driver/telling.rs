//! What others are told: events, the view, answers to those who wait.

use std::collections::BTreeMap;

use peerage_proto::id::{LinkId, NodeId};
use peerage_proto::membership::{Change, ChangedTo};
use peerage_proto::node::{self, Fault};

use tokio::time::Instant;

use super::Driver;
use crate::node::event::Event;
use crate::node::shared::Phase;
use crate::node::snapshot::FaultRecord;
use crate::node::view::{Member, Own, View};
use crate::node::wall::wall;

impl Driver {
    /// The machine tells that something happened.
    pub(super) fn happened(&mut self, event: node::Event) {
        self.is_stale = true;
        let mut events = Vec::new();
        match event {
            node::Event::LinkUp { peer, link, .. } => {
                if let Some(held) = self.shared().links.find(link) {
                    tracing::info!(%link, %peer, path = %held.path, trust = %held.established.trust, "linked");
                }
                let addresses = self.parts.machine.member(&peer).map(|member| member.record.addresses.clone());
                self.reached(addresses.iter().flatten());
            }
            node::Event::Member(change) => events.push(member(change)),
            node::Event::LinkDown { peer, .. } => self.observed(peer, None),
            node::Event::Connected => events.push(Event::Connected),
            node::Event::Isolated => {
                self.parts.search.hurry();
                events.push(Event::Isolated);
            }
            node::Event::PeerDraining { peer } => tracing::info!(%peer, "the peer is about to leave"),
            node::Event::IdentityConflict { peer } => {
                tracing::error!(%peer, "two processes run with one key: the newcomer was refused");
            }
            node::Event::Draining => {
                self.shared().enter(Phase::Draining);
                self.shared().directory.close();
                events.push(Event::Draining);
            }
            node::Event::Leaving { idle: false } => self.abandoned = self.open_calls(),
            node::Event::Fault(fault) => events.push(raised(&fault)),
            node::Event::Cleared(fault) => events.push(cleared(&fault)),
            _ => {}
        }
        self.tell(events);
    }

    /// Tells everybody who listens, with the view already as it is after the events.
    pub(super) fn tell(&mut self, events: Vec<Event>) {
        if events.is_empty() {
            return;
        }
        self.is_stale = true;
        self.publish();
        for event in events {
            self.shared().tell(event);
        }
    }

    /// Publishes what has changed.
    pub(super) fn publish(&mut self) {
        let machine = &self.parts.machine;
        let (missing, is_asking) = (machine.missing(), machine.is_asking(Instant::now().into_std()));
        if !std::mem::take(&mut self.is_stale) && missing == self.missing && is_asking == self.is_asking {
            return;
        }
        let links = machine.links().filter(|link| link.active);
        let active: BTreeMap<NodeId, LinkId> = links.map(|link| (link.peer, link.link)).collect();
        let before = self.shared().view();
        let known = |id: &NodeId| {
            let at = before.members.binary_search_by_key(id, |member| member.id);
            at.ok().and_then(|at| before.members.get(at))
        };
        let members = machine.members().map(|member| {
            let id = member.record.id;
            Member::of(&member, active.get(&id).copied(), |link| self.shared().links.find(link), known(&id))
        });
        let view = View {
            version: machine.version(),
            own: machine
                .record()
                .map(|signed| Own::of(signed.record(), &self.parts.about.services))
                .unwrap_or_default(),
            members: members.collect(),
            missing: missing.iter().map(ToString::to_string).collect(),
            is_asking,
            discovery: self.parts.search.findings.shown().map(super::finding::shown).collect(),
            faults: machine.faults().into_iter().map(record).collect(),
        };
        (self.missing, self.is_asking) = (missing, is_asking);
        let is_changed = before.version != view.version || before.own.groups != view.own.groups;
        self.shared().publish(view);
        if is_changed {
            self.shared().members_changed();
        }
    }

    /// Answers those who wait until there is no link with this peer any more.
    pub(super) fn parted(&mut self, peer: NodeId) {
        if self.shared().links.all().iter().any(|held| held.established.peer == peer) {
            return;
        }
        for (_, reply) in self.parting.extract_if(.., |(waiting, _)| *waiting == peer) {
            // Who asked may have gone.
            let _ = reply.send(Ok(()));
        }
    }

    fn open_calls(&self) -> u64 {
        let links = self.shared().links.all();
        let open = links.iter().map(|held| held.link.figures());
        open.map(|figures| (figures.calls_in_flight + figures.requests_in_service) as u64).sum()
    }
}

fn member(change: Change) -> Event {
    let Change { id, name, epoch, to, why } = change;
    let (id, epoch) = (id.to_string(), epoch.to_string());
    match to {
        ChangedTo::Joined => Event::Joined { id, name, epoch, why },
        ChangedTo::Up => Event::Up { id, name, epoch, why },
        ChangedTo::Suspect => Event::Suspect { id, name, epoch, why },
        ChangedTo::Left => Event::Left { id, name, epoch, why },
        ChangedTo::Lost => Event::Lost { id, name, epoch, why },
    }
}

fn record(fault: &Fault) -> FaultRecord {
    FaultRecord {
        fault: fault.kind.name().to_owned(),
        detail: fault.detail.clone(),
        since: wall(std::time::SystemTime::now() - fault.since.elapsed()),
        remedy: fault.kind.remedy().to_owned(),
    }
}

fn raised(fault: &Fault) -> Event {
    let (name, remedy) = (fault.kind.name(), fault.kind.remedy());
    tracing::warn!(fault = name, detail = %fault.detail, %remedy, "fault");
    Event::Fault { fault: name.to_owned(), detail: fault.detail.clone(), remedy: remedy.to_owned() }
}

fn cleared(fault: &Fault) -> Event {
    tracing::info!(fault = fault.kind.name(), detail = %fault.detail, "fault cleared");
    Event::Cleared { fault: fault.kind.name().to_owned(), detail: fault.detail.clone() }
}
