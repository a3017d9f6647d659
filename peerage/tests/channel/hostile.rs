//! What a peer does that the protocol does not allow: it ends that connection, and no other.

use std::time::Duration;

use peerage::outcome::{CallError, LinkLost};
use peerage::{Channel, Encoding, Payload, Server};

use crate::meeting::{Place, connect, step, within_limit};
use crate::raw::{Raw, RawListener, frame};

over_every_transport!(tcp, unix; [
    a_frame_of_unknown_kind_ends_the_channel_and_every_waiting_call,
    a_bad_frame_ends_its_own_connection_and_no_other,
    a_frame_above_the_limit_ends_its_own_connection_and_no_other,
    answers_nobody_waits_for_are_counted_and_ignored,
    a_listener_survives_whatever_connects,
]);

mod by_payload {
    use super::a_body_that_is_no_triple_ends_the_connection_of_its_sender;

    over_every_transport!(tcp, tls, quic, unix, memory; [a_body_that_is_no_triple_ends_the_connection_of_its_sender]);
}

async fn echo(place: &Place) -> (Server, Channel) {
    place.serve(|text: String| async move { Ok(text) }).await
}

async fn a_frame_of_unknown_kind_ends_the_channel_and_every_waiting_call(place: Place) {
    let (listener, address) = RawListener::bind(&place).await;
    // Cancel, stopped and busy belong to the full dialect, which nobody agreed on.
    for kind in [3, 4, 5, 6, 32, 1_000_000] {
        let channel = connect(&address).await.unwrap();
        let mut raw = listener.accept().await;
        let mut calls = Vec::new();
        for n in 0..3_u64 {
            let mut call = channel.request::<u64>(&n).into_future();
            assert!(step(&mut call).await.is_none());
            raw.hear().await.unwrap();
            calls.push(call);
        }
        raw.say(format!("[{kind}, 0, null]")).await;
        for call in calls {
            let why = format!("invalid message type {kind}");
            assert_eq!(call.await, Err(CallError::Protocol { why }));
        }
        assert_eq!(raw.hear().await, None);
        let LinkLost::Misbehaved(misbehaved) = channel.ended().await else { panic!("the peer is at fault") };
        assert_eq!(misbehaved.to_string(), format!("invalid message type {kind}"));
        let error = channel.request::<u64>(&1).await.unwrap_err();
        assert!(matches!(error, CallError::NotSent { .. }), "{error:?}");
    }
}

async fn a_bad_frame_ends_its_own_connection_and_no_other(place: Place) {
    let (server, channel) = echo(&place).await;
    let bad: [&[u8]; 14] = [
        b"",
        b"x",
        b"null",
        b"[]",
        b"[0, 0]",
        b"[0, 0, 1, 2]",
        b"[0, -1, 1]",
        b"[0, 1.5, 1]",
        b"[0, 18446744073709551616, 1]",
        b"[true, 0, 1]",
        b"[0, 0, \"open",
        b"{\"type\": 0}",
        b"\xef\xbb\xbf[0, 0, 1]",
        b"\x94\x00\x00\x00\x00",
    ];
    for body in bad {
        let mut raw = Raw::connect(server.local_address()).await;
        raw.say(body).await;
        assert_eq!(raw.hear().await, None, "{:?}", String::from_utf8_lossy(body));
        assert_eq!(channel.request("still there").await, Ok("still there".to_owned()));
    }
    // The codec of a connection is that of its first frame.
    let mut raw = Raw::connect(server.local_address()).await;
    raw.say(r#"[0, 0, "json"]"#).await;
    assert_eq!(raw.hear().await.as_deref(), Some(r#"[1, 0, "json"]"#));
    raw.say(b"\x93\x00\x01\xa1x").await;
    assert_eq!(raw.hear().await, None);
}

async fn a_body_that_is_no_triple_ends_the_connection_of_its_sender(place: Place) {
    let (server, channel) = echo(&place).await;
    let bad = connect(server.local_address()).await.unwrap();
    // Two elements where one belongs: nobody looks before it arrives.
    let content = Payload::from_parts(Encoding::Json, "1,2".into());
    let error = bad.request_payload(content).await.unwrap_err();
    assert!(matches!(error, CallError::ConnectionLost { .. }), "{error:?}");
    assert_eq!(channel.request("still there").await, Ok("still there".to_owned()));
}

async fn a_frame_above_the_limit_ends_its_own_connection_and_no_other(place: Place) {
    let server = place.listen().await.max_frame(100);
    let server = server.serve(|text: String| async move { Ok(text) });
    let channel = connect(server.local_address()).await.unwrap();
    let mut fits = Raw::connect(server.local_address()).await;
    fits.say(format!("[0,0,\"{}\"]", "x".repeat(92))).await;
    assert!(fits.hear().await.is_some());
    for length in [101_u32, 16 << 20, u32::MAX] {
        let mut raw = Raw::connect(server.local_address()).await;
        raw.send(length.to_be_bytes()).await;
        assert_eq!(raw.hear().await, None, "{length}");
        assert_eq!(channel.request("still there").await, Ok("still there".to_owned()));
    }
    // It is the peer's limit that decides what arrives; the sender learns that its connection is gone.
    let lost = channel.request::<String>(&"x".repeat(200)).await.unwrap_err();
    assert!(matches!(lost, CallError::ConnectionLost { .. }), "{lost:?}");
    assert!(fits.hear_nothing().await);
}

async fn answers_nobody_waits_for_are_counted_and_ignored(place: Place) {
    let (listener, address) = RawListener::bind(&place).await;
    let channel = connect(&address).await.unwrap();
    let mut raw = listener.accept().await;
    let mut call = channel.request::<u64>(&1).into_future();
    assert!(step(&mut call).await.is_none());
    raw.hear().await.unwrap();
    let frames = ["[1,1,5]", "[2,18446744073709551615,\"?\"]", "[1,0,7]", "[1,0,8]", "[2,0,\"twice\"]"];
    raw.send(frames.map(frame).concat()).await;
    assert_eq!(call.await, Ok(7));
    let mut call = channel.request::<u64>(&2).into_future();
    assert!(step(&mut call).await.is_none());
    assert_eq!(raw.hear().await.as_deref(), Some("[0, 1, 2]"));
    raw.say("[1,1,9]").await;
    assert_eq!(call.await, Ok(9));
    assert_eq!(channel.counters().late_replies, 4);
}

async fn a_listener_survives_whatever_connects(place: Place) {
    let (server, channel) = echo(&place).await;
    for n in 0..60_u32 {
        let mut raw = Raw::connect(server.local_address()).await;
        match n % 6 {
            0 => {}
            1 => raw.send(b"GET / HTTP/1.1\r\n\r\n").await,
            2 => raw.send(&frame("[0,0,\"gone\"]")[..7]).await,
            3 => raw.say("[0,0,\"gone\"]").await,
            4 => raw.finish().await,
            _ => raw.send([0xff; 64]).await,
        }
    }
    let answer = channel.request("still there").deadline(Duration::from_secs(5)).await;
    assert_eq!(answer, Ok("still there".to_owned()));
    within_limit(server.close()).await;
}
