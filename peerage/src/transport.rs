//! Byte streams between two ends, whatever carries them.
//!
//! A transport knows bytes, addresses and keys, never frames. It dials an [`Address`] once, or listens at one and accepts;
//! both give a `Connection`. Which file does the work follows from the scheme, and one suite of tests holds for all:
//! order, both directions at once, half-close, large payloads, a writer held back by a slow reader, cancelled waits,
//! addresses free again at once.
//!
//! ```text
//!   dial_until ──▶ dial ──┐                             ┌── listen ──▶ Listening::accept
//!   (again, with          ├─▶ tcp tls quic unix memory ◀┤              (outlives every error)
//!    growing pauses)      └────▶ Connection ◀───────────┘
//! ```
//!
//! Nodes dial with `dial_node` and listen with `listen_node`, which ask for the other end's key and count who is not
//! admitted yet.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use peerage_proto::address::{Address, Host, Scheme};
use peerage_proto::backoff::Backoff;
use peerage_proto::id::NodeId;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};

use crate::identity::Identity;
use gate::{Gate, Slot};
use tally::Tally;
use tls::terms::{ClientTerms, Over, ServerTerms};

pub use error::{BindError, DialError};
pub use tls::{Certificate, HandshakeFailure, InvalidPem, InvalidServerName, Proof, Roots, Secured, Tls, X509};

mod error;
pub(crate) mod gate;
pub(crate) mod memory;
mod ports;
mod quic;
mod race;
#[cfg(test)]
mod suite;
pub(crate) mod tally;
mod tcp;
#[cfg(test)]
mod tests;
mod tls;
mod unix;

/// Bytes in both directions, each of which can be closed by itself.
pub(crate) trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {
    /// Ends the connection of somebody who was not admitted, without a word of ours.
    #[allow(dead_code, reason = "for nodes, which come next")]
    fn refuse(self: Box<Self>) {}

    /// Whether the peer certainly takes nothing any more, whatever is written. Where the system does not tell, it may.
    fn takes_nothing(&self) -> bool {
        false
    }
}

impl ByteStream for TcpStream {}
impl ByteStream for DuplexStream {}

/// A byte stream and what is known about its ends.
pub(crate) struct Connection {
    pub(crate) stream: Box<dyn ByteStream>,
    /// Our end. The same as `remote` for unix and memory, where only the listener's end has a name.
    pub(crate) local: Address,
    /// The other end, without node id and options.
    pub(crate) remote: Address,
    /// Who is at the other end of a unix socket, as the kernel knows it.
    pub(crate) credentials: Option<UnixCredentials>,
    /// What TLS or QUIC proved.
    pub(crate) secured: Option<Arc<Secured>>,
    /// What an admission is bound to, where both ends have shown raw keys.
    #[allow(dead_code, reason = "for nodes, which come next")]
    pub(crate) binding: Option<Exporter>,
    /// The place among connections not yet admitted, on one that a node has accepted. To be dropped on admission.
    #[allow(dead_code, reason = "for nodes, which come next")]
    pub(crate) slot: Option<Slot>,
}

impl Connection {
    pub(crate) fn new(stream: Box<dyn ByteStream>, local: Address, remote: Address) -> Connection {
        Connection { stream, local, remote, credentials: None, secured: None, binding: None, slot: None }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("local", &self.local)
            .field("remote", &self.remote)
            .field("credentials", &self.credentials)
            .field("secured", &self.secured)
            .finish_non_exhaustive()
    }
}

#[allow(dead_code, reason = "for nodes, which come next")]
/// What TLS or QUIC knows of one connection and of no other: both ends have the same value, and nobody else does.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(crate) struct Exporter {
    /// The exporter's value under the label `EXPORTER-peerage-admission`.
    pub(crate) value: [u8; 32],
    /// Whose key the other end has proved to hold.
    pub(crate) peer: NodeId,
}

impl fmt::Debug for Exporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exporter").field("peer", &self.peer).finish_non_exhaustive()
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

/// Connects a plain channel once, within `attempt_timeout`.
///
/// A name is resolved anew, and all its addresses are tried, the next one after 250 ms or a failure.
pub(crate) async fn dial(
    address: &Address,
    tls: Option<&Tls>,
    attempt_timeout: Duration,
) -> Result<Connection, DialError> {
    let attempt = async {
        match address.scheme() {
            Scheme::Tls => {
                let over_tcp = ClientTerms::for_channel(address, tls, Over::Tcp).await?;
                tls::secure(tls::connect(address).await?, address, over_tcp).await
            }
            Scheme::Quic => {
                let over_udp = ClientTerms::for_channel(address, tls, Over::Quic).await?;
                quic::dial(address, over_udp).await
            }
            _ if tls.is_some() => Err(DialError::NotEncrypted { address: address.clone() }),
            _ if address.node().is_some() => Err(DialError::IdentityNeeded { address: address.clone() }),
            _ => dial_unsecured(address).await,
        }
    };
    within(address, attempt_timeout, attempt).await
}

/// Connects a node once, within `attempt_timeout`: to the node `expected`, or that of the address, or to any.
///
/// Over `tls` and `quic` the other end has proved its key when this returns (`Connection::binding`); over others nothing
/// is proved yet. A connection over `tls` that is made before `speak_from` is silent until then.
pub(crate) async fn dial_node(
    address: &Address,
    identity: &Identity,
    expected: Option<NodeId>,
    attempt_timeout: Duration,
    speak_from: Option<Instant>,
) -> Result<Connection, DialError> {
    let attempt = async {
        let terms = || ClientTerms::for_node(identity, expected.or(address.node()));
        match address.scheme() {
            Scheme::Tls => {
                let socket = tls::connect(address).await?;
                if let Some(at) = speak_from {
                    sleep_until(at).await;
                }
                tls::secure(socket, address, terms()).await
            }
            Scheme::Quic => quic::dial(address, terms()).await,
            _ => dial_unsecured(address).await,
        }
    };
    within(address, attempt_timeout, attempt).await
}

async fn dial_unsecured(address: &Address) -> Result<Connection, DialError> {
    match address.scheme() {
        Scheme::Unix => unix::dial(address).await,
        Scheme::Memory => memory::dial(address).await,
        Scheme::Tcp | Scheme::Tls | Scheme::Quic => tcp::dial(address).await,
    }
}

async fn within(
    address: &Address,
    attempt_timeout: Duration,
    attempt: impl Future<Output = Result<Connection, DialError>>,
) -> Result<Connection, DialError> {
    if address.port() == Some(0) {
        return Err(DialError::ListeningOnly { address: address.clone(), what: "port 0" });
    }
    if address.next().is_some() {
        return Err(DialError::ListeningOnly { address: address.clone(), what: "the option `next`" });
    }
    match timeout(attempt_timeout, attempt).await {
        Ok(result) => result,
        Err(_) => Err(DialError::TimedOut { address: address.clone(), after: attempt_timeout }),
    }
}

/// Connects a plain channel until `deadline`: once, or with `retry` again and again as long as the failure may pass.
///
/// Pauses between attempts grow as those of [`Backoff::for_channel`]. A listener that appears while we pause for long
/// is still found, because the last pause is cut so that one attempt takes place just before the deadline. After that
/// the last error is returned, at the deadline and not later.
pub(crate) async fn dial_until(
    address: &Address,
    tls: Option<&Tls>,
    deadline: Instant,
    retry: bool,
) -> Result<Connection, DialError> {
    let last_attempt_at = deadline.checked_sub(LAST_ATTEMPT).unwrap_or(deadline);
    let mut backoff = Backoff::for_channel();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let attempt_timeout = if retry { left.min(ATTEMPT_MAX) } else { left };
        let why = match dial(address, tls, attempt_timeout).await {
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

/// Starts to listen for plain channels. With `?next=N` a taken port is no error until the N ports after it are taken as
/// well.
pub(crate) async fn listen(address: &Address, tls: Option<&Tls>) -> Result<Listening, BindError> {
    match address.scheme() {
        Scheme::Tls | Scheme::Quic => {
            let over = if address.scheme() == Scheme::Quic { Over::Quic } else { Over::Tcp };
            let terms = ServerTerms::for_channel(address, tls, over).await?;
            listen_secured(address, terms, Gate::new(gate::GateLimits::for_channel())).await
        }
        _ if tls.is_some() => Err(BindError::NotEncrypted { address: address.clone() }),
        _ => listen_unsecured(address, None).await,
    }
}

/// Starts to listen for nodes. Over `tls` and `quic` whoever connects has proved its key when it is accepted; `gate`
/// counts who is not admitted yet, and each connection keeps its place there until its slot is dropped.
#[allow(dead_code, reason = "for nodes, which come next")]
pub(crate) async fn listen_node(address: &Address, identity: &Identity, gate: &Gate) -> Result<Listening, BindError> {
    match address.scheme() {
        Scheme::Tls | Scheme::Quic => listen_secured(address, ServerTerms::for_node(identity), gate.clone()).await,
        _ => listen_unsecured(address, Some(gate.clone())).await,
    }
}

async fn listen_unsecured(address: &Address, gate: Option<Gate>) -> Result<Listening, BindError> {
    let (acceptor, place) = match address.scheme() {
        Scheme::Unix => (Acceptor::Unix(unix::listen(address).await?), address.clone()),
        Scheme::Memory => (Acceptor::Memory(memory::listen(address)?), address.clone()),
        Scheme::Tcp | Scheme::Tls | Scheme::Quic => {
            tcp::listen(address).await.map(|(tcp, place)| (Acceptor::Tcp(tcp), place))?
        }
    };
    let tally = Tally::new(place.bare());
    Ok(Listening {
        acceptor,
        local: place.with_options_of(address).without_next(),
        gate,
        tally,
        paused_until: None,
        look_at: Instant::now() + LOOK,
    })
}

async fn listen_secured(address: &Address, terms: ServerTerms, gate: Gate) -> Result<Listening, BindError> {
    let (acceptor, place, tally) = if address.scheme() == Scheme::Quic {
        let (acceptor, place, tally) = quic::listen(address, terms, gate).await?;
        (Acceptor::Quic(acceptor), place, tally)
    } else {
        let (listener, place) = tls::bind(address).await?;
        let tally = Tally::new(place.clone());
        (Acceptor::Tls(tls::Acceptor::start(listener, terms, gate, tally.clone())), place, tally)
    };
    let local = place.with_options_of(address).without_next();
    Ok(Listening { acceptor, local, gate: None, tally, paused_until: None, look_at: Instant::now() + LOOK })
}

/// A place where others connect to us; dropping it frees the address at once.
pub(crate) struct Listening {
    acceptor: Acceptor,
    local: Address,
    /// Who is asked before a connection is handed out. Secured transports ask before the handshake, and by themselves.
    gate: Option<Gate>,
    tally: Tally,
    paused_until: Option<Instant>,
    /// When to look whether others still find us.
    look_at: Instant,
}

impl Listening {
    /// The next connection.
    ///
    /// There is no error that ends listening: one that concerns a single connection is passed over, any other (out of
    /// descriptors, out of memory) makes us pause for 50 ms, so that there is neither an end nor a busy loop. Both are
    /// counted. A unix socket whose file somebody has removed is opened anew. Cancelling the wait loses no connection.
    pub(crate) async fn accept(&mut self) -> Connection {
        loop {
            if let Some(until) = self.paused_until {
                sleep_until(until).await;
                self.paused_until = None;
            }
            let accepted = match &mut self.acceptor {
                Acceptor::Tcp(tcp) => tcp.accept().await,
                Acceptor::Tls(tls) => Ok(tls.accept().await),
                Acceptor::Quic(quic) => Ok(quic.accept().await),
                Acceptor::Unix(unix) => tokio::select! {
                    accepted = unix.accept() => accepted,
                    () = sleep_until(self.look_at) => {
                        self.look().await;
                        continue;
                    }
                },
                Acceptor::Memory(memory) => Ok(memory.accept().await),
            };
            match accepted {
                Ok(connection) => {
                    if let Some(connection) = self.let_in(connection) {
                        return connection;
                    }
                }
                Err(why) => self.paused_until = self.tally.survive(&why).map(|pause| Instant::now() + pause),
            }
        }
    }

    /// Looks whether the file of a unix socket is still there, and makes a new one if it is not.
    async fn look(&mut self) {
        if let Acceptor::Unix(unix) = &self.acceptor
            && !unix.is_there()
        {
            let outcome = match unix::listen(&self.local).await {
                Ok(anew) => {
                    self.acceptor = Acceptor::Unix(anew);
                    Ok(())
                }
                Err(why) => Err(why.to_string()),
            };
            self.tally.listens(outcome);
        }
        self.look_at = Instant::now() + LOOK;
    }

    /// Where we listen: the real port, with the options that concern others (`codec`, `dialect`, `services`).
    pub(crate) fn local_address(&self) -> &Address {
        &self.local
    }

    /// What happened while accepting.
    pub(crate) fn tally(&self) -> &Tally {
        &self.tally
    }

    fn let_in(&self, mut connection: Connection) -> Option<Connection> {
        if let Some(gate) = &self.gate {
            let Some(slot) = gate.enter(connection.remote.host().and_then(Host::ip)) else {
                self.tally.turn_away();
                return None;
            };
            connection.slot = Some(slot);
        }
        Some(connection)
    }
}

impl fmt::Debug for Listening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listening").field("local", &self.local).finish_non_exhaustive()
    }
}

enum Acceptor {
    Tcp(tcp::Acceptor),
    Tls(tls::Acceptor),
    Quic(quic::Acceptor),
    Unix(unix::Acceptor),
    Memory(memory::Acceptor),
}

/// Jitter needs no more than bits that differ between processes and calls; std seeds its hasher that way.
fn random_bits() -> u32 {
    let bits = RandomState::new().hash_one(()).to_be_bytes();
    u32::from_be_bytes([bits[0], bits[1], bits[2], bits[3]])
}

/// How often a unix listener looks whether its file is still there.
const LOOK: Duration = Duration::from_secs(1);

/// Connections that may wait to be accepted. More than a burst of peers dialling again; the system may cap it lower.
const BACKLOG: i32 = 1_024;

/// Longest single attempt among several. A lost first packet is repeated after 1, 3 and 7 s; after that a new attempt,
/// with the name resolved anew, has the better chance.
const ATTEMPT_MAX: Duration = Duration::from_secs(10);

/// How long before the deadline the last attempt is made: some round trips of a wide network.
const LAST_ATTEMPT: Duration = Duration::from_millis(200);
