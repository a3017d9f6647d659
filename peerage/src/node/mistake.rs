//! Why a node does not start.

use peerage_proto::limits;
use peerage_proto::membership::InvalidRecord;

use crate::address::Address;
use crate::control::ControlError;
use crate::private_file::PrivateFileError;
use crate::transport::BindError;

/// Why a node did not start. Nothing of it is left behind.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// What was said to the builder cannot be meant.
    #[error(transparent)]
    Mistake(#[from] Mistake),
    /// An address cannot be listened at.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The counter of this node's starts cannot be raised, so that others could not tell this run from the last.
    #[error(transparent)]
    Epoch(#[from] PrivateFileError),
    /// There can be no control socket where it should be.
    #[error(transparent)]
    Control(#[from] ControlError),
}

/// Why [`Node::set`](super::Node::set) changed nothing.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SetError {
    /// What is to be said cannot be meant.
    #[error(transparent)]
    Mistake(#[from] Mistake),
    /// The node has stopped.
    #[error("this node has stopped")]
    ShuttingDown,
}

/// What was said to the builder and cannot be meant.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Mistake {
    /// No network was named.
    #[error("a node belongs to a network: give one with `network`")]
    NoNetwork,
    /// An address is no address to listen at.
    #[error("cannot listen at {address}: {why}")]
    Listen {
        /// The address.
        address: Address,
        /// What is wrong with it, and what to do.
        why: &'static str,
    },
    /// An address to listen at was given twice.
    #[error("{address} is to be listened at twice: leave one out")]
    Twice {
        /// The address.
        address: Address,
    },
    /// A `tcp://` address for nodes, without a word that allows it.
    #[error(
        "{address} encrypts nothing and proves nobody's id: use tls:// or quic://, add ?dialect=plain if it is for plain \
         programs, or allow it with `dangerously_plaintext`"
    )]
    Plaintext {
        /// The address.
        address: Address,
    },
    /// Name and groups do not fit into the record that a node publishes of itself.
    #[error("this node cannot be described to others: {0}; give it fewer groups, or shorter ones")]
    Record(InvalidRecord),
    /// An address is of no use to others.
    #[error("cannot advertise {address}: {why}")]
    Advertise {
        /// The address.
        address: Address,
        /// What is wrong with it, and what to do.
        why: &'static str,
    },
    /// An address is no seed.
    #[error("{address} is no seed: {why}")]
    Seed {
        /// The address.
        address: Address,
        /// What is wrong with it, and what to do.
        why: &'static str,
    },
    /// More groups than a node can belong to.
    #[error("a node belongs to at most {} groups, not {groups}", limits::GROUPS_MAX)]
    TooManyGroups {
        /// How many there are.
        groups: usize,
    },
    /// A bound outside its range.
    #[error("{name} is {value}: it can be 1 to {max}")]
    Limit {
        /// Which.
        name: &'static str,
        /// What it was set to.
        value: u64,
        /// The most it can be.
        max: u64,
    },
}

impl Mistake {
    pub(super) fn advertise(address: Address, why: &'static str) -> Mistake {
        Mistake::Advertise { address, why }
    }

    pub(super) fn seed(address: Address, why: &'static str) -> Mistake {
        Mistake::Seed { address, why }
    }
}
