//! What happened at a listener: counted for its owner, logged for the operator.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use peerage_proto::address::Address;
use tokio::time::Instant;

use super::HandshakeFailure;

/// Counters of one listener. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Tally {
    local: Address,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    errors: AtomicU64,
    failed_handshakes: AtomicU64,
    turned_away: AtomicU64,
    last_failure: Mutex<Option<HandshakeFailure>>,
    /// Why accepting failed as a whole, and when it last did.
    cannot_accept: Mutex<Option<(String, Instant)>>,
    /// Why nobody can find the listener any more.
    cannot_listen: Mutex<Option<String>>,
}

impl Tally {
    pub(super) fn new(local: Address) -> Tally {
        Tally { local, counts: Arc::default() }
    }

    /// The listener's address.
    pub(crate) fn local(&self) -> &Address {
        &self.local
    }

    /// Why no connection can be accepted at present: the last attempt failed, a moment ago.
    pub(crate) fn cannot_accept(&self) -> Option<String> {
        let last = lock(&self.counts.cannot_accept);
        last.as_ref().filter(|(_, at)| at.elapsed() < TROUBLE_LASTS).map(|(why, _)| why.clone())
    }

    /// Why nobody can find the listener at present.
    pub(crate) fn cannot_listen(&self) -> Option<String> {
        lock(&self.counts.cannot_listen).clone()
    }

    /// Errors survived while accepting.
    pub(crate) fn errors(&self) -> u64 {
        self.counts.errors.load(Ordering::Relaxed)
    }

    /// Connections that were accepted and could not be secured.
    pub(crate) fn failed_handshakes(&self) -> u64 {
        self.counts.failed_handshakes.load(Ordering::Relaxed)
    }

    /// Why the last of these could not be secured.
    #[allow(dead_code, reason = "for nodes, which come next")]
    pub(crate) fn last_failure(&self) -> Option<HandshakeFailure> {
        lock(&self.counts.last_failure).clone()
    }

    /// Connections that were closed at once because too many came from their source, or came at all.
    #[allow(dead_code, reason = "for nodes, which come next")]
    pub(crate) fn turned_away(&self) -> u64 {
        self.counts.turned_away.load(Ordering::Relaxed)
    }

    /// Notes an error of accepting. Gives the time to rest, if it is not one of a single connection.
    pub(super) fn survive(&self, why: &io::Error) -> Option<Duration> {
        self.counts.errors.fetch_add(1, Ordering::Relaxed);
        if concerns_one_connection(why) {
            tracing::debug!(local = %self.local, %why, "a connection failed before it was accepted");
            None
        } else {
            if self.cannot_accept().is_none() {
                tracing::warn!(local = %self.local, %why, "cannot accept, trying again every 50 ms");
            }
            *lock(&self.counts.cannot_accept) = Some((why.to_string(), Instant::now()));
            Some(ACCEPT_PAUSE)
        }
    }

    /// Notes a connection that could not be secured. Anybody can cause that, so it is no warning.
    pub(super) fn fail(&self, remote: &Address, why: HandshakeFailure) {
        self.counts.failed_handshakes.fetch_add(1, Ordering::Relaxed);
        tracing::debug!(local = %self.local, %remote, %why, "a connection could not be secured");
        *lock(&self.counts.last_failure) = Some(why);
    }

    /// Notes that nobody finds the listener any more, or that it has been opened anew.
    pub(super) fn listens(&self, outcome: Result<(), String>) {
        let before = std::mem::replace(&mut *lock(&self.counts.cannot_listen), outcome.clone().err());
        match (before, outcome) {
            (_, Ok(())) => tracing::warn!(local = %self.local, "the socket file was gone: listening at a new one"),
            (None, Err(why)) => tracing::warn!(local = %self.local, %why, "the socket file is gone, nobody finds it"),
            (Some(_), Err(_)) => {}
        }
    }

    /// Notes a connection that was closed as soon as it was accepted.
    pub(super) fn turn_away(&self) {
        self.counts.turned_away.fetch_add(1, Ordering::Relaxed);
        tracing::debug!(local = %self.local, "too many connections at once, one turned away");
    }
}

/// Whether an error of `accept` belongs to the connection that was about to be accepted, not to the listener.
pub(super) fn concerns_one_connection(why: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        why.kind(),
        Kind::ConnectionAborted
            | Kind::ConnectionReset
            | Kind::HostUnreachable
            | Kind::Interrupted
            | Kind::NetworkDown
            | Kind::NetworkUnreachable
    )
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How long after the last error accepting counts as troubled. Several attempts fall into it, if anybody waits at all.
const TROUBLE_LASTS: Duration = Duration::from_secs(3);

/// How long accepting rests after an error that is not of one connection: long enough to be no load, short enough
/// that nobody notices.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
