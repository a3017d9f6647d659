//! `peerage/local/serve`: a program of this user answers calls for its node.
//!
//! The program registers a tag and is handed each call as a request of the node, `["call", [{"call": n, …}], {}]`; its answer
//! is the answer of the call. When nobody waits for a call any more the program is told, `["cancel", [{"call": n}], {}]`, and
//! answers with null once the work has ended: only then is that confirmed to the caller, and only then is there room for
//! another call. Everything ends with the connection.
//!
//! ```text
//!   caller ──request──▶ node ──call──▶ program        answered with the value, or with a map of one key:
//!          ◀──answer───      ◀─value──                {"$flag": NAME}, {"$failure": {code, message, data}}, {"$$…": …}
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use peerage_proto::codec::{Encoding, Payload, Value, is_tag};
use peerage_proto::id::NodeId;
use peerage_proto::limits;
use peerage_proto::outcome::{Busy, CallError, Code, Refused};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{bad_request, open, pid, shutting_down};
use crate::channel::{Caller, Failure};
use crate::dispatch::{Called, OnStop, Options, Reach, Services, Taken, is_reserved};
use crate::files::{Received, Sink};
use crate::flag::Flag;
use crate::node::shared::Shared;
use crate::node::{Node, WeakNode};

/// How a service is to be offered, or that it is to end.
#[derive(Deserialize)]
struct Wanted {
    #[serde(default)]
    concurrency: Option<usize>,
    #[serde(default)]
    allow: Vec<String>,
    #[serde(default)]
    description: Option<String>,
    /// A folder, by its absolute path: the node takes files into it, and tells the program of each.
    #[serde(default)]
    file_sink: Option<PathBuf>,
    /// Offered no longer; calls that were handed over go on.
    #[serde(default)]
    end: bool,
}

/// The services that programs offer through this node.
#[derive(Default)]
pub(crate) struct Offers {
    /// The node itself, once it runs.
    node: OnceLock<WeakNode>,
    by_tag: Mutex<BTreeMap<String, (Arc<Program>, CancellationToken)>>,
    /// One for each connection that offers something.
    programs: Mutex<Vec<Weak<Program>>>,
}

/// A program that serves: one connection to the control socket.
struct Program {
    caller: Caller,
    encoding: Encoding,
    /// What it may leave unanswered.
    room: Arc<Semaphore>,
    /// Number of the next call.
    next: AtomicU64,
}

/// Registers a service, or ends one, and keeps it for as long as the program is connected.
pub(super) async fn serve(node: Arc<Shared>, services: Arc<Services>, offers: Arc<Offers>, called: Called) {
    let caller = called.request.caller();
    let wanted = open::<(String,)>(&called.args).and_then(|(tag,)| Ok((tag, open::<Wanted>(&called.kwargs)?)));
    let (tag, wanted) = match wanted {
        Ok(wanted) => wanted,
        Err(failure) => return called.request.fail_with(failure),
    };
    if wanted.end {
        return match offers.end(&tag, &caller) {
            true => called.request.reply(&Value::Null),
            false => called.request.fail_with(bad_request(format!("this program does not serve `{tag}`"))),
        };
    }
    let (sink, options) = match options(&tag, wanted) {
        Ok(options) => options,
        Err(why) => return called.request.fail_with(bad_request(why)),
    };
    let program = offers.program(&caller, called.args.encoding());
    let added = match sink {
        None => {
            let work = program.clone();
            services.add_waiting(&tag, options, move |called| Box::pin(hand_over(work.clone(), called)))
        }
        Some(folder) => {
            let Some(node) = offers.node() else { return called.request.fail_with(shutting_down()) };
            let options = Options { on_stop: OnStop::Drop, ..options };
            node.add_service(&tag, options, Sink::new(folder).on_received(told_of(caller.clone())).handler())
        }
    };
    let entry = match added {
        Ok(entry) => entry,
        Err(Taken) => {
            let why =
                format!("this node serves `{tag}` already: choose another tag, or end the program that serves it");
            return called.request.fail_with(Failure::new(why).code(Code::new("tag-taken")));
        }
    };
    let pid = pid(&called.origin);
    tracing::info!(pid, tag, "a program serves through the control socket");
    let ended = CancellationToken::new();
    offers.insert(&tag, program, ended.clone());
    told(&node, &tag).await;
    called.request.reply(&Value::Null);
    tokio::select! {
        _ = caller.ended() => {}
        () = ended.cancelled() => {}
    }
    services.remove(&entry);
    offers.remove(&tag, &caller);
    tracing::info!(pid, tag, "it does no longer");
}

/// Waits until the neighbours have heard of a service, so that whoever is told that it is there can call it from anywhere.
/// For a while only: it is served in any case.
async fn told(node: &Shared, tag: &str) {
    let mut view = node.watch_view();
    let heard = view.wait_for(|view| view.own.services.offers(tag) && view.missing.is_empty());
    // A node without links has nobody to tell.
    let within = if node.links.all().is_empty() { Duration::ZERO } else { TOLD_WITHIN };
    let _ = timeout(within, heard).await;
}

/// Tells a program of each file that has arrived. One that is far behind misses some.
fn told_of(caller: Caller) -> impl Fn(&Received) + Send + Sync + 'static {
    #[derive(Serialize)]
    struct Arrived {
        from: Option<String>,
        path: String,
        size: u64,
        sha256: String,
    }
    let room = Arc::new(Semaphore::new(limits::CONTROL_UNANSWERED_MAX));
    move |file| {
        let Ok(room) = room.clone().try_acquire_owned() else { return };
        let (caller, from) = (caller.clone(), file.from.map(|from| from.to_string()));
        let path = file.path.to_string_lossy().into_owned();
        let arrived = Arrived { from, path, size: file.size, sha256: file.sha256.clone() };
        tokio::spawn(async move {
            let word = ("received", [arrived], Value::Map(Vec::new()));
            if let Err(why) = caller.request::<Value>(&word).without_deadline().await {
                tracing::debug!(%why, "a file that has arrived was not told of");
            }
            drop(room);
        });
    }
}

/// The folder for files, if that is what is wanted, and the rules.
fn options(tag: &str, wanted: Wanted) -> Result<(Option<PathBuf>, Options), String> {
    if !is_tag(tag) {
        return Err("a tag is 1 to 255 of the characters A–Z a–z 0–9 . _ / -".to_owned());
    }
    if is_reserved(tag) {
        return Err("names that begin with peerage/ belong to nodes themselves".to_owned());
    }
    if wanted.description.as_ref().is_some_and(|text| text.len() > limits::SERVICE_DESCRIPTION_BYTES) {
        return Err(format!("a description has at most {} bytes", limits::SERVICE_DESCRIPTION_BYTES));
    }
    let id = |text: &String| text.parse::<NodeId>().map_err(|why| format!("allow holds {text:?}: {why}"));
    let allow = wanted.allow.iter().map(id).collect::<Result<BTreeSet<_>, _>>()?;
    if wanted.file_sink.as_ref().is_some_and(|folder| !folder.is_absolute() || !folder.is_dir()) {
        return Err("file_sink is the absolute path of a folder that is there".to_owned());
    }
    let concurrency = wanted.concurrency.unwrap_or(limits::CONTROL_UNANSWERED_MAX);
    let options = Options {
        description: wanted.description,
        allow: (!allow.is_empty()).then_some(allow),
        concurrency: Some(concurrency.clamp(1, limits::CONTROL_UNANSWERED_MAX)),
        on_stop: OnStop::Tell,
        ..Options::of(Reach::Offered)
    };
    Ok((wanted.file_sink, options))
}

impl Offers {
    /// The node runs.
    pub(crate) fn begin(&self, node: WeakNode) {
        self.node.get_or_init(|| node);
    }

    /// The node, as long as it runs.
    pub(super) fn node(&self) -> Option<Node> {
        self.node.get()?.upgrade()
    }

    /// The program at the other end of a connection.
    fn program(&self, caller: &Caller, encoding: Encoding) -> Arc<Program> {
        let mut programs = self.programs.lock().unwrap_or_else(PoisonError::into_inner);
        programs.retain(|program| program.strong_count() > 0);
        let known = programs.iter().filter_map(Weak::upgrade).find(|program| program.caller.is_same(caller));
        known.unwrap_or_else(|| {
            let program = Arc::new(Program {
                caller: caller.clone(),
                encoding,
                room: Arc::new(Semaphore::new(limits::CONTROL_UNANSWERED_MAX)),
                next: AtomicU64::new(0),
            });
            programs.push(Arc::downgrade(&program));
            program
        })
    }

    fn insert(&self, tag: &str, program: Arc<Program>, ended: CancellationToken) {
        self.by_tag.lock().unwrap_or_else(PoisonError::into_inner).insert(tag.to_owned(), (program, ended));
    }

    /// Ends a service of this program.
    fn end(&self, tag: &str, caller: &Caller) -> bool {
        let by_tag = self.by_tag.lock().unwrap_or_else(PoisonError::into_inner);
        let found = by_tag.get(tag).filter(|(program, _)| program.caller.is_same(caller));
        found.inspect(|(_, ended)| ended.cancel()).is_some()
    }

    fn remove(&self, tag: &str, caller: &Caller) {
        let mut by_tag = self.by_tag.lock().unwrap_or_else(PoisonError::into_inner);
        if by_tag.get(tag).is_some_and(|(program, _)| program.caller.is_same(caller)) {
            by_tag.remove(tag);
        }
    }
}

/// What a program is told of a call.
#[derive(Serialize)]
struct Given<'a> {
    call: u64,
    tag: &'a str,
    args: &'a Value,
    kwargs: &'a Value,
    peer: Option<String>,
    deadline_ms: Option<u64>,
}

#[derive(Serialize)]
struct Number {
    call: u64,
}

/// Hands a call over to the program and answers with what it answers.
async fn hand_over(program: Arc<Program>, called: Called) {
    let Ok(_room) = program.room.clone().try_acquire_owned() else {
        return called.request.put_off(Busy::LimitReached, RETRY_AFTER);
    };
    let call = program.next.fetch_add(1, Ordering::Relaxed);
    let content = match content(&program, &called, call) {
        Ok(content) => content,
        Err(why) => return called.request.refuse(&Refused::BadRequest(why)),
    };
    let answer = tokio::select! {
        answer = program.caller.request_payload(content).without_deadline() => answer,
        () = called.facts.cancel.cancelled() => {
            let word = ("cancel", [Number { call }], Value::Map(Vec::new()));
            // Whatever it says, or that it has gone, means that the work has ended.
            let _ = program.caller.request::<Value>(&word).without_deadline().await;
            // Without an answer the request says by itself that the work was stopped.
            return;
        }
    };
    match answer {
        Ok(value) => called.answer(meant(value)),
        Err(CallError::Remote { code, message, data }) => called.answer(Err(failure(code, message, data))),
        // It has gone before it was given the call, so another one may have it.
        Err(CallError::NotSent { .. }) => called.request.put_off(Busy::Draining, RETRY_ELSEWHERE),
        Err(CallError::Refused { why }) => called.request.refuse(&why),
        Err(CallError::ConnectionLost { .. }) => {
            called.answer(Err(Failure::new("handler process ended").code(Code::HANDLER_LOST)));
        }
        Err(why) => called.answer(Err(Failure::new(why.to_string()).code(Code::INTERNAL))),
    }
}

/// The request to the program. The error names what its encoding cannot carry.
fn content(program: &Program, called: &Called, call: u64) -> Result<Payload, String> {
    let value = |what: &str, payload: &Payload| -> Result<Value, String> {
        payload.transcode(program.encoding).map_err(|why| format!("{what}: {why}"))?;
        payload.decode().map_err(|why| format!("{what}: {why}"))
    };
    let (args, kwargs) = (value("the arguments", &called.args)?, value("the named arguments", &called.kwargs)?);
    let given = Given {
        call,
        tag: called.facts.tag(),
        args: &args,
        kwargs: &kwargs,
        peer: called.origin.node().map(|peer| peer.to_string()),
        deadline_ms: called.facts.left().map(|left| u64::try_from(left.as_millis()).unwrap_or(u64::MAX)),
    };
    Payload::encode(&("call", [given], Value::Map(Vec::new())), program.encoding).map_err(|why| why.to_string())
}

/// What an answer means: a value as it is, unless it is a map whose only key begins with `$`.
fn meant(answer: Payload) -> Result<Payload, Failure> {
    if !answer.is_map() {
        return Ok(answer);
    }
    let Ok(Value::Map(mut entries)) = answer.decode::<Value>() else { return Ok(answer) };
    let [(Value::Text(key), value)] = &mut entries[..] else { return Ok(answer) };
    match (key.as_str(), value) {
        ("$flag", Value::Text(name)) => Err(Flag::new(std::mem::take(name)).into()),
        ("$failure", value) => Err(read_failure(value)),
        (marked, _) if marked.starts_with("$$") => {
            key.remove(0);
            Payload::encode(&Value::Map(entries), answer.encoding()).map_err(|why| internal(why.to_string()))
        }
        (marked, _) if marked.starts_with('$') => {
            Err(internal(format!("the program answered with the mark `{marked}`, which means nothing here")))
        }
        _ => Ok(answer),
    }
}

fn read_failure(value: &Value) -> Failure {
    let Value::Map(entries) = value else { return internal("the program's failure is no map".to_owned()) };
    let get = |name: &str| entries.iter().find(|(key, _)| *key == Value::from(name)).map(|(_, value)| value);
    let text = |name| match get(name) {
        Some(Value::Text(text)) => Some(text.clone()),
        _ => None,
    };
    let failure = Failure::new(text("message").unwrap_or_default());
    let failure = failure.code(text("code").map_or(Code::PLAIN, Code::new));
    match get("data") {
        None | Some(Value::Null) => failure,
        Some(data) => failure.data(data.clone()),
    }
}

/// A failure as a plain link tells it: the code, if there is one, stands in brackets before the text.
fn failure(code: Code, message: String, data: Option<Payload>) -> Failure {
    let is_word = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let coded = message.strip_prefix('[').and_then(|rest| rest.split_once("] ")).filter(|(code, _)| is_word(code));
    let failure = match coded {
        Some((code, text)) => Failure::new(text).code(Code::new(code.to_owned())),
        None => Failure::new(message).code(code),
    };
    match data.and_then(|data| data.decode().ok()) {
        Some(data) => failure.data(data),
        None => failure,
    }
}

fn internal(why: String) -> Failure {
    Failure::new(why).code(Code::INTERNAL)
}

/// How long it may take until the neighbours have heard of a service.
const TOLD_WITHIN: Duration = Duration::from_millis(500);

/// When a caller may come again that found as much handed over as may be.
const RETRY_AFTER: Duration = Duration::from_millis(50);

/// When a caller may come again to a program that has just gone: about as long as one takes to start anew.
const RETRY_ELSEWHERE: Duration = Duration::from_secs(1);
