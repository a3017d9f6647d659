//! Items of conversations: taken from the machine and given to it, under the lock for an instant.

use std::task::{Context, Poll, ready};

use peerage_proto::channel::{Content, Input, ItemRoom, Served, StreamId, Taken, Token};
use peerage_proto::codec::Payload;
use peerage_proto::outcome::{CallError, Code};
use tokio::time::Instant;

use super::{Link, Time};

/// An item was not taken for sending.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ItemRefused {
    /// It is larger than a value may be.
    TooLarge,
    /// This direction has ended, or the whole call.
    Over,
}

/// What comes next of a conversation.
#[derive(Debug)]
pub(crate) enum Next {
    Item(Payload),
    /// The peer has ended its direction, and all is well.
    End,
    /// The peer has broken off because of this.
    Aborted(Box<CallError>),
    /// The call is over.
    Over,
}

impl Link {
    /// Tries to open a conversation: `Pending` while the link has no room, as for a call. The stream is missing if the call
    /// has ended already.
    pub(crate) fn poll_open(
        &self,
        cx: &mut Context<'_>,
        content: Content<'_>,
        time: &mut Time,
        ticket: &mut Option<u64>,
    ) -> Poll<Result<(Token, Option<StreamId>), CallError>> {
        let input = |token, deadline| Input::Open { token, content, deadline };
        Poll::Ready(match ready!(self.poll_enter(cx, time, ticket, input)) {
            Ok(token) => Ok((token, self.lock().machine.stream_of_call(token))),
            Err(outcome) => Err(*outcome.expect_err("a call has no value before its frame is written")),
        })
    }

    /// The streams of a request that opens a conversation; `None` for any other, and once it is answered.
    pub(crate) fn stream_of(&self, request: Served) -> Option<StreamId> {
        self.lock().machine.stream_of_request(request)
    }

    /// The next item of a conversation, or how it ended.
    pub(crate) fn poll_item(&self, cx: &mut Context<'_>, stream: StreamId) -> Poll<Next> {
        let mut state = self.lock();
        let next = match state.machine.take_item(stream) {
            Taken::Nothing => {
                state.item_readers.insert(stream, cx.waker().clone());
                return Poll::Pending;
            }
            Taken::Item(item) => Next::Item(item),
            Taken::Aborted(why) => Next::Aborted(why),
            Taken::End => Next::End,
            Taken::Over => Next::Over,
        };
        let wants_to_write = state.machine.wants_to_write();
        self.release(state);
        if wants_to_write {
            self.wake_driver();
        }
        Poll::Ready(next)
    }

    /// Tries to send an item: `Pending` while too much of this stream waits.
    pub(crate) fn poll_send_item(
        &self,
        cx: &mut Context<'_>,
        stream: StreamId,
        content: Content<'_>,
    ) -> Poll<Result<(), ItemRefused>> {
        let mut state = self.lock();
        match state.machine.item_room(stream, content.len()) {
            ItemRoom::Yes => {}
            ItemRoom::TooLarge => return Poll::Ready(Err(ItemRefused::TooLarge)),
            ItemRoom::Over => return Poll::Ready(Err(ItemRefused::Over)),
            ItemRoom::Later => {
                state.item_writers.insert(stream, cx.waker().clone());
                return Poll::Pending;
            }
        }
        let now = state.clock.recent();
        state.carry_out(now, Input::Item { stream, content });
        self.release(state);
        self.wake_driver();
        Poll::Ready(Ok(()))
    }

    /// No more items are sent, and all is well. What waits is still sent.
    pub(crate) fn finish_stream(&self, stream: StreamId) {
        self.about_stream(Input::Finish(stream));
    }

    /// No more items are sent, because of this.
    pub(crate) fn abort_stream(&self, stream: StreamId, code: Code, message: &str, data: Option<&Payload>) {
        self.about_stream(Input::Abort { stream, code, message, data });
    }

    /// Nobody reads a conversation any more.
    pub(crate) fn deafen_stream(&self, stream: StreamId) {
        self.lock().item_readers.remove(&stream);
        self.about_stream(Input::Deafen(stream));
    }

    fn about_stream(&self, input: Input<'_>) {
        let mut state = self.lock();
        state.carry_out(Instant::now(), input);
        self.release(state);
        self.wake_driver();
    }
}
