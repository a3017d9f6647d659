//! Names that people give: groups, networks, and later tags and events.
//!
//! A name is compared exactly, byte by byte, everywhere. That is only safe where two names that look alike are alike, so
//! names are made of a small part of ASCII: nothing to normalise, no letters that only look the same, nothing that moves a
//! cursor in a log.

use std::fmt;
use std::str::FromStr;

use crate::limits::GROUP_BYTES_MAX;

/// A group of nodes, as nodes name those they belong to: 1 to 255 characters out of `A-Z a-z 0-9 . _ / -`.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Group(String);

impl Group {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for Group {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Group, InvalidName> {
        check_name(text)?;
        Ok(Group(text.to_owned()))
    }
}

/// Whether `text` may be a name.
///
/// # Errors
/// [`InvalidName`] says what is wrong with it.
pub fn check_name(text: &str) -> Result<(), InvalidName> {
    if text.is_empty() || text.len() > GROUP_BYTES_MAX {
        return Err(InvalidName::Length { bytes: text.len() });
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '/' | '-');
    match text.char_indices().find(|(_, c)| !allowed(*c)) {
        Some((at, character)) => Err(InvalidName::Character { character, at }),
        None => Ok(()),
    }
}

/// Why a text is no name.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidName {
    /// It is empty or too long.
    #[error("a name has 1 to {GROUP_BYTES_MAX} characters, not {bytes}")]
    Length {
        /// Its length in bytes.
        bytes: usize,
    },
    /// It holds a character that names do not have.
    #[error("{character:?} at byte {at} may not stand in a name (letters and digits of ASCII and . _ / - may)")]
    Character {
        /// The first such character.
        character: char,
        /// Where it stands, in bytes from the start of the text.
        at: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_as_it_is_written() {
        for text in ["lab", "Rack-7/row_2.b", "0", &"x".repeat(255)] {
            assert_eq!(text.parse::<Group>().map(|group| group.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn what_looks_like_another_name_or_moves_a_cursor_is_none() {
        let refused = |text: &str| text.parse::<Group>().unwrap_err();
        assert_eq!(refused(""), InvalidName::Length { bytes: 0 });
        assert_eq!(refused(&"x".repeat(256)), InvalidName::Length { bytes: 256 });
        for (text, character, at) in [
            ("a b", ' ', 1),
            ("l\u{430}b", '\u{430}', 1),
            ("e\u{301}", '\u{301}', 1),
            ("a\0", '\0', 1),
            ("\u{202e}x", '\u{202e}', 0),
            ("a*", '*', 1),
        ] {
            assert_eq!(refused(text), InvalidName::Character { character, at });
        }
    }
}
