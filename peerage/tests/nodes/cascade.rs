//! The end of a call reaches as far as its work did: A calls B, whose handlers call C.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use peerage::node::snapshot::Services;
use peerage::service::Context;
use peerage::stream::Incoming;
use peerage::{Failure, Node};
use tokio::sync::{Notify, mpsc};

use crate::place::{Place, memory, soon};

/// Tells when it is dropped.
struct Guard(mpsc::Sender<Instant>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.try_send(Instant::now()).expect("there is room");
    }
}

/// How late a task that wants to run every few milliseconds was at worst: what the machine adds to every figure.
struct Stall(Arc<AtomicU64>);

impl Stall {
    fn watched() -> Stall {
        let worst = Arc::new(AtomicU64::new(0));
        let told = worst.clone();
        tokio::spawn(async move {
            loop {
                let began = Instant::now();
                tokio::time::sleep(Duration::from_millis(5)).await;
                let late = began.elapsed().saturating_sub(Duration::from_millis(5));
                told.fetch_max(late.as_micros() as u64, Ordering::Relaxed);
            }
        });
        Stall(worst)
    }

    fn worst(&self) -> Duration {
        Duration::from_micros(self.0.load(Ordering::Relaxed))
    }
}

/// A, B and C: each linked with the next.
async fn three(place: &Place) -> [Node; 3] {
    let c = place.node("c").listen(memory()).start().await.unwrap();
    let b = place.node("b").listen(memory()).start().await.unwrap();
    let a = place.node("a").start().await.unwrap();
    soon(b.connect(&c.addresses()[0])).await.unwrap();
    soon(a.connect(&b.addresses()[0])).await.unwrap();
    [a, b, c]
}

/// Calls of its services that a node works on.
async fn at_work(node: &Node) -> u64 {
    let services: Services = soon(node.call("peerage/services").peer(node.id())).await.unwrap();
    services.services.iter().map(|service| service.at_work).sum()
}

/// C sends its trace and never ends; B passes on what C sends, behind a trace of its own.
fn serve_streams(b: &Node, c: &Node, dropped: &mpsc::Sender<Instant>) {
    let in_c = dropped.clone();
    let endless = move |context: Context| {
        let guard = Guard(in_c.clone());
        async move {
            let _guard = guard;
            let mut out = context.outgoing::<String>()?;
            out.send(&context.trace().to_string()).await?;
            std::future::pending::<Result<(), Failure>>().await
        }
    };
    c.serve("endless", endless).unwrap();
    let (in_b, last) = (dropped.clone(), c.id());
    let passes_on = move |context: Context| {
        let guard = Guard(in_b.clone());
        async move {
            let _guard = guard;
            let node = context.node().expect("it runs");
            let mut from = node.call("endless").peer::<()>(last).stream::<String>().await?;
            let mut to = context.outgoing()?;
            to.send(&context.trace().to_string()).await?;
            while let Some(item) = from.next().await {
                to.send(&item?).await?;
            }
            Ok(())
        }
    };
    b.serve("passes-on", passes_on).unwrap();
}

/// A stream through B to C and back, whose first items say in which trace their senders work.
async fn stream(a: &Node, b: &Node) -> Incoming<String> {
    let mut stream = soon(a.call("passes-on").peer::<()>(b.id()).stream::<String>()).await.unwrap();
    let (mut traces, mut spans) = (BTreeSet::new(), BTreeSet::new());
    for _ in 0..2 {
        let trace = soon(stream.next()).await.unwrap().unwrap();
        traces.insert(trace[3..35].to_owned());
        spans.insert(trace[36..52].to_owned());
    }
    assert_eq!((traces.len(), spans.len()), (1, 2), "one trace, a span for each node");
    stream
}

#[tokio::test]
async fn what_a_caller_drops_ends_at_once_in_every_node_that_works_for_it() {
    let place = Place::new();
    let [a, b, c] = three(&place).await;
    let (dropped, mut drops) = mpsc::channel(16);
    serve_streams(&b, &c, &dropped);
    let (go_on, done) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let signals = (go_on.clone(), done.clone());
    let archives = move || {
        let (go_on, done) = signals.clone();
        async move {
            go_on.notified().await;
            done.notify_one();
            Ok(())
        }
    };
    b.service("archives").detached().serve(archives).unwrap();
    let mut streams = vec![stream(&a, &b).await, stream(&a, &b).await, stream(&a, &b).await];
    let archive = {
        let (a, peer) = (a.clone(), b.id());
        tokio::spawn(async move { a.call("archives").peer::<()>(peer).await })
    };
    soon(async { while at_work(&b).await < 4 {} }).await;
    assert_eq!(at_work(&c).await, 3);

    let asked = Instant::now();
    soon(a.call("peerage/ping").peer::<()>(b.id())).await.unwrap();
    soon(b.call("peerage/ping").peer::<()>(c.id())).await.unwrap();
    let round_trip = asked.elapsed();
    let stall = Stall::watched();
    let gone = Instant::now();
    archive.abort();
    streams.clear();
    let mut latest = Duration::ZERO;
    for _ in 0..6 {
        latest = latest.max(soon(drops.recv()).await.unwrap() - gone);
    }
    let bound = round_trip + Duration::from_millis(50) + stall.worst();
    println!("cascade: six handlers in two nodes ended within {latest:.1?} of the drop (round trip {round_trip:.1?})");
    assert!(latest <= bound, "{latest:?}, not within {bound:?}");
    soon(async { while at_work(&c).await > 0 {} }).await;
    soon(async { while at_work(&b).await > 1 {} }).await;
    // What is detached goes on, and is counted until it ends.
    go_on.notify_one();
    soon(done.notified()).await;
    soon(async { while at_work(&b).await > 0 {} }).await;
}
