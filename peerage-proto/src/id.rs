//! Names for things, one type each.
//!
//! Two numbers that mean different things have different types, so that the compiler keeps them apart; `Display` is the
//! form used in logs.

use std::fmt;

mod epoch;
mod name;
mod node;
mod order;
mod pattern;

pub use epoch::{Epoch, InvalidEpoch};
pub use name::{Group, InvalidName, check_name};
pub use node::{InvalidNodeId, NodeId};
pub use order::LinkOrder;
pub use pattern::{InvalidPattern, Pattern};

/// Identifies a request on the wire, among those opened by one end of one link (PROTOCOL §3).
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct RequestId(pub u64);

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "req#{}", self.0)
    }
}

/// Identifies a link among all links this process ever had. Never on the wire.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct LinkId(pub u64);

impl fmt::Display for LinkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "link#{}", self.0)
    }
}
