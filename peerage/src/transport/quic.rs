//! QUIC: TLS 1.3 over UDP, on the same terms as `tls`.
//!
//! A connection carries one stream of bytes in each direction, on a stream that the dialler opens; that it survives a change
//! of addresses, and that a lost packet costs less, is what QUIC is here for.
//!
//! ```text
//!   dial ──▶ endpoint of this runtime ──▶ handshake ──▶ open stream, say its kind ─┐
//!                                                                                  ├─▶ QuicStream ─▶ Connection
//!   listen ─▶ endpoint of this address ─▶ gate ─▶ handshake ──▶ take that stream ──┘
//! ```
//!
//! **Endpoints.** A listening address has an endpoint (a UDP socket and a task) of its own. All dialling of one runtime
//! shares one endpoint for each family of addresses: an endpoint has receive buffers for bursts, about 3 MB once they
//! have been in use, which a node with many links would pay for each. It ends with its last connection.
//!
//! **Who decides that a connection is dead?** Between nodes liveness does, and QUIC has no timer of its own.
//! On a plain channel QUIC does, after 30 s without a sign of life: there is no system that ends the connections of a
//! process that dies, as there is over TCP. Its signs of life are its own, so that a channel may be silent as long as it likes.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use peerage_proto::address::Address;
use peerage_proto::hello::EXPORTER_LABEL;
use peerage_proto::limits;
use quinn::crypto::rustls::{HandshakeData, QuicClientConfig, QuicServerConfig};
use quinn::{ClientConfig, ConnectError, IdleTimeout, ServerConfig, TransportConfig, VarInt};
use rustls::pki_types::CertificateDer;

use super::tls::terms::{ClientTerms, Insists, ServerTerms};
use super::tls::{HandshakeFailure, Secured};
use super::{Connection, DialError, race};
use stream::QuicStream;

pub(super) use acceptor::Acceptor;
pub(super) use listening::listen;

mod acceptor;
mod dialling;
mod failure;
mod listening;
mod stream;
#[cfg(test)]
mod tests;

pub(super) async fn dial(address: &Address, terms: ClientTerms) -> Result<Connection, DialError> {
    let name = terms.name.to_str().into_owned();
    let handshake = |why| DialError::from_handshake(address, why);
    let no_suite = |_| handshake(HandshakeFailure::Other { why: "no cipher for QUIC".to_owned() });
    let crypto = QuicClientConfig::try_from(terms.config.clone()).map_err(no_suite)?;
    let mut config = ClientConfig::new(Arc::new(crypto));
    config.transport_config(transport(&terms.insists));
    let dialling = Arc::new(Dialling { address: address.clone(), terms, config, name });
    race::connect(address, |candidate| dialling.clone().connect_to(candidate)).await
}

/// All that the attempts at the addresses of one name share.
struct Dialling {
    address: Address,
    terms: ClientTerms,
    config: ClientConfig,
    name: String,
}

impl Dialling {
    async fn connect_to(self: Arc<Self>, candidate: SocketAddr) -> Result<Connection, DialError> {
        let address = &self.address;
        let endpoint = dialling::endpoint(candidate).map_err(|why| DialError::from_io(address, why))?;
        let connecting = endpoint.connect_with(self.config.clone(), candidate, &self.name);
        let connecting = connecting.map_err(|why| self.unusable(why))?;
        let connected = tokio::select! {
            biased;
            connected = connecting => connected.map_err(|why| failure::of_dialling(address, &self.terms, &why))?,
            () = dialling::unreachable(candidate) => return Err(DialError::Refused { address: address.clone() }),
        };
        let local = dialling::local_end(&endpoint, candidate).map_err(|why| DialError::from_io(address, why))?;
        let closed = || DialError::from_handshake(address, HandshakeFailure::Closed);
        let stream = QuicStream::open(connected.clone(), endpoint).await.map_err(|_| closed())?;
        connection(&connected, stream, &self.terms.insists, local)
            .map_err(|why| DialError::from_handshake(address, why))
    }

    fn unusable(&self, why: ConnectError) -> DialError {
        DialError::from_io(&self.address, std::io::Error::other(why))
    }
}

/// A connection whose handshake is complete in the library's eyes.
fn connection(
    connected: &quinn::Connection,
    stream: QuicStream,
    insists: &Insists,
    bound: SocketAddr,
) -> Result<Connection, HandshakeFailure> {
    let spoken = connected.handshake_data().and_then(|data| data.downcast::<HandshakeData>().ok());
    let spoken = spoken.and_then(|data| data.protocol);
    let shown = connected.peer_identity().and_then(|shown| shown.downcast::<Vec<CertificateDer<'static>>>().ok());
    let export = || {
        let mut value = [0; 32];
        connected.export_keying_material(&mut value, EXPORTER_LABEL, &[]).ok().map(|()| value)
    };
    let (proof, binding) = insists.judge(spoken.as_deref(), shown.as_deref().map(Vec::as_slice), export)?;
    // A socket bound to every address does not know at which of them it was reached.
    let local = SocketAddr::new(connected.local_ip().unwrap_or(bound.ip()), bound.port());
    let [local, remote] = [local, connected.remote_address()].map(|end| Address::quic(canonical(end)));
    let mut connection = Connection::new(Box::new(stream), local, remote);
    connection.secured = Some(Arc::new(Secured { proof, cipher: None, key_exchange: None }));
    connection.binding = binding;
    Ok(connection)
}

fn server_config(terms: &ServerTerms) -> Option<Arc<ServerConfig>> {
    let crypto = QuicServerConfig::try_from(terms.config.clone()).ok()?;
    let mut config = ServerConfig::with_crypto(Arc::new(crypto));
    config.transport_config(transport(&terms.insists)).max_incoming(INCOMING_MAX);
    Some(Arc::new(config))
}

fn transport(insists: &Insists) -> Arc<TransportConfig> {
    let idle = if insists.between_nodes() { None } else { IdleTimeout::try_from(limits::QUIC_IDLE_CHANNEL).ok() };
    let mut config = TransportConfig::default();
    let window = VarInt::from_u32(limits::QUIC_WINDOW_BYTES);
    config
        .max_concurrent_bidi_streams(VarInt::from_u32(limits::QUIC_STREAMS))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .receive_window(window)
        .stream_receive_window(window)
        .send_window(u64::from(limits::QUIC_WINDOW_BYTES))
        .datagram_receive_buffer_size(None)
        .keep_alive_interval(Some(limits::QUIC_KEEP_ALIVE))
        .max_idle_timeout(idle);
    Arc::new(config)
}

/// IPv4 peers of a socket for both families appear as ::ffff:a.b.c.d.
fn canonical(end: SocketAddr) -> SocketAddr {
    let ip: IpAddr = end.ip().to_canonical();
    SocketAddr::new(ip, end.port())
}

/// First packets that may wait to be looked at. They are at once, so this is only reached when the runtime is busy.
const INCOMING_MAX: usize = 256;

/// Code with which a connection is closed in order.
const CLOSE_DONE: VarInt = VarInt::from_u32(0);

/// Code with which a connection is closed whose admission was refused (PROTOCOL §9.1).
const CLOSE_REFUSED: VarInt = VarInt::from_u32(1);
