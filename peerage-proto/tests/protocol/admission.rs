//! The handshake of `PROTOCOL.md` §9.7, byte for byte: what the document shows is what the machines say, and what its own
//! formulas give.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use ed25519_dalek::{Signer as _, SigningKey};
use hmac::{Hmac, KeyInit, Mac};
use peerage_proto::frame::Side;
use peerage_proto::hello::{Binding, Config, Established, Features, Handshake, Input, NetworkKey, Output, Trust};
use peerage_proto::id::{Epoch, NodeId};
use peerage_proto::keys::Signer;
use peerage_proto::sim;
use sha2::{Digest, Sha256};

use crate::vectors::Vectors;

#[test]
fn the_machines_write_the_bytes_of_the_document_over_tls() {
    let vectors = Vectors::read();
    let exporter = vectors.array("exporter");
    let binding = |peer| Binding::Exporter { value: exporter, peer };
    let (ada, bob) = vectors.configs(binding(vectors.id("bob")), binding(vectors.id("ada")));
    let (written, established) = run(ada, bob);
    assert_eq!(written, vectors.named(&["tls hello d", "tls hello a", "admitted", "admitted"]));
    assert_eq!(established.order.binding, vectors.array("tls order"));
    assert_eq!((established.trust, established.version), (Trust::Proven, 1));
    assert_eq!(established.features, features(&["lz4"]));
}

#[test]
fn the_machines_write_the_bytes_of_the_document_without_an_exporter() {
    let vectors = Vectors::read();
    for (binding, trust) in [(Binding::Local, Trust::Proven), (Binding::Plaintext, Trust::Claimed)] {
        let (ada, bob) = vectors.configs(binding, binding);
        let (written, established) = run(ada, bob);
        let expected = ["unix preamble", "unix hello d", "unix hello a", "admitted", "admitted"];
        assert_eq!(written, vectors.named(&expected));
        assert_eq!((established.order.binding, established.trust), (vectors.array("unix binding"), trust));
    }
}

#[test]
fn the_formulas_of_the_document_give_its_proofs_and_signatures() {
    let vectors = Vectors::read();
    let (ada, bob) = (vectors.id("ada"), vectors.id("bob"));
    let exporter: [u8; 32] = vectors.array("exporter");
    let nonces = (vectors.array::<32>("nonce d"), vectors.array::<32>("nonce a"));
    let parts = [b"peerage binding 1", &[0][..], &nonces.0, ada.as_bytes(), &[1], &nonces.1, bob.as_bytes()];
    let binding: [u8; 32] = Sha256::digest(parts.concat()).into();
    assert_eq!(binding, vectors.array("unix binding"));
    assert_eq!(<[u8; 32]>::from(Sha256::digest(exporter)), vectors.array("tls order"));

    for (transport, exporter) in [("tls", exporter), ("unix", binding)] {
        let said = |side: &str| vectors.bytes(&format!("{transport} hello {side}"));
        let (d, a) = (Hello::of(&said("d")), Hello::of(&said("a")));
        assert_eq!(d.proof, vectors.proof(0, &exporter, [ada, bob], &d.hello), "{transport}");
        assert_eq!(a.proof, vectors.proof(1, &exporter, [bob, ada], &[d.hello, a.hello].concat()), "{transport}");
        for (role, name, signature) in [(0, "seed d", d.signature), (1, "seed a", a.signature)] {
            let key = SigningKey::from_bytes(&vectors.array(name));
            let signed = key.sign(&[&b"peerage identity 1"[..], &[role], &exporter].concat());
            let expected = (transport == "unix").then(|| signed.to_bytes().to_vec());
            assert_eq!(signature, expected, "{transport}, role {role}");
        }
    }
}

/// A Hello frame, taken apart by a decoder that is not ours.
struct Hello {
    hello: Vec<u8>,
    proof: Vec<u8>,
    signature: Option<Vec<u8>>,
}

impl Hello {
    fn of(frame: &[u8]) -> Hello {
        type Content = (serde_bytes::ByteBuf, serde_bytes::ByteBuf, Option<serde_bytes::ByteBuf>);
        let (kind, id, content): (u8, u8, Content) = rmp_serde::from_slice(&frame[4..]).expect("a Hello");
        assert_eq!((kind, id), (9, 0));
        Hello {
            hello: content.0.into_vec(),
            proof: content.1.into_vec(),
            signature: content.2.map(serde_bytes::ByteBuf::into_vec),
        }
    }
}

/// Runs the two machines against each other. Returns what was written, frame by frame, and what came of it.
fn run(ada: Config, bob: Config) -> (Vec<Vec<u8>>, Established) {
    enum Event {
        Start,
        Arrives(Vec<u8>),
        Admit,
    }

    let now = sim::epoch();
    let mut machines = [Handshake::new(now, ada), Handshake::new(now, bob)];
    let (mut written, mut admitted) = (Vec::new(), Vec::new());
    let mut events = VecDeque::from([(0, Event::Start), (1, Event::Start)]);
    while let Some((end, event)) = events.pop_front() {
        let input = match &event {
            Event::Start => Input::Start,
            Event::Arrives(bytes) => Input::Received(bytes),
            Event::Admit => Input::Admit,
        };
        for order in machines[end].handle(now, input) {
            match order {
                Output::Send(bytes) => {
                    written.push(bytes.clone());
                    events.push_back((1 - end, Event::Arrives(bytes)));
                }
                Output::Proved(_) => events.push_back((end, Event::Admit)),
                Output::Admitted { established, .. } => admitted.push(established),
                Output::Failed(why) => panic!("end {end}: {why}"),
            }
        }
    }
    assert_eq!(admitted.len(), 2, "both admit");
    assert_eq!(admitted[0].order, admitted[1].order);
    (written, admitted.remove(0))
}

/// What the document gives for both ends.
impl Vectors {
    /// The id of the node whose secret key the document gives.
    fn id(&self, node: &str) -> NodeId {
        let (seed, id) = if node == "ada" { ("seed d", "id d") } else { ("seed a", "id a") };
        let key = SigningKey::from_bytes(&self.array(seed));
        assert_eq!(key.verifying_key().to_bytes(), self.array(id), "{id}");
        NodeId::from_bytes(self.array(id))
    }

    /// Ada dials Bob, as the document says.
    fn configs(&self, adas: Binding, bobs: Binding) -> (Config, Config) {
        let network = NetworkKey::new("lab", &self.bytes("secret")).expect("a network");
        let config = |side, seed: &str, nonce: &str, epoch, binding| {
            let signer = Arc::new(Key(SigningKey::from_bytes(&self.array(seed))));
            Config::new(side, signer, network.clone(), epoch, self.array(nonce), binding)
        };
        let ada = config(Side::Dialler, "seed d", "nonce d", Epoch::new(1_763_712_000, [0xda; 16]), adas);
        let bob = config(Side::Acceptor, "seed a", "nonce a", Epoch::new(3, [0xbb; 16]), bobs);
        let ada = Config { dial_seq: 7, features: features(&["lz4", "x-later"]), ..ada };
        (ada, Config { features: features(&["lz4"]), ..bob })
    }

    /// A proof by the formula of §9.3.
    fn proof(&self, role: u8, exporter: &[u8; 32], [own, other]: [NodeId; 2], hellos: &[u8]) -> Vec<u8> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.bytes("secret")).expect("any length");
        mac.update(b"peerage admission 1");
        mac.update(&[role]);
        mac.update(exporter);
        mac.update(own.as_bytes());
        mac.update(other.as_bytes());
        mac.update(b"\x03lab");
        mac.update(&Sha256::digest(hellos));
        mac.finalize().into_bytes().to_vec()
    }
}

fn features(names: &[&'static str]) -> Features {
    Features::offer(names.iter().copied()).expect("few and short")
}

pub(crate) struct Key(pub(crate) SigningKey);

impl Signer for Key {
    fn id(&self) -> NodeId {
        NodeId::from_bytes(self.0.verifying_key().to_bytes())
    }

    fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:?})", self.id())
    }
}
