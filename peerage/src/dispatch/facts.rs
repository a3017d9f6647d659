//! What is known of a call beside its arguments: who asked, how long there is time, in which trace, and whether anybody still
//! waits. A handler holds it as its context; a call that the handler makes inherits from it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use peerage_proto::codec::{AppMetadata, BadMetadata, Invocation, Payload, Trace, TraceState};
use peerage_proto::idempotent::RequestKey;
use peerage_proto::outcome::Outcome;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::entry::Entry;
use super::{Origin, Services};
use crate::hook::{CallInfo, Hook, Side};
use crate::stream::Offered;
use crate::trace;

/// What is known of a call beside its arguments.
pub(crate) struct CallFacts {
    entry: Arc<Entry>,
    pub(crate) origin: Origin,
    pub(crate) began: Instant,
    pub(crate) deadline: Option<Instant>,
    /// The span of this call's work: in the caller's trace, or the first of a new one.
    pub(crate) trace: Trace,
    /// The span that asked.
    pub(crate) parent: Option<Trace>,
    /// What the systems that the trace went through have noted for themselves.
    pub(crate) state: Option<TraceState>,
    /// What the caller's application says of the call.
    pub(crate) metadata: Option<AppMetadata>,
    /// Its number, if it may be asked again and is to run once.
    pub(super) key: Option<RequestKey>,
    /// Cancelled when nobody waits for the answer any more.
    pub(crate) cancel: CancellationToken,
    /// The streams of a call that was opened as a conversation.
    pub(crate) streams: Option<Offered>,
    hook: Option<Arc<dyn Hook>>,
    has_ended: AtomicBool,
}

/// What a call that a handler makes takes over from the call that it answers.
#[derive(Clone, Debug)]
pub(crate) struct Inherited {
    pub(crate) deadline: Option<Instant>,
    pub(crate) trace: Trace,
    pub(crate) state: Option<TraceState>,
}

tokio::task_local! {
    pub(super) static INHERITED: Inherited;
}

/// What a call made here and now takes over: something inside a handler, nothing elsewhere.
pub(crate) fn current() -> Option<Inherited> {
    INHERITED.try_with(Inherited::clone).ok()
}

impl CallFacts {
    /// Also gives the caller's number for a call that may be asked again.
    ///
    /// # Errors
    /// [`BadMetadata`]: the call is to be refused.
    pub(super) fn of(
        services: &Services,
        entry: &Arc<Entry>,
        origin: &Origin,
        invocation: &Invocation<'_>,
        content: &Payload,
    ) -> Result<(CallFacts, Option<u64>), BadMetadata> {
        let began = Instant::now();
        let metadata = invocation.metadata_of(content)?;
        let parent = metadata.trace;
        let facts = CallFacts {
            entry: entry.clone(),
            origin: origin.clone(),
            began,
            deadline: metadata.left.map(|left| began + left),
            trace: parent.as_ref().map_or_else(trace::begin, trace::child),
            parent,
            state: metadata.state,
            metadata: metadata.app,
            key: None,
            cancel: CancellationToken::new(),
            streams: None,
            hook: services.hook().cloned(),
            has_ended: AtomicBool::new(false),
        };
        Ok((facts, metadata.key))
    }

    pub(super) fn entry(&self) -> &Arc<Entry> {
        &self.entry
    }

    /// The function that was called.
    pub(crate) fn tag(&self) -> &str {
        self.entry.tag()
    }

    /// Whether its time is over already.
    pub(super) fn is_over(&self) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= self.began)
    }

    /// How much time there is left; `None`: no deadline.
    pub(crate) fn left(&self) -> Option<Duration> {
        self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    pub(super) fn inherited(&self) -> Inherited {
        Inherited { deadline: self.deadline, trace: self.trace, state: self.state.clone() }
    }

    /// The call has ended like this, as far as this end knows. Only the first word counts.
    pub(crate) fn ended(&self, outcome: Outcome) {
        if self.has_ended.swap(true, Ordering::Relaxed) {
            return;
        }
        let took = self.began.elapsed();
        self.entry.figures.ended(outcome, Some(took));
        if let Some(hook) = &self.hook {
            hook.after(&CallInfo::new(Side::Callee, self.tag(), self.origin.node(), Some(self.trace)), outcome, took);
        }
    }
}

/// The caller's number for a call that may be asked again, where the metadata has not been read.
pub(super) fn key_of(invocation: &Invocation<'_>, content: &Payload) -> Option<u64> {
    invocation.metadata_of(content).ok()?.key
}

/// The trace of a call whose metadata has not been read.
pub(super) fn trace_of(invocation: &Invocation<'_>, content: &Payload) -> Option<Trace> {
    invocation.metadata_of(content).ok()?.trace
}
