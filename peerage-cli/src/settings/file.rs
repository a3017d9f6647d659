//! The settings file: TOML, one key for each setting, under the name of its flag.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use toml::{Table, Value};

use super::layer::{Kind, Layer, Refused, kind_of};
use crate::exit::Abort;
use crate::output::shown;

/// Reads a file that was named.
pub(super) fn read(path: &Path) -> Result<Layer, Abort> {
    match text_of(path) {
        Ok(text) => parse(&text, path),
        Err(why) if why.kind() == io::ErrorKind::NotFound => {
            Err(Abort::Usage(format!("{}: there is no such file of settings", path.display())))
        }
        Err(why) => Err(Abort::Failed(format!("{}: {why}", path.display()))),
    }
}

/// Reads the file where settings usually are; it may be missing.
pub(super) fn read_if_there(path: &Path) -> Result<Layer, Abort> {
    match text_of(path) {
        Ok(text) => parse(&text, path),
        Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(Layer::default()),
        Err(why) => Err(Abort::Failed(format!("{}: {why}", path.display()))),
    }
}

fn text_of(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "is far longer than any settings; is it the right file?",
        ));
    }
    Ok(text)
}

fn parse(text: &str, path: &Path) -> Result<Layer, Abort> {
    let table: Table = toml::from_str(text).map_err(|why: toml::de::Error| {
        // Only where and what: the line itself may hold anything.
        let line = why.span().map_or(1, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
        Abort::Usage(format!("{}:{line}: is not TOML: {}", path.display(), shown(why.message())))
    })?;
    let mut layer = Layer::default();
    for (key, value) in &table {
        let taken = match values_of(value) {
            Some(values) if values.is_empty() && kind_of(key) == Some(Kind::List) => Ok(()),
            Some(values) if values.is_empty() && kind_of(key) == Some(Kind::One) => {
                Err(Refused::Value("write one value, or leave it out".to_owned()))
            }
            Some(values) if !values.is_empty() => layer.set(key, &values),
            // What is no setting says so, whatever stands there.
            _ if kind_of(key).is_none() => layer.set(key, &[String::new()]),
            _ => Err(Refused::Value("write a text, a number, true or false, or a list of texts".to_owned())),
        };
        taken.map_err(|why| why.told_of(&format!("{}: {key}", path.display()), str::to_owned))?;
    }
    Ok(layer)
}

/// What stands there, as it would be typed; `None` if nobody could type it.
fn values_of(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::Array(values) => values.iter().map(word).collect(),
        value => word(value).map(|word| vec![word]),
    }
}

fn word(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Boolean(yes) => Some(yes.to_string()),
        _ => None,
    }
}

/// More than anybody writes.
const FILE_BYTES_MAX: u64 = 1 << 20;
