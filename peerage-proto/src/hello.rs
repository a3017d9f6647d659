//! From a connection to a link: the handshake of two nodes that may never have heard of each other.
//!
//! A node admits whoever proves to know the secret of its network, and nobody else learns anything from it, not even that
//! there is such a network. Both ends prove it to each other before they say a name or an address (PROTOCOL §9):
//!
//! ```text
//!   dialler                                               acceptor
//!      ◀──────────────── Preamble (no exporter) ─────────────
//!      ── Hello, proof ─────────────────────────────────────▶   proof good? no: close, not a byte
//!      ◀───────────────────────────────────── Hello, proof ──
//!   proof good? no: close, WrongNetwork
//!      ◀─────────────── Admitted or Refused ────────────────▶   each end asks its own node first
//! ```
//!
//! A proof is a MAC under the secret over this connection (the TLS exporter), the role and id of its maker, the id of the
//! other end, the network's name and all Hellos so far. So it cannot be used on another connection, reflected to its maker,
//! or carried by somebody in between, and nobody can take versions or features out of a Hello. Where the transport has no
//! exporter a hash over the nonces, ids and roles of both ends takes its place, and each end signs it with its key.
//!
//! [`Handshake`] is the machine of one end. It holds no key and draws no random number: a [`Signer`](crate::keys::Signer)
//! and a nonce come in with the [`Config`].

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::frame::{FrameDecoder, Side};
use crate::id::{LinkOrder, NodeId};
use crate::limits;
use crate::outputs::Outputs;
use crate::planted::{self, Bug};

mod config;
mod error;
mod introduction;
mod proof;
mod terms;
#[cfg(test)]
mod tests;
mod wire;

pub use config::{Binding, Config, InvalidNetworkKey, NetworkKey};
pub use error::{HelloError, Misbehaved, Refusal};
pub(crate) use introduction::is_printable;
pub use introduction::{Introduction, InvalidIntroduction};
pub use terms::{Established, Features, TooManyFeatures, Trust, Versions};

use proof::Bound;
use wire::{Greeting, Hello};

/// The label under which the TLS exporter is asked for [`Binding::Exporter`].
pub const EXPORTER_LABEL: &[u8] = b"EXPORTER-peerage-admission";

/// What happens to the machine.
#[derive(Debug)]
pub enum Input<'a> {
    /// The connection stands. The first input; what comes instead of it begins the handshake as well.
    Start,
    /// Bytes arrived.
    Received(&'a [u8]),
    /// The peer closed its direction in order: end of stream, TLS close, QUIC close with a code.
    PeerClosed,
    /// The connection broke.
    Broken(String),
    /// The time of [`Handshake::next_timeout`] has come. Harmless at any other time.
    Timeout,
    /// Answers [`Output::Proved`]: this node takes the link.
    Admit,
    /// Answers [`Output::Proved`]: it does not. After [`Input::Admit`] the peer may have begun the link already, so then it
    /// is not told.
    Refuse(Refusal),
}

/// What the machine wants done.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Output {
    /// Write these bytes.
    Send(Vec<u8>),
    /// The peer has proved that it belongs to the network: decide, and answer with [`Input::Admit`] or [`Input::Refuse`].
    Proved(Established),
    /// Both ends take the link. It begins with the bytes that came behind the peer's last word. The handshake is over.
    Admitted {
        /// What is known about the link.
        established: Established,
        /// Bytes that belong to the link already.
        behind: Bytes,
    },
    /// There will be no link. Close the connection, once everything is written. The handshake is over.
    Failed(HelloError),
}

/// One end of one handshake.
#[derive(Debug)]
pub struct Handshake {
    config: Config,
    phase: Phase,
    deadline: Instant,
    decoder: FrameDecoder,
    /// Bytes that the peer may still send without having proved anything.
    allowance: u32,
    orders: VecDeque<Output>,
}

/// How far the handshake has gone.
///
/// ```text
///   dialler:  Fresh ──exporter──────────────────┐
///               └──no exporter──▶ Preamble ──▶ Reply ──good proof──▶ Proved ──both admitted──▶ Over
///   acceptor: Fresh ─────────────────────────▶ Dial ──good proof──▶    │
///                                                └── anything wrong ───┴────────────────────▶ Over
/// ```
#[derive(Debug)]
enum Phase {
    /// Nothing happened yet.
    Fresh,
    /// The dialler waits for the acceptor's Preamble.
    Preamble,
    /// The acceptor waits for the dialler's Hello.
    Dial,
    /// The dialler waits for the acceptor's Hello.
    Reply { bound: Bound, hellos: Sha256, nonce: Option<[u8; 32]> },
    /// The peer has proved itself. Each end may still decline.
    Proved { established: Established, admitted_here: bool, admitted_there: bool },
    /// Admitted or failed.
    Over,
}

impl Handshake {
    /// A handshake that begins now. Feed it [`Input::Start`].
    pub fn new(now: Instant, config: Config) -> Handshake {
        let time = config.time.min(limits::HANDSHAKE_TIME_MAX);
        Handshake {
            config,
            phase: Phase::Fresh,
            deadline: now + time,
            decoder: decoder_for(limits::ADMISSION_BYTES_MAX),
            allowance: limits::ADMISSION_BYTES_MAX,
            orders: VecDeque::new(),
        }
    }

    /// Feeds one input. The returned orders must be carried out in sequence before the next input.
    pub fn handle(&mut self, now: Instant, input: Input<'_>) -> Outputs<'_, Output> {
        if let Err(why) = self.step(now, input) {
            self.phase = Phase::Over;
            self.orders.push_back(Output::Failed(why));
        }
        Outputs::new(&mut self.orders)
    }

    /// When to call [`handle`](Self::handle) with [`Input::Timeout`]; `None` once the handshake is over.
    pub fn next_timeout(&self) -> Option<Instant> {
        (!self.is_over()).then_some(self.deadline)
    }

    /// Whether the peer is admitted, or never will be.
    pub fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over)
    }

    /// Whether the peer has proved that it belongs to the network.
    pub fn is_proved(&self) -> bool {
        matches!(self.phase, Phase::Proved { .. })
    }

    fn step(&mut self, now: Instant, input: Input<'_>) -> Result<(), HelloError> {
        if self.is_over() {
            return Ok(());
        }
        if now >= self.deadline {
            return Err(HelloError::TimedOut);
        }
        if matches!(self.phase, Phase::Fresh) {
            self.begin()?;
        }
        match input {
            Input::Start | Input::Timeout => Ok(()),
            Input::Received(bytes) => self.received(bytes),
            Input::PeerClosed => Err(self.closed()),
            Input::Broken(why) => Err(HelloError::Broken(why)),
            Input::Admit => {
                self.admit();
                Ok(())
            }
            Input::Refuse(why) => self.refuse(why),
        }
    }

    fn begin(&mut self) -> Result<(), HelloError> {
        let own = self.own();
        match (self.config.side, self.config.binding) {
            (Side::Dialler, Binding::Exporter { value, peer }) => {
                self.check_peer(&peer)?;
                self.say_hello(Bound { dialler: own, acceptor: peer, exporter: value }, None);
            }
            (Side::Acceptor, Binding::Exporter { peer, .. }) => {
                self.check_peer(&peer)?;
                self.phase = Phase::Dial;
            }
            (Side::Dialler, Binding::Local | Binding::Plaintext) => self.phase = Phase::Preamble,
            (Side::Acceptor, Binding::Local | Binding::Plaintext) => {
                self.send(&Greeting::Preamble { nonce: self.config.nonce, id: own });
                self.phase = Phase::Dial;
            }
        }
        Ok(())
    }

    fn received(&mut self, mut bytes: &[u8]) -> Result<(), HelloError> {
        loop {
            if let Phase::Proved { admitted_there: true, .. } = self.phase {
                // The peer is not admitted yet and knows it, so what it sends now belongs nowhere.
                return if bytes.is_empty() { Ok(()) } else { Err(HelloError::Misbehaved(Misbehaved::TooEarly)) };
            }
            let body = match self.decoder.next(&mut bytes) {
                Ok(Some(body)) => body,
                Ok(None) => return Ok(()),
                Err(_) => return Err(HelloError::TooMuch),
            };
            let taken =
                u32::try_from(body.bytes().len().saturating_add(LENGTH_BYTES)).expect("no longer than the limit");
            self.allowance = self.allowance.saturating_sub(taken);
            let greeting = Greeting::read(body.bytes()).map_err(HelloError::Misbehaved)?;
            if let Some(established) = self.greeted(greeting)? {
                let behind = Bytes::copy_from_slice(bytes);
                self.orders.push_back(Output::Admitted { established, behind });
                return Ok(());
            }
            if self.is_proved() {
                self.allowance = limits::ADMISSION_BYTES_MAX;
            }
            self.decoder = decoder_for(self.allowance);
        }
    }

    /// Takes in one frame. Returns what is established if both ends take the link.
    fn greeted(&mut self, greeting: Greeting) -> Result<Option<Established>, HelloError> {
        let out_of_turn = HelloError::Misbehaved(Misbehaved::OutOfTurn(greeting.kind().into()));
        match (std::mem::replace(&mut self.phase, Phase::Over), greeting) {
            (Phase::Preamble, Greeting::Preamble { nonce, id }) => {
                self.check_peer(&id)?;
                let bound = Bound::by_nonces((self.own(), &self.config.nonce), (id, &nonce));
                self.say_hello(bound, Some(nonce));
                Ok(None)
            }
            (Phase::Dial, Greeting::Hello { hello, proof, signature }) => {
                self.dialled(&hello, &proof, signature.as_ref())?;
                Ok(None)
            }
            (Phase::Reply { bound, mut hellos, nonce }, Greeting::Hello { hello, proof, signature }) => {
                let theirs = Hello::decode(&hello).map_err(HelloError::Misbehaved)?;
                hellos.update(&hello);
                self.check_proof(&bound, &hellos, &proof)?;
                self.check_signature(&bound, signature.as_ref())?;
                if nonce.is_some_and(|nonce| nonce != theirs.nonce) {
                    return Err(HelloError::Misbehaved(Misbehaved::OtherNonce));
                }
                self.proved(&bound, self.config.dial_seq, &theirs)?;
                Ok(None)
            }
            (Phase::Proved { .. }, Greeting::Refused(why)) => Err(HelloError::Refused(why)),
            (Phase::Proved { established, admitted_here: true, .. }, Greeting::Admitted) => Ok(Some(established)),
            (Phase::Proved { established, admitted_here: false, .. }, Greeting::Admitted) => {
                self.phase = Phase::Proved { established, admitted_here: false, admitted_there: true };
                Ok(None)
            }
            _ => Err(out_of_turn),
        }
    }

    /// The acceptor has the dialler's Hello.
    fn dialled(
        &mut self,
        hello: &[u8],
        proof: &[u8; 32],
        signature: Option<&[u8; crate::keys::SIGNATURE_BYTES]>,
    ) -> Result<(), HelloError> {
        let no_hello = HelloError::Misbehaved(Misbehaved::BadContent("hello"));
        let theirs = Hello::decode(hello).map_err(HelloError::Misbehaved)?;
        let dial_seq = theirs.dial_seq.ok_or(no_hello.clone())?;
        let bound = match self.config.binding {
            Binding::Exporter { value, peer } => Bound { dialler: peer, acceptor: self.own(), exporter: value },
            Binding::Local | Binding::Plaintext => {
                let id = theirs.id.ok_or(no_hello)?;
                Bound::by_nonces((id, &theirs.nonce), (self.own(), &self.config.nonce))
            }
        };
        let mut hellos = Sha256::new();
        hellos.update(hello);
        self.check_proof(&bound, &hellos, proof)?;
        self.check_signature(&bound, signature)?;
        self.check_peer(&bound.dialler)?;
        self.send_hello(&bound, hellos);
        self.proved(&bound, dial_seq, &theirs)
    }

    fn say_hello(&mut self, bound: Bound, nonce: Option<[u8; 32]>) {
        let hellos = self.send_hello(&bound, Sha256::new());
        self.phase = Phase::Reply { bound, hellos, nonce };
    }

    /// Sends our Hello with its proof. `hellos` is the hash over those before it; returns it with ours.
    fn send_hello(&mut self, bound: &Bound, mut hellos: Sha256) -> Sha256 {
        let side = self.config.side;
        let has_exporter = self.has_exporter();
        let is_dialler = side == Side::Dialler;
        let hello = Hello {
            versions: self.config.versions,
            features: Hello::features(&self.config.features),
            epoch: self.config.epoch,
            dial_seq: is_dialler.then_some(self.config.dial_seq),
            nonce: self.config.nonce,
            id: (is_dialler && !has_exporter).then(|| self.own()),
        };
        let hello = hello.encode();
        hellos.update(&hello);
        let proof = bound.proof(side, &self.config.network, &hellos);
        let signature = (!has_exporter).then(|| self.config.signer.sign(&bound.signed_text(side)));
        self.send(&Greeting::Hello { hello, proof, signature });
        hellos
    }

    /// The peer belongs to the network: agree on the rest, and ask whether it is welcome.
    fn proved(&mut self, bound: &Bound, dial_seq: u64, theirs: &Hello) -> Result<(), HelloError> {
        let Some(version) = self.config.versions.agree(theirs.versions) else {
            self.send(&Greeting::Refused(Refusal::Incompatible));
            return Err(HelloError::Incompatible { ours: self.config.versions, theirs: theirs.versions });
        };
        let binding = bound.order(self.has_exporter());
        let established = Established {
            peer: if self.config.side == Side::Dialler { bound.acceptor } else { bound.dialler },
            trust: if self.config.binding == Binding::Plaintext { Trust::Claimed } else { Trust::Proven },
            epoch: theirs.epoch,
            order: LinkOrder { dialer: bound.dialler, dial_seq, binding },
            version,
            features: self.config.features.common(&theirs.features),
        };
        self.orders.push_back(Output::Proved(established.clone()));
        self.phase = Phase::Proved { established, admitted_here: false, admitted_there: false };
        Ok(())
    }

    fn admit(&mut self) {
        let Phase::Proved { established, admitted_here: here @ false, admitted_there } = &mut self.phase else {
            return;
        };
        *here = true;
        let done = admitted_there.then(|| established.clone());
        self.send(&Greeting::Admitted);
        if let Some(established) = done {
            self.phase = Phase::Over;
            self.orders.push_back(Output::Admitted { established, behind: Bytes::new() });
        }
    }

    fn refuse(&mut self, why: Refusal) -> Result<(), HelloError> {
        let Phase::Proved { admitted_here, .. } = self.phase else { return Ok(()) };
        if !admitted_here {
            self.send(&Greeting::Refused(why.clone()));
        }
        Err(HelloError::RefusedHere(why))
    }

    fn closed(&self) -> HelloError {
        match self.phase {
            // An acceptor closes like this, without a word, when the proof was none.
            Phase::Reply { .. } => HelloError::WrongNetwork,
            _ => HelloError::Closed,
        }
    }

    fn check_peer(&self, peer: &NodeId) -> Result<(), HelloError> {
        match self.config.expected {
            Some(expected) if expected != *peer => Err(HelloError::IdentityMismatch { expected, found: *peer }),
            _ if *peer == self.own() => Err(HelloError::ToMyself),
            _ => Ok(()),
        }
    }

    fn check_proof(&self, bound: &Bound, hellos: &Sha256, proof: &[u8; 32]) -> Result<(), HelloError> {
        let theirs = self.config.side.other();
        if bound.is_proof(theirs, &self.config.network, hellos, proof) { Ok(()) } else { Err(HelloError::WrongNetwork) }
    }

    /// Comes after the proof, so that nobody outside the network makes us do the arithmetic of signatures.
    fn check_signature(
        &self,
        bound: &Bound,
        signature: Option<&[u8; crate::keys::SIGNATURE_BYTES]>,
    ) -> Result<(), HelloError> {
        let theirs = self.config.side.other();
        let signer = if theirs == Side::Dialler { bound.dialler } else { bound.acceptor };
        let fits = match signature {
            None => self.has_exporter(),
            Some(signature) => {
                let is_good = || self.config.verifier.verify(&signer, &bound.signed_text(theirs), signature);
                !self.has_exporter() && (is_good() || planted::is(Bug::SignatureUnchecked))
            }
        };
        if fits { Ok(()) } else { Err(HelloError::Misbehaved(Misbehaved::BadSignature)) }
    }

    fn send(&mut self, greeting: &Greeting) {
        self.orders.push_back(Output::Send(greeting.frame()));
    }

    fn own(&self) -> NodeId {
        self.config.signer.id()
    }

    fn has_exporter(&self) -> bool {
        matches!(self.config.binding, Binding::Exporter { .. })
    }
}

/// Takes frames that fit into what may still come, their length included.
fn decoder_for(allowance: u32) -> FrameDecoder {
    FrameDecoder::new(allowance.saturating_sub(LENGTH_BYTES as u32))
}

/// Bytes of the length before a frame.
const LENGTH_BYTES: usize = 4;
