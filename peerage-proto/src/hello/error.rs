//! How a handshake can fail, and what one node says to another when it declines.

use std::time::Duration;

use super::terms::Versions;
use crate::codec::BadTriple;
use crate::id::{Epoch, NodeId};
use crate::limits;

/// Why a connection did not become a link. What of it the peer gets to know is nothing, except where it says so.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum HelloError {
    /// The peer gave no valid proof: at the accepting end a wrong one, at the dialling end a wrong one or silence.
    #[error(
        "closed without proof: other network, other secret, or not a Peerage node. Compare the tickets of both sides"
    )]
    WrongNetwork,
    /// Another node answers than the one that was to be reached.
    #[error(
        "{expected} was to be reached, but {found} answers: the address belongs to another node now, or the id is old"
    )]
    IdentityMismatch {
        /// Who was to be there.
        expected: NodeId,
        /// Who is there.
        found: NodeId,
    },
    /// There is no version of the protocol that both ends speak. The peer is told.
    #[error("this node speaks version {ours} of the protocol, the peer {theirs}: update the older one")]
    Incompatible {
        /// What this end speaks.
        ours: Versions,
        /// What the peer speaks.
        theirs: Versions,
    },
    /// The peer belongs to the network and declines.
    #[error("refused by the peer: {0}")]
    Refused(Refusal),
    /// This end declined; the peer is told.
    #[error("refused by this node: {0}")]
    RefusedHere(Refusal),
    /// The other end has this node's own key.
    #[error("the address leads to this node itself, or to another one that runs with a copy of its key")]
    ToMyself,
    /// The time for the handshake was over before it was done.
    #[error("the handshake was not done in time")]
    TimedOut,
    /// The peer sends more than [`limits::ADMISSION_BYTES_MAX`] bytes before it has proved anything.
    #[error("more than {} bytes came before the proof: not a Peerage node?", limits::ADMISSION_BYTES_MAX)]
    TooMuch,
    /// The peer does not keep to the protocol.
    #[error("the peer does not keep to the protocol: {0}")]
    Misbehaved(Misbehaved),
    /// The peer closed the connection before the handshake was done.
    #[error("closed by the peer before the handshake was done")]
    Closed,
    /// The operating system reports the connection broken.
    #[error("the connection broke during the handshake: {0}")]
    Broken(String),
}

/// Why a node declines a link to another node of its network. Said only to who has proved to belong to it (PROTOCOL §9.5).
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// No common version.
    #[error("no common version of the protocol; update the older node")]
    Incompatible,
    /// It has as many links as it takes.
    #[error("it has no room for another link, try again after {retry_after:?}")]
    Busy {
        /// When to try again, at most [`limits::RETRY_AFTER_MAX`].
        retry_after: Duration,
    },
    /// Two nodes run with the same key.
    #[error("another node runs with the same key; give one of them a key of its own")]
    IdentityConflict,
    /// It knows a newer run of the same node.
    #[error("a newer run of this node is known ({newest})")]
    StaleEpoch {
        /// The newest run it knows.
        newest: Epoch,
    },
    /// It is about to leave.
    #[error("it is about to leave")]
    Draining,
    /// A reason of a newer version, by its number.
    #[error("a reason that this version does not know (number {0})")]
    Other(u64),
}

/// What a peer did in the handshake that the protocol does not allow.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Misbehaved {
    /// A body is not a MessagePack triple.
    #[error("bad frame: {0}")]
    BadFrame(BadTriple),
    /// A frame whose id is not 0.
    #[error("a frame of the handshake with the id {0}")]
    BadId(u64),
    /// A frame of a kind that has no place here.
    #[error("a frame of kind {0} out of turn")]
    OutOfTurn(u64),
    /// Content of another shape than its kind has.
    #[error("a {0} frame whose content does not decode")]
    BadContent(&'static str),
    /// The acceptor's Hello holds another nonce than its Preamble.
    #[error("two different nonces in one handshake")]
    OtherNonce,
    /// The signature was not made with the key that the id is.
    #[error("the signature was not made with the key of the claimed id")]
    BadSignature,
    /// The peer sent more behind its word of admission before it was admitted itself.
    #[error("bytes of a link before it is one")]
    TooEarly,
}
