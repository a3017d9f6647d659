//! Plain TCP, and the sockets on which TLS is spoken.

use std::io;
use std::net::{IpAddr, SocketAddr};

use peerage_proto::address::Address;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};

use super::{BACKLOG, BindError, Connection, DialError, ports, race};

pub(super) async fn dial(address: &Address) -> Result<Connection, DialError> {
    let stream = connect(address).await?;
    connection(stream).map_err(|why| DialError::from_io(address, why))
}

/// A connected socket that sends small writes at once.
pub(super) async fn connect(address: &Address) -> Result<TcpStream, DialError> {
    race::connect(address, |candidate| {
        let address = address.clone();
        async move { connect_to(candidate).await.map_err(|why| DialError::from_io(&address, why)) }
    })
    .await
}

/// A listening socket at the address; where exactly, it knows itself.
pub(super) async fn bind(address: &Address) -> Result<TcpListener, BindError> {
    ports::bind(address, bind_at).await
}

/// Gives the listener and the address it has got.
pub(super) async fn listen(address: &Address) -> Result<(Acceptor, Address), BindError> {
    let listener = bind(address).await?;
    let bound = listener.local_addr().map_err(|why| BindError::from_io(address, why))?;
    Ok((Acceptor { listener }, Address::tcp(bound)))
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

/// Both ends of a socket, ours first.
pub(super) fn ends(stream: &TcpStream) -> io::Result<[SocketAddr; 2]> {
    // A listener of both families sees IPv4 peers as ::ffff:a.b.c.d.
    Ok([stream.local_addr()?, stream.peer_addr()?].map(|end| SocketAddr::new(end.ip().to_canonical(), end.port())))
}

fn connection(stream: TcpStream) -> io::Result<Connection> {
    // Frames are written in batches already; waiting for more would only add delay.
    stream.set_nodelay(true)?;
    let [local, remote] = ends(&stream)?.map(Address::tcp);
    Ok(Connection::new(Box::new(stream), local, remote))
}

async fn connect_to(candidate: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(candidate).await?;
    // Dialling a free port of this machine may meet itself: the system picks that very port for our end. That looks
    // like a connection, echoes what we send, and keeps the real listener from its port.
    if stream.local_addr()? == stream.peer_addr()? {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    Ok(stream)
}

fn bind_at(at: SocketAddr) -> io::Result<TcpListener> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn small_writes_are_not_held_back() {
        let listener = bind_at("127.0.0.1:0".parse().unwrap()).unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        let raw = socket2::SockRef::from(&accepted).try_clone().unwrap();
        connection(accepted).unwrap();
        assert!(raw.tcp_nodelay().unwrap());
        drop(stream);
    }
}
