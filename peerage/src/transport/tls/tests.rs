//! Nodes that meet over TLS, and strangers who do not get in.

use std::time::Duration;

use peerage_proto::id::NodeId;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::identity::Identity;
use crate::transport::gate::{Gate, GateLimits};
use crate::transport::suite;
use crate::transport::*;

mod nodes;
mod rogue;
mod strangers;

const PATIENCE: Duration = Duration::from_secs(20);

/// A node that listens, and one that dials.
struct Meeting {
    listener: Identity,
    dialler: Identity,
    gate: Gate,
    listening: Listening,
}

impl Meeting {
    async fn at(place: suite::Place, limits: GateLimits) -> Meeting {
        let (listener, dialler) = (Identity::generate(), Identity::generate());
        let gate = Gate::new(limits);
        let listening = listen_node(&place.address, &listener, &gate).await.unwrap();
        Meeting { listener, dialler, gate, listening }
    }

    fn address(&self) -> Address {
        self.listening.local_address().clone()
    }

    async fn dial(&self, expected: Option<NodeId>) -> Result<Connection, DialError> {
        dial_node(&self.address(), &self.dialler, expected, PATIENCE, None).await
    }

    /// Both ends of one connection: the dialler's first.
    async fn meet(&mut self) -> (Connection, Connection) {
        let (address, dialler) = (self.address(), self.dialler.clone());
        let (near, far) = tokio::join!(
            dial_node(&address, &dialler, Some(self.listener.id()), PATIENCE, None),
            self.listening.accept()
        );
        (near.unwrap(), far)
    }
}
