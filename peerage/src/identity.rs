//! Who a node is: an Ed25519 key of its own.
//!
//! The public half *is* the node's id, so an identity needs no registry, and nobody can take it without the secret half.
//! The secret half never leaves this module: what others need of it is a signature, and they ask for one.

use std::fmt;
use std::sync::Arc;

use ed25519_dalek::{Signer as _, SigningKey};
use peerage_proto::id::NodeId;
use zeroize::Zeroizing;

/// A node's key.
///
/// Clones share one copy of the secret, which is wiped from memory when the last of them is dropped. `Debug` shows the
/// id only.
///
/// ```
/// use peerage::Identity;
///
/// let identity = Identity::generate();
/// println!("{} signs {:?}", identity.id(), identity.sign(b"a message"));
/// ```
#[derive(Clone)]
pub struct Identity {
    key: Arc<SigningKey>,
}

impl Identity {
    /// A new identity, from 256 random bits of the system.
    pub fn generate() -> Self {
        let mut seed = Zeroizing::new([0; SEED_BYTES]);
        // The library ends the process by itself when the system has no random numbers to give.
        aws_lc_rs::rand::fill(&mut *seed).expect("random numbers are drawn or the process has ended");
        Identity::from_seed(&seed)
    }

    /// The identity whose secret key is this (RFC 8032, §5.1.5): 32 random bytes that nobody else knows.
    pub fn from_seed(seed: &[u8; SEED_BYTES]) -> Self {
        // The library wipes its own copy when it is dropped.
        Identity { key: Arc::new(SigningKey::from_bytes(seed)) }
    }

    /// The node's id, which is the public key.
    pub fn id(&self) -> NodeId {
        NodeId::from_bytes(self.key.verifying_key().to_bytes())
    }

    /// An Ed25519 signature over `message`.
    pub fn sign(&self, message: &[u8]) -> [u8; SIGNATURE_BYTES] {
        self.key.sign(message).to_bytes()
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({:?})", self.id())
    }
}

/// Bytes of a secret key.
pub const SEED_BYTES: usize = 32;

/// Bytes of a signature.
pub const SIGNATURE_BYTES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn hex<const N: usize>(text: &str) -> [u8; N] {
        std::array::from_fn(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap())
    }

    #[test]
    fn keys_and_signatures_are_those_of_rfc_8032() {
        // §7.1, test 2.
        let identity = Identity::from_seed(&hex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"));
        let public: [u8; 32] = hex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
        assert_eq!(identity.id().as_bytes(), &public);
        assert_eq!(
            identity.sign(&[0x72]),
            hex::<64>(
                "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
                 085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
            )
        );
    }

    #[test]
    fn no_two_generated_identities_are_the_same() {
        assert_ne!(Identity::generate().id(), Identity::generate().id());
    }

    #[test]
    fn debug_output_holds_the_id_and_nothing_of_the_secret() {
        let identity = Identity::from_seed(&[7; 32]);
        assert_eq!(format!("{identity:?}"), format!("Identity({:?})", identity.id()));
    }
}
