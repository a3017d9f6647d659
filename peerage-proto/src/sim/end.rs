//! One end of a link: the shipped machine, an application in the smallest sense, and the oracles that watch both.

use std::collections::{BTreeMap, BTreeSet};
use std::io::IoSlice;
use std::time::{Duration, Instant};

use serde::de::IgnoredAny;

use super::tap::{Seen, Talk, Tap};
use super::trace::Trace;
use crate::channel::{Channel, Config, Content, Input, Output, Served, StreamId, Token, Transmit};
use crate::codec::{Encoding, Payload};
use crate::frame::{Dialect, Kind, Unfinished};
use crate::limits;
use crate::outcome::{CallError, Class, Code, LinkLost, Outcome, Stop};

mod calls;
mod subscriptions;
mod talks;

/// One end of a link, watched.
#[derive(Debug)]
pub(super) struct End {
    channel: Channel,
    asked: BTreeMap<Token, Asked>,
    free: Vec<Token>,
    tokens: u32,
    calls: u64,
    /// Requests handed to the application and not answered, in the order in which they came.
    working: Vec<Served>,
    served: BTreeSet<Served>,
    /// Numbers of calls that ended as *did not run* here, of which therefore no whole frame may ever be written.
    unsent: BTreeSet<u64>,
    heard: Tap,
    said: Tap,
    transmit: Option<Transmit>,
    ended: Option<LinkLost>,
    news: Vec<News>,
    outcomes: BTreeMap<Outcome, u32>,
    /// When the process of this end last went on after it had stood still. Nothing could happen before.
    woke: Option<Instant>,
    is_suspected: bool,
    /// Conversations, with how many items were sent and read in each.
    talks: BTreeMap<StreamId, (u64, u64)>,
    /// Which call each request on the wire is.
    numbers: BTreeMap<u64, u64>,
    trace: Trace,
}

/// A call without an outcome.
#[derive(Debug)]
struct Asked {
    number: u64,
    until: Option<Instant>,
    cancelled_at: Option<Instant>,
}

/// What the application learned.
#[derive(Debug)]
pub(super) enum News {
    /// A request came, with the number of the call if it is one of an honest end.
    Request { served: Served, number: Option<u64> },
    /// A call ended.
    Settled { number: u64, result: Result<Option<u64>, CallError> },
    /// A request's work is to end.
    Stop(Served),
    /// The peer's node says something.
    Control { kind: Kind, content: Payload },
    /// No call is open on a link that is to come to rest.
    Idle,
    /// The peer has given the sign of life that it was asked for.
    Answered,
    /// The peer is suspected, or is no longer.
    Quiet(bool),
    /// The word that the caller of this number has given up was written.
    GaveUp { number: u64 },
    /// There is something to be taken from this conversation, or it is over.
    Readable(StreamId),
    /// Something of a subscription, of either end.
    OfEvents(Output),
    /// The link ended.
    Ended,
}

/// What happens at an end that is no call of its own.
impl End {
    pub(super) fn new(config: Config) -> End {
        End {
            heard: Tap::new(&config),
            said: Tap::new(&config),
            channel: Channel::new(config),
            asked: BTreeMap::new(),
            free: Vec::new(),
            tokens: 0,
            calls: 0,
            working: Vec::new(),
            served: BTreeSet::new(),
            unsent: BTreeSet::new(),
            transmit: None,
            ended: None,
            news: Vec::new(),
            outcomes: BTreeMap::new(),
            woke: None,
            is_suspected: false,
            talks: BTreeMap::new(),
            numbers: BTreeMap::new(),
            trace: Trace::new(),
        }
    }

    pub(super) fn receive(&mut self, now: Instant, bytes: &[u8]) {
        assert!(self.channel.wants_bytes(), "a driver reads only when asked to");
        self.heard.hear(bytes, self.channel.encoding());
        self.feed(now, Input::Received(bytes));
    }

    /// What a node wants of its link.
    pub(super) fn order(&mut self, now: Instant, input: Input<'_>) {
        self.feed(now, input);
    }

    /// The process stood still until now.
    pub(super) fn woke(&mut self, now: Instant) {
        self.woke = Some(now);
    }

    /// Until when this must have happened that was to happen at `last`. Clocks of other rates are read to the nanosecond only.
    fn excused(&self, last: Instant) -> Instant {
        self.woke.map_or(last, |woke| last.max(woke)) + Duration::from_nanos(10)
    }

    pub(super) fn peer_closed(&mut self, now: Instant) {
        self.feed(now, Input::PeerClosed);
    }

    pub(super) fn broken(&mut self, now: Instant) {
        self.feed(now, Input::Broken("cut".to_owned()));
    }

    pub(super) fn close(&mut self, now: Instant) {
        self.working.clear();
        self.feed(now, Input::Close);
    }

    /// The time of the nearest timer has come, or somebody rings for nothing.
    pub(super) fn ring(&mut self, now: Instant) {
        self.feed(now, Input::Timeout);
        for asked in self.asked.values() {
            let last = asked.until.and_then(|until| until.checked_add(limits::OUTCOME_GRACE));
            assert!(last.is_none_or(|last| now < last), "O1: call {} has no outcome in time", asked.number);
        }
    }

    /// Rings until nothing is due at `now`.
    pub(super) fn ring_if_due(&mut self, now: Instant) -> bool {
        let mut rang = false;
        for _ in 0..10_000 {
            if self.next_timeout().is_none_or(|at| at > now) {
                return rang;
            }
            self.ring(now);
            rang = true;
        }
        panic!("a timer rings again and again");
    }

    pub(super) fn reply(&mut self, now: Instant, request: Served, content: &Payload) {
        self.done(request);
        self.feed(now, Input::Reply { request, content: Content::Shared(content) });
    }

    pub(super) fn fail(&mut self, now: Instant, request: Served, code: Code, message: &str, data: Option<&Payload>) {
        self.done(request);
        self.feed(now, Input::Fail { request, code, message, data });
    }

    pub(super) fn stopped(&mut self, now: Instant, request: Served, stop: Stop) {
        self.done(request);
        let news = self.news.len();
        self.feed(now, Input::Stopped { request, stop });
        let orders = self.news[news..].iter().filter(|news| !matches!(news, News::Readable(_))).count();
        assert_eq!(orders, 0, "the word on stopped work orders nothing but the end of its streams");
    }

    pub(super) fn fetched(&mut self, now: Instant, request: Served) {
        self.feed(now, Input::Fetched(request));
    }

    /// Borrows the body of a large frame to read into.
    pub(super) fn lend(&mut self) -> Option<Unfinished> {
        if self.channel.wants_bytes() { self.channel.lend() } else { None }
    }

    /// Returns it with `read` appended.
    pub(super) fn take_back(&mut self, now: Instant, unfinished: Unfinished, read: &[u8]) {
        self.channel.take_back(unfinished);
        if !read.is_empty() {
            self.heard.hear(read, self.channel.encoding());
            self.feed(now, Input::Received(&[]));
        }
    }
}

/// Its bytes on their way out.
impl End {
    pub(super) fn takes(&mut self) -> bool {
        if self.transmit.is_some() {
            return false;
        }
        let wanted = self.channel.wants_to_write();
        self.transmit = self.channel.transmit();
        assert_eq!(self.transmit.is_some(), wanted, "what is announced is handed out");
        wanted
    }

    pub(super) fn holds_transmit(&self) -> bool {
        self.transmit.is_some()
    }

    /// Writes up to `limit` of the bytes that were handed out.
    pub(super) fn write(&mut self, limit: usize) -> Vec<u8> {
        let Some(transmit) = &mut self.transmit else {
            return Vec::new();
        };
        let mut written = Vec::new();
        while written.len() < limit && !transmit.is_empty() {
            let mut slices = [IoSlice::new(&[]); 4];
            let filled = transmit.slices(&mut slices);
            assert!(slices[..filled].iter().any(|slice| !slice.is_empty()), "there is something to write");
            let before = written.len();
            for slice in &slices[..filled] {
                let take = slice.len().min(limit - written.len());
                written.extend_from_slice(&slice[..take]);
            }
            transmit.advance(written.len() - before);
        }
        self.watch_written(&written);
        written
    }

    pub(super) fn give_back(&mut self, now: Instant) {
        if let Some(transmit) = self.transmit.take() {
            self.feed(now, Input::Written(transmit));
        }
    }

    fn watch_written(&mut self, written: &[u8]) {
        if written.is_empty() {
            return;
        }
        assert!(self.channel.encoding().is_some(), "nothing is written before the codec is known");
        let side = self.channel.config().side;
        for seen in self.said.hear_honest(written, side) {
            match seen {
                Seen::Request { id, number: Some(number) } => {
                    assert!(!self.unsent.contains(&number), "O2: call {number} did not run, yet it was written");
                    if self.is_full() {
                        self.numbers.insert(id, number);
                    }
                }
                Seen::Cancel { id } => {
                    let number = self.numbers.get(&id).copied();
                    self.news.extend(number.map(|number| News::GaveUp { number }));
                }
                Seen::Answer { id } => {
                    let (answers, requests) = (self.said.times_answered(id), self.heard.times_asked(id));
                    assert!(answers <= requests, "request {id} came {requests} times and was answered {answers} times");
                }
                Seen::Credit { id } => {
                    let widest = limits::STREAM_WINDOW_MAX as u64 - u64::from(limits::STREAM_CREDIT_START);
                    let (granted, spent) = (self.said.granted(id), self.heard.spent(id));
                    assert!(granted <= spent + widest, "O9: credit is returned once: {granted} for {spent}");
                }
                Seen::Grant { number } => {
                    let widest = limits::STREAM_WINDOW_MAX as u64 - u64::from(limits::STREAM_CREDIT_START);
                    let (granted, spent) = (self.said.granted_events(number), self.heard.spent_events(number));
                    assert!(granted <= spent + widest, "O9: a grant is given once: {granted} for {spent}");
                }
                Seen::Events { number } => {
                    let most = u64::from(limits::STREAM_CREDIT_START) + self.heard.granted_events(number);
                    let spent = self.said.spent_events(number);
                    assert!(spent <= most, "O9: events leave within their credit: {spent} of {most}");
                }
                Seen::Request { number: None, .. } | Seen::Other => {}
            }
        }
    }
}

/// What can be seen from outside.
impl End {
    pub(super) fn news(&mut self) -> Vec<News> {
        std::mem::take(&mut self.news)
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.channel.next_timeout()
    }

    /// What this end has said about forms that wants an answer, once.
    pub(super) fn take_talk(&mut self) -> Option<Talk> {
        self.said.talk.take()
    }

    /// The machine, to be looked at.
    pub(super) fn channel(&self) -> &Channel {
        &self.channel
    }

    pub(super) fn wants_bytes(&self) -> bool {
        self.channel.wants_bytes()
    }

    pub(super) fn encoding(&self) -> Encoding {
        self.channel.encoding().unwrap_or(Encoding::Json)
    }

    pub(super) fn working(&self) -> &[Served] {
        &self.working
    }

    pub(super) fn calls(&self) -> u64 {
        self.calls
    }

    pub(super) fn ended(&self) -> Option<&LinkLost> {
        self.ended.as_ref()
    }

    pub(super) fn outcomes(&self) -> &BTreeMap<Outcome, u32> {
        &self.outcomes
    }

    pub(super) fn trace(&self) -> u64 {
        self.trace.value()
    }

    /// After the end nothing is kept.
    pub(super) fn check_empty(&mut self, now: Instant) {
        self.give_back(now);
        for stream in self.talks.keys().copied().collect::<Vec<_>>() {
            self.read_items(now, stream, false);
        }
        self.take_all_events();
        let channel = &self.channel;
        assert!(channel.is_ended() && self.ended.is_some(), "the link has ended");
        assert!(self.asked.is_empty(), "every call has an outcome: {:?}", self.asked);
        let kept = [channel.calls_in_flight(), channel.requests_in_service(), channel.unsent_bytes()];
        let open = [channel.conversations(), channel.feeds(), channel.subscriptions()];
        assert_eq!((kept, open), ([0; 3], [0; 3]), "O8: all tables are empty");
        assert!(channel.next_timeout().is_none() && !channel.wants_bytes() && !channel.wants_to_write());
    }
}

/// The oracles.
impl End {
    fn feed(&mut self, now: Instant, input: Input<'_>) {
        let orders: Vec<Output> = self.channel.handle(now, input).collect();
        for order in orders {
            self.obey(now, order);
        }
        self.check_bounds();
    }

    fn obey(&mut self, now: Instant, order: Output) {
        let is_answer = matches!(order, Output::Settled(_) | Output::Events(_));
        assert!(self.ended.is_none() || is_answer, "nothing is ordered after the end");
        match order {
            Output::Request { request, content } => self.request(now, request, &content),
            Output::Settled(token) => self.settled(now, token),
            Output::Stop(request) => {
                self.trace.note(now, &[3]);
                self.news.push(News::Stop(request));
            }
            Output::Control { kind, content } => {
                assert!(kind.is_of_nodes(), "nodes are told what is theirs");
                self.news.push(News::Control { kind, content });
            }
            Output::Idle => {
                let open = self.channel.calls_in_flight() + self.channel.requests_in_service();
                assert_eq!(open, 0, "a link comes to rest when nothing is open on it");
                self.news.push(News::Idle);
            }
            Output::Answered => self.news.push(News::Answered),
            Output::Quiet => self.suspected(true),
            Output::Heard => self.suspected(false),
            Output::Agreed(_) | Output::Declined(_) | Output::PeerLoad(_) => {}
            Output::Readable(stream) => self.news.push(News::Readable(stream)),
            Output::Writable(_) => {}
            order @ (Output::Subscribed { .. }
            | Output::FeedWritable(_)
            | Output::Confirmed { .. }
            | Output::FeedOver { .. }
            | Output::Events(_)) => self.news.push(News::OfEvents(order)),
            Output::Ended(why) => {
                assert!(self.asked.is_empty(), "calls end before their link: {:?}", self.asked);
                self.trace.note(now, &[4]);
                self.working.clear();
                self.ended = Some(why);
                self.news.push(News::Ended);
            }
        }
    }

    fn request(&mut self, now: Instant, request: Served, content: &Payload) {
        assert!(self.served.insert(request), "every request has a key of its own");
        self.working.push(request);
        let number = content.decode().ok().map(|(number, _): (u64, IgnoredAny)| number);
        self.trace.note(now, &[1, number.unwrap_or(0), content.len() as u64]);
        let stream = self.channel.stream_of_request(request);
        self.talks.extend(stream.map(|stream| (stream, (0, 0))));
        self.news.push(News::Request { served: request, number });
    }

    fn settled(&mut self, now: Instant, token: Token) {
        let mut buffer = Vec::new();
        let outcome = self.channel.collect(token, &mut buffer).expect("what is announced can be collected");
        assert!(self.channel.collect(token, &mut buffer).is_none(), "an outcome is handed out once");
        let result = outcome.map(|answer| answer.into_payload(&buffer)).map_err(|error| *error);
        let asked = self.asked.remove(&token).expect("a call has one outcome");
        self.free.push(token);
        let last = asked.until.and_then(|until| until.checked_add(limits::OUTCOME_GRACE));
        let last = last.map(|last| self.excused(last));
        assert!(
            last.is_none_or(|last| now <= last),
            "O1: call {} ended {:?} late",
            asked.number,
            last.map(|l| now - l)
        );
        let patience = asked.cancelled_at.map(|at| self.excused(at + Duration::from_secs(1)));
        let late = patience.map(|last| now.saturating_duration_since(last)).filter(|late| !late.is_zero());
        assert!(late.is_none(), "O1: the word on cancelled call {} came {late:?} late", asked.number);
        let outcome = result.as_ref().map_or_else(CallError::outcome, |_| Outcome::Ok);
        if outcome.class() == Class::DidNotRun && outcome != Outcome::Busy {
            self.unsent.insert(asked.number);
        }
        if matches!(outcome, Outcome::Cancelled) {
            assert!(asked.cancelled_at.is_some(), "only a cancelled call ends so");
        }
        *self.outcomes.entry(outcome).or_default() += 1;
        self.trace.note(now, &[2, asked.number, outcome as u64]);
        let result = result.map(|value| value.decode().ok().map(|(number, _): (u64, IgnoredAny)| number));
        self.news.push(News::Settled { number: asked.number, result });
    }

    fn check_bounds(&self) {
        let (channel, config) = (&self.channel, self.channel.config());
        assert_eq!(channel.calls_in_flight(), self.asked.len(), "the machine knows the calls that wait");
        assert!(channel.calls_in_flight() <= config.calls_in_flight as usize, "O8: calls in flight are bounded");
        let waiting = self.working.len() + channel.answers_kept_back();
        let withheld = channel.requests_in_service().checked_sub(waiting);
        assert!(withheld.is_some(), "the machine knows the requests in service");
        assert!(withheld == Some(0) || channel.is_gated(), "requests wait behind a pause and nowhere else");
        assert!(channel.requests_in_service() <= config.served_at_once as usize, "O8: requests in service are bounded");
        assert!(channel.feeds() <= limits::SUBSCRIPTIONS_PER_PEER_MAX, "O8: feeds are bounded");
        let frame = config.frame_bytes as usize + 4;
        let replies = limits::UNSENT_REPLY_BYTES + (config.served_at_once as usize + 1) * frame;
        let words = limits::UNSENT_CONTROL_BYTES + frame;
        let unsent = limits::UNSENT_BYTES_HIGH + frame + replies + words;
        assert!(channel.unsent_bytes() <= unsent, "O8: unsent bytes are bounded");
        assert!(self.ended.is_some() == channel.is_ended(), "the end is told");
    }

    fn suspected(&mut self, quiet: bool) {
        assert_ne!(self.is_suspected, quiet, "a peer is suspected and heard again in turns");
        self.is_suspected = quiet;
        self.news.push(News::Quiet(quiet));
    }

    fn done(&mut self, request: Served) {
        self.working.retain(|working| *working != request);
    }

    /// Whether this end speaks the full dialect.
    pub(super) fn is_full(&self) -> bool {
        self.channel.config().dialect == Dialect::Full
    }
}

/// Content that names the call it belongs to.
pub(super) fn numbered(number: u64, padding: usize, encoding: Encoding) -> Payload {
    Payload::encode(&(number, "x".repeat(padding)), encoding).expect("a number and a text can be carried")
}
