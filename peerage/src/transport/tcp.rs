//! Plain TCP.
//!
//! A name may stand for several machines or for both families of addresses, of which some do not answer. They are
//! raced gently (in the manner of RFC 8305): the next attempt starts when one has failed or 250 ms have passed, the
//! first one through wins, families take turns.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use peerage_proto::address::{Address, Host};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::{BACKLOG, BindError, Connection, DialError};
use crate::address::look_up;

pub(super) async fn dial(address: &Address) -> Result<Connection, DialError> {
    let resolved = look_up(address).await;
    let candidates = resolved.map_err(|source| DialError::Resolve { host: host(address), source })?;
    let connected = match race(families_in_turn(candidates)).await {
        Ok(stream) => connection(stream),
        Err(why) => Err(why),
    };
    connected.map_err(|why| DialError::from_io(address, why))
}

/// Gives the listener and the address it has got.
pub(super) async fn listen(address: &Address) -> Result<(Acceptor, Address), BindError> {
    let resolved = look_up(address).await;
    let mut candidates = resolved.map_err(|source| BindError::Resolve { host: host(address), source })?;
    // A name like localhost stands for both families, and IPv4 is what most others dial.
    candidates.sort_by_key(|candidate| candidate.is_ipv6());
    let first = address.port().unwrap_or_default();
    // Port 0 is never taken, so nothing comes next to it.
    let more = if first == 0 { 0 } else { address.next().unwrap_or(0) };
    for port in first..=first.saturating_add(more) {
        match bind_one(&candidates, port) {
            Ok(listener) => {
                let bound = listener.local_addr().map_err(|why| BindError::from_io(address, why))?;
                return Ok((Acceptor { listener }, Address::tcp(bound)));
            }
            Err(why) if why.kind() == io::ErrorKind::AddrInUse => {}
            Err(why) => return Err(BindError::from_io(address, why)),
        }
    }
    Err(BindError::AddressInUse { address: address.clone() })
}

pub(super) struct Acceptor {
    listener: TcpListener,
}

impl Acceptor {
    pub(super) async fn accept(&mut self) -> io::Result<Connection> {
        // Nothing is awaited after `accept`: a cancelled wait loses no connection.
        let (stream, _) = self.listener.accept().await?;
        connection(stream)
    }
}

fn connection(stream: TcpStream) -> io::Result<Connection> {
    // Frames are written in batches already; waiting for more would only add delay.
    stream.set_nodelay(true)?;
    let [local, remote] = [stream.local_addr()?, stream.peer_addr()?].map(|end| {
        // A listener of both families sees IPv4 peers as ::ffff:a.b.c.d.
        Address::tcp(SocketAddr::new(end.ip().to_canonical(), end.port()))
    });
    Ok(Connection { stream: Box::new(stream), local, remote, credentials: None })
}

async fn race(candidates: Vec<SocketAddr>) -> io::Result<TcpStream> {
    let mut waiting = candidates.into_iter();
    let mut attempts = JoinSet::new(); // dropped with us, which ends the attempts that are still under way
    let mut last_failure = io::Error::new(io::ErrorKind::NotFound, "no address to try");
    loop {
        if let Some(candidate) = waiting.next() {
            attempts.spawn(connect(candidate));
        }
        tokio::select! {
            done = attempts.join_next() => match done {
                Some(Ok(Ok(stream))) => return Ok(stream),
                Some(Ok(Err(why))) => last_failure = why,
                Some(Err(why)) => last_failure = why.into(),
                None => return Err(last_failure),
            },
            () = sleep(NEXT_CANDIDATE_AFTER), if waiting.len() > 0 => {}
        }
    }
}

async fn connect(candidate: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(candidate).await?;
    // Dialling a free port of this machine may meet itself: the system picks that very port for our end. That looks
    // like a connection, echoes what we send, and keeps the real listener from its port.
    if stream.local_addr()? == stream.peer_addr()? {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    Ok(stream)
}

/// The resolver's order within each family, the families in turn, beginning with that of the first address.
fn families_in_turn(candidates: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_ipv6 = candidates.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) =
        candidates.into_iter().partition(|candidate| candidate.is_ipv6() == first_is_ipv6);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut ordered = Vec::new();
    while first.len() + second.len() > 0 {
        ordered.extend(first.next());
        ordered.extend(second.next());
    }
    ordered
}

/// Binds to the first address that exists here. A taken port at that address is the answer: moving on to the next one
/// would listen where nobody expects it.
fn bind_one(candidates: &[SocketAddr], port: u16) -> io::Result<TcpListener> {
    let mut last_failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for candidate in candidates {
        match bind(SocketAddr::new(candidate.ip(), port)) {
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

fn bind(at: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(at), Type::STREAM, Some(Protocol::TCP))?;
    // Connections of the process before us that linger do not keep us from its port; a living listener does.
    socket.set_reuse_address(true)?;
    if at.ip() == IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED) {
        socket.set_only_v6(false)?; // [::] means everywhere, whatever the system's default
    }
    socket.set_nonblocking(true)?;
    socket.bind(&at.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

fn host(address: &Address) -> String {
    address.host().map(Host::to_string).unwrap_or_default()
}

/// How long an attempt may go on before the next address is tried as well (RFC 8305 recommends 250 ms).
const NEXT_CANDIDATE_AFTER: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use super::*;

    fn sockets(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn families_take_turns_in_the_resolvers_order() {
        let given = sockets(&["[::1]:1", "[::2]:1", "[::3]:1", "10.0.0.1:1", "10.0.0.2:1"]);
        let expected = sockets(&["[::1]:1", "10.0.0.1:1", "[::2]:1", "10.0.0.2:1", "[::3]:1"]);
        assert_eq!(families_in_turn(given), expected);
        assert_eq!(families_in_turn(Vec::new()), []);
    }

    #[tokio::test]
    async fn a_candidate_that_fails_makes_room_for_the_next() {
        let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let open = listener.local_addr().unwrap();
        let closed = "127.9.9.9:1".parse().unwrap();
        let stream = race(vec![closed, closed, open, closed]).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), open);
    }

    #[tokio::test]
    async fn when_every_candidate_fails_the_last_failure_is_told() {
        let closed = "127.9.9.9:1".parse().unwrap();
        assert_eq!(race(vec![closed; 3]).await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(race(Vec::new()).await.unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[tokio::test]
    async fn an_address_that_does_not_exist_here_is_passed_over_when_listening() {
        let candidates = sockets(&["192.0.2.1:0", "127.0.0.1:0"]);
        assert!(bind_one(&candidates, 0).unwrap().local_addr().unwrap().ip().is_loopback());
        assert_eq!(bind_one(&candidates[..1], 0).unwrap_err().kind(), io::ErrorKind::AddrNotAvailable);
    }

    #[tokio::test]
    async fn small_writes_are_not_held_back() {
        let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        let raw = socket2::SockRef::from(&accepted).try_clone().unwrap();
        connection(accepted).unwrap();
        assert!(raw.tcp_nodelay().unwrap());
        drop(stream);
    }
}
