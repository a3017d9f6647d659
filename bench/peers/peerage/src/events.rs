//! Events between two nodes, one at a time or in batches, with the policy that loses nothing.
//!
//! `--mode node-tls` publishes each event by itself over a link of TLS, `--mode node-tls-batches` as many at once as fill 64 KiB;
//! `node-unix` and `node-unix-batches` are the same over a unix socket. The subscriber takes all that has come at once.

use std::fmt;
use std::io;
use std::time::Duration;

use harness::{Events, Receiver, Source, announce};
use peerage::event::{Heard, Policy, Publisher, Subscription};
use peerage::{Address, Identity, Node};
use serde::de::{Deserialize, Deserializer, Visitor};
use serde_bytes::Bytes;

use crate::node::network;

/// How two nodes are linked, and how they publish.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NodeEvents {
    over_tls: bool,
    in_batches: bool,
}

impl Events for NodeEvents {
    fn with_mode(mode: &str) -> io::Result<Self> {
        match mode {
            "node-tls" => Ok(Self { over_tls: true, in_batches: false }),
            "node-tls-batches" => Ok(Self { over_tls: true, in_batches: true }),
            "node-unix" => Ok(Self { over_tls: false, in_batches: false }),
            "node-unix-batches" => Ok(Self { over_tls: false, in_batches: true }),
            other => Err(io::Error::other(format!("peerage has no mode {other:?} for events"))),
        }
    }

    async fn publish(self, source: Source) -> io::Result<()> {
        let path = std::env::temp_dir().join(format!("peerage-bench-{}.sock", std::process::id()));
        let address = if self.over_tls { "tls://127.0.0.1:0".to_owned() } else { format!("unix://{}", path.display()) };
        let address: Address = address.parse().map_err(io::Error::other)?;
        let builder = Node::builder(Identity::generate()).network(network()?).listen(address);
        let node = builder.start().await.map_err(io::Error::other)?;
        let publisher = node.event(NAME).map_err(io::Error::other)?;
        announce(&node.addresses()[0])?;
        publisher.wait_matching(source.subscribers()).await.map_err(io::Error::other)?;
        if self.in_batches { publish_batches(&publisher, source).await } else { publish_each(&publisher, source).await }
    }

    async fn subscribe(&self, address: &str, mut receiver: Receiver) -> io::Result<()> {
        let address: Address = address.parse().map_err(io::Error::other)?;
        let node = Node::builder(Identity::generate()).network(network()?).start().await.map_err(io::Error::other)?;
        node.connect(&address).await.map_err(io::Error::other)?;
        let events = node.subscribe(NAME).policy(Policy::Block(WAITS_FOR)).start().map_err(io::Error::other)?;
        tokio::spawn(async move {
            let heard = hear(events, &mut receiver).await;
            // The node is there as long as it is listened to.
            drop(node);
            receiver.fail(heard.err().unwrap_or_else(|| io::ErrorKind::UnexpectedEof.into()));
        });
        Ok(())
    }
}

async fn publish_each(publisher: &Publisher, mut source: Source) -> io::Result<()> {
    loop {
        publisher.publish(Bytes::new(source.next_slice())).await.map_err(io::Error::other)?;
    }
}

async fn publish_batches(publisher: &Publisher, mut source: Source) -> io::Result<()> {
    let events = (BATCH_BYTES / source.payload_bytes()).max(1);
    loop {
        let batch: Vec<bytes::Bytes> = (0..events).map(|_| source.next_bytes()).collect();
        publisher.publish_all(batch.iter().map(|content| Bytes::new(content))).await.map_err(io::Error::other)?;
    }
}

async fn hear(mut events: Subscription, receiver: &mut Receiver) -> io::Result<()> {
    let mut batch = Vec::new();
    while events.next_batch(&mut batch).await {
        for heard in batch.drain(..) {
            match heard {
                Heard::Event(event) => {
                    let Numbered { length, beginning } = event.value().map_err(io::Error::other)?;
                    receiver.hear_parts(length, beginning)?;
                }
                Heard::SourceLost { why, .. } => return Err(io::Error::other(format!("cut: {why:?}"))),
                // What is missing shows in the numbers too.
                _ => {}
            }
        }
    }
    Ok(())
}

/// A value of the application: it reads its number from the content where it lies.
struct Numbered {
    length: usize,
    beginning: [u8; 8],
}

impl<'de> Deserialize<'de> for Numbered {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_bytes(NumberedVisitor)
    }
}

struct NumberedVisitor;

impl Visitor<'_> for NumberedVisitor {
    type Value = Numbered;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes that begin with a number")
    }

    fn visit_bytes<E: serde::de::Error>(self, content: &[u8]) -> Result<Numbered, E> {
        let beginning = content.first_chunk().ok_or_else(|| E::invalid_length(content.len(), &self))?;
        Ok(Numbered { length: content.len(), beginning: *beginning })
    }
}

const NAME: &str = "bench/events";
/// The publisher waits so long for a subscriber that has no room; none is ever that slow.
const WAITS_FOR: Duration = Duration::from_secs(5);
/// What is published at once.
const BATCH_BYTES: usize = 64 * 1024;
