//! How long the runtime of a test stood still.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// A ticker on the runtime with one thread that it measures. Needs a `LocalSet`.
pub(crate) struct Ticker {
    longest: Rc<Cell<Duration>>,
}

impl Ticker {
    pub(crate) fn start() -> Ticker {
        let longest = Rc::new(Cell::new(Duration::ZERO));
        let seen = longest.clone();
        tokio::task::spawn_local(async move {
            loop {
                let begun = Instant::now();
                tokio::time::sleep(TICK).await;
                // A deadline rings for the task of the link, which wakes that of the caller: two turns, and so here.
                tokio::task::yield_now().await;
                seen.set(seen.get().max(begun.elapsed().saturating_sub(TICK)));
            }
        });
        Ticker { longest }
    }

    /// The longest stall so far.
    pub(crate) fn longest(&self) -> Duration {
        self.longest.get()
    }
}

const TICK: Duration = Duration::from_millis(10);
