//! Subscriptions of this node at the peer, under the lock for an instant: who listens is woken, and takes what has come itself.

use std::sync::Arc;

use peerage_proto::channel::{Input, Listened};
use peerage_proto::codec::Payload;
use tokio::time::Instant;

use super::Link;

/// Who listens to one subscription of ours on a link.
pub(crate) trait Listener: Send + Sync {
    /// There is something to be taken, the end of the subscription at least. Called without the lock of the link.
    fn something_came(&self, is_over: bool);
}

impl Link {
    /// Asks for events. Returns the number of the subscription on this link; how it fares is taken from
    /// [`take_events`](Self::take_events).
    pub(crate) fn subscribe(&self, wish: &Payload, listener: Arc<dyn Listener>) -> u64 {
        let mut state = self.lock();
        let number = state.machine.next_subscription();
        state.listeners.insert(number, listener);
        state.carry_out(Instant::now(), Input::Subscribe { number, wish });
        self.release(state);
        self.wake_driver();
        number
    }

    /// Takes what has come on a subscription.
    pub(crate) fn take_events(&self, number: u64) -> Listened {
        let mut state = self.lock();
        let taken = state.machine.take_events(number);
        if matches!(taken, Listened::Over(_)) {
            state.listeners.remove(&number);
        }
        let wants_to_write = state.machine.wants_to_write();
        self.release(state);
        if wants_to_write {
            self.wake_driver();
        }
        taken
    }

    /// Wants no more events: none at all, or none behind those that are queued by then.
    pub(crate) fn unsubscribe(&self, number: u64, finish: bool) {
        let mut state = self.lock();
        if !finish {
            state.listeners.remove(&number);
        }
        state.carry_out(Instant::now(), Input::Unsubscribe { number, finish });
        self.release(state);
        self.wake_driver();
    }

    /// What was taken makes no sense: the link is cut.
    pub(crate) fn garbled(&self, number: u64) {
        let mut state = self.lock();
        state.carry_out(Instant::now(), Input::Garbled { number });
        self.release(state);
        self.wake_driver();
    }
}
