//! tarpc over its own TCP transport, with bincode, in the settings that its documentation offers for speed.
//!
//! `--mode joined` is `inline` with all callers of a connection in one task.
//!
//! `--mode ""` spawns every handler, as the examples of tarpc do; `--mode inline` awaits it where the request was read, which
//! the documentation of `Channel::execute` allows as well and which suits a handler that never waits.

// The service macro generates public items without docs.
#![allow(missing_docs, unreachable_pub)]

use std::{io, net::Ipv4Addr, process::ExitCode};

use futures::StreamExt as _;
use harness::{Counter, PAYLOAD, Peer, Tally, announce, join};
use serde_bytes::ByteArray;
use tarpc::{
    client, context,
    serde_transport::tcp,
    server::{BaseChannel, Channel as _},
};
use tokio_serde::formats::Bincode;

fn main() -> ExitCode {
    harness::run::<Tarpc>()
}

/// The service. `ByteArray` is written and read as one run of bytes and needs no memory of its own.
#[tarpc::service]
trait Echo {
    async fn echo(content: ByteArray<64>) -> ByteArray<64>;
}

#[derive(Clone)]
struct EchoServer;

impl Echo for EchoServer {
    async fn echo(self, _: context::Context, content: ByteArray<64>) -> ByteArray<64> {
        content
    }
}

/// The peer, and how its server runs a handler.
#[derive(Clone, Copy, Debug)]
enum Tarpc {
    Spawned,
    Inline,
    Joined,
}

impl Peer for Tarpc {
    type Connection = EchoClient;

    fn with_mode(mode: &str) -> io::Result<Self> {
        match mode {
            "" => Ok(Self::Spawned),
            "inline" => Ok(Self::Inline),
            "joined" => Ok(Self::Joined),
            other => Err(io::Error::other(format!("tarpc has no mode {other:?}"))),
        }
    }

    async fn serve(self) -> io::Result<()> {
        let mut incoming = tcp::listen((Ipv4Addr::LOCALHOST, 0), Bincode::default).await?;
        announce(incoming.local_addr())?;
        while let Some(transport) = incoming.next().await {
            let transport = transport?;
            transport.get_ref().set_nodelay(true)?;
            let handlers = BaseChannel::with_defaults(transport).execute(EchoServer.serve());
            match self {
                Self::Spawned => tokio::spawn(handlers.for_each(|handler| async {
                    tokio::spawn(handler);
                })),
                Self::Inline | Self::Joined => tokio::spawn(handlers.for_each(|handler| handler)),
            };
        }
        Ok(())
    }

    async fn connect(&self, address: &str) -> io::Result<EchoClient> {
        let transport = tcp::connect(address, Bincode::default).await?;
        transport.get_ref().set_nodelay(true)?;
        Ok(EchoClient::new(client::Config::default(), transport).spawn())
    }

    async fn echo(&self, client: &mut EchoClient) -> io::Result<()> {
        call(client).await
    }

    fn flood(&self, client: EchoClient, callers: usize, tally: &Tally) {
        let loops = (0..callers).map(|_| call_for_ever(client.clone(), tally.counter()));
        match self {
            Self::Joined => drop(tokio::spawn(join(loops.map(Box::pin).collect()))),
            Self::Spawned | Self::Inline => loops.for_each(|caller| drop(tokio::spawn(caller))),
        }
    }
}

async fn call_for_ever(client: EchoClient, mut counter: Counter) {
    loop {
        match call(&client).await {
            Ok(()) => counter.add(1),
            Err(why) => return counter.fail(why),
        }
    }
}

async fn call(client: &EchoClient) -> io::Result<()> {
    let answer = client.echo(context::current(), ByteArray::new(PAYLOAD)).await.map_err(io::Error::other)?;
    if answer.len() == PAYLOAD.len() { Ok(()) } else { Err(io::Error::other("the answer is not the payload")) }
}
