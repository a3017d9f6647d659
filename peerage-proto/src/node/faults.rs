//! What is wrong with a node right now, each with its remedy, and gone once it is cured.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use super::{Event, Output};
use crate::address::Address;
use crate::hello::{HelloError, Refusal};
use crate::id::NodeId;
use crate::limits;
use crate::peers::{DialError, Fact};

/// Something that is wrong and that somebody can cure.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Fault {
    /// What kind of thing.
    pub kind: FaultKind,
    /// What is wrong, with the address or the peer it is about.
    pub detail: String,
    /// Since when.
    pub since: Instant,
}

/// The kinds of faults.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum FaultKind {
    /// A kept address leads to no node of this network.
    WrongNetwork,
    /// A kept address leads to another node than it should.
    IdentityMismatch,
    /// A kept address leads to a node that speaks no version of ours.
    Incompatible,
    /// Two processes run with one key.
    IdentityConflict,
    /// Nothing answers at a kept address.
    SeedUnreachable,
    /// A listener could not be opened, or has closed.
    Listen,
    /// Connections cannot be accepted.
    Accept,
    /// A peer does not read what it is sent.
    TooSlow,
}

impl FaultKind {
    /// All kinds.
    pub const ALL: [FaultKind; 8] = [
        FaultKind::WrongNetwork,
        FaultKind::IdentityMismatch,
        FaultKind::Incompatible,
        FaultKind::IdentityConflict,
        FaultKind::SeedUnreachable,
        FaultKind::Listen,
        FaultKind::Accept,
        FaultKind::TooSlow,
    ];

    /// The name in records: kebab case.
    pub fn name(self) -> &'static str {
        match self {
            FaultKind::WrongNetwork => "wrong-network",
            FaultKind::IdentityMismatch => "identity-mismatch",
            FaultKind::Incompatible => "incompatible",
            FaultKind::IdentityConflict => "identity-conflict",
            FaultKind::SeedUnreachable => "seed-unreachable",
            FaultKind::Listen => "listen",
            FaultKind::Accept => "accept",
            FaultKind::TooSlow => "too-slow",
        }
    }

    /// What to do about it.
    pub fn remedy(self) -> &'static str {
        match self {
            FaultKind::WrongNetwork => {
                "compare the tickets of both nodes, they must be of the same network; or correct the address"
            }
            FaultKind::IdentityMismatch => "take the id out of the address, or correct it if the node has a new key",
            FaultKind::Incompatible => "update the older of the two nodes",
            FaultKind::IdentityConflict => "give one of the two processes a key of its own (peerage id new NAME)",
            FaultKind::SeedUnreachable => "start the node there, open its port, or take the seed out of the settings",
            FaultKind::Listen => "free the address, or listen on another one",
            FaultKind::Accept => "raise the limit of open files (ulimit -n), or close what is not needed",
            FaultKind::TooSlow => "look at the load of that peer and at the network between the two",
        }
    }
}

/// Something of the driver's own that can fail.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Trouble {
    /// Listening on this address.
    Listen(Address),
    /// Accepting connections on this address.
    Accept(Address),
}

/// What is wrong now.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub(super) struct Faults(BTreeMap<Key, Fault>);

/// What a fault is about. Each has one at a time.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
enum Key {
    Address(Address),
    Conflict(NodeId),
    TooSlow(NodeId),
    Trouble(Trouble),
}

impl Faults {
    /// What the driver has trouble with.
    pub(super) fn troubled(&mut self, now: Instant, trouble: Trouble, detail: &str, outputs: &mut VecDeque<Output>) {
        let (kind, detail) = match &trouble {
            Trouble::Listen(address) => (FaultKind::Listen, format!("{address}: {detail}")),
            Trouble::Accept(address) => (FaultKind::Accept, format!("{address}: {detail}")),
        };
        self.raise(Key::Trouble(trouble), Fault { kind, detail, since: now }, outputs);
    }

    /// It works again.
    pub(super) fn cured(&mut self, trouble: Trouble, outputs: &mut VecDeque<Output>) {
        self.clear(&Key::Trouble(trouble), outputs);
    }

    /// Raises and clears what follows from this fact.
    pub(super) fn learn(&mut self, now: Instant, fact: &Fact, outputs: &mut VecDeque<Output>) {
        match fact {
            Fact::DialFailed { address, why, in_a_row, kept: true } => {
                if let Some(kind) = fault_of(why, *in_a_row) {
                    let detail = format!("{address}: {why}");
                    self.raise(Key::Address(address.clone()), Fault { kind, detail, since: now }, outputs);
                }
            }
            Fact::Reached { address } => self.clear(&Key::Address(address.clone()), outputs),
            Fact::Conflict { peer } => {
                let detail = format!("another process runs with the key of {peer}");
                let fault = Fault { kind: FaultKind::IdentityConflict, detail, since: now };
                self.raise(Key::Conflict(*peer), fault, outputs);
            }
            Fact::TooSlow { peer } => {
                let detail = format!("{peer} does not read what it is sent; a link to it was cut");
                self.raise(Key::TooSlow(*peer), Fault { kind: FaultKind::TooSlow, detail, since: now }, outputs);
            }
            Fact::ConflictOver { peer } => self.clear(&Key::Conflict(*peer), outputs),
            Fact::Healthy { peer } => self.clear(&Key::TooSlow(*peer), outputs),
            Fact::PeerForgotten { peer } => {
                self.clear(&Key::Conflict(*peer), outputs);
                self.clear(&Key::TooSlow(*peer), outputs);
            }
            _ => {}
        }
    }

    /// All of them, oldest first.
    pub(super) fn list(&self) -> Vec<&Fault> {
        let mut faults: Vec<&Fault> = self.0.values().collect();
        faults.sort_by_key(|fault| fault.since);
        faults
    }

    fn raise(&mut self, key: Key, fault: Fault, outputs: &mut VecDeque<Output>) {
        let known = self.0.get(&key);
        if known.is_some_and(|known| known.kind == fault.kind) || known.is_none() && self.0.len() >= limits::FAULTS_MAX
        {
            return;
        }
        let before = self.0.insert(key, fault.clone());
        outputs.extend(before.map(|before| Output::Event(Event::Cleared(before))));
        outputs.push_back(Output::Event(Event::Fault(fault)));
    }

    fn clear(&mut self, key: &Key, outputs: &mut VecDeque<Output>) {
        if let Some(fault) = self.0.remove(key) {
            outputs.push_back(Output::Event(Event::Cleared(fault)));
        }
    }
}

/// The fault that a failed dial to a kept address is. Nothing answering becomes one only when it goes on: nodes may be
/// started in any order.
fn fault_of(why: &DialError, in_a_row: u32) -> Option<FaultKind> {
    match why {
        DialError::Hello(HelloError::WrongNetwork) => Some(FaultKind::WrongNetwork),
        DialError::Hello(HelloError::IdentityMismatch { .. }) => Some(FaultKind::IdentityMismatch),
        DialError::Hello(HelloError::Incompatible { .. } | HelloError::Refused(Refusal::Incompatible)) => {
            Some(FaultKind::Incompatible)
        }
        DialError::Hello(HelloError::Refused(Refusal::IdentityConflict)) => Some(FaultKind::IdentityConflict),
        // A peer that declines for now, or is this node itself, is there.
        DialError::Hello(HelloError::Refused(_) | HelloError::RefusedHere(_) | HelloError::ToMyself) => None,
        _ if in_a_row >= limits::SEED_UNREACHABLE_AFTER => Some(FaultKind::SeedUnreachable),
        _ => None,
    }
}
