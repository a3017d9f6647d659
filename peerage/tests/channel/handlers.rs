//! Serving: typed arguments, handlers that panic, how many run at once, and when they are told to stop.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use peerage::outcome::{CallError, LinkLost};
use peerage::{Channel, Encoding, Failure, Payload, Request};
use tokio::sync::{Notify, Semaphore, mpsc};

use crate::meeting::{Bell, Place, bell, connect, step, within_limit};

over_every_transport!(tcp, tls, quic, unix, memory; [
    handlers_take_typed_arguments_and_one_that_panics_disturbs_nobody,
    a_panic_while_a_handler_is_dropped_disturbs_nobody,
    answers_that_handlers_give_in_one_go_reach_each_its_own_caller,
    an_answer_counts_although_its_handler_closes_the_connection_at_once,
    as_many_handlers_run_at_once_as_are_allowed_over_all_connections,
    a_handler_may_ask_back_and_answer_from_another_task,
    closing_a_server_ends_its_handlers_and_its_connections,
    dropping_a_server_ends_its_handlers_and_its_connections,
    a_handler_is_told_to_stop_when_the_link_of_its_caller_ends,
    what_a_handler_does_after_its_answer_is_its_own_business,
    connections_beyond_the_limit_are_turned_away_and_counted,
]);

async fn handlers_take_typed_arguments_and_one_that_panics_disturbs_nobody(place: Place) {
    let (_server, channel) = place
        .serve(|(how, n): (String, u64)| {
            if how == "before" {
                bug();
            }
            async move {
                match how.as_str() {
                    "at first" => bug(),
                    "later" => {
                        tokio::task::yield_now().await;
                        bug()
                    }
                    _ => Ok(n + 1),
                }
            }
        })
        .await;
    let beside = connect(channel.remote_address()).await.unwrap();
    let mut waiting = beside.request::<u64>(&("fine", 100)).into_future();
    assert!(step(&mut waiting).await.is_none());
    for how in ["before", "at first", "later"] {
        let told = channel.request::<u64>(&(how, 0)).await.unwrap_err();
        let CallError::Remote { message, .. } = &told else { panic!("{how}: {told:?}") };
        assert_eq!(message, "[internal] the handler panicked", "{how}");
        assert_eq!(channel.request(&("fine", 1)).await, Ok(2));
        assert_eq!(beside.request(&("fine", 2)).await, Ok(3));
    }
    assert_eq!(waiting.await, Ok(101));
}

async fn a_panic_while_a_handler_is_dropped_disturbs_nobody(place: Place) {
    struct Trap;
    impl Drop for Trap {
        fn drop(&mut self) {
            // A second panic while unwinding would end the process; that is the language's rule, not ours.
            if !std::thread::panicking() {
                bug();
            }
        }
    }
    let (_server, channel) = place
        .serve(|request: Request| async move {
            let _trap = Trap;
            if request.content() == Ok(true) {
                tokio::task::yield_now().await;
            }
            request.reply(&1);
        })
        .await;
    for later in [false, true, false, true] {
        assert_eq!(channel.request(&later).await, Ok(1));
    }
}

/// A panic without its message on the output of the test.
fn bug() -> ! {
    resume_unwind(Box::new("a bug of the handler"))
}

/// Handlers that tell how many run when they start, and wait until they may go on.
struct Gate {
    started: mpsc::Receiver<usize>,
    may_go_on: Arc<Semaphore>,
}

impl Gate {
    fn handler() -> (Gate, impl Fn(u64) -> Working + Send + Sync + 'static) {
        let (tell, started) = mpsc::channel(100);
        let may_go_on = Arc::new(Semaphore::new(0));
        let (open, running) = (may_go_on.clone(), Arc::new(AtomicUsize::new(0)));
        let handler = move |n: u64| {
            let (tell, open, running) = (tell.clone(), open.clone(), running.clone());
            let work: Working = Box::pin(async move {
                let now = running.fetch_add(1, Ordering::SeqCst) + 1;
                tell.send(now).await.unwrap();
                open.acquire().await.unwrap().forget();
                running.fetch_sub(1, Ordering::SeqCst);
                Ok(n)
            });
            work
        };
        (Gate { started, may_go_on }, handler)
    }
}

type Working = std::pin::Pin<Box<dyn Future<Output = Result<u64, peerage::Failure>> + Send>>;

async fn answers_that_handlers_give_in_one_go_reach_each_its_own_caller(place: Place) {
    let (_server, channel) = place
        .serve(|(n, size): (usize, usize)| async move {
            match n % 5 {
                1 => tokio::task::yield_now().await,
                2 => return Err(Failure::new(format!("number {n}"))),
                3 => bug(),
                _ => {}
            }
            Ok((n, "x".repeat(size)))
        })
        .await;
    let size = |n: usize| if n.is_multiple_of(7) { 20_000 } else { n };
    // All of them are asked before the first is answered.
    let mut calls = Vec::new();
    for n in 0..100 {
        let mut call = channel.request::<(usize, String)>(&(n, size(n))).into_future();
        assert!(step(&mut call).await.is_none());
        calls.push(call);
    }
    for (n, call) in calls.into_iter().enumerate() {
        match (n % 5, call.await) {
            (2, Err(CallError::Remote { message, .. })) => assert_eq!(message, format!("number {n}")),
            (3, Err(CallError::Remote { message, .. })) => assert_eq!(message, "[internal] the handler panicked"),
            (_, outcome) => assert_eq!(outcome, Ok((n, "x".repeat(size(n))))),
        }
    }
}

async fn an_answer_counts_although_its_handler_closes_the_connection_at_once(place: Place) {
    let (_server, channel) = place
        .serve(|request: Request| async move {
            let caller = request.caller();
            request.reply("goodbye");
            caller.close().await;
        })
        .await;
    let mut first = channel.request::<String>(&1).into_future();
    let mut second = channel.request::<String>(&2).into_future();
    assert!(step(&mut first).await.is_none());
    // Where the server has a thread of its own it may be gone by now.
    let early = step(&mut second).await;
    assert_eq!(first.await, Ok("goodbye".to_owned()));
    let second = if let Some(outcome) = early { outcome } else { second.await };
    assert!(matches!(second, Err(CallError::ConnectionLost { .. } | CallError::NotSent { .. })), "{second:?}");
}

async fn as_many_handlers_run_at_once_as_are_allowed_over_all_connections(place: Place) {
    let (mut gate, handler) = Gate::handler();
    let server = place.listen().await.concurrency(3).serve(handler);
    let mut channels = Vec::new();
    for _ in 0..3 {
        channels.push(connect(server.local_address()).await.unwrap());
    }
    let mut calls = Vec::new();
    for n in 0..12 {
        let mut call = channels[n as usize / 4].request::<u64>(&n).into_future();
        assert!(step(&mut call).await.is_none());
        calls.push((n, call));
    }
    let mut most = 0;
    for n in 0..12 {
        // Three start, and then one for each that ends.
        if n >= 3 {
            gate.may_go_on.add_permits(1);
        }
        most = most.max(within_limit(gate.started.recv()).await.unwrap());
    }
    gate.may_go_on.add_permits(3);
    for (n, call) in calls {
        assert_eq!(call.await, Ok(n));
    }
    assert!(gate.started.try_recv().is_err(), "each ran once");
    assert_eq!(most, 3);
}

async fn a_handler_may_ask_back_and_answer_from_another_task(place: Place) {
    let (_server, channel) = place
        .serve(|request: Request| async move {
            let doubled: u64 = request.caller().request(&request.content::<u64>().unwrap()).await.unwrap();
            tokio::spawn(async move {
                tokio::task::yield_now().await;
                request.reply(&(doubled + 1));
            });
        })
        .await;
    let caller = channel.caller();
    let answering = tokio::spawn(crate::meeting::answer_all(channel, |n| n * 2));
    for n in 0..50_u64 {
        assert_eq!(caller.request::<u64>(&n).await, Ok(n * 2 + 1));
    }
    caller.close().await;
    answering.await.unwrap();
}

/// A handler that never ends by itself, and rings when it is dropped.
fn endless(started: mpsc::Sender<tokio::sync::oneshot::Receiver<()>>) -> impl Fn(Request) -> Endless + Send + Sync {
    move |request| {
        let started = started.clone();
        Box::pin(async move {
            let (guard, stopped): (Bell, _) = bell();
            started.send(stopped).await.unwrap();
            std::future::pending::<()>().await;
            drop((guard, request));
        })
    }
}

type Endless = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

async fn closing_a_server_ends_its_handlers_and_its_connections(place: Place) {
    let (tell, mut started) = mpsc::channel(10);
    let (server, channel) = place.serve(endless(tell)).await;
    let mut calls = [channel.request::<()>(&1).into_future(), channel.request::<()>(&2).into_future()];
    assert!(step(&mut calls[0]).await.is_none() && step(&mut calls[1]).await.is_none());
    let stopped = [within_limit(started.recv()).await.unwrap(), within_limit(started.recv()).await.unwrap()];
    let begun = Instant::now();
    within_limit(server.close()).await;
    assert!(begun.elapsed() < Duration::from_secs(3), "closing takes at most about 2 s");
    for stopped in stopped {
        within_limit(stopped).await.unwrap();
    }
    for call in calls {
        let why = LinkLost::PeerClosed;
        assert_eq!(call.await, Err(CallError::ConnectionLost { why }));
    }
    connect(channel.remote_address()).await.unwrap_err();
}

async fn dropping_a_server_ends_its_handlers_and_its_connections(place: Place) {
    let (tell, mut started) = mpsc::channel(10);
    let (server, channel) = place.serve(endless(tell)).await;
    let mut call = channel.request::<()>(&1).into_future();
    assert!(step(&mut call).await.is_none());
    let stopped = within_limit(started.recv()).await.unwrap();
    drop(server);
    within_limit(stopped).await.unwrap();
    assert_eq!(within_limit(channel.ended()).await, LinkLost::PeerClosed);
    assert!(matches!(call.await, Err(CallError::ConnectionLost { .. })));
}

async fn a_handler_is_told_to_stop_when_the_link_of_its_caller_ends(place: Place) {
    let (tell, mut started) = mpsc::channel(10);
    let (_server, channel) = place.serve(endless(tell)).await;
    let mut call = channel.request::<()>(&1).into_future();
    assert!(step(&mut call).await.is_none());
    let stopped = within_limit(started.recv()).await.unwrap();
    break_protocol(&channel).await;
    within_limit(stopped).await.unwrap();
    assert!(matches!(call.await, Err(CallError::ConnectionLost { .. })));
}

/// Makes the other end close the connection.
async fn break_protocol(channel: &Channel) {
    let content = Payload::from_parts(Encoding::Json, "1,2".into());
    channel.request_payload(content).await.unwrap_err();
}

async fn what_a_handler_does_after_its_answer_is_its_own_business(place: Place) {
    let (go_on, done) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (before, after) = (go_on.clone(), done.clone());
    let (_server, channel) = place
        .serve(move |request: Request| {
            let (before, after) = (before.clone(), after.clone());
            async move {
                if request.content() == Ok(true) {
                    tokio::task::yield_now().await;
                }
                request.reply("noted");
                before.notified().await;
                after.notify_one();
            }
        })
        .await;
    for later in [false, true] {
        assert_eq!(channel.request(&later).await, Ok("noted".to_owned()));
    }
    break_protocol(&channel).await;
    for _ in 0..2 {
        go_on.notify_one();
        within_limit(done.notified()).await;
    }
}

async fn connections_beyond_the_limit_are_turned_away_and_counted(place: Place) {
    let server = place.listen().await.max_connections(1).serve(|n: u64| async move { Ok(n) });
    let first = connect(server.local_address()).await.unwrap();
    assert_eq!(first.request(&1_u64).await, Ok(1_u64));
    let second = connect(server.local_address()).await.unwrap();
    second.request::<u64>(&2).await.unwrap_err();
    assert_eq!(server.turned_away(), 1);
    assert_eq!(first.request(&3_u64).await, Ok(3_u64));
    first.close().await;
    // The place is free once the server has seen the end; until then we are turned away.
    within_limit(async {
        loop {
            let next = connect(server.local_address()).await.unwrap();
            if next.request(&4_u64).await == Ok(4_u64) {
                break;
            }
        }
    })
    .await;
}
