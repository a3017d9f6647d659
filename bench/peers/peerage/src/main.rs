//! Peerage through its public API: a plain channel over TCP with MessagePack, typed content, one future a request.
//!
//! `--mode ""` is TCP with a task for each caller, `--mode joined` TCP with all callers of a connection in one task,
//! `--mode unix` a unix socket in the temporary directory.
//!
//! `--mode node-tls` and `--mode node-tls-joined` are the same over a link between two nodes, with calls of
//! `peerage/pass_through`; `--mode node-unix` over a unix socket. Events have modes of their own: [`events`].

use std::{io, process::ExitCode};

use harness::{Counter, PAYLOAD, Peer, Tally, announce, join};
use peerage::{Address, Caller, Channel, Listener};
use serde_bytes::ByteArray;

mod events;
mod node;

use events::NodeEvents;
use node::Linked;

fn main() -> ExitCode {
    harness::run_both::<Peerage, NodeEvents>()
}

/// The peer, and where its server listens.
#[derive(Clone, Copy, Debug)]
enum Peerage {
    Tcp,
    Joined,
    Unix,
    NodeTls,
    NodeTlsJoined,
    NodeUnix,
}

/// An open connection of either kind.
#[derive(Debug)]
enum Connection {
    Channel(Channel),
    Node(Linked),
}

impl Peer for Peerage {
    type Connection = Connection;

    fn with_mode(mode: &str) -> io::Result<Self> {
        match mode {
            "" => Ok(Self::Tcp),
            "joined" => Ok(Self::Joined),
            "unix" => Ok(Self::Unix),
            "node-tls" => Ok(Self::NodeTls),
            "node-tls-joined" => Ok(Self::NodeTlsJoined),
            "node-unix" => Ok(Self::NodeUnix),
            other => Err(io::Error::other(format!("peerage has no mode {other:?}"))),
        }
    }

    async fn serve(self) -> io::Result<()> {
        let path = std::env::temp_dir().join(format!("peerage-bench-{}.sock", std::process::id()));
        let address = match self {
            Self::Tcp | Self::Joined => "tcp://127.0.0.1:0?codec=msgpack".to_owned(),
            Self::Unix => format!("unix://{}?codec=msgpack", path.display()),
            Self::NodeTls | Self::NodeTlsJoined => "tls://127.0.0.1:0".to_owned(),
            Self::NodeUnix => format!("unix://{}", path.display()),
        };
        let address: Address = address.parse().map_err(io::Error::other)?;
        if self.is_of_nodes() {
            return node::serve(address).await;
        }
        let listener = Listener::bind(&address).await.map_err(io::Error::other)?;
        let server = listener.serve(|content: ByteArray<64>| async move { Ok(content) });
        announce(server.local_address())?;
        server.forever().await;
        Ok(())
    }

    async fn connect(&self, address: &str) -> io::Result<Connection> {
        let address: Address = address.parse().map_err(io::Error::other)?;
        if self.is_of_nodes() {
            return Linked::connect(&address).await.map(Connection::Node);
        }
        Channel::connect(&address).await.map(Connection::Channel).map_err(io::Error::other)
    }

    async fn echo(&self, connection: &mut Connection) -> io::Result<()> {
        match connection {
            Connection::Channel(channel) => call(&channel.caller()).await,
            Connection::Node(linked) => linked.call().await,
        }
    }

    fn flood(&self, connection: Connection, callers: usize, tally: &Tally) {
        let is_joined = matches!(self, Self::Joined | Self::NodeTlsJoined);
        match &connection {
            Connection::Channel(channel) => {
                let loops = (0..callers).map(|_| call_for_ever(channel.caller(), tally.counter()));
                spawn(loops, is_joined);
            }
            Connection::Node(linked) => {
                let loops = (0..callers).map(|_| linked.clone().call_for_ever(tally.counter()));
                spawn(loops, is_joined);
            }
        }
        // The callers use it until the process ends.
        std::mem::forget(connection);
    }
}

impl Peerage {
    fn is_of_nodes(self) -> bool {
        matches!(self, Self::NodeTls | Self::NodeTlsJoined | Self::NodeUnix)
    }
}

/// Runs the callers, each in a task of its own or all in one.
fn spawn<F: Future<Output = ()> + Send + 'static>(loops: impl Iterator<Item = F>, is_joined: bool) {
    match is_joined {
        true => drop(tokio::spawn(join(loops.map(Box::pin).collect()))),
        false => loops.for_each(|caller| drop(tokio::spawn(caller))),
    }
}

async fn call_for_ever(caller: Caller, mut counter: Counter) {
    loop {
        match call(&caller).await {
            Ok(()) => counter.add(1),
            Err(why) => return counter.fail(why),
        }
    }
}

async fn call(caller: &Caller) -> io::Result<()> {
    let answer: ByteArray<64> = caller.request(&ByteArray::new(PAYLOAD)).await.map_err(io::Error::other)?;
    if answer.len() == PAYLOAD.len() { Ok(()) } else { Err(io::Error::other("the answer is not the payload")) }
}
