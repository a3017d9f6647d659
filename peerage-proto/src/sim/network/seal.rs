//! Signatures without the arithmetic: a keyed hash that fails in the same ways.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::id::NodeId;
use crate::keys::{SIGNATURE_BYTES, Signer, Verifier};

/// The key of a node, and the judge of everybody's.
///
/// Inside the simulation nobody but the holder asks for a signature, so it may follow from the id.
#[derive(Clone, Copy)]
pub(crate) struct Seal {
    id: NodeId,
    is_false: bool,
}

impl Seal {
    pub(crate) fn of(id: NodeId) -> Seal {
        Seal { id, is_false: false }
    }

    /// What somebody has who would like to be this node, and has not its key.
    pub(crate) fn forged(self) -> Seal {
        Seal { is_false: true, ..self }
    }
}

impl Signer for Seal {
    fn id(&self) -> NodeId {
        self.id
    }

    fn sign(&self, message: &[u8]) -> [u8; SIGNATURE_BYTES] {
        let mut signature = seal(&self.id, message);
        signature[0] ^= u8::from(self.is_false);
        signature
    }
}

/// Judges such signatures.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Judge;

impl Verifier for Judge {
    fn verify(&self, signer: &NodeId, message: &[u8], signature: &[u8; SIGNATURE_BYTES]) -> bool {
        seal(signer, message) == *signature
    }
}

fn seal(id: &NodeId, message: &[u8]) -> [u8; SIGNATURE_BYTES] {
    let half =
        |which: u8| Sha256::new().chain_update([which]).chain_update(id.as_bytes()).chain_update(message).finalize();
    let mut signature = [0; SIGNATURE_BYTES];
    signature[..32].copy_from_slice(&half(0));
    signature[32..].copy_from_slice(&half(1));
    signature
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Seal({:?})", self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_signature_of_this_node_over_this_message_is_good() {
        let [a, b] = [1, 2].map(|byte| NodeId::from_bytes([byte; 32]));
        let signature = Seal::of(a).sign(b"hello");
        assert!(Judge.verify(&a, b"hello", &signature));
        assert!(!Judge.verify(&a, b"hello", &Seal::of(a).forged().sign(b"hello")));
        assert!(!Judge.verify(&b, b"hello", &signature) && !Judge.verify(&a, b"hallo", &signature));
    }
}
