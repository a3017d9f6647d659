//! The services of the control socket: what programs of this user may ask of their node, and nobody else may.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use peerage_proto::address::Address;
use peerage_proto::codec::{Payload, Value};
use peerage_proto::id::Group;
use peerage_proto::limits;
use peerage_proto::outcome::Code;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Semaphore, broadcast, oneshot};

use super::driver::{Command, Redialled};
use super::event::Event;
use super::log_filter::LogFilter;
use super::mistake::SetError;
use super::reading::Reading as _;
use super::setting::Change;
use super::shared::Shared;
use super::snapshot::EventRecord;
use super::wall::wall;
use crate::channel::{Caller, Failure};
use crate::dispatch::{Called, Origin, Reach, Services};

mod call;
mod publish;
mod send;
mod serve;
mod subscribe;

pub(super) use serve::Offers;

/// Adds the services of the control socket. What is returned has to be told of the node once it runs.
pub(super) fn add_to(
    services: &Arc<Services>,
    shared: &Arc<Shared>,
    filter: Option<Arc<dyn LogFilter>>,
) -> Arc<Offers> {
    let node = shared.clone();
    services.waiting("peerage/local/drain", Reach::Local, move |called| drain(node.clone(), called));
    let node = shared.clone();
    services.waiting("peerage/local/call", Reach::Local, move |called| call::call(node.clone(), called));
    // The table must not hold what holds the table.
    let (table, offers) = (Arc::downgrade(services), Arc::new(Offers::default()));
    let told = offers.clone();
    services.waiting("peerage/local/send", Reach::Local, move |called| send::send(told.clone(), called));
    let told = offers.clone();
    services.waiting("peerage/local/publish", Reach::Local, move |called| publish::publish(told.clone(), called));
    let (node, told, readers) = (shared.clone(), offers.clone(), Arc::new(subscribe::Readers::default()));
    services.waiting("peerage/local/subscribe", Reach::Local, move |called| {
        subscribe::subscribe(node.clone(), told.clone(), readers.clone(), called)
    });
    let (node, told) = (shared.clone(), offers.clone());
    services.waiting("peerage/local/serve", Reach::Local, move |called| {
        let (node, table, offers) = (node.clone(), table.clone(), told.clone());
        async move {
            match table.upgrade() {
                Some(services) => serve::serve(node, services, offers, called).await,
                None => called.request.fail_with(shutting_down()),
            }
        }
    });
    let node = shared.clone();
    services.waiting("peerage/local/redial", Reach::Local, move |called| redial(node.clone(), called));
    let node = shared.clone();
    services.waiting("peerage/local/watch", Reach::Local, move |called| watch(node.clone(), called));
    let node = shared.clone();
    services.waiting("peerage/local/set", Reach::Local, move |called| set(node.clone(), called));
    let node = shared.clone();
    services.waiting("peerage/local/refresh", Reach::Local, move |called| refresh(node.clone(), called));
    services.waiting("peerage/local/log", Reach::Local, move |called| {
        let filter = filter.clone();
        async move { log(filter.as_deref(), called) }
    });
    offers
}

/// Leaves in good order; the answer comes when everything is done but the control socket itself.
async fn drain(node: Arc<Shared>, called: Called) {
    #[derive(Deserialize)]
    struct Wanted {
        #[serde(default)]
        within_ms: Option<u64>,
    }
    let wanted: Wanted = match open(&called.kwargs) {
        Ok(wanted) => wanted,
        Err(failure) => return called.request.fail_with(failure),
    };
    let within = wanted.within_ms.map_or(limits::DRAIN_TIME_DEFAULT, Duration::from_millis);
    tracing::info!(pid = pid(&called.origin), ?within, "told to drain through the control socket");
    // As long as this is held, the control socket stays open for the answer.
    let reader = node.reader();
    let (reply, drained) = oneshot::channel();
    let sent = node.commands.send(Command::Drain { within, reply }).await.is_ok();
    match drained.await {
        Ok(drained) if sent => called.request.reply(&Value::Map(vec![("abandoned".into(), drained.abandoned.into())])),
        _ => called.request.fail_with(shutting_down()),
    }
    drop(reader);
}

/// Drops all links, and at a time on the wall, now if none is named, dials all known addresses. The answer comes when all
/// dials have begun, and says when they did.
async fn redial(node: Arc<Shared>, called: Called) {
    #[derive(Deserialize)]
    struct Wanted {
        #[serde(default)]
        at_unix_ms: Option<u64>,
    }
    let wanted: Wanted = match open(&called.kwargs) {
        Ok(wanted) => wanted,
        Err(failure) => return called.request.fail_with(failure),
    };
    let at = wanted.at_unix_ms.map(|ms| SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(ms)));
    let Some(at) = at.unwrap_or_else(|| Some(SystemTime::now())) else {
        return called.request.fail_with(Failure::new("no clock shows this time").code(Code::BAD_REQUEST));
    };
    tracing::info!(pid = pid(&called.origin), "told to dial anew through the control socket");
    let (reply, redialled) = oneshot::channel();
    let sent = node.commands.send(Command::Redial { at, reply }).await.is_ok();
    match redialled.await {
        Ok(Redialled { dials, began }) if sent => {
            let micros =
                |at: SystemTime| at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_micros() as u64;
            let (first, last) =
                began.map_or((Value::Null, Value::Null), |(first, last)| (micros(first).into(), micros(last).into()));
            let answer = [("dials", dials.into()), ("first_unix_us", first), ("last_unix_us", last)];
            called.request.reply(&Value::Map(answer.map(|(name, value)| (name.into(), value)).into()));
        }
        _ => called.request.fail_with(shutting_down()),
    }
}

/// Changes what the node says of itself, and tells what it says then.
async fn set(node: Arc<Shared>, called: Called) {
    #[derive(Deserialize)]
    struct Wanted {
        #[serde(default)]
        join: Vec<String>,
        #[serde(default)]
        leave: Vec<String>,
        #[serde(default)]
        hub: Option<bool>,
        #[serde(default)]
        advertise: Option<Vec<String>>,
    }
    fn change(wanted: Wanted) -> Result<Change, String> {
        let group = |name: &String| name.parse::<Group>().map_err(|why| format!("the group {name:?}: {why}"));
        let address = |text: &String| Address::for_node(text).map_err(|why| format!("the address {text:?}: {why}"));
        let mut change = Change::new();
        for name in &wanted.join {
            change = change.join(group(name)?);
        }
        for name in &wanted.leave {
            change = change.leave(group(name)?);
        }
        if let Some(hub) = wanted.hub {
            change = change.hub(hub);
        }
        match &wanted.advertise {
            Some(addresses) => Ok(change.advertise(addresses.iter().map(address).collect::<Result<_, _>>()?)),
            None => Ok(change),
        }
    }
    let change = match open::<Wanted>(&called.kwargs).and_then(|wanted| change(wanted).map_err(bad_request)) {
        Ok(change) => change,
        Err(failure) => return called.request.fail_with(failure),
    };
    tracing::info!(pid = pid(&called.origin), ?change, "told to say something new of itself");
    match node.set(change).await {
        Ok(()) => called.request.reply(&node.info(true)),
        Err(SetError::Mistake(why)) => called.request.fail_with(bad_request(why.to_string())),
        Err(SetError::ShuttingDown) => called.request.fail_with(shutting_down()),
    }
}

/// Asks the neighbours what they know, waits for their answers for `within_ms`, and tells who is known then.
async fn refresh(node: Arc<Shared>, called: Called) {
    #[derive(Deserialize)]
    struct Wanted {
        #[serde(default)]
        within_ms: Option<u64>,
    }
    let wanted: Wanted = match open(&called.kwargs) {
        Ok(wanted) => wanted,
        Err(failure) => return called.request.fail_with(failure),
    };
    let within = wanted.within_ms.map_or(limits::CALL_DEADLINE_DEFAULT, Duration::from_millis);
    let peers = node.refresh(within.min(limits::WIRE_TIME_MAX)).await;
    called.request.reply(&peers);
}

fn shutting_down() -> Failure {
    Failure::new("the node is shutting down").code(Code::new("shutting-down"))
}

/// Shows the log filter, or changes it.
fn log(filter: Option<&dyn LogFilter>, called: Called) {
    let wanted: Vec<String> = match open(&called.args) {
        Ok(wanted) => wanted,
        Err(failure) => return called.request.fail_with(failure),
    };
    let Some(filter) = filter else {
        let why = "the program around this node does not let its log filter be changed";
        return called.request.fail_with(Failure::new(why).code(Code::new("unsupported")));
    };
    match wanted.as_slice() {
        [] => {}
        [wanted] => match filter.set(wanted) {
            Ok(()) => tracing::info!(pid = pid(&called.origin), filter = %wanted, "log filter changed"),
            Err(why) => return called.request.fail_with(Failure::new(why).code(Code::BAD_REQUEST)),
        },
        _ => return called.request.fail_with(Failure::new("one filter at most").code(Code::BAD_REQUEST)),
    }
    called.request.reply(&Value::Map(vec![("filter".into(), filter.filter().into())]));
}

/// Answers with the peers as they are, then passes on each event as a request to the client until it leaves.
async fn watch(node: Arc<Shared>, called: Called) {
    // Listen first, look second: what happens in between comes twice rather than never, and has the version to tell.
    let (events, Some(reader)) = (node.listen(), node.reader()) else {
        return called.request.fail_with(shutting_down());
    };
    let caller = called.request.caller();
    called.request.reply(&node.peers());
    tokio::select! {
        () = pass_on(&node, &caller, events) => {}
        _ = caller.ended() => {}
    }
    drop(reader);
}

async fn pass_on(node: &Shared, caller: &Caller, mut events: broadcast::Receiver<EventRecord>) {
    let unanswered = Arc::new(Semaphore::new(limits::CONTROL_UNANSWERED_MAX));
    loop {
        let Ok(room) = unanswered.clone().acquire_owned().await else { return };
        let record = match events.recv().await {
            Ok(record) => record,
            Err(RecvError::Closed) => return,
            Err(RecvError::Lagged(count)) => {
                node.metrics.control_records_skipped.add(count);
                let wall = wall(std::time::SystemTime::now());
                EventRecord { event: Event::Skipped { count }, wall, version: node.view().version }
            }
        };
        let is_last = record.event == Event::Stopped;
        let caller = caller.clone();
        tokio::spawn(async move {
            let answer = caller.request::<Value>(&("event", [record], Value::Map(Vec::new()))).without_deadline().await;
            if let Err(why) = answer {
                tracing::debug!(%why, "a record did not reach its reader");
            }
            drop(room);
        });
        if is_last {
            // All are answered when all of the room is there again.
            let _ = unanswered.acquire_many(limits::CONTROL_UNANSWERED_MAX as u32).await;
            return;
        }
    }
}

fn open<T: DeserializeOwned>(payload: &Payload) -> Result<T, Failure> {
    payload.decode().map_err(|why| Failure::new(why.to_string()).code(Code::BAD_REQUEST))
}

fn bad_request(why: String) -> Failure {
    Failure::new(why).code(Code::BAD_REQUEST)
}

fn pid(origin: &Origin) -> i32 {
    match origin {
        Origin::Control(Some(pid)) => *pid,
        _ => 0,
    }
}
