//! Channels on connections that behave in ways which no socket can be made to on purpose.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::*;
use crate::outcome::{CallError, NotSent};
use crate::transport::ByteStream;

#[tokio::test]
async fn an_answer_that_arrived_before_the_peer_went_counts_although_writing_failed() {
    let channel = over(AnswersAndGoes::default());
    let (first, second) = tokio::join!(channel.request::<String>("first"), async {
        // Lets the first one leave alone.
        while channel.counters().bytes_out == 0 {
            tokio::task::yield_now().await;
        }
        channel.request::<String>("second").await
    });
    assert_eq!(first, Ok("in time".to_owned()));
    let why = NotSent::NoRoute;
    assert_eq!(second, Err(CallError::NotSent { why }), "none of its bytes left");
}

fn over(stream: AnswersAndGoes) -> Channel {
    let address: Address = "memory://scripted".parse().unwrap();
    let connection = Connection::new(Box::new(stream), address.clone(), address.clone());
    Channel::start(connection, &Settings::default(), &address)
}

/// Takes one frame. Then the peer is gone, which is first noticed by writing; its answer waits to be read.
#[derive(Default)]
struct AnswersAndGoes {
    has_taken: bool,
    unread: Option<&'static [u8]>,
    gone: bool,
}

const ANSWER: &[u8] = b"\0\0\0\x11[1, 0, \"in time\"]";

impl ByteStream for AnswersAndGoes {}

impl AsyncWrite for AnswersAndGoes {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.has_taken {
            (self.gone, self.unread) = (true, Some(ANSWER));
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        self.has_taken = true;
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
        self.poll_write(cx, &bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for AnswersAndGoes {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.gone {
            return Poll::Pending;
        }
        buffer.put_slice(self.unread.take().unwrap_or_default());
        Poll::Ready(Ok(()))
    }
}
