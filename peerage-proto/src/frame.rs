//! Frames: where one message ends and the next begins.
//!
//! A frame is a length and a body (PROTOCOL §2): four bytes, big-endian, then that many bytes. The decoder takes bytes
//! in whatever pieces the network delivers and gives out whole bodies. Two things make it safe against a hostile length:
//! the limit is checked before anything is reserved, and the buffer of an unfinished frame grows only with the bytes
//! that really arrive. Two things make it cheap: a frame that lies whole in the bytes just read is handed out in place,
//! without a copy, and a large one can be read from the socket straight into the buffer that becomes its payload.
//!
//! ```text
//!   bytes just read   │ len body │ len body │ len bo…
//!                        └ in place ┘           └ kept, grows with what comes
//! ```

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;

use crate::limits;
use crate::outcome::PeerMisbehaved;

mod kind;

pub use kind::Kind;

/// Which frames a link speaks (PROTOCOL §4, §5).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Dialect {
    /// Requests, results and exceptions only: what aiomas programs speak.
    Plain,
    /// All of it: also cancel, busy and what later capabilities add.
    Full,
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Dialect::Plain => "plain",
            Dialect::Full => "full",
        })
    }
}

impl FromStr for Dialect {
    type Err = UnknownDialect;

    fn from_str(text: &str) -> Result<Dialect, UnknownDialect> {
        match text {
            "plain" => Ok(Dialect::Plain),
            "full" => Ok(Dialect::Full),
            _ => Err(UnknownDialect(text.to_owned())),
        }
    }
}

/// A word that names no dialect.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("unknown dialect `{0}` (known: plain, full)")]
pub struct UnknownDialect(pub String);

/// Which end of a link.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Side {
    /// The end that dialled.
    Dialler,
    /// The end that accepted.
    Acceptor,
}

impl Side {
    /// The other end.
    pub const fn other(self) -> Side {
        match self {
            Side::Dialler => Side::Acceptor,
            Side::Acceptor => Side::Dialler,
        }
    }
}

/// Cuts a stream of bytes into frame bodies, whatever the chunking.
#[derive(Debug)]
pub struct FrameDecoder {
    /// Largest body accepted, in bytes.
    limit: u32,
    /// The unfinished frame.
    partial: Partial,
}

/// The beginning of a frame whose rest has not arrived.
#[derive(Debug)]
enum Partial {
    /// Some bytes of the length prefix, maybe none.
    Length { bytes: [u8; 4], have: usize },
    /// The body so far.
    Body(Unfinished),
    /// The body is with the driver, which reads into it.
    Lent,
}

/// The body of a frame that is still arriving. A driver may borrow it and read from the socket straight into it.
#[derive(Debug)]
pub struct Unfinished {
    body: Vec<u8>,
    size: usize,
}

impl Unfinished {
    /// Bytes still missing.
    pub fn missing(&self) -> usize {
        self.size.saturating_sub(self.body.len())
    }

    /// The buffer to append to, with room for what may be read now: never more than [`limits::BUFFER_AHEAD_BYTES`]
    /// beyond what arrived, and never more than is missing.
    pub fn buffer(&mut self) -> (&mut Vec<u8>, usize) {
        let room = self.missing().min(limits::BUFFER_AHEAD_BYTES);
        self.reserve(room);
        (&mut self.body, room)
    }

    fn reserve(&mut self, room: usize) {
        // Exact, because doubling would reserve far ahead of what arrived; large blocks are moved by remapping pages.
        self.body.reserve_exact(room);
    }

    /// Takes what belongs to this body from the front of `input`.
    fn fill(&mut self, input: &mut &[u8]) {
        let take = self.missing().min(input.len());
        let (now, rest) = input.split_at(take);
        self.reserve(take);
        self.body.extend_from_slice(now);
        *input = rest;
    }
}

/// A whole frame body: in place where it lay whole in the input, else assembled.
#[derive(Debug, Eq, PartialEq)]
pub enum Body<'a> {
    /// Lies in the bytes just read.
    InPlace(&'a [u8]),
    /// Arrived in pieces and owns its memory.
    Assembled(Bytes),
}

impl Body<'_> {
    /// The bytes of the body.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Body::InPlace(bytes) => bytes,
            Body::Assembled(bytes) => bytes,
        }
    }
}

impl FrameDecoder {
    /// A decoder that accepts bodies of up to `limit` bytes.
    pub fn new(limit: u32) -> FrameDecoder {
        FrameDecoder { limit, partial: Partial::nothing() }
    }

    /// Takes one whole frame from the front of `input`, or keeps what is there of an unfinished one.
    ///
    /// `Ok(None)` means that `input` is used up.
    ///
    /// # Errors
    /// [`PeerMisbehaved::FrameTooLarge`] as soon as the length is known; nothing has been reserved for it.
    pub fn next<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Body<'a>>, PeerMisbehaved> {
        loop {
            match &mut self.partial {
                Partial::Length { have: 0, .. } if input.len() >= 4 => {
                    let (length, rest) = input.split_at(4);
                    let size = self.check([length[0], length[1], length[2], length[3]])?;
                    if rest.len() >= size {
                        let (body, rest) = rest.split_at(size);
                        *input = rest;
                        return Ok(Some(Body::InPlace(body)));
                    }
                    *input = rest;
                    self.partial = Partial::Body(Unfinished { body: Vec::new(), size });
                }
                Partial::Length { bytes, have } => {
                    let missing = bytes.len().saturating_sub(*have);
                    let (now, later) = input.split_at(missing.min(input.len()));
                    bytes.iter_mut().skip(*have).zip(now).for_each(|(place, byte)| *place = *byte);
                    *have = have.saturating_add(now.len());
                    *input = later;
                    if *have < 4 {
                        return Ok(None);
                    }
                    let bytes = *bytes;
                    let size = self.check(bytes)?;
                    self.partial = Partial::Body(Unfinished { body: Vec::new(), size });
                }
                Partial::Body(unfinished) => {
                    unfinished.fill(input);
                    if unfinished.missing() > 0 {
                        return Ok(None);
                    }
                    let body = std::mem::take(&mut unfinished.body);
                    self.partial = Partial::nothing();
                    return Ok(Some(Body::Assembled(Bytes::from(body))));
                }
                Partial::Lent => return Ok(None),
            }
        }
    }

    /// Whether a frame has begun and not ended.
    pub fn is_partial(&self) -> bool {
        !matches!(self.partial, Partial::Length { have: 0, .. })
    }

    /// Memory held for an unfinished frame, in bytes: never more than [`limits::BUFFER_AHEAD_BYTES`] beyond what arrived.
    pub fn capacity(&self) -> usize {
        match &self.partial {
            Partial::Body(unfinished) => unfinished.body.capacity(),
            Partial::Length { .. } | Partial::Lent => 0,
        }
    }

    /// Lends out the body of an unfinished frame of which at least `worthwhile` bytes are missing, so that they can be
    /// read into place. Until [`take_back`](Self::take_back) the decoder takes no input.
    pub fn lend(&mut self, worthwhile: usize) -> Option<Unfinished> {
        match &self.partial {
            Partial::Body(unfinished) if unfinished.missing() >= worthwhile => {
                match std::mem::replace(&mut self.partial, Partial::Lent) {
                    Partial::Body(unfinished) => Some(unfinished),
                    Partial::Length { .. } | Partial::Lent => None,
                }
            }
            _ => None,
        }
    }

    /// Takes back what [`lend`](Self::lend) gave out.
    pub fn take_back(&mut self, unfinished: Unfinished) {
        self.partial = Partial::Body(unfinished);
    }

    fn check(&self, length: [u8; 4]) -> Result<usize, PeerMisbehaved> {
        let size = u32::from_be_bytes(length);
        if size > self.limit {
            return Err(PeerMisbehaved::FrameTooLarge { size, limit: self.limit });
        }
        Ok(size as usize)
    }
}

impl Partial {
    fn nothing() -> Partial {
        Partial::Length { bytes: [0; 4], have: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames_of(decoder: &mut FrameDecoder, mut input: &[u8]) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        while let Some(body) = decoder.next(&mut input).expect("within the limit") {
            frames.push(body.bytes().to_vec());
        }
        assert!(input.is_empty());
        frames
    }

    fn three_frames() -> Vec<u8> {
        [&b"\0\0\0\x03abc"[..], b"\0\0\0\0", b"\0\0\0\x05hello"].concat()
    }

    #[test]
    fn frames_that_lie_whole_in_the_input_are_handed_out_in_place() {
        let bytes = three_frames();
        let mut decoder = FrameDecoder::new(16);
        let mut input = &bytes[..];
        assert!(matches!(decoder.next(&mut input), Ok(Some(Body::InPlace(b"abc")))));
        assert!(matches!(decoder.next(&mut input), Ok(Some(Body::InPlace(b"")))));
        assert!(matches!(decoder.next(&mut input), Ok(Some(Body::InPlace(b"hello")))));
        assert!(!decoder.is_partial());
    }

    #[test]
    fn any_chunking_gives_the_same_frames() {
        let bytes = three_frames();
        let whole = frames_of(&mut FrameDecoder::new(16), &bytes);
        for first in 0..bytes.len() {
            for second in first..bytes.len() {
                let mut decoder = FrameDecoder::new(16);
                let mut frames = frames_of(&mut decoder, &bytes[..first]);
                frames.extend(frames_of(&mut decoder, &bytes[first..second]));
                frames.extend(frames_of(&mut decoder, &bytes[second..]));
                assert_eq!(frames, whole, "cut at {first} and {second}");
            }
        }
    }

    #[test]
    fn a_length_above_the_limit_is_refused_before_anything_is_reserved() {
        for cut in 1..4 {
            let mut decoder = FrameDecoder::new(16);
            let bytes = [0xff; 4];
            assert_eq!(frames_of(&mut decoder, &bytes[..cut]), Vec::<Vec<u8>>::new());
            let mut rest = &bytes[cut..];
            let refused = decoder.next(&mut rest);
            assert_eq!(refused, Err(PeerMisbehaved::FrameTooLarge { size: u32::MAX, limit: 16 }));
        }
        let mut exact: &[u8] = &[0, 0, 0, 17];
        assert!(FrameDecoder::new(16).next(&mut exact).is_err());
        let mut fits: &[u8] = &[0, 0, 0, 16];
        assert_eq!(FrameDecoder::new(16).next(&mut fits), Ok(None));
    }

    #[test]
    fn the_buffer_of_an_unfinished_frame_grows_with_what_arrives() {
        let mut decoder = FrameDecoder::new(64 << 20);
        let mut announced: &[u8] = &(64_u32 << 20).to_be_bytes();
        assert_eq!(decoder.next(&mut announced), Ok(None));
        assert_eq!(decoder.capacity(), 0);
        let mut some: &[u8] = &[7; 1000];
        assert_eq!(decoder.next(&mut some), Ok(None));
        assert!(decoder.capacity() <= 1000 + limits::BUFFER_AHEAD_BYTES);
    }

    #[test]
    fn a_large_body_can_be_read_into_place() {
        let mut decoder = FrameDecoder::new(1 << 20);
        let mut start: &[u8] = &[0, 0, 0, 200, 1, 2];
        assert_eq!(decoder.next(&mut start), Ok(None));
        assert!(decoder.lend(199).is_none(), "not worth it");
        let mut lent = decoder.lend(100).expect("198 bytes are missing");
        let (buffer, room) = lent.buffer();
        assert_eq!(room, 198);
        buffer.extend_from_slice(&[3; 198]);
        decoder.take_back(lent);
        let body = decoder.next(&mut &[][..]).expect("in the limit").expect("whole");
        assert_eq!(body.bytes().len(), 200);
        assert_eq!(&body.bytes()[..3], &[1, 2, 3]);
    }

    #[test]
    fn dialects_read_back_from_their_names() {
        for dialect in [Dialect::Plain, Dialect::Full] {
            assert_eq!(dialect.to_string().parse(), Ok(dialect));
        }
        assert_eq!("loud".parse::<Dialect>(), Err(UnknownDialect("loud".into())));
    }
}
