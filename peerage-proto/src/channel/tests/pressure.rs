//! Limits: of requests, of bytes, of patience.

use super::*;

#[test]
fn at_the_limit_a_full_link_refuses_and_starts_no_handler() {
    transcript(Config { served_at_once: 1, ..full(Side::Acceptor) })
        .peer_sends_all(&[request(0, "a"), request(2, "b"), request(4, "c")])
        .we_serve("a")
        .nothing_happens()
        .we_send(busy(2, Busy::LimitReached, 50))
        .we_send(busy(4, Busy::LimitReached, 50))
        .counters(|c| c.refused_busy == 2 && c.requests == 3)
        .we_reply(0, "A")
        .peer_sends(request(6, "d"))
        .we_serve("d")
        .we_send(result(0, "A"));
}

#[test]
fn a_refusal_of_the_peer_says_that_the_call_did_not_run() {
    let far = limits::RETRY_AFTER_MAX;
    let cases = [
        (busy(0, Busy::Overloaded, 0), Busy::Overloaded, ms(0)),
        (busy(0, Busy::Draining, 1500), Busy::Draining, ms(1500)),
        (busy(0, Busy::Expired, u64::MAX), Busy::Expired, far),
        (frame(5, 0, json!([99, 7])), Busy::Overloaded, ms(7)),
    ];
    for (sent, why, retry_after) in cases {
        transcript(full_dialler())
            .we_call(0, "x")
            .we_send(request(0, "x"))
            .peer_sends(sent)
            .call_gives(0, Err(CallError::Busy { why, retry_after }));
    }
}

#[test]
fn at_the_limit_a_plain_link_stops_reading_and_goes_on_when_an_answer_is_given() {
    transcript(Config { served_at_once: 2, ..plain_json() })
        .peer_sends(request(0, "a"))
        .holds(Channel::wants_bytes)
        .peer_sends(request(1, "b"))
        .holds(|channel| !channel.wants_bytes())
        .we_serve("a")
        .we_serve("b")
        .we_reply(1, "B")
        .holds(Channel::wants_bytes)
        .peer_sends(request(2, "c"))
        .we_serve("c")
        .holds(|channel| !channel.wants_bytes())
        .we_send(result(1, "B"));
}

#[test]
fn requests_beyond_the_limit_that_came_with_the_same_read_wait_their_turn() {
    let many: Vec<Frame> = (0..5).map(|id| request(id, id)).collect();
    transcript(Config { served_at_once: 2, ..plain_json() })
        .peer_sends_all(&many)
        .we_serve(0)
        .we_serve(1)
        .nothing_happens()
        .holds(|channel| channel.requests_in_service() == 2)
        .we_reply(0, "A")
        .we_serve(2)
        .nothing_happens()
        .we_fail(2, Code::PLAIN, "C", None)
        .we_serve(3)
        .we_reply(1, "B")
        .we_serve(4)
        .holds(|channel| !channel.wants_bytes())
        .we_reply(3, "D")
        .holds(Channel::wants_bytes)
        .we_reply(4, "E")
        .we_write_all()
        .written_frames(5);
}

#[test]
fn an_answer_behind_waiting_requests_is_not_lost() {
    transcript(Config { served_at_once: 1, ..plain_json() })
        .we_call(0, "x")
        .we_send(request(0, "x"))
        .peer_sends_all(&[request(0, "a"), request(1, "b"), result(0, "y")])
        .we_serve("a")
        .nothing_happens()
        .we_reply(0, "A")
        .we_serve("b")
        .nothing_happens()
        .we_reply(1, "B")
        .call_returns(0, "y")
        .we_write_all()
        .written_frames(2);
}

#[test]
fn a_frame_cut_in_the_middle_waits_with_the_others() {
    let frames = [request(0, "a"), request(1, "b")];
    let bytes: Vec<u8> = frames.iter().flat_map(|frame| frame.bytes(Encoding::Json)).collect();
    for cut in 0..bytes.len() {
        let mut link = transcript(Config { served_at_once: 1, ..plain_json() }).peer_sends_bytes(&bytes[..cut]);
        let mut rest = &bytes[cut..];
        if link.channel.wants_bytes() {
            link = link.peer_sends_bytes(rest);
            rest = &[];
        }
        link = link.we_serve("a").nothing_happens().we_reply(0, "A");
        if !rest.is_empty() {
            link = link.peer_sends_bytes(rest);
        }
        link.we_serve("b").we_send(result(0, "A"));
    }
}

#[test]
fn a_peer_that_closed_behind_waiting_requests_still_gets_them_answered() {
    transcript(Config { served_at_once: 1, ..plain_json() })
        .peer_sends_all(&[request(0, "a"), request(1, "b")])
        .peer_closes()
        .we_serve("a")
        .we_reply(0, "A")
        .we_serve("b")
        .we_reply(1, "B")
        .we_send(result(0, "A"))
        .we_send(result(1, "B"))
        .link_ends(LinkLost::PeerClosed)
        .everything_is_freed();
}

#[test]
fn a_stop_that_makes_room_orders_nothing_itself_but_asks_to_be_woken() {
    let large = "x".repeat(limits::UNREAD_REQUEST_BYTES - 100);
    transcript(full(Side::Acceptor))
        .peer_sends_all(&[request(0, large), cancel(0), request(2, "y".repeat(200)), request(4, "z")])
        .we_serve_next()
        .we_are_told_to_stop(0)
        .we_serve_next()
        .nothing_happens()
        .holds(|channel| !channel.wants_bytes() && channel.next_timeout().is_none())
        .we_stopped(0, Stop::NotStarted)
        .nothing_happens()
        .holds(|channel| channel.next_timeout() == Some(epoch()))
        .after(ms(0))
        .we_serve("z")
        .holds(|channel| channel.wants_bytes() && channel.next_timeout().is_none())
        .we_send(stopped(0, Stop::NotStarted));
}

#[test]
fn a_full_link_stops_reading_at_its_bound_of_unread_bytes() {
    let half = "x".repeat(limits::UNREAD_REQUEST_BYTES / 2);
    for config in [plain_json(), full(Side::Acceptor)] {
        transcript(config)
            .peer_sends(request(0, half.as_str()))
            .we_serve_next()
            .holds(Channel::wants_bytes)
            .peer_sends(request(2, half.as_str()))
            .we_serve_next()
            .holds(|channel| !channel.wants_bytes())
            .we_fetch(0)
            .we_fetch(0)
            .holds(Channel::wants_bytes)
            .peer_sends(request(4, half.as_str()))
            .we_serve_next()
            .holds(|channel| !channel.wants_bytes())
            .we_reply(1, "an answer counts as read, too")
            .holds(Channel::wants_bytes)
            .we_write_all()
            .written_frames(1);
    }
}

#[test]
fn a_peer_that_does_not_take_its_answers_gets_no_further_request_started() {
    let half = "x".repeat(limits::UNSENT_REPLY_BYTES / 2);
    for config in [plain_json(), full(Side::Acceptor)] {
        transcript(Config { served_at_once: 4, ..config })
            .peer_sends_all(&[request(0, "a"), request(2, "b")])
            .we_serve("a")
            .we_serve("b")
            .we_reply(0, half.as_str())
            .we_reply(1, half.as_str())
            .peer_sends_all(&[request(4, "c"), request(6, "d")])
            .driver_takes_what_waits()
            .nothing_happens()
            .driver_writes(100)
            .driver_gives_back()
            .we_serve("c")
            .we_serve("d")
            .we_write_all()
            .written_frames(2);
    }
}

#[test]
fn requests_that_wait_for_answers_to_be_written_have_their_limits() {
    let half = "x".repeat(limits::UNSENT_REPLY_BYTES / 2);
    let answering_nobody = |config| {
        transcript(config)
            .peer_sends_all(&[request(0, "a"), request(2, "b")])
            .we_serve("a")
            .we_serve("b")
            .we_reply(0, half.as_str())
            .we_reply(1, half.as_str())
            .holds(Channel::wants_bytes)
    };
    answering_nobody(plain_json())
        .peer_sends(request(4, half.as_str()))
        .holds(Channel::wants_bytes)
        .peer_sends(request(6, half.as_str()))
        .holds(|channel| !channel.wants_bytes());
    answering_nobody(Config { served_at_once: 2, ..plain_json() })
        .peer_sends_all(&[request(4, "c"), request(6, "d")])
        .holds(|channel| !channel.wants_bytes())
        .nothing_happens()
        .we_close()
        .we_write_all()
        .link_ends(LinkLost::ClosedHere)
        .everything_is_freed();
}

#[test]
fn an_answer_is_read_while_the_peer_leaves_ours_unread() {
    let half = "x".repeat(limits::UNSENT_REPLY_BYTES / 2);
    transcript(plain_json())
        .we_call(0, "x")
        .we_send(request(0, "x"))
        .peer_sends_all(&[request(0, "a"), request(1, "b")])
        .we_serve("a")
        .we_serve("b")
        .we_reply(0, half.as_str())
        .we_reply(1, half.as_str())
        .holds(Channel::wants_bytes)
        .peer_sends_all(&[request(2, "c"), result(0, "y")])
        .call_returns(0, "y")
        .we_write_all()
        .we_serve("c");
}

#[test]
fn a_request_that_waits_for_answers_to_be_written_can_be_cancelled() {
    let half = "x".repeat(limits::UNSENT_REPLY_BYTES / 2);
    transcript(full(Side::Acceptor))
        .peer_sends_all(&[request(0, "a"), request(2, "b")])
        .we_serve("a")
        .we_serve("b")
        .we_reply(0, half.as_str())
        .we_reply(1, half.as_str())
        .peer_sends_all(&[request(4, "c"), request(6, "d"), cancel(4)])
        .nothing_happens()
        .we_write_all()
        .written_frames(3)
        .we_serve("d");
}

#[test]
fn a_peer_that_stands_still_in_the_middle_of_a_frame_is_cut() {
    transcript(plain_json())
        .we_call(0, "x")
        .we_send(request(0, "x"))
        .peer_sends_bytes(b"\0\0")
        .after(limits::FRAME_STALL - ms(1))
        .nothing_happens()
        .after(ms(1))
        .call_gives(0, lost(LinkLost::Stalled))
        .link_ends(LinkLost::Stalled)
        .everything_is_freed();
}

#[test]
fn a_peer_that_stands_still_between_frames_is_not_cut() {
    transcript(plain_json())
        .peer_sends(request(0, "a"))
        .we_serve("a")
        .after(Duration::from_secs(1_000_000))
        .nothing_happens()
        .holds(|channel| channel.next_timeout().is_none());
}

#[test]
fn any_byte_is_progress() {
    let bytes = request(0, "slow").bytes(Encoding::Json);
    let mut link = transcript(plain_json());
    for byte in &bytes {
        link = link.after(limits::FRAME_STALL - ms(1)).peer_sends_bytes(&[*byte]);
    }
    link.we_serve("slow");
}

#[test]
fn a_pause_of_ours_is_not_held_against_the_peer() {
    let begun = &request(2, "c").bytes(Encoding::Json)[..7];
    transcript(Config { served_at_once: 1, ..plain_json() })
        .peer_sends_bytes(&[&request(0, "a").bytes(Encoding::Json), begun].concat())
        .we_serve("a")
        .holds(|channel| !channel.wants_bytes() && channel.next_timeout().is_none())
        .after(Duration::from_secs(60))
        .nothing_happens()
        .we_reply(0, "A")
        .holds(Channel::wants_bytes)
        .after(limits::FRAME_STALL - ms(1))
        .nothing_happens()
        .after(ms(1))
        .link_ends(LinkLost::Stalled);
}
