//! Two nodes of one network: `cargo run --example two_nodes`.
//!
//! Both run in this process to keep the example short; in earnest each is a process of its own, and the network comes from a
//! file or a ticket (`peerage network new`). They prove to each other that they know the network's secret, hold one encrypted
//! link, call each other, and part in good order.

use std::time::Duration;

use peerage::network::{Network, Secret};
use peerage::node::{Event, Info};
use peerage::{Identity, Node};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let network = Network::new("lab", Secret::generate())?;
    // Port 0 picks a free one.
    let harbour = Node::builder(Identity::generate())
        .network(network.clone())
        .name("harbour".parse()?)
        .listen("tls://127.0.0.1:0".parse()?)
        .start()
        .await?;
    let ship = Node::builder(Identity::generate()).network(network).name("ship".parse()?).start().await?;

    // Nobody sleeps to let things settle: when `connect` returns, the link stands.
    let mut events = harbour.events();
    let address = harbour.addresses()[0].clone().with_node(harbour.id());
    let peer = ship.connect(&address).await?;
    while let Some(record) = events.next().await {
        if let Event::Joined { name, why, .. } = record.event {
            println!("{}: {name} joined, {why}", harbour.name());
            break;
        }
    }

    // Each end may call the other over the one link.
    let info: Info = ship.call("peerage/info").peer(peer).await?;
    println!("{}: {} has process {} and listens at {}", ship.name(), info.name, info.pid, info.addresses[0]);
    let echo: (String, u32) = harbour.call("peerage/pass_through").peer(ship.id()).arg(&("crates", 7)).await?;
    println!("{}: {} {}", harbour.name(), echo.1, echo.0);
    println!("{}: {}", ship.name(), if ship.status().nominal { "nominal" } else { "something is wrong" });

    // A stranger learns nothing, not even that there is such a network, and knows so.
    let elsewhere = Network::new("lab", Secret::generate())?;
    let stranger = Node::builder(Identity::generate()).network(elsewhere).start().await?;
    match stranger.connect(&harbour.addresses()[0]).await {
        Ok(_) => return Err("a stranger got in".into()),
        Err(why) => println!("stranger: {why}"),
    }

    // Leaves in good order: what was accepted is finished, and the other end is told.
    let left = ship.drain(Duration::from_secs(10)).await;
    println!("ship has left, {} calls were cut off", left.abandoned);
    harbour.stop().await;
    stranger.stop().await;
    Ok(())
}
