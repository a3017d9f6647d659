//! Frames on their way into the outgoing bytes.
//!
//! Requests and answers are queued one behind the other. What is said about them, or about the link, is small and
//! urgent, and leaves ahead of what has not been handed out yet.

#![allow(clippy::arithmetic_side_effects, reason = "places and lengths of what lies in memory")]

use std::time::Instant;

use serde::de::IgnoredAny;

use super::content::Part;
use super::outgoing::Outgoing;
use super::{Channel, Content, Phase};
use crate::codec::{Encoding, Payload, Value, compress};
use crate::frame::{Dialect, Kind};
use crate::limits;
use crate::outcome::{Code, Refused};

impl Channel {
    /// A plain peer gets one text, the code in brackets before it; between our own also code and data travel.
    pub(super) fn put_failure(&mut self, id: u64, code: &Code, message: &str, data: Option<&Payload>) {
        let Some(encoding) = self.encoding else { return };
        let message = cut(message, limits::FAILURE_MESSAGE_BYTES);
        // A byte of text takes up to six in JSON.
        let short = cut(message, (self.config.frame_bytes - limits::FRAME_BYTES_MIN) as usize / 6);
        // The failure itself must arrive: what does not fit, or what the encoding of the link cannot carry, is left out.
        let forms = [(code, message, data), (code, message, None), (code, short, None), (&Code::INTERNAL, "", None)];
        for (code, message, data) in forms {
            let form = failure_content(encoding, self.config.dialect, code, message, data);
            if form.is_some_and(|form| self.put_frame(Kind::Exception, id, Part::Shared(form.bytes())).is_ok()) {
                return;
            }
        }
        debug_assert!(false, "the last form fits into the smallest frame");
    }

    /// The failure that ends a direction of a conversation, in a form that fits into a frame.
    pub(super) fn failure_of_stream(
        &self,
        encoding: Encoding,
        code: &Code,
        message: &str,
        data: Option<&Payload>,
    ) -> Option<Payload> {
        let message = cut(message, limits::FAILURE_MESSAGE_BYTES);
        let room = self.measure()?.room;
        let short = cut(message, (self.config.frame_bytes - limits::FRAME_BYTES_MIN) as usize / 6);
        let forms = [(code, message, data), (code, message, None), (code, short, None), (&Code::INTERNAL, "", None)];
        let mut fitting = forms.into_iter().filter_map(|(code, message, data)| {
            failure_content(encoding, Dialect::Full, code, message, data).filter(|content| content.len() <= room)
        });
        fitting.next()
    }

    /// The full dialect's way to refuse a request for good.
    pub(super) fn put_rejection(&mut self, id: u64, encoding: Encoding, why: &Refused) {
        let (number, detail) = why.for_peer();
        let short = cut(&detail, (self.config.frame_bytes - limits::FRAME_BYTES_MIN) as usize / 6);
        for detail in [&detail, short, ""] {
            let content = Payload::encode(&(number, detail), encoding);
            if content.is_ok_and(|content| self.put_frame(Kind::Rejected, id, Part::Shared(content.bytes())).is_ok()) {
                return;
            }
        }
        debug_assert!(false, "the last form fits into the smallest frame");
    }

    /// The same ahead of what waits, with a reason that is left out where frames are too small for it.
    pub(super) fn put_rejection_ahead(&mut self, id: u64, why: String) {
        let Some(encoding) = self.encoding else { return };
        for detail in [why, String::new()] {
            let content = Payload::encode(&Refused::BadRequest(detail).for_peer(), encoding);
            if content.is_ok_and(|content| self.put_ahead(Kind::Rejected, id, content.bytes()).is_ok()) {
                return;
            }
        }
        debug_assert!(false, "the last form fits into the smallest frame");
    }

    /// Sends a word about a request or about the link: some numbers.
    pub(super) fn put_value<T: serde::Serialize>(&mut self, kind: Kind, id: u64, value: &T) {
        let Some(encoding) = self.encoding else { return };
        let content = Payload::encode(value, encoding).unwrap_or_else(|_| Payload::null(encoding));
        let fits = self.put_ahead(kind, id, content.bytes());
        debug_assert!(fits.is_ok(), "numbers fit into the smallest frame");
    }

    /// Sends a word that says all by its kind and id.
    pub(super) fn put_empty(&mut self, kind: Kind, id: u64) {
        let Some(encoding) = self.encoding else { return };
        let fits = self.put_ahead(kind, id, encoding.null());
        debug_assert!(fits.is_ok(), "a control frame is a few bytes");
    }

    /// The same for a word that the peer did not ask for.
    pub(super) fn put_small(&mut self, now: Instant, kind: Kind, id: u64) {
        self.thrift.spend(now);
        self.put_empty(kind, id);
    }

    /// Queues a control frame: ahead of everything that was never handed out, unless something there must come first.
    pub(super) fn put_ahead(&mut self, kind: Kind, id: u64, content: &[u8]) -> Result<(), Refused> {
        let Some(encoding) = self.encoding else { return Ok(()) };
        if matches!(self.phase, Phase::Flushing | Phase::Ended(_)) {
            return Ok(());
        }
        let limit = self.config.frame_bytes;
        let mut fits = Ok(());
        let put = self.outgoing.control(|buffer| {
            fits = put_whole(encoding, kind, id, content, limit, buffer);
        });
        if put.is_some() {
            return fits;
        }
        let place = self.outgoing.end();
        self.put_frame(kind, id, Part::Copied(content))?;
        self.outgoing.let_none_overtake(place);
        Ok(())
    }

    /// Queues one frame whose content is in another encoding than the link has by now.
    #[cold]
    pub(super) fn put_transcoded(
        &mut self,
        kind: Kind,
        id: u64,
        content: Content<'_>,
        encoding: Encoding,
    ) -> Result<(), Refused> {
        let content = content.transcoded(encoding).map_err(|why| Refused::BadRequest(why.to_string()))?;
        self.put_frame(kind, id, Part::Shared(content.bytes()))
    }

    /// Queues one frame.
    pub(super) fn put_frame(&mut self, kind: Kind, id: u64, content: Part<'_>) -> Result<(), Refused> {
        let Some(encoding) = self.encoding else { return Ok(()) };
        let limit = self.config.frame_bytes;
        let bytes = content.bytes();
        if bytes.len() > limit as usize {
            return Err(Refused::TooLarge { size: bytes.len() as u64, limit });
        }
        if matches!(self.phase, Phase::Flushing | Phase::Ended(_)) {
            return Ok(());
        }
        if self.compresses
            && bytes.len() >= limits::COMPRESS_FROM_BYTES
            && kind.is_compressible()
            && let Some(packed) = compress(bytes)
        {
            return self.put_numbered(encoding, kind.number() | Kind::COMPRESSED, id, Part::Shared(&packed));
        }
        self.put_numbered(encoding, kind.number(), id, content)
    }

    #[inline]
    fn put_numbered(&mut self, encoding: Encoding, kind: u8, id: u64, content: Part<'_>) -> Result<(), Refused> {
        let limit = self.config.frame_bytes;
        let bytes = content.bytes();
        let shared = Outgoing::shares(content);
        let mut too_large = None;
        self.outgoing.begin(|buffer| {
            let start = buffer.len();
            // Room for head and small content at once.
            buffer.reserve(HEAD_BYTES_MAX + bytes.len().min(SMALL_BYTES));
            buffer.extend_from_slice(&[0; 4]);
            encoding.put_head(kind, id, buffer);
            let size = buffer.len() - start - 4 + bytes.len() + encoding.tail_len();
            if size > limit as usize {
                buffer.truncate(start);
                too_large = Some(size as u64);
                return;
            }
            buffer[start..start + 4].copy_from_slice(&(size as u32).to_be_bytes());
            // The whole frame in one piece, which is the usual case.
            if !shared {
                buffer.extend_from_slice(bytes);
                encoding.put_tail(buffer);
            }
        });
        if let Some(size) = too_large {
            return Err(Refused::TooLarge { size, limit });
        }
        if shared {
            self.outgoing.content(content);
            if encoding.tail_len() > 0 {
                self.outgoing.gather(|buffer| encoding.put_tail(buffer));
            }
        }
        Ok(())
    }
}

/// Appends a whole frame, or nothing if it does not fit.
fn put_whole(
    encoding: Encoding,
    kind: Kind,
    id: u64,
    content: &[u8],
    limit: u32,
    buffer: &mut Vec<u8>,
) -> Result<(), Refused> {
    let start = buffer.len();
    buffer.extend_from_slice(&[0; 4]);
    encoding.put_head(kind.number(), id, buffer);
    buffer.extend_from_slice(content);
    encoding.put_tail(buffer);
    let size = buffer.len() - start - 4;
    if size > limit as usize {
        buffer.truncate(start);
        return Err(Refused::TooLarge { size: size as u64, limit });
    }
    buffer[start..start + 4].copy_from_slice(&(size as u32).to_be_bytes());
    Ok(())
}

/// The content of an exception frame; `None` if the encoding of the link cannot carry it, or the peer could not open it.
fn failure_content(
    encoding: Encoding,
    dialect: Dialect,
    code: &Code,
    message: &str,
    data: Option<&Payload>,
) -> Option<Payload> {
    if dialect == Dialect::Full {
        let value = data.map(Payload::decode::<Value>).transpose().ok()?;
        let content = Payload::encode(&(code.as_str(), message, value), encoding).ok()?;
        // Data that just fits the limit of nesting does not inside this array.
        return content.decode::<IgnoredAny>().is_ok().then_some(content);
    }
    let text = if *code == Code::PLAIN { message.to_owned() } else { format!("[{code}] {message}") };
    Payload::encode(&text, encoding).ok()
}

/// Length, kind and id of a frame in either encoding, in bytes, at most: JSON needs `[255, 18446744073709551615, `.
const HEAD_BYTES_MAX: usize = 32;

/// Contents up to this size are reserved for together with their head.
const SMALL_BYTES: usize = 1 << 10;

/// The first `limit` bytes of a text, cut between characters.
fn cut(text: &str, limit: usize) -> &str {
    &text[..text.floor_char_boundary(limit)]
}
