//! An end's own calls.

use std::time::Instant;

use super::{Asked, End, numbered};
use crate::channel::{Content, Input, Room, StreamId, Token};

impl End {
    /// Makes a call whose content is its number and some padding. `None` while there is no room.
    pub(in super::super) fn call(&mut self, now: Instant, padding: usize, deadline: Option<Instant>) -> Option<u64> {
        self.ask(now, padding, deadline, false).map(|(number, _)| number)
    }

    /// The same as a conversation.
    pub(in super::super) fn open(
        &mut self,
        now: Instant,
        padding: usize,
        deadline: Option<Instant>,
    ) -> Option<(u64, Option<StreamId>)> {
        self.ask(now, padding, deadline, true)
    }

    fn ask(
        &mut self,
        now: Instant,
        padding: usize,
        deadline: Option<Instant>,
        converses: bool,
    ) -> Option<(u64, Option<StreamId>)> {
        if self.channel.room() == Room::Later {
            return None;
        }
        let number = self.calls;
        self.calls += 1;
        let token = self.free.pop().unwrap_or_else(|| {
            self.tokens += 1;
            Token(self.tokens - 1)
        });
        let content = numbered(number, padding, self.encoding());
        self.asked.insert(token, Asked { number, until: deadline, cancelled_at: None });
        let content = Content::Shared(&content);
        if !converses {
            self.feed(now, Input::Call { token, content, deadline });
            return Some((number, None));
        }
        self.feed(now, Input::Open { token, content, deadline });
        let stream = self.channel.stream_of_call(token);
        self.talks.extend(stream.map(|stream| (stream, (0, 0))));
        Some((number, stream))
    }

    /// Gives up on the call with this number, if it has no outcome yet.
    pub(in super::super) fn cancel(&mut self, now: Instant, number: u64) {
        let found = self.asked.iter_mut().find(|(_, asked)| asked.number == number);
        let Some((token, asked)) = found else { return };
        asked.cancelled_at.get_or_insert(now);
        let token = *token;
        self.feed(now, Input::Cancel(token));
    }

    /// Numbers of the calls without an outcome.
    pub(in super::super) fn waiting(&self) -> Vec<u64> {
        let mut numbers: Vec<u64> = self.asked.values().map(|asked| asked.number).collect();
        numbers.sort_unstable();
        numbers
    }
}
