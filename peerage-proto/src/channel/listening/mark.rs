//! The marks at the beginning of a content of events.
//!
//! A mark stands in front of all other records of its content (PROTOCOL §17.3), so that whoever answers it need not look at
//! them.

use crate::codec::{Encoding, Payload};

/// The numbers of the marks that a content begins with.
pub(super) fn marks_of(content: &Payload) -> Vec<u64> {
    let bytes = content.bytes();
    let mut marks = Vec::new();
    match content.encoding() {
        Encoding::MsgPack => {
            let Some((records, mut rest)) = array(bytes) else { return marks };
            while marks.len() < records as usize
                && let Some((mark, behind)) = msgpack(rest)
            {
                marks.push(mark);
                rest = behind;
            }
        }
        Encoding::Json => {
            let mut next = sign(bytes, b"[");
            while let Some((mark, behind)) = next.and_then(json) {
                marks.push(mark);
                next = sign(behind, b",");
            }
        }
    }
    marks
}

/// Whether a content is an array at all.
pub(super) fn is_array(content: &Payload) -> bool {
    match content.encoding() {
        Encoding::MsgPack => array(content.bytes()).is_some(),
        Encoding::Json => content.bytes().trim_ascii_start().starts_with(b"["),
    }
}

/// `[4, n]`, its header in any form.
fn msgpack(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (elements, bytes) = array(bytes)?;
    let (kind, bytes) = number(bytes).filter(|_| elements == 2)?;
    number(bytes).filter(|_| kind == MARK)
}

fn array(bytes: &[u8]) -> Option<(u32, &[u8])> {
    match bytes {
        [first @ 0x90..=0x9f, rest @ ..] => Some((u32::from(first & 0x0f), rest)),
        [0xdc, a, b, rest @ ..] => Some((u16::from_be_bytes([*a, *b]).into(), rest)),
        [0xdd, a, b, c, d, rest @ ..] => Some((u32::from_be_bytes([*a, *b, *c, *d]), rest)),
        _ => None,
    }
}

fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (len, rest) = match bytes {
        [first @ 0..=0x7f, rest @ ..] => return Some(((*first).into(), rest)),
        [0xcc, rest @ ..] => (1, rest),
        [0xcd, rest @ ..] => (2, rest),
        [0xce, rest @ ..] => (4, rest),
        [0xcf, rest @ ..] => (8, rest),
        _ => return None,
    };
    let (digits, rest) = rest.split_at_checked(len)?;
    Some((digits.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)), rest))
}

fn json(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (kind, rest) = digits(sign(bytes, b"[")?)?;
    let (mark, rest) = digits(sign(rest, b",").filter(|_| kind == MARK)?)?;
    Some((mark, sign(rest, b"]")?))
}

/// What stands behind this sign and the space around it.
fn sign<'a>(bytes: &'a [u8], sign: &[u8; 1]) -> Option<&'a [u8]> {
    Some(bytes.trim_ascii_start().strip_prefix(sign)?.trim_ascii_start())
}

fn digits(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let len = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = bytes.split_at_checked(len)?;
    Some((std::str::from_utf8(digits).ok()?.parse().ok()?, rest))
}

/// The first element of a mark.
const MARK: u64 = 4;

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn of(encoding: Encoding, bytes: &'static [u8]) -> Vec<u64> {
        marks_of(&Payload::from_parts(encoding, Bytes::from_static(bytes)))
    }

    #[test]
    fn marks_are_found_at_the_beginning_and_nowhere_else() {
        for (bytes, marks) in [
            (&b"\x91\x92\x04\x07"[..], &[7][..]),
            (b"\x93\x92\x04\xcd\x01\x00\x92\x04\x02\x93\x02\xa1a\x05", &[256, 2]),
            (b"\xdc\x00\x01\xdc\x00\x02\x04\xcf\x00\x00\x00\x00\x00\x00\x00\x09", &[9]),
            (b"\xdd\x00\x00\x00\x01\xdd\x00\x00\x00\x02\xcc\x04\xce\x00\x00\x00\x01", &[1]),
            (b"\x92\x93\x02\xa1a\x05\x92\x04\x07", &[]),
            (b"\x91\x94\x00\xa1a\x01\x04", &[]),
            (b"\x91\x91\x04", &[]),
            (b"\x90", &[]),
            (b"\xc0", &[]),
            (b"\x91\x92\x04\xcf\x00", &[]),
        ] {
            assert_eq!(of(Encoding::MsgPack, bytes), marks, "{bytes:02x?}");
        }
        for (text, marks) in [
            (&b"[[4,7]]"[..], &[7][..]),
            (b" [ [ 4 , 256 ], [4,2], [2,\"a\",5]]", &[256, 2]),
            (b"[[2,\"a\",5],[4,7]]", &[]),
            (b"[[0,\"a\",1,4]]", &[]),
            (b"[]", &[]),
            (b"null", &[]),
            (b"[[44,7]]", &[]),
        ] {
            assert_eq!(of(Encoding::Json, text), marks, "{}", String::from_utf8_lossy(text));
        }
    }
}
