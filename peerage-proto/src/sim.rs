//! The shipped machines on virtual time, with an eye on every promise.
//!
//! A protocol goes wrong between the steps: an answer crosses a cancel, a link breaks while half a frame is written, a
//! peer stops reading at its limit. Here whole links are run in one thread from one seed, thousands of times faster than
//! real ones, and whatever they do is checked while they do it. A seed always gives the same run.
//!
//! ```text
//!   seed ──▶ Dice ──▶ when to call, cancel, answer, cut …          [pair]: two machines, both honest
//!                            │
//!                  End ◀── Pipe ──▶ End                            [session]: one machine, a peer made of input bytes
//!                   └── oracles, Tap ──┘
//! ```
//!
//! What is checked at every step, for every end: each call has exactly one outcome, no later than its deadline + 100 ms;
//! what ended as *did not run* was never written whole and never runs; requests keep their order; nothing is answered twice
//! and nothing unasked; only well-formed frames are written, none after the end; every table keeps to its bound and is
//! empty at the end; no timer rings again and again. A broken promise is a panic with its name.

use std::sync::LazyLock;
use std::time::Instant;

mod dice;
mod end;
mod feeds;
mod hello;
mod key;
mod network;
mod pair;
mod pipe;
mod program;
mod session;
mod tap;
pub mod targets;
mod trace;

pub use dice::Dice;
#[cfg(feature = "planted-bugs")]
pub use feeds::planted_feeds;
pub use feeds::{FeedPlan, FeedReport, feeds};
pub use key::Key;
pub use network::{Fault, Faults, MARKERS, Network, Oracle, Report as NetworkReport, Violation};
#[cfg(test)]
pub(crate) use network::{Judge, Seal};
#[cfg(feature = "planted-bugs")]
pub use pair::planted_pair;
pub use pair::{Plan, Report, pair};

#[cfg(feature = "planted-bugs")]
pub use crate::planted::Bug;

/// The beginning of virtual time.
pub fn epoch() -> Instant {
    #[allow(clippy::disallowed_methods, reason = "an `Instant` cannot be made from nothing; only differences are used")]
    static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);
    *EPOCH
}
