//! Names of files that others send: what is left of them, and what is refused.

/// Why a file cannot be called so.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum BadName {
    #[error("a file without a name")]
    Nameless,
    #[error("a name of more than {NAME_BYTES_MAX} bytes")]
    TooLong,
    #[error("a name with characters that are not shown, or that hide others")]
    Hidden,
    #[error("a name that begins with a dot: such are for files that have not arrived yet")]
    Dotted,
}

/// The last component of what a sender calls a file, on whatever system, if a file can be called so.
pub(super) fn clean(name: &str) -> Result<&str, BadName> {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    if last.is_empty() || last == "." || last == ".." {
        return Err(BadName::Nameless);
    }
    if last.chars().any(is_hidden) {
        return Err(BadName::Hidden);
    }
    if last.starts_with('.') {
        return Err(BadName::Dotted);
    }
    if last.len() > NAME_BYTES_MAX { Err(BadName::TooLong) } else { Ok(last) }
}

/// The n-th name to try, where the others are taken: `report.pdf`, `report-1.pdf`, `report-2.pdf` …
pub(super) fn nth(name: &str, n: u32) -> String {
    match (n, name.rsplit_once('.')) {
        (0, _) => name.to_owned(),
        (n, Some((stem, ending))) if !stem.is_empty() => format!("{stem}-{n}.{ending}"),
        (n, _) => format!("{name}-{n}"),
    }
}

/// Control characters, marks of writing direction, line breaks and what takes no space.
fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

/// Longest name, in bytes. Systems take 255; the name of the part is longer by 50.
const NAME_BYTES_MAX: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_component_is_left() {
        for (given, left) in [
            ("x", "x"),
            ("../x", "x"),
            ("/etc/x", "x"),
            ("a/../../b", "b"),
            ("C:\\Users\\x.txt", "x.txt"),
            ("ein schöner Name", "ein schöner Name"),
        ] {
            assert_eq!(clean(given), Ok(left), "{given}");
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for (name, why) in [
            ("", BadName::Nameless),
            (".", BadName::Nameless),
            ("..", BadName::Nameless),
            ("a/", BadName::Nameless),
            ("a/..", BadName::Nameless),
            ("a\\.", BadName::Nameless),
            ("a\0b", BadName::Hidden),
            ("a\nb", BadName::Hidden),
            ("\u{1b}[2J", BadName::Hidden),
            ("exe.\u{202e}fdp", BadName::Hidden),
            ("a\u{85}", BadName::Hidden),
            (".bashrc", BadName::Dotted),
            (".x.part", BadName::Dotted),
            (&"x".repeat(4096), BadName::TooLong),
        ] {
            assert_eq!(clean(name), Err(why), "{name:?}");
        }
    }

    #[test]
    fn names_that_are_taken_are_counted_on() {
        assert_eq!(["a.tar", "b", "x."].map(|name| nth(name, 0)), ["a.tar", "b", "x."]);
        assert_eq!(["a.tar", "b", "x."].map(|name| nth(name, 12)), ["a-12.tar", "b-12", "x-12."]);
    }
}
