//! Byte streams between two ends, whatever carries them.
//!
//! A transport knows bytes and addresses, never frames. It dials an [`Address`] once, or listens at one and accepts;
//! both give a `Connection`. Which file does the work follows from the scheme, and one suite of tests holds for all:
//! order, both directions at once, half-close, large payloads, a writer held back by a slow reader, cancelled waits,
//! addresses free again at once.
//!
//! ```text
//!   dial_until ──▶ dial ──┐                    ┌── listen ──▶ Listening::accept
//!   (again, with          ├─▶ tcp unix memory ◀┤              (outlives every error)
//!    growing pauses)      └────▶ Connection ◀──┘
//! ```

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::time::Duration;

use peerage_proto::address::{Address, Scheme};
use peerage_proto::backoff::Backoff;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep_until, timeout};

pub use error::{BindError, DialError};

mod error;
mod memory;
#[cfg(test)]
mod suite;
mod tcp;
#[cfg(test)]
mod tests;
mod unix;

/// Bytes in both directions, each of which can be closed by itself.
pub(crate) trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for T {}

/// A byte stream and what is known about its ends.
pub(crate) struct Connection {
    pub(crate) stream: Box<dyn ByteStream>,
    /// Our end. The same as `remote` for unix and memory, where only the listener's end has a name.
    pub(crate) local: Address,
    /// The other end, without node id and options.
    pub(crate) remote: Address,
    /// Who is at the other end of a unix socket, as the kernel knows it.
    pub(crate) credentials: Option<UnixCredentials>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("local", &self.local)
            .field("remote", &self.remote)
            .field("credentials", &self.credentials)
            .finish_non_exhaustive()
    }
}

/// Who was at the other end of a unix socket when it was connected, as told by the kernel.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct UnixCredentials {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// The process, where the system tells it.
    pub pid: Option<i32>,
}

/// Connects once, within `attempt_timeout`.
///
/// A name is resolved anew, and all its addresses are tried, the next one after 250 ms or a failure.
pub(crate) async fn dial(address: &Address, attempt_timeout: Duration) -> Result<Connection, DialError> {
    if address.port() == Some(0) {
        return Err(DialError::ListeningOnly { address: address.clone(), what: "port 0" });
    }
    if address.next().is_some() {
        return Err(DialError::ListeningOnly { address: address.clone(), what: "the option `next`" });
    }
    let attempt = async {
        match address.scheme() {
            Scheme::Tcp => tcp::dial(address).await,
            Scheme::Unix => unix::dial(address).await,
            Scheme::Memory => memory::dial(address).await,
            scheme @ (Scheme::Tls | Scheme::Quic) => Err(DialError::Unsupported { scheme }),
        }
    };
    match timeout(attempt_timeout, attempt).await {
        Ok(result) => result,
        Err(_) => Err(DialError::TimedOut { address: address.clone(), after: attempt_timeout }),
    }
}

/// Connects until `deadline`: once, or with `retry` again and again as long as the failure may pass.
///
/// Pauses between attempts grow as those of [`Backoff::for_channel`]. A listener that appears while we pause for long
/// is still found, because the last pause is cut so that one attempt takes place just before the deadline. After that
/// the last error is returned, at the deadline and not later.
pub(crate) async fn dial_until(address: &Address, deadline: Instant, retry: bool) -> Result<Connection, DialError> {
    let last_attempt_at = deadline.checked_sub(LAST_ATTEMPT).unwrap_or(deadline);
    let mut backoff = Backoff::for_channel();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let attempt_timeout = if retry { left.min(ATTEMPT_MAX) } else { left };
        let why = match dial(address, attempt_timeout).await {
            Err(why) if retry && why.may_pass() => why,
            done => return done,
        };
        let now = Instant::now();
        if now >= last_attempt_at {
            sleep_until(deadline).await;
            return Err(why);
        }
        let pause = backoff.next(random_bits());
        tracing::debug!(%address, %why, ?pause, "not connected, trying again");
        sleep_until((now + pause).min(last_attempt_at)).await;
    }
}

/// Starts to listen. With `?next=N` a taken port is no error until the N ports after it are taken as well.
pub(crate) async fn listen(address: &Address) -> Result<Listening, BindError> {
    let (acceptor, place) = match address.scheme() {
        Scheme::Tcp => tcp::listen(address).await.map(|(tcp, place)| (Acceptor::Tcp(tcp), place))?,
        Scheme::Unix => (Acceptor::Unix(unix::listen(address).await?), address.clone()),
        Scheme::Memory => (Acceptor::Memory(memory::listen(address)?), address.clone()),
        scheme @ (Scheme::Tls | Scheme::Quic) => return Err(BindError::Unsupported { scheme }),
    };
    let local = place.with_options_of(address).without_next();
    Ok(Listening { acceptor, local, errors: 0, paused_until: None })
}

/// A place where others connect to us; dropping it frees the address at once.
pub(crate) struct Listening {
    acceptor: Acceptor,
    local: Address,
    errors: u64,
    paused_until: Option<Instant>,
}

impl Listening {
    /// The next connection.
    ///
    /// There is no error that ends listening: one that concerns a single connection is passed over, any other (out of
    /// descriptors, out of memory) makes us pause for 50 ms, so that there is neither an end nor a busy loop. Both are
    /// counted. Cancelling the wait loses no connection.
    pub(crate) async fn accept(&mut self) -> Connection {
        loop {
            if let Some(until) = self.paused_until {
                sleep_until(until).await;
                self.paused_until = None;
            }
            let accepted = match &mut self.acceptor {
                Acceptor::Tcp(tcp) => tcp.accept().await,
                Acceptor::Unix(unix) => unix.accept().await,
                Acceptor::Memory(memory) => Ok(memory.accept().await),
            };
            match accepted {
                Ok(connection) => return connection,
                Err(why) => self.survive(&why),
            }
        }
    }

    /// Where we listen: the real port, with the options that concern others (`codec`, `dialect`, `services`).
    pub(crate) fn local_address(&self) -> &Address {
        &self.local
    }

    /// Errors survived while accepting.
    pub(crate) fn accept_errors(&self) -> u64 {
        self.errors
    }

    fn survive(&mut self, why: &io::Error) {
        self.errors += 1;
        if concerns_one_connection(why) {
            tracing::debug!(local = %self.local, %why, "a connection failed before it was accepted");
        } else {
            tracing::warn!(local = %self.local, %why, "cannot accept, trying again in 50 ms");
            self.paused_until = Some(Instant::now() + ACCEPT_PAUSE);
        }
    }
}

impl fmt::Debug for Listening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listening").field("local", &self.local).finish_non_exhaustive()
    }
}

enum Acceptor {
    Tcp(tcp::Acceptor),
    Unix(unix::Acceptor),
    Memory(memory::Acceptor),
}

/// Whether an error of `accept` belongs to the connection that was about to be accepted, not to the listener.
fn concerns_one_connection(why: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        why.kind(),
        Kind::ConnectionAborted
            | Kind::ConnectionReset
            | Kind::HostUnreachable
            | Kind::Interrupted
            | Kind::NetworkDown
            | Kind::NetworkUnreachable
    )
}

/// Jitter needs no more than bits that differ between processes and calls; std seeds its hasher that way.
fn random_bits() -> u32 {
    let bits = RandomState::new().hash_one(()).to_be_bytes();
    u32::from_be_bytes([bits[0], bits[1], bits[2], bits[3]])
}

/// Connections that may wait to be accepted. More than a burst of peers dialling again; the system may cap it lower.
const BACKLOG: i32 = 1_024;

/// How long accepting rests after an error that is not of one connection: long enough to be no load, short enough
/// that nobody notices.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Longest single attempt among several. A lost first packet is repeated after 1, 3 and 7 s; after that a new attempt,
/// with the name resolved anew, has the better chance.
const ATTEMPT_MAX: Duration = Duration::from_secs(10);

/// How long before the deadline the last attempt is made: some round trips of a wide network.
const LAST_ATTEMPT: Duration = Duration::from_millis(200);
