//! The end that listens: what comes of the events of all nodes that are meant.

use std::collections::{BTreeSet, VecDeque};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use peerage_proto::codec::Payload;
use peerage_proto::events::{Heard as News, Missing, Record, Records};
use peerage_proto::id::{Epoch, NodeId};
use peerage_proto::outcome::FeedEnd;

use super::inbox::{Inbox, Taken};
use super::{Event, Gap, Heard};

/// What happens at other nodes, as it comes: events in the order of each name at each node, and gaps where some are missing.
///
/// It reaches nodes that appear later, and goes on after a link was lost. Dropping it unsubscribes.
#[must_use = "dropping it unsubscribes"]
pub struct Subscription {
    inbox: Arc<Inbox>,
    /// Subscribes at a node again, if there is a link with it.
    again: Again,
    /// What was read and not handed out.
    ahead: VecDeque<Heard>,
    /// Nodes that there was a link with in the beginning and that have not answered; `None` once all have.
    awaited: Option<BTreeSet<NodeId>>,
    /// Names at nodes that have answered in the beginning.
    matching: u64,
}

/// Subscribes at a node again.
pub(crate) type Again = Box<dyn Fn(&NodeId) + Send + Sync>;

impl Subscription {
    /// `awaited`: the nodes whose answers make it attached.
    pub(crate) fn new(inbox: Arc<Inbox>, again: Again, awaited: BTreeSet<NodeId>) -> Subscription {
        Subscription { inbox, again, ahead: VecDeque::new(), awaited: Some(awaited), matching: 0 }
    }

    /// What comes next; `None` once the node has stopped.
    ///
    /// Cancel-safe: dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Heard> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// What has come and not been taken, at least one: all that arrived together. It is appended to `batch`; false once the node
    /// has stopped.
    ///
    /// This is how to hear very many small events: asked for one by one, the asking costs more than the event.
    ///
    /// Cancel-safe: dropping the future loses nothing.
    pub async fn next_batch(&mut self, batch: &mut Vec<Heard>) -> bool {
        poll_fn(|cx| {
            let is_there = ready!(self.poll_ahead(cx));
            batch.extend(self.ahead.drain(..));
            Poll::Ready(is_there)
        })
        .await
    }

    /// The same as [`next`](Self::next) for whoever polls.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Heard>> {
        let is_there = ready!(self.poll_ahead(cx));
        debug_assert!(is_there != self.ahead.is_empty());
        Poll::Ready(self.ahead.pop_front())
    }

    /// Reads until there is something to hand out. False: there will be nothing any more.
    fn poll_ahead(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        loop {
            self.tell_when_all_have_answered();
            if !self.ahead.is_empty() {
                return Poll::Ready(true);
            }
            match ready!(self.inbox.poll_take(cx)) {
                None => return Poll::Ready(false),
                Some(Taken::Records { from, epoch, records }) => self.read(from, epoch, &records),
                Some(Taken::Restarted { from, missing }) => {
                    self.ahead.extend(missing.into_iter().map(|missing| Heard::Gap(gap(from, missing))));
                }
                Some(Taken::Lost { from, why, was_attached }) => self.lost(from, why, was_attached),
            }
        }
    }

    /// Reads one frame of events.
    fn read(&mut self, from: NodeId, epoch: Epoch, records: &Payload) {
        let (ahead, mut answered) = (&mut self.ahead, None);
        let read = self.inbox.with_positions(from, |positions| {
            let mut hear = |record: &Record<'_>| positions.hear(record).map_err(drop);
            let mut walk = Records::new(records.encoding(), records.bytes()).map_err(drop)?;
            while let Some(record) = walk.next_record().map_err(drop)? {
                match hear(&record)? {
                    News::Nothing => {}
                    News::Gap(missing) => ahead.push_back(Heard::Gap(gap(from, missing))),
                    News::Attached { matching, missed } => answered = Some((matching, missed)),
                    News::Events { name, first, known, missing } => {
                        ahead.extend(missing.map(|missing| Heard::Gap(gap(from, missing))));
                        for _ in 0..known {
                            walk.next_value().map_err(drop)?;
                        }
                        let mut seq = first;
                        while let Some(value) = walk.next_value().map_err(drop)? {
                            let content = Payload::from_parts(records.encoding(), slice(records.bytes(), value));
                            let name = name.clone();
                            ahead.push_back(Heard::Event(Event { name, from, epoch, seq, content }));
                            seq = seq.saturating_add(1);
                        }
                    }
                }
            }
            Ok::<(), ()>(())
        });
        if read == Some(Err(())) {
            self.inbox.garbled(from);
        }
        if let Some((matching, missed)) = answered {
            self.answered(from, matching, missed);
        }
    }

    fn answered(&mut self, from: NodeId, matching: u64, missed: u64) {
        let is_new = self.inbox.attached(from);
        if let Some(awaited) = &mut self.awaited
            && awaited.remove(&from)
        {
            self.matching = self.matching.saturating_add(matching);
        } else if is_new {
            self.ahead.push_back(Heard::Resumed { from, missed });
        }
    }

    fn lost(&mut self, from: NodeId, why: FeedEnd, was_attached: bool) {
        if let Some(awaited) = &mut self.awaited {
            awaited.remove(&from);
        }
        // Whoever was cut for being slow has caught up by now, having read all there was.
        let goes_on =
            matches!(&why, FeedEnd::TooSlow(_)) || matches!(&why, FeedEnd::Overflow(_)) && !self.inbox.closes();
        if was_attached || !matches!(why, FeedEnd::NotSent(_) | FeedEnd::Lost(_)) {
            self.ahead.push_back(Heard::SourceLost { from, why });
        }
        if goes_on {
            (self.again)(&from);
        }
    }

    fn tell_when_all_have_answered(&mut self) {
        if self.awaited.as_ref().is_some_and(BTreeSet::is_empty) {
            self.awaited = None;
            self.ahead.push_front(Heard::Attached { matching: self.matching });
        }
    }
}

/// For combinators.
impl futures_core::Stream for Subscription {
    type Item = Heard;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Heard>> {
        Subscription::poll_next(self.get_mut(), cx)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.inbox.close();
    }
}

impl std::fmt::Debug for Subscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscription").field("pattern", &self.inbox.wish().pattern).finish_non_exhaustive()
    }
}

fn gap(from: NodeId, missing: Missing) -> Gap {
    let Missing { epoch, name, first, last, why } = missing;
    Gap { name, from, epoch, first, last, why }
}

/// A value as a part of the frame that it came in.
fn slice(whole: &Bytes, value: &[u8]) -> Bytes {
    whole.slice_ref(value)
}
