//! Taking out as much as fits into one frame.

use std::time::Instant;

use bytes::Bytes;

use super::content::Content;
use super::{Feed, Filled, Why};
use crate::codec::{Encoding, Payload};
use crate::limits;

impl Feed {
    /// Appends the content of the next frame to `out`: at most `room` bytes.
    ///
    /// Nothing is written if there is nothing to say, or no room for it. Only a value that makes a content larger than
    /// [`SEGMENT_BYTES`](limits::SEGMENT_BYTES) is written whatever the room, alone, if it does not fit: its content is for
    /// the caller to cut.
    pub fn fill(&mut self, now: Instant, encoding: Encoding, room: usize, out: &mut Vec<u8>) -> Filled {
        let mut filled = Filled::default();
        if self.is_empty() {
            return filled;
        }
        let mut content = Content::begin(encoding, room, out);
        if self.write_marks(&mut content) && self.write_beginning(&mut content) && self.write_gaps(&mut content) {
            self.write_events(encoding, &mut content, &mut filled);
        }
        filled.bytes = content.end() + filled.value.as_ref().map_or(0, Bytes::len);
        self.check();
        if self.is_empty() {
            self.waiting_since = None;
        } else if filled.bytes > 0 {
            self.waiting_since = Some(now);
        }
        filled
    }

    /// Where the names stand, and that these were all. Whether it has all been told.
    fn write_beginning(&mut self, content: &mut Content<'_>) -> bool {
        let Some(beginning) = &mut self.attachment else { return true };
        while let Some(standing) = beginning.attachment.names.get(beginning.told) {
            if !content.fits_records(2, &standing.name) {
                return false;
            }
            content.position(&standing.name, standing.seq);
            if standing.expired > standing.seq {
                content.gap(&standing.name, standing.seq + 1, standing.expired, Why::Expired);
            }
            beginning.told += 1;
        }
        if !content.fits_record("", 0) {
            return false;
        }
        content.numbered(3, beginning.told as u64);
        self.attachment = None;
        true
    }

    /// The gaps that wait for no event, and marks. Whether all have been told.
    fn write_gaps(&mut self, content: &mut Content<'_>) -> bool {
        while let Some(place) = self.gaps.front().copied() {
            let name = self.names.get_mut(place);
            while let Some((first, last, why)) = name.gap_at_end() {
                if !content.fits_record(&name.text, 0) {
                    return false;
                }
                content.gap(&name.text, first, last, why);
                name.told(last);
            }
            // If an event of it has come in since, the gap is told before that.
            name.is_listed = false;
            self.gaps.pop_front();
            self.names.settle(place);
        }
        true
    }

    /// Marks, which stand in front of everything else of their content. Whether all have been written.
    fn write_marks(&mut self, content: &mut Content<'_>) -> bool {
        while let Some(number) = self.marks.due() {
            if !content.fits_record("", 0) {
                return false;
            }
            content.numbered(4, number);
            self.marks.sent();
        }
        true
    }

    fn write_events(&mut self, encoding: Encoding, content: &mut Content<'_>, filled: &mut Filled) {
        while let Some(place) = self.queue.first() {
            let Some(queued) = self.queue.get(place) else { return };
            let (at, seq) = (queued.name, queued.seq);
            let name = self.names.get_mut(at);
            while let Some((first, last, why)) = name.gap_before(seq) {
                if !content.fits_record(&name.text, 0) {
                    return;
                }
                content.gap(&name.text, first, last, why);
                name.told(last);
            }
            let other = match encoding {
                Encoding::MsgPack => None,
                Encoding::Json => match in_json(&queued.value) {
                    Some(value) => Some(value),
                    None if content.fits_record(&name.text, 0) => {
                        content.gap(&name.text, seq, seq, Why::Unencodable);
                        name.told(seq);
                        self.give_up(place);
                        continue;
                    }
                    None => return,
                },
            };
            let len = other.as_ref().unwrap_or(&queued.value).len();
            let is_alone = content.is_empty() && len > limits::SEGMENT_BYTES;
            let fits = content.fits_event(at, &name.text, seq, len);
            if !fits && !is_alone {
                return;
            }
            content.event(at, &name.text, seq);
            name.told(seq);
            filled.events += 1;
            let Some(value) = self.leave(place) else { return };
            let value = other.unwrap_or(value);
            let is_shared = encoding == Encoding::MsgPack && value.len() >= limits::EVENT_SHARED_FROM_BYTES;
            if is_shared {
                filled.value = Some(value);
            } else {
                content.value(&value);
            }
            if is_shared || !fits || self.marks.due().is_some() {
                return;
            }
            if encoding == Encoding::MsgPack && self.marks.is_empty() && !self.policy.is_latest() {
                filled.events += self.write_run(at, seq + 1, content);
            }
        }
    }

    /// The same for events that go on with the numbers of the one before, as most do: nothing has to be looked at but the queue.
    fn write_run(&mut self, at: u32, begin: u64, content: &mut Content<'_>) -> u32 {
        let mut next = begin;
        while let Some(place) = self.queue.first()
            && let Some(queued) = self.queue.get(place)
            && (queued.name, queued.seq) == (at, next)
            && content.go_on(&queued.value)
        {
            self.queue.remove(place);
            next += 1;
        }
        let count = (next - begin) as u32;
        if count > 0 {
            self.ledger.left += u64::from(count);
            let name = self.names.get_mut(at);
            name.queued -= count;
            name.told(next - 1);
            self.after_event(at);
        }
        count
    }

    /// An event is written, and its value is wanted for that.
    #[inline]
    fn leave(&mut self, place: u32) -> Option<Bytes> {
        let queued = self.unqueue(place)?;
        self.ledger.left += 1;
        let name = self.names.get_mut(queued.name);
        if !self.marks.is_empty() {
            self.marks.left(name.topic, queued.seq);
        }
        self.after_event(queued.name);
        Some(queued.value)
    }

    /// An event whose value the link's encoding cannot carry has been told as missing.
    fn give_up(&mut self, place: u32) {
        let Some(queued) = self.unqueue(place) else { return };
        self.ledger.dropped += 1;
        let name = self.names.get_mut(queued.name);
        if !self.marks.is_empty() {
            self.marks.dropped(name.topic, queued.seq);
        }
        self.after_event(queued.name);
    }

    /// Behind the last event that waits there may be a gap.
    #[inline]
    fn after_event(&mut self, place: u32) {
        let name = self.names.get_mut(place);
        if name.queued == 0 && !name.is_listed && name.gap_at_end().is_some() {
            name.is_listed = true;
            self.gaps.push_back(place);
        }
        self.names.settle(place);
    }
}

/// A value in JSON, if JSON can carry it.
fn in_json(value: &Bytes) -> Option<Bytes> {
    let value = Payload::from_parts(Encoding::MsgPack, value.clone());
    value.transcode(Encoding::Json).ok().map(Payload::into_bytes)
}
