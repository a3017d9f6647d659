//! A function of one node, called from another: `cargo run --example hello_service`.
//!
//! The function is an ordinary one with typed parameters, which can be called and tested without a node. Others call it by
//! its name, and get its value or one named outcome.

use std::time::Duration;

use peerage::network::{Network, Secret};
use peerage::{CallError, Failure, Identity, Node};

/// What is served.
async fn greet(name: String, times: u32) -> Result<String, Failure> {
    if times == 0 {
        return Err(Failure::new("a greeting is said at least once"));
    }
    Ok(vec![format!("hello {name}"); times as usize].join(", "))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Both nodes run in this process to keep the example short; in earnest the network comes from a file or a ticket.
    let network = Network::new("lab", Secret::generate())?;
    let host = Node::builder(Identity::generate())
        .network(network.clone())
        .listen("tls://127.0.0.1:0".parse()?)
        .start()
        .await?;
    host.service("greet").concurrency(16).describe("says hello").serve(greet)?;

    let guest = Node::builder(Identity::generate()).network(network).start().await?;
    let host_id = guest.connect(&host.addresses()[0]).await?;

    let greeting: String = guest.call("greet").peer(host_id).args(&("bee", 2)).deadline(Duration::from_secs(2)).await?;
    println!("{greeting}");

    // What went wrong is named, and whether it may have run is known.
    for (tag, times) in [("greet", 0), ("great", 1)] {
        let result = guest.call(tag).peer::<String>(host_id).args(&("bee", times)).await;
        let Err(error) = result else { return Err("this cannot be".into()) };
        println!("{}: {error} (it may have run: {})", error.outcome(), error.may_have_run());
        assert!(matches!(error, CallError::Remote { .. } | CallError::Refused { .. }));
    }

    guest.drain(Duration::from_secs(10)).await;
    host.stop().await;
    Ok(())
}
