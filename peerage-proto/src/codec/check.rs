//! Refusing what a codec cannot carry, before anything is sent, with the path to the culprit.
//!
//! `serde_json` is obliging: NaN becomes null, bytes become an array of numbers, integer keys become strings. The receiver
//! then gets another value than the sender had, in silence. [`Check`] is a serializer that writes nothing: it walks the
//! value and stops at the first thing that the codec cannot carry.
//!
//! The path is not kept while walking, as that would cost every value for the sake of the few bad ones. It grows on the
//! way back out of the recursion, each level putting its own step in front.

#![allow(clippy::arithmetic_side_effects, reason = "depths and counts of a value that lies in memory")]

use std::fmt::{self, Display, Write as _};

use serde::ser::{self, Serialize};

use super::Encoding;
use crate::limits::NESTING_MAX;

mod compound;
mod key;

use self::{
    compound::{Entries, Fields, Items},
    key::Key,
};

/// Why a value was not encoded. Nothing was written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EncodeError {
    /// The codec that was asked for.
    pub encoding: Encoding,
    /// Where in the value the fault lies: `$` is the value itself, `$.args[1]` the second item of its field `args`.
    pub path: String,
    /// What stands there.
    pub why: Unsupported,
}

impl Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let EncodeError { encoding, path, why } = self;
        let codec = encoding.title();
        match why {
            Unsupported::Bytes => write!(f, "{codec} cannot carry bytes at {path}; use msgpack"),
            Unsupported::NotFinite => write!(f, "{codec} cannot carry NaN or an infinity at {path}; use msgpack"),
            Unsupported::Key(kind) => {
                write!(f, "{codec} cannot carry {kind} as a map key at {path}, only strings; use msgpack")
            }
            Unsupported::IntegerOutOfRange => {
                write!(f, "no codec carries the integer at {path}: it is outside -2^63 ... 2^64-1")
            }
            Unsupported::TooDeep { limit } => {
                write!(f, "containers nest deeper than {limit} at {path}")
            }
            Unsupported::TooLong => {
                write!(f, "the value at {path} has more than 2^32-1 items or bytes")
            }
            Unsupported::WrongLength => {
                write!(f, "the type's Serialize delivers another number of items at {path} than it announced")
            }
            Unsupported::NotAList => {
                write!(f, "the arguments of a call are a tuple, an array or a vector; there is another value at {path}")
            }
            Unsupported::Other(text) => write!(f, "the type's Serialize failed at {path}: {text}"),
        }
    }
}

impl std::error::Error for EncodeError {}

/// What a codec cannot carry.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Unsupported {
    /// Bytes, in JSON.
    Bytes,
    /// NaN or an infinity, in JSON.
    NotFinite,
    /// A map key that is no string, in JSON; the text says what it is.
    Key(&'static str),
    /// An integer outside −2⁶³ … 2⁶⁴ − 1, in either codec.
    IntegerOutOfRange,
    /// Containers inside each other beyond [`NESTING_MAX`]: no receiver of ours can be set to open that.
    TooDeep {
        /// The deepest nesting that is written.
        limit: usize,
    },
    /// A container, string or byte string whose length does not fit 32 bits, in MessagePack.
    TooLong,
    /// A `Serialize` announced another length than it delivered.
    WrongLength,
    /// The arguments of a call are no sequence.
    NotAList,
    /// A `Serialize` gave up by itself, with this text.
    Other(String),
}

/// Walks `value` and finds the first thing that `encoding` cannot carry.
#[inline]
pub(super) fn check<T: Serialize + ?Sized>(value: &T, encoding: Encoding) -> Result<(), EncodeError> {
    let quick = Check { encoding, depth: 0, keep_keys: false };
    match value.serialize(quick) {
        Ok(()) => Ok(()),
        Err(_) => locate(value, quick),
    }
}

/// Walks again, now keeping the keys that the path may need.
#[cold]
fn locate<T: Serialize + ?Sized>(value: &T, quick: Check) -> Result<(), EncodeError> {
    value.serialize(Check { keep_keys: true, ..quick }).map_err(|refusal| refusal.at_root(quick.encoding))
}

/// What stopped a walk, and the path from the level that is being left down to it.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) why: Unsupported,
    path: String,
}

impl Refusal {
    fn under(mut self, step: fmt::Arguments<'_>) -> Refusal {
        let mut path = String::new();
        // Writing into a String cannot fail.
        let _ = path.write_fmt(step);
        path.push_str(&self.path);
        self.path = path;
        self
    }

    fn under_name(self, name: &str) -> Refusal {
        let is_plain = |c: char| c == '_' || c.is_alphanumeric();
        if !name.is_empty() && name.chars().all(is_plain) {
            self.under(format_args!(".{name}"))
        } else {
            self.under(format_args!("[{name:?}]"))
        }
    }

    /// The error for a value of which this is all that is known.
    pub(super) fn at_root(self, encoding: Encoding) -> EncodeError {
        EncodeError { encoding, path: format!("${}", self.path), why: self.why }
    }
}

impl From<Unsupported> for Refusal {
    fn from(why: Unsupported) -> Self {
        Refusal { why, path: String::new() }
    }
}

impl Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.why)
    }
}

impl std::error::Error for Refusal {}

impl ser::Error for Refusal {
    fn custom<T: Display>(text: T) -> Self {
        Unsupported::Other(text.to_string()).into()
    }
}

/// The serializer that writes nothing.
#[derive(Clone, Copy)]
struct Check {
    encoding: Encoding,
    /// Containers that are open around the value.
    depth: usize,
    /// Whether a map's key is remembered until its value was looked at: only in the walk that wants the path.
    keep_keys: bool,
}

impl Check {
    #[inline]
    fn deeper(self) -> Result<Check, Refusal> {
        match self.depth {
            NESTING_MAX => Err(Unsupported::TooDeep { limit: NESTING_MAX }.into()),
            depth => Ok(Check { depth: depth + 1, ..self }),
        }
    }

    /// A level deeper, for a container that announces `len` items.
    #[inline]
    fn into_container(self, len: Option<usize>) -> Result<Check, Refusal> {
        self.fits(len.unwrap_or(0))?;
        self.deeper()
    }

    #[inline]
    fn fits(self, len: usize) -> Result<(), Refusal> {
        match self.encoding {
            Encoding::MsgPack if u32::try_from(len).is_err() => Err(Unsupported::TooLong.into()),
            _ => Ok(()),
        }
    }

    #[inline]
    fn float(self, is_finite: bool) -> Result<(), Refusal> {
        match self.encoding {
            Encoding::Json if !is_finite => Err(Unsupported::NotFinite.into()),
            _ => Ok(()),
        }
    }
}

/// What both codecs can always carry.
macro_rules! carried {
    ($($method:ident($($type:ty),*))*) => {
        $(#[inline] fn $method(self, $(_: $type),*) -> Result<(), Refusal> { Ok(()) })*
    };
}

impl ser::Serializer for Check {
    type Ok = ();
    type Error = Refusal;
    type SerializeSeq = Items;
    type SerializeTuple = Items;
    type SerializeTupleStruct = Items;
    type SerializeTupleVariant = Items;
    type SerializeMap = Entries;
    type SerializeStruct = Fields;
    type SerializeStructVariant = Fields;

    carried! {
        serialize_bool(bool)
        serialize_i8(i8) serialize_i16(i16) serialize_i32(i32) serialize_i64(i64)
        serialize_u8(u8) serialize_u16(u16) serialize_u32(u32) serialize_u64(u64)
        serialize_char(char)
        serialize_none() serialize_unit() serialize_unit_struct(&'static str)
        serialize_unit_variant(&'static str, u32, &'static str)
    }

    fn is_human_readable(&self) -> bool {
        self.encoding == Encoding::Json
    }

    #[inline]
    fn collect_str<T: Display + ?Sized>(self, _: &T) -> Result<(), Refusal> {
        Ok(())
    }

    fn serialize_i128(self, n: i128) -> Result<(), Refusal> {
        integer(n)?;
        Ok(())
    }

    fn serialize_u128(self, n: u128) -> Result<(), Refusal> {
        u64::try_from(n).map_err(|_| Unsupported::IntegerOutOfRange)?;
        Ok(())
    }

    #[inline]
    fn serialize_f32(self, n: f32) -> Result<(), Refusal> {
        self.float(n.is_finite())
    }

    #[inline]
    fn serialize_f64(self, n: f64) -> Result<(), Refusal> {
        self.float(n.is_finite())
    }

    #[inline]
    fn serialize_bytes(self, bytes: &[u8]) -> Result<(), Refusal> {
        match self.encoding {
            Encoding::Json => Err(Unsupported::Bytes.into()),
            Encoding::MsgPack => self.fits(bytes.len()),
        }
    }

    #[inline]
    fn serialize_str(self, text: &str) -> Result<(), Refusal> {
        self.fits(text.len())
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Refusal> {
        value.serialize(self)
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<(), Refusal> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Refusal> {
        value.serialize(self.deeper()?).map_err(|refusal| refusal.under_name(variant))
    }

    #[inline]
    fn serialize_seq(self, len: Option<usize>) -> Result<Items, Refusal> {
        Ok(Items::new(self.into_container(len)?, len))
    }

    #[inline]
    fn serialize_tuple(self, len: usize) -> Result<Items, Refusal> {
        Ok(Items::new(self.into_container(Some(len))?, Some(len)))
    }

    #[inline]
    fn serialize_tuple_struct(self, _: &'static str, len: usize) -> Result<Items, Refusal> {
        Ok(Items::new(self.into_container(Some(len))?, Some(len)))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Items, Refusal> {
        let items = self.deeper().and_then(Check::deeper).map_err(|refusal| refusal.under_name(variant))?;
        Ok(Items::of_variant(items, len, variant))
    }

    #[inline]
    fn serialize_map(self, len: Option<usize>) -> Result<Entries, Refusal> {
        Ok(Entries::new(self.into_container(len)?, len))
    }

    #[inline]
    fn serialize_struct(self, _: &'static str, len: usize) -> Result<Fields, Refusal> {
        Ok(Fields::new(self.deeper()?, len))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Fields, Refusal> {
        let fields = self.deeper().and_then(Check::deeper).map_err(|refusal| refusal.under_name(variant))?;
        Ok(Fields::of_variant(fields, len, variant))
    }
}

/// An integer within what the codecs carry.
pub(super) enum Integer {
    Signed(i64),
    Unsigned(u64),
}

/// The one place that knows the range.
pub(super) fn integer(n: i128) -> Result<Integer, Unsupported> {
    if let Ok(n) = u64::try_from(n) {
        Ok(Integer::Unsigned(n))
    } else if let Ok(n) = i64::try_from(n) {
        Ok(Integer::Signed(n))
    } else {
        Err(Unsupported::IntegerOutOfRange)
    }
}

#[cfg(test)]
mod tests;
