//! Patterns of names: which services a listener offers, which events somebody wants.
//!
//! A name is read in segments between `/`. In a pattern `*` stands for any characters inside one segment, and a segment `**`
//! for any number of segments, none included.

use std::fmt;
use std::str::FromStr;

use crate::limits::GROUP_BYTES_MAX;

/// A pattern of names: 1 to 255 characters out of those of a name and `*`.
///
/// ```
/// use peerage_proto::id::Pattern;
///
/// let pattern: Pattern = "build/*/done".parse()?;
/// assert!(pattern.matches("build/linux/done") && !pattern.matches("build/linux/x86/done"));
/// assert!("build/**".parse::<Pattern>()?.matches("build/linux/x86/done"));
/// # Ok::<(), peerage_proto::id::InvalidPattern>(())
/// ```
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Pattern(Box<str>);

/// A text that is no pattern.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a pattern has 1 to {GROUP_BYTES_MAX} characters: letters and digits of ASCII and . _ / - *")]
pub struct InvalidPattern;

impl Pattern {
    /// The pattern that every name fits.
    pub fn all() -> Pattern {
        Pattern("**".into())
    }

    /// The pattern as it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a name fits.
    pub fn matches(&self, name: &str) -> bool {
        let pattern: Vec<&str> = self.0.split('/').collect();
        let name: Vec<&str> = name.split('/').collect();
        fits(&pattern, &name, |pattern| *pattern == "**", |pattern, segment| is_like(pattern, segment))
    }
}

/// Whether a segment of a name fits one of a pattern.
fn is_like(pattern: &str, segment: &str) -> bool {
    fits(pattern.as_bytes(), segment.as_bytes(), |byte| *byte == b'*', |pattern, byte| pattern == byte)
}

/// Whether `text` fits a pattern in which some elements stand for any run. Goes back to the last of them only, so it takes
/// at most as many steps as the product of both lengths.
fn fits<P, T>(pattern: &[P], text: &[T], is_run: impl Fn(&P) -> bool, is_like: impl Fn(&P, &T) -> bool) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut last_run = None;
    while let Some(element) = text.get(t) {
        match pattern.get(p) {
            Some(run) if is_run(run) => {
                p = p.saturating_add(1);
                last_run = Some((p, t));
            }
            Some(single) if is_like(single, element) => (p, t) = (p.saturating_add(1), t.saturating_add(1)),
            _ => {
                let Some((behind, from)) = last_run else { return false };
                let from = from.saturating_add(1);
                (p, t) = (behind, from);
                last_run = Some((behind, from));
            }
        }
    }
    pattern.iter().skip(p).all(is_run)
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for Pattern {
    type Err = InvalidPattern;

    fn from_str(text: &str) -> Result<Pattern, InvalidPattern> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/*".contains(&byte);
        let fits = (1..=GROUP_BYTES_MAX).contains(&text.len()) && text.bytes().all(allowed);
        if fits { Ok(Pattern(text.into())) } else { Err(InvalidPattern) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_parts_of_names() {
        let table: &[(&str, &[&str], &[&str])] = &[
            ("a/b", &["a/b"], &["a", "a/b/c", "a/bb", "A/b"]),
            ("*", &["a", "a.b-c"], &["a/b"]),
            ("**", &["a", "a/b", "a/b/c"], &[]),
            ("a/*", &["a/b"], &["a", "a/b/c", "b/a"]),
            ("a/**", &["a", "a/b", "a/b/c"], &["ab", "b/a"]),
            ("**/z", &["z", "a/z", "a/b/z", "z/z"], &["z/a", "az"]),
            ("a/**/z", &["a/z", "a/b/z", "a/z/b/z"], &["a", "a/b", "a/z/b"]),
            ("img.*", &["img.", "img.resize"], &["img", "img.a/b"]),
            ("*-*", &["a-b", "a-b-c"], &["ab", "a/-"]),
            ("**/a/**/b/**", &["a/b", "x/a/y/b/z"], &["b/a", "a", "x/b"]),
        ];
        for (pattern, fitting, others) in table {
            let pattern: Pattern = pattern.parse().expect("a pattern");
            for name in *fitting {
                assert!(pattern.matches(name), "{pattern} {name}");
            }
            for name in *others {
                assert!(!pattern.matches(name), "{pattern} {name}");
            }
        }
        assert!(Pattern::all().matches("anything/at.all"));
    }

    #[test]
    fn a_pattern_made_to_take_long_does_not() {
        let pattern: Pattern = format!("{}b", "*a".repeat(100)).parse().expect("a pattern");
        assert!(!pattern.matches(&"a".repeat(255)));
        let pattern: Pattern = format!("{}b", "**/a/".repeat(50)).parse().expect("a pattern");
        assert!(!pattern.matches(&"a/".repeat(127)));
    }

    #[test]
    fn what_no_name_could_fit_is_no_pattern() {
        for text in ["", "a b", "ä", "?", &"*".repeat(256)] {
            assert_eq!(text.parse::<Pattern>(), Err(InvalidPattern), "{text}");
        }
    }
}
