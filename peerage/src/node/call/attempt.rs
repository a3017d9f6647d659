//! One call at one node: the link with it, made if there is none, and the outcome there.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use peerage_proto::codec::{Encoding, Payload};
use peerage_proto::id::NodeId;
use peerage_proto::outcome::{CallError, NotSent, Outcome};
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::question::{Prepared, bad_request};
use crate::channel::Asking;
use crate::flag::Flag;
use crate::link::Link;
use crate::node::shared::{Phase, Shared};

/// A call on a link. Dropping it gives up, and the callee is told.
struct Attempt<R> {
    asking: Asking<R>,
    link: Link,
}

impl<R> Future for Attempt<R> {
    type Output = (Result<R, CallError>, bool);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        this.asking.poll(&this.link, cx).map(|outcome| (outcome, this.asking.is_unsent()))
    }
}

impl<R> Drop for Attempt<R> {
    fn drop(&mut self) {
        self.asking.leave(&self.link);
    }
}

impl Shared {
    /// Asks one node, and no other. Also tells how long that took once there was a link.
    pub(super) async fn ask<R: DeserializeOwned>(
        self: &Arc<Self>,
        prepared: &Prepared<'_>,
        peer: NodeId,
    ) -> (Result<R, CallError>, Duration) {
        let link = match self.reach(&peer, prepared.due).await {
            Ok(link) => link,
            Err(why) => return (Err(why), Duration::ZERO),
        };
        let began = Instant::now();
        let outcome = self.ask_over(prepared, peer, link).await;
        (outcome, began.elapsed())
    }

    /// Asks one node over this link, or over another one that takes its place before anything was sent.
    pub(super) async fn ask_over<R: DeserializeOwned>(
        &self,
        prepared: &Prepared<'_>,
        peer: NodeId,
        link: Link,
    ) -> Result<R, CallError> {
        let let_out = self.let_out(&prepared.tag, peer, prepared.trace)?;
        let outcome = self.ask_unhooked(prepared, peer, link).await;
        if let Some(let_out) = let_out {
            let_out.ended(outcome.as_ref().map_or_else(CallError::outcome, |_| Outcome::Ok));
        }
        outcome
    }

    async fn ask_unhooked<R: DeserializeOwned>(
        &self,
        prepared: &Prepared<'_>,
        peer: NodeId,
        mut link: Link,
    ) -> Result<R, CallError> {
        loop {
            let (outcome, is_unsent) = Attempt { asking: prepared.asking::<R>(), link: link.clone() }.await;
            return match outcome {
                Err(CallError::NotSent { why: NotSent::NoRoute | NotSent::ShuttingDown }) if is_unsent => {
                    match self.directory.find_other(&peer, &link) {
                        Some(other) => {
                            link = other;
                            continue;
                        }
                        None => Err(self.no_route()),
                    }
                }
                Err(why) => self.unflagged(why, &prepared.tag, peer),
                outcome => outcome,
            };
        }
    }

    /// What the answer means, where it is a flag.
    pub(super) fn unflagged<R: DeserializeOwned>(
        &self,
        why: CallError,
        tag: &str,
        peer: NodeId,
    ) -> Result<R, CallError> {
        let meant = Flag::of(&why).and_then(|flag| self.flags.resolve(&flag, tag, peer));
        let value = meant.unwrap_or(Err(why))?;
        let value = Payload::encode(&value, Encoding::MsgPack).map_err(bad_request)?;
        value.decode().map_err(|error| CallError::Protocol { why: format!("the answer does not fit: {error}") })
    }

    /// Why no call gets through.
    pub(super) fn no_route(&self) -> CallError {
        let is_leaving = self.phase() != Phase::Running;
        CallError::NotSent { why: if is_leaving { NotSent::ShuttingDown } else { NotSent::NoRoute } }
    }
}

/// Counts a call once, however it ends.
pub(super) struct Counted<'a> {
    shared: &'a Shared,
    /// Something of it may have been sent.
    pub(super) is_sent: bool,
    is_over: bool,
}

impl<'a> Counted<'a> {
    pub(super) fn new(shared: &'a Shared) -> Counted<'a> {
        Counted { shared, is_sent: false, is_over: false }
    }

    /// It goes on as several calls, each of which counts for itself.
    pub(super) fn begun(mut self) {
        self.is_over = true;
    }

    pub(super) fn ended<R>(mut self, outcome: &Result<R, CallError>) {
        self.is_over = true;
        super::count(&self.shared.metrics, outcome.as_ref().map_or_else(CallError::outcome, |_| Outcome::Ok));
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            let outcome = if self.is_sent { Outcome::Cancelled } else { Outcome::NotSent };
            super::count(&self.shared.metrics, outcome);
        }
    }
}
