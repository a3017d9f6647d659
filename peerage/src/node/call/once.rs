//! A call that may be asked again when its link is lost, because its callee runs it once however often it is asked.
//!
//! ```text
//!   ask ──outcome──▶ over
//!    ▲ └──the link is lost──▶ wait for the same run of the same node ──another run, or no time left──▶ ConnectionLost
//!    └──────────────────────────────────┘ it is back
//! ```

use std::fmt;
use std::future::IntoFuture;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use peerage_proto::id::{Epoch, NodeId};
use peerage_proto::outcome::{CallError, LinkLost};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep_until, timeout};

use super::attempt::Counted;
use super::question::{Prepared, Question};
use crate::link::Link;
use crate::node::presence::LOOK_AGAIN;
use crate::node::shared::{Phase, Shared};
use crate::node::snapshot::PeerState;

/// A call of one node that runs there once at most, also where it has to be asked again. Made by
/// [`NodeCall::idempotent`](super::NodeCall::idempotent); await it for the answer.
#[must_use = "nothing is sent until it is awaited"]
pub struct OnceCall<'a, R> {
    shared: &'a Arc<Shared>,
    peer: NodeId,
    question: Question<'a>,
    answer: PhantomData<fn() -> R>,
}

impl<'a, R> OnceCall<'a, R> {
    pub(super) fn new(shared: &'a Arc<Shared>, peer: NodeId, question: Question<'a>) -> OnceCall<'a, R> {
        OnceCall { shared, peer, question, answer: PhantomData }
    }
}

impl<'a, R: DeserializeOwned + Send + 'a> IntoFuture for OnceCall<'a, R> {
    type Output = Result<R, CallError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        let OnceCall { shared, peer, question, .. } = self;
        Box::pin(async move {
            let mut counted = Counted::new(shared);
            let outcome = match question.begin() {
                Ok(prepared) => {
                    counted.is_sent = true;
                    shared.ask_once(&prepared.with_key(shared.next_key()), peer).await.0
                }
                Err(why) => Err(why),
            };
            counted.ended(&outcome);
            outcome
        })
    }
}

impl<R> fmt::Debug for OnceCall<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnceCall").field("tag", &self.question.tag).field("peer", &self.peer).finish_non_exhaustive()
    }
}

impl Shared {
    /// Asks one node, and again while its link is lost and it may come back.
    pub(super) async fn ask_once<R: DeserializeOwned>(
        self: &Arc<Self>,
        prepared: &Prepared<'_>,
        peer: NodeId,
    ) -> (Result<R, CallError>, Duration) {
        let (began, own) = (Instant::now(), self.epoch());
        let mut run = None;
        let mut lost: Option<LinkLost> = None;
        let outcome = loop {
            let outcome = match self.reach(&peer, prepared.due).await {
                Ok(link) => {
                    let now_in = self.run_of(&link);
                    match (run, &lost, now_in) {
                        // It was started again, or this node goes on as another run: nobody knows the key.
                        (Some(before), Some(why), now_in) if now_in != Some(before) || self.epoch() != own => {
                            break Err(CallError::ConnectionLost { why: why.clone() });
                        }
                        _ => run = now_in,
                    }
                    self.ask_over(prepared, peer, link).await
                }
                Err(why) => Err(why),
            };
            match (outcome, &lost) {
                (Err(CallError::ConnectionLost { why }), _) if why != LinkLost::AnswerForgotten && run.is_some() => {
                    lost = Some(why);
                }
                // It may have run before, whatever is said of this time.
                (Err(why), Some(first)) if !why.may_have_run() => {
                    if self.has_gone(&peer, run) || prepared.due.is_some_and(|due| due <= Instant::now()) {
                        break Err(CallError::ConnectionLost { why: first.clone() });
                    }
                }
                (outcome, _) => break outcome,
            }
            self.wait_a_little(prepared.due).await;
        };
        (outcome, began.elapsed())
    }

    /// The number of the next call that may be asked again.
    pub(super) fn next_key(&self) -> u64 {
        self.keys.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
    }

    /// Which run of its peer a link leads to.
    fn run_of(&self, link: &Link) -> Option<Epoch> {
        let all = self.links.all();
        all.iter().find(|held| held.link.is_same(link)).map(|held| held.established.epoch)
    }

    /// Whether a run of a node is over for certain.
    fn has_gone(&self, peer: &NodeId, run: Option<Epoch>) -> bool {
        let view = self.view();
        let member = view.members.iter().find(|member| member.id == *peer);
        let is_other = |epoch: &str| run.is_some_and(|run| run.to_string() != epoch);
        self.phase() != Phase::Running
            || member.is_some_and(|member| member.entry.state == PeerState::Left || is_other(&member.entry.epoch))
    }

    /// Waits until something is published, or a moment.
    async fn wait_a_little(&self, due: Option<Instant>) {
        let mut view = self.watch_view();
        let soon = Instant::now() + LOOK_AGAIN;
        tokio::select! {
            _ = timeout(LOOK_AGAIN, view.changed()) => {}
            () = sleep_until(due.map_or(soon, |due| due.min(soon))) => {}
        }
    }
}
