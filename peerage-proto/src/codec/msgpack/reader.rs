//! Reading MessagePack into Rust types, strictly: strings are UTF-8, strings and bytes are not each other.
//!
//! [`survey`](super::survey) has gone over every container before: it is one complete value, no deeper than allowed. So
//! recursion is bounded, and every announced item is really there. Bounds are still checked where bytes are taken.

use std::fmt;

use serde::de::{self, DeserializeSeed, Unexpected, Visitor};

use super::{be, skip};

/// Reads one value of a type from bytes that were surveyed. The error comes with the place of the value it is about.
pub(in crate::codec) fn read<'de, T: de::Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, (Misread, usize)> {
    let mut reader = Reader { bytes, at: 0, last: 0 };
    match T::deserialize(&mut reader) {
        Ok(value) if reader.at == bytes.len() => Ok(value),
        Ok(_) => Err((Misread::Malformed("bytes follow the value"), reader.at)),
        Err(why) => Err((why, reader.last)),
    }
}

/// Why bytes did not become a value of the wanted type.
#[derive(Debug)]
pub(in crate::codec) enum Misread {
    /// They are another type's value.
    Type(String),
    /// They are no value at all.
    Malformed(&'static str),
}

impl fmt::Display for Misread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Misread::Type(text) => f.write_str(text),
            Misread::Malformed(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for Misread {}

impl de::Error for Misread {
    fn custom<T: fmt::Display>(text: T) -> Self {
        Misread::Type(text.to_string())
    }
}

const CUT: Misread = Misread::Malformed("the value is cut off");

struct Reader<'de> {
    bytes: &'de [u8],
    at: usize,
    /// Where the value read last begins, for error texts.
    last: usize,
}

/// A value up to its variable part.
enum Head<'de> {
    Nil,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Str(&'de str),
    Bin(&'de [u8]),
    List(usize),
    Map(usize),
}

impl<'de> Reader<'de> {
    #[inline]
    fn peek(&self) -> Result<u8, Misread> {
        self.bytes.get(self.at).copied().ok_or(CUT)
    }

    #[inline]
    fn take(&mut self, len: usize) -> Result<&'de [u8], Misread> {
        let taken = self.bytes[self.at..].get(..len).ok_or(CUT)?;
        self.at += len;
        Ok(taken)
    }

    #[inline]
    fn number<const N: usize>(&mut self) -> Result<u64, Misread> {
        let n = be::<N>(self.bytes, self.at).ok_or(CUT)?;
        self.at += N;
        Ok(n)
    }

    #[inline]
    fn len<const N: usize>(&mut self) -> Result<usize, Misread> {
        usize::try_from(self.number::<N>()?).map_err(|_| CUT)
    }

    #[inline]
    fn str(&mut self, len: usize) -> Result<Head<'de>, Misread> {
        match std::str::from_utf8(self.take(len)?) {
            Ok(text) => Ok(Head::Str(text)),
            Err(_) => Err(Misread::Malformed("a string is not UTF-8")),
        }
    }

    #[inline]
    fn str_of<const N: usize>(&mut self) -> Result<Head<'de>, Misread> {
        let len = self.len::<N>()?;
        self.str(len)
    }

    #[inline]
    fn bin_of<const N: usize>(&mut self) -> Result<Head<'de>, Misread> {
        let len = self.len::<N>()?;
        self.take(len).map(Head::Bin)
    }

    #[inline]
    fn head(&mut self) -> Result<Head<'de>, Misread> {
        self.last = self.at;
        let marker = self.peek()?;
        self.at += 1;
        Ok(match marker {
            0x00..=0x7f => Head::Unsigned(u64::from(marker)),
            0x80..=0x8f => Head::Map(usize::from(marker & 0x0f)),
            0x90..=0x9f => Head::List(usize::from(marker & 0x0f)),
            0xa0..=0xbf => self.str(usize::from(marker & 0x1f))?,
            0xc0 => Head::Nil,
            0xc2 | 0xc3 => Head::Bool(marker == 0xc3),
            0xc4 => self.bin_of::<1>()?,
            0xc5 => self.bin_of::<2>()?,
            0xc6 => self.bin_of::<4>()?,
            0xca => Head::Float(f64::from(f32::from_bits(self.number::<4>()? as u32))),
            0xcb => Head::Float(f64::from_bits(self.number::<8>()?)),
            0xcc => Head::Unsigned(self.number::<1>()?),
            0xcd => Head::Unsigned(self.number::<2>()?),
            0xce => Head::Unsigned(self.number::<4>()?),
            0xcf => Head::Unsigned(self.number::<8>()?),
            0xd0 => Head::Signed(i64::from(self.number::<1>()? as i8)),
            0xd1 => Head::Signed(i64::from(self.number::<2>()? as i16)),
            0xd2 => Head::Signed(i64::from(self.number::<4>()? as i32)),
            0xd3 => Head::Signed(self.number::<8>()? as i64),
            0xd9 => self.str_of::<1>()?,
            0xda => self.str_of::<2>()?,
            0xdb => self.str_of::<4>()?,
            0xdc => Head::List(self.len::<2>()?),
            0xdd => Head::List(self.len::<4>()?),
            0xde => Head::Map(self.len::<2>()?),
            0xdf => Head::Map(self.len::<4>()?),
            0xe0..=0xff => Head::Signed(i64::from(marker as i8)),
            0xc7..=0xc9 | 0xd4..=0xd8 => {
                return Err(Misread::Type("extension types are not supported".to_owned()));
            }
            0xc1 => return Err(Misread::Malformed("0xc1 begins no value")),
        })
    }

    #[inline]
    fn visit<V: Visitor<'de>>(&mut self, head: Head<'de>, visitor: V) -> Result<V::Value, Misread> {
        match head {
            Head::Nil => visitor.visit_unit(),
            Head::Bool(yes) => visitor.visit_bool(yes),
            Head::Unsigned(n) => visitor.visit_u64(n),
            Head::Signed(n) => visitor.visit_i64(n),
            Head::Float(n) => visitor.visit_f64(n),
            Head::Str(text) => visitor.visit_borrowed_str(text),
            Head::Bin(bytes) => visitor.visit_borrowed_bytes(bytes),
            Head::List(len) => {
                let mut items = Items { reader: self, left: len };
                let value = visitor.visit_seq(&mut items)?;
                all_taken(items.left, len, value)
            }
            Head::Map(len) => {
                let mut items = Items { reader: self, left: len };
                let value = visitor.visit_map(&mut items)?;
                all_taken(items.left, len, value)
            }
        }
    }
}

/// A tuple or struct that took fewer items than there are would leave the reader inside the container.
fn all_taken<T>(left: usize, len: usize, value: T) -> Result<T, Misread> {
    match left {
        0 => Ok(value),
        _ => Err(de::Error::invalid_length(len, &"fewer items")),
    }
}

impl<'de> de::Deserializer<'de> for &mut Reader<'de> {
    type Error = Misread;

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 unit map
    }

    fn is_human_readable(&self) -> bool {
        false
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misread> {
        let head = self.head()?;
        self.visit(head, visitor)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misread> {
        match self.head()? {
            // Many string visitors would also take bytes that happen to be UTF-8.
            Head::Bin(bytes) => Err(de::Error::invalid_type(Unexpected::Bytes(bytes), &visitor)),
            head => self.visit(head, visitor),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misread> {
        self.deserialize_str(visitor)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misread> {
        self.deserialize_str(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misread> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misread> {
        match self.head()? {
            // And many byte visitors take strings.
            Head::Str(text) => Err(de::Error::invalid_type(Unexpected::Str(text), &visitor)),
            head => self.visit(head, visitor),
        }
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misread> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misread> {
        if self.peek()? == 0xc0 {
            self.last = self.at;
            self.at += 1;
            visitor.visit_none()
        } else {
            visitor.visit_some(self)
        }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Misread> {
        self.deserialize_any(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Misread> {
        visitor.visit_newtype_struct(self)
    }

    /// Bytes are also a sequence of small numbers: a plain `Vec<u8>` reads both forms.
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misread> {
        match self.head()? {
            Head::Bin(bytes) => visitor.visit_seq(de::value::SeqDeserializer::new(bytes.iter().copied())),
            head => self.visit(head, visitor),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Misread> {
        match self.head()? {
            Head::Bin(bytes) => {
                let mut items = de::value::SeqDeserializer::new(bytes.iter().copied());
                let value = visitor.visit_seq(&mut items)?;
                items.end()?;
                Ok(value)
            }
            head => self.visit(head, visitor),
        }
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Misread> {
        self.deserialize_any(visitor)
    }

    /// By name from a map; a list of the fields in order is read too.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misread> {
        self.deserialize_any(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misread> {
        match self.peek()? {
            0xa0..=0xbf | 0xd9..=0xdb => visitor.visit_enum(Variant { reader: self, has_content: false }),
            _ => match self.head()? {
                Head::Map(1) => visitor.visit_enum(Variant { reader: self, has_content: true }),
                Head::Map(_) => Err(Misread::Type("an enum is a name or a map of one entry".to_owned())),
                head => self.visit(head, visitor),
            },
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misread> {
        self.last = self.at;
        self.at = skip(self.bytes, self.at).map_err(|_| CUT)?;
        visitor.visit_unit()
    }
}

/// The items of a list, or the keys and values of a map.
struct Items<'r, 'de> {
    reader: &'r mut Reader<'de>,
    left: usize,
}

impl<'de> Items<'_, 'de> {
    fn next<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Misread> {
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                seed.deserialize(&mut *self.reader).map(Some)
            }
            None => Ok(None),
        }
    }
}

impl<'de> de::SeqAccess<'de> for &mut Items<'_, 'de> {
    type Error = Misread;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Misread> {
        self.next(seed)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

impl<'de> de::MapAccess<'de> for &mut Items<'_, 'de> {
    type Error = Misread;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Misread> {
        self.next(seed)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Misread> {
        seed.deserialize(&mut *self.reader)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

/// An enum's variant: its name, and behind the name its content if it has any.
struct Variant<'r, 'de> {
    reader: &'r mut Reader<'de>,
    has_content: bool,
}

impl<'r, 'de> Variant<'r, 'de> {
    fn content(self, wanted: &dyn de::Expected) -> Result<&'r mut Reader<'de>, Misread> {
        if self.has_content { Ok(self.reader) } else { Err(de::Error::invalid_type(Unexpected::UnitVariant, wanted)) }
    }
}

impl<'de> de::EnumAccess<'de> for Variant<'_, 'de> {
    type Error = Misread;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), Misread> {
        Ok((seed.deserialize(&mut *self.reader)?, self))
    }
}

impl<'de> de::VariantAccess<'de> for Variant<'_, 'de> {
    type Error = Misread;

    fn unit_variant(self) -> Result<(), Misread> {
        match self.has_content {
            true => de::Deserialize::deserialize(self.reader),
            false => Ok(()),
        }
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Misread> {
        seed.deserialize(self.content(&"newtype variant")?)
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Misread> {
        de::Deserializer::deserialize_tuple(self.content(&"tuple variant")?, len, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(self, fields: &'static [&'static str], visitor: V) -> Result<V::Value, Misread> {
        de::Deserializer::deserialize_struct(self.content(&"struct variant")?, "", fields, visitor)
    }
}
