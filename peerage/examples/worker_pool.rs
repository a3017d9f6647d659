//! Work for whoever has time: `cargo run --example worker_pool`.
//!
//! Three workers offer the same function; each works on two calls at a time, and one of them is slow. The caller names none of
//! them: `.any()` asks whoever is likely to answer soon, and another one where a worker says that it has no room.

use std::collections::BTreeMap;
use std::time::Duration;

use peerage::network::{Network, Secret};
use peerage::{Failure, Identity, Node};
use tokio::task::JoinSet;
use tokio::time::sleep;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let network = Network::new("lab", Secret::generate())?;
    let caller = Node::builder(Identity::generate())
        .network(network.clone())
        .listen("tls://127.0.0.1:0".parse()?)
        .start()
        .await?;

    let mut workers = Vec::new();
    for (name, takes) in [("anna", 2), ("bert", 2), ("carl", 20)] {
        let worker = Node::builder(Identity::generate())
            .network(network.clone())
            .name(name.parse()?)
            .seed(caller.addresses()[0].clone())
            .start()
            .await?;
        // Stands for work: an image to be scaled, a page to be fetched.
        let square = move |n: u64| async move {
            sleep(Duration::from_millis(takes)).await;
            Ok::<_, Failure>((name, n * n))
        };
        worker.service("square").concurrency(2).serve(square)?;
        workers.push(worker);
    }

    // Nobody sleeps until the workers have been found: the call waits for them, inside its deadline.
    let mut open = JoinSet::new();
    let (mut sum, mut done) = (0, BTreeMap::<String, u32>::new());
    for n in 1..=100_u64 {
        let node = caller.clone();
        open.spawn(async move { node.call("square").wait_matching(3).any::<(String, u64)>().arg(&n).await });
        // As many at a time as there are places.
        while open.len() >= 6 || (n == 100 && !open.is_empty()) {
            let Some(answer) = open.join_next().await else { break };
            let (worker, square) = answer??;
            sum += square;
            *done.entry(worker).or_default() += 1;
        }
    }
    assert_eq!(sum, 338_350);
    println!("the sum of the first hundred squares is {sum}; who did how many: {done:?}");

    for worker in workers {
        worker.drain(Duration::from_secs(10)).await;
    }
    caller.stop().await;
    Ok(())
}
