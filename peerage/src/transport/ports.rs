//! From the address of a listener to a bound socket: which of the host's addresses, and which port.

use std::io;
use std::net::SocketAddr;

use peerage_proto::address::{Address, Host};

use super::BindError;
use crate::address::look_up;

/// Binds with `bind_at` to the address, moving on as far as `?next=` allows while ports are taken.
pub(super) async fn bind<S>(address: &Address, bind_at: impl Fn(SocketAddr) -> io::Result<S>) -> Result<S, BindError> {
    let host = || address.host().map(Host::to_string).unwrap_or_default();
    let resolved = look_up(address).await;
    let mut candidates = resolved.map_err(|source| BindError::Resolve { host: host(), source })?;
    // A name like localhost stands for both families, and IPv4 is what most others dial.
    candidates.sort_by_key(|candidate| candidate.is_ipv6());
    let first = address.port().unwrap_or_default();
    // Port 0 is never taken, so nothing comes next to it.
    let more = if first == 0 { 0 } else { address.next().unwrap_or(0) };
    for port in first..=first.saturating_add(more) {
        match bind_one(&candidates, port, &bind_at) {
            Ok(socket) => return Ok(socket),
            Err(why) if why.kind() == io::ErrorKind::AddrInUse => {}
            Err(why) => return Err(BindError::from_io(address, why)),
        }
    }
    Err(BindError::AddressInUse { address: address.clone() })
}

/// Binds to the first address that exists here. A taken port at that address is the answer: moving on to the next one
/// would listen where nobody expects it.
fn bind_one<S>(candidates: &[SocketAddr], port: u16, bind_at: impl Fn(SocketAddr) -> io::Result<S>) -> io::Result<S> {
    let mut last_failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for candidate in candidates {
        match bind_at(SocketAddr::new(candidate.ip(), port)) {
            Err(why) if is_absent_here(&why) => last_failure = why,
            done => return done,
        }
    }
    Err(last_failure)
}

/// Whether this machine lacks the address or, where IPv6 is off, its family.
fn is_absent_here(why: &io::Error) -> bool {
    why.kind() == io::ErrorKind::AddrNotAvailable
        || rustix::io::Errno::from_io_error(why) == Some(rustix::io::Errno::AFNOSUPPORT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_does_not_exist_here_is_passed_over_when_listening() {
        let candidates: Vec<SocketAddr> = vec!["192.0.2.1:0".parse().unwrap(), "127.0.0.1:0".parse().unwrap()];
        let bind_at = |at: SocketAddr| std::net::TcpListener::bind(at);
        assert!(bind_one(&candidates, 0, bind_at).unwrap().local_addr().unwrap().ip().is_loopback());
        assert_eq!(bind_one(&candidates[..1], 0, bind_at).unwrap_err().kind(), io::ErrorKind::AddrNotAvailable);
    }
}
