//! What a node tells a peer that is admitted: its signed record, its process, what it can read.
//!
//! The first frame of a link in each direction (PROTOCOL §9.6). All that others may hand on about the node stands in its
//! record ([`crate::membership`]); what is left is of use on this link alone. It is the peer's own word and goes into tables
//! and logs, so texts are checked when they are read, lists have bounds, and what a newer version adds is skipped.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::codec::strict::{Blob, is_map};
use crate::codec::{DecodeError, Encoding, Payload};
use crate::limits;

/// A node in its own words.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Introduction {
    /// Its record as it travels (PROTOCOL §13): name, groups, addresses. Not opened here. At most
    /// [`limits::RECORD_BYTES_MAX`].
    pub record: Payload,
    /// Its process.
    pub process: u32,
    /// Encodings that it reads. Of a peer's, unknown ones are left out.
    pub encodings: BTreeSet<Encoding>,
    /// Compressions that it reads, by name. At most [`limits::INTRODUCED_NAMES_MAX`].
    pub compression: BTreeSet<String>,
    /// Its program and version. Printable text.
    pub build: String,
    /// Silence after which it sends a ping: its liveness profile. Of a peer's at most an hour.
    pub ping_interval: Duration,
    /// From which address it sees us come, where the transport has such things.
    pub sees_us_at: Option<IpAddr>,
}

/// The same as a map.
#[derive(Serialize, Deserialize)]
struct Map {
    record: Blob,
    process: u32,
    #[serde(default)]
    encodings: Vec<String>,
    #[serde(default)]
    compression: Vec<String>,
    #[serde(default)]
    build: String,
    ping_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    you: Option<String>,
}

impl Introduction {
    /// The content of the frame.
    ///
    /// # Errors
    /// [`InvalidIntroduction`] if the peer would refuse it.
    pub fn encode(&self) -> Result<Payload, InvalidIntroduction> {
        let map = Map {
            record: Blob(self.record.bytes().to_vec()),
            process: self.process,
            encodings: self.encodings.iter().map(Encoding::to_string).collect(),
            compression: self.compression.iter().cloned().collect(),
            build: self.build.clone(),
            ping_ms: u64::try_from(self.ping_interval.as_millis()).unwrap_or(u64::MAX),
            you: self.sees_us_at.map(|ip| ip.to_string()),
        };
        let content = Payload::encode(&map, Encoding::MsgPack).expect("numbers, text and bytes: nothing is refused");
        Introduction::decode(&content)?;
        Ok(content)
    }

    /// Reads what a peer says of itself.
    ///
    /// # Errors
    /// [`InvalidIntroduction`] says what is wrong. A peer that sends such a thing does not keep to the protocol.
    pub fn decode(content: &Payload) -> Result<Introduction, InvalidIntroduction> {
        if content.len() > limits::INTRODUCTION_BYTES_MAX {
            return Err(InvalidIntroduction::TooLarge { bytes: content.len() });
        }
        if !is_map(content.bytes()) {
            let why = "an introduction is a map".to_owned();
            return Err(InvalidIntroduction::Content(DecodeError::WrongType { why }));
        }
        let map: Map = content.decode().map_err(InvalidIntroduction::Content)?;
        if map.record.0.len() > limits::RECORD_BYTES_MAX {
            return Err(InvalidIntroduction::Record { bytes: map.record.0.len() });
        }
        if !map.build.is_empty() {
            check_text("build", &map.build)?;
        }
        check_count("encodings", map.encodings.len(), limits::INTRODUCED_NAMES_MAX)?;
        check_count("compression", map.compression.len(), limits::INTRODUCED_NAMES_MAX)?;
        map.compression.iter().try_for_each(|name| check_text("compression", name))?;
        Ok(Introduction {
            record: Payload::from_parts(Encoding::MsgPack, Bytes::from(map.record.0)),
            process: map.process,
            encodings: map.encodings.iter().filter_map(|name| name.parse().ok()).collect(),
            compression: map.compression.into_iter().collect(),
            build: map.build,
            ping_interval: Duration::from_millis(map.ping_ms).min(limits::WIRE_TIME_MAX),
            sees_us_at: map.you.and_then(|ip| ip.parse().ok()),
        })
    }
}

fn check_count(field: &'static str, count: usize, limit: usize) -> Result<(), InvalidIntroduction> {
    if count <= limit { Ok(()) } else { Err(InvalidIntroduction::TooMany { field, limit }) }
}

fn check_text(field: &'static str, text: &str) -> Result<(), InvalidIntroduction> {
    if text.is_empty() || text.len() > limits::INTRODUCED_TEXT_BYTES_MAX {
        return Err(InvalidIntroduction::Length { field, bytes: text.len() });
    }
    match text.chars().find(|c| !is_printable(*c)) {
        Some(character) => Err(InvalidIntroduction::Unprintable { field, character }),
        None => Ok(()),
    }
}

/// Whether a character shows as itself and leaves those around it in place: no control, no mark of writing direction, no
/// line break, nothing invisible.
pub(crate) fn is_printable(c: char) -> bool {
    let moves_or_hides = matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
    !c.is_control() && !moves_or_hides
}

/// Why bytes are no introduction, or cannot be sent as one.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidIntroduction {
    /// It does not open, or has not the form.
    #[error("the introduction does not decode: {0}")]
    Content(DecodeError),
    /// It is larger than an introduction may be.
    #[error("an introduction of {bytes} bytes, at most {} are accepted", limits::INTRODUCTION_BYTES_MAX)]
    TooLarge {
        /// Its size in bytes.
        bytes: usize,
    },
    /// A list has too many entries.
    #[error("more than {limit} {field} in an introduction")]
    TooMany {
        /// Which list.
        field: &'static str,
        /// How many there may be.
        limit: usize,
    },
    /// A text is empty or too long.
    #[error("the {field} in an introduction has {bytes} bytes; 1 to {} are allowed", limits::INTRODUCED_TEXT_BYTES_MAX)]
    Length {
        /// Which text.
        field: &'static str,
        /// Its length in bytes.
        bytes: usize,
    },
    /// A text holds something that cannot be shown in a line.
    #[error("the {field} in an introduction holds {character:?}, which does not print")]
    Unprintable {
        /// Which text.
        field: &'static str,
        /// The first such character.
        character: char,
    },
    /// The record in it is larger than a record may be.
    #[error("a record of {bytes} bytes in an introduction, at most {} are accepted", limits::RECORD_BYTES_MAX)]
    Record {
        /// Its size in bytes.
        bytes: usize,
    },
}
