//! Finding the other nodes of this user on this machine: each has a link socket, `run/<network>/<name>.link`.

use std::path::Path;

use peerage::Address;

use crate::running::named_entries;

/// Addresses of the link sockets there are, less our own.
pub(crate) fn neighbours(run: &Path, own: Option<&Path>) -> Vec<Address> {
    let sockets = named_entries(run, ".link").unwrap_or_default().into_iter().map(|(_, path)| path);
    let others = sockets.filter(|path| own != Some(path.as_path()));
    others.filter_map(|path| Address::unix(&path).ok()).collect()
}
