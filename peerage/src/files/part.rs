//! A file that has not arrived yet: under a dot name, locked while somebody writes to it.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FlockOperation, OFlags, RenameFlags};
use sha2::{Digest as _, Sha256};

use super::{BLOCK_BYTES, hex, name};

/// The part of a file that is there.
pub(super) struct Part {
    file: File,
    folder: PathBuf,
    path: PathBuf,
    /// How many bytes there are, and their hash.
    pub(super) bytes: u64,
    hash: Sha256,
}

impl Part {
    /// The part of this file of this sender, new or from an earlier try. Waits a moment for an earlier try to end.
    pub(super) fn open(folder: &Path, sender: &str, name: &str, size: u64) -> io::Result<Part> {
        let mut mark = Sha256::new();
        mark.update(format!("{sender}\n{size}\n{name}"));
        let path = folder.join(format!(".{name}.{}.part", &hex(&mark.finalize())[..32]));
        let mut options = OpenOptions::new();
        let no_links = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits()).unwrap_or_default();
        options.read(true).write(true).create(true).truncate(false).mode(0o644).custom_flags(no_links);
        let file = options.open(&path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("something else lies where the part of the file would"));
        }
        lock(&file)?;
        let mut part = Part { file, folder: folder.to_owned(), path, bytes: 0, hash: Sha256::new() };
        part.read_what_is_there(size)?;
        Ok(part)
    }

    fn read_what_is_there(&mut self, size: u64) -> io::Result<()> {
        let mut block = vec![0; BLOCK_BYTES];
        loop {
            let count = self.file.read(&mut block)?;
            if count == 0 {
                break;
            }
            self.hash.update(&block[..count]);
            self.bytes += count as u64;
        }
        if self.bytes > size { self.start_over() } else { Ok(()) }
    }

    /// Throws away what is there.
    pub(super) fn start_over(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        (self.bytes, self.hash) = (0, Sha256::new());
        Ok(())
    }

    /// The hash of what is there.
    pub(super) fn sha256(&self) -> String {
        hex(&self.hash.clone().finalize())
    }

    pub(super) fn append(&mut self, piece: &[u8]) -> io::Result<()> {
        self.file.write_all(piece)?;
        self.hash.update(piece);
        self.bytes += piece.len() as u64;
        Ok(())
    }

    /// It is whole: gives it its name, or the next one that is free. Whatever has the name already, a link too, stays.
    pub(super) fn finish(self, wanted: &str) -> io::Result<PathBuf> {
        self.file.sync_all()?;
        for n in 0..NAMES_TRIED {
            let path = self.folder.join(name::nth(wanted, n));
            match rustix::fs::renameat_with(CWD, &self.path, CWD, &path, RenameFlags::NOREPLACE) {
                Ok(()) => return Ok(path),
                Err(rustix::io::Errno::EXIST) => {}
                Err(why) => return Err(why.into()),
            }
        }
        Err(io::Error::new(io::ErrorKind::AlreadyExists, "too many files of this name"))
    }

    /// It is not what it should be: the next try begins anew.
    pub(super) fn discard(self) -> io::Result<()> {
        std::fs::remove_file(&self.path)
    }
}

/// Locks a part for this try. An earlier one may need a moment to notice that its sender is gone.
fn lock(file: &File) -> io::Result<()> {
    let until = Instant::now() + LOCK_WITHIN;
    loop {
        match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(()),
            Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() < until => std::thread::sleep(LOCK_AGAIN),
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(io::Error::new(io::ErrorKind::WouldBlock, "this file is being sent already"));
            }
            Err(why) => return Err(why.into()),
        }
    }
}

/// Time in which an earlier try ends whose sender is gone.
const LOCK_WITHIN: Duration = Duration::from_secs(3);

/// Time between two looks.
const LOCK_AGAIN: Duration = Duration::from_millis(20);

/// Names that are tried for a file: its own and numbered ones.
const NAMES_TRIED: u32 = 10_000;
