//! The four frames of the handshake as bytes (PROTOCOL §9.2).

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::error::{Misbehaved, Refusal};
use super::terms::{Features, Versions};
use crate::codec::strict::{Bin, Blob, is_map};
use crate::codec::{Encoding, Payload};
use crate::id::{Epoch, NodeId};
use crate::keys::SIGNATURE_BYTES;
use crate::limits;

/// One frame of the handshake.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Greeting {
    /// The acceptor's first word where there is no exporter.
    Preamble { nonce: [u8; 32], id: NodeId },
    /// What an end says of itself, its proof, and its signature where there is no exporter.
    Hello { hello: Vec<u8>, proof: [u8; 32], signature: Option<[u8; SIGNATURE_BYTES]> },
    /// This end takes the link.
    Admitted,
    /// This end does not.
    Refused(Refusal),
}

impl Greeting {
    /// The whole frame, its length in front.
    pub(super) fn frame(&self) -> Vec<u8> {
        let content = match self {
            Greeting::Preamble { nonce, id } => encode(&(Bin(*nonce), Bin(*id.as_bytes()))),
            Greeting::Hello { hello, proof, signature } => {
                encode(&(Blob(hello.clone()), Bin(*proof), signature.map(Bin)))
            }
            Greeting::Admitted => Payload::null(Encoding::MsgPack),
            Greeting::Refused(why) => refusal(why),
        };
        let mut frame = vec![0; 4];
        Encoding::MsgPack.put_head(self.kind(), 0, &mut frame);
        frame.extend_from_slice(content.bytes());
        let length = u32::try_from(frame.len().saturating_sub(4)).expect("a frame of the handshake is small");
        frame[..4].copy_from_slice(&length.to_be_bytes());
        frame
    }

    /// Reads the body of a frame.
    pub(super) fn read(body: &[u8]) -> Result<Greeting, Misbehaved> {
        let triple = Encoding::MsgPack.split(body).map_err(Misbehaved::BadFrame)?;
        if triple.id != 0 {
            return Err(Misbehaved::BadId(triple.id));
        }
        let content = Payload::from_parts(Encoding::MsgPack, Bytes::copy_from_slice(&body[triple.content]));
        match triple.kind {
            PREAMBLE => {
                let (nonce, id): (Bin<32>, Bin<32>) = decode(&content, "preamble")?;
                Ok(Greeting::Preamble { nonce: nonce.0, id: NodeId::from_bytes(id.0) })
            }
            HELLO => {
                let (hello, proof, signature): (Blob, Bin<32>, Option<Bin<SIGNATURE_BYTES>>) =
                    decode(&content, "hello")?;
                Ok(Greeting::Hello { hello: hello.0, proof: proof.0, signature: signature.map(|bin| bin.0) })
            }
            // Whatever a newer version puts in there: the kind says it all.
            ADMITTED => Ok(Greeting::Admitted),
            REFUSED => read_refusal(&content).map(Greeting::Refused),
            other => Err(Misbehaved::OutOfTurn(other)),
        }
    }

    /// The number of the kind.
    pub(super) fn kind(&self) -> u8 {
        let number = match self {
            Greeting::Preamble { .. } => PREAMBLE,
            Greeting::Hello { .. } => HELLO,
            Greeting::Admitted => ADMITTED,
            Greeting::Refused(_) => REFUSED,
        };
        number as u8
    }
}

/// What an end says of itself before it is admitted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Hello {
    pub(super) versions: Versions,
    /// As the peer names them, known or not.
    pub(super) features: BTreeSet<String>,
    pub(super) epoch: Epoch,
    /// The dialler's alone.
    pub(super) dial_seq: Option<u64>,
    pub(super) nonce: [u8; 32],
    /// The dialler's alone, where there is no exporter.
    pub(super) id: Option<NodeId>,
}

/// The same as a map.
#[derive(Serialize, Deserialize)]
struct HelloMap {
    versions: (u32, u32),
    features: BTreeSet<String>,
    epoch: (u64, Bin<16>),
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dial_seq: Option<u64>,
    nonce: Bin<32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<Bin<32>>,
}

impl Hello {
    /// The features as a Hello carries them.
    pub(super) fn features(offered: &Features) -> BTreeSet<String> {
        offered.names().map(str::to_owned).collect()
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let map = HelloMap {
            versions: (self.versions.min(), self.versions.max()),
            features: self.features.clone(),
            epoch: (self.epoch.start(), Bin(*self.epoch.random())),
            dial_seq: self.dial_seq,
            nonce: Bin(self.nonce),
            id: self.id.map(|id| Bin(*id.as_bytes())),
        };
        encode(&map).bytes().to_vec()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Hello, Misbehaved> {
        if !is_map(bytes) {
            return Err(Misbehaved::BadContent("hello"));
        }
        let map: HelloMap = decode(&Payload::from_parts(Encoding::MsgPack, Bytes::copy_from_slice(bytes)), "hello")?;
        let (min, max) = map.versions;
        Ok(Hello {
            versions: Versions::new(min, max).ok_or(Misbehaved::BadContent("hello"))?,
            features: map.features,
            epoch: Epoch::new(map.epoch.0, map.epoch.1.0),
            dial_seq: map.dial_seq,
            nonce: map.nonce.0,
            id: map.id.map(|id| NodeId::from_bytes(id.0)),
        })
    }
}

fn refusal(why: &Refusal) -> Payload {
    match why {
        Refusal::Incompatible => encode(&(0, ())),
        Refusal::Busy { retry_after } => {
            let wait = retry_after.min(&limits::RETRY_AFTER_MAX).as_millis();
            encode(&(1, u64::try_from(wait).expect("an hour in milliseconds")))
        }
        Refusal::IdentityConflict => encode(&(2, ())),
        Refusal::StaleEpoch { newest } => encode(&(3, (newest.start(), Bin(*newest.random())))),
        Refusal::Draining => encode(&(4, ())),
        Refusal::Other(number) => encode(&(number, ())),
    }
}

fn read_refusal(content: &Payload) -> Result<Refusal, Misbehaved> {
    let (number, _): (u64, IgnoredAny) = decode(content, "refused")?;
    Ok(match number {
        0 => Refusal::Incompatible,
        1 => {
            let (_, wait): (u64, u64) = decode(content, "refused")?;
            Refusal::Busy { retry_after: Duration::from_millis(wait).min(limits::RETRY_AFTER_MAX) }
        }
        2 => Refusal::IdentityConflict,
        3 => {
            let (_, (start, random)): (u64, (u64, Bin<16>)) = decode(content, "refused")?;
            Refusal::StaleEpoch { newest: Epoch::new(start, random.0) }
        }
        4 => Refusal::Draining,
        other => Refusal::Other(other),
    })
}

fn encode<T: Serialize>(value: &T) -> Payload {
    Payload::encode(value, Encoding::MsgPack).expect("numbers, text and bytes: MessagePack carries all of them")
}

fn decode<T: serde::de::DeserializeOwned>(content: &Payload, kind: &'static str) -> Result<T, Misbehaved> {
    content.decode().map_err(|_| Misbehaved::BadContent(kind))
}

const PREAMBLE: u64 = 8;
const HELLO: u64 = 9;
const ADMITTED: u64 = 10;
const REFUSED: u64 = 11;
