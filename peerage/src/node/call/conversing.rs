//! Opening a call as a conversation: its two directions are streams.

use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use peerage_proto::outcome::CallError;

use super::{NodeCall, count};
use crate::channel::Asking;
use crate::stream::{Conversation, Incoming};

/// A conversation that is being opened: a future of it.
///
/// Nothing is sent before it is awaited. It is ready when the call is queued for sending; what the callee thinks of it shows
/// when items are read, or in the outcome.
#[must_use = "nothing is sent until it is awaited"]
pub struct Opening<'a, R, Up, Down> {
    call: NodeCall<'a, R>,
    items: PhantomData<fn(Up, Down)>,
}

impl<'a, R> NodeCall<'a, R> {
    /// Opens the call as a conversation: both directions are streams of items, and the answer ends them.
    pub fn open<Up, Down>(self) -> Opening<'a, R, Up, Down> {
        Opening { call: self, items: PhantomData }
    }

    /// Opens the call and only listens: the callee's items come until its answer.
    ///
    /// # Errors
    /// [`CallError`] if the call could not be sent.
    pub async fn stream<Down>(self) -> Result<Incoming<Down>, CallError> {
        let Conversation { outgoing, incoming } = self.open::<(), Down>().await?;
        outgoing.finish();
        Ok(incoming)
    }
}

impl<R, Up, Down> Future for Opening<'_, R, Up, Down> {
    type Output = Result<Conversation<Up, Down>, CallError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (link, (token, stream)) = ready!(self.call.poll_away(cx, Asking::poll_open))?;
        let (shared, let_out) = (self.call.shared.clone(), self.call.let_out.take());
        let on_end = move |outcome| {
            count(&shared.metrics, outcome);
            if let Some(let_out) = let_out {
                let_out.ended(outcome);
            }
        };
        Poll::Ready(Ok(Conversation::new(link, token, stream, Box::new(on_end))))
    }
}

impl<R, Up, Down> fmt::Debug for Opening<'_, R, Up, Down> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opening").field("call", &self.call).finish()
    }
}
