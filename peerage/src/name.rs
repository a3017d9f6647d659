//! Names of nodes and networks: what people type and files are called by.
//!
//! One rule for both, and it is narrow on purpose. A name is part of a path (`identity/NAME.key`), of a command line and of
//! a log line, so it holds nothing that any of them would read as something else; and because there is one way only to
//! write it, comparing names is comparing bytes.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;
use std::str::FromStr;
use std::sync::Arc;

use peerage_proto::limits;

/// The name of a node or of a network: 1 to 64 of the letters `A`–`Z` and `a`–`z`, digits, `.`, `_` and `-`, the first one
/// a letter, a digit or `_`.
///
/// Compared exactly: `lab` and `Lab` are two names. Names of nodes need not be unique; the [`NodeId`] is.
///
/// ```
/// use peerage::name::Name;
///
/// let name: Name = "node-7.lab".parse()?;
/// assert_eq!(&*name, "node-7.lab");
/// assert!("../lab".parse::<Name>().is_err());
/// # Ok::<(), peerage::name::InvalidName>(())
/// ```
///
/// [`NodeId`]: crate::address::NodeId
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Name(Arc<str>);

impl Name {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let Some(first) = text.chars().next() else {
            return Err(InvalidName::Empty);
        };
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if let Some((index, character)) = text.char_indices().find(|(_, c)| !allowed(*c)) {
            return Err(InvalidName::Character { character, index });
        }
        if matches!(first, '.' | '-') {
            return Err(InvalidName::Start { character: first });
        }
        if text.len() > limits::NAME_BYTES_MAX {
            return Err(InvalidName::TooLong { bytes: text.len() });
        }
        Ok(Name(text.into()))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// Why a text is no [`Name`].
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidName {
    /// There is no text.
    #[error("a name has at least one character")]
    Empty,
    /// The text holds a character that names do not have.
    #[error("{character:?} at byte {index} is not allowed in a name; use letters A to Z, digits, `.`, `_` and `-`")]
    Character {
        /// The first such character.
        character: char,
        /// Where it stands, in bytes from the start of the text.
        index: usize,
    },
    /// The text starts with a character that names hold further on only.
    #[error("a name does not start with {character:?}; start it with a letter, a digit or `_`")]
    Start {
        /// The first character.
        character: char,
    },
    /// The text is too long.
    #[error("a name has at most {max} characters, not {bytes}", max = limits::NAME_BYTES_MAX)]
    TooLong {
        /// Its length in bytes.
        bytes: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_is_safe_in_a_path_a_command_line_and_a_log() {
        let longest = "x".repeat(64);
        for text in ["a", "lab", "node-7.lab", "_x", "0", "A.b_C-d", &longest] {
            let name: Name = text.parse().unwrap();
            assert_eq!((name.as_str(), name.to_string().as_str()), (text, text));
        }
    }

    #[test]
    fn each_kind_of_wrong_name_has_its_error() {
        let refused = |text: &str| text.parse::<Name>().unwrap_err();
        assert_eq!(refused(""), InvalidName::Empty);
        assert_eq!(refused("a/b"), InvalidName::Character { character: '/', index: 1 });
        assert_eq!(refused("a\0"), InvalidName::Character { character: '\0', index: 1 });
        assert_eq!(refused("ä"), InvalidName::Character { character: 'ä', index: 0 });
        assert_eq!(refused("a b"), InvalidName::Character { character: ' ', index: 1 });
        assert_eq!(refused(".."), InvalidName::Start { character: '.' });
        assert_eq!(refused("-x"), InvalidName::Start { character: '-' });
        assert_eq!(refused(&"x".repeat(65)), InvalidName::TooLong { bytes: 65 });
    }
}
