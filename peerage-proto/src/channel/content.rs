//! Content of a frame as its sender holds it.

use bytes::Bytes;

use crate::codec::{Encoding, Payload, TranscodeError};

/// Content of a frame as its sender holds it, with the encoding it is in.
///
/// The encoding of a link may change while a sender encodes. Content in another one than the link has by then is put into
/// it, at the price of opening it once.
#[derive(Clone, Copy, Debug)]
pub enum Content<'a> {
    /// Bytes that live only now; they are copied.
    Copied(Encoding, &'a [u8]),
    /// Bytes with an owner; large ones are shared instead of copied.
    Shared(&'a Payload),
}

impl<'a> Content<'a> {
    /// The encoding.
    pub fn encoding(&self) -> Encoding {
        match self {
            Content::Copied(encoding, _) => *encoding,
            Content::Shared(payload) => payload.encoding(),
        }
    }

    /// The bytes themselves.
    pub fn bytes(&self) -> &'a [u8] {
        match self {
            Content::Copied(_, bytes) => bytes,
            Content::Shared(payload) => payload.bytes(),
        }
    }

    /// How many bytes.
    pub fn len(&self) -> usize {
        self.bytes().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.bytes().is_empty()
    }

    /// The same with memory of its own.
    pub(super) fn payload(&self) -> Payload {
        match self {
            Content::Copied(encoding, bytes) => Payload::from_parts(*encoding, Bytes::copy_from_slice(bytes)),
            Content::Shared(payload) => (*payload).clone(),
        }
    }

    /// The bytes as part of a frame.
    pub(super) fn part(&self) -> Part<'a> {
        match self {
            Content::Copied(_, bytes) => Part::Copied(bytes),
            Content::Shared(payload) => Part::Shared(payload.bytes()),
        }
    }

    /// The same value in another encoding.
    pub(super) fn transcoded(&self, encoding: Encoding) -> Result<Payload, TranscodeError> {
        self.payload().transcode(encoding)
    }
}

/// Bytes of a frame, in the encoding of the link.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part<'a> {
    /// They are copied.
    Copied(&'a [u8]),
    /// Large ones are shared.
    Shared(&'a Bytes),
}

impl<'a> Part<'a> {
    pub(super) fn bytes(&self) -> &'a [u8] {
        match self {
            Part::Copied(bytes) => bytes,
            Part::Shared(bytes) => bytes,
        }
    }
}
