//! Our answers to what the peer asks: each request gets one, each cancel its word.

use std::time::Duration;

use super::serving::Sort;
use super::streams::LastWord;
use super::{Channel, Content, Output, Phase, Served, count};
use crate::codec::Payload;
use crate::frame::{Dialect, Kind};
use crate::id::RequestId;
use crate::outcome::{Busy, Code, Refused, Stop};
use crate::planted::{self, Bug};

impl Channel {
    /// Whether the peer says no more, all it said is taken in, and the link lives on only for its answers.
    pub fn owes_only_answers(&self) -> bool {
        self.phase == Phase::Answering
    }

    /// Takes no request for now: says so, or drops what nobody waits for.
    pub(super) fn turn_away(&mut self, sort: Sort, id: u64, why: Busy, retry_after: Duration) {
        match sort {
            Sort::Request | Sort::Conversation => self.refuse(id, why, retry_after),
            Sort::Notification => count(&mut self.counters.notifications_dropped, 1),
        }
    }

    pub(super) fn refuse(&mut self, id: u64, why: Busy, retry_after: Duration) {
        count(&mut self.counters.refused_busy, 1);
        let content = (why.number(), retry_after.as_millis() as u64);
        self.put_value(Kind::Busy, id, &content);
    }

    pub(super) fn cancelled_by_peer(&mut self, id: u64) {
        match self.serving.by_id(RequestId(id)) {
            Some(request) if self.serving.take_withheld(request) => {
                self.stopped(request, Stop::NotStarted);
            }
            // Its handler has ended; only items were in the way of its answer.
            Some(request) if self.has_last_word(request) => self.stopped(request, Stop::Completed),
            Some(request) => {
                self.serving.stopping(request);
                self.orders.push_back(Output::Stop(request));
            }
            // Answered already: the answer is on its way, or the caller would not have cancelled it.
            None => self.put_value(Kind::Stopped, id, &Stop::Completed.number()),
        }
    }

    /// Whether this request of the peer still waits for its answer.
    pub fn is_unanswered(&self, request: Served) -> bool {
        self.serving.is_open(request) && !self.has_last_word(request)
    }

    pub(super) fn reply(&mut self, request: Served, content: Content<'_>) {
        if request.is_conversation() && self.keep_back(request, || LastWord::Value(content.payload())) {
            return;
        }
        let Some(id) = self.finished(request) else { return };
        let put = match self.encoding {
            Some(encoding) if encoding != content.encoding() => {
                self.put_transcoded(Kind::Result, id.0, content, encoding)
            }
            _ => self.put_frame(Kind::Result, id.0, content.part()),
        };
        if let Err(why) = put {
            let text = match why {
                Refused::TooLarge { limit, .. } => {
                    format!("the answer of {} bytes does not fit into one frame of {limit} bytes", content.len())
                }
                why => format!("the answer: {why}"),
            };
            self.put_failure(id.0, &Code::INTERNAL, &text, None);
        }
    }

    pub(super) fn fail(&mut self, request: Served, code: &Code, message: &str, data: Option<&Payload>) {
        let word = || LastWord::Failure(code.clone(), message.to_owned(), data.cloned());
        if request.is_conversation() && self.keep_back(request, word) {
            return;
        }
        if let Some(id) = self.finished(request) {
            self.put_failure(id.0, code, message, data);
        }
    }

    /// A plain peer gets an exception with the reason as its code: it knows no other way to fail.
    pub(super) fn reject(&mut self, request: Served, why: &Refused) {
        if request.is_conversation() && self.keep_back(request, || LastWord::Rejection(why.clone())) {
            return;
        }
        let Some((id, encoding)) = self.finished(request).zip(self.encoding) else { return };
        if self.config.dialect == Dialect::Plain {
            return self.put_failure(id.0, &Code::new(why.name()), &why.to_string(), None);
        }
        self.put_rejection(id.0, encoding, why);
    }

    /// As [`reject`](Self::reject), for now.
    pub(super) fn put_off(&mut self, request: Served, why: Busy, retry_after: Duration) {
        let Some(id) = self.finished(request) else { return };
        if self.config.dialect == Dialect::Plain {
            return self.put_failure(id.0, &Code::new("busy"), &why.to_string(), None);
        }
        self.refuse(id.0, why, retry_after);
    }

    /// The work on a request has come to its end by itself. Returns the id to answer under.
    fn finished(&mut self, request: Served) -> Option<RequestId> {
        let told_to_stop = self.serving.is_stopping(request);
        let id = self.serving.answer(request)?;
        match request.sort() {
            Sort::Request => {}
            Sort::Notification => return None,
            Sort::Conversation => self.request_is_over(id),
        }
        self.load.answered();
        if told_to_stop {
            // Each cancel gets its word, even when the answer says the same, so that its sender knows that it arrived.
            self.put_value(Kind::Stopped, id.0, &Stop::Completed.number());
        } else {
            self.allowance.completed();
        }
        Some(id)
    }

    /// The driver's word on work that was to be stopped.
    pub(super) fn stopped(&mut self, request: Served, stop: Stop) {
        let stop = if planted::is(Bug::StoppedAsNotStarted) { Stop::NotStarted } else { stop };
        let Some(number) = stop.number() else { return };
        if let Some(id) = self.serving.answer(request)
            && !request.is_notification()
            && self.config.dialect == Dialect::Full
        {
            self.request_is_over(id);
            self.put_value(Kind::Stopped, id.0, &number);
        }
    }
}
