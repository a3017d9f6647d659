//! What lies under the lock of a link: the machine, and who in this process waits for what it orders.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Waker};

use peerage_proto::channel::{Channel, FeedId, Input, Output, Room, Served, StreamId, Token};
use peerage_proto::codec::Payload;
use peerage_proto::outcome::{CallError, LinkLost, NotSent, Stop};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::cells::Cells;
use super::clock::Clock;
use super::feeding::FeedWord;
use super::{CALLERS_WAITING_MAX, Errands, Listener, Outcome, Word};

pub(super) struct State {
    pub(super) machine: Channel,
    pub(super) cells: Cells,
    /// Callers that wait for room, in the order in which they came.
    pub(super) waiting: BTreeMap<u64, Waker>,
    pub(super) next_ticket: u64,
    /// Requests nobody has fetched yet. Bounded by the machine, which stops asking for bytes.
    pub(super) inbox: VecDeque<(Served, Payload)>,
    /// Who waits for the next request.
    pub(super) reader: Option<Waker>,
    /// Who waits for an item of a conversation, and who for room.
    pub(super) item_readers: BTreeMap<StreamId, Waker>,
    pub(super) item_writers: BTreeMap<StreamId, Waker>,
    /// Who hears the subscriptions of ours.
    pub(super) listeners: BTreeMap<u64, Arc<dyn Listener>>,
    /// Publishers that wait for room in a subscription of the peer.
    pub(super) feed_writers: BTreeMap<FeedId, Vec<Waker>>,
    /// Handlers at work that can be told to stop.
    pub(super) running: BTreeMap<Served, oneshot::Sender<()>>,
    /// Requests whose callers no longer wait.
    pub(super) stopping: BTreeSet<Served>,
    pub(super) ended: Option<LinkLost>,
    /// When the machine was last fed.
    pub(super) clock: Clock,
    pub(super) errands: Errands,
    pub(super) peer_load: Arc<AtomicU32>,
    /// The node wants to be told, with this number, when no call is open.
    pub(super) asked_idle: Option<u32>,
}

impl State {
    /// Feeds the machine and carries out its orders as far as they concern tasks of this process.
    #[inline]
    pub(super) fn carry_out(&mut self, now: Instant, input: Input<'_>) {
        if now != self.clock.latest() {
            self.clock.note(now);
        }
        // Most inputs order nothing. What is not taken here stays queued.
        if self.machine.handle(now.into_std(), input).size_hint().0 > 0 {
            self.obey(now);
        }
        self.admit_next();
    }

    /// Carries out the orders that the machine has queued.
    pub(super) fn obey(&mut self, now: Instant) {
        let errands = &mut self.errands;
        let (mut not_started, mut unclaimed, mut heard) = (Vec::new(), Vec::new(), Vec::new());
        for output in self.machine.orders() {
            match output {
                Output::Settled(token) => {
                    if !self.cells.settle(token, &mut errands.wake) {
                        unclaimed.push(token);
                    }
                }
                Output::Request { request, content } => {
                    self.inbox.push_back((request, content));
                    errands.reader = errands.reader.take().or_else(|| self.reader.take());
                }
                Output::Readable(stream) => errands.wake.extend(self.item_readers.remove(&stream)),
                Output::Writable(stream) => errands.wake.extend(self.item_writers.remove(&stream)),
                Output::Events(number) => heard.push(number),
                Output::Subscribed { feed, wish } => errands.feeds.push(FeedWord::Subscribed(feed, wish)),
                Output::FeedWritable(feed) => {
                    errands.wake.extend(self.feed_writers.remove(&feed).into_iter().flatten())
                }
                Output::Confirmed { mark, tally, .. } => errands.feeds.push(FeedWord::Confirmed(mark, tally)),
                Output::FeedOver { feed, unconfirmed, .. } => {
                    errands.wake.extend(self.feed_writers.remove(&feed).into_iter().flatten());
                    errands.feeds.push(FeedWord::Over(feed, unconfirmed));
                }
                Output::Stop(request) => {
                    let before = self.inbox.len();
                    self.inbox.retain(|(waiting, _)| *waiting != request);
                    if self.inbox.len() < before {
                        not_started.push(request);
                    } else {
                        self.stopping.insert(request);
                        errands.stop.extend(self.running.remove(&request));
                    }
                }
                // For whoever holds a link between nodes; a plain one is never told.
                Output::Control { kind, content } => errands.words.push(Word::Control { kind, content }),
                Output::Idle => errands.words.extend(self.asked_idle.take().map(Word::Idle)),
                Output::Answered => errands.words.push(Word::Answered),
                Output::PeerLoad(load) => self.peer_load.store(load, Ordering::Relaxed),
                Output::Quiet => errands.words.push(Word::Quiet),
                Output::Heard => errands.words.push(Word::Heard),
                Output::Agreed(form) => errands.words.push(Word::Agreed(form)),
                Output::Declined(form) => errands.words.push(Word::Declined(form)),
                Output::Ended(why) => {
                    errands.words.push(Word::Ended(why.clone()));
                    self.ended = Some(why);
                    errands.ended = true;
                    errands.wake.extend(std::mem::take(&mut self.waiting).into_values());
                    errands.reader = errands.reader.take().or_else(|| self.reader.take());
                    errands.stop.extend(std::mem::take(&mut self.running).into_values());
                }
            }
        }
        for number in heard {
            let is_over = self.machine.is_subscription_over(number);
            self.errands.heard.extend(self.listeners.get(&number).map(|listener| (listener.clone(), is_over)));
        }
        for token in unclaimed {
            self.collect(token, &mut Vec::new());
        }
        for request in not_started {
            // Only ever queues a frame, and ends streams that nobody holds yet.
            let orders = self.machine.handle(now.into_std(), Input::Stopped { request, stop: Stop::NotStarted });
            orders.for_each(|order| debug_assert!(matches!(order, Output::Readable(_) | Output::Writable(_))));
        }
    }

    /// The outcome of a call, if it is there; its cell is free then.
    #[inline]
    pub(super) fn collect(&mut self, token: Token, buffer: &mut Vec<u8>) -> Option<Outcome> {
        let outcome = self.machine.collect(token, buffer)?;
        self.cells.free(token);
        Some(outcome)
    }

    /// Whether a caller may go on to the machine: it has room and the caller is next, or it takes no calls any more.
    pub(super) fn may_enter(&self, ticket: Option<u64>) -> bool {
        let next = self.waiting.first_key_value().map(|(first, _)| *first);
        match self.machine.room() {
            Room::Never | Room::Retired => true,
            Room::Later => false,
            Room::Yes => next.is_none_or(|next| ticket.is_some_and(|ticket| ticket <= next)),
        }
    }

    /// Takes a place in the queue of callers that wait for room, or keeps it.
    pub(super) fn wait(&mut self, cx: &Context<'_>, ticket: &mut Option<u64>) -> Result<(), CallError> {
        let number = match *ticket {
            Some(number) => number,
            None if self.waiting.len() >= CALLERS_WAITING_MAX => {
                return Err(CallError::NotSent { why: NotSent::LimitReached });
            }
            None => {
                self.next_ticket += 1;
                self.next_ticket
            }
        };
        *ticket = Some(number);
        self.waiting.insert(number, cx.waker().clone());
        Ok(())
    }

    /// Wakes the caller that waits longest if it could be admitted now, or never again.
    pub(super) fn admit_next(&mut self) {
        if let Some((_, waker)) = self.waiting.first_key_value()
            && self.machine.room() != Room::Later
        {
            self.errands.wake.push(waker.clone());
        }
    }
}
