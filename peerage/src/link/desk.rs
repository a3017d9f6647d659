//! Answers that handlers give while the driver runs them: laid aside, and queued under one lock for the whole batch.
//!
//! One lock for each answer, with all that the machine looks at after an input, was a sixth of what a small request costs
//! a server. Answers given later, or from elsewhere, take the lock themselves.

use std::cell::RefCell;
use std::ops::Range;

use peerage_proto::channel::{Content, Input, Served};
use peerage_proto::codec::Encoding;

use super::Link;

/// Lays answers of a link aside until it is dropped, and queues them then.
pub(super) struct Desk<'a>(&'a Link);

/// What lies on the desk of this thread. There is one at most, because a driver runs its handlers one after the other.
#[derive(Default)]
struct Laid {
    /// Whose handlers are running.
    link: Option<Link>,
    answers: Vec<Answer>,
    /// The contents behind each other.
    bytes: Vec<u8>,
}

struct Answer {
    request: Served,
    encoding: Encoding,
    place: Range<usize>,
}

impl<'a> Desk<'a> {
    /// For handlers that run on this thread from now on; `None` while another link's do.
    pub(super) fn open(link: &'a Link) -> Option<Desk<'a>> {
        LAID.with_borrow_mut(|laid| {
            let free = laid.link.is_none();
            free.then(|| {
                laid.link = Some(link.clone());
                Desk(link)
            })
        })
    }
}

impl Drop for Desk<'_> {
    fn drop(&mut self) {
        clear(self.0);
        LAID.with_borrow_mut(|laid| laid.link = None);
    }
}

/// Lays an answer aside. False if it has to be queued at once: nothing waits to be laid beside it, or it is large.
#[inline]
pub(super) fn lay(link: &Link, request: Served, content: Content<'_>) -> bool {
    if content.len() > SMALL_BYTES {
        return false;
    }
    // While the thread ends there is no desk any more.
    let laid = LAID.try_with(|laid| {
        let mut laid = laid.borrow_mut();
        let open = laid.link.as_ref().is_some_and(|open| open.is_same(link));
        if open {
            let start = laid.bytes.len();
            laid.bytes.extend_from_slice(content.bytes());
            let place = start..laid.bytes.len();
            laid.answers.push(Answer { request, encoding: content.encoding(), place });
        }
        open
    });
    laid.unwrap_or(false)
}

/// Queues what lies aside for this link.
pub(super) fn clear(link: &Link) {
    let taken = LAID.try_with(|laid| {
        let mut laid = laid.borrow_mut();
        let ours = !laid.answers.is_empty() && laid.link.as_ref().is_some_and(|open| open.is_same(link));
        ours.then(|| (std::mem::take(&mut laid.answers), std::mem::take(&mut laid.bytes)))
    });
    let Ok(Some((mut answers, mut bytes))) = taken else { return };
    link.answer_all(answers.iter().map(|answer| {
        let content = Content::Copied(answer.encoding, &bytes[answer.place.clone()]);
        (answer.request, Input::Reply { request: answer.request, content })
    }));
    answers.clear();
    bytes.clear();
    // The memory is for the next batch of this thread.
    LAID.with_borrow_mut(|laid| (laid.answers, laid.bytes) = (answers, bytes));
}

thread_local! {
    static LAID: RefCell<Laid> = RefCell::default();
}

/// Largest answer that is laid aside, in bytes: a copy more, which must cost less than the lock.
const SMALL_BYTES: usize = 1 << 10;
