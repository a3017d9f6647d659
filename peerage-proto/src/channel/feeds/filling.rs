//! Events on their way from the feeds into the outgoing bytes.
//!
//! A feed writes straight into the buffer that the driver will write from; only values that are large are shared instead.
//! What turns out to cost more than there is credit for waits beside its feed as [`Pending`], at most one event of each.

use std::time::Instant;

use bytes::Bytes;

use super::super::content::Part;
use super::super::outgoing::Outgoing;
use super::super::streams::Measure;
use super::super::{Channel, Output};
use super::pending::{Pending, Step};
use super::{FeedId, Feeds, Sender};
use crate::codec::Encoding;
use crate::events::{Feed, Filled, Priority};
use crate::frame::Kind;
use crate::limits;
use crate::outcome::FeedEnd;
use crate::planted::{self, Bug};

/// Largest content of a frame of events.
fn content_room(frame_bytes: u32) -> usize {
    limits::EVENTS_BYTES_MAX.min(frame_bytes as usize - FRAME_AROUND_BYTES)
}

impl Feeds {
    /// Whose turn is next: what goes first, but now and then what goes last, so that it goes at all.
    fn next_of_lane(&self) -> Option<super::Turn> {
        if self.passed >= PASSED_MAX {
            return self.lane.last().copied();
        }
        self.lane.first().copied()
    }

    /// Whether a feed goes before a stream that could go as well.
    pub(in super::super) fn goes_before_streams(&mut self) -> bool {
        let Some((class, ..)) = self.next_of_lane() else { return false };
        if class == Priority::Control || self.passed >= PASSED_MAX {
            return true;
        }
        if class == Priority::Bulk {
            self.passed += 1;
            return false;
        }
        self.is_streams_turn = !self.is_streams_turn;
        !self.is_streams_turn
    }

    fn take_turn(&mut self) -> Option<u64> {
        let turn = self.next_of_lane()?;
        self.lane.remove(&turn);
        let waits = self.lane.last().is_some_and(|(last, ..)| *last > turn.0);
        self.passed = if waits { self.passed.saturating_add(1) } else { 0 };
        if let Some(sender) = self.all.get_mut(&turn.2) {
            sender.turn = None;
        }
        Some(turn.2)
    }
}

impl Sender {
    /// How urgent the next frame is, if one could leave.
    pub(super) fn sendable(&self, encoding: Encoding, frame_bytes: u32) -> Option<Priority> {
        let credit = self.credit.left();
        if let Some(pending) = &self.pending {
            let measure = Measure::of(encoding, frame_bytes);
            return pending.step(credit, content_room(frame_bytes), measure).map(|_| Priority::Normal);
        }
        let Some(feed) = self.feed.as_ref().filter(|feed| !feed.is_empty()) else {
            return self.end.is_some().then_some(Priority::Normal);
        };
        let needed = match encoding {
            Encoding::MsgPack => feed.next_len() + limits::ITEM_OVERHEAD_BYTES,
            // How long it is, shows when it is put into it.
            Encoding::Json => limits::GRANTED_AT_PACE,
        };
        // What is larger than any credit that is sure to come goes in parts.
        let is_cut = needed > limits::GRANTED_AT_PACE && credit > limits::SEGMENT_BYTES + limits::ITEM_OVERHEAD_BYTES;
        if needed <= credit || is_cut { feed.next_priority() } else { None }
    }
}

impl Channel {
    /// Puts the next frame of the feed whose turn it is among the outgoing ones.
    pub(in super::super) fn put_next_of_feeds(&mut self, measure: Measure) {
        let Some(number) = self.feeds.take_turn() else { return };
        let interleaves = planted::is(Bug::PartsInterleaved) && self.feeds.turns.is_multiple_of(2);
        let Some(sender) = self.feeds.all.get_mut(&number) else { return };
        if sender.pending.is_some() && !interleaves {
            self.put_pending(number, measure);
        } else if sender.feed.as_ref().is_some_and(|feed| !feed.is_empty()) {
            self.put_events(number, measure.encoding);
        }
        let Some(sender) = self.feeds.all.get_mut(&number) else { return };
        sender.place = self.outgoing.end();
        if sender.is_empty()
            && let Some(why) = sender.end.take()
        {
            return self.end_feed(FeedId(number), why);
        }
        self.line_up_feed(number);
    }

    fn put_pending(&mut self, number: u64, measure: Measure) {
        let most = content_room(self.config.frame_bytes);
        let Some(sender) = self.feeds.all.get_mut(&number) else { return };
        let Some(pending) = &mut sender.pending else { return };
        if let Err(why) = pending.transcode(measure.encoding) {
            let why = format!("the link has changed to an encoding that does not carry it: {why}");
            return self.end_feed(FeedId(number), FeedEnd::BadRequest(why));
        }
        let Some((step, price)) = pending.step(sender.credit.left(), most, measure) else { return };
        sender.pending_since = self.feeds.now;
        if let Step::Part(count) = step {
            let part = pending.take(count);
            // A piece may end before the part does; what it costs is what leaves.
            let price = measure.content_of_part(part.len()) + limits::ITEM_OVERHEAD_BYTES;
            let spent = sender.credit.spend(price);
            debug_assert!(spent.is_ok(), "a step is within the credit");
            return self.put_part(Kind::EventsPart, number, &part, measure.encoding);
        }
        let spent = sender.credit.spend(price);
        debug_assert!(spent.is_ok(), "a step is within the credit");
        sender.pending_since = None;
        let Some(done) = sender.pending.take() else { return };
        match step {
            Step::Whole => self.put_pieces(number, &done, measure.encoding),
            _ => {
                let put = self.put_frame(Kind::Events, number, Part::Copied(measure.encoding.null()));
                debug_assert!(put.is_ok(), "null fits into the smallest frame");
            }
        }
    }

    /// A content of several pieces as one frame.
    fn put_pieces(&mut self, number: u64, content: &Pending, encoding: Encoding) {
        self.outgoing.begin(|buffer| {
            let start = begin_frame(buffer, encoding, number);
            end_frame(buffer, start, content.len() + encoding.tail_len());
        });
        for piece in content.pieces() {
            self.outgoing.content(Part::Shared(piece));
        }
        put_tail(&mut self.outgoing, encoding);
    }

    /// As many events of a feed as fit into one frame.
    fn put_events(&mut self, number: u64, encoding: Encoding) {
        let Channel { outgoing, feeds, config, orders, .. } = self;
        let Some(sender) = feeds.all.get_mut(&number) else { return };
        let Some(feed) = sender.feed.as_mut() else { return };
        let before = feed.waiting().events;
        let most = content_room(config.frame_bytes);
        let left = sender.credit.left().saturating_sub(limits::ITEM_OVERHEAD_BYTES);
        let Some(now) = feeds.now else { return };
        let mut packed = Packed::Nothing;
        outgoing.begin(|buffer| packed = pack(feed, now, number, encoding, left, most, buffer));
        if sender.is_awaited && feed.waiting().events < before {
            sender.is_awaited = false;
            orders.push_back(Output::FeedWritable(FeedId(number)));
        }
        match packed {
            Packed::Nothing => {}
            Packed::Frame(content, value) => {
                let spent = sender.credit.spend(content + limits::ITEM_OVERHEAD_BYTES);
                debug_assert!(spent.is_ok(), "what is packed is within the credit");
                if let Some(value) = value {
                    outgoing.content(Part::Shared(&value));
                    put_tail(outgoing, encoding);
                }
            }
            Packed::TooLarge(_) if planted::is(Bug::CutEventForgotten) => {}
            Packed::TooLarge(pending) => {
                sender.pending = Some(pending);
                sender.pending_since = Some(now);
            }
        }
    }
}

/// What came of filling a frame.
enum Packed {
    /// There was nothing in the feed.
    Nothing,
    /// A frame whose content has so many bytes, of which a value is still to be appended.
    Frame(usize, Option<Bytes>),
    /// There is no room for it now.
    TooLarge(Pending),
}

/// Fills a frame, with so much credit left and a content of at most `most` bytes.
fn pack(
    feed: &mut Feed,
    now: Instant,
    number: u64,
    encoding: Encoding,
    left: usize,
    most: usize,
    buffer: &mut Vec<u8>,
) -> Packed {
    let room = left.min(limits::EVENTS_BYTES_MAX);
    buffer.reserve(FRAME_AROUND_BYTES + room.min(feed.waiting().bytes + RECORDS_AROUND_BYTES));
    let start = begin_frame(buffer, encoding, number);
    let begin = buffer.len();
    let Filled { bytes, value, .. } = feed.fill(now, encoding, room, buffer);
    let written = buffer.len() - begin;
    if bytes > 0 && bytes <= left.min(most) {
        if value.is_none() {
            encoding.put_tail(buffer);
            end_frame(buffer, start, 0);
        } else {
            end_frame(buffer, start, bytes - written + encoding.tail_len());
        }
        return Packed::Frame(bytes, value);
    }
    let head = Bytes::copy_from_slice(&buffer[begin..]);
    buffer.truncate(start - 4);
    match bytes {
        0 => Packed::Nothing,
        _ => Packed::TooLarge(Pending::of(encoding, [head, value.unwrap_or_default()])),
    }
}

/// Appends length and head of a frame of events and returns where its body begins.
fn begin_frame(buffer: &mut Vec<u8>, encoding: Encoding, number: u64) -> usize {
    buffer.extend_from_slice(&[0; 4]);
    let start = buffer.len();
    encoding.put_head(Kind::Events.number(), number, buffer);
    start
}

/// Writes the length of a frame of which `more` bytes are still to come.
fn end_frame(buffer: &mut [u8], start: usize, more: usize) {
    let size = (buffer.len() - start + more) as u32;
    buffer[start - 4..start].copy_from_slice(&size.to_be_bytes());
}

fn put_tail(outgoing: &mut Outgoing, encoding: Encoding) {
    if encoding.tail_len() > 0 {
        outgoing.gather(|buffer| encoding.put_tail(buffer));
    }
}

/// Length, kind, number and tail of a frame in either encoding, in bytes, at most.
const FRAME_AROUND_BYTES: usize = 36;

/// Room for heads of records that is asked for beside their values.
const RECORDS_AROUND_BYTES: usize = 1 << 10;

/// Frames of feeds, and of streams before bulk events, after which what goes last has a turn all the same.
const PASSED_MAX: u32 = 16;
