//! Calls that the node makes for this program.

use std::time::Duration;

use peerage::{Caller, Value};
use serde::Serialize;
use tokio::time::Instant;

use super::{Control, NODE_GRACE, millis};
use crate::called::Called;

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

/// Whom to call, and how long to wait.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Wanted {
    /// Id of the one node that is asked.
    pub(crate) peer: String,
    #[serde(rename = "deadline_ms", serialize_with = "in_millis")]
    pub(crate) deadline: Duration,
}

/// The way to make calls from any task. It does not keep the connection open.
#[derive(Clone, Debug)]
pub(crate) struct Calls(Caller);

impl Control {
    /// To make calls.
    pub(crate) fn calls(&self) -> Calls {
        Calls(self.channel.caller())
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

fn in_millis<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(millis(*duration))
}
