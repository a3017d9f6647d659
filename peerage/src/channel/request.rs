//! A request of the peer: it is answered exactly once, even when its handler forgets.

use std::fmt;
use std::time::Duration;

use peerage_proto::channel::{Content, Served};
use peerage_proto::codec::{self, DecodeError, Encoding, Payload};
use peerage_proto::outcome::{Busy, Code, Refused};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::buffer::Buffer;
use super::{Caller, Failure};
use crate::link::Link;

/// A request of the peer.
///
/// [`reply`](Self::reply) and [`fail`](Self::fail) consume it, so there is no second answer. A request that is dropped
/// without one sends a failure at once, so that its caller need not wait for the deadline.
#[must_use = "a request that is dropped sends a failure"]
pub struct Request {
    link: Link,
    served: Served,
    content: Payload,
    answered: bool,
}

impl Request {
    pub(crate) fn new(link: Link, served: Served, content: Payload) -> Request {
        Request { link, served, content, answered: false }
    }

    /// The content as a value of this type.
    ///
    /// # Errors
    /// [`DecodeError`] if the content does not have this form. The request is still there to be failed.
    pub fn content<T: DeserializeOwned>(&self) -> Result<T, DecodeError> {
        self.content.decode()
    }

    /// The content as it came.
    pub fn payload(&self) -> &Payload {
        &self.content
    }

    /// Who asked: a handle to ask back on the same connection.
    pub fn caller(&self) -> Caller {
        Caller { link: self.link.clone() }
    }

    /// Answers with a value. A value that the channel's encoding cannot carry becomes a failure that says so.
    pub fn reply(mut self, value: &(impl Serialize + ?Sized)) {
        self.answered = true;
        let mut buffer = Buffer::take();
        match codec::encode_into(value, self.encoding(), &mut buffer.0) {
            Ok(()) => self.link.reply(self.served, Content::Copied(self.encoding(), &buffer.0)),
            Err(error) => self.link.fail(self.served, Code::INTERNAL, &format!("the answer: {error}"), None),
        }
    }

    /// Answers with a value that is already encoded. One of another encoding is translated if that is possible without
    /// loss, else the answer is a failure that says so.
    pub fn reply_payload(mut self, value: &Payload) {
        self.answered = true;
        match value.transcode(self.encoding()) {
            Ok(value) => self.link.reply(self.served, Content::Shared(&value)),
            Err(error) => self.link.fail(self.served, Code::INTERNAL, &format!("the answer: {error}"), None),
        }
    }

    /// Answers with a failure: a text for people, of which at most 4 KiB are sent.
    pub fn fail(self, message: impl Into<String>) {
        self.fail_with(Failure::new(message));
    }

    /// Answers with a failure that has a code and maybe data. A plain peer gets the text with the code in brackets before
    /// it; data is not sent there.
    pub fn fail_with(mut self, failure: Failure) {
        self.answered = true;
        self.link.fail_with(self.served, failure);
    }

    /// Refuses it for good: no handler has seen it and none will.
    pub(crate) fn refuse(mut self, why: &Refused) {
        self.answered = true;
        self.link.refuse(self.served, why);
    }

    /// Refuses it for now: no handler has seen it.
    pub(crate) fn put_off(mut self, why: Busy, retry_after: Duration) {
        self.answered = true;
        self.link.put_off(self.served, why, retry_after);
    }

    fn encoding(&self) -> Encoding {
        self.content.encoding()
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        if !self.answered {
            self.link.drop_request(self.served, std::thread::panicking());
        }
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").field("content", &self.content).field("from", &self.caller()).finish_non_exhaustive()
    }
}
