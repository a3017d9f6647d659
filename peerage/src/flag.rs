//! Flags: answers that are no value. A handler answers with the name of a flag, and the *caller's* node decides what that
//! means: it may turn it into a value, or into a failure, knowing which function and which peer answered so.
//!
//! ```text
//!   handler ──Err(Flag::new("later").into())──▶ caller's node ──on_flag("later")──▶ the call's value or failure
//!                                                     └── nobody handles it ──▶ the flag itself, in the result
//! ```
//!
//! Two flags are built in: *null* makes the value null, *invalid-connection* means that there is no such function. On the
//! wire a flag is an exception with the code `flag` and its name as the message (PROTOCOL §7); a plain peer gets a text that
//! begins with the name.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use peerage_proto::codec::{Encoding, Payload, Value};
use peerage_proto::id::NodeId;
use peerage_proto::outcome::{CallError, Code, Refused};
use serde::Serialize;

use crate::channel::Failure;

/// An answer that is no value, by its name.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Flag(Cow<'static, str>);

impl Flag {
    /// The value is null. Handled by every node unless it handles it otherwise.
    pub const NULL: Flag = Flag(Cow::Borrowed("null"));
    /// There is no such function. Handled by every node, as [`Refused::NoSuchService`], unless it handles it otherwise.
    pub const INVALID_CONNECTION: Flag = Flag(Cow::Borrowed("invalid-connection"));

    /// A flag of this name.
    pub fn new(name: impl Into<Cow<'static, str>>) -> Flag {
        Flag(name.into())
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.0
    }

    /// The flag that a call ended with, if it ended with one.
    pub fn of(error: &CallError) -> Option<Flag> {
        match error {
            CallError::Remote { code, message, .. } if *code == Code::FLAG => Some(Flag(message.clone().into())),
            _ => None,
        }
    }
}

impl fmt::Display for Flag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<Flag> for Failure {
    fn from(flag: Flag) -> Failure {
        Failure::new(flag.0).code(Code::FLAG)
    }
}

/// What the caller's node makes of flags.
#[derive(Default)]
pub(crate) struct Flags {
    by_name: RwLock<BTreeMap<String, Arc<OnFlag>>>,
}

tokio::task_local! {
    static KEPT: ();
}

/// Does work in whose calls no flag is given a meaning: such a call ends with the error as which the flag travels.
pub(crate) fn kept<F: Future>(work: F) -> impl Future<Output = F::Output> {
    KEPT.scope((), work)
}

type OnFlag = dyn Fn(&str, NodeId) -> Result<Value, Failure> + Send + Sync;

impl Flags {
    /// Handles a flag from now on, in place of whoever did before.
    pub(crate) fn on<R: Serialize>(
        &self,
        flag: Flag,
        handler: impl Fn(&str, NodeId) -> Result<R, Failure> + Send + Sync + 'static,
    ) {
        let handler = move |tag: &str, peer| {
            let value = Payload::encode(&handler(tag, peer)?, Encoding::MsgPack);
            let internal = |why: String| Failure::new(why).code(Code::INTERNAL);
            value.map_err(|why| internal(why.to_string()))?.decode().map_err(|why| internal(why.to_string()))
        };
        self.by_name.write().unwrap_or_else(PoisonError::into_inner).insert(flag.0.into_owned(), Arc::new(handler));
    }

    /// What this flag means for a call of `tag` at `peer`; `None` where nobody handles it,
    /// and inside of [`kept`].
    pub(crate) fn resolve(&self, flag: &Flag, tag: &str, peer: NodeId) -> Option<Result<Value, CallError>> {
        if KEPT.try_with(|()| ()).is_ok() {
            return None;
        }
        let handler = self.by_name.read().unwrap_or_else(PoisonError::into_inner).get(flag.name()).cloned();
        if let Some(handler) = handler {
            return Some(handler(tag, peer).map_err(|failure| {
                let Failure { code, message, .. } = failure;
                CallError::Remote { code, message, data: None }
            }));
        }
        match flag {
            flag if *flag == Flag::NULL => Some(Ok(Value::Null)),
            flag if *flag == Flag::INVALID_CONNECTION => {
                Some(Err(CallError::Refused { why: Refused::NoSuchService(tag.to_owned()) }))
            }
            _ => None,
        }
    }
}
