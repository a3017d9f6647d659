//! Transcripts: what one end of a link says and does, step by step, with the test in the part of everybody else.
//!
//! Each step either makes something happen (`peer_sends`, `we_call`, `after`) or says what must have come of it
//! (`we_send`, `call_gives`, `we_serve`). What happened and was not said fails the test when the transcript ends.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::{Value as Json, json};

use super::{Channel, Config, Content, Counters, Input, Output, Room, Served, Side, Token, Transmit};
use crate::codec::{Encoding, Payload, compress, decompress};
use crate::frame::{Dialect, FrameDecoder, Kind};
use crate::limits;
use crate::outcome::{Busy, CallError, Code, LinkLost, NotSent, Outcome, PeerMisbehaved, Refused, Stop};

mod answers;
mod budget;
mod calls;
mod endings;
mod events;
mod failures;
mod forms;
mod giving_up;
mod misbehaviour;
mod nodes;
mod pressure;
mod streams;
mod telling;
mod two_ends;
mod watch;
mod writing;

/// A frame as a person would write it down.
#[derive(Clone, Debug, PartialEq)]
struct Frame {
    kind: u64,
    id: u64,
    content: Json,
}

fn frame(kind: u64, id: u64, content: impl Into<Json>) -> Frame {
    Frame { kind, id, content: content.into() }
}

fn request(id: u64, content: impl Into<Json>) -> Frame {
    frame(0, id, content)
}

fn result(id: u64, content: impl Into<Json>) -> Frame {
    frame(1, id, content)
}

fn exception(id: u64, content: impl Into<Json>) -> Frame {
    frame(2, id, content)
}

fn cancel(id: u64) -> Frame {
    frame(3, id, Json::Null)
}

fn stopped(id: u64, stop: Stop) -> Frame {
    frame(4, id, stop.number().expect("a word of the wire"))
}

fn busy(id: u64, why: Busy, retry_ms: u64) -> Frame {
    frame(5, id, json!([why.number(), retry_ms]))
}

fn rejected(id: u64, why: u64, detail: &str) -> Frame {
    frame(7, id, json!([why, detail]))
}

impl Frame {
    fn bytes(&self, encoding: Encoding) -> Vec<u8> {
        let mut body = Vec::new();
        let kind = u8::try_from(self.kind).expect("a small number");
        encoding.put_head(kind, self.id, &mut body);
        let content = Payload::encode(&self.content, encoding).expect("plain data");
        match kind {
            128..=130 => body.extend_from_slice(&compress(content.bytes()).expect("worth it")),
            _ => body.extend_from_slice(content.bytes()),
        }
        encoding.put_tail(&mut body);
        framed(&body)
    }

    /// Reads a body, whatever its codec; compressed content is opened.
    fn of(body: &[u8]) -> Frame {
        let encoding = Encoding::recognise(body[0]).expect("we write in a codec");
        let triple = encoding.split(body).expect("we write frames");
        let content = &body[triple.content];
        let content = match triple.kind {
            128..=130 => decompress(content, limits::FRAME_BYTES_MAX).expect("we compress well"),
            _ => Payload::from_parts(encoding, Bytes::copy_from_slice(content)),
        };
        Frame { kind: triple.kind, id: triple.id, content: content.decode().expect("a value") }
    }
}

/// A body with its length in front.
fn framed(body: &[u8]) -> Vec<u8> {
    [&u32::try_from(body.len()).expect("small").to_be_bytes()[..], body].concat()
}

fn plain(encoding: Encoding) -> Config {
    Config { encoding: Some(encoding), ..Config::default() }
}

fn plain_json() -> Config {
    plain(Encoding::Json)
}

fn full(side: Side) -> Config {
    Config { dialect: Dialect::Full, side, encoding: Some(Encoding::MsgPack), ..Config::default() }
}

fn full_dialler() -> Config {
    full(Side::Dialler)
}

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn epoch() -> Instant {
    #[allow(clippy::disallowed_methods, reason = "tests need one instant to count from")]
    static EPOCH: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    *EPOCH
}

fn not_sent(why: NotSent) -> Result<Json, CallError> {
    Err(CallError::NotSent { why })
}

fn lost(why: LinkLost) -> Result<Json, CallError> {
    Err(CallError::ConnectionLost { why })
}

fn deadline(stop: Stop) -> Result<Json, CallError> {
    Err(CallError::Deadline { stop })
}

fn cancelled(stop: Stop) -> Result<Json, CallError> {
    Err(CallError::Cancelled { stop })
}

fn broken() -> LinkLost {
    LinkLost::Broken("cable cut".into())
}

struct Transcript {
    channel: Channel,
    now: Instant,
    /// What the machine ordered and no step has named yet.
    orders: VecDeque<Output>,
    /// Requests of the peer, in the order in which they came.
    served: Vec<Served>,
    transmit: Option<Transmit>,
    /// What we wrote and no step has named yet.
    wire: FrameDecoder,
    sent: VecDeque<Frame>,
    written: Vec<u8>,
}

fn transcript(config: Config) -> Transcript {
    Transcript {
        channel: Channel::new(config),
        now: epoch(),
        orders: VecDeque::new(),
        served: Vec::new(),
        transmit: None,
        wire: FrameDecoder::new(limits::FRAME_BYTES_MAX),
        sent: VecDeque::new(),
        written: Vec::new(),
    }
}

/// What happens.
impl Transcript {
    fn feed(mut self, input: Input<'_>) -> Self {
        self.orders.extend(self.channel.handle(self.now, input));
        self
    }

    fn peer_sends(self, frame: Frame) -> Self {
        let bytes = frame.bytes(self.channel.reading.expect("known").encoding());
        self.peer_sends_bytes(&bytes)
    }

    fn peer_sends_all(self, frames: &[Frame]) -> Self {
        let encoding = self.channel.reading.expect("known").encoding();
        let bytes: Vec<u8> = frames.iter().flat_map(|frame| frame.bytes(encoding)).collect();
        self.peer_sends_bytes(&bytes)
    }

    fn peer_sends_body(self, body: &[u8]) -> Self {
        self.peer_sends_bytes(&framed(body))
    }

    fn peer_sends_bytes(self, bytes: &[u8]) -> Self {
        assert!(self.channel.wants_bytes(), "nothing is read now");
        self.feed(Input::Received(bytes))
    }

    fn peer_closes(self) -> Self {
        self.feed(Input::PeerClosed)
    }

    fn link_breaks(self) -> Self {
        self.feed(Input::Broken("cable cut".into()))
    }

    fn we_close(self) -> Self {
        self.feed(Input::Close)
    }

    fn we_call(self, token: u32, content: impl Into<Json>) -> Self {
        self.we_call_until(token, content, None)
    }

    fn we_call_within(self, token: u32, content: impl Into<Json>, time: Duration) -> Self {
        let deadline = self.now + time;
        self.we_call_until(token, content, Some(deadline))
    }

    fn we_call_until(self, token: u32, content: impl Into<Json>, deadline: Option<Instant>) -> Self {
        let encoding = self.channel.encoding().unwrap_or(Encoding::Json);
        let content = Payload::encode(&content.into(), encoding).expect("plain data");
        self.feed(Input::Call { token: Token(token), content: Content::Shared(&content), deadline })
    }

    fn we_cancel(self, token: u32) -> Self {
        self.feed(Input::Cancel(Token(token)))
    }

    /// Answers the n-th request of this transcript.
    fn we_reply(self, nth: usize, content: impl Into<Json>) -> Self {
        let content = Payload::encode(&content.into(), self.channel.encoding().expect("known")).expect("plain data");
        let request = self.served[nth];
        self.feed(Input::Reply { request, content: Content::Copied(content.encoding(), content.bytes()) })
    }

    fn we_fail(self, nth: usize, code: Code, message: &str, data: Option<&Payload>) -> Self {
        let request = self.served[nth];
        self.feed(Input::Fail { request, code, message, data })
    }

    fn we_reject(self, nth: usize, why: &Refused) -> Self {
        let request = self.served[nth];
        self.feed(Input::Reject { request, why })
    }

    fn we_put_off(self, nth: usize, why: Busy, retry_after: Duration) -> Self {
        let request = self.served[nth];
        self.feed(Input::PutOff { request, why, retry_after })
    }

    fn we_stopped(self, nth: usize, stop: Stop) -> Self {
        let request = self.served[nth];
        self.feed(Input::Stopped { request, stop })
    }

    fn we_fetch(self, nth: usize) -> Self {
        let request = self.served[nth];
        self.feed(Input::Fetched(request))
    }

    fn our_node_says(self, kind: Kind, content: impl Into<Json>) -> Self {
        let content = Payload::encode(&content.into(), Encoding::MsgPack).expect("plain data");
        self.feed(Input::Control { kind, content: &content })
    }

    /// Lets time pass; the machine is woken whenever it asked for it, and once more for nothing at the end.
    fn after(mut self, time: Duration) -> Self {
        let end = self.now + time;
        for _ in 0..10_000 {
            let Some(at) = self.channel.next_timeout().filter(|at| *at <= end) else {
                self.now = end;
                return self.feed(Input::Timeout);
            };
            self.now = self.now.max(at);
            self = self.feed(Input::Timeout);
        }
        panic!("the machine asks to be woken again and again");
    }

    fn driver_takes_what_waits(mut self) -> Self {
        assert!(self.transmit.is_none() && self.channel.wants_to_write());
        self.transmit = self.channel.transmit();
        assert!(self.transmit.is_some() && !self.channel.wants_to_write(), "one batch at a time");
        self
    }

    fn driver_writes(mut self, count: usize) -> Self {
        let transmit = self.transmit.as_mut().expect("the driver has something");
        let mut left = count;
        while left > 0 {
            let mut slices = [IoSlice::new(&[]); 3];
            let filled = transmit.slices(&mut slices);
            assert!(filled > 0, "there are {left} bytes too few");
            let bytes = &slices[0][..slices[0].len().min(left)];
            self.written.extend_from_slice(bytes);
            left -= bytes.len();
            let taken = bytes.len();
            transmit.advance(taken);
        }
        self
    }

    fn driver_gives_back(mut self) -> Self {
        let transmit = self.transmit.take().expect("the driver has something");
        self.feed(Input::Written(transmit))
    }

    fn we_write(self, count: usize) -> Self {
        self.driver_takes_what_waits().driver_writes(count).driver_gives_back()
    }

    fn we_write_all(mut self) -> Self {
        while self.channel.wants_to_write() {
            self = self.driver_takes_what_waits();
            while let Some(transmit) = self.transmit.as_mut().filter(|transmit| !transmit.is_empty()) {
                let mut slices = [IoSlice::new(&[]); 3];
                let filled = transmit.slices(&mut slices);
                let count = slices[..filled].iter().map(|slice| slice.len()).sum();
                self = self.driver_writes(count);
            }
            self = self.driver_gives_back();
        }
        self
    }
}

/// What must have come of it.
impl Transcript {
    fn we_send(mut self, expected: Frame) -> Self {
        self = self.we_write_all();
        let written = std::mem::take(&mut self.written);
        let mut rest = &written[..];
        while let Some(body) = self.wire.next(&mut rest).expect("we keep to our own limits") {
            self.sent.push_back(Frame::of(body.bytes()));
        }
        assert_eq!(self.sent.pop_front().as_ref(), Some(&expected));
        self
    }

    fn we_send_nothing(self) -> Self {
        assert_eq!(self.sent.front(), None);
        assert!(!self.channel.wants_to_write(), "{} bytes wait", self.channel.unsent_bytes());
        self
    }

    fn forget_what_was_sent(mut self) -> Self {
        self = self.we_write_all();
        self.written.clear();
        self.sent.clear();
        self
    }

    fn next_order(&mut self) -> Output {
        self.orders.pop_front().expect("something more was ordered")
    }

    fn call_gives(mut self, token: u32, expected: Result<Json, CallError>) -> Self {
        match self.next_order() {
            Output::Settled(settled) => {
                let mut buffer = Vec::new();
                let outcome = self.channel.collect(settled, &mut buffer).expect("what is announced can be collected");
                let result = outcome.map(|answer| answer.decode::<Json>(&buffer).expect("plain data"));
                assert_eq!((settled.0, result.map_err(|error| *error)), (token, expected));
            }
            other => panic!("call {token} should end, but: {other:?}"),
        }
        self
    }

    fn call_returns(self, token: u32, value: impl Into<Json>) -> Self {
        self.call_gives(token, Ok(value.into()))
    }

    fn we_serve(mut self, expected: impl Into<Json>) -> Self {
        match self.next_order() {
            Output::Request { request, content } => {
                assert_eq!(content.decode::<Json>(), Ok(expected.into()));
                self.served.push(request);
            }
            other => panic!("a request should come, but: {other:?}"),
        }
        self
    }

    fn we_serve_next(mut self) -> Self {
        match self.next_order() {
            Output::Request { request, .. } => self.served.push(request),
            other => panic!("a request should come, but: {other:?}"),
        }
        self
    }

    fn we_are_told_to_stop(mut self, nth: usize) -> Self {
        match self.next_order() {
            Output::Stop(request) => assert_eq!(request, self.served[nth]),
            other => panic!("request {nth} should be stopped, but: {other:?}"),
        }
        self
    }

    fn link_ends(mut self, expected: LinkLost) -> Self {
        match self.next_order() {
            Output::Ended(why) => assert_eq!(why, expected),
            other => panic!("the link should end, but: {other:?}"),
        }
        assert!(self.channel.is_ended());
        self
    }

    fn link_ends_because_the_peer(self, misbehaved: PeerMisbehaved) -> Self {
        self.link_ends(LinkLost::Misbehaved(misbehaved))
    }

    fn our_node_is_told(mut self, kind: Kind, content: impl Into<Json>) -> Self {
        match self.next_order() {
            Output::Control { kind: found, content: said } => {
                assert_eq!((found, said.decode::<Json>()), (kind, Ok(content.into())));
            }
            other => panic!("our node should be told of {kind:?}, but: {other:?}"),
        }
        self
    }

    fn link_is_idle(mut self) -> Self {
        match self.next_order() {
            Output::Idle => self,
            other => panic!("the link should be idle, but: {other:?}"),
        }
    }

    fn nothing_happens(self) -> Self {
        assert!(self.orders.is_empty(), "ordered: {:?}", self.orders);
        self
    }

    fn counters(self, check: impl FnOnce(Counters) -> bool) -> Self {
        let counters = self.channel.counters();
        assert!(check(counters), "{counters:?}");
        self
    }

    fn holds(self, check: impl FnOnce(&Channel) -> bool) -> Self {
        assert!(check(&self.channel), "{:?}", self.channel);
        self
    }

    /// After the end nothing is kept, nothing is written and nothing rings.
    fn everything_is_freed(self) -> Self {
        let channel = &self.channel;
        assert!(channel.is_ended() && channel.next_timeout().is_none());
        assert!(!channel.wants_bytes() && !channel.wants_to_write() && channel.room() == Room::Never);
        assert_eq!((channel.calls_in_flight(), channel.requests_in_service()), (0, 0));
        assert_eq!((channel.unsent_bytes(), channel.serving.unread(), channel.held.len()), (0, 0, 0));
        assert!(!channel.decoder.is_partial());
        self
    }
}

impl Drop for Transcript {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert!(self.orders.is_empty(), "nobody expected: {:?}", self.orders);
            assert!(self.sent.is_empty(), "nobody expected: {:?}", self.sent);
        }
    }
}
