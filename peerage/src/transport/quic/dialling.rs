//! The endpoints from which we dial, and finding out early that nobody listens.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use quinn::{Endpoint, EndpointConfig, TokioRuntime};
use tokio::net::UdpSocket;
use tokio::runtime::{Handle, Id};
use tokio::time::timeout;

/// The endpoint of this runtime from which to reach `remote`. It lives as long as somebody holds it.
pub(super) fn endpoint(remote: SocketAddr) -> io::Result<Arc<Endpoint>> {
    static KNOWN: Mutex<Vec<Known>> = Mutex::new(Vec::new());
    let (runtime, ipv6) = (Handle::current().id(), remote.is_ipv6());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    known.retain(|known| known.endpoint.strong_count() > 0);
    let ours = known.iter().find(|known| known.runtime == runtime && known.ipv6 == ipv6);
    if let Some(endpoint) = ours.and_then(|known| known.endpoint.upgrade()) {
        return Ok(endpoint);
    }
    let socket = std::net::UdpSocket::bind(any_port(remote))?;
    let endpoint = Arc::new(Endpoint::new(EndpointConfig::default(), None, socket, Arc::new(TokioRuntime))?);
    known.push(Known { runtime, ipv6, endpoint: Arc::downgrade(&endpoint) });
    Ok(endpoint)
}

struct Known {
    runtime: Id,
    ipv6: bool,
    endpoint: Weak<Endpoint>,
}

/// Returns once the system of the other end has said that nobody listens there; otherwise never.
///
/// A shared socket is not told: the answer to a packet that reached a closed port comes back to a socket that is connected
/// to it. So one of its own sends a packet without a single byte, and listens for that answer only.
pub(super) async fn unreachable(remote: SocketAddr) {
    if let Err(why) = knock(remote).await
        && why.kind() == io::ErrorKind::ConnectionRefused
    {
        return;
    }
    std::future::pending().await
}

async fn knock(remote: SocketAddr) -> io::Result<()> {
    let socket = UdpSocket::bind(any_port(remote)).await?;
    socket.connect(remote).await?;
    loop {
        socket.send(&[]).await?;
        if let Ok(answer) = timeout(KNOCK_AGAIN, socket.recv(&mut [0])).await {
            answer?;
        }
    }
}

/// Our end of a connection to `remote`: the endpoint's port, at the address from which the system sends there.
pub(super) fn local_end(endpoint: &Endpoint, remote: SocketAddr) -> io::Result<SocketAddr> {
    let socket = std::net::UdpSocket::bind(any_port(remote))?;
    socket.connect(remote)?; // sends nothing
    Ok(SocketAddr::new(socket.local_addr()?.ip(), endpoint.local_addr()?.port()))
}

fn any_port(remote: SocketAddr) -> SocketAddr {
    match remote {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    }
}

/// How long the answer may take before the question is repeated: it, or the question, may be lost.
const KNOCK_AGAIN: Duration = Duration::from_millis(500);
