//! What the next bytes on one link mean: the machine of requests and replies.
//!
//! Both ends of a link may ask and both may answer, in any order. This machine keeps the books for one end: calls of
//! ours that have no outcome yet, requests of the peer that have no answer yet, bytes that wait to be written. It never
//! touches a socket or a clock. A driver (or a simulator, or a fuzzer) feeds it [`Input`]s with the time of day, carries
//! out the [`Output`]s, and writes what [`Channel::transmit`] hands out.
//!
//! ```text
//!   application ──Call, Cancel──▶ ┌─────────┐ ──Settled──▶ application
//!   handlers ──Reply, Fail──────▶ │ Channel │ ──Request, Stop──▶ handlers
//!   socket ──Received───────────▶ └─────────┘ ──transmit()──▶ socket
//! ```
//!
//! What it promises, whatever the peer does:
//!
//! * every call gets exactly one [`Output::Settled`], no later than its deadline + [`limits::OUTCOME_GRACE`];
//! * an outcome of the class *did not run* is only given while no byte of the request can have left, or on the peer's
//!   own refusal;
//! * a request is answered at most once, and nothing is written after the link has ended;
//! * nothing grows without a bound: calls, requests and bytes each have their limit in [`Config`].
//!
//! The [`Dialect`] is a parameter. A plain peer knows neither *cancel* nor *busy*: there a deadline or a cancel acts at
//! the caller only, and a full table of requests makes the machine stop asking for bytes ([`Channel::wants_bytes`]).

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;

use crate::codec::{Encoding, Form};
use crate::frame::{Dialect, FrameDecoder, Unfinished};
use crate::limits;
use crate::outcome::{CallError, LinkLost};
use crate::outputs::Outputs;

mod answering;
mod budget;
mod bulk;
mod config;
mod content;
mod control;
mod conversing;
mod counters;
mod credit;
mod ending;
mod feeds;
mod forms;
mod in_flight;
mod inbound;
mod input;
mod items;
mod listening;
mod load;
mod outbound;
mod outgoing;
mod output;
mod pieces;
mod renegotiation;
mod serving;
mod streams;
#[cfg(test)]
mod tests;
mod watch;
mod writing;

use budget::{Allowance, Thrift};
use control::Standing;
use counters::count;
use feeds::Feeds;
use forms::Forms;
use in_flight::InFlight;
use listening::Listening;
use load::Load;
use outgoing::Outgoing;
use serving::Serving;
use streams::Streams;
use watch::Watch;

pub use crate::frame::Side;
pub use config::Config;
pub use content::Content;
pub use conversing::{ItemRoom, Taken};
pub use counters::Counters;
pub use feeds::FeedId;
pub use in_flight::{Answer, Token};
pub use input::Input;
pub use listening::Listened;
pub use outgoing::Transmit;
pub use output::Output;
pub use serving::Served;
pub use streams::StreamId;

/// One end of one link.
#[derive(Debug)]
pub struct Channel {
    config: Config,
    /// What we write in; `None` while it is still to be recognised.
    encoding: Option<Encoding>,
    /// Whether we compress large contents.
    compresses: bool,
    /// What we read.
    reading: Option<Form>,
    forms: Forms,
    phase: Phase,
    decoder: FrameDecoder,
    /// Bytes still missing of the frame that is lent out.
    lent: usize,
    /// Bytes that arrived and wait for room: frames behind the one that took the last of it.
    held: Bytes,
    /// Since when there is room for the held bytes and nobody has looked at them.
    held_since: Option<Instant>,
    /// The peer closed its direction, behind the held bytes.
    peer_is_closed: bool,
    /// When the peer last made progress, or reading went on after a pause of ours.
    progress: Option<Instant>,
    calls: InFlight,
    next_id: u64,
    serving: Serving,
    streams: Streams,
    /// Subscriptions of the peer here, and of ours there.
    feeds: Feeds,
    listening: Listening,
    /// Highest id the peer has used; full dialect only.
    peer_id: Option<u64>,
    outgoing: Outgoing,
    standing: Standing,
    watch: Watch,
    /// What the peer may still send of small frames, and we.
    allowance: Allowance,
    thrift: Thrift,
    load: Load,
    orders: VecDeque<Output>,
    counters: Counters,
}

/// How far a link's life has gone.
///
/// ```text
///   Open ──peer closed──▶ Answering ──all answered──▶ Ended
///     └──────close──────▶ Flushing ──all written────▶ Ended
///     └──────broken, misbehaved, stalled────────────▶ Ended
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
enum Phase {
    Open,
    /// The peer sends nothing more; requests it sent before are still answered.
    Answering,
    /// This end closes; what was answered is still written.
    Flushing,
    Ended(LinkLost),
}

/// Whether a call could be admitted now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Room {
    /// Yes.
    Yes,
    /// Not now: too many calls or bytes are on their way. Later.
    Later,
    /// Not on this link: another one carries new calls. Whoever is refused for this has certainly not been served.
    Retired,
    /// Never again: the link takes no calls any more.
    Never,
}

impl Channel {
    /// A link that has just been established.
    pub fn new(mut config: Config) -> Channel {
        config.frame_bytes = config.frame_bytes.max(limits::FRAME_BYTES_MIN);
        let next_id = match (config.dialect, config.side) {
            (Dialect::Full, Side::Acceptor) => 1,
            _ => 0,
        };
        Channel {
            encoding: config.encoding,
            compresses: false,
            reading: config.encoding.map(Form::plain),
            forms: Forms::new(config.side, config.compression),
            decoder: FrameDecoder::new(config.frame_bytes),
            config,
            phase: Phase::Open,
            lent: 0,
            held: Bytes::new(),
            held_since: None,
            peer_is_closed: false,
            progress: None,
            calls: InFlight::default(),
            next_id,
            serving: Serving::default(),
            streams: Streams::default(),
            feeds: Feeds::default(),
            listening: Listening::default(),
            peer_id: None,
            outgoing: Outgoing::default(),
            standing: Standing::default(),
            watch: Watch::default(),
            allowance: Allowance::default(),
            thrift: Thrift::default(),
            load: Load::default(),
            orders: VecDeque::new(),
            counters: Counters::default(),
        }
    }

    /// Feeds one input. The returned orders must be carried out in sequence before the next input.
    #[inline]
    pub fn handle(&mut self, now: Instant, input: Input<'_>) -> Outputs<'_, Output> {
        match input {
            // There is one of these for every call and every request, and the rest is nothing to them.
            Input::Call { token, content, deadline } => self.call(now, token, content, deadline),
            Input::Reply { request, content } if self.is_at_ease() => self.reply(request, content),
            Input::Load(load) => self.note_load(now, load),
            input => self.take_in(now, input),
        }
        Outputs::new(&mut self.orders)
    }

    /// Whether an answer changes nothing but what waits to be written: nothing waits for room or for rest, or to end.
    #[inline]
    fn is_at_ease(&self) -> bool {
        self.phase == Phase::Open
            && self.held.is_empty()
            && !self.serving.is_withholding()
            && !self.standing.retired
            && !self.standing.draining
    }

    fn take_in(&mut self, now: Instant, input: Input<'_>) {
        // The word on stopped work only ever queues a frame, so that it can be given while orders are carried out.
        let resumes = !matches!(input, Input::Stopped { .. });
        if self.config.liveness.is_some() {
            self.look_at_the_time(now);
        }
        if !self.feeds.is_empty() {
            self.feeds.note_time(now);
        }
        match input {
            Input::Call { token, content, deadline } => self.call(now, token, content, deadline),
            Input::Open { token, content, deadline } => self.open(now, token, content, deadline),
            Input::Item { stream, content } => self.send_item(stream, content),
            Input::Finish(stream) => self.end_stream(stream, None),
            Input::Abort { stream, code, message, data } => self.end_stream(stream, Some((&code, message, data))),
            Input::Deafen(stream) => self.deafen(stream),
            Input::Notify { token, content } => self.notify(now, token, content),
            Input::Received(bytes) => self.received(now, bytes),
            Input::PeerClosed => self.peer_closed(),
            Input::Broken(why) => self.end(LinkLost::Broken(why)),
            Input::Timeout => self.timeout(now),
            Input::Subscribe { number, wish } => self.subscribe(now, number, wish),
            Input::Unsubscribe { number, finish } => self.unsubscribe(now, number, finish),
            Input::Garbled { number } => self.garbled(number),
            Input::Attach { feed, policy, attachment } => self.attach(now, feed, policy, attachment),
            Input::EndFeed { feed, why } => self.end_feed(feed, why),
            Input::Cancel(token) => self.cancel(now, token),
            Input::Reply { request, content } => self.reply(request, content),
            Input::Fail { request, code, message, data } => self.fail(request, &code, message, data),
            Input::Reject { request, why } => self.reject(request, why),
            Input::PutOff { request, why, retry_after } => self.put_off(request, why, retry_after),
            Input::Stopped { request, stop } => self.stopped(request, stop),
            Input::Fetched(request) => self.serving.fetched(request),
            Input::Written(transmit) => self.written(now, transmit),
            Input::TooSlow => self.end(LinkLost::TooSlow),
            Input::Close => self.close(),
            Input::Control { kind, content } => self.say(kind, content),
            Input::Retire => self.standing.retired = true,
            Input::Restore => self.standing.retired = false,
            Input::Drain => self.drain(),
            Input::PeerProfile(profile) => self.watch.peer_announces(now, profile),
            Input::LocalHealth(factor) => self.watch.set_local_health(now, factor),
            Input::Probe => self.probe(now),
            Input::Jumped => self.jumped(now),
            Input::Propose(form) => self.propose(now, form),
            Input::Load(load) => self.note_load(now, load),
        }
        if resumes {
            self.resume(now);
            self.release_withheld();
            self.tell_when_idle();
            self.watch_peer(now);
            if self.thrift.is_withholding() {
                self.release_cancels(now);
            }
            if self.listening.is_withholding() {
                self.release_changes(now);
            }
            if self.outgoing.control_len() > limits::UNSENT_CONTROL_BYTES {
                self.end(LinkLost::TooSlow);
            }
        }
        self.held_since = (!self.held.is_empty() && self.has_room()).then_some(now);
        self.finish_if_done();
    }

    /// The orders of the last input, as far as they were not taken from what [`handle`](Self::handle) returned.
    pub fn orders(&mut self) -> Outputs<'_, Output> {
        Outputs::new(&mut self.orders)
    }

    /// Hands out the outcome of a call after [`Output::Settled`]; `None` if there is none, or no longer.
    ///
    /// A small value is put into `buffer` ([`Answer::Copied`]), whose former content is lost; a large one, and an error,
    /// leave it alone.
    #[inline]
    pub fn collect(&mut self, token: Token, buffer: &mut Vec<u8>) -> Option<Result<Answer, Box<CallError>>> {
        self.calls.collect(token, buffer)
    }

    /// Hands out the bytes that wait to be written. They come back with [`Input::Written`]; until then there are no more.
    pub fn transmit(&mut self) -> Option<Transmit> {
        if self.lane_has_turns() {
            self.fill_lane();
        }
        if self.is_ended() { None } else { self.outgoing.take() }
    }

    /// Lends out the body of a large frame that is still arriving, to be read into place from the socket.
    ///
    /// It comes back with [`take_back`](Self::take_back), followed by an empty [`Input::Received`]; in between the
    /// machine must not be given bytes.
    pub fn lend(&mut self) -> Option<Unfinished> {
        let lent = self.decoder.lend(LEND_FROM_BYTES)?;
        self.lent = lent.missing();
        Some(lent)
    }

    /// Takes back what [`lend`](Self::lend) gave out.
    pub fn take_back(&mut self, unfinished: Unfinished) {
        count(&mut self.counters.bytes_in, self.lent.saturating_sub(unfinished.missing()) as u64);
        if self.phase == Phase::Open {
            self.decoder.take_back(unfinished);
        }
    }

    /// When to call [`handle`](Self::handle) with [`Input::Timeout`]; `None` means only on other input.
    pub fn next_timeout(&self) -> Option<Instant> {
        let watch = if self.phase == Phase::Open { self.watch.due() } else { None };
        let calls = [self.calls.next_deadline(), self.stalls_at(), self.held_since, self.thrift.due(), watch];
        calls.into_iter().chain([self.feeds.due(), self.listening.due()]).flatten().min()
    }

    /// Whether the machine wants to be given bytes. While it does not, a plain peer is held back by TCP.
    pub fn wants_bytes(&self) -> bool {
        self.phase == Phase::Open && self.held.is_empty() && self.has_room()
    }

    /// Whether [`transmit`](Self::transmit) has something to hand out.
    pub fn wants_to_write(&self) -> bool {
        let has_turns = self.lane_has_turns() && !self.outgoing.is_out();
        (self.outgoing.is_ready() || has_turns) && !self.is_ended()
    }

    /// Whether a stream or a feed could send a frame.
    #[inline]
    fn lane_has_turns(&self) -> bool {
        self.streams.has_turns() || self.feeds.has_turns()
    }

    /// Whether a call could be admitted now.
    pub fn room(&self) -> Room {
        if self.phase != Phase::Open {
            Room::Never
        } else if self.standing.retired {
            Room::Retired
        } else if self.calls.len() >= self.config.calls_in_flight as usize
            || self.outgoing.len() >= limits::UNSENT_BYTES_HIGH
        {
            Room::Later
        } else {
            Room::Yes
        }
    }

    /// Whether the link has ended.
    pub fn is_ended(&self) -> bool {
        matches!(self.phase, Phase::Ended(_))
    }

    /// Whether this end is closing and only waits for its last answers to be written.
    pub fn is_closing(&self) -> bool {
        self.phase == Phase::Flushing
    }

    /// Whether calls and subscriptions are open in neither direction, and nothing waits to be written: an answer that has not
    /// left yet belongs to a call that is open at the peer.
    pub fn is_idle(&self) -> bool {
        let calls = self.calls.len() == 0 && self.serving.len() == 0;
        calls && self.feeds.is_empty() && self.listening.is_empty() && self.outgoing.len() == 0
    }

    /// The form in which this end writes; `None` while it is still to be recognised.
    pub fn form(&self) -> Option<Form> {
        let compressed = self.compresses.then_some(Form::COMPRESSED);
        self.encoding.map(|encoding| compressed.unwrap_or(Form::plain(encoding)))
    }

    /// The encoding in which this end writes; `None` while it is still to be recognised.
    pub fn encoding(&self) -> Option<Encoding> {
        self.encoding
    }

    /// How this end behaves.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What happened so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Calls of ours without an outcome.
    pub fn calls_in_flight(&self) -> usize {
        self.calls.len()
    }

    /// Requests of the peer without an answer.
    pub fn requests_in_service(&self) -> usize {
        self.serving.len()
    }

    /// Bytes that wait to be written.
    pub fn unsent_bytes(&self) -> usize {
        self.outgoing.len()
    }
}

/// Missing bytes of a frame from which on it is read into place instead of through the driver's buffer.
const LEND_FROM_BYTES: usize = 64 << 10;
