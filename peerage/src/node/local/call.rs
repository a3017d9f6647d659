//! `peerage/local/call`: the node calls a function of another node for a program of its user.
//!
//! How the call ended is the *value* that the program gets: an outcome is news to it, not a failure of this service.

use std::sync::Arc;
use std::time::{Duration, Instant};

use peerage_proto::codec::Value;
use peerage_proto::id::NodeId;
use peerage_proto::limits;
use peerage_proto::outcome::{CallError, Code, Outcome, Refused};
use serde::{Deserialize, Serialize};

use super::open;
use crate::channel::Failure;
use crate::dispatch::Called;
use crate::flag::Flag;
use crate::node::call::Calling;
use crate::node::shared::Shared;

/// What is asked for, beside the tag and its arguments.
#[derive(Deserialize)]
struct Wanted {
    peer: String,
    #[serde(default)]
    deadline_ms: Option<u64>,
}

/// How the call ended, as `peerage call` prints it. What says nothing here is left out.
#[derive(Debug, Default, Serialize)]
struct Ended {
    outcome: &'static str,
    class: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    may_have_run: Option<bool>,
    /// The flag that was the answer, whatever this node makes of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    flag: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    /// Present and maybe null after a remote error.
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Option<Value>>,
    /// Who was asked; nobody where it was never sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempts: Option<u32>,
    elapsed_us: u64,
}

/// Makes the call; a program that goes away gives it up.
pub(super) async fn call(node: Arc<Shared>, called: Called) {
    let wanted =
        open::<(String, Value, Value)>(&called.args).and_then(|what| Ok((what, open::<Wanted>(&called.kwargs)?)));
    let ((tag, args, kwargs), wanted) = match wanted {
        Ok(wanted) => wanted,
        Err(failure) => return called.request.fail_with(failure),
    };
    let Ok(peer) = wanted.peer.parse::<NodeId>() else {
        return called.request.fail_with(Failure::new("peer is no node id").code(Code::BAD_REQUEST));
    };
    let deadline = wanted.deadline_ms.map_or(limits::CALL_DEADLINE_DEFAULT, Duration::from_millis);
    let began = Instant::now();
    let call =
        Calling::new(&node, &tag).peer::<Value>(peer).args(&args).kwargs(&kwargs).deadline(deadline).keeping_flags();
    let caller = called.request.caller();
    let result = tokio::select! {
        result = call => result,
        _ = caller.ended() => return,
    };
    let flag = result.as_ref().err().and_then(Flag::of);
    let result = match &flag {
        // Without a handler the flag itself is the result.
        Some(flag) => node.flags.resolve(flag, &tag, peer).unwrap_or(Ok(Value::Null)),
        None => result,
    };
    let elapsed_us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
    let was_asked = !matches!(
        result,
        Err(CallError::NotSent { .. } | CallError::Refused { why: Refused::BadRequest(_) | Refused::TooLarge { .. } })
    );
    let (peer, attempts) = (was_asked.then_some(wanted.peer), was_asked.then_some(1));
    let flag = flag.filter(|_| result.is_ok()).map(|flag| flag.name().to_owned());
    called.request.reply(&Ended { flag, peer, attempts, elapsed_us, ..Ended::of(result) });
}

impl Ended {
    fn of(result: Result<Value, CallError>) -> Ended {
        let error = match result {
            Ok(value) => {
                let (outcome, class) = (Outcome::Ok.name(), Outcome::Ok.class().name());
                return Ended { outcome, class, value: Some(value), ..Ended::default() };
            }
            Err(error) => error,
        };
        let mut ended = Ended {
            outcome: error.outcome().name(),
            class: error.class().name(),
            may_have_run: Some(error.may_have_run()),
            why: error.why().map(Into::into),
            message: Some(message(&error)),
            retry_after_ms: error.retry_after().map(|after| u64::try_from(after.as_millis()).unwrap_or(u64::MAX)),
            ..Ended::default()
        };
        match error {
            CallError::Remote { code, message, data } => {
                ended.code = Some(code.as_str().to_owned());
                ended.message = Some(message);
                ended.data = Some(data.and_then(|data| data.decode().ok()));
            }
            CallError::Deadline { stop } | CallError::Cancelled { stop } => ended.stop = Some(stop.name()),
            _ => {}
        }
        ended
    }
}

/// What is to be said beside the name of the outcome.
fn message(error: &CallError) -> String {
    match error {
        CallError::Refused { why } => why.to_string(),
        CallError::NotSent { why } => why.to_string(),
        CallError::Busy { why, retry_after } => format!("{why}; try again after {retry_after:?}"),
        CallError::Deadline { stop } => format!("no answer in time; the work, as the callee says: {stop}"),
        CallError::Cancelled { stop } => format!("given up; the work, as the callee says: {stop}"),
        CallError::ConnectionLost { why } => why.to_string(),
        CallError::Protocol { why } => why.clone(),
        other => other.to_string(),
    }
}
