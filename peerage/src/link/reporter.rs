//! What a link tells the node that holds it: a bounded queue, with a place kept for the last word.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use peerage_proto::codec::{Form, Payload};
use peerage_proto::frame::Kind;
use peerage_proto::id::LinkId;
use peerage_proto::outcome::LinkLost;
use tokio::sync::mpsc;

/// Something a link tells its node.
#[derive(Debug)]
pub(crate) enum Word {
    /// The peer's node said this.
    Control { kind: Kind, content: Payload },
    /// No call is open, in answer to the question with this number.
    Idle(u32),
    /// Something has arrived since the node asked for a sign of life.
    Answered,
    /// The peer is silent.
    Quiet,
    /// The peer is heard again.
    Heard,
    /// Both ends write in this form now.
    Agreed(Form),
    /// The peer stays with this form.
    Declined(Form),
    /// The link has ended. The last word.
    Ended(LinkLost),
    /// The link was cut because it had more to tell than there was room for. The last word.
    TooSlow,
}

/// A word and the link it is about.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) link: LinkId,
    pub(crate) word: Word,
}

/// Where the words of one link go.
pub(crate) struct Reporter {
    link: LinkId,
    queue: mpsc::Sender<Report>,
    /// The place of the last word, reserved when the link was made: whatever else is lost, its end is told.
    last: Mutex<Option<mpsc::OwnedPermit<Report>>>,
    too_slow: AtomicBool,
}

impl Reporter {
    /// For the link with this number; `None` if not even a place for its last word is left.
    pub(crate) fn reserve(link: LinkId, queue: &mpsc::Sender<Report>) -> Option<Reporter> {
        let last = queue.clone().try_reserve_owned().ok()?;
        Some(Reporter { link, queue: queue.clone(), last: Mutex::new(Some(last)), too_slow: AtomicBool::new(false) })
    }

    /// Tells the node. False if there is no room: the link is to be cut then.
    pub(super) fn tell(&self, word: Word) -> bool {
        let link = self.link;
        match word {
            Word::Ended(why) => {
                let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).take();
                let too_slow = self.too_slow.load(Ordering::Acquire);
                let word = if too_slow { Word::TooSlow } else { Word::Ended(why) };
                if let Some(last) = last {
                    last.send(Report { link, word });
                }
                true
            }
            // A node that is gone has no use for words.
            word => match self.queue.try_send(Report { link, word }) {
                Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => true,
                // Once is enough to cut it.
                Err(mpsc::error::TrySendError::Full(_)) => self.too_slow.swap(true, Ordering::AcqRel),
            },
        }
    }
}
