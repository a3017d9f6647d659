//! The end of a stream that sends.

use std::fmt;
use std::future::poll_fn;
use std::marker::PhantomData;

use peerage_proto::channel::Content;
use peerage_proto::codec::{Encoding, Payload};
use peerage_proto::outcome::Code;
use serde::Serialize;

use super::{Line, Of, SendError};
use crate::channel::Failure;
use crate::link::ItemRefused;

/// The end of a stream that sends.
///
/// Dropping it at the caller without [`finish`](Self::finish) tells the callee that the items were broken off. In a handler
/// the answer ends the stream, so there it may simply be dropped.
#[must_use = "a stream that is dropped at the caller is broken off"]
pub struct Outgoing<T> {
    line: Line,
    has_ended: bool,
    items: Of<T>,
}

impl<T> Outgoing<T> {
    pub(crate) fn new(line: Line) -> Outgoing<T> {
        Outgoing { line, has_ended: false, items: PhantomData }
    }

    /// No more items come, and all is well. What waits is still sent.
    pub fn finish(mut self) {
        self.has_ended = true;
        if let Some(stream) = self.line.stream {
            self.line.link.finish_stream(stream);
        }
    }

    /// No more items come, because of this. What waits is still sent.
    pub fn abort(mut self, failure: &Failure) {
        self.break_off(failure);
    }

    fn break_off(&mut self, failure: &Failure) {
        self.has_ended = true;
        let Some(stream) = self.line.stream else { return };
        let data = failure.data.as_ref().and_then(|data| Payload::encode(data, self.encoding()).ok());
        self.line.link.abort_stream(stream, failure.code.clone(), &failure.message, data.as_ref());
    }

    /// The encoding of the link.
    pub(super) fn encoding(&self) -> Encoding {
        self.line.link.encoding().unwrap_or(Encoding::MsgPack)
    }

    /// Sends an encoded item, or waits until there is room.
    pub(super) async fn send_payload(&mut self, item: &Payload) -> Result<(), SendError> {
        let stream = self.line.stream.ok_or(SendError::Over)?;
        let sent = poll_fn(|cx| self.line.link.poll_send_item(cx, stream, Content::Shared(item))).await;
        sent.map_err(|refused| match refused {
            ItemRefused::TooLarge => SendError::TooLarge { size: item.len() },
            ItemRefused::Over => SendError::Over,
        })
    }
}

impl<T> Outgoing<T> {
    /// Sends an item of another type than the others.
    pub(crate) async fn send_of(&mut self, item: &(impl Serialize + ?Sized)) -> Result<(), SendError> {
        let item = Payload::encode(item, self.encoding())?;
        self.send_payload(&item).await
    }
}

impl<T: Serialize> Outgoing<T> {
    /// Sends an item. Waits while the reader has not taken what came before: that is how it holds the writer back.
    ///
    /// Returns when the item has its place behind the others, not when it was read.
    ///
    /// # Errors
    /// [`SendError`]: the item was not sent. Those before it were, unless the call is over.
    pub async fn send(&mut self, item: &T) -> Result<(), SendError> {
        self.send_of(item).await
    }
}

impl<T> Drop for Outgoing<T> {
    fn drop(&mut self) {
        // In a handler the answer ends the stream.
        if !self.has_ended && self.line.call.is_some() {
            self.break_off(&Failure::new("the caller stopped in the middle of its items").code(Code::DROPPED));
        }
    }
}

impl<T> fmt::Debug for Outgoing<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing").field("line", &self.line).finish_non_exhaustive()
    }
}
