//! A content that was taken out of its feed and leaves as credit comes: whole, or cut into parts.

use std::collections::VecDeque;

use bytes::Bytes;

use super::super::streams::Measure;
use crate::codec::{Encoding, Payload, TranscodeError};
use crate::limits;

/// A content on its way.
#[derive(Debug)]
pub(super) struct Pending {
    encoding: Encoding,
    /// What has not left, in its order.
    pieces: VecDeque<Bytes>,
    /// Bytes of all of them.
    len: usize,
    /// A part has left, so that the rest goes in parts, too.
    has_begun: bool,
}

/// What can leave next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Step {
    /// All of it, in one frame.
    Whole,
    /// So many bytes of it.
    Part(usize),
    /// What says that all parts have left.
    Rest,
}

impl Pending {
    /// A content in several pieces.
    pub(super) fn of(encoding: Encoding, pieces: impl IntoIterator<Item = Bytes>) -> Pending {
        let pieces: VecDeque<Bytes> = pieces.into_iter().filter(|piece| !piece.is_empty()).collect();
        let len = pieces.iter().map(Bytes::len).sum();
        Pending { encoding, pieces, len, has_begun: false }
    }

    /// What can leave with so much credit, and what it costs. `most` is the largest content of a frame.
    pub(super) fn step(&self, credit: usize, most: usize, measure: Measure) -> Option<(Step, usize)> {
        let whole = self.len + limits::ITEM_OVERHEAD_BYTES;
        let fits = !self.has_begun && self.len <= most;
        if fits && whole <= credit {
            return Some((Step::Whole, whole));
        }
        // Whatever is smaller will have room for it once the subscriber has read.
        if fits && whole <= limits::GRANTED_AT_PACE {
            return None;
        }
        let (step, content) = match self.len {
            0 => (Step::Rest, measure.encoding.null().len()),
            left => {
                let part = left.min(measure.part());
                (Step::Part(part), measure.content_of_part(part))
            }
        };
        let price = content + limits::ITEM_OVERHEAD_BYTES;
        (price <= credit).then_some((step, price))
    }

    /// Puts what has not begun into the encoding that the link has by now.
    pub(super) fn transcode(&mut self, encoding: Encoding) -> Result<(), TranscodeError> {
        if self.encoding != encoding && !self.has_begun {
            let whole = Bytes::from(self.pieces.iter().flatten().copied().collect::<Vec<u8>>());
            let content = Payload::from_parts(self.encoding, whole).transcode(encoding)?;
            *self = Pending::of(encoding, [content.into_bytes()]);
        }
        Ok(())
    }

    /// The pieces of the whole content.
    pub(super) fn pieces(&self) -> impl Iterator<Item = &Bytes> {
        self.pieces.iter()
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Takes the next `count` bytes; fewer where a piece ends.
    pub(super) fn take(&mut self, count: usize) -> Bytes {
        self.has_begun = true;
        let Some(first) = self.pieces.front_mut() else { return Bytes::new() };
        let part = first.split_to(count.min(first.len()));
        if first.is_empty() {
            self.pieces.pop_front();
        }
        self.len -= part.len();
        part
    }
}
