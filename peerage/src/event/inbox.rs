//! What one subscription holds: the nodes it hears from, over which links, and how far each has come.
//!
//! Two sides meet here. The node's driver attaches the subscription to links as they come; the application takes what has come.
//! A link only rings: which source has something is noted in the [`Bell`], whose lock is the last that anybody takes.
//!
//! When a second link to a node takes the place of the first, the subscription attaches there as well. As soon as the new one is
//! heard, the old one is asked to finish, and it is read to its end before the new one is read at all: so nothing is lost by the
//! move, and what came over both is known by its number.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use peerage_proto::channel::Listened;
use peerage_proto::codec::{Encoding, Payload};
use peerage_proto::events::{Missing, Policy, Positions, Wish};
use peerage_proto::id::{Epoch, NodeId};
use peerage_proto::outcome::FeedEnd;

use crate::link::{Link, Listener};

/// One subscription, as its application and its node hold it.
pub(crate) struct Inbox {
    wish: Wish,
    bell: Arc<Bell>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    sources: BTreeMap<NodeId, Source>,
    /// Sources that may have something to be taken.
    ready: VecDeque<NodeId>,
    is_over: bool,
}

/// A node that is subscribed to, or was.
struct Source {
    /// Subscriptions at it, the oldest first. Only the oldest is read.
    lines: VecDeque<Line>,
    positions: Positions,
    /// It has told where its names stand, and its loss has not been told since.
    is_attached: bool,
}

struct Line {
    link: Link,
    number: u64,
    epoch: Epoch,
    /// Something of it was read.
    is_begun: bool,
}

/// What was taken.
pub(super) enum Taken {
    /// A new run of this node is heard: this is missing of the one before.
    Restarted { from: NodeId, missing: Vec<Missing> },
    /// Records of this node.
    Records { from: NodeId, epoch: Epoch, records: Payload },
    /// No more comes from this node, as it looks now.
    Lost { from: NodeId, why: FeedEnd, was_attached: bool },
}

/// Rings when something came on any line.
#[derive(Default)]
struct Bell(Mutex<Rung>);

#[derive(Default)]
struct Rung {
    sources: VecDeque<NodeId>,
    waker: Option<Waker>,
    is_over: bool,
}

/// Listens to one line.
struct Ear {
    bell: Arc<Bell>,
    from: NodeId,
    /// Lines to the same node that this one takes the place of.
    older: Mutex<Vec<(Link, u64)>>,
}

impl Listener for Ear {
    fn something_came(&self, is_over: bool) {
        // One that has ended takes nobody's place.
        let older = if is_over { Vec::new() } else { std::mem::take(&mut *lock(&self.older)) };
        for (link, number) in older {
            link.unsubscribe(number, true);
        }
        let mut rung = lock(&self.bell.0);
        rung.sources.push_back(self.from);
        let waker = rung.waker.take();
        drop(rung);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Inbox {
    pub(crate) fn new(wish: Wish) -> Inbox {
        Inbox { wish, bell: Arc::default(), state: Mutex::default() }
    }

    /// What is asked of each node.
    pub(super) fn wish(&self) -> &Wish {
        &self.wish
    }

    /// Subscribes on a link, unless that is done.
    pub(crate) fn attach(&self, link: &Link) {
        let Some((from, epoch)) = link.peer() else { return };
        let mut state = self.lock();
        if state.is_over {
            return;
        }
        let is_shared = self.wish.shared.is_some();
        let source = state.sources.entry(from).or_insert_with(|| Source::new(is_shared));
        if source.lines.iter().any(|line| line.link.is_same(link)) {
            return;
        }
        let older = source.lines.iter().map(|line| (line.link.clone(), line.number)).collect();
        let positions = source.positions.for_wish(epoch);
        let wish = Wish { positions, ..self.wish.clone() }.encode(Encoding::MsgPack);
        let ear = Ear { bell: self.bell.clone(), from, older: Mutex::new(older) };
        let number = link.subscribe(&wish, Arc::new(ear));
        source.lines.push_back(Line { link: link.clone(), number, epoch, is_begun: false });
    }

    /// Hears no more of this node: it is not meant any more.
    pub(crate) fn detach(&self, from: &NodeId) {
        let mut state = self.lock();
        let Some(source) = state.sources.get_mut(from) else { return };
        let lines: Vec<Line> = source.lines.drain(..).collect();
        state.sources.remove(from);
        drop(state);
        for line in lines {
            line.link.unsubscribe(line.number, false);
        }
    }

    /// Whether a source that had more than there was room for is to stay away.
    pub(super) fn closes(&self) -> bool {
        self.wish.policy == Policy::Close
    }

    /// What this node says makes no sense: the link is cut.
    pub(super) fn garbled(&self, from: NodeId) {
        let state = self.lock();
        let line = state.sources.get(&from).and_then(|source| source.lines.front());
        let line = line.map(|line| (line.link.clone(), line.number));
        drop(state);
        if let Some((link, number)) = line {
            link.garbled(number);
        }
    }

    /// Whom it hears from, or heard from.
    pub(crate) fn sources(&self) -> Vec<NodeId> {
        self.lock().sources.keys().copied().collect()
    }

    /// Ends everything: nothing more is taken.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.is_over = true;
        let sources = std::mem::take(&mut state.sources);
        drop(state);
        for line in sources.into_values().flat_map(|source| source.lines) {
            line.link.unsubscribe(line.number, false);
        }
        let mut rung = lock(&self.bell.0);
        rung.is_over = true;
        let waker = rung.waker.take();
        drop(rung);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// The next that came. `None`: nothing will come any more.
    pub(super) fn poll_take(&self, cx: &mut Context<'_>) -> Poll<Option<Taken>> {
        let mut state = self.lock();
        loop {
            while let Some(from) = state.ready.pop_front() {
                if let Some(taken) = state.take_from(from) {
                    return Poll::Ready(Some(taken));
                }
            }
            let mut rung = lock(&self.bell.0);
            if rung.sources.is_empty() {
                if rung.is_over {
                    return Poll::Ready(None);
                }
                rung.waker = Some(cx.waker().clone());
                return Poll::Pending;
            }
            state.ready.append(&mut rung.sources);
        }
    }

    /// What is known of the events of a node, to be used for an instant.
    pub(super) fn with_positions<R>(&self, from: NodeId, use_them: impl FnOnce(&mut Positions) -> R) -> Option<R> {
        self.lock().sources.get_mut(&from).map(|source| use_them(&mut source.positions))
    }

    /// The node has told where its names stand. Whether it had not before.
    pub(super) fn attached(&self, from: NodeId) -> bool {
        let mut state = self.lock();
        state.sources.get_mut(&from).is_some_and(|source| !std::mem::replace(&mut source.is_attached, true))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl Source {
    fn new(is_shared: bool) -> Source {
        let positions = if is_shared { Positions::shared() } else { Positions::new() };
        Source { lines: VecDeque::new(), positions, is_attached: false }
    }
}

impl State {
    fn take_from(&mut self, from: NodeId) -> Option<Taken> {
        let source = self.sources.get_mut(&from)?;
        let line = source.lines.front_mut()?;
        if !std::mem::replace(&mut line.is_begun, true) {
            match source.positions.attach(line.epoch) {
                Ok(missing) if missing.is_empty() => {}
                Ok(missing) => {
                    self.ready.push_front(from);
                    return Some(Taken::Restarted { from, missing });
                }
                // A link with an earlier run ends by itself.
                Err(_) => {
                    line.link.unsubscribe(line.number, false);
                    source.lines.pop_front();
                    return None;
                }
            }
        }
        match line.link.take_events(line.number) {
            Listened::Nothing => None,
            Listened::Records(records) => {
                let epoch = line.epoch;
                // There may be more of it, behind that of others.
                self.ready.push_back(from);
                Some(Taken::Records { from, epoch, records })
            }
            Listened::Over(why) => {
                source.lines.pop_front();
                if !source.lines.is_empty() {
                    self.ready.push_front(from);
                    return None;
                }
                let was_attached = std::mem::take(&mut source.is_attached);
                Some(Taken::Lost { from, why, was_attached })
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics under these locks; what they hold is the best there is.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
