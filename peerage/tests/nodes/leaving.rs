//! Leaving in good order, and being left in disorder.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use peerage::node::{ConnectError, Drained, Event, NodeId};
use peerage::outcome::{Busy, NotSent};
use peerage::{Address, CallError, Channel, Node};

use crate::place::{Place, address, event, memory, pair, soon, until};

/// How the calls ended that were made.
#[derive(Default)]
struct Outcomes {
    made: AtomicU64,
    ok: AtomicU64,
    did_not_run: AtomicU64,
}

/// Calls `peerage/ping` 500 times a second until the first call that did not run, which is when one of both leaves, and
/// waits for the outcomes of all. A call whose outcome is unknown is a failure, and so is one that has none.
async fn ping_500_times_a_second(from: Node, to: NodeId, outcomes: Arc<Outcomes>) {
    let mut tick = tokio::time::interval(Duration::from_millis(2));
    let mut calls = tokio::task::JoinSet::new();
    let mut after_the_end = 100;
    while after_the_end > 0 {
        tick.tick().await;
        after_the_end -= u32::from(outcomes.did_not_run.load(Ordering::Relaxed) > 0);
        let (from, outcomes) = (from.clone(), outcomes.clone());
        outcomes.made.fetch_add(1, Ordering::Relaxed);
        calls.spawn(async move {
            match from.call("peerage/ping").peer::<()>(to).await {
                Ok(()) => outcomes.ok.fetch_add(1, Ordering::Relaxed),
                Err(why) if !why.may_have_run() => outcomes.did_not_run.fetch_add(1, Ordering::Relaxed),
                Err(why) => panic!("a call was cut off: {why}"),
            };
        });
    }
    while let Some(ended) = calls.join_next().await {
        ended.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn draining_under_500_calls_a_second_loses_none_and_leaves_no_unknown_outcome() {
    for (listen, leaves) in [("tls", "callee"), ("quic", "callee"), ("unix", "callee"), ("tls", "caller")] {
        let place = Place::new();
        let listening = match listen {
            "unix" => Address::unix(place.path("b.link")).unwrap(),
            scheme => address(&format!("{scheme}://127.0.0.1:0")),
        };
        let b = place.node("b").listen(listening).start().await.unwrap();
        let a = place.node("a").start().await.unwrap();
        soon(a.connect(&b.addresses()[0])).await.unwrap();
        let outcomes = Arc::new(Outcomes::default());
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let pinging = tokio::spawn(ping_500_times_a_second(a.clone(), b.id(), outcomes.clone()));
        until(|| count(&outcomes.ok) >= 500).await;
        let (leaving, staying) = if leaves == "callee" { (&b, &a) } else { (&a, &b) };
        let mut events = staying.events();
        assert_eq!(soon(leaving.drain(Duration::from_secs(10))).await, Drained::default());
        let left = event(&mut events, |event| matches!(event, Event::Left { .. })).await;
        assert!(matches!(&left, Event::Left { why, .. } if why.starts_with("left: drained (")), "{left:?}");
        soon(pinging).await.unwrap();
        let (made, ok, did_not_run) = (count(&outcomes.made), count(&outcomes.ok), count(&outcomes.did_not_run));
        println!("{listen}, the {leaves} leaves: {made} calls, {ok} answered, {did_not_run} certainly did not run");
        assert_eq!(made, ok + did_not_run);
        let of_b = b.status().counters;
        let begun = of_b["peerage_link_requests_total"] - of_b["peerage_link_refused_busy_total"];
        assert_eq!(begun, ok, "{listen}: none ran of which the caller was told that it did not");
        a.stop().await;
        b.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn however_much_is_under_way_when_a_node_drains_each_call_ran_or_certainly_did_not() {
    let place = Place::new();
    for round in 0..20 {
        let (a, b) = pair(&place).await;
        let calls = (0..8).map(|n| {
            let (from, to) = if n % 2 == 0 { (a.clone(), b.id()) } else { (b.clone(), a.id()) };
            tokio::spawn(async move {
                for answered in 0_u32.. {
                    match from.call("peerage/pass_through").peer::<u32>(to).arg(&answered).await {
                        Ok(back) => assert_eq!(back, answered),
                        Err(why) => return (answered, why),
                    }
                }
                unreachable!("the node leaves before the numbers end");
            })
        });
        let calls: Vec<_> = calls.collect();
        until(|| a.status().counters["peerage_link_calls_total"] > 10 * (round + 1)).await;
        assert_eq!(soon(b.drain(Duration::from_secs(10))).await, Drained::default());
        for call in calls {
            let (_, why) = soon(call).await.unwrap();
            assert!(!why.may_have_run(), "{why:?}");
        }
        a.stop().await;
    }
}

#[tokio::test]
async fn a_node_that_drains_refuses_new_calls_and_takes_no_new_links() {
    let place = Place::new();
    let (a, b) = pair(&place).await;
    let late = place.node("late").start().await.unwrap();
    let listening = b.addresses()[0].clone();
    let mut events = b.events();
    let draining = tokio::spawn({
        let b = b.clone();
        async move { b.drain(Duration::from_secs(5)).await }
    });
    event(&mut events, |event| *event == Event::Draining).await;
    // Whatever comes now is refused in one of the ways that say that nothing ran.
    match soon(a.call("peerage/ping").peer::<()>(b.id())).await {
        Ok(()) => panic!("a draining node took a call"),
        Err(CallError::Busy { why: Busy::Draining, .. } | CallError::NotSent { why: NotSent::NoRoute }) => {}
        Err(other) => panic!("{other:?}"),
    }
    let own = soon(b.call("peerage/ping").peer::<()>(a.id())).await;
    assert_eq!(own, Err(CallError::NotSent { why: NotSent::ShuttingDown }));
    let refused = soon(late.connect(&listening)).await.unwrap_err();
    assert!(matches!(refused, ConnectError::Dial { refused: true, .. } | ConnectError::Draining), "{refused:?}");
    assert_eq!(soon(draining).await.unwrap(), Drained::default());
    event(&mut events, |event| *event == Event::Stopped).await;
}

#[tokio::test]
async fn a_node_that_leaves_the_moment_it_is_known_is_not_taken_for_lost() {
    let place = Place::new();
    let unix = Address::unix(place.path("a.link")).unwrap();
    for (listen, rounds) in [(memory(), 20), (unix, 20), (address("tls://127.0.0.1:0"), 20)] {
        let a = place.node("a").listen(listen).start().await.unwrap();
        let mut events = a.events();
        for _ in 0..rounds {
            let b = place.node("b").seed(a.addresses()[0].clone()).start().await.unwrap();
            event(&mut events, |event| matches!(event, Event::Joined { .. })).await;
            soon(b.stop()).await;
            let is_gone =
                |event: &Event| matches!(event, Event::Left { .. } | Event::Suspect { .. } | Event::Lost { .. });
            let gone = event(&mut events, is_gone).await;
            assert!(matches!(gone, Event::Left { .. }), "{}: {gone:?}", a.addresses()[0]);
        }
        a.stop().await;
    }
}

#[tokio::test]
async fn draining_twice_waits_for_the_same_end_and_other_handles_see_a_stopped_node() {
    let place = Place::new();
    let (a, b) = pair(&place).await;
    let (first, second) = (b.clone(), b.clone());
    let (first, second) =
        tokio::join!(soon(first.drain(Duration::from_secs(5))), soon(second.drain(Duration::from_secs(5))));
    assert_eq!((first, second), (Drained::default(), Drained::default()));
    assert!(b.is_stopped());
    until(|| a.status().links.is_empty()).await;
}

#[tokio::test]
async fn plain_programs_are_parted_from_too_and_what_was_answered_stays_answered() {
    let place = Place::new();
    let listen = address("tcp://127.0.0.1:0?dialect=plain&codec=json");
    let node = place.node("a").listen(listen).start().await.unwrap();
    let channel = Channel::connect(&node.addresses()[0]).await.unwrap();
    let caller = channel.caller();
    let asking = tokio::spawn(async move {
        for n in 0.. {
            match caller.request::<u32>(&("peerage/pass_through", [n], serde_json::json!({}))).await {
                Ok(answer) => assert_eq!(answer, n),
                Err(why) => return (n, why),
            }
        }
        unreachable!("the node leaves before the numbers end");
    });
    until(|| channel.counters().calls > 50).await;
    soon(node.drain(Duration::from_secs(5))).await;
    let (answered, why) = soon(asking).await.unwrap();
    assert!(answered > 50 && matches!(why, CallError::ConnectionLost { .. } | CallError::NotSent { .. }), "{why:?}");
    assert!(soon(Channel::connect(&node.addresses()[0]).into_future()).await.is_err());
}

#[tokio::test]
async fn a_goodbye_is_acknowledged_at_once_and_a_peer_that_never_answers_holds_nobody_up() {
    let place = Place::new();
    let (_a, b) = pair(&place).await;
    let started = Instant::now();
    soon(b.drain(Duration::from_secs(10))).await;
    assert!(started.elapsed() < Duration::from_millis(900), "{:?}", started.elapsed());

    // A peer whose runtime does not run hears no goodbye.
    let elsewhere = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let builder = place.node("deaf").listen(memory());
    let deaf = elsewhere.spawn(async { builder.start().await.unwrap() }).await.unwrap();
    let c = place.node("c").start().await.unwrap();
    soon(c.connect(&deaf.addresses()[0])).await.unwrap();
    let (hold, held) = std::sync::mpsc::sync_channel::<()>(1);
    elsewhere.spawn(async move {
        // Blocks the only thread there is.
        let _ = held.recv_timeout(Duration::from_secs(10));
    });
    let started = Instant::now();
    soon(c.stop()).await;
    let took = started.elapsed();
    println!("stopped after {took:?} without an answer");
    assert!(took < Duration::from_secs(4), "{took:?}");
    drop(hold);
    elsewhere.shutdown_background();
}
