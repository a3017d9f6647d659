//! Unix sockets: other processes on this machine, of this user.
//!
//! A unix address is a file, and files have three troubles of their own.
//!
//! **Who may connect.** The file is 0600 from its birth: on Linux the mode set on the unbound socket is the mode of the
//! file that `bind` creates (less the umask, which can only take away). Elsewhere the mode is set between `bind` and
//! `listen`, when connecting is still refused to everybody. Neither way touches the umask, which is one for all
//! threads, and neither needs a second directory, whose name would have to fit into the 107 bytes of a path.
//!
//! **Files left behind.** A process that is killed leaves its file. A file to which connecting is refused has no
//! listener and is replaced; one that answers is in use; anything that is no socket is never touched. Between the
//! question and the replacing another process could do the same, and the later one would remove the living file of the
//! earlier. Therefore both are done in turn, under a lock on the directory.
//!
//! **Cleaning up.** On close the file is removed if it is still the one we made (same device and inode), and before
//! the socket is closed: while it lives, nobody takes the file for a stale one.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use peerage_proto::address::Address;
use rustix::fs::{FlockOperation, Mode};
use rustix::net::SendFlags;
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::sleep;

use super::error::PATH_BYTES_MAX;
use super::{BACKLOG, BindError, ByteStream, Connection, DialError, UnixCredentials};

impl ByteStream for UnixStream {
    /// A process that has closed its end, or has ended, is told apart from one that only says no more.
    fn takes_nothing(&self) -> bool {
        rustix::net::send(self, &[], QUIETLY) == Err(rustix::io::Errno::PIPE)
    }
}

/// Without waiting, and without a signal.
#[cfg(not(target_vendor = "apple"))]
const QUIETLY: SendFlags = SendFlags::DONTWAIT.union(SendFlags::NOSIGNAL);

/// Without waiting. The socket itself is made so that there is no signal.
#[cfg(target_vendor = "apple")]
const QUIETLY: SendFlags = SendFlags::DONTWAIT;

pub(super) async fn dial(address: &Address) -> Result<Connection, DialError> {
    let path = path(address);
    if path.as_os_str().len() > PATH_BYTES_MAX {
        return Err(DialError::PathTooLong { address: address.clone() });
    }
    loop {
        let why = match UnixStream::connect(path).await {
            Ok(stream) => {
                return connection(stream, &address.bare()).map_err(|why| DialError::from_io(address, why));
            }
            Err(why) => why,
        };
        let address = address.clone();
        return Err(match why.kind() {
            // The listener's queue is full, and the system does not say when there is room.
            io::ErrorKind::WouldBlock => {
                sleep(FULL_QUEUE_PAUSE).await;
                continue;
            }
            io::ErrorKind::NotFound => DialError::NotFound { address },
            io::ErrorKind::ConnectionRefused => match fs::metadata(path) {
                Ok(file) if file.file_type().is_socket() => DialError::StaleSocket { address },
                Ok(_) => DialError::NotASocket { address },
                Err(_) => DialError::NotFound { address },
            },
            _ => DialError::from_io(&address, why),
        });
    }
}

pub(super) async fn listen(address: &Address) -> Result<Acceptor, BindError> {
    let wanted = address.clone();
    // Files and the lock on their directory block.
    let bound = tokio::task::spawn_blocking(move || bind(&wanted)).await;
    let (socket, file) = bound.map_err(|why| BindError::from_io(address, why.into()))??;
    let listener = UnixListener::from_std(socket.into()).map_err(|why| BindError::from_io(address, why))?;
    Ok(Acceptor { place: address.bare(), file, listener })
}

pub(super) struct Acceptor {
    place: Address,
    /// Before the listener, because fields are dropped in this order: the file goes while the socket lives.
    file: SocketFile,
    listener: UnixListener,
}

impl Acceptor {
    pub(super) async fn accept(&mut self) -> io::Result<Connection> {
        // Nothing is awaited after `accept`: a cancelled wait loses no connection.
        let (stream, _) = self.listener.accept().await?;
        connection(stream, &self.place)
    }

    /// Whether its file is still where others look for it. Somebody may have tidied it away.
    pub(super) fn is_there(&self) -> bool {
        self.file.is_there()
    }
}

fn connection(stream: UnixStream, place: &Address) -> io::Result<Connection> {
    let peer = stream.peer_cred()?;
    let credentials = UnixCredentials { uid: peer.uid(), gid: peer.gid(), pid: peer.pid() };
    let mut connection = Connection::new(Box::new(stream), place.clone(), place.clone());
    connection.credentials = Some(credentials);
    Ok(connection)
}

fn bind(address: &Address) -> Result<(Socket, SocketFile), BindError> {
    let path = path(address);
    if path.as_os_str().len() > PATH_BYTES_MAX {
        return Err(BindError::PathTooLong { path: path.to_owned() });
    }
    let _turn = take_turn(path);
    remove_stale(path, address)?;
    let failed = |why: io::Error| match why.kind() {
        io::ErrorKind::NotFound => BindError::NoDirectory { path: path.to_owned() },
        _ => BindError::from_io(address, why),
    };
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None).map_err(failed)?;
    // Where the system knows no mode of an unbound socket, `make_private` does it.
    let _ = rustix::fs::fchmod(&socket, Mode::RUSR | Mode::WUSR);
    socket.bind(&SockAddr::unix(path).map_err(failed)?).map_err(failed)?;
    let made = fs::symlink_metadata(path).map_err(failed)?;
    let file = SocketFile::new(path, &made);
    make_private(path, &made).map_err(failed)?;
    socket.set_nonblocking(true).map_err(failed)?;
    socket.listen(BACKLOG).map_err(failed)?;
    Ok((socket, file))
}

/// Makes way for a new socket file: removes one whose listener is gone, and nothing else.
fn remove_stale(path: &Path, address: &Address) -> Result<(), BindError> {
    let in_use = || Err(BindError::AddressInUse { address: address.clone() });
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(why) if why.kind() == io::ErrorKind::NotADirectory => {
            return Err(BindError::NoDirectory { path: path.to_owned() });
        }
        Err(why) => return Err(BindError::from_io(address, why)),
    };
    if !found.file_type().is_socket() {
        return Err(BindError::NotASocket { path: path.to_owned() });
    }
    match knock(path) {
        Ok(()) => in_use(),
        Err(why) => match why.kind() {
            io::ErrorKind::NotFound => Ok(()),
            io::ErrorKind::ConnectionRefused => {
                SocketFile::new(path, &found).remove().map_err(|why| BindError::from_io(address, why))
            }
            io::ErrorKind::PermissionDenied => Err(BindError::from_io(address, why)),
            // A full queue, or a socket of another type: somebody is there.
            _ => in_use(),
        },
    }
}

/// Connects and closes. A living listener sees one connection that ends at once.
fn knock(path: &Path) -> io::Result<()> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?; // a full queue must not hold us
    socket.connect(&SockAddr::unix(path)?)
}

/// Waits until no other process binds in this directory; the turn ends when the file is dropped.
///
/// The lock narrows a race between ours, it guards no secret: where it cannot be had (an unreadable directory, or a
/// stranger who holds it in a shared one), we go on without.
fn take_turn(path: &Path) -> Option<File> {
    let directory = File::open(path.parent()?).ok()?;
    for _ in 0..TURN_TRIES {
        match rustix::fs::flock(&directory, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Some(directory),
            Err(rustix::io::Errno::WOULDBLOCK) => std::thread::sleep(TURN_PAUSE),
            Err(_) => return None,
        }
    }
    None
}

fn make_private(path: &Path, made: &Metadata) -> io::Result<()> {
    if made.mode() & 0o777 == PRIVATE {
        return Ok(());
    }
    fs::set_permissions(path, fs::Permissions::from_mode(PRIVATE))
}

/// A socket file that is ours; dropping it removes the file, unless another one lies there by now.
struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl SocketFile {
    fn new(path: &Path, file: &Metadata) -> Self {
        SocketFile { path: path.to_owned(), device: file.dev(), inode: file.ino() }
    }

    fn remove(&self) -> io::Result<()> {
        let removed = if self.is_there() { fs::remove_file(&self.path) } else { Ok(()) };
        match removed {
            Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(()),
            done => done,
        }
    }

    /// Whether what lies there is this file.
    fn is_there(&self) -> bool {
        let found = fs::symlink_metadata(&self.path);
        found.is_ok_and(|found| (found.dev(), found.ino()) == (self.device, self.inode))
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if let Err(why) = self.remove() {
            tracing::warn!(path = %self.path.display(), %why, "cannot remove our socket file");
        }
    }
}

fn path(address: &Address) -> &Path {
    address.path().expect("called for unix addresses only, which have a path")
}

/// Mode of a socket file: its owner alone.
const PRIVATE: u32 = 0o600;

/// How long to wait for room in the queue of a listener.
const FULL_QUEUE_PAUSE: Duration = Duration::from_millis(5);

/// How often the lock on a directory is asked for; with the pause about a second, while a turn takes less than 1 ms.
const TURN_TRIES: u32 = 200;

/// Pause between two such questions.
const TURN_PAUSE: Duration = Duration::from_millis(5);
