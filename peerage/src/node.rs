//! A node: one member of a mesh, in your process.
//!
//! A node has an identity, belongs to a network, listens at any number of addresses and holds links to other nodes. On a
//! link each end may call what the other offers. A program may run several nodes.
//!
//! ```text
//!   Node (a handle, cheap to clone) ──wishes──▶ driver ──orders──▶ links, dials, listeners
//!     │ ▲                                         │
//!     │ └──────── events, snapshots ──────────────┘
//!     └── calls go straight to the link, past the driver ──▶ link
//! ```
//!
//! The node runs on the tokio runtime in which it was started. It stops when [`Node::stop`] or [`Node::drain`] says so, or
//! when its last handle is dropped.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::Duration;

use peerage_proto::limits;
use tokio::sync::oneshot;

use crate::address::Address;
use crate::dispatch::Services;
use crate::flag::Flags;
use crate::identity::Identity;
use crate::name::Name;

mod admission;
mod asking;
mod builder;
mod builtin;
mod call;
mod driver;
mod error;
pub mod event;
mod events;
mod filter;
mod held;
mod listening;
mod local;
mod log_filter;
mod machine;
mod mistake;
mod oneself;
mod presence;
mod providers;
mod pulse;
mod reach;
mod reaching;
mod reading;
mod search;
mod setting;
mod shared;
pub mod snapshot;
mod start;
mod subscribing;
mod view;
mod wall;

pub use crate::control::ControlError;
pub use builder::{Builder, Limits};
pub use call::{AllCall, Answer, Answers, AnyCall, Calling, End, NodeCall, Notifying, OnceCall, Opening, Settled};
pub use error::{ConnectError, NotConnected};
pub use event::Event;
pub use events::Events;
pub use filter::Filter;
pub use log_filter::LogFilter;
pub use mistake::{Mistake, SetError, StartError};
pub use peerage_proto::codec::{Compression, Form};
pub use peerage_proto::id::{Epoch, Group, NodeId};
pub use peerage_proto::liveness::Profile;
pub use presence::{FindError, Finding, Presence};
pub use setting::Change;
pub use snapshot::{Info, Peers, Status, Why};
pub use subscribing::{SubscribeError, Subscribing};

use driver::Command;
use reading::Reading as _;
use shared::{Phase, Shared};

/// A running node. A handle: clones are the same node, and dropping the last one stops it.
///
/// ```
/// use peerage::network::{Network, Secret};
/// use peerage::{Identity, Node};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let network = Network::new("lab", Secret::generate())?;
/// let node = Node::builder(Identity::generate()).network(network).name("a".parse()?).start().await?;
/// assert!(node.status().nominal);
/// node.stop().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Node(Arc<Handle>);

struct Handle {
    shared: Arc<Shared>,
    services: Arc<Services>,
}

/// A node as its own handlers hold it: without keeping it from stopping.
#[derive(Clone)]
pub(crate) struct WeakNode(Weak<Handle>);

impl WeakNode {
    pub(crate) fn upgrade(&self) -> Option<Node> {
        self.0.upgrade().map(Node)
    }
}

/// What was left when a node had drained.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Drained {
    /// Calls that were cut off: accepted ones without an answer, and own ones without an outcome.
    pub abandoned: u64,
}

impl Node {
    /// A node with this identity, to be configured and started.
    pub fn builder(identity: Identity) -> Builder {
        Builder::new(identity)
    }

    /// Its id.
    pub fn id(&self) -> NodeId {
        self.shared().facts.id
    }

    /// Its name.
    pub fn name(&self) -> &Name {
        &self.shared().facts.name
    }

    /// The name of its network.
    pub fn network(&self) -> &Name {
        &self.shared().facts.network
    }

    /// This run of it.
    pub fn epoch(&self) -> Epoch {
        self.shared().epoch()
    }

    /// Where it can be reached now: what it was told to advertise, else where it listens; plain listeners included. With the
    /// addresses of the machine's interfaces these change.
    pub fn addresses(&self) -> Arc<[Address]> {
        self.shared().addresses()
    }

    /// The path of its control socket, if it has one.
    pub fn control(&self) -> Option<&Path> {
        self.shared().facts.control.as_deref()
    }

    /// How it is: links, queues, faults with remedies, counters.
    pub fn status(&self) -> Status {
        self.shared().status()
    }

    /// Whom it knows.
    pub fn peers(&self) -> Peers {
        self.shared().peers()
    }

    /// Asks the neighbours now what they know, waits for their answers, or for so long, and tells whom the node knows then.
    /// They tell it unasked as well; this is for whoever does not want to wait until then.
    pub async fn refresh(&self, within: Duration) -> Peers {
        self.shared().refresh(within).await
    }

    /// Why a node counts as what it does here: what was observed, when, over which link, and who was asked.
    ///
    /// # Errors
    /// [`FindError`] if no node is known that has this id or name, or several are. Those that have left or are lost count.
    pub async fn why(&self, who: &str) -> Result<Why, FindError> {
        self.shared().why(who).await
    }

    /// Changes what this node says of itself: groups, hub, addresses. Others learn it at once.
    ///
    /// # Errors
    /// [`SetError`]: it cannot be said, or the node has stopped. Then nothing has changed.
    pub async fn set(&self, change: Change) -> Result<(), SetError> {
        self.shared().set(change).await
    }

    /// Who it is, as admitted nodes are told.
    pub fn info(&self) -> Info {
        self.shared().info(true)
    }

    /// Its counters and gauges in the OpenMetrics text format.
    pub fn open_metrics(&self) -> String {
        self.shared().open_metrics()
    }

    /// What happens from now on, to the node and around it. Any number of readers; one that is too slow is told how many
    /// events it missed.
    pub fn events(&self) -> Events {
        Events::new(self.shared())
    }

    /// Calls a function by its name. Say where with [`Calling::peer`], then await it:
    ///
    /// ```
    /// # use peerage::{CallError, Node, node::NodeId};
    /// # async fn ask(node: Node, peer: NodeId) -> Result<(), CallError> {
    /// let pair: (i64, String) = node.call("peerage/pass_through").peer(peer).arg(&(7, "seven")).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// The call goes straight to the link with that node. If another link takes its place meanwhile, it goes on there.
    pub fn call<'a>(&'a self, tag: &'a str) -> Calling<'a> {
        Calling::new(self.shared(), tag)
    }

    /// Links with whoever is at an address, and waits until the link stands. If the address names a node, it must be that
    /// one. A link that is there already is used.
    ///
    /// # Errors
    /// [`ConnectError`] after one attempt: nobody is there, it is somebody else, or it declines.
    pub async fn connect(&self, address: &Address) -> Result<NodeId, ConnectError> {
        let (reply, answered) = oneshot::channel();
        let command = Command::Connect { address: address.clone(), reply };
        if self.shared().commands.send(command).await.is_err() {
            return Err(ConnectError::ShuttingDown);
        }
        answered.await.unwrap_or(Err(ConnectError::ShuttingDown))
    }

    /// Asks a node to write the frames of their link in another form: another encoding, compressed or not. Calls go on
    /// meanwhile. Returns the form that both ends write in then, which is the old one if the node declines.
    ///
    /// # Errors
    /// [`NotConnected`] if there is no link with it, or it ends first.
    pub async fn propose(&self, peer: NodeId, form: Form) -> Result<Form, NotConnected> {
        let (reply, agreed) = oneshot::channel();
        if self.shared().commands.send(Command::Propose { peer, form, reply }).await.is_err() {
            return Err(NotConnected { peer });
        }
        agreed.await.unwrap_or(Err(NotConnected { peer }))
    }

    /// Parts from a node: it is told why (at most [`limits::REASON_BYTES_MAX`] bytes), has up
    /// there is no link with it any more.
    ///
    /// # Errors
    /// [`NotConnected`] if there is no link with it.
    pub async fn disconnect(&self, peer: NodeId, reason: &str) -> Result<(), NotConnected> {
        let (reply, parted) = oneshot::channel();
        let reason = reason[..reason.floor_char_boundary(limits::REASON_BYTES_MAX)].to_owned();
        let command = Command::Disconnect { peer, reason, reply };
        if self.shared().commands.send(command).await.is_err() {
            return Err(NotConnected { peer });
        }
        parted.await.unwrap_or(Ok(()))
    }

    /// Leaves in good order: takes nothing new, finishes what it has accepted for at most `within`, says goodbye, stops.
    /// Other handles see a stopped node. Draining twice waits for the same end.
    ///
    /// [`limits::DRAIN_TIME_DEFAULT`], 10 s, is a good choice.
    pub async fn drain(&self, within: Duration) -> Drained {
        let (reply, drained) = oneshot::channel();
        if self.shared().commands.send(Command::Drain { within, reply }).await.is_err() {
            return Drained::default();
        }
        // The driver answers, or has ended.
        drained.await.unwrap_or_default()
    }

    /// Stops at once: links are closed, calls end. Waits until all has ended. Stopping twice is harmless; afterwards every
    /// call is `NotSent(ShuttingDown)`.
    pub async fn stop(&self) {
        self.shared().stop.cancel();
        self.shared().stopped.cancelled().await;
    }

    /// Waits until it has stopped, whoever stopped it.
    pub async fn stopped(&self) {
        self.shared().stopped.cancelled().await;
    }

    /// Whether it has stopped, or is about to.
    pub fn is_stopped(&self) -> bool {
        self.shared().phase() == Phase::Stopped || self.shared().stop.is_cancelled()
    }

    fn new(shared: Arc<Shared>, services: Arc<Services>) -> Node {
        Node(Arc::new(Handle { shared, services }))
    }

    pub(crate) fn weak(&self) -> WeakNode {
        WeakNode(Arc::downgrade(&self.0))
    }

    pub(crate) fn services(&self) -> &Arc<Services> {
        &self.0.services
    }

    pub(crate) fn flags(&self) -> &Flags {
        &self.shared().flags
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.0.shared
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.stop.cancel();
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let facts = &self.shared().facts;
        f.debug_struct("Node")
            .field("id", &facts.id)
            .field("name", &facts.name)
            .field("network", &facts.network)
            .field("phase", &self.shared().phase())
            .finish()
    }
}
