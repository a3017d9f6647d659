//! Channels as their users see them: the public interface, over every transport and on both kinds of runtime.
//!
//! ```text
//!   meeting       two ends that have met, at a place of their own; limits for every wait
//!   raw           a peer that speaks the wire by hand, and breaks it
//!   conversation  requests and replies: order, codecs, addresses, cancelled waits
//!   outcomes      how a call ends when there is no value
//!   ending        how a connection ends, and what becomes of the calls on it
//!   hostile       what a peer does that the protocol does not allow
//!   handlers      serving: typed arguments, panics, limits, being told to stop
//!   pressure      queues that are full, large values, readers that are slow
//!   secured       over TLS and QUIC: who proves what to whom, and what goes wrong
//!   certificates  an authority of one's own, for those
//!   timing        deadlines to the millisecond, on a clock that stands still
//!   runtimes      ends on runtimes of their own, and runtimes that end
//! ```

#![allow(clippy::unwrap_used, reason = "a test says what it expects by ending")]
#![allow(clippy::async_yields_async, reason = "some tests hand a call that waits from one task to another")]

#[macro_use]
mod meeting;

mod certificates;
mod conversation;
mod ending;
mod handlers;
mod hostile;
mod outcomes;
mod pressure;
mod raw;
mod runtimes;
mod secured;
mod timing;
