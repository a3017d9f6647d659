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

use std::{
    fmt::Display,
    io::{self, Write as _},
    process::ExitCode,
};

use clap::Parser as _;

use arguments::{Arguments, Role};

mod arguments;
mod client;
mod join;
mod latencies;
mod measurement;
mod placement;
mod tally;
mod usage;
mod workload;

pub use arguments::Runtime;
pub use join::join;
pub use measurement::{Figure, Measurement};
pub use placement::cpus_allowed;
pub use tally::{Counter, Tally};
pub use usage::Usage;
pub use workload::{PAYLOAD, Pins, UnknownWorkload, Workload};

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

/// The `main` of a peer's binary.
pub fn run<P: Peer>() -> ExitCode {
    match play::<P>(Arguments::parse().role) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
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

fn play<P: Peer>(role: Role) -> io::Result<()> {
    let common = role.common();
    placement::prepare(common.cpu)?;
    let peer = P::with_mode(&common.mode)?;
    let runtime = common.runtime.build()?;
    // The role itself is spawned: a future that `block_on` polls does not run on a worker of the multi-thread runtime, and
    // each of its wakes would cross threads.
    let outcome = match role {
        Role::Server(_) => runtime.block_on(async { tokio::spawn(peer.serve()).await }),
        Role::Client(arguments) => runtime.block_on(async {
            tokio::spawn(async move {
                let measurement = client::drive(&peer, &arguments).await?;
                let line = serde_json::to_string(&measurement)?;
                writeln!(io::stdout(), "{line}")
            })
            .await
        }),
    };
    runtime.shutdown_background();
    outcome.map_err(io::Error::other)?
}
