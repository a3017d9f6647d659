//! Raw public keys in place of certificates (RFC 7250): what a node shows, and how the other's key is judged.
//!
//! A certificate says who vouches for a key. Between nodes nobody needs to: the key *is* the id. So what travels is the key
//! in its shortest form (SubjectPublicKeyInfo, RFC 8410), 44 bytes that are the same for all of them but for the key
//! itself, and what is checked is that the other end can sign with it.

use std::sync::Arc;

use peerage_proto::id::NodeId;
use rustls::client::AlwaysResolvesClientRawPublicKeys;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::AlwaysResolvesServerRawPublicKeys;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::{CertifiedKey, Signer, SigningKey};
use rustls::{
    DigitallySignedStruct, DistinguishedName, Error, OtherError, PeerIncompatible, PeerMisbehaved, SignatureAlgorithm,
    SignatureScheme,
};

use super::failure::HandshakeFailure;
use crate::identity::Identity;

/// Shows the identity's key when dialling.
pub(super) fn shown_by_client(identity: &Identity) -> Arc<AlwaysResolvesClientRawPublicKeys> {
    Arc::new(AlwaysResolvesClientRawPublicKeys::new(certified(identity)))
}

/// Shows the identity's key when accepting.
pub(super) fn shown_by_server(identity: &Identity) -> Arc<AlwaysResolvesServerRawPublicKeys> {
    Arc::new(AlwaysResolvesServerRawPublicKeys::new(certified(identity)))
}

/// Believes whoever holds an Ed25519 key, or the holder of one such key alone.
#[derive(Debug)]
pub(super) struct KeyVerifier {
    expected: Option<NodeId>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl KeyVerifier {
    pub(super) fn new(expected: Option<NodeId>) -> Arc<KeyVerifier> {
        let algorithms = super::provider::for_nodes().signature_verification_algorithms;
        Arc::new(KeyVerifier { expected, algorithms })
    }

    fn judge_key(&self, shown: &CertificateDer<'_>, more: &[CertificateDer<'_>]) -> Result<(), Error> {
        if !more.is_empty() {
            return Err(carried(HandshakeFailure::UnfitKey { why: "it came with others" }));
        }
        node_of(shown).map_err(carried)?;
        Ok(())
    }

    /// Whose key it is counts only once the signature is good: before, anybody may show it.
    fn judge_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if signature.scheme != SignatureScheme::ED25519 {
            return Err(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme.into());
        }
        let found = node_of(shown).map_err(carried)?;
        let key = SubjectPublicKeyInfoDer::from(shown.as_ref());
        let valid = verify_tls13_signature_with_raw_key(message, &key, signature, &self.algorithms)
            .map_err(|_| carried(HandshakeFailure::UnfitKey { why: "the handshake was not signed with it" }))?;
        match self.expected {
            Some(expected) if expected != found => Err(carried(HandshakeFailure::IdentityMismatch { expected, found })),
            _ => Ok(valid),
        }
    }
}

/// The node whose key this is.
pub(super) fn node_of(shown: &CertificateDer<'_>) -> Result<NodeId, HandshakeFailure> {
    let unfit = |why| HandshakeFailure::UnfitKey { why };
    let key = shown.as_ref().strip_prefix(&SPKI_PREFIX).ok_or(unfit("it is not an Ed25519 key"))?;
    let key: [u8; 32] = key.try_into().map_err(|_| unfit("it has another length than 32 bytes"))?;
    let node = NodeId::from_bytes(key);
    if !node.is_sound() {
        return Err(unfit("it proves nothing, since its signatures can be made without a secret"));
    }
    Ok(node)
}

fn carried(why: HandshakeFailure) -> Error {
    Error::Other(OtherError(Arc::new(why)))
}

impl ServerCertVerifier for KeyVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.judge_key(end_entity, intermediates).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.judge_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

impl ClientCertVerifier for KeyVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.judge_key(end_entity, intermediates).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.judge_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

/// The identity as the TLS library wants to see a key: it asks for signatures and never for the secret.
fn certified(identity: &Identity) -> Arc<CertifiedKey> {
    let shown = CertificateDer::from(spki(&identity.id()));
    Arc::new(CertifiedKey::new(vec![shown], Arc::new(Key(identity.clone()))))
}

fn spki(node: &NodeId) -> Vec<u8> {
    [&SPKI_PREFIX[..], node.as_bytes()].concat()
}

#[derive(Clone, Debug)]
struct Key(Identity);

impl SigningKey for Key {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        offered.contains(&SignatureScheme::ED25519).then(|| Box::new(self.clone()) as Box<dyn Signer>)
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        Some(SubjectPublicKeyInfoDer::from(spki(&self.0.id())))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ED25519
    }
}

impl Signer for Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        Ok(self.0.sign(message).to_vec())
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ED25519
    }
}

/// What stands before the 32 bytes of an Ed25519 key in its SubjectPublicKeyInfo (RFC 8410, §4): a sequence of 42 bytes,
/// in it the algorithm 1.3.101.112 and a string of 33 bytes of which no bit is unused.
pub(super) const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
