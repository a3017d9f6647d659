//! What came up under the lock of a link and is done after it: waking tasks, stopping handlers, telling the end.

use std::sync::Arc;
use std::task::Waker;

use tokio::sync::{Notify, oneshot};

use super::feeding::FeedWord;
use super::{Listener, Word};

/// What is to be done once the lock is released.
#[derive(Default)]
pub(super) struct Errands {
    pub(super) wake: Vec<Waker>,
    /// The reader of requests, apart because there is at most one.
    pub(super) reader: Option<Waker>,
    pub(super) ended: bool,
    pub(super) stop: Vec<oneshot::Sender<()>>,
    /// What the node is to be told, which the link does itself. Thrown away on links without a node.
    pub(super) words: Vec<Word>,
    /// Whose subscriptions something came on, and whether they are over.
    pub(super) heard: Vec<(Arc<dyn Listener>, bool)>,
    /// What is to be told to whoever feeds the peer's subscriptions, which the link does itself.
    pub(super) feeds: Vec<FeedWord>,
}

impl Errands {
    pub(super) fn is_empty(&self) -> bool {
        self.wake.is_empty()
            && self.reader.is_none()
            && !self.ended
            && self.stop.is_empty()
            && self.words.is_empty()
            && self.heard.is_empty()
            && self.feeds.is_empty()
    }

    /// Does it all but telling the node. `link_ended` hears of the end of the link.
    pub(super) fn run(&mut self, link_ended: &Notify) {
        for waker in self.wake.drain(..).chain(self.reader.take()) {
            waker.wake();
        }
        if self.wake.capacity() > WAKERS_KEPT {
            self.wake = Vec::new();
        }
        for (listener, is_over) in self.heard.drain(..) {
            listener.something_came(is_over);
        }
        for stop in self.stop.drain(..) {
            // The handler may have just ended by itself.
            let _ = stop.send(());
        }
        if std::mem::take(&mut self.ended) {
            link_ended.notify_waiters();
        }
    }
}

/// Wakers whose memory is kept for the next batch, so that an idle link holds little memory.
const WAKERS_KEPT: usize = 64;
