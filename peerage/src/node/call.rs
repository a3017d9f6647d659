//! Calling a function of another node.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use peerage_proto::codec::{self, Encoding, Metadata, Payload};
use peerage_proto::id::NodeId;
use peerage_proto::outcome::{CallError, NotSent, Outcome, Refused};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::shared::{Phase, Shared};
use crate::channel::Asking;
use crate::dispatch;
use crate::flag::Flag;
use crate::link::Link;
use crate::metrics::Metrics;
use crate::trace;

mod conversing;

pub use conversing::Opening;

/// A function to be called; say where.
#[derive(Clone, Copy)]
#[must_use = "nothing is called until a peer is named and the call awaited"]
pub struct Calling<'a> {
    shared: &'a Shared,
    tag: &'a str,
}

/// A call of a function of one node: a future of its outcome.
///
/// Nothing is sent before it is awaited (or polled); calls leave in the order in which they are first polled. Dropping it
/// gives up, and the callee is told.
#[must_use = "nothing is sent until it is awaited"]
pub struct NodeCall<'a, R> {
    shared: &'a Shared,
    tag: &'a str,
    peer: NodeId,
    has_args: bool,
    kwargs: Option<Payload>,
    asking: Asking<R>,
    link: Option<Link>,
    /// A flag is left to whoever asked.
    keeps_flags: bool,
}

impl<'a> Calling<'a> {
    pub(super) fn new(shared: &'a Shared, tag: &'a str) -> Calling<'a> {
        Calling { shared, tag }
    }

    /// Calls this node, and no other. Await it for the answer, or first say more: [`NodeCall::args`],
    /// [`NodeCall::deadline`].
    #[inline]
    pub fn peer<R: DeserializeOwned>(self, peer: NodeId) -> NodeCall<'a, R> {
        let Calling { shared, tag } = self;
        let asking = Asking::typed();
        NodeCall { shared, tag, peer, has_args: false, kwargs: None, asking, link: None, keeps_flags: false }
    }
}

impl<'a, R> NodeCall<'a, R> {
    /// The positional arguments: a tuple, an array, a vector. Default none. A value that MessagePack cannot carry makes the
    /// call end as refused.
    #[inline]
    pub fn args(mut self, args: &(impl Serialize + ?Sized)) -> Self {
        self.asking.content().clear();
        self.has_args = true;
        if let Err(why) = codec::put_call(self.tag, args, Encoding::MsgPack, self.asking.content()) {
            self.asking.spoil(bad_request(why));
        }
        self
    }

    /// One positional argument.
    #[inline]
    pub fn arg(self, arg: &(impl Serialize + ?Sized)) -> Self {
        self.args(&[arg])
    }

    /// The named arguments: a map or a struct. Default none.
    pub fn kwargs(mut self, kwargs: &(impl Serialize + ?Sized)) -> Self {
        match Payload::encode(kwargs, Encoding::MsgPack) {
            Ok(kwargs) if kwargs.is_map() => self.kwargs = Some(kwargs),
            Ok(_) => self.asking.spoil(bad_request("the named arguments of a call are a map or a struct")),
            Err(why) => self.asking.spoil(bad_request(why)),
        }
        self
    }

    /// Ends the call without an answer after this long, at most 100 ms later. Default 30 s. Counts from the await.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.asking.set_deadline(deadline);
        self
    }

    /// Waits for the answer as long as the link lives.
    pub fn without_deadline(mut self) -> Self {
        self.asking.set_no_deadline();
        self
    }

    /// The same call, with the answer as it came.
    pub fn unopened(self) -> NodeCall<'a, Payload> {
        // Taken apart by hand, because a call that is dropped gives up.
        let mut this = self;
        let asking = std::mem::replace(&mut this.asking, Asking::over()).unopened();
        NodeCall {
            shared: this.shared,
            tag: this.tag,
            peer: this.peer,
            has_args: this.has_args,
            kwargs: this.kwargs.take(),
            asking,
            link: this.link.take(),
            keeps_flags: this.keeps_flags,
        }
    }

    /// The same call, with a flag as the error that it travels as.
    pub(super) fn keeping_flags(mut self) -> Self {
        self.keeps_flags = true;
        self
    }

    /// Finishes the content and finds the link.
    #[inline]
    fn begin(&mut self) -> Result<Link, CallError> {
        assert!(!self.asking.is_over(), "a call was polled after it had ended");
        if let Some(why) = self.asking.flaw() {
            return Err(why.clone());
        }
        if !codec::is_tag(self.tag) {
            let why = format!("`{}` is no name of a service", crate::shown::shown(self.tag));
            return Err(CallError::Refused { why: Refused::BadRequest(why) });
        }
        if !self.has_args {
            self.asking.content().clear();
            codec::put_call(self.tag, &(), Encoding::MsgPack, self.asking.content()).map_err(bad_request)?;
        }
        codec::put_kwargs(self.kwargs.as_ref(), Encoding::MsgPack, self.asking.content());
        self.put_metadata();
        self.shared.link_with(&self.peer).map_err(|why| CallError::NotSent { why })
    }

    /// Says how long there is time and which trace this belongs to. Inside a handler both follow from the call that it answers.
    fn put_metadata(&mut self) {
        let inherited = dispatch::current();
        if let Some(deadline) = inherited.as_ref().and_then(|inherited| inherited.deadline) {
            self.asking.limit(deadline);
        }
        let trace = inherited.as_ref().map_or_else(trace::begin, |inherited| trace::child(&inherited.trace));
        let state = inherited.and_then(|inherited| inherited.state);
        let metadata = Metadata { left: self.asking.left(), trace: Some(trace), state, ..Metadata::default() };
        codec::put_metadata(&metadata, Encoding::MsgPack, 0, self.asking.content());
    }

    /// What the answer means, where it is a flag.
    fn unflagged(&self, why: CallError) -> Result<R, CallError> {
        let flag = Flag::of(&why).filter(|_| !self.keeps_flags);
        let meant = flag.and_then(|flag| self.shared.flags.resolve(&flag, self.tag, self.peer));
        let value = meant.unwrap_or(Err(why))?;
        self.asking.open(Payload::encode(&value, Encoding::MsgPack).map_err(bad_request)?)
    }

    /// Where the call goes on when its link takes no calls any more and none of its bytes has left.
    fn elsewhere(&self, why: &CallError, link: &Link) -> Result<Link, CallError> {
        match why {
            CallError::NotSent { why: NotSent::NoRoute | NotSent::ShuttingDown } if self.asking.is_unsent() => {
                let other = self.shared.directory.find_other(&self.peer, link);
                let is_leaving = self.shared.phase() != Phase::Running;
                let why = if is_leaving { NotSent::ShuttingDown } else { NotSent::NoRoute };
                other.ok_or(CallError::NotSent { why })
            }
            why => Err(why.clone()),
        }
    }
}

impl<R> Future for NodeCall<'_, R> {
    type Output = Result<R, CallError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let mut link = match this.link.take() {
            Some(link) => link,
            None => match this.begin() {
                Ok(link) => link,
                Err(why) => return Poll::Ready(this.ended(Err(why))),
            },
        };
        loop {
            let outcome = match this.asking.poll(&link, cx) {
                Poll::Pending => {
                    this.link = Some(link);
                    return Poll::Pending;
                }
                Poll::Ready(Err(why)) => match this.elsewhere(&why, &link) {
                    Ok(other) => {
                        link = other;
                        continue;
                    }
                    Err(why) => this.unflagged(why),
                },
                Poll::Ready(Ok(value)) => Ok(value),
            };
            return Poll::Ready(this.ended(outcome));
        }
    }
}

impl<R> NodeCall<'_, R> {
    #[inline]
    fn ended(&mut self, outcome: Result<R, CallError>) -> Result<R, CallError> {
        self.asking.finish();
        count(&self.shared.metrics, outcome.as_ref().map_or_else(CallError::outcome, |_| Outcome::Ok));
        outcome
    }
}

impl<R> Drop for NodeCall<'_, R> {
    fn drop(&mut self) {
        if let Some(link) = &self.link {
            let was_sent = !self.asking.is_unsent();
            self.asking.leave(link);
            count(&self.shared.metrics, if was_sent { Outcome::Cancelled } else { Outcome::NotSent });
        }
    }
}

impl fmt::Debug for Calling<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Calling").field("tag", &self.tag).finish_non_exhaustive()
    }
}

impl<R> fmt::Debug for NodeCall<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeCall").field("tag", &self.tag).field("peer", &self.peer).finish_non_exhaustive()
    }
}

fn bad_request(why: impl fmt::Display) -> CallError {
    CallError::Refused { why: Refused::BadRequest(why.to_string()) }
}

fn count(metrics: &Metrics, outcome: Outcome) {
    let counter = match outcome {
        Outcome::Ok => &metrics.calls_ok,
        Outcome::Refused | Outcome::Incompatible => &metrics.calls_refused,
        Outcome::NotSent => &metrics.calls_not_sent,
        Outcome::Busy => &metrics.calls_busy,
        Outcome::Remote => &metrics.calls_remote,
        Outcome::Deadline => &metrics.calls_deadline,
        Outcome::ConnectionLost => &metrics.calls_connection_lost,
        Outcome::Cancelled => &metrics.calls_cancelled,
        Outcome::Protocol => &metrics.calls_protocol,
    };
    counter.add(1);
}
