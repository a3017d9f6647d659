//! A call of all who offer the function: one outcome for each of them, as they come, then the end.

use std::collections::BTreeSet;
use std::fmt;
use std::future::IntoFuture;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;

use peerage_proto::id::NodeId;
use peerage_proto::outcome::{CallError, Class, Outcome, Stop};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::task::JoinSet;
use tracing::Instrument as _;

use super::attempt::Counted;
use super::question::{Question, says_what_is_asked};
use crate::node::providers::Choice;
use crate::node::shared::Shared;

/// A call of all nodes that offer the function. Made by [`Calling::all`](super::Calling::all); await it for the answers.
#[must_use = "nothing is sent until it is awaited"]
pub struct AllCall<'a, R> {
    shared: &'a Arc<Shared>,
    choice: Choice,
    question: Question<'a>,
    quorum: Option<usize>,
    answer: PhantomData<fn() -> R>,
}

/// What those answer who were asked, as it comes. Dropping it cancels what is still open.
///
/// ```
/// # use peerage::{CallError, Node};
/// # async fn ask(node: Node) -> Result<(), CallError> {
/// let mut answers = node.call("disk/free").all::<u64>().await?;
/// while let Some(answer) = answers.next().await {
///     match answer.outcome {
///         Ok(bytes) => println!("{}: {bytes}", answer.peer),
///         Err(why) => println!("{}: {why}", answer.peer),
///     }
/// }
/// println!("{} of {} answered", answers.end().ok, answers.end().asked);
/// # Ok(())
/// # }
/// ```
#[must_use = "what is not taken is cancelled"]
pub struct Answers<R> {
    asking: JoinSet<(NodeId, Result<R, CallError>)>,
    /// Who has not answered yet.
    open: BTreeSet<NodeId>,
    quorum: Option<usize>,
    end: End,
}

/// What one of those answers who were asked.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Answer<R> {
    /// Who.
    pub peer: NodeId,
    /// The outcome of the call there.
    pub outcome: Result<R, CallError>,
}

/// How many answered how, of the answers that were taken so far.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct End {
    /// Nodes that were asked.
    pub asked: usize,
    /// With a value.
    pub ok: usize,
    /// With a failure of the handler.
    pub failed: usize,
    /// It may have run there, and nothing is known of what came of it.
    pub unknown: usize,
    /// It certainly did not run there.
    pub did_not_run: usize,
}

impl<'a, R> AllCall<'a, R> {
    pub(super) fn new(shared: &'a Arc<Shared>, tag: &'a str, choice: Choice) -> AllCall<'a, R> {
        AllCall { shared, choice, question: Question::new(tag), quorum: None, answer: PhantomData }
    }

    /// So many values are enough: then the rest is cancelled. Default: all are waited for.
    pub fn quorum(mut self, values: usize) -> Self {
        self.quorum = Some(values);
        self
    }
}

says_what_is_asked! {
    AllCall,
    deadline: "Each outcome is there after this long at the latest, and 100 ms. Default 30 s. Counts from the await.",
    without_deadline: "Waits as long as it takes, or the links live.",
}

impl<'a, R: DeserializeOwned + Send + 'static> IntoFuture for AllCall<'a, R> {
    type Output = Result<Answers<R>, CallError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.begin())
    }
}

impl<R: DeserializeOwned + Send + 'static> AllCall<'_, R> {
    /// Asks everybody who offers it at this moment.
    async fn begin(self) -> Result<Answers<R>, CallError> {
        let AllCall { shared, choice, question, quorum, .. } = self;
        let counted = Counted::new(shared);
        let found = match question.begin() {
            Ok(prepared) => {
                let found = shared.find_providers(&prepared.tag, &choice, prepared.due).await;
                found.map(|found| (Arc::new(prepared.into_owned()), found))
            }
            Err(why) => Err(why),
        };
        let (prepared, found) = match found {
            Ok(found) => found,
            Err(why) => {
                counted.ended(&Err::<(), _>(why.clone()));
                return Err(why);
            }
        };
        counted.begun();
        let mut asking = JoinSet::new();
        for provider in &found {
            let (node, prepared, peer) = (shared.clone(), prepared.clone(), provider.id);
            let one = async move {
                let mut counted = Counted::new(&node);
                counted.is_sent = true;
                let (outcome, _) = node.ask(&prepared, peer).await;
                counted.ended(&outcome);
                (peer, outcome)
            };
            asking.spawn(one.in_current_span());
        }
        let open: BTreeSet<NodeId> = found.iter().map(|provider| provider.id).collect();
        let end = End { asked: open.len(), ..End::default() };
        Ok(Answers { asking, open, quorum, end })
    }
}

impl<R: 'static> Answers<R> {
    /// The next answer; `None` when everybody has had their outcome.
    pub async fn next(&mut self) -> Option<Answer<R>> {
        if self.quorum.is_some_and(|quorum| self.end.ok >= quorum) {
            self.asking.abort_all();
            let peer = self.open.pop_first()?;
            return Some(self.counted(peer, Err(CallError::Cancelled { stop: Stop::Unconfirmed })));
        }
        loop {
            match self.asking.join_next().await {
                Some(Ok((peer, outcome))) if self.open.remove(&peer) => return Some(self.counted(peer, outcome)),
                // A task that panicked, or was aborted with its runtime, has told nothing.
                Some(_) => {}
                None => {
                    let peer = self.open.pop_first()?;
                    return Some(self.counted(peer, Err(CallError::Cancelled { stop: Stop::Unconfirmed })));
                }
            }
        }
    }

    /// What came of all that were taken.
    pub fn end(&self) -> End {
        self.end
    }

    /// Takes all answers that are left.
    pub async fn collect(mut self) -> (Vec<Answer<R>>, End) {
        let mut all = Vec::new();
        while let Some(answer) = self.next().await {
            all.push(answer);
        }
        (all, self.end)
    }

    fn counted(&mut self, peer: NodeId, outcome: Result<R, CallError>) -> Answer<R> {
        let end = &mut self.end;
        match outcome.as_ref().map_or_else(CallError::outcome, |_| Outcome::Ok).class() {
            Class::Ok => end.ok += 1,
            Class::Failed => end.failed += 1,
            Class::Unknown => end.unknown += 1,
            Class::DidNotRun => end.did_not_run += 1,
        }
        Answer { peer, outcome }
    }
}

impl<R> fmt::Debug for AllCall<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AllCall").field("tag", &self.question.tag).field("choice", &self.choice).finish_non_exhaustive()
    }
}

impl<R> fmt::Debug for Answers<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answers").field("end", &self.end).field("open", &self.open).finish_non_exhaustive()
    }
}
