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

#![allow(
    clippy::arithmetic_side_effects,
    reason = "places in bytes that lie in memory; lengths of 32 bits are added up in 64"
)]

use super::{BadTriple, Encoding, Triple};

pub(super) mod reader;
pub(super) mod writer;

/// Appends an array of three with its first two elements.
#[inline]
pub(super) fn put_head(kind: u8, id: u64, out: &mut Vec<u8>) {
    if kind >= 0x80 {
        out.push(0x93);
        put_uint(u64::from(kind), out);
        put_uint(id, out);
        return;
    }
    // Every frame has a head, so each form is written in one piece.
    match id {
        0..0x80 => out.extend_from_slice(&[0x93, kind, id as u8]),
        0x80..=0xff => out.extend_from_slice(&[0x93, kind, 0xcc, id as u8]),
        0x100..=0xffff => {
            let [a, b] = (id as u16).to_be_bytes();
            out.extend_from_slice(&[0x93, kind, 0xcd, a, b]);
        }
        0x1_0000..=0xffff_ffff => {
            let [a, b, c, d] = (id as u32).to_be_bytes();
            out.extend_from_slice(&[0x93, kind, 0xce, a, b, c, d]);
        }
        _ => {
            let [a, b, c, d, e, f, g, h] = id.to_be_bytes();
            out.extend_from_slice(&[0x93, kind, 0xcf, a, b, c, d, e, f, g, h]);
        }
    }
}

/// Appends an unsigned integer in its shortest form.
#[inline]
pub(crate) fn put_uint(n: u64, out: &mut Vec<u8>) {
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
    let (kind, at) = uint(body, start).ok_or_else(|| no_uint(body, start, BadTriple::BadKind))?;
    let (id, at) = uint(body, at).ok_or_else(|| no_uint(body, at, BadTriple::BadId))?;
    let end = skip(body, at).map_err(|fault| match fault {
        Fault::Truncated(at) => BadTriple::Truncated { at },
        Fault::Reserved(at) | Fault::TooDeep(at) => BadTriple::Unexpected { at },
    })?;
    if end != body.len() {
        return Err(BadTriple::Trailing { at: end });
    }
    Ok(Triple { kind, id, content: at..end })
}

#[cold]
fn no_triple(body: &[u8]) -> BadTriple {
    match body {
        [] => BadTriple::Empty,
        [0xdc] | [0xdc, 0] | [0xdd] | [0xdd, 0] | [0xdd, 0, 0] | [0xdd, 0, 0, 0] => BadTriple::Truncated { at: 0 },
        [first, ..] if Encoding::recognise(*first) == Some(Encoding::Json) => {
            BadTriple::OtherCodec { expected: Encoding::MsgPack, found: Encoding::Json }
        }
        _ => BadTriple::NotATriple,
    }
}

/// Reads a non-negative integer of any width at `at`, and where it ends.
#[inline]
pub(crate) fn uint(body: &[u8], at: usize) -> Option<(u64, usize)> {
    match *body.get(at)? {
        n @ 0..0x80 => Some((u64::from(n), at + 1)),
        marker => wide_uint(body, marker, at + 1),
    }
}

#[inline]
fn wide_uint(body: &[u8], marker: u8, at: usize) -> Option<(u64, usize)> {
    let below = |bits: u32, n: u64| (n >> bits == 0).then_some(n);
    match marker {
        0xcc => Some((be::<1>(body, at)?, at + 1)),
        0xcd => Some((be::<2>(body, at)?, at + 2)),
        0xce => Some((be::<4>(body, at)?, at + 4)),
        0xcf => Some((be::<8>(body, at)?, at + 8)),
        0xd0 => Some((below(7, be::<1>(body, at)?)?, at + 1)),
        0xd1 => Some((below(15, be::<2>(body, at)?)?, at + 2)),
        0xd2 => Some((below(31, be::<4>(body, at)?)?, at + 4)),
        0xd3 => Some((below(63, be::<8>(body, at)?)?, at + 8)),
        _ => None,
    }
}

/// Why there is no unsigned integer at `at`: it is cut off, or it is something else.
#[cold]
fn no_uint(body: &[u8], at: usize, otherwise: BadTriple) -> BadTriple {
    let is_integer = matches!(body.get(at), None | Some(0xcc..=0xd3));
    match skip(body, at) {
        Err(Fault::Truncated(_)) if is_integer => BadTriple::Truncated { at },
        _ => otherwise,
    }
}

/// The big-endian number in the `N` bytes at `at`, if they are there. A constant width is one load instead of a loop.
#[inline]
fn be<const N: usize>(bytes: &[u8], at: usize) -> Option<u64> {
    let digits = bytes.get(at..)?.first_chunk::<N>()?;
    let mut wide = [0; 8];
    wide[8 - N..].copy_from_slice(digits);
    Some(u64::from_be_bytes(wide))
}

/// What is wrong with the structure of a value, and where the value begins that has the fault.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Fault {
    /// It needs more bytes than there are.
    Truncated(usize),
    /// `0xc1`, which MessagePack never uses.
    Reserved(usize),
    /// It is a container inside more containers than allowed.
    TooDeep(usize),
}

/// Where the value that begins at `start` ends. Any nesting, no stack.
#[inline]
pub(crate) fn skip(bytes: &[u8], start: usize) -> Result<usize, Fault> {
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

/// Where the first element of the array that `bytes` begin with stands, and how many there are.
#[inline]
pub(crate) fn array(bytes: &[u8]) -> Option<(usize, u64)> {
    match *bytes.first()? {
        marker @ 0x90..=0x9f => Some((1, u64::from(marker & 0x0f))),
        0xdc => Some((3, be::<2>(bytes, 1)?)),
        0xdd => Some((5, be::<4>(bytes, 1)?)),
        _ => None,
    }
}

/// Where the first key of the map that `bytes` begin with stands, and how many entries there are.
pub(crate) fn map(bytes: &[u8]) -> Option<(usize, u64)> {
    match *bytes.first()? {
        marker @ 0x80..=0x8f => Some((1, u64::from(marker & 0x0f))),
        0xde => Some((3, be::<2>(bytes, 1)?)),
        0xdf => Some((5, be::<4>(bytes, 1)?)),
        _ => None,
    }
}

/// The bytes of an encoded text; `None` for anything else.
pub(crate) fn text(bytes: &[u8]) -> Option<&[u8]> {
    match bytes {
        [0xa0..=0xbf, text @ ..] | [0xd9, _, text @ ..] => Some(text),
        [0xda, _, _, text @ ..] | [0xdb, _, _, _, _, text @ ..] => Some(text),
        _ => None,
    }
}

/// Where the value that begins at `start` ends, with at most `limit` containers inside each other.
#[inline]
pub(super) fn survey(bytes: &[u8], start: usize, limit: usize) -> Result<usize, Fault> {
    match shape(bytes, start)? {
        // No container, or an empty one: nothing to descend into.
        (end, 0) if limit > 0 => Ok(end),
        _ => descend(bytes, start, limit),
    }
}

fn descend(bytes: &[u8], start: usize, limit: usize) -> Result<usize, Fault> {
    let mut at = start;
    // Values still to come in the innermost container, and in those around it. Not more than `limit`, whatever comes.
    let mut left = 1;
    let mut outer = Counts::default();
    loop {
        while left == 0 {
            match outer.pop() {
                Some(further) => left = further,
                None => return Ok(at),
            }
        }
        left -= 1;
        let (next, items) = shape(bytes, at)?;
        if items > (bytes.len() - next) as u64 {
            return Err(Fault::Truncated(at));
        }
        if is_container(bytes[at]) {
            if outer.depth == limit {
                return Err(Fault::TooDeep(at));
            }
            outer.push(left);
            left = items;
        }
        at = next;
    }
}

/// A stack of counts. Values seldom nest deeper than eight, and those are surveyed without allocating.
#[derive(Default)]
struct Counts {
    near: [u64; 8],
    far: Vec<u64>,
    depth: usize,
}

impl Counts {
    #[inline]
    fn push(&mut self, count: u64) {
        match self.near.get_mut(self.depth) {
            Some(place) => *place = count,
            None => self.far.push(count),
        }
        self.depth += 1;
    }

    #[inline]
    fn pop(&mut self) -> Option<u64> {
        self.depth = self.depth.checked_sub(1)?;
        self.near.get(self.depth).copied().or_else(|| self.far.pop())
    }
}

#[inline]
pub(super) fn is_container(marker: u8) -> bool {
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
        0xc4 | 0xd9 => (1, len::<1>(bytes, head), 0),
        0xc5 | 0xda => (2, len::<2>(bytes, head), 0),
        0xc6 | 0xdb => (4, len::<4>(bytes, head), 0),
        0xc7 => (2, len::<1>(bytes, head), 0),
        0xc8 => (3, len::<2>(bytes, head), 0),
        0xc9 => (5, len::<4>(bytes, head), 0),
        0xcc | 0xd0 => (1, 0, 0),
        0xcd | 0xd1 => (2, 0, 0),
        0xca | 0xce | 0xd2 => (4, 0, 0),
        0xcb | 0xcf | 0xd3 => (8, 0, 0),
        0xd4..=0xd8 => (1, 1 << (marker - 0xd4), 0),
        0xdc => (2, 0, len::<2>(bytes, head)),
        0xdd => (4, 0, len::<4>(bytes, head)),
        0xde => (2, 0, 2 * len::<2>(bytes, head)),
        0xdf => (4, 0, 2 * len::<4>(bytes, head)),
    };
    // At most 2³² + 5 more than `head`: no overflow in 64 bits.
    let end = head as u64 + width + data;
    if end > bytes.len() as u64 {
        return Err(Fault::Truncated(at));
    }
    Ok((end as usize, items))
}

/// The length that stands in `N` bytes at `at`; 0 if they are not all there, which the caller's bound then shows.
#[inline]
fn len<const N: usize>(bytes: &[u8], at: usize) -> u64 {
    be::<N>(bytes, at).unwrap_or(0)
}

#[cfg(test)]
mod tests;
