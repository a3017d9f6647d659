//! An audit log without gaps, or with every gap in it: `cargo run --example audit_log`.
//!
//! The till keeps its last sales, and the log asks for what it has missed. So when the link is cut while sales go on, the log is whole
//! afterwards; and if more had been missed than the till keeps, the log would say which. Delivered plus missing is published, always.

use std::time::Duration;

use peerage::event::{Heard, Policy};
use peerage::network::{Network, Secret};
use peerage::{Identity, Node};

const SALES: u64 = 300;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let network = Network::new("shop", Secret::generate())?;
    let till = Node::builder(Identity::generate())
        .network(network.clone())
        .listen("tls://127.0.0.1:0".parse()?)
        .start()
        .await?;
    let office = Node::builder(Identity::generate()).network(network).start().await?;
    let peer = office.connect(&till.addresses()[0]).await?;

    // The till waits for the log rather than drop a sale, and keeps sales for a log that was away.
    let mut log = office.subscribe("sale").policy(Policy::Block(Duration::from_secs(5))).recover().start()?;
    let sale = till.event("sale")?.keep(1_000)?;
    sale.wait_matching(1).await?;

    let selling = tokio::spawn({
        let (sale, office, till) = (sale.clone(), office.clone(), till.addresses()[0].clone());
        async move {
            for number in 1..=SALES {
                // For a third of them there is no link.
                if number == SALES / 3 {
                    office.disconnect(peer, "the office moves").await?;
                } else if number == 2 * SALES / 3 {
                    office.connect(&till).await?;
                }
                sale.publish(&(number * 100)).await?;
            }
            Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
        }
    });

    let (mut entries, mut missing, mut cuts) = (Vec::new(), 0, 0);
    while entries.len() as u64 + missing < SALES {
        match log.next().await.ok_or("the office has closed")? {
            Heard::Event(event) => entries.push((event.seq(), event.value::<u64>()?)),
            Heard::Gap(gap) => {
                println!("GAP {gap}");
                missing += gap.count().unwrap_or(0);
            }
            Heard::Resumed { missed, .. } => println!("the link is back; missed for good: {missed}"),
            Heard::SourceLost { why, .. } => {
                println!("the link is gone: {why}");
                cuts += 1;
            }
            _ => {}
        }
    }
    selling.await?.map_err(|why| why.to_string())?;
    assert!(entries.iter().map(|(seq, _)| *seq).eq(1..=SALES), "each sale once, in order");
    println!("{} sales in the log, {missing} missing, the link was cut {cuts} times", entries.len());

    office.stop().await;
    till.stop().await;
    Ok(())
}
