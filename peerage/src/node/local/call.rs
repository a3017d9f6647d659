//! `peerage/local/call`: the node calls a function of other nodes for a program of its user.
//!
//! How the call ended is the *value* that the program gets: an outcome is news to it, not a failure of this service. A call of
//! all who offer the function tells each answer as it comes, as a request of the node, `["answer", [{"call": n, …}], {}]`, and
//! its value is the sum. The items of a stream are told in the same way, `["item", [{"call": n, "n", "item"}], {}]`, the next one when the
//! last is answered. A file that goes with the call is read by the node, and sent as a stream of bytes.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use peerage_proto::codec::Value;
use peerage_proto::id::{Group, NodeId};
use peerage_proto::limits;
use peerage_proto::outcome::{CallError, Refused};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use super::{bad_request, open};
use crate::channel::{Caller, Failure};
use crate::dispatch::Called;
use crate::flag::{self, Flag};
use crate::node::call::{Calling, NodeCall, Open, Settled};
use crate::node::filter::Filter;
use crate::node::providers::Choice;
use crate::node::shared::Shared;

mod conversing;
mod ended;

use conversing::converse;
pub(super) use ended::Ended;

/// What is asked for, beside the tag and its arguments.
#[derive(Deserialize)]
struct Wanted {
    /// Id of the one node that is asked. None: any that offers it, or all.
    #[serde(default)]
    peer: Option<String>,
    /// All that offer it: the number under which their answers are told.
    #[serde(default)]
    all: Option<u64>,
    /// The number under which the items of the callee are told.
    #[serde(default)]
    stream: Option<u64>,
    /// A file that the callee is sent as a stream, by its absolute path, because the node has a folder of its own.
    #[serde(default)]
    file: Option<PathBuf>,
    /// Nobody waits for the answer: the outcome is whether it was accepted for sending.
    #[serde(default)]
    notify: bool,
    /// The callee runs it once, also where it has to be asked again.
    #[serde(default)]
    idempotent: bool,
    #[serde(default)]
    groups: Vec<String>,
    #[serde(default)]
    hubs_only: bool,
    /// Ids or names.
    #[serde(default)]
    peers: Vec<String>,
    #[serde(default)]
    on_host: bool,
    #[serde(default)]
    include_self: bool,
    #[serde(default)]
    deadline_ms: Option<u64>,
}

/// A call as it is asked for.
struct Asked {
    tag: String,
    args: Value,
    kwargs: Value,
    wanted: Wanted,
    peer: Option<NodeId>,
    filter: Filter,
    deadline: Duration,
}

/// Makes the call; a program that goes away gives it up.
pub(super) async fn call(node: Arc<Shared>, called: Called) {
    let asked = match Asked::read(&called) {
        Ok(asked) => asked,
        Err(failure) => return called.request.fail_with(failure),
    };
    let caller = called.request.caller();
    if let Some(number) = asked.wanted.all {
        return tokio::select! {
            () = all(&node, &asked, number, called) => {}
            _ = caller.ended() => {}
        };
    }
    let work = async {
        match asked.is_conversation() {
            true => converse(&node, &asked, &caller).await,
            false if asked.wanted.notify => Ok(notify(&node, &asked).await),
            false => Ok(one(&node, &asked).await),
        }
    };
    let ended = tokio::select! {
        ended = work => ended,
        _ = caller.ended() => return,
    };
    match ended {
        Ok(ended) => called.request.reply(&ended),
        Err(failure) => called.request.fail_with(failure),
    }
}

/// The one node that is asked.
enum Chosen<'a> {
    Named(NodeId),
    /// It counts as busy with the call for as long as this is held.
    Open(Open<'a>),
}

impl Chosen<'_> {
    fn peer(&self) -> NodeId {
        match self {
            Chosen::Named(peer) => *peer,
            Chosen::Open(open) => open.peer(),
        }
    }
}

impl Asked {
    fn read(called: &Called) -> Result<Asked, Failure> {
        let (tag, args, kwargs) = open::<(String, Value, Value)>(&called.args)?;
        let wanted: Wanted = open(&called.kwargs)?;
        let peer = wanted.peer.as_ref().map(|peer| peer.parse::<NodeId>());
        let peer = peer.transpose().map_err(|_| bad_request("peer is no node id".to_owned()))?;
        wanted.check().map_err(|why| bad_request(why.to_owned()))?;
        let deadline = wanted.deadline_ms.map_or(limits::CALL_DEADLINE_DEFAULT, Duration::from_millis);
        let filter = wanted.filter()?;
        Ok(Asked { tag, args, kwargs, wanted, peer, filter, deadline })
    }

    /// Whether it is opened as a conversation.
    fn is_conversation(&self) -> bool {
        self.wanted.stream.is_some() || self.wanted.file.is_some()
    }

    fn calling<'a>(&'a self, node: &'a Arc<Shared>) -> Calling<'a> {
        let calling = Calling::new(node, &self.tag).matching(self.filter.clone());
        if self.wanted.include_self { calling.include_self() } else { calling }
    }

    /// The call of one node.
    fn at<'a>(&'a self, node: &'a Arc<Shared>, peer: NodeId) -> NodeCall<'a, Value> {
        let call = Calling::new(node, &self.tag).peer::<Value>(peer);
        call.args(&self.args).kwargs(&self.kwargs).deadline(self.deadline)
    }

    /// Whom to ask where only one can be: who is named, else one of those who offer it.
    async fn chosen<'a>(&'a self, node: &'a Arc<Shared>) -> Result<Chosen<'a>, CallError> {
        if let Some(peer) = self.peer {
            return Ok(Chosen::Named(peer));
        }
        let choice =
            Choice { filter: self.filter.clone(), include_self: self.wanted.include_self, ..Choice::default() };
        let due = tokio::time::Instant::now().checked_add(self.deadline);
        node.choose(&self.tag, &choice, due).await.map(Chosen::Open)
    }
}

impl Wanted {
    /// Whether what is wanted can be had together.
    fn check(&self) -> Result<(), &'static str> {
        let has_streams = self.stream.is_some() || self.file.is_some();
        if self.all.is_some() && (self.peer.is_some() || has_streams || self.notify || self.idempotent) {
            return Err("all are asked for one answer each: without peer, stream, file, notify and idempotent");
        }
        if self.notify && (has_streams || self.idempotent) {
            return Err("a notification has neither answer nor streams: without stream, file and idempotent");
        }
        if self.idempotent && has_streams {
            return Err("a conversation cannot be asked again: without stream and file");
        }
        match &self.file {
            Some(file) if !file.is_absolute() => Err("file is an absolute path: the node has a folder of its own"),
            _ => Ok(()),
        }
    }

    fn filter(&self) -> Result<Filter, Failure> {
        let group =
            |name: &String| name.parse::<Group>().map_err(|why| bad_request(format!("the group {name:?}: {why}")));
        let groups = self.groups.iter().map(group).collect::<Result<Vec<_>, _>>()?;
        let mut filter = Filter::new().groups(groups).peers(self.peers.iter().cloned());
        if self.hubs_only {
            filter = filter.hubs_only();
        }
        if self.on_host {
            filter = filter.on_host();
        }
        Ok(filter)
    }
}

/// One node answers: the one that is named, or any.
async fn one(node: &Arc<Shared>, asked: &Asked) -> Ended {
    let began = Instant::now();
    let settled = flag::kept(async {
        match asked.peer {
            Some(peer) => {
                let call = asked.at(node, peer);
                let outcome = if asked.wanted.idempotent { call.idempotent().await } else { call.await };
                let was_asked = was_asked(&outcome);
                (outcome, was_asked.then_some(peer), u32::from(was_asked))
            }
            None => {
                let call = asked.calling(node).any::<Value>().args(&asked.args).kwargs(&asked.kwargs);
                let call = if asked.wanted.idempotent { call.idempotent() } else { call };
                let Settled { outcome, peer, attempts, .. } = call.deadline(asked.deadline).settled().await;
                (outcome, peer, attempts)
            }
        }
    });
    let (outcome, peer, attempts) = settled.await;
    ended(node, &asked.tag, outcome, peer, attempts, began)
}

/// One node is told, and whether it was accepted for sending is the outcome.
async fn notify(node: &Arc<Shared>, asked: &Asked) -> Ended {
    let began = Instant::now();
    let (outcome, peer) = match asked.chosen(node).await {
        Ok(chosen) => (asked.at(node, chosen.peer()).notify().await, Some(chosen.peer())),
        Err(why) => (Err(why), None),
    };
    let outcome = outcome.map(|()| Value::Null);
    let was_asked = was_asked(&outcome);
    ended(node, &asked.tag, outcome, peer.filter(|_| was_asked), 1, began)
}

/// All who offer it answer; each answer is told as it comes.
async fn all(node: &Arc<Shared>, asked: &Asked, number: u64, called: Called) {
    #[derive(Serialize)]
    struct Numbered {
        call: u64,
        #[serde(flatten)]
        ended: Ended,
    }
    let began = Instant::now();
    let call = asked.calling(node).all::<Value>().args(&asked.args).kwargs(&asked.kwargs).deadline(asked.deadline);
    let mut answers = match flag::kept(call.into_future()).await {
        Ok(answers) => answers,
        // Nobody was asked.
        Err(why) => return called.request.reply(&ended(node, &asked.tag, Err(why), None, 0, began)),
    };
    let unanswered = Arc::new(Semaphore::new(limits::CONTROL_UNANSWERED_MAX));
    let caller = called.request.caller();
    while let Some(answer) = answers.next().await {
        let ended = ended(node, &asked.tag, answer.outcome, Some(answer.peer), 1, began);
        let Ok(room) = unanswered.clone().acquire_owned().await else { return };
        tokio::spawn(tell(caller.clone(), Numbered { call: number, ended }, room));
    }
    // Whoever reads the sum has all answers.
    let _ = unanswered.acquire_many(limits::CONTROL_UNANSWERED_MAX as u32).await;
    called.request.reply(&answers.end());
}

async fn tell(caller: Caller, answer: impl Serialize, room: tokio::sync::OwnedSemaphorePermit) {
    let word = ("answer", [answer], Value::Map(Vec::new()));
    if let Err(why) = caller.request::<Value>(&word).without_deadline().await {
        tracing::debug!(%why, "an answer did not reach its reader");
    }
    drop(room);
}

/// Whether anybody may have been asked at all.
pub(super) fn was_asked(outcome: &Result<Value, CallError>) -> bool {
    !matches!(
        outcome,
        Err(CallError::NotSent { .. }
            | CallError::Absent { .. }
            | CallError::NotYetKnown { .. }
            | CallError::Refused { why: Refused::BadRequest(_) | Refused::TooLarge { .. } })
    )
}

/// The record of a call, a flag in it by its name.
fn ended(
    node: &Shared,
    tag: &str,
    outcome: Result<Value, CallError>,
    peer: Option<NodeId>,
    attempts: u32,
    began: Instant,
) -> Ended {
    let flag = outcome.as_ref().err().and_then(Flag::of);
    let outcome = match (&flag, peer) {
        // Without a handler the flag itself is the result.
        (Some(flag), Some(peer)) => node.flags.resolve(flag, tag, peer).unwrap_or(Ok(Value::Null)),
        _ => outcome,
    };
    let is_value = outcome.is_ok();
    let mut ended = Ended::of(outcome).of_peer(peer, attempts, began);
    ended.flag = flag.filter(|_| is_value).map(|flag| flag.name().to_owned());
    ended
}
