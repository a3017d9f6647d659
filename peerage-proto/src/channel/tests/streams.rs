//! Conversations: calls whose two directions are streams.

use super::*;
use crate::channel::{ItemRoom, StreamId, Taken};

mod large;
mod misuse;

fn open(id: u64, content: impl Into<Json>) -> Frame {
    frame(32, id, content)
}

fn item(id: u64, content: impl Into<Json>) -> Frame {
    frame(33, id, content)
}

fn end(id: u64, content: impl Into<Json>) -> Frame {
    frame(34, id, content)
}

fn credit(id: u64, bytes: u64) -> Frame {
    frame(35, id, bytes)
}

/// A text that costs as much as the whole first window, or a part of it.
fn text_of_window(part: usize) -> String {
    "x".repeat(limits::STREAM_CREDIT_START as usize / part - limits::ITEM_OVERHEAD_BYTES - 3)
}

impl Transcript {
    fn we_open(self, token: u32, content: impl Into<Json>) -> Self {
        let content = Payload::encode(&content.into(), self.channel.encoding().expect("known")).expect("plain data");
        self.feed(Input::Open { token: Token(token), content: Content::Shared(&content), deadline: None })
    }

    fn ours(&self, token: u32) -> StreamId {
        self.channel.stream_of_call(Token(token)).expect("a conversation of ours")
    }

    fn theirs(&self, nth: usize) -> StreamId {
        self.channel.stream_of_request(self.served[nth]).expect("a conversation of the peer's")
    }

    fn we_say(self, stream: StreamId, content: impl Into<Json>) -> Self {
        let content = Payload::encode(&content.into(), self.channel.encoding().expect("known")).expect("plain data");
        assert_eq!(self.channel.item_room(stream, content.len()), ItemRoom::Yes);
        self.feed(Input::Item { stream, content: Content::Shared(&content) })
    }

    fn we_finish(self, stream: StreamId) -> Self {
        self.feed(Input::Finish(stream))
    }

    fn we_abort(self, stream: StreamId, code: &'static str, message: &str) -> Self {
        self.feed(Input::Abort { stream, code: Code::new(code), message, data: None })
    }

    fn gets_readable(mut self, stream: StreamId) -> Self {
        match self.next_order() {
            Output::Readable(found) => assert_eq!(found, stream),
            other => panic!("{stream:?} should be readable, but: {other:?}"),
        }
        self
    }

    fn gets_writable(mut self, stream: StreamId) -> Self {
        match self.next_order() {
            Output::Writable(found) => assert_eq!(found, stream),
            other => panic!("{stream:?} should be writable, but: {other:?}"),
        }
        self
    }

    fn gets_over(self, stream: StreamId) -> Self {
        self.gets_readable(stream).gets_writable(stream)
    }

    fn we_take(mut self, stream: StreamId, expected: impl Into<Json>) -> Self {
        match self.channel.take_item(stream) {
            Taken::Item(item) => assert_eq!(item.decode::<Json>(), Ok(expected.into())),
            other => panic!("an item should come, but: {other:?}"),
        }
        self
    }

    fn we_take_nothing(mut self, stream: StreamId) -> Self {
        assert!(matches!(self.channel.take_item(stream), Taken::Nothing));
        self
    }

    fn we_take_the_end(mut self, stream: StreamId) -> Self {
        assert!(matches!(self.channel.take_item(stream), Taken::End));
        self
    }

    fn there_is_no_stream(mut self, stream: StreamId) -> Self {
        assert!(matches!(self.channel.take_item(stream), Taken::Over));
        assert_eq!(self.channel.item_room(stream, 1), ItemRoom::Over);
        self
    }

    fn has_room(self, stream: StreamId, room: ItemRoom) -> Self {
        assert_eq!(self.channel.item_room(stream, 1), room);
        self
    }

    fn forget_orders(mut self) -> Self {
        self.orders.clear();
        self
    }

    fn parts_and_rest(mut self) -> Vec<(u64, usize)> {
        self = self.we_write_all();
        let written = std::mem::take(&mut self.written);
        let (mut rest, mut found) = (&written[..], Vec::new());
        while let Some(body) = self.wire.next(&mut rest).expect("we keep to our own limits") {
            let encoding = Encoding::recognise(body.bytes()[0]).expect("we write in a codec");
            let triple = encoding.split(body.bytes()).expect("we write frames");
            found.push((triple.kind, triple.content.len()));
        }
        self.orders.clear();
        found
    }
}

/// We have opened a conversation, which is written.
fn opened() -> (Transcript, StreamId) {
    let link = transcript(full_dialler()).we_open(0, "talk").we_send(open(0, "talk"));
    let stream = link.ours(0);
    (link, stream)
}

/// The peer has opened one.
fn serving() -> (Transcript, StreamId) {
    let link = transcript(full(Side::Acceptor)).peer_sends(open(0, "talk")).we_serve("talk");
    let stream = link.theirs(0);
    (link, stream)
}

#[test]
fn items_go_both_ways_in_order_and_the_answer_ends_it() {
    let (link, stream) = opened();
    link.we_say(stream, 1)
        .we_say(stream, 2)
        .we_finish(stream)
        .we_send(item(0, 1))
        .we_send(item(0, 2))
        .we_send(end(0, Json::Null))
        .peer_sends_all(&[item(0, "a"), item(0, "b"), end(0, Json::Null), result(0, "done")])
        .gets_readable(stream)
        .call_returns(0, "done")
        .gets_over(stream)
        .we_take(stream, "a")
        .we_take(stream, "b")
        .there_is_no_stream(stream)
        .holds(|channel| channel.is_idle());
}

#[test]
fn a_direction_ends_while_the_other_goes_on() {
    let (link, stream) = opened();
    link.peer_sends_all(&[item(0, "a"), end(0, Json::Null)])
        .gets_readable(stream)
        .we_take(stream, "a")
        .we_take_the_end(stream)
        .we_take_the_end(stream)
        .we_say(stream, "still here")
        .we_send(item(0, "still here"));
}

#[test]
fn what_an_abort_says_comes_behind_the_items() {
    let (mut link, stream) = opened();
    link = link.peer_sends_all(&[item(0, "a"), end(0, json!(["broken-pipe", "no more", [7]]))]).gets_readable(stream);
    link = link.we_take(stream, "a");
    match link.channel.take_item(stream) {
        Taken::Aborted(why) => match *why {
            CallError::Remote { code, message, data } => {
                assert_eq!((code.as_str(), message.as_str()), ("broken-pipe", "no more"));
                assert_eq!(data.expect("data").decode::<Json>(), Ok(json!([7])));
            }
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
    link.we_say(stream, 1)
        .we_abort(stream, "gone", "the disk is full")
        .has_room(stream, ItemRoom::Over)
        .we_send(item(0, 1))
        .we_send(end(0, json!(["gone", "the disk is full", null])));
}

#[test]
fn the_callee_answers_behind_the_items_that_wait_for_credit() {
    let (mut link, stream) = serving();
    let half = text_of_window(4);
    for n in 0..5 {
        link = if n < 4 { link.we_say(stream, half.as_str()) } else { link.we_say(stream, "last") };
        link = link.we_write_all().forget_what_was_sent();
    }
    link.we_reply(0, "done")
        .we_send_nothing()
        .has_room(stream, ItemRoom::Over)
        .holds(|channel| channel.requests_in_service() == 1)
        .peer_sends(credit(0, 16 << 10))
        .we_send(item(0, "last"))
        .we_send(result(0, "done"))
        .gets_over(stream)
        .there_is_no_stream(stream)
        .holds(|channel| channel.requests_in_service() == 0 && channel.is_idle());
}

#[test]
fn failures_and_refusals_too_wait_for_the_items_before_them() {
    let data = Payload::encode(&7, Encoding::MsgPack).expect("a number");
    let waiting = || {
        let (link, stream) = serving();
        (link.we_say(stream, "x"), stream)
    };
    let (link, stream) = waiting();
    link.we_fail(0, Code::new("c"), "m", Some(&data))
        .we_reply(0, "a second answer")
        .we_send(item(0, "x"))
        .we_send(exception(0, json!(["c", "m", 7])))
        .gets_over(stream)
        .we_send_nothing();
    let (link, stream) = waiting();
    link.we_reject(0, &Refused::BadRequest("no".into()))
        .we_send(item(0, "x"))
        .we_send(rejected(0, 0, "no"))
        .gets_over(stream);
}

#[test]
fn a_cancel_takes_what_waits_with_it() {
    let (link, stream) = serving();
    link.we_say(stream, "never sent")
        .we_reply(0, "nor this")
        .peer_sends(cancel(0))
        .we_send(stopped(0, Stop::Completed))
        .gets_over(stream)
        .we_send_nothing();
    let (link, stream) = serving();
    link.we_say(stream, "never sent")
        .peer_sends(cancel(0))
        .we_are_told_to_stop(0)
        .we_stopped(0, Stop::Stopped)
        .gets_over(stream)
        .we_send(stopped(0, Stop::Stopped))
        .we_send_nothing()
        .there_is_no_stream(stream);
}

#[test]
fn a_caller_that_gives_up_throws_away_what_still_comes() {
    let (link, stream) = opened();
    link.peer_sends(item(0, "before"))
        .gets_readable(stream)
        .we_say(stream, "never sent")
        .we_cancel(0)
        .gets_over(stream)
        .we_send(cancel(0))
        .peer_sends_all(&[item(0, "late"), end(0, Json::Null), credit(0, 100_000), stopped(0, Stop::Stopped)])
        .call_gives(0, cancelled(Stop::Stopped))
        .counters(|counters| counters.late_items == 3)
        .we_take(stream, "before")
        .there_is_no_stream(stream);
}

#[test]
fn a_deadline_ends_a_conversation_like_any_call() {
    let content = Payload::encode("talk", Encoding::MsgPack).expect("a text");
    let link = transcript(full_dialler());
    let deadline = Some(link.now + ms(10));
    let link = link.feed(Input::Open { token: Token(0), content: Content::Shared(&content), deadline });
    let link = link.we_send(open(0, "talk"));
    let stream = link.ours(0);
    link.after(ms(10))
        .gets_over(stream)
        .we_send(cancel(0))
        .after(limits::OUTCOME_GRACE)
        .call_gives(0, deadline_unconfirmed());
}

fn deadline_unconfirmed() -> Result<Json, CallError> {
    deadline(Stop::Unconfirmed)
}

#[test]
fn a_conversation_that_is_not_written_is_taken_back_with_its_items() {
    let link = transcript(full_dialler()).we_open(0, "talk");
    let stream = link.ours(0);
    link.we_say(stream, "x")
        .we_cancel(0)
        .call_gives(0, not_sent(NotSent::Cancelled))
        .gets_over(stream)
        .we_send_nothing();
}

#[test]
fn a_conversation_whose_items_stand_behind_it_is_not_taken_back_alone() {
    let link = transcript(full_dialler()).we_open(0, "talk");
    let stream = link.ours(0);
    link.we_say(stream, "x")
        .driver_takes_what_waits()
        .driver_gives_back()
        .we_cancel(0)
        .gets_over(stream)
        .we_send(open(0, "talk"))
        .we_send(item(0, "x"))
        .we_send(cancel(0))
        .peer_sends(stopped(0, Stop::NotStarted))
        .call_gives(0, cancelled(Stop::NotStarted));
}

#[test]
fn nothing_is_sent_without_credit_and_the_writer_waits() {
    let (mut link, stream) = opened();
    let quarter = text_of_window(4);
    for _ in 0..4 {
        link = link.we_say(stream, quarter.as_str()).we_send(item(0, quarter.as_str()));
    }
    for _ in 0..4 {
        link = link.has_room(stream, ItemRoom::Yes).we_say(stream, quarter.as_str()).we_send_nothing();
    }
    link.has_room(stream, ItemRoom::Later)
        .peer_sends(credit(0, 16 << 10))
        .we_send(item(0, quarter.as_str()))
        .gets_writable(stream)
        .has_room(stream, ItemRoom::Yes)
        .we_send_nothing();
}

#[test]
fn what_was_taken_is_granted_anew_and_the_window_grows_when_a_whole_one_was() {
    let (mut link, stream) = serving();
    let eighth = text_of_window(8);
    let bytes = u64::from(limits::STREAM_CREDIT_START) / 8;
    for n in 1..=8_u64 {
        link = link.peer_sends(item(0, eighth.as_str())).gets_readable(stream).we_take(stream, eighth.as_str());
        let widened = if n == 8 { 8 * bytes } else { 0 };
        link = if n % 2 == 0 { link.we_send(credit(0, 2 * bytes + widened)) } else { link.we_send_nothing() };
    }
    link.we_take_nothing(stream);
}

#[test]
fn who_is_not_read_is_granted_nothing() {
    let (mut link, stream) = serving();
    let half = text_of_window(2);
    link =
        link.peer_sends_all(&[item(0, half.as_str()), item(0, half.as_str())]).gets_readable(stream).we_send_nothing();
    link.peer_sends(item(0, "one more")).gets_over(stream).link_ends_because_the_peer(PeerMisbehaved::OverCredit(0));
}

#[test]
fn a_reader_that_went_away_is_deaf() {
    let (link, stream) = serving();
    let half = text_of_window(2);
    link.peer_sends(item(0, "x"))
        .gets_readable(stream)
        .feed(Input::Deafen(stream))
        .peer_sends(item(0, half.as_str()))
        .we_send_nothing()
        .we_take_nothing(stream)
        .we_say(stream, "but not mute")
        .we_send(item(0, "but not mute"));
}

#[test]
fn streams_take_turns_and_small_frames_go_before_them() {
    let link = transcript(full_dialler()).we_open(0, "a").we_open(1, "b").we_send(open(0, "a")).we_send(open(2, "b"));
    let (a, b) = (link.ours(0), link.ours(1));
    link.we_say(a, 1)
        .we_say(a, 2)
        .we_say(a, 3)
        .we_say(b, 1)
        .we_say(b, 2)
        .we_call(2, "small")
        .we_send(request(4, "small"))
        .we_send(item(0, 1))
        .we_send(item(2, 1))
        .we_send(item(0, 2))
        .we_send(item(2, 2))
        .we_send(item(0, 3));
}

#[test]
fn only_a_little_of_streams_is_handed_out_ahead_of_small_frames() {
    let mut link = transcript(full_dialler());
    for token in 0..20 {
        link = link.we_open(token, "x");
    }
    link = link.forget_what_was_sent();
    for token in 0..20 {
        let stream = link.ours(token);
        link = link.we_say(stream, text_of_window(2));
    }
    link = link.driver_takes_what_waits();
    let handed = link.channel.unsent_bytes();
    assert!(handed < limits::BULK_AHEAD_BYTES + limits::SEGMENT_BYTES + 100, "{handed}");
    link = link.we_call(20, "small").driver_gives_back();
    // A little more than half of it is handed out again, and behind it the call.
    link.driver_takes_what_waits().driver_gives_back().forget_what_was_sent().forget_orders();
}

#[test]
fn the_end_of_the_link_ends_every_conversation() {
    let (link, stream) = opened();
    link.peer_sends(item(0, "kept"))
        .gets_readable(stream)
        .link_breaks()
        .call_gives(0, lost(broken()))
        .gets_over(stream)
        .link_ends(broken())
        .we_take(stream, "kept")
        .there_is_no_stream(stream)
        .everything_is_freed();
    let (link, stream) = serving();
    link.peer_sends(item(0, "thrown away"))
        .gets_readable(stream)
        .we_say(stream, "never sent")
        .link_breaks()
        .gets_over(stream)
        .link_ends(broken())
        .there_is_no_stream(stream)
        .everything_is_freed();
}

#[test]
fn a_caller_that_closes_its_direction_ends_its_conversations() {
    let (link, stream) = serving();
    link.peer_closes()
        .we_are_told_to_stop(0)
        .we_stopped(0, Stop::Stopped)
        .gets_over(stream)
        .we_send(stopped(0, Stop::Stopped))
        .link_ends(LinkLost::PeerClosed);
    let (link, stream) = serving();
    link.we_say(stream, "x")
        .we_reply(0, "y")
        .peer_closes()
        .gets_over(stream)
        .we_send(stopped(0, Stop::Completed))
        .link_ends(LinkLost::PeerClosed);
}

#[test]
fn a_conversation_is_refused_where_a_request_would_be() {
    let config = Config { served_at_once: 1, ..full(Side::Acceptor) };
    transcript(config)
        .peer_sends_all(&[open(0, "x"), open(2, "y"), item(2, "on its way"), end(2, Json::Null)])
        .we_serve("x")
        .we_send(busy(2, Busy::LimitReached, 50))
        .counters(|counters| counters.late_items == 2);
    let why = "a plain link carries no streams: its peer knows requests and answers only";
    transcript(plain_json())
        .we_open(0, "x")
        .call_gives(0, Err(CallError::Refused { why: Refused::BadRequest(why.into()) }));
}
