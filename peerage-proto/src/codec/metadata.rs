//! Facts about a call: the fourth element of its content (PROTOCOL §7).
//!
//! They travel with practically every call between nodes, so they are cheap: a call that has only its time left takes nine
//! bytes more, and reading them takes no memory. What the application adds for itself stays closed until it is asked for.

#![allow(clippy::arithmetic_side_effects, reason = "places and lengths of what lies in memory")]

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;

use super::elements::Elements;
use super::{Encoding, Payload, encode_into, msgpack, payload};
use crate::limits;

#[cfg(test)]
mod tests;

/// Facts about a call, each of which may be missing.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Metadata {
    /// How long the caller still waits, in whole milliseconds on the wire.
    pub left: Option<Duration>,
    /// Which trace the call belongs to, and which span of it asks.
    pub trace: Option<Trace>,
    /// What the systems that the trace went through have noted for themselves.
    pub state: Option<TraceState>,
    /// The caller's number for a call that may be asked twice and must run once; unique in its epoch.
    pub key: Option<u64>,
    /// What the application says beside the arguments.
    pub app: Option<AppMetadata>,
}

/// The context of a distributed trace, as the W3C has it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Trace {
    /// The trace; never 0.
    pub id: u128,
    /// The span that asks; never 0.
    pub parent: u64,
    /// Bit 0: recorded by whoever asks. The others mean nothing yet.
    pub flags: u8,
}

/// The `tracestate` of a trace: printable ASCII of at most [`limits::TRACE_STATE_BYTES_MAX`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TraceState(Bytes);

/// What the application says beside the arguments: a map with text keys, at most [`limits::APP_METADATA_BYTES_MAX`] long
/// and with at most [`limits::APP_METADATA_ENTRIES_MAX`] entries.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AppMetadata(Payload);

/// Why something cannot be metadata of a call.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BadMetadata {
    /// It is no map with text keys, or a key is there twice.
    #[error("the metadata of a call is a map with text keys, each of them once")]
    Shape,
    /// A known key has a value of another form.
    #[error("`{0}` in the metadata of a call has another form")]
    Value(&'static str),
    /// The application says more than there is room for.
    #[error(
        "the application's metadata of a call has at most {} entries and {} bytes",
        limits::APP_METADATA_ENTRIES_MAX,
        limits::APP_METADATA_BYTES_MAX
    )]
    TooLarge,
}

impl Metadata {
    /// Whether there is nothing to say.
    pub fn is_empty(&self) -> bool {
        *self == Metadata::default()
    }

    /// Reads the element at its place in a content.
    ///
    /// # Errors
    /// [`BadMetadata`]: the call is to be refused as a bad request.
    pub fn read(content: &Payload) -> Result<Metadata, BadMetadata> {
        match content.encoding() {
            Encoding::MsgPack => Metadata::read_msgpack(content),
            Encoding::Json if !content.is_map() => Err(BadMetadata::Shape),
            Encoding::Json => {
                Metadata::read_msgpack(&content.transcode(Encoding::MsgPack).map_err(|_| BadMetadata::Shape)?)
            }
        }
    }

    fn read_msgpack(content: &Payload) -> Result<Metadata, BadMetadata> {
        let bytes = &content.bytes()[..];
        let mut elements = Elements::of_map(bytes).map_err(|_| BadMetadata::Shape)?;
        let mut metadata = Metadata::default();
        let mut seen = Seen::default();
        while let Some(key) = elements.next_element().map_err(|_| BadMetadata::Shape)? {
            let value = elements.next_element().ok().flatten().ok_or(BadMetadata::Shape)?;
            let key = msgpack::text(&bytes[key]).ok_or(BadMetadata::Shape)?;
            let place = value.clone();
            let value = &bytes[value];
            match key {
                b"left" => metadata.left = Some(Duration::from_millis(seen.number("left", value)?)),
                b"trace" => {
                    seen.once(1)?;
                    metadata.trace = Trace::read(value)?;
                }
                b"state" => {
                    seen.once(2)?;
                    let state = msgpack::text(value).and_then(|text| std::str::from_utf8(text).ok());
                    let start = place.end - state.map_or(0, str::len);
                    state.filter(|state| is_state(state)).ok_or(BadMetadata::Value("state"))?;
                    metadata.state = Some(TraceState(content.bytes().slice(start..place.end)));
                }
                b"key" => metadata.key = Some(seen.number("key", value)?),
                b"app" => {
                    seen.once(4)?;
                    let app = Payload::from_parts(Encoding::MsgPack, content.bytes().slice(place));
                    metadata.app = Some(AppMetadata::new(app)?);
                }
                _ => {}
            }
        }
        Ok(metadata)
    }

    /// Appends the encoded map.
    fn put_msgpack(&self, out: &mut Vec<u8>) {
        let Metadata { left, trace, state, key, app } = self;
        let entries =
            [left.is_some(), trace.is_some(), state.is_some(), key.is_some(), app.is_some()].map(u8::from).iter().sum();
        let entries: u8 = entries;
        out.push(0x80 | entries);
        if let Some(left) = left {
            out.extend_from_slice(b"\xa4left");
            msgpack::put_uint(u64::try_from(left.as_millis()).unwrap_or(u64::MAX), out);
        }
        if let Some(trace) = trace {
            out.extend_from_slice(b"\xa5trace\x94");
            for number in [(trace.id >> 64) as u64, trace.id as u64, trace.parent, trace.flags.into()] {
                msgpack::put_uint(number, out);
            }
        }
        if let Some(state) = state {
            out.extend_from_slice(b"\xa5state");
            let put = encode_into(state.as_str(), Encoding::MsgPack, out);
            debug_assert!(put.is_ok(), "MessagePack carries every text");
        }
        if let Some(key) = key {
            out.extend_from_slice(b"\xa3key");
            msgpack::put_uint(*key, out);
        }
        if let Some(app) = app {
            out.extend_from_slice(b"\xa3app");
            out.extend_from_slice(app.0.bytes());
        }
    }
}

/// Appends facts about a call behind its named arguments, to content that begins at `start` of `out` and was ended by
/// [`put_kwargs`](super::put_kwargs). Nothing is appended if there are none. Never on plain links: their peers know three
/// elements only.
pub fn put_metadata(metadata: &Metadata, encoding: Encoding, start: usize, out: &mut Vec<u8>) {
    if metadata.is_empty() {
        return;
    }
    match encoding {
        Encoding::MsgPack => {
            out[start] = 0x94;
            metadata.put_msgpack(out);
        }
        Encoding::Json => {
            let mut map = Vec::new();
            metadata.put_msgpack(&mut map);
            // Everything in it but what the application says is text and numbers; that was looked at when it was made.
            let map = Payload::from_parts(Encoding::MsgPack, map.into()).transcode(encoding);
            let Ok(map) = map else { return };
            out.pop();
            out.extend_from_slice(b", ");
            out.extend_from_slice(map.bytes());
            out.push(b']');
        }
    }
}

impl Trace {
    /// Reads `[high half of the id, low half, parent, flags]`; `None` for a trace or a parent 0, which is none.
    fn read(value: &[u8]) -> Result<Option<Trace>, BadMetadata> {
        let numbers = payload::decode::<(u64, u64, u64, u8)>(Encoding::MsgPack, value, 1);
        let (high, low, parent, flags) = numbers.map_err(|_| BadMetadata::Value("trace"))?;
        let id = u128::from(high) << 64 | u128::from(low);
        Ok((id != 0 && parent != 0).then_some(Trace { id, parent, flags }))
    }
}

/// As the header `traceparent` has it.
impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.id, self.parent, self.flags)
    }
}

/// A text is no `traceparent`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a traceparent: 00-, 32 lower-case hexadecimal digits, -, 16 of them, -, 2 of them; no id is 0")]
pub struct NoTrace;

impl FromStr for Trace {
    type Err = NoTrace;

    fn from_str(text: &str) -> Result<Trace, NoTrace> {
        let mut parts = text.split('-');
        let mut part = |digits: usize| {
            let part = parts.next().filter(|part| part.len() == digits);
            part.filter(|part| part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))).ok_or(NoTrace)
        };
        let (version, id, parent, flags) = (part(2)?, part(32)?, part(16)?, part(2)?);
        let is_over = parts.next().is_none();
        let id = u128::from_str_radix(id, 16).map_err(|_| NoTrace)?;
        let parent = u64::from_str_radix(parent, 16).map_err(|_| NoTrace)?;
        let flags = u8::from_str_radix(flags, 16).map_err(|_| NoTrace)?;
        // A later version may say more behind the flags.
        let is_known = version == "00" && is_over || version != "00" && version != "ff";
        if is_known && id != 0 && parent != 0 { Ok(Trace { id, parent, flags }) } else { Err(NoTrace) }
    }
}

impl TraceState {
    /// The state in this text; `None` if it is empty, too long or holds anything but printable ASCII.
    pub fn new(text: &str) -> Option<TraceState> {
        is_state(text).then(|| TraceState(Bytes::copy_from_slice(text.as_bytes())))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("looked at when it was made")
    }
}

fn is_state(text: &str) -> bool {
    (1..=limits::TRACE_STATE_BYTES_MAX).contains(&text.len()) && text.bytes().all(|byte| matches!(byte, 0x20..=0x7e))
}

impl AppMetadata {
    /// Takes an encoded map for it.
    ///
    /// # Errors
    /// [`BadMetadata`] if it is no map with text keys, holds what MessagePack cannot carry, or is too large.
    pub fn new(map: Payload) -> Result<AppMetadata, BadMetadata> {
        let map = map.transcode(Encoding::MsgPack).map_err(|_| BadMetadata::Value("app"))?;
        if map.len() > limits::APP_METADATA_BYTES_MAX {
            return Err(BadMetadata::TooLarge);
        }
        let mut elements = Elements::of_map(map.bytes()).map_err(|_| BadMetadata::Value("app"))?;
        let mut count = 0;
        while let Some(key) = elements.next_element().map_err(|_| BadMetadata::Value("app"))? {
            msgpack::text(&map.bytes()[key]).ok_or(BadMetadata::Value("app"))?;
            elements.next_element().ok().flatten().ok_or(BadMetadata::Value("app"))?;
            count += 1;
        }
        if count > limits::APP_METADATA_ENTRIES_MAX { Err(BadMetadata::TooLarge) } else { Ok(AppMetadata(map)) }
    }

    /// The encoded map, in MessagePack.
    pub fn payload(&self) -> &Payload {
        &self.0
    }
}

/// Which of the known keys were there.
#[derive(Default)]
struct Seen(u8);

impl Seen {
    fn once(&mut self, bit: u8) -> Result<(), BadMetadata> {
        let mask = 1 << bit;
        let before = self.0 & mask;
        self.0 |= mask;
        if before == 0 { Ok(()) } else { Err(BadMetadata::Shape) }
    }

    fn number(&mut self, key: &'static str, value: &[u8]) -> Result<u64, BadMetadata> {
        self.once(if key == "left" { 0 } else { 3 })?;
        payload::decode(Encoding::MsgPack, value, 1).map_err(|_| BadMetadata::Value(key))
    }
}
