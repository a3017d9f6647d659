//! Events: what happens at one node, told to all that want to know, with every loss accounted for.
//!
//! ```
//! use std::time::Duration;
//!
//! use peerage::event::Heard;
//! use peerage::network::{Network, Secret};
//! use peerage::{Identity, Node};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let network = Network::new("lab", Secret::generate())?;
//! # let node = Node::builder(Identity::generate()).network(network).start().await?;
//! let mut builds = node.subscribe("build/*").include_self().start()?;
//!
//! let done = node.event("build/done")?;
//! done.wait_matching(1).await;
//! let receipt = done.publish(&"linux").confirmed(Duration::from_secs(5)).await?;
//! assert_eq!((receipt.matched, receipt.delivered), (1, 1));
//!
//! while let Some(heard) = builds.next().await {
//!     match heard {
//!         Heard::Event(event) => {
//!             assert_eq!((event.name(), event.seq(), event.value::<String>()?), ("build/done", 1, "linux".to_owned()));
//!             break;
//!         }
//!         Heard::Gap(gap) => println!("missed: {gap}"),
//!         other => println!("{other:?}"),
//!     }
//! }
//! # node.stop().await;
//! # Ok(())
//! # }
//! ```
//!
//! Whoever publishes counts: each name has a sequence of its own, from 1 in each run of the node, whether or not anybody listens.
//! For each subscription there is one queue, at the publisher, and the subscriber says how long it may be and what happens when it
//! is full ([`Policy`]). So one slow subscriber costs the others nothing, and whatever it does not get it hears of as a [`Gap`]:
//! the events that came and the gaps between them are all that were published since the subscription began.
//!
//! ```text
//!   publish ──▶ sequence ──▶ queue of each subscription ──▶ link ──▶ Subscription ──▶ Event, Gap
//!      ▲                        │ full: its policy                      │
//!      └── receipt ◀────────────┴──────────── "it is there" ◀───────────┘
//! ```

use std::fmt;
use std::sync::Arc;

use peerage_proto::codec::{DecodeError, Payload};
use peerage_proto::id::{Epoch, NodeId};
use serde::de::DeserializeOwned;

mod board;
mod handling;
mod inbox;
mod publisher;
mod receipt;
mod settling;
mod subscription;

pub use handling::Handling;
pub use peerage_proto::events::{InvalidPolicy, Policy, Priority, Why};
pub use peerage_proto::outcome::FeedEnd;
pub use publisher::{Confirming, Publisher, Publishing, Shaped};
pub use receipt::{Confirmation, Dropped, PublishError, Receipt, Unknown};
pub use subscription::Subscription;

pub(crate) use board::Board;
pub(crate) use inbox::Inbox;

/// What comes on a subscription.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Heard {
    /// Something happened.
    Event(Event),
    /// Events are missing.
    Gap(Gap),
    /// The subscription holds at every node that there was a link with when it was made. Comes once.
    Attached {
        /// Names that fit at these nodes, counted at each.
        matching: u64,
    },
    /// The subscription holds at a node that came later, or came back.
    Resumed {
        /// The node.
        from: NodeId,
        /// Events that were missed since it held there before; the gaps before this name them.
        missed: u64,
    },
    /// Nothing comes from this node any more, until it is heard again.
    SourceLost {
        /// The node.
        from: NodeId,
        /// Why.
        why: FeedEnd,
    },
}

/// Something that happened at a node, as a subscriber hears it.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    name: Arc<str>,
    from: NodeId,
    epoch: Epoch,
    seq: u64,
    content: Payload,
}

impl Event {
    /// What happened.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The node that published it.
    pub fn from(&self) -> NodeId {
        self.from
    }

    /// Which run of that node.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The how-manieth event of this name in that run, from 1.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// The value that was published.
    ///
    /// # Errors
    /// [`DecodeError`] if it is not of this type; the subscription goes on.
    pub fn value<T: DeserializeOwned>(&self) -> Result<T, DecodeError> {
        self.content.decode()
    }

    /// The value, unopened.
    pub fn payload(&self) -> &Payload {
        &self.content
    }
}

/// Events that a subscription did not get.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Gap {
    /// Events of this name.
    pub name: Arc<str>,
    /// Of this node.
    pub from: NodeId,
    /// In this run of it.
    pub epoch: Epoch,
    /// From this one on.
    pub first: u64,
    /// Up to and including this one. `None`: that run has ended, and how far it came is not known.
    pub last: Option<u64>,
    /// Why they did not come.
    pub why: Why,
}

impl Gap {
    /// How many they are, if that is known.
    pub fn count(&self) -> Option<u64> {
        self.last.map(|last| last.saturating_sub(self.first).saturating_add(1))
    }
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.last {
            Some(last) if last == self.first => write!(f, "{} {} of {}: {}", self.name, last, self.from, self.why),
            Some(last) => write!(f, "{} {} to {last} of {}: {}", self.name, self.first, self.from, self.why),
            None => write!(f, "{} from {} on of {}: {}", self.name, self.first, self.from, self.why),
        }
    }
}
