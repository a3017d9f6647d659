//! The records of which the content of a frame of events is made.
//!
//! A content is an array of records, each an array whose first element says what it is:
//!
//! ```text
//!   [0, name, first, value, value…]   events with consecutive numbers
//!   [1, name, first, last, why]       events that are missing
//!   [2, name, seq]                    where a name stands: what follows begins behind it
//!   [3, n]                            attached: n names match, and all of them have been told
//!   [4, n]                            a mark: answer that it has come in
//! ```
//!
//! Records of another kind are skipped, and so are further elements of those known. [`Records`] walks over a content once,
//! takes no memory and opens no value: a thousand small events cost a few microseconds.

#![allow(clippy::arithmetic_side_effects, reason = "places and lengths of what lies in memory")]

use std::ops::Range;

use super::Why;
use crate::codec::{Encoding, json, msgpack};
use crate::id::check_name;

#[cfg(test)]
mod tests;

/// What a record says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Record<'a> {
    /// `count` events with consecutive numbers, at least one. Their values are read with [`Records::next_value`].
    Events {
        /// The name.
        name: &'a str,
        /// The number of the first, at least 1. The last has a number of 64 bits too.
        first: u64,
        /// How many.
        count: u64,
    },
    /// Events that are missing.
    Gap {
        /// The name.
        name: &'a str,
        /// The number of the first, at least 1.
        first: u64,
        /// The number of the last, at least that of the first.
        last: u64,
        /// Why.
        why: Why,
    },
    /// Where a name stands.
    Position {
        /// The name.
        name: &'a str,
        /// The number of the last event before what follows; 0 if there was none.
        seq: u64,
    },
    /// The subscription holds, and every name that matches has been told.
    Attached {
        /// How many names match.
        matching: u64,
    },
    /// The publisher wants to know that everything before this has come in.
    Mark {
        /// What to answer.
        number: u64,
    },
}

/// The content is none of events: whoever sent it does not keep to the protocol.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("no records of events at byte {at}")]
pub struct BadRecords {
    /// Where the record, or the value, begins that has the fault.
    pub at: usize,
}

/// Walks over the records of a content.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    encoding: Encoding,
    bytes: &'a [u8],
    at: usize,
    /// Records still to come; in JSON not known, and 1 as long as the array is not over.
    left: u64,
    /// Values still to come of the events last read.
    values: u64,
    /// JSON: something stood before, so that a comma comes next.
    is_behind: bool,
}

impl<'a> Records<'a> {
    /// Begins with the first record of `content`.
    ///
    /// # Errors
    /// [`BadRecords`] if it is no array.
    pub fn new(encoding: Encoding, content: &'a [u8]) -> Result<Records<'a>, BadRecords> {
        let (at, left) = match encoding {
            Encoding::MsgPack => msgpack::array(content).ok_or(BadRecords { at: 0 })?,
            Encoding::Json if content.first() == Some(&b'[') => (1, 1),
            Encoding::Json => return Err(BadRecords { at: 0 }),
        };
        Ok(Records { encoding, bytes: content, at, left, values: 0, is_behind: false })
    }

    /// The next record that is known; values of the one before that were not read are skipped. `None`: there are no more.
    ///
    /// # Errors
    /// [`BadRecords`] where something else stands.
    #[inline]
    pub fn next_record(&mut self) -> Result<Option<Record<'a>>, BadRecords> {
        while self.next_value()?.is_some() {}
        loop {
            let record = match self.encoding {
                Encoding::MsgPack if self.left == 0 => return self.end(),
                Encoding::MsgPack => self.msgpack_record()?,
                Encoding::Json => match self.json_element()? {
                    Some(place) => self.json_record(place)?,
                    None => return self.end(),
                },
            };
            if record.is_some() {
                return Ok(record);
            }
        }
    }

    /// The next value of the events that [`next_record`](Self::next_record) gave last, as it is encoded.
    ///
    /// # Errors
    /// [`BadRecords`] if it is cut off.
    #[inline]
    pub fn next_value(&mut self) -> Result<Option<&'a [u8]>, BadRecords> {
        if self.values == 0 {
            return Ok(None);
        }
        self.values -= 1;
        match self.encoding {
            Encoding::MsgPack => {
                let end = self.skip()?;
                let value = &self.bytes[self.at..end];
                self.at = end;
                Ok(Some(value))
            }
            Encoding::Json => {
                let place = self.json_element()?.ok_or(BadRecords { at: self.at })?;
                if self.values == 0 {
                    // Behind the record, as if it had been skipped whole.
                    self.at = json::skip_space(self.bytes, self.at) + 1;
                }
                Ok(Some(&self.bytes[place]))
            }
        }
    }

    fn end(&self) -> Result<Option<Record<'a>>, BadRecords> {
        let end = if self.encoding == Encoding::Json { self.at + 1 } else { self.at };
        if end == self.bytes.len() { Ok(None) } else { Err(BadRecords { at: self.at }) }
    }

    /// Where the MessagePack value ends that begins here.
    #[inline]
    fn skip(&self) -> Result<usize, BadRecords> {
        msgpack::skip(self.bytes, self.at).map_err(|_| BadRecords { at: self.at })
    }

    #[inline]
    fn msgpack_record(&mut self) -> Result<Option<Record<'a>>, BadRecords> {
        self.left -= 1;
        let begin = self.at;
        let bad = BadRecords { at: begin };
        let (head, elements) = msgpack::array(&self.bytes[begin..]).ok_or(bad)?;
        let mut fields = Fields { bytes: self.bytes, at: begin + head, left: elements, encoding: Encoding::MsgPack };
        let kind = fields.number().ok_or(bad)?;
        let record = fields.record(kind).map_err(|_| bad)?;
        self.at = fields.at;
        match record {
            Some(Record::Events { .. }) => self.values = fields.left,
            _ => {
                for _ in 0..fields.left {
                    self.at = self.skip()?;
                }
            }
        }
        Ok(record)
    }

    /// The place of the next element of the JSON array that is open. `None` at its end, which is not passed.
    fn json_element(&mut self) -> Result<Option<Range<usize>>, BadRecords> {
        let mut at = json::skip_space(self.bytes, self.at);
        match self.bytes.get(at) {
            Some(b']') => {
                self.at = at;
                return Ok(None);
            }
            Some(b',') if self.is_behind => at = json::skip_space(self.bytes, at + 1),
            _ if self.is_behind => return Err(BadRecords { at }),
            _ => {}
        }
        let end = json::skip(self.bytes, at).map_err(|_| BadRecords { at })?;
        self.at = end;
        self.is_behind = true;
        Ok(Some(at..end))
    }

    fn json_record(&mut self, place: Range<usize>) -> Result<Option<Record<'a>>, BadRecords> {
        let bad = BadRecords { at: place.start };
        let record = &self.bytes[place.clone()];
        let elements = crate::codec::Elements::of(Encoding::Json, record).map_err(|_| bad)?;
        let left = count(elements).ok_or(bad)?;
        let mut fields = Fields { bytes: self.bytes, at: place.start + 1, left, encoding: Encoding::Json };
        let kind = fields.number().ok_or(bad)?;
        let record = fields.record(kind).map_err(|_| bad)?;
        if let Some(Record::Events { .. }) = record {
            // Back to the first value. Behind the last one the record is passed.
            self.values = fields.left;
            self.at = fields.at;
            self.is_behind = false;
        }
        Ok(record)
    }
}

/// How many elements there are.
fn count(mut elements: crate::codec::Elements<'_>) -> Option<u64> {
    let mut count = 0;
    while elements.next_element().ok()?.is_some() {
        count += 1;
    }
    Some(count)
}

/// The elements of a record before its values.
struct Fields<'a> {
    bytes: &'a [u8],
    at: usize,
    left: u64,
    encoding: Encoding,
}

/// It is none of the known form.
struct Misshapen;

impl<'a> Fields<'a> {
    #[inline]
    fn record(&mut self, kind: u64) -> Result<Option<Record<'a>>, Misshapen> {
        let record = match kind {
            0 => {
                let (name, first) = (self.name()?, self.counted()?);
                let further = self.left.checked_sub(1).ok_or(Misshapen)?;
                first.checked_add(further).ok_or(Misshapen)?;
                Record::Events { name, first, count: self.left }
            }
            1 => {
                let (name, first, last) = (self.name()?, self.counted()?, self.counted()?);
                let why = Why::from_number(self.number().ok_or(Misshapen)?);
                if last < first {
                    return Err(Misshapen);
                }
                Record::Gap { name, first, last, why }
            }
            2 => Record::Position { name: self.name()?, seq: self.number().ok_or(Misshapen)? },
            3 => Record::Attached { matching: self.number().ok_or(Misshapen)? },
            4 => Record::Mark { number: self.number().ok_or(Misshapen)? },
            _ => return Ok(None),
        };
        Ok(Some(record))
    }

    /// A number of an event: they begin with 1.
    fn counted(&mut self) -> Result<u64, Misshapen> {
        self.number().filter(|number| *number > 0).ok_or(Misshapen)
    }

    #[inline]
    fn number(&mut self) -> Option<u64> {
        let begin = self.begin()?;
        let (number, end) = match self.encoding {
            Encoding::MsgPack => msgpack::uint(self.bytes, begin)?,
            Encoding::Json => {
                let (number, end) = json::digits(self.bytes, begin);
                let is_plain = end == begin + 1 || (end > begin && self.bytes[begin] != b'0');
                (number.filter(|_| is_plain)?, end)
            }
        };
        self.behind(end)?;
        Some(number)
    }

    #[inline]
    fn name(&mut self) -> Result<&'a str, Misshapen> {
        let name = self.text().ok_or(Misshapen)?;
        check_name(name).map_err(|_| Misshapen)?;
        Ok(name)
    }

    #[inline]
    fn text(&mut self) -> Option<&'a str> {
        let begin = self.begin()?;
        let (text, end) = match self.encoding {
            Encoding::MsgPack => {
                let (head, len) = match *self.bytes.get(begin..)? {
                    [head @ 0xa0..=0xbf, ..] => (1, usize::from(head & 0x1f)),
                    [0xd9, len, ..] => (2, usize::from(len)),
                    // Names are shorter than this can say, but it may be said so.
                    [0xda, high, low, ..] => (3, usize::from(u16::from_be_bytes([high, low]))),
                    [0xdb, 0, 0, high, low, ..] => (5, usize::from(u16::from_be_bytes([high, low]))),
                    _ => return None,
                };
                let start = begin + head;
                (self.bytes.get(start..start + len)?, start + len)
            }
            Encoding::Json => {
                // Of what names are made nothing needs to be escaped.
                let end = json::skip(self.bytes, begin).ok()?;
                (self.bytes[begin..end].strip_prefix(b"\"")?.strip_suffix(b"\"")?, end)
            }
        };
        self.behind(end)?;
        std::str::from_utf8(text).ok()
    }

    /// Where the next element begins.
    #[inline]
    fn begin(&mut self) -> Option<usize> {
        self.left = self.left.checked_sub(1)?;
        Some(if self.encoding == Encoding::Json { json::skip_space(self.bytes, self.at) } else { self.at })
    }

    /// An element ends here; in JSON the comma behind it is passed.
    #[inline]
    fn behind(&mut self, end: usize) -> Option<()> {
        self.at = end;
        if self.encoding == Encoding::Json {
            let at = json::skip_space(self.bytes, end);
            match self.bytes.get(at)? {
                b',' if self.left > 0 => self.at = at + 1,
                b']' if self.left == 0 => self.at = at,
                _ => return None,
            }
        }
        Some(())
    }
}
