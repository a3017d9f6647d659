//! What the machine of membership is told at the start, wants done, and shows.

use std::collections::BTreeSet;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Instant;

use super::{Record, ServiceList, State, Word};
use crate::address::Address;
use crate::hello::NetworkKey;
use crate::id::{Epoch, Group, NodeId};
use crate::keys::{Signer, Verifier};

/// The keys that a node signs and judges records with. Two are equal if they sign for the same node.
#[derive(Clone, Debug)]
pub struct Keys {
    /// Signs the node's own records.
    pub signer: Arc<dyn Signer>,
    /// Judges those of others.
    pub verifier: Arc<dyn Verifier>,
    /// The network that records are for.
    pub network: NetworkKey,
}

impl Eq for Keys {}

impl PartialEq for Keys {
    fn eq(&self, other: &Keys) -> bool {
        self.signer.id() == other.signer.id()
    }
}

impl Hash for Keys {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.signer.id().hash(state);
    }
}

/// What a node says of itself to all others, without what the machine adds: who it is, which record it is, its lease.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct About {
    /// As in [`Record::name`].
    pub name: String,
    /// As in [`Record::machine`].
    pub machine: [u8; 16],
    /// As in [`Record::groups`].
    pub groups: BTreeSet<Group>,
    /// As in [`Record::hub`].
    pub hub: bool,
    /// As in [`Record::ephemeral`].
    pub ephemeral: bool,
    /// As in [`Record::addresses`], the best first. Those for which the record has no room are left out, the last first.
    pub addresses: Vec<Address>,
    /// What it offers. In the record stands the digest.
    pub services: ServiceList,
    /// As in [`Record::sealing_key`].
    pub sealing_key: Option<[u8; 32]>,
}

/// One member, as this node sees it now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MemberView<'a> {
    /// Its newest record.
    pub record: &'a Record,
    /// What it counts as.
    pub state: State,
    /// Since when.
    pub since: Instant,
    /// When its record is over, unless there is a newer one by then, or a link.
    pub lease_until: Instant,
    /// The path of the link with it, if there is one.
    pub path: Option<&'a str>,
    /// What it offers; `None` while the list is not known here.
    pub services: Option<&'a ServiceList>,
}

/// A change that the application is told. For each run of a node: `Joined`, then `Suspect` and `Up` in turn, then `Left` or
/// `Lost`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Change {
    /// Whose.
    pub id: NodeId,
    /// Its name.
    pub name: String,
    /// Which run of it.
    pub epoch: Epoch,
    /// What it counts as now.
    pub to: ChangedTo,
    /// Why, for people: the evidence and what is known beside it.
    pub why: String,
}

/// What a change leads to.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum ChangedTo {
    /// A new run of it is there.
    Joined,
    /// It is not suspected any more.
    Up,
    /// Something speaks against it.
    Suspect,
    /// It has said goodbye.
    Left,
    /// It is gone without a word.
    Lost,
}

/// What is missing before the view of the members is complete.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Missing {
    /// There is no link with anybody.
    Links,
    /// A seed or a way of discovery has not been tried once yet.
    Source(String),
    /// What this neighbour knows has not been compared with what is known here.
    Agreement(NodeId),
    /// This member can be dialled, and was neither reached nor tried in vain.
    Dial(NodeId),
    /// The list behind the digest of this member's services.
    Services(NodeId),
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Missing::Links => f.write_str("no link with any node"),
            Missing::Source(source) => write!(f, "{source} has not been tried yet"),
            Missing::Agreement(node) => write!(f, "what {node} knows has not been heard yet"),
            Missing::Dial(node) => write!(f, "{node} has not been dialled yet"),
            Missing::Services(node) => write!(f, "what {node} offers has not been heard yet"),
        }
    }
}

/// How a link with a neighbour ended, as far as it says something about the neighbour.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum LinkEnd {
    /// The peer said goodbye.
    Goodbye,
    /// The peer closed it without a goodbye.
    Fin,
    /// It broke.
    Reset,
    /// It was silent for too long.
    Silence,
    /// This end closed it, for whatever reason.
    Cut,
}

/// What the machine wants others to do. Nothing of it makes a fact in the same step.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Wish {
    /// Say this to a neighbour.
    Say { peer: NodeId, word: Word },
    /// Ask this neighbour for a sign of life, and report it with `answered`.
    Probe { peer: NodeId },
    /// There should be a link with this member: at these addresses, which `informant` handed on (`None`: the member itself).
    /// Takes the place of what was wished for it before. `tried` or `linked` must follow, also if no address may be dialled.
    Reach { peer: NodeId, addresses: Vec<Address>, informant: Option<NodeId> },
    /// Links with earlier runs of this node than the newest of which a record is known are of no use: they lead to nobody, or
    /// to somebody who has to learn that he runs in an epoch that is over.
    Outdated { peer: NodeId, newest: Epoch },
    /// No link with this node is wished for any more.
    Forget { peer: NodeId },
    /// End the links with this neighbour: it misbehaves.
    Cut { peer: NodeId, why: &'static str },
}
