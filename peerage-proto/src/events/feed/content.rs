//! Writing the content of one frame of events.
//!
//! Heads are written before it is known how many elements follow, and are set right afterwards: in MessagePack they have the
//! form with two bytes for the number.

use super::super::Why;
use crate::codec::{Encoding, msgpack};
use crate::limits;

/// Elements of an array with two bytes for their number, at most.
const ELEMENTS_MAX: u32 = 0xffff;

/// What a record takes at most beside its name and its values: heads, three numbers of 20 digits, commas and quotes.
const RECORD_BYTES_MAX: usize = 72;

/// What a content with one event takes at most.
pub(super) fn most_of_event(name: &str, value: usize) -> usize {
    // With the head of the content.
    name.len() + value + RECORD_BYTES_MAX + 3
}

/// A content that is being written behind what `out` held before.
pub(super) struct Content<'a> {
    encoding: Encoding,
    out: &'a mut Vec<u8>,
    start: usize,
    room: usize,
    records: u32,
    run: Option<Run>,
}

/// Events with consecutive numbers, whose record is open.
struct Run {
    name: u32,
    next: u64,
    head: usize,
    elements: u32,
}

impl<'a> Content<'a> {
    pub(super) fn begin(encoding: Encoding, room: usize, out: &'a mut Vec<u8>) -> Content<'a> {
        let start = out.len();
        match encoding {
            Encoding::MsgPack => out.extend_from_slice(&[0xdc, 0, 0]),
            Encoding::Json => out.push(b'['),
        }
        Content { encoding, out, start, room, records: 0, run: None }
    }

    /// Whether nothing stands in it yet.
    pub(super) fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// Whether a value of this length fits in as the next event of a name.
    #[inline]
    pub(super) fn fits_event(&self, name: u32, text: &str, seq: u64, len: usize) -> bool {
        // Two bytes end the record and the array in JSON, and one is a comma.
        if self.goes_on(name, seq) { self.has_room(len + 3) } else { self.fits_record(text, len) }
    }

    /// Whether a record with this name and values of this length fits in.
    #[inline]
    pub(super) fn fits_record(&self, text: &str, values: usize) -> bool {
        self.has_room(text.len() + RECORD_BYTES_MAX + values) && self.records < ELEMENTS_MAX
    }

    /// Whether so many records with this name fit in.
    pub(super) fn fits_records(&self, count: u32, text: &str) -> bool {
        self.has_room(count as usize * (text.len() + RECORD_BYTES_MAX)) && self.records + count <= ELEMENTS_MAX
    }

    #[inline]
    fn has_room(&self, more: usize) -> bool {
        self.out.len() - self.start + more <= self.room
    }

    #[inline]
    fn goes_on(&self, name: u32, seq: u64) -> bool {
        matches!(&self.run, Some(run) if run.name == name && run.next == seq && run.elements < ELEMENTS_MAX)
    }

    /// Begins a record of events, or goes on with the one that is open, up to where the value stands.
    #[inline]
    pub(super) fn event(&mut self, name: u32, text: &str, seq: u64) {
        if !self.goes_on(name, seq) {
            self.close_run();
            self.record();
            let head = self.out.len();
            match self.encoding {
                Encoding::MsgPack => self.out.extend_from_slice(&[0xdc, 0, 0]),
                Encoding::Json => self.out.push(b'['),
            }
            self.number(0);
            self.text(text);
            self.separate();
            self.number(seq);
            self.run = Some(Run { name, next: seq, head, elements: 3 });
        }
        self.separate();
        if let Some(run) = &mut self.run {
            run.next = seq + 1;
            run.elements += 1;
        }
    }

    /// Appends the value of the event that was begun.
    #[inline]
    pub(super) fn value(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// Appends the value of the event behind the one that was written last, if it fits in. In MessagePack only.
    #[inline]
    pub(super) fn go_on(&mut self, value: &[u8]) -> bool {
        let Some(run) = &mut self.run else { return false };
        let is_shared = value.len() >= limits::EVENT_SHARED_FROM_BYTES;
        if is_shared || run.elements >= ELEMENTS_MAX || self.out.len() - self.start + value.len() > self.room {
            return false;
        }
        run.next += 1;
        run.elements += 1;
        self.out.extend_from_slice(value);
        true
    }

    pub(super) fn gap(&mut self, text: &str, first: u64, last: u64, why: Why) {
        self.named(5, 1, text);
        for number in [first, last, why.number().unwrap_or(0)] {
            self.separate();
            self.number(number);
        }
        self.close();
    }

    pub(super) fn position(&mut self, text: &str, seq: u64) {
        self.named(3, 2, text);
        self.separate();
        self.number(seq);
        self.close();
    }

    /// An *attached* or a *mark*.
    pub(super) fn numbered(&mut self, kind: u64, number: u64) {
        self.open(2, kind);
        self.separate();
        self.number(number);
        self.close();
    }

    fn named(&mut self, elements: u8, kind: u64, text: &str) {
        self.open(elements, kind);
        self.text(text);
    }

    fn open(&mut self, elements: u8, kind: u64) {
        self.close_run();
        self.record();
        self.out.push(if self.encoding == Encoding::MsgPack { 0x90 | elements } else { b'[' });
        self.number(kind);
    }

    fn close(&mut self) {
        if self.encoding == Encoding::Json {
            self.out.push(b']');
        }
    }

    fn record(&mut self) {
        if self.records > 0 {
            self.separate();
        }
        self.records += 1;
    }

    #[inline]
    fn separate(&mut self) {
        if self.encoding == Encoding::Json {
            self.out.push(b',');
        }
    }

    fn number(&mut self, number: u64) {
        match self.encoding {
            Encoding::MsgPack => msgpack::put_uint(number, self.out),
            Encoding::Json => self.out.extend_from_slice(number.to_string().as_bytes()),
        }
    }

    /// Names are made of what needs no escape in JSON, and have at most 255 bytes.
    fn text(&mut self, text: &str) {
        match (self.encoding, text.len()) {
            (Encoding::MsgPack, len @ 0..0x20) => self.out.push(0xa0 | len as u8),
            (Encoding::MsgPack, len) => self.out.extend_from_slice(&[0xd9, len as u8]),
            (Encoding::Json, _) => self.out.extend_from_slice(b",\""),
        }
        self.out.extend_from_slice(text.as_bytes());
        if self.encoding == Encoding::Json {
            self.out.push(b'"');
        }
    }

    fn close_run(&mut self) {
        let Some(run) = self.run.take() else { return };
        match self.encoding {
            Encoding::MsgPack => self.set(run.head, run.elements),
            Encoding::Json => self.out.push(b']'),
        }
    }

    fn set(&mut self, head: usize, elements: u32) {
        self.out[head + 1..head + 3].copy_from_slice(&(elements as u16).to_be_bytes());
    }

    /// Ends the content. One without records is taken back.
    pub(super) fn end(mut self) -> usize {
        self.close_run();
        if self.records == 0 {
            self.out.truncate(self.start);
        } else {
            match self.encoding {
                Encoding::MsgPack => self.set(self.start, self.records),
                Encoding::Json => self.out.push(b']'),
            }
        }
        self.out.len() - self.start
    }
}
