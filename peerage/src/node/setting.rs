//! What of a node may be changed while it runs: its groups, whether it is a hub, where others are told to come.

use std::collections::BTreeSet;

use peerage_proto::address::Address;
use peerage_proto::id::Group;

/// What is to be different from now on. What is not named stays.
///
/// ```
/// use peerage::node::Change;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let change = Change::new().join("gpu".parse()?).leave("spare".parse()?).hub(true);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[must_use = "nothing changes before it is given to `Node::set`"]
pub struct Change {
    pub(super) join: BTreeSet<Group>,
    pub(super) leave: BTreeSet<Group>,
    pub(super) hub: Option<bool>,
    pub(super) advertise: Option<Vec<Address>>,
}

impl Change {
    /// Nothing is to be different.
    pub fn new() -> Change {
        Change::default()
    }

    /// Belongs to this group as well.
    pub fn join(mut self, group: Group) -> Change {
        self.leave.remove(&group);
        self.join.insert(group);
        self
    }

    /// Does not belong to this group any more.
    pub fn leave(mut self, group: Group) -> Change {
        self.join.remove(&group);
        self.leave.insert(group);
        self
    }

    /// Is a hub, or is none.
    pub fn hub(mut self, hub: bool) -> Change {
        self.hub = Some(hub);
        self
    }

    /// Others are told to come to these addresses; to where it listens, if there are none.
    pub fn advertise(mut self, addresses: Vec<Address>) -> Change {
        self.advertise = Some(addresses);
        self
    }
}
