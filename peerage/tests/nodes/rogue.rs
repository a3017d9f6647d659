//! Ends that are no nodes of ours: real TLS with a raw key, behind it whatever a test makes of it.
//!
//! A rogue believes every key, so that whatever refuses it is the node at the other end. It remembers each byte that it is
//! told inside TLS.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use peerage::{Address, Identity, Network, Payload};
use peerage_proto::frame::Side;
use peerage_proto::hello::{
    Binding, Config, EXPORTER_LABEL, Established, Handshake, HelloError, Input, NetworkKey, Output,
};
use peerage_proto::id::{Epoch, NodeId};
use peerage_proto::membership::{Incarnation, Record, SignedRecord};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{AlwaysResolvesClientRawPublicKeys, Resumption};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::AlwaysResolvesServerRawPublicKeys;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::{CertifiedKey, Signer, SigningKey};
use rustls::version::TLS13;
use rustls::{ClientConfig, DigitallySignedStruct, DistinguishedName, Error, ServerConfig, SignatureAlgorithm};
use rustls::{CommonState, SignatureScheme};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use crate::place::until;

/// A rogue with this key.
#[derive(Clone)]
pub(crate) struct Rogue {
    identity: Identity,
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
}

/// A record that this node signs of itself: a name, and nothing else.
pub(crate) fn record_of(identity: &Identity, network: &Network, name: &str) -> Payload {
    let network = NetworkKey::new(network.name(), network.secret().as_bytes()).unwrap();
    let record = Record {
        id: identity.id(),
        incarnation: Incarnation { epoch: Epoch::new(1, [7; 16]), sequence: 1 },
        name: name.to_owned(),
        machine: [7; 16],
        groups: Default::default(),
        hub: false,
        ephemeral: false,
        addresses: Vec::new(),
        services: None,
        sealing_key: None,
        left: None,
        lease: Duration::from_secs(90),
    };
    SignedRecord::sign(&record, &network, identity).unwrap().encode()
}

/// One connection of a rogue, with the TLS handshake behind it.
pub(crate) struct Secured {
    pub(crate) stream: TlsStream<TcpStream>,
    /// What the other end's proof is bound to, as this end sees it.
    pub(crate) binding: Binding,
}

/// What became of a handshake that a rogue took part in.
#[derive(Debug)]
pub(crate) struct Shaken {
    /// All that the other end said.
    pub(crate) heard: Vec<u8>,
    pub(crate) said: Vec<u8>,
    pub(crate) outcome: Result<Established, HelloError>,
}

impl Rogue {
    pub(crate) fn new(identity: &Identity) -> Rogue {
        let mut client = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&[&TLS13])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Gullible))
            .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(certified(identity))));
        (client.enable_sni, client.resumption) = (false, Resumption::disabled());
        let mut server = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&[&TLS13])
            .unwrap()
            .with_client_cert_verifier(Arc::new(Gullible))
            .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(certified(identity))));
        for protocols in [&mut client.alpn_protocols, &mut server.alpn_protocols] {
            *protocols = vec![b"peerage/1".to_vec()];
        }
        Rogue { identity: identity.clone(), client: Arc::new(client), server: Arc::new(server) }
    }

    pub(crate) fn id(&self) -> NodeId {
        self.identity.id()
    }

    /// What it says of itself.
    pub(crate) fn record(&self, network: &Network, name: &str) -> Payload {
        record_of(&self.identity, network, name)
    }

    pub(crate) async fn dial(&self, address: &Address) -> io::Result<Secured> {
        let name = ServerName::try_from("localhost").unwrap();
        let stream = TlsConnector::from(self.client.clone()).connect(name, socket(address).await?).await?;
        let tls = stream.get_ref().1;
        let binding = binding(tls, |value| tls.export_keying_material(value, EXPORTER_LABEL, None));
        Ok(Secured { stream: stream.into(), binding })
    }

    pub(crate) async fn accept(&self, socket: TcpStream) -> io::Result<Secured> {
        socket.set_nodelay(true)?;
        let stream = TlsAcceptor::from(self.server.clone()).accept(socket).await?;
        let tls = stream.get_ref().1;
        let binding = binding(tls, |value| tls.export_keying_material(value, EXPORTER_LABEL, None));
        Ok(Secured { stream: stream.into(), binding })
    }

    /// What its side of a handshake looks like, to be changed at will.
    pub(crate) fn config(&self, side: Side, network: &Network, binding: Binding) -> Config {
        let network = NetworkKey::new(network.name(), network.secret().as_bytes()).unwrap();
        let epoch = Epoch::new(1, *Identity::generate().id().as_bytes().first_chunk().unwrap());
        let nonce = *Identity::generate().id().as_bytes();
        Config::new(side, Arc::new(self.identity.clone()), network, epoch, nonce, binding)
    }

    /// Listens, and does the same with everybody who comes.
    pub(crate) async fn listen<F>(&self, treat: impl Fn(Secured) -> F + Clone + Send + Sync + 'static) -> Listens
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = Address::tls(listener.local_addr().unwrap());
        let (rogue, treated) = (self.clone(), Arc::new(AtomicU64::new(0)));
        let counts = treated.clone();
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut treatments = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let (rogue, treat, counts) = (rogue.clone(), treat.clone(), counts.clone());
                treatments.spawn(async move {
                    // Who looks for another key ends the handshake before it is complete.
                    if let Ok(secured) = rogue.accept(socket).await {
                        treat(secured).await;
                        counts.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        Listens { address, treated, _task: task }
    }
}

/// A rogue that listens, until it is dropped.
pub(crate) struct Listens {
    /// Where, as nodes write it.
    pub(crate) address: Address,
    treated: Arc<AtomicU64>,
    _task: JoinSet<()>,
}

impl Listens {
    /// Waits until so many have been treated as intended, to the end, and no more than that.
    pub(crate) async fn treated(&self, count: u64) {
        until(|| self.treated.load(Ordering::Relaxed) >= count).await;
        assert_eq!(self.treated.load(Ordering::Relaxed), count);
    }
}

/// A connection to the host and port of an address.
pub(crate) async fn socket(address: &Address) -> io::Result<TcpStream> {
    let socket = TcpStream::connect((address.host().unwrap().ip().unwrap(), address.port().unwrap())).await?;
    socket.set_nodelay(true)?;
    Ok(socket)
}

/// Goes through the handshake of nodes on a stream, admits whoever proves to belong to the network, and listens on until the
/// other end closes if it fails.
pub(crate) async fn shake(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), config: Config) -> Shaken {
    let mut machine = Handshake::new(Instant::now(), config);
    let (mut heard, mut said) = (Vec::new(), Vec::new());
    let mut orders: Vec<Output> = machine.handle(Instant::now(), Input::Start).collect();
    loop {
        let mut admits = false;
        for order in std::mem::take(&mut orders) {
            match order {
                Output::Send(bytes) => {
                    // The other end may have closed already.
                    let _ = stream.write_all(&bytes).await;
                    said.extend(bytes);
                }
                Output::Proved(_) => admits = true,
                Output::Admitted { established, .. } => return Shaken { heard, said, outcome: Ok(established) },
                Output::Failed(why) => {
                    heard.extend(rest(stream).await);
                    return Shaken { heard, said, outcome: Err(why) };
                }
            }
        }
        drop(stream.flush().await);
        if admits {
            orders = machine.handle(Instant::now(), Input::Admit).collect();
            continue;
        }
        let mut buffer = [0; 4096];
        let read = stream.read(&mut buffer).await.unwrap_or(0);
        heard.extend_from_slice(&buffer[..read]);
        let input = if read == 0 { Input::PeerClosed } else { Input::Received(&buffer[..read]) };
        orders = machine.handle(Instant::now(), input).collect();
    }
}

/// Whatever the other end says until it closes, which must be soon.
pub(crate) async fn rest(stream: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let mut heard = Vec::new();
    // It may end in a reset.
    let ended = tokio::time::timeout(Duration::from_secs(8), stream.read_to_end(&mut heard)).await;
    assert!(ended.is_ok(), "the other end closes");
    heard
}

/// The one frame that a stream begins with.
pub(crate) async fn frame(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let length = stream.read_u32().await?;
    let mut frame = length.to_be_bytes().to_vec();
    frame.resize(4 + length as usize, 0);
    stream.read_exact(&mut frame[4..]).await?;
    Ok(frame)
}

/// The first frame of these bytes.
pub(crate) fn first_frame(bytes: &[u8]) -> Vec<u8> {
    let length = u32::from_be_bytes(*bytes.first_chunk().unwrap()) as usize;
    bytes[..4 + length].to_vec()
}

fn binding(tls: &CommonState, export: impl FnOnce([u8; 32]) -> Result<[u8; 32], Error>) -> Binding {
    let shown = tls.peer_certificates().and_then(<[_]>::first).unwrap();
    let key = shown.as_ref().last_chunk::<32>().unwrap();
    Binding::Exporter { value: export([0; 32]).unwrap(), peer: NodeId::from_bytes(*key) }
}

fn certified(identity: &Identity) -> Arc<CertifiedKey> {
    Arc::new(CertifiedKey::new(vec![CertificateDer::from(spki(identity))], Arc::new(Key(identity.clone()))))
}

fn spki(identity: &Identity) -> Vec<u8> {
    [&[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00][..], identity.id().as_bytes()].concat()
}

#[derive(Clone, Debug)]
struct Key(Identity);

impl SigningKey for Key {
    fn choose_scheme(&self, _: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        Some(Box::new(self.clone()))
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        Some(SubjectPublicKeyInfoDer::from(spki(&self.0)))
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

/// Believes every key.
#[derive(Debug)]
struct Gullible;

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
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
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
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}
