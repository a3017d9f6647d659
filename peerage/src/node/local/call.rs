//! `peerage/local/call`: the node calls a function of other nodes for a program of its user.
//!
//! How the call ended is the *value* that the program gets: an outcome is news to it, not a failure of this service. A call of
//! all who offer the function tells each answer as it comes, as a request of the node, `["answer", [{"call": n, …}], {}]`, and
//! its value is the sum. The items of a stream are told in the same way, `["item", [{"call": n, "n", "item"}], {}]`, the next one when the
//! last is answered.

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
use crate::node::call::{Calling, Settled};
use crate::node::filter::Filter;
use crate::node::providers::Choice;
use crate::node::shared::Shared;

mod ended;

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
    let ended = tokio::select! {
        ended = listen(&node, &asked, &caller), if asked.wanted.stream.is_some() => ended,
        ended = one(&node, &asked), if asked.wanted.stream.is_none() => ended,
        _ = caller.ended() => return,
    };
    called.request.reply(&ended);
}

impl Asked {
    fn read(called: &Called) -> Result<Asked, Failure> {
        let (tag, args, kwargs) = open::<(String, Value, Value)>(&called.args)?;
        let wanted: Wanted = open(&called.kwargs)?;
        let peer = wanted.peer.as_ref().map(|peer| peer.parse::<NodeId>());
        let peer = peer.transpose().map_err(|_| bad_request("peer is no node id".to_owned()))?;
        if wanted.all.is_some() && (peer.is_some() || wanted.stream.is_some()) {
            return Err(bad_request("all are asked for one answer each: without peer and stream".to_owned()));
        }
        let deadline = wanted.deadline_ms.map_or(limits::CALL_DEADLINE_DEFAULT, Duration::from_millis);
        let filter = wanted.filter()?;
        Ok(Asked { tag, args, kwargs, wanted, peer, filter, deadline })
    }

    fn calling<'a>(&'a self, node: &'a Arc<Shared>) -> Calling<'a> {
        let calling = Calling::new(node, &self.tag).matching(self.filter.clone());
        if self.wanted.include_self { calling.include_self() } else { calling }
    }
}

impl Wanted {
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
                let call = Calling::new(node, &asked.tag).peer::<Value>(peer);
                let outcome = call.args(&asked.args).kwargs(&asked.kwargs).deadline(asked.deadline).await;
                let was_asked = was_asked(&outcome);
                (outcome, was_asked.then_some(peer), u32::from(was_asked))
            }
            None => {
                let call = asked.calling(node).any::<Value>().args(&asked.args).kwargs(&asked.kwargs);
                let Settled { outcome, peer, attempts, .. } = call.deadline(asked.deadline).settled().await;
                (outcome, peer, attempts)
            }
        }
    });
    let (outcome, peer, attempts) = settled.await;
    ended(node, &asked.tag, outcome, peer, attempts, began)
}

/// One node answers with a stream: each item is told when the last one is answered, so whoever reads slowly is waited for.
async fn listen(node: &Arc<Shared>, asked: &Asked, caller: &Caller) -> Ended {
    #[derive(Serialize)]
    struct Item {
        call: u64,
        n: u64,
        item: Value,
    }
    let (began, number) = (Instant::now(), asked.wanted.stream.unwrap_or_default());
    let choice = Choice { filter: asked.filter.clone(), include_self: asked.wanted.include_self, ..Choice::default() };
    let peer = match asked.peer {
        Some(peer) => Ok(peer),
        None => {
            let due = tokio::time::Instant::now().checked_add(asked.deadline);
            let found = node.find_providers(&asked.tag, &choice, due).await;
            found
                .map(|found| found.iter().min_by_key(|provider| provider.is_suspect).map(|provider| provider.id))
                .and_then(|id| id.ok_or(CallError::Absent { what: asked.tag.clone(), as_of: node.view().version }))
        }
    };
    let peer = match peer {
        Ok(peer) => peer,
        Err(why) => return ended(node, &asked.tag, Err(why), None, 0, began),
    };
    let call = Calling::new(node, &asked.tag).peer::<Value>(peer).args(&asked.args).kwargs(&asked.kwargs);
    let work = async {
        let mut incoming = call.deadline(asked.deadline).stream::<Value>().await?;
        let mut n = 0;
        while let Some(item) = incoming.next().await {
            n += 1;
            let word = ("item", [Item { call: number, n, item: item? }], Value::Map(Vec::new()));
            // Whoever does not answer any more has gone, and the call with it.
            let _ = caller.request::<Value>(&word).without_deadline().await;
        }
        incoming.outcome::<Value>().await
    };
    let outcome = work.await;
    let was_asked = was_asked(&outcome);
    ended(node, &asked.tag, outcome, was_asked.then_some(peer), 1, began)
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
