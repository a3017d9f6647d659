//! TLS 1.3 over TCP.
//!
//! Between nodes both ends show raw public keys (RFC 7250) and prove that they hold them; a node's key *is* its id, so
//! nobody needs to vouch for it. Plain channels do that too if they are given an identity, or use ordinary X.509
//! certificates, as other programs do. Nothing older than TLS 1.3, no resumption, no data before the handshake is
//! complete. QUIC takes the same terms.
//!
//! ```text
//!   Identity ─┐                     ┌─ handshake ─▶ TlsStream ─▶ Connection{stream, proof, exporter}
//!             ├─▶ terms ─▶ dial / accept
//!   X509 ─────┘                     └─ HandshakeFailure: why not
//! ```

use std::io;
use std::sync::Arc;

use peerage_proto::address::Address;
use peerage_proto::hello::EXPORTER_LABEL;
use rustls::ClientConnection;
use tokio::net::{TcpListener, TcpStream};

use super::{BindError, Connection, DialError, tcp};
use stream::{HandshakeError, TlsStream};
use terms::{ClientTerms, Insists};

pub(super) use acceptor::Acceptor;
pub use failure::HandshakeFailure;
pub use settings::{Certificate, InvalidPem, InvalidServerName, Roots, Tls, X509};
pub use terms::{Proof, Secured};

mod acceptor;
mod failure;
mod keys;
mod provider;
mod settings;
mod stream;
pub(super) mod terms;
#[cfg(test)]
mod tests;

/// Connects, and says nothing yet.
pub(super) async fn connect(address: &Address) -> Result<TcpStream, DialError> {
    tcp::connect(address).await
}

/// Secures a connection that was dialled at this address.
pub(super) async fn secure(socket: TcpStream, address: &Address, terms: ClientTerms) -> Result<Connection, DialError> {
    let handshake = |why| DialError::from_handshake(address, why);
    let io = |why: io::Error| DialError::from_io(address, why);
    socket.set_nodelay(true).map_err(io)?;
    let [local, remote] = tcp::ends(&socket).map_err(io)?.map(Address::tls);
    let tls = ClientConnection::new(Arc::new(terms.config.clone()), terms.name.clone());
    let mut stream = TlsStream::new(socket, tls.map_err(|why| handshake(terms.insists.failure(&why)))?.into());
    match stream.handshake().await {
        Ok(()) => connection(stream, &terms.insists, local, remote).map_err(handshake),
        Err(HandshakeError::Io(why)) => Err(handshake(HandshakeFailure::of_io(&why))),
        Err(HandshakeError::Tls(why)) => Err(handshake(terms.insists.failure(&why))),
    }
}

/// Gives the listening socket, on which nothing is accepted yet, and the address it has got.
pub(super) async fn bind(address: &Address) -> Result<(TcpListener, Address), BindError> {
    let listener = tcp::bind(address).await?;
    let bound = listener.local_addr().map_err(|why| BindError::from_io(address, why))?;
    Ok((listener, Address::tls(bound)))
}

/// A connection whose handshake is complete in the library's eyes.
fn connection(
    stream: TlsStream,
    insists: &Insists,
    local: Address,
    remote: Address,
) -> Result<Connection, HandshakeFailure> {
    let tls = stream.tls();
    let export = || match tls {
        rustls::Connection::Client(end) => end.export_keying_material([0; 32], EXPORTER_LABEL, None).ok(),
        rustls::Connection::Server(end) => end.export_keying_material([0; 32], EXPORTER_LABEL, None).ok(),
    };
    let (proof, binding) = insists.judge(tls.alpn_protocol(), tls.peer_certificates(), export)?;
    let secured = Secured {
        proof,
        cipher: tls.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str()),
        key_exchange: tls.negotiated_key_exchange_group().and_then(|group| group.name().as_str()),
    };
    let mut connection = Connection::new(Box::new(stream), local, remote);
    connection.secured = Some(Arc::new(secured));
    connection.binding = binding;
    Ok(connection)
}
