//! The doors of a node: its listeners for other nodes.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::admission::Reception;
use crate::transport::Listening;

/// The listeners of a node, open until they are closed or dropped.
pub(super) struct Doors {
    open: CancellationToken,
}

impl Doors {
    /// Takes the connections that come, each in a task of its own.
    pub(super) fn open(listeners: Vec<Listening>, reception: &Arc<Reception>) -> Doors {
        let open = CancellationToken::new();
        for listening in listeners {
            tokio::spawn(accept(listening, reception.clone(), open.clone()));
        }
        Doors { open }
    }

    /// Stops listening and frees the addresses.
    pub(super) fn close(&self) {
        self.open.cancel();
    }
}

impl Drop for Doors {
    fn drop(&mut self) {
        self.close();
    }
}

async fn accept(mut listening: Listening, reception: Arc<Reception>, open: CancellationToken) {
    loop {
        let connection = tokio::select! {
            connection = listening.accept() => connection,
            () = open.cancelled() => return,
        };
        // What has been accepted is not given up when the door closes: the driver says so to whom it concerns.
        let cancel = reception.tasks.child_token();
        let span = tracing::debug_span!(parent: &reception.shared.span, "accept", remote = %connection.remote);
        tokio::spawn(reception.clone().accept(connection, cancel).instrument(span));
    }
}
