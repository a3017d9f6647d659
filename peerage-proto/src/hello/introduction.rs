//! What a node tells a peer that is admitted: its name, where it runs, where it can be reached, what it can read.
//!
//! The first frame of a link in each direction (PROTOCOL §9.6). Everything in it is the peer's own word and goes into
//! tables and logs, so texts are checked when they are read, lists have bounds, and what a newer version adds is skipped.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::address::Address;
use crate::codec::strict::{Bin, is_map};
use crate::codec::{DecodeError, Encoding, Payload};
use crate::id::{Group, InvalidName};
use crate::limits;

/// A node in its own words.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Introduction {
    /// What people call it; need not be unique. 1 to [`limits::INTRODUCED_TEXT_BYTES_MAX`] bytes of printable text.
    pub name: String,
    /// Its process.
    pub process: u32,
    /// Its machine: equal for nodes on the same one, and says nothing else.
    pub machine: [u8; 16],
    /// The groups it belongs to. At most [`limits::GROUPS_MAX`].
    pub groups: BTreeSet<Group>,
    /// Whether it is a hub.
    pub hub: bool,
    /// Whether it is here for one command only.
    pub ephemeral: bool,
    /// Where it can be reached. At most [`limits::INTRODUCED_ADDRESSES_MAX`]. Of a peer's, those of an unknown form are left
    /// out.
    pub addresses: Vec<Address>,
    /// Encodings that it reads. Of a peer's, unknown ones are left out.
    pub encodings: BTreeSet<Encoding>,
    /// Compressions that it reads, by name. At most [`limits::INTRODUCED_NAMES_MAX`].
    pub compression: BTreeSet<String>,
    /// Its program and version. Printable text.
    pub build: String,
    /// Silence after which it sends a ping: its liveness profile. Of a peer's at most an hour.
    pub ping_interval: Duration,
}

/// The same as a map.
#[derive(Serialize, Deserialize)]
struct Map {
    name: String,
    process: u32,
    machine: Bin<16>,
    #[serde(default)]
    groups: Vec<String>,
    #[serde(default)]
    hub: bool,
    #[serde(default)]
    ephemeral: bool,
    #[serde(default)]
    addresses: Vec<String>,
    #[serde(default)]
    encodings: Vec<String>,
    #[serde(default)]
    compression: Vec<String>,
    #[serde(default)]
    build: String,
    ping_ms: u64,
}

impl Introduction {
    /// The content of the frame.
    ///
    /// # Errors
    /// [`InvalidIntroduction`] if the peer would refuse it.
    pub fn encode(&self) -> Result<Payload, InvalidIntroduction> {
        let map = Map {
            name: self.name.clone(),
            process: self.process,
            machine: Bin(self.machine),
            groups: self.groups.iter().map(Group::to_string).collect(),
            hub: self.hub,
            ephemeral: self.ephemeral,
            addresses: self.addresses.iter().map(Address::to_string).collect(),
            encodings: self.encodings.iter().map(Encoding::to_string).collect(),
            compression: self.compression.iter().cloned().collect(),
            build: self.build.clone(),
            ping_ms: u64::try_from(self.ping_interval.as_millis()).unwrap_or(u64::MAX),
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
        check_text("name", &map.name)?;
        if !map.build.is_empty() {
            check_text("build", &map.build)?;
        }
        check_count("groups", map.groups.len(), limits::GROUPS_MAX)?;
        check_count("addresses", map.addresses.len(), limits::INTRODUCED_ADDRESSES_MAX)?;
        check_count("encodings", map.encodings.len(), limits::INTRODUCED_NAMES_MAX)?;
        check_count("compression", map.compression.len(), limits::INTRODUCED_NAMES_MAX)?;
        map.compression.iter().try_for_each(|name| check_text("compression", name))?;
        let groups: Result<_, InvalidName> = map.groups.iter().map(|group| group.parse()).collect();
        Ok(Introduction {
            name: map.name,
            process: map.process,
            machine: map.machine.0,
            groups: groups.map_err(InvalidIntroduction::Group)?,
            hub: map.hub,
            ephemeral: map.ephemeral,
            addresses: map.addresses.iter().filter_map(|text| text.parse().ok()).collect(),
            encodings: map.encodings.iter().filter_map(|name| name.parse().ok()).collect(),
            compression: map.compression.into_iter().collect(),
            build: map.build,
            ping_interval: Duration::from_millis(map.ping_ms).min(limits::WIRE_TIME_MAX),
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
    /// A group's name is none.
    #[error("a group in an introduction: {0}")]
    Group(InvalidName),
}
