//! One line of text that holds bytes, says what it is, and notices damage.
//!
//! ```text
//!   peerage-ticket-1-9f2LkP…-5b1f09c2
//!   ──────┬─────── ┬ ───┬─── ───┬────
//!         │        │    │       └ checksum: the first four bytes of SHA-256 over all before it, in hexadecimal
//!         │        │    └ content, base58
//!         │        └ version
//!         └ kind
//! ```
//!
//! Such lines are copied by hand and by mail, so each way to spoil one has an error of its own. The end is of fixed length,
//! so a line that was cut is told from one that was changed.

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use peerage_proto::limits;

/// What a sealed line holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Key,
    Ticket,
}

impl Kind {
    const ALL: [Kind; 2] = [Kind::Key, Kind::Ticket];

    fn prefix(self) -> &'static str {
        match self {
            Kind::Key => "peerage-key-",
            Kind::Ticket => "peerage-ticket-",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Kind::Key => "key",
            Kind::Ticket => "ticket",
        }
    }
}

/// The line of these bytes, without a newline.
pub(crate) fn seal(kind: Kind, content: &[u8]) -> Zeroizing<String> {
    let content = Zeroizing::new(bs58::encode(content).into_string());
    let mut line = Zeroizing::new(String::with_capacity(kind.prefix().len() + content.len() + CHECKSUM_CHARACTERS + 4));
    line.push_str(kind.prefix());
    line.push_str(VERSION);
    line.push('-');
    line.push_str(&content);
    let checksum = checksum(&line);
    line.push('-');
    line.push_str(&checksum);
    line
}

/// The bytes of such a line; blanks around it do not count.
pub(crate) fn open(kind: Kind, text: &str) -> Result<Zeroizing<Vec<u8>>, Damage> {
    let line = text.trim();
    let rest = after_prefix(kind, line)?;
    if let Some(index) = line.find(|c: char| c.is_whitespace()) {
        return Err(Damage::Blank { index });
    }
    let (version, rest) = rest.split_once('-').ok_or(Damage::Truncated)?;
    if version != VERSION {
        return Err(match version.parse() {
            Ok(version) => Damage::Version { version },
            Err(_) => Damage::Character { index: line.len() - rest.len() - version.len() - 1 },
        });
    }
    let content_at = line.len() - rest.len();
    if let Some(index) = rest.bytes().position(|byte| !byte.is_ascii_alphanumeric() && byte != b'-') {
        return Err(Damage::Character { index: content_at + index });
    }
    let (content, sum) = rest.rsplit_once('-').ok_or(Damage::Truncated)?;
    if sum.len() < CHECKSUM_CHARACTERS {
        return Err(Damage::Truncated);
    }
    let decoded = bs58::decode(content).into_vec().map(Zeroizing::new).map_err(|why| match why {
        bs58::decode::Error::InvalidCharacter { index, .. } | bs58::decode::Error::NonAsciiCharacter { index } => {
            Damage::Character { index: content_at + index }
        }
        _ => Damage::Content,
    })?;
    if sum != checksum(&line[..content_at + content.len()]) {
        return Err(Damage::Checksum);
    }
    Ok(decoded)
}

fn after_prefix(kind: Kind, line: &str) -> Result<&str, Damage> {
    if line.is_empty() {
        return Err(Damage::Empty);
    }
    if line.len() > limits::TICKET_BYTES_MAX {
        return Err(Damage::TooLong);
    }
    if let Some(rest) = line.strip_prefix(kind.prefix()) {
        return Ok(rest);
    }
    if kind.prefix().starts_with(line) {
        return Err(Damage::Truncated);
    }
    let other = Kind::ALL.into_iter().find(|other| line.starts_with(other.prefix()));
    Err(Damage::Kind { wanted: kind.name(), found: other.map(Kind::name) })
}

fn checksum(text: &str) -> String {
    let hash = Sha256::digest(text.as_bytes());
    hash[..CHECKSUM_CHARACTERS / 2].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Why a line does not hold what it should: a key file or a ticket.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// There is nothing.
    #[error("is empty; take it from a copy, or have it made anew")]
    Empty,
    /// There is far too much.
    #[error("is longer than any key or ticket can be; is it the right file?")]
    TooLong,
    /// There is something else than text.
    #[error("is not text; is it the right file?")]
    NotText,
    /// It is something else.
    #[error("is not a {wanted} but {}; is it the right file?", article(*found))]
    Kind {
        /// What it should be: a key or a ticket.
        wanted: &'static str,
        /// What it is, if that is known.
        found: Option<&'static str>,
    },
    /// It is of a version that this release does not know.
    #[error("is of version {version}, and this release knows version 1; use the release that made it, or a later one")]
    Version {
        /// Its version.
        version: u32,
    },
    /// There is a blank or a line break in the middle.
    #[error("is broken by a blank or a line break after {index} characters; put it on one line")]
    Blank {
        /// Where, in bytes from the start.
        index: usize,
    },
    /// There is a character that does not belong there.
    #[error("has a wrong character after {index} characters; copy it again")]
    Character {
        /// Where, in bytes from the start.
        index: usize,
    },
    /// The end is missing.
    #[error("is cut off; copy it again, to its end")]
    Truncated,
    /// Something in it was changed.
    #[error("was changed somewhere (its checksum does not match); copy it again")]
    Checksum,
    /// It is undamaged, and what is inside makes no sense: whoever made it made a mistake.
    #[error("is undamaged, but holds nothing that makes sense; have it made anew")]
    Content,
}

fn article(found: Option<&str>) -> String {
    found.map_or_else(|| "something else".to_owned(), |found| format!("a {found}"))
}

const VERSION: &str = "1";

/// Eight: of 4 · 10⁹ changes of a line one goes unnoticed.
const CHECKSUM_CHARACTERS: usize = 8;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LINE: &str = "peerage-key-1-5Q-62bf3354";

    fn refused(text: &str) -> Damage {
        open(Kind::Key, text).unwrap_err()
    }

    #[test]
    fn a_sealed_line_is_read_back_with_blanks_around_it() {
        assert_eq!(*seal(Kind::Key, &[0xff]), LINE);
        assert_eq!(*open(Kind::Key, &format!(" {LINE}\r\n")).unwrap(), [0xff]);
    }

    #[test]
    fn each_kind_of_damage_has_its_error() {
        assert_eq!(refused(" \n"), Damage::Empty);
        assert_eq!(refused(&"x".repeat(limits::TICKET_BYTES_MAX + 1)), Damage::TooLong);
        assert_eq!(refused("hello"), Damage::Kind { wanted: "key", found: None });
        let ticket = seal(Kind::Ticket, b"x");
        assert_eq!(refused(&ticket), Damage::Kind { wanted: "key", found: Some("ticket") });
        assert_eq!(refused(&LINE.replace("-1-", "-2-")), Damage::Version { version: 2 });
        assert_eq!(refused(&LINE.replace("-1-", "-1x-")), Damage::Character { index: 12 });
        assert_eq!(refused(&LINE.replace("5Q", "5\nQ")), Damage::Blank { index: 15 });
        assert_eq!(refused(&LINE.replace("5Q", "50")), Damage::Character { index: 15 });
        assert_eq!(refused(&LINE.replace("5Q", "5ü")), Damage::Character { index: 15 });
        assert_eq!(refused(&LINE.replace("5Q", "5q")), Damage::Checksum);
        assert_eq!(refused(&LINE.replace("3354", "3355")), Damage::Checksum);
    }

    #[test]
    fn a_line_that_was_cut_anywhere_is_told_to_be_cut() {
        for end in 1..LINE.len() {
            assert_eq!(refused(&LINE[..end]), Damage::Truncated, "{}", &LINE[..end]);
        }
    }

    proptest! {
        #[test]
        fn any_content_is_read_back(content: Vec<u8>) {
            prop_assert_eq!(&*open(Kind::Ticket, &seal(Kind::Ticket, &content)).unwrap(), &content);
        }

        #[test]
        fn a_changed_character_is_always_noticed(content: [u8; 36], at: prop::sample::Index, to in "[ -~]") {
            let line = seal(Kind::Key, &content);
            let at = at.index(line.len());
            let changed = format!("{}{to}{}", &line[..at], &line[at + 1..]);
            prop_assert!(changed == *line || open(Kind::Key, &changed).is_err());
        }

        #[test]
        fn no_text_makes_the_parser_panic(text: String) {
            let _ = open(Kind::Key, &text);
            let _ = open(Kind::Key, &format!("peerage-key-1-{text}"));
        }
    }
}
