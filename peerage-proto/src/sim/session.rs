//! One honest machine against a peer that does whatever a program says.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::end::{End, News, numbered};
use super::epoch;
use super::program::{Deadline, Order, Program, Step};
use super::tap::Talk;
use crate::channel::{FeedId, Input, Output, Room, Served, StreamId};
use crate::codec::{Encoding, Payload, compress};
use crate::frame::{Dialect, Kind};
use crate::liveness::Profile;
use crate::outcome::{Code, Stop};

mod events;

/// Runs the program and then ends the link.
pub(super) fn run(input: &[u8]) {
    let mut program = Program::new(input);
    let mut session = Session {
        end: End::new(program.config()),
        now: epoch(),
        on_the_way: Vec::new(),
        peer_encoding: Encoding::Json,
        answered: Vec::new(),
        feeds: Vec::new(),
        published: 0,
    };
    if input.first().is_some_and(|head| head & 3 == 1 || head & 3 == 3) {
        session.peer_encoding = Encoding::MsgPack;
    }
    for _ in 0..STEPS_MAX {
        let Some(step) = program.step() else { break };
        session.perform(step);
        for news in session.end.news() {
            match news {
                News::Stop(request) => {
                    assert!(session.end.is_full(), "a plain peer cannot cancel");
                    session.answered.push(request);
                }
                News::OfEvents(Output::Subscribed { feed, .. }) => session.feeds.push(feed),
                _ => {}
            }
        }
    }
    session.end.broken(session.now);
    session.end.check_empty(session.now);
}

struct Session {
    end: End,
    now: Instant,
    /// What the peer sent and nobody has read.
    on_the_way: Vec<u8>,
    peer_encoding: Encoding,
    /// Requests that are or should be over, to be answered all the same.
    answered: Vec<Served>,
    /// Feeds that the peer ever asked for.
    feeds: Vec<FeedId>,
    /// Events offered to any of them.
    published: u64,
}

impl Session {
    fn perform(&mut self, step: Step<'_>) {
        let now = self.now;
        match step {
            Step::PeerSends { kind, id, content } => {
                self.send(kind, id, &peer_content(kind, content, self.peer_encoding));
            }
            Step::PeerSendsBody(body) => self.send_body(body),
            Step::PeerSendsBytes(bytes) => self.on_the_way.extend_from_slice(bytes),
            Step::Arrive(piece) => self.arrive(piece),
            Step::PeerCloses => self.end.peer_closed(now),
            Step::LinkBreaks => self.end.broken(now),
            Step::TimePasses(time) => self.pass(time),
            Step::RingForNothing => self.end.ring(now),
            Step::Call { padding, deadline } => {
                let deadline = self.time_of(deadline);
                self.end.call(now, padding, deadline);
            }
            Step::Cancel(nth) => {
                let waiting = self.end.waiting();
                if let Some(number) = waiting.get(nth % waiting.len().max(1)) {
                    self.end.cancel(now, *number);
                }
            }
            Step::Reply { nth, padding } => {
                if let Some(request) = self.pick(nth) {
                    let content = numbered(0, padding, self.end.encoding());
                    self.end.reply(now, request, &content);
                }
            }
            Step::Fail { nth, code, message, data } => self.fail(nth, code, message, data),
            // In the plain dialect nobody is ever told to stop, so there is no word to give.
            Step::Stopped { .. } if !self.end.is_full() => {}
            Step::Stopped { nth, word } => {
                let words = [Stop::NotStarted, Stop::Stopped, Stop::Completed, Stop::Detached];
                if let Some(request) = self.pick(nth) {
                    self.end.stopped(now, request, words[usize::from(word % 4)]);
                }
            }
            Step::Fetch(nth) => {
                if let Some(request) = self.pick(nth) {
                    self.answered.pop();
                    self.end.fetched(now, request);
                }
            }
            Step::Open { .. } | Step::Notify { .. } | Step::Item { .. } | Step::Read(_) | Step::EndTalk { .. } => {
                self.converse(step);
            }
            Step::Events { what, nth, size } => self.events(what, nth, size),
            Step::Order(order) => self.order(order),
            Step::Say { kind, content } => self.say(kind, content),
            Step::Pause(time) => {
                self.now += time;
                self.end.woke(self.now);
            }
            Step::PeerAgrees => self.agree(),
            Step::PeerDeclines => self.decline(),
            Step::Take => drop(self.end.takes()),
            Step::Write(count) => {
                self.end.takes();
                self.end.write(count);
                self.end.give_back(now);
            }
            Step::Close => self.end.close(now),
        }
    }

    /// What our application does with conversations, and with what needs no answer.
    fn converse(&mut self, step: Step<'_>) {
        let now = self.now;
        match step {
            Step::Open { padding, deadline } => {
                let deadline = self.time_of(deadline);
                self.end.open(now, padding, deadline);
            }
            Step::Notify { padding } => self.end.notify(now, padding),
            Step::Item { nth, padding } => {
                if let Some(stream) = self.talk(nth) {
                    let item = numbered(0, padding, [Encoding::Json, Encoding::MsgPack][nth % 2]);
                    self.end.say_anything(now, stream, &item);
                }
            }
            Step::Read(nth) => {
                if let Some(stream) = self.talk(nth) {
                    self.end.read_items(now, stream, false);
                }
            }
            Step::EndTalk { nth, how } => {
                if let Some(stream) = self.talk(nth) {
                    match how % 3 {
                        0 => self.end.deafen(now, stream),
                        how => self.end.end_talk(now, stream, how == 1),
                    }
                }
            }
            _ => {}
        }
    }

    fn time_of(&self, deadline: Deadline) -> Option<Instant> {
        match deadline {
            Deadline::None => None,
            Deadline::In(time) => Some(self.now + time),
            Deadline::EndOfTime => Some(end_of_time()),
        }
    }

    /// The n-th conversation.
    fn talk(&self, nth: usize) -> Option<StreamId> {
        let talks = self.end.talks();
        talks.get(nth % talks.len().max(1)).copied()
    }

    fn order(&mut self, order: Order) {
        let input = match order {
            Order::Retire => Input::Retire,
            Order::Restore => Input::Restore,
            Order::Drain => Input::Drain,
            Order::Probe => Input::Probe,
            Order::Jumped => Input::Jumped,
            Order::Propose(form) => Input::Propose(form),
            Order::LocalHealth(factor) => Input::LocalHealth(factor),
            Order::PeerProfile(millis) => Input::PeerProfile(Profile::from_millis(millis)),
        };
        self.end.order(self.now, input);
        let room = self.end.channel().room();
        match order {
            Order::Retire => assert!(matches!(room, Room::Retired | Room::Never), "a retired link takes no calls"),
            Order::Restore => assert_ne!(room, Room::Retired, "a restored link takes calls again"),
            _ => {}
        }
    }

    /// Our node says something. Kinds that are not said are asked for as well: nothing must come of it.
    fn say(&mut self, kind: u8, content: u8) {
        let kind = Kind::from_number(kind.into(), Dialect::Full).unwrap_or(Kind::Draining);
        let encoding = if content & 1 == 0 { Encoding::MsgPack } else { Encoding::Json };
        let content = numbered(0, usize::from(content), encoding);
        self.end.order(self.now, Input::Control { kind, content: &content });
    }

    /// The peer answers what we have said about forms as it should, and marks its direction.
    fn agree(&mut self) {
        if let Some(Talk::Proposed { id, form } | Talk::Agreed { id, form }) = self.end.take_talk() {
            self.send(Kind::Agree.number(), id, &encoded(&form.numbers(), self.peer_encoding));
            self.peer_encoding = form.encoding();
        }
    }

    fn decline(&mut self) {
        if let Some(Talk::Proposed { id, .. }) = self.end.take_talk() {
            self.send(Kind::Decline.number(), id, &encoded(&(), self.peer_encoding));
        }
    }

    fn send(&mut self, kind: u8, id: u64, content: &[u8]) {
        let mut body = Vec::new();
        self.peer_encoding.put_head(kind, id, &mut body);
        body.extend_from_slice(content);
        self.peer_encoding.put_tail(&mut body);
        self.send_body(&body);
    }

    fn send_body(&mut self, body: &[u8]) {
        if self.on_the_way.len() < ON_THE_WAY_MAX {
            self.on_the_way.extend_from_slice(&(body.len() as u32).to_be_bytes());
            self.on_the_way.extend_from_slice(body);
        }
    }

    fn arrive(&mut self, piece: usize) {
        // Small pieces of a large heap would take seconds and show nothing new.
        let piece = piece.max(self.on_the_way.len() / 64);
        while self.end.wants_bytes() && !self.on_the_way.is_empty() {
            if let Some(mut lent) = self.end.lend() {
                let (buffer, room) = lent.buffer();
                let read: Vec<u8> = self.on_the_way.drain(..room.min(self.on_the_way.len()).min(piece)).collect();
                buffer.extend_from_slice(&read);
                self.end.take_back(self.now, lent, &read);
                continue;
            }
            let read: Vec<u8> = self.on_the_way.drain(..piece.min(self.on_the_way.len())).collect();
            self.end.receive(self.now, &read);
        }
    }

    /// Rings each timer at its time.
    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(at) = self.end.next_timeout().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.end.ring_if_due(self.now);
        }
        self.now = until;
        // Rings for nothing, but looks whether any call should have ended by now.
        self.end.ring(until);
    }

    fn fail(&mut self, nth: usize, code: u8, message: u8, data: u8) {
        let Some(request) = self.pick(nth) else { return };
        let code = match code % 4 {
            0 => Code::PLAIN,
            1 => Code::INTERNAL,
            2 => Code::new("\u{0}".repeat(200)),
            _ => Code::new(""),
        };
        let text =
            ["", "x", "€", "\u{1}"][usize::from(message % 4)].repeat([1, 60, 5_000][usize::from(message / 4 % 3)]);
        let other = if self.end.encoding() == Encoding::Json { Encoding::MsgPack } else { Encoding::Json };
        let nested = [vec![b'['; 32], vec![b']'; 32]].concat();
        let data = match data % 6 {
            0 => Some(numbered(1, 10, self.end.encoding())),
            1 => Some(numbered(1, 199_000, self.end.encoding())),
            2 => Some(Payload::from_parts(Encoding::MsgPack, Bytes::from_static(b"\xc4\x02\x00\xff"))),
            3 => Some(Payload::from_parts(Encoding::Json, Bytes::from(nested))),
            4 => Some(Payload::from_parts(other, Bytes::from_static(b"\xc1"))),
            _ => None,
        };
        self.end.fail(self.now, request, code, &text, data.as_ref());
    }

    /// Some request: in service, or answered long ago.
    fn pick(&mut self, nth: usize) -> Option<Served> {
        let working = self.end.working();
        let all = working.len() + self.answered.len();
        let nth = nth % all.max(1);
        let request = working.get(nth).or_else(|| self.answered.get(nth - working.len())).copied()?;
        if self.answered.len() < 64 {
            self.answered.push(request);
        }
        Some(request)
    }
}

/// Contents a peer may send: some right for their kind, some not.
fn peer_content(kind: u8, choice: u8, encoding: Encoding) -> Vec<u8> {
    match choice % 16 {
        0 => return encoded(&(), encoding),
        1 => return encoded("text", encoding),
        2 => return encoded(&-1, encoding),
        3 => return encoded(&"x".repeat(1_100), encoding),
        _ if choice == 4 => return encoded(&"y".repeat(100_000), encoding),
        _ => {}
    }
    match kind {
        2 => encoded(&("code", "message", [choice]), encoding),
        4 => encoded(&(choice % 6), encoding),
        5 => encoded(&(choice % 6, u64::MAX >> (choice % 64)), encoding),
        7 => encoded(&(choice % 4, "detail"), encoding),
        34 if choice > 16 => encoded(&("code", "message", [choice]), encoding),
        34 => encoded(&(), encoding),
        37..=43 => events::content(kind, choice, encoding),
        35 => encoded(&(u64::from(choice) << (choice % 40)), encoding),
        36 if encoding == Encoding::Json => encoded("a46f68616921", encoding),
        36 => [&[0xc4, 5][..], b"\xa4ohai"].concat(),
        20 | 21 => encoded(&(choice / 16 % 3, choice % 3), encoding),
        128..=130 => block(choice),
        _ => encoded(&(7_u8, "a".repeat(usize::from(choice))), encoding),
    }
}

/// Compressed contents: some that open, some that do not.
fn block(choice: u8) -> Vec<u8> {
    let whole = encoded(&(7_u8, "again and again ".repeat(1 + usize::from(choice))), Encoding::MsgPack);
    let mut block = compress(&whole).map_or(whole, |block| block.to_vec());
    // Behind the marker and the length of the bytes stands the size of what is inside.
    let size = block.get_mut(5..9);
    match (choice % 16, size) {
        (5, Some(size)) => size.copy_from_slice(&u32::MAX.to_le_bytes()),
        (6, Some(size)) => size.fill(0),
        (7, Some(size)) => size[0] ^= 1,
        (8, _) => block.truncate(block.len() / 2),
        (9, _) => block.iter_mut().skip(9).for_each(|byte| *byte = 0),
        (10, _) => block = compress(&[0xc0; 40]).unwrap_or_default().to_vec(),
        _ => {}
    }
    block
}

fn encoded<T: serde::Serialize + ?Sized>(value: &T, encoding: Encoding) -> Vec<u8> {
    Payload::encode(value, encoding).map(|content| content.into_bytes().to_vec()).unwrap_or_default()
}

/// About the largest `Instant` there is.
fn end_of_time() -> Instant {
    (0..63).rev().fold(epoch(), |at, bit| at.checked_add(Duration::from_secs(1 << bit)).unwrap_or(at))
}

/// Steps of a program, at most, so that one input takes milliseconds.
const STEPS_MAX: usize = 2_000;

/// Bytes of the peer that may wait to be read, at most.
const ON_THE_WAY_MAX: usize = 1 << 20;
