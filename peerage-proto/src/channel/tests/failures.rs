//! How a failure travels.

use super::*;

fn remote(code: Code, message: &str, data: Option<Payload>) -> Result<Json, CallError> {
    Err(CallError::Remote { code, message: message.into(), data })
}

fn served(config: Config) -> Transcript {
    transcript(config).peer_sends(request(0, "x")).we_serve("x")
}

#[test]
fn a_plain_peer_gets_one_text_with_the_code_in_brackets() {
    for encoding in Encoding::ALL {
        let data = Payload::encode("more", encoding).expect("plain data");
        served(plain(encoding))
            .we_fail(0, Code::new("no-such-thing"), "it is not there", Some(&data))
            .we_send(exception(0, "[no-such-thing] it is not there"));
        served(plain(encoding)).we_fail(0, Code::PLAIN, "as it came", None).we_send(exception(0, "as it came"));
    }
}

#[test]
fn between_our_own_code_message_and_data_travel() {
    for encoding in Encoding::ALL {
        let config = |side| Config { encoding: Some(encoding), ..full(side) };
        let data = Payload::encode(&json!({"line": 3}), encoding).expect("plain data");
        served(config(Side::Acceptor))
            .we_fail(0, Code::new("bad-input"), "cannot read", Some(&data))
            .we_send(exception(0, json!(["bad-input", "cannot read", {"line": 3}])));
        served(config(Side::Acceptor))
            .we_fail(0, Code::DROPPED, "gone", None)
            .we_send(exception(0, json!(["dropped", "gone", null])));
        transcript(config(Side::Dialler))
            .we_call(0, "x")
            .we_call(1, "y")
            .we_send(request(0, "x"))
            .we_send(request(2, "y"))
            .peer_sends(exception(0, json!(["bad-input", "cannot read", {"line": 3}])))
            .call_gives(0, remote(Code::new("bad-input"), "cannot read", Some(data)))
            .peer_sends(exception(2, json!(["dropped", "gone", null])))
            .call_gives(1, remote(Code::DROPPED, "gone", None));
    }
}

#[test]
fn a_process_that_ends_with_a_request_in_hand_is_a_lost_connection_to_the_caller() {
    for encoding in Encoding::ALL {
        let config = Config { encoding: Some(encoding), ..full(Side::Dialler) };
        transcript(config)
            .we_call(0, "x")
            .we_send(request(0, "x"))
            .peer_sends(exception(0, json!(["handler-lost", "handler process ended", null])))
            .call_gives(0, Err(CallError::ConnectionLost { why: LinkLost::HandlerEnded }));
    }
}

#[test]
fn a_request_no_handler_has_seen_is_rejected_and_the_caller_knows_that_it_did_not_run() {
    let (no_service, bad) = (Refused::NoSuchService("a/b".into()), Refused::BadRequest("no list".into()));
    let denied = Refused::Denied("not on the list".into());
    for encoding in Encoding::ALL {
        let config = |side| Config { encoding: Some(encoding), ..full(side) };
        served(config(Side::Acceptor)).we_reject(0, &no_service).we_send(rejected(0, 1, "a/b"));
        served(config(Side::Acceptor)).we_reject(0, &bad).we_send(rejected(0, 0, "no list"));
        served(config(Side::Acceptor)).we_reject(0, &denied).we_send(rejected(0, 2, "not on the list"));
        for (why, detail, refused) in [
            (1, "a/b", &no_service),
            (0, "no list", &bad),
            (2, "not on the list", &denied),
            (99, "newer", &Refused::BadRequest("newer".into())),
        ] {
            transcript(config(Side::Dialler))
                .we_call(0, "x")
                .we_send(request(0, "x"))
                .peer_sends(rejected(0, why, detail))
                .call_gives(0, Err(CallError::Refused { why: refused.clone() }));
        }
        let text = "[no-such-service] no service `a/b`";
        served(plain(encoding)).we_reject(0, &no_service).we_send(exception(0, text));
    }
}

#[test]
fn a_request_there_is_no_room_for_now_is_put_off_and_may_come_again() {
    let wait = Duration::from_millis(70);
    served(full(Side::Acceptor)).we_put_off(0, Busy::Overloaded, wait).we_send(busy(0, Busy::Overloaded, 70));
    let text = "[busy] overloaded";
    served(plain_json()).we_put_off(0, Busy::Overloaded, wait).we_send(exception(0, text));
}

#[test]
fn a_rejection_with_a_long_text_arrives_without_it_in_small_frames() {
    let config = Config { frame_bytes: limits::FRAME_BYTES_MIN, ..full(Side::Acceptor) };
    served(config).we_reject(0, &Refused::BadRequest("x".repeat(10_000))).we_send(rejected(0, 0, ""));
}

#[test]
fn a_failure_that_is_no_text_is_kept_as_data() {
    for config in [plain_json(), full_dialler()] {
        let content = Payload::encode(&json!([1, 2]), config.encoding.expect("known")).expect("plain data");
        transcript(config)
            .we_call(0, "x")
            .we_send(request(0, "x"))
            .peer_sends(exception(0, json!([1, 2])))
            .call_gives(0, remote(Code::PLAIN, "the peer's failure is not a text", Some(content)));
    }
}

#[test]
fn the_text_of_a_failure_is_cut_between_characters() {
    // Three bytes each: 4096 is inside one of them.
    let message = "€".repeat(2000);
    let kept = "€".repeat(limits::FAILURE_MESSAGE_BYTES / 3);
    for encoding in Encoding::ALL {
        served(plain(encoding)).we_fail(0, Code::PLAIN, &message, None).we_send(exception(0, kept.as_str()));
    }
    served(full(Side::Acceptor))
        .we_fail(0, Code::INTERNAL, &message, None)
        .we_send(exception(0, json!(["internal", kept, null])));
}

#[test]
fn data_that_does_not_fit_into_the_frame_is_left_out() {
    for frame_bytes in [1000, 100_000] {
        let data = Payload::encode(&"x".repeat(frame_bytes), Encoding::MsgPack).expect("plain data");
        served(Config { frame_bytes: u32::try_from(frame_bytes).expect("small"), ..full(Side::Acceptor) })
            .we_fail(0, Code::INTERNAL, "see data", Some(&data))
            .we_send(exception(0, json!(["internal", "see data", null])));
    }
}

#[test]
fn data_that_the_link_cannot_carry_is_left_out() {
    let config = Config { encoding: Some(Encoding::Json), ..full(Side::Acceptor) };
    let bytes = Payload::encode(serde_bytes::Bytes::new(b"\0\xff"), Encoding::MsgPack).expect("plain data");
    let nonsense = Payload::from_parts(Encoding::Json, Bytes::from_static(b"{]"));
    // As deep as a value may be, but inside the array of a failure one deeper.
    let deep = [vec![b'['; limits::NESTING_DEFAULT], vec![b']'; limits::NESTING_DEFAULT]].concat();
    let deep = Payload::parse(Encoding::Json, Bytes::from(deep)).expect("well-formed");
    assert!(deep.decode::<serde::de::IgnoredAny>().is_ok());
    for data in [bytes, nonsense, deep] {
        served(config.clone())
            .we_fail(0, Code::INTERNAL, "see data", Some(&data))
            .we_send(exception(0, json!(["internal", "see data", null])));
    }
}

#[test]
fn even_the_smallest_frame_carries_the_failure_itself() {
    for (frame_bytes, sent) in [(0, ""), (64, ""), (124, "\u{1}\u{1}\u{1}\u{1}\u{1}\u{1}\u{1}\u{1}\u{1}\u{1}")] {
        let message = "\u{1}".repeat(500);
        served(Config { frame_bytes, encoding: Some(Encoding::Json), ..full(Side::Acceptor) })
            .we_fail(0, Code::new("odd"), &message, None)
            .we_send(exception(0, json!(["odd", sent, null])));
    }
    served(Config { frame_bytes: 64, encoding: Some(Encoding::Json), ..full(Side::Acceptor) })
        .we_fail(0, Code::new("code".repeat(100)), "x", None)
        .we_send(exception(0, json!(["internal", "", null])));
}
