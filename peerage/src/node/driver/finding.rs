//! What is found is connected as long as it is found; what came of it is kept to be shown.

use std::fmt;

use peerage_proto::node::{Input, Keep};

use super::Driver;
use crate::address::Address;
use crate::discovery::{Finding, Method, Shown};
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
        let own = here.own.clone();
        self.feed(Input::NetworkChanged { here });
        if own != self.parts.about.addresses {
            self.announce_place(own);
        }
        self.parts.search.hurry();
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
