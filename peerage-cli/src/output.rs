//! Printing: text for people, JSON for programs, both from the same structs.
//!
//! Whatever came from elsewhere may hold control characters that a terminal obeys, or that hide what a line says. So
//! text from others is escaped and cut wherever it is shown, and JSON is written with those characters as `\u` escapes,
//! which every reader of JSON turns back into the same string.
//!
//! A reader that has gone is no error: the program ends quietly.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;

use crate::exit::Abort;

/// How results are printed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Form {
    /// For people.
    Text,
    /// One object.
    Json,
    /// One object a line, as things happen.
    Jsonl,
}

impl Form {
    pub(crate) fn of(json: bool, jsonl: bool) -> Form {
        match (json, jsonl) {
            (_, true) => Form::Jsonl,
            (true, false) => Form::Json,
            (false, false) => Form::Text,
        }
    }
}

/// The one object that a command prints with `--json`.
pub(crate) fn object(body: &impl Serialize) -> Result<(), Abort> {
    line(&json(&Record { schema: SCHEMA, mono_us: None, body })?)
}

/// One record of a stream, printed with `--jsonl`.
pub(crate) fn record(body: &impl Serialize) -> Result<(), Abort> {
    line(&record_line(body)?)
}

/// The line of such a record.
pub(crate) fn record_line(body: &impl Serialize) -> Result<String, Abort> {
    json(&Record { schema: SCHEMA, mono_us: Some(mono_us()), body })
}

/// A line of text on stdout.
pub(crate) fn line(text: &str) -> Result<(), Abort> {
    all(format!("{text}\n").as_bytes())
}

/// Text on stdout as it is, such as a script.
pub(crate) fn all(bytes: &[u8]) -> Result<(), Abort> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(|why| match why.kind() {
        io::ErrorKind::BrokenPipe => Abort::PipeClosed,
        _ => Abort::Failed(format!("cannot write to stdout: {why}")),
    })
}

/// A line of commentary on stderr. Nobody is told if that fails, since there is nowhere left to tell it.
pub(crate) fn comment(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Writes over the line on stderr in which the cursor stands.
pub(crate) fn rewrite(text: &str) {
    let _ = write!(io::stderr(), "\r\x1b[K{text}");
}

/// Says on stderr what went wrong.
pub(crate) fn complain(text: &str) {
    comment(&format!("error: {text}"));
}

/// Text from elsewhere as it may be shown: one line, no control characters, at most 256 bytes.
pub(crate) fn shown(text: &str) -> String {
    let mut shown = String::new();
    for character in text.chars() {
        let before = shown.len();
        match character {
            '\n' => shown.push_str("\\n"),
            '\t' => shown.push_str("\\t"),
            '\r' => shown.push_str("\\r"),
            character if character.is_control() || deceives(character) => {
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

/// JSON text with everything escaped that a terminal might obey.
pub(crate) fn harmless(json: &str) -> String {
    if !json.chars().any(|character| character.is_control() || deceives(character)) {
        return json.to_owned();
    }
    // Outside of strings JSON is ASCII without control characters, so whatever is found here stands within one.
    let mut harmless = String::with_capacity(json.len() + 16);
    for character in json.chars() {
        if character.is_control() || deceives(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                let _ = write!(harmless, "\\u{unit:04x}");
            }
        } else {
            harmless.push(character);
        }
    }
    harmless
}

fn json(record: &impl Serialize) -> Result<String, Abort> {
    let text = serde_json::to_string(record).map_err(|why| Abort::Failed(format!("cannot write JSON: {why}")))?;
    Ok(harmless(&text))
}

/// Microseconds on this machine's monotonic clock, which all processes share.
pub(crate) fn mono_us() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let micros = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1_000;
    u64::try_from(micros).unwrap_or(0)
}

/// Characters that change how the text around them looks: direction marks and separators of lines and paragraphs.
fn deceives(character: char) -> bool {
    matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[derive(Serialize)]
struct Record<'b, T> {
    schema: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    mono_us: Option<u64>,
    #[serde(flatten)]
    body: &'b T,
}

/// Raised by any change of records other than new keys and new records.
const SCHEMA: u32 = 1;

/// Longest text from elsewhere that is shown, in bytes.
const SHOWN_BYTES_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_elsewhere_is_one_line_without_control_characters() {
        let text = "a\nb\x1b]0;title\x07\u{9b}31m \u{202e}txt\u{2028}";
        assert_eq!(shown(text), "a\\nb\\u{1b}]0;title\\u{7}\\u{9b}31m \\u{202e}txt\\u{2028}");
    }

    #[test]
    fn text_from_elsewhere_is_cut_at_256_bytes() {
        assert_eq!(shown(&"x".repeat(256)), "x".repeat(256));
        assert_eq!(shown(&"é".repeat(1_000_000)), format!("{}…", "é".repeat(128)));
    }

    #[test]
    fn json_is_the_same_value_without_characters_that_a_terminal_obeys() {
        let value = serde_json::json!({"k\u{9b}": "\u{7f}\u{202e}é\u{1f600}\u{85}"});
        let text = harmless(&value.to_string());
        assert!(text.chars().all(|c| !c.is_control() && !deceives(c)), "{text}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).expect("is still JSON"), value);
    }
}
