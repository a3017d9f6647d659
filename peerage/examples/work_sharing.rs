//! Events as work for whoever has time: `cargo run --example work_sharing`.
//!
//! Several nodes subscribe under one name, and each event goes to one of them: the one for whom least waits. Nobody hands out work, and
//! nobody who joins later has to be told of. An event that its node cannot finish is lost; where that must not be, call a service.

use std::collections::BTreeMap;
use std::time::Duration;

use peerage::event::Heard;
use peerage::network::{Network, Secret};
use peerage::{Identity, Node};
use tokio::sync::mpsc;

const JOBS: u64 = 200;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let network = Network::new("lab", Secret::generate())?;
    let office = Node::builder(Identity::generate())
        .network(network.clone())
        .listen("tls://127.0.0.1:0".parse()?)
        .start()
        .await?;

    let (done, mut results) = mpsc::channel::<(&str, u64)>(16);
    let mut workers = Vec::new();
    for name in ["anna", "bert", "carl"] {
        let worker = Node::builder(Identity::generate())
            .network(network.clone())
            .name(name.parse()?)
            .seed(office.addresses()[0].clone())
            .start()
            .await?;
        let mut jobs = worker.subscribe("job/square").shared("workers").start()?;
        let done = done.clone();
        tokio::spawn(async move {
            while let Some(heard) = jobs.next().await {
                let Heard::Event(event) = heard else { continue };
                let Ok(n) = event.value::<u64>() else { continue };
                if done.send((name, n * n)).await.is_err() {
                    return;
                }
            }
        });
        workers.push(worker);
    }

    let jobs = office.event("job/square")?;
    jobs.wait_matching(3).await?;
    let receipt = jobs.publish_all(1..=JOBS).confirmed(Duration::from_secs(5)).await?;
    // Three subscriptions match; each event was due at one of them.
    assert_eq!((receipt.due, receipt.delivered), (JOBS, JOBS));

    let (mut sum, mut by) = (0, BTreeMap::<&str, u32>::new());
    for _ in 0..JOBS {
        let (worker, square) = results.recv().await.ok_or("the workers have gone")?;
        sum += square;
        *by.entry(worker).or_default() += 1;
    }
    assert_eq!(sum, (1..=JOBS).map(|n| n * n).sum::<u64>());
    println!("the sum of {JOBS} squares is {sum}; who did how many: {by:?}");

    for worker in workers {
        worker.stop().await;
    }
    office.stop().await;
    Ok(())
}
