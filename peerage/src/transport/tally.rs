//! What happened at a listener: counted for its owner, logged for the operator.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use peerage_proto::address::Address;

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
}

impl Tally {
    pub(super) fn new(local: Address) -> Tally {
        Tally { local, counts: Arc::default() }
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
        self.counts.last_failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
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
            tracing::warn!(local = %self.local, %why, "cannot accept, trying again in 50 ms");
            Some(ACCEPT_PAUSE)
        }
    }

    /// Notes a connection that could not be secured. Anybody can cause that, so it is no warning.
    pub(super) fn fail(&self, remote: &Address, why: HandshakeFailure) {
        self.counts.failed_handshakes.fetch_add(1, Ordering::Relaxed);
        tracing::debug!(local = %self.local, %remote, %why, "a connection could not be secured");
        *self.counts.last_failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
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

/// How long accepting rests after an error that is not of one connection: long enough to be no load, short enough
/// that nobody notices.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
