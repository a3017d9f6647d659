//! `peerage/local/call`: the node calls a function of another node for a program of its user.
//!
//! How the call ended is the *value* that the program gets: an outcome is news to it, not a failure of this service.

use std::sync::Arc;
use std::time::{Duration, Instant};

use peerage_proto::codec::Value;
use peerage_proto::id::NodeId;
use peerage_proto::limits;
use peerage_proto::outcome::{CallError, Code, Outcome};
use serde::{Deserialize, Serialize};

use super::open;
use crate::channel::Failure;
use crate::dispatch::Called;
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
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Value>,
    peer: String,
    attempts: u32,
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
    let call = Calling::new(&node, &tag).peer::<Value>(peer).args(&args).kwargs(&kwargs).deadline(deadline);
    let caller = called.request.caller();
    let result = tokio::select! {
        result = call => result,
        _ = caller.ended() => return,
    };
    let elapsed_us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
    called.request.reply(&Ended { peer: wanted.peer, attempts: 1, elapsed_us, ..Ended::of(result) });
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
            message: Some(error.to_string()),
            retry_after_ms: error.retry_after().map(|after| u64::try_from(after.as_millis()).unwrap_or(u64::MAX)),
            ..Ended::default()
        };
        match error {
            CallError::Remote { code, message, data } => {
                ended.code = Some(code.as_str().to_owned());
                ended.message = Some(message);
                ended.data = data.and_then(|data| data.decode().ok());
            }
            CallError::Deadline { stop } | CallError::Cancelled { stop } => ended.stop = Some(stop.name()),
            _ => {}
        }
        ended
    }
}
