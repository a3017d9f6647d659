//! How a connection ends, and what becomes of the calls on it.

use std::time::{Duration, Instant};

use peerage::channel::Call;
use peerage::outcome::{CallError, LinkLost, NotSent};
use peerage::{Caller, Channel, Encoding, Payload, Request};

use crate::meeting::{Place, bell, connect, large, step, within_limit};
use crate::raw::{Raw, RawListener, tcp};

over_every_transport!(tcp, tls, quic, unix, memory; [
    closing_twice_is_harmless_and_ends_every_waiting_call,
    every_waiting_call_ends_when_the_link_ends,
    a_dropped_channel_ends_the_calls_of_its_callers,
    a_handle_for_calling_does_not_keep_the_connection_open,
    an_answer_after_the_end_goes_nowhere,
    requests_that_were_read_before_the_end_can_still_be_fetched,
    answers_given_before_closing_still_arrive,
]);

mod by_hand {
    use super::*;

    over_every_transport!(tcp, unix; [
        answers_under_way_arrive_after_the_peer_half_closed,
        a_peer_that_half_closes_ends_our_calls_and_not_its_own,
        a_peer_that_goes_in_the_middle_of_a_frame_is_lost,
    ]);
}

mod by_reset {
    use super::a_reset_ends_every_waiting_call_and_asks_handlers_to_stop;

    over_every_transport!(tcp; [a_reset_ends_every_waiting_call_and_asks_handlers_to_stop]);
}

/// Calls that wait for their answers, and the requests at the other end.
async fn waiting_calls<'a>(caller: &'a Caller, peer: &mut Channel) -> (Vec<Call<'a, u64>>, Vec<Request>) {
    let (mut calls, mut requests) = (Vec::new(), Vec::new());
    for n in 0..10_u64 {
        let mut call = caller.request::<u64>(&n).into_future();
        assert!(step(&mut call).await.is_none());
        calls.push(call);
        requests.push(peer.next_request().await.unwrap());
    }
    (calls, requests)
}

async fn closing_twice_is_harmless_and_ends_every_waiting_call(place: Place) {
    let (channel, mut peer) = place.meet().await;
    let caller = channel.caller();
    let (calls, requests) = waiting_calls(&caller, &mut peer).await;
    let unsent = caller.request::<u64>(&11);
    channel.close().await;
    channel.close().await;
    for call in calls {
        let why = LinkLost::ClosedHere;
        assert_eq!(call.await, Err(CallError::ConnectionLost { why }));
    }
    let shutting_down = Err(CallError::NotSent { why: NotSent::ShuttingDown });
    assert_eq!(unsent.await, shutting_down);
    assert_eq!(channel.request::<u64>(&12).await, shutting_down);
    assert_eq!(channel.caller().request::<u64>(&13).await, shutting_down);
    assert_eq!(channel.ended().await, LinkLost::ClosedHere);
    drop(requests);
    assert!(within_limit(peer.next_request()).await.is_none());
    assert_eq!(peer.ended().await, LinkLost::PeerClosed);
    // The other end may close what is closed already.
    peer.close().await;
    assert_eq!(peer.ended().await, LinkLost::PeerClosed);
}

async fn every_waiting_call_ends_when_the_link_ends(place: Place) {
    let (channel, mut peer) = place.meet().await;
    let caller = channel.caller();
    let (calls, _requests) = waiting_calls(&caller, &mut peer).await;
    drop(peer);
    for call in calls {
        let error = call.await.unwrap_err();
        let why = LinkLost::PeerClosed;
        assert_eq!(error, CallError::ConnectionLost { why });
        assert!(error.may_have_run());
    }
    let error = channel.request::<u64>(&1).await.unwrap_err();
    assert_eq!(error, CallError::NotSent { why: NotSent::NoRoute });
    assert!(!error.may_have_run());
}

async fn a_dropped_channel_ends_the_calls_of_its_callers(place: Place) {
    let (channel, mut peer) = place.meet().await;
    let caller = channel.caller();
    let (calls, _requests) = waiting_calls(&caller, &mut peer).await;
    drop(channel);
    for call in calls {
        let why = LinkLost::ClosedHere;
        assert_eq!(call.await, Err(CallError::ConnectionLost { why }));
    }
    let why = NotSent::ShuttingDown;
    assert_eq!(caller.request::<u64>(&1).await, Err(CallError::NotSent { why }));
    caller.close().await;
}

async fn a_handle_for_calling_does_not_keep_the_connection_open(place: Place) {
    let (channel, mut peer) = place.meet().await;
    let callers = [channel.caller(), channel.caller(), peer.caller()];
    drop(channel);
    assert!(within_limit(peer.next_request()).await.is_none());
    for caller in callers {
        let error = caller.request::<u64>(&1).await.unwrap_err();
        assert!(!error.may_have_run(), "{error:?}");
    }
}

async fn an_answer_after_the_end_goes_nowhere(place: Place) {
    let (channel, mut peer) = place.meet().await;
    let caller = channel.caller();
    let (calls, requests) = waiting_calls(&caller, &mut peer).await;
    drop((channel, calls));
    within_limit(peer.close()).await;
    for (n, request) in requests.into_iter().enumerate() {
        match n % 4 {
            0 => request.reply(&n),
            1 => request.fail("too late"),
            2 => request.reply(&f64::NAN),
            _ => drop(request),
        }
    }
    assert!(peer.next_request().await.is_none());
}

async fn requests_that_were_read_before_the_end_can_still_be_fetched(place: Place) {
    let (channel, mut peer) = place.meet().await;
    let caller = channel.caller();
    let mut calls = Vec::new();
    for n in 0..5_u64 {
        let mut call = caller.request::<u64>(&n).into_future();
        assert!(step(&mut call).await.is_none());
        calls.push(call);
    }
    while peer.counters().requests < 5 {
        tokio::task::yield_now().await;
    }
    drop(channel);
    for n in 0..5_u64 {
        let request = within_limit(peer.next_request()).await.unwrap();
        assert_eq!(request.content(), Ok(n));
        request.reply(&n);
    }
    assert!(within_limit(peer.next_request()).await.is_none());
}

async fn answers_given_before_closing_still_arrive(place: Place) {
    let (channel, mut peer) = place.meet().await;
    let answer = large(2 << 20);
    let mut calls = Vec::new();
    for n in 0..4_u64 {
        let content = Payload::encode(&n, Encoding::Json).unwrap();
        let mut call = channel.request_payload(content).into_future();
        assert!(step(&mut call).await.is_none());
        calls.push(call);
    }
    for _ in 0..4 {
        peer.next_request().await.unwrap().reply_payload(&answer);
    }
    // More than any socket takes at once waits to be written by now.
    let closing = tokio::spawn(async move { within_limit(peer.close()).await });
    for call in calls {
        assert_eq!(call.await, Ok(answer.clone()));
    }
    closing.await.unwrap();
    assert_eq!(within_limit(channel.ended()).await, LinkLost::PeerClosed);
}

async fn answers_under_way_arrive_after_the_peer_half_closed(place: Place) {
    let server = place.listen().await.serve(|n: u64| async move {
        for _ in 0..n {
            tokio::task::yield_now().await;
        }
        Ok(n)
    });
    let mut raw = Raw::connect(server.local_address()).await;
    for n in [300, 0, 20] {
        raw.say(format!("[0,{n},{n}]")).await;
    }
    raw.finish().await;
    let mut answers = Vec::new();
    while let Some(answer) = raw.hear().await {
        answers.push(answer);
    }
    answers.sort();
    assert_eq!(answers, ["[1, 0, 0]", "[1, 20, 20]", "[1, 300, 300]"]);
}

async fn a_peer_that_half_closes_ends_our_calls_and_not_its_own(place: Place) {
    let (listener, address) = RawListener::bind(&place).await;
    let mut channel = connect(&address).await.unwrap();
    let mut raw = listener.accept().await;
    let mut call = channel.request::<u64>(&1).into_future();
    assert!(step(&mut call).await.is_none());
    assert_eq!(raw.hear().await.unwrap(), "[0, 0, 1]");
    raw.say(r#"[0, 0, "before"]"#).await;
    raw.finish().await;
    let why = LinkLost::PeerClosed;
    assert_eq!(call.await, Err(CallError::ConnectionLost { why }));
    let why = NotSent::NoRoute;
    assert_eq!(channel.request::<u64>(&2).await, Err(CallError::NotSent { why }));
    let request = channel.next_request().await.unwrap();
    request.reply("after");
    assert_eq!(raw.hear().await.as_deref(), Some(r#"[1, 0, "after"]"#));
    assert_eq!(raw.hear().await, None);
    assert!(channel.next_request().await.is_none());
}

async fn a_peer_that_goes_in_the_middle_of_a_frame_is_lost(place: Place) {
    let (listener, address) = RawListener::bind(&place).await;
    let channel = connect(&address).await.unwrap();
    let mut raw = listener.accept().await;
    let mut call = channel.request::<u64>(&1).into_future();
    assert!(step(&mut call).await.is_none());
    raw.hear().await.unwrap();
    raw.send(b"\0\0\0\x07[1,0").await;
    drop(raw);
    let why = LinkLost::Broken("closed in the middle of a frame".to_owned());
    assert_eq!(call.await, Err(CallError::ConnectionLost { why: why.clone() }));
    assert_eq!(channel.ended().await, why);
}

async fn a_reset_ends_every_waiting_call_and_asks_handlers_to_stop(place: Place) {
    let (started_tx, mut started) = tokio::sync::mpsc::channel(1);
    let server = place.listen().await.serve(move |request: Request| {
        let started = started_tx.clone();
        async move {
            let (bell, stopped) = bell();
            let back = request.caller();
            started.send(stopped).await.unwrap();
            let lost = back.request::<u64>(&1).await.unwrap_err();
            assert!(matches!(lost, CallError::ConnectionLost { why: LinkLost::Broken(_) }), "{lost:?}");
            std::future::pending::<()>().await;
            drop(bell);
        }
    });
    let mut socket = tcp(server.local_address()).await;
    tokio::io::AsyncWriteExt::write_all(&mut socket, b"\0\0\0\x09[0,0,\"x\"]").await.unwrap();
    let stopped = within_limit(started.recv()).await.unwrap();
    let mut asked = [0; 4 + 9];
    tokio::io::AsyncReadExt::read_exact(&mut socket, &mut asked).await.unwrap();
    assert_eq!(&asked, b"\0\0\0\x09[0, 0, 1]");
    socket.set_zero_linger().unwrap();
    let begun = Instant::now();
    drop(socket);
    within_limit(stopped).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(5));
}
