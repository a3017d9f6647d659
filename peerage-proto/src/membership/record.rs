//! The record of a node, signed by it (PROTOCOL §13).

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::address::Address;
use crate::codec::strict::{Bin, Blob, is_map};
use crate::codec::{DecodeError, Elements, Encoding, Payload};
use crate::hello::{NetworkKey, is_printable};
use crate::id::{Epoch, Group, InvalidName, NodeId};
use crate::keys::{SIGNATURE_BYTES, Signer, Verifier};
use crate::limits;

/// What a node says of itself to all others.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Record {
    /// Whose record it is: the key that signs it.
    pub id: NodeId,
    /// The run of the node, and the number of this record in it.
    pub incarnation: Incarnation,
    /// What people call it; need not be unique. 1 to [`limits::INTRODUCED_TEXT_BYTES_MAX`] bytes of printable text.
    pub name: String,
    /// Its machine: equal for nodes on the same one, and says nothing else.
    pub machine: [u8; 16],
    /// The groups it belongs to. At most [`limits::GROUPS_MAX`], and as many as the record has room for.
    pub groups: BTreeSet<Group>,
    /// Whether it is a hub.
    pub hub: bool,
    /// Whether it is here for one command only.
    pub ephemeral: bool,
    /// Where it can be reached, the best first. At most [`limits::INTRODUCED_ADDRESSES_MAX`]. Of a read record, those of an
    /// unknown form are left out. A node without any is a member through the links it opens itself.
    pub addresses: Vec<Address>,
    /// SHA-256 over the list of its services; `None` without any.
    pub services: Option<[u8; 32]>,
    /// Its X25519 public key of this run, to which what others relay is sealed; `None` if it takes nothing relayed.
    pub sealing_key: Option<[u8; 32]>,
    /// Set in its farewell: it leaves for this reason, and no record of the run follows. Cut at
    /// [`limits::REASON_BYTES_MAX`].
    pub left: Option<String>,
    /// How long the record holds after it was signed, unless a newer one comes. Of a read record at most
    /// [`limits::WIRE_TIME_MAX`].
    pub lease: Duration,
}

/// Which of a node's records one is: later runs after earlier ones, and in a run by number.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Incarnation {
    /// The run.
    pub epoch: Epoch,
    /// From 1, one more for each record of the run.
    pub sequence: u64,
}

/// A record as it travels: the bytes that were signed, kept as they came, and the signature.
#[derive(Clone, Eq, Hash, PartialEq)]
pub struct SignedRecord {
    record: Record,
    body: Bytes,
    signature: [u8; SIGNATURE_BYTES],
}

/// A record whose form is right and whose signature nobody has looked at. It may be anybody's word.
#[derive(Clone, Debug)]
pub struct UnverifiedRecord(SignedRecord);

/// The same as a map.
#[derive(Serialize, Deserialize)]
struct Map {
    id: Bin<32>,
    epoch: (u64, Bin<16>),
    seq: u64,
    name: String,
    machine: Bin<16>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    groups: Vec<String>,
    #[serde(default, skip_serializing_if = "is_false")]
    hub: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    ephemeral: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    addresses: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    services: Option<Bin<32>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<Bin<32>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    left: Option<String>,
    lease_s: u64,
}

impl SignedRecord {
    /// Signs a record for one network. In another it is worth nothing.
    ///
    /// # Errors
    /// [`InvalidRecord`] if others would refuse it; [`InvalidRecord::TooLarge`] if its name, groups and addresses do not
    /// fit; [`InvalidRecord::NotOurs`] if it is not the signer's.
    pub fn sign(record: &Record, network: &NetworkKey, signer: &dyn Signer) -> Result<SignedRecord, InvalidRecord> {
        if record.id != signer.id() {
            return Err(InvalidRecord::NotOurs);
        }
        let body =
            Payload::encode(&record.map(), Encoding::MsgPack).expect("numbers, text and bytes: nothing is refused");
        let body = Bytes::copy_from_slice(body.bytes());
        let checked = Record::read(&body)?;
        let signature = signer.sign(&signed_text(network, &body));
        let signed = SignedRecord { record: checked, body, signature };
        signed.check_size()?;
        Ok(signed)
    }

    /// Signs a record, with as many of its addresses as there is room for: the last ones are left out first.
    ///
    /// # Errors
    /// As of [`sign`](Self::sign); [`InvalidRecord::TooLarge`] if it does not even fit without addresses.
    pub fn sign_fitting(
        mut record: Record,
        network: &NetworkKey,
        signer: &dyn Signer,
    ) -> Result<SignedRecord, InvalidRecord> {
        record.addresses.truncate(limits::INTRODUCED_ADDRESSES_MAX);
        loop {
            match SignedRecord::sign(&record, network, signer) {
                Err(InvalidRecord::TooLarge { .. }) if record.addresses.pop().is_some() => {}
                result => return result,
            }
        }
    }

    /// Reads a record and judges its signature.
    ///
    /// The form is looked at first: it is cheap, a signature is not.
    ///
    /// # Errors
    /// [`InvalidRecord`] says what is wrong. Whoever handed such a record on has not looked at it.
    pub fn open(
        content: &Payload,
        network: &NetworkKey,
        verifier: &dyn Verifier,
    ) -> Result<SignedRecord, InvalidRecord> {
        UnverifiedRecord::read(content)?.verify(network, verifier)
    }

    /// The record.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// The content in which it travels: exactly the bytes that were signed, with what this version does not know.
    pub fn encode(&self) -> Payload {
        let parts = (Blob(self.body.to_vec()), Bin(self.signature));
        Payload::encode(&parts, Encoding::MsgPack).expect("bytes: nothing is refused")
    }

    /// What the record adds to a digest of records (PROTOCOL §13): equal for all records of a run that say the same, as
    /// those do that only renew the lease.
    pub fn mark(&self) -> [u8; MARK_BYTES] {
        let mut hash = Sha256::new_with_prefix(MARK_LABEL);
        for entry in entries(&self.body) {
            hash.update(entry);
        }
        let mut mark = [0; MARK_BYTES];
        mark.copy_from_slice(&hash.finalize()[..MARK_BYTES]);
        mark
    }

    fn check_size(&self) -> Result<(), InvalidRecord> {
        let bytes = self.encode().len();
        if bytes <= limits::RECORD_BYTES_MAX { Ok(()) } else { Err(InvalidRecord::TooLarge { bytes }) }
    }
}

impl UnverifiedRecord {
    /// Reads a record without looking at the signature.
    ///
    /// # Errors
    /// [`InvalidRecord`] if it has not the form of one.
    pub fn read(content: &Payload) -> Result<UnverifiedRecord, InvalidRecord> {
        if content.len() > limits::RECORD_BYTES_MAX {
            return Err(InvalidRecord::TooLarge { bytes: content.len() });
        }
        let (Blob(body), Bin(signature)): (Blob, Bin<SIGNATURE_BYTES>) =
            content.decode().map_err(InvalidRecord::Content)?;
        let record = Record::read(&body)?;
        Ok(UnverifiedRecord(SignedRecord { record, body: Bytes::from(body), signature }))
    }

    /// Whom it claims to be of.
    pub fn id(&self) -> &NodeId {
        &self.0.record.id
    }

    /// Which record of that node it claims to be.
    pub fn incarnation(&self) -> Incarnation {
        self.0.record.incarnation
    }

    /// Takes it as it is, for a rule that is broken on purpose.
    pub(super) fn believe(self) -> SignedRecord {
        self.0
    }

    /// Judges the signature.
    ///
    /// # Errors
    /// [`InvalidRecord::Signature`] if it is not that of the subject, for this network.
    pub fn verify(self, network: &NetworkKey, verifier: &dyn Verifier) -> Result<SignedRecord, InvalidRecord> {
        let UnverifiedRecord(signed) = self;
        if !verifier.verify(&signed.record.id, &signed_text(network, &signed.body), &signed.signature) {
            return Err(InvalidRecord::Signature);
        }
        Ok(signed)
    }
}

impl fmt::Debug for SignedRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SignedRecord").field(&self.record).finish()
    }
}

impl Record {
    fn map(&self) -> Map {
        let Incarnation { epoch, sequence } = self.incarnation;
        Map {
            id: Bin(*self.id.as_bytes()),
            epoch: (epoch.start(), Bin(*epoch.random())),
            seq: sequence,
            name: self.name.clone(),
            machine: Bin(self.machine),
            groups: self.groups.iter().map(Group::to_string).collect(),
            hub: self.hub,
            ephemeral: self.ephemeral,
            addresses: self.addresses.iter().map(Address::to_string).collect(),
            services: self.services.map(Bin),
            key: self.sealing_key.map(Bin),
            left: self.left.clone(),
            lease_s: self.lease.as_secs(),
        }
    }

    fn read(body: &[u8]) -> Result<Record, InvalidRecord> {
        let content = Payload::from_parts(Encoding::MsgPack, Bytes::copy_from_slice(body));
        if !is_map(body) {
            return Err(InvalidRecord::Content(DecodeError::WrongType { why: "a record is a map".to_owned() }));
        }
        let map: Map = content.decode().map_err(InvalidRecord::Content)?;
        if map.name.is_empty() || map.name.len() > limits::INTRODUCED_TEXT_BYTES_MAX {
            return Err(InvalidRecord::NameLength { bytes: map.name.len() });
        }
        if let Some(character) = map.name.chars().find(|c| !is_printable(*c)) {
            return Err(InvalidRecord::Unprintable { character });
        }
        if map.seq == 0 {
            return Err(InvalidRecord::NoSequence);
        }
        if map.lease_s == 0 {
            return Err(InvalidRecord::NoLease);
        }
        check_count("groups", map.groups.len(), limits::GROUPS_MAX)?;
        check_count("addresses", map.addresses.len(), limits::INTRODUCED_ADDRESSES_MAX)?;
        let groups: Result<_, InvalidName> = map.groups.iter().map(|group| group.parse()).collect();
        let (start, Bin(random)) = map.epoch;
        Ok(Record {
            id: NodeId::from_bytes(map.id.0),
            incarnation: Incarnation { epoch: Epoch::new(start, random), sequence: map.seq },
            name: map.name,
            machine: map.machine.0,
            groups: groups.map_err(InvalidRecord::Group)?,
            hub: map.hub,
            ephemeral: map.ephemeral,
            addresses: map.addresses.iter().filter_map(|text| text.parse().ok()).collect(),
            services: map.services.map(|bin| bin.0),
            sealing_key: map.key.map(|bin| bin.0),
            left: map.left.map(cut),
            lease: Duration::from_secs(map.lease_s).min(limits::WIRE_TIME_MAX),
        })
    }
}

/// What is signed: the label, the network, the bytes of the record.
fn signed_text(network: &NetworkKey, body: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(network.secret()).expect("HMAC takes keys of any length");
    mac.update(NETWORK_LABEL);
    mac.update(network.name().as_bytes());
    [RECORD_LABEL, &mac.finalize().into_bytes(), body].concat()
}

/// Keys and values of a record's map as they stand, without those that each renewal changes.
fn entries(body: &Bytes) -> impl Iterator<Item = &[u8]> {
    let mut elements = Elements::of_map(body).ok();
    std::iter::from_fn(move || {
        let elements = elements.as_mut()?;
        let key = elements.next_element().ok()??;
        let value = elements.next_element().ok()??;
        Some((&body[key.clone()], &body[key.start..value.end]))
    })
    .filter(|(key, _)| !RENEWED.contains(key))
    .map(|(_, entry)| entry)
}

fn cut(mut reason: String) -> String {
    reason.truncate(reason.floor_char_boundary(limits::REASON_BYTES_MAX));
    reason
}

fn check_count(field: &'static str, count: usize, limit: usize) -> Result<(), InvalidRecord> {
    if count <= limit { Ok(()) } else { Err(InvalidRecord::TooMany { field, limit }) }
}

fn is_false(value: &bool) -> bool {
    !value
}

/// Why bytes are no record, or a record cannot be signed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidRecord {
    /// It does not open, or has not the form.
    #[error("the record does not decode: {0}")]
    Content(DecodeError),
    /// It is larger than a record may be.
    #[error(
        "a record of {bytes} bytes, at most {} are accepted: fewer or shorter groups and addresses fit",
        limits::RECORD_BYTES_MAX
    )]
    TooLarge {
        /// Its size in bytes.
        bytes: usize,
    },
    /// A list has too many entries.
    #[error("more than {limit} {field} in a record")]
    TooMany {
        /// Which list.
        field: &'static str,
        /// How many there may be.
        limit: usize,
    },
    /// The name is empty or too long.
    #[error("the name in a record has {bytes} bytes; 1 to {} are allowed", limits::INTRODUCED_TEXT_BYTES_MAX)]
    NameLength {
        /// Its length in bytes.
        bytes: usize,
    },
    /// The name holds something that cannot be shown in a line.
    #[error("the name in a record holds {character:?}, which does not print")]
    Unprintable {
        /// The first such character.
        character: char,
    },
    /// A group's name is none.
    #[error("a group in a record: {0}")]
    Group(InvalidName),
    /// Records are numbered from 1.
    #[error("a record without a number")]
    NoSequence,
    /// It would be over before it began.
    #[error("a record without a lease")]
    NoLease,
    /// Somebody else's record was to be signed.
    #[error("a node signs its own record and no other")]
    NotOurs,
    /// The signature is not that of its subject over these bytes in this network.
    #[error("the record is not signed by the node it is about, or not for this network")]
    Signature,
}

const RECORD_LABEL: &[u8] = b"peerage record 1";
const NETWORK_LABEL: &[u8] = b"peerage record network 1";
const MARK_LABEL: &[u8] = b"peerage digest 1";

/// Bytes of a mark, and so of a digest: a stranger cannot make two records with one mark, and a digest fits into any frame.
pub(super) const MARK_BYTES: usize = 16;

/// The keys, encoded, of what changes when a record is only renewed: `seq` and `lease_s`.
const RENEWED: [&[u8]; 2] = [b"\xa3seq", b"\xa7lease_s"];

#[cfg(test)]
mod tests;
