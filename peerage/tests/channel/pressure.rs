//! Queues that are full, values that are large, readers that are slow.

use std::time::{Duration, Instant};

use peerage::channel::{Call, Counters};
use peerage::outcome::{CallError, NotSent};
use peerage::{Caller, Channel, Encoding, Payload, Request};

use crate::meeting::{Place, answer_all, connect, large, step, within_limit};
use crate::raw::{Raw, frame};

over_every_transport!(tcp, tls, quic, unix, memory; [
    callers_wait_for_room_in_the_order_they_came,
    a_call_that_finds_no_room_before_its_deadline_is_not_sent,
    a_caller_that_stops_waiting_gives_up_its_place,
    callers_waiting_for_room_learn_that_the_connection_has_ended,
    reading_stops_over_the_limit_and_goes_on_when_answers_are_given,
    large_values_pass_both_ways_at_once,
    many_large_answers_pass_both_ways_at_once,
    a_handler_can_ask_back_while_it_holds_a_large_request,
    large_requests_wait_until_they_are_fetched,
]);

mod by_hand {
    use super::a_slow_reader_does_not_harm_others;

    over_every_transport!(tcp, unix; [a_slow_reader_does_not_harm_others]);
}

/// Two ends of which the dialling one may have two calls in flight.
async fn meet_narrow(place: &Place) -> (Channel, Channel) {
    let mut listener = place.listen().await.encoding(Encoding::Json);
    let channel = connect(listener.local_address()).calls_in_flight(2);
    let channel = channel.await.unwrap();
    (channel, listener.accept().await)
}

type Calls<'a> = Vec<Call<'a, u64>>;

/// Calls with the numbers of a range, begun in this order.
async fn begin(caller: &Caller, numbers: std::ops::Range<u64>) -> Calls<'_> {
    let mut calls = Vec::new();
    for n in numbers {
        let mut call = caller.request::<u64>(&n).into_future();
        assert!(step(&mut call).await.is_none());
        calls.push(call);
    }
    calls
}

async fn callers_wait_for_room_in_the_order_they_came(place: Place) {
    let (channel, mut peer) = meet_narrow(&place).await;
    // Tasks of their own, each started when the one before it is in the queue.
    let (tell, mut told) = tokio::sync::mpsc::channel(1);
    let mut calls = Vec::new();
    for n in 0..20_u64 {
        let (caller, tell) = (channel.caller(), tell.clone());
        calls.push(tokio::spawn(async move {
            let mut call = caller.request::<u64>(&n).into_future();
            assert!(step(&mut call).await.is_none());
            tell.send(()).await.unwrap();
            call.await
        }));
        told.recv().await.unwrap();
    }
    for n in 0..20_u64 {
        let request = peer.next_request().await.unwrap();
        assert_eq!(request.content(), Ok(n));
        assert!(peer.counters().requests <= n + 2, "two at a time");
        request.reply(&n);
    }
    for (n, call) in calls.into_iter().enumerate() {
        assert_eq!(call.await.unwrap(), Ok(n as u64));
    }
}

async fn a_call_that_finds_no_room_before_its_deadline_is_not_sent(place: Place) {
    let (channel, mut peer) = meet_narrow(&place).await;
    let caller = channel.caller();
    let held = begin(&caller, 0..2).await;
    let deadline = Duration::from_millis(100);
    let begun = Instant::now();
    let third = channel.request::<u64>(&2).deadline(deadline).await;
    let took = begun.elapsed();
    assert_eq!(third, Err(CallError::NotSent { why: NotSent::QueueFull }));
    assert!(took >= deadline && took < deadline + Duration::from_secs(2), "{took:?}");
    for n in 0..2_u64 {
        let request = peer.next_request().await.unwrap();
        assert_eq!(request.content(), Ok(n));
        request.reply(&n);
    }
    for (n, call) in held.into_iter().enumerate() {
        assert_eq!(call.await, Ok(n as u64));
    }
    // What was not sent never arrives.
    let answering = tokio::spawn(answer_all(peer, |n| n));
    assert_eq!(channel.request::<u64>(&3).await, Ok(3));
    assert_eq!(channel.counters().calls, 3);
    channel.close().await;
    assert_eq!(answering.await.unwrap().counters().requests, 3);
}

async fn a_caller_that_stops_waiting_gives_up_its_place(place: Place) {
    let (channel, mut peer) = meet_narrow(&place).await;
    let caller = channel.caller();
    let mut calls = begin(&caller, 0..6).await;
    // 0 and 1 are on their way, the others wait; the first of them and one behind it give up.
    drop(calls.remove(2));
    drop(calls.remove(3));
    // So does one that has left, and its place in flight is free at once.
    while peer.counters().requests < 2 {
        tokio::task::yield_now().await;
    }
    drop(calls.remove(0));
    let answering = tokio::spawn(async move {
        let mut seen = Vec::new();
        while let Some(request) = peer.next_request().await {
            seen.push(request.content::<u64>().unwrap());
            request.reply(seen.last().unwrap());
        }
        seen
    });
    for (call, n) in calls.into_iter().zip([1, 3, 5]) {
        assert_eq!(call.await, Ok(n));
    }
    channel.close().await;
    assert_eq!(answering.await.unwrap(), [0, 1, 3, 5]);
}

async fn callers_waiting_for_room_learn_that_the_connection_has_ended(place: Place) {
    for here in [true, false] {
        let mut listener = place.listen_beside().await.encoding(Encoding::Json);
        let channel = connect(listener.local_address()).calls_in_flight(2);
        let (channel, mut peer) = (channel.await.unwrap(), listener.accept().await);
        let caller = channel.caller();
        let calls = begin(&caller, 0..30).await;
        let requests = [peer.next_request().await, peer.next_request().await];
        if here {
            channel.close().await;
        } else {
            peer.close().await;
        }
        for (n, call) in calls.into_iter().enumerate() {
            let error = within_limit(call).await.unwrap_err();
            assert_eq!(error.may_have_run(), n < 2, "{n}: {error:?}");
        }
        drop(requests);
    }
}

async fn reading_stops_over_the_limit_and_goes_on_when_answers_are_given(place: Place) {
    let mut listener = place.listen().await.encoding(Encoding::Json).concurrency(2);
    let channel = connect(listener.local_address()).calls_in_flight(10_000);
    let (channel, mut peer) = (channel.await.unwrap(), listener.accept().await);
    // 32 MiB, more than sockets and pipes take.
    let content = large(16 << 10);
    let mut calls = Vec::new();
    for _ in 0..2000 {
        let call = channel.request_payload(content.clone()).deadline(Duration::from_millis(700));
        let mut call = call.into_future();
        assert!(step(&mut call).await.is_none());
        calls.push(call);
    }
    let mut unsent = 0;
    for call in calls {
        match call.await.unwrap_err() {
            CallError::Deadline { .. } => {}
            CallError::NotSent { why: NotSent::QueueFull } => unsent += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!(unsent > 200, "the peer goes on reading what it cannot serve: {unsent} unsent");
    let read = peer.counters().requests;
    assert!((2..100).contains(&read), "{read} requests were taken in by who serves two");
    // Once answers are given, everything that left arrives, and the connection is as good as new.
    let answering = tokio::spawn(async move {
        while let Some(request) = peer.next_request().await {
            request.reply(&1);
        }
        peer.counters().requests
    });
    assert_eq!(channel.request::<u64>("short").await, Ok(1));
    let sent = channel.counters().calls;
    channel.close().await;
    let arrived = answering.await.unwrap();
    // Whatever was taken out again did not arrive.
    assert!(arrived <= sent && arrived >= 2001 - unsent, "{arrived} of {sent}, {unsent} unsent");
}

async fn large_values_pass_both_ways_at_once(place: Place) {
    let (dialled, accepted) = place.meet().await;
    let callers = [dialled.caller(), accepted.caller()];
    let ends = [tokio::spawn(echo(dialled)), tokio::spawn(echo(accepted))];
    let text = "0123456789abcdef".repeat(512 << 10);
    let unopened = Payload::from_parts(Encoding::Json, format!("\"{text}\"").into());
    let (there, back) = tokio::join!(callers[0].request::<String>(&text), callers[1].request_payload(unopened.clone()));
    assert!(there == Ok(text.clone()) && back == Ok(unopened));
    callers[0].close().await;
    for end in ends {
        let counters = end.await.unwrap();
        let least = 2 * text.len() as u64;
        assert!(counters.bytes_in > least && counters.bytes_in < least + 1000, "{counters:?}");
        assert!(counters.bytes_out > least && counters.bytes_out < least + 1000, "{counters:?}");
    }
}

/// Answers with what was asked, unopened.
async fn echo(mut channel: Channel) -> Counters {
    while let Some(request) = channel.next_request().await {
        let content = request.payload().clone();
        request.reply_payload(&content);
    }
    channel.counters()
}

async fn many_large_answers_pass_both_ways_at_once(place: Place) {
    let (dialled, accepted) = place.meet().await;
    let callers = [dialled.caller(), accepted.caller()];
    let serve = |mut channel: Channel| async move {
        let answer = large(9 << 20);
        while let Some(request) = channel.next_request().await {
            request.reply_payload(&answer);
        }
    };
    let ends = [tokio::spawn(serve(dialled)), tokio::spawn(serve(accepted))];
    // Each end has more answers to write than it may keep for a slow reader, and waits for the other's.
    let mut calls = Vec::new();
    for caller in &callers {
        for n in 0..4 {
            let content = Payload::encode(&n, Encoding::Json).unwrap();
            let mut call = caller.request_payload(content).into_future();
            assert!(step(&mut call).await.is_none());
            calls.push(call);
        }
    }
    for call in calls {
        assert_eq!(call.await.map(|answer| answer.len()), Ok(9 << 20));
    }
    callers[0].close().await;
    for end in ends {
        end.await.unwrap();
    }
}

async fn a_handler_can_ask_back_while_it_holds_a_large_request(place: Place) {
    let (_server, channel) = place
        .serve(|request: Request| async move {
            let answer: u64 = request.caller().request(&1).await.unwrap();
            let length = request.payload().len() as u64;
            request.reply(&(answer + length));
        })
        .await;
    let caller = channel.caller();
    let answering = tokio::spawn(answer_all(channel, |n| n + 1));
    let content = large((16 << 20) - 100);
    let answer = caller.request_payload(content.clone()).await.unwrap();
    assert_eq!(answer.decode(), Ok(content.len() + 2));
    caller.close().await;
    answering.await.unwrap();
}

async fn large_requests_wait_until_they_are_fetched(place: Place) {
    let (channel, mut peer) = place.meet().await;
    let content = large(10 << 20);
    let mut calls = Vec::new();
    for _ in 0..4 {
        let caller = channel.caller();
        let content = content.clone();
        calls.push(tokio::spawn(async move { caller.request_payload(content).await }));
    }
    // Two are more than may wait unfetched; whoever comes behind them is not read before.
    while peer.counters().requests < 2 {
        tokio::task::yield_now().await;
    }
    let mut held = Vec::new();
    for n in 1..=4 {
        held.push(peer.next_request().await.unwrap());
        assert!(peer.counters().requests <= n + 2, "{n}: {:?}", peer.counters());
    }
    for request in held {
        request.reply(&1);
    }
    for call in calls {
        call.await.unwrap().unwrap();
    }
}

async fn a_slow_reader_does_not_harm_others(place: Place) {
    let answer = large(1 << 20);
    let (server, channel) = place
        .serve(move |request: Request| {
            let answer = answer.clone();
            async move {
                match request.content() {
                    Ok(true) => request.reply_payload(&answer),
                    _ => request.reply("small"),
                }
            }
        })
        .await;
    let mut slow = Raw::connect(server.local_address()).await;
    // 100 MiB of answers, of which none is read.
    for n in 0..100 {
        slow.send(frame(format!("[0,{n},true]"))).await;
    }
    let begun = Instant::now();
    for _ in 0..100 {
        assert_eq!(channel.request("please").await, Ok("small".to_owned()));
    }
    assert!(begun.elapsed() < Duration::from_secs(5));
    // And when it reads at last, it gets what it asked for.
    for _ in 0..100 {
        assert!(slow.hear().await.unwrap().len() > 1 << 20);
    }
    within_limit(server.close()).await;
}
