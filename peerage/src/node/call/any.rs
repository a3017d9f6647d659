//! A call of whoever offers the function: one of them answers.
//!
//! ```text
//!   who offers it? ──nobody, and all is known──▶ Absent
//!        │ some          └──not yet known──▶ wait, inside the deadline
//!        ▼
//!   choose one (peerage_proto::routing) ──▶ ask ──▶ outcome
//!        ▲                                   │ it certainly did not run there, and this was not the third
//!        └───────────────────────────────────┘
//! ```

use std::fmt;
use std::future::IntoFuture;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use peerage_proto::id::NodeId;
use peerage_proto::limits;
use peerage_proto::outcome::CallError;
use peerage_proto::routing::{Candidate, Ended, moves_on};
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::attempt::Counted;
use super::question::{Prepared, Question, says_what_is_asked};
use crate::node::providers::{Choice, Provider};
use crate::node::shared::Shared;

/// A call of any node that offers the function. Made by [`Calling::any`](super::Calling::any); await it for the answer.
#[must_use = "nothing is sent until it is awaited"]
pub struct AnyCall<'a, R> {
    shared: &'a Arc<Shared>,
    choice: Choice,
    question: Question<'a>,
    may_repeat: bool,
    answer: PhantomData<fn() -> R>,
}

/// How a call ended that several nodes may have been asked for.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Settled<R> {
    /// Its outcome.
    pub outcome: Result<R, CallError>,
    /// Who was asked last; `None`: nobody.
    pub peer: Option<NodeId>,
    /// How many nodes were asked. More than one only where the others said that it did not run there.
    pub attempts: u32,
}

impl<'a, R> AnyCall<'a, R> {
    pub(super) fn new(shared: &'a Arc<Shared>, tag: &'a str, choice: Choice) -> AnyCall<'a, R> {
        AnyCall { shared, choice, question: Question::new(tag), may_repeat: false, answer: PhantomData }
    }

    /// Where the link is lost before the answer has come, the same node is asked again, which runs the call once at most
    /// ([`NodeCall::idempotent`](super::NodeCall::idempotent)).
    pub fn idempotent(mut self) -> Self {
        self.may_repeat = true;
        self
    }
}

says_what_is_asked! {
    AnyCall,
    deadline: "Ends the call without an answer after this long, at most 100 ms later, whatever it is at by then. Default 30 s. \
               Counts from the await.",
    without_deadline: "Waits as long as it takes until there is somebody to be asked, and until the answer comes or the link ends.",
}

impl<R: DeserializeOwned> AnyCall<'_, R> {
    /// The outcome, with who was asked and how many.
    pub async fn settled(self) -> Settled<R> {
        let AnyCall { shared, choice, question, may_repeat, .. } = self;
        let mut counted = Counted::new(shared);
        let mut tried = Vec::new();
        let outcome = match question.begin() {
            Ok(prepared) => {
                let prepared = if may_repeat { prepared.with_key(shared.next_key()) } else { prepared };
                shared.ask_any(&prepared, &choice, &mut tried, &mut counted).await
            }
            Err(why) => Err(why),
        };
        counted.ended(&outcome);
        Settled { outcome, peer: tried.last().copied(), attempts: u32::try_from(tried.len()).unwrap_or(u32::MAX) }
    }
}

impl<'a, R: DeserializeOwned + Send + 'a> IntoFuture for AnyCall<'a, R> {
    type Output = Result<R, CallError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.settled().await.outcome })
    }
}

impl<R> fmt::Debug for AnyCall<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnyCall").field("tag", &self.question.tag).field("choice", &self.choice).finish_non_exhaustive()
    }
}

impl Shared {
    async fn ask_any<R: DeserializeOwned>(
        self: &Arc<Self>,
        prepared: &Prepared<'_>,
        choice: &Choice,
        tried: &mut Vec<NodeId>,
        counted: &mut Counted<'_>,
    ) -> Result<R, CallError> {
        let mut last = None;
        loop {
            // Who has just said that it offers nothing of the kind may be the only one of whom it is known.
            let is_first = tried.is_empty();
            let at_least = if is_first { choice.at_least } else { 1 };
            let choice = Choice { at_least, waits: choice.waits && is_first, ..choice.clone() };
            let found = match self.find_providers(&prepared.tag, &choice, prepared.due).await {
                Ok(found) => found,
                Err(why) => return Err(last.unwrap_or(why)),
            };
            let Some(open) = self.open_route(&prepared.tag, &found, tried) else {
                let view = self.view().version;
                return Err(
                    last.unwrap_or_else(|| CallError::Absent { what: prepared.tag.clone().into_owned(), as_of: view })
                );
            };
            tried.push(open.peer);
            counted.is_sent = true;
            let (outcome, took) = match prepared.key {
                Some(_) => self.ask_once(prepared, open.peer).await,
                None => self.ask(prepared, open.peer).await,
            };
            open.close(&outcome, took);
            match outcome {
                Err(why) if moves_on(&why) && tried.len() < limits::ATTEMPTS_MAX => last = Some(why),
                outcome => return outcome,
            }
        }
    }

    /// One of those who offer a function, for what can be tried only once.
    pub(in crate::node) async fn choose<'a>(
        &'a self,
        tag: &'a str,
        choice: &Choice,
        due: Option<Instant>,
    ) -> Result<Open<'a>, CallError> {
        let found = self.find_providers(tag, choice, due).await?;
        let open = self.open_route(tag, &found, &[]);
        open.ok_or_else(|| CallError::Absent { what: tag.to_owned(), as_of: self.view().version })
    }

    /// Chooses one of those who offer a function.
    fn open_route<'a>(&'a self, tag: &'a str, found: &[Provider], tried: &[NodeId]) -> Option<Open<'a>> {
        let candidate = |provider: &Provider| {
            let load = self.directory.find(&provider.id).map_or(0, |link| link.peer_load());
            Candidate { peer: provider.id, is_suspect: provider.is_suspect, load }
        };
        let candidates: Vec<Candidate> = found.iter().map(candidate).collect();
        let random = crate::trace::random();
        let mut routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        let peer = routes.choose(Instant::now().into_std(), tag, &candidates, tried, random)?;
        Some(Open { shared: self, tag, peer, how: Ended::Otherwise })
    }
}

/// A call that counts as open at a node until this is dropped.
pub(in crate::node) struct Open<'a> {
    shared: &'a Shared,
    tag: &'a str,
    peer: NodeId,
    how: Ended,
}

impl Open<'_> {
    /// Where.
    pub(in crate::node) fn peer(&self) -> NodeId {
        self.peer
    }

    fn close<R>(mut self, outcome: &Result<R, CallError>, took: Duration) {
        self.how = match outcome {
            Ok(_) | Err(CallError::Remote { .. } | CallError::Deadline { .. }) => Ended::Took(took),
            Err(CallError::Busy { retry_after, .. }) => Ended::Busy(*retry_after),
            Err(_) => Ended::Otherwise,
        };
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        let mut routes = self.shared.routes.lock().unwrap_or_else(PoisonError::into_inner);
        routes.ended(Instant::now().into_std(), self.tag, self.peer, self.how);
    }
}
