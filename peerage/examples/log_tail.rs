//! A log that is read while it is written: `cargo run --example log_tail`.
//!
//! The handler sends one line after the other and waits for nobody to ask for the next. Whoever reads slowly makes it wait;
//! whoever has read enough drops the stream, and the handler ends with it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use peerage::network::{Network, Secret};
use peerage::service::Context;
use peerage::{Failure, Identity, Node};
use tokio::sync::Notify;

/// Rings when the handler is over, however that comes.
struct Over(Arc<Notify>);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let network = Network::new("lab", Secret::generate())?;
    let server = Node::builder(Identity::generate())
        .network(network.clone())
        .listen("tls://127.0.0.1:0".parse()?)
        .start()
        .await?;
    let (written, over) = (Arc::new(AtomicU64::new(0)), Arc::new(Notify::new()));
    let (count, ends) = (written.clone(), over.clone());
    let tail = move |context: Context, from: u64| {
        let (count, over) = (count.clone(), Over(ends.clone()));
        async move {
            let _over = over;
            let mut lines = context.outgoing::<String>()?;
            // A log without an end.
            for number in from.. {
                lines.send(&format!("{number}: all is well")).await?;
                count.fetch_add(1, Ordering::Relaxed);
            }
            Ok::<(), Failure>(())
        }
    };
    server.serve("log/tail", tail)?;

    let reader = Node::builder(Identity::generate()).network(network).start().await?;
    let peer = reader.connect(&server.addresses()[0]).await?;
    let mut lines = reader.call("log/tail").peer::<()>(peer).arg(&1000_u64).stream::<String>().await?;
    for _ in 0..5 {
        let line = lines.next().await.ok_or("the log has ended")??;
        println!("{line}");
    }

    // Nothing more is wanted: the handler stops. It is not far ahead of its reader, whose buffer is bounded.
    drop(lines);
    over.notified().await;
    println!("the handler has ended; it was ahead by {} lines", written.load(Ordering::Relaxed) - 5);

    reader.stop().await;
    server.stop().await;
    Ok(())
}
