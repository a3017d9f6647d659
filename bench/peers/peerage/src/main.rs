//! Peerage through its public API: a plain channel over TCP with MessagePack, typed content, one future a request.
//!
//! `--mode ""` is TCP with a task for each caller, `--mode joined` TCP with all callers of a connection in one task,
//! `--mode unix` a unix socket in the temporary directory.

use std::{io, process::ExitCode};

use harness::{Counter, PAYLOAD, Peer, Tally, announce, join};
use peerage::{Address, Caller, Channel, Listener};
use serde_bytes::ByteArray;

fn main() -> ExitCode {
    harness::run::<Peerage>()
}

/// The peer, and where its server listens.
#[derive(Clone, Copy, Debug)]
enum Peerage {
    Tcp,
    Joined,
    Unix,
}

impl Peer for Peerage {
    type Connection = Channel;

    fn with_mode(mode: &str) -> io::Result<Self> {
        match mode {
            "" => Ok(Self::Tcp),
            "joined" => Ok(Self::Joined),
            "unix" => Ok(Self::Unix),
            other => Err(io::Error::other(format!("peerage has no mode {other:?}"))),
        }
    }

    async fn serve(self) -> io::Result<()> {
        let address = match self {
            Self::Tcp | Self::Joined => "tcp://127.0.0.1:0?codec=msgpack".to_owned(),
            Self::Unix => {
                let path = std::env::temp_dir().join(format!("peerage-bench-{}.sock", std::process::id()));
                format!("unix://{}?codec=msgpack", path.display())
            }
        };
        let address: Address = address.parse().map_err(io::Error::other)?;
        let listener = Listener::bind(&address).await.map_err(io::Error::other)?;
        let server = listener.serve(|content: ByteArray<64>| async move { Ok(content) });
        announce(server.local_address())?;
        server.forever().await;
        Ok(())
    }

    async fn connect(&self, address: &str) -> io::Result<Channel> {
        let address: Address = address.parse().map_err(io::Error::other)?;
        Channel::connect(&address).await.map_err(io::Error::other)
    }

    async fn echo(&self, channel: &mut Channel) -> io::Result<()> {
        call(&channel.caller()).await
    }

    fn flood(&self, channel: Channel, callers: usize, tally: &Tally) {
        let loops = (0..callers).map(|_| call_for_ever(channel.caller(), tally.counter()));
        match self {
            Self::Joined => drop(tokio::spawn(join(loops.map(Box::pin).collect()))),
            Self::Tcp | Self::Unix => loops.for_each(|caller| drop(tokio::spawn(caller))),
        }
        // The callers use it until the process ends.
        std::mem::forget(channel);
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
