//! Where we listen: one endpoint for each address, shared by those who listen there one after another.
//!
//! Over TCP every accepted connection has a socket of its own, and an address is free as soon as its listener is gone. Over
//! QUIC they live on the listener's socket. So the endpoint of an address stays as long as a connection does; a dialler is
//! refused meanwhile, and who listens there again in this process takes it over. (Another process gets the address when the
//! last connection has ended.)
//!
//! ```text
//!            listen                 drop                  last connection ends
//!   (none) ─────────▶ accepting ────────▶ refusing ──────────────────────────▶ (none)
//!                         ▲      listen      │
//!                         └──────────────────┘
//! ```

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use peerage_proto::address::Address;
use quinn::{AsyncUdpSocket, Endpoint, EndpointConfig, Incoming, Runtime, TokioRuntime};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::sync::Notify;
use tokio::time::sleep;

use super::acceptor::{Acceptor, Taker};
use super::server_config;
use crate::transport::gate::Gate;
use crate::transport::tls::terms::ServerTerms;
use crate::transport::{BindError, Tally, ports};

/// Starts to listen. Gives the acceptor, the address it has got, and its counters.
pub(in crate::transport) async fn listen(
    address: &Address,
    terms: ServerTerms,
    gate: Gate,
) -> Result<(Acceptor, Address, Tally), BindError> {
    let no_cipher = || BindError::from_io(address, io::Error::other("no cipher for QUIC"));
    let config = server_config(&terms).ok_or_else(no_cipher)?;
    for _ in 0..CLOSING_TRIES {
        let shared = match ports::bind(address, |at| Shared::at(at, &config)).await {
            Err(BindError::AddressInUse { .. }) if is_closing(address) => {
                sleep(CLOSING_PAUSE).await;
                continue;
            }
            done => done?,
        };
        let place = Address::quic(shared.bound);
        let tally = Tally::new(place.clone());
        let taker = Taker::new(config.clone(), terms.insists.clone(), gate.clone(), tally.clone(), shared.bound);
        // Somebody else may be faster, or the endpoint end, between finding an address unused and taking it.
        if let Some(acceptor) = shared.accept_with(taker) {
            return Ok((acceptor, place, tally));
        }
    }
    Err(BindError::AddressInUse { address: address.clone() })
}

/// An endpoint at which we listen, or have listened.
pub(super) struct Shared {
    bound: SocketAddr,
    state: Mutex<State>,
    changed: Notify,
    /// Gone when the system has the address back.
    socket: Weak<dyn AsyncUdpSocket>,
}

enum State {
    Accepting(Taker),
    Refusing,
    /// The endpoint is about to end.
    Over,
}

impl Shared {
    /// The endpoint at this address: one that nobody accepts on any more, or a new one.
    fn at(at: SocketAddr, config: &Arc<quinn::ServerConfig>) -> io::Result<Arc<Shared>> {
        let mut known = known();
        known.retain(|shared| shared.socket.strong_count() > 0);
        if let Some(shared) = known.iter().find(|shared| shared.bound == at) {
            return match *shared.lock() {
                State::Refusing => Ok(shared.clone()),
                State::Accepting(_) | State::Over => Err(io::ErrorKind::AddrInUse.into()),
            };
        }
        let socket = TokioRuntime.wrap_udp_socket(bind(at)?)?;
        let bound = socket.local_addr()?;
        let shared = Arc::new(Shared {
            bound,
            state: Mutex::new(State::Refusing),
            changed: Notify::new(),
            socket: Arc::downgrade(&socket),
        });
        let endpoint = Endpoint::new_with_abstract_socket(
            EndpointConfig::default(),
            Some(config.as_ref().clone()),
            socket,
            Arc::new(TokioRuntime),
        )?;
        known.push(shared.clone());
        tokio::spawn(Serving { shared: shared.clone(), endpoint }.run());
        Ok(shared)
    }

    /// From now on newcomers are handed to `taker`; `None` if somebody else accepts here.
    fn accept_with(self: &Arc<Self>, (taker, secured): (Taker, super::acceptor::Secured)) -> Option<Acceptor> {
        let mut state = self.lock();
        match *state {
            State::Refusing => *state = State::Accepting(taker),
            State::Accepting(_) | State::Over => return None,
        }
        drop(state);
        self.changed.notify_one();
        Some(Acceptor::new(self.clone(), secured))
    }

    /// Newcomers are refused from now on, and handshakes under way end.
    pub(super) fn refuse(&self) {
        let before = std::mem::replace(&mut *self.lock(), State::Refusing);
        drop(before);
        self.changed.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The task that looks at every newcomer of one endpoint.
struct Serving {
    shared: Arc<Shared>,
    endpoint: Endpoint,
}

impl Serving {
    async fn run(self) {
        // A listener follows at once: it is told when it is there, and until then nobody knows the address.
        self.shared.changed.notified().await;
        loop {
            let refusing = matches!(*self.shared.lock(), State::Refusing);
            tokio::select! {
                incoming = self.endpoint.accept() => match incoming {
                    Some(incoming) => self.hand_over(incoming),
                    None => return,
                },
                () = self.shared.changed.notified() => {}
                () = self.endpoint.wait_idle(), if refusing => {
                    let mut state = self.shared.lock();
                    if matches!(*state, State::Refusing) {
                        *state = State::Over;
                        return;
                    }
                }
            }
        }
    }

    fn hand_over(&self, incoming: Incoming) {
        match &mut *self.shared.lock() {
            State::Accepting(taker) => taker.take(incoming),
            State::Refusing | State::Over => incoming.refuse(),
        }
    }
}

impl Drop for Serving {
    /// Also when the runtime ends.
    fn drop(&mut self) {
        let before = std::mem::replace(&mut *self.shared.lock(), State::Over);
        drop(before);
    }
}

fn is_closing(address: &Address) -> bool {
    let port = address.port().unwrap_or_default();
    known().iter().any(|shared| {
        shared.bound.port() == port && matches!(*shared.lock(), State::Over) && shared.socket.strong_count() > 0
    })
}

fn bind(at: SocketAddr) -> io::Result<std::net::UdpSocket> {
    let socket = Socket::new(Domain::for_address(at), Type::DGRAM, Some(Protocol::UDP))?;
    if at.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED) {
        socket.set_only_v6(false)?; // [::] means everywhere, whatever the system's default
    }
    socket.bind(&at.into())?;
    Ok(socket.into())
}

fn known() -> MutexGuard<'static, Vec<Arc<Shared>>> {
    static KNOWN: Mutex<Vec<Arc<Shared>>> = Mutex::new(Vec::new());
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How often an address whose endpoint is ending is tried again; with the pause half a second, while it takes less than a
/// millisecond.
const CLOSING_TRIES: u32 = 100;

/// Pause between two such tries.
const CLOSING_PAUSE: Duration = Duration::from_millis(5);
