//! What others are told: events, the view, answers to those who wait.

use std::time::Duration;

use peerage_proto::id::NodeId;
use peerage_proto::node::{self, Fault, WhyClosed, WhyDown};
use peerage_proto::outcome::LinkLost;
use tokio::time::Instant;

use super::Driver;
use crate::node::event::Event;
use crate::node::held::Held;
use crate::node::neighbours::{Gone, Way};
use crate::node::shared::{Phase, View};
use crate::node::snapshot::FaultRecord;
use crate::node::wall::wall;

impl Driver {
    /// The machine tells that something happened.
    pub(super) fn happened(&mut self, event: node::Event) {
        self.is_stale = true;
        let mut events = Vec::new();
        let now = Instant::now().into_std();
        match event {
            node::Event::LinkUp { peer, epoch, link, .. } => {
                if let Some((held, said)) = self.shared().links.find(link).and_then(|held| {
                    let said = held.introduction.get().cloned();
                    said.map(|said| (held, said))
                }) {
                    tracing::info!(%link, %peer, path = %held.path, trust = %held.established.trust, "linked");
                    self.neighbours.up(now, peer, epoch, said, way(&held), &mut events);
                }
            }
            node::Event::LinkDown { peer, epoch, why } => {
                // A link that ended for silence has had that time already.
                let was_silent = matches!(why, WhyDown::Lost(LinkLost::Silent));
                let patience = if was_silent { Duration::ZERO } else { self.patience() };
                self.neighbours.down(now, peer, epoch, gone(&why), patience, &mut events);
            }
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
        if !std::mem::take(&mut self.is_stale) {
            return;
        }
        let faults = self.parts.machine.faults().into_iter().map(record).collect();
        let peers = self.neighbours.entries();
        let discovery = self.parts.search.findings.shown().map(super::finding::shown).collect();
        self.shared().publish(View { version: self.neighbours.version(), peers, faults, discovery });
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

    /// How long a peer without a link is waited for before it is lost.
    fn patience(&self) -> Duration {
        let factor = self.shared().metrics.local_health.value().clamp(1, 8) as u32;
        self.shared().profile.lost_after() * factor
    }

    fn open_calls(&self) -> u64 {
        let links = self.shared().links.all();
        let open = links.iter().map(|held| held.link.figures());
        open.map(|figures| (figures.calls_in_flight + figures.requests_in_service) as u64).sum()
    }
}

/// How the peer of a link is reached.
pub(super) fn way(held: &Held) -> Way {
    Way { direction: held.direction, path: held.path.clone() }
}

fn gone(why: &WhyDown) -> Gone {
    match why {
        WhyDown::Left { reason } => Gone::Left(reason.clone()),
        WhyDown::Closed(WhyClosed::Goodbye { reason }) => Gone::Left(format!("this node parted from it: {reason}")),
        why => Gone::Lost(why.to_string()),
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
