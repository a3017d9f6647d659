//! The control socket: how programs of this user reach a running node.
//!
//! It is a plain listener on a unix socket, so forty lines of any language can use it; the codec is that of the first
//! frame. Beside the services that nodes offer each other it has those that change the node or are nobody else's
//! business, under `peerage/local/`. What flows to a client is a request of the node to the client, answered with null:
//! at most [`limits::CONTROL_UNANSWERED_MAX`] are unanswered, and that is the flow control.
//!
//! Three locks are on the door: the directory is this user's alone (0700), the socket is (0600), and the kernel says who
//! connects.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use peerage_proto::limits;

use crate::address::{Address, InvalidAddress};
use crate::channel::{Listener, Server};
use crate::dispatch::{Dispatch, Origin, Services};
use crate::metrics::Metrics;
use crate::private_file::{PrivateFileError, private_folder};
use crate::transport::{BindError, Connection};

/// Why there is no control socket.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// The path cannot be that of a socket.
    #[error("{} cannot be the path of a control socket: {why}", path.display())]
    Path {
        /// The path.
        path: PathBuf,
        /// What is wrong with it.
        why: InvalidAddress,
    },
    /// The directory is not this user's alone.
    #[error(transparent)]
    Folder(#[from] PrivateFileError),
    /// It cannot be listened at.
    #[error(transparent)]
    Bind(#[from] BindError),
}

/// Listens at `path`.
pub(crate) async fn listen(path: &Path) -> Result<Listener, ControlError> {
    let address = Address::unix(path).map_err(|why| ControlError::Path { path: path.to_owned(), why })?;
    if let Some(folder) = path.parent() {
        private_folder(folder)?;
    }
    Ok(Listener::bind(&address).await?.max_connections(limits::CONTROL_CLIENTS_MAX))
}

/// Serves the programs that connect.
pub(crate) fn serve(listener: Listener, services: Arc<Services>, metrics: Arc<Metrics>) -> Server {
    listener.serve_each(Some(limits::CONTROL_FIRST_FRAME), move |connection| {
        let pid = same_user(connection)?;
        Some(Box::new(Dispatch::new(services.clone(), Origin::Control(pid), metrics.clone())))
    })
}

/// The process at the other end, if it is of this user.
fn same_user(connection: &Connection) -> Option<Option<i32>> {
    let own = rustix::process::getuid().as_raw();
    let credentials = connection.credentials?;
    if credentials.uid != own {
        tracing::warn!(uid = credentials.uid, "another user was turned away at the control socket");
        return None;
    }
    Some(credentials.pid)
}
