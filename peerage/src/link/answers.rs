//! What becomes of requests that get no value: failures, refusals, handlers that are stopped.

use std::time::Duration;

use peerage_proto::channel::{Input, Served};
use peerage_proto::codec::Payload;
use peerage_proto::outcome::{Busy, Code, Refused, Stop};
use tokio::sync::oneshot;

use super::Link;
use crate::channel::Failure;

impl Link {
    /// Answers a request with what a handler said went wrong.
    pub(crate) fn fail_with(&self, request: Served, failure: Failure) {
        let Failure { code, message, data } = failure;
        let data = self.encoding().and_then(|encoding| Payload::encode(&data?, encoding).ok());
        self.fail(request, code, &message, data.as_ref());
    }

    /// Refuses a request for good: no handler has seen it and none will.
    pub(crate) fn refuse(&self, request: Served, why: &Refused) {
        self.answer(request, Input::Reject { request, why });
    }

    /// Refuses a request for now: no handler has seen it.
    pub(crate) fn put_off(&self, request: Served, why: Busy, retry_after: Duration) {
        self.answer(request, Input::PutOff { request, why, retry_after });
    }

    /// Says what became of the work on a request whose caller no longer waits.
    pub(crate) fn stopped(&self, request: Served, stop: Stop) {
        self.answer(request, Input::Stopped { request, stop });
    }

    /// Answers a request with a failure.
    pub(crate) fn fail(&self, request: Served, code: Code, message: &str, data: Option<&Payload>) {
        self.answer(request, Input::Fail { request, code, message, data });
    }

    /// A request was dropped without an answer: a failure for its caller, or the word it waits for after a cancel.
    pub(crate) fn drop_request(&self, request: Served, panicked: bool) {
        let told_to_stop = self.lock().stopping.contains(&request);
        let (code, message) = match panicked {
            true => (Code::INTERNAL, "the handler panicked"),
            false => (Code::DROPPED, "the request was dropped without an answer"),
        };
        self.answer(
            request,
            match told_to_stop {
                true => Input::Stopped { request, stop: Stop::Stopped },
                false => Input::Fail { request, code, message, data: None },
            },
        );
    }

    /// Makes it possible to stop the handler of a request; false if the link has ended and the handler must not go on.
    ///
    /// A handler that has answered goes on without: nobody waits for it any more.
    pub(crate) fn running(&self, request: Served, stop: oneshot::Sender<()>) -> bool {
        let mut state = self.lock();
        if state.ended.is_some() {
            return false;
        }
        if state.machine.is_unanswered(request) {
            state.running.insert(request, stop);
        }
        true
    }
}
