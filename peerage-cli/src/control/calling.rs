//! Calls that the node makes for this program.

use std::path::PathBuf;
use std::time::Duration;

use peerage::{Caller, Value};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::{Control, NODE_GRACE, millis};
use crate::called::Called;
use crate::exit::Abort;

/// What is to be called, with what.
#[derive(Clone, Debug)]
pub(crate) struct Invocation {
    pub(crate) tag: String,
    pub(crate) args: Vec<Value>,
    /// A map.
    pub(crate) kwargs: Value,
}

impl Invocation {
    pub(crate) fn without_arguments(tag: &str) -> Invocation {
        Invocation { tag: tag.to_owned(), args: Vec::new(), kwargs: Value::Map(Vec::new()) }
    }
}

/// Whom to call, and how long to wait. Without a peer: any that offers it.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Wanted {
    /// Id of the one node that is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) peer: Option<String>,
    /// Only members of any of these groups.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) groups: Vec<String>,
    pub(crate) hubs_only: bool,
    /// Only nodes with one of these ids or names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) peers: Vec<String>,
    pub(crate) on_host: bool,
    /// The node that calls may answer itself.
    pub(crate) include_self: bool,
    /// Sent along as a stream, by its absolute path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) file: Option<PathBuf>,
    /// Nobody waits for an answer.
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) notify: bool,
    /// It may be asked again, and runs once at most.
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) idempotent: bool,
    #[serde(rename = "deadline_ms", serialize_with = "in_millis")]
    pub(crate) deadline: Duration,
}

impl Wanted {
    /// Whether whoever offers it may be asked.
    pub(crate) fn takes_anybody(&self) -> bool {
        let narrows = self.hubs_only || self.on_host || !self.groups.is_empty() || !self.peers.is_empty();
        self.peer.is_none() && !narrows
    }
}

/// The way to make calls from any task. It does not keep the connection open.
#[derive(Clone, Debug)]
pub(crate) struct Calls(Caller);

impl Control {
    /// To make calls.
    pub(crate) fn calls(&self) -> Calls {
        Calls(self.channel.caller())
    }

    /// Lets the node make a call that is answered with a stream; each item goes to `tell` with its number.
    pub(crate) async fn call_stream(
        &mut self,
        what: &Invocation,
        wanted: &Wanted,
        mut tell: impl FnMut(u64, Value) -> Result<(), Abort>,
    ) -> Result<Called, Abort> {
        #[derive(Serialize)]
        struct OfStream<'w> {
            stream: u64,
            #[serde(flatten)]
            wanted: &'w Wanted,
        }
        #[derive(Deserialize)]
        struct Item {
            n: u64,
            item: Value,
        }
        let began = Instant::now();
        let caller = self.channel.caller();
        let content = ("peerage/local/call", (&what.tag, &what.args, &what.kwargs), OfStream { stream: 0, wanted });
        let call = caller.request::<Called>(&content).deadline(wanted.deadline.saturating_add(NODE_GRACE));
        tokio::pin!(call);
        loop {
            tokio::select! {
                biased;
                Some(request) = self.channel.next_request() => {
                    let told = request.content::<(String, (Item,), Value)>();
                    if let Ok((_, (Item { n, item },), _)) = told {
                        tell(n, item)?;
                    }
                    request.reply(&Value::Null);
                }
                called = &mut call => {
                    return Ok(called.unwrap_or_else(|error| Called::untold(error, began.elapsed())));
                }
            }
        }
    }

    /// Lets the node ask all who offer it; each answer goes to `tell` as it comes. What is returned is why nobody was asked.
    pub(crate) async fn call_all(
        &mut self,
        what: &Invocation,
        wanted: &Wanted,
        mut tell: impl FnMut(Called) -> Result<(), Abort>,
    ) -> Result<Option<Called>, Abort> {
        #[derive(Serialize)]
        struct OfAll<'w> {
            all: u64,
            #[serde(flatten)]
            wanted: &'w Wanted,
        }
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Sum {
            Nobody(Box<Called>),
            End(IgnoredAny),
        }
        let began = Instant::now();
        let caller = self.channel.caller();
        let content = ("peerage/local/call", (&what.tag, &what.args, &what.kwargs), OfAll { all: 0, wanted });
        let call = caller.request::<Sum>(&content).deadline(wanted.deadline.saturating_add(NODE_GRACE));
        tokio::pin!(call);
        loop {
            // Each answer is told before the sum comes.
            tokio::select! {
                biased;
                Some(request) = self.channel.next_request() => {
                    let answer = request.content::<(String, (Called,), Value)>();
                    request.reply(&Value::Null);
                    match answer {
                        Ok((_, (called,), _)) => tell(called)?,
                        Err(why) => tracing::debug!(%why, "skipped a word of the node"),
                    }
                }
                sum = &mut call => return Ok(match sum {
                    Ok(Sum::End(_)) => None,
                    Ok(Sum::Nobody(called)) => Some(*called),
                    Err(error) => Some(Called::untold(error, began.elapsed())),
                }),
            }
        }
    }
}

impl Calls {
    /// Lets the node make a call. Whatever happens, there is one outcome.
    pub(crate) async fn make(&self, what: &Invocation, wanted: &Wanted) -> Called {
        let began = Instant::now();
        let content = ("peerage/local/call", (&what.tag, &what.args, &what.kwargs), wanted);
        let call = self.0.request::<Called>(&content).deadline(wanted.deadline.saturating_add(NODE_GRACE));
        call.await.unwrap_or_else(|error| Called::untold(error, began.elapsed()))
    }
}

/// A node of an older build is not told of what is not wanted.
fn is_false(wanted: &bool) -> bool {
    !wanted
}

fn in_millis<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(millis(*duration))
}
