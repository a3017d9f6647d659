//! Files that hold secrets: made whole or not at all, and read only if nobody else could have read or made them.
//!
//! Everything goes through the open directory, never twice through a path, so a directory that is exchanged in between
//! changes nothing; and no last component is ever followed if it is a symbolic link.
//!
//! ```text
//!   create   a temporary of random name, 0600 from birth ─▶ content ─▶ fsync ─▶ rename, refused if the name is taken
//!   read     opened without following a link ─▶ a plain file? ours? nobody else's to read? small? ─▶ content
//! ```
//!
//! A reader therefore sees the whole file or none, and of any number of processes that make the same file at once exactly
//! one succeeds; the others read what it made.
//!
//! Whoever reads or makes such a file holds a secret, so that is when core dumps are turned off for the process.

use std::ffi::{OsStr, OsString};
use std::fs::{DirBuilder, File, Metadata};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use zeroize::Zeroizing;

mod error;
mod sealed;
#[cfg(test)]
mod tests;

pub use error::PrivateFileError;
pub use sealed::Damage;
pub(crate) use sealed::{Kind, open as unseal, seal};

/// Makes a directory that only this user may enter, and those above it that are missing; or checks that it is one.
///
/// # Errors
///
/// [`PrivateFileError`] if there is something else of that name, if it belongs to somebody else, or if others may enter it.
pub fn private_folder(path: &Path) -> Result<(), PrivateFileError> {
    Folder::private(path).map(|_| ())
}

/// An open directory, and the path under which it was opened, for messages.
#[derive(Debug)]
pub(crate) struct Folder {
    descriptor: File,
    path: PathBuf,
}

impl Folder {
    /// The directory, which must be this user's alone. It is made, with those above it, if there is none.
    pub(crate) fn private(path: &Path) -> Result<Folder, PrivateFileError> {
        let path = existing(path);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .or_else(|why| if why.kind() == io::ErrorKind::AlreadyExists { Ok(()) } else { Err(why) })
            .map_err(|why| PrivateFileError::io(path, "make the directory", why))?;
        Folder::private_if_there(path)
    }

    /// The directory, which must be this user's alone and be there.
    pub(crate) fn private_if_there(path: &Path) -> Result<Folder, PrivateFileError> {
        let folder = Folder::open(path, OFlags::NOFOLLOW)?;
        let found = folder.descriptor.metadata().map_err(|why| PrivateFileError::io(path, "look at", why))?;
        check_owner(path, &found)?;
        match found.mode() & OTHERS {
            0 => Ok(folder),
            _ => Err(PrivateFileError::FolderOpenToOthers { path: path.to_owned(), mode: found.mode() & 0o7777 }),
        }
    }

    /// The directory in which `file` lies, whoever it belongs to, and the file's name there.
    pub(crate) fn of(file: &Path) -> Result<(Folder, OsString), PrivateFileError> {
        let name = name_of(file)?;
        let folder = Folder::open(parent(file), OFlags::empty()).map_err(|why| why.about(file))?;
        Ok((folder, name.to_owned()))
    }

    /// As [`of`](Folder::of), where the directory must be this user's alone; it is made if there is none.
    pub(crate) fn private_of(file: &Path) -> Result<(Folder, OsString), PrivateFileError> {
        let name = name_of(file)?;
        Ok((Folder::private(parent(file))?, name.to_owned()))
    }

    /// As [`private_of`](Folder::private_of), but the directory must be there.
    pub(crate) fn private_of_if_there(file: &Path) -> Result<(Folder, OsString), PrivateFileError> {
        let name = name_of(file)?;
        let folder = Folder::private_if_there(parent(file)).map_err(|why| why.about(file))?;
        Ok((folder, name.to_owned()))
    }

    fn open(path: &Path, more: OFlags) -> Result<Folder, PrivateFileError> {
        let path = existing(path);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | more;
        let descriptor = rustix::fs::open(path, flags, Mode::empty()).map_err(|why| match why {
            Errno::LOOP | Errno::NOTDIR if path.is_symlink() => PrivateFileError::Symlink { path: path.to_owned() },
            Errno::NOTDIR => PrivateFileError::NotAFolder { path: path.to_owned() },
            Errno::NOENT => PrivateFileError::NotFound { path: path.to_owned() },
            why => PrivateFileError::io(path, "open", why),
        })?;
        Ok(Folder { descriptor: File::from(descriptor), path: path.to_owned() })
    }

    /// Makes the file with this content, unless the name is taken.
    pub(crate) fn create(&self, name: &OsStr, content: &[u8]) -> Result<(), PrivateFileError> {
        self.write(name, content, Taken::Refuse)
    }

    /// Makes the file with this content in place of what had its name.
    pub(crate) fn replace(&self, name: &OsStr, content: &[u8]) -> Result<(), PrivateFileError> {
        self.write(name, content, Taken::Replace)
    }

    /// The file, if it is one that only this user can have written and read.
    pub(crate) fn open_file(&self, name: &OsStr) -> Result<File, PrivateFileError> {
        let path = self.path.join(name);
        // A fifo must not make us wait for somebody to write to it.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.descriptor, name, flags, Mode::empty()).map_err(|why| match why {
            Errno::LOOP | Errno::MLINK => PrivateFileError::Symlink { path: path.clone() },
            Errno::NOENT => PrivateFileError::NotFound { path: path.clone() },
            Errno::NXIO => PrivateFileError::NotAFile { path: path.clone() },
            why => PrivateFileError::io(&path, "open", why),
        })?;
        let file = File::from(file);
        let found = file.metadata().map_err(|why| PrivateFileError::io(&path, "look at", why))?;
        if !found.is_file() {
            return Err(PrivateFileError::NotAFile { path });
        }
        check_owner(&path, &found)?;
        match found.mode() & OTHERS {
            0 => Ok(file),
            _ => Err(PrivateFileError::FileOpenToOthers { path, mode: found.mode() & 0o7777 }),
        }
    }

    /// The file's content as text. From here on this process dumps no core.
    pub(crate) fn read(&self, name: &OsStr) -> Result<Zeroizing<String>, PrivateFileError> {
        self.read_from(name, &self.open_file(name)?)
    }

    /// As [`read`](Folder::read), of a file that was opened here under this name.
    pub(crate) fn read_from(&self, name: &OsStr, file: &File) -> Result<Zeroizing<String>, PrivateFileError> {
        let path = self.path.join(name);
        no_core_dumps();
        // Room for all of it at once: growing would leave copies behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(FILE_BYTES_MAX + 1));
        file.take(FILE_BYTES_MAX as u64 + 1)
            .read_to_end(&mut bytes)
            .map_err(|why| PrivateFileError::io(&path, "read", why))?;
        if bytes.len() > FILE_BYTES_MAX {
            return Err(PrivateFileError::Damaged { path, why: Damage::TooLong });
        }
        match String::from_utf8(std::mem::take(&mut *bytes)) {
            Ok(text) => Ok(Zeroizing::new(text)),
            Err(why) => {
                drop(Zeroizing::new(why.into_bytes()));
                Err(PrivateFileError::Damaged { path, why: Damage::NotText })
            }
        }
    }

    /// Where a file of this name lies, for messages.
    pub(crate) fn path_of(&self, name: &OsStr) -> PathBuf {
        self.path.join(name)
    }

    fn write(&self, name: &OsStr, content: &[u8], taken: Taken) -> Result<(), PrivateFileError> {
        no_core_dumps();
        let path = self.path.join(name);
        let (temporary, mut file) = self.temporary(name)?;
        let done = file
            .write_all(content)
            .and_then(|()| file.sync_all())
            .map_err(|why| PrivateFileError::io(&path, "write", why))
            .and_then(|()| match taken {
                Taken::Refuse => self.give_name(&temporary, name),
                Taken::Replace => rustix::fs::renameat(&self.descriptor, &*temporary, &self.descriptor, name)
                    .map_err(|why| PrivateFileError::io(&path, "name", why)),
            });
        if done.is_err() {
            let _ = rustix::fs::unlinkat(&self.descriptor, &*temporary, rustix::fs::AtFlags::empty());
        }
        done?;
        // The name is as lasting as the content. Some file systems cannot do this to a directory, and lose nothing by it.
        let _ = rustix::fs::fsync(&self.descriptor);
        Ok(())
    }

    /// A new file, 0600, of a name that nobody can have foreseen.
    fn temporary(&self, name: &OsStr) -> Result<(OsString, File), PrivateFileError> {
        let mut random = [0; 8];
        // The library ends the process by itself when the system has no random numbers to give.
        aws_lc_rs::rand::fill(&mut random).expect("random numbers are drawn or the process has ended");
        let mut temporary = OsString::from(".");
        temporary.push(name);
        temporary.push(format!(".{:016x}.new", u64::from_ne_bytes(random)));
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let failed = |why| PrivateFileError::io(&self.path, "make a file in", why);
        let file = rustix::fs::openat(&self.descriptor, &*temporary, flags, PRIVATE).map_err(failed)?;
        // The umask can only take away; without this a strict one would leave a file that its owner cannot read.
        rustix::fs::fchmod(&file, PRIVATE).map_err(failed)?;
        Ok((temporary, File::from(file)))
    }

    /// Renames, unless the name is taken.
    fn give_name(&self, temporary: &OsStr, name: &OsStr) -> Result<(), PrivateFileError> {
        let (from, path) = (&self.descriptor, self.path.join(name));
        let done = match rustix::fs::renameat_with(from, temporary, from, name, RenameFlags::NOREPLACE) {
            // Not every file system can refuse a taken name while renaming. A hard link always does.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
                rustix::fs::linkat(from, temporary, from, name, rustix::fs::AtFlags::empty()).map(|()| {
                    let _ = rustix::fs::unlinkat(from, temporary, rustix::fs::AtFlags::empty());
                })
            }
            done => done,
        };
        done.map_err(|why| match why {
            Errno::EXIST => PrivateFileError::Exists { path },
            why => PrivateFileError::io(&path, "name", why),
        })
    }
}

/// What to do about a name that is taken.
#[derive(Clone, Copy)]
enum Taken {
    Refuse,
    Replace,
}

/// From now on the memory of this process is not written to disk when it crashes, and other processes of the user cannot
/// look into it.
pub(crate) fn no_core_dumps() {
    #[cfg(target_os = "linux")]
    let done = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    #[cfg(not(target_os = "linux"))]
    let done = rustix::process::setrlimit(
        rustix::process::Resource::Core,
        rustix::process::Rlimit { current: Some(0), maximum: Some(0) },
    );
    if let Err(why) = done {
        tracing::warn!(%why, "core dumps cannot be turned off: a crash may write secrets to disk");
    }
}

fn check_owner(path: &Path, found: &Metadata) -> Result<(), PrivateFileError> {
    let us = rustix::process::geteuid().as_raw();
    if found.uid() == us {
        return Ok(());
    }
    Err(PrivateFileError::Foreign { path: path.to_owned(), owner: found.uid(), us })
}

fn name_of(file: &Path) -> Result<&OsStr, PrivateFileError> {
    file.file_name().ok_or_else(|| PrivateFileError::NotAFile { path: file.to_owned() })
}

fn parent(file: &Path) -> &Path {
    existing(file.parent().unwrap_or(Path::new("")))
}

/// The same directory in words that the system knows: an empty path means "here".
fn existing(path: &Path) -> &Path {
    if path.as_os_str().is_empty() { Path::new(".") } else { path }
}

/// Mode of a file that is its owner's alone.
const PRIVATE: Mode = Mode::RUSR.union(Mode::WUSR);

/// What group and others may do.
const OTHERS: u32 = 0o077;

/// Longest file that is read: the longest ticket and its newline.
const FILE_BYTES_MAX: usize = peerage_proto::limits::TICKET_BYTES_MAX + 2;
