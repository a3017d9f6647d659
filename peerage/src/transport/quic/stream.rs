//! One stream of a QUIC connection, as the bytes of a link.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use quinn::{Connection, ConnectionError, Endpoint, ReadError, RecvStream, SendStream, VarInt, WriteError};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::{CLOSE_DONE, CLOSE_REFUSED};
use crate::transport::ByteStream;

/// The stream that the dialler has opened, with the connection it lives on.
pub(super) struct QuicStream {
    connection: Connection,
    send: SendStream,
    recv: RecvStream,
    ending: Ending,
    /// Who dialled keeps the endpoint that the connection was made from.
    _dialled_from: Option<Arc<Endpoint>>,
}

enum Ending {
    Not,
    /// All is handed to the library, with the end behind it; this waits until the other end has it.
    Finishing(Pin<Box<dyn Future<Output = ()> + Send>>),
    /// The other end has all we wrote, or will not take it any more.
    Finished,
}

impl QuicStream {
    /// Opens the stream. Its first byte says what it is for (PROTOCOL §11.3), and makes it known to the other end at once, so
    /// that either end may be the first to speak.
    pub(super) async fn open(connection: Connection, endpoint: Arc<Endpoint>) -> io::Result<QuicStream> {
        let (mut send, recv) = connection.open_bi().await.map_err(io::Error::from)?;
        send.write_all(&[LINK_STREAM]).await.map_err(io::Error::from)?;
        Ok(QuicStream { connection, send, recv, ending: Ending::Not, _dialled_from: Some(endpoint) })
    }

    /// Takes the stream that the dialler opens.
    pub(super) async fn accept(connection: Connection) -> io::Result<QuicStream> {
        let (send, mut recv) = connection.accept_bi().await.map_err(io::Error::from)?;
        if recv.read_u8().await? != LINK_STREAM {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a stream of another kind"));
        }
        Ok(QuicStream { connection, send, recv, ending: Ending::Not, _dialled_from: None })
    }
}

impl AsyncRead for QuicStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.recv.poll_read_buf(cx, buffer).map_err(|why| match why {
            ReadError::ConnectionLost(why) => lost(&why),
            why => io::Error::from(why),
        })
    }
}

impl AsyncWrite for QuicStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.send).poll_write(cx, bytes).map_err(unwritten)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // The library copies what it is given, and wakes its own task each time: a few large writes are better.
        let mut gathered = Vec::new();
        for slice in slices {
            if !gathered.is_empty() && gathered.len() + slice.len() > GATHERED_BYTES {
                break;
            }
            if gathered.is_empty() && slice.len() >= GATHERED_BYTES {
                return Pin::new(&mut self.send).poll_write(cx, slice).map_err(unwritten);
            }
            gathered.extend_from_slice(slice);
        }
        Pin::new(&mut self.send).poll_write(cx, &gathered).map_err(unwritten)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(())) // the library sends by itself
    }

    /// `Ready` when the other end has everything: what the system does behind the back of a TCP socket is done by this
    /// process here, and would end with it.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            match &mut self.ending {
                Ending::Not => {
                    // It fails only if it is finished already.
                    let _ = self.send.finish();
                    let taken = self.send.stopped();
                    self.ending = Ending::Finishing(Box::pin(async move { drop(taken.await) }));
                }
                Ending::Finishing(taken) => {
                    ready!(taken.as_mut().poll(cx));
                    self.ending = Ending::Finished;
                }
                Ending::Finished => return Poll::Ready(Ok(())),
            }
        }
    }
}

impl ByteStream for QuicStream {
    fn refuse(self: Box<Self>) {
        self.connection.close(CLOSE_REFUSED, &[]);
    }
}

impl Drop for QuicStream {
    /// Who drops a stream means its end. Closing the connection at once would take back what has been written and has not
    /// arrived, so that is given a moment.
    fn drop(&mut self) {
        let connection = self.connection.clone();
        let taken: Pin<Box<dyn Future<Output = ()> + Send>> =
            match std::mem::replace(&mut self.ending, Ending::Finished) {
                Ending::Finished => return connection.close(CLOSE_DONE, &[]),
                Ending::Finishing(taken) => taken,
                Ending::Not => {
                    let _ = self.send.finish();
                    let taken = self.send.stopped();
                    Box::pin(async move { drop(taken.await) })
                }
            };
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(async move {
                let _ = timeout(LINGER, taken).await;
                connection.close(CLOSE_DONE, &[]);
            })),
            Err(_) => connection.close(CLOSE_DONE, &[]),
        }
    }
}

fn unwritten(why: WriteError) -> io::Error {
    match why {
        WriteError::ConnectionLost(why) => lost(&why),
        why => io::Error::from(why),
    }
}

/// The library's error says only that the connection is lost.
fn lost(why: &ConnectionError) -> io::Error {
    let refused = |code: VarInt| code == CLOSE_REFUSED;
    match why {
        ConnectionError::ApplicationClosed(close) if refused(close.error_code) => {
            io::Error::new(io::ErrorKind::ConnectionReset, "the other end refused the connection")
        }
        ConnectionError::ApplicationClosed(_) | ConnectionError::ConnectionClosed(_) | ConnectionError::Reset => {
            io::Error::new(io::ErrorKind::ConnectionReset, "the other end closed the connection")
        }
        ConnectionError::TimedOut => io::Error::new(io::ErrorKind::TimedOut, "nothing was heard of the other end"),
        why => io::Error::new(io::ErrorKind::NotConnected, why.to_string()),
    }
}

/// First byte of the stream that carries a link.
const LINK_STREAM: u8 = 0;

/// Small pieces are copied together up to this size, in bytes.
const GATHERED_BYTES: usize = 64 << 10;

/// How long what was written last may take to arrive once a stream is dropped.
const LINGER: Duration = Duration::from_secs(1);
