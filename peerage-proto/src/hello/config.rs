//! What is decided about one end of a handshake before it begins.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use super::terms::{Features, Versions};
use crate::frame::Side;
use crate::id::{Epoch, InvalidName, NodeId, check_name};
use crate::keys::{Ed25519, Signer, Verifier};
use crate::limits::{self, SECRET_BYTES_MAX, SECRET_BYTES_MIN};

/// How one end of a handshake behaves.
#[derive(Clone, Debug)]
pub struct Config {
    /// Which end we are.
    pub side: Side,
    /// Our key. Asked to sign only where the transport proves no ids.
    pub signer: Arc<dyn Signer>,
    /// Judges the peer's signature, where there is one. Default [`Ed25519`].
    pub verifier: Arc<dyn Verifier>,
    /// The network that both ends must belong to.
    pub network: NetworkKey,
    /// Our run.
    pub epoch: Epoch,
    /// The number of this dial, never used again in this epoch. An acceptor's is not looked at. Default 0.
    pub dial_seq: u64,
    /// 32 random bytes for this handshake alone.
    pub nonce: [u8; 32],
    /// What ties the proofs to this connection.
    pub binding: Binding,
    /// The node that must be at the other end. Default: any.
    pub expected: Option<NodeId>,
    /// Versions that we speak. Default [`Versions::SPOKEN`].
    pub versions: Versions,
    /// What we offer beyond that. Default nothing.
    pub features: Features,
    /// Time until admission, counted from [`Handshake::new`](super::Handshake::new). Default
    /// [`limits::HANDSHAKE_TIME_DEFAULT`], at most [`limits::HANDSHAKE_TIME_MAX`]. Give what is left if a part of it went into
    /// TLS.
    pub time: Duration,
}

impl Config {
    /// One end with what it cannot do without, and defaults for the rest.
    pub fn new(
        side: Side,
        signer: Arc<dyn Signer>,
        network: NetworkKey,
        epoch: Epoch,
        nonce: [u8; 32],
        binding: Binding,
    ) -> Config {
        Config {
            side,
            signer,
            verifier: Arc::new(Ed25519),
            network,
            epoch,
            dial_seq: 0,
            nonce,
            binding,
            expected: None,
            versions: Versions::SPOKEN,
            features: Features::none(),
            time: limits::HANDSHAKE_TIME_DEFAULT,
        }
    }
}

/// What ties the proofs to one connection, so that a proof heard on one is worth nothing on another.
#[derive(Clone, Copy, Eq, PartialEq)]
pub enum Binding {
    /// TLS or QUIC: both ends have proved their keys, and only they know the exporter.
    Exporter {
        /// 32 bytes of the TLS exporter under [`EXPORTER_LABEL`](super::EXPORTER_LABEL), without a context.
        value: [u8; 32],
        /// The node whose key the transport has verified.
        peer: NodeId,
    },
    /// A transport inside this host that only this user can reach (`unix://`, `memory://`): both ends sign, nobody can
    /// come between them.
    Local,
    /// A transport that anybody on the way can read and write. The same exchange as [`Local`](Binding::Local), but the
    /// peer's id is only claimed.
    Plaintext,
}

/// The exporter is left out: who knows it can guess at short secrets.
impl fmt::Debug for Binding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Binding::Exporter { peer, .. } => write!(f, "Exporter({peer:?})"),
            Binding::Local => f.write_str("Local"),
            Binding::Plaintext => f.write_str("Plaintext"),
        }
    }
}

/// The name and the secret of a network. Cheap to clone; the secret is wiped when the last clone goes.
#[derive(Clone)]
pub struct NetworkKey(Arc<Inner>);

struct Inner {
    name: String,
    secret: Zeroizing<Vec<u8>>,
}

impl NetworkKey {
    /// The network of this name with this secret.
    ///
    /// # Errors
    /// [`InvalidNetworkKey`] if the name is none, or the secret is shorter than [`SECRET_BYTES_MIN`] or longer than
    /// [`SECRET_BYTES_MAX`] bytes.
    pub fn new(name: &str, secret: &[u8]) -> Result<NetworkKey, InvalidNetworkKey> {
        check_name(name).map_err(InvalidNetworkKey::Name)?;
        if !(SECRET_BYTES_MIN..=SECRET_BYTES_MAX).contains(&secret.len()) {
            return Err(InvalidNetworkKey::SecretLength { bytes: secret.len() });
        }
        Ok(NetworkKey(Arc::new(Inner { name: name.to_owned(), secret: Zeroizing::new(secret.to_vec()) })))
    }

    /// The name. Proved, never sent.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    pub(crate) fn secret(&self) -> &[u8] {
        &self.0.secret
    }
}

impl fmt::Debug for NetworkKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NetworkKey({:?}, secret hidden)", self.0.name)
    }
}

/// Why a name and a secret are no network.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidNetworkKey {
    /// The name is none.
    #[error("the network's name: {0}")]
    Name(InvalidName),
    /// The secret is too short to be safe, or too long.
    #[error(
        "a network's secret has {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX} random bytes, not {bytes}: \
         let the tool make one"
    )]
    SecretLength {
        /// Its length in bytes.
        bytes: usize,
    },
}
