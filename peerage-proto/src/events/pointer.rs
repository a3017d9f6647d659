//! A place inside a value: a JSON pointer (RFC 6901), followed through MessagePack without opening anything.
//!
//! Of a value in which there is nothing at that place nothing is found, and all such values have the same key: none.

#![allow(clippy::arithmetic_side_effects, reason = "places and lengths of what lies in memory")]

use std::fmt;
use std::str::FromStr;

use crate::codec::msgpack;
use crate::limits::EVENT_POINTER_BYTES_MAX;

/// A JSON pointer: empty for the whole value, else `/key/key…`, where `~1` stands for `/` and `~0` for `~`. In a list a
/// key is the place of an element, from 0.
///
/// Parsed from its text, and printed as it.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Pointer {
    text: Box<str>,
    keys: Box<[Box<str>]>,
}

/// A text that is no pointer.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a pointer is empty or begins with /, has ~ only in ~0 and ~1, and at most {EVENT_POINTER_BYTES_MAX} bytes")]
pub struct InvalidPointer;

impl Pointer {
    /// What stands at this place of a value in MessagePack, as it is encoded.
    pub fn find<'a>(&self, value: &'a [u8]) -> Option<&'a [u8]> {
        let mut at = 0;
        for key in &self.keys {
            at = match value.get(at)? {
                0x80..=0x8f | 0xde | 0xdf => in_map(value, at, key)?,
                _ => in_list(value, at, key)?,
            };
        }
        value.get(at..msgpack::skip(value, at).ok()?)
    }
}

/// Where the value of the text `key` begins in the map at `at`.
fn in_map(bytes: &[u8], at: usize, key: &str) -> Option<usize> {
    let (head, entries) = msgpack::map(&bytes[at..])?;
    let mut at = at + head;
    for _ in 0..entries {
        let value = msgpack::skip(bytes, at).ok()?;
        if msgpack::text(&bytes[at..value]) == Some(key.as_bytes()) {
            return Some(value);
        }
        at = msgpack::skip(bytes, value).ok()?;
    }
    None
}

/// Where the element with this number begins in the list at `at`.
fn in_list(bytes: &[u8], at: usize, key: &str) -> Option<usize> {
    let is_plain = key == "0" || (!key.starts_with('0') && key.bytes().all(|byte| byte.is_ascii_digit()));
    let wanted: u64 = key.parse().ok().filter(|_| is_plain)?;
    let (head, elements) = msgpack::array(&bytes[at..])?;
    let mut at = at + head;
    if wanted >= elements {
        return None;
    }
    for _ in 0..wanted {
        at = msgpack::skip(bytes, at).ok()?;
    }
    Some(at)
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl FromStr for Pointer {
    type Err = InvalidPointer;

    fn from_str(text: &str) -> Result<Pointer, InvalidPointer> {
        if text.len() > EVENT_POINTER_BYTES_MAX {
            return Err(InvalidPointer);
        }
        let keys = match text.strip_prefix('/') {
            Some(keys) => keys.split('/').map(unescape).collect::<Option<_>>().ok_or(InvalidPointer)?,
            None if text.is_empty() => Box::default(),
            None => return Err(InvalidPointer),
        };
        Ok(Pointer { text: text.into(), keys })
    }
}

fn unescape(key: &str) -> Option<Box<str>> {
    let mut parts = key.split('~');
    let mut plain = parts.next()?.to_owned();
    for part in parts {
        let (sign, rest) = part.split_at_checked(1)?;
        plain.push(match sign {
            "0" => '~',
            "1" => '/',
            _ => return None,
        });
        plain.push_str(rest);
    }
    Some(plain.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{Encoding, Payload, Value};

    fn encoded(json: &str) -> Vec<u8> {
        let value = Payload::parse(Encoding::Json, json.to_owned().into()).unwrap();
        value.transcode(Encoding::MsgPack).unwrap().bytes().to_vec()
    }

    #[test]
    fn a_pointer_finds_what_json_would_find() {
        let value = encoded(r#"{"a": {"b": [10, {"c/d": "x", "e~f": null}]}, "": 7, "0": "zero"}"#);
        for (pointer, found) in [
            ("", None),
            ("/a/b/0", Some("10")),
            ("/a/b/1/c~1d", Some("\"x\"")),
            ("/a/b/1/e~0f", Some("null")),
            ("/", Some("7")),
            ("/0", Some("\"zero\"")),
        ] {
            let pointer: Pointer = pointer.parse().unwrap();
            let wanted = found.map_or(value.clone(), encoded);
            assert_eq!(pointer.find(&value), Some(&wanted[..]), "{pointer}");
        }
        for nowhere in ["/b", "/a/b/2", "/a/b/00", "/a/b/-", "/a/b/+1", "/a/b/x", "/a/b/0/c", "/0/0"] {
            assert_eq!(nowhere.parse::<Pointer>().unwrap().find(&value), None, "{nowhere}");
        }
    }

    #[test]
    fn a_pointer_is_printed_as_it_was_written_and_others_are_refused() {
        for text in ["", "/", "/a~1b/~0", "/ä/0"] {
            assert_eq!(text.parse::<Pointer>().unwrap().to_string(), text);
        }
        let long = format!("/{}", "x".repeat(EVENT_POINTER_BYTES_MAX));
        for text in ["a", "a/b", "/~", "/~2", "/a~", "/~ä", &long] {
            assert_eq!(text.parse::<Pointer>(), Err(InvalidPointer), "{text}");
        }
    }

    #[test]
    fn no_bytes_make_a_pointer_panic() {
        let pointer: Pointer = "/a/0".parse().unwrap();
        for value in [Value::Null, Value::from("text"), Value::Map(vec![(Value::Int(1), Value::Null)])] {
            assert_eq!(pointer.find(Payload::encode(&value, Encoding::MsgPack).unwrap().bytes()), None);
        }
        for bytes in
            [&[][..], &[0x81], &[0x81, 0xa1], &[0x81, 0xa1, b'a'], &[0x81, 0xa1, b'a', 0xdd, 9, 9, 9, 9], &[0xc1]]
        {
            assert_eq!(pointer.find(bytes), None, "{bytes:02x?}");
        }
    }
}
