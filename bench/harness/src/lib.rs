//! What every measured peer shares, so that a binary of a peer holds only what is particular to that peer.
//!
//! A figure is worth something only if all peers were asked the same question. So the question is asked here, once: this
//! crate reads the command line, places the process on its CPUs, builds the runtime, drives the [`Workload`], counts, takes
//! the CPU time and context switches of both processes over exactly the measured period, and prints one line of JSON. A peer
//! says how it listens, how it connects, how it makes one request and how it keeps many in flight: that is [`Peer`].
//!
//! ```text
//!   runner ──starts──▶ peer server ──"ready <address>"──▶ runner
//!          ──starts──▶ peer client --address … ──one line of JSON──▶ runner
//! ```
//!
//! Events are the same with the roles `pub`, which publishes, and `sub`, which subscribes and measures: [`Events`].

use std::{
    fmt::Display,
    io::{self, Write as _},
    process::ExitCode,
};

use clap::Parser as _;

use arguments::{Arguments, Role};

mod arguments;
mod client;
mod events;
mod join;
mod latencies;
mod measurement;
mod period;
mod placement;
mod subscriber;
mod tally;
mod usage;
mod window;
mod workload;

pub use arguments::Runtime;
pub use events::{Events, Receiver, Source};
pub use join::join;
pub use measurement::{Figure, Measurement};
pub use placement::cpus_allowed;
pub use tally::{Counter, Tally};
pub use usage::Usage;
pub use window::{Progress, Window};
pub use workload::{PAYLOAD, Pins, Roles, UnknownWorkload, Workload};

/// One way to carry a request to another process and the answer back.
///
/// Every future is spawned on the runtime that `--runtime` chose.
pub trait Peer: Clone + Send + Sync + Sized + 'static {
    /// An open connection, from the caller's side.
    type Connection: Send + 'static;

    /// The peer in the variant that `--mode` names; the empty text is its ordinary one.
    ///
    /// # Errors
    /// When the peer has no such mode.
    fn with_mode(mode: &str) -> io::Result<Self>;

    /// Listens, calls [`announce`] with the address, and echoes every request until the process ends.
    fn serve(self) -> impl Future<Output = io::Result<()>> + Send;

    /// Connects to an address that the server announced.
    fn connect(&self, address: &str) -> impl Future<Output = io::Result<Self::Connection>> + Send;

    /// Sends [`PAYLOAD`], waits for the answer, and fails when that is not as long as the payload.
    fn echo(&self, connection: &mut Self::Connection) -> impl Future<Output = io::Result<()>> + Send;

    /// Spawns `callers` callers on the connection, each with one request in flight at any time until the process ends. Every
    /// answer is counted on a [`Counter`] from `tally`, and a failure is reported there.
    fn flood(&self, connection: Self::Connection, callers: usize, tally: &Tally);
}

/// The `main` of a peer that answers requests.
pub fn run<P: Peer>() -> ExitCode {
    outcome(|role| match role {
        Role::Server(_) | Role::Client(_) => answer::<P>(role),
        Role::Pub(_) | Role::Sub(_) => Err(io::Error::other("this peer has no events")),
    })
}

/// The `main` of a peer that brings events.
pub fn run_events<E: Events>() -> ExitCode {
    outcome(|role| match role {
        Role::Server(_) | Role::Client(_) => Err(io::Error::other("this peer answers no requests")),
        Role::Pub(_) | Role::Sub(_) => bring::<E>(role),
    })
}

/// The `main` of a peer that does both.
pub fn run_both<P: Peer, E: Events>() -> ExitCode {
    outcome(|role| match role {
        Role::Server(_) | Role::Client(_) => answer::<P>(role),
        Role::Pub(_) | Role::Sub(_) => bring::<E>(role),
    })
}

/// Tells the runner that the server listens, and where.
///
/// # Errors
/// When standard output is closed.
pub fn announce(address: impl Display) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "ready {address}")?;
    out.flush()
}

fn outcome(play: impl FnOnce(Role) -> io::Result<()>) -> ExitCode {
    match play(Arguments::parse().role) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn answer<P: Peer>(role: Role) -> io::Result<()> {
    placement::prepare(role.common().cpu)?;
    let peer = P::with_mode(&role.common().mode)?;
    let runtime = role.common().runtime;
    spawned(runtime, async move {
        match role {
            Role::Client(arguments) => print(&client::drive(&peer, &arguments).await?),
            _ => peer.serve().await,
        }
    })
}

fn bring<E: Events>(role: Role) -> io::Result<()> {
    placement::prepare(role.common().cpu)?;
    let peer = E::with_mode(&role.common().mode)?;
    let runtime = role.common().runtime;
    spawned(runtime, async move {
        match role {
            Role::Sub(arguments) => print(&subscriber::drive(&peer, &arguments).await?),
            Role::Pub(arguments) => peer.publish(Source::of(arguments.workload)).await,
            _ => Err(io::Error::other("a role without events")),
        }
    })
}

/// Runs a role. It is spawned: a future that `block_on` polls does not run on a worker of the multi-thread runtime, and each
/// of its wakes would cross threads.
fn spawned(runtime: Runtime, role: impl Future<Output = io::Result<()>> + Send + 'static) -> io::Result<()> {
    let runtime = runtime.build()?;
    let outcome = runtime.block_on(async { tokio::spawn(role).await });
    runtime.shutdown_background();
    outcome.map_err(io::Error::other)?
}

fn print(measurement: &Measurement) -> io::Result<()> {
    let line = serde_json::to_string(measurement)?;
    writeln!(io::stdout(), "{line}")
}
