//! The terms of a handshake: what one end shows, asks for and insists on, made from an identity or from [`X509`].
//!
//! TLS and QUIC share them. What follows from a handshake that has succeeded is judged here as well, because success in
//! the library's eyes is not enough: the protocol inside must be ours, and between nodes both ends take the exporter's
//! value, to which the admission is bound (PROTOCOL §9.3).

use std::sync::{Arc, OnceLock};

use peerage_proto::address::{Address, Host};
use peerage_proto::id::NodeId;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::SingleCertAndKey;
use rustls::version::TLS13;
use rustls::{ClientConfig, DigitallySignedStruct, Error, ServerConfig, SignatureScheme};

use super::failure::HandshakeFailure;
use super::settings::{Roots, Tls, X509};
use super::{keys, provider};
use crate::identity::Identity;
use crate::transport::{BindError, DialError, Exporter};

/// A dialler's terms for one handshake.
pub(in crate::transport) struct ClientTerms {
    pub(in crate::transport) config: ClientConfig,
    pub(in crate::transport) name: ServerName<'static>,
    pub(in crate::transport) insists: Insists,
    /// Why the verifier said no. QUIC passes errors on as text only.
    verdict: Arc<OnceLock<Error>>,
}

/// A listener's terms for all handshakes.
#[derive(Clone)]
pub(in crate::transport) struct ServerTerms {
    pub(in crate::transport) config: Arc<ServerConfig>,
    pub(in crate::transport) insists: Insists,
}

/// What must hold of a handshake beyond the library's own checks.
#[derive(Clone, Debug)]
pub(in crate::transport) struct Insists {
    /// Both ends show raw keys.
    keys: bool,
    /// The protocol inside, which both ends must name; `None` for certificates over TCP, where programs do without.
    protocol: Option<&'static str>,
    /// The name that the other end's certificate was checked for.
    name: Option<String>,
}

/// What is spoken inside and which scheme is below: they decide the protocol's name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::transport) enum Over {
    Tcp,
    Quic,
}

/// What TLS or QUIC proved about a connection.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Secured {
    /// What the other end proved.
    pub proof: Proof,
    /// The cipher in use, by its name in RFC 8446; `None` where the library does not tell (QUIC).
    pub cipher: Option<&'static str>,
    /// How the keys were agreed on, by its registered name; `None` where the library does not tell (QUIC).
    pub key_exchange: Option<&'static str>,
}

/// Who is at the other end, as far as it proved that.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Proof {
    /// It was not asked, or has nothing to show: a dialler without a certificate.
    Nothing,
    /// It holds the key of this node.
    Key(NodeId),
    /// It holds the key of a certificate that is believed here. That proves the certificate's own name, never a node id.
    Certificate {
        /// The name that the certificate was checked for; `None` for that of a dialler, whose name is not asked for.
        name: Option<String>,
        /// The certificate, in DER.
        der: Arc<[u8]>,
    },
}

impl ClientTerms {
    /// Between nodes: raw keys on both ends, one id expected or any.
    pub(in crate::transport) fn for_node(identity: &Identity, expected: Option<NodeId>) -> ClientTerms {
        ClientTerms::with_keys(identity, expected, NODE_PROTOCOL)
    }

    /// For a channel to `address`.
    pub(in crate::transport) async fn for_channel(
        address: &Address,
        tls: Option<&Tls>,
        over: Over,
    ) -> Result<ClientTerms, DialError> {
        match tls.unwrap_or(&Tls::X509(X509::new())) {
            Tls::Keys(identity) => Ok(ClientTerms::with_keys(identity, address.node(), CHANNEL_PROTOCOL)),
            Tls::X509(_) if address.node().is_some() => Err(DialError::IdentityNeeded { address: address.clone() }),
            Tls::X509(x509) => ClientTerms::with_certificates(address, x509, over)
                .await
                .map_err(|why| DialError::Handshake { address: address.clone(), why }),
        }
    }

    /// Why the verifier said no, if it did.
    pub(in crate::transport) fn verdict(&self) -> Option<HandshakeFailure> {
        self.verdict.get().map(|why| self.insists.failure(why))
    }

    fn with_keys(identity: &Identity, expected: Option<NodeId>, protocol: &'static str) -> ClientTerms {
        let verdict = Arc::default();
        let verifier = Watched { judge: keys::KeyVerifier::new(expected), verdict: Arc::clone(&verdict) };
        let mut config = ClientConfig::builder_with_provider(provider::for_nodes())
            .with_protocol_versions(&[&TLS13])
            .expect("all ciphers of the provider are of TLS 1.3")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_client_cert_resolver(keys::shown_by_client(identity));
        config.alpn_protocols = vec![protocol.into()];
        config.enable_sni = false;
        config.resumption = Resumption::disabled();
        // Not sent, since SNI is off, and not checked, since keys have no names.
        let name = ServerName::try_from("node.invalid").expect("a host name");
        let insists = Insists { keys: true, protocol: Some(protocol), name: None };
        ClientTerms { config, name, insists, verdict }
    }

    async fn with_certificates(address: &Address, x509: &X509, over: Over) -> Result<ClientTerms, HandshakeFailure> {
        let roots = x509.roots.clone().unwrap_or_else(Roots::system).store().await?;
        let judge = WebPkiServerVerifier::builder_with_provider(roots, provider::for_certificates())
            .build()
            .map_err(|_| HandshakeFailure::NoRoots)?;
        let verdict = Arc::default();
        let builder = ClientConfig::builder_with_provider(provider::for_certificates())
            .with_protocol_versions(&[&TLS13])
            .expect("all ciphers of the provider are of TLS 1.3")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Watched { judge, verdict: Arc::clone(&verdict) }));
        let mut config = match &x509.shown {
            Some(shown) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(shown.key.clone()))),
            None => builder.with_no_client_auth(),
        };
        let protocol = over.protocol();
        config.alpn_protocols = protocol.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        config.resumption = Resumption::disabled();
        let name = match &x509.server_name {
            Some(name) => name.clone(),
            None => name_of_host(address)?,
        };
        let insists = Insists { keys: false, protocol, name: Some(name.to_str().into_owned()) };
        Ok(ClientTerms { config, name, insists, verdict })
    }
}

impl ServerTerms {
    /// Between nodes: raw keys on both ends.
    pub(in crate::transport) fn for_node(identity: &Identity) -> ServerTerms {
        ServerTerms::with_keys(identity, NODE_PROTOCOL)
    }

    /// For the listener of a channel at `address`.
    pub(in crate::transport) async fn for_channel(
        address: &Address,
        tls: Option<&Tls>,
        over: Over,
    ) -> Result<ServerTerms, BindError> {
        match tls {
            Some(Tls::Keys(identity)) => Ok(ServerTerms::with_keys(identity, CHANNEL_PROTOCOL)),
            Some(Tls::X509(x509)) => ServerTerms::with_certificates(address, x509, over).await,
            None => Err(BindError::NoCertificate { address: address.clone() }),
        }
    }

    fn with_keys(identity: &Identity, protocol: &'static str) -> ServerTerms {
        let mut config = ServerConfig::builder_with_provider(provider::for_nodes())
            .with_protocol_versions(&[&TLS13])
            .expect("all ciphers of the provider are of TLS 1.3")
            .with_client_cert_verifier(keys::KeyVerifier::new(None))
            .with_cert_resolver(keys::shown_by_server(identity));
        config.alpn_protocols = vec![protocol.into()];
        without_resumption(&mut config);
        ServerTerms { config: Arc::new(config), insists: Insists { keys: true, protocol: Some(protocol), name: None } }
    }

    async fn with_certificates(address: &Address, x509: &X509, over: Over) -> Result<ServerTerms, BindError> {
        let Some(shown) = &x509.shown else {
            return Err(BindError::NoCertificate { address: address.clone() });
        };
        let builder = ServerConfig::builder_with_provider(provider::for_certificates())
            .with_protocol_versions(&[&TLS13])
            .expect("all ciphers of the provider are of TLS 1.3");
        let builder = match &x509.roots {
            None => builder.with_no_client_auth(),
            Some(roots) => {
                let no_roots = || BindError::NoRoots { address: address.clone() };
                let roots = roots.store().await.map_err(|_| no_roots())?;
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider::for_certificates())
                    .build()
                    .map_err(|_| no_roots())?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(shown.key.clone())));
        let protocol = over.protocol();
        config.alpn_protocols = protocol.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        without_resumption(&mut config);
        Ok(ServerTerms { config: Arc::new(config), insists: Insists { keys: false, protocol, name: None } })
    }
}

impl Insists {
    /// Why a handshake failed, given what the library says.
    pub(in crate::transport) fn failure(&self, why: &Error) -> HandshakeFailure {
        HandshakeFailure::of(why, self.protocol)
    }

    /// Whether what follows is a link between nodes, not a plain channel.
    pub(in crate::transport) fn between_nodes(&self) -> bool {
        self.protocol == Some(NODE_PROTOCOL)
    }

    /// What a handshake proved, once it is complete: `spoken` is the protocol agreed on, `shown` what the other end
    /// proved itself with, `export` gives the exporter's value.
    pub(in crate::transport) fn judge(
        &self,
        spoken: Option<&[u8]>,
        shown: Option<&[CertificateDer<'_>]>,
        export: impl FnOnce() -> Option<[u8; 32]>,
    ) -> Result<(Proof, Option<Exporter>), HandshakeFailure> {
        if let Some(expected) = self.protocol
            && spoken != Some(expected.as_bytes())
        {
            return Err(HandshakeFailure::OtherProtocol { expected });
        }
        let first = shown.and_then(<[_]>::first);
        if self.keys {
            let peer = keys::node_of(first.ok_or(HandshakeFailure::UnfitKey { why: "none was shown" })?)?;
            let no_export = || HandshakeFailure::Other { why: "the library exports no value".to_owned() };
            let value = export().ok_or_else(no_export)?;
            return Ok((Proof::Key(peer), Some(Exporter { value, peer })));
        }
        let proof = match first {
            None => Proof::Nothing,
            Some(certificate) => Proof::Certificate { name: self.name.clone(), der: Arc::from(certificate.as_ref()) },
        };
        Ok((proof, None))
    }
}

impl Over {
    /// QUIC cannot do without a name for what is inside; programs with certificates over TCP usually have none.
    fn protocol(self) -> Option<&'static str> {
        match self {
            Over::Tcp => None,
            Over::Quic => Some(CHANNEL_PROTOCOL),
        }
    }
}

/// A verifier whose refusal is remembered.
#[derive(Debug)]
struct Watched<V> {
    judge: Arc<V>,
    verdict: Arc<OnceLock<Error>>,
}

impl<V> Watched<V> {
    fn note<T>(&self, result: Result<T, Error>) -> Result<T, Error> {
        if let Err(why) = &result {
            self.verdict.get_or_init(|| why.clone());
        }
        result
    }
}

impl<V: ServerCertVerifier> ServerCertVerifier for Watched<V> {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.note(self.judge.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.note(self.judge.verify_tls12_signature(message, cert, dss))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.note(self.judge.verify_tls13_signature(message, cert, dss))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.judge.supported_verify_schemes()
    }

    fn requires_raw_public_keys(&self) -> bool {
        self.judge.requires_raw_public_keys()
    }
}

/// Every handshake proves everything anew, and nothing is sent before it is complete.
fn without_resumption(config: &mut ServerConfig) {
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
}

fn name_of_host(address: &Address) -> Result<ServerName<'static>, HandshakeFailure> {
    match address.host() {
        Some(Host::Name(name)) => ServerName::try_from(name.clone())
            .map_err(|_| HandshakeFailure::Certificate { why: format!("none can be made for the name {name}") }),
        Some(Host::V4(ip)) => Ok(ServerName::from(std::net::IpAddr::V4(*ip))),
        Some(Host::V6(ip)) => Ok(ServerName::from(std::net::IpAddr::V6(*ip))),
        None => Err(HandshakeFailure::Certificate { why: "the address has no host".to_owned() }),
    }
}

/// What nodes speak inside TLS and QUIC (PROTOCOL §11.1).
const NODE_PROTOCOL: &str = "peerage/1";

/// What plain channels speak there, so that neither is mistaken for the other.
const CHANNEL_PROTOCOL: &str = "peerage-channel/1";
