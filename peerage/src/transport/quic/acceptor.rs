//! Accepting over QUIC: handshakes as tasks of their own, inside their slots, as over TLS.
//!
//! A UDP packet may claim any source. So when the gate is crowded, newcomers must first show that they get what is sent to
//! them (a *retry*, RFC 9000, §8.1.2), before they cost a slot.

use std::net::SocketAddr;
use std::sync::Arc;

use peerage_proto::address::Address;
use quinn::{Incoming, ServerConfig};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::listening::Shared;
use super::stream::QuicStream;
use super::{canonical, failure};
use crate::transport::gate::{Gate, Slot};
use crate::transport::tls::HandshakeFailure;
use crate::transport::tls::terms::Insists;
use crate::transport::{Connection, Tally};

/// Where secured connections wait to be fetched.
pub(super) type Secured = mpsc::Receiver<Connection>;

/// The end at which secured connections come out. Dropping it makes room for another listener at the address.
pub(in crate::transport) struct Acceptor {
    shared: Arc<Shared>,
    secured: Secured,
}

impl Acceptor {
    pub(super) fn new(shared: Arc<Shared>, secured: Secured) -> Acceptor {
        Acceptor { shared, secured }
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
        self.shared.refuse();
    }
}

/// Who gets the newcomers of an endpoint. Dropping it ends their handshakes.
pub(super) struct Taker {
    terms: Arc<Terms>,
    gate: Gate,
    tally: Tally,
    handshakes: JoinSet<()>,
    sender: mpsc::Sender<Connection>,
}

struct Terms {
    config: Arc<ServerConfig>,
    insists: Insists,
    bound: SocketAddr,
}

impl Taker {
    pub(super) fn new(
        config: Arc<ServerConfig>,
        insists: Insists,
        gate: Gate,
        tally: Tally,
        bound: SocketAddr,
    ) -> (Taker, Secured) {
        let (sender, secured) = mpsc::channel(QUEUE);
        let terms = Arc::new(Terms { config, insists, bound });
        (Taker { terms, gate, tally, handshakes: JoinSet::new(), sender }, secured)
    }

    pub(super) fn take(&mut self, incoming: Incoming) {
        // What became of them they have said themselves.
        while self.handshakes.try_join_next().is_some() {}
        let remote = canonical(incoming.remote_address());
        if self.gate.is_crowded() && incoming.may_retry() && !incoming.remote_address_validated() {
            // It may, as was asked just now.
            let _ = incoming.retry();
            return;
        }
        // While nobody fetches what is secured, newcomers are told to come again.
        let slot = if self.sender.capacity() > 0 { self.gate.enter(Some(remote.ip())) } else { None };
        let Some(slot) = slot else {
            self.tally.turn_away();
            incoming.refuse();
            return;
        };
        let (terms, tally, sender) = (self.terms.clone(), self.tally.clone(), self.sender.clone());
        self.handshakes.spawn(async move {
            match secure_within(incoming, &terms, slot).await {
                // It fails if nobody listens any more.
                Ok(connection) => drop(sender.send(connection).await),
                Err(why) => tally.fail(&Address::quic(remote), why),
            }
        });
    }
}

async fn secure_within(incoming: Incoming, terms: &Terms, slot: Slot) -> Result<Connection, HandshakeFailure> {
    let secured = tokio::select! {
        secured = secure(incoming, terms) => secured,
        () = slot.ended() => Err(HandshakeFailure::TimedOut),
    };
    let mut connection = secured?;
    connection.slot = Some(slot);
    Ok(connection)
}

async fn secure(incoming: Incoming, terms: &Terms) -> Result<Connection, HandshakeFailure> {
    let failed = |why| failure::of_handshake(&terms.insists, &why);
    let connected = incoming.accept_with(terms.config.clone()).map_err(failed)?.await.map_err(failed)?;
    let stream = QuicStream::accept(connected.clone()).await.map_err(|why| HandshakeFailure::of_io(&why))?;
    super::connection(&connected, stream, &terms.insists, terms.bound)
}

/// Secured connections that may wait to be fetched.
const QUEUE: usize = 128;
