//! Requests with a key, which run once however often they are asked ([`peerage_proto::idempotent`]).
//!
//! Their work goes on when nobody waits for it any more: whoever asks again, over another link, gets what came of it.

use std::sync::{Arc, Mutex, PoisonError};

use peerage_proto::codec::{Encoding, Payload};
use peerage_proto::idempotent::{Begun, Memory, Reply, RequestKey};
use peerage_proto::outcome::{Busy, Code};
use tokio::time::Instant;

use super::entry::RETRY_AFTER_MIN;
use crate::channel::{Failure, Request};

/// What a node remembers of such requests.
#[derive(Default)]
pub(crate) struct Once(Mutex<Memory<Request>>);

/// A request that runs for the first time. Dropped without an answer, it is not run again, and nobody knows what came of it.
pub(crate) struct Keyed {
    once: Arc<Once>,
    key: RequestKey,
    is_over: bool,
}

impl Once {
    /// Whether a request is to be run. If not, it is or will be answered with what came of it.
    pub(super) fn begin(self: &Arc<Self>, key: RequestKey, request: Request) -> Option<(Request, Keyed)> {
        let mut memory = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = memory.begin(Instant::now().into_std(), key, request);
        drop(memory);
        match begun {
            Begun::Run(request) => return Some((request, Keyed { once: self.clone(), key, is_over: false })),
            Begun::Waits => {}
            Begun::Known(request, reply) => answer(request, &reply),
            Begun::Forgotten(request) => request.fail_with(forgotten()),
            Begun::Full(request) => request.put_off(Busy::LimitReached, RETRY_AFTER_MIN),
        }
        None
    }
}

impl Keyed {
    /// This came of it: kept, and told to all who have asked since.
    pub(super) fn finish(mut self, answered: &Result<Payload, Failure>) {
        self.is_over = true;
        let reply = match answered {
            Ok(value) => Reply::Value(value.clone()),
            Err(Failure { code, message, data }) => {
                let data = data.as_ref().and_then(|data| Payload::encode(data, Encoding::MsgPack).ok());
                Reply::Failure { code: code.clone(), message: message.clone(), data }
            }
        };
        let mut memory = self.once.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = memory.finish(Instant::now().into_std(), &self.key, reply.clone());
        drop(memory);
        waiting.into_iter().for_each(|request| answer(request, &reply));
    }

    /// It did not run after all.
    pub(super) fn undo(mut self) {
        self.is_over = true;
        let waiting = self.once.0.lock().unwrap_or_else(PoisonError::into_inner).undo(&self.key);
        waiting.into_iter().for_each(|request| request.put_off(Busy::Overloaded, RETRY_AFTER_MIN));
    }
}

impl Drop for Keyed {
    fn drop(&mut self) {
        if !self.is_over {
            let mut memory = self.once.0.lock().unwrap_or_else(PoisonError::into_inner);
            let waiting = memory.break_off(Instant::now().into_std(), &self.key);
            drop(memory);
            waiting.into_iter().for_each(|request| request.fail_with(forgotten()));
        }
    }
}

fn answer(request: Request, reply: &Reply) {
    match reply {
        Reply::Value(value) => request.reply_payload(value),
        Reply::Failure { code, message, data } => {
            let data = data.as_ref().and_then(|data| data.decode().ok());
            request.fail_with(Failure { code: code.clone(), message: message.clone(), data });
        }
    }
}

fn forgotten() -> Failure {
    Failure::new("what came of the call is not known any more").code(Code::ANSWER_LOST)
}
