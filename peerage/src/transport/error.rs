//! Why there is no connection, and why nobody listens.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use peerage_proto::address::{Address, Scheme};
use peerage_proto::id::NodeId;

use super::tls::HandshakeFailure;

/// Why an attempt to connect gave no connection. Nothing was sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DialError {
    /// Nobody listens there.
    #[error("nobody listens at {address}")]
    Refused {
        /// Whom we dialled.
        address: Address,
    },
    /// The socket file of a unix address does not exist.
    #[error("nobody listens at {address}: there is no such file")]
    NotFound {
        /// Whom we dialled.
        address: Address,
    },
    /// The socket file of a unix address is there, its listener is gone.
    #[error("nobody listens at {address} any more: the file was left behind")]
    StaleSocket {
        /// Whom we dialled.
        address: Address,
    },
    /// The file of a unix address is no socket.
    #[error("{address} is no socket but another kind of file")]
    NotASocket {
        /// Whom we dialled.
        address: Address,
    },
    /// The path of a unix address is longer than the system's sockets allow, 107 bytes.
    #[error("the path of {address} is too long: a socket's has at most {PATH_BYTES_MAX} bytes")]
    PathTooLong {
        /// Whom we dialled.
        address: Address,
    },
    /// The host has no address, or the resolver did not answer.
    #[error("{source}")]
    Resolve {
        /// The name.
        host: String,
        /// What the resolver said, with the name.
        source: io::Error,
    },
    /// No answer in time.
    #[error("no connection to {address} within {after:?}")]
    TimedOut {
        /// Whom we dialled.
        address: Address,
        /// How long this attempt was allowed to take.
        after: Duration,
    },
    /// The connection was made and could not be secured.
    #[error("no secure connection to {address}: {why}")]
    Handshake {
        /// Whom we dialled.
        address: Address,
        /// Why.
        why: HandshakeFailure,
    },
    /// Another node than the one expected answers there.
    #[error("another node answers at {address}: expected {expected}, found {found}")]
    IdentityMismatch {
        /// Whom we dialled.
        address: Address,
        /// The id that was asked for.
        expected: NodeId,
        /// The id that the other end proved.
        found: NodeId,
    },
    /// The address names a node, and nothing that was given can tell which node answers.
    #[error(
        "{address} names a node, and which node answers cannot be told: connect with an identity over tls or quic, or \
         leave the id out"
    )]
    IdentityNeeded {
        /// Whom we were to dial.
        address: Address,
    },
    /// TLS was asked for at an address that has none.
    #[error("{address} has no TLS: use tls:// or quic://, or leave the TLS settings out")]
    NotEncrypted {
        /// Whom we were to dial.
        address: Address,
    },
    /// The address holds something that has a meaning for listeners only.
    #[error("cannot connect to {address}: {what} is for listening")]
    ListeningOnly {
        /// Whom we were to dial.
        address: Address,
        /// What it holds.
        what: &'static str,
    },
    /// The system does not let us.
    #[error("not allowed to connect to {address}: {source}")]
    Denied {
        /// Whom we dialled.
        address: Address,
        /// What the system said.
        source: io::Error,
    },
    /// Any other failure, such as an unreachable network.
    #[error("cannot connect to {address}: {source}")]
    Io {
        /// Whom we dialled.
        address: Address,
        /// What the system said.
        source: io::Error,
    },
}

impl DialError {
    /// Whether the same attempt may succeed later, without anybody changing the address or a permission.
    pub fn may_pass(&self) -> bool {
        match self {
            DialError::Refused { .. }
            | DialError::NotFound { .. }
            | DialError::StaleSocket { .. }
            | DialError::Resolve { .. }
            | DialError::TimedOut { .. }
            | DialError::Io { .. } => true,
            DialError::Handshake { why, .. } => why.may_pass(),
            DialError::NotASocket { .. }
            | DialError::PathTooLong { .. }
            | DialError::ListeningOnly { .. }
            | DialError::IdentityMismatch { .. }
            | DialError::IdentityNeeded { .. }
            | DialError::NotEncrypted { .. }
            | DialError::Denied { .. } => false,
        }
    }

    /// The error of securing a connection.
    pub(super) fn from_handshake(address: &Address, why: HandshakeFailure) -> Self {
        let address = address.clone();
        match why {
            HandshakeFailure::IdentityMismatch { expected, found } => {
                DialError::IdentityMismatch { address, expected, found }
            }
            why => DialError::Handshake { address, why },
        }
    }

    /// The error of connecting a socket.
    pub(super) fn from_io(address: &Address, source: io::Error) -> Self {
        let address = address.clone();
        match source.kind() {
            io::ErrorKind::ConnectionRefused => DialError::Refused { address },
            io::ErrorKind::PermissionDenied => DialError::Denied { address, source },
            _ => DialError::Io { address, source },
        }
    }
}

/// Why an address cannot be listened at.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// Somebody else listens there.
    #[error("{}", in_use(address))]
    AddressInUse {
        /// Where we were to listen.
        address: Address,
    },
    /// The system does not let us.
    #[error("not allowed to listen at {address}: {source}")]
    Denied {
        /// Where we were to listen.
        address: Address,
        /// What the system said.
        source: io::Error,
    },
    /// The host is not this machine.
    #[error("cannot listen at {address}: the host is not this machine; use one of its own addresses, or 0.0.0.0")]
    NotLocal {
        /// Where we were to listen.
        address: Address,
    },
    /// The host has no address, or the resolver did not answer.
    #[error("{source}")]
    Resolve {
        /// The name.
        host: String,
        /// What the resolver said, with the name.
        source: io::Error,
    },
    /// The path of a unix address is longer than the system's sockets allow, 107 bytes.
    #[error("the path {} is too long: a socket's has at most {PATH_BYTES_MAX} bytes", path.display())]
    PathTooLong {
        /// The path.
        path: PathBuf,
    },
    /// A file that is no socket lies at the path of a unix address. It is left alone.
    #[error("{} is no socket but another kind of file: remove it, or choose another path", path.display())]
    NotASocket {
        /// The path.
        path: PathBuf,
    },
    /// The directory of the path of a unix address does not exist.
    #[error("the directory of {} does not exist: create it, or choose another path", path.display())]
    NoDirectory {
        /// The path.
        path: PathBuf,
    },
    /// Nothing was given to prove who listens here.
    #[error("{address} needs a certificate or an identity to show: give one with `.tls(…)`")]
    NoCertificate {
        /// Where we were to listen.
        address: Address,
    },
    /// Diallers are to show certificates, and none is trusted.
    #[error("cannot listen at {address}: no trusted certificates are found on this system, give them as PEM")]
    NoRoots {
        /// Where we were to listen.
        address: Address,
    },
    /// TLS was asked for at an address that has none.
    #[error("{address} has no TLS: use tls:// or quic://, or leave the TLS settings out")]
    NotEncrypted {
        /// Where we were to listen.
        address: Address,
    },
    /// Any other failure.
    #[error("cannot listen at {address}: {source}")]
    Io {
        /// Where we were to listen.
        address: Address,
        /// What the system said.
        source: io::Error,
    },
}

impl BindError {
    /// The error of binding a socket or starting to listen with it.
    pub(super) fn from_io(address: &Address, source: io::Error) -> Self {
        let address = address.clone();
        match source.kind() {
            io::ErrorKind::AddrInUse => BindError::AddressInUse { address },
            io::ErrorKind::AddrNotAvailable => BindError::NotLocal { address },
            io::ErrorKind::PermissionDenied => BindError::Denied { address, source },
            _ => BindError::Io { address, source },
        }
    }
}

fn in_use(address: &Address) -> String {
    let place = address.bare();
    match (address.scheme(), address.next()) {
        (Scheme::Unix, _) => {
            format!("{place} is in use: stop its listener, or choose another path")
        }
        (Scheme::Memory, _) => format!("{place} is in use: choose another name"),
        (_, None | Some(0)) => {
            format!("{place} is in use: choose another port, port 0, or ?next=N")
        }
        (_, Some(next)) => {
            format!("{place} and the next {next} ports are in use: choose another port, port 0, or a larger ?next=N")
        }
    }
}

/// Longest path of a unix socket, in bytes: what Linux has room for, less the zero at the end.
pub(super) const PATH_BYTES_MAX: usize = 107;
