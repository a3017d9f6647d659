//! MessagePack: heads, structure, and (in [`writer`] and [`reader`]) values.
//!
//! Structure needs neither recursion nor a stack: one counter of values still to come is enough, because a container
//! only adds to it. Each value takes at least one byte, so a counter above the bytes left is a lie found at once; a claim
//! of 2³² − 1 items in six bytes ends right there.
//!
//! Values are written and read by our own serde implementations instead of `rmp-serde`'s. The bytes are the same (a test
//! compares them), but three things must be refused here that it lets pass: 128-bit integers, which it turns into bytes,
//! a `Serialize` that announces another length than it delivers, and strings that are not UTF-8, which it hands over as
//! bytes.

use super::{BadTriple, Encoding, Triple};

pub(super) mod reader;
pub(super) mod writer;

/// Appends an array of three with its first two elements.
#[inline]
pub(super) fn put_head(kind: u8, id: u64, out: &mut Vec<u8>) {
    // Nearly all heads: kinds are small, and ids of the first 128 requests too.
    if kind < 0x80 && id < 0x80 {
        out.extend_from_slice(&[0x93, kind, id as u8]);
        return;
    }
    out.push(0x93);
    put_uint(u64::from(kind), out);
    put_uint(id, out);
}

/// Appends an unsigned integer in its shortest form.
#[inline]
pub(super) fn put_uint(n: u64, out: &mut Vec<u8>) {
    match n {
        0..0x80 => out.push(n as u8),
        0x80..=0xff => out.extend_from_slice(&[0xcc, n as u8]),
        0x100..=0xffff => {
            let [a, b] = (n as u16).to_be_bytes();
            out.extend_from_slice(&[0xcd, a, b]);
        }
        0x1_0000..=0xffff_ffff => {
            let [a, b, c, d] = (n as u32).to_be_bytes();
            out.extend_from_slice(&[0xce, a, b, c, d]);
        }
        _ => {
            let [a, b, c, d, e, f, g, h] = n.to_be_bytes();
            out.extend_from_slice(&[0xcf, a, b, c, d, e, f, g, h]);
        }
    }
}

/// Splits a body into its triple.
#[inline]
pub(super) fn split(body: &[u8]) -> Result<Triple, BadTriple> {
    let start = match body {
        [0x93, ..] => 1,
        [0xdc, 0, 3, ..] => 3,
        [0xdd, 0, 0, 0, 3, ..] => 5,
        _ => return Err(no_triple(body)),
    };
    let (kind, at) = uint(body, start, BadTriple::BadKind)?;
    let (id, at) = uint(body, at, BadTriple::BadId)?;
    let end = skip(body, at).map_err(|fault| match fault {
        Fault::Truncated(at) => BadTriple::Truncated { at },
        Fault::Reserved(at) | Fault::TooDeep(at) => BadTriple::Unexpected { at },
    })?;
    if end != body.len() {
        return Err(BadTriple::Trailing { at: end });
    }
    Ok(Triple {
        kind,
        id,
        content: at..end,
    })
}

#[cold]
fn no_triple(body: &[u8]) -> BadTriple {
    match body {
        [] => BadTriple::Empty,
        [0xdc] | [0xdc, 0] | [0xdd] | [0xdd, 0] | [0xdd, 0, 0] | [0xdd, 0, 0, 0] => {
            BadTriple::Truncated { at: 0 }
        }
        [first, ..] if Encoding::recognise(*first) == Some(Encoding::Json) => {
            BadTriple::OtherCodec {
                expected: Encoding::MsgPack,
                found: Encoding::Json,
            }
        }
        _ => BadTriple::NotATriple,
    }
}

/// Reads a non-negative integer of any width at `at`, and where it ends.
#[inline]
fn uint(body: &[u8], at: usize, otherwise: BadTriple) -> Result<(u64, usize), BadTriple> {
    match body.get(at) {
        Some(&n @ 0..0x80) => Ok((u64::from(n), at + 1)),
        Some(&marker) => wide_uint(body, at, marker, otherwise),
        None => Err(BadTriple::Truncated { at }),
    }
}

fn wide_uint(
    body: &[u8],
    at: usize,
    marker: u8,
    otherwise: BadTriple,
) -> Result<(u64, usize), BadTriple> {
    let width = match marker {
        0xcc | 0xd0 => 1,
        0xcd | 0xd1 => 2,
        0xce | 0xd2 => 4,
        0xcf | 0xd3 => 8,
        _ => return Err(otherwise),
    };
    let end = at + 1 + width;
    let Some(digits) = body.get(at + 1..end) else {
        return Err(BadTriple::Truncated { at });
    };
    let n = be_uint(digits);
    let signed = marker >= 0xd0;
    if signed && digits[0] >= 0x80 {
        return Err(otherwise);
    }
    Ok((n, end))
}

/// The big-endian number of up to eight bytes.
#[inline]
fn be_uint(digits: &[u8]) -> u64 {
    digits.iter().fold(0, |n, &digit| n << 8 | u64::from(digit))
}

/// What is wrong with the structure of a value, and where the value begins that has the fault.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Fault {
    /// It needs more bytes than there are.
    Truncated(usize),
    /// `0xc1`, which MessagePack never uses.
    Reserved(usize),
    /// It is a container inside more containers than allowed.
    TooDeep(usize),
}

/// Where the value that begins at `start` ends. Any nesting, no stack.
#[inline]
pub(super) fn skip(bytes: &[u8], start: usize) -> Result<usize, Fault> {
    let mut at = start;
    // Values still to come. Never above the bytes left, so it cannot overflow.
    let mut open = 1;
    while open > 0 {
        let (next, items) = shape(bytes, at)?;
        open += items;
        open -= 1;
        if open > (bytes.len() - next) as u64 {
            return Err(Fault::Truncated(at));
        }
        at = next;
    }
    Ok(at)
}

/// Where the value that begins at `start` ends, with at most `limit` containers inside each other.
pub(super) fn survey(bytes: &[u8], start: usize, limit: usize) -> Result<usize, Fault> {
    let mut at = start;
    // Values still to come in each open container, innermost last. Not longer than `limit`, whatever comes.
    let mut open: Vec<u64> = Vec::new();
    loop {
        let (next, items) = shape(bytes, at)?;
        if items > (bytes.len() - next) as u64 {
            return Err(Fault::Truncated(at));
        }
        if is_container(bytes[at]) {
            if open.len() == limit {
                return Err(Fault::TooDeep(at));
            }
            open.push(items);
        }
        at = next;
        loop {
            match open.last_mut() {
                None => return Ok(at),
                Some(0) => drop(open.pop()),
                Some(left) => {
                    *left -= 1;
                    break;
                }
            }
        }
    }
}

fn is_container(marker: u8) -> bool {
    matches!(marker, 0x80..=0x9f | 0xdc..=0xdf)
}

/// Where the value at `at` ends if it is no container; where the first item of a container begins, and how many follow.
#[inline]
fn shape(bytes: &[u8], at: usize) -> Result<(usize, u64), Fault> {
    let Some(&marker) = bytes.get(at) else {
        return Err(Fault::Truncated(at));
    };
    let head = at + 1;
    let (width, data, items) = match marker {
        0x00..=0x7f | 0xe0..=0xff | 0xc0 | 0xc2 | 0xc3 => return Ok((head, 0)),
        0x80..=0x8f => return Ok((head, 2 * u64::from(marker & 0x0f))),
        0x90..=0x9f => return Ok((head, u64::from(marker & 0x0f))),
        0xc1 => return Err(Fault::Reserved(at)),
        0xa0..=0xbf => (0, u64::from(marker & 0x1f), 0),
        0xc4 | 0xd9 => (1, len(bytes, head, 1), 0),
        0xc5 | 0xda => (2, len(bytes, head, 2), 0),
        0xc6 | 0xdb => (4, len(bytes, head, 4), 0),
        0xc7 => (2, len(bytes, head, 1), 0),
        0xc8 => (3, len(bytes, head, 2), 0),
        0xc9 => (5, len(bytes, head, 4), 0),
        0xcc | 0xd0 => (1, 0, 0),
        0xcd | 0xd1 => (2, 0, 0),
        0xca | 0xce | 0xd2 => (4, 0, 0),
        0xcb | 0xcf | 0xd3 => (8, 0, 0),
        0xd4..=0xd8 => (1, 1 << (marker - 0xd4), 0),
        0xdc => (2, 0, len(bytes, head, 2)),
        0xdd => (4, 0, len(bytes, head, 4)),
        0xde => (2, 0, 2 * len(bytes, head, 2)),
        0xdf => (4, 0, 2 * len(bytes, head, 4)),
    };
    // At most 2³² + 5 more than `head`: no overflow in 64 bits.
    let end = head as u64 + width + data;
    if end > bytes.len() as u64 {
        return Err(Fault::Truncated(at));
    }
    Ok((end as usize, items))
}

/// The length that stands in `width` bytes at `at`; 0 if they are not all there, which the caller's bound then shows.
#[inline]
fn len(bytes: &[u8], at: usize, width: usize) -> u64 {
    bytes.get(at..at + width).map_or(0, be_uint)
}

#[cfg(test)]
mod tests;
