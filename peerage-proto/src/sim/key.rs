//! Keys of nodes that exist in tests only.

use std::fmt;

use ed25519_dalek::{Signer as _, SigningKey};

use crate::id::NodeId;
use crate::keys::{SIGNATURE_BYTES, Signer};

/// A key that is known to everybody: the same seed gives the same node.
#[derive(Clone)]
pub struct Key(SigningKey);

impl Key {
    /// The key of the node with this number.
    pub fn of(node: u64) -> Key {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&node.to_be_bytes());
        Key(SigningKey::from_bytes(&seed))
    }
}

impl Signer for Key {
    fn id(&self) -> NodeId {
        NodeId::from_bytes(self.0.verifying_key().to_bytes())
    }

    fn sign(&self, message: &[u8]) -> [u8; SIGNATURE_BYTES] {
        self.0.sign(message).to_bytes()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:?})", self.id())
    }
}
