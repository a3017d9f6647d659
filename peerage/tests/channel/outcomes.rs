//! How a call ends when there is no value, and what its caller is told.

use std::time::{Duration, Instant};

use peerage::channel::Failure;
use peerage::outcome::{CallError, Class, Code, NotSent, Refused, Stop};
use peerage::{Encoding, Payload, Request, Value};
use serde::Deserialize;

use crate::meeting::{Place, connect, step, within_limit};

over_every_transport!(tcp, tls, quic, unix, memory; [
    a_call_ends_by_its_deadline_whatever_the_peer_does,
    a_call_without_a_deadline_ends_with_its_connection,
    a_failure_reaches_the_caller_with_its_text,
    a_failure_with_a_code_has_it_in_brackets_and_its_data_stays_here,
    a_long_failure_is_cut_between_characters_to_what_fits,
    a_request_dropped_without_an_answer_fails_at_once,
    a_result_that_cannot_be_encoded_reaches_the_caller_as_a_failure,
    a_value_the_codec_cannot_carry_is_refused_before_anything_is_sent,
    a_request_too_large_for_a_frame_is_refused_before_anything_is_sent,
    content_of_another_type_fails_that_request_only,
    an_answer_of_another_type_fails_that_call_only,
    an_answer_too_large_for_a_frame_reaches_the_caller_as_a_failure,
    an_answer_that_comes_too_late_is_counted_and_ignored,
]);

async fn a_call_ends_by_its_deadline_whatever_the_peer_does(place: Place) {
    let (channel, mut peer) = place.meet().await;
    let after = Duration::from_millis(150);
    // Nobody looks; somebody looks and keeps it; somebody answers others only.
    let unheard = ended_after(channel.request::<u64>(&1).deadline(after).into_future());
    let mut kept = channel.request::<u64>(&2).deadline(after).into_future();
    assert!(step(&mut kept).await.is_none());
    let unheard = unheard.await;
    let requests = [peer.next_request().await, peer.next_request().await];
    for (error, took) in [unheard, ended_after(kept).await] {
        assert_eq!(error, CallError::Deadline { stop: Stop::Unconfirmed });
        assert!(error.may_have_run() && error.class() == Class::Unknown);
        assert!(took < after + Duration::from_secs(2), "{took:?}");
    }
    drop(requests);
    // No time at all is time over before anything is sent.
    let none = channel.request::<u64>(&3).deadline(Duration::ZERO).await;
    assert_eq!(none, Err(CallError::NotSent { why: NotSent::QueueFull }));
    // The connection lives.
    let mut fourth = channel.request::<u64>(&4).into_future();
    assert!(step(&mut fourth).await.is_none());
    let request = peer.next_request().await.unwrap();
    assert_eq!(request.content(), Ok(4));
    request.reply(&5);
    assert_eq!(fourth.await, Ok(5));
}

/// Error and time of a call.
async fn ended_after<W: Future<Output = Result<u64, CallError>>>(call: W) -> (CallError, Duration) {
    let begun = Instant::now();
    let error = call.await.unwrap_err();
    (error, begun.elapsed())
}

async fn a_call_without_a_deadline_ends_with_its_connection(place: Place) {
    let (channel, mut peer) = place.meet().await;
    let mut endless = channel.request::<u64>(&1).without_deadline().into_future();
    let mut very_long = channel.request::<u64>(&2).deadline(Duration::MAX).into_future();
    assert!(step(&mut endless).await.is_none() && step(&mut very_long).await.is_none());
    let held = [peer.next_request().await, peer.next_request().await];
    drop(peer);
    for call in [endless, very_long] {
        let error = call.await.unwrap_err();
        assert!(matches!(error, CallError::ConnectionLost { .. }), "{error:?}");
    }
    drop(held);
}

async fn a_failure_reaches_the_caller_with_its_text(place: Place) {
    let (_server, channel) = place
        .serve(|text: String| async move {
            match text.as_str() {
                "text" => Err(Failure::new("no such thing: größe")),
                // Any error turns into a failure.
                number => Ok(number.parse::<u64>()?),
            }
        })
        .await;
    let failure = |message: &str| Err(CallError::Remote { code: Code::PLAIN, message: message.to_owned(), data: None });
    let told = channel.request::<u64>("text").await;
    assert_eq!(told, failure("no such thing: größe"));
    let error = told.unwrap_err();
    assert_eq!(error.to_string(), "no such thing: größe");
    assert!(error.may_have_run() && error.class() == Class::Failed);
    assert_eq!(channel.request("12").await, Ok(12));
    assert_eq!(channel.request::<u64>("x").await, failure("invalid digit found in string"));
}

async fn a_failure_with_a_code_has_it_in_brackets_and_its_data_stays_here(place: Place) {
    let (_server, channel) = place
        .serve(|_: ()| async {
            let failure = Failure::new("not today").code(Code::new("closed"));
            Err::<(), _>(failure.data(Value::from("until Monday")))
        })
        .await;
    let Err(CallError::Remote { message, data, .. }) = channel.request::<()>(&()).await else {
        panic!("the handler failed")
    };
    assert_eq!((message.as_str(), data), ("[closed] not today", None));
}

async fn a_long_failure_is_cut_between_characters_to_what_fits(place: Place) {
    let (_server, channel) =
        place.serve(|text: String| async move { Err::<(), _>(Failure::new(text.repeat(2000))) }).await;
    // Three bytes each, so that the limit falls into the middle of one.
    let told = message_of(channel.request::<()>("ア").await);
    assert_eq!(told.chars().count(), 4096 / 3);
    // A small frame carries as much of it as fits, and of a code that does not fit nothing.
    for frame in [64, 128, 1000, 5000] {
        let server = place.listen_beside().await.max_frame(frame);
        let server = server.serve(|code: String| async move {
            let failure = Failure::new("\u{1}".repeat(5000));
            Err::<(), _>(failure.code(Code::new(code)))
        });
        let channel = connect(server.local_address()).await.unwrap();
        let told = message_of(channel.request::<()>("x").await);
        let fits = (frame as usize - 64) / 6;
        assert!(told.starts_with("[x] ") && told.len() >= 4 + fits, "{frame}: {told}");
        within_limit(server.close()).await;
    }
    let (_server, channel) = place
        .serve_beside(|_: ()| async { Err::<(), _>(Failure::new("x").code(Code::new("y".repeat(17 << 20)))) })
        .await;
    assert_eq!(message_of(channel.request::<()>(&()).await), "[internal] ");
}

fn message_of(result: Result<(), CallError>) -> String {
    match result {
        Err(CallError::Remote { message, .. }) => message,
        other => panic!("{other:?}"),
    }
}

async fn a_request_dropped_without_an_answer_fails_at_once(place: Place) {
    let (channel, mut peer) = place.meet().await;
    let begun = Instant::now();
    let mut call = channel.request::<u64>(&1).into_future();
    assert!(step(&mut call).await.is_none());
    drop(peer.next_request().await);
    let expected = "[dropped] the request was dropped without an answer";
    assert_eq!(message_of(call.await.map(drop)), expected);
    drop((channel, peer));
    // The same where a handler forgets it, at once or later.
    let (_server, channel) = place
        .serve_beside(|request: Request| async move {
            if request.content() == Ok(true) {
                tokio::task::yield_now().await;
            }
        })
        .await;
    for later in [false, true] {
        assert_eq!(message_of(channel.request(&later).await), expected);
    }
    assert!(begun.elapsed() < Duration::from_secs(10), "far before the deadline");
}

async fn a_result_that_cannot_be_encoded_reaches_the_caller_as_a_failure(place: Place) {
    let (_server, channel) = place.serve(|n: f64| async move { Ok(vec![n, n / 0.0]) }).await;
    let told = message_of(channel.request::<Vec<f64>>(&1.5).await.map(drop));
    assert!(told.starts_with("[internal] the answer: "), "{told}");
    assert!(told.contains("$[1]"), "it says where: {told}");
    // The codec decides, not the value.
    let msgpack = connect(channel.remote_address()).encoding(Encoding::MsgPack).await.unwrap();
    assert_eq!(msgpack.request(&1.5).await, Ok(vec![1.5, f64::INFINITY]));
    // Of an answer that was encoded elsewhere, only what can be translated goes through.
    let (_server, channel) = place
        .serve_beside(|request: Request| async move {
            let value: f64 = request.content().unwrap();
            request.reply_payload(&Payload::encode(&[value, 1.0 / value], Encoding::MsgPack).unwrap());
        })
        .await;
    assert_eq!(channel.request(&2.0).await, Ok([2.0, 0.5]));
    let told = message_of(channel.request::<[f64; 2]>(&0.0).await.map(drop));
    assert!(told.starts_with("[internal] the answer: "), "{told}");
}

async fn a_value_the_codec_cannot_carry_is_refused_before_anything_is_sent(place: Place) {
    let (_server, channel) = place.serve(|_: Vec<f64>| async { Ok(()) }).await;
    let Err(error) = channel.request::<()>(&[1.0, f64::NAN]).await else { panic!("JSON has no NaN") };
    let CallError::Refused { why: Refused::BadRequest(why) } = &error else { panic!("{error:?}") };
    assert!(why.contains("$[1]"), "it says where: {why}");
    assert!(!error.may_have_run());
    assert_eq!((channel.counters().calls, channel.counters().bytes_out), (0, 0));
    assert_eq!(channel.request(&[1.0, 2.0]).await, Ok(()));
}

async fn a_request_too_large_for_a_frame_is_refused_before_anything_is_sent(place: Place) {
    let server = place.listen().await.serve(|text: String| async move { Ok(text.len()) });
    let channel = connect(server.local_address()).max_frame(1000).await.unwrap();
    // `[0, 0, "…"]` is the frame: ten bytes and the text.
    let text = |frame: usize| "x".repeat(frame - 10);
    let refused = channel.request::<usize>(&text(1001)).await;
    let too_large = Refused::TooLarge { size: 1001, limit: 1000 };
    assert_eq!(refused, Err(CallError::Refused { why: too_large }));
    assert_eq!((channel.counters().calls, channel.counters().bytes_out), (0, 0));
    assert_eq!(channel.request(&text(1000)).await, Ok(990));
    assert_eq!(channel.counters().bytes_out, 1004);
    let shared = Payload::encode(&text(100_000), Encoding::Json).unwrap();
    let refused = channel.request_payload(shared).await.unwrap_err();
    assert!(matches!(refused, CallError::Refused { .. }) && !refused.may_have_run());
    assert_eq!(channel.counters().bytes_out, 1004);
}

async fn content_of_another_type_fails_that_request_only(place: Place) {
    #[derive(Deserialize)]
    struct Point {
        x: f64,
        y: f64,
    }
    let (_server, channel) = place.serve(|at: Point| async move { Ok(at.x + at.y) }).await;
    let told = message_of(channel.request::<f64>("north").await.map(drop));
    assert!(told.starts_with("[bad-request] the value has another type than wanted"), "{told}");
    // What no value can be opened from is content all the same.
    for content in ["[NaN]", "123456789012345678901234567890", &"[".repeat(100)] {
        let closing = "]".repeat(if content.starts_with("[[") { 100 } else { 0 });
        let content = Payload::from_parts(Encoding::Json, format!("{content}{closing}").into());
        let told = channel.request_payload(content).await.unwrap_err();
        assert!(told.to_string().starts_with("[bad-request] "), "{told}");
    }
    let at = serde_json::json!({"x": 1, "y": 2.5});
    assert_eq!(channel.request(&at).await, Ok(3.5));
}

async fn an_answer_of_another_type_fails_that_call_only(place: Place) {
    let (_server, channel) = place.serve(|text: String| async move { Ok(text) }).await;
    let error = channel.request::<u64>("seven").await.unwrap_err();
    let CallError::Protocol { why } = &error else { panic!("{error:?}") };
    assert!(why.starts_with("the answer does not fit: "), "{why}");
    assert!(error.may_have_run());
    assert_eq!(channel.request("seven").await, Ok("seven".to_owned()));
}

async fn an_answer_too_large_for_a_frame_reaches_the_caller_as_a_failure(place: Place) {
    let server = place.listen().await.max_frame(1000);
    let server = server.serve(|n: usize| async move { Ok("x".repeat(n)) });
    let channel = connect(server.local_address()).await.unwrap();
    let told = message_of(channel.request::<String>(&5000).await.map(drop));
    assert!(told.starts_with("[internal] the answer of 5002 bytes does not fit"), "{told}");
    assert_eq!(channel.request::<String>(&3).await, Ok("xxx".to_owned()));
}

async fn an_answer_that_comes_too_late_is_counted_and_ignored(place: Place) {
    let (channel, mut peer) = place.meet().await;
    let late = channel.request::<u64>(&1).deadline(Duration::from_millis(20)).await;
    assert_eq!(late, Err(CallError::Deadline { stop: Stop::Unconfirmed }));
    peer.next_request().await.unwrap().reply(&1);
    let mut call = channel.request::<u64>(&2).into_future();
    assert!(step(&mut call).await.is_none());
    peer.next_request().await.unwrap().reply(&2);
    assert_eq!(call.await, Ok(2));
    assert_eq!(channel.counters().late_replies, 1);
}
