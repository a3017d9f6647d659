//! Calling a function of another node.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use peerage_proto::codec::{self, AppMetadata, Encoding, Metadata, Payload};
use peerage_proto::id::{Group, NodeId};
use peerage_proto::outcome::{CallError, NotSent, Outcome};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::filter::Filter;
use super::providers::Choice;
use super::shared::Shared;
use crate::channel::Asking;
use crate::dispatch;
use crate::flag::Flag;
use crate::link::Link;
use crate::metrics::Metrics;
use crate::trace;

mod all;
mod any;
mod attempt;
mod conversing;
mod hooked;
mod notifying;
mod once;
mod question;

use hooked::LetOut;
use question::{Question, bad_request, check_tag, named, of_application};

pub use all::{AllCall, Answer, Answers, End};
pub(super) use any::Open;
pub use any::{AnyCall, Settled};
pub use conversing::Opening;
pub use notifying::Notifying;
pub use once::OnceCall;

/// A function to be called; say where: at [one](Self::peer) node, at [any](Self::any) that offers it, at [all](Self::all).
///
/// Of which nodes one or all are asked can be narrowed, with the words of [`Filter`]: [`groups`](Self::groups),
/// [`hubs_only`](Self::hubs_only), [`peers`](Self::peers), [`on_host`](Self::on_host).
#[derive(Clone)]
#[must_use = "nothing is called until it is said where, and the call awaited"]
pub struct Calling<'a> {
    shared: &'a Arc<Shared>,
    tag: &'a str,
    /// Boxed, because most calls name their peer.
    choice: Option<Box<Choice>>,
}

/// A call of a function of one node: a future of its outcome.
///
/// Nothing is sent before it is awaited (or polled); calls leave in the order in which they are first polled. Dropping it
/// gives up, and the callee is told.
#[must_use = "nothing is sent until it is awaited"]
pub struct NodeCall<'a, R> {
    shared: &'a Arc<Shared>,
    tag: &'a str,
    peer: NodeId,
    has_args: bool,
    kwargs: Option<Payload>,
    app: Option<Box<AppMetadata>>,
    asking: Asking<R>,
    link: Option<Link>,
    /// The way to a link, where there was none.
    reaching: Option<Reaching<'a>>,
    /// Waits to be told how it ended.
    let_out: Option<Box<LetOut>>,
}

type Reaching<'a> = Pin<Box<dyn Future<Output = Result<Link, CallError>> + Send + 'a>>;

impl<'a> Calling<'a> {
    pub(super) fn new(shared: &'a Arc<Shared>, tag: &'a str) -> Calling<'a> {
        Calling { shared, tag, choice: None }
    }

    /// Calls this node, and no other, whatever else was said of whom to choose. Await it for the answer, or first say more:
    /// [`NodeCall::args`], [`NodeCall::deadline`].
    ///
    /// Where there is no link with it, one is made, inside the deadline. A node that is not known is waited for as long as
    /// not all there is to know is known.
    #[inline]
    pub fn peer<R: DeserializeOwned>(self, peer: NodeId) -> NodeCall<'a, R> {
        let Calling { shared, tag, .. } = self;
        NodeCall {
            shared,
            tag,
            peer,
            has_args: false,
            kwargs: None,
            app: None,
            asking: Asking::typed(),
            link: None,
            reaching: None,
            let_out: None,
        }
    }

    /// Calls one node that offers the function, whichever is likely to answer soon. Where a node says that the call did not
    /// run there, another one is asked, three at most.
    ///
    /// While it is not yet known whether anybody offers it, the call waits, inside its deadline: nobody needs to sleep until
    /// the mesh has settled.
    pub fn any<R>(self) -> AnyCall<'a, R> {
        AnyCall::new(self.shared, self.tag, self.choice.map(|choice| *choice).unwrap_or_default())
    }

    /// Calls each node that offers the function at the moment at which the call is awaited.
    pub fn all<R>(self) -> AllCall<'a, R> {
        AllCall::new(self.shared, self.tag, self.choice.map(|choice| *choice).unwrap_or_default())
    }

    /// Only nodes that these words mean, in place of what was said before.
    pub fn matching(mut self, filter: Filter) -> Self {
        self.chosen().filter = filter;
        self
    }

    /// Only members of any of these groups.
    pub fn groups(self, groups: impl IntoIterator<Item = Group>) -> Self {
        self.narrowed(|filter| filter.groups(groups))
    }

    /// Only hubs.
    pub fn hubs_only(self) -> Self {
        self.narrowed(Filter::hubs_only)
    }

    /// Only nodes with one of these ids or names.
    pub fn peers<S: Into<String>>(self, who: impl IntoIterator<Item = S>) -> Self {
        self.narrowed(|filter| filter.peers(who))
    }

    /// Only nodes on the machine of this one.
    pub fn on_host(self) -> Self {
        self.narrowed(Filter::on_host)
    }

    /// The node that calls may answer itself, if it offers the function. Default: only others.
    pub fn include_self(mut self) -> Self {
        self.chosen().include_self = true;
        self
    }

    /// Waits, inside the deadline, until so many nodes offer the function, also where all is known and there are fewer.
    /// Default: nobody is waited for once it is known that nobody offers it.
    pub fn wait_matching(mut self, nodes: usize) -> Self {
        let choice = self.chosen();
        (choice.at_least, choice.waits) = (nodes, true);
        self
    }

    fn chosen(&mut self) -> &mut Choice {
        self.choice.get_or_insert_default()
    }

    fn narrowed(mut self, narrow: impl FnOnce(Filter) -> Filter) -> Self {
        let choice = self.chosen();
        choice.filter = narrow(std::mem::take(&mut choice.filter));
        self
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
        match named(kwargs) {
            Ok(kwargs) => self.kwargs = Some(kwargs),
            Err(why) => self.asking.spoil(why),
        }
        self
    }

    /// What the handler may read beside the arguments: a map or a struct. Default nothing.
    pub fn metadata(mut self, metadata: &(impl Serialize + ?Sized)) -> Self {
        match of_application(metadata) {
            Ok(metadata) => self.app = Some(Box::new(metadata)),
            Err(why) => self.asking.spoil(why),
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

    /// Where the link is lost before the answer has come, the same node is asked again, inside the deadline. It runs the call
    /// once at most and remembers what came of it; its work goes on when nobody waits for it. A node that was started
    /// again, or has forgotten, runs nothing twice: then the call ends as connection lost. Say this last.
    pub fn idempotent(self) -> OnceCall<'a, R> {
        let mut this = self;
        let (flaw, time) = (this.asking.flaw().cloned(), this.asking.left());
        let content = if this.has_args { std::mem::take(this.asking.content()) } else { Vec::new() };
        let (kwargs, app) = (this.kwargs.take(), this.app.take().map(|app| *app));
        let question = Question::of_parts(this.tag, content, kwargs, time, app, flaw);
        OnceCall::new(this.shared, this.peer, question)
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
            app: this.app.take(),
            asking,
            link: this.link.take(),
            reaching: this.reaching.take(),
            let_out: this.let_out.take(),
        }
    }

    /// Finishes the content and finds the link; `None` if one has to be made.
    #[inline]
    fn begin(&mut self) -> Result<Option<Link>, CallError> {
        assert!(!self.asking.is_over(), "a call was polled after it had ended");
        if let Some(why) = self.asking.flaw() {
            return Err(why.clone());
        }
        check_tag(self.tag)?;
        if !self.has_args {
            self.asking.content().clear();
            codec::put_call(self.tag, &(), Encoding::MsgPack, self.asking.content()).map_err(bad_request)?;
        }
        codec::put_kwargs(self.kwargs.as_ref(), Encoding::MsgPack, self.asking.content());
        match self.shared.link_with(&self.peer) {
            Ok(link) => {
                self.put_metadata()?;
                Ok(Some(link))
            }
            Err(NotSent::NoRoute) => {
                self.reach();
                Ok(None)
            }
            Err(why) => Err(CallError::NotSent { why }),
        }
    }

    /// Begins to make a link. The time of the call runs meanwhile.
    #[cold]
    fn reach(&mut self) {
        if let Some(deadline) = dispatch::current().and_then(|inherited| inherited.deadline) {
            self.asking.limit(deadline);
        }
        let due = self.asking.left().and_then(|left| Instant::now().checked_add(left));
        if let Some(due) = due {
            self.asking.set_no_deadline();
            self.asking.limit(due);
        }
        let (shared, peer) = (self.shared, self.peer);
        self.reaching = Some(Box::pin(async move { shared.reach(&peer, due).await }));
    }

    /// The link, once there is one.
    #[inline]
    fn poll_link(&mut self, cx: &mut Context<'_>) -> Poll<Result<Link, CallError>> {
        if self.reaching.is_none()
            && let Some(link) = self.begin()?
        {
            return Poll::Ready(Ok(link));
        }
        let Some(reaching) = &mut self.reaching else { return Poll::Pending };
        let link = ready!(reaching.as_mut().poll(cx));
        self.reaching = None;
        self.put_metadata()?;
        Poll::Ready(link)
    }

    /// Says how long there is time and which trace this belongs to. Inside a handler both follow from the call that it answers.
    fn put_metadata(&mut self) -> Result<(), CallError> {
        let inherited = dispatch::current();
        if let Some(deadline) = inherited.as_ref().and_then(|inherited| inherited.deadline) {
            self.asking.limit(deadline);
        }
        let trace = inherited.as_ref().map_or_else(trace::begin, |inherited| trace::child(&inherited.trace));
        let state = inherited.and_then(|inherited| inherited.state);
        let app = self.app.as_deref().cloned();
        let metadata = Metadata { left: self.asking.left(), trace: Some(trace), state, app, key: None };
        codec::put_metadata(&metadata, Encoding::MsgPack, 0, self.asking.content());
        self.let_out = self.shared.let_out(self.tag, self.peer, trace)?;
        Ok(())
    }

    /// What the answer means, where it is a flag.
    fn unflagged(&self, why: CallError) -> Result<R, CallError> {
        let meant = Flag::of(&why).and_then(|flag| self.shared.flags.resolve(&flag, self.tag, self.peer));
        let value = meant.unwrap_or(Err(why))?;
        self.asking.open(Payload::encode(&value, Encoding::MsgPack).map_err(bad_request)?)
    }

    /// Where the call goes on when its link takes no calls any more and none of its bytes has left.
    fn elsewhere(&self, why: &CallError, link: &Link) -> Result<Link, CallError> {
        match why {
            CallError::NotSent { why: NotSent::NoRoute | NotSent::ShuttingDown } if self.asking.is_unsent() => {
                let other = self.shared.directory.find_other(&self.peer, link);
                other.ok_or_else(|| self.shared.no_route())
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
            None => match ready!(this.poll_link(cx)) {
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
        let ended = outcome.as_ref().map_or_else(CallError::outcome, |_| Outcome::Ok);
        count(&self.shared.metrics, ended);
        if let Some(let_out) = self.let_out.take() {
            let_out.ended(ended);
        }
        outcome
    }
}

impl<R> Drop for NodeCall<'_, R> {
    fn drop(&mut self) {
        if let Some(link) = &self.link {
            let was_sent = !self.asking.is_unsent();
            self.asking.leave(link);
            count(&self.shared.metrics, if was_sent { Outcome::Cancelled } else { Outcome::NotSent });
        } else if self.reaching.is_some() {
            count(&self.shared.metrics, Outcome::NotSent);
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

fn count(metrics: &Metrics, outcome: Outcome) {
    let counter = match outcome {
        Outcome::Ok => &metrics.calls_ok,
        Outcome::Absent => &metrics.calls_absent,
        Outcome::NotYetKnown => &metrics.calls_not_yet_known,
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
