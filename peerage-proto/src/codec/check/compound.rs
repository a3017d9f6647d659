//! The containers of [`Check`]: each knows the step that leads to its current item, and puts it in front of a refusal.

use serde::ser::{self, Serialize};

use super::{Check, Encoding, Key, Refusal, Unsupported};

/// Items of a sequence, tuple or tuple variant.
pub(in crate::codec) struct Items {
    check: Check,
    index: usize,
    announced: Option<usize>,
    variant: Option<&'static str>,
}

impl Items {
    pub(super) fn new(check: Check, announced: Option<usize>) -> Self {
        Items { check, index: 0, announced, variant: None }
    }

    pub(super) fn of_variant(check: Check, len: usize, variant: &'static str) -> Self {
        Items { check, index: 0, announced: Some(len), variant: Some(variant) }
    }

    #[inline]
    fn item<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Refusal> {
        let index = self.index;
        self.index += 1;
        value.serialize(self.check).map_err(|refusal| {
            let refusal = refusal.under(format_args!("[{index}]"));
            within(refusal, self.variant)
        })
    }

    #[inline]
    fn finish(self) -> Result<(), Refusal> {
        delivered(self.index, self.announced).map_err(|refusal| within(refusal, self.variant))
    }
}

fn within(refusal: Refusal, variant: Option<&'static str>) -> Refusal {
    match variant {
        Some(variant) => refusal.under_name(variant),
        None => refusal,
    }
}

/// Compares what came with what was announced, which is written before the items in MessagePack.
#[inline]
fn delivered(count: usize, announced: Option<usize>) -> Result<(), Refusal> {
    match announced {
        Some(announced) if announced != count => Err(Unsupported::WrongLength.into()),
        _ => Ok(()),
    }
}

macro_rules! items {
    ($($trait:ident::$method:ident),*) => {$(
        impl ser::$trait for Items {
            type Ok = ();
            type Error = Refusal;

            #[inline]
            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Refusal> {
                self.item(value)
            }

            #[inline]
            fn end(self) -> Result<(), Refusal> {
                self.finish()
            }
        }
    )*};
}

items!(
    SerializeSeq::serialize_element,
    SerializeTuple::serialize_element,
    SerializeTupleStruct::serialize_field,
    SerializeTupleVariant::serialize_field
);

/// Fields of a struct or struct variant.
pub(in crate::codec) struct Fields {
    check: Check,
    count: usize,
    announced: usize,
    variant: Option<&'static str>,
}

impl Fields {
    pub(super) fn new(check: Check, announced: usize) -> Self {
        Fields { check, count: 0, announced, variant: None }
    }

    pub(super) fn of_variant(check: Check, announced: usize, variant: &'static str) -> Self {
        Fields { check, count: 0, announced, variant: Some(variant) }
    }
}

macro_rules! fields {
    ($($trait:ident),*) => {$(
        impl ser::$trait for Fields {
            type Ok = ();
            type Error = Refusal;

            #[inline]
            fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Refusal> {
                self.count += 1;
                value.serialize(self.check).map_err(|refusal| within(refusal.under_name(name), self.variant))
            }

            #[inline]
            fn end(self) -> Result<(), Refusal> {
                delivered(self.count, Some(self.announced)).map_err(|refusal| within(refusal, self.variant))
            }
        }
    )*};
}

fields!(SerializeStruct, SerializeStructVariant);

/// Entries of a map.
pub(in crate::codec) struct Entries {
    check: Check,
    count: usize,
    announced: Option<usize>,
    /// The key whose value comes next, in the walk that wants the path.
    key: Option<String>,
}

impl Entries {
    pub(super) fn new(check: Check, announced: Option<usize>) -> Self {
        Entries { check, count: 0, announced, key: None }
    }
}

impl ser::SerializeMap for Entries {
    type Ok = ();
    type Error = Refusal;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Refusal> {
        let text = if self.check.encoding == Encoding::Json || self.check.keep_keys {
            key.serialize(Key { keep: self.check.keep_keys })
        } else {
            Ok(None)
        };
        match self.check.encoding {
            // A bad key is a fault of the map: the path ends there.
            Encoding::Json => self.key = text?,
            Encoding::MsgPack => {
                let number = self.count;
                key.serialize(self.check).map_err(|refusal| refusal.under(format_args!("[key {number}]")))?;
                self.key = text.unwrap_or(None);
            }
        }
        self.count += 1;
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Refusal> {
        value.serialize(self.check).map_err(|refusal| match &self.key {
            Some(key) => refusal.under_name(key),
            None => refusal.under(format_args!("[value {}]", self.count.saturating_sub(1))),
        })
    }

    #[inline]
    fn end(self) -> Result<(), Refusal> {
        delivered(self.count, self.announced)
    }
}
