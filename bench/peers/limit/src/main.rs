//! What the machine allows: raw TCP with length-prefixed frames, batched by hand, and nothing above it.
//!
//! One read takes what has come, all whole frames in it are handled, and all their replies leave in one write. No frame
//! allocates. The client keeps its callers as mere ids: it writes as many new requests as answers came, and counts, without a
//! future anywhere. Events leave in batches, one write for many, and are handled where the read left them. It runs on the
//! current-thread runtime with `TCP_NODELAY` and parks when there is nothing to do.

use std::{future::poll_fn, io, net::Ipv4Addr, process::ExitCode};

use harness::{PAYLOAD, Peer, Tally, announce};
use tokio::net::{TcpListener, TcpStream};

use crate::{
    connection::{Connection, Frame},
    events::LimitEvents,
};

mod connection;
mod events;

fn main() -> ExitCode {
    harness::run_both::<Limit, LimitEvents>()
}

/// The peer without an API.
#[derive(Clone, Copy, Debug)]
struct Limit;

impl Peer for Limit {
    type Connection = Connection;

    fn with_mode(mode: &str) -> io::Result<Self> {
        match mode {
            "" => Ok(Self),
            other => Err(io::Error::other(format!("limit has no mode {other:?}"))),
        }
    }

    async fn serve(self) -> io::Result<()> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        announce(listener.local_addr()?)?;
        loop {
            let (stream, _) = listener.accept().await?;
            let mut connection = Connection::over(stream)?;
            // The end of a connection is an error of `exchange`, and no more than that.
            tokio::spawn(
                async move { while exchange(&mut connection, |frame, out| frame.append_to(out)).await.is_ok() {} },
            );
        }
    }

    async fn connect(&self, address: &str) -> io::Result<Connection> {
        Connection::over(TcpStream::connect(address).await?)
    }

    async fn echo(&self, connection: &mut Connection) -> io::Result<()> {
        connection.queue(Frame { id: 0, content: &PAYLOAD });
        let mut intact = true;
        while exchange(connection, |answer, _| intact &= is_echo(answer)).await? == 0 {}
        if intact { Ok(()) } else { Err(io::Error::other("the answer is not the payload")) }
    }

    fn flood(&self, mut connection: Connection, callers: usize, tally: &Tally) {
        let mut counter = tally.counter();
        tokio::spawn(async move {
            for id in 0..callers as u64 {
                connection.queue(Frame { id, content: &PAYLOAD });
            }
            let mut intact = true;
            // As many new ids as answers came: that many callers are free again.
            let mut next_id = callers as u64;
            let ended = loop {
                let answered = exchange(&mut connection, |answer, out| {
                    intact &= is_echo(answer);
                    Frame { id: next_id, content: &PAYLOAD }.append_to(out);
                    next_id += 1;
                });
                match answered.await {
                    Ok(_) if !intact => break io::Error::other("an answer is not the payload"),
                    Ok(answers) => counter.add(answers),
                    Err(why) => break why,
                }
            };
            counter.fail(ended);
        });
    }
}

async fn exchange(connection: &mut Connection, mut on_frame: impl FnMut(Frame<'_>, &mut Vec<u8>)) -> io::Result<u64> {
    poll_fn(|cx| connection.poll_exchange(cx, &mut on_frame)).await
}

fn is_echo(answer: Frame<'_>) -> bool {
    answer.content.len() == PAYLOAD.len()
}
