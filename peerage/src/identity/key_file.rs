//! Key files: one sealed line, locked while a node uses it.
//!
//! Two locks lie on a file in use. The first (`flock`) belongs to the open file and excludes everybody else, this process
//! included. The second (a record lock) excludes nobody; it is there because the system tells others which process holds
//! one. The system takes a record lock away when the process closes *any* descriptor of the file, so a file that is held
//! here is not opened a second time: this process keeps a list of them.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{File, TryLockError};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use peerage_proto::id::NodeId;
use rustix::fs::FlockOperation;
use rustix::process::{Flock, FlockType};
use zeroize::Zeroizing;

use super::{Identity, SEED_BYTES};
use crate::private_file::{self, Damage, Folder, Kind, PrivateFileError};

/// What a key file tells to those who do not use it.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct KeyInfo {
    /// Whose key it is.
    pub id: NodeId,
    /// The process that holds it, if a node does and the system tells.
    pub in_use_by: Option<u32>,
}

impl KeyInfo {
    /// Reads a key file without locking it, so that nobody who starts at this moment is disturbed.
    ///
    /// # Errors
    ///
    /// As those of [`Identity::open`], except that the key may be in use.
    pub fn read(path: &Path) -> Result<KeyInfo, PrivateFileError> {
        let held = held();
        if let Some(id) = place_of(path).and_then(|place| held.get(&place)) {
            return Ok(KeyInfo { id: *id, in_use_by: Some(std::process::id()) });
        }
        let opened = Opened::at(path)?;
        let seed = opened.seed()?;
        Ok(KeyInfo { id: Identity::from_seed(&seed).id(), in_use_by: holder(&opened.file) })
    }
}

/// Makes a key file, unless the name is taken.
pub(super) fn create(path: &Path, seed: &[u8; SEED_BYTES]) -> Result<(), PrivateFileError> {
    let (folder, name) = Folder::private_of(path)?;
    let mut line = private_file::seal(Kind::Key, seed);
    line.push('\n');
    folder.create(&name, line.as_bytes())
}

/// A key file that is locked, until this is dropped.
pub(super) struct LockedKey {
    place: Place,
    /// Taken out when dropped.
    file: Option<File>,
}

impl LockedKey {
    /// Locks a key file and reads the secret key.
    pub(super) fn open(path: &Path) -> Result<(Zeroizing<[u8; SEED_BYTES]>, LockedKey), PrivateFileError> {
        let mut held = held();
        let in_use = |pid| PrivateFileError::InUse { path: path.to_owned(), pid };
        if place_of(path).is_some_and(|place| held.contains_key(&place)) {
            return Err(in_use(Some(std::process::id())));
        }
        let opened = Opened::at(path)?;
        let io = |doing: &'static str, why| PrivateFileError::Io { doing, path: path.to_owned(), source: why };
        opened.file.try_lock().map_err(|why| match why {
            TryLockError::WouldBlock => in_use(holder(&opened.file)),
            TryLockError::Error(why) => io("lock", why),
        })?;
        // Only tells who we are: without it the others say "another process".
        if let Err(why) = rustix::fs::fcntl_lock(&opened.file, FlockOperation::NonBlockingLockShared) {
            tracing::debug!(%why, "others will not see which process holds {}", path.display());
        }
        let seed = opened.seed()?;
        let metadata = opened.file.metadata().map_err(|why| io("look at", why))?;
        let place = (metadata.dev(), metadata.ino());
        held.insert(place, Identity::from_seed(&seed).id());
        Ok((seed, LockedKey { place, file: Some(opened.file) }))
    }
}

impl Drop for LockedKey {
    fn drop(&mut self) {
        let mut held = held();
        held.remove(&self.place);
        // While nobody else can look: what is not on the list is not locked either.
        drop(self.file.take());
    }
}

/// A key file that only we can have written and read.
struct Opened {
    folder: Folder,
    name: OsString,
    file: File,
}

impl Opened {
    fn at(path: &Path) -> Result<Opened, PrivateFileError> {
        let (folder, name) = Folder::private_of_if_there(path)?;
        let file = folder.open_file(&name)?;
        Ok(Opened { folder, name, file })
    }

    fn seed(&self) -> Result<Zeroizing<[u8; SEED_BYTES]>, PrivateFileError> {
        let text = self.folder.read_from(&self.name, &self.file)?;
        let damaged = |why| PrivateFileError::Damaged { path: self.folder.path_of(&self.name), why };
        let content = private_file::unseal(Kind::Key, &text).map_err(damaged)?;
        let mut seed = Zeroizing::new([0; SEED_BYTES]);
        if content.len() != seed.len() {
            return Err(damaged(Damage::Content));
        }
        seed.copy_from_slice(&content);
        Ok(seed)
    }
}

/// The process that holds the file, if another one does.
fn holder(file: &File) -> Option<u32> {
    let in_my_way = rustix::process::fcntl_getlk(file, &Flock::from(FlockType::WriteLock)).ok()??;
    u32::try_from(in_my_way.pid?.as_raw_pid()).ok()
}

/// Device and inode: which file it is, whatever the path.
type Place = (u64, u64);

fn place_of(path: &Path) -> Option<Place> {
    std::fs::symlink_metadata(path).ok().map(|found| (found.dev(), found.ino()))
}

/// The key files that this process holds. Whoever opens one keeps the list until the file is on it.
fn held() -> MutexGuard<'static, BTreeMap<Place, NodeId>> {
    static HELD: Mutex<BTreeMap<Place, NodeId>> = Mutex::new(BTreeMap::new());
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}
