//! What a node tells of the machine and the program it runs in.

use nix::unistd::User;
use sha2::{Digest, Sha256};

/// What is the same for all nodes of one machine and says nothing else about it: a hash of what the system knows
/// the machine by, or of its name where there is no such thing.
pub(super) fn machine_id() -> [u8; 16] {
    let known_by = ["/etc/machine-id", "/var/lib/dbus/machine-id"].iter().find_map(|path| {
        let id = std::fs::read_to_string(path).ok()?;
        let id = id.trim();
        (!id.is_empty()).then(|| id.to_owned())
    });
    let known_by = known_by.unwrap_or_else(|| rustix::system::uname().nodename().to_string_lossy().into_owned());
    let mut hash = Sha256::new();
    hash.update(b"peerage machine 1");
    hash.update(known_by.as_bytes());
    let mut id = [0; 16];
    id.copy_from_slice(&hash.finalize()[..16]);
    id
}

/// The name of the user who runs this process, or the number where it has none.
pub(super) fn user() -> String {
    let uid = nix::unistd::getuid();
    User::from_uid(uid).ok().flatten().map_or_else(|| uid.to_string(), |user| user.name)
}

/// Path of the program.
pub(super) fn executable() -> Option<String> {
    std::env::current_exe().ok().map(|path| path.to_string_lossy().into_owned())
}
