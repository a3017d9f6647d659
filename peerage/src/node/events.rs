//! Reading what happens.

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use super::event::Event;
use super::snapshot::EventRecord;
use super::wall::wall;

/// What happens to a node and around it, from [`Node::events`](super::Node::events) on.
#[derive(Debug)]
pub struct Events {
    receiver: broadcast::Receiver<EventRecord>,
}

impl Events {
    pub(crate) fn new(receiver: broadcast::Receiver<EventRecord>) -> Events {
        Events { receiver }
    }

    /// The next event; `None` once the node has stopped and all events are read.
    ///
    /// Cancel-safe: dropping the future loses no event.
    pub async fn next(&mut self) -> Option<EventRecord> {
        match self.receiver.recv().await {
            Ok(record) => Some(record),
            Err(RecvError::Closed) => None,
            Err(RecvError::Lagged(count)) => {
                let wall = wall(std::time::SystemTime::now());
                Some(EventRecord { event: Event::Skipped { count }, wall, version: 0 })
            }
        }
    }
}
