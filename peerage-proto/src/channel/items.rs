//! What arrives on conversations: items, parts of large ones, ends and credit.
//!
//! Whoever has given a conversation up, or ended it by its answer, may still find items of it on the way: they are counted
//! and thrown away. What nobody can have meant ends the link: frames of a conversation that was never opened, more than
//! was granted, anything behind an end.

use std::time::Instant;

use super::inbound::failure;
use super::streams::{End, Fault, Stream, StreamId};
use super::{Channel, Output, count};
use crate::codec::{Encoding, Payload};
use crate::frame::Kind;
use crate::id::RequestId;
use crate::limits;
use crate::outcome::{CallError, PeerMisbehaved};

impl Channel {
    /// Takes in a frame of a conversation.
    pub(super) fn hear_stream(
        &mut self,
        now: Instant,
        kind: Kind,
        id: u64,
        content: Payload,
    ) -> Result<(), PeerMisbehaved> {
        let stream = self.stream_named(id);
        if kind == Kind::Credit {
            return self.hear_credit(now, stream, &content);
        }
        let dialect = self.config.dialect;
        let is_alive = self.streams.live(stream).is_some();
        if !is_alive || (!stream.is_peers && self.is_unwritten(id)) {
            return self.hear_nobody(stream);
        }
        let Some(Stream { receiving, .. }) = self.streams.live(stream) else { return Ok(()) };
        let was_readable = receiving.is_readable();
        let taken = match kind {
            Kind::Item => receiving.item(content),
            Kind::Part => {
                let bytes = bytes_of(&content).ok_or(PeerMisbehaved::BadContent("part"))?;
                receiving.part(content.encoding(), content.len(), &bytes)
            }
            _ if content.bytes() == content.encoding().null() => receiving.ended(End::Well),
            _ => match failure(&content, dialect) {
                remote @ CallError::Remote { .. } if is_failure(&content) => {
                    receiving.ended(End::Aborted(Box::new(remote)))
                }
                _ => return Err(PeerMisbehaved::BadContent("end")),
            },
        };
        taken.map_err(|fault| fault.of(id))?;
        if !was_readable && receiving.is_readable() {
            self.orders.push_back(Output::Readable(stream));
        }
        if kind == Kind::Part {
            self.grant(stream);
        }
        Ok(())
    }

    fn hear_credit(&mut self, now: Instant, stream: StreamId, content: &Payload) -> Result<(), PeerMisbehaved> {
        let bytes: u64 = content.decode().map_err(|_| PeerMisbehaved::BadContent("credit"))?;
        if bytes < u64::from(limits::STREAM_CREDIT_START) / 8 {
            self.allowance.spend(now).map_err(|_| PeerMisbehaved::TooManyResets)?;
        }
        if self.streams.live(stream).is_none() {
            return self.hear_nobody(stream);
        }
        if let Some(both) = self.streams.live(stream) {
            both.sending.granted(bytes).map_err(|_| PeerMisbehaved::CreditOverflow(stream.id))?;
        }
        self.line_up(stream);
        Ok(())
    }

    /// A frame of a conversation that is not, or no longer.
    fn hear_nobody(&mut self, stream: StreamId) -> Result<(), PeerMisbehaved> {
        let id = stream.id;
        let never_was = match stream.is_peers {
            true => self.peer_id.is_none_or(|last| id > last) || self.is_plain_request(id),
            false => id >= self.next_id || self.is_plain_call(stream) || self.is_unwritten(id),
        };
        if never_was {
            return Err(PeerMisbehaved::NoStream(id));
        }
        count(&mut self.counters.late_items, 1);
        Ok(())
    }

    /// Whether the peer asked this and did not open a conversation with it.
    fn is_plain_request(&self, id: u64) -> bool {
        self.serving.by_id(RequestId(id)).is_some_and(|served| !served.is_conversation())
    }

    /// Whether we asked this, wait for the answer, and did not open a conversation with it.
    fn is_plain_call(&self, stream: StreamId) -> bool {
        self.streams.get(stream).is_none()
            && self.calls.by_id(RequestId(stream.id)).is_some_and(|token| self.awaits_answer(token))
    }

    /// Whether certainly no byte of this call of ours has left.
    fn is_unwritten(&self, id: u64) -> bool {
        let waiting = self.calls.by_id(RequestId(id)).and_then(|token| self.calls.get(token));
        waiting.is_some_and(|waiting| !self.outgoing.may_be_written(waiting.place))
    }

    /// Which conversation frames of this id belong to: ids of each end have a parity.
    fn stream_named(&self, id: u64) -> StreamId {
        StreamId { is_peers: id % 2 != self.next_id % 2, id }
    }
}

impl Fault {
    fn of(self, id: u64) -> PeerMisbehaved {
        match self {
            Fault::Overdrawn => PeerMisbehaved::OverCredit(id),
            Fault::Behind => PeerMisbehaved::NoStream(id),
            Fault::TooLarge => PeerMisbehaved::ValueTooLarge { limit: limits::VALUE_BYTES_MAX },
            Fault::NoValue => PeerMisbehaved::BadContent("item"),
        }
    }
}

/// Whether a content is that of an exception.
fn is_failure(content: &Payload) -> bool {
    content.decode::<(String, String, serde::de::IgnoredAny)>().is_ok()
}

/// The bytes that a part carries: bytes, in JSON as hexadecimal text.
pub(super) fn bytes_of(content: &Payload) -> Option<std::borrow::Cow<'_, [u8]>> {
    match (content.encoding(), &content.bytes()[..]) {
        (Encoding::MsgPack, [0xc4, _, bytes @ ..] | [0xc5, _, _, bytes @ ..] | [0xc6, _, _, _, _, bytes @ ..]) => {
            Some(bytes.into())
        }
        (Encoding::MsgPack, _) => None,
        (Encoding::Json, [b'"', digits @ .., b'"']) => {
            let digit = |byte: u8| char::from(byte).to_digit(16).filter(|_| !byte.is_ascii_uppercase());
            let pairs = digits.chunks(2).map(|pair| match pair {
                [high, low] => u8::try_from(digit(*high)? << 4 | digit(*low)?).ok(),
                _ => None,
            });
            pairs.collect::<Option<Vec<u8>>>().map(Into::into)
        }
        (Encoding::Json, _) => None,
    }
}
