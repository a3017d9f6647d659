//! One call: from its content to its one outcome.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use peerage_proto::channel::{Answer, Content, StreamId, Token};
use peerage_proto::codec::{self, Encoding, Payload};
use peerage_proto::limits;
use peerage_proto::outcome::{CallError, NotSent, Refused};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, Sleep};

use super::FOREVER;
use super::buffer::Buffer;
use crate::link::{Link, Time};

/// A call: a future of its outcome.
///
/// Nothing is sent before it is awaited (or polled); calls leave in the order in which they are first polled. Dropping it
/// gives up.
#[must_use = "nothing is sent until it is awaited"]
pub struct Call<'a, R> {
    link: &'a Link,
    asking: Asking<R>,
}

/// A call without its link: who holds both polls one with the other.
pub(crate) struct Asking<R> {
    stage: Stage,
    /// What is asked, where it was encoded for this call; from then on where a small answer goes.
    buffer: Buffer,
    /// What is asked, where it was encoded before. Boxed, because a call is moved before it is awaited.
    payload: Option<Box<Payload>>,
    time: Time,
    open: fn(Answer, &[u8]) -> Result<R, CallError>,
}

/// How far a call has come.
///
/// ```text
///   Unsent ──room──▶ Sent ──outcome──▶ Over
///     └── the link has no room: a place in its queue ──┘
/// ```
enum Stage {
    /// In what encoding it is, and its place if it has to wait.
    Unsent(Encoding, Option<Box<Queued>>),
    /// It cannot even be tried.
    Bad(Box<CallError>),
    Sent(Token),
    Over,
}

/// A call that waits for room on its link.
struct Queued {
    ticket: u64,
    /// Rings at the deadline, since the machine does not know of this call yet.
    timer: Option<Pin<Box<Sleep>>>,
}

impl<'a, R: DeserializeOwned> Call<'a, R> {
    #[inline]
    pub(super) fn typed(link: &'a Link, content: &(impl Serialize + ?Sized)) -> Call<'a, R> {
        let mut buffer = Buffer::take();
        let stage = match link.encoding() {
            Some(encoding) => match codec::encode_into(content, encoding, &mut buffer.0) {
                Ok(()) => Stage::Unsent(encoding, None),
                Err(error) => bad(error.to_string()),
            },
            None => unknown_codec(),
        };
        Call { link, asking: Asking { stage, buffer, payload: None, time: TIME_DEFAULT, open } }
    }
}

impl<'a> Call<'a, Payload> {
    pub(super) fn opaque(link: &'a Link, content: Payload) -> Call<'a, Payload> {
        let stage = match link.encoding() {
            Some(encoding) if encoding == content.encoding() => Stage::Unsent(encoding, None),
            Some(encoding) => bad(format!("the channel speaks {encoding}, the payload is {}", content.encoding())),
            None => unknown_codec(),
        };
        let payload = Some(Box::new(content));
        Call { link, asking: Asking { stage, buffer: Buffer::take(), payload, time: TIME_DEFAULT, open: unopened } }
    }
}

impl<R> Call<'_, R> {
    /// Ends the call without an answer after this long, at most 100 ms later. Default 30 s. Counts from the await.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.asking.set_deadline(deadline);
        self
    }

    /// Waits for the answer as long as the connection lives.
    pub fn without_deadline(mut self) -> Self {
        self.asking.set_no_deadline();
        self
    }
}

impl<R> Future for Call<'_, R> {
    type Output = Result<R, CallError>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let outcome = this.asking.poll(this.link, cx);
        if outcome.is_ready() {
            this.asking.stage = Stage::Over;
        }
        outcome
    }
}

impl<R> Drop for Call<'_, R> {
    fn drop(&mut self) {
        self.asking.leave(self.link);
    }
}

impl<R> fmt::Debug for Call<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("time", &self.asking.time).finish_non_exhaustive()
    }
}

impl<R: DeserializeOwned> Asking<R> {
    /// A call in MessagePack whose content is still to be written, with an answer of type `R`.
    #[inline]
    pub(crate) fn typed() -> Asking<R> {
        Asking::with(open)
    }
}

impl<R> Asking<R> {
    #[inline]
    fn with(open: fn(Answer, &[u8]) -> Result<R, CallError>) -> Asking<R> {
        let stage = Stage::Unsent(Encoding::MsgPack, None);
        Asking { stage, buffer: Buffer::take(), payload: None, time: TIME_DEFAULT, open }
    }

    /// A call that has ended.
    pub(crate) fn over() -> Asking<R> {
        let open = |_: Answer, _: &[u8]| unreachable!("nothing is opened after the end");
        Asking { stage: Stage::Over, buffer: Buffer(Vec::new()), payload: None, time: TIME_DEFAULT, open }
    }

    /// Its outcome is known: nothing more is done about it.
    #[inline]
    pub(crate) fn finish(&mut self) {
        self.stage = Stage::Over;
    }

    /// Whether its outcome is known.
    #[inline]
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Over)
    }

    /// The same call with its answer left unopened.
    pub(crate) fn unopened(self) -> Asking<Payload> {
        let Asking { stage, buffer, payload, time, .. } = self;
        Asking { stage, buffer, payload, time, open: unopened }
    }

    /// Where the content is written.
    #[inline]
    pub(crate) fn content(&mut self) -> &mut Vec<u8> {
        &mut self.buffer.0
    }

    /// The call cannot even be tried.
    #[cold]
    pub(crate) fn spoil(&mut self, why: CallError) {
        self.stage = Stage::Bad(Box::new(why));
    }

    pub(crate) fn set_deadline(&mut self, deadline: Duration) {
        self.time = Time::From(deadline.min(FOREVER));
    }

    pub(crate) fn set_no_deadline(&mut self) {
        self.time = Time::Never;
    }

    /// It ends no later than this.
    pub(crate) fn limit(&mut self, deadline: Instant) {
        let so_far = match self.time {
            Time::From(so_long) => Some(Instant::now() + so_long),
            Time::At(deadline) => Some(deadline),
            Time::Never => None,
        };
        if so_far.is_none_or(|so_far| so_far > deadline) {
            self.time = Time::At(deadline);
        }
    }

    /// How long it may still take; `None`: as long as the link lives.
    #[inline]
    pub(crate) fn left(&self) -> Option<Duration> {
        match self.time {
            Time::From(so_long) => Some(so_long),
            Time::At(deadline) => Some(deadline.saturating_duration_since(Instant::now())),
            Time::Never => None,
        }
    }

    /// This value as the answer.
    pub(crate) fn open(&self, value: Payload) -> Result<R, CallError> {
        (self.open)(Answer::Owned(value), &[])
    }

    /// Why it cannot be tried, if it cannot.
    #[inline]
    pub(crate) fn flaw(&self) -> Option<&CallError> {
        match &self.stage {
            Stage::Bad(why) => Some(why),
            _ => None,
        }
    }

    /// Whether certainly no byte of it has left, so that it may be sent over another link.
    pub(crate) fn is_unsent(&self) -> bool {
        matches!(self.stage, Stage::Unsent(..))
    }

    /// Sends it, or waits for its outcome. After an error [`is_unsent`](Self::is_unsent) tells whether another link may be
    /// tried; it must not be polled again on the same one.
    #[inline]
    pub(crate) fn poll(&mut self, link: &Link, cx: &mut Context<'_>) -> Poll<Result<R, CallError>> {
        match self.stage {
            Stage::Unsent(..) | Stage::Bad(_) => match self.poll_send(link, cx) {
                Poll::Ready(Ok(token)) => {
                    self.payload = None;
                    self.buffer.shrink();
                    // The link has our waker since it gave the token.
                    self.stage = Stage::Sent(token);
                    Poll::Pending
                }
                Poll::Ready(Err(error)) => {
                    if let Stage::Unsent(_, queued) = &mut self.stage
                        && let Some(queued) = queued.take()
                    {
                        link.leave_queue(queued.ticket);
                    }
                    Poll::Ready(Err(error))
                }
                Poll::Pending => Poll::Pending,
            },
            Stage::Sent(token) => match link.poll_outcome(cx, token, &mut self.buffer.0) {
                Poll::Ready(outcome) => {
                    // The token is free and may be another call's by now.
                    self.stage = Stage::Over;
                    Poll::Ready(match outcome {
                        Ok(answer) => (self.open)(answer, &self.buffer.0),
                        Err(error) => Err(*error),
                    })
                }
                Poll::Pending => Poll::Pending,
            },
            Stage::Over => panic!("a call was polled after it had ended"),
        }
    }

    /// Sends the call, or waits for room on the link.
    #[inline]
    fn poll_send(&mut self, link: &Link, cx: &mut Context<'_>) -> Poll<Result<Token, CallError>> {
        self.poll_queue(link, cx, Link::poll_send)
    }

    /// The same for whatever takes a call to the link.
    #[inline]
    fn poll_queue<T>(
        &mut self,
        link: &Link,
        cx: &mut Context<'_>,
        send: impl FnOnce(&Link, &mut Context<'_>, Content<'_>, &mut Time, &mut Option<u64>) -> Poll<Result<T, CallError>>,
    ) -> Poll<Result<T, CallError>> {
        let (encoding, queued) = match &mut self.stage {
            Stage::Unsent(encoding, queued) => (encoding, queued),
            Stage::Bad(error) => return Poll::Ready(Err((**error).clone())),
            Stage::Sent(_) | Stage::Over => unreachable!("only called before the call is sent"),
        };
        let content = match &self.payload {
            None => Content::Copied(*encoding, &self.buffer.0),
            Some(payload) => Content::Shared(payload),
        };
        let mut ticket = queued.as_ref().map(|queued| queued.ticket);
        if let Poll::Ready(sent) = send(link, cx, content, &mut self.time, &mut ticket) {
            // The link has taken back the ticket.
            *queued = None;
            return Poll::Ready(sent);
        }
        let Some(ticket) = ticket else { return Poll::Pending };
        let deadline = self.time.settle(Instant::now());
        let queued = queued.get_or_insert_with(|| {
            Box::new(Queued { ticket, timer: deadline.map(|deadline| Box::pin(tokio::time::sleep_until(deadline))) })
        });
        let over = queued.timer.as_mut().is_some_and(|timer| timer.as_mut().poll(cx).is_ready());
        if over { Poll::Ready(Err(CallError::NotSent { why: NotSent::QueueFull })) } else { Poll::Pending }
    }

    /// Opens it as a conversation, which from then on is the caller's. After an error it is as with [`poll`](Self::poll).
    pub(crate) fn poll_open(
        &mut self,
        link: &Link,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(Token, Option<StreamId>), CallError>> {
        self.poll_away(link, cx, Link::poll_open)
    }

    /// Tells it without waiting for an answer: ready when it waits to be written. After an error it is as with
    /// [`poll`](Self::poll).
    pub(crate) fn poll_notify(&mut self, link: &Link, cx: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        self.poll_away(link, cx, Link::poll_notify)
    }

    /// Takes it to the link, which has it from then on.
    fn poll_away<T>(
        &mut self,
        link: &Link,
        cx: &mut Context<'_>,
        send: impl FnOnce(&Link, &mut Context<'_>, Content<'_>, &mut Time, &mut Option<u64>) -> Poll<Result<T, CallError>>,
    ) -> Poll<Result<T, CallError>> {
        let opened = ready!(self.poll_queue(link, cx, send));
        if opened.is_ok() {
            self.stage = Stage::Over;
        } else if let Stage::Unsent(_, queued) = &mut self.stage
            && let Some(queued) = queued.take()
        {
            link.leave_queue(queued.ticket);
        }
        Poll::Ready(opened)
    }

    /// Gives back whatever the link still holds for this call.
    pub(crate) fn leave(&mut self, link: &Link) {
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Unsent(_, Some(queued)) => link.leave_queue(queued.ticket),
            Stage::Sent(token) => link.abandon(token),
            Stage::Unsent(_, None) | Stage::Bad(_) | Stage::Over => {}
        }
    }
}

#[cold]
fn bad(why: String) -> Stage {
    Stage::Bad(Box::new(CallError::Refused { why: Refused::BadRequest(why) }))
}

#[cold]
fn unknown_codec() -> Stage {
    let why = "the codec of this connection is not known before the peer's first frame: name one with ?codec=";
    bad(why.to_owned())
}

#[inline]
fn open<R: DeserializeOwned>(answer: Answer, buffer: &[u8]) -> Result<R, CallError> {
    answer.decode(buffer).map_err(|error| CallError::Protocol { why: format!("the answer does not fit: {error}") })
}

fn unopened(answer: Answer, buffer: &[u8]) -> Result<Payload, CallError> {
    Ok(answer.into_payload(buffer))
}

/// How long a call waits for its answer unless the caller chooses otherwise.
const TIME_DEFAULT: Time = Time::From(limits::CALL_DEADLINE_DEFAULT);
