//! Our own calls and their answers.

use super::*;

#[test]
fn a_call_is_a_request_and_its_result_is_its_outcome_in_both_encodings() {
    for encoding in Encoding::ALL {
        transcript(plain(encoding))
            .we_call(7, "ohai")
            .we_send(request(0, "ohai"))
            .peer_sends(result(0, json!({"very": ["nested", 1, null]})))
            .call_returns(7, json!({"very": ["nested", 1, null]}))
            .nothing_happens();
    }
}

#[test]
fn an_exception_is_a_remote_failure() {
    for encoding in Encoding::ALL {
        transcript(plain(encoding))
            .we_call(0, "fail")
            .we_send(request(0, "fail"))
            .peer_sends(exception(0, "Traceback: boom"))
            .call_gives(0, Err(CallError::Remote { code: Code::PLAIN, message: "Traceback: boom".into(), data: None }));
    }
}

#[test]
fn the_bytes_of_a_call_are_those_of_the_original_package() {
    let mut link = transcript(plain_json()).we_call(0, "ohai").we_write_all();
    assert_eq!(std::mem::take(&mut link.written), b"\0\0\0\x0e[0, 0, \"ohai\"]");
    let mut link = transcript(plain(Encoding::MsgPack)).we_call(0, "ohai").we_write_all();
    assert_eq!(std::mem::take(&mut link.written), b"\0\0\0\x08\x93\0\0\xa4ohai");
}

#[test]
fn plain_ids_count_from_zero_in_each_direction() {
    transcript(plain_json())
        .we_call(0, "a")
        .we_call(1, "b")
        .we_send(request(0, "a"))
        .we_send(request(1, "b"))
        .peer_sends(request(0, "theirs"))
        .we_serve("theirs")
        .we_reply(0, "ours")
        .we_send(result(0, "ours"))
        .peer_sends_all(&[result(0, "A"), result(1, "B")])
        .call_returns(0, "A")
        .call_returns(1, "B")
        .we_call(0, "c")
        .we_send(request(2, "c"));
}

#[test]
fn full_ids_are_even_at_the_dialler_odd_at_the_acceptor_and_rise() {
    for (side, ours, theirs) in [(Side::Dialler, [0, 2, 4], [1, 5]), (Side::Acceptor, [1, 3, 5], [0, 4])] {
        transcript(full(side))
            .we_call(0, "a")
            .we_call(1, "b")
            .we_call(2, "c")
            .we_send(request(ours[0], "a"))
            .we_send(request(ours[1], "b"))
            .we_send(request(ours[2], "c"))
            .peer_sends(request(theirs[0], "x"))
            .we_serve("x")
            .peer_sends(request(theirs[1], "a gap is no fault"))
            .we_serve("a gap is no fault");
    }
}

#[test]
fn replies_may_come_in_any_order() {
    for config in [plain_json(), full_dialler()] {
        let step = if config.dialect == Dialect::Full { 2 } else { 1 };
        transcript(config)
            .we_call(0, "first")
            .we_call(1, "second")
            .we_call(2, "third")
            .we_write_all()
            .peer_sends_all(&[result(2 * step, 3), result(0, 1), exception(step, "2")])
            .call_returns(2, 3)
            .call_returns(0, 1)
            .call_gives(1, Err(CallError::Remote { code: Code::PLAIN, message: "2".into(), data: None }))
            .counters(|c| c.calls == 3 && c.late_replies == 0)
            .written_frames(3);
    }
}

#[test]
fn late_duplicate_and_unknown_replies_are_counted_and_ignored() {
    for config in [plain_json(), full_dialler()] {
        transcript(config)
            .we_call(0, "x")
            .we_send(request(0, "x"))
            .peer_sends(result(0, "y"))
            .call_returns(0, "y")
            .peer_sends(result(0, "again"))
            .peer_sends(exception(0, "and again"))
            .peer_sends(result(4_000_000_000, "never asked"))
            .nothing_happens()
            .counters(|c| c.late_replies == 3)
            .holds(|channel| !channel.is_ended());
    }
}

#[test]
fn an_answer_after_the_deadline_is_late() {
    transcript(plain_json())
        .we_call_within(0, "x", ms(10))
        .we_send(request(0, "x"))
        .after(ms(10))
        .call_gives(0, deadline(Stop::Unconfirmed))
        .peer_sends(result(0, "y"))
        .nothing_happens()
        .counters(|c| c.late_replies == 1);
}

#[test]
fn an_answer_to_a_call_of_which_no_byte_was_written_is_a_guess_and_ignored() {
    transcript(plain_json())
        .we_call(0, "x")
        .peer_sends(result(0, "I know already"))
        .nothing_happens()
        .counters(|c| c.late_replies == 1)
        .we_send(request(0, "x"))
        .peer_sends(result(0, "real"))
        .call_returns(0, "real");
}

#[test]
fn the_codec_is_recognised_by_the_first_byte_of_the_peer() {
    for encoding in Encoding::ALL {
        transcript(Config { encoding: None, ..Config::default() })
            .holds(|channel| channel.encoding().is_none())
            .peer_sends_bytes(&request(0, "hi").bytes(encoding))
            .we_serve("hi")
            .holds(|channel| channel.encoding() == Some(encoding))
            .we_reply(0, "ho")
            .we_send(result(0, "ho"))
            .we_call(0, "now we may ask as well")
            .we_send(request(0, "now we may ask as well"));
    }
    transcript(Config { encoding: None, ..Config::default() })
        .peer_sends_body(b" \n[0, 0, null]")
        .we_serve(Json::Null)
        .holds(|channel| channel.encoding() == Some(Encoding::Json));
}

#[test]
fn a_call_before_the_codec_is_known_is_refused() {
    let mut link = transcript(Config { encoding: None, ..Config::default() }).we_call(0, "hi");
    assert!(matches!(link.next_order(), Output::Settled(Token(0))));
    match link.channel.collect(Token(0), &mut Vec::new()) {
        Some(Err(error)) if matches!(*error, CallError::Refused { .. }) => {
            assert!(error.to_string().contains("?codec="), "{error}");
        }
        other => panic!("{other:?}"),
    }
    link.we_send_nothing().holds(|channel| channel.calls_in_flight() == 0);
}

#[test]
fn a_call_that_does_not_fit_into_a_frame_is_refused_before_anything_is_queued() {
    let config = Config { frame_bytes: 100, ..plain_json() };
    let too_large = |size| Err(CallError::Refused { why: Refused::TooLarge { size, limit: 100 } });
    // Around the text stand `[0, 0, "` and `"]`.
    transcript(config)
        .we_call(0, "x".repeat(91))
        .call_gives(0, too_large(101))
        .we_call(1, "x".repeat(500))
        .call_gives(1, too_large(502))
        .we_send_nothing()
        .holds(|channel| channel.unsent_bytes() == 0 && channel.calls_in_flight() == 0)
        .we_call(2, "x".repeat(90))
        .we_send(request(0, "x".repeat(90)));
}

#[test]
fn a_call_whose_deadline_has_passed_is_not_sent() {
    transcript(plain_json())
        .we_call_within(0, "late", ms(0))
        .call_gives(0, not_sent(NotSent::QueueFull))
        .we_send_nothing();
}

#[test]
fn the_far_future_is_as_good_as_no_deadline() {
    let far = [u64::MAX, i64::MAX as u64, 1 << 40].iter().find_map(|s| epoch().checked_add(Duration::from_secs(*s)));
    let nearly_the_last =
        (0..63).fold(epoch(), |at, bit| at.checked_add(Duration::from_secs(1 << (62 - bit))).unwrap_or(at));
    for config in [plain_json(), full_dialler()] {
        let grace = if config.dialect == Dialect::Full { 1_000 } else { 0 };
        for at in [far, Some(nearly_the_last)] {
            transcript(config.clone())
                .we_call_until(0, "x", at)
                .we_call_until(1, "y", at)
                .we_cancel(1)
                .call_gives(1, not_sent(NotSent::Cancelled))
                .we_send(request(0, "x"))
                .after(Duration::from_secs(3_600))
                .we_cancel(0)
                .after(ms(grace))
                .call_gives(0, cancelled(Stop::Unconfirmed))
                .we_write_all()
                .written_frames(usize::from(grace > 0));
        }
    }
}

#[test]
fn a_link_has_room_up_to_its_limit_of_calls_and_of_unsent_bytes() {
    transcript(Config { calls_in_flight: 2, ..plain_json() })
        .we_call(0, "a")
        .holds(|channel| channel.room() == Room::Yes)
        .we_call(1, "b")
        .holds(|channel| channel.room() == Room::Later)
        .we_write_all()
        .written_frames(2)
        .peer_sends(result(0, "A"))
        .call_returns(0, "A")
        .holds(|channel| channel.room() == Room::Yes);
    transcript(plain_json())
        .we_call(0, "x".repeat(limits::UNSENT_BYTES_HIGH))
        .holds(|channel| channel.room() == Room::Later)
        .we_write(1000)
        .holds(|channel| channel.room() == Room::Yes);
}
