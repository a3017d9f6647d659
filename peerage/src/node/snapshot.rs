//! What can be read of a running node: one set of records for code, services, the control socket and the command line.
//!
//! The fields are those that `docs/nodes.md` lists, so whoever reads the JSON of `peerage status` and whoever calls
//! [`Node::status`](super::Node::status) read the same. Keys are only ever added. Ids, epochs and addresses are text in
//! their usual form; times on the wall are text as well (RFC 3339, UTC, microseconds), for people and never compared.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::event::Event;

/// A node's view of itself: `peerage status`, and the built-in service `peerage/stats`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Status {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The name of its network.
    pub network: String,
    /// This run of it.
    pub epoch: String,
    /// What it was built from.
    pub build: Build,
    /// How long it has run, in milliseconds.
    pub uptime_ms: u64,
    /// Whether there is no fault.
    pub nominal: bool,
    /// What is wrong right now, oldest first. A fault that is cured is gone from here.
    pub faults: Vec<FaultRecord>,
    /// Whether it is leaving: it finishes what it has and takes nothing new.
    pub draining: bool,
    /// Groups it belongs to.
    pub groups: Vec<String>,
    /// Whether it is a hub.
    pub hub: bool,
    /// Where it can be reached, plain listeners included.
    pub addresses: Vec<String>,
    /// Its control socket, if it has one.
    pub control: Option<String>,
    /// Late timers of its own, as a factor on what it waits for from others: 1 (none) to 8.
    pub local_health: u8,
    /// Connections that have not been admitted yet.
    pub half_open: u32,
    /// Links that are up, those that are being given up included.
    pub links: Vec<LinkStatus>,
    /// Ways of finding others that are at work, and what each has found.
    #[serde(default)]
    pub discovery: Vec<DiscoveryStatus>,
    /// Everything in which something may wait.
    pub queues: Vec<QueueStatus>,
    /// Every counter and gauge by its name in the metrics.
    pub counters: BTreeMap<String, u64>,
}

/// What a program was built from.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Build {
    /// Version of the library.
    pub version: String,
    /// Commit it was built from, if the builder said so.
    pub commit: Option<String>,
}

impl Build {
    /// This build.
    pub fn this() -> Build {
        Build {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            commit: option_env!("PEERAGE_COMMIT").map(str::to_owned),
        }
    }
}

/// Something that is wrong and that somebody can cure.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct FaultRecord {
    /// Which, in kebab case.
    pub fault: String,
    /// What is wrong, with the address or the peer it is about.
    pub detail: String,
    /// Since when, on the wall.
    pub since: String,
    /// What to do about it.
    pub remedy: String,
}

/// Who dialled.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// The peer did.
    In,
    /// We did.
    Out,
}

/// One link.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LinkStatus {
    /// Whom it leads to.
    pub peer: String,
    /// Who dialled.
    pub direction: Direction,
    /// What carries it: `memory`, `unix`, `tls`, `quic` or `tcp`.
    pub path: String,
    /// Whether new calls go over it; else it is being given up for another, or its peer is leaving.
    pub active: bool,
    /// Whether the peer proved its id. False only where plaintext was asked for.
    pub proven: bool,
    /// Encoding of what is sent: `msgpack` or `json`.
    pub encoding: String,
    /// Compression of what is sent: `lz4`, or none.
    pub compression: Option<String>,
    /// Address of the other end.
    pub remote: String,
    /// Bytes received, after decryption.
    pub bytes_in: u64,
    /// Bytes sent, before encryption.
    pub bytes_out: u64,
    /// The last round trip that was measured, in microseconds.
    pub rtt_us: Option<u64>,
    /// Calls of ours without an outcome.
    pub calls_in_flight: u32,
    /// Requests of the peer without an answer.
    pub requests_in_service: u32,
    /// How long it has been up, in milliseconds.
    pub since_ms: u64,
}

/// One way of finding others ([`crate::discovery`]).
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct DiscoveryStatus {
    /// Which: the name of a [`Method`](crate::discovery::Method).
    pub method: String,
    /// `searching` until it has looked once, then `watching`; `failing` while it cannot look.
    pub state: String,
    /// Addresses that it finds now, at most 256 of them.
    pub found: Vec<FoundAddress>,
    /// Why it could not look everywhere, the last time.
    pub last_error: Option<String>,
}

/// An address that was found.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct FoundAddress {
    /// Where.
    pub address: String,
    /// Why the last dial failed; none if it did not, or if there has been none.
    pub last_error: Option<String>,
}

/// Something in which things may wait.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct QueueStatus {
    /// Which.
    pub name: String,
    /// Whose, if there is one for each peer.
    pub peer: Option<String>,
    /// How many wait now; in bytes where the name ends in `_bytes`.
    pub depth: u64,
    /// How many may wait.
    pub cap: u64,
    /// How many were turned away since the start.
    pub dropped: u64,
}

/// The nodes that a node knows: `peerage peers`, and the built-in service `peerage/peers`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Peers {
    /// Who tells.
    #[serde(rename = "self")]
    pub own: Myself,
    /// Rises with each change of what follows.
    pub version: u64,
    /// Whether all there is to know is known: whoever is not among the peers then is not there.
    pub complete: bool,
    /// What is missing for that.
    pub missing: Vec<String>,
    /// Other nodes, in the order of their ids.
    pub peers: Vec<PeerEntry>,
}

/// Who tells.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Myself {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its machine: something that is the same for all nodes of one machine, and says nothing else about it.
    pub machine: String,
}

/// What is known of another node.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PeerEntry {
    /// Its id.
    pub id: String,
    /// Its name. Names need not be unique.
    pub name: String,
    /// How it is.
    pub state: PeerState,
    /// Who dialled the link to it; `None` without one.
    pub direction: Option<Direction>,
    /// What carries the link to it.
    pub path: Option<String>,
    /// The last round trip that was measured, in microseconds.
    pub rtt_us: Option<u64>,
    /// Groups it belongs to.
    pub groups: Vec<String>,
    /// Whether it is a hub.
    pub hub: bool,
    /// Whether it is there for one command only.
    pub ephemeral: bool,
    /// Its machine: something that is the same for all nodes of one machine, and says nothing else about it.
    pub machine: String,
    /// Where it says it can be reached.
    pub addresses: Vec<String>,
    /// What it offers by name, beside what every node does; empty also while that has not been heard.
    pub services: Vec<String>,
    /// Version of Peerage it was built from.
    pub build: String,
    /// This run of it.
    pub epoch: String,
    /// How long it has been in this state, in milliseconds.
    pub since_ms: u64,
}

/// How another node is, as far as this one knows.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PeerState {
    /// There is a link, and it is alive.
    Up,
    /// The link is silent, or gone a moment ago.
    Suspect,
    /// It said goodbye.
    Left,
    /// It is gone without a word.
    Lost,
}

/// Why a node counts as what it does, for the node that is asked: `peerage why`, and the built-in service `peerage/why`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Why {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// How it is.
    pub state: PeerState,
    /// The latest changes of that, oldest first; at most 16.
    pub transitions: Vec<TransitionRecord>,
}

/// One change of a node's state, and what was observed.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TransitionRecord {
    /// When, on the wall.
    pub wall: String,
    /// When, on the monotonic clock of the observer's machine, in microseconds.
    pub mono_us: u64,
    /// What it counted as before. `None`: this run of it was not known. The same as `to` where only the evidence is new.
    pub from: Option<PeerState>,
    /// What it counts as since.
    pub to: PeerState,
    /// The run of it that this is about.
    pub epoch: String,
    /// Who observed it: the node that tells.
    pub observer: String,
    /// What carried the link over which it was observed; `None` without one.
    pub link: Option<String>,
    /// What was observed: `record`, `link`, `heard`, `refuted`, `silence`, `fin`, `reset`, `cut`, `refused`, `indirect`,
    /// `lease`, `left`, `restarted` or `no-room`.
    pub evidence: String,
    /// More about it, for people.
    pub detail: String,
    /// The node that handed on the record, where another one did.
    pub told_by: Option<String>,
    /// Other nodes that were asked to try it.
    pub asked: Vec<Asked>,
    /// Late timers of the observer's own, as a factor on what it waits for: 1 (none) to 8.
    pub local_health: u8,
}

/// What another node said that was asked to try one.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Asked {
    /// Its id.
    pub id: String,
    /// `alive`, `unreachable`, `cannot-tell`, or `none` if it did not answer in time.
    pub answer: String,
}

/// Facts about a node: the built-in service `peerage/info`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Info {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Groups it belongs to.
    pub groups: Vec<String>,
    /// Whether it is a hub.
    pub hub: bool,
    /// Whether it is there for one command only.
    pub ephemeral: bool,
    /// Its process.
    pub pid: u32,
    /// Path of the program. Told to admitted nodes and to this user, never to a plain listener.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub executable: Option<String>,
    /// Who runs it. Told as the path of the program is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Something that is the same for all nodes of one machine, and says nothing else about it.
    pub machine: String,
    /// Where it can be reached.
    pub addresses: Vec<String>,
    /// When it was started, on the wall.
    pub started: String,
    /// This run of it.
    pub epoch: String,
    /// What it was built from.
    pub build: Build,
    /// Versions of the protocol it speaks, lowest and highest.
    pub versions: [u32; 2],
}

/// What `peerage/services` answers: the functions of its application that a node offers to whoever asks.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Services {
    /// Each of them, by name.
    pub services: Vec<ServiceEntry>,
}

/// One service, with what happened to its calls since it was registered.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ServiceEntry {
    /// Its name.
    pub tag: String,
    /// What it does, if it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Whether it serves some nodes only.
    pub restricted: bool,
    /// Calls that it works on at once; none: as many as come.
    pub concurrency: Option<u64>,
    /// Calls that it works on now.
    pub at_work: u64,
    /// Calls that got a value.
    pub ok: u64,
    /// Calls whose handler failed, or answered with a flag.
    pub failed: u64,
    /// Calls that were denied.
    pub refused: u64,
    /// Calls that were put off: no room, or no time.
    pub busy: u64,
    /// Calls whose work was stopped, because nobody waited for it any more.
    pub stopped: u64,
    /// Half of the calls took less than this, in microseconds.
    pub p50_us: Option<u64>,
    /// All but one of a hundred took less than this, in microseconds.
    pub p99_us: Option<u64>,
}

/// A record of [`Node::events`](super::Node::events) as it is printed and passed on: the event, and when it was.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct EventRecord {
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
    /// When, on the wall.
    pub wall: String,
    /// Number of the view after it.
    pub version: u64,
}
