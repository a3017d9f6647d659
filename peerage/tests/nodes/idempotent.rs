//! Calls that are asked again when their link is lost, and run once all the same.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use peerage::{Address, CallError, Failure, Identity, Node};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

use crate::place::{Place, address, soon, until};

/// Somebody between two nodes who passes on bytes, until all connections are cut at once.
struct Between {
    at: Address,
    to: Arc<Mutex<SocketAddr>>,
    cut: watch::Sender<u32>,
}

impl Between {
    async fn before(node: &Node) -> Between {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = address(&format!("tls://{}", listener.local_addr().unwrap()));
        let to = Arc::new(Mutex::new(place_of(node)));
        let cut = watch::Sender::new(0);
        let (target, cuts) = (to.clone(), cut.clone());
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let (to, mut cuts) = (*target.lock().unwrap(), cuts.subscribe());
                tokio::spawn(async move {
                    let Ok(mut far) = TcpStream::connect(to).await else { return };
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                        _ = cuts.changed() => {}
                    }
                });
            }
        });
        Between { at, to, cut }
    }

    fn cut(&self) {
        self.cut.send_modify(|cuts| *cuts += 1);
    }
}

fn place_of(node: &Node) -> SocketAddr {
    let text = node.addresses()[0].to_string();
    text.trim_start_matches("tls://").parse().unwrap()
}

/// A function that counts its runs and answers with their number once it may.
fn serve_counted(node: &Node, tag: &str) -> (Arc<AtomicU32>, Arc<Semaphore>) {
    let (runs, gate) = (Arc::new(AtomicU32::new(0)), Arc::new(Semaphore::new(0)));
    let (counted, closed) = (runs.clone(), gate.clone());
    let count = move || {
        let (runs, gate) = (counted.clone(), closed.clone());
        async move {
            let run = runs.fetch_add(1, Ordering::Relaxed) + 1;
            let _permit = gate.acquire().await;
            Ok::<_, Failure>(run)
        }
    };
    node.service(tag).concurrency(1).serve(count).unwrap();
    (runs, gate)
}

async fn listening(place: &Place, identity: &Identity) -> Node {
    let node = Node::builder(identity.clone()).network(place.network.clone()).name("b".parse().unwrap());
    node.listen(address("tls://127.0.0.1:0")).start().await.unwrap()
}

/// A callee, somebody between, and a caller that keeps dialling.
async fn parted(place: &Place, identity: &Identity) -> (Node, Node, Between) {
    let b = listening(place, identity).await;
    let between = Between::before(&b).await;
    let a = place.node("a").seed(between.at.clone()).start().await.unwrap();
    until(|| a.peers().complete && b.peers().peers.len() == 1).await;
    (a, b, between)
}

async fn is_cut(a: &Node, between: &Between) {
    let before = a.status().counters["peerage_links_lost_total"] + a.status().counters["peerage_links_closed_total"];
    between.cut();
    until(|| {
        let counters = a.status().counters;
        counters["peerage_links_lost_total"] + counters["peerage_links_closed_total"] > before
    })
    .await;
}

#[tokio::test]
async fn an_idempotent_call_across_a_cut_link_runs_once_and_is_answered() {
    let place = Place::new();
    let (a, b, between) = parted(&place, &Identity::generate()).await;
    let (runs, gate) = serve_counted(&b, "count");
    let (caller, peer) = (a.clone(), b.id());
    let pinned = tokio::spawn(async move { caller.call("count").peer::<u32>(peer).idempotent().await });
    until(|| runs.load(Ordering::Relaxed) == 1).await;
    // Asked again while it still runs.
    is_cut(&a, &between).await;
    until(|| !a.status().links.is_empty()).await;
    gate.add_permits(1);
    assert_eq!(soon(pinned).await.unwrap(), Ok(1));
    assert_eq!(runs.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn an_idempotent_call_of_any_whose_link_is_cut_when_it_ends_is_answered_and_runs_once() {
    let place = Place::new();
    let (a, b, between) = parted(&place, &Identity::generate()).await;
    let (runs, gate) = serve_counted(&b, "count");
    let caller = a.clone();
    let any =
        tokio::spawn(async move { caller.call("count").wait_matching(1).any::<u32>().idempotent().settled().await });
    until(|| runs.load(Ordering::Relaxed) == 1).await;
    gate.add_permits(1);
    // Its answer may be lost on its way, or be there already: either way there is one, and one run.
    is_cut(&a, &between).await;
    let settled = soon(any).await.unwrap();
    assert_eq!((settled.outcome, settled.attempts), (Ok(1), 1));
    assert_eq!(runs.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn without_a_key_a_call_across_a_cut_link_ends_as_connection_lost() {
    let place = Place::new();
    let (a, b, between) = parted(&place, &Identity::generate()).await;
    let (runs, _gate) = serve_counted(&b, "count");
    let (caller, peer) = (a.clone(), b.id());
    let lost = tokio::spawn(async move { caller.call("count").peer::<u32>(peer).await });
    until(|| runs.load(Ordering::Relaxed) == 1).await;
    is_cut(&a, &between).await;
    let lost = soon(lost).await.unwrap().unwrap_err();
    assert!(matches!(lost, CallError::ConnectionLost { .. }), "{lost}");
}

#[tokio::test]
async fn with_a_callee_that_was_started_again_an_idempotent_call_ends_as_connection_lost_and_runs_no_more() {
    let place = Place::new();
    let identity = Identity::generate();
    let (a, b, between) = parted(&place, &identity).await;
    let (runs, _gate) = serve_counted(&b, "count");
    let (caller, peer) = (a.clone(), b.id());
    let lost = tokio::spawn(async move { caller.call("count").peer::<u32>(peer).idempotent().await });
    until(|| runs.load(Ordering::Relaxed) == 1).await;
    // Nobody hears its goodbye.
    is_cut(&a, &between).await;
    b.stop().await;
    let again = listening(&place, &identity).await;
    let (runs_again, _gate_again) = serve_counted(&again, "count");
    *between.to.lock().unwrap() = place_of(&again);
    between.cut();
    let lost = soon(lost).await.unwrap().unwrap_err();
    assert!(matches!(lost, CallError::ConnectionLost { .. }), "{lost}");
    assert_eq!(runs_again.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn an_idempotent_call_whose_callee_does_not_come_back_ends_with_its_deadline_as_connection_lost() {
    let place = Place::new();
    let (a, b, between) = parted(&place, &Identity::generate()).await;
    let (runs, _gate) = serve_counted(&b, "count");
    let (caller, peer) = (a.clone(), b.id());
    let lost = tokio::spawn(async move {
        caller.call("count").peer::<u32>(peer).deadline(Duration::from_secs(2)).idempotent().await
    });
    until(|| runs.load(Ordering::Relaxed) == 1).await;
    *between.to.lock().unwrap() = "127.0.0.1:1".parse().unwrap();
    is_cut(&a, &between).await;
    let lost = soon(lost).await.unwrap().unwrap_err();
    assert!(lost.may_have_run(), "{lost}");
}

#[tokio::test]
async fn an_idempotent_call_without_any_trouble_is_a_call() {
    let place = Place::new();
    let (a, b, _between) = parted(&place, &Identity::generate()).await;
    b.service("twice").serve_direct(|n: u32| Ok::<_, Failure>(2 * n)).unwrap();
    assert_eq!(soon(a.call("twice").peer::<u32>(b.id()).arg(&21).idempotent()).await, Ok(42));
    let failed = soon(a.call("twice").peer::<u32>(b.id()).idempotent()).await.unwrap_err();
    assert!(matches!(failed, CallError::Remote { .. }), "{failed}");
    let bad = soon(a.call("no tag").peer::<u32>(b.id()).idempotent()).await.unwrap_err();
    assert!(matches!(bad, CallError::Refused { .. }), "{bad}");
}
