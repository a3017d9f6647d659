//! What is proved, byte for byte (PROTOCOL §9.3): the membership of the network with its secret, the id with its key.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::config::NetworkKey;
use crate::frame::Side;
use crate::id::NodeId;

/// Both ends of one connection, and the bytes that only this connection has.
#[derive(Clone, Copy)]
pub(super) struct Bound {
    pub(super) dialler: NodeId,
    pub(super) acceptor: NodeId,
    /// The TLS exporter, or what takes its place.
    pub(super) exporter: [u8; 32],
}

impl Bound {
    /// Over a transport that has no exporter: the nonces of both ends take its place.
    pub(super) fn by_nonces(dialler: (NodeId, &[u8; 32]), acceptor: (NodeId, &[u8; 32])) -> Bound {
        let mut hash = Sha256::new();
        hash.update(BINDING_LABEL);
        for (side, (id, nonce)) in [(Side::Dialler, dialler), (Side::Acceptor, acceptor)] {
            hash.update([role(side)]);
            hash.update(nonce);
            hash.update(id.as_bytes());
        }
        Bound { dialler: dialler.0, acceptor: acceptor.0, exporter: hash.finalize().into() }
    }

    fn id(&self, side: Side) -> &NodeId {
        match side {
            Side::Dialler => &self.dialler,
            Side::Acceptor => &self.acceptor,
        }
    }

    /// The proof of one end that it holds the secret, over everything it has read and written.
    pub(super) fn proof(&self, of: Side, network: &NetworkKey, hellos: &Sha256) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(network.secret()).expect("HMAC takes keys of any length");
        mac.update(PROOF_LABEL);
        mac.update(&[role(of)]);
        mac.update(&self.exporter);
        mac.update(self.id(of).as_bytes());
        mac.update(self.id(of.other()).as_bytes());
        let name = network.name().as_bytes();
        mac.update(&[u8::try_from(name.len()).expect("a name has at most 255 bytes")]);
        mac.update(name);
        mac.update(&hellos.clone().finalize());
        mac.finalize().into_bytes().into()
    }

    /// Whether `proof` is that of this end. Takes the same time whatever the bytes.
    pub(super) fn is_proof(&self, of: Side, network: &NetworkKey, hellos: &Sha256, proof: &[u8; 32]) -> bool {
        self.proof(of, network, hellos).ct_eq(proof).into()
    }

    /// What one end signs where the transport proves no ids.
    pub(super) fn signed_text(&self, by: Side) -> Vec<u8> {
        [SIGNATURE_LABEL, &[role(by)], &self.exporter].concat()
    }

    /// What the connection contributes to the order of links.
    pub(super) fn order(&self, has_exporter: bool) -> [u8; 32] {
        if has_exporter { Sha256::digest(self.exporter).into() } else { self.exporter }
    }
}

/// The exporter is left out: see [`Binding`](super::Binding).
impl fmt::Debug for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bound({:?} to {:?})", self.dialler, self.acceptor)
    }
}

impl NetworkKey {
    /// The tag of an instance that a member announces on the local network (PROTOCOL §15).
    pub fn mdns_tag(&self, instance: &str) -> [u8; 16] {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.secret()).expect("HMAC takes keys of any length");
        mac.update(MDNS_LABEL);
        mac.update(instance.as_bytes());
        let [tag @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _]: [u8; 32] = mac.finalize().into_bytes().into();
        tag
    }

    /// Whether `tag` is that of this instance. Takes the same time whatever the bytes.
    pub fn is_mdns_tag(&self, instance: &str, tag: &[u8; 16]) -> bool {
        self.mdns_tag(instance).ct_eq(tag).into()
    }
}

/// An end in what is hashed and signed.
fn role(side: Side) -> u8 {
    match side {
        Side::Dialler => 0,
        Side::Acceptor => 1,
    }
}

const PROOF_LABEL: &[u8] = b"peerage admission 1";
const BINDING_LABEL: &[u8] = b"peerage binding 1";
const MDNS_LABEL: &[u8] = b"peerage mdns";
const SIGNATURE_LABEL: &[u8] = b"peerage identity 1";
