//! Streams: calls whose two directions carry items, one after the other and without holes.
//!
//! A call that is opened with [`NodeCall::open`](crate::node::NodeCall::open) is a [`Conversation`]: the caller sends items on
//! its [`Outgoing`] and reads the callee's on its [`Incoming`], and the other way round in the handler, which takes both from its
//! [`Context`](crate::service::Context). The answer of the handler ends it.
//!
//! ```
//! use peerage::network::{Network, Secret};
//! use peerage::service::Context;
//! use peerage::{Failure, Identity, Node};
//!
//! /// Sends back the sum so far for each number that comes.
//! async fn sums(context: Context) -> Result<u64, Failure> {
//!     let (mut numbers, mut sums) = (context.incoming::<u64>()?, context.outgoing::<u64>()?);
//!     let mut sum = 0;
//!     while let Some(number) = numbers.next().await {
//!         sum += number?;
//!         sums.send(&sum).await?;
//!     }
//!     Ok(sum)
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let network = Network::new("lab", Secret::generate())?;
//! # let node = Node::builder(Identity::generate()).network(network).start().await?;
//! node.serve("math/sums", sums)?;
//!
//! let mut talk = node.call("math/sums").peer::<u64>(node.id()).open::<u64, u64>().await?;
//! talk.outgoing.send(&20).await?;
//! talk.outgoing.send(&3).await?;
//! assert_eq!(talk.incoming.next().await.transpose()?, Some(20));
//! assert_eq!(talk.incoming.next().await.transpose()?, Some(23));
//! assert_eq!(talk.result::<u64>().await?, 23);
//! # node.stop().await;
//! # Ok(())
//! # }
//! ```
//!
//! Whoever does not read makes the writer at the other end wait, and nobody else: each direction has its own credit, in bytes.
//! Items of all streams of a link take turns, and everything small goes before them.

use std::fmt;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use peerage_proto::channel::{Served, StreamId, Token};
use peerage_proto::codec::{EncodeError, Payload};
use peerage_proto::limits;
use peerage_proto::outcome::{CallError, Outcome, Stop};
use serde::de::DeserializeOwned;

use crate::link::Link;

mod bytes;
mod incoming;
mod outgoing;

pub use bytes::CopyError;
pub use incoming::Incoming;
pub use outgoing::Outgoing;

/// A call at its caller whose two directions are streams.
///
/// Both halves may be used apart, in different tasks. When both are dropped before the answer, the call is given up.
#[derive(Debug)]
#[must_use = "a conversation that is dropped is given up"]
pub struct Conversation<Up, Down> {
    /// What the caller says.
    pub outgoing: Outgoing<Up>,
    /// What the callee says.
    pub incoming: Incoming<Down>,
}

/// An item was not sent.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The encoding of the link cannot carry it.
    #[error("an item cannot be sent: {0}")]
    Encode(#[from] EncodeError),
    /// It is larger than an item may be: send it in pieces.
    #[error(
        "an item of {size} bytes is too large: at most {} are held whole; send it in pieces",
        limits::VALUE_BYTES_MAX
    )]
    TooLarge {
        /// Its encoded size, in bytes.
        size: usize,
    },
    /// The call is over; its outcome tells how.
    #[error("the call is over")]
    Over,
}

/// A handler asked for a direction of a conversation that is not there for it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum NoStream {
    /// The caller asked for an answer alone.
    #[error("this call carries no streams: it must be opened as a conversation")]
    NotOpened,
    /// The handler has taken it already.
    #[error("this direction of the conversation was taken already")]
    Taken,
}

impl<Up, Down> Conversation<Up, Down> {
    /// The call with this token; `on_end` is told how it ended.
    pub(crate) fn new(link: Link, token: Token, stream: Option<StreamId>, on_end: OnEnd) -> Conversation<Up, Down> {
        let on_end = Mutex::new(Some(on_end));
        let call = Arc::new(OurCall { link: link.clone(), token, outcome: Mutex::default(), on_end });
        let line = Line { link, stream, call: Some(call) };
        Conversation { outgoing: Outgoing::new(line.clone()), incoming: Incoming::new(line) }
    }

    /// Ends the caller's direction, reads the callee's to its end and throws it away, and waits for the answer.
    ///
    /// # Errors
    /// [`CallError`]: how the call ended instead.
    pub async fn result<R: DeserializeOwned>(self) -> Result<R, CallError> {
        self.outgoing.finish();
        self.incoming.outcome().await
    }
}

/// A conversation as its handler finds it: each direction is there to be taken once.
pub(crate) struct Offered {
    line: Line,
    incoming: AtomicBool,
    outgoing: AtomicBool,
}

impl Offered {
    /// The conversation that this request opens; `None` for any other.
    pub(crate) fn of(link: &Link, served: Served) -> Option<Offered> {
        let there = || AtomicBool::new(true);
        let line = || Line { link: link.clone(), stream: link.stream_of(served), call: None };
        served.is_conversation().then(|| Offered { line: line(), incoming: there(), outgoing: there() })
    }

    pub(crate) fn incoming<T>(&self) -> Result<Incoming<T>, NoStream> {
        let is_there = self.incoming.swap(false, Ordering::Relaxed);
        is_there.then(|| Incoming::new(self.line.clone())).ok_or(NoStream::Taken)
    }

    pub(crate) fn outgoing<T>(&self) -> Result<Outgoing<T>, NoStream> {
        let is_there = self.outgoing.swap(false, Ordering::Relaxed);
        is_there.then(|| Outgoing::new(self.line.clone())).ok_or(NoStream::Taken)
    }
}

/// A conversation on its link, at either end.
#[derive(Clone)]
pub(crate) struct Line {
    link: Link,
    /// None if the call was over before it had begun.
    stream: Option<StreamId>,
    /// At the caller.
    call: Option<Arc<OurCall>>,
}

/// Whoever is told how a conversation of ours ended.
pub(crate) type OnEnd = Box<dyn FnOnce(Outcome) + Send>;

/// The call of a conversation, at its caller: given up when nobody holds it any more.
struct OurCall {
    link: Link,
    token: Token,
    outcome: Mutex<Option<Result<Payload, CallError>>>,
    on_end: Mutex<Option<OnEnd>>,
}

impl OurCall {
    fn poll_outcome(&self, cx: &mut Context<'_>) -> Poll<Result<Payload, CallError>> {
        let mut known = self.outcome.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(outcome) = &*known {
            return Poll::Ready(outcome.clone());
        }
        let mut buffer = Vec::new();
        let outcome = match ready!(self.link.poll_outcome(cx, self.token, &mut buffer)) {
            Ok(answer) => Ok(answer.into_payload(&buffer)),
            Err(why) => Err(*why),
        };
        let outcome = known.insert(outcome).clone();
        drop(known);
        self.ended(outcome.as_ref().map_or_else(CallError::outcome, |_| Outcome::Ok));
        Poll::Ready(outcome)
    }

    fn ended(&self, outcome: Outcome) {
        let on_end = self.on_end.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(on_end) = on_end {
            on_end(outcome);
        }
    }
}

impl Drop for OurCall {
    fn drop(&mut self) {
        if self.outcome.get_mut().unwrap_or_else(PoisonError::into_inner).is_none() {
            self.link.abandon(self.token);
            self.ended(Outcome::Cancelled);
        }
    }
}

impl Line {
    /// Why a call of the peer's is over.
    fn why_over(&self) -> CallError {
        match self.link.why_ended() {
            Some(why) => CallError::ConnectionLost { why },
            None => CallError::Cancelled { stop: Stop::Unconfirmed },
        }
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line").field("stream", &self.stream).finish_non_exhaustive()
    }
}

/// Items of some type, of which none is held.
type Of<T> = PhantomData<fn(T) -> T>;
