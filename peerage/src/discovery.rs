//! Finding others: where members of the network may be.
//!
//! There are several ways, all at work at once. Each one proposes addresses and never dials: whether, when and how often an
//! address is dialled is decided where links are (`peerage_proto::peers`), and whoever answers there must prove membership
//! like anybody else. So a wrong proposal costs a dial and does no harm beyond that.
//!
//! ```text
//!   seeds      names of hosts that stand for several nodes ──┐
//!   localhost  link sockets of this user's nodes ────────────┼── Finding ──▶ node driver ──▶ Connect, Withdraw
//!   mdns       records on the local network ─────────────────┤               └──▶ status
//!   anchors    members that were linked before the restart ──┘
//! ```
//!
//! | method | set by | finds | withdraws |
//! |---|---|---|---|
//! | `seeds` | [`Builder::seed`], the network | each address that the name of a seed has, resolved anew again and again | what the name has no more |
//! | `localhost` | [`Builder::localhost`] | link sockets in a directory, at once, without any traffic on a network | sockets that are gone |
//! | `mdns` | [`Builder::mdns`] | members that announce themselves on the local network | whose record has gone |
//! | `anchors` | [`Builder::anchors`] | members that there was a link with before a restart | all of them, after an hour |
//!
//! A source looks for the first time when its node starts, and goes on for as long as the node runs. What it tells is always
//! all that it finds now, so that nothing depends on what was told before.
//!
//! [`Builder::seed`]: crate::node::Builder::seed
//! [`Builder::mdns`]: crate::node::Builder::mdns
//! [`Builder::anchors`]: crate::node::Builder::anchors
//! [`Builder::localhost`]: crate::node::Builder::localhost

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use peerage_proto::address::Address;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub(crate) use anchors::{Anchor, Anchors, Remembered, Save};
pub(crate) use localhost::Localhost;
pub(crate) use mdns::Mdns;
pub(crate) use seeds::Seeds;

mod anchors;
mod localhost;
mod mdns;
mod seeds;

/// A way of finding others.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Method {
    /// Addresses that the operator named, and what their names stand for.
    Seeds,
    /// Link sockets of this user's nodes on this machine.
    Localhost,
    /// Records on the local network.
    Mdns,
    /// Members that this node was linked with before its restart.
    Anchors,
}

impl Method {
    /// The name in records: lower case.
    pub fn name(self) -> &'static str {
        match self {
            Method::Seeds => "seeds",
            Method::Localhost => "localhost",
            Method::Mdns => "mdns",
            Method::Anchors => "anchors",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One way of finding others, about to begin.
pub(crate) enum Source {
    Seeds(Seeds),
    Localhost(Localhost),
    Mdns(Mdns),
    Anchors(Remembered),
}

impl Source {
    pub(crate) fn method(&self) -> Method {
        match self {
            Source::Seeds(_) => Method::Seeds,
            Source::Localhost(_) => Method::Localhost,
            Source::Mdns(_) => Method::Mdns,
            Source::Anchors(_) => Method::Anchors,
        }
    }

    /// Looks and tells, until nobody listens or `leave` is cancelled.
    pub(crate) async fn run(self, teller: Teller, leave: CancellationToken) {
        // Whether it ended by itself or was told to is all the same.
        match self {
            Source::Seeds(seeds) => drop(leave.run_until_cancelled(seeds.run(teller)).await),
            Source::Localhost(localhost) => drop(leave.run_until_cancelled(localhost.run(teller)).await),
            Source::Anchors(remembered) => drop(leave.run_until_cancelled(remembered.run(teller)).await),
            Source::Mdns(mdns) => mdns.run(teller, leave).await,
        }
    }
}

/// What a source finds now: all of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Finding {
    pub(crate) method: Method,
    pub(crate) found: BTreeSet<Address>,
    /// Why it could not look everywhere.
    pub(crate) failed: Option<String>,
}

/// Through which a source tells what it finds.
#[derive(Clone, Debug)]
pub(crate) struct Teller {
    method: Method,
    findings: mpsc::Sender<Finding>,
}

/// The node does not listen any more.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct NobodyListens;

impl Teller {
    pub(crate) fn new(method: Method, findings: mpsc::Sender<Finding>) -> Teller {
        Teller { method, findings }
    }

    /// Tells what there is now. Waits while the node has other things to do.
    pub(crate) async fn tell(&self, mut found: BTreeSet<Address>, failed: Option<String>) -> Result<(), NobodyListens> {
        while found.len() > FOUND_MAX {
            found.pop_last();
        }
        let finding = Finding { method: self.method, found, failed };
        self.findings.send(finding).await.map_err(|_| NobodyListens)
    }
}

/// What all sources have found, and what came of it.
#[derive(Debug)]
pub(crate) struct Findings {
    methods: BTreeMap<Method, Known>,
    /// Why the last dial of an address failed, for addresses that are found now.
    dials: BTreeMap<Address, String>,
}

/// What one source has told.
#[derive(Debug, Default)]
struct Known {
    has_looked: bool,
    /// What the operator named: it is connected by itself and stands here to be seen.
    named: BTreeSet<Address>,
    found: BTreeSet<Address>,
    failed: Option<String>,
}

/// What is to be done about a finding.
#[derive(Debug, Default, Eq, PartialEq)]
pub(crate) struct Changes {
    pub(crate) connect: Vec<Address>,
    pub(crate) withdraw: Vec<Address>,
    /// With it, every source has looked once.
    pub(crate) all_have_looked: bool,
}

/// One source, as it can be shown.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Shown {
    pub(crate) method: Method,
    pub(crate) has_looked: bool,
    pub(crate) failed: Option<String>,
    /// Each address, and why its last dial failed.
    pub(crate) found: Vec<(Address, Option<String>)>,
}

impl Findings {
    /// Sources that are about to look; `seeds` are the addresses the operator named.
    pub(crate) fn new(methods: impl IntoIterator<Item = Method>, seeds: &[Address]) -> Findings {
        let mut methods: BTreeMap<Method, Known> =
            methods.into_iter().map(|method| (method, Known::default())).collect();
        if !seeds.is_empty() {
            let known = Known { named: seeds.iter().cloned().collect(), ..Known::default() };
            // Without a source of its own there is nothing to resolve.
            let has_looked = !methods.contains_key(&Method::Seeds);
            methods.insert(Method::Seeds, Known { has_looked, ..known });
        }
        Findings { methods, dials: BTreeMap::new() }
    }

    /// Takes what a source has told.
    pub(crate) fn take(&mut self, finding: Finding) -> Changes {
        let all_had_looked = self.have_all_looked();
        let before = self.all_found();
        let known = self.methods.entry(finding.method).or_default();
        *known = Known { has_looked: true, found: finding.found, failed: finding.failed, named: known.named.clone() };
        let now = self.all_found();
        self.dials.retain(|address, _| {
            now.contains(address) || self.methods.values().any(|known| known.named.contains(address))
        });
        Changes {
            connect: now.difference(&before).cloned().collect(),
            withdraw: before.difference(&now).cloned().collect(),
            all_have_looked: !all_had_looked && self.have_all_looked(),
        }
    }

    /// A dial failed. Whether that is about an address that is known here.
    pub(crate) fn failed(&mut self, address: &Address, why: &dyn fmt::Display) -> bool {
        let is_known =
            self.methods.values().any(|known| known.found.contains(address) || known.named.contains(address));
        if is_known {
            self.dials.insert(address.clone(), why.to_string());
        }
        is_known
    }

    /// There is a link with the node at this address. Whether that is news.
    pub(crate) fn reached(&mut self, address: &Address) -> bool {
        self.dials.remove(address).is_some()
    }

    /// Whether every source has looked once.
    pub(crate) fn have_all_looked(&self) -> bool {
        self.methods.values().all(|known| known.has_looked)
    }

    /// How many addresses are found now.
    pub(crate) fn count(&self) -> usize {
        self.all_found().len()
    }

    /// Each source, as it can be shown.
    pub(crate) fn shown(&self) -> impl Iterator<Item = Shown> {
        self.methods.iter().map(|(method, known)| {
            let all = known.named.union(&known.found);
            let found = all.map(|address| (address.clone(), self.dials.get(address).cloned())).collect();
            Shown { method: *method, has_looked: known.has_looked, failed: known.failed.clone(), found }
        })
    }

    /// What any source finds, less what is connected anyway.
    fn all_found(&self) -> BTreeSet<Address> {
        let named = |address: &Address| self.methods.values().any(|known| known.named.contains(address));
        self.methods.values().flat_map(|known| &known.found).filter(|address| !named(address)).cloned().collect()
    }
}

/// Addresses of one source that are considered. A network of that size is no longer found by looking around.
const FOUND_MAX: usize = 1_024;

/// Findings that may wait for the node. A source with one more waits.
pub(crate) const FINDINGS_WAITING: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        text.parse().unwrap()
    }

    fn finding(method: Method, found: &[&str]) -> Finding {
        Finding { method, found: found.iter().map(|text| address(text)).collect(), failed: None }
    }

    #[test]
    fn what_is_new_is_connected_and_what_is_gone_withdrawn() {
        let mut findings = Findings::new([Method::Localhost], &[]);
        assert!(!findings.have_all_looked());
        let changes = findings.take(finding(Method::Localhost, &["memory://a", "memory://b"]));
        let connect = vec![address("memory://a"), address("memory://b")];
        assert_eq!(changes, Changes { connect, all_have_looked: true, ..Changes::default() });
        let changes = findings.take(finding(Method::Localhost, &["memory://b", "memory://c"]));
        let (connect, withdraw) = (vec![address("memory://c")], vec![address("memory://a")]);
        assert_eq!(changes, Changes { connect, withdraw, all_have_looked: false });
    }

    #[test]
    fn what_two_sources_find_is_withdrawn_when_neither_finds_it_any_more() {
        let mut findings = Findings::new([Method::Localhost, Method::Seeds], &[]);
        assert!(!findings.take(finding(Method::Localhost, &["memory://a"])).all_have_looked);
        let changes = findings.take(finding(Method::Seeds, &["memory://a"]));
        assert_eq!(changes, Changes { all_have_looked: true, ..Changes::default() });
        assert_eq!(findings.take(finding(Method::Localhost, &[])), Changes::default());
        assert_eq!(findings.take(finding(Method::Seeds, &[])).withdraw, [address("memory://a")]);
    }

    #[test]
    fn what_the_operator_named_is_shown_and_neither_connected_nor_withdrawn() {
        let mut findings = Findings::new([], &[address("memory://a")]);
        assert!(findings.have_all_looked(), "there is nothing to resolve");
        assert_eq!(findings.take(finding(Method::Localhost, &["memory://a"])).connect, []);
        assert_eq!(findings.take(finding(Method::Localhost, &[])).withdraw, []);
        assert!(findings.failed(&address("memory://a"), &"nobody"));
        let shown: Vec<Shown> = findings.shown().collect();
        assert_eq!(shown[0].found, [(address("memory://a"), Some("nobody".to_owned()))]);
    }

    #[test]
    fn why_a_dial_failed_is_shown_until_there_is_a_link_or_the_address_is_gone() {
        let mut findings = Findings::new([Method::Localhost], &[]);
        findings.take(finding(Method::Localhost, &["memory://a", "memory://b"]));
        assert!(!findings.failed(&address("memory://c"), &"not found by us"));
        for address in ["memory://a", "memory://b"].map(address) {
            assert!(findings.failed(&address, &"nobody listens"));
        }
        assert!(findings.reached(&address("memory://a")) && !findings.reached(&address("memory://a")));
        let failures = |findings: &Findings| -> Vec<Option<String>> {
            findings.shown().flat_map(|shown| shown.found).map(|(_, failed)| failed).collect()
        };
        assert_eq!(failures(&findings), [None, Some("nobody listens".to_owned())]);
        findings.take(finding(Method::Localhost, &["memory://a"]));
        findings.take(finding(Method::Localhost, &["memory://a", "memory://b"]));
        assert_eq!(failures(&findings), [None, None]);
    }

    #[tokio::test]
    async fn of_more_addresses_than_are_considered_the_rest_is_left_out() {
        let (findings, mut told) = mpsc::channel(1);
        let found = (0..2_000).map(|n| address(&format!("tls://9.9.9.9:{}", n + 1))).collect();
        Teller::new(Method::Localhost, findings).tell(found, None).await.unwrap();
        assert_eq!(told.recv().await.unwrap().found.len(), FOUND_MAX);
    }
}
