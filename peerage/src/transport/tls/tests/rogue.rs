//! Ends that TLS itself would let through, built from the library with other parts than ours.

use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData, SigningKey as _};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{AlwaysResolvesClientRawPublicKeys, Resumption};
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{AlwaysResolvesServerRawPublicKeys, NoClientAuth};
use rustls::sign::{CertifiedKey, Signer, SigningKey};
use rustls::version::TLS13;
use rustls::{
    ClientConfig, DigitallySignedStruct, DistinguishedName, Error, ServerConfig, SignatureAlgorithm, SignatureScheme,
};
use tokio::net::TcpStream;

use super::super::provider;
use super::super::stream::{HandshakeError, TlsStream};
use crate::identity::Identity;
use crate::transport::HandshakeFailure;

/// A raw key to show, and what signs for it.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    pub(super) spki: Vec<u8>,
    pub(super) signer: Signs,
}

#[derive(Clone, Debug)]
pub(super) enum Signs {
    /// With this identity's key, whatever key is shown.
    With(Identity),
    /// The same, and flips these bits of this byte.
    WithAFlaw(Identity, usize, u8),
    /// The same bytes for everything.
    Always([u8; 64]),
    /// With a key of another kind.
    OfAnotherKind(Arc<KeyPair>),
}

impl Shown {
    /// What an honest node shows.
    pub(super) fn honest(identity: &Identity) -> Shown {
        Shown { spki: spki(identity.id().as_bytes()), signer: Signs::With(identity.clone()) }
    }

    /// The key of one node, signed for by another.
    pub(super) fn foreign(victim: &Identity, thief: &Identity) -> Shown {
        Shown { spki: spki(victim.id().as_bytes()), signer: Signs::With(thief.clone()) }
    }

    /// An ECDSA key, properly signed for.
    pub(super) fn of_another_kind() -> Shown {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        Shown { spki: key.subject_public_key_info(), signer: Signs::OfAnotherKind(Arc::new(key)) }
    }

    fn certified(self) -> Arc<CertifiedKey> {
        Arc::new(CertifiedKey::new(vec![CertificateDer::from(self.spki.clone())], Arc::new(self)))
    }
}

pub(super) fn spki(key: &[u8; 32]) -> Vec<u8> {
    [&super::super::keys::SPKI_PREFIX[..], key].concat()
}

impl SigningKey for Shown {
    fn choose_scheme(&self, _: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        Some(Box::new(self.clone()))
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        Some(SubjectPublicKeyInfoDer::from(self.spki.clone()))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ED25519
    }
}

impl Signer for Shown {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        Ok(match &self.signer {
            Signs::With(identity) => identity.sign(message).to_vec(),
            Signs::WithAFlaw(identity, byte, bits) => {
                let mut signature = identity.sign(message);
                signature[*byte] ^= bits;
                signature.to_vec()
            }
            Signs::Always(signature) => signature.to_vec(),
            Signs::OfAnotherKind(key) => key.sign(message).unwrap(),
        })
    }

    fn scheme(&self) -> SignatureScheme {
        match self.signer {
            Signs::OfAnotherKind(_) => SignatureScheme::ECDSA_NISTP256_SHA256,
            _ => SignatureScheme::ED25519,
        }
    }
}

/// Believes everything.
#[derive(Debug)]
struct Gullible {
    keys: bool,
}

impl ServerCertVerifier for Gullible {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519, SignatureScheme::ECDSA_NISTP256_SHA256]
    }

    fn requires_raw_public_keys(&self) -> bool {
        self.keys
    }
}

impl ClientCertVerifier for Gullible {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519, SignatureScheme::ECDSA_NISTP256_SHA256]
    }

    fn requires_raw_public_keys(&self) -> bool {
        self.keys
    }
}

/// Protocol names offered by an honest node.
pub(super) const NODE: &[&str] = &["peerage/1"];

/// A dialler that shows this raw key and believes everything.
pub(super) fn client(shown: Shown, protocols: &[&str]) -> ClientConfig {
    let mut config = ClientConfig::builder_with_provider(provider::for_certificates())
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Gullible { keys: true }))
        .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(shown.certified())));
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    config.enable_sni = false;
    config.resumption = Resumption::disabled();
    config
}

/// A dialler that shows nothing and believes every certificate.
pub(super) fn client_with_certificates() -> ClientConfig {
    let mut config = ClientConfig::builder_with_provider(provider::for_certificates())
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Gullible { keys: false }))
        .with_no_client_auth();
    config.alpn_protocols = NODE.iter().map(|name| name.as_bytes().to_vec()).collect();
    config
}

/// A listener that shows this raw key and believes everything.
pub(super) fn server(shown: Shown, protocols: &[&str]) -> ServerConfig {
    let mut config = ServerConfig::builder_with_provider(provider::for_certificates())
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_client_cert_verifier(Arc::new(Gullible { keys: true }))
        .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(shown.certified())));
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    config
}

/// A listener with a certificate of its own making.
pub(super) fn server_with_certificate() -> ServerConfig {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    let mut config = ServerConfig::builder_with_provider(provider::for_certificates())
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_client_cert_verifier(Arc::new(NoClientAuth))
        .with_single_cert(vec![certificate.der().clone()], key.serialize_der().try_into().unwrap())
        .unwrap();
    config.alpn_protocols = NODE.iter().map(|name| name.as_bytes().to_vec()).collect();
    config
}

/// Runs the handshake of a dialler on a socket.
pub(super) async fn handshake_as_client(
    socket: TcpStream,
    config: ClientConfig,
) -> Result<TlsStream, HandshakeFailure> {
    let name = ServerName::try_from("localhost").unwrap();
    let tls = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    finish(TlsStream::new(socket, tls.into())).await
}

/// Runs the handshake of a listener on a socket.
pub(super) async fn handshake_as_server(
    socket: TcpStream,
    config: ServerConfig,
) -> Result<TlsStream, HandshakeFailure> {
    let tls = rustls::ServerConnection::new(Arc::new(config)).unwrap();
    finish(TlsStream::new(socket, tls.into())).await
}

async fn finish(mut stream: TlsStream) -> Result<TlsStream, HandshakeFailure> {
    match stream.handshake().await {
        Ok(()) => Ok(stream),
        Err(HandshakeError::Io(why)) => Err(HandshakeFailure::of_io(&why)),
        Err(HandshakeError::Tls(why)) => Err(HandshakeFailure::of(&why, None)),
    }
}
