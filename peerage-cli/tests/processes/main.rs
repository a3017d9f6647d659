//! Nodes as processes of their own, in the weather they live in: many at once, other networks, cut cables, stopped and
//! killed processes.
//!
//! ```text
//!   storm      sixteen nodes dial each other at one time, again and again
//!   namespaces two network namespaces joined by a cable: linking over it, and cutting it
//!   finding    nodes that nobody told where the others are
//!   orders     processes that start in any order
//!   lan        two network namespaces, and nothing but a ticket
//!   spoof      records on a local network that no node made
//!   stalls     processes that are killed or stopped
//!   starved    one process that hardly gets to run
//!   memory     what a node and an idle link take
//!   idle       a mesh in which nothing happens
//!   services   processes that serve, killed and restarted under calls
//!   worker     processes of these tests' own that serve
//!   cable      network namespaces of these tests' own
//! ```
//!
//! Where a machine does not let us make network namespaces, those tests say `skipped: …`; with `CI=true` they fail.

mod cable;
mod finding;
#[path = "../cli/home.rs"]
#[allow(dead_code, reason = "shared with the tests of the commands")]
mod home;
mod idle;
mod lan;
mod memory;
mod namespaces;
#[path = "../cli/node.rs"]
#[allow(dead_code, reason = "shared with the tests of the commands")]
mod node;
mod orders;
#[path = "../cli/program.rs"]
#[allow(dead_code, reason = "shared with the tests of the commands")]
mod program;
mod services;
mod spoof;
mod stalls;
mod starved;
mod storm;
mod worker;

use std::env;
use std::io::{self, Write as _};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

static MACHINE: RwLock<()> = RwLock::new(());

/// For a test that loads the machine, beside which no times can be measured.
fn alone() -> RwLockWriteGuard<'static, ()> {
    // A test that failed while it had the machine leaves nothing behind.
    MACHINE.write().unwrap_or_else(PoisonError::into_inner)
}

/// For a test that mostly waits.
fn beside_others() -> RwLockReadGuard<'static, ()> {
    MACHINE.read().unwrap_or_else(PoisonError::into_inner)
}

/// Says a figure, whether or not the output of tests that pass is shown.
fn tell(text: &str) {
    // Nobody to tell it to is no failure.
    let _ = writeln!(io::stdout(), "{text}");
}

/// Whether these are the checks of a change, which leave nothing out.
fn is_thorough() -> bool {
    env::var("CI").is_ok_and(|ci| ci == "true")
}
