//! Bytes as bytes and maps as maps.
//!
//! The codec is generous to applications: bytes are also read from a list of numbers, a struct also from a list of its
//! fields. What two nodes say to each other has one form only, the one that PROTOCOL gives it.

use std::fmt;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Whether a MessagePack value is a map.
pub(crate) fn is_map(bytes: &[u8]) -> bool {
    matches!(bytes.first(), Some(0x80..=0x8f | 0xde | 0xdf))
}

/// Exactly `N` bytes.
#[derive(Clone, Copy)]
pub(crate) struct Bin<const N: usize>(pub(crate) [u8; N]);

/// Bytes of any length.
pub(crate) struct Blob(pub(crate) Vec<u8>);

impl<const N: usize> Serialize for Bin<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de, const N: usize> Deserialize<'de> for Bin<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Blob(bytes) = Blob::deserialize(deserializer)?;
        let exact = bytes.as_slice().try_into();
        exact.map(Bin).map_err(|_| D::Error::invalid_length(bytes.len(), &"another number of bytes"))
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct BytesOnly;

        impl Visitor<'_> for BytesOnly {
            type Value = Blob;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Blob, E> {
                Ok(Blob(bytes.to_vec()))
            }
        }

        deserializer.deserialize_bytes(BytesOnly)
    }
}
