//! Two ends of a connection, and what is written between them.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use ed25519_dalek::{Signer as _, SigningKey};

use crate::frame::Side;
use crate::hello::{Binding, Config, Established, Handshake, HelloError, Input, NetworkKey, Output};
use crate::id::{Epoch, NodeId};
use crate::keys::{SIGNATURE_BYTES, Signer};

/// A node's key, from one byte.
pub(super) struct Key(SigningKey);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Key of {:?}", self.id())
    }
}

impl Signer for Key {
    fn id(&self) -> NodeId {
        NodeId::from_bytes(self.0.verifying_key().to_bytes())
    }

    fn sign(&self, message: &[u8]) -> [u8; SIGNATURE_BYTES] {
        self.0.sign(message).to_bytes()
    }
}

pub(super) const ADA: u8 = 1;
pub(super) const BOB: u8 = 2;

pub(super) fn key(of: u8) -> Arc<dyn Signer> {
    Arc::new(Key(SigningKey::from_bytes(&[of; 32])))
}

pub(super) fn id(of: u8) -> NodeId {
    key(of).id()
}

pub(super) fn lab() -> NetworkKey {
    NetworkKey::new("lab", &[0x5e; 32]).unwrap()
}

/// Ada dials Bob: both belong to the lab.
pub(super) fn tls() -> (Config, Config) {
    let to = |peer| Binding::Exporter { value: [0xe7; 32], peer: id(peer) };
    let ada = Config::new(Side::Dialler, key(ADA), lab(), epoch_of(ADA), [0xad; 32], to(BOB));
    let bob = Config::new(Side::Acceptor, key(BOB), lab(), epoch_of(BOB), [0xb0; 32], to(ADA));
    (Config { dial_seq: 7, ..ada }, bob)
}

/// The same over a transport without an exporter.
pub(super) fn without_exporter(binding: Binding) -> (Config, Config) {
    let (ada, bob) = tls();
    (Config { binding, ..ada }, Config { binding, ..bob })
}

pub(super) fn epoch_of(node: u8) -> Epoch {
    Epoch::new(u64::from(node) * 100, [node; 16])
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
    }

    pub(super) fn receives(&mut self, bytes: &[u8]) {
        self.feed(Input::Received(bytes));
    }

    /// What it wrote since the last time.
    pub(super) fn takes(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.written)
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
