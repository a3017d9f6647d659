//! Answers that handlers give in the form in which applications hold them.

use peerage_proto::channel::{Input, Served};
use peerage_proto::codec::Payload;
use peerage_proto::outcome::Refused;

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
}
