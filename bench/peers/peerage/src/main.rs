//! Peerage through its public API: a plain channel over TCP with MessagePack, typed content, one future a request.
//!
//! `--mode ""` is TCP, `--mode unix` a unix socket in the temporary directory.

use std::{io, process::ExitCode};

use bytes::Bytes;
use harness::{PAYLOAD, Peer, Tally, announce};
use peerage::{Address, Caller, Channel, Listener};

fn main() -> ExitCode {
    harness::run::<Peerage>()
}

/// The peer, and where its server listens.
#[derive(Clone, Copy, Debug)]
enum Peerage {
    Tcp,
    Unix,
}

impl Peer for Peerage {
    type Connection = Channel;

    fn with_mode(mode: &str) -> io::Result<Self> {
        match mode {
            "" => Ok(Self::Tcp),
            "unix" => Ok(Self::Unix),
            other => Err(io::Error::other(format!("peerage has no mode {other:?}"))),
        }
    }

    async fn serve(self) -> io::Result<()> {
        let address = match self {
            Self::Tcp => "tcp://127.0.0.1:0?codec=msgpack".to_owned(),
            Self::Unix => {
                let path = std::env::temp_dir().join(format!("peerage-bench-{}.sock", std::process::id()));
                format!("unix://{}?codec=msgpack", path.display())
            }
        };
        let address: Address = address.parse().map_err(io::Error::other)?;
        let listener = Listener::bind(&address).await.map_err(io::Error::other)?;
        let server = listener.serve(|content: Bytes| async move { Ok(content) });
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
        for _ in 0..callers {
            let caller = channel.caller();
            let mut counter = tally.counter();
            tokio::spawn(async move {
                loop {
                    match call(&caller).await {
                        Ok(()) => counter.add(1),
                        Err(why) => return counter.fail(why),
                    }
                }
            });
        }
        // The callers use it until the process ends.
        std::mem::forget(channel);
    }
}

async fn call(caller: &Caller) -> io::Result<()> {
    let answer: Bytes = caller.request(&Bytes::from_static(&PAYLOAD)).await.map_err(io::Error::other)?;
    if answer.len() == PAYLOAD.len() { Ok(()) } else { Err(io::Error::other("the answer is not the payload")) }
}
