//! The work on one call: a handler's future from its first step to its end, whoever ends it.
//!
//! ```text
//!   first step, in place ──done──▶ over
//!        └──waits──▶ own task ──done──▶ over
//!                       ├── caller gone, deadline ──▶ dropped · told, then over · goes on (see OnStop)
//!                       └── panic ──▶ the request answers for itself
//! ```
//!
//! The place among the calls that are worked on is free when the work is over, not when nobody waits for it any more.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use peerage_proto::channel::Served;
use peerage_proto::limits;
use peerage_proto::outcome::{Code, Outcome, Stop};
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::{Sleep, sleep_until};
use tracing::Instrument as _;

use super::Task;
use super::entry::OnStop;
use super::facts::{CallFacts, INHERITED};
use crate::link::Link;

/// A place among the calls that are worked on.
pub(super) enum Slot {
    /// There are as many as are wanted.
    Unbounded,
    /// One of a fixed number.
    Taken { _permit: OwnedSemaphorePermit },
    /// One that has to be waited for.
    ToCome,
}

/// Begins the work and takes its first step.
pub(super) fn start(
    cx: &mut Context<'_>,
    link: &Link,
    served: Served,
    facts: Arc<CallFacts>,
    (slot, place): (Slot, Option<OwnedSemaphorePermit>),
    begin: impl FnOnce() -> Task,
) {
    let entry = facts.entry().clone();
    // Whoever asks again is to get what came of it.
    let on_stop = if facts.key.is_some() { OnStop::Detach } else { entry.options.on_stop };
    let at_work = AtWork::new(facts.clone(), place);
    let span = tracing::debug_span!(
        "serve",
        tag = %facts.tag(),
        from = %facts.origin,
        trace = %facts.trace,
        parent = facts.parent.map(tracing::field::display),
    );
    // The request inside answers for itself when it is dropped, by a panic too.
    let step = catch_unwind(AssertUnwindSafe(|| {
        let _inside = span.enter();
        let inherited = facts.inherited();
        if matches!(slot, Slot::ToCome) {
            let (entry, task) = (entry.clone(), begin());
            let waits: Task = Box::pin(async move {
                let _slot = entry.wait_for_slot().await;
                task.await;
            });
            return (waits, Poll::Pending);
        }
        INHERITED.sync_scope(inherited, || {
            let mut task = begin();
            let step = task.as_mut().poll(cx);
            (task, step)
        })
    }));
    let Ok((task, Poll::Pending)) = step else { return };
    let (stop, stopped) = oneshot::channel();
    let is_wanted = link.running(served, stop);
    if !is_wanted {
        facts.cancel.cancel();
        if on_stop == OnStop::Drop {
            return;
        }
    }
    let deadline = facts.deadline.filter(|_| on_stop != OnStop::Detach);
    let work = Work {
        task,
        stopped: is_wanted.then_some(stopped),
        // The caller's own word comes first if it comes at all.
        deadline: deadline.map(|deadline| Box::pin(sleep_until(deadline + limits::OUTCOME_GRACE))),
        on_stop,
        link: link.clone(),
        served,
        facts,
        _slot: slot,
        _at_work: at_work,
    };
    tokio::spawn(work.instrument(span));
}

/// Work that did not end at its first step.
struct Work {
    task: Task,
    /// Rings when nobody waits any more.
    stopped: Option<oneshot::Receiver<()>>,
    deadline: Option<Pin<Box<Sleep>>>,
    on_stop: OnStop,
    link: Link,
    served: Served,
    facts: Arc<CallFacts>,
    _slot: Slot,
    _at_work: AtWork,
}

impl Work {
    /// Nobody waits any more. Whether the work is over with that.
    fn give_up(&mut self) -> bool {
        self.facts.cancel.cancel();
        match self.on_stop {
            OnStop::Drop => {
                self.facts.ended(Outcome::Cancelled);
                true
            }
            OnStop::Tell => false,
            OnStop::Detach => {
                self.link.stopped(self.served, Stop::Detached);
                false
            }
        }
    }
}

impl Future for Work {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        if let Some(stopped) = &mut this.stopped
            && let Poll::Ready(told) = Pin::new(stopped).poll(cx)
        {
            this.stopped = None;
            // An error: the request is answered, and what the handler does after that is its own business.
            if told.is_ok() && this.give_up() {
                return Poll::Ready(());
            }
        }
        if let Some(deadline) = &mut this.deadline
            && deadline.as_mut().poll(cx).is_ready()
        {
            this.deadline = None;
            // The caller has given up by now; this end does not rely on being told.
            if this.stopped.is_some() && this.give_up() {
                this.link.fail(this.served, Code::EXPIRED, "the deadline passed while the handler was at work", None);
                return Poll::Ready(());
            }
        }
        INHERITED.sync_scope(this.facts.inherited(), || this.task.as_mut().poll(cx))
    }
}

/// Counts a call among those that are worked on.
struct AtWork {
    facts: Arc<CallFacts>,
    _place: Option<OwnedSemaphorePermit>,
}

impl AtWork {
    fn new(facts: Arc<CallFacts>, place: Option<OwnedSemaphorePermit>) -> AtWork {
        facts.entry().figures.began();
        AtWork { facts, _place: place }
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        self.facts.entry().figures.left();
        // A handler that answered has said so; of any other nothing is known but that it has ended.
        self.facts.ended(if std::thread::panicking() { Outcome::Remote } else { Outcome::Cancelled });
    }
}
