//! How a call ended that a node made for this program: read as the node tells it, printed as it is.
//!
//! The node speaks of outcomes by the names of the vocabulary. A name that this program does not know, from a newer node,
//! means that nothing is certain.

use std::time::Duration;

use peerage::outcome::{Outcome, Stop};
use peerage::{CallError, Encoding, Payload, Value};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::control;
use crate::exit::{Abort, Exit};
use crate::outcome::micros;
use crate::output;
use crate::several::Ends;

/// The end of one call, or one answer of several.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Called {
    /// The number of the call where there are several.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) n: Option<u64>,
    outcome: String,
    class: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    may_have_run: Option<bool>,
    /// The flag that was the answer in place of a value.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    flag: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default, deserialize_with = "there", serialize_with = "noted")]
    value: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    why: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    stop: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    retry_after_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    message: Option<String>,
    /// Present and maybe null after a remote error.
    #[serde(skip_serializing_if = "Option::is_none", default, deserialize_with = "there", serialize_with = "noted")]
    data: Option<Value>,
    /// Who was asked last, if anybody was.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    peer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    attempts: Option<u32>,
    elapsed_us: u64,
}

impl Called {
    /// The row of the table of outcomes.
    pub(crate) fn outcome(&self) -> Outcome {
        Outcome::ALL.into_iter().find(|outcome| outcome.name() == self.outcome).unwrap_or(Outcome::Protocol)
    }

    /// The value, if the call gave one.
    pub(crate) fn value(&self) -> Option<&Value> {
        self.value.as_ref().filter(|_| self.outcome() == Outcome::Ok)
    }

    /// Who was asked last.
    pub(crate) fn peer(&self) -> Option<&str> {
        self.peer.as_deref()
    }

    /// The value as one of this type; `None` if there is none. The error says what does not fit.
    pub(crate) fn opened<T: DeserializeOwned>(&self) -> Option<Result<T, String>> {
        let value = Payload::encode(self.value()?, Encoding::MsgPack).map_err(|why| why.to_string());
        Some(value.and_then(|value| value.decode().map_err(|why| format!("the answer does not fit: {why}"))))
    }

    /// Nobody was asked: there is no such peer, or it is not yet known.
    pub(crate) fn nowhere(exit: Exit, message: String, elapsed: Duration) -> Called {
        let mut called = Called::without_value(Outcome::NotSent, message, elapsed);
        match exit {
            Exit::Absent => called.outcome = "absent".to_owned(),
            Exit::NotYetKnown => called.outcome = "not-yet-known".to_owned(),
            _ => {}
        }
        called
    }

    /// The user ended it. The node is told by the end of our connection.
    pub(crate) fn interrupted(elapsed: Duration) -> Called {
        let message = "interrupted: the work may have run, or still run".to_owned();
        let mut called = Called::without_value(Outcome::Cancelled, message, elapsed);
        called.stop = Some(Stop::Unconfirmed.name().to_owned());
        called
    }

    /// The node gave no account of the call.
    pub(crate) fn untold(error: CallError, elapsed: Duration) -> Called {
        let (outcome, why) = (error.outcome(), error.why());
        let (outcome, why, message) = match control::ended(error) {
            // The node did not even try.
            Abort::Ended(Exit::Refused, message) => (Outcome::Refused, Some("bad-request".into()), message),
            abort => (outcome, why, abort.text().unwrap_or_default().to_owned()),
        };
        let mut called = Called::without_value(outcome, message, elapsed);
        called.why = why.map(Into::into);
        called
    }

    fn without_value(outcome: Outcome, message: String, elapsed: Duration) -> Called {
        Called {
            outcome: outcome.name().to_owned(),
            class: outcome.class().name().to_owned(),
            may_have_run: Some(outcome.may_have_run()),
            message: Some(message),
            elapsed_us: micros(elapsed),
            ..Called::default()
        }
    }

    /// Prints it for people: the value is data, everything else is said on stderr.
    pub(crate) fn show(&self) -> Result<(), Abort> {
        if let Some(flag) = &self.flag {
            output::comment(&format!("answered with the flag {}", output::shown(flag)));
        }
        match self.value() {
            Some(value) => output::line(&output::harmless(&value.to_string())),
            None => {
                self.complaint().iter().for_each(|text| output::complain(text));
                Ok(())
            }
        }
    }
}

impl Ends for Called {
    fn outcome(&self) -> Outcome {
        Called::outcome(self)
    }

    fn elapsed_us(&self) -> u64 {
        self.elapsed_us
    }

    fn complaint(&self) -> Option<String> {
        if self.outcome() == Outcome::Ok {
            return None;
        }
        let code = self.code.as_deref().filter(|code| *code != "plain").map(|code| format!("[{code}] "));
        let text = format!("{}{}", code.unwrap_or_default(), self.message.as_deref().unwrap_or("no reason is known"));
        Some(format!("{}: {}", output::shown(&self.outcome), output::shown(&text)))
    }

    fn record(&self, n: u64) -> Result<(), Abort> {
        output::record(&Called { n: Some(n), ..self.clone() })
    }
}

/// Keeps apart what is null and what is not there.
pub(crate) fn there<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// A value as the command line writes it.
pub(crate) fn noted<S: Serializer>(value: &Option<Value>, serializer: S) -> Result<S::Ok, S::Error> {
    value.as_ref().map(Value::notation).serialize(serializer)
}
