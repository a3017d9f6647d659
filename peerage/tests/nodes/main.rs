//! Nodes as their users see them: the public interface, real sockets, real handshakes.
//!
//! ```text
//!   place     networks, folders and nodes made for one test; limits for every wait
//!   starting  what a configuration can say, and what it cannot mean
//!   plain     plain listeners of a node, and the services found there
//!   linking   two nodes become a pair
//!   leaving   leaving in good order
//!   logging   what nodes log
//!   documented what they print about themselves, as the documentation has it
//!   calls     calls between nodes, and how those end that do not arrive
//!   admission who is let in and who is not
//!   hooks     what stands around calls, and calls that want no answer
//!   hostile   who must not get in, a thousand times each
//!   members   who is there, and why
//!   newer     a peer of a newer version is served, whatever it adds
//!   orders    nodes that start in any order
//!   damage    what happens to a block on its way is a matter of one call
//!   faults    what is wrong, until it is cured
//!   finding   nodes that nobody told where the others are
//!   cascade   the end of a call reaches as far as its work did
//!   pressure  more work than a service can do
//!   services  functions of an application: registered, called, refused, stopped, taken away
//!   files     files from node to node
//!   streams   calls whose two directions carry items
//!   control   the control socket, by frames written by hand
//! ```

#![allow(clippy::unwrap_used, reason = "a test says what it expects by ending")]

mod admission;
mod calls;
mod cascade;
mod control;
mod damage;
mod documented;
mod events;
mod faults;
mod files;
mod finding;
mod hooks;
mod hostile;
mod idempotent;
mod leaving;
mod linking;
mod logging;
mod members;
mod newer;
mod orders;
mod place;
mod plain;
mod policies;
mod pressure;
mod rogue;
mod routing;
mod services;
mod starting;
mod streams;
