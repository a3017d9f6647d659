//! Accepting over TLS: sockets come in here, secured connections go out.
//!
//! A handshake takes as long as the other end likes, so none may hold up another, nor the loop that accepts. Each runs as
//! a task of its own, inside its [`Slot`]; who says nothing, or something else than TLS, is
//! gone after 5 s or when room is needed, and has cost one descriptor.
//!
//! ```text
//!   socket ──accept──▶ gate ──▶ handshake ─┐
//!                           ──▶ handshake ─┼─▶ queue of 128 ──▶ Acceptor::accept
//!                           ──▶ handshake ─┘     full: newcomers wait in the system's queue
//! ```
//!
//! This goes on in the background, as it does in the system for plain sockets: a dialler gets through although nobody has
//! asked for its connection yet.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use peerage_proto::address::Address;
use rustls::ServerConnection;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::sleep;

use super::failure::HandshakeFailure;
use super::stream::{HandshakeError, TlsStream};
use super::terms::ServerTerms;
use crate::transport::gate::{Gate, Slot};
use crate::transport::{Connection, Tally, tcp};

/// The end at which secured connections come out. Dropping it frees the address at once.
pub(in crate::transport) struct Acceptor {
    socket: Arc<Mutex<Option<TcpListener>>>,
    secured: mpsc::Receiver<Connection>,
    task: AbortHandle,
}

impl Acceptor {
    pub(in crate::transport) fn start(listener: TcpListener, terms: ServerTerms, gate: Gate, tally: Tally) -> Acceptor {
        let socket = Arc::new(Mutex::new(Some(listener)));
        let (sender, secured) = mpsc::channel(QUEUE);
        let accepting = Accepting { socket: socket.clone(), terms: Arc::new(terms), gate, tally, sender };
        Acceptor { socket, secured, task: tokio::spawn(accepting.run()).abort_handle() }
    }

    /// The next connection that is secured. Cancelling the wait loses none.
    pub(in crate::transport) async fn accept(&mut self) -> Connection {
        match self.secured.recv().await {
            Some(connection) => connection,
            // The runtime that did the work has ended, and nothing will come any more.
            None => std::future::pending().await,
        }
    }
}

impl Drop for Acceptor {
    fn drop(&mut self) {
        // Ending the task takes its time; the socket goes now.
        lock(&self.socket).take();
        self.task.abort();
    }
}

struct Accepting {
    socket: Arc<Mutex<Option<TcpListener>>>,
    terms: Arc<ServerTerms>,
    gate: Gate,
    tally: Tally,
    sender: mpsc::Sender<Connection>,
}

impl Accepting {
    async fn run(self) {
        // Dropped with this task, which ends the handshakes under way.
        let mut handshakes = JoinSet::new();
        // While nobody fetches what is secured, newcomers wait in the system's queue. Nothing is left if nobody ever will.
        while self.sender.reserve().await.is_ok() {
            // What became of them they have said themselves.
            while handshakes.try_join_next().is_some() {}
            match self.next().await {
                Some(Ok(socket)) => self.begin(socket, &mut handshakes),
                Some(Err(why)) => {
                    if let Some(pause) = self.tally.survive(&why) {
                        sleep(pause).await;
                    }
                }
                None => return,
            }
        }
    }

    /// The next socket; `None` when the acceptor has been dropped.
    async fn next(&self) -> Option<io::Result<TcpStream>> {
        std::future::poll_fn(|cx| match lock(&self.socket).as_ref() {
            Some(listener) => listener.poll_accept(cx).map(|accepted| Some(accepted.map(|(socket, _)| socket))),
            None => std::task::Poll::Ready(None),
        })
        .await
    }

    fn begin(&self, socket: TcpStream, handshakes: &mut JoinSet<()>) {
        let Ok(ends) = tcp::ends(&socket) else {
            return; // gone already
        };
        let Some(slot) = self.gate.enter(Some(ends[1].ip())) else {
            self.tally.turn_away();
            reset(socket);
            return;
        };
        let (terms, tally, sender) = (self.terms.clone(), self.tally.clone(), self.sender.clone());
        handshakes.spawn(async move {
            match secure_within(socket, &terms, slot).await {
                // It fails if nobody listens any more.
                Ok(connection) => drop(sender.send(connection).await),
                Err(why) => tally.fail(&Address::tls(ends[1]), why),
            }
        });
    }
}

async fn secure_within(socket: TcpStream, terms: &ServerTerms, slot: Slot) -> Result<Connection, HandshakeFailure> {
    let secured = tokio::select! {
        secured = secure(socket, terms) => secured,
        () = slot.ended() => Err(HandshakeFailure::TimedOut),
    };
    let mut connection = secured?;
    connection.slot = Some(slot);
    Ok(connection)
}

/// The handshake at the accepting end.
pub(super) async fn secure(socket: TcpStream, terms: &ServerTerms) -> Result<Connection, HandshakeFailure> {
    let other = |why: io::Error| HandshakeFailure::of_io(&why);
    socket.set_nodelay(true).map_err(other)?;
    let [local, remote] = tcp::ends(&socket).map_err(other)?.map(Address::tls);
    let tls = ServerConnection::new(terms.config.clone()).map_err(|why| terms.insists.failure(&why))?;
    let mut stream = TlsStream::new(socket, tls.into());
    match stream.handshake().await {
        Ok(()) => super::connection(stream, &terms.insists, local, remote),
        Err(HandshakeError::Io(why)) => Err(other(why)),
        Err(HandshakeError::Tls(why)) => Err(terms.insists.failure(&why)),
    }
}

/// Closes with a reset, which leaves nothing behind here.
fn reset(socket: TcpStream) {
    let _ = socket2::SockRef::from(&socket).set_linger(Some(Duration::ZERO));
}

fn lock(socket: &Mutex<Option<TcpListener>>) -> MutexGuard<'_, Option<TcpListener>> {
    socket.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Secured connections that may wait to be fetched.
const QUEUE: usize = 128;
