//! What stands inside a frame: the triple `[kind, id, content]` in JSON or MessagePack.
//!
//! Two needs pull in opposite directions. Whoever carries a frame needs its kind and id within nanoseconds and must not
//! touch the content: a relay or an echo sends it on byte for byte, `NaN`, big integers and foreign extension types
//! included. Whoever opens the content wants a checked value of a Rust type. So there are two layers:
//!
//! ```text
//!   body ──split──▶ kind, id, content ──▶ Payload ──decode──▶ T          (structure only)   (checked, bounded)
//!   body ◀──put_head + content + put_tail── Payload ◀──encode── T        (refused here if the codec cannot carry it)
//! ```
//!
//! [`Encoding::split`] looks only at structure: MessagePack lengths, JSON brackets and quotes. It neither recurses nor
//! allocates for what the bytes claim, so hostile nesting and item counts cost nothing. [`Payload`] is content with its
//! encoding, opened at most once, by the receiver. [`Value`] is content of no type known in advance, and the text form of
//! values on the command line is its [`Display`](fmt::Display). `PROTOCOL.md` fixes the bytes.

use std::{fmt, ops::Range, str::FromStr};

mod check;
mod compress;
mod elements;
mod form;
mod invocation;
pub(crate) mod json;
mod metadata;
pub(crate) mod msgpack;
mod notation;
mod payload;
pub(crate) mod strict;
mod value;

pub use self::{
    check::{EncodeError, Unsupported},
    compress::{BadBlock, compress, decompress},
    elements::{Elements, NotAnArray},
    form::{Compression, Form},
    invocation::{Invocation, NotAnInvocation, call_of_parts, is_tag, put_call, put_kwargs},
    metadata::{AppMetadata, BadMetadata, Metadata, NoTrace, Trace, TraceState, put_metadata},
    notation::{Notation, NotationError},
    payload::{DecodeError, Payload, TranscodeError, decode_from, encode_into},
    value::Value,
};

/// How values become bytes on one connection. Both ends must use the same; nothing is negotiated in the plain dialect.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(u64)]
pub enum Encoding {
    /// JSON text in UTF-8. No bytes, no map keys but strings, no NaN or infinity.
    Json,
    /// MessagePack. Bytes and strings are distinct, map keys are any value.
    MsgPack,
}

impl Encoding {
    /// Every encoding, in the order of their names.
    pub const ALL: [Encoding; 2] = [Encoding::Json, Encoding::MsgPack];

    /// Recognises the codec of a connection by the first byte of its first frame body.
    ///
    /// `0x93`, `0xdc` and `0xdd` begin a MessagePack array; `[` or white space begin JSON. `None`: neither.
    pub fn recognise(first: u8) -> Option<Encoding> {
        match first {
            0x93 | 0xdc | 0xdd => Some(Encoding::MsgPack),
            b'[' | b' ' | b'\t' | b'\n' | b'\r' => Some(Encoding::Json),
            _ => None,
        }
    }

    /// Appends `[kind, id, `: what stands before the content of a frame.
    ///
    /// JSON is written with the spaces that Python's `json` writes, so that a frame of the original packages taken apart
    /// and joined again is the same frame.
    #[inline]
    pub fn put_head(self, kind: u8, id: u64, out: &mut Vec<u8>) {
        match self {
            Encoding::Json => json::put_head(kind, id, out),
            Encoding::MsgPack => msgpack::put_head(kind, id, out),
        }
    }

    /// Appends what stands after the content: `]` in JSON, nothing in MessagePack.
    #[inline]
    pub fn put_tail(self, out: &mut Vec<u8>) {
        if self == Encoding::Json {
            out.push(b']');
        }
    }

    /// How many bytes [`put_tail`](Self::put_tail) appends.
    #[inline]
    pub fn tail_len(self) -> usize {
        match self {
            Encoding::Json => 1,
            Encoding::MsgPack => 0,
        }
    }

    /// The encoded null.
    pub fn null(self) -> &'static [u8] {
        match self {
            Encoding::Json => b"null",
            Encoding::MsgPack => &[0xc0],
        }
    }

    /// Splits a frame body into kind, id and the place of its content, without interpreting the content.
    ///
    /// The content is exactly one value by structure: in MessagePack complete, in JSON balanced (quotes and brackets).
    /// Costs one pass, no recursion; no allocation unless JSON nests deeper than 64.
    ///
    /// # Errors
    ///
    /// [`BadTriple`] says what is wrong with the body. After it the connection is unusable: in the plain dialect there is
    /// no id to answer to.
    #[inline]
    pub fn split(self, body: &[u8]) -> Result<Triple, BadTriple> {
        match self {
            Encoding::Json => json::split(body),
            Encoding::MsgPack => msgpack::split(body),
        }
    }

    /// The name for people: "JSON", "MessagePack".
    pub(crate) fn title(self) -> &'static str {
        match self {
            Encoding::Json => "JSON",
            Encoding::MsgPack => "MessagePack",
        }
    }
}

/// `json` or `msgpack`, as in `?codec=json`.
impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Encoding::Json => "json",
            Encoding::MsgPack => "msgpack",
        })
    }
}

impl FromStr for Encoding {
    type Err = UnknownEncoding;

    fn from_str(name: &str) -> Result<Self, UnknownEncoding> {
        match name {
            "json" => Ok(Encoding::Json),
            "msgpack" => Ok(Encoding::MsgPack),
            _ => Err(UnknownEncoding(name.to_owned())),
        }
    }
}

/// No encoding has this name.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("unknown codec {0:?}: json and msgpack are known")]
pub struct UnknownEncoding(pub String);

/// A frame body taken apart. `content` is a range of the body that was split.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Triple {
    /// The first element: what the frame is. Which numbers mean something is the business of the frame layer.
    pub kind: u64,
    /// The second element.
    pub id: u64,
    /// Where in the body the content stands: one encoded value, without white space around it.
    pub content: Range<usize>,
}

/// Why a frame body is not a triple that can be carried. Offsets count bytes from the start of the body.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BadTriple {
    /// The body has no bytes, or nothing but white space.
    #[error("the frame is empty")]
    Empty,
    /// The body is no array, or not one of three elements.
    #[error("the frame is not an array of three elements")]
    NotATriple,
    /// The first element is not an unsigned 64-bit integer written plainly.
    #[error("the first element of the frame, its kind, is not an unsigned integer")]
    BadKind,
    /// The second element is not an unsigned 64-bit integer written plainly.
    #[error("the second element of the frame, its id, is not an unsigned 64-bit integer")]
    BadId,
    /// The body ends, or must end, before the value that begins at `at` does.
    #[error("the frame ends inside the value at byte {at}")]
    Truncated {
        /// Where the unfinished value begins.
        at: usize,
    },
    /// A bracket closes what another kind of bracket opened.
    #[error("a bracket at byte {at} closes what another kind opened")]
    Unbalanced {
        /// Where the closing bracket stands.
        at: usize,
    },
    /// Something stands where no value and no separator of this codec looks like it.
    #[error("unexpected byte at {at}")]
    Unexpected {
        /// Where it stands.
        at: usize,
    },
    /// Bytes follow the triple.
    #[error("bytes follow the frame's array at byte {at}")]
    Trailing {
        /// Where they begin.
        at: usize,
    },
    /// The body begins with a UTF-8 byte order mark, which JSON forbids.
    #[error("the frame begins with a byte order mark, which JSON forbids")]
    ByteOrderMark,
    /// The body begins as the other codec does: the two ends are configured differently.
    #[error(
        "the frame is not {} but looks like {}: both ends must use the same codec",
        .expected.title(),
        .found.title()
    )]
    OtherCodec {
        /// What this end reads.
        expected: Encoding,
        /// What the bytes look like.
        found: Encoding,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_others_are_refused_by_name() {
        for encoding in Encoding::ALL {
            assert_eq!(encoding.to_string().parse(), Ok(encoding));
        }
        let why = "yaml".parse::<Encoding>().unwrap_err();
        assert_eq!(why, UnknownEncoding("yaml".into()));
        assert_eq!(why.to_string(), "unknown codec \"yaml\": json and msgpack are known");
    }

    #[test]
    fn a_connection_is_recognised_by_its_first_byte() {
        let recognised = |wanted| (0..=255).filter(|&b| Encoding::recognise(b) == wanted).collect::<Vec<u8>>();
        assert_eq!(recognised(Some(Encoding::MsgPack)), [0x93, 0xdc, 0xdd]);
        assert_eq!(recognised(Some(Encoding::Json)), b"\t\n\r [");
    }

    #[test]
    fn a_frame_of_the_other_codec_is_named_so() {
        let why = Encoding::Json.split(&[0x93, 0, 0, 0xc0]).unwrap_err();
        assert_eq!(why, BadTriple::OtherCodec { expected: Encoding::Json, found: Encoding::MsgPack });
        assert_eq!(
            why.to_string(),
            "the frame is not JSON but looks like MessagePack: both ends must use the same codec"
        );
        let why = Encoding::MsgPack.split(b" [0, 0, null]").unwrap_err();
        assert_eq!(why, BadTriple::OtherCodec { expected: Encoding::MsgPack, found: Encoding::Json });
    }

    #[test]
    fn heads_are_what_the_original_packages_write() {
        let head = |encoding: Encoding, kind, id| {
            let mut out = Vec::new();
            encoding.put_head(kind, id, &mut out);
            out
        };
        assert_eq!(head(Encoding::Json, 0, 0), b"[0, 0, ");
        assert_eq!(head(Encoding::Json, 255, u64::MAX), b"[255, 18446744073709551615, ");
        assert_eq!(head(Encoding::MsgPack, 1, 127), [0x93, 1, 127]);
        assert_eq!(head(Encoding::MsgPack, 2, 128), [0x93, 2, 0xcc, 128]);
        assert_eq!(head(Encoding::MsgPack, 200, 256), [0x93, 0xcc, 200, 0xcd, 1, 0]);
    }
}
