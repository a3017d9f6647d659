//! Two ends of a connection, and what is written between them.

use std::sync::{Arc, LazyLock};
use std::time::Instant;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::frame::Side;
use crate::hello::proof::Bound;
use crate::hello::wire::{Greeting, Hello};
use crate::hello::{Binding, Config, Established, Features, Handshake, HelloError, Input, NetworkKey, Output};
use crate::id::{Epoch, NodeId};
use crate::keys::{SIGNATURE_BYTES, Signer};
use crate::sim::{Dice, Key};

pub(super) const ADA: u8 = 1;
pub(super) const BOB: u8 = 2;
pub(super) const EVE: u8 = 3;

/// All kinds of transport.
pub(super) const TRANSPORTS: [fn() -> (Config, Config); 3] =
    [tls, || without_exporter(Binding::Local), || without_exporter(Binding::Plaintext)];

pub(super) fn key(of: u8) -> Arc<dyn Signer> {
    keys(of).0.clone()
}

pub(super) fn id(of: u8) -> NodeId {
    keys(of).1
}

/// Made once, because there are thousands of handshakes.
fn keys(of: u8) -> &'static (Arc<Key>, NodeId) {
    static KEYS: LazyLock<Vec<(Arc<Key>, NodeId)>> = LazyLock::new(|| {
        let keys = (0..=EVE).map(|node| Arc::new(Key::of(node.into())));
        keys.map(|key| (key.clone(), key.id())).collect()
    });
    &KEYS[usize::from(of)]
}

pub(super) fn network(name: &str, secret: [u8; 32]) -> NetworkKey {
    NetworkKey::new(name, &secret).expect("a name and enough bytes")
}

/// Ada dials Bob: both belong to the lab.
pub(super) fn tls() -> (Config, Config) {
    let to = |peer| Binding::Exporter { value: [0xe7; 32], peer: id(peer) };
    let lab = network("lab", [0x5e; 32]);
    let ada = Config::new(Side::Dialler, key(ADA), lab.clone(), epoch_of(ADA), [0xad; 32], to(BOB));
    let bob = Config::new(Side::Acceptor, key(BOB), lab, epoch_of(BOB), [0xb0; 32], to(ADA));
    (Config { dial_seq: 7, ..ada }, bob)
}

/// The same over a transport without an exporter.
pub(super) fn without_exporter(binding: Binding) -> (Config, Config) {
    let (ada, bob) = tls();
    (Config { binding, ..ada }, Config { binding, ..bob })
}

/// Ada dials Bob on a connection of its own: other nonces, another exporter, another secret than on any other.
pub(super) fn by_chance(dice: &mut Dice, transport: fn() -> (Config, Config)) -> (Config, Config) {
    let (mut ada, mut bob) = transport();
    let lab = network("lab", some_bytes(dice));
    let value = some_bytes(dice);
    for config in [&mut ada, &mut bob] {
        config.nonce = some_bytes(dice);
        config.network = lab.clone();
        if let Binding::Exporter { value: exporter, .. } = &mut config.binding {
            *exporter = value;
        }
    }
    (ada, bob)
}

pub(super) fn some_bytes(dice: &mut Dice) -> [u8; 32] {
    std::array::from_fn(|_| dice.below(256) as u8)
}

pub(super) fn epoch_of(node: u8) -> Epoch {
    Epoch::new(u64::from(node) * 100, [node; 16])
}

pub(super) fn features(names: &[&'static str]) -> Features {
    Features::offer(names.iter().copied()).expect("few and short")
}

/// One end, with everything that it ordered.
pub(super) struct End {
    pub(super) machine: Handshake,
    pub(super) now: Instant,
    /// What it wrote and nobody took.
    pub(super) written: Vec<u8>,
    pub(super) proved: Option<Established>,
    pub(super) admitted: Option<(Established, Bytes)>,
    pub(super) failed: Option<HelloError>,
}

impl End {
    pub(super) fn begin(config: Config) -> End {
        let now = crate::sim::epoch();
        let machine = Handshake::new(now, config);
        let mut end = End { machine, now, written: Vec::new(), proved: None, admitted: None, failed: None };
        end.feed(Input::Start);
        end
    }

    pub(super) fn feed(&mut self, input: Input<'_>) {
        for order in self.machine.handle(self.now, input) {
            assert!(self.admitted.is_none() && self.failed.is_none(), "nothing follows the end: {order:?}");
            match order {
                Output::Send(bytes) => self.written.extend_from_slice(&bytes),
                Output::Proved(established) => assert!(self.proved.replace(established).is_none(), "proved once"),
                Output::Admitted { established, behind } => self.admitted = Some((established, behind)),
                Output::Failed(why) => self.failed = Some(why),
            }
        }
        let is_over = self.admitted.is_some() || self.failed.is_some();
        assert_eq!((self.machine.is_over(), self.machine.next_timeout().is_none()), (is_over, is_over));
    }

    pub(super) fn receives(&mut self, bytes: &[u8]) {
        self.feed(Input::Received(bytes));
    }

    /// What it wrote since the last time.
    pub(super) fn takes(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.written)
    }

    /// Looks that it refused without a word, and why.
    pub(super) fn refused_in_silence(&self) -> &HelloError {
        assert_eq!(self.written, b"", "not a byte");
        assert_eq!((&self.proved, &self.admitted), (&None, &None));
        self.failed.as_ref().expect("refused")
    }
}

/// Carries everything from one to the other and back, and admits whoever is proved, until nothing moves.
pub(super) fn settle(dialler: &mut End, acceptor: &mut End) {
    loop {
        let (forth, back) = (dialler.takes(), acceptor.takes());
        if forth.is_empty() && back.is_empty() {
            return;
        }
        for (end, bytes) in [(&mut *acceptor, forth), (&mut *dialler, back)] {
            if !bytes.is_empty() {
                end.receives(&bytes);
            }
            if end.proved.is_some() {
                end.feed(Input::Admit);
            }
        }
    }
}

/// Both ends up to the dialler's Hello, which is on its way.
pub(super) fn dialled((ada, bob): (Config, Config)) -> (End, End, Vec<u8>) {
    let (mut ada, mut bob) = (End::begin(ada), End::begin(bob));
    let preamble = bob.takes();
    if !preamble.is_empty() {
        ada.receives(&preamble);
    }
    let hello = ada.takes();
    assert!(!hello.is_empty() && bob.failed.is_none(), "the Hello is on its way");
    (ada, bob, hello)
}

/// Both ends up to the acceptor's Hello, which is on its way.
pub(super) fn answered(configs: (Config, Config)) -> (End, End, Vec<u8>) {
    let (ada, mut bob, hello) = dialled(configs);
    bob.receives(&hello);
    assert!(bob.proved.is_some(), "the dialler's proof is good");
    let reply = bob.takes();
    (ada, bob, reply)
}

/// Both ends after both proofs.
pub(super) fn proved(configs: (Config, Config)) -> (End, End) {
    let (mut ada, bob, reply) = answered(configs);
    ada.receives(&reply);
    assert!(ada.proved.is_some(), "the acceptor's proof is good");
    (ada, bob)
}

/// A frame of the handshake whatever its kind and content.
pub(super) fn frame(kind: u8, id: u64, content: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    crate::codec::Encoding::MsgPack.put_head(kind, id, &mut body);
    body.extend_from_slice(content);
    [&u32::try_from(body.len()).expect("short").to_be_bytes()[..], &body].concat()
}

pub(super) fn opened(frame: &[u8]) -> Greeting {
    Greeting::read(&frame[4..]).expect("one of ours")
}

/// Takes a Hello frame apart, lets its parts be changed, and joins them again: nothing is proved anew.
pub(super) fn tampered(
    frame: &[u8],
    change: impl FnOnce(&mut Vec<u8>, &mut [u8; 32], &mut Option<[u8; SIGNATURE_BYTES]>),
) -> Vec<u8> {
    let Greeting::Hello { mut hello, mut proof, mut signature } = opened(frame) else { panic!("a Hello") };
    change(&mut hello, &mut proof, &mut signature);
    Greeting::Hello { hello, proof, signature }.frame()
}

/// The same where only what the Hello says is changed.
pub(super) fn says_otherwise(frame: &[u8], change: impl FnOnce(&mut Hello)) -> Vec<u8> {
    tampered(frame, |bytes, _, _| {
        let mut hello = Hello::decode(bytes).expect("one of ours");
        change(&mut hello);
        *bytes = hello.encode();
    })
}

/// A dialler's Hello frame by somebody who holds the secret and says what it likes, signed with any key.
pub(super) fn insider_says(config: &Config, acceptor: &Config, hello: &[u8], claims: NodeId) -> Vec<u8> {
    let nonce = Hello::decode(hello).map_or([0; 32], |hello| hello.nonce);
    let (bound, has_exporter) = match config.binding {
        Binding::Exporter { value, peer } => (Bound { dialler: claims, acceptor: peer, exporter: value }, true),
        Binding::Local | Binding::Plaintext => {
            let acceptor = (acceptor.signer.id(), &acceptor.nonce);
            (Bound::by_nonces((claims, &nonce), acceptor), false)
        }
    };
    let proof = bound.proof(Side::Dialler, &config.network, &Sha256::new().chain_update(hello));
    let signature = (!has_exporter).then(|| config.signer.sign(&bound.signed_text(Side::Dialler)));
    Greeting::Hello { hello: hello.to_vec(), proof, signature }.frame()
}
