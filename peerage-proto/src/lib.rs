//! The protocol of Peerage as values.
//!
//! Everything in this crate is a plain state machine or a plain data structure: bytes, facts and the time of day go in,
//! orders come out. Nothing here opens a socket, reads a clock, spawns a task or draws a random number, so the same
//! inputs always give the same outputs, and tests, fuzzers and the simulator drive exactly the code that ships.
//!
//! ```text
//!   bytes ──▶ frame ──▶ codec ──▶ channel ──▶ orders (settle this call, serve that request, write these bytes)
//! ```
//!
//! The wire is written down in `PROTOCOL.md`; comments cite it as "PROTOCOL §n".

// Whatever a peer sends may end up in a sum. Where the terms are places and lengths of what lies in memory, the file says so.
#![deny(clippy::arithmetic_side_effects)]
#![cfg_attr(test, allow(clippy::arithmetic_side_effects))]

pub mod address;
pub mod backoff;
pub mod channel;
pub mod codec;
pub mod events;
pub mod frame;
pub mod hello;
pub mod id;
pub mod idempotent;
mod jitter;
pub mod keys;
pub mod limits;
pub mod liveness;
pub mod membership;
pub mod node;
pub mod outcome;
pub mod outputs;
mod peers;
mod planted;
pub mod routing;
#[cfg(any(test, feature = "sim"))]
#[allow(clippy::arithmetic_side_effects, reason = "tests and what they are made of: a fault there is to be seen")]
pub mod sim;
