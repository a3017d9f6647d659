//! JSON: heads, structure, and the look ahead before content is opened.
//!
//! Content that is only carried is scanned for balance: quotes with their escapes, and brackets that must close what they
//! opened. That is enough to know where it ends, and everything in between leaves as it came. The open brackets are one
//! bit each, in one word as long as there are no more than 64; beyond, one bit per byte of input at most.

#![allow(
    clippy::arithmetic_side_effects,
    reason = "places in bytes that lie in memory; of a number no more digits are added up than fit"
)]

use super::{BadTriple, Encoding, Triple};

/// Appends `[kind, id, `.
#[inline]
pub(super) fn put_head(kind: u8, id: u64, out: &mut Vec<u8>) {
    // `[`, three digits, `, `, twenty digits, `, `: filled from the end, appended at once.
    let mut buffer = [0; 28];
    let mut at = buffer.len() - 2;
    buffer[at..].copy_from_slice(b", ");
    at = put_digits(id, &mut buffer, at);
    at -= 2;
    buffer[at..at + 2].copy_from_slice(b", ");
    at = put_digits(u64::from(kind), &mut buffer, at);
    at -= 1;
    buffer[at] = b'[';
    out.extend_from_slice(&buffer[at..]);
}

/// Writes `n` in decimal so that it ends before `end`, and says where it begins.
#[inline]
fn put_digits(mut n: u64, buffer: &mut [u8], end: usize) -> usize {
    let mut at = end;
    loop {
        at -= 1;
        buffer[at] = b'0' + (n % 10) as u8;
        n /= 10;
        if n == 0 {
            return at;
        }
    }
}

/// Splits a body into its triple.
#[inline]
pub(super) fn split(body: &[u8]) -> Result<Triple, BadTriple> {
    let start = skip_space(body, 0);
    if body.get(start) != Some(&b'[') {
        return Err(no_triple(body, start));
    }
    let (kind, at) = element(body, start + 1, BadTriple::BadKind)?;
    let (id, at) = element(body, at, BadTriple::BadId)?;
    let begin = skip_space(body, at);
    let end = skip(body, begin)?;
    let at = skip_space(body, end);
    match body.get(at) {
        Some(b']') => {}
        Some(b',') => return Err(BadTriple::NotATriple),
        Some(_) => return Err(BadTriple::Unexpected { at }),
        None => return Err(BadTriple::Truncated { at: start }),
    }
    let after = skip_space(body, at + 1);
    if after != body.len() {
        return Err(BadTriple::Trailing { at: after });
    }
    Ok(Triple { kind, id, content: begin..end })
}

#[cold]
fn no_triple(body: &[u8], start: usize) -> BadTriple {
    match body.get(start) {
        None => BadTriple::Empty,
        Some(_) if body.starts_with(b"\xef\xbb\xbf") => BadTriple::ByteOrderMark,
        Some(&first) if Encoding::recognise(first) == Some(Encoding::MsgPack) => {
            BadTriple::OtherCodec { expected: Encoding::Json, found: Encoding::MsgPack }
        }
        Some(_) => BadTriple::NotATriple,
    }
}

/// Reads an element that must be a plain unsigned integer, and the comma after it.
#[inline]
fn element(body: &[u8], at: usize, otherwise: BadTriple) -> Result<(u64, usize), BadTriple> {
    let begin = skip_space(body, at);
    let (n, at) = digits(body, begin);
    let Some(n) = n else {
        return Err(otherwise);
    };
    let count = at - begin;
    let end = skip_space(body, at);
    match body.get(end) {
        Some(b',') if count == 1 || count > 1 && body[begin] != b'0' => Ok((n, end + 1)),
        Some(b']') => Err(BadTriple::NotATriple),
        Some(_) if count > 0 && end > at => Err(BadTriple::Unexpected { at: end }),
        Some(_) => Err(otherwise),
        None => Err(BadTriple::Truncated { at: begin }),
    }
}

/// The number that the digits at `begin` say, `None` if it needs more than 64 bits, and where they end.
#[inline]
pub(crate) fn digits(body: &[u8], begin: usize) -> (Option<u64>, usize) {
    let mut at = begin;
    let mut n: u64 = 0;
    while let Some(digit @ b'0'..=b'9') = body.get(at) {
        let digit = u64::from(digit - b'0');
        // Nineteen digits always fit: only the twentieth needs a check.
        n = match at - begin {
            0..19 => n * 10 + digit,
            _ => match n.checked_mul(10).and_then(|n| n.checked_add(digit)) {
                Some(n) => n,
                None => {
                    let rest = body[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
                    return (None, at + rest);
                }
            },
        };
        at += 1;
    }
    (Some(n), at)
}

/// Where the value that begins at `start` ends, by balance.
#[inline]
pub(crate) fn skip(body: &[u8], start: usize) -> Result<usize, BadTriple> {
    match body.get(start) {
        Some(b'"') => skip_string(body, start).ok_or(BadTriple::Truncated { at: start }),
        Some(b'[' | b'{') => skip_container(body, start),
        Some(b']') => Err(BadTriple::NotATriple),
        Some(_) => {
            let end = skip_scalar(body, start);
            match &body[start..end] {
                b"true" | b"false" | b"null" | b"NaN" | b"Infinity" | b"-Infinity" => Ok(end),
                token if is_number(token) => Ok(end),
                _ if end == body.len() => Err(BadTriple::Truncated { at: start }),
                _ => Err(BadTriple::Unexpected { at: start }),
            }
        }
        None => Err(BadTriple::Truncated { at: start }),
    }
}

fn skip_container(body: &[u8], start: usize) -> Result<usize, BadTriple> {
    let mut open = Brackets::default();
    let mut at = start;
    while let Some(&byte) = body.get(at) {
        match byte {
            b'"' => {
                at = skip_string(body, at).ok_or(BadTriple::Truncated { at })?;
                continue;
            }
            b'[' | b'{' => open.push(byte == b'{'),
            b']' | b'}' => {
                if open.pop() != (byte == b'}') {
                    return Err(BadTriple::Unbalanced { at });
                }
                if open.depth == 0 {
                    return Ok(at + 1);
                }
            }
            _ => {}
        }
        at += 1;
    }
    Err(BadTriple::Truncated { at: start })
}

/// Where the string whose opening quote stands at `start` ends; `None` if it does not.
#[inline]
fn skip_string(body: &[u8], start: usize) -> Option<usize> {
    let mut at = start + 1;
    loop {
        // Eight bytes at a time: texts are long and seldom escaped.
        while let Some(chunk) = body.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
            let word = u64::from_le_bytes(*chunk);
            let hits = has_byte(word, b'"') | has_byte(word, b'\\');
            if hits != 0 {
                at += (hits.trailing_zeros() / 8) as usize;
                break;
            }
            at += 8;
        }
        match body.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// A word whose lowest set bit is the top bit of the first byte of `word` (little-endian) that equals `byte`.
#[inline]
fn has_byte(word: u64, byte: u8) -> u64 {
    const LOW: u64 = u64::from_le_bytes([0x01; 8]);
    const HIGH: u64 = u64::from_le_bytes([0x80; 8]);
    let zero_where_equal = word ^ (LOW * byte as u64);
    zero_where_equal.wrapping_sub(LOW) & !zero_where_equal & HIGH
}

/// Where a number or literal that begins at `start` ends: at the next delimiter.
#[inline]
fn skip_scalar(body: &[u8], start: usize) -> usize {
    let is_delimiter =
        |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b',' | b':' | b'"' | b'[' | b']' | b'{' | b'}');
    body[start..].iter().position(is_delimiter).map_or(body.len(), |len| start + len)
}

#[inline]
pub(crate) fn skip_space(body: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\t' | b'\n' | b'\r') = body.get(at) {
        at += 1;
    }
    at
}

/// Whether `token` is a number by JSON's grammar.
fn is_number(token: &[u8]) -> bool {
    let digits = |at: usize| token[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut at = usize::from(token.first() == Some(&b'-'));
    match digits(at) {
        0 => return false,
        1 => at += 1,
        _ if token[at] == b'0' => return false,
        count => at += count,
    }
    if token.get(at) == Some(&b'.') {
        let count = digits(at + 1);
        if count == 0 {
            return false;
        }
        at += 1 + count;
    }
    if let Some(b'e' | b'E') = token.get(at) {
        at += 1 + usize::from(matches!(token.get(at + 1), Some(b'+' | b'-')));
        let count = digits(at);
        if count == 0 {
            return false;
        }
        at += count;
    }
    at == token.len()
}

/// The open brackets, innermost last: a set bit is `{`, a clear one `[`.
#[derive(Default)]
struct Brackets {
    depth: usize,
    /// The innermost brackets, down to the last multiple of 64.
    word: u64,
    /// Full words further out. Stays empty up to a depth of 64.
    outer: Vec<u64>,
}

impl Brackets {
    #[inline]
    fn push(&mut self, brace: bool) {
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            self.outer.push(self.word);
        }
        self.word = self.word << 1 | u64::from(brace);
        self.depth += 1;
    }

    /// Closes the innermost bracket and says whether it was a brace. Called only while one is open.
    #[inline]
    fn pop(&mut self) -> bool {
        let brace = self.word & 1 == 1;
        self.word >>= 1;
        self.depth -= 1;
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            self.word = self.outer.pop().unwrap_or(0);
        }
        brace
    }
}

/// What keeps well-balanced JSON from being opened as a value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Fault {
    /// A container inside more containers than allowed.
    TooDeep,
    /// An integer outside −2⁶³ … 2⁶⁴ − 1 at this byte.
    IntegerOutOfRange(usize),
    /// `NaN`, `Infinity` or `-Infinity` at this byte.
    NotFinite(usize),
}

/// Looks for what the parser would misread or recurse into too deeply. All other faults are left to the parser.
pub(super) fn survey(body: &[u8], limit: usize) -> Result<(), Fault> {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(&byte) = body.get(at) {
        at = match byte {
            b'"' => match skip_string(body, at) {
                Some(end) => end,
                None => return Ok(()),
            },
            b'[' | b'{' if depth == limit => return Err(Fault::TooDeep),
            b'[' | b'{' => {
                depth += 1;
                at + 1
            }
            b']' | b'}' => {
                depth = depth.saturating_sub(1);
                at + 1
            }
            b'-' | b'0'..=b'9' | b'N' | b'I' => {
                let end = skip_scalar(body, at);
                scalar(&body[at..end], at)?;
                end
            }
            _ => at + 1,
        };
    }
    Ok(())
}

/// The parser reads integers beyond 64 bits as floats and knows no NaN, so both are looked for here.
#[inline]
fn scalar(token: &[u8], at: usize) -> Result<(), Fault> {
    // Eighteen digits always fit; most numbers are shorter.
    if token.len() < 19 && token[0] != b'N' && token[0] != b'I' && token.get(1) != Some(&b'I') {
        return Ok(());
    }
    if let b"NaN" | b"Infinity" | b"-Infinity" = token {
        return Err(Fault::NotFinite(at));
    }
    let negative = token[0] == b'-';
    let begin = usize::from(negative);
    match digits(token, begin) {
        // A fraction or an exponent follows: a float, however long.
        (_, end) if end < token.len() => Ok(()),
        (Some(n), _) if !negative || n <= 1 << 63 => Ok(()),
        _ => Err(Fault::IntegerOutOfRange(at)),
    }
}

#[cfg(test)]
mod tests;
