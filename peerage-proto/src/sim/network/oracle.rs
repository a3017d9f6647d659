//! What is looked at from outside, and what is told when a promise is broken.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use super::host::Host;
use super::wire::EndId;
use super::{Event, Name, Network};
use crate::id::{LinkId, NodeId};
use crate::limits;
use crate::node::Phase;

/// The promises that are watched.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Oracle {
    /// One outcome for each call, in time.
    O1,
    /// What did not run did not run; nothing ran twice, nothing began behind a pause that was given up before.
    O2,
    /// Order of requests.
    O3,
    /// One link for each pair; the rule for duplicates costs nothing.
    O6,
    /// Events about members keep their grammar; nobody is called absent who is there.
    O7,
    /// Bounds, and nothing left at the end.
    O8,
    /// Once all is whole, all views of the members are equal and true.
    O9,
    /// No panic, no leak.
    O10,
}

/// A broken promise.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Violation {
    /// Which.
    pub oracle: Oracle,
    /// Since the beginning.
    pub at: Duration,
    /// Which nodes, by number.
    pub nodes: Vec<usize>,
    /// What happened.
    pub what: String,
    /// The seed that shows it.
    pub seed: u64,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nodes: Vec<String> = self.nodes.iter().map(|node| Name(*node).to_string()).collect();
        write!(f, "{:?} broken at {:?} by {}: {}", self.oracle, self.at, nodes.join(", "), self.what)
    }
}

impl std::error::Error for Violation {}

impl Network {
    /// Notes a broken promise; the first one counts.
    pub(super) fn violated(&mut self, oracle: Oracle, nodes: &[usize], what: String) {
        let (at, seed) = (self.now.duration_since(self.begin), self.seed);
        self.log.say(self.now, || format!("!! {oracle:?}: {what}"));
        self.violation.get_or_insert(Violation { oracle, at, nodes: nodes.to_vec(), what, seed });
    }

    /// A machine, or what watches it, gave up.
    pub(super) fn violated_by_panic(&mut self, what: &str) {
        let oracle = [Oracle::O1, Oracle::O2, Oracle::O3, Oracle::O6, Oracle::O7, Oracle::O8, Oracle::O9];
        let named = oracle.into_iter().find(|oracle| what.contains(&format!("{oracle:?}: ")));
        self.violation = None;
        self.violated(named.unwrap_or(Oracle::O10), &[], what.to_owned());
    }

    /// What a driver has not looked at yet has bounds, although no one link knows of the others.
    pub(super) fn check_queues(&mut self, host: usize) {
        let Some(process) = &self.hosts[host].process else { return };
        let waiting = process.words.len().max(process.arrivals.len());
        if waiting > WAITING_MAX {
            self.violated(Oracle::O8, &[host], format!("{waiting} reports wait for the driver"));
        }
    }

    /// After every step of a node.
    pub(super) fn check_node(&mut self, host: usize) {
        self.check_continuity(host);
        let Some(process) = &self.hosts[host].process else { return };
        let mut active: BTreeMap<NodeId, u32> = BTreeMap::new();
        let mut held: BTreeMap<NodeId, usize> = BTreeMap::new();
        for view in process.node.links() {
            *active.entry(view.peer).or_default() += u32::from(view.active);
            *held.entry(view.peer).or_default() += 1;
        }
        let broken = if active.values().any(|count| *count > 1) {
            Some((Oracle::O6, "two links to one peer are active".to_owned()))
        } else if held.values().any(|count| *count > limits::LINKS_PER_PEER_MAX) {
            Some((Oracle::O8, format!("more than {} links to one peer", limits::LINKS_PER_PEER_MAX)))
        } else {
            None
        };
        if held.values().any(|count| *count > 1) {
            self.mark("two links to one peer");
        }
        if let Some((oracle, what)) = broken {
            self.violated(oracle, &[host], what);
        }
    }

    /// A peer is let in: no older run of it than one that was let in before.
    pub(super) fn check_epoch(&mut self, host: usize, link: LinkId) {
        let Some(process) = &mut self.hosts[host].process else { return };
        let Some((peer, trust, epoch)) = process.asking.remove(&link) else { return };
        let before = process.newest.insert(peer, (trust, epoch));
        if before.is_some_and(|(known, newest)| known == trust && epoch < newest) {
            self.violated(Oracle::O6, &[host, self.by_id[&peer]], format!("{link} is of an epoch that is over"));
        }
    }

    /// Who once had a link to a peer has one until something befalls it: no tidying up leaves a moment without.
    fn check_continuity(&mut self, host: usize) {
        let Some(process) = &mut self.hosts[host].process else { return };
        let now = process.directory.iter().filter_map(|(peer, link)| Some((*peer, process.links.get(link)?.wire)));
        let now: BTreeMap<NodeId, u32> = now.collect();
        let before = std::mem::replace(&mut process.usable, now);
        let lost: Vec<_> = before.into_iter().filter(|(peer, _)| !process.usable.contains_key(peer)).collect();
        let wires: Vec<(NodeId, u32)> = process.usable.iter().map(|(peer, wire)| (*peer, *wire)).collect();
        for (peer, wire) in lost {
            let is_unhurt = self.wires.get(&wire).map_or(self.gone_unhurt.contains(&wire), |wire| !wire.is_hurt);
            if is_unhurt {
                let what = format!("wire {wire} is used no more, there is no other, and nothing befell it");
                self.violated(Oracle::O6, &[host, self.by_id[&peer]], what);
            }
        }
        for (peer, id) in wires {
            let Some(wire) = self.wires.get(&id).filter(|wire| !wire.is_hurt) else { continue };
            let there = usize::from(wire.hosts[0] == host);
            if wire.closed_by_rule[there] {
                let what = format!("wire {id} carries new calls, and the peer has closed it");
                self.violated(Oracle::O6, &[host, self.by_id[&peer]], what);
            }
        }
    }

    /// All has been whole for long enough: one link for each pair, the same at both ends, and no call without an outcome.
    pub(super) fn rest(&mut self) {
        if let Some((call, from)) = self.open_call() {
            self.violated(Oracle::O1, &[from], format!("call {call} has no outcome"));
        }
        self.check_links();
        self.check_views();
        if let Some((end, host)) = self.leftover() {
            self.violated(Oracle::O10, &[host], format!("an end of wire {} is left over", end.wire));
        }
        let hosts = 0..self.hosts.len();
        for host in hosts {
            let leave = Event::Happening(super::Happening::Leave(host));
            self.soon(Duration::from_secs(1), leave);
        }
        self.at(self.now + super::faults::LEAVING, Event::Over);
    }

    /// Each two nodes have one link, and it is the same at both ends.
    pub(super) fn check_links(&mut self) {
        let count = self.hosts.len();
        for (a, b) in (0..count).flat_map(|a| (a + 1..count).map(move |b| (a, b))) {
            if let Some(what) = self.disagreement(a, b).or_else(|| self.disagreement(b, a)) {
                self.violated(Oracle::O6, &[a, b], what);
            }
        }
    }

    /// What is wrong between two nodes, seen from one of them.
    fn disagreement(&self, a: usize, b: usize) -> Option<String> {
        let (here, there) = (self.hosts[a].process.as_ref()?, self.hosts[b].process.as_ref()?);
        let running = |phase: &Phase| *phase == Phase::Running;
        if !running(here.node.phase()) || !running(there.node.phase()) {
            return None;
        }
        let wire_of = |host: &super::host::Process, peer: NodeId| {
            let link = host.directory.get(&peer)?;
            host.links.get(link).map(|end| end.wire)
        };
        let [mine, theirs] = [wire_of(here, self.hosts[b].id), wire_of(there, self.hosts[a].id)];
        let views = here.node.links().filter(|view| view.peer == self.hosts[b].id);
        let (count, active) = views.fold((0, 0), |(n, active), view| (n + 1, active + u32::from(view.active)));
        match (mine, theirs) {
            (None, _) | (_, None) => Some("there is no link long after everything was healed".to_owned()),
            (mine, theirs) if mine != theirs => Some("they hold different links".to_owned()),
            _ if (count, active) != (1, 1) => Some(format!("{count} links are left, {active} active")),
            _ => None,
        }
    }

    /// An end of a connection that no link in use belongs to.
    fn leftover(&self) -> Option<(EndId, usize)> {
        let all = self.hosts.iter().enumerate().filter_map(|(name, host)| Some((name, host.process.as_ref()?)));
        all.flat_map(|(name, process)| process.ends.keys().map(move |end| (name, process, *end))).find_map(
            |(name, process, end)| {
                let is_active = process
                    .links
                    .iter()
                    .any(|(link, held)| *held == end && process.directory.values().any(|l| l == link));
                (!is_active).then_some((end, name))
            },
        )
    }

    /// Every node has left: nothing may be there any more.
    pub(super) fn check_over(&mut self) {
        if let Some(host) = (0..self.hosts.len()).find(|host| self.hosts[*host].process.is_some()) {
            self.violated(Oracle::O8, &[host], "the process does not end".to_owned());
        }
        if let Some(wire) = self.wires.keys().next() {
            self.violated(Oracle::O10, &[], format!("wire {wire} is left over"));
        }
    }
}

impl Host {
    /// Whether the process could not have done something by `last`, because it stood still then.
    pub(super) fn has_stood_still(&self, last: Option<Instant>, now: Instant) -> bool {
        let local = self.clock.local(now);
        last.zip(self.woke).is_some_and(|(last, woke)| woke >= last && local <= woke + WAKING)
    }
}

/// The text of a panic.
pub(super) fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic without words".to_owned())
}

/// Reports that wait for a driver, at most: a few for each of its connections. The real queues hold 1,024 each.
const WAITING_MAX: usize = 256;

/// How long after a pause everything that was due is done.
const WAKING: Duration = Duration::from_millis(20);
