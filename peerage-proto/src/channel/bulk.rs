//! The bulk lane: items of conversations, and events, leave in turns, in small frames, and only a little ahead of everything
//! else.
//!
//! A gigabyte that waits to be sent must not make a call of a few bytes wait. So items are not queued among the other
//! frames: they are put there when the driver comes for something to write, as many as keep it busy until it comes again.
//!
//! ```text
//!   small frames ───────────────────────────────▶ ┌──────────┐
//!   stream a ▓▓▓▓▓▓ ─┐                             │ outgoing │ ──transmit──▶ driver
//!   stream b ▓▓ ─────┼─ in turns, one frame each ─▶ └──────────┘
//!   feed   c ▓▓▓▓ ───┘   up to 128 KiB in all
//! ```

#![allow(clippy::arithmetic_side_effects, reason = "places and lengths of what lies in memory")]

use bytes::Bytes;

use super::content::Part;
use super::streams::{Measure, Piece, StreamId};
use super::{Channel, Output};
use crate::codec::Encoding;
use crate::frame::Kind;
use crate::limits;

impl Channel {
    /// Puts frames of conversations behind what waits to be written, so far as that is little. All of them are handed out
    /// with it.
    #[cold]
    pub(super) fn fill_lane(&mut self) {
        let Some(measure) = self.measure().filter(|_| !self.outgoing.is_out()) else { return };
        while self.outgoing.queued() < limits::BULK_AHEAD_BYTES {
            let is_feeds_turn =
                self.feeds.has_turns() && (!self.streams.has_turns() || self.feeds.goes_before_streams());
            if is_feeds_turn {
                self.put_next_of_feeds(measure);
            } else if let Some(stream) = self.streams.next_turn() {
                self.put_next(stream, measure);
                self.put_last_word(stream);
                self.streams.line_up(stream, measure);
            } else {
                return;
            }
        }
    }

    fn put_next(&mut self, stream: StreamId, measure: Measure) {
        let Some(both) = self.streams.live(stream) else { return };
        let was_full = both.sending.waiting() >= limits::STREAM_QUEUE_BYTES;
        let Some(piece) = both.sending.next(measure) else { return };
        if was_full && both.sending.waiting() < limits::STREAM_QUEUE_BYTES {
            self.orders.push_back(Output::Writable(stream));
        }
        let put = match &piece {
            Piece::Part(bytes) => {
                self.put_part(Kind::Part, stream.id, bytes, measure.encoding);
                Ok(())
            }
            Piece::Item(item) => self.put_frame(Kind::Item, stream.id, Part::Shared(item.bytes())),
            Piece::Rest => self.put_frame(Kind::Item, stream.id, Part::Copied(measure.encoding.null())),
            Piece::End(end) => self.put_frame(Kind::End, stream.id, Part::Shared(end.bytes())),
        };
        debug_assert!(put.is_ok(), "a piece is cut to fit into a frame");
    }

    /// Queues a part: bytes as they are, in JSON as hexadecimal text.
    pub(super) fn put_part(&mut self, kind: Kind, id: u64, bytes: &Bytes, encoding: Encoding) {
        let json;
        let (head, content) = match encoding {
            Encoding::MsgPack => (bin_head(bytes.len()), Part::Shared(bytes)),
            Encoding::Json => {
                let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
                let text = digits.map(|digit| char::from_digit(digit.into(), 16).unwrap_or('0'));
                json = Bytes::from(format!("\"{}\"", text.collect::<String>()));
                (Vec::new(), Part::Shared(&json))
            }
        };
        self.outgoing.begin(|buffer| {
            let start = buffer.len();
            buffer.extend_from_slice(&[0; 4]);
            encoding.put_head(kind.number(), id, buffer);
            buffer.extend_from_slice(&head);
            let size = buffer.len() - start - 4 + content.bytes().len() + encoding.tail_len();
            buffer[start..start + 4].copy_from_slice(&(size as u32).to_be_bytes());
        });
        self.outgoing.content(content);
        if encoding.tail_len() > 0 {
            self.outgoing.gather(|buffer| encoding.put_tail(buffer));
        }
    }
}

/// What stands before so many bytes in MessagePack.
fn bin_head(len: usize) -> Vec<u8> {
    match (u8::try_from(len), u16::try_from(len)) {
        (Ok(len), _) => vec![0xc4, len],
        (_, Ok(len)) => [&[0xc5][..], &len.to_be_bytes()].concat(),
        _ => [&[0xc6][..], &(len as u32).to_be_bytes()].concat(),
    }
}
