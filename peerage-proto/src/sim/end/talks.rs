//! Conversations of an end: items that count, so that a hole shows.

use std::time::Instant;

use serde::de::IgnoredAny;

use super::{End, numbered};
use crate::channel::{Content, Input, ItemRoom, Output, Served, StreamId, Taken, Token};
use crate::codec::Payload;
use crate::outcome::Code;

impl End {
    /// Conversations that were met, in the order of their ids.
    pub(in super::super) fn talks(&self) -> Vec<StreamId> {
        self.talks.keys().copied().collect()
    }

    /// The conversation that a request opens.
    pub(in super::super) fn stream_of(&self, request: Served) -> Option<StreamId> {
        self.channel.stream_of_request(request)
    }

    /// Sends the next item of a conversation: its number and some padding. False when it never can again.
    pub(in super::super) fn say_item(&mut self, now: Instant, stream: StreamId, padding: usize) -> bool {
        let (sent, _) = *self.talks.entry(stream).or_default();
        let item = numbered(sent, padding, self.encoding());
        let room = self.channel.item_room(stream, item.len());
        if room == ItemRoom::Yes {
            self.talks.entry(stream).or_default().0 += 1;
            self.feed(now, Input::Item { stream, content: Content::Shared(&item) });
        }
        room != ItemRoom::Over
    }

    /// Sends an item of any content, room or no room.
    pub(in super::super) fn say_anything(&mut self, now: Instant, stream: StreamId, item: &Payload) {
        self.feed(now, Input::Item { stream, content: Content::Shared(item) });
    }

    /// Ends our direction of a conversation.
    pub(in super::super) fn end_talk(&mut self, now: Instant, stream: StreamId, well: bool) {
        let code = Code::new("sim");
        let abort = Input::Abort { stream, code, message: "no more", data: None };
        self.feed(now, if well { Input::Finish(stream) } else { abort });
    }

    /// Tells the peer something that wants no answer.
    pub(in super::super) fn notify(&mut self, now: Instant, padding: usize) {
        let content = numbered(u64::MAX, padding, self.encoding());
        let token = self.free.pop().unwrap_or_else(|| {
            self.tokens += 1;
            Token(self.tokens - 1)
        });
        let orders: Vec<Output> =
            self.channel.handle(now, Input::Notify { token, content: Content::Shared(&content) }).collect();
        assert!(
            orders.iter().any(|order| matches!(order, Output::Settled(settled) if *settled == token)),
            "over at once"
        );
        assert!(self.channel.collect(token, &mut Vec::new()).is_some(), "and it can be collected");
        self.free.push(token);
        for order in orders.into_iter().filter(|order| !matches!(order, Output::Settled(settled) if *settled == token))
        {
            self.obey(now, order);
        }
    }

    /// Nobody reads a conversation any more.
    pub(in super::super) fn deafen(&mut self, now: Instant, stream: StreamId) {
        self.feed(now, Input::Deafen(stream));
    }

    /// Takes what there is of a conversation. With `honest` each item must be the one behind the last.
    pub(in super::super) fn read_items(&mut self, now: Instant, stream: StreamId, honest: bool) {
        loop {
            match self.channel.take_item(stream) {
                Taken::Item(item) => {
                    let number = item.decode().ok().map(|(number, _): (u64, IgnoredAny)| number);
                    let (_, read) = self.talks.entry(stream).or_default();
                    assert!(!honest || number == Some(*read), "O3: item {read} of {stream:?} is missing: {number:?}");
                    *read += 1;
                    self.trace.note(now, &[5, number.unwrap_or(0), item.len() as u64]);
                }
                Taken::Nothing | Taken::End => return,
                Taken::Aborted(_) => {}
                Taken::Over => {
                    self.talks.remove(&stream);
                    return;
                }
            }
        }
    }
}
