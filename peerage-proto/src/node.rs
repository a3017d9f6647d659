//! The control plane of a node: whom it is connected to, what is wrong, what it tells its application.
//!
//! One value for each node, driven like every other machine: inputs and the time of day go in, orders come out. It never
//! sees a byte and never waits for a link; calls do not pass through it. A driver dials and accepts, runs a handshake
//! ([`crate::hello`]) on each connection and a channel ([`crate::channel`]) on each admitted link, and tells this machine
//! what became of them.
//!
//! ```text
//!    Connect, Drain, Stop …            Event: LinkUp, Isolated, Fault …
//!            │                                  ▲
//!   ┌────────▼──────────────────────────────────┴───────────┐
//!   │ node   peers ──facts──▶ faults, membership ──▶ events │   later: overlay, subscriptions
//!   └────────▲──────────────────────────────────┬───────────┘
//!            │                                  ▼
//!    Proved, Up, Heard, Down …         Order: Dial, Admit, Activate, Send, Close …
//! ```
//!
//! This file is the one place that knows all parts. In a step, facts go down in the order in which the parts are written
//! here, wishes go up and become orders at the end of the step; no wish makes a fact in the same step.
//!
//! **The driver's side of it.** Every connection whose peer has proved itself gets a [`LinkId`] that is never used again, and
//! is reported with [`Input::Proved`]; the answer among the outputs is [`Order::Admit`] or [`Order::Refuse`] (or comes later,
//! while another link is probed). After `Admit` comes [`Input::Up`] when both ends have admitted the link, and in any case
//! one [`Input::Down`] when it ends, also after [`Order::Close`]. After `Refuse` nothing more is reported. A dial that fails
//! before `Proved` is reported with [`Input::DialFailed`]. What the peer says is reported in the order in which it came.

use std::time::{Duration, Instant};

use crate::address::Address;
use crate::codec::Payload;
use crate::id::{Epoch, LinkId, NodeId};
use crate::limits;
use crate::liveness::Profile;
use crate::membership::{About, InvalidRecord, Keys, MemberView, Membership, Missing, SignedRecord, Transition, Word};
use crate::outputs::{Outbox, Outputs};
use crate::peers::{Fact, Peers};

mod event;
mod faults;
mod members;
#[cfg(test)]
mod tests;
mod words;
use faults::Faults;
use members::Members;

pub use crate::hello::Trust;
pub use crate::peers::policy::Here;
pub use crate::peers::{
    ConnectError, ConnectId, Control, DialError, DialId, Keep, LinkView, Order, Phase, Proved, WhyClosed, WhyDown,
};
pub use event::Event;
pub use faults::{Fault, FaultKind, Trouble};
pub use words::InvalidControl;

/// What is decided about a node before it begins.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Config {
    /// Who this node is.
    pub id: NodeId,
    /// Which run of it this is.
    pub epoch: Epoch,
    /// Links it has at most, 1 to [`limits::LINKS_MAX`]. Default [`limits::LINKS_DEFAULT`].
    pub links_max: u32,
    /// 64 random bits, so that nodes which lost the same peer do not all come back at the same moment.
    pub seed: u64,
    /// Where it is, by which addresses from others are judged. Default: nothing is known.
    pub here: Here,
    /// Links up to which it dials whomever it hears of, at most [`limits::FULL_MESH_MAX`]. Default
    /// [`limits::FULL_MESH_DEFAULT`].
    pub full_mesh: usize,
}

impl Config {
    /// A node with defaults for the rest.
    pub fn new(id: NodeId, epoch: Epoch, seed: u64) -> Config {
        let (links_max, full_mesh) = (limits::LINKS_DEFAULT, limits::FULL_MESH_DEFAULT);
        Config { id, epoch, links_max, seed, here: Here::default(), full_mesh }
    }
}

/// What happens to the machine.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Input {
    /// The application wants a link with whoever is at an address.
    Connect {
        /// Number for the answer ([`Order::Answer`]): exactly one follows. `None`: no answer is wanted.
        connect: Option<ConnectId>,
        /// Where.
        address: Address,
        /// Who must be there. Default: the id in the address, or else anybody of the network.
        expected: Option<NodeId>,
        /// For this attempt, or for ever.
        keep: Keep,
    },
    /// Nobody finds this address any more, which was connected with [`Keep::Found`]. A link to it stays.
    Withdraw {
        /// Where.
        address: Address,
    },
    /// Every way of finding others has looked once, and what it found was connected.
    Searched,
    /// This machine's interfaces have other addresses, or it slept: whoever is waited for is dialled at once.
    NetworkChanged {
        /// Where this node is now.
        here: Here,
    },
    /// A peer with which there is a link says where else it can be reached. Replaces what it said before.
    Addresses {
        /// Which peer.
        peer: NodeId,
        /// At most [`limits::ADDRESSES_PER_CONTACT_MAX`] are kept. They must have passed the rules for addresses from peers.
        addresses: Vec<Address>,
    },
    /// A dial failed before the peer had proved itself.
    DialFailed {
        /// Which.
        dial: DialId,
        /// Why.
        why: DialError,
    },
    /// A handshake has come to [`crate::hello::Output::Proved`].
    Proved {
        /// A new number for the link.
        link: LinkId,
        /// What the handshake found out.
        proved: Proved,
        /// The dial that led here; `None` if the connection was accepted.
        dialled: Option<DialId>,
    },
    /// The handshake has come to [`crate::hello::Output::Admitted`]: the link stands. For a node that keeps no members.
    Up {
        /// Which.
        link: LinkId,
    },
    /// The same for a node that keeps members: the peer has introduced itself as well.
    Introduced {
        /// Which.
        link: LinkId,
        /// The record in its introduction, not judged yet. If it is not the peer's own, [`Output::Cut`] follows.
        record: Payload,
        /// How the link goes, for people.
        path: String,
    },
    /// The peer said something about members on this link.
    Told {
        /// Which.
        link: LinkId,
        /// What.
        word: Word,
    },
    /// Nothing has been heard on this link for so long that its peer is suspected.
    Quiet {
        /// Which.
        link: LinkId,
    },
    /// Something has been heard again on a link that was quiet.
    Audible {
        /// Which.
        link: LinkId,
    },
    /// How slow this process is by its own measure: 1 (not at all) to 8.
    LocalHealth(u8),
    /// This process, or the machine, stood still.
    Jumped,
    /// This node says something new of itself. What makes no record has no effect.
    Announce(About),
    /// The neighbours are to be asked now what they know.
    Refresh,
    /// The link has ended, or its handshake failed after `Proved`. The last that is reported of it.
    Down {
        /// Which.
        link: LinkId,
        /// Why: [`WhyDown::Hello`], [`WhyDown::Lost`] or [`WhyDown::TooSlow`].
        why: WhyDown,
    },
    /// The peer said something on this link.
    Heard {
        /// Which.
        link: LinkId,
        /// What.
        control: Control,
    },
    /// The peer of this link has answered what [`Order::Probe`] asked.
    Answered {
        /// Which.
        link: LinkId,
    },
    /// No call is open on this link, in answer to [`Order::WhenIdle`].
    Idle {
        /// Which.
        link: LinkId,
        /// The number of the question.
        ask: u32,
    },
    /// The application wants no link with this peer.
    Disconnect {
        /// Which peer.
        peer: NodeId,
        /// What the peer is told; cut at [`limits::REASON_BYTES_MAX`].
        reason: String,
    },
    /// Something of the driver's own does not work.
    Troubled {
        /// What.
        trouble: Trouble,
        /// What the operating system says.
        detail: String,
    },
    /// It works again.
    Cured {
        /// What.
        trouble: Trouble,
    },
    /// Drop all links and dial all known addresses at once: for tests of connect storms.
    Redial,
    /// Leave in good order.
    Drain {
        /// Time for accepted work, at most [`limits::DRAIN_TIME_MAX`].
        within: Duration,
        /// What the peers are told; cut at [`limits::REASON_BYTES_MAX`].
        reason: String,
    },
    /// Leave now: goodbyes are still said. Given again, not even that is waited for.
    Stop {
        /// What the peers are told; cut at [`limits::REASON_BYTES_MAX`].
        reason: String,
    },
    /// The time of [`Node::next_timeout`] has come. Harmless at any other time.
    Timeout,
}

/// What the machine wants done.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Output {
    /// Something is to be done about links.
    Order(Order),
    /// Say this to the peer of a link, about members.
    Tell {
        /// On which link.
        link: LinkId,
        /// What.
        word: Word,
    },
    /// End this link, because its peer does not keep to the protocol. `Down` follows.
    Cut {
        /// Which.
        link: LinkId,
        /// What it did.
        why: String,
    },
    /// The application is to be told.
    Event(Event),
}

/// The control plane of one node.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Node {
    peers: Peers,
    faults: Faults,
    here: Here,
    searched: bool,
    full_mesh: usize,
    members: Option<Members>,
    outputs: Outbox<Output>,
}

/// What a node needs to keep the members of its network, beside its links.
#[derive(Clone, Debug)]
pub struct KeepsMembers {
    /// The keys that sign and judge records.
    pub keys: Keys,
    /// How patient it is.
    pub profile: Profile,
    /// What it says of itself.
    pub about: About,
}

impl Node {
    /// A node with links and nothing else: it keeps no members, and hears nothing of them.
    pub fn new(config: Config) -> Node {
        Node {
            peers: Peers::new(config.id, config.epoch, config.links_max, config.seed),
            faults: Faults::default(),
            here: config.here,
            full_mesh: config.full_mesh.min(limits::FULL_MESH_MAX),
            searched: false,
            members: None,
            outputs: Outbox::default(),
        }
    }

    /// A node that knows nobody yet.
    ///
    /// # Errors
    /// [`InvalidRecord`] if what it says of itself is no record, even without addresses.
    pub fn with_members(now: Instant, config: Config, keeps: KeepsMembers) -> Result<Node, InvalidRecord> {
        let KeepsMembers { keys, profile, about } = keeps;
        let mut machine = Membership::new(keys, profile, about, config.epoch, config.seed, now)?;
        machine.expect(SEARCH.to_owned());
        Ok(Node { members: Some(Members::new(machine)), ..Node::new(config) })
    }

    /// Feeds one input. The returned outputs must be carried out in sequence before the next input.
    ///
    /// Once [`Order::Stopped`] is out, inputs have no effect.
    pub fn handle(&mut self, now: Instant, input: Input) -> Outputs<'_, Output> {
        if *self.peers.phase() == Phase::Stopped {
            return Outputs::new(&mut self.outputs);
        }
        let connected = self.peers.connected();
        match input {
            Input::Connect { connect, address, expected, keep } => self.peers.connect(connect, address, expected, keep),
            Input::Withdraw { address } => self.peers.withdraw(&address),
            Input::Searched => {
                self.searched = true;
                self.of_members(|members| members.explored(SEARCH));
            }
            Input::NetworkChanged { here } => {
                self.here = here;
                self.peers.network_changed();
            }
            Input::Addresses { peer, addresses } => self.peers.addresses(peer, addresses),
            Input::DialFailed { dial, why } => self.peers.dial_failed(now, dial, why),
            Input::Proved { link, proved, dialled } => {
                let newest = self.members.as_ref().and_then(|members| members.newest(&proved.peer));
                self.peers.proved(now, link, proved, dialled, newest);
            }
            Input::Up { link } => self.peers.up(now, link),
            Input::Introduced { link, record, path } => self.introduced(now, link, &record, path),
            Input::Down { link, why } => self.down(now, link, why),
            Input::Heard { link, control } => self.peers.heard(now, link, control),
            Input::Answered { link } => {
                self.peers.answered(now, link);
                self.about_active(link, |members, peer| members.answered(now, peer));
            }
            Input::Told { link, word } => self.told(now, link, word),
            Input::Quiet { link } => self.about_active(link, |members, peer| members.quiet(now, peer)),
            Input::Audible { link } => self.about_active(link, |members, peer| members.heard(now, peer)),
            Input::LocalHealth(factor) => self.of_members(|members| members.local_health(now, factor)),
            Input::Jumped => self.of_members(|members| members.jumped(now)),
            Input::Announce(about) => self.of_members(|members| drop(members.announce(now, about))),
            Input::Refresh => self.of_members(|members| members.refresh(now)),
            Input::Idle { link, ask } => self.peers.idle(now, link, ask),
            Input::Disconnect { peer, reason } => self.peers.disconnect(now, peer, &reason),
            Input::Troubled { trouble, detail } => self.faults.troubled(now, trouble, &detail, &mut self.outputs),
            Input::Cured { trouble } => self.faults.cured(trouble, &mut self.outputs),
            Input::Redial => self.peers.redial(now),
            Input::Drain { within, reason } => self.peers.drain(now, within, &reason),
            Input::Stop { reason } => self.peers.stop(now, &reason),
            Input::Timeout => {
                self.peers.timeout(now);
                self.of_members(|members| members.timeout(now));
            }
        }
        self.peers.pump(now);
        self.tell(now, connected);
        Outputs::new(&mut self.outputs)
    }

    /// When to call [`handle`](Self::handle) with [`Input::Timeout`]; `None` means only on other input.
    pub fn next_timeout(&self) -> Option<Instant> {
        let members = self.members.as_ref().and_then(|members| members.machine.next_timeout());
        self.peers.next_timeout().into_iter().chain(members).min()
    }

    /// The record of this node that introductions are to carry now; `None` if it keeps no members.
    pub fn record(&self) -> Option<&SignedRecord> {
        self.members.as_ref().map(|members| members.machine.record())
    }

    /// Whether a node could say this of itself with [`Input::Announce`].
    ///
    /// # Errors
    /// [`InvalidRecord`] says what is wrong.
    pub fn check(&self, about: &About) -> Result<(), InvalidRecord> {
        self.members.as_ref().map_or(Ok(()), |members| members.machine.check_about(about))
    }

    /// All members that are known, by id, those included that are gone. Not this node.
    pub fn members(&self) -> impl Iterator<Item = MemberView<'_>> {
        self.members.iter().flat_map(|members| members.machine.members())
    }

    /// One member.
    pub fn member(&self, id: &NodeId) -> Option<MemberView<'_>> {
        self.members.as_ref().and_then(|members| members.machine.member(id))
    }

    /// Why a member counts as what it does: its latest transitions, oldest first.
    pub fn transitions(&self, id: &NodeId) -> impl DoubleEndedIterator<Item = &Transition> {
        self.members.iter().flat_map(|members| members.machine.transitions(id))
    }

    /// Rises with each change of what [`members`](Self::members) shows.
    pub fn version(&self) -> u64 {
        self.members.as_ref().map_or(0, |members| members.machine.version())
    }

    /// Whether neighbours have been asked what they know, and have not answered yet.
    pub fn is_asking(&self, now: Instant) -> bool {
        self.members.as_ref().is_some_and(|members| members.machine.is_asking(now))
    }

    /// What is missing before the view of the members is complete. Empty: whoever is not in it is absent.
    pub fn missing(&self) -> Vec<Missing> {
        let members = self.members.iter().flat_map(|members| members.machine.missing());
        let untried = self.peers.untried().map(|address| Missing::Source(address.to_string()));
        members.chain(untried).collect()
    }

    /// Who this node is.
    pub fn id(&self) -> NodeId {
        self.peers.own()
    }

    /// The epoch that handshakes are to use now.
    pub fn epoch(&self) -> Epoch {
        self.peers.epoch()
    }

    /// Where this node is.
    pub fn here(&self) -> &Here {
        &self.here
    }

    /// Whether every way of finding others has looked once.
    pub fn has_searched(&self) -> bool {
        self.searched
    }

    /// Seeds and found addresses of which it is not yet known whether somebody is there.
    pub fn untried(&self) -> impl Iterator<Item = &Address> {
        self.peers.untried()
    }

    /// How far the node is on its way out.
    pub fn phase(&self) -> &Phase {
        self.peers.phase()
    }

    /// All links that are up, by number.
    pub fn links(&self) -> impl Iterator<Item = LinkView> {
        self.peers.views()
    }

    /// How many peers can be called.
    pub fn connected(&self) -> usize {
        self.peers.connected()
    }

    /// What is wrong right now, oldest first. Empty: nothing.
    pub fn faults(&self) -> Vec<&Fault> {
        self.faults.list()
    }

    /// Turns what happened in this step into orders, faults and events. `connected`: peers before it.
    fn tell(&mut self, now: Instant, connected: usize) {
        let facts = std::mem::take(&mut *self.peers.facts);
        if let Some(farewell) = facts.iter().find(|fact| matches!(fact, Fact::Leaving { .. })) {
            // It travels ahead of the goodbyes.
            self.members.iter_mut().for_each(|members| members.learn(now, farewell));
            self.wish(now);
        }
        for order in std::mem::take(&mut *self.peers.orders) {
            self.heed(now, &order);
            self.outputs.push_back(Output::Order(order));
        }
        let mut connected = connected;
        for fact in facts {
            self.faults.learn(now, &fact, &mut self.outputs);
            if let Some(members) = &mut self.members {
                members.learn(now, &fact);
            }
            let was = connected;
            match &fact {
                Fact::Up { .. } => connected = connected.saturating_add(1),
                Fact::Down { .. } => connected = connected.saturating_sub(1),
                _ => {}
            }
            self.outputs.extend(Event::of(fact).map(Output::Event));
            self.tell_changes();
            match (was, connected) {
                (0, 1..) => self.outputs.push_back(Output::Event(Event::Connected)),
                (1.., 0) => self.outputs.push_back(Output::Event(Event::Isolated)),
                _ => {}
            }
        }
        self.tell_changes();
        self.wish(now);
    }
}

/// All ways of finding others, as something that may be missing.
const SEARCH: &str = "one of the ways of finding others";
