//! How a server comes to rest: what it has is finished, and nothing new is taken.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use super::*;
use crate::channel::Channel;
use crate::outcome::CallError;

/// A server whose handler tells that it has begun and then waits to be let go.
async fn slow(name: &str) -> (Server, mpsc::Receiver<()>, mpsc::Sender<()>) {
    let listener = Listener::bind(&Address::memory(name).unwrap()).await.unwrap();
    let (begun, begins) = mpsc::channel(8);
    let (go, gone) = mpsc::channel::<()>(8);
    let gone = Arc::new(tokio::sync::Mutex::new(gone));
    let server = listener.serve(move |n: u32| {
        let (begun, gone) = (begun.clone(), gone.clone());
        async move {
            begun.send(()).await.unwrap();
            gone.lock().await.recv().await;
            Ok(n)
        }
    });
    (server, begins, go)
}

#[tokio::test]
async fn a_server_that_drains_answers_what_it_has_begun_and_takes_nobody_new() {
    let (server, mut begins, go) = slow("drains").await;
    let address = server.local_address().clone();
    let channel = Channel::connect(&address).await.unwrap();
    let caller = channel.caller();
    let answer = tokio::spawn(async move { caller.request::<u32>(&7).await });
    begins.recv().await.unwrap();
    let drained = tokio::spawn(server.drain(Duration::from_secs(20)));
    while Channel::connect(&address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(!drained.is_finished());
    go.send(()).await.unwrap();
    assert_eq!(answer.await.unwrap(), Ok(7));
    timeout(Duration::from_secs(5), drained).await.expect("nothing is open any more").unwrap();
    assert!(channel.request::<u32>(&8).await.is_err());
}

#[tokio::test]
async fn a_server_that_drains_waits_no_longer_than_it_was_told() {
    let (server, mut begins, _go) = slow("drains-in-time").await;
    let channel = Channel::connect(server.local_address()).await.unwrap();
    let caller = channel.caller();
    let answer = tokio::spawn(async move { caller.request::<u32>(&7).await });
    begins.recv().await.unwrap();
    let started = Instant::now();
    timeout(Duration::from_secs(5), server.drain(Duration::from_millis(50))).await.expect("it is bounded");
    assert!(started.elapsed() >= Duration::from_millis(50));
    assert!(matches!(answer.await.unwrap(), Err(CallError::ConnectionLost { .. })));
}
