//! Finding the other nodes of this user on this machine: each has a link socket, `run/<network>/<name>.link`.
//!
//! A node first listens at its own socket and then looks for those of others. So of any two nodes that start together at
//! least one finds the other, whatever the timing. A socket is dialled once: its node may have ended without removing it,
//! and whoever comes later finds us.

use std::path::Path;

use peerage::{Address, Node};

use crate::running::named_entries;

/// Dials the nodes of this user that are there now.
pub(crate) fn greet(node: &Node, run: &Path) {
    for address in neighbours(run).into_iter().filter(|address| !node.addresses().contains(address)) {
        let node = node.clone();
        tokio::spawn(async move {
            if let Err(why) = node.connect(&address).await {
                tracing::debug!(%address, %why, "a node of this user was not reached");
            }
        });
    }
}

/// Addresses of the link sockets there are.
fn neighbours(run: &Path) -> Vec<Address> {
    let sockets = named_entries(run, ".link").unwrap_or_default();
    sockets.iter().filter_map(|(_, path)| Address::unix(path).ok()).collect()
}
