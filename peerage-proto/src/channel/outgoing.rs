//! Bytes on their way out: gathered while they are small, shared while they are large.
//!
//! Every frame has a place in the stream of bytes of its link, counted from the first byte ever queued. The place tells
//! whether a call may have reached the peer: what lies before the written mark, or is with the driver for writing right
//! now, may have; the rest certainly has not, and can still be taken out again.
//!
//! ```text
//!            written            handed out         queued
//!   ───────────┼───────────────────┼─────────────────┤
//!    reached   │  may be reached   │  certainly not  │   place in the stream ──▶
//! ```

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::Bytes;

use super::content::Part;

/// Frames that wait to be written, oldest first.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    segments: VecDeque<Segment>,
    /// Bytes in `segments`.
    queued: usize,
    /// Place of the first byte that is certainly not written.
    safe_from: u64,
    /// Bytes handed to the driver and not yet reported.
    handed: usize,
    /// An emptied buffer kept for the next batch.
    spare: Vec<u8>,
}

/// A run of bytes to write.
#[derive(Debug)]
enum Segment {
    /// Small frames, copied behind each other.
    Gathered(Vec<u8>),
    /// A large content, shared with whoever else holds it.
    Shared(Bytes),
}

/// Bytes in the hands of the driver, to be written in order. What was not written goes back with the report.
#[derive(Debug)]
#[must_use = "hand it back with Input::Written"]
pub struct Transmit {
    segments: VecDeque<Segment>,
    /// Bytes of the first segment that are written already.
    offset: usize,
    /// Bytes written since the machine handed this out.
    written: usize,
    /// A buffer that was written out.
    emptied: Vec<u8>,
}

impl Outgoing {
    /// Bytes waiting here or in the hands of the driver.
    pub(super) fn len(&self) -> usize {
        self.queued + self.handed
    }

    /// Whether the driver could be given something to write.
    pub(super) fn is_ready(&self) -> bool {
        self.queued > 0 && self.handed == 0
    }

    /// The place that the next byte will get.
    pub(super) fn end(&self) -> u64 {
        self.safe_from + self.queued as u64
    }

    /// Whether a frame that begins at this place may have reached the peer, in part at least.
    pub(super) fn may_be_written(&self, place: u64) -> bool {
        place < self.safe_from
    }

    /// The buffer to append a small piece to.
    pub(super) fn gather(&mut self, append: impl FnOnce(&mut Vec<u8>)) {
        if !matches!(self.segments.back(), Some(Segment::Gathered(_))) {
            let mut buffer = std::mem::take(&mut self.spare);
            if buffer.capacity() == 0 {
                buffer.reserve(GATHER_FIRST_BYTES);
            }
            self.segments.push_back(Segment::Gathered(buffer));
        }
        if let Some(Segment::Gathered(buffer)) = self.segments.back_mut() {
            let before = buffer.len();
            append(buffer);
            self.queued += buffer.len() - before;
        }
    }

    /// Appends content: copied while that is cheaper than a segment of its own.
    pub(super) fn content(&mut self, content: Part<'_>) {
        match content {
            Part::Shared(bytes) if bytes.len() >= SHARE_FROM_BYTES => {
                self.queued += bytes.len();
                self.segments.push_back(Segment::Shared(bytes.clone()));
            }
            content => self.gather(|buffer| buffer.extend_from_slice(content.bytes())),
        }
    }

    /// Takes `len` bytes from `place` on out again. They must not be handed out yet.
    pub(super) fn remove(&mut self, place: u64, len: usize) {
        debug_assert!(place >= self.safe_from && place + len as u64 <= self.end());
        let mut skip = (place - self.safe_from) as usize;
        let mut left = len;
        let mut kept = VecDeque::with_capacity(self.segments.len() + 1);
        for segment in self.segments.drain(..) {
            let here = segment.len();
            let from = skip.min(here);
            let until = from + left.min(here - from);
            skip -= from;
            left -= until - from;
            segment.without(from..until, &mut kept);
        }
        self.segments = kept;
        self.queued -= len;
    }

    /// Hands everything that waits to the driver.
    pub(super) fn take(&mut self) -> Option<Transmit> {
        if !self.is_ready() {
            return None;
        }
        self.handed = self.queued;
        self.safe_from += self.queued as u64;
        self.queued = 0;
        Some(Transmit { segments: std::mem::take(&mut self.segments), offset: 0, written: 0, emptied: Vec::new() })
    }

    /// Takes back what the driver could not write yet and returns how many bytes it wrote.
    pub(super) fn give_back(&mut self, mut transmit: Transmit) -> u64 {
        let rest = self.handed - transmit.written;
        self.handed = 0;
        self.safe_from -= rest as u64;
        self.queued += rest;
        if let Some(first) = transmit.segments.pop_front() {
            transmit.segments.push_front(first.skip(transmit.offset));
        }
        while let Some(segment) = transmit.segments.pop_back() {
            self.segments.push_front(segment);
        }
        // A frame of which some bytes are written begins before `safe_from` and so stays what it is: begun.
        if transmit.emptied.capacity() <= SPARE_BYTES_MAX {
            transmit.emptied.clear();
            self.spare = transmit.emptied;
        }
        transmit.written as u64
    }

    /// Throws away everything that waits here.
    pub(super) fn clear(&mut self) {
        self.segments.clear();
        self.safe_from += self.queued as u64;
        self.queued = 0;
    }
}

impl Segment {
    fn bytes(&self) -> &[u8] {
        match self {
            Segment::Gathered(bytes) => bytes,
            Segment::Shared(bytes) => bytes,
        }
    }

    fn len(&self) -> usize {
        self.bytes().len()
    }

    /// What remains behind the first `count` bytes. Nothing is moved, or a peer that takes a few bytes at a time would
    /// make us move all the others again and again.
    fn skip(self, count: usize) -> Segment {
        match self {
            Segment::Gathered(bytes) if count == 0 => Segment::Gathered(bytes),
            Segment::Gathered(bytes) => Segment::Shared(Bytes::from(bytes).slice(count..)),
            Segment::Shared(bytes) => Segment::Shared(bytes.slice(count..)),
        }
    }

    /// Pushes what remains of this segment when a range is taken out.
    fn without(self, range: std::ops::Range<usize>, kept: &mut VecDeque<Segment>) {
        if range.is_empty() {
            kept.push_back(self);
            return;
        }
        match self {
            Segment::Gathered(mut bytes) => {
                drop(bytes.drain(range));
                if !bytes.is_empty() {
                    kept.push_back(Segment::Gathered(bytes));
                }
            }
            Segment::Shared(bytes) => {
                let parts = [bytes.slice(..range.start), bytes.slice(range.end..)];
                kept.extend(parts.into_iter().filter(|part| !part.is_empty()).map(Segment::Shared));
            }
        }
    }
}

impl Transmit {
    /// Fills `slices` with what is to be written next and returns how many were filled.
    pub fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut filled = 0;
        for (slot, segment) in slices.iter_mut().zip(&self.segments) {
            let skip = if filled == 0 { self.offset } else { 0 };
            *slot = IoSlice::new(&segment.bytes()[skip..]);
            filled += 1;
        }
        filled
    }

    /// Notes that the next `count` bytes are written.
    pub fn advance(&mut self, count: usize) {
        self.written += count;
        self.offset += count;
        while let Some(first) = self.segments.front() {
            if self.offset < first.len() {
                break;
            }
            self.offset -= first.len();
            if let Some(Segment::Gathered(buffer)) = self.segments.pop_front() {
                self.emptied = buffer;
            }
        }
    }

    /// Whether everything is written.
    pub fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }
}

/// First size of a gathering buffer, in bytes: a few small frames. It grows with use and is kept (see below).
const GATHER_FIRST_BYTES: usize = 512;

/// Contents from this size on are shared instead of copied: about where a copy costs more than a segment of its own.
const SHARE_FROM_BYTES: usize = 16 << 10;

/// Largest emptied buffer kept for reuse: a link that carries a batch of some dozen small frames at a time need not ask for
/// memory again, and an idle one holds no more than this.
const SPARE_BYTES_MAX: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(parts: &[&'static [u8]]) -> Outgoing {
        let mut out = Outgoing::default();
        for part in parts {
            out.gather(|buffer| buffer.extend_from_slice(part));
        }
        out
    }

    fn write(out: &mut Outgoing, count: usize) -> Vec<u8> {
        let Some(mut transmit) = out.take() else {
            return Vec::new();
        };
        let mut slices = [IoSlice::new(&[]); 8];
        let filled = transmit.slices(&mut slices);
        let bytes: Vec<u8> = slices[..filled].iter().flat_map(|s| s.iter().copied()).take(count).collect();
        transmit.advance(bytes.len());
        out.give_back(transmit);
        bytes
    }

    #[test]
    fn what_could_not_be_written_comes_first_next_time() {
        let mut out = queue(&[b"hello ", b"world"]);
        assert_eq!(write(&mut out, 3), b"hel");
        out.gather(|b| b.extend_from_slice(b"!"));
        assert_eq!(write(&mut out, 100), b"lo world!");
        assert_eq!((out.len(), out.end()), (0, 12));
    }

    #[test]
    fn a_frame_may_be_written_from_its_first_byte_on_and_while_the_driver_holds_it() {
        let mut out = queue(&[b"aaaa", b"bbbb"]);
        assert!(!out.may_be_written(0));
        let mut transmit = out.take().expect("something waits");
        assert!(out.may_be_written(0) && out.may_be_written(4), "both are in the driver's hands");
        transmit.advance(5);
        out.give_back(transmit);
        assert!(out.may_be_written(0) && out.may_be_written(4));
        let mut out = queue(&[b"aaaa", b"bbbb"]);
        assert_eq!(write(&mut out, 4), b"aaaa");
        assert!(out.may_be_written(0) && !out.may_be_written(4));
    }

    #[test]
    fn a_frame_that_is_not_written_can_be_taken_out_again_from_any_segment() {
        for shared in [false, true] {
            let large = Bytes::from(vec![b'x'; SHARE_FROM_BYTES]);
            let mut out = queue(&[b"first", b"second"]);
            let place = out.end();
            out.gather(|b| b.extend_from_slice(b"head"));
            out.content(if shared { Part::Shared(&large) } else { Part::Copied(&large) });
            out.gather(|b| b.extend_from_slice(b"tail"));
            let len = (out.end() - place) as usize;
            out.gather(|b| b.extend_from_slice(b"last"));
            out.remove(place, len);
            out.remove(5, 6);
            assert_eq!(write(&mut out, usize::MAX), b"firstlast");
        }
    }

    #[test]
    fn large_contents_are_shared_and_small_ones_are_copied() {
        let mut out = Outgoing::default();
        let small = Bytes::from_static(b"small");
        let large = Bytes::from(vec![1; SHARE_FROM_BYTES]);
        out.content(Part::Shared(&small));
        out.content(Part::Shared(&large));
        assert!(matches!(out.segments.make_contiguous(), [Segment::Gathered(_), Segment::Shared(_)]));
    }
}
