//! What is found is connected as long as it is found; what came of it is kept to be shown.

use std::fmt;

use peerage_proto::membership::MemberView;
use peerage_proto::node::{Input, Keep};
use tokio::time::Instant;

use super::Driver;
use crate::address::Address;
use crate::discovery::{Anchor, Anchors, Finding, Method, Save, Shown};
use crate::node::reach;
use crate::node::snapshot::{DiscoveryStatus, FoundAddress};

impl Driver {
    /// Connects the seeds, and has everything begin that looks for others.
    pub(super) fn begin_search(&mut self) {
        for address in std::mem::take(&mut self.parts.search.seeds) {
            self.feed(Input::Connect { connect: None, address, expected: None, keep: Keep::Forever });
        }
        self.parts.search.begin();
        if self.parts.search.findings.have_all_looked() {
            self.feed(Input::Searched);
        }
    }

    /// A source tells what it finds now.
    pub(super) fn found(&mut self, mut finding: Finding) {
        if finding.method == Method::Mdns {
            // Whoever hears a record can repeat it with addresses of its own.
            let here = self.parts.machine.here();
            finding.found.retain(|address| here.may_dial(address, false));
        }
        if let Some(why) = &finding.failed {
            tracing::debug!(method = %finding.method, %why, "cannot look everywhere");
        }
        let changes = self.parts.search.findings.take(finding);
        for address in changes.connect {
            tracing::debug!(%address, "found");
            self.feed(Input::Connect { connect: None, address, expected: None, keep: Keep::Found });
        }
        for address in changes.withdraw {
            tracing::debug!(%address, "found no more");
            self.feed(Input::Withdraw { address });
        }
        if changes.all_have_looked {
            self.feed(Input::Searched);
        }
        self.shared().metrics.found.set(self.parts.search.findings.count() as u64);
        self.is_stale = true;
    }

    /// Where the interfaces have other addresses, or the machine slept, whoever is waited for may be reachable now.
    pub(super) fn look_at_network(&mut self, woke: bool) {
        let here = self.parts.machine.here();
        let moved = reach::moved(here, &self.parts.advertise, reach::interfaces());
        if moved.is_none() && !woke {
            return;
        }
        let here = moved.unwrap_or_else(|| here.clone());
        tracing::info!(interfaces = ?here.interfaces, woke, "the network is another one");
        self.feed(Input::NetworkChanged { here });
        self.announce_place();
        self.parts.search.hurry();
    }

    /// Remembers whom this node is linked with, for after a restart.
    pub(super) fn keep_anchors(&mut self, now: Instant) {
        if !self.parts.search.anchors.as_ref().is_some_and(|anchors| anchors.may_write(now.into_std())) {
            return;
        }
        let linked = self.linked_for_long();
        let save = self.parts.search.anchors.as_mut().and_then(|anchors| anchors.keep(now.into_std(), linked));
        if let Some(save) = save {
            // It touches the disk. Two of them are a minute apart.
            tokio::task::spawn_blocking(move || written(save));
        }
    }

    /// Nobody is looked for any more. Whom this node is linked with now it will begin with after a restart.
    pub(super) fn end_search(&mut self) {
        let linked = self.linked_for_long();
        if let Some(anchors) = &mut self.parts.search.anchors {
            anchors.learn(linked);
        }
        self.parts.search.leave();
    }

    /// Returns when the anchors are written.
    pub(super) async fn close_anchors(&mut self) {
        let save = self.parts.search.anchors.as_mut().and_then(Anchors::close);
        if let Some(save) = save {
            // A task that cannot be started writes nothing.
            let _ = tokio::task::spawn_blocking(move || written(save)).await;
        }
    }

    /// Members that there is a link with and that can be dialled, longest up first.
    fn linked_for_long(&self) -> Vec<Anchor> {
        let (here, machine) = (self.parts.machine.here(), self.shared().facts.machine);
        // Whom a local socket leads to is found by that again.
        let is_remote = |path: &str| !path.contains("unix");
        let is_linked = |member: &MemberView<'_>| member.path.is_some_and(is_remote) && !member.record.ephemeral;
        let mut linked: Vec<MemberView<'_>> = self.parts.machine.members().filter(is_linked).collect();
        linked.sort_by_key(|member| member.since);
        let anchor = |member: MemberView<'_>| {
            let record = member.record;
            let may_dial = |address: &&Address| here.may_dial(address, record.machine == machine);
            Anchor::new(record.id, record.addresses.iter().filter(may_dial).cloned())
        };
        linked.into_iter().filter_map(anchor).collect()
    }

    /// A dial led to no link.
    pub(super) fn dial_failed(&mut self, address: &Address, why: &dyn fmt::Display) {
        self.is_stale |= self.parts.search.findings.failed(address, why);
    }

    /// There is a link with the node at these addresses.
    pub(super) fn reached<'a>(&mut self, addresses: impl IntoIterator<Item = &'a Address>) {
        for address in addresses {
            self.is_stale |= self.parts.search.findings.reached(address);
        }
    }
}

/// Writes the file of anchors. The node does without if it cannot be.
fn written(save: Save) {
    if let Err(why) = save.write() {
        tracing::warn!(%why, "the members to begin with after a restart were not stored");
    }
}

/// One way of finding others, as it is shown.
pub(super) fn shown(source: Shown) -> DiscoveryStatus {
    let state = match (source.has_looked, &source.failed) {
        (false, _) => "searching",
        (true, None) => "watching",
        (true, Some(_)) => "failing",
    };
    let found = source.found.into_iter().take(FOUND_SHOWN);
    DiscoveryStatus {
        method: source.method.name().to_owned(),
        state: state.to_owned(),
        found: found.map(|(address, last_error)| FoundAddress { address: address.to_string(), last_error }).collect(),
        last_error: source.failed,
    }
}

/// Addresses of one source that are shown.
const FOUND_SHOWN: usize = 256;
