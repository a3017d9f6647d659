//! `peerage/local/subscribe`: the node hears of events for a program of its user.
//!
//! `["peerage/local/subscribe", [PATTERN], {…}]` is answered with null. From then on each record is a request of the node to the
//! program, `["event", [record], {}]`, in order, and the program answers with null. While as many as may be are unanswered nothing more is
//! taken, and what happens then is up to the policy of the subscription, at each publisher. It ends with the connection, or when the
//! program says so.

use std::fmt;
use std::future::poll_fn;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use peerage_proto::codec::{Encoding, Value};
use peerage_proto::id::{Group, NodeId};
use peerage_proto::limits;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::serve::Offers;
use super::{bad_request, open, shutting_down};
use crate::channel::{Caller, Failure};
use crate::dispatch::Called;
use crate::event::{Gap, Heard, Policy, Subscription, Why};
use crate::node::event::Event as NodeEvent;
use crate::node::filter::Filter;
use crate::node::shared::Shared;

/// What is to be heard, or that it is to end.
#[derive(Deserialize)]
struct Wanted {
    /// The program's number for it, which stands in each record.
    #[serde(default)]
    id: Option<u64>,
    #[serde(default)]
    policy: Option<String>,
    #[serde(default)]
    history: u32,
    #[serde(default)]
    recover: bool,
    #[serde(default)]
    shared: Option<String>,
    #[serde(default)]
    groups: Vec<String>,
    #[serde(default)]
    hubs_only: bool,
    /// Ids or names.
    #[serde(default)]
    peers: Vec<String>,
    #[serde(default)]
    on_host: bool,
    /// Events of this node as well.
    #[serde(default)]
    include_self: bool,
    /// The subscription of this program with this number is over.
    #[serde(default)]
    end: bool,
}

/// The subscriptions that programs have through this node.
#[derive(Default)]
pub(super) struct Readers(Mutex<Vec<Reading>>);

/// One of them.
struct Reading {
    caller: Caller,
    id: Option<u64>,
    ended: CancellationToken,
}

/// Subscribes, or ends a subscription, and passes on what comes for as long as the program is there.
pub(super) async fn subscribe(node: Arc<Shared>, offers: Arc<Offers>, readers: Arc<Readers>, called: Called) {
    let wanted: Wanted = match open(&called.kwargs) {
        Ok(wanted) => wanted,
        Err(failure) => return called.request.fail_with(failure),
    };
    let (caller, id) = (called.request.caller(), wanted.id);
    if wanted.end {
        return match readers.end(&caller, id) {
            true => called.request.reply(&Value::Null),
            false => called.request.fail_with(bad_request("this program has no such subscription".to_owned())),
        };
    }
    let Some(ended) = readers.begin(&caller, id) else {
        let why = "this program has a subscription of that number: give each an id of its own";
        return called.request.fail_with(bad_request(why.to_owned()));
    };
    // Listen first: what the node says of its end must not be missed.
    let (events, reader) = (node.listen(), node.reader());
    let begun = match reader {
        Some(_) => begin(&offers, &called, wanted),
        None => Err(shutting_down()),
    };
    match begun {
        Ok(subscription) => {
            let told = Telling { caller: caller.clone(), id, encoding: called.args.encoding() };
            called.request.reply(&Value::Null);
            tokio::select! {
                () = pass_on(&node, &told, subscription, events) => {}
                _ = caller.ended() => {}
                () = ended.cancelled() => {}
            }
        }
        Err(failure) => called.request.fail_with(failure),
    }
    readers.over(&caller, id);
    drop(reader);
}

fn begin(offers: &Offers, called: &Called, wanted: Wanted) -> Result<Subscription, Failure> {
    fn parsed<T: FromStr<Err: fmt::Display>>(what: &str, text: &str) -> Result<T, Failure> {
        text.parse().map_err(|why: T::Err| bad_request(format!("{what} {text:?}: {why}")))
    }
    let (pattern,) = open::<(String,)>(&called.args)?;
    let groups =
        wanted.groups.iter().map(|group| parsed::<Group>("the group", group)).collect::<Result<Vec<_>, _>>()?;
    let mut filter = Filter::new().groups(groups).peers(wanted.peers);
    if wanted.hubs_only {
        filter = filter.hubs_only();
    }
    if wanted.on_host {
        filter = filter.on_host();
    }
    let node = offers.node().ok_or_else(shutting_down)?;
    let mut subscribing = node.subscribe(&pattern).matching(filter).history(wanted.history);
    if let Some(policy) = &wanted.policy {
        subscribing = subscribing.policy(parsed::<Policy>("the policy", policy)?);
    }
    if let Some(name) = &wanted.shared {
        subscribing = subscribing.shared(name);
    }
    if wanted.recover {
        subscribing = subscribing.recover();
    }
    if wanted.include_self {
        subscribing = subscribing.include_self();
    }
    subscribing.start().map_err(|why| bad_request(why.to_string()))
}

async fn pass_on(
    node: &Shared,
    told: &Telling,
    mut subscription: Subscription,
    mut events: tokio::sync::broadcast::Receiver<crate::node::snapshot::EventRecord>,
) {
    let unanswered = Arc::new(Semaphore::new(limits::CONTROL_UNANSWERED_MAX));
    let (mut is_over, mut early) = (false, Some(Vec::new()));
    loop {
        // Nothing is taken that cannot be told.
        let Ok(room) = unanswered.clone().acquire_owned().await else { return };
        tokio::select! {
            heard = subscription.next(), if !is_over => match heard {
                Some(heard) => {
                    drop(room);
                    for heard in in_turn(&mut early, heard) {
                        let Ok(room) = unanswered.clone().acquire_owned().await else { return };
                        told.tell(told.record(node, heard), room).await;
                    }
                }
                // The node is about to say so itself.
                None => is_over = true,
            },
            event = events.recv() => match event {
                Ok(record) if record.event == NodeEvent::Stopped => {
                    told.tell(Told::Stopped { event: "stopped" }, room).await;
                    // All are answered when all of the room is there again.
                    let _ = unanswered.acquire_many(limits::CONTROL_UNANSWERED_MAX as u32).await;
                    return;
                }
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            },
        }
    }
}

/// What is to be told now. That it is subscribed is the first thing that a program hears, and history may come before, so what is
/// `early` waits, up to a bound.
fn in_turn(early: &mut Option<Vec<Heard>>, heard: Heard) -> Vec<Heard> {
    let Some(mut waiting) = early.take() else { return vec![heard] };
    match heard {
        Heard::Attached { .. } => waiting.insert(0, heard),
        heard => {
            waiting.push(heard);
            if waiting.len() < limits::EVENT_QUEUE_DEFAULT as usize {
                *early = Some(waiting);
                return Vec::new();
            }
        }
    }
    waiting
}

/// Who is told.
struct Telling {
    caller: Caller,
    id: Option<u64>,
    encoding: Encoding,
}

/// One thing that is told, as `peerage sub` prints it.
#[derive(Serialize)]
#[serde(untagged)]
enum Told {
    Event { event: String, from: String, name: Option<String>, epoch: String, seq: u64, value: Value },
    Gap { gap: Missing },
    Attached { event: &'static str, matching: u64 },
    Resumed { event: &'static str, from: String, missed: u64 },
    SourceLost { event: &'static str, from: String, why: String },
    Stopped { event: &'static str },
}

#[derive(Serialize)]
struct Missing {
    event: String,
    from: String,
    epoch: String,
    first: u64,
    last: Option<u64>,
    why: String,
}

impl From<Gap> for Missing {
    fn from(gap: Gap) -> Missing {
        let Gap { name, from, epoch, first, last, why } = gap;
        let (event, from, epoch) = (name.to_string(), from.to_string(), epoch.to_string());
        Missing { event, from, epoch, first, last, why: why.to_string() }
    }
}

impl Telling {
    fn record(&self, node: &Shared, heard: Heard) -> Told {
        match heard {
            Heard::Event(event) => {
                let (from, epoch, seq) = (event.from(), event.epoch(), event.seq());
                let value = event.payload().transcode(self.encoding).ok().and_then(|value| value.decode().ok());
                let Some(value) = value else {
                    let (name, why) = (event.name().into(), Why::Unencodable);
                    return Told::Gap { gap: Gap { name, from, epoch, first: seq, last: Some(seq), why }.into() };
                };
                let (name, event) = (name_of(node, &from), event.name().to_owned());
                Told::Event { event, from: from.to_string(), name, epoch: epoch.to_string(), seq, value }
            }
            Heard::Gap(gap) => Told::Gap { gap: gap.into() },
            Heard::Attached { matching } => Told::Attached { event: "attached", matching },
            Heard::Resumed { from, missed } => Told::Resumed { event: "resumed", from: from.to_string(), missed },
            Heard::SourceLost { from, why } => {
                Told::SourceLost { event: "source-lost", from: from.to_string(), why: why.name().to_owned() }
            }
        }
    }

    /// Tells it behind all that was told before; the room is free again when it is answered.
    async fn tell(&self, told: Told, room: OwnedSemaphorePermit) {
        #[derive(Serialize)]
        struct Numbered {
            #[serde(skip_serializing_if = "Option::is_none")]
            subscription: Option<u64>,
            #[serde(flatten)]
            told: Told,
        }
        let (caller, record) = (self.caller.clone(), Numbered { subscription: self.id, told });
        let mut asking = Box::pin(async move {
            let word = ("event", [record], Value::Map(Vec::new()));
            if let Err(why) = caller.request::<Value>(&word).without_deadline().await {
                tracing::debug!(%why, "an event did not reach its reader");
            }
            drop(room);
        });
        // With its first step it takes its place on the link, so that records keep their order.
        if poll_fn(|cx| Poll::Ready(asking.as_mut().poll(cx))).await.is_pending() {
            tokio::spawn(asking);
        }
    }
}

/// What a node is called, if that is known.
fn name_of(node: &Shared, id: &NodeId) -> Option<String> {
    if node.facts.id == *id {
        return Some(node.facts.name.to_string());
    }
    let view = node.view();
    let at = view.members.binary_search_by_key(id, |member| member.id).ok()?;
    view.members.get(at).map(|member| member.entry.name.clone())
}

impl Readers {
    /// Notes a subscription; `None` if the program has one of this number.
    fn begin(&self, caller: &Caller, id: Option<u64>) -> Option<CancellationToken> {
        let mut all = self.lock();
        if all.iter().any(|reading| reading.id == id && reading.caller.is_same(caller)) {
            return None;
        }
        let ended = CancellationToken::new();
        all.push(Reading { caller: caller.clone(), id, ended: ended.clone() });
        Some(ended)
    }

    /// Ends a subscription of this program.
    fn end(&self, caller: &Caller, id: Option<u64>) -> bool {
        let all = self.lock();
        let found = all.iter().find(|reading| reading.id == id && reading.caller.is_same(caller));
        found.inspect(|reading| reading.ended.cancel()).is_some()
    }

    fn over(&self, caller: &Caller, id: Option<u64>) {
        self.lock().retain(|reading| reading.id != id || !reading.caller.is_same(caller));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Reading>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
