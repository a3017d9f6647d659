//! Encoded content, carried unopened: encoded once by who sends, decoded once by who receives, never on the way.

use std::fmt;

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

use super::{
    EncodeError, Encoding, Unsupported, Value,
    check::check,
    json,
    msgpack::{self, reader::Misread},
};
use crate::limits::NESTING_DEFAULT;

/// One encoded value and the codec it is in. Cheap to clone: clones share the bytes.
#[derive(Clone, Eq, PartialEq)]
pub struct Payload {
    encoding: Encoding,
    bytes: Bytes,
}

impl Payload {
    /// Takes `bytes` for one value in `encoding`. Not checked: they came out of [`Encoding::split`] or were encoded here.
    pub fn from_parts(encoding: Encoding, bytes: Bytes) -> Payload {
        Payload { encoding, bytes }
    }

    /// Takes bytes of unknown origin, after looking whether they are exactly one well-formed value.
    ///
    /// Nesting and integers are not limited here: that is done where the value is opened.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Malformed`] if they are no value, or more than one.
    pub fn parse(encoding: Encoding, bytes: Bytes) -> Result<Payload, DecodeError> {
        match encoding {
            Encoding::Json => drop(from_json::<serde::de::IgnoredAny>(utf8(&bytes)?.as_bytes())?),
            Encoding::MsgPack => whole(&bytes, msgpack::skip(&bytes, 0))?,
        }
        Ok(Payload { encoding, bytes })
    }

    /// Encodes `value`.
    ///
    /// # Errors
    ///
    /// [`EncodeError`] names what in the value this codec cannot carry, and where.
    pub fn encode<T: Serialize + ?Sized>(value: &T, encoding: Encoding) -> Result<Payload, EncodeError> {
        let mut out = Vec::with_capacity(64);
        encode_into(value, encoding, &mut out)?;
        Ok(Payload { encoding, bytes: out.into() })
    }

    /// The encoded null.
    pub fn null(encoding: Encoding) -> Payload {
        Payload { encoding, bytes: Bytes::from_static(encoding.null()) }
    }

    /// Opens the content as a value of type `T`.
    ///
    /// Nesting is limited to [`NESTING_DEFAULT`], looked at before anything is built; memory grows with items that are
    /// really there, never with what a length announces.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] says whether the bytes are at fault or only the type.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, DecodeError> {
        decode(self.encoding, &self.bytes, NESTING_DEFAULT)
    }

    /// The same value in another codec; in the same codec the same bytes, unopened.
    ///
    /// # Errors
    ///
    /// [`TranscodeError::Decode`] if it cannot be opened, [`TranscodeError::Encode`] if `to` cannot carry it.
    pub fn transcode(&self, to: Encoding) -> Result<Payload, TranscodeError> {
        if self.encoding == to {
            return Ok(self.clone());
        }
        let value: Value = self.decode()?;
        Ok(Payload::encode(&value, to)?)
    }

    /// Whether it is a map, as far as its first byte tells.
    pub fn is_map(&self) -> bool {
        super::elements::begins_map(self.encoding, &self.bytes)
    }

    /// The codec.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// The encoded bytes.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Length of the encoded value in bytes.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there are no bytes at all, which is no value in either codec.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The encoded bytes, by value.
    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }
}

/// Length and codec only: payloads are never logged.
impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payload({}, {} bytes)", self.encoding, self.bytes.len())
    }
}

/// Encodes `value` straight behind what `out` holds. On error `out` is as before.
///
/// In JSON the value is walked twice, first to look whether JSON can carry it.
///
/// # Errors
///
/// [`EncodeError`] names what in the value this codec cannot carry, and where.
pub fn encode_into<T: Serialize + ?Sized>(value: &T, encoding: Encoding, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let before = out.len();
    let written = match encoding {
        Encoding::Json => check(value, encoding)
            .and_then(|()| serde_json::to_writer(&mut *out, value).map_err(|why| unlocated(encoding, why.to_string()))),
        Encoding::MsgPack => msgpack::writer::write(value, out).map_err(|refusal| {
            // The writer knows what; the walk that finds where is done only now.
            check(value, encoding).err().unwrap_or_else(|| refusal.at_root(encoding))
        }),
    };
    if written.is_err() {
        out.truncate(before);
    }
    written
}

/// A value that passed the check and failed to be written: its `Serialize` did not do the same thing twice.
#[cold]
fn unlocated(encoding: Encoding, text: String) -> EncodeError {
    EncodeError { encoding, path: "$".to_owned(), why: Unsupported::Other(text) }
}

/// Opens `bytes`, one value in `encoding`, as [`Payload::decode`] does.
///
/// # Errors
///
/// [`DecodeError`] says whether the bytes are at fault or only the type.
#[inline]
pub fn decode_from<T: DeserializeOwned>(bytes: &[u8], encoding: Encoding) -> Result<T, DecodeError> {
    decode(encoding, bytes, NESTING_DEFAULT)
}

/// Opens `bytes` with at most `limit` containers inside each other.
pub(super) fn decode<T: DeserializeOwned>(encoding: Encoding, bytes: &[u8], limit: usize) -> Result<T, DecodeError> {
    match encoding {
        Encoding::Json => {
            json::survey(bytes, limit).map_err(|fault| match fault {
                json::Fault::TooDeep => DecodeError::NestedTooDeep { limit },
                json::Fault::IntegerOutOfRange(at) => DecodeError::IntegerOutOfRange { at },
                json::Fault::NotFinite(at) => DecodeError::NotFinite { at },
            })?;
            from_json(bytes)
        }
        Encoding::MsgPack => {
            // What is no container has nothing to survey: the reader sees for itself whether it is whole.
            if bytes.first().is_none_or(|first| msgpack::is_container(*first)) {
                let end = msgpack::survey(bytes, 0, limit);
                if let Err(msgpack::Fault::TooDeep(_)) = end {
                    return Err(DecodeError::NestedTooDeep { limit });
                }
                whole(bytes, end)?;
            }
            msgpack::reader::read(bytes).map_err(|(why, at)| match why {
                Misread::Type(text) => DecodeError::WrongType { why: format!("{text} at byte {at}") },
                Misread::Malformed(text) => malformed(text, at),
            })
        }
    }
}

fn from_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    serde_json::from_slice(bytes).map_err(|why| match why.classify() {
        serde_json::error::Category::Data => DecodeError::WrongType { why: why.to_string() },
        _ => DecodeError::Malformed { why: why.to_string() },
    })
}

fn utf8(bytes: &[u8]) -> Result<&str, DecodeError> {
    std::str::from_utf8(bytes).map_err(|why| malformed("not UTF-8", why.valid_up_to()))
}

/// Whether a MessagePack value ends where its bytes do.
fn whole(bytes: &[u8], end: Result<usize, msgpack::Fault>) -> Result<(), DecodeError> {
    match end {
        Ok(end) if end == bytes.len() => Ok(()),
        Ok(end) => Err(malformed("bytes follow the value", end)),
        Err(msgpack::Fault::Truncated(at)) => Err(malformed("the value is cut off", at)),
        Err(msgpack::Fault::Reserved(at) | msgpack::Fault::TooDeep(at)) => Err(malformed("0xc1 begins no value", at)),
    }
}

fn malformed(text: &str, at: usize) -> DecodeError {
    DecodeError::Malformed { why: format!("{text} at byte {at}") }
}

/// Why content could not be opened. Offsets count bytes from its start.
///
/// The connection lives: only the request with this content fails.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The content is a proper value, but not of the wanted type.
    #[error("the value has another type than wanted: {why}")]
    WrongType {
        /// What was found, what was wanted, and where.
        why: String,
    },
    /// The content is no proper value of its codec.
    #[error("the value is malformed: {why}")]
    Malformed {
        /// What is wrong, and where.
        why: String,
    },
    /// The content nests containers deeper than allowed.
    #[error("the value nests containers deeper than {limit}")]
    NestedTooDeep {
        /// The deepest nesting allowed.
        limit: usize,
    },
    /// JSON content holds an integer that no type of ours can: some other programs write them, we cannot read them.
    #[error("integer out of range at byte {at}: only -2^63 ... 2^64-1 can be opened")]
    IntegerOutOfRange {
        /// Where it begins.
        at: usize,
    },
    /// JSON content holds a bare `NaN`, `Infinity` or `-Infinity`: some other programs write them, JSON has no such value.
    #[error("NaN or an infinity at byte {at}: JSON has no such value; use msgpack")]
    NotFinite {
        /// Where it begins.
        at: usize,
    },
}

/// Why content could not be put into another codec.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TranscodeError {
    /// It could not be opened in its own.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The other cannot carry it.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

#[cfg(test)]
mod tests;
