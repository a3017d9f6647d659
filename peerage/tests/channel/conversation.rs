//! Requests and replies between two ends that behave.

use std::collections::BTreeMap;

use peerage::channel::Peer;
use peerage::outcome::{CallError, LinkLost, Refused};
use peerage::{Encoding, Payload, Request};
use serde::{Deserialize, Serialize};

use crate::meeting::{Place, answer_all, bind, connect, step, within_limit};
use crate::raw::Raw;

over_every_transport!(tcp, tls, quic, unix, memory; [
    a_request_gets_its_reply_over_every_transport,
    both_ends_may_call_at_once,
    requests_arrive_in_the_order_they_were_sent,
    a_channel_knows_both_addresses_and_its_peer,
    both_codecs_carry_the_same_conversation,
    content_and_answer_travel_unopened,
    a_listener_recognises_the_codec_of_each_connection,
    who_accepted_can_ask_as_soon_as_the_codec_is_known,
    a_listener_tells_the_port_it_got_and_closing_twice_is_harmless,
    next_request_and_request_lose_nothing_when_cancelled,
    a_thousand_calls_on_many_connections_each_get_their_own_answer,
]);

mod by_hand {
    use super::the_same_id_twice_is_served_twice_in_the_plain_dialect;

    over_every_transport!(tcp, unix; [the_same_id_twice_is_served_twice_in_the_plain_dialect]);
}

async fn a_request_gets_its_reply_over_every_transport(place: Place) {
    let (server, channel) = place.serve(|(a, b): (i64, i64)| async move { Ok(a + b) }).await;
    assert_eq!(channel.request::<i64>(&(2, 3)).await, Ok(5));
    assert_eq!(channel.request::<i64>(&(-2, 2)).await, Ok(0));
    assert_eq!(channel.counters().calls, 2);
    within_limit(server.close()).await;
}

async fn both_ends_may_call_at_once(place: Place) {
    let (dialled, accepted) = place.meet().await;
    let callers = [dialled.caller(), accepted.caller()];
    let ends = [tokio::spawn(answer_all(dialled, |n| n + 1)), tokio::spawn(answer_all(accepted, |n| n * 2))];
    let mut calls = Vec::new();
    for n in 0..200 {
        let (there, here) = (callers[0].clone(), callers[1].clone());
        calls.push(tokio::spawn(async move {
            assert_eq!(there.request::<u64>(&n).await, Ok(n * 2));
            assert_eq!(here.request::<u64>(&n).await, Ok(n + 1));
        }));
    }
    for call in calls {
        call.await.unwrap();
    }
    within_limit(callers[0].close()).await;
    for end in ends {
        end.await.unwrap();
    }
}

async fn requests_arrive_in_the_order_they_were_sent(place: Place) {
    let (channel, mut peer) = place.meet().await;
    let mut calls = Vec::new();
    for n in 0..300_u64 {
        let mut call = channel.request::<u64>(&n).into_future();
        assert!(step(&mut call).await.is_none());
        calls.push(call);
    }
    let mut requests = Vec::new();
    for n in 0..300_u64 {
        let request = peer.next_request().await.unwrap();
        assert_eq!(request.content(), Ok(n));
        requests.push((n, request));
    }
    // Answers may come in any order.
    for (n, request) in requests.into_iter().rev() {
        request.reply(&(n + 1000));
    }
    for (n, call) in calls.into_iter().enumerate() {
        assert_eq!(call.await, Ok(n as u64 + 1000));
    }
}

async fn a_channel_knows_both_addresses_and_its_peer(place: Place) {
    let (dialled, accepted) = place.meet().await;
    assert_eq!(dialled.local_address(), accepted.remote_address());
    assert_eq!(dialled.remote_address(), accepted.local_address());
    assert_eq!(dialled.caller().remote_address(), dialled.remote_address());
    if place.address().port().is_some() {
        assert_ne!(dialled.remote_address().port(), Some(0));
        assert_ne!(dialled.remote_address(), dialled.local_address());
    } else {
        assert_eq!(dialled.remote_address(), place.address());
    }
    let Peer { credentials, .. } = accepted.peer();
    assert_eq!(credentials.is_some(), place.address().path().is_some());
    if let Some(known) = credentials {
        assert_eq!(known.uid, rustix::process::getuid().as_raw());
        assert_eq!(known.pid.map(|pid| pid as u32), Some(std::process::id()));
    }
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct Reading {
    sensor: String,
    values: Vec<f64>,
    flags: BTreeMap<String, Option<bool>>,
    serial: u64,
    offset: i64,
}

async fn both_codecs_carry_the_same_conversation(place: Place) {
    let reading = Reading {
        sensor: "größe \u{1F321} \"quoted\" \n".to_owned(),
        values: vec![0.1, -1e300, 0.0],
        flags: BTreeMap::from([("on".to_owned(), Some(true)), ("unknown".to_owned(), None)]),
        serial: u64::MAX,
        offset: i64::MIN,
    };
    let server = place.listen().await.serve(|reading: Reading| async move { Ok(reading) });
    for encoding in [Encoding::Json, Encoding::MsgPack] {
        let by_option = server.local_address().clone().with_codec(encoding);
        for connect in [connect(server.local_address()).encoding(encoding), connect(&by_option)] {
            let channel = connect.await.unwrap();
            assert_eq!(channel.encoding(), Some(encoding));
            assert_eq!(channel.request(&reading).await, Ok(reading.clone()));
        }
    }
}

async fn content_and_answer_travel_unopened(place: Place) {
    let (_server, channel) = place
        .serve(|request: Request| async move {
            let content = request.payload().clone();
            request.reply_payload(&content);
        })
        .await;
    // Neither is anything that a value of ours could hold.
    for text in ["[NaN,  -Infinity]", "123456789012345678901234567890"] {
        let content = Payload::from_parts(Encoding::Json, text.into());
        assert_eq!(channel.request_payload(content.clone()).await, Ok(content));
    }
    let foreign = Payload::encode(&1, Encoding::MsgPack).unwrap();
    let refused = channel.request_payload(foreign).await;
    let Err(CallError::Refused { why: Refused::BadRequest(why) }) = refused else { panic!("{refused:?}") };
    assert_eq!(why, "the channel speaks json, the payload is msgpack");
}

async fn a_listener_recognises_the_codec_of_each_connection(place: Place) {
    let server = place.listen().await.serve(|n: u64| async move { Ok(n + 1) });
    let connect = |encoding| connect(server.local_address()).encoding(encoding);
    let json = connect(Encoding::Json).await.unwrap();
    let msgpack = connect(Encoding::MsgPack).await.unwrap();
    for n in 0..10 {
        assert_eq!(json.request::<u64>(&n).await, Ok(n + 1));
        assert_eq!(msgpack.request::<u64>(&n).await, Ok(n + 1));
    }
}

async fn who_accepted_can_ask_as_soon_as_the_codec_is_known(place: Place) {
    let mut listener = place.listen().await;
    let dialled = connect(listener.local_address()).encoding(Encoding::MsgPack).await.unwrap();
    let mut accepted = listener.accept().await;
    assert_eq!(accepted.encoding(), None);
    let Err(CallError::Refused { why: Refused::BadRequest(why) }) = accepted.request::<u64>(&1).await else {
        panic!("a call in no codec was sent")
    };
    assert!(why.contains("?codec="), "{why}");
    let first = dialled.caller();
    let first = tokio::spawn(async move { first.request::<u64>(&7).await });
    let request = accepted.next_request().await.unwrap();
    assert_eq!(accepted.encoding(), Some(Encoding::MsgPack));
    // Asking back before answering is what the handle in a request is for.
    let answering = tokio::spawn(answer_all(dialled, |n| n * 3));
    let back = request.caller().request::<u64>(&5).await.unwrap();
    request.reply(&back);
    assert_eq!(first.await.unwrap(), Ok(15));
    within_limit(accepted.close()).await;
    assert_eq!(answering.await.unwrap().ended().await, LinkLost::PeerClosed);
}

async fn a_listener_tells_the_port_it_got_and_closing_twice_is_harmless(place: Place) {
    let listener = place.listen().await;
    let got = listener.local_address().clone();
    assert_ne!(got.port(), Some(0));
    let in_use = bind(&got).await.unwrap_err().to_string();
    assert!(in_use.contains(&got.to_string()), "{in_use}");
    // Closing takes the listener, so only a new one could be closed again; what was bound is free at once.
    listener.close();
    bind(&got).await.unwrap().close();
    connect(&got).await.unwrap_err();
    let server = bind(&got).await.unwrap().serve(|n: u64| async move { Ok(n) });
    assert_eq!(server.local_address(), &got);
    let channel = connect(&got).await.unwrap();
    assert_eq!(channel.request::<u64>(&1).await, Ok(1));
    within_limit(server.close()).await;
    connect(&got).await.unwrap_err();
    assert_eq!(within_limit(channel.ended()).await, LinkLost::PeerClosed);
    // Connections that were accepted outlive their listener.
    let mut listener = bind(&got).await.unwrap().encoding(Encoding::Json);
    let channel = connect(&got).await.unwrap();
    let accepted = listener.accept().await;
    listener.close();
    let serving = tokio::spawn(answer_all(accepted, |n| n));
    assert_eq!(channel.request::<u64>(&2).await, Ok(2));
    channel.close().await;
    serving.await.unwrap();
}

async fn next_request_and_request_lose_nothing_when_cancelled(place: Place) {
    let (channel, mut peer) = place.meet().await;
    let caller = channel.caller();
    let calling = tokio::spawn(async move {
        let mut kept = Vec::new();
        for n in 0..200_u64 {
            let mut call = caller.request::<u64>(&n).into_future();
            assert!(step(&mut call).await.is_none());
            // Every second one is given up, some of them before they could leave, some after.
            if n % 2 == 0 {
                kept.push((n, call));
            }
            if n % 7 == 0 {
                tokio::task::yield_now().await;
            }
        }
        for (n, call) in kept {
            assert_eq!(call.await, Ok(n + 1));
        }
    });
    let mut last = None;
    while last != Some(198) {
        let request = loop {
            let mut waiting = Box::pin(peer.next_request());
            match step(&mut waiting).await {
                Some(request) => break request.unwrap(),
                None => drop(waiting),
            }
            tokio::task::yield_now().await;
        };
        let n: u64 = request.content().unwrap();
        assert!(last < Some(n), "{n} came after {last:?}");
        assert!(n <= last.unwrap_or(0) + 2, "only what was given up may be missing");
        last = Some(n);
        request.reply(&(n + 1));
    }
    calling.await.unwrap();
    drop(channel);
}

async fn a_thousand_calls_on_many_connections_each_get_their_own_answer(place: Place) {
    let (server, _first) = place
        .serve(|n: u64| async move {
            // Every third handler goes on as a task of its own.
            if n.is_multiple_of(3) {
                tokio::task::yield_now().await;
            }
            Ok(n * n)
        })
        .await;
    let mut calls = Vec::new();
    for part in 0..10 {
        let channel = connect(server.local_address()).await.unwrap();
        calls.push(tokio::spawn(async move {
            let mut calls = Vec::new();
            for n in part * 100..part * 100 + 100 {
                let caller = channel.caller();
                calls.push(tokio::spawn(async move { caller.request::<u64>(&n).await == Ok(n * n) }));
            }
            for call in calls {
                assert!(call.await.unwrap());
            }
        }));
    }
    for call in calls {
        call.await.unwrap();
    }
}

async fn the_same_id_twice_is_served_twice_in_the_plain_dialect(place: Place) {
    let (server, _channel) = place.serve(|text: String| async move { Ok(text) }).await;
    let mut raw = Raw::connect(server.local_address()).await;
    raw.say(r#"[0, 7, "first"]"#).await;
    raw.say(r#"[0, 7, "second"]"#).await;
    let mut answers = [raw.hear().await.unwrap(), raw.hear().await.unwrap()];
    answers.sort();
    assert_eq!(answers, [r#"[1, 7, "first"]"#, r#"[1, 7, "second"]"#]);
}
