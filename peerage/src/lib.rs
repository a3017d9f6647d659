//! Peerage: processes that talk to each other without a server in between, and can account for every word.
//!
//! A [`Node`] is a member of a network: it finds the others, proves who it is, and says who is there ([`node`]). It offers functions
//! under names, each a [`service`], and calls those of any other node, one, all, or whoever has time; a call may be a conversation whose
//! two directions are [streams](stream), and [files] go over these. Events, publishing and subscribing, are being built.
//!
//! ```
//! use peerage::network::{Network, Secret};
//! use peerage::{Identity, Node};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let network = Network::new("lab", Secret::generate())?;
//! let node = Node::builder(Identity::generate()).network(network).start().await?;
//! node.serve("math/add", async |a: i64, b: i64| Ok(a + b))?;
//!
//! let sum: i64 = node.call("math/add").include_self().any().args(&(2, 3)).await?;
//! assert_eq!(sum, 5);
//! # node.stop().await;
//! # Ok(())
//! # }
//! ```
//!
//! A [`Channel`] is request and reply between two programs without a node: one connection on which both ends may ask and both may
//! answer, in any order. It speaks the wire format of the Python package aiomas, so aiomas programs and Peerage programs are peers.
//!
//! ```
//! use peerage::{Channel, Listener};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let server = Listener::bind(&"memory://sums".parse()?).await?.serve(|(a, b): (i64, i64)| async move { Ok(a + b) });
//!
//! let channel = Channel::connect(&"memory://sums".parse()?).await?;
//! let sum: i64 = channel.request(&(2, 3)).await?;
//! assert_eq!(sum, 5);
//! # server.close().await;
//! # Ok(())
//! # }
//! ```
//!
//! Every call ends in exactly one [`Outcome`](outcome::Outcome), no later than its deadline + 100 ms, and
//! [`CallError::may_have_run`] is false only where it is certain that the handler never started.

mod control;
mod dispatch;
mod link;
mod metrics;

pub mod address;
pub mod channel;
pub mod discovery;
pub mod event;
pub mod files;
pub mod flag;
pub mod hook;
pub mod identity;
pub mod name;
pub mod network;
pub mod node;
pub mod private_file;
pub mod service;
pub mod shown;
pub mod stream;
pub mod trace;
pub mod transport;

pub use address::Address;
pub use channel::{Caller, Channel, Failure, Listener, Request, Server};
pub use flag::Flag;
pub use identity::Identity;
pub use network::Network;
pub use node::{Node, NodeId};
pub use peerage_proto::codec::{Encoding, Payload, Value};
pub use peerage_proto::outcome::{self, CallError};
pub use peerage_proto::{codec, limits};
pub use transport::{BindError, DialError};

/// The Rust in the README, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

/// The Rust in the guides, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../docs/nodes.md")]
struct Nodes;

/// See [`Nodes`].
#[cfg(doctest)]
#[doc = include_str!("../../docs/services.md")]
struct Services;

/// See [`Nodes`].
#[cfg(doctest)]
#[doc = include_str!("../../docs/events.md")]
struct Events;

/// See [`Nodes`].
#[cfg(doctest)]
#[doc = include_str!("../../docs/identity-and-networks.md")]
struct IdentityAndNetworks;

/// See [`Nodes`].
#[cfg(doctest)]
#[doc = include_str!("../../docs/coming-from-aiomas.md")]
struct ComingFromAiomas;

/// See [`Nodes`].
#[cfg(doctest)]
#[doc = include_str!("../../docs/coming-from-bndl.md")]
struct ComingFromBndl;

/// See [`Nodes`].
#[cfg(doctest)]
#[doc = include_str!("../../docs/coming-from-net.md")]
struct ComingFromNet;
