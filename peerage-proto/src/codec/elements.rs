//! The elements of an array, found without opening them.
//!
//! Who hands a call to its handler needs the name of the function and the place of its arguments, and must leave the
//! arguments alone: they are opened by the handler, as the type it wants, or not at all.

#![allow(clippy::arithmetic_side_effects, reason = "places and lengths of what lies in memory")]

use std::ops::Range;

use super::{Encoding, json, msgpack};

/// Walks over the elements of one encoded array. Each comes as its range in the bytes, without white space around it.
#[derive(Clone, Debug)]
pub struct Elements<'a> {
    bytes: &'a [u8],
    place: Place,
}

/// How far the walk has come.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// MessagePack: where the next element begins, and how many are left.
    Counted { at: usize, left: u64 },
    /// JSON, before the first element.
    First { at: usize },
    /// JSON, behind an element.
    Behind { at: usize },
    /// All elements were seen.
    Over,
}

/// The bytes are no array, or not one that ends where they do.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a whole array")]
pub struct NotAnArray;

impl<'a> Elements<'a> {
    /// Starts at the first element of the array that `bytes` hold.
    ///
    /// # Errors
    /// [`NotAnArray`] if another value begins there.
    #[inline]
    pub fn of(encoding: Encoding, bytes: &'a [u8]) -> Result<Elements<'a>, NotAnArray> {
        let place = match encoding {
            Encoding::MsgPack => {
                let (at, left) = msgpack::array(bytes).ok_or(NotAnArray)?;
                Place::Counted { at, left }
            }
            Encoding::Json if bytes.first() == Some(&b'[') => Place::First { at: 1 },
            Encoding::Json => return Err(NotAnArray),
        };
        Ok(Elements { bytes, place })
    }

    /// Starts at the first key of the MessagePack map that `bytes` hold. Keys and values come in turn.
    ///
    /// # Errors
    /// [`NotAnArray`] if another value begins there.
    pub(crate) fn of_map(bytes: &'a [u8]) -> Result<Elements<'a>, NotAnArray> {
        let (at, entries) = msgpack::map(bytes).ok_or(NotAnArray)?;
        Ok(Elements { bytes, place: Place::Counted { at, left: 2 * entries } })
    }

    /// The next element; `None` after the last, if nothing follows the array.
    ///
    /// # Errors
    /// [`NotAnArray`] where the array is cut off or has a fault.
    #[inline]
    pub fn next_element(&mut self) -> Result<Option<Range<usize>>, NotAnArray> {
        match self.place {
            Place::Counted { at, left: 0 } => self.end(at),
            Place::Counted { at, left } => {
                let end = msgpack::skip(self.bytes, at).map_err(|_| NotAnArray)?;
                self.place = Place::Counted { at: end, left: left - 1 };
                Ok(Some(at..end))
            }
            Place::First { at } => {
                let at = json::skip_space(self.bytes, at);
                if self.bytes.get(at) == Some(&b']') { self.end(at + 1) } else { self.value(at) }
            }
            Place::Behind { at } => {
                let at = json::skip_space(self.bytes, at);
                match self.bytes.get(at) {
                    Some(b']') => self.end(at + 1),
                    Some(b',') => self.value(json::skip_space(self.bytes, at + 1)),
                    _ => Err(NotAnArray),
                }
            }
            Place::Over => Ok(None),
        }
    }

    fn value(&mut self, at: usize) -> Result<Option<Range<usize>>, NotAnArray> {
        let end = json::skip(self.bytes, at).map_err(|_| NotAnArray)?;
        self.place = Place::Behind { at: end };
        Ok(Some(at..end))
    }

    fn end(&mut self, at: usize) -> Result<Option<Range<usize>>, NotAnArray> {
        self.place = Place::Over;
        if at == self.bytes.len() { Ok(None) } else { Err(NotAnArray) }
    }
}

/// Whether `bytes` are an encoded map without entries.
pub(super) fn is_empty_map(encoding: Encoding, bytes: &[u8]) -> bool {
    match encoding {
        Encoding::MsgPack => matches!(bytes, [0x80] | [0xde, 0, 0] | [0xdf, 0, 0, 0, 0]),
        Encoding::Json => {
            let end = json::skip_space(bytes, 1);
            bytes.first() == Some(&b'{') && bytes.get(end..) == Some(b"}")
        }
    }
}

/// Whether an encoded map begins here.
pub(super) fn begins_map(encoding: Encoding, bytes: &[u8]) -> bool {
    match (encoding, bytes.first()) {
        (Encoding::MsgPack, Some(first)) => matches!(first, 0x80..=0x8f | 0xde | 0xdf),
        (Encoding::Json, Some(first)) => *first == b'{',
        (_, None) => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(encoding: Encoding, bytes: &[u8]) -> Result<Vec<&[u8]>, NotAnArray> {
        let mut elements = Elements::of(encoding, bytes)?;
        let mut found = Vec::new();
        while let Some(range) = elements.next_element()? {
            found.push(&bytes[range]);
        }
        Ok(found)
    }

    #[test]
    fn elements_come_as_they_stand_without_the_space_around_them() {
        let json = br#"[ "a" , [1, 2],{"k": ","} ]"#;
        assert_eq!(all(Encoding::Json, json).unwrap(), [&br#""a""#[..], b"[1, 2]", br#"{"k": ","}"#]);
        let msgpack = [0x93, 0xa1, b'a', 0x92, 1, 2, 0x80];
        assert_eq!(all(Encoding::MsgPack, &msgpack).unwrap(), [&[0xa1, b'a'][..], &[0x92, 1, 2], &[0x80]]);
        for (encoding, empty) in [(Encoding::Json, &b"[ ]"[..]), (Encoding::MsgPack, &[0xdc, 0, 0])] {
            assert_eq!(all(encoding, empty).unwrap(), Vec::<&[u8]>::new());
        }
    }

    #[test]
    fn what_is_no_whole_array_is_refused() {
        for bytes in [&b""[..], b"{}", b"1", b"[", b"[1", b"[1 2]", b"[1,]", b"[1]]", b"[1] 2", b"[,]"] {
            assert_eq!(all(Encoding::Json, bytes), Err(NotAnArray), "{}", String::from_utf8_lossy(bytes));
        }
        for bytes in [&[][..], &[0x80], &[0x91], &[0x92, 1], &[0x91, 1, 1], &[0xdc, 0], &[0xdd, 255, 255, 255, 255]] {
            assert_eq!(all(Encoding::MsgPack, bytes), Err(NotAnArray), "{bytes:02x?}");
        }
    }

    #[test]
    fn the_keys_and_values_of_a_map_come_in_turn() {
        let all = |bytes: &'static [u8]| {
            let mut elements = Elements::of_map(bytes)?;
            let mut found = Vec::new();
            while let Some(range) = elements.next_element()? {
                found.push(&bytes[range]);
            }
            Ok(found)
        };
        let entries = [&[0xa1, b'a'][..], &[1], &[2], &[0x91, 3]];
        assert_eq!(all(&[0x82, 0xa1, b'a', 1, 2, 0x91, 3]), Ok(entries.to_vec()));
        assert_eq!(all(&[0xde, 0, 2, 0xa1, b'a', 1, 2, 0x91, 3]), Ok(entries.to_vec()));
        assert_eq!(all(&[0xdf, 0, 0, 0, 2, 0xa1, b'a', 1, 2, 0x91, 3]), Ok(entries.to_vec()));
        for bytes in [&[][..], &[0x90], &[0x81], &[0x81, 1], &[0x80, 1], &[0xde, 0], &[0xdf, 255, 255, 255, 255]] {
            assert_eq!(all(bytes), Err(NotAnArray), "{bytes:02x?}");
        }
    }

    #[test]
    fn a_map_without_entries_is_known_in_every_form() {
        for (encoding, bytes, empty, map) in [
            (Encoding::Json, &b"{}"[..], true, true),
            (Encoding::Json, b"{ \n}", true, true),
            (Encoding::Json, b"{\"a\":1}", false, true),
            (Encoding::Json, b"[]", false, false),
            (Encoding::Json, b"", false, false),
            (Encoding::MsgPack, &[0x80], true, true),
            (Encoding::MsgPack, &[0xde, 0, 0], true, true),
            (Encoding::MsgPack, &[0xdf, 0, 0, 0, 0], true, true),
            (Encoding::MsgPack, &[0x81, 1, 1], false, true),
            (Encoding::MsgPack, &[0x90], false, false),
            (Encoding::MsgPack, &[], false, false),
        ] {
            assert_eq!((is_empty_map(encoding, bytes), begins_map(encoding, bytes)), (empty, map), "{bytes:02x?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_walk_panic_or_go_on_for_ever(bytes: Vec<u8>) {
            for encoding in Encoding::ALL {
                if let Ok(elements) = all(encoding, &bytes) {
                    prop_assert!(elements.len() <= bytes.len());
                }
            }
        }
    }
}
