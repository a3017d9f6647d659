//! Writing values as MessagePack: structs as maps by name, enums as a name or a map of one entry, shortest integers.

use std::fmt;

use serde::ser::{self, Serialize};

use super::put_uint;
use crate::{
    codec::check::{Integer, Refusal, Unsupported, integer},
    limits::NESTING_MAX,
};

/// Appends `value` to `out`. On error `out` holds a part of it, which the caller cuts off.
#[inline]
pub(in crate::codec) fn write<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) -> Result<(), Refusal> {
    value.serialize(&mut Writer { out, depth: 0 })
}

pub(super) struct Writer<'o> {
    out: &'o mut Vec<u8>,
    /// Containers that are open around the value.
    depth: usize,
}

impl<'o> Writer<'o> {
    fn put_int(&mut self, n: i64) {
        match n {
            0.. => put_uint(n as u64, self.out),
            -32..0 => self.out.push(n as u8),
            -0x80..0 => self.out.extend_from_slice(&[0xd0, n as u8]),
            -0x8000..0 => self.put(0xd1, (n as i16).to_be_bytes()),
            -0x8000_0000..0 => self.put(0xd2, (n as i32).to_be_bytes()),
            _ => self.put(0xd3, n.to_be_bytes()),
        }
    }

    fn put<const N: usize>(&mut self, marker: u8, data: [u8; N]) {
        self.out.push(marker);
        self.out.extend_from_slice(&data);
    }

    fn put_str(&mut self, text: &str) -> Result<(), Refusal> {
        put_len(Shape::Str, text.len(), self.out)?;
        self.out.extend_from_slice(text.as_bytes());
        Ok(())
    }

    fn open(&mut self, shape: Shape, announced: Option<usize>) -> Result<Counted<'_, 'o>, Refusal> {
        if self.depth >= NESTING_MAX {
            return Err(Unsupported::TooDeep { limit: NESTING_MAX }.into());
        }
        self.depth += 1;
        let start = self.out.len();
        if let Some(len) = announced {
            put_len(shape, len, self.out)?;
        }
        Ok(Counted { writer: self, shape, start, announced, count: 0, levels: 1 })
    }

    /// A container inside the map of one entry that stands for an enum's variant.
    fn open_variant(&mut self, variant: &str, shape: Shape, len: usize) -> Result<Counted<'_, 'o>, Refusal> {
        self.depth += 1;
        self.out.push(0x81);
        self.put_str(variant)?;
        let counted = self.open(shape, Some(len))?;
        Ok(Counted { levels: 2, ..counted })
    }
}

/// What has a length in front.
#[derive(Clone, Copy, PartialEq)]
enum Shape {
    Str,
    List,
    Map,
}

/// Appends the marker and length of a string, list or map.
#[inline]
fn put_len(shape: Shape, len: usize, out: &mut Vec<u8>) -> Result<(), Refusal> {
    let (fix, fix_max, wide) = match shape {
        Shape::Str => (0xa0, 31, 0xda),
        Shape::List => (0x90, 15, 0xdc),
        Shape::Map => (0x80, 15, 0xde),
    };
    let Ok(len) = u32::try_from(len) else {
        return Err(Unsupported::TooLong.into());
    };
    let [a, b, c, d] = len.to_be_bytes();
    match len {
        _ if len <= fix_max => out.push(fix | d),
        0..=0xff if shape == Shape::Str => out.extend_from_slice(&[0xd9, d]),
        0..=0xffff => out.extend_from_slice(&[wide, c, d]),
        _ => out.extend_from_slice(&[wide + 1, a, b, c, d]),
    }
    Ok(())
}

/// Appends text written by `Display`, and keeps its failure apart from a text that is too long.
struct Text<'o>(&'o mut Vec<u8>);

impl fmt::Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

macro_rules! integers {
    ($($method:ident($type:ty) as $wide:ty => $put:path;)*) => {
        $(#[inline] fn $method(self, n: $type) -> Result<(), Refusal> {
            $put(self, <$wide>::from(n));
            Ok(())
        })*
    };
}

fn unsigned(writer: &mut Writer<'_>, n: u64) {
    put_uint(n, writer.out);
}

impl<'w, 'o> ser::Serializer for &'w mut Writer<'o> {
    type Ok = ();
    type Error = Refusal;
    type SerializeSeq = Counted<'w, 'o>;
    type SerializeTuple = Counted<'w, 'o>;
    type SerializeTupleStruct = Counted<'w, 'o>;
    type SerializeTupleVariant = Counted<'w, 'o>;
    type SerializeMap = Counted<'w, 'o>;
    type SerializeStruct = Counted<'w, 'o>;
    type SerializeStructVariant = Counted<'w, 'o>;

    integers! {
        serialize_u8(u8) as u64 => unsigned;
        serialize_u16(u16) as u64 => unsigned;
        serialize_u32(u32) as u64 => unsigned;
        serialize_u64(u64) as u64 => unsigned;
        serialize_i8(i8) as i64 => Writer::put_int;
        serialize_i16(i16) as i64 => Writer::put_int;
        serialize_i32(i32) as i64 => Writer::put_int;
        serialize_i64(i64) as i64 => Writer::put_int;
    }

    fn is_human_readable(&self) -> bool {
        false
    }

    fn serialize_bool(self, yes: bool) -> Result<(), Refusal> {
        self.out.push(0xc2 | u8::from(yes));
        Ok(())
    }

    fn serialize_i128(self, n: i128) -> Result<(), Refusal> {
        match integer(n)? {
            Integer::Unsigned(n) => put_uint(n, self.out),
            Integer::Signed(n) => self.put_int(n),
        }
        Ok(())
    }

    fn serialize_u128(self, n: u128) -> Result<(), Refusal> {
        let n = u64::try_from(n).map_err(|_| Unsupported::IntegerOutOfRange)?;
        put_uint(n, self.out);
        Ok(())
    }

    fn serialize_f32(self, n: f32) -> Result<(), Refusal> {
        self.put(0xca, n.to_be_bytes());
        Ok(())
    }

    fn serialize_f64(self, n: f64) -> Result<(), Refusal> {
        self.put(0xcb, n.to_be_bytes());
        Ok(())
    }

    fn serialize_char(self, c: char) -> Result<(), Refusal> {
        self.put_str(c.encode_utf8(&mut [0; 4]))
    }

    #[inline]
    fn serialize_str(self, text: &str) -> Result<(), Refusal> {
        self.put_str(text)
    }

    fn collect_str<T: fmt::Display + ?Sized>(self, text: &T) -> Result<(), Refusal> {
        let start = self.out.len();
        if fmt::Write::write_fmt(&mut Text(self.out), format_args!("{text}")).is_err() {
            return Err(ser::Error::custom("Display failed"));
        }
        put_len_before(start, Shape::Str, self.out.len() - start, self.out)
    }

    fn serialize_bytes(self, bytes: &[u8]) -> Result<(), Refusal> {
        let Ok(len) = u32::try_from(bytes.len()) else {
            return Err(Unsupported::TooLong.into());
        };
        match len {
            0..=0xff => self.out.extend_from_slice(&[0xc4, len as u8]),
            0x100..=0xffff => self.put(0xc5, (len as u16).to_be_bytes()),
            _ => self.put(0xc6, len.to_be_bytes()),
        }
        self.out.extend_from_slice(bytes);
        Ok(())
    }

    fn serialize_none(self) -> Result<(), Refusal> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Refusal> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Refusal> {
        self.out.push(0xc0);
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Refusal> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<(), Refusal> {
        self.put_str(variant)
    }

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
        let mut entry = self.open(Shape::Map, Some(1))?;
        entry.writer.put_str(variant)?;
        entry.count = 2;
        value.serialize(&mut *entry.writer)?;
        entry.finish()
    }

    fn serialize_seq(self, len: Option<usize>) -> Result<Counted<'w, 'o>, Refusal> {
        self.open(Shape::List, len)
    }

    fn serialize_tuple(self, len: usize) -> Result<Counted<'w, 'o>, Refusal> {
        self.open(Shape::List, Some(len))
    }

    fn serialize_tuple_struct(self, _: &'static str, len: usize) -> Result<Counted<'w, 'o>, Refusal> {
        self.open(Shape::List, Some(len))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Counted<'w, 'o>, Refusal> {
        self.open_variant(variant, Shape::List, len)
    }

    fn serialize_map(self, len: Option<usize>) -> Result<Counted<'w, 'o>, Refusal> {
        self.open(Shape::Map, len)
    }

    fn serialize_struct(self, _: &'static str, len: usize) -> Result<Counted<'w, 'o>, Refusal> {
        self.open(Shape::Map, Some(len))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Counted<'w, 'o>, Refusal> {
        self.open_variant(variant, Shape::Map, len)
    }
}

/// Writes the length of what stands from `start` on in front of it, for what could not say its length before.
fn put_len_before(start: usize, shape: Shape, len: usize, out: &mut Vec<u8>) -> Result<(), Refusal> {
    let mut head = Vec::with_capacity(5);
    put_len(shape, len, &mut head)?;
    out.splice(start..start, head);
    Ok(())
}

/// An open container: counts what is written into it, because its length must be true.
pub(super) struct Counted<'w, 'o> {
    writer: &'w mut Writer<'o>,
    shape: Shape,
    start: usize,
    announced: Option<usize>,
    /// Values so far; two for each entry of a map.
    count: usize,
    /// Levels of nesting that end with it.
    levels: usize,
}

impl Counted<'_, '_> {
    #[inline]
    fn value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Refusal> {
        self.count += 1;
        value.serialize(&mut *self.writer)
    }

    #[inline]
    fn field<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<(), Refusal> {
        self.count += 1;
        self.writer.put_str(name)?;
        self.value(value)
    }

    #[inline]
    fn finish(self) -> Result<(), Refusal> {
        self.writer.depth -= self.levels;
        let per_item = if self.shape == Shape::Map { 2 } else { 1 };
        match self.announced {
            Some(len) if len.checked_mul(per_item) == Some(self.count) => Ok(()),
            None if self.count.is_multiple_of(per_item) => {
                put_len_before(self.start, self.shape, self.count / per_item, self.writer.out)
            }
            _ => Err(Unsupported::WrongLength.into()),
        }
    }
}

macro_rules! counted {
    ($($trait:ident::$method:ident($($name:ident)?) => $put:ident),* $(,)?) => {$(
        impl ser::$trait for Counted<'_, '_> {
            type Ok = ();
            type Error = Refusal;

            #[inline]
            fn $method<T: Serialize + ?Sized>(&mut self, $($name: &'static str,)? value: &T) -> Result<(), Refusal> {
                self.$put($($name,)? value)
            }

            #[inline]
            fn end(self) -> Result<(), Refusal> {
                self.finish()
            }
        }
    )*};
}

counted!(
    SerializeSeq::serialize_element() => value,
    SerializeTuple::serialize_element() => value,
    SerializeTupleStruct::serialize_field() => value,
    SerializeTupleVariant::serialize_field() => value,
    SerializeStruct::serialize_field(name) => field,
    SerializeStructVariant::serialize_field(name) => field,
);

impl ser::SerializeMap for Counted<'_, '_> {
    type Ok = ();
    type Error = Refusal;

    #[inline]
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Refusal> {
        self.value(key)
    }

    #[inline]
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Refusal> {
        self.value(value)
    }

    #[inline]
    fn end(self) -> Result<(), Refusal> {
        self.finish()
    }
}
