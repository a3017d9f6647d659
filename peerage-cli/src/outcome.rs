//! How a call ended, as this program tells it: one record for programs, one line for people.
//!
//! The library's words stay what they are. What is added is the remedy, since whoever reads the line typed the command.

use std::borrow::Cow;
use std::time::Duration;

use peerage::address::Address;
use peerage::codec::Notation;
use peerage::outcome::{LinkLost, NotSent, Outcome, Refused, Stop};
use peerage::{CallError, DialError, Encoding, Value};
use serde::Serialize;

use crate::args::written_duration;
use crate::exit::Abort;
use crate::output;
use crate::several::Ends;

/// The end of one call.
#[derive(Clone, Debug)]
pub(crate) struct Ended {
    pub(crate) result: Result<Value, Fault>,
    pub(crate) elapsed: Duration,
}

/// Why a call gave no value.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    error: CallError,
    /// Cause and remedy.
    message: String,
}

/// What the caller asked for, as far as remedies need it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) address: &'a Address,
    pub(crate) codec: Encoding,
    pub(crate) timeout: Duration,
    pub(crate) retry: Option<Duration>,
}

/// What the connection has shown of the peer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Peer {
    /// Not a byte came.
    Silent,
    /// Something came.
    Heard,
    /// What came was in this codec, which is not ours.
    Speaks(Encoding),
}

impl Ends for Ended {
    fn outcome(&self) -> Outcome {
        self.result.as_ref().map_or_else(|fault| fault.error.outcome(), |_| Outcome::Ok)
    }

    fn elapsed_us(&self) -> u64 {
        micros(self.elapsed)
    }

    /// The value itself is data and printed elsewhere.
    fn complaint(&self) -> Option<String> {
        let fault = self.result.as_ref().err()?;
        Some(format!("{}: {}", self.outcome(), output::shown(&fault.message)))
    }

    fn record(&self, n: u64) -> Result<(), Abort> {
        output::record(&self.as_record(Some(n)))
    }
}

impl Ended {
    /// The record, with the number of the call where there are several.
    pub(crate) fn as_record(&self, n: Option<u64>) -> CallRecord<'_> {
        let outcome = self.outcome();
        let mut record = CallRecord {
            n,
            outcome: outcome.name(),
            class: outcome.class().name(),
            elapsed_us: micros(self.elapsed),
            ..CallRecord::default()
        };
        match &self.result {
            Ok(value) => {
                record.value = Some(value.notation());
                record.was_asked();
            }
            Err(fault) => fault.fill(&mut record),
        }
        record
    }
}

impl Fault {
    /// There is no connection.
    pub(crate) fn not_connected(why: &DialError, asked: Asked<'_>) -> Fault {
        let error = CallError::NotSent { why: NotSent::NoRoute };
        let patience = match asked.retry {
            Some(tried) => format!("tried for {}: start the server", written_duration(tried)),
            None => "start the server, or say --retry 10s to wait for it".to_owned(),
        };
        let message = match why {
            DialError::Refused { .. } | DialError::NotFound { .. } | DialError::StaleSocket { .. } => {
                format!("{why}; {patience}")
            }
            DialError::TimedOut { .. } => format!("{why}; is the host up, and does a firewall let you through?"),
            DialError::Resolve { .. } => format!("{why}; check the name of the host"),
            DialError::Denied { .. } => {
                format!("{why}; run as the user who owns the server, or change its permissions")
            }
            _ => why.to_string(),
        };
        Fault { error, message }
    }

    /// No connection was made before the deadline, because another call was still at it.
    pub(crate) fn not_connected_in_time(asked: Asked<'_>) -> Fault {
        let message = format!("no connection to {} within {}", asked.address, written_duration(asked.timeout));
        Fault { error: CallError::NotSent { why: NotSent::NoRoute }, message }
    }

    /// The request cannot be sent at all.
    pub(crate) fn refused(why: String) -> Fault {
        let message = why.clone();
        Fault { error: CallError::Refused { why: Refused::BadRequest(why) }, message }
    }

    /// The user ended it. Whether the request had left is only certain if it was not even begun.
    pub(crate) fn interrupted(may_have_left: bool) -> Fault {
        if may_have_left {
            let message = "interrupted: the work may have run, or still run".to_owned();
            Fault { error: CallError::Cancelled { stop: Stop::Unconfirmed }, message }
        } else {
            let message = "interrupted before the request was sent".to_owned();
            Fault { error: CallError::NotSent { why: NotSent::Cancelled }, message }
        }
    }

    /// The call ended without a value.
    pub(crate) fn of_call(error: CallError, asked: Asked<'_>, peer: Peer) -> Fault {
        let message = match &error {
            CallError::Deadline { .. } => format!(
                "no answer within {}; the work may have run, or still run; --timeout allows more",
                written_duration(asked.timeout)
            ),
            // A peer that cannot read what we wrote can only hang up.
            CallError::ConnectionLost { why: LinkLost::PeerClosed | LinkLost::Broken(_) } if peer == Peer::Silent => {
                format!(
                    "the peer hung up without a word: it ended, or it speaks another codec than {} (say --codec {}), \
                 or the request is over its limit",
                    asked.codec,
                    other_than(asked.codec)
                )
            }
            CallError::Protocol { why } => match peer {
                Peer::Speaks(codec) => format!("{why}; say --codec {codec}"),
                Peer::Silent | Peer::Heard => why.clone(),
            },
            CallError::Refused { why: why @ Refused::TooLarge { .. } } => format!("{why}; send it in parts"),
            CallError::Refused { why } => why.to_string(),
            CallError::NotSent { why } => why.to_string(),
            CallError::ConnectionLost { why } => why.to_string(),
            other => other.to_string(),
        };
        Fault { error, message }
    }

    fn fill<'r>(&'r self, record: &mut CallRecord<'r>) {
        record.may_have_run = Some(self.error.may_have_run());
        record.why = self.error.why();
        record.message = Some(&self.message);
        if self.error.may_have_run() {
            record.was_asked();
        }
        match &self.error {
            CallError::Remote { code, message, data } => {
                record.code = Some(code.as_str());
                record.message = Some(message);
                let data = data.as_ref().and_then(|data| data.decode::<Value>().ok());
                record.data = Some(data.map(|data| data.to_notation()));
            }
            CallError::Deadline { stop } | CallError::Cancelled { stop } => record.stop = Some(stop.name()),
            CallError::Busy { retry_after, .. } => {
                record.was_asked();
                record.retry_after_ms = Some(u64::try_from(retry_after.as_millis()).unwrap_or(u64::MAX));
            }
            _ => {}
        }
    }
}

/// One outcome as an object of JSON. A key that says nothing here is left out.
#[derive(Debug, Default, Serialize)]
pub(crate) struct CallRecord<'r> {
    #[serde(skip_serializing_if = "Option::is_none")]
    n: Option<u64>,
    outcome: &'static str,
    class: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    may_have_run: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Notation<'r>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<Cow<'static, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'r str>,
    /// Present and maybe null after a remote error.
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Option<serde_json::Value>>,
    /// Present where somebody was asked; null because a plain link proves nobody's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<Option<&'r str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempts: Option<u32>,
    elapsed_us: u64,
}

impl CallRecord<'_> {
    fn was_asked(&mut self) {
        self.peer = Some(None);
        self.attempts = Some(1);
    }
}

/// Whole microseconds, as records hold them.
pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn other_than(codec: Encoding) -> Encoding {
    match codec {
        Encoding::Json => Encoding::MsgPack,
        Encoding::MsgPack => Encoding::Json,
    }
}
