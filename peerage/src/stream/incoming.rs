//! The end of a stream that reads.

use std::fmt;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use peerage_proto::codec::Payload;
use peerage_proto::outcome::CallError;
use serde::de::DeserializeOwned;

use super::{Line, Of};
use crate::link::Next;

/// The end of a stream that reads.
///
/// Dropping it tells the writer nothing: items that come are thrown away, and no more of them are asked for.
pub struct Incoming<T> {
    line: Line,
    is_over: bool,
    items: Of<T>,
}

impl<T> Incoming<T> {
    pub(crate) fn new(line: Line) -> Incoming<T> {
        Incoming { line, is_over: false, items: PhantomData }
    }

    /// The next item, unopened; `None` behind the last.
    pub(super) fn poll_payload(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Payload, CallError>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        let next = match self.line.stream {
            Some(stream) => ready!(self.line.link.poll_item(cx, stream)),
            None => Next::Over,
        };
        let last = match next {
            Next::Item(item) => return Poll::Ready(Some(Ok(item))),
            Next::End => None,
            Next::Aborted(why) => Some(Err(*why)),
            Next::Over => match &self.line.call {
                Some(call) => ready!(call.poll_outcome(cx)).err().map(Err),
                None => Some(Err(self.line.why_over())),
            },
        };
        self.is_over = true;
        Poll::Ready(last)
    }

    /// The next item as a value of another type than the others.
    pub(crate) async fn next_of<Other: DeserializeOwned>(&mut self) -> Result<Other, CallError> {
        let broken = |why: String| CallError::Protocol { why };
        match poll_fn(|cx| self.poll_payload(cx)).await {
            Some(item) => item?.decode().map_err(|why| broken(format!("an item does not fit: {why}"))),
            None => Err(broken("the items end too early".to_owned())),
        }
    }

    /// Reads what is left of the items and throws it away, unopened.
    pub(crate) async fn exhaust(&mut self) {
        while let Some(item) = poll_fn(|cx| self.poll_payload(cx)).await {
            drop(item);
        }
    }

    /// The answer of the call, for which this reads what is left of the items and throws it away. At the caller only.
    ///
    /// # Errors
    /// [`CallError`]: how the call ended instead.
    pub async fn outcome<R: DeserializeOwned>(mut self) -> Result<R, CallError> {
        self.exhaust().await;
        let call = self.line.call.clone().expect("only the caller has a stream of this sort in its hands");
        let answer = poll_fn(|cx| call.poll_outcome(cx)).await?;
        answer.decode().map_err(|why| CallError::Protocol { why: format!("the answer does not fit: {why}") })
    }
}

impl<T: DeserializeOwned> Incoming<T> {
    /// The next item; `None` behind the last.
    ///
    /// An error is the last thing that comes: the writer broke off, the call failed, or the link was lost. An item of another
    /// type is an error too, and the items behind it can still be read.
    pub async fn next(&mut self) -> Option<Result<T, CallError>> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// The same for whoever polls.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T, CallError>>> {
        let item = ready!(self.poll_payload(cx));
        Poll::Ready(item.map(|item| {
            item?.decode().map_err(|why| CallError::Protocol { why: format!("an item does not fit: {why}") })
        }))
    }
}

/// For combinators.
impl<T: DeserializeOwned> futures_core::Stream for Incoming<T> {
    type Item = Result<T, CallError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Incoming::poll_next(self.get_mut(), cx)
    }
}

impl<T> Drop for Incoming<T> {
    fn drop(&mut self) {
        if let Some(stream) = self.line.stream {
            self.line.link.deafen_stream(stream);
        }
    }
}

impl<T> fmt::Debug for Incoming<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming").field("line", &self.line).finish_non_exhaustive()
    }
}
