//! A confirmation in the making: which subscribers have said what became of the events.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use peerage_proto::events::{Tally, Why};
use peerage_proto::id::NodeId;
use tokio::sync::Notify;

use super::receipt::{Confirmation, Receipt, add_dropped, add_unknown};

/// Waits for the word of each subscriber.
#[derive(Debug, Default)]
pub(super) struct Settling {
    rows: Mutex<Rows>,
    settled: Notify,
}

#[derive(Debug, Default)]
struct Rows {
    /// Marks without an answer.
    open: BTreeMap<u64, Row>,
    /// What is known.
    done: Confirmation,
}

#[derive(Debug)]
struct Row {
    peer: NodeId,
    events: u64,
    why: Why,
}

impl Settling {
    /// A subscriber is about to be given events; why they are dropped if they are.
    pub(super) fn awaits(&self, mark: u64, peer: NodeId, events: u64, why: Why) {
        let mut rows = self.lock();
        rows.done.due = rows.done.due.saturating_add(events);
        rows.open.insert(mark, Row { peer, events, why });
    }

    /// What became of them at one subscriber: those that left are delivered if it has confirmed that.
    pub(super) fn settled(&self, mark: u64, tally: Tally, is_confirmed: bool) {
        let mut rows = self.lock();
        let Some(row) = rows.open.remove(&mark) else { return };
        let delivered = if is_confirmed { tally.left } else { 0 };
        let dropped = tally.dropped.min(row.events);
        rows.done.delivered = rows.done.delivered.saturating_add(delivered);
        add_dropped(&mut rows.done.dropped, row.peer, dropped, row.why);
        let unknown = row.events.saturating_sub(delivered).saturating_sub(dropped);
        add_unknown(&mut rows.done.unknown, row.peer, unknown);
        let is_over = rows.open.is_empty();
        drop(rows);
        if is_over {
            self.settled.notify_waiters();
        }
    }

    /// Waits until all have said what became of the events.
    pub(super) async fn all(&self) {
        loop {
            let settled = self.settled.notified();
            if self.lock().open.is_empty() {
                return;
            }
            settled.await;
        }
    }

    /// What is known by now; what is not counts as unknown. Returns the marks that nobody waits for any more.
    pub(super) fn end(&self, receipt: Receipt) -> (Confirmation, Vec<u64>) {
        let mut rows = self.lock();
        let open = std::mem::take(&mut rows.open);
        let mut done = std::mem::take(&mut rows.done);
        drop(rows);
        for row in open.values() {
            add_unknown(&mut done.unknown, row.peer, row.events);
        }
        let Receipt { first, last, matched, .. } = receipt;
        (Confirmation { first, last, matched, ..done }, open.into_keys().collect())
    }

    fn lock(&self) -> MutexGuard<'_, Rows> {
        // Nothing panics under the lock; what it holds is the best there is.
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
