//! Peerage: processes that talk to each other without a server in between, and can account for every word.
//!
//! This release has the ground that everything else stands on: **channels**. A channel is one connection on which both
//! ends may ask and both may answer, in any order. It speaks the wire format of the Python package aiomas, so aiomas
//! programs and Peerage programs are peers.
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
