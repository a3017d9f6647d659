//! One connection at work: the machine of `peerage_proto::channel` behind a short lock, and the task that moves bytes.
//!
//! A call does not travel through a queue between tasks. The caller itself locks the machine for the instant it takes to
//! append its frame, and is woken by the task that reads the answer. That task, the *driver*, is the only one that
//! touches the socket. Everything that gathers while it is busy leaves with its next write, so many callers share one
//! system call without a timer. `docs/decisions/002-data-path.md` has the measurement behind this.
//!
//! ```text
//!   caller ──lock, append frame, unlock──▶ machine ◀──lock, feed bytes, unlock── driver ◀──bytes── socket
//!      ▲                                                                           │  └──one write a batch──▶
//!      └──────────────────────────── woken with its outcome ───────────────────────┘
//! ```
//!
//! The lock is never held while user code runs, while a task is woken, or during a system call.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, Weak};
use std::task::{Context, Poll, Waker, ready};

use peerage_proto::channel::{Answer, Channel, Config, Content, Counters, Input, Room, Served, Token};
use peerage_proto::codec::{Encoding, Payload};
use peerage_proto::outcome::{CallError, LinkLost};
use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio::time::Instant;
use tracing::{Instrument as _, Span};

use crate::address::Address;
use crate::transport::{ByteStream, Connection, Secured, UnixCredentials};

mod answers;
mod cells;
mod clock;
mod desk;
mod directory;
mod driver;
mod errands;
mod feeding;
mod in_place;
mod linger;
mod listening;
mod of_node;
mod portions;
mod reporter;
mod state;
mod streaming;
mod time;

use cells::Cells;
use clock::Clock;
use errands::Errands;
use state::State;

pub(crate) use directory::Directory;
pub(crate) use feeding::Feeder;
pub(crate) use in_place::{InPlace, Serve};
pub(crate) use listening::Listener;
pub(crate) use of_node::{Order, Standing};
pub(crate) use reporter::{Report, Reporter, Word};
pub(crate) use streaming::{ItemRefused, Next};
pub(crate) use time::Time;

/// A link as its users hold it.
#[derive(Clone)]
pub(crate) struct Link(Arc<Shared>);

/// A link as somebody remembers it who does not keep it in memory.
pub(crate) struct WeakLink(Weak<Shared>);

impl WeakLink {
    pub(crate) fn upgrade(&self) -> Option<Link> {
        self.0.upgrade().map(Link)
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.0.strong_count() > 0
    }
}

struct Shared {
    state: Mutex<State>,
    /// The driver's waker, from its first turn on.
    driver: OnceLock<Waker>,
    /// The driver will look at the state again before it sleeps, so nobody needs to wake it.
    awake: AtomicBool,
    encoding: OnceLock<Encoding>,
    ended: Notify,
    /// Requests in service at the peer's node, as it said last.
    peer_load: Arc<AtomicU32>,
    facts: Facts,
    /// Tells the node of this link; none on links without a node.
    reporter: Option<Reporter>,
    /// Between which nodes it is; none on links without a node.
    standing: Option<Standing>,
}

/// What is known about a connection from its beginning.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) local: Address,
    pub(crate) remote: Address,
    pub(crate) credentials: Option<UnixCredentials>,
    pub(crate) secured: Option<Arc<Secured>>,
}

/// How a call ended. A small value lies in the buffer of its caller.
pub(crate) type Outcome = Result<Answer, Box<CallError>>;

impl Link {
    /// Starts the driver of a connection. With `server` requests go to it, else they wait for [`Link::poll_request`].
    pub(crate) fn start(
        connection: Connection,
        config: Config,
        server: Option<Box<dyn Serve>>,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Link {
        let (link, stream) = Link::made_of(connection, config, None, None);
        link.drive(stream, server, permit, Span::none());
        link
    }

    /// A link that nobody drives yet, and its stream.
    fn made_of(
        connection: Connection,
        config: Config,
        reporter: Option<Reporter>,
        standing: Option<Standing>,
    ) -> (Link, Box<dyn ByteStream>) {
        let Connection { stream, local, remote, credentials, secured, .. } = connection;
        let facts = Facts { local, remote, credentials, secured };
        let encoding = OnceLock::new();
        if let Some(known) = config.encoding {
            encoding.get_or_init(|| known);
        }
        let peer_load = Arc::new(AtomicU32::new(0));
        let state = State {
            machine: Channel::new(config),
            cells: Cells::default(),
            waiting: BTreeMap::new(),
            next_ticket: 0,
            inbox: VecDeque::new(),
            reader: None,
            item_readers: BTreeMap::new(),
            item_writers: BTreeMap::new(),
            listeners: BTreeMap::new(),
            feed_writers: BTreeMap::new(),
            running: BTreeMap::new(),
            stopping: BTreeSet::new(),
            ended: None,
            clock: Clock::read(),
            errands: Errands::default(),
            peer_load: peer_load.clone(),
            asked_idle: None,
        };
        let link = Link(Arc::new(Shared {
            state: Mutex::new(state),
            driver: OnceLock::new(),
            awake: AtomicBool::new(false),
            encoding,
            ended: Notify::new(),
            peer_load,
            facts,
            reporter,
            standing,
        }));
        (link, stream)
    }

    fn drive(
        &self,
        stream: Box<dyn ByteStream>,
        server: Option<Box<dyn Serve>>,
        permit: Option<OwnedSemaphorePermit>,
        span: Span,
    ) {
        tokio::spawn(driver::Driver::new(self.clone(), stream, server, permit).instrument(span));
    }

    /// A reference that does not keep the link in memory.
    pub(crate) fn downgrade(&self) -> WeakLink {
        WeakLink(Arc::downgrade(&self.0))
    }

    /// What is known about the connection from its beginning.
    pub(crate) fn facts(&self) -> &Facts {
        &self.0.facts
    }

    /// The encoding of the link; `None` until the first frame of the peer tells.
    pub(crate) fn encoding(&self) -> Option<Encoding> {
        self.0.encoding.get().copied()
    }

    /// Requests in service at the peer's node, as it said last; 0 before it has said anything.
    pub(crate) fn peer_load(&self) -> u32 {
        self.0.peer_load.load(Ordering::Relaxed)
    }

    /// Counters of the link.
    pub(crate) fn counters(&self) -> Counters {
        self.lock().machine.counters()
    }

    /// Tries to send a call: `Pending` while the link has no room, with `ticket` as the place in the queue.
    pub(crate) fn poll_send(
        &self,
        cx: &mut Context<'_>,
        content: Content<'_>,
        time: &mut Time,
        ticket: &mut Option<u64>,
    ) -> Poll<Result<Token, CallError>> {
        let input = |token, deadline| Input::Call { token, content, deadline };
        Poll::Ready(match ready!(self.poll_enter(cx, time, ticket, input)) {
            Ok(token) => Ok(token),
            Err(outcome) => Err(*outcome.expect_err("a call has no value before its frame is written")),
        })
    }

    /// Tries to tell the peer something that wants no answer: ready when it is queued or refused, and `Pending` as for a
    /// call.
    pub(crate) fn poll_notify(
        &self,
        cx: &mut Context<'_>,
        content: Content<'_>,
        time: &mut Time,
        ticket: &mut Option<u64>,
    ) -> Poll<Result<(), CallError>> {
        let input = |token, _| Input::Notify { token, content };
        Poll::Ready(match ready!(self.poll_enter(cx, time, ticket, input)) {
            Ok(token) => unreachable!("a notification is over at once: {token:?}"),
            Err(outcome) => outcome.map(drop).map_err(|error| *error),
        })
    }

    /// Gives the machine something new of the application's, when there is room and it is its turn. What is over at once is
    /// an error with the outcome.
    #[inline]
    fn poll_enter<'a>(
        &self,
        cx: &mut Context<'_>,
        time: &mut Time,
        ticket: &mut Option<u64>,
        input: impl FnOnce(Token, Option<std::time::Instant>) -> Input<'a>,
    ) -> Poll<Result<Token, Outcome>> {
        let mut state = self.lock();
        if (ticket.is_some() || !state.waiting.is_empty() || state.machine.room() != Room::Yes)
            && !state.may_enter(*ticket)
        {
            time.settle(Instant::now());
            return match state.wait(cx, ticket) {
                Ok(()) => Poll::Pending,
                Err(error) => Poll::Ready(Err(Err(Box::new(error)))),
            };
        }
        if let Some(ticket) = ticket.take() {
            state.waiting.remove(&ticket);
        }
        // While the driver has been told to run and has not run yet, this call belongs to a burst that began a moment ago.
        let in_burst = self.0.awake.load(Ordering::Acquire) && time.is_long();
        let now = if in_burst { state.clock.recent() } else { Instant::now() };
        let deadline = time.settle(now).map(Instant::into_std);
        let token = state.cells.open(cx.waker());
        state.carry_out(now, input(token, deadline));
        // A caller that is refused at once learns it now.
        let result = match state.collect(token, &mut Vec::new()) {
            Some(outcome) => Err(outcome),
            None => Ok(token),
        };
        self.release(state);
        self.wake_driver();
        Poll::Ready(result)
    }

    /// Leaves the queue of callers that wait for room.
    pub(crate) fn leave_queue(&self, ticket: u64) {
        let mut state = self.lock();
        state.waiting.remove(&ticket);
        state.admit_next();
        self.release(state);
    }

    /// The outcome of a call that was sent; a small value is put into `buffer`.
    pub(crate) fn poll_outcome(&self, cx: &mut Context<'_>, token: Token, buffer: &mut Vec<u8>) -> Poll<Outcome> {
        let mut state = self.lock();
        match state.collect(token, buffer) {
            Some(outcome) => Poll::Ready(outcome),
            None => {
                state.cells.wait(token, cx.waker());
                Poll::Pending
            }
        }
    }

    /// Nobody waits for this call any more.
    pub(crate) fn abandon(&self, token: Token) {
        let mut state = self.lock();
        if state.cells.abandon(token) {
            state.carry_out(Instant::now(), Input::Cancel(token));
        } else {
            // The outcome came before its caller went.
            state.collect(token, &mut Vec::new());
        }
        self.release(state);
        self.wake_driver();
    }

    /// The next request of the peer; `None` when the link has ended and all that were read are fetched.
    pub(crate) fn poll_request(&self, cx: &mut Context<'_>) -> Poll<Option<(Served, Payload)>> {
        let mut state = self.lock();
        if let Some((request, content)) = state.inbox.pop_front() {
            state.carry_out(Instant::now(), Input::Fetched(request));
            self.release(state);
            self.wake_driver();
            return Poll::Ready(Some((request, content)));
        }
        if state.ended.is_some() {
            return Poll::Ready(None);
        }
        state.reader = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Answers a request with a value.
    #[inline]
    pub(crate) fn reply(&self, request: Served, content: Content<'_>) {
        if !desk::lay(self, request, content) {
            self.answer(request, Input::Reply { request, content });
        }
    }

    /// Starts closing: calls end, what was answered is still written.
    pub(crate) fn close(&self) {
        desk::clear(self);
        let mut state = self.lock();
        state.carry_out(Instant::now(), Input::Close);
        let running = std::mem::take(&mut state.running);
        state.errands.stop.extend(running.into_values());
        self.release(state);
        self.wake_driver();
    }

    /// Waits until the link has ended.
    pub(crate) async fn ended(&self) -> LinkLost {
        loop {
            let ended = self.0.ended.notified();
            if let Some(why) = self.lock().ended.clone() {
                return why;
            }
            ended.await;
        }
    }

    /// Why the link ended, if it has.
    pub(crate) fn why_ended(&self) -> Option<LinkLost> {
        self.lock().ended.clone()
    }

    fn answer(&self, request: Served, input: Input<'_>) {
        self.answer_all([(request, input)].into_iter());
    }

    fn answer_all<'a>(&self, answers: impl Iterator<Item = (Served, Input<'a>)>) {
        let mut running = Vec::new();
        let mut state = self.lock();
        // Only a link that stopped reading needs the time, to start its peer's clock anew; the usual answer does without.
        let now = if state.machine.wants_bytes() { state.clock.latest() } else { Instant::now() };
        for (request, input) in answers {
            running.extend(state.running.remove(&request));
            state.stopping.remove(&request);
            state.carry_out(now, input);
        }
        self.release(state);
        drop(running);
        self.wake_driver();
    }

    /// Unique among the links of this process that are alive.
    pub(crate) fn number(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }

    pub(crate) fn is_same(&self, other: &Link) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic under the lock would be a bug of ours in the machine; the state is still the best there is.
        self.0.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn wake_driver(&self) {
        // The driver lowers the flag before it takes the lock for its last look at the state. So whoever sees it raised
        // after changing the state under the lock knows that the last look is still to come. Reading is enough for most.
        if !self.0.awake.load(Ordering::Acquire)
            && !self.0.awake.swap(true, Ordering::AcqRel)
            && let Some(driver) = self.0.driver.get()
        {
            driver.wake_by_ref();
        }
    }

    /// Runs what came up under the lock.
    fn run(&self, errands: &mut Errands) {
        errands.run(&self.0.ended);
        if !errands.feeds.is_empty() {
            self.tell_feeder(errands);
        }
        if !errands.words.is_empty() {
            self.tell(errands);
        }
    }

    /// Releases the lock, then runs the errands that came up under it.
    fn release(&self, mut state: MutexGuard<'_, State>) {
        if !state.errands.is_empty() {
            let mut errands = std::mem::take(&mut state.errands);
            drop(state);
            self.run(&mut errands);
        }
    }
}

/// Callers that may wait for room on one link; one more is told so at once.
pub(crate) const CALLERS_WAITING_MAX: usize = 65_536;
