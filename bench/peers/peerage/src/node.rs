//! A link between two nodes, and calls of a built-in service over it.

use std::io;

use harness::{Counter, PAYLOAD, announce};
use peerage::network::{Network, Secret};
use peerage::node::{Limits, NodeId};
use peerage::{Address, Identity, Node};
use serde_bytes::ByteArray;

/// A node and whom it is linked with.
#[derive(Clone, Debug)]
pub(crate) struct Linked {
    node: Node,
    peer: NodeId,
}

/// Both processes belong to this network. Its secret is no secret.
pub(crate) fn network() -> io::Result<Network> {
    // Made by a generator: one that reads as text is refused.
    let secret = *b"\x9e\x37\x79\xb9\x7f\x4a\x7c\x15\xf3\x9c\xc0\x60\x5c\xed\xc8\x34\x10\x27\x53\x8a\xd1\x6b\xe4\x02";
    let secret = Secret::from_bytes(&secret).map_err(io::Error::other)?;
    Network::new("bench", secret).map_err(io::Error::other)
}

/// Listens for nodes until the process ends.
pub(crate) async fn serve(listen: Address) -> io::Result<()> {
    // W6 opens more links than a node takes by default, and faster.
    let limits = Limits { links: 8_192, accepts_per_second: 10_000, ..Limits::default() };
    let builder = Node::builder(Identity::generate()).network(network()?).listen(listen).limits(limits);
    let node = builder.start().await.map_err(io::Error::other)?;
    announce(&node.addresses()[0])?;
    node.stopped().await;
    Ok(())
}

impl Linked {
    pub(crate) async fn connect(address: &Address) -> io::Result<Linked> {
        let node = Node::builder(Identity::generate()).network(network()?).start().await.map_err(io::Error::other)?;
        let peer = node.connect(address).await.map_err(io::Error::other)?;
        Ok(Linked { node, peer })
    }

    pub(crate) async fn call(&self) -> io::Result<()> {
        let payload = ByteArray::new(PAYLOAD);
        let call = self.node.call("peerage/pass_through").peer(self.peer).arg(&payload);
        let answer: ByteArray<64> = call.await.map_err(io::Error::other)?;
        if answer.len() == PAYLOAD.len() { Ok(()) } else { Err(io::Error::other("the answer is not the payload")) }
    }

    pub(crate) async fn call_for_ever(self, mut counter: Counter) {
        loop {
            match self.call().await {
                Ok(()) => counter.add(1),
                Err(why) => return counter.fail(why),
            }
        }
    }
}
