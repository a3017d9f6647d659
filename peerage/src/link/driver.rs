//! The task that moves the bytes of one link: the only one that touches its socket, its timer and its handlers' first
//! steps.
//!
//! One turn reads what there is, lets the machine make sense of it, runs the handlers of the requests it found, and
//! writes everything that has gathered, in that order, until nothing more can be done without waiting. Many requests that
//! came at once are answered in portions.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BufMut;
use peerage_proto::channel::{Input, Served, Transmit};
use peerage_proto::codec::Payload;
use peerage_proto::limits;
use peerage_proto::outcome::LinkLost;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep};

use super::desk::Desk;
use super::linger::Linger;
use super::portions::Portions;
use super::{Errands, Link, Serve};
use crate::shown::shown;
use crate::transport::ByteStream;

/// Moves the bytes of one link until it has ended.
pub(super) struct Driver {
    link: Link,
    stream: Box<dyn ByteStream>,
    server: Option<Box<dyn Serve>>,
    /// Held for as long as the connection counts against its listener.
    _permit: Option<OwnedSemaphorePermit>,
    timer: Option<Pin<Box<Sleep>>>,
    wants_bytes: bool,
    /// The stream has taken bytes that it could not pass on yet.
    unflushed: bool,
    /// Since when the stream has taken nothing of what waits.
    stuck_since: Option<Instant>,
    /// Callers woken by the last batch of answers: how many writers to expect.
    woken: usize,
    /// A turn was given up so that all woken callers come first.
    stood_back: bool,
    /// Whether callers may run between this task and others on the same thread before it (see `stand_back`).
    may_stand_back: bool,
    closing: Closing,
    /// Kept from step to step for its memory only.
    errands: Errands,
    /// Requests whose handlers are to be started.
    batch: VecDeque<(Served, Payload)>,
}

/// How far the end of the link has come.
enum Closing {
    Not,
    /// This end closes: what waits is written until this time at the latest.
    Flushing(Instant),
    /// All is written; the socket says so to the peer, and what the peer still sends is read away for a while, since
    /// closing a socket with unread bytes would throw away what was written last.
    Lingering(Linger),
}

impl Driver {
    pub(super) fn new(
        link: Link,
        stream: Box<dyn ByteStream>,
        server: Option<Box<dyn Serve>>,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Driver {
        let may_stand_back = Handle::current().runtime_flavor() != RuntimeFlavor::CurrentThread;
        Driver {
            link,
            stream,
            server,
            _permit: permit,
            timer: None,
            wants_bytes: true,
            unflushed: false,
            stuck_since: None,
            woken: 0,
            stood_back: false,
            may_stand_back,
            closing: Closing::Not,
            errands: Errands::default(),
            batch: VecDeque::new(),
        }
    }

    /// One turn: read, serve, write. `Ready` when the link has ended.
    fn turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.link.0.awake.store(true, Ordering::Release);
        if !self.read(cx) && self.stand_back(cx) {
            return Poll::Pending;
        }
        let portions = Portions::of_turn(self.link.number());
        for _ in 0..ROUNDS {
            let wrote = self.serve_and_write(cx, portions);
            if self.read(cx) {
                continue;
            }
            self.link.0.awake.store(false, Ordering::SeqCst);
            match self.settle_down(cx, wrote) {
                Rest::Ended => return Poll::Ready(()),
                Rest::Sleep => return Poll::Pending,
                Rest::Again => self.link.0.awake.store(true, Ordering::Release),
            }
        }
        // Others have waited long enough.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// On a runtime with several threads the first caller to queue a frame makes this task the next to run on its
    /// thread, ahead of the other callers that were woken with it. Going to the back of the queue once lets them all
    /// share one write. On a single thread the queue is in that order anyway.
    fn stand_back(&mut self, cx: &Context<'_>) -> bool {
        if !self.may_stand_back || self.woken < 2 || self.stood_back {
            self.stood_back = false;
            return false;
        }
        self.stood_back = true;
        cx.waker().wake_by_ref();
        true
    }

    /// Reads once and feeds the machine. Returns whether anything came.
    fn read(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.wants_bytes {
            return false;
        }
        let lent = self.link.lock().machine.lend();
        if let Some(mut lent) = lent {
            let (buffer, room) = lent.buffer();
            let result = tokio_util::io::poll_read_buf(Pin::new(&mut self.stream), cx, &mut buffer.limit(room));
            self.link.lock().machine.take_back(lent);
            return match result {
                Poll::Pending => false,
                Poll::Ready(result) => self.arrived(result, &[]),
            };
        }
        SCRATCH.with_borrow_mut(|scratch| {
            if scratch.is_empty() {
                scratch.resize(SCRATCH_BYTES, 0);
            }
            let mut buffer = ReadBuf::new(scratch);
            match Pin::new(&mut self.stream).poll_read(cx, &mut buffer) {
                Poll::Pending => false,
                Poll::Ready(result) => {
                    let count = buffer.filled().len();
                    self.arrived(result.map(|()| count), &scratch[..count])
                }
            }
        })
    }

    /// Feeds the machine with the result of a read. With bytes read in place `bytes` is empty.
    fn arrived(&mut self, result: io::Result<usize>, bytes: &[u8]) -> bool {
        let input = match result {
            Ok(0) => Input::PeerClosed,
            Ok(_) => Input::Received(bytes),
            Err(error) => Input::Broken(error.to_string()),
        };
        let is_over = matches!(input, Input::PeerClosed);
        self.feed(input);
        if is_over && self.stream.takes_nothing() && self.link.lock().machine.owes_only_answers() {
            // Whoever ends its sending direction alone still waits for them; this peer does not.
            self.feed(Input::Broken("the peer has gone".to_owned()));
        }
        true
    }

    fn feed(&mut self, input: Input<'_>) {
        let now = Instant::now();
        let mut state = self.link.lock();
        state.carry_out(now, input);
        std::mem::swap(&mut state.errands, &mut self.errands);
        self.wants_bytes = state.machine.wants_bytes();
        if self.server.is_some() && self.batch.is_empty() {
            std::mem::swap(&mut state.inbox, &mut self.batch);
        }
        if self.link.0.encoding.get().is_none()
            && let Some(known) = state.machine.encoding()
        {
            self.link.0.encoding.get_or_init(|| known);
        }
        drop(state);
        self.woken = self.errands.wake.len();
        self.link.run(&mut self.errands);
    }

    /// Runs the handlers of the requests that came and writes what has gathered, one portion after the other.
    fn serve_and_write(&mut self, cx: &mut Context<'_>, portions: Portions) -> Wrote {
        loop {
            self.serve(cx, portions.next(self.batch.len()));
            let wrote = self.write(cx);
            if self.batch.is_empty() {
                return wrote;
            }
        }
    }

    /// Runs the handlers of the next requests.
    fn serve(&mut self, cx: &mut Context<'_>, count: usize) {
        let Some(server) = &mut self.server else { return };
        if count == 0 {
            return;
        }
        // For a single request there is nothing to gather.
        let desk = if count > 1 { Desk::open(&self.link) } else { None };
        for (served, content) in self.batch.drain(..count) {
            server.serve(cx, &self.link, served, content);
        }
        drop(desk);
        if self.batch.is_empty() && self.batch.capacity() > BATCH_KEPT {
            self.batch = VecDeque::new();
        }
    }

    /// Writes what has gathered until it is all written or the socket takes no more.
    fn write(&mut self, cx: &mut Context<'_>) -> Wrote {
        let wrote = self.write_on(cx);
        match wrote {
            Wrote::All => self.stuck_since = None,
            Wrote::Some => self.stuck_since = Some(self.stuck_since.unwrap_or_else(Instant::now)),
        }
        wrote
    }

    fn write_on(&mut self, cx: &mut Context<'_>) -> Wrote {
        if self.unflushed {
            match Pin::new(&mut self.stream).poll_flush(cx) {
                Poll::Ready(Ok(())) => self.unflushed = false,
                Poll::Pending => return Wrote::Some,
                Poll::Ready(Err(error)) => return self.broken(cx, &error),
            }
        }
        let mut state = self.link.lock();
        if state.machine.owes_load()
            && let Some(load) = self.server.as_ref().and_then(|server| server.load())
        {
            let now = state.clock.latest();
            state.carry_out(now, Input::Load(load));
        }
        let mut next = state.machine.transmit();
        drop(state);
        while let Some(mut transmit) = next {
            let result = write_some(&mut self.stream, cx, &mut transmit);
            if transmit.has_begun() {
                self.stuck_since = None;
            }
            let mut state = self.link.lock();
            // Only a link that stopped reading needs the time (as for answers).
            let now = if state.machine.wants_bytes() { state.clock.latest() } else { Instant::now() };
            state.carry_out(now, Input::Written(transmit));
            next = match result {
                Poll::Ready(Ok(())) => state.machine.transmit(),
                Poll::Pending | Poll::Ready(Err(_)) => None,
            };
            self.link.release(state);
            match result {
                Poll::Ready(Ok(())) => {}
                Poll::Pending => {
                    self.unflushed = true;
                    return Wrote::Some;
                }
                Poll::Ready(Err(error)) => return self.broken(cx, &error),
            }
        }
        Wrote::All
    }

    fn broken(&mut self, cx: &mut Context<'_>, error: &io::Error) -> Wrote {
        self.unflushed = false;
        self.read_what_is_left(cx);
        self.feed(Input::Broken(error.to_string()));
        Wrote::All
    }

    /// Reads what the peer sent before it went away: an answer that has arrived counts, although the connection takes no
    /// bytes any more.
    fn read_what_is_left(&mut self, cx: &mut Context<'_>) {
        for _ in 0..ROUNDS {
            if !self.read(cx) {
                break;
            }
        }
    }

    /// Decides what comes next once this round is done.
    fn settle_down(&mut self, cx: &mut Context<'_>, wrote: Wrote) -> Rest {
        loop {
            let mut state = self.link.lock();
            let due = state.machine.next_timeout().map(Instant::from_std);
            let unsent = state.machine.wants_to_write();
            if self.server.is_some() && self.batch.is_empty() {
                // Answers may have made room for requests that had arrived before.
                std::mem::swap(&mut state.inbox, &mut self.batch);
            }
            let unserved = !self.batch.is_empty();
            let wanted_before = std::mem::replace(&mut self.wants_bytes, state.machine.wants_bytes());
            let ended = state.ended.clone();
            let is_closing = state.machine.is_closing();
            drop(state);
            if let Some(why) = ended {
                return self.finish(cx, &why);
            }
            if (unsent && wrote == Wrote::All) || unserved || (self.wants_bytes && !wanted_before) {
                return Rest::Again;
            }
            let cut_at = self.cut_at();
            if cut_at.is_some_and(|at| at <= Instant::now()) {
                self.feed(Input::TooSlow);
                continue;
            }
            let due = match (is_closing, due) {
                (true, _) => Some(self.flush_until()),
                (false, due) => [due, cut_at].into_iter().flatten().min(),
            };
            match due {
                Some(due) if self.poll_timer(cx, due).is_ready() => {
                    if is_closing && due <= Instant::now() {
                        self.feed(Input::Broken("the peer did not take the last answers".to_owned()));
                    } else {
                        self.feed(Input::Timeout);
                        return Rest::Again;
                    }
                }
                _ => return Rest::Sleep,
            }
        }
    }

    /// When a peer that takes nothing is given up. A program alone may take its time.
    fn cut_at(&mut self) -> Option<Instant> {
        let (since, now) = (self.stuck_since?, Instant::now());
        if now.saturating_duration_since(since) >= limits::WRITE_STALL + limits::JUMP {
            // This process stood still itself.
            self.stuck_since = Some(now);
        }
        let at = self.stuck_since? + limits::WRITE_STALL;
        self.link.0.reporter.is_some().then_some(at)
    }

    fn flush_until(&mut self) -> Instant {
        match self.closing {
            Closing::Not => {
                let until = Instant::now() + CLOSE_WITHIN;
                self.closing = Closing::Flushing(until);
                until
            }
            Closing::Flushing(until) => until,
            Closing::Lingering(linger) => linger.until(),
        }
    }

    /// The link has ended: says goodbye to the socket in the way that fits the reason.
    fn finish(&mut self, cx: &mut Context<'_>, why: &LinkLost) -> Rest {
        let in_order = matches!(why, LinkLost::ClosedHere | LinkLost::PeerClosed);
        if !in_order {
            if let LinkLost::Misbehaved(_) | LinkLost::Stalled = why {
                tracing::warn!(remote = %self.link.facts().remote, why = %shown(&why.to_string()), "link closed");
            } else {
                tracing::debug!(remote = %self.link.facts().remote, why = %shown(&why.to_string()), "link ended");
            }
            return Rest::Ended;
        }
        let mut linger = match self.closing {
            Closing::Lingering(linger) => linger,
            Closing::Not | Closing::Flushing(_) => {
                tracing::debug!(remote = %self.link.facts().remote, why = %shown(&why.to_string()), "link ended");
                match Pin::new(&mut self.stream).poll_shutdown(cx) {
                    // A stream with a buffer of its own waits here for a peer that takes nothing any more.
                    Poll::Pending => {
                        let until = self.flush_until();
                        return if self.poll_timer(cx, until).is_ready() { Rest::Ended } else { Rest::Sleep };
                    }
                    Poll::Ready(Err(_)) => return Rest::Ended,
                    Poll::Ready(Ok(())) if *why == LinkLost::PeerClosed => return Rest::Ended,
                    Poll::Ready(Ok(())) => {}
                }
                Linger::from(Instant::now(), self.link.0.reporter.is_some())
            }
        };
        let drained = self.poll_drain(cx, &mut linger).is_ready();
        self.closing = Closing::Lingering(linger);
        if drained || self.poll_timer(cx, linger.until()).is_ready() { Rest::Ended } else { Rest::Sleep }
    }

    /// Reads away what the peer sent before it learned of the end. `Ready` when it has closed its side.
    fn poll_drain(&mut self, cx: &mut Context<'_>, linger: &mut Linger) -> Poll<()> {
        SCRATCH.with_borrow_mut(|scratch| {
            scratch.resize(SCRATCH_BYTES, 0);
            loop {
                let mut buffer = ReadBuf::new(scratch);
                match ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer)) {
                    Ok(()) if !buffer.filled().is_empty() => linger.heard(Instant::now()),
                    _ => return Poll::Ready(()),
                }
            }
        })
    }

    /// `Ready` when `due` has come. The timer is only moved when it would ring too late: most deadlines never come, and
    /// one early ring every now and then is cheaper than moving it for every call.
    fn poll_timer(&mut self, cx: &mut Context<'_>, due: Instant) -> Poll<()> {
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
        if timer.deadline() > due || (timer.is_elapsed() && timer.deadline() < due) {
            timer.as_mut().reset(due);
        }
        ready!(timer.as_mut().poll(cx));
        if due <= Instant::now() {
            return Poll::Ready(());
        }
        timer.as_mut().reset(due);
        timer.as_mut().poll(cx)
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.link.0.driver.get_or_init(|| cx.waker().clone());
        self.turn(cx)
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // The runtime may end this task at any point; callers on other runtimes must not wait for it.
        self.feed(Input::Broken("the runtime of the link was shut down".to_owned()));
    }
}

/// How a round of writing ended.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Wrote {
    /// Nothing is left.
    All,
    /// The socket takes no more for now, and will wake us.
    Some,
}

/// What the driver does next.
enum Rest {
    Again,
    Sleep,
    Ended,
}

/// Writes until the socket takes no more. `Ready(Ok)` when all is written.
fn write_some(stream: &mut Box<dyn ByteStream>, cx: &mut Context<'_>, transmit: &mut Transmit) -> Poll<io::Result<()>> {
    while !transmit.is_empty() {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let filled = transmit.slices(&mut slices);
        let result = match &slices[..filled] {
            // A plain write is the cheaper system call.
            [slice] => Pin::new(&mut *stream).poll_write(cx, slice),
            slices => Pin::new(&mut *stream).poll_write_vectored(cx, slices),
        };
        match ready!(result) {
            Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            Ok(count) => transmit.advance(count),
            Err(error) => return Poll::Ready(Err(error)),
        }
    }
    // Streams with a buffer of their own (TLS) must be told that this batch is complete.
    Pin::new(stream).poll_flush(cx)
}

thread_local! {
    /// Where links of this thread read into. One is enough, because it is only used inside a turn, so an idle link needs
    /// no buffer at all.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Size of a read, in bytes: several batches of small frames, or the start of a large one.
const SCRATCH_BYTES: usize = 256 << 10;

/// Segments given to one system call.
const SLICES: usize = 32;

/// Rounds of one turn before other tasks of the thread get theirs.
const ROUNDS: usize = 16;

/// How long closing waits for the peer to take the last answers.
const CLOSE_WITHIN: Duration = Duration::from_secs(1);

/// Largest batch of requests whose memory is kept, so that an idle link holds little.
const BATCH_KEPT: usize = 64;
