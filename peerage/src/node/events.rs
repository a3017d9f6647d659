//! Reading what happens.

use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio_util::sync::CancellationToken;

use super::event::Event;
use super::shared::Shared;
use super::snapshot::EventRecord;
use super::wall::wall;
use crate::metrics::Metrics;

/// What happens to a node and around it, from [`Node::events`](super::Node::events) on.
#[derive(Debug)]
pub struct Events {
    receiver: broadcast::Receiver<EventRecord>,
    stopped: CancellationToken,
    metrics: Arc<Metrics>,
}

impl Events {
    pub(super) fn new(node: &Shared) -> Events {
        Events { receiver: node.listen(), stopped: node.stopped.clone(), metrics: node.metrics.clone() }
    }

    /// The next event; `None` once the node has stopped and all events are read.
    ///
    /// Cancel-safe: dropping the future loses no event.
    pub async fn next(&mut self) -> Option<EventRecord> {
        tokio::select! {
            biased;
            received = self.receiver.recv() => match received {
                Ok(record) => Some(record),
                Err(RecvError::Closed) => None,
                Err(RecvError::Lagged(count)) => Some(self.skipped(count)),
            },
            // Nothing is told after the node has stopped.
            () = self.stopped.cancelled() => match self.receiver.try_recv() {
                Ok(record) => Some(record),
                Err(TryRecvError::Empty | TryRecvError::Closed) => None,
                Err(TryRecvError::Lagged(count)) => Some(self.skipped(count)),
            },
        }
    }

    fn skipped(&self, count: u64) -> EventRecord {
        self.metrics.events_skipped.add(count);
        EventRecord { event: Event::Skipped { count }, wall: wall(SystemTime::now()), version: 0 }
    }
}
