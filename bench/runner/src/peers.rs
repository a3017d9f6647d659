//! The table of peers. A new peer is a package in `peers/` and a row here.

use std::path::{Path, PathBuf};

use harness::Runtime;

/// One line of the table: a peer in one of its settings. Server and client get the same.
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
}

impl Row {
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

/// All rows, in the order of the table.
pub(crate) const ROWS: &[Row] = &[
    Row { label: "limit", binary: LIMIT, runtime: Runtime::Current, mode: "" },
    Row { label: "peerage, 1 thread", binary: "peerage", runtime: Runtime::Current, mode: "" },
    Row { label: "peerage, 2 workers", binary: "peerage", runtime: Runtime::Multi, mode: "" },
    Row { label: "peerage joined, 1 thread", binary: "peerage", runtime: Runtime::Current, mode: "joined" },
    Row { label: "node over TLS, 1 thread", binary: "peerage", runtime: Runtime::Current, mode: "node-tls" },
    Row { label: "node over TLS, 2 workers", binary: "peerage", runtime: Runtime::Multi, mode: "node-tls" },
    Row {
        label: "node over TLS joined, 1 thread",
        binary: "peerage",
        runtime: Runtime::Current,
        mode: "node-tls-joined",
    },
    Row { label: "design-a, 1 thread", binary: "design-a", runtime: Runtime::Current, mode: "" },
    Row { label: "design-a, 2 workers", binary: "design-a", runtime: Runtime::Multi, mode: "" },
    Row { label: "tarpc, 1 thread", binary: TARPC, runtime: Runtime::Current, mode: "" },
    Row { label: "tarpc, 2 workers", binary: TARPC, runtime: Runtime::Multi, mode: "" },
    Row { label: "tarpc joined, 1 thread", binary: TARPC, runtime: Runtime::Current, mode: "joined" },
    Row { label: "tarpc inline, 1 thread", binary: TARPC, runtime: Runtime::Current, mode: "inline" },
    Row { label: "tarpc inline, 2 workers", binary: TARPC, runtime: Runtime::Multi, mode: "inline" },
];
