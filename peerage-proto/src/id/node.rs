//! Which node: its Ed25519 public key, 32 bytes, base58 in text.
//!
//! A node *is* its key, so its id needs no registry and cannot be taken by somebody else. Base58 (the Bitcoin alphabet)
//! leaves out `0 O I l`, so that an id survives being read aloud and copied by hand; a double click selects all of it.

use std::fmt;
use std::str::FromStr;

/// Identifies a node: the 32 bytes of its Ed25519 public key.
///
/// `Display` is the whole id in base58 (43 or 44 characters for practically every key) and is read back by `FromStr`;
/// `Debug` shows the first eight characters only.
///
/// Having a `NodeId` proves nothing about who speaks. Reading one from text refuses what can be no node's key
/// ([`is_sound`](Self::is_sound)); [`from_bytes`](Self::from_bytes) takes any bytes, because bytes from the wire are checked
/// where signatures are.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct NodeId([u8; NODE_ID_BYTES]);

impl NodeId {
    /// The id of the node with this Ed25519 public key. Not checked: see [`is_sound`](Self::is_sound).
    pub const fn from_bytes(bytes: [u8; NODE_ID_BYTES]) -> Self {
        NodeId(bytes)
    }

    /// The public key.
    pub const fn as_bytes(&self) -> &[u8; NODE_ID_BYTES] {
        &self.0
    }

    /// Whether the bytes are an Ed25519 public key that only its owner can sign for, in the one encoding it has.
    ///
    /// No key are: bytes that are no point of the curve; a second encoding of a point, which would give one node two ids;
    /// points of small order, for which signatures can be made that fit nearly every message.
    pub fn is_sound(&self) -> bool {
        ed25519_dalek::VerifyingKey::from_bytes(&self.0)
            .is_ok_and(|key| !key.is_weak() && key.to_edwards().compress().to_bytes() == self.0)
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&bs58::encode(self.0).into_string())
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = bs58::encode(self.0).into_string();
        write!(f, "NodeId({}…)", &text[..DEBUG_CHARACTERS])
    }
}

impl FromStr for NodeId {
    type Err = InvalidNodeId;

    fn from_str(text: &str) -> Result<Self, InvalidNodeId> {
        let wrong_length = || InvalidNodeId::WrongLength { characters: text.chars().count() };
        // One byte of room too many: a key that is too long fills it, and a longer one ends the decoding early.
        let mut decoded = [0; NODE_ID_BYTES + 1];
        let length = bs58::decode(text).onto(&mut decoded).map_err(|why| match why {
            bs58::decode::Error::InvalidCharacter { character, index } => InvalidNodeId::NotBase58 { character, index },
            bs58::decode::Error::NonAsciiCharacter { index } => InvalidNodeId::NotBase58 {
                character: text[index..].chars().next().unwrap_or(char::REPLACEMENT_CHARACTER),
                index,
            },
            _ => wrong_length(),
        })?;
        if length != NODE_ID_BYTES {
            return Err(wrong_length());
        }
        let mut bytes = [0; NODE_ID_BYTES];
        bytes.copy_from_slice(&decoded[..NODE_ID_BYTES]);
        let id = NodeId(bytes);
        if id.is_sound() { Ok(id) } else { Err(InvalidNodeId::NoKey) }
    }
}

/// Why a text is no [`NodeId`].
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidNodeId {
    /// The text holds a character that base58 does not have.
    #[error("{character:?} at byte {index} is no base58 character (digits and letters without 0, O, I and l)")]
    NotBase58 {
        /// The first such character.
        character: char,
        /// Where it stands, in bytes from the start of the text.
        index: usize,
    },
    /// The text is base58, but not of 32 bytes.
    #[error("{characters} base58 characters do not hold the 32 bytes of a node id (usually 43 or 44 characters do)")]
    WrongLength {
        /// Characters in the text.
        characters: usize,
    },
    /// The text holds 32 bytes that are no node's key: no point of the curve, one of small order, or a second encoding.
    #[error("the 32 bytes are no Ed25519 public key of a node: was the id copied whole?")]
    NoKey,
}

/// Bytes of an Ed25519 public key.
const NODE_ID_BYTES: usize = 32;

/// Characters of an id shown in debug output. The shortest id, 32 zero bytes, has 32 characters.
const DEBUG_CHARACTERS: usize = 8;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn debug_output_is_short() {
        assert_eq!(format!("{:?}", NodeId::from_bytes([7; 32])), "NodeId(US517G59…)");
    }

    #[test]
    fn leading_zero_bytes_survive_the_text_form() {
        // The first y with 31 zero bytes in front that is on the curve.
        let ids = (2..=u8::MAX).map(|last| {
            let mut bytes = [0; 32];
            bytes[31] = last;
            NodeId::from_bytes(bytes)
        });
        let id = ids.into_iter().find(NodeId::is_sound).unwrap();
        assert!(id.to_string().starts_with(&"1".repeat(31)));
        assert_eq!(id.to_string().parse(), Ok(id));
    }

    #[test]
    fn a_character_outside_base58_is_named_with_its_place() {
        let refused = |text: &str| text.parse::<NodeId>().unwrap_err();
        assert_eq!(refused("ab0"), InvalidNodeId::NotBase58 { character: '0', index: 2 });
        assert_eq!(refused("ä"), InvalidNodeId::NotBase58 { character: 'ä', index: 0 });
        assert_eq!(refused("user:secret"), InvalidNodeId::NotBase58 { character: ':', index: 4 });
    }

    #[test]
    fn a_key_of_another_length_is_refused() {
        for characters in [0, 1, 31, 33, 43 * 2, 10_000] {
            assert_eq!("1".repeat(characters).parse::<NodeId>(), Err(InvalidNodeId::WrongLength { characters }));
        }
        let largest = "z".repeat(44); // more than 2^256
        assert_eq!(largest.parse::<NodeId>(), Err(InvalidNodeId::WrongLength { characters: 44 }));
    }

    proptest! {
        #[test]
        fn every_key_is_read_back_from_its_text(seed: [u8; 32]) {
            let bytes = ed25519_dalek::SigningKey::from_bytes(&seed).verifying_key().to_bytes();
            let id = NodeId::from_bytes(bytes);
            prop_assert_eq!(id.to_string().parse(), Ok(id));
            prop_assert_eq!(id.as_bytes(), &bytes);
        }

        #[test]
        fn what_is_no_key_is_not_read(bytes: [u8; 32]) {
            let id = NodeId::from_bytes(bytes);
            let read = if id.is_sound() { Ok(id) } else { Err(InvalidNodeId::NoKey) };
            prop_assert_eq!(id.to_string().parse(), read);
        }

        #[test]
        fn no_text_makes_the_parser_panic(text: String) {
            let _ = text.parse::<NodeId>();
        }
    }
}
