//! What can be wrong with a private file, in one line that names the remedy.

use std::io;
use std::path::{Path, PathBuf};

use super::Damage;

/// Why a file that holds a secret, or its directory, was not read or made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PrivateFileError {
    /// There is no such file.
    #[error("{path}: there is no such file", path = path.display())]
    NotFound {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The name is taken; nothing was changed.
    #[error("{path}: exists already and is left as it is; choose another name, or remove it first", path = path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// A symbolic link, which is never followed here: somebody else may have placed it.
    #[error("{path}: is a symbolic link; put the file or directory itself there", path = path.display())]
    Symlink {
        /// The link.
        path: PathBuf,
    },
    /// Something else than a plain file.
    #[error("{path}: is not a plain file; name one, or move away what is there", path = path.display())]
    NotAFile {
        /// What was found.
        path: PathBuf,
    },
    /// Something else than a directory.
    #[error("{path}: is not a directory; move it away, or choose another directory", path = path.display())]
    NotAFolder {
        /// What was found.
        path: PathBuf,
    },
    /// A file or directory of another user, who can read and change it.
    #[error(
        "{path}: belongs to user {owner}, and this process runs as user {us}; run it as user {owner}, or `chown {us} {path}`",
        path = path.display()
    )]
    Foreign {
        /// The file or directory.
        path: PathBuf,
        /// The user id of its owner.
        owner: u32,
        /// The user id of this process.
        us: u32,
    },
    /// Group or others have access to the file.
    #[error(
        "{path}: others may have read this secret (mode {mode:04o}); if they cannot have, `chmod 600 {path}`, else replace it",
        path = path.display()
    )]
    FileOpenToOthers {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// Group or others have access to the directory.
    #[error(
        "{path}: others have access to this directory of secrets (mode {mode:04o}); `chmod 700 {path}`",
        path = path.display()
    )]
    FolderOpenToOthers {
        /// The directory.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The content is not what it should be.
    #[error("{path}: {why}", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: Damage,
    },
    /// The key is held by a running node.
    #[error(
        "{path}: in use by {}; stop that node, or start this one under another name",
        holder(*pid),
        path = path.display()
    )]
    InUse {
        /// The key file.
        path: PathBuf,
        /// The process that holds it; `None` if the system does not tell.
        pid: Option<u32>,
    },
    /// The start counter beside the key is at its end, or is due to be raised and cannot be stored.
    #[error("{path}: the start counter cannot be raised to {start}: {why}", path = path.display())]
    Counter {
        /// The counter's file.
        path: PathBuf,
        /// What it would have to be.
        start: u128,
        /// Why not, with the remedy.
        why: String,
    },
    /// The system refuses.
    #[error("cannot {doing} {path}: {source}", path = path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// With which file or directory.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
}

impl PrivateFileError {
    pub(super) fn io(path: &Path, doing: &'static str, why: impl Into<io::Error>) -> Self {
        PrivateFileError::Io { doing, path: path.to_owned(), source: why.into() }
    }

    /// Without a directory there is no file either.
    pub(super) fn about(self, file: &Path) -> Self {
        match self {
            PrivateFileError::NotFound { .. } => PrivateFileError::NotFound { path: file.to_owned() },
            why => why,
        }
    }
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}
