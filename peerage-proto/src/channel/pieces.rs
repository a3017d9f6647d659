//! Contents of frames that outlive the bytes they arrived in.
//!
//! What a read brought is overwritten by the next one, so every content must be copied out. Many small ones that arrived
//! together are copied together, into one block that they share: one allocation instead of one each. A content that is
//! kept keeps its block in memory, so blocks are small; a large content gets memory of its own.

#![allow(clippy::arithmetic_side_effects, reason = "places and lengths of what lies in memory")]

use std::ops::Range;

use bytes::Bytes;

use crate::frame::Body;

/// Copies contents out of what one read brought.
#[derive(Debug)]
pub(super) struct Pieces<'a> {
    input: &'a [u8],
    /// The latest block, and where in the input it begins.
    block: Bytes,
    begins: usize,
}

impl<'a> Pieces<'a> {
    /// For contents that lie in `input`.
    pub(super) fn of(input: &'a [u8]) -> Pieces<'a> {
        Pieces { input, block: Bytes::new(), begins: 0 }
    }

    /// The part `range` of a body in memory of its own, whatever came beside it.
    pub(super) fn alone(body: &Body<'_>, range: Range<usize>) -> Bytes {
        match body {
            Body::Assembled(bytes) => bytes.slice(range),
            Body::InPlace(body) => Bytes::copy_from_slice(&body[range]),
        }
    }

    /// The part `range` of a body that ends where `rest` of the input begins.
    pub(super) fn part(&mut self, body: &Body<'_>, range: Range<usize>, rest: &[u8]) -> Bytes {
        let body = match body {
            Body::Assembled(bytes) => return bytes.slice(range),
            Body::InPlace(body) => *body,
        };
        if range.len() > SMALL_BYTES {
            return Bytes::copy_from_slice(&body[range]);
        }
        let start = self.input.len() - rest.len() - body.len() + range.start;
        let end = start + range.len();
        if start < self.begins || end > self.begins + self.block.len() {
            let until = self.input.len().min(start + BLOCK_BYTES).max(end);
            // Nothing follows the last frame of a read but, at most, the beginning of another.
            let until = if rest.is_empty() { end } else { until };
            self.block = Bytes::copy_from_slice(&self.input[start..until]);
            self.begins = start;
        }
        self.block.slice(start - self.begins..end - self.begins)
    }
}

/// Contents up to this size share a block.
const SMALL_BYTES: usize = 1 << 10;

/// Size of a block: what a single small content that is kept can hold in memory at most.
const BLOCK_BYTES: usize = 8 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::FrameDecoder;

    #[test]
    fn every_content_is_copied_out_unharmed_whatever_its_size() {
        let sizes = [0, 1, 64, 64, SMALL_BYTES, SMALL_BYTES + 1, 3, 20_000, 5, 1000, 1000, 1000, 1000, 64];
        let mut input = Vec::new();
        for repeat in 0..4_u8 {
            for (n, size) in sizes.iter().enumerate() {
                input.extend_from_slice(&(*size as u32 + 2).to_be_bytes());
                input.extend(std::iter::repeat_n(repeat * 16 + n as u8, size + 2));
            }
        }
        let mut decoder = FrameDecoder::new(1 << 20);
        let mut pieces = Pieces::of(&input);
        let mut rest = &input[..];
        let mut count = 0;
        while let Some(body) = decoder.next(&mut rest).expect("in the limit") {
            let part = pieces.part(&body, 2..body.bytes().len(), rest);
            assert_eq!(&part[..], &body.bytes()[2..], "content {count}");
            count += 1;
        }
        assert_eq!(count, 4 * sizes.len());
    }

    #[test]
    fn a_content_that_is_to_stand_alone_holds_nothing_of_what_came_with_it() {
        let input = b"\0\0\0\x03abc\0\0\0\x03def";
        let body = FrameDecoder::new(16).next(&mut &input[..]).expect("in the limit").expect("whole");
        let alone = Pieces::alone(&body, 1..3);
        assert_eq!(&alone[..], b"bc");
        // Memory that nobody shares comes back as it is, in its full size.
        assert_eq!(alone.try_into_mut().expect("nobody shares it").capacity(), 2);
    }

    #[test]
    fn a_lone_content_holds_no_more_memory_than_it_needs() {
        let input = b"\0\0\0\x03abc";
        let body = FrameDecoder::new(16).next(&mut &input[..]).expect("in the limit").expect("whole");
        let mut pieces = Pieces::of(input);
        assert_eq!(&pieces.part(&body, 1..3, &[])[..], b"bc");
        assert_eq!(pieces.block.len(), 2);
    }
}
