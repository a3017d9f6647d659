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
//!
//! A few bytes must not wait behind megabytes: a pong, a cancel, a refusal. Such **control** frames leave ahead of
//! everything that has never been handed out, and have no place of their own. What has been handed out comes first in any
//! case, so a cancel stays behind its request. For the sake of control frames no more than a portion is handed out at a
//! time, always of whole frames.

#![allow(clippy::arithmetic_side_effects, reason = "places and lengths of what lies in memory")]

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::Bytes;

use super::content::Part;

#[cfg(test)]
mod tests;

/// Frames that wait to be written, oldest first.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    segments: VecDeque<Segment>,
    /// So many segments at the front were handed out before and came back unwritten.
    begun: usize,
    /// Bytes with a place in `segments`.
    queued: usize,
    /// Place of the first byte that is certainly not written.
    safe_from: u64,
    /// Bytes with a place that are with the driver.
    handed: usize,
    /// Whether anything is with the driver.
    is_out: bool,
    /// Control frames that have not been handed out.
    control: Vec<u8>,
    /// Control bytes here and with the driver.
    control_len: usize,
    /// Place of the last frame that no control frame may overtake.
    barrier: Option<u64>,
    /// An emptied buffer kept for the next batch.
    spare: Vec<u8>,
}

/// A run of bytes to write.
#[derive(Debug)]
enum Segment {
    /// Small frames, copied behind each other. Whether the first byte is that of a frame.
    Gathered(Vec<u8>, bool),
    /// A large content, shared with whoever else holds it, or what is left of another segment.
    Shared(Bytes),
    /// Control frames, which have no place.
    Control(Bytes),
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
        self.queued + self.handed + self.control_len
    }

    /// Bytes with a place that wait here.
    pub(super) fn queued(&self) -> usize {
        self.queued
    }

    /// Whether anything is with the driver.
    pub(super) fn is_out(&self) -> bool {
        self.is_out
    }

    /// Bytes of control frames among them.
    pub(super) fn control_len(&self) -> usize {
        self.control_len
    }

    /// Whether the driver could be given something to write.
    pub(super) fn is_ready(&self) -> bool {
        (self.queued > 0 || self.control_len > 0) && !self.is_out
    }

    /// The place that the next byte will get.
    pub(super) fn end(&self) -> u64 {
        self.safe_from + self.queued as u64
    }

    /// Whether a frame that begins at this place may have reached the peer, in part at least.
    pub(super) fn may_be_written(&self, place: u64) -> bool {
        place < self.safe_from
    }

    /// Whether everything before this place has been written.
    pub(super) fn is_written(&self, place: u64) -> bool {
        place <= self.safe_from - self.handed as u64
    }

    /// The buffer to append the beginning of a frame to.
    pub(super) fn begin(&mut self, append: impl FnOnce(&mut Vec<u8>)) {
        let goes_on = self.segments.len() > self.begun
            && matches!(self.segments.back(), Some(Segment::Gathered(run, true)) if run.len() < RUN_BYTES);
        if !goes_on {
            self.open_run(true);
        }
        self.gather(append);
    }

    /// The buffer to append another small piece of a frame to.
    pub(super) fn gather(&mut self, append: impl FnOnce(&mut Vec<u8>)) {
        if !matches!(self.segments.back(), Some(Segment::Gathered(..))) {
            self.open_run(false);
        }
        if let Some(Segment::Gathered(buffer, _)) = self.segments.back_mut() {
            let before = buffer.len();
            append(buffer);
            self.queued += buffer.len() - before;
        }
    }

    /// Whether content of this size gets a segment of its own.
    #[inline]
    pub(super) fn shares(content: Part<'_>) -> bool {
        matches!(content, Part::Shared(bytes) if bytes.len() >= SHARE_FROM_BYTES)
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

    /// The buffer to append a control frame to; `None` if it may not overtake what is queued.
    pub(super) fn control(&mut self, append: impl FnOnce(&mut Vec<u8>)) -> Option<()> {
        if self.barrier.is_some_and(|place| !self.may_be_written(place)) {
            return None;
        }
        self.barrier = None;
        let before = self.control.len();
        append(&mut self.control);
        self.control_len += self.control.len() - before;
        Some(())
    }

    /// From now on no control frame overtakes the frame at this place.
    pub(super) fn let_none_overtake(&mut self, place: u64) {
        self.barrier = Some(place);
    }

    /// Takes `len` bytes from `place` on out again. They must not be handed out yet.
    pub(super) fn remove(&mut self, place: u64, len: usize) {
        debug_assert!(place >= self.safe_from && place + len as u64 <= self.end());
        let mut skip = (place - self.safe_from) as usize;
        let mut left = len;
        let mut kept = VecDeque::with_capacity(self.segments.len() + 1);
        let mut begun = 0;
        for (nth, segment) in self.segments.drain(..).enumerate() {
            let here = if segment.is_control() { 0 } else { segment.len() };
            let from = skip.min(here);
            let until = from + left.min(here - from);
            skip -= from;
            left -= until - from;
            segment.without(from..until, &mut kept);
            if nth < self.begun {
                begun = kept.len();
            }
        }
        (self.segments, self.begun) = (kept, begun);
        self.queued -= len;
        if let Some(barrier) = &mut self.barrier
            && *barrier > place
        {
            *barrier -= len as u64;
        }
    }

    /// Hands the next portion of what waits to the driver.
    pub(super) fn take(&mut self) -> Option<Transmit> {
        if !self.is_ready() {
            return None;
        }
        let begun = std::mem::take(&mut self.begun);
        let (portion, handed) = self.portion(begun);
        let rest = self.segments.split_off(portion);
        let mut segments = std::mem::replace(&mut self.segments, rest);
        if !self.control.is_empty() {
            segments.insert(begun, Segment::Control(std::mem::take(&mut self.control).into()));
        }
        self.is_out = true;
        self.handed = handed;
        self.safe_from += handed as u64;
        self.queued -= handed;
        Some(Transmit { segments, offset: 0, written: 0, emptied: Vec::new() })
    }

    /// How many segments are handed out next, and how many bytes with a place are in them: what was begun, and then as
    /// many whole frames as make a portion.
    fn portion(&self, begun: usize) -> (usize, usize) {
        if self.queued <= PORTION_BYTES {
            return (self.segments.len(), self.queued);
        }
        let mut bytes = 0;
        for (nth, segment) in self.segments.iter().enumerate() {
            if nth >= begun && bytes >= PORTION_BYTES && segment.begins_frame() {
                return (nth, bytes);
            }
            bytes += if segment.is_control() { 0 } else { segment.len() };
        }
        (self.segments.len(), bytes)
    }

    /// Takes back what the driver could not write yet and returns how many bytes it wrote.
    pub(super) fn give_back(&mut self, mut transmit: Transmit) -> u64 {
        self.is_out = false;
        if let Some(first) = transmit.segments.pop_front() {
            transmit.segments.push_front(first.skip(transmit.offset));
        }
        let (mut rest, mut control) = (0, 0);
        for segment in &transmit.segments {
            *(if segment.is_control() { &mut control } else { &mut rest }) += segment.len();
        }
        // A frame of which some bytes are written begins before `safe_from` and so stays what it is: begun.
        self.safe_from -= rest as u64;
        self.queued += rest;
        self.control_len = self.control.len() + control;
        self.handed = 0;
        self.begun = transmit.segments.len();
        while let Some(segment) = transmit.segments.pop_back() {
            self.segments.push_front(segment);
        }
        if transmit.emptied.capacity() <= SPARE_BYTES_MAX {
            transmit.emptied.clear();
            self.spare = transmit.emptied;
        }
        transmit.written as u64
    }

    /// Throws away everything that waits here.
    pub(super) fn clear(&mut self) {
        self.segments.clear();
        self.begun = 0;
        self.safe_from += self.queued as u64;
        self.queued = 0;
        let waiting = std::mem::take(&mut self.control);
        self.control_len = if self.is_out { self.control_len - waiting.len() } else { 0 };
    }

    fn open_run(&mut self, begins_frame: bool) {
        let mut run = std::mem::take(&mut self.spare);
        if run.capacity() == 0 {
            run.reserve(GATHER_FIRST_BYTES);
        }
        self.segments.push_back(Segment::Gathered(run, begins_frame));
    }
}

impl Segment {
    fn bytes(&self) -> &[u8] {
        match self {
            Segment::Gathered(bytes, _) => bytes,
            Segment::Shared(bytes) | Segment::Control(bytes) => bytes,
        }
    }

    fn len(&self) -> usize {
        self.bytes().len()
    }

    fn is_control(&self) -> bool {
        matches!(self, Segment::Control(_))
    }

    /// Whether its first byte is certainly the first of a frame.
    fn begins_frame(&self) -> bool {
        matches!(self, Segment::Gathered(_, true))
    }

    /// What remains behind the first `count` bytes. Nothing is moved, or a peer that takes a few bytes at a time would
    /// make us move all the others again and again.
    fn skip(self, count: usize) -> Segment {
        match self {
            Segment::Gathered(bytes, begins) if count == 0 => Segment::Gathered(bytes, begins),
            Segment::Gathered(bytes, _) => Segment::Shared(Bytes::from(bytes).slice(count..)),
            Segment::Shared(bytes) => Segment::Shared(bytes.slice(count..)),
            Segment::Control(bytes) => Segment::Control(bytes.slice(count..)),
        }
    }

    /// Pushes what remains of this segment when a range is taken out, which ends where another frame begins or in a
    /// following segment.
    fn without(self, range: std::ops::Range<usize>, kept: &mut VecDeque<Segment>) {
        if range.is_empty() {
            kept.push_back(self);
            return;
        }
        match self {
            Segment::Gathered(mut bytes, begins) => {
                drop(bytes.drain(range));
                if !bytes.is_empty() {
                    kept.push_back(Segment::Gathered(bytes, begins));
                }
            }
            Segment::Shared(bytes) | Segment::Control(bytes) => {
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
            if let Some(Segment::Gathered(buffer, _)) = self.segments.pop_front() {
                self.emptied = buffer;
            }
        }
    }

    /// Whether anything of it is written.
    pub fn has_begun(&self) -> bool {
        self.written > 0
    }

    /// Whether everything is written.
    pub fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }
}

/// First size of a gathering buffer, in bytes: a few small frames. It grows with use and is kept (see below).
const GATHER_FIRST_BYTES: usize = 512;

/// Size from which on no further frame is gathered in the same run, in bytes, so that there are places to divide at.
const RUN_BYTES: usize = 64 << 10;

/// About so many bytes are handed out at a time: enough for the system calls to be few, and not so many that a control
/// frame would wait long behind them.
const PORTION_BYTES: usize = 256 << 10;

/// Contents from this size on are shared instead of copied: about where a copy costs more than a segment of its own.
const SHARE_FROM_BYTES: usize = 16 << 10;

/// Largest emptied buffer kept for reuse: a link that carries a batch of some dozen small frames at a time need not ask for
/// memory again, and an idle one holds no more than this.
const SPARE_BYTES_MAX: usize = 16 << 10;
