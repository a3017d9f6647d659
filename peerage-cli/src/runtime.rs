//! The async runtime of a command, and the signals that end one.

use std::io;

use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::exit::Abort;
use crate::program;

/// Runs a command on this thread alone: it starts at once, and one command has little to do at a time.
pub(crate) fn on_one_thread<T>(work: impl Future<Output = Result<T, Abort>>) -> Result<T, Abort> {
    run(Builder::new_current_thread(), work)
}

/// Runs a command that serves others, on all processors.
pub(crate) fn on_all_processors<T>(work: impl Future<Output = Result<T, Abort>>) -> Result<T, Abort> {
    run(Builder::new_multi_thread(), work)
}

fn run<T>(mut builder: Builder, work: impl Future<Output = Result<T, Abort>>) -> Result<T, Abort> {
    let runtime = builder.enable_all().build().map_err(no_runtime)?;
    let done = runtime.block_on(work);
    // A resolver that does not answer must not hold up the end.
    runtime.shutdown_background();
    program::kill_what_is_left();
    done
}

/// SIGINT and SIGTERM, which both ask a command to end in order.
pub(crate) struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
}

impl Interrupts {
    /// From now on these signals no longer kill the process.
    pub(crate) fn listen() -> Result<Interrupts, Abort> {
        let listen = |kind| signal(kind).map_err(no_runtime);
        Ok(Interrupts { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    /// Waits for the next one.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

fn no_runtime(why: io::Error) -> Abort {
    Abort::Failed(format!("the system refuses what every command needs (threads, descriptors): {why}"))
}
