//! Which nodes are meant: the same words wherever nodes are chosen.

use std::collections::BTreeSet;

use peerage_proto::id::Group;

use super::snapshot::{PeerEntry, PeerState, Peers};

/// Which nodes are meant. What is said narrows the choice; nothing said means every node that is up or suspect.
///
/// ```
/// use peerage::node::Filter;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let near = Filter::new().group("gpu".parse()?).on_host();
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[must_use = "a filter chooses nothing by itself"]
pub struct Filter {
    groups: BTreeSet<Group>,
    hubs_only: bool,
    peers: BTreeSet<String>,
    on_host: bool,
    states: BTreeSet<PeerState>,
}

impl Filter {
    /// Every node that is up or suspect.
    pub fn new() -> Filter {
        Filter::default()
    }

    /// Only members of this group. Said several times: of any of them.
    pub fn group(mut self, group: Group) -> Filter {
        self.groups.insert(group);
        self
    }

    /// Only members of any of these groups.
    pub fn groups(mut self, groups: impl IntoIterator<Item = Group>) -> Filter {
        self.groups.extend(groups);
        self
    }

    /// Only hubs.
    pub fn hubs_only(mut self) -> Filter {
        self.hubs_only = true;
        self
    }

    /// Only the nodes with this id or name. Said several times: any of them.
    pub fn peer(mut self, who: impl Into<String>) -> Filter {
        self.peers.insert(who.into());
        self
    }

    /// Only the nodes with one of these ids or names.
    pub fn peers<S: Into<String>>(mut self, who: impl IntoIterator<Item = S>) -> Filter {
        self.peers.extend(who.into_iter().map(Into::into));
        self
    }

    /// Only nodes on the machine of the node that tells.
    pub fn on_host(mut self) -> Filter {
        self.on_host = true;
        self
    }

    /// Only nodes in this state. Said several times: in any of them. Default: up and suspect.
    pub fn state(mut self, state: PeerState) -> Filter {
        self.states.insert(state);
        self
    }

    /// Nodes in whatever state, also those that have left or are lost.
    pub fn any_state(mut self) -> Filter {
        self.states.extend([PeerState::Up, PeerState::Suspect, PeerState::Left, PeerState::Lost]);
        self
    }

    /// Whether a node is meant. `machine`: that of the node that tells, as in [`Myself::machine`](super::snapshot::Myself).
    pub fn admits(&self, entry: &PeerEntry, machine: &str) -> bool {
        let is_live = || matches!(entry.state, PeerState::Up | PeerState::Suspect);
        let state = if self.states.is_empty() { is_live() } else { self.states.contains(&entry.state) };
        let is_of = |group: &Group| entry.groups.iter().any(|theirs| theirs == group.as_str());
        state
            && (self.groups.is_empty() || self.groups.iter().any(is_of))
            && (!self.hubs_only || entry.hub)
            && (self.peers.is_empty() || self.peers.contains(&entry.id) || self.peers.contains(&entry.name))
            && (!self.on_host || entry.machine == machine)
    }
}

impl Peers {
    /// Those of them that are meant.
    pub fn matching(mut self, filter: &Filter) -> Peers {
        self.peers.retain(|entry| filter.admits(entry, &self.own.machine));
        self
    }
}
