//! Nodes as their users see them: the public interface, real sockets, real handshakes.
//!
//! ```text
//!   place     networks, folders and nodes made for one test; limits for every wait
//!   starting  what a configuration can say, and what it cannot mean
//!   plain     plain listeners of a node, and the services found there
//!   linking   two nodes become a pair
//!   control   the control socket, by frames written by hand
//! ```

#![allow(clippy::unwrap_used, reason = "a test says what it expects by ending")]

mod control;
mod linking;
mod place;
mod plain;
mod starting;
