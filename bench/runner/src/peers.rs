//! The table of peers. A new peer is a package in `peers/` and a row here.

use std::{
    env,
    path::{Path, PathBuf},
};

use Does::{Both, Events, Requests};
use harness::{
    Roles,
    Runtime::{self, Current, Multi},
    Workload,
};

/// One line of the table: a peer in one of its settings. Both processes get the same.
#[derive(Debug)]
pub(crate) struct Row {
    /// Its name in the table.
    pub(crate) label: &'static str,
    /// Its binary, and its folder in `peers/`.
    pub(crate) binary: &'static str,
    /// The runtime of both processes.
    pub(crate) runtime: Runtime,
    /// What `--mode` says; empty for the peer's ordinary variant.
    pub(crate) mode: &'static str,
    /// What it can be asked.
    pub(crate) does: Does,
    /// Whether its library starts threads beside the runtime: such a process is never pinned to one CPU.
    pub(crate) has_own_threads: bool,
    /// A program that has to be installed.
    pub(crate) needs: Option<Program>,
}

/// Which workloads a row is asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Does {
    /// Requests: W1, W2 and W6.
    Requests,
    /// Events: W3 and W5.
    Events,
    /// All.
    Both,
}

/// A program that cargo does not build.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Program {
    pub(crate) name: &'static str,
    /// How to get it.
    pub(crate) remedy: &'static str,
}

impl Program {
    /// Whether it can be started; Debian installs servers for administrators, whose folders are not in everybody's path.
    fn is_installed(self) -> bool {
        let path = env::var_os("PATH").unwrap_or_default();
        let folders = env::split_paths(&path).chain([PathBuf::from("/usr/sbin"), PathBuf::from("/usr/local/sbin")]);
        folders.into_iter().any(|folder| folder.join(self.name).is_file())
    }
}

impl Row {
    const fn of(label: &'static str, binary: &'static str, runtime: Runtime, mode: &'static str, does: Does) -> Self {
        Self { label, binary, runtime, mode, does, has_own_threads: false, needs: None }
    }

    const fn with_own_threads(self) -> Self {
        Self { has_own_threads: true, ..self }
    }

    const fn needs(self, name: &'static str, remedy: &'static str) -> Self {
        Self { needs: Some(Program { name, remedy }), ..self }
    }

    /// Whether the row is asked this workload.
    pub(crate) fn answers(&self, workload: Workload) -> bool {
        match (self.does, workload.roles()) {
            (Does::Both, _) => true,
            (Does::Requests, roles) => roles == Roles::ServerAndClient,
            (Does::Events, roles) => roles == Roles::PublisherAndSubscriber,
        }
    }

    /// Why the row cannot be measured on this machine, and the remedy.
    pub(crate) fn lacks(&self) -> Option<String> {
        let Program { name, remedy } = self.needs.filter(|program| !program.is_installed())?;
        Some(format!("{name} is not installed ({remedy})"))
    }

    /// Whether it stands for others and not for Peerage or the machine.
    pub(crate) fn is_peer(&self) -> bool {
        ![LIMIT, PEERAGE, DESIGN_A].contains(&self.binary)
    }

    /// Whether the peer has been written.
    pub(crate) fn has_source(&self) -> bool {
        workspace().join("peers").join(self.binary).is_dir()
    }
}

/// The folder of the benchmark's workspace.
pub(crate) fn workspace() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package).to_path_buf()
}

/// The peer that all others are compared with.
pub(crate) const LIMIT: &str = "limit";
/// The peer whose better row tells whether [`LIMIT`] is one.
pub(crate) const TARPC: &str = "tarpc";
/// What is measured here.
pub(crate) const PEERAGE: &str = "peerage";
/// The data path that was not taken: no peer either.
pub(crate) const DESIGN_A: &str = "design-a";

/// All rows, in the order of the table.
pub(crate) const ROWS: &[Row] = &[
    Row::of("limit", LIMIT, Current, "", Both),
    Row::of("peerage, 1 thread", PEERAGE, Current, "", Requests),
    Row::of("peerage, 2 workers", PEERAGE, Multi, "", Requests),
    Row::of("peerage joined, 1 thread", PEERAGE, Current, "joined", Requests),
    Row::of("node over TLS, 1 thread", PEERAGE, Current, "node-tls", Both),
    Row::of("node over TLS, 2 workers", PEERAGE, Multi, "node-tls", Both),
    Row::of("node over TLS joined, 1 thread", PEERAGE, Current, "node-tls-joined", Requests),
    Row::of("node over TLS in batches, 1 thread", PEERAGE, Current, "node-tls-batches", Events),
    Row::of("node over TLS in batches, 2 workers", PEERAGE, Multi, "node-tls-batches", Events),
    Row::of("node over unix, 1 thread", PEERAGE, Current, "node-unix", Events),
    Row::of("node over unix, 2 workers", PEERAGE, Multi, "node-unix", Events),
    Row::of("node over unix in batches, 1 thread", PEERAGE, Current, "node-unix-batches", Events),
    Row::of("node over unix in batches, 2 workers", PEERAGE, Multi, "node-unix-batches", Events),
    Row::of("design-a, 1 thread", DESIGN_A, Current, "", Requests),
    Row::of("design-a, 2 workers", DESIGN_A, Multi, "", Requests),
    Row::of("tarpc, 1 thread", TARPC, Current, "", Requests),
    Row::of("tarpc, 2 workers", TARPC, Multi, "", Requests),
    Row::of("tarpc joined, 1 thread", TARPC, Current, "joined", Requests),
    Row::of("tarpc inline, 1 thread", TARPC, Current, "inline", Requests),
    Row::of("tarpc inline, 2 workers", TARPC, Multi, "inline", Requests),
    Row::of("tonic behind a channel, 1 thread", "tonic", Current, "", Events),
    Row::of("tonic behind a channel, 2 workers", "tonic", Multi, "", Events),
    Row::of("zenoh", "zenoh", Current, "", Events).with_own_threads(),
    Row::of("zenoh, one worker", "zenoh", Current, "one-worker", Events).with_own_threads(),
    Row::of("NATS, 1 thread", "nats", Current, "", Events).with_own_threads().needs("nats-server", NATS_REMEDY),
    Row::of("NATS, 2 workers", "nats", Multi, "", Events).with_own_threads().needs("nats-server", NATS_REMEDY),
    Row::of("ZeroMQ", "zeromq", Current, "", Events).with_own_threads(),
    Row::of("ZeroMQ push and pull", "zeromq", Current, "push", Events).with_own_threads(),
];

const NATS_REMEDY: &str = "apt install nats-server";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_workload_is_asked_of_the_limit_and_of_a_peer() {
        for workload in Workload::ALL {
            let asked: Vec<&Row> = ROWS.iter().filter(|row| row.answers(workload)).collect();
            assert!(asked.iter().any(|row| row.binary == LIMIT), "{workload}");
            assert!(asked.iter().any(|row| row.is_peer()), "{workload}");
        }
    }

    #[test]
    fn a_row_whose_program_is_not_there_says_how_to_get_it() {
        let row = Row::of("x", "x", Current, "", Events).needs("no-such-program", "apt install it");
        assert_eq!(row.lacks().unwrap(), "no-such-program is not installed (apt install it)");
        assert_eq!(Row::of("x", "x", Current, "", Events).needs("sh", "").lacks(), None);
    }

    #[test]
    fn no_two_rows_share_a_label() {
        for (at, row) in ROWS.iter().enumerate() {
            assert!(ROWS[..at].iter().all(|other| other.label != row.label), "{}", row.label);
        }
    }
}
