//! What a node publishes, and the subscriptions of its peers: the numbers of events, and into which queues each goes.
//!
//! One lock orders everything that concerns the numbers: a publish takes the next ones and fills the queues of all links under
//! it, so that each queue has the events of a name in their order, and a subscription that begins in between begins between two
//! events. The lock of a link is taken inside it, for an instant, and never the other way round: what a link has to say about its
//! subscriptions ([`Feeder`]) is put into a list, and whoever gets the lock next, or has it, works the list off.

use std::cmp::Ordering as Order;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use peerage_proto::channel::FeedId;
use peerage_proto::codec::Payload;
use peerage_proto::events::{
    Event, Keep, Mark, Policy, Priority, Published, Tally, Topics, Unsubscribable, Why, Wish, member_for,
};
use peerage_proto::id::NodeId;
use peerage_proto::outcome::FeedEnd;
use tokio::sync::watch;
use tokio::time::Instant;

use super::receipt::{PublishError, Receipt, add_dropped};
use super::settling::Settling;
use crate::link::{Feeder, Link};

/// All that a node publishes.
pub(crate) struct Board {
    topics: Mutex<Topics<Target>>,
    /// What links have said and nobody has dealt with.
    news: Mutex<VecDeque<News>>,
    /// Receipts that wait for the word of a subscriber, by the number of the mark.
    marks: Mutex<BTreeMap<u64, Arc<Settling>>>,
    next_mark: AtomicU64,
    /// Changes whenever somebody subscribes or ceases to.
    changed: watch::Sender<u64>,
    is_closed: AtomicBool,
}

/// A subscription of a peer.
#[derive(Clone)]
struct Target {
    link: Link,
    feed: FeedId,
    peer: NodeId,
    /// How long a publisher waits for room in it.
    waits: Option<Duration>,
    /// Why events are dropped from it.
    why: Why,
}

enum News {
    Subscribed(Link, FeedId, Payload),
    Over(Link, FeedId, Vec<(u64, Tally)>),
}

/// What is published in one go.
pub(super) struct Going<'a> {
    pub(super) topic: u32,
    pub(super) priority: Priority,
    pub(super) values: &'a [Bytes],
}

/// Somebody's queue is full, and a publisher waits for it.
pub(super) struct Full {
    target: Target,
    /// How long it may wait.
    pub(super) time: Duration,
}

impl Board {
    pub(crate) fn new() -> Board {
        Board {
            topics: Mutex::default(),
            news: Mutex::default(),
            marks: Mutex::default(),
            next_mark: AtomicU64::new(1),
            changed: watch::Sender::default(),
            is_closed: AtomicBool::new(false),
        }
    }

    /// The number of a name, and the name as it is kept.
    pub(super) fn declare(
        &self,
        name: &str,
        keep: Keep,
        allowed: Option<BTreeSet<NodeId>>,
    ) -> Result<u32, PublishError> {
        if self.is_closed.load(Ordering::Acquire) {
            return Err(PublishError::ShuttingDown);
        }
        let declared = self.with_topics(|topics| topics.declare(name, keep, allowed));
        self.changed.send_modify(|version| *version += 1);
        declared.map_err(|why| PublishError::of(name, why))
    }

    /// How many subscriptions match a name now.
    pub(super) fn matching(&self, topic: u32) -> usize {
        self.with_topics(|topics| topics.topic(topic).map_or(0, |topic| topic.matching()))
    }

    /// To wait for a change of that.
    pub(super) fn watch(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Publishes as many of the values as there is room for in the queues of those for whom a publisher waits, all if there are
    /// none; `Err` with who has no room for any. `confirm`: what waits for the word of the subscribers.
    pub(super) fn poll_publish(
        &self,
        cx: &mut Context<'_>,
        going: &Going<'_>,
        confirm: Option<&Arc<Settling>>,
        receipt: &mut Receipt,
    ) -> Result<Result<usize, Vec<Full>>, PublishError> {
        if self.is_closed.load(Ordering::Acquire) {
            return Err(PublishError::ShuttingDown);
        }
        Ok(self.with_topics(|topics| {
            let count = room(cx, topics, going)?;
            let now = Instant::now().into_std();
            let values = &going.values[..count];
            if let Some((last, values)) = values.split_last() {
                for value in values {
                    topics.publish(now, going.topic, value, going.priority);
                }
                if let Some(published) = topics.publish(now, going.topic, last, going.priority) {
                    self.feed(&published, &going.values[..count], confirm, receipt);
                }
            }
            Ok(count)
        }))
    }

    /// Puts events into the queues of all who get them. `published` is the last of them.
    fn feed(
        &self,
        published: &Published<'_, Target>,
        values: &[Bytes],
        confirm: Option<&Arc<Settling>>,
        receipt: &mut Receipt,
    ) {
        let count = values.len() as u64;
        let Event { topic, name, seq: last, priority, .. } = published.event;
        let first = last + 1 - count;
        let events = || {
            let numbered = values.iter().zip(first..);
            numbered.map(|(value, seq)| Event { topic, name, seq, value, priority })
        };
        let mut went = Receipt { first, last, matched: published.matched() as u64, ..Receipt::default() };
        let mut give = |target: &Target, mark: Option<Mark>, events: &mut dyn Iterator<Item = Event<'_>>| {
            let fed = target.link.feed(target.feed, mark, events);
            went.queued += fed.queued;
            add_dropped(&mut went.dropped, target.peer, fed.dropped, target.why);
            if let Some(mark) = mark.filter(|_| !fed.is_marked) {
                // The subscription is ending, or has more questions open than there is room for: nobody will answer.
                self.resolve(mark.number, Tally::default(), false);
            }
        };
        for target in published.targets {
            let mark = confirm.map(|settling| self.mark(target, settling, topic, first, last, count));
            give(target, mark, &mut events());
        }
        for members in published.groups() {
            // Each event may go to another member, so each is asked about by itself.
            for event in events() {
                let one = member_for(event.seq, members, |member| member.waiting(event.value.len()));
                if let Some(target) = one {
                    let seq = event.seq;
                    let mark = confirm.map(|settling| self.mark(target, settling, topic, seq, seq, 1));
                    give(target, mark, &mut std::iter::once(event));
                }
            }
        }
        *receipt += went;
    }

    fn mark(&self, target: &Target, settling: &Arc<Settling>, topic: u32, first: u64, last: u64, events: u64) -> Mark {
        let number = self.next_mark.fetch_add(1, Ordering::Relaxed);
        settling.awaits(number, target.peer, events, target.why);
        lock(&self.marks).insert(number, settling.clone());
        Mark { number, topic, first, last, events }
    }

    /// Whoever waited has gone.
    pub(super) fn forget_marks(&self, numbers: impl Iterator<Item = u64>) {
        let mut marks = lock(&self.marks);
        for number in numbers {
            marks.remove(&number);
        }
    }

    /// Cuts a subscriber for whom a publisher has waited in vain.
    pub(super) fn cut(&self, full: &Full) {
        let why = format!("a publisher waited {} ms in vain for room", full.time.as_millis());
        full.target.link.end_feed(full.target.feed, FeedEnd::Overflow(why));
    }

    /// Nothing is published any more.
    pub(crate) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        self.changed.send_modify(|version| *version += 1);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    /// Does something under the lock, then works off what came up meanwhile.
    fn with_topics<R>(&self, act: impl FnOnce(&mut Topics<Target>) -> R) -> R {
        let done = act(&mut lock(&self.topics));
        self.settle();
        done
    }

    fn says(&self, news: News) {
        lock(&self.news).push_back(news);
        self.settle();
    }

    /// Works off what links have said, unless somebody has the lock, who does it then.
    fn settle(&self) {
        let mut is_changed = false;
        while !lock(&self.news).is_empty() {
            let mut topics = match self.topics.try_lock() {
                Ok(topics) => topics,
                Err(TryLockError::Poisoned(topics)) => topics.into_inner(),
                // It looks at the list again behind the lock.
                Err(TryLockError::WouldBlock) => break,
            };
            while let Some(news) = next(&self.news) {
                is_changed = true;
                match news {
                    News::Subscribed(link, feed, wish) => subscribe(&mut topics, &link, feed, &wish),
                    News::Over(link, feed, marks) => {
                        if let Some(target) = Target::of(&link, feed, &Policy::default()) {
                            topics.unsubscribe(&target);
                        }
                        for (mark, tally) in marks {
                            self.resolve(mark, tally, false);
                        }
                    }
                }
            }
        }
        if is_changed {
            self.changed.send_modify(|version| *version += 1);
        }
    }

    fn resolve(&self, mark: u64, tally: Tally, is_confirmed: bool) {
        let settling = lock(&self.marks).remove(&mark);
        if let Some(settling) = settling {
            settling.settled(mark, tally, is_confirmed);
        }
    }
}

fn next(news: &Mutex<VecDeque<News>>) -> Option<News> {
    lock(news).pop_front()
}

/// A peer wants events.
fn subscribe(topics: &mut Topics<Target>, link: &Link, feed: FeedId, wish: &Payload) {
    let wish = match Wish::read(wish) {
        Ok(wish) => wish,
        Err(why) => return link.end_feed(feed, FeedEnd::BadRequest(why.to_string())),
    };
    let Some(target) = Target::of(link, feed, &wish.policy) else { return };
    let peer = target.peer;
    match topics.subscribe(Instant::now().into_std(), target, peer, &wish) {
        Ok(attachment) => link.attach(feed, wish.policy, attachment),
        Err(Unsubscribable::Denied) => link.end_feed(feed, FeedEnd::Refused(Unsubscribable::Denied.to_string())),
        Err(why) => link.end_feed(feed, FeedEnd::LimitReached(why.to_string())),
    }
}

/// How many of the values fit into the queues of those for whom a publisher waits.
fn room(cx: &mut Context<'_>, topics: &Topics<Target>, going: &Going<'_>) -> Result<usize, Vec<Full>> {
    let mut count = going.values.len();
    let mut full = Vec::new();
    let Some(topic) = topics.topic(going.topic) else { return Ok(count) };
    for target in topic.targets() {
        let Some(time) = target.waits else { continue };
        match target.poll_room(cx, &going.values[..count]) {
            Poll::Ready(fits) => count = fits,
            Poll::Pending => full.push(Full { target: target.clone(), time }),
        }
    }
    for members in topic.groups().filter(|members| members.iter().all(|member| member.waits.is_some())) {
        // Whoever of them has room takes the next one, so it is asked again before each.
        let next = &going.values[..count.min(1)];
        let have_room = members.iter().filter(|member| member.poll_room(cx, next).is_ready()).count();
        count = next.len();
        if have_room == 0 {
            let of = |member: &Target| member.waits.map(|time| Full { target: member.clone(), time });
            full.extend(members.iter().filter_map(of));
        }
    }
    if full.is_empty() { Ok(count) } else { Err(full) }
}

impl Feeder for Board {
    fn subscribed(&self, link: &Link, feed: FeedId, wish: &Payload) {
        if self.is_closed() {
            return link.end_feed(feed, FeedEnd::Draining);
        }
        self.says(News::Subscribed(link.clone(), feed, wish.clone()));
    }

    fn confirmed(&self, mark: u64, tally: Tally) {
        self.resolve(mark, tally, true);
    }

    fn over(&self, link: &Link, feed: FeedId, marks: Vec<(u64, Tally)>) {
        self.says(News::Over(link.clone(), feed, marks));
    }
}

impl Target {
    fn of(link: &Link, feed: FeedId, policy: &Policy) -> Option<Target> {
        let (peer, _) = link.peer()?;
        let (waits, why) = match policy {
            Policy::Block(time) => (Some(*time), Why::QueueFull),
            Policy::Latest | Policy::LatestBy(_) => (None, Why::Policy),
            Policy::Ring(_) | Policy::Close => (None, Why::QueueFull),
        };
        Some(Target { link: link.clone(), feed, peer, waits, why })
    }

    /// How many of the values fit into its queue, for which a publisher waits.
    fn poll_room(&self, cx: &mut Context<'_>, values: &[Bytes]) -> Poll<usize> {
        self.link.poll_feed(cx, self.feed, values.iter().map(Bytes::len))
    }

    /// How many events wait in its queue; one that a publisher waits for and that is full comes last.
    fn waiting(&self, next: usize) -> usize {
        let is_full = self.waits.is_some() && !self.link.feed_has_room(self.feed, next);
        if is_full { usize::MAX } else { self.link.feed_waiting(self.feed) }
    }

    fn place(&self) -> (usize, FeedId) {
        (self.link.number(), self.feed)
    }
}

impl PartialEq for Target {
    fn eq(&self, other: &Target) -> bool {
        self.place() == other.place()
    }
}

impl Eq for Target {}

impl PartialOrd for Target {
    fn partial_cmp(&self, other: &Target) -> Option<Order> {
        Some(self.cmp(other))
    }
}

impl Ord for Target {
    fn cmp(&self, other: &Target) -> Order {
        self.place().cmp(&other.place())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics under these locks; what they hold is the best there is.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
