//! Frames and the dialects they belong to.

use std::fmt;
use std::str::FromStr;

/// Which set of frames a link carries.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Dialect {
    /// Requests, results and exceptions only.
    Plain,
    /// All frames, agreed in the handshake.
    Full,
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Dialect::Plain => "plain",
            Dialect::Full => "full",
        })
    }
}

impl FromStr for Dialect {
    type Err = UnknownDialect;

    fn from_str(text: &str) -> Result<Self, UnknownDialect> {
        match text {
            "plain" => Ok(Dialect::Plain),
            "full" => Ok(Dialect::Full),
            _ => Err(UnknownDialect(text.to_owned())),
        }
    }
}

/// The text names no dialect.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("unknown dialect `{0}` (known: plain, full)")]
pub struct UnknownDialect(pub String);
