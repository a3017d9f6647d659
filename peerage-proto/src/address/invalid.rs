//! What can be wrong with the text of an address.

use super::Scheme;
use crate::id::InvalidNodeId;
use crate::limits::{ADDRESS_BYTES_MAX, ADDRESS_NAME_BYTES_MAX, ADDRESS_PATH_BYTES_MAX, NEXT_PORT_MAX};

/// Why a text is no [`Address`](super::Address): one variant per mistake, whose text names cause and remedy.
///
/// The offending piece of text in a variant is escaped and cut, so that it can be shown as it is.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidAddress {
    /// The text is empty.
    #[error("the address is empty: write host, host:port or scheme://…")]
    Empty,
    /// The text is longer than [`ADDRESS_BYTES_MAX`].
    #[error("the address has {bytes} bytes, {max} are allowed", max = ADDRESS_BYTES_MAX)]
    TooLong {
        /// Bytes of the text.
        bytes: usize,
    },
    /// The word before `://` is no scheme.
    #[error("unknown scheme `{0}` (known: tcp, tls, quic, unix, memory)")]
    UnknownScheme(String),
    /// What stands before `@` is no node id.
    #[error("`{text}` before `@` is no node id: {why}")]
    InvalidNode {
        /// What stands there.
        text: String,
        /// What is wrong with it.
        #[source]
        why: InvalidNodeId,
    },

    /// There is no host where one must be.
    #[error("the host is missing: write {0}://host or {0}://host:port")]
    MissingHost(Scheme),
    /// The host is neither a name nor an address.
    #[error("`{0}` is no host name (letters, digits, `-`, `_` and `.`; other alphabets in their xn-- form)")]
    InvalidHost(String),
    /// The host ends in a number, as only IPv4 addresses do, and is none. Resolvers would read some of these as one.
    #[error("`{0}` is no IPv4 address and no host name: write four numbers from 0 to 255, or a name before the port")]
    InvalidIpv4(String),
    /// What stands in brackets is no IPv6 address.
    #[error("`{0}` in brackets is no IPv6 address")]
    InvalidIpv6(String),
    /// An IPv6 address without brackets, whose last part might be the port.
    #[error("`{0}` may be read in two ways: write an IPv6 address in brackets, as in [::1]:5000")]
    UnbracketedIpv6(String),
    /// A bracket is opened and not closed.
    #[error("`{0}` lacks the closing bracket: write an IPv6 address as in [::1]:5000")]
    UnclosedBracket(String),
    /// Something else than a port follows the brackets.
    #[error("`{0}` after the brackets is no port: write [::1] or [::1]:5000")]
    TextAfterBracket(String),
    /// The IPv6 address names a network interface.
    #[error("`{0}` names a zone, which is not supported: use an address that is no link-local one")]
    ZoneNotSupported(String),
    /// A colon without a port.
    #[error("the port is missing after the colon: write a number, or leave out the colon for port 5000")]
    MissingPort,
    /// The port is no number from 0 to 65535.
    #[error("`{0}` is no port: write a number from 0 to 65535 (0 picks one when listening)")]
    InvalidPort(String),
    /// A path where the scheme has none.
    #[error("a {scheme} address has no path: leave out `{path}`, or write unix:///path for a unix socket")]
    UnexpectedPath {
        /// The scheme.
        scheme: Scheme,
        /// The path.
        path: String,
    },

    /// A unix address without a path.
    #[error("the path is missing: write unix:///path/of/the.sock")]
    MissingPath,
    /// The path of a unix address does not start at the root.
    #[error("the path `{0}` is relative: write an absolute one, with three slashes, as in unix:///run/the.sock")]
    RelativePath(String),
    /// The path of a unix address is longer than [`ADDRESS_PATH_BYTES_MAX`].
    #[error("the path has {bytes} bytes, {max} are allowed", max = ADDRESS_PATH_BYTES_MAX)]
    PathTooLong {
        /// Bytes of the path.
        bytes: usize,
    },
    /// The path of a unix address is not UTF-8.
    #[error("the path is not UTF-8 text: choose one that is")]
    PathNotText,
    /// The path of a unix address holds a zero byte.
    #[error("the path holds a zero byte, which no file name can")]
    PathWithNul,
    /// A `%` in the path of a unix address is not followed by two hexadecimal digits.
    #[error("`{0}` is no escape: write %25 for a percent sign in a path")]
    InvalidEscape(String),

    /// A memory address without a name.
    #[error("the name is missing: write memory://name")]
    MissingName,
    /// The name of a memory address holds something else than letters, digits, `.`, `_`, `-`, or is too long.
    #[error("`{0}` is no name (1 to {max} of letters, digits, `.`, `_` and `-`)", max = ADDRESS_NAME_BYTES_MAX)]
    InvalidName(String),

    /// An option that does not exist.
    #[error("unknown option `{0}` (known: codec, dialect, services, next)")]
    UnknownOption(String),
    /// An option that stands there twice.
    #[error("the option `{0}` is given twice: leave one out")]
    DuplicateOption(&'static str),
    /// An option without `=` and a value.
    #[error("the option `{0}` has no value: write ?option=value&option=value")]
    OptionWithoutValue(String),
    /// The value of `codec`.
    #[error("unknown codec `{0}` (known: json, msgpack)")]
    UnknownCodec(String),
    /// The value of `dialect`.
    #[error("unknown dialect `{0}` (known: plain, full)")]
    UnknownDialect(String),
    /// The value of `services`.
    #[error(
        "`{0}` is no pattern of services (1 to {max} of letters, digits, `.`, `_`, `-`, `/` and `*`)",
        max = ADDRESS_NAME_BYTES_MAX
    )]
    InvalidServices(String),
    /// The value of `next`.
    #[error("`{0}` is no count of ports to try next: write a number from 0 to {max}", max = NEXT_PORT_MAX)]
    InvalidNext(String),
    /// `next` on an address without a port.
    #[error("a {0} address has no port: leave out the option `next`")]
    NextWithoutPort(Scheme),
}

/// A piece of somebody's text as it may be shown: control characters escaped, cut after 64 characters.
pub(super) fn shown(text: &str) -> String {
    let mut shown = String::new();
    for (count, character) in text.chars().enumerate() {
        if count == SHOWN_CHARACTERS_MAX {
            shown.push('…');
            break;
        }
        match character {
            '\'' | '"' => shown.push(character),
            other => shown.extend(other.escape_debug()),
        }
    }
    shown
}

/// How much of a piece of text an error repeats, in characters: a host name is seldom longer.
const SHOWN_CHARACTERS_MAX: usize = 64;
