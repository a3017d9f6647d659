//! Conversations as the application sees them: opening one, sending and taking items, ending a direction.

use std::time::Instant;

use super::in_flight::State;
use super::streams::{End, LastWord, Measure, StreamId};
use super::{Channel, Content, Output, Served, Token};
use crate::codec::{Encoding, Payload};
use crate::frame::{Dialect, Kind};
use crate::id::RequestId;
use crate::limits;
use crate::outcome::{CallError, Code, Refused, Stop};

/// Whether an item could be taken now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ItemRoom {
    /// Yes.
    Yes,
    /// Too much waits already; [`Output::Writable`] follows.
    Later,
    /// Never: it is larger than [`limits::VALUE_BYTES_MAX`].
    TooLarge,
    /// Never: this direction has ended, or the whole call.
    Over,
}

/// What an application that reads a conversation gets.
#[derive(Debug)]
pub enum Taken {
    /// The next item.
    Item(Payload),
    /// Nothing yet; [`Output::Readable`] follows.
    Nothing,
    /// The peer has ended this direction, and all is well.
    End,
    /// The peer has ended it because of this.
    Aborted(Box<CallError>),
    /// The call is over; how, its outcome tells.
    Over,
}

impl Channel {
    /// Opens a conversation: a call whose two directions are streams.
    pub(super) fn open(&mut self, now: Instant, token: Token, content: Content<'_>, deadline: Option<Instant>) {
        if self.config.dialect == Dialect::Plain {
            let why = "a plain link carries no streams: its peer knows requests and answers only";
            return self.refuse_call(token, CallError::Refused { why: Refused::BadRequest(why.to_owned()) });
        }
        let place = self.outgoing.end();
        match self.ask(now, Kind::Open, content, deadline) {
            Ok(id) => {
                let len = self.outgoing.end().saturating_sub(place) as usize;
                self.calls.open(now, token, id, deadline, (place, len));
                self.streams.open(StreamId { is_peers: false, id: id.0 });
            }
            Err(error) => self.refuse_call(token, error),
        }
    }

    /// The conversation of a call of ours that has no outcome yet.
    pub fn stream_of_call(&self, token: Token) -> Option<StreamId> {
        let stream = StreamId { is_peers: false, id: self.calls.get(token)?.id.0 };
        self.streams.get(stream).map(|_| stream)
    }

    /// The conversation of a request of the peer's that is not answered yet.
    pub fn stream_of_request(&self, request: Served) -> Option<StreamId> {
        let id = self.serving.id_of(request).filter(|_| request.is_conversation())?;
        Some(StreamId { is_peers: true, id: id.0 })
    }

    /// Conversations that the application has not done with.
    pub fn conversations(&self) -> usize {
        self.streams.len()
    }

    /// Answers that wait for the items before them.
    pub fn answers_kept_back(&self) -> usize {
        self.streams.kept_back()
    }

    /// Whether an item of so many bytes could be taken now.
    pub fn item_room(&self, stream: StreamId, bytes: usize) -> ItemRoom {
        match self.streams.get(stream) {
            None => ItemRoom::Over,
            Some(both) if both.sending.is_closed() => ItemRoom::Over,
            Some(_) if bytes > limits::VALUE_BYTES_MAX => ItemRoom::TooLarge,
            Some(both) if both.sending.waiting() >= limits::STREAM_QUEUE_BYTES => ItemRoom::Later,
            Some(_) => ItemRoom::Yes,
        }
    }

    /// Another item. Whoever has not asked for room may find it thrown away.
    pub(super) fn send_item(&mut self, stream: StreamId, content: Content<'_>) {
        let Some(encoding) = self.encoding else { return };
        if self.item_room(stream, content.len()) != ItemRoom::Yes {
            return;
        }
        match content.payload().transcode(encoding) {
            Ok(item) => {
                if let Some(both) = self.streams.live(stream) {
                    both.sending.push(item);
                }
                self.line_up(stream);
            }
            Err(why) => self.spoil(stream, &why.to_string()),
        }
    }

    /// Ends our direction: well, or with a failure. What waits to be sent is sent before.
    pub(super) fn end_stream(&mut self, stream: StreamId, failure: Option<(&Code, &str, Option<&Payload>)>) {
        let Some(encoding) = self.encoding else { return };
        let end = failure.and_then(|(code, message, data)| self.failure_of_stream(encoding, code, message, data));
        if let Some(both) = self.streams.live(stream).filter(|both| !both.sending.is_closed()) {
            both.sending.close(end.unwrap_or_else(|| Payload::null(encoding)));
        }
        self.line_up(stream);
    }

    /// An item cannot be put into the encoding that the link has by now: the reader is told that there is a hole.
    fn spoil(&mut self, stream: StreamId, why: &str) {
        let Some(encoding) = self.encoding else { return };
        let end = self.failure_of_stream(encoding, &Code::INTERNAL, &format!("an item cannot be sent: {why}"), None);
        if let Some(both) = self.streams.live(stream) {
            let last = both.sending.last.take();
            both.sending.abandon();
            both.sending.close(end.unwrap_or_else(|| Payload::null(encoding)));
            both.sending.last = last;
        }
        self.orders.push_back(Output::Writable(stream));
        self.line_up(stream);
    }

    /// What waits is put into another encoding.
    pub(super) fn transcode_streams(&mut self, encoding: Encoding) {
        if self.streams.is_empty() {
            return;
        }
        for stream in self.streams.transcode(encoding, Measure::of(encoding, self.config.frame_bytes)) {
            self.spoil(stream, "the link has changed to an encoding that does not carry it");
        }
    }

    /// Takes the next item of a conversation. What was taken is granted to the sender anew.
    pub fn take_item(&mut self, stream: StreamId) -> Taken {
        let Some(both) = self.streams.readable(stream) else { return Taken::Over };
        let taken = match both.receiving.take() {
            None => return Taken::Nothing,
            Some(Ok(item)) => Taken::Item(item),
            Some(Err(End::Well | End::Told)) if self.streams.live(stream).is_none() => Taken::Over,
            Some(Err(End::Well | End::Told)) => Taken::End,
            Some(Err(End::Aborted(why))) => Taken::Aborted(why),
        };
        self.grant(stream);
        self.streams.forget_if_read(stream);
        taken
    }

    /// Nobody reads a conversation any more: what came is thrown away, and nothing more is granted.
    pub(super) fn deafen(&mut self, stream: StreamId) {
        self.streams.deafen(stream);
        self.grant_elder();
    }

    /// Grants what was taken, if it is worth a frame.
    pub(super) fn grant(&mut self, stream: StreamId) {
        if self.streams.live(stream).is_some()
            && let Some(bytes) = self.streams.grant(stream)
        {
            self.put_value(Kind::Credit, stream.id, &bytes);
        }
        if self.streams.elder() != Some(stream) {
            self.grant_elder();
        }
    }

    fn grant_elder(&mut self) {
        if let Some(elder) = self.streams.elder()
            && self.streams.live(elder).is_some()
            && let Some(bytes) = self.streams.grant(elder)
        {
            self.put_value(Kind::Credit, elder.id, &bytes);
        }
    }

    /// Gives a conversation its turn if it could send a frame.
    pub(super) fn line_up(&mut self, stream: StreamId) {
        if let Some(measure) = self.measure() {
            self.streams.line_up(stream, measure);
        }
    }

    pub(super) fn measure(&self) -> Option<Measure> {
        self.encoding.map(|encoding| Measure::of(encoding, self.config.frame_bytes))
    }

    /// A call of ours has its outcome, or nobody waits for its answer.
    #[inline]
    pub(super) fn call_is_over(&mut self, id: RequestId) {
        if !self.streams.is_empty() {
            self.stream_is_over(StreamId { is_peers: false, id: id.0 });
        }
    }

    /// Whether frames of a conversation of ours stand behind its open, which therefore cannot be taken back alone.
    #[inline]
    pub(super) fn has_said_something(&self, id: RequestId) -> bool {
        let stream = StreamId { is_peers: false, id: id.0 };
        !self.streams.is_empty() && self.streams.get(stream).is_some_and(|both| both.sending.has_begun())
    }

    /// A request of the peer's is answered.
    pub(super) fn request_is_over(&mut self, id: RequestId) {
        self.stream_is_over(StreamId { is_peers: true, id: id.0 });
    }

    fn stream_is_over(&mut self, stream: StreamId) {
        self.streams.over(stream, &mut self.orders);
        self.grant_elder();
    }

    /// Whether this call waits for its answer.
    pub(super) fn awaits_answer(&self, token: Token) -> bool {
        self.calls.get(token).is_some_and(|waiting| waiting.state == State::Answer)
    }

    /// The answer of a conversation comes behind its items: keeps it until they have left. False if nothing is in its way.
    pub(super) fn keep_back(&mut self, request: Served, word: impl FnOnce() -> LastWord) -> bool {
        let Some(stream) = self.stream_of_request(request) else { return false };
        let Some(both) = self.streams.live(stream).filter(|both| !both.sending.is_empty()) else { return false };
        if both.sending.last.is_none() {
            both.sending.last = Some(word());
            both.receiving.deafen();
            both.sending.shut();
        }
        true
    }

    /// Whether the handler of a conversation has given its answer, which waits for the items before it.
    pub(super) fn has_last_word(&self, request: Served) -> bool {
        let both = self.stream_of_request(request).and_then(|stream| self.streams.get(stream));
        both.is_some_and(|both| both.sending.last.is_some())
    }

    /// The answer of a conversation whose items have all left.
    pub(super) fn put_last_word(&mut self, stream: StreamId) {
        let Some(both) = self.streams.live(stream).filter(|both| both.sending.is_empty()) else { return };
        let Some(word) = both.sending.last.take() else { return };
        let Some(request) = self.serving.by_id(RequestId(stream.id)) else { return };
        match word {
            LastWord::Value(value) => self.reply(request, Content::Shared(&value)),
            LastWord::Failure(code, message, data) => self.fail(request, &code, &message, data.as_ref()),
            LastWord::Rejection(why) => self.reject(request, &why),
        }
    }

    /// The peer sends nothing more: what it had begun to say in conversations will never be whole, so their work ends.
    pub(super) fn end_conversations(&mut self) {
        for stream in self.streams.opened_by(true) {
            let Some(request) = self.serving.by_id(RequestId(stream.id)) else { continue };
            if self.has_last_word(request) || self.serving.take_withheld(request) {
                self.stopped(request, Stop::Completed);
            } else {
                self.serving.stopping(request);
                self.orders.push_back(Output::Stop(request));
            }
        }
    }

    /// The link takes no answers any more, or has none to give.
    pub(super) fn forget_conversations(&mut self) {
        for stream in self.streams.opened_by(true) {
            self.streams.over(stream, &mut self.orders);
        }
    }
}
