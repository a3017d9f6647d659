//! Text from elsewhere as it may be shown to people.
//!
//! A peer chooses its name and its error texts. What it chooses may hold control characters that a terminal obeys, line
//! breaks that forge a second log line, or marks that turn the direction of writing around. So such a text is escaped
//! and cut wherever it is shown: in logs, in tables, in metrics.

use std::fmt::Write as _;

/// The text on one line, without control characters and at most 256 bytes long, for showing.
///
/// ```
/// assert_eq!(peerage::shown::shown("a\nb\u{1b}[31m"), "a\\nb\\u{1b}[31m");
/// ```
pub fn shown(text: &str) -> String {
    let mut shown = String::new();
    for character in text.chars() {
        let before = shown.len();
        match character {
            '\n' => shown.push_str("\\n"),
            '\t' => shown.push_str("\\t"),
            '\r' => shown.push_str("\\r"),
            character if is_unsafe(character) => {
                // Writing into a String cannot fail.
                let _ = write!(shown, "\\u{{{:x}}}", u32::from(character));
            }
            character => shown.push(character),
        }
        if shown.len() > SHOWN_BYTES_MAX {
            shown.truncate(before);
            shown.push('…');
            break;
        }
    }
    shown
}

/// Whether a character changes more than its own place on a screen: controls, and marks of direction and of lines.
pub fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Longest text that is shown, in bytes.
const SHOWN_BYTES_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_others_is_one_line_without_control_characters() {
        let text = "a\nb\x1b]0;title\x07\u{9b}31m \u{202e}txt\u{2028}";
        assert_eq!(shown(text), "a\\nb\\u{1b}]0;title\\u{7}\\u{9b}31m \\u{202e}txt\\u{2028}");
    }

    #[test]
    fn text_of_others_is_cut_at_256_bytes() {
        assert_eq!(shown(&"x".repeat(256)), "x".repeat(256));
        assert_eq!(shown(&"é".repeat(1_000_000)), format!("{}…", "é".repeat(128)));
    }
}
