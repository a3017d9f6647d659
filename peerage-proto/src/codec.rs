//! How content is encoded.

use std::fmt;
use std::str::FromStr;

/// How content is encoded.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Encoding {
    /// JSON text (RFC 8259).
    Json,
    /// MessagePack.
    MsgPack,
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Encoding::Json => "json",
            Encoding::MsgPack => "msgpack",
        })
    }
}

impl FromStr for Encoding {
    type Err = UnknownEncoding;

    fn from_str(text: &str) -> Result<Self, UnknownEncoding> {
        match text {
            "json" => Ok(Encoding::Json),
            "msgpack" => Ok(Encoding::MsgPack),
            _ => Err(UnknownEncoding(text.to_owned())),
        }
    }
}

/// The text names no encoding.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("unknown encoding `{0}` (known: json, msgpack)")]
pub struct UnknownEncoding(pub String);
