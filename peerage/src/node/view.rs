//! What the driver publishes about members: the machine's view of them, with what the links with them add.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use peerage_proto::address::Address;
use peerage_proto::id::{Group, LinkId, NodeId};
use peerage_proto::membership::{EVERYBODYS, Incarnation, MemberView, Record, ServiceList, State, Transition};

use super::held::Held;
use super::snapshot::{Asked, DiscoveryStatus, FaultRecord, PeerEntry, PeerState, TransitionRecord};
use super::wall::{mono_us_at, wall_at};

/// What the driver knows, for everybody to read.
#[derive(Clone, Debug, Default)]
pub(crate) struct View {
    /// Rises with each change of the members.
    pub(crate) version: u64,
    /// This node, as its newest record says it.
    pub(crate) own: Own,
    /// Everybody else, in the order of their ids.
    pub(crate) members: Vec<Arc<Member>>,
    /// What is missing before it is certain that whoever is not among them is not there.
    pub(crate) missing: Vec<String>,
    /// Whether neighbours have been asked what they know and have not answered yet.
    pub(crate) is_asking: bool,
    pub(crate) faults: Vec<FaultRecord>,
    /// Each way of finding others.
    pub(crate) discovery: Vec<DiscoveryStatus>,
}

/// What this node says of itself and may change while it runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Own {
    pub(crate) groups: BTreeSet<Group>,
    pub(crate) hub: bool,
    pub(crate) addresses: Vec<Address>,
    pub(crate) services: ServiceList,
}

/// Another node.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) id: NodeId,
    /// Since when it is as it is.
    pub(crate) since: Instant,
    pub(crate) entry: PeerEntry,
    /// What it offers; `None` while that has not been heard.
    services: Option<ServiceList>,
    /// What the entry was made of: the last says whether its services are known.
    made_of: (State, Incarnation, Option<LinkId>, bool),
}

impl Own {
    /// `services`: those whose digest stands in the record.
    pub(crate) fn of(record: &Record, services: &ServiceList) -> Own {
        let (groups, addresses) = (record.groups.clone(), record.addresses.clone());
        Own { groups, hub: record.hub, addresses, services: services.clone() }
    }
}

impl Member {
    /// A member, and the link that carries calls to it. What was published of it before is used again where it still holds.
    pub(super) fn of(
        member: &MemberView<'_>,
        link: Option<LinkId>,
        held: impl FnOnce(LinkId) -> Option<Arc<Held>>,
        before: Option<&Arc<Member>>,
    ) -> Arc<Member> {
        let made_of = (member.state, member.record.incarnation, link, member.services.is_some());
        if let Some(before) = before.filter(|before| before.made_of == made_of && before.since == member.since) {
            return before.clone();
        }
        let entry = entry(member, link.and_then(held).as_deref());
        let services = member.services.cloned();
        Arc::new(Member { id: member.record.id, since: member.since, entry, services, made_of })
    }

    /// Whether it offers this.
    pub(super) fn offers(&self, tag: &str) -> bool {
        tag.starts_with(EVERYBODYS) || self.services.as_ref().is_some_and(|services| services.offers(tag))
    }
}

fn entry(member: &MemberView<'_>, held: Option<&Held>) -> PeerEntry {
    let record = member.record;
    let build = held.and_then(|held| held.introduction.get()).map(|said| said.build.as_str()).unwrap_or_default();
    PeerEntry {
        id: record.id.to_string(),
        name: record.name.clone(),
        state: state(member.state),
        direction: held.map(|held| held.direction),
        path: held.map(|held| held.path.clone()),
        rtt_us: None,
        groups: record.groups.iter().map(ToString::to_string).collect(),
        hub: record.hub,
        ephemeral: record.ephemeral,
        machine: record.machine.iter().map(|byte| format!("{byte:02x}")).collect(),
        addresses: record.addresses.iter().map(Address::to_string).collect(),
        services: member.services.map(|services| services.tags().to_vec()).unwrap_or_default(),
        // Others say which program they are, and its version; of ours the version is enough.
        build: build.strip_prefix("peerage ").unwrap_or(build).to_owned(),
        epoch: record.incarnation.epoch.to_string(),
        since_ms: 0,
    }
}

/// A change of a member's state, for whoever asks why.
pub(super) fn transition(own: NodeId, transition: &Transition) -> TransitionRecord {
    let asked = transition.asked.iter().map(|(id, answer)| Asked {
        id: id.to_string(),
        answer: answer.map_or_else(|| "none".to_owned(), |answer| answer.to_string()),
    });
    TransitionRecord {
        wall: wall_at(transition.at),
        mono_us: mono_us_at(transition.at),
        from: transition.from.map(state),
        to: state(transition.to),
        epoch: transition.epoch.to_string(),
        observer: own.to_string(),
        link: transition.path.clone(),
        evidence: transition.evidence.name().to_owned(),
        detail: transition.detail.clone(),
        told_by: transition.informant.map(|informant| informant.to_string()),
        asked: asked.collect(),
        local_health: transition.local_health,
    }
}

pub(super) fn state(state: State) -> PeerState {
    match state {
        State::Up => PeerState::Up,
        State::Suspect => PeerState::Suspect,
        State::Left => PeerState::Left,
        State::Lost => PeerState::Lost,
    }
}
