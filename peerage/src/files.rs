//! Files from node to node: checked, resumed after an interruption, and harmless whatever they are called.
//!
//! ```no_run
//! # async fn example(a: peerage::Node, b: peerage::Node) -> Result<(), Box<dyn std::error::Error>> {
//! use peerage::files::Sink;
//!
//! b.service("files").serve(Sink::new("/srv/inbox").handler())?;
//! let sent = a.send_file(b.id(), "files", "report.pdf", |progress| println!("{} bytes", progress.sent)).await?;
//! println!("it lies there as {}", sent.name);
//! # Ok(())
//! # }
//! ```
//!
//! The transfer is a conversation. What the receiver has of a file from an earlier try it names by size and hash; the sender goes
//! on behind it if that is how the file begins.
//!
//! ```text
//!   sender ── open [name, size] ───────────────▶ receiver        a name, whatever path it came with
//!          ◀─────────── [bytes it has, their hash] ──
//!          ── where it begins, bytes … , hash ─▶                 into a part, under a dot name
//!          ◀────────────────────── what became of it ──          the hash is right: the part gets its name
//! ```

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use peerage_proto::id::NodeId;
use peerage_proto::outcome::CallError;
use serde::{Deserialize, Serialize};

use crate::node::Node;
use crate::service::{ServeError, Service};

mod name;
mod part;
mod sending;
mod sink;

pub use sink::{Sink, Taking};

/// How far a file has been sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Progress {
    /// Bytes that are on their way or there, those of earlier tries included.
    pub sent: u64,
    /// Bytes of the file.
    pub size: u64,
    /// Bytes that the receiver had from an earlier try.
    pub resumed_from: u64,
}

/// A file that was sent, and what became of it.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Sent {
    /// Its name at the receiver: another than here if there was one of that name.
    pub name: String,
    /// Its size, in bytes.
    pub size: u64,
    /// Bytes that the receiver had from an earlier try.
    pub resumed_from: u64,
    /// Its SHA-256, as hexadecimal digits. Both ends have computed it.
    pub sha256: String,
}

/// A file that has arrived.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Received {
    /// Who sent it; `None` for a program at the control socket.
    pub from: Option<NodeId>,
    /// Where it lies.
    pub path: PathBuf,
    /// Its size, in bytes.
    pub size: u64,
    /// Its SHA-256, as hexadecimal digits.
    pub sha256: String,
}

/// Why a file could not be sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendFileError {
    /// Reading it failed.
    #[error("{path}: {why}", path = path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        why: io::Error,
    },
    /// It is no file with a name: a folder, a device, or `..`.
    #[error("{path} is no ordinary file with a name", path = .0.display())]
    NoFile(PathBuf),
    /// It became shorter or longer while it was read. Send it again when nobody writes to it.
    #[error("{path} changed while it was sent: send it again when nobody writes to it", path = .0.display())]
    Changed(PathBuf),
    /// The receiver refused it, or could not be reached to the end. Sent again, it goes on where it stopped.
    #[error(transparent)]
    Call(#[from] CallError),
}

impl Node {
    /// Sends a file to a node that serves files under this name. `progress` hears now and then how far it is.
    ///
    /// Cut off and called again, it goes on behind what has arrived. There is no deadline: it takes as long as the link lives.
    ///
    /// # Errors
    /// [`SendFileError`]: the file is not there. Nothing at the receiver has the file's name.
    pub async fn send_file(
        &self,
        peer: NodeId,
        tag: &str,
        path: impl AsRef<Path>,
        progress: impl FnMut(Progress) + Send,
    ) -> Result<Sent, SendFileError> {
        sending::send(self, peer, tag, path.as_ref(), progress).await
    }

    /// Takes files from other nodes into a folder, under a name: `Sink::new(folder)` served without further rules.
    ///
    /// # Errors
    /// [`ServeError`] as of [`serve`](Node::serve).
    pub fn serve_files(&self, tag: &str, folder: impl Into<PathBuf>) -> Result<Service, ServeError> {
        self.serve(tag, Sink::new(folder).handler())
    }
}

/// What the receiver has of a file: so many bytes from its beginning.
#[derive(Debug, Deserialize, Serialize)]
struct Have {
    bytes: u64,
    sha256: String,
}

/// A hash as hexadecimal digits.
fn hex(hash: &[u8]) -> String {
    hash.iter().fold(String::new(), |mut text, byte| {
        let _ = fmt::Write::write_fmt(&mut text, format_args!("{byte:02x}"));
        text
    })
}

/// Bytes that are read from or written to a disk at a time.
const BLOCK_BYTES: usize = 256 << 10;

/// Blocks or pieces between the disk and the link.
const BLOCKS_BETWEEN: usize = 8;
