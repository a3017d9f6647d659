//! What is asked, whomever: the content of a call, encoded once, and what is said beside it.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use peerage_proto::codec::{self, AppMetadata, Encoding, Metadata, Payload, Trace, TraceState};
use peerage_proto::limits;
use peerage_proto::outcome::{CallError, Refused};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use crate::channel::Asking;
use crate::dispatch;
use crate::trace;

/// The words of a call with a `question`, whomever it asks.
macro_rules! says_what_is_asked {
    ($call:ident, deadline: $deadline:literal, without_deadline: $without_deadline:literal $(,)?) => {
        impl<R> $call<'_, R> {
            /// The positional arguments: a tuple, an array, a vector. Default none.
            pub fn args(mut self, args: &(impl serde::Serialize + ?Sized)) -> Self {
                self.question.args(args);
                self
            }

            /// One positional argument.
            pub fn arg(self, arg: &(impl serde::Serialize + ?Sized)) -> Self {
                self.args(&[arg])
            }

            /// The named arguments: a map or a struct. Default none.
            pub fn kwargs(mut self, kwargs: &(impl serde::Serialize + ?Sized)) -> Self {
                self.question.kwargs(kwargs);
                self
            }

            /// What handlers may read beside the arguments: a map or a struct. Default nothing.
            pub fn metadata(mut self, metadata: &(impl serde::Serialize + ?Sized)) -> Self {
                self.question.metadata(metadata);
                self
            }

            #[doc = $deadline]
            pub fn deadline(mut self, deadline: std::time::Duration) -> Self {
                self.question.deadline(Some(deadline));
                self
            }

            #[doc = $without_deadline]
            pub fn without_deadline(mut self) -> Self {
                self.question.deadline(None);
                self
            }
        }
    };
}
pub(super) use says_what_is_asked;

/// A call before it is awaited.
#[derive(Debug)]
pub(super) struct Question<'a> {
    pub(super) tag: &'a str,
    /// As far as the positional arguments. Empty: none were given.
    content: Vec<u8>,
    kwargs: Option<Payload>,
    time: Option<Duration>,
    app: Option<AppMetadata>,
    flaw: Option<Box<CallError>>,
}

/// A call that is awaited, for as many nodes as it takes.
#[derive(Debug)]
pub(super) struct Prepared<'a> {
    pub(super) tag: Cow<'a, str>,
    /// Without metadata, which differs from try to try.
    content: Vec<u8>,
    pub(super) due: Option<Instant>,
    pub(super) trace: Trace,
    state: Option<TraceState>,
    app: Option<AppMetadata>,
    /// Its number, if it may be asked twice and must run once.
    pub(super) key: Option<u64>,
}

impl<'a> Question<'a> {
    pub(super) fn new(tag: &'a str) -> Question<'a> {
        let time = Some(limits::CALL_DEADLINE_DEFAULT);
        Question { tag, content: Vec::new(), kwargs: None, time, app: None, flaw: None }
    }

    /// The same from what was said already.
    pub(super) fn of_parts(
        tag: &'a str,
        content: Vec<u8>,
        kwargs: Option<Payload>,
        time: Option<Duration>,
        app: Option<AppMetadata>,
        flaw: Option<CallError>,
    ) -> Question<'a> {
        Question { tag, content, kwargs, time, app, flaw: flaw.map(Box::new) }
    }

    pub(super) fn args(&mut self, args: &(impl Serialize + ?Sized)) {
        self.content.clear();
        if let Err(why) = codec::put_call(self.tag, args, Encoding::MsgPack, &mut self.content) {
            self.spoil(bad_request(why));
        }
    }

    pub(super) fn kwargs(&mut self, kwargs: &(impl Serialize + ?Sized)) {
        match named(kwargs) {
            Ok(kwargs) => self.kwargs = Some(kwargs),
            Err(why) => self.spoil(why),
        }
    }

    pub(super) fn metadata(&mut self, metadata: &(impl Serialize + ?Sized)) {
        match of_application(metadata) {
            Ok(metadata) => self.app = Some(metadata),
            Err(why) => self.spoil(why),
        }
    }

    pub(super) fn deadline(&mut self, deadline: Option<Duration>) {
        self.time = deadline;
    }

    fn spoil(&mut self, why: CallError) {
        self.flaw.get_or_insert(Box::new(why));
    }

    /// From now on its time runs. A call that a handler makes ends with the handler's own at the latest, and belongs to its
    /// trace.
    pub(super) fn begin(mut self) -> Result<Prepared<'a>, CallError> {
        if let Some(why) = self.flaw {
            return Err(*why);
        }
        check_tag(self.tag)?;
        if self.content.is_empty() {
            codec::put_call(self.tag, &(), Encoding::MsgPack, &mut self.content).map_err(bad_request)?;
        }
        codec::put_kwargs(self.kwargs.as_ref(), Encoding::MsgPack, &mut self.content);
        let inherited = dispatch::current();
        let own = self.time.and_then(|time| Instant::now().checked_add(time));
        let due = own.into_iter().chain(inherited.as_ref().and_then(|inherited| inherited.deadline)).min();
        let trace = inherited.as_ref().map_or_else(trace::begin, |inherited| trace::child(&inherited.trace));
        let state = inherited.and_then(|inherited| inherited.state);
        Ok(Prepared { tag: self.tag.into(), content: self.content, due, trace, state, app: self.app, key: None })
    }
}

impl<'a> Prepared<'a> {
    /// The same under a number, by which its callee knows it when it is asked again.
    pub(super) fn with_key(self, key: u64) -> Prepared<'a> {
        Prepared { key: Some(key), ..self }
    }
}

impl Prepared<'_> {
    /// The same for tasks that outlive the caller's text.
    pub(super) fn into_owned(self) -> Prepared<'static> {
        let Prepared { tag, content, due, trace, state, app, key } = self;
        Prepared { tag: tag.into_owned().into(), content, due, trace, state, app, key }
    }

    /// The call as it is asked of one node now.
    pub(super) fn asking<R: DeserializeOwned>(&self) -> Asking<R> {
        let mut asking = Asking::typed();
        asking.content().clear();
        asking.content().extend_from_slice(&self.content);
        asking.set_no_deadline();
        if let Some(due) = self.due {
            asking.limit(due);
        }
        let metadata = Metadata {
            left: asking.left(),
            trace: Some(self.trace),
            state: self.state.clone(),
            key: self.key,
            app: self.app.clone(),
        };
        codec::put_metadata(&metadata, Encoding::MsgPack, 0, asking.content());
        asking
    }
}

/// Named arguments, encoded.
pub(super) fn named(kwargs: &(impl Serialize + ?Sized)) -> Result<Payload, CallError> {
    match Payload::encode(kwargs, Encoding::MsgPack) {
        Ok(kwargs) if kwargs.is_map() => Ok(kwargs),
        Ok(_) => Err(bad_request("the named arguments of a call are a map or a struct")),
        Err(why) => Err(bad_request(why)),
    }
}

/// What the application says beside the arguments, encoded.
pub(super) fn of_application(metadata: &(impl Serialize + ?Sized)) -> Result<AppMetadata, CallError> {
    let encoded = Payload::encode(metadata, Encoding::MsgPack).map_err(bad_request)?;
    AppMetadata::new(encoded).map_err(bad_request)
}

/// Whether a function can have this name.
pub(super) fn check_tag(tag: &str) -> Result<(), CallError> {
    if codec::is_tag(tag) {
        return Ok(());
    }
    Err(bad_request(format!("`{}` is no name of a service", crate::shown::shown(tag))))
}

pub(super) fn bad_request(why: impl fmt::Display) -> CallError {
    CallError::Refused { why: Refused::BadRequest(why.to_string()) }
}
