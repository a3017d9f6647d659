//! Asking a running node through its control socket: the only way this program reaches one.
//!
//! The socket speaks the plain dialect, so this is a channel and the tags of the built-in services. What a node answers is
//! read into the library's own records.

use std::path::Path;
use std::time::Duration;

use peerage::address::Address;
use peerage::node::Presence;
use peerage::node::snapshot::{EventRecord, Info, Peers, Services, Status, Why};
use peerage::outcome::{NotSent, Outcome};
use peerage::{CallError, Channel, Encoding, Value};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::exit::{Abort, Exit};
use crate::output;

mod calling;
mod events;
mod sending;
mod serving;

pub(crate) use calling::{Calls, Invocation, Wanted as WantedCall};
pub(crate) use events::{Publish, Published, Row, Subscribe, Told};
pub(crate) use sending::Progress;
pub(crate) use serving::{Given, Offer, Received, Word};

/// A connection to the control socket of one node.
#[derive(Debug)]
pub(crate) struct Control {
    channel: Channel,
}

impl Control {
    /// Connects; `None` where nobody listens any more.
    pub(crate) async fn connect(socket: &Path) -> Option<Control> {
        let address = Address::unix(socket).ok()?;
        // A unix socket answers at once or has nobody; the codec is recognised by our first frame.
        let channel = Channel::connect(&address).encoding(Encoding::MsgPack).timeout(CONNECT_WITHIN).await.ok()?;
        Some(Control { channel })
    }

    /// Ends the connection; answers already given are still written.
    pub(crate) async fn close(&self) {
        self.channel.close().await;
    }

    /// Who the node is.
    pub(crate) async fn info(&self) -> Result<Info, Abort> {
        self.ask("peerage/info", &NOTHING).await
    }

    /// What it offers.
    pub(crate) async fn services(&self) -> Result<Services, Abort> {
        self.ask("peerage/services", &NOTHING).await
    }

    /// Whom it knows.
    pub(crate) async fn peers(&self) -> Result<Peers, Abort> {
        self.ask("peerage/peers", &NOTHING).await
    }

    /// How it is.
    pub(crate) async fn status(&self) -> Result<Status, Abort> {
        self.ask("peerage/stats", &NOTHING).await
    }

    /// Its counters in the OpenMetrics text format.
    pub(crate) async fn open_metrics(&self) -> Result<String, Abort> {
        self.ask("peerage/stats", &["openmetrics"]).await
    }

    /// Shows its log filter, or changes it first.
    pub(crate) async fn log(&self, filter: Option<&str>) -> Result<String, Abort> {
        let answer: Filter = self.ask("peerage/local/log", filter.as_slice()).await?;
        Ok(answer.filter)
    }

    /// Whether somebody called so is there; `within` bounds the waiting while it is not yet known.
    pub(crate) async fn find(&self, who: &str, within: Duration) -> Result<Presence, Abort> {
        let call = self.channel.request(&("peerage/find", (who,), Within { within_ms: millis(within) }));
        call.deadline(within.saturating_add(NODE_GRACE)).await.map_err(ended)
    }

    /// Why a node counts as what it does.
    pub(crate) async fn why(&self, who: &str) -> Result<Why, Abort> {
        self.ask("peerage/why", &(who,)).await
    }

    /// Lets it ask its neighbours whom they know, and waits for their answers, or for so long; then as [`peers`](Self::peers).
    pub(crate) async fn refresh(&self, within: Duration) -> Result<Peers, Abort> {
        let call = self.channel.request(&("peerage/local/refresh", NOTHING, Within { within_ms: millis(within) }));
        call.deadline(within.saturating_add(NODE_GRACE)).await.map_err(ended)
    }

    /// Changes what it says of itself; what that is then.
    pub(crate) async fn set(&self, wanted: &Wanted) -> Result<Info, Abort> {
        self.channel.request(&("peerage/local/set", NOTHING, wanted)).await.map_err(ended)
    }

    /// Makes it leave in good order; the number of calls that were cut off.
    pub(crate) async fn drain(&self, within: Duration) -> Result<u64, Abort> {
        let wanted = Drain { within_ms: millis(within) };
        // The node keeps the time itself, and its goodbyes come after it.
        let call = self.channel.request::<Drained>(&("peerage/local/drain", NOTHING, wanted)).without_deadline();
        Ok(call.await.map_err(ended)?.abandoned)
    }

    /// Lets it ping a peer.
    pub(crate) async fn ping(&self, peer: &str, deadline: Duration) -> Result<Answer, Abort> {
        let called: Called<Value> = self.call("peerage/ping", peer, deadline).await?;
        Ok(match called.outcome() {
            Outcome::Ok => Answer::Came { rtt_us: called.elapsed_us },
            outcome => Answer::Failed { outcome, message: called.message.unwrap_or(called.outcome) },
        })
    }

    /// Lets it ask a peer who that is.
    pub(crate) async fn info_of(&self, peer: &str, deadline: Duration) -> Result<Info, Abort> {
        let called: Called<Info> = self.call("peerage/info", peer, deadline).await?;
        let (outcome, text) = (called.outcome(), called.message.unwrap_or(called.outcome));
        called.value.ok_or_else(|| Abort::Ended(Exit::of(outcome), output::shown(&text)))
    }

    /// Lets it call a service of a peer, without arguments.
    async fn call<T: DeserializeOwned>(&self, tag: &str, peer: &str, deadline: Duration) -> Result<Called<T>, Abort> {
        let wanted = Call { peer, deadline_ms: millis(deadline) };
        let call = self.channel.request(&("peerage/local/call", (tag, NOTHING, Kwargs {}), wanted));
        call.deadline(deadline.saturating_add(NODE_GRACE)).await.map_err(ended)
    }

    /// Whom it knows now. From then on [`next_event`](Self::next_event) tells what happens to it.
    pub(crate) async fn watch(&self) -> Result<Peers, Abort> {
        self.ask("peerage/local/watch", &NOTHING).await
    }

    /// What happened next; `None` when the node has gone. Only after [`watch`](Self::watch).
    ///
    /// Cancel-safe: dropping the future loses no event.
    pub(crate) async fn next_event(&mut self) -> Option<EventRecord> {
        loop {
            let request = self.channel.next_request().await?;
            let told = request.content::<(String, (EventRecord,), Value)>();
            request.reply(&Value::Null);
            match told {
                Ok((_, (record,), _)) => return Some(record),
                // A newer node tells things that this program has no word for.
                Err(why) => tracing::debug!(%why, "skipped a record of the node"),
            }
        }
    }

    /// Asks for a service with these arguments.
    async fn ask<T: DeserializeOwned>(&self, tag: &str, args: &(impl Serialize + ?Sized)) -> Result<T, Abort> {
        self.channel.request(&(tag, args, Kwargs {})).await.map_err(ended)
    }
}

/// How a ping ended.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// It came back after so many microseconds.
    Came { rtt_us: u64 },
    /// It did not.
    Failed { outcome: Outcome, message: String },
}

/// How this program ends when its node has gone while it was still needed.
pub(crate) fn gone() -> Abort {
    Abort::Ended(Exit::ConnectionLost, NODE_GONE.to_owned())
}

/// How this program ends when the node gave no answer.
pub(crate) fn ended(error: CallError) -> Abort {
    if let CallError::Remote { message, .. } = &error
        && let Some(abort) = told(message)
    {
        return abort;
    }
    let text = match &error {
        CallError::NotSent { why: NotSent::NoRoute } | CallError::ConnectionLost { .. } => NODE_GONE.to_owned(),
        other => output::shown(&other.to_string()),
    };
    Abort::Ended(Exit::of(error.outcome()), text)
}

/// The node says why it does not do it: there is no such member, or not one, or it cannot be done. A plain link carries
/// the code before the text.
fn told(message: &str) -> Option<Abort> {
    let (code, text) = message.strip_prefix('[')?.split_once("] ")?;
    let text = output::shown(text);
    match code {
        "absent" => Some(Abort::Ended(Exit::Absent, text)),
        "not-yet-known" => Some(Abort::Ended(Exit::NotYetKnown, text)),
        "ambiguous" => Some(Abort::Usage(text)),
        "bad-request" | "tag-taken" => Some(Abort::Ended(Exit::Refused, text)),
        "limit-reached" | "shutting-down" => Some(Abort::Ended(Exit::DidNotRun, text)),
        _ => None,
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Named arguments of a service that takes none.
#[derive(Serialize)]
struct Kwargs {}

/// How long the node may wait for what it is asked.
#[derive(Serialize)]
struct Within {
    within_ms: u64,
}

/// What a node is to say of itself; what is `None` or empty stays.
#[derive(Debug, Serialize)]
pub(crate) struct Wanted {
    /// Groups to which it is to belong.
    pub(crate) join: Vec<String>,
    /// Groups to which it is not to belong any more.
    pub(crate) leave: Vec<String>,
    /// Whether it is to be a hub.
    pub(crate) hub: Option<bool>,
    /// Where others are to come; none: where it listens.
    pub(crate) advertise: Option<Vec<String>>,
}

#[derive(Serialize)]
struct Drain {
    within_ms: u64,
}

#[derive(Deserialize)]
struct Drained {
    abandoned: u64,
}

#[derive(Serialize)]
struct Call<'p> {
    peer: &'p str,
    deadline_ms: u64,
}

/// How a call ended that the node made for us.
#[derive(Deserialize)]
struct Called<T> {
    outcome: String,
    #[serde(default = "Option::default")]
    value: Option<T>,
    #[serde(default)]
    message: Option<String>,
    elapsed_us: u64,
}

impl<T> Called<T> {
    /// A word of a newer node means that nothing certain is known.
    fn outcome(&self) -> Outcome {
        Outcome::ALL.into_iter().find(|outcome| outcome.name() == self.outcome).unwrap_or(Outcome::Protocol)
    }
}

#[derive(Deserialize)]
struct Filter {
    filter: String,
}

/// Arguments of a service that takes none.
const NOTHING: [(); 0] = [];

/// Whatever ends a node closes its control socket, so no more than this is known.
const NODE_GONE: &str = "the node has gone: it was stopped, or its process has ended; start it again with `peerage up`, \
                         then repeat the command";

/// What a node may take beyond the deadline of a call, to tell how it ended.
const NODE_GRACE: Duration = Duration::from_secs(1);

const CONNECT_WITHIN: Duration = Duration::from_secs(3);
