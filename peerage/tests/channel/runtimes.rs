//! Ends on runtimes of their own, and runtimes that end.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::{Mutex, mpsc};
use std::time::Duration;

use peerage::outcome::{CallError, LinkLost, NotSent};
use peerage::{Listener, Request};

use crate::meeting::{Place, bell, connect, one_thread, step, two_threads, within_limit};
use crate::raw::frame;

over_every_transport!(tcp, tls, quic, unix, memory; [
    a_call_may_be_awaited_on_another_runtime_than_its_link,
    a_call_may_move_between_tasks_while_it_waits,
]);

/// Over QUIC there is no system that ends a connection for a runtime that is gone: the other end hears nothing any more, and
/// notices that by its silence.
mod ended_by_the_system {
    use super::*;

    over_every_transport!(tcp, tls, unix, memory; [
        calls_end_when_the_runtime_of_their_link_is_shut_down,
        a_server_ends_with_its_runtime,
    ]);
}

async fn a_call_may_be_awaited_on_another_runtime_than_its_link(place: Place) {
    let (_server, channel) = place.serve(|n: u64| async move { Ok(n + 1) }).await;
    let caller = channel.caller();
    let elsewhere = tokio::task::spawn_blocking(move || {
        for runtime in [one_thread(), two_threads()] {
            for n in 0..50 {
                assert_eq!(runtime.block_on(caller.request::<u64>(&n).into_future()), Ok(n + 1));
            }
        }
    });
    elsewhere.await.unwrap();
}

async fn a_call_may_move_between_tasks_while_it_waits(place: Place) {
    let (channel, mut peer) = place.meet().await;
    let caller = channel.caller();
    let mut call = Box::pin(async move { caller.request::<u64>(&1).await });
    for _ in 0..3 {
        call = tokio::spawn(async move {
            assert!(step(&mut call).await.is_none());
            call
        })
        .await
        .unwrap();
    }
    let waiting = tokio::spawn(call);
    peer.next_request().await.unwrap().reply(&2);
    assert_eq!(waiting.await.unwrap(), Ok(2));
    // One that was sent and given to nobody is only a late answer.
    drop(step(&mut channel.request::<u64>(&3).into_future()).await);
    let mut last = channel.request::<u64>(&4).into_future();
    assert!(step(&mut last).await.is_none());
    loop {
        let request = within_limit(peer.next_request()).await.unwrap();
        let n: u64 = request.content().unwrap();
        request.reply(&n);
        if n == 4 {
            break;
        }
    }
    assert_eq!(last.await, Ok(4));
}

async fn calls_end_when_the_runtime_of_their_link_is_shut_down(place: Place) {
    let mut listener = place.listen().await.encoding(peerage::Encoding::Json);
    let address = listener.local_address().clone();
    let (runtime, channel) = tokio::task::spawn_blocking(move || {
        let runtime = two_threads();
        let channel = runtime.block_on(connect(&address).into_future()).unwrap();
        (runtime, channel)
    })
    .await
    .unwrap();
    let mut peer = listener.accept().await;
    let mut call = channel.request::<u64>(&1).into_future();
    assert!(step(&mut call).await.is_none());
    let request = peer.next_request().await.unwrap();
    runtime.shutdown_background();
    let why = LinkLost::Broken("the runtime of the link was shut down".to_owned());
    assert_eq!(call.await, Err(CallError::ConnectionLost { why: why.clone() }));
    assert_eq!(channel.ended().await, why);
    let why = NotSent::NoRoute;
    assert_eq!(channel.request::<u64>(&2).await, Err(CallError::NotSent { why }));
    request.reply(&1);
    assert!(within_limit(peer.next_request()).await.is_none());
}

async fn a_server_ends_with_its_runtime(place: Place) {
    let (tell, mut told) = tokio::sync::mpsc::channel(1);
    let (runtime, server) = tokio::task::spawn_blocking(move || {
        let runtime = two_threads();
        let server = runtime.block_on(async {
            place.listen().await.serve(move |request: Request| {
                let tell = tell.clone();
                async move {
                    let (bell, stopped) = bell();
                    tell.send(stopped).await.unwrap();
                    std::future::pending::<()>().await;
                    drop((bell, request));
                }
            })
        });
        (runtime, (server, place))
    })
    .await
    .unwrap();
    let channel = connect(server.0.local_address()).await.unwrap();
    let mut call = channel.request::<u64>(&1).into_future();
    assert!(step(&mut call).await.is_none());
    let stopped = told.recv().await.unwrap();
    runtime.shutdown_background();
    assert!(within_limit(call).await.is_err());
    within_limit(stopped).await.unwrap();
    within_limit(server.0.close()).await;
    connect(channel.remote_address()).await.unwrap_err();
}

/// Both ends work at the same time: the caller of the first has its answer while the handler of the last still runs, although
/// all of them share one thread and came at once.
#[test]
fn the_first_answers_of_a_large_batch_do_not_wait_for_the_last() {
    let (heard, first_is_heard) = mpsc::sync_channel(1);
    let first_is_heard = Mutex::new(first_is_heard);
    let (tell, port) = mpsc::sync_channel(1);
    let server = std::thread::spawn(move || {
        one_thread().block_on(async move {
            let listener = Listener::bind(&"tcp://127.0.0.1:0?codec=json".parse().unwrap()).await.unwrap();
            let server = listener.serve(move |n: u64| {
                // Holds the only thread.
                let in_time = n < 63 || first_is_heard.lock().unwrap().recv_timeout(Duration::from_secs(10)).is_ok();
                async move { Ok(in_time) }
            });
            tell.send(server.local_address().port().unwrap()).unwrap();
            server.forever().await;
        });
    });
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port.recv().unwrap())).unwrap();
    let hear = |stream: &mut TcpStream| {
        let mut length = [0; 4];
        stream.read_exact(&mut length).unwrap();
        let mut body = vec![0; u32::from_be_bytes(length) as usize];
        stream.read_exact(&mut body).unwrap();
        String::from_utf8(body).unwrap()
    };
    stream.write_all(&frame("[0, 0, 0]")).unwrap();
    assert_eq!(hear(&mut stream), "[1, 0, true]");
    let batch: Vec<u8> = (0..64).flat_map(|n| frame(format!("[0, {n}, {n}]"))).collect();
    stream.write_all(&batch).unwrap();
    assert_eq!(hear(&mut stream), "[1, 0, true]");
    heard.send(()).unwrap();
    for n in 1..64 {
        assert_eq!(hear(&mut stream), format!("[1, {n}, true]"), "the first answer was heard too late");
    }
    drop((stream, server));
}
