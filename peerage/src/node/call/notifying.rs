//! Telling a node something that wants no answer, and what such a call has in common with one that is opened as a conversation:
//! it leaves, and from then on is another's.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use peerage_proto::outcome::{CallError, Outcome};

use super::{NodeCall, count};
use crate::channel::Asking;
use crate::link::Link;

/// A notification: a future that is ready when it waits to be written, or cannot be sent.
///
/// What becomes of it at the node is not told. Nothing is sent before it is awaited.
#[must_use = "nothing is sent until it is awaited"]
pub struct Notifying<'a, R> {
    call: NodeCall<'a, R>,
}

impl<'a, R> NodeCall<'a, R> {
    /// Calls the function and wants no answer: the handler runs as for any call, in its turn among the others of this node, and
    /// what it gives is dropped. At most once; whether it ran is not told. Say this last.
    pub fn notify(self) -> Notifying<'a, R> {
        Notifying { call: self }
    }

    /// Gives the call away to its link with `send`, and tells which link that was.
    pub(super) fn poll_away<T>(
        &mut self,
        cx: &mut Context<'_>,
        send: impl Fn(&mut Asking<R>, &Link, &mut Context<'_>) -> Poll<Result<T, CallError>>,
    ) -> Poll<Result<(Link, T), CallError>> {
        let mut link = match self.link.take() {
            Some(link) => link,
            None => match ready!(self.poll_link(cx)) {
                Ok(link) => link,
                Err(why) => return Poll::Ready(Err(self.failed(why))),
            },
        };
        loop {
            match send(&mut self.asking, &link, cx) {
                Poll::Pending => {
                    self.link = Some(link);
                    return Poll::Pending;
                }
                Poll::Ready(Ok(sent)) => return Poll::Ready(Ok((link, sent))),
                Poll::Ready(Err(why)) => match self.elsewhere(&why, &link) {
                    Ok(other) => link = other,
                    Err(why) => return Poll::Ready(Err(self.failed(why))),
                },
            }
        }
    }

    fn failed(&mut self, why: CallError) -> CallError {
        self.asking.finish();
        count(&self.shared.metrics, why.outcome());
        if let Some(let_out) = self.let_out.take() {
            let_out.ended(why.outcome());
        }
        why
    }
}

impl<R> Future for Notifying<'_, R> {
    type Output = Result<(), CallError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (_, ()) = ready!(self.call.poll_away(cx, Asking::poll_notify))?;
        // Nothing more than this becomes known here.
        if let Some(let_out) = self.call.let_out.take() {
            let_out.ended(Outcome::Ok);
        }
        Poll::Ready(Ok(()))
    }
}

impl<R> fmt::Debug for Notifying<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notifying").field("call", &self.call).finish()
    }
}
