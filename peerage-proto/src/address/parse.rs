//! From text to [`Address`].
//!
//! The text is cut from the outside in (scheme, options, node id, place), and each piece is judged by itself, so that
//! an error can say which piece is wrong.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::invalid::shown;
use super::{Address, Host, InvalidAddress, Options, Place, Scheme};
use crate::id::NodeId;
use crate::limits::{ADDRESS_BYTES_MAX, ADDRESS_NAME_BYTES_MAX, ADDRESS_PATH_BYTES_MAX, NEXT_PORT_MAX, PORT_DEFAULT};

/// Reads an address; without a scheme it is of scheme `otherwise`.
pub(super) fn address(text: &str, otherwise: Scheme) -> Result<Address, InvalidAddress> {
    if text.is_empty() {
        return Err(InvalidAddress::Empty);
    }
    if text.len() > ADDRESS_BYTES_MAX {
        return Err(InvalidAddress::TooLong { bytes: text.len() });
    }
    let (scheme, rest) = match text.split_once("://") {
        Some((word, rest)) => (scheme(word)?, rest),
        None => (otherwise, text),
    };
    let (rest, options) = match rest.split_once('?') {
        Some((rest, options)) => (rest, self::options(options, scheme)?),
        None => (rest, Options::default()),
    };
    let (node, rest) = node(rest)?;
    let place = match scheme {
        Scheme::Tcp | Scheme::Tls | Scheme::Quic => port(rest, scheme)?,
        Scheme::Unix => path(unescaped(rest)?)?,
        Scheme::Memory => name(rest)?,
    };
    Ok(Address { scheme, node, place, options })
}

/// The path of a unix address, already without escapes.
pub(super) fn path(path: String) -> Result<Place, InvalidAddress> {
    match path.as_str() {
        "" | "/" => Err(InvalidAddress::MissingPath),
        _ if !path.starts_with('/') => Err(InvalidAddress::RelativePath(shown(&path))),
        _ if path.len() > ADDRESS_PATH_BYTES_MAX => Err(InvalidAddress::PathTooLong { bytes: path.len() }),
        _ if path.contains('\0') => Err(InvalidAddress::PathWithNul),
        _ => Ok(Place::Path(path.into())),
    }
}

/// The name of a memory address.
pub(super) fn name(name: &str) -> Result<Place, InvalidAddress> {
    if name.is_empty() {
        return Err(InvalidAddress::MissingName);
    }
    if name.len() > ADDRESS_NAME_BYTES_MAX || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)) {
        return Err(InvalidAddress::InvalidName(shown(name)));
    }
    Ok(Place::Name(name.into()))
}

fn scheme(word: &str) -> Result<Scheme, InvalidAddress> {
    Scheme::ALL
        .into_iter()
        .find(|scheme| scheme.to_string().eq_ignore_ascii_case(word))
        .ok_or_else(|| InvalidAddress::UnknownScheme(shown(word)))
}

/// Cuts off `ID@`. An `@` in a path is no concern of ours: only what stands before the first slash is looked at.
fn node(rest: &str) -> Result<(Option<NodeId>, &str), InvalidAddress> {
    let authority = rest.split('/').next().unwrap_or(rest);
    let Some((id, _)) = authority.rsplit_once('@') else {
        return Ok((None, rest));
    };
    let node = id.parse().map_err(|why| InvalidAddress::InvalidNode { text: shown(id), why })?;
    Ok((Some(node), &rest[id.len().saturating_add(1)..]))
}

fn port(rest: &str, scheme: Scheme) -> Result<Place, InvalidAddress> {
    if let Some(slash) = rest.find('/') {
        return Err(InvalidAddress::UnexpectedPath { scheme, path: shown(&rest[slash..]) });
    }
    let (host, port) = match rest.strip_prefix('[') {
        Some(bracketed) => ipv6(bracketed)?,
        None => match rest.split_once(':') {
            None => (host(rest, scheme)?, None),
            Some((_, more)) if more.contains(':') && rest.bytes().all(is_in_ipv6) => {
                return Err(InvalidAddress::UnbracketedIpv6(shown(rest)));
            }
            Some((name, port)) => (host(name, scheme)?, Some(port)),
        },
    };
    let port = match port {
        None => PORT_DEFAULT,
        Some("") => return Err(InvalidAddress::MissingPort),
        Some(digits) => number(digits).ok_or_else(|| InvalidAddress::InvalidPort(shown(digits)))?,
    };
    Ok(Place::Port { host, port })
}

/// Reads what follows the opening bracket: the address and the text of the port, if there is one.
fn ipv6(bracketed: &str) -> Result<(Host, Option<&str>), InvalidAddress> {
    let Some((inside, after)) = bracketed.split_once(']') else {
        return Err(InvalidAddress::UnclosedBracket(shown(bracketed)));
    };
    if inside.contains('%') {
        return Err(InvalidAddress::ZoneNotSupported(shown(inside)));
    }
    let ip: Ipv6Addr = inside.parse().map_err(|_| InvalidAddress::InvalidIpv6(shown(inside)))?;
    match after.strip_prefix(':') {
        Some(port) => Ok((Host::V6(ip), Some(port))),
        None if after.is_empty() => Ok((Host::V6(ip), None)),
        None => Err(InvalidAddress::TextAfterBracket(shown(after))),
    }
}

fn is_in_ipv6(byte: u8) -> bool {
    byte.is_ascii_hexdigit() || b":.".contains(&byte)
}

fn host(text: &str, scheme: Scheme) -> Result<Host, InvalidAddress> {
    if text.is_empty() {
        return Err(InvalidAddress::MissingHost(scheme));
    }
    if let Ok(ip) = text.parse::<Ipv4Addr>() {
        return Ok(Host::V4(ip));
    }
    // One dot at the end marks a name as complete; resolvers understand it.
    let labels = text.strip_suffix('.').unwrap_or(text);
    if labels.len() > HOST_BYTES_MAX || !labels.split('.').all(is_label) {
        return Err(InvalidAddress::InvalidHost(shown(text)));
    }
    let name = text.to_ascii_lowercase();
    let last = labels.rsplit('.').next().unwrap_or(labels);
    if is_number_to_resolvers(last) {
        return Err(InvalidAddress::InvalidIpv4(shown(text)));
    }
    Ok(Host::Name(name))
}

fn is_label(label: &str) -> bool {
    (1..=HOST_LABEL_BYTES_MAX).contains(&label.len())
        && label.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// Resolvers read `127.1` and `0x7f000001` as 127.0.0.1. A host would then pass for a name and be an address.
fn is_number_to_resolvers(label: &str) -> bool {
    let hexadecimal = label.strip_prefix("0x").or_else(|| label.strip_prefix("0X"));
    label.bytes().all(|b| b.is_ascii_digit())
        || hexadecimal.is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// A number of digits alone: `parse` would also take a sign.
fn number(digits: &str) -> Option<u16> {
    if digits.bytes().all(|b| b.is_ascii_digit()) { digits.parse().ok() } else { None }
}

fn unescaped(path: &str) -> Result<String, InvalidAddress> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((before, escaped)) = rest.split_once('%') {
        let byte = escaped
            .get(..2)
            .filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        let Some(byte) = byte else {
            let end = escaped.char_indices().nth(2).map_or(escaped.len(), |(at, _)| at);
            return Err(InvalidAddress::InvalidEscape(shown(&format!("%{}", &escaped[..end]))));
        };
        bytes.extend_from_slice(before.as_bytes());
        bytes.push(byte);
        rest = &escaped[2..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8(bytes).map_err(|_| InvalidAddress::PathNotText)
}

fn options(text: &str, scheme: Scheme) -> Result<Options, InvalidAddress> {
    let mut options = Options::default();
    for option in text.split('&') {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        let was_there = match name {
            _ if value.is_empty() => return Err(without_value(name)),
            "codec" => {
                let codec = value.parse().map_err(|_| InvalidAddress::UnknownCodec(shown(value)))?;
                options.codec.replace(codec).map(|_| "codec")
            }
            "dialect" => {
                let dialect = value.parse().map_err(|_| InvalidAddress::UnknownDialect(shown(value)))?;
                options.dialect.replace(dialect).map(|_| "dialect")
            }
            "services" => options.services.replace(services(value)?).map(|_| "services"),
            "next" if !scheme.has_port() => return Err(InvalidAddress::NextWithoutPort(scheme)),
            "next" => options.next.replace(next(value)?).map(|_| "next"),
            _ => return Err(InvalidAddress::UnknownOption(shown(name))),
        };
        if let Some(name) = was_there {
            return Err(InvalidAddress::DuplicateOption(name));
        }
    }
    Ok(options)
}

/// An unknown option is told as such whether or not it has a value.
fn without_value(name: &str) -> InvalidAddress {
    match name {
        "" | "codec" | "dialect" | "services" | "next" => InvalidAddress::OptionWithoutValue(shown(name)),
        _ => InvalidAddress::UnknownOption(shown(name)),
    }
}

fn services(value: &str) -> Result<Box<str>, InvalidAddress> {
    let is_pattern = value.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-/*".contains(&b));
    if !is_pattern || value.len() > ADDRESS_NAME_BYTES_MAX {
        return Err(InvalidAddress::InvalidServices(shown(value)));
    }
    Ok(value.into())
}

fn next(value: &str) -> Result<u16, InvalidAddress> {
    number(value).filter(|&next| next <= NEXT_PORT_MAX).ok_or_else(|| InvalidAddress::InvalidNext(shown(value)))
}

/// Longest host name, in bytes without the dot at its end (RFC 1035).
const HOST_BYTES_MAX: usize = 253;

/// Longest part of a host name between dots, in bytes (RFC 1035).
const HOST_LABEL_BYTES_MAX: usize = 63;
