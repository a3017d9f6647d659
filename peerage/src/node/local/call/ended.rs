//! How a call ended, as `peerage call` prints it.

use std::time::Instant;

use peerage_proto::codec::Value;
use peerage_proto::id::NodeId;
use peerage_proto::outcome::{CallError, Outcome};
use serde::Serialize;

/// The record. What says nothing here is left out.
#[derive(Debug, Default, Serialize)]
pub(in crate::node::local) struct Ended {
    outcome: &'static str,
    class: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    may_have_run: Option<bool>,
    /// The flag that was the answer, whatever this node makes of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) flag: Option<String>,
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
    /// Who was asked last; nobody where it was never sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempts: Option<u32>,
    elapsed_us: u64,
}

impl Ended {
    /// With who was asked last, as which attempt, since when.
    pub(in crate::node::local) fn of_peer(self, peer: Option<NodeId>, attempts: u32, began: Instant) -> Ended {
        Ended {
            peer: peer.map(|peer| peer.to_string()),
            attempts: peer.map(|_| attempts),
            elapsed_us: u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX),
            ..self
        }
    }

    /// As far as the outcome tells it.
    pub(in crate::node::local) fn of(result: Result<Value, CallError>) -> Ended {
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
        CallError::Absent { what, .. } => format!("nobody offers `{what}`"),
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
