//! Who can sign and whose signature it is: the two questions asked about keys, and Ed25519 as the answer.
//!
//! The machines never hold a private key. They ask a [`Signer`] to sign and a [`Verifier`] to judge, so that the key stays in
//! one place and a simulation of thousands of nodes can do without the arithmetic.
//!
//! Verification is strict, because "valid" must mean the same to everybody: a number S in its one canonical form, no point
//! of small order as R or as the key, no second encoding of a key. Looser rules let one signature become another that is
//! valid too, or make one that fits nearly every message.

use std::fmt;

use crate::id::NodeId;

/// Bytes of a signature.
pub const SIGNATURE_BYTES: usize = 64;

/// Holds a node's private key and signs with it. Its `Debug` must not show the key.
pub trait Signer: fmt::Debug + Send + Sync {
    /// The node whose key it is.
    fn id(&self) -> NodeId;

    /// The signature over `message`. What is signed begins with a label that says what for.
    fn sign(&self, message: &[u8]) -> [u8; SIGNATURE_BYTES];
}

/// Judges signatures.
pub trait Verifier: fmt::Debug + Send + Sync {
    /// Whether `signature` over `message` was made by the holder of `signer`'s key.
    fn verify(&self, signer: &NodeId, message: &[u8], signature: &[u8; SIGNATURE_BYTES]) -> bool;
}

/// The verifier of everything that ships: Ed25519, strictly.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Ed25519;

impl Verifier for Ed25519 {
    fn verify(&self, signer: &NodeId, message: &[u8], signature: &[u8; SIGNATURE_BYTES]) -> bool {
        if !is_sound(signer) {
            return false;
        }
        let signature = ed25519_dalek::Signature::from_bytes(signature);
        ed25519_dalek::VerifyingKey::from_bytes(signer.as_bytes())
            .is_ok_and(|key| key.verify_strict(message, &signature).is_ok())
    }
}

/// Whether the id is a key at all: see [`NodeId::is_sound`].
pub fn is_sound(id: &NodeId) -> bool {
    id.is_sound()
}

#[cfg(test)]
mod tests;
