//! The command line's notation: every value as JSON, with marked forms for what JSON cannot say.
//!
//! | written | means |
//! |---|---|
//! | `{"$bin":"00ff"}` | bytes, in hexadecimal |
//! | `{"$f64":"NaN"}`, `"inf"`, `"-inf"` | floats that JSON has no number for; `"1.5"` is read too |
//! | `{"$map":[[k,v],…]}` | a map with other keys than strings, or with a key twice |
//! | `{"$$x":v}` | the map whose only key is `$x`: one more `$` keeps it apart from the forms above |
//!
//! Everything else is itself, whole floats included (`1.0` is a float, `1` an integer). What is printed is read back as
//! the same value.

use std::{fmt, str::FromStr};

use serde::ser::{Serialize, SerializeMap as _, Serializer};

use super::{DecodeError, Encoding, Value, payload::decode};
use crate::limits::NESTING_DEFAULT;

impl Value {
    /// This value in notation. Keys of a map come in the order of `serde_json`'s maps; [`Display`](fmt::Display) keeps
    /// the order in which they were sent.
    pub fn to_notation(&self) -> serde_json::Value {
        serde_json::to_value(Notation(self)).expect("notation has only string keys and finite numbers of 64 bits")
    }

    /// This value in notation, to be written by a serializer of JSON. Keys keep the order in which they were sent.
    pub fn notation(&self) -> Notation<'_> {
        Notation(self)
    }

    /// Reads a value from notation.
    ///
    /// # Errors
    ///
    /// [`NotationError`] if a marked form (`$bin`, `$f64`, `$map`) does not hold what it must.
    pub fn from_notation(json: serde_json::Value) -> Result<Value, NotationError> {
        meant(plain(json)?)
    }
}

/// The value of JSON read without looking for marked forms.
fn plain(json: serde_json::Value) -> Result<Value, NotationError> {
    use serde_json::Value as Json;
    match json {
        Json::Null => Ok(Value::Null),
        Json::Bool(yes) => Ok(Value::Bool(yes)),
        Json::Number(n) => match (n.as_u64(), n.as_i64(), n.as_f64()) {
            (Some(n), _, _) => Ok(n.into()),
            (_, Some(n), _) => Ok(n.into()),
            (_, _, Some(n)) => Ok(n.into()),
            _ => Err(NotationError::Number(n.to_string())),
        },
        Json::String(text) => Ok(text.into()),
        Json::Array(items) => items.into_iter().map(plain).collect::<Result<Vec<_>, _>>().map(Value::List),
        Json::Object(entries) => {
            let entries = entries.into_iter().map(|(key, json)| Ok((key.into(), plain(json)?)));
            entries.collect::<Result<Vec<_>, NotationError>>().map(Value::Map)
        }
    }
}

/// What a value read as mere JSON means in notation.
fn meant(json: Value) -> Result<Value, NotationError> {
    match json {
        Value::List(items) => items.into_iter().map(meant).collect::<Result<Vec<_>, _>>().map(Value::List),
        Value::Map(entries) => meant_by_map(entries),
        leaf => Ok(leaf),
    }
}

fn meant_by_map(mut entries: Vec<(Value, Value)>) -> Result<Value, NotationError> {
    if let [(Value::Text(key), content)] = entries.as_mut_slice() {
        match key.as_str() {
            "$bin" => return bytes(content),
            "$f64" => return float(content),
            "$map" => return map(std::mem::take(content)),
            _ if key.starts_with("$$") => drop(key.remove(0)),
            _ => {}
        }
    }
    let entries = entries.into_iter().map(|(key, value)| Ok((key, meant(value)?)));
    entries.collect::<Result<_, _>>().map(Value::Map)
}

fn bytes(content: &Value) -> Result<Value, NotationError> {
    let Value::Text(text) = content else {
        return Err(NotationError::Bytes);
    };
    let digits: Option<Vec<u8>> = text.chars().map(|c| c.to_digit(16).map(|digit| digit as u8)).collect();
    match digits {
        Some(digits) if digits.len().is_multiple_of(2) => {
            Ok(Value::Bytes(digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()))
        }
        _ => Err(NotationError::Bytes),
    }
}

fn float(content: &Value) -> Result<Value, NotationError> {
    match content {
        Value::Text(text) => text.parse().map(Value::Float).map_err(|_| NotationError::Float),
        _ => Err(NotationError::Float),
    }
}

fn map(content: Value) -> Result<Value, NotationError> {
    let Value::List(pairs) = content else {
        return Err(NotationError::Map);
    };
    let entries = pairs.into_iter().map(|pair| match pair {
        Value::List(pair) => match <[Value; 2]>::try_from(pair) {
            Ok([key, value]) => Ok((meant(key)?, meant(value)?)),
            Err(_) => Err(NotationError::Map),
        },
        _ => Err(NotationError::Map),
    });
    entries.collect::<Result<_, _>>().map(Value::Map)
}

/// Prints the notation as compact JSON, keys in the order they were sent.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = serde_json::to_string(&Notation(self)).map_err(|_| fmt::Error)?;
        f.write_str(&text)
    }
}

/// Reads notation. Unlike [`Value::from_notation`] it sees integers beyond 64 bits before they turn into floats.
impl FromStr for Value {
    type Err = NotationError;

    fn from_str(text: &str) -> Result<Self, NotationError> {
        // A map in `$map` form takes three levels of JSON.
        meant(decode(Encoding::Json, text.as_bytes(), 3 * NESTING_DEFAULT)?)
    }
}

/// Why a text or JSON is no notation of a value.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum NotationError {
    /// The text is no JSON that can be opened.
    #[error(transparent)]
    Json(#[from] DecodeError),
    /// `$bin` does not hold hexadecimal text.
    #[error(
        "{{\"$bin\":…}} holds a string of two hexadecimal digits for each byte (write $$bin for a map with that key)"
    )]
    Bytes,
    /// `$f64` does not hold a float as text.
    #[error(
        "{{\"$f64\":…}} holds a float as a string, such as \"NaN\", \"-inf\" or \"1.5\" (write $$f64 for a map with that key)"
    )]
    Float,
    /// `$map` does not hold pairs.
    #[error("{{\"$map\":…}} holds a list of [key, value] pairs (write $$map for a map with that key)")]
    Map,
    /// A number that is neither an integer of 64 bits nor a float.
    #[error("{0} is outside the range of numbers")]
    Number(String),
}

/// A value that serializes as its notation, for a field of a record in JSON. Made by [`Value::notation`].
#[derive(Clone, Copy, Debug)]
pub struct Notation<'v>(&'v Value);

impl Serialize for Notation<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Bytes(bytes) => marked(serializer, "$bin", &Hex(bytes)),
            Value::Float(n) if n.is_nan() => marked(serializer, "$f64", "NaN"),
            Value::Float(n) if n.is_infinite() => marked(serializer, "$f64", if *n > 0.0 { "inf" } else { "-inf" }),
            // No codec carries it; a text is the one way to show it whole.
            Value::Int(n) if super::check::integer(*n).is_err() => serializer.collect_str(n),
            Value::List(items) => serializer.collect_seq(items.iter().map(Notation)),
            Value::Map(entries) if !is_object(entries) => marked(serializer, "$map", &Pairs(entries)),
            Value::Map(entries) => object(serializer, entries),
            leaf => leaf.serialize(serializer),
        }
    }
}

fn marked<S: Serializer, T: Serialize + ?Sized>(serializer: S, mark: &str, content: &T) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(1))?;
    map.serialize_entry(mark, content)?;
    map.end()
}

fn object<S: Serializer>(serializer: S, entries: &[(Value, Value)]) -> Result<S::Ok, S::Error> {
    if let [(Value::Text(key), value)] = entries
        && key.starts_with('$')
    {
        return marked(serializer, &format!("${key}"), &Notation(value));
    }
    let mut map = serializer.serialize_map(Some(entries.len()))?;
    for (key, value) in entries {
        map.serialize_entry(key, &Notation(value))?;
    }
    map.end()
}

/// Whether a JSON object can say these entries: string keys, none twice.
fn is_object(entries: &[(Value, Value)]) -> bool {
    let keys: Option<Vec<&str>> = entries
        .iter()
        .map(|(key, _)| match key {
            Value::Text(key) => Some(key.as_str()),
            _ => None,
        })
        .collect();
    keys.is_some_and(|mut keys| {
        keys.sort_unstable();
        keys.windows(2).all(|pair| pair[0] != pair[1])
    })
}

struct Hex<'v>(&'v [u8]);

impl Serialize for Hex<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

struct Pairs<'v>(&'v [(Value, Value)]);

impl Serialize for Pairs<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|(key, value)| (Notation(key), Notation(value))))
    }
}

#[cfg(test)]
mod tests;
