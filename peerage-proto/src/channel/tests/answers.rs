//! Requests of the peer and our answers.

use super::*;

#[test]
fn a_request_is_served_and_answered_with_its_id() {
    for encoding in Encoding::ALL {
        transcript(plain(encoding))
            .peer_sends(request(u64::MAX, json!(["path", [], {}])))
            .we_serve(json!(["path", [], {}]))
            .we_reply(0, json!([1, 2]))
            .we_send(result(u64::MAX, json!([1, 2])))
            .counters(|c| c.requests == 1);
    }
}

#[test]
fn requests_are_answered_in_any_order() {
    transcript(plain_json())
        .peer_sends_all(&[request(0, "a"), request(1, "b"), request(2, "c")])
        .we_serve("a")
        .we_serve("b")
        .we_serve("c")
        .we_reply(2, "C")
        .we_reply(0, "A")
        .we_reply(1, "B")
        .we_send(result(2, "C"))
        .we_send(result(0, "A"))
        .we_send(result(1, "B"));
}

#[test]
fn frames_may_arrive_byte_by_byte() {
    for encoding in Encoding::ALL {
        let mut link = transcript(plain(encoding));
        for byte in request(3, "slow").bytes(encoding) {
            link = link.nothing_happens().peer_sends_bytes(&[byte]);
        }
        link.we_serve("slow");
    }
}

#[test]
fn a_second_answer_to_one_request_is_never_sent() {
    for config in [plain_json(), full(Side::Acceptor)] {
        transcript(config)
            .peer_sends(request(0, "x"))
            .we_serve("x")
            .we_reply(0, "once")
            .we_reply(0, "twice")
            .we_fail(0, Code::INTERNAL, "thrice", None)
            .we_stopped(0, Stop::Stopped)
            .we_send(result(0, "once"))
            .we_send_nothing()
            .holds(|channel| channel.requests_in_service() == 0);
    }
}

#[test]
fn an_id_used_twice_on_a_plain_link_is_served_twice_and_answered_twice() {
    transcript(plain_json())
        .peer_sends_all(&[request(1, "a"), request(1, "b")])
        .we_serve("a")
        .we_serve("b")
        .we_reply(1, "B")
        .we_reply(0, "A")
        .we_send(result(1, "B"))
        .we_send(result(1, "A"))
        .we_send_nothing();
}

#[test]
fn the_key_of_an_old_request_does_not_answer_a_new_one() {
    transcript(plain_json())
        .peer_sends(request(0, "old"))
        .we_serve("old")
        .we_reply(0, 1)
        .peer_sends(request(1, "new"))
        .we_serve("new")
        .we_reply(0, "wrong")
        .we_reply(1, 2)
        .we_send(result(0, 1))
        .we_send(result(1, 2))
        .we_send_nothing();
}

#[test]
fn an_answer_that_does_not_fit_into_a_frame_becomes_a_failure() {
    transcript(Config { frame_bytes: 200, ..plain_json() })
        .peer_sends(request(0, "x"))
        .we_serve("x")
        .we_reply(0, "y".repeat(300))
        .we_send(exception(0, "[internal] the answer of 302 bytes does not fit into one frame of 200 bytes"))
        .we_send_nothing();
}

#[test]
fn a_cancelled_request_is_stopped_and_the_callee_says_what_became_of_it() {
    for stop in [Stop::NotStarted, Stop::Stopped, Stop::Detached] {
        transcript(full(Side::Acceptor))
            .peer_sends(request(0, "long work"))
            .we_serve("long work")
            .peer_sends(cancel(0))
            .we_are_told_to_stop(0)
            .we_stopped(0, stop)
            .we_send(stopped(0, stop))
            .we_reply(0, "too late")
            .we_send_nothing();
    }
}

#[test]
fn a_handler_that_ends_before_it_is_stopped_answers_as_usual() {
    transcript(full(Side::Acceptor))
        .peer_sends(request(0, "x"))
        .we_serve("x")
        .peer_sends(cancel(0))
        .we_are_told_to_stop(0)
        .we_reply(0, "done")
        .we_stopped(0, Stop::Stopped)
        .we_send(stopped(0, Stop::Completed))
        .we_send(result(0, "done"))
        .we_send_nothing();
}

#[test]
fn a_cancel_after_the_answer_is_told_that_the_work_was_completed() {
    transcript(full(Side::Acceptor))
        .peer_sends(request(0, "x"))
        .we_serve("x")
        .we_reply(0, "y")
        .peer_sends(cancel(0))
        .we_send(stopped(0, Stop::Completed))
        .we_send(result(0, "y"))
        .nothing_happens();
}

#[test]
fn skippable_kinds_of_a_newer_version_are_skipped_in_the_full_dialect() {
    transcript(full(Side::Acceptor))
        .peer_sends(frame(64, 0, "?"))
        .peer_sends(frame(255, 7, json!({"new": true})))
        .nothing_happens()
        .counters(|c| c.skipped_frames == 2)
        .peer_sends(request(0, "still here"))
        .we_serve("still here");
}

#[test]
fn a_large_request_can_be_read_into_place_and_is_counted_like_any_other() {
    let content = "x".repeat(200_000);
    let bytes = request(0, content.as_str()).bytes(Encoding::Json);
    let (start, rest) = bytes.split_at(1000);
    let mut link = transcript(plain_json()).peer_sends_bytes(start);
    let mut rest = rest;
    while let Some(mut lent) = link.channel.lend() {
        let (buffer, room) = lent.buffer();
        let (now, later) = rest.split_at(room);
        assert!(room <= limits::BUFFER_AHEAD_BYTES);
        buffer.extend_from_slice(now);
        rest = later;
        link.channel.take_back(lent);
        link = link.feed(Input::Received(&[]));
    }
    link.peer_sends_bytes(rest).we_serve(content).counters(|c| c.bytes_in == bytes.len() as u64);
}
