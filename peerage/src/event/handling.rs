//! A function that runs for each event: in order, one at a time, and never a danger to anybody else.

use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;

use tokio_util::sync::{CancellationToken, DropGuard};

use super::{Event, Heard, Subscription};
use crate::shown::shown;

/// A function that runs for each event of a subscription. Dropping it unsubscribes; an event that is being handled is given up.
#[derive(Debug)]
#[must_use = "dropping it unsubscribes"]
pub struct Handling {
    counts: Arc<Counts>,
    _stop: DropGuard,
}

#[derive(Debug, Default)]
struct Counts {
    handled: AtomicU64,
    failed: AtomicU64,
    missed: AtomicU64,
}

impl Handling {
    /// Runs `handler` for each event of a subscription, on the present runtime.
    pub(crate) fn start<F, Fut, E>(mut subscription: Subscription, mut handler: F) -> Handling
    where
        F: FnMut(Event) -> Fut + Send + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: fmt::Display + Send + 'static,
    {
        let counts = Arc::new(Counts::default());
        let stop = CancellationToken::new();
        let (told, stopped) = (counts.clone(), stop.clone());
        let work = async move {
            while let Some(heard) = subscription.next().await {
                match heard {
                    Heard::Event(event) => handle(&mut handler, event, &told).await,
                    Heard::Gap(gap) => {
                        told.missed.fetch_add(gap.count().unwrap_or(1), Ordering::Relaxed);
                        tracing::warn!(gap = %shown(&gap.to_string()), "events are missing");
                    }
                    _ => {}
                }
            }
        };
        tokio::spawn(async move {
            tokio::select! {
                () = work => {}
                () = stopped.cancelled() => {}
            }
        });
        Handling { counts, _stop: stop.drop_guard() }
    }

    /// Events that were handled without a failure.
    pub fn handled(&self) -> u64 {
        self.counts.handled.load(Ordering::Relaxed)
    }

    /// Events at which the function failed or panicked.
    pub fn failed(&self) -> u64 {
        self.counts.failed.load(Ordering::Relaxed)
    }

    /// Events that did not come, as far as their number is known.
    pub fn missed(&self) -> u64 {
        self.counts.missed.load(Ordering::Relaxed)
    }
}

/// Handles one event. What goes wrong is logged and counted, and concerns nobody else.
async fn handle<F, Fut, E>(handler: &mut F, event: Event, counts: &Counts)
where
    F: FnMut(Event) -> Fut,
    Fut: Future<Output = Result<(), E>>,
    E: fmt::Display,
{
    let (name, seq, from) = (event.name().to_owned(), event.seq(), event.from());
    let done = match catch_unwind(AssertUnwindSafe(|| handler(event))) {
        Ok(future) => {
            let mut future = pin!(future);
            let step = std::future::poll_fn(|cx| {
                catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx)))
                    .map_or(Poll::Ready(None), |poll| poll.map(Some))
            });
            step.await
        }
        Err(_) => None,
    };
    let why = match done {
        Some(Ok(())) => {
            counts.handled.fetch_add(1, Ordering::Relaxed);
            return;
        }
        Some(Err(why)) => why.to_string(),
        None => "it panicked".to_owned(),
    };
    counts.failed.fetch_add(1, Ordering::Relaxed);
    tracing::warn!(event = %name, seq, %from, why = %shown(&why), "the handler of an event failed");
}
