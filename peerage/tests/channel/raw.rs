//! A peer that speaks the wire by hand.

use peerage::Address;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use crate::meeting::{Place, step, within_limit};

/// One end of a connection, as bytes.
pub(crate) struct Raw(Box<dyn Stream>);

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A place where channels find a [`Raw`] at the other end.
pub(crate) enum RawListener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Raw {
    pub(crate) async fn connect(address: &Address) -> Raw {
        match address.path() {
            Some(path) => Raw(Box::new(UnixStream::connect(path).await.unwrap())),
            None => Raw(Box::new(tcp(address).await)),
        }
    }

    /// Sends bytes as they are.
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        within_limit(self.0.write_all(bytes.as_ref())).await.unwrap();
    }

    /// Sends a frame with this body.
    pub(crate) async fn say(&mut self, body: impl AsRef<[u8]>) {
        self.send(frame(body)).await;
    }

    /// Closes the direction towards the other end.
    pub(crate) async fn finish(&mut self) {
        self.0.shutdown().await.unwrap();
    }

    /// The body of the next frame as a text; `None` when the connection has ended, in whatever manner.
    pub(crate) async fn hear(&mut self) -> Option<String> {
        let length = within_limit(self.0.read_u32()).await.ok()?;
        let mut body = vec![0; length as usize];
        within_limit(self.0.read_exact(&mut body)).await.ok()?;
        Some(String::from_utf8(body).unwrap())
    }

    /// Whether the connection is alive and nothing has arrived so far.
    pub(crate) async fn hear_nothing(&mut self) -> bool {
        step(&mut Box::pin(self.0.read_u8())).await.is_none()
    }
}

impl RawListener {
    /// Listens and gives the address to dial.
    pub(crate) async fn bind(place: &Place) -> (RawListener, Address) {
        if let Some(path) = place.address().path() {
            return (RawListener::Unix(UnixListener::bind(path).unwrap()), place.address().clone());
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = Address::tcp(listener.local_addr().unwrap());
        (RawListener::Tcp(listener), address)
    }

    pub(crate) async fn accept(&self) -> Raw {
        match self {
            RawListener::Tcp(listener) => Raw(Box::new(listener.accept().await.unwrap().0)),
            RawListener::Unix(listener) => Raw(Box::new(listener.accept().await.unwrap().0)),
        }
    }
}

/// A plain stream to a tcp address.
pub(crate) async fn tcp(address: &Address) -> TcpStream {
    let ip = address.host().and_then(|host| host.ip()).unwrap();
    TcpStream::connect((ip, address.port().unwrap())).await.unwrap()
}

/// Length and body.
pub(crate) fn frame(body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    [&(body.len() as u32).to_be_bytes()[..], body].concat()
}
