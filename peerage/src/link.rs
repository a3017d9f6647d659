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
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, Weak};
use std::task::{Context, Poll, Waker};

use peerage_proto::channel::{Answer, Channel, Config, Content, Counters, Input, Output, Room, Served, Token};
use peerage_proto::codec::{Encoding, Payload};
use peerage_proto::outcome::{CallError, LinkLost, NotSent, Stop};
use tokio::sync::{Notify, OwnedSemaphorePermit, oneshot};
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
mod in_place;
mod linger;
mod of_node;
mod portions;
mod reporter;
mod time;

use cells::Cells;
use clock::Clock;
use errands::Errands;

pub(crate) use directory::Directory;
pub(crate) use in_place::{InPlace, Serve};
pub(crate) use of_node::Order;
pub(crate) use reporter::{Report, Reporter, Word};
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
    facts: Facts,
    /// Tells the node of this link; none on links without a node.
    reporter: Option<Reporter>,
}

/// What is known about a connection from its beginning.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) local: Address,
    pub(crate) remote: Address,
    pub(crate) credentials: Option<UnixCredentials>,
    pub(crate) secured: Option<Arc<Secured>>,
}

struct State {
    machine: Channel,
    cells: Cells,
    /// Callers that wait for room, in the order in which they came.
    waiting: BTreeMap<u64, Waker>,
    next_ticket: u64,
    /// Requests nobody has fetched yet. Bounded by the machine, which stops asking for bytes.
    inbox: VecDeque<(Served, Payload)>,
    /// Who waits for the next request.
    reader: Option<Waker>,
    /// Handlers at work that can be told to stop.
    running: BTreeMap<Served, oneshot::Sender<()>>,
    /// Requests whose callers no longer wait.
    stopping: BTreeSet<Served>,
    ended: Option<LinkLost>,
    /// When the machine was last fed.
    clock: Clock,
    errands: Errands,
    /// The node wants to be told, with this number, when no call is open.
    asked_idle: Option<u32>,
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
        let (link, stream) = Link::made_of(connection, config, None);
        link.drive(stream, server, permit, Span::none());
        link
    }

    /// A link that nobody drives yet, and its stream.
    fn made_of(connection: Connection, config: Config, reporter: Option<Reporter>) -> (Link, Box<dyn ByteStream>) {
        let Connection { stream, local, remote, credentials, secured, .. } = connection;
        let facts = Facts { local, remote, credentials, secured };
        let encoding = OnceLock::new();
        if let Some(known) = config.encoding {
            encoding.get_or_init(|| known);
        }
        let state = State {
            machine: Channel::new(config),
            cells: Cells::default(),
            waiting: BTreeMap::new(),
            next_ticket: 0,
            inbox: VecDeque::new(),
            reader: None,
            running: BTreeMap::new(),
            stopping: BTreeSet::new(),
            ended: None,
            clock: Clock::read(),
            errands: Errands::default(),
            asked_idle: None,
        };
        let link = Link(Arc::new(Shared {
            state: Mutex::new(state),
            driver: OnceLock::new(),
            awake: AtomicBool::new(false),
            encoding,
            ended: Notify::new(),
            facts,
            reporter,
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
        let mut state = self.lock();
        if (ticket.is_some() || !state.waiting.is_empty() || state.machine.room() != Room::Yes)
            && !state.may_enter(*ticket)
        {
            time.settle(Instant::now());
            return match state.wait(cx, ticket) {
                Ok(()) => Poll::Pending,
                Err(error) => Poll::Ready(Err(error)),
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
        state.carry_out(now, Input::Call { token, content, deadline });
        // A caller that is refused at once learns it now.
        let result = match state.collect(token, &mut Vec::new()) {
            Some(result) => Err(*result.expect_err("a call has no value before its frame is written")),
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
    fn number(&self) -> usize {
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

impl State {
    /// Feeds the machine and carries out its orders as far as they concern tasks of this process.
    #[inline]
    fn carry_out(&mut self, now: Instant, input: Input<'_>) {
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
    fn obey(&mut self, now: Instant) {
        let errands = &mut self.errands;
        let (mut not_started, mut unclaimed) = (Vec::new(), Vec::new());
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
        for token in unclaimed {
            self.collect(token, &mut Vec::new());
        }
        for request in not_started {
            // Only ever queues a frame.
            let orders = self.machine.handle(now.into_std(), Input::Stopped { request, stop: Stop::NotStarted });
            debug_assert_eq!(orders.count(), 0);
        }
    }

    /// The outcome of a call, if it is there; its cell is free then.
    #[inline]
    fn collect(&mut self, token: Token, buffer: &mut Vec<u8>) -> Option<Outcome> {
        let outcome = self.machine.collect(token, buffer)?;
        self.cells.free(token);
        Some(outcome)
    }

    /// Whether a caller may go on to the machine: it has room and the caller is next, or it takes no calls any more.
    fn may_enter(&self, ticket: Option<u64>) -> bool {
        let next = self.waiting.first_key_value().map(|(first, _)| *first);
        match self.machine.room() {
            Room::Never | Room::Retired => true,
            Room::Later => false,
            Room::Yes => next.is_none_or(|next| ticket.is_some_and(|ticket| ticket <= next)),
        }
    }

    /// Takes a place in the queue of callers that wait for room, or keeps it.
    fn wait(&mut self, cx: &Context<'_>, ticket: &mut Option<u64>) -> Result<(), CallError> {
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
    fn admit_next(&mut self) {
        if let Some((_, waker)) = self.waiting.first_key_value()
            && self.machine.room() != Room::Later
        {
            self.errands.wake.push(waker.clone());
        }
    }
}

/// Callers that may wait for room on one link; one more is told so at once.
pub(crate) const CALLERS_WAITING_MAX: usize = 65_536;
