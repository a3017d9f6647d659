//! A byte stream inside TLS, on a TCP socket.
//!
//! The library turns bytes into records and back; this file moves them. Three things decide how fast that is and what an
//! idle connection costs:
//!
//! * **Reading** takes as much ciphertext as there is in one system call, into a buffer of the thread: a connection
//!   has none of its own, only what the library keeps of a record that is not complete yet.
//! * **Writing** encrypts what it is given as one batch, in full records, and hands the batch to the socket at once. The next
//!   batch is taken when the one before has left, so at most one waits, and a cancelled write has written nothing.
//! * **Nothing waits for flush.** A batch that the socket did not take goes on with the next write, flush or read,
//!   whichever comes first.
//!
//! Each direction ends by itself, with a goodbye inside TLS (`close_notify`). Without it the end of a stream is not an end
//! but a cut, since anybody on the way can close a TCP connection.

use std::cell::RefCell;
use std::io::{self, BufRead as _, IoSlice, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustls::{Connection, Error};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::transport::ByteStream;

/// One end of a connection secured by TLS.
pub(super) struct TlsStream {
    socket: TcpStream,
    tls: Connection,
    /// Ciphertext that was read when the library had no room for it. Nearly always empty.
    carried: Vec<u8>,
    /// What the library found wrong with what the other end sent. Told once all that came before it has been read.
    failed: Option<Error>,
    said_goodbye: bool,
}

impl TlsStream {
    pub(super) fn new(socket: TcpStream, mut tls: Connection) -> TlsStream {
        tls.set_buffer_limit(Some(BATCH_BYTES));
        TlsStream { socket, tls, carried: Vec::new(), failed: None, said_goodbye: false }
    }

    /// The library's view of the connection.
    pub(super) fn tls(&self) -> &Connection {
        &self.tls
    }

    /// Runs the handshake to its end. An alert that says what we did not like is sent before the error is returned, if the
    /// socket takes it.
    pub(super) async fn handshake(&mut self) -> Result<(), HandshakeError> {
        std::future::poll_fn(|cx| self.poll_handshake(cx)).await
    }

    fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), HandshakeError>> {
        loop {
            ready!(self.poll_send(cx))?;
            if !self.tls.is_handshaking() {
                return Poll::Ready(Ok(()));
            }
            // What a peer sends behind its handshake stays in the library.
            let fed = ready!(self.poll_feed(cx, &mut ReadBuf::new(&mut [])))?;
            if let Some(why) = self.failed.take() {
                let _ = self.poll_send(cx);
                return Poll::Ready(Err(why.into()));
            }
            if fed == 0 {
                return Poll::Ready(Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()));
            }
        }
    }

    /// Moves plaintext that the library holds into `buffer`. Tells whether reading is done for now: something was moved, or
    /// the stream has ended.
    fn take_plaintext(&mut self, buffer: &mut ReadBuf<'_>) -> io::Result<bool> {
        let mut moved = false;
        while buffer.remaining() > 0 {
            let mut reader = self.tls.reader();
            let chunk = match reader.fill_buf() {
                Ok([]) => return Ok(true),
                Ok(chunk) => chunk,
                Err(why) if why.kind() == io::ErrorKind::WouldBlock => break,
                // Told by the next read, once this one has delivered what came before.
                Err(_) if moved => break,
                Err(why) if why.kind() == io::ErrorKind::UnexpectedEof => return Err(cut()),
                Err(why) => return Err(why),
            };
            let count = chunk.len().min(buffer.remaining());
            buffer.put_slice(&chunk[..count]);
            reader.consume(count);
            moved = true;
        }
        Ok(moved)
    }

    /// Reads ciphertext once, as much as `buffer` could take as plaintext, and moves what becomes of it there. Gives the
    /// count of bytes read, 0 at the end.
    fn poll_feed(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<usize>> {
        if !self.carried.is_empty() {
            let carried = std::mem::take(&mut self.carried);
            self.feed(&carried, buffer)?;
            return Poll::Ready(Ok(carried.len()));
        }
        CIPHERTEXT.with_borrow_mut(|ciphertext| {
            if ciphertext.is_empty() {
                ciphertext.resize(CIPHERTEXT_BYTES, 0);
            }
            let room = buffer.remaining().clamp(CIPHERTEXT_BYTES_MIN, CIPHERTEXT_BYTES);
            let mut read = ReadBuf::new(&mut ciphertext[..room]);
            ready!(Pin::new(&mut self.socket).poll_read(cx, &mut read))?;
            let count = read.filled().len();
            if count == 0 {
                // The library must know, since it is the one who can tell an end from a cut.
                self.tls.read_tls(&mut io::empty())?;
            } else {
                self.feed(read.filled(), buffer)?;
            }
            Poll::Ready(Ok(count))
        })
    }

    fn feed(&mut self, mut ciphertext: &[u8], buffer: &mut ReadBuf<'_>) -> io::Result<()> {
        let is_large = ciphertext.len() > LIBRARY_BYTES;
        while !ciphertext.is_empty() {
            match self.tls.read_tls(&mut ciphertext) {
                // After the goodbye nothing is read any more.
                Ok(0) => break,
                Ok(_) => {}
                // Its plaintext must be fetched first.
                Err(_) => {
                    self.carried = ciphertext.to_vec();
                    break;
                }
            }
            if let Err(why) = self.tls.process_new_packets() {
                self.failed = Some(why);
                break;
            }
            self.take_plaintext(buffer)?;
        }
        if is_large {
            // The library keeps the room that a large record took until it reads again, which may be long on an idle
            // connection. Before a read that brings nothing it gives most of it back.
            let _ = self.tls.read_tls(&mut Nothing);
        }
        Ok(())
    }

    /// Sends what the library has ready.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.tls.wants_write() {
            let sent = self.tls.write_tls(&mut Outlet { socket: &mut self.socket, cx });
            match sent {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(_) => {}
                Err(why) if why.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
                Err(why) => return Poll::Ready(Err(why)),
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for TlsStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.tls.wants_write() {
            // A batch that the socket did not take, or an answer of the protocol itself. Its failure is the writer's.
            let _ = this.poll_send(cx);
        }
        loop {
            if buffer.remaining() == 0 || this.take_plaintext(buffer)? {
                return Poll::Ready(Ok(()));
            }
            if let Some(why) = &this.failed {
                let why = io::Error::new(io::ErrorKind::InvalidData, why.clone());
                let _ = this.poll_send(cx);
                return Poll::Ready(Err(why));
            }
            let before = buffer.filled().len();
            ready!(this.poll_feed(cx, buffer))?;
            if buffer.filled().len() > before {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl AsyncWrite for TlsStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_send(cx))?;
        let taken = this.tls.writer().write_vectored(slices)?;
        match this.poll_send(cx) {
            Poll::Ready(Err(why)) => Poll::Ready(Err(why)),
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Ready(Ok(taken)),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_send(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !std::mem::replace(&mut this.said_goodbye, true) {
            this.tls.send_close_notify();
        }
        ready!(this.poll_send(cx))?;
        Pin::new(&mut this.socket).poll_shutdown(cx)
    }
}

impl ByteStream for TlsStream {}

impl Drop for TlsStream {
    /// Who drops a stream means its end, as with a plain socket. What the socket does not take at once is lost.
    fn drop(&mut self) {
        if self.said_goodbye || self.failed.is_some() || self.tls.is_handshaking() {
            return;
        }
        self.tls.send_close_notify();
        let mut unsent = Vec::new();
        while self.tls.wants_write() {
            if self.tls.write_tls(&mut unsent).is_err() {
                return;
            }
        }
        let _ = self.socket.try_write(&unsent);
    }
}

/// Why a handshake did not come to its end.
pub(super) enum HandshakeError {
    /// The socket failed, or ended.
    Io(io::Error),
    /// The two ends did not agree.
    Tls(Error),
}

impl From<io::Error> for HandshakeError {
    fn from(why: io::Error) -> HandshakeError {
        HandshakeError::Io(why)
    }
}

impl From<Error> for HandshakeError {
    fn from(why: Error) -> HandshakeError {
        HandshakeError::Tls(why)
    }
}

/// Where the library writes its records: the socket, as far as it takes them now.
struct Outlet<'a, 'c> {
    socket: &'a mut TcpStream,
    cx: &'a mut Context<'c>,
}

impl Outlet<'_, '_> {
    fn now(result: Poll<io::Result<usize>>) -> io::Result<usize> {
        match result {
            Poll::Ready(result) => result,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

impl io::Write for Outlet<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Outlet::now(Pin::new(&mut *self.socket).poll_write(self.cx, bytes))
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match slices {
            // A plain write is the cheaper system call.
            [slice] => self.write(slice),
            slices => Outlet::now(Pin::new(&mut *self.socket).poll_write_vectored(self.cx, slices)),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Where there is nothing to read for now.
struct Nothing;

impl io::Read for Nothing {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }
}

fn cut() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the connection was cut without the goodbye of TLS")
}

thread_local! {
    /// Where connections of this thread read ciphertext into. One is enough, because nothing stays in it.
    static CIPHERTEXT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Most ciphertext read at once: sixteen full records.
const CIPHERTEXT_BYTES: usize = 256 << 10;

/// Ciphertext read at once even if less plaintext is asked for: what the library takes in one go.
const CIPHERTEXT_BYTES_MIN: usize = LIBRARY_BYTES;

/// What the library reads in one go, and the room it keeps for that.
const LIBRARY_BYTES: usize = 4 << 10;

/// Most plaintext encrypted at once: four full records, which stay in the processor's cache until the system has them.
const BATCH_BYTES: usize = 64 << 10;
