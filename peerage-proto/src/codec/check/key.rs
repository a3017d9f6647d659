//! Map keys in JSON: strings, and nothing that would silently become one.

use serde::ser::{Impossible, Serialize, Serializer};

use super::{Refusal, Unsupported};

/// Accepts what is a string, and gives its text if that is wanted.
pub(super) struct Key {
    pub(super) keep: bool,
}

impl Key {
    fn text(self, text: &str) -> Result<Option<String>, Refusal> {
        Ok(self.keep.then(|| text.to_owned()))
    }
}

fn refuse<T>(kind: &'static str) -> Result<T, Refusal> {
    Err(Unsupported::Key(kind).into())
}

macro_rules! refused {
    ($($method:ident($($type:ty),*) = $kind:literal)*) => {
        $(fn $method(self, $(_: $type),*) -> Result<Option<String>, Refusal> { refuse($kind) })*
    };
}

impl Serializer for Key {
    type Ok = Option<String>;
    type Error = Refusal;
    type SerializeSeq = Impossible<Option<String>, Refusal>;
    type SerializeTuple = Impossible<Option<String>, Refusal>;
    type SerializeTupleStruct = Impossible<Option<String>, Refusal>;
    type SerializeTupleVariant = Impossible<Option<String>, Refusal>;
    type SerializeMap = Impossible<Option<String>, Refusal>;
    type SerializeStruct = Impossible<Option<String>, Refusal>;
    type SerializeStructVariant = Impossible<Option<String>, Refusal>;

    refused! {
        serialize_bool(bool) = "a boolean"
        serialize_i8(i8) = "an integer"
        serialize_i16(i16) = "an integer"
        serialize_i32(i32) = "an integer"
        serialize_i64(i64) = "an integer"
        serialize_i128(i128) = "an integer"
        serialize_u8(u8) = "an integer"
        serialize_u16(u16) = "an integer"
        serialize_u32(u32) = "an integer"
        serialize_u64(u64) = "an integer"
        serialize_u128(u128) = "an integer"
        serialize_f32(f32) = "a float"
        serialize_f64(f64) = "a float"
        serialize_bytes(&[u8]) = "bytes"
        serialize_none() = "null"
        serialize_unit() = "null"
        serialize_unit_struct(&'static str) = "null"
    }

    fn serialize_char(self, c: char) -> Result<Option<String>, Refusal> {
        self.text(c.encode_utf8(&mut [0; 4]))
    }

    #[inline]
    fn serialize_str(self, text: &str) -> Result<Option<String>, Refusal> {
        self.text(text)
    }

    fn collect_str<T: std::fmt::Display + ?Sized>(self, text: &T) -> Result<Option<String>, Refusal> {
        Ok(self.keep.then(|| text.to_string()))
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<Option<String>, Refusal> {
        self.text(variant)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Option<String>, Refusal> {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<Option<String>, Refusal> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<Option<String>, Refusal> {
        refuse("a map")
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self::SerializeSeq, Refusal> {
        refuse("a list")
    }

    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, Refusal> {
        refuse("a list")
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeTupleStruct, Refusal> {
        refuse("a list")
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, Refusal> {
        refuse("a map")
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, Refusal> {
        refuse("a map")
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeStruct, Refusal> {
        refuse("a map")
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, Refusal> {
        refuse("a map")
    }
}
