//! Where two ends meet, and how long a test waits for anything.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Poll;
use std::time::Duration;

use peerage::address::Scheme;
use peerage::channel::{Bind, Connect, Handler};
use peerage::{Address, Channel, Encoding, Identity, Listener, Payload, Server};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

/// Makes a test of each function for each transport; each runs on both kinds of runtime.
macro_rules! over_every_transport {
    ($($transport:ident),+; $tests:tt) => {
        $( mod $transport { over_every_transport!(@of $transport $tests); } )+
    };
    (@of $transport:ident [$($test:ident),+ $(,)?]) => { $(
        #[test]
        fn $test() {
            crate::meeting::on_each_runtime(crate::meeting::$transport, super::$test);
        }
    )+ };
}

/// A free address to listen at.
pub(crate) struct Place {
    address: Address,
    /// Where the socket file goes; removed when dropped.
    _directory: Option<TempDir>,
}

pub(crate) fn tcp() -> Place {
    Place { address: "tcp://127.0.0.1:0".parse().unwrap(), _directory: None }
}

pub(crate) fn unix() -> Place {
    let directory = TempDir::new().unwrap();
    Place { address: Address::unix(directory.path().join("a.sock")).unwrap(), _directory: Some(directory) }
}

pub(crate) fn memory() -> Place {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("channel-{}", NEXT.fetch_add(1, Ordering::Relaxed));
    Place { address: Address::memory(&name).unwrap(), _directory: None }
}

pub(crate) fn tls() -> Place {
    Place { address: "tls://127.0.0.1:0".parse().unwrap(), _directory: None }
}

pub(crate) fn quic() -> Place {
    Place { address: "quic://127.0.0.1:0".parse().unwrap(), _directory: None }
}

/// Connects, with a key to show where that is asked for.
pub(crate) fn connect(address: &Address) -> Connect {
    static DIALLER: LazyLock<Identity> = LazyLock::new(Identity::generate);
    match address.scheme() {
        Scheme::Tls | Scheme::Quic => Channel::connect(address).tls(DIALLER.clone()),
        _ => Channel::connect(address),
    }
}

/// Listens, with a key to show where that is asked for.
pub(crate) fn bind(address: &Address) -> Bind {
    static LISTENER: LazyLock<Identity> = LazyLock::new(Identity::generate);
    match address.scheme() {
        Scheme::Tls | Scheme::Quic => Listener::bind(address).tls(LISTENER.clone()),
        _ => Listener::bind(address),
    }
}

impl Place {
    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    pub(crate) async fn listen(&self) -> Listener {
        bind(&self.address).await.unwrap()
    }

    /// A second listener of the same transport.
    pub(crate) async fn listen_beside(&self) -> Listener {
        let beside = match (self.address.path(), self.address.name()) {
            (Some(path), _) => Address::unix(path.with_extension("beside")).unwrap(),
            (_, Some(name)) => Address::memory(&format!("{name}-beside")).unwrap(),
            (None, None) => self.address.clone(),
        };
        bind(&beside).await.unwrap()
    }

    /// Two ends of one connection that both speak JSON.
    pub(crate) async fn meet(&self) -> (Channel, Channel) {
        let mut listener = self.listen().await.encoding(Encoding::Json);
        let dialled = connect(listener.local_address()).await.unwrap();
        (dialled, within_limit(listener.accept()).await)
    }

    /// A server at work with this handler, and a connection to it.
    pub(crate) async fn serve<Form: 'static>(&self, handler: impl Handler<Form>) -> (Server, Channel) {
        connected(self.listen().await.serve(handler)).await
    }

    /// As [`serve`](Self::serve), beside another server.
    pub(crate) async fn serve_beside<Form: 'static>(&self, handler: impl Handler<Form>) -> (Server, Channel) {
        connected(self.listen_beside().await.serve(handler)).await
    }
}

async fn connected(server: Server) -> (Server, Channel) {
    let channel = connect(server.local_address()).await.unwrap();
    (server, channel)
}

/// Runs a test at a place of its own on a runtime with one thread, and again on one with two.
pub(crate) fn on_each_runtime<Work: Future<Output = ()>>(place: fn() -> Place, test: impl Fn(Place) -> Work) {
    for runtime in [one_thread(), two_threads()] {
        runtime.block_on(within_limit(test(place())));
    }
}

pub(crate) fn one_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

pub(crate) fn two_threads() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// Fails instead of waiting for ever. A limit is no measurement: what must be quick is measured by the test itself.
pub(crate) async fn within_limit<W: IntoFuture>(work: W) -> W::Output {
    tokio::time::timeout(LIMIT, work).await.expect("this takes far too long")
}

/// Lets a future take one step, which sends a call, and tells whether it is done.
pub(crate) async fn step<W: Future + Unpin>(work: &mut W) -> Option<W::Output> {
    poll_fn(|cx| {
        Poll::Ready(match Pin::new(&mut *work).poll(cx) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        })
    })
    .await
}

/// An encoded text of this many bytes, quotes included. Encoding it the usual way would take most of the time of a test.
pub(crate) fn large(bytes: usize) -> Payload {
    let text = format!("\"{}\"", "x".repeat(bytes - 2));
    Payload::from_parts(Encoding::Json, text.into())
}

/// Answers every request with what `answer` makes of it, until the connection ends. Gives the connection back.
pub(crate) async fn answer_all(mut channel: Channel, answer: impl Fn(u64) -> u64) -> Channel {
    while let Some(request) = channel.next_request().await {
        let number = request.content().unwrap();
        request.reply(&answer(number));
    }
    channel
}

/// Rings when it is dropped.
pub(crate) struct Bell(Option<oneshot::Sender<()>>);

pub(crate) fn bell() -> (Bell, oneshot::Receiver<()>) {
    let (ring, heard) = oneshot::channel();
    (Bell(Some(ring)), heard)
}

impl Drop for Bell {
    fn drop(&mut self) {
        if let Some(ring) = self.0.take() {
            // The test may have heard enough.
            let _ = ring.send(());
        }
    }
}

/// Longer than anything here takes on a busy machine, shorter than anybody's patience and than the default deadline, so
/// that a call that ends by its deadline where it should not is seen.
const LIMIT: Duration = Duration::from_secs(20);
