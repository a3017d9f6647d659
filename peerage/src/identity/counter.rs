//! How often a node was started: the counter that orders its epochs.
//!
//! A start takes the unix time in seconds, or one more than the last start if the clock is behind it. Only that second
//! case needs the memory of the file; so a file that is lost or damaged, or cannot be written on a full disk, does no
//! harm while the clock is right, and a clock that is wrong does none while the file is there.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use peerage_proto::id::NodeId;

use crate::private_file::{Folder, PrivateFileError};

/// The start counter of one identity.
pub(super) struct Counter {
    /// `None`: the identity ends with the process.
    file: Option<PathBuf>,
}

impl Counter {
    /// A counter that ends with the process.
    pub(super) fn in_memory() -> Counter {
        Counter { file: None }
    }

    /// The counter beside a key file.
    pub(super) fn beside(key: &Path) -> Counter {
        let mut file = OsString::from(key);
        file.push(".epoch");
        Counter { file: Some(file.into()) }
    }

    /// Raises the counter above what it was, above `above`, and to `clock` if that is more; and stores it.
    pub(super) fn raise(&self, id: NodeId, clock: u64, above: u64) -> Result<u64, PrivateFileError> {
        // One identity may be made of the same seed several times, so what this process knows belongs to the id.
        static LAST: Mutex<BTreeMap<NodeId, u64>> = Mutex::new(BTreeMap::new());
        let mut all = LAST.lock().unwrap_or_else(PoisonError::into_inner);
        let last = above.max(self.stored()).max(all.get(&id).copied().unwrap_or(0));
        let Some(next) = last.checked_add(1) else {
            return Err(self.failed(u128::from(last) + 1, "it is at its end; remove the file".to_owned()));
        };
        let start = next.max(clock);
        if let Err(why) = self.store(start) {
            // The next start finds the old value here, and its clock will be ahead of it as ours is.
            if clock <= last {
                let why = format!("{why}; make room, or set the clock, which is behind the last start");
                return Err(self.failed(start.into(), why));
            }
            tracing::warn!(%why, "the start counter was not stored: it is needed if the clock is set back");
        }
        // Starts of earlier seconds are older by the clock already.
        all.retain(|_, last| *last >= clock);
        all.insert(id, start);
        Ok(start)
    }

    /// What the file says; 0 if there is none, or none that makes sense.
    fn stored(&self) -> u64 {
        let Some(path) = &self.file else { return 0 };
        let read = Folder::of(path).and_then(|(folder, name)| folder.read(&name));
        match read {
            Ok(text) => text.trim().parse().unwrap_or_else(|_| {
                tracing::warn!("{}: is no start counter and will be replaced", path.display());
                0
            }),
            Err(PrivateFileError::NotFound { .. }) => 0,
            Err(why) => {
                tracing::warn!(%why, "the start counter cannot be read");
                0
            }
        }
    }

    fn store(&self, start: u64) -> Result<(), PrivateFileError> {
        let Some(path) = &self.file else { return Ok(()) };
        let (folder, name) = Folder::of(path)?;
        folder.replace(&name, format!("{start}\n").as_bytes())
    }

    fn failed(&self, start: u128, why: String) -> PrivateFileError {
        PrivateFileError::Counter { path: self.file.clone().unwrap_or_default(), start, why }
    }
}
