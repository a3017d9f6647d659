//! The read model of a node: the records of [`snapshot`](super::snapshot), put together from what its parts publish.

use std::process;
use std::sync::Arc;

use peerage_proto::id::NodeId;

use super::driver::REPORTS_WAITING;
use super::held::Held;
use super::machine;
use super::shared::{Phase, Servers, Shared};
use super::snapshot::{Build, Info, Myself, PeerEntry, PeerState, Peers, QueueStatus, Status};
use super::view::{Member, View};
use super::wall::wall;
use crate::address::Address;
use crate::channel::ServerFigures;
use crate::transport::tally::Tally;

/// Reads a node. Whoever holds its shared parts can; nothing waits and nothing changes.
pub(crate) trait Reading {
    /// How it is.
    fn status(&self) -> Status;

    /// Whom it knows.
    fn peers(&self) -> Peers;

    /// Who it is; with what only members and this user may know.
    fn info(&self, private: bool) -> Info;

    /// Its counters as text.
    fn open_metrics(&self) -> String;
}

impl Reading for Shared {
    fn status(&self) -> Status {
        let (facts, view) = (&self.facts, self.view());
        self.measure();
        let counters = self.metrics.by_name();
        Status {
            id: facts.id.to_string(),
            name: facts.name.to_string(),
            network: facts.network.to_string(),
            epoch: self.epoch().to_string(),
            build: Build::this(),
            uptime_ms: facts.started.elapsed().as_millis() as u64,
            nominal: view.faults.is_empty(),
            faults: view.faults.clone(),
            draining: self.phase() != Phase::Running,
            groups: view.own.groups.iter().map(ToString::to_string).collect(),
            hub: view.own.hub,
            addresses: self.addresses().iter().map(Address::to_string).collect(),
            control: facts.control.as_ref().map(|path| format!("unix://{}", path.display())),
            local_health: self.metrics.local_health.value().clamp(1, 8) as u8,
            half_open: self.metrics.half_open.value() as u32,
            links: self.links.status(&self.directory),
            discovery: view.discovery.clone(),
            queues: self.queues(),
            counters,
        }
    }

    fn peers(&self) -> Peers {
        let (facts, (view, missing)) = (&self.facts, self.known());
        Peers {
            own: Myself { id: facts.id.to_string(), name: facts.name.to_string(), machine: self.machine() },
            version: view.version,
            complete: missing.is_empty(),
            missing,
            peers: view.members.iter().map(|member| self.entry(member)).collect(),
        }
    }

    fn info(&self, private: bool) -> Info {
        let (facts, view) = (&self.facts, self.view());
        let private = private && facts.says_who_runs_it;
        Info {
            id: facts.id.to_string(),
            name: facts.name.to_string(),
            groups: view.own.groups.iter().map(ToString::to_string).collect(),
            hub: view.own.hub,
            ephemeral: facts.ephemeral,
            pid: process::id(),
            executable: if private { machine::executable() } else { None },
            user: private.then(machine::user),
            machine: self.machine(),
            addresses: self.addresses().iter().map(Address::to_string).collect(),
            started: wall(facts.started_wall),
            epoch: self.epoch().to_string(),
            build: Build::this(),
            versions: [1, 1],
        }
    }

    fn open_metrics(&self) -> String {
        self.measure();
        let view = self.view();
        let name_of = |id: &NodeId| {
            let member = view.members.iter().find(|member| member.id == *id);
            member.map(|member| member.entry.name.clone()).unwrap_or_default()
        };
        self.metrics.open_metrics(&self.links.figures(name_of))
    }
}

/// Links whose peers are not known yet.
fn unnamed<'a>(links: &'a [Arc<Held>], view: &'a View) -> impl Iterator<Item = String> + 'a {
    let is_known = |held: &Held| view.members.iter().any(|member| member.id == held.established.peer);
    let unnamed = links.iter().filter(move |held| !is_known(held));
    unnamed.map(|held| format!("{} has just been linked with and has not introduced itself yet", held.established.peer))
}

impl Shared {
    /// What is known, and what is missing before that is all.
    pub(super) fn known(&self) -> (Arc<View>, Vec<String>) {
        // The links first: who is linked by now and is not in the view yet is about to be.
        let (links, view) = (self.links.all(), self.view());
        // Who has not said its name yet is missing as well.
        let missing = view.missing.iter().cloned().chain(unnamed(&links, &view)).collect();
        (view, missing)
    }

    /// This node, as others see it.
    pub(super) fn own_entry(&self) -> PeerEntry {
        let (facts, view) = (&self.facts, self.view());
        PeerEntry {
            id: facts.id.to_string(),
            name: facts.name.to_string(),
            state: PeerState::Up,
            direction: None,
            path: None,
            rtt_us: None,
            groups: view.own.groups.iter().map(ToString::to_string).collect(),
            hub: view.own.hub,
            ephemeral: facts.ephemeral,
            machine: self.machine(),
            addresses: view.own.addresses.iter().map(Address::to_string).collect(),
            services: view.own.services.tags().to_vec(),
            build: Build::this().version,
            epoch: self.epoch().to_string(),
            since_ms: facts.started.elapsed().as_millis() as u64,
        }
    }

    pub(super) fn machine(&self) -> String {
        self.facts.machine.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Sets the gauges whose truth lies elsewhere.
    fn measure(&self) {
        let waiting = self.commands.max_capacity() - self.commands.capacity();
        self.metrics.commands_waiting.set(waiting as u64);
        self.metrics.half_open.set(self.gate.half_open() as u64);
        self.links.measure(&self.metrics, &self.directory);
        self.metrics.faults.set(self.view().faults.len() as u64);
        let Some(Servers { doors, plain, control }) = self.servers.get() else { return };
        self.metrics.accept_errors.raise_to(doors.iter().map(Tally::errors).sum());
        self.metrics.connections_over_rate.raise_to(doors.iter().map(Tally::turned_away).sum());
        self.metrics.handshakes_failed.raise_to(doors.iter().map(Tally::failed_handshakes).sum());
        let sum = |figure: fn(&ServerFigures) -> u64| plain.iter().map(figure).sum();
        self.metrics.plain_connections.set(sum(ServerFigures::connections));
        self.metrics.plain_turned_away.raise_to(sum(ServerFigures::turned_away));
        if let Some(control) = control {
            self.metrics.control_clients.set(control.connections());
            self.metrics.control_turned_away.raise_to(control.turned_away());
            self.metrics.control_silent.raise_to(control.silent());
        }
    }

    fn queues(&self) -> Vec<QueueStatus> {
        let commands = QueueStatus {
            name: "commands".into(),
            peer: None,
            depth: self.metrics.commands_waiting.value(),
            cap: self.commands.max_capacity() as u64,
            dropped: 0,
        };
        let reports = QueueStatus {
            name: "reports".into(),
            peer: None,
            depth: self.metrics.reports_waiting.value(),
            cap: REPORTS_WAITING as u64,
            dropped: 0,
        };
        let mut queues = vec![commands, reports];
        if let Some(Servers { plain, control, .. }) = self.servers.get() {
            let row = |name: &str, figures: &ServerFigures| QueueStatus {
                name: name.into(),
                peer: None,
                depth: figures.connections(),
                cap: figures.connections_max(),
                dropped: figures.turned_away(),
            };
            queues.extend(plain.iter().map(|figures| row("plain-connections", figures)));
            queues.extend(control.iter().map(|figures| row("control-clients", figures)));
        }
        queues.extend(self.links.queues());
        queues
    }

    /// What is known of a peer, with what changes all the time as it is now.
    pub(super) fn entry(&self, member: &Member) -> PeerEntry {
        let rtt = self.directory.find(&member.id).ok().and_then(|link| link.figures().rtt);
        PeerEntry {
            rtt_us: rtt.map(|rtt| rtt.as_micros() as u64),
            since_ms: member.since.elapsed().as_millis() as u64,
            ..member.entry.clone()
        }
    }
}
