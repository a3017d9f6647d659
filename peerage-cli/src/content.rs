//! Values as people and programs write them: JSON if a text parses as a whole, else the text itself.

use std::io::Read;

use peerage::Value;
use peerage::codec::{DecodeError, NotationError};
use peerage::limits;
use serde::de::IgnoredAny;

use crate::exit::Abort;

/// The value that a text means.
///
/// # Errors
/// The text is JSON, but says what no value can: a wrong `$bin`, `$f64` or `$map`, an integer beyond 64 bits, too deep a
/// nesting. Text that is no JSON is a string and never an error.
pub(crate) fn parse(text: &str) -> Result<Value, NotationError> {
    let meant = text.parse();
    // Too deep for us may be too deep for the check as well, and would then silently be sent as a string.
    let is_json = matches!(meant, Ok(_) | Err(NotationError::Json(DecodeError::NestedTooDeep { .. })))
        || serde_json::from_str::<IgnoredAny>(text).is_ok();
    if is_json { meant } else { Ok(Value::Text(text.to_owned())) }
}

/// The text of an argument: `-` stands for what stdin holds, less one final newline.
pub(crate) fn text_of(argument: &str) -> Result<String, Abort> {
    if argument != "-" {
        return Ok(argument.to_owned());
    }
    let most = u64::from(limits::FRAME_BYTES_MAX);
    let mut bytes = Vec::new();
    std::io::stdin()
        .take(most + 1)
        .read_to_end(&mut bytes)
        .map_err(|why| Abort::Failed(format!("cannot read stdin: {why}")))?;
    if bytes.len() as u64 > most {
        return Err(Abort::Usage(format!("stdin holds more than {most} bytes, which fit into no frame")));
    }
    let text = String::from_utf8(bytes)
        .map_err(|_| Abort::Usage("stdin is not UTF-8: write bytes as {\"$bin\":\"<hexadecimal>\"}".to_owned()))?;
    Ok(less_one_newline(text))
}

/// The text without its last newline, if it ends in one.
pub(crate) fn less_one_newline(mut text: String) -> String {
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_parses_as_a_whole_is_json_and_everything_else_a_string() {
        let table = [
            ("5", Value::Int(5)),
            ("-5", Value::Int(-5)),
            (" [1]\n", Value::List(vec![Value::Int(1)])),
            ("\"5\"", Value::Text("5".into())),
            ("null", Value::Null),
            ("{\"$bin\":\"00ff\"}", Value::Bytes(vec![0, 255])),
            ("ohai", Value::Text("ohai".into())),
            ("5 apples", Value::Text("5 apples".into())),
            ("NaN", Value::Text("NaN".into())),
            ("123456789012345678901234567890 apples", Value::Text("123456789012345678901234567890 apples".into())),
            ("[1,", Value::Text("[1,".into())),
            ("", Value::Text(String::new())),
        ];
        for (text, value) in table {
            assert_eq!(parse(text), Ok(value), "{text}");
        }
    }

    #[test]
    fn json_that_no_value_can_say_is_an_error_and_no_string() {
        assert_eq!(parse("{\"$bin\":\"0\"}"), Err(NotationError::Bytes));
        for text in
            ["123456789012345678901234567890", &"[".repeat(500), &format!("{}{}", "[".repeat(500), "]".repeat(500))]
        {
            assert!(matches!(parse(text), Err(NotationError::Json(_))), "{text}");
        }
    }

    #[test]
    fn one_final_newline_goes_and_no_more() {
        assert_eq!(less_one_newline("a\n\n".into()), "a\n");
        assert_eq!(less_one_newline("a\r\n".into()), "a");
        assert_eq!(less_one_newline("a".into()), "a");
    }
}
