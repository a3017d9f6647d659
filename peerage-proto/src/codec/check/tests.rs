use std::collections::BTreeMap;

use serde::{Serialize, Serializer, ser::SerializeSeq as _};
use serde_bytes::Bytes;

use super::*;
use crate::codec::{Value, encode_into};

fn refusal<T: Serialize>(value: &T, encoding: Encoding) -> EncodeError {
    let mut out = b"before".to_vec();
    let why = encode_into(value, encoding, &mut out).unwrap_err();
    assert_eq!(out, b"before", "{why}");
    why
}

#[derive(Serialize)]
struct Call<T> {
    tag: &'static str,
    args: Vec<T>,
}

fn call<T>(first: T, second: T) -> Call<T> {
    Call { tag: "t", args: vec![first, second] }
}

#[test]
fn json_refuses_bytes_and_says_where_they_are() {
    let why = refusal(&call(None, Some(Bytes::new(b"x"))), Encoding::Json);
    assert_eq!((why.path.as_str(), &why.why), ("$.args[1]", &Unsupported::Bytes));
    assert_eq!(why.to_string(), "JSON cannot carry bytes at $.args[1]; use msgpack");
    assert_eq!(refusal(&Value::Bytes(vec![]), Encoding::Json).path, "$");
}

#[test]
fn json_refuses_numbers_that_it_has_no_text_for() {
    for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let why = refusal(&call(1.0, number), Encoding::Json);
        assert_eq!(why.to_string(), "JSON cannot carry NaN or an infinity at $.args[1]; use msgpack");
    }
    assert_eq!(refusal(&f32::NAN, Encoding::Json).why, Unsupported::NotFinite);
}

#[test]
fn json_refuses_keys_that_would_silently_become_strings() {
    let why = refusal(&call(BTreeMap::new(), BTreeMap::from([(7, ())])), Encoding::Json);
    assert_eq!(why.to_string(), "JSON cannot carry an integer as a map key at $.args[1], only strings; use msgpack");
    let keys = [
        (Value::Null, "null"),
        (true.into(), "a boolean"),
        (1.5.into(), "a float"),
        (Value::Bytes(vec![]), "bytes"),
        (Value::List(vec![]), "a list"),
        (Value::Map(vec![]), "a map"),
    ];
    for (key, kind) in keys {
        let map = Value::Map(vec![(key, Value::Null)]);
        assert_eq!(refusal(&map, Encoding::Json).why, Unsupported::Key(kind));
    }
    #[derive(Eq, Ord, PartialEq, PartialOrd, Serialize)]
    enum Name {
        Unit,
    }
    let fine = (BTreeMap::from([('c', 1)]), BTreeMap::from([(Some("s"), 1)]), BTreeMap::from([(Name::Unit, 1)]));
    let mut out = Vec::new();
    encode_into(&fine, Encoding::Json, &mut out).unwrap();
    assert_eq!(out, br#"[{"c":1},{"s":1},{"Unit":1}]"#);
}

#[test]
fn neither_codec_takes_an_integer_beyond_64_bits() {
    for encoding in Encoding::ALL {
        for value in [i128::from(u64::MAX) + 1, i128::from(i64::MIN) - 1, i128::MAX, i128::MIN] {
            let why = refusal(&call(0, value), encoding);
            assert_eq!(why.to_string(), "no codec carries the integer at $.args[1]: it is outside -2^63 ... 2^64-1");
        }
        assert_eq!(refusal(&u128::MAX, encoding).why, Unsupported::IntegerOutOfRange);
        for value in [i128::from(u64::MAX), i128::from(i64::MIN)] {
            assert_eq!(encode_into(&value, encoding, &mut Vec::new()), Ok(()));
        }
    }
}

#[test]
fn the_path_names_fields_keys_variants_and_items() {
    #[derive(Serialize)]
    enum Shape {
        Newtype(Value),
        Tuple(u8, Value),
        Struct { inner: Value },
    }
    let bad = || Value::Int(i128::MAX);
    for encoding in Encoding::ALL {
        let path = |value: &dyn Fn() -> EncodeError| value().path;
        assert_eq!(path(&|| refusal(&Shape::Newtype(bad()), encoding)), "$.Newtype");
        assert_eq!(path(&|| refusal(&Shape::Tuple(1, bad()), encoding)), "$.Tuple[1]");
        assert_eq!(path(&|| refusal(&Shape::Struct { inner: bad() }, encoding)), "$.Struct.inner");
        assert_eq!(path(&|| refusal(&BTreeMap::from([("two words", bad())]), encoding)), "$[\"two words\"]");
        assert_eq!(path(&|| refusal(&(1, BTreeMap::from([("a", vec![bad()])])), encoding)), "$[1].a[0]");
    }
    let by_number = Value::Map(vec![(1.into(), Value::Null), (2.into(), bad())]);
    assert_eq!(refusal(&by_number, Encoding::MsgPack).path, "$[value 1]");
    let as_key = Value::Map(vec![(1.into(), Value::Null), (bad(), Value::Null)]);
    assert_eq!(refusal(&as_key, Encoding::MsgPack).path, "$[key 1]");
}

#[test]
fn nesting_that_no_receiver_can_open_is_refused() {
    let nested = |depth: usize| (0..depth).fold(Value::Null, |inner, _| Value::List(vec![inner]));
    for encoding in Encoding::ALL {
        assert_eq!(encode_into(&nested(NESTING_MAX), encoding, &mut Vec::new()), Ok(()));
        let why = refusal(&nested(NESTING_MAX + 1), encoding);
        assert_eq!(why.why, Unsupported::TooDeep { limit: NESTING_MAX });
        assert!(why.to_string().starts_with("containers nest deeper than 64 at $[0][0]"));
    }
}

#[test]
fn a_serialize_that_lies_about_its_length_is_refused() {
    struct Liar;
    impl Serialize for Liar {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let mut items = serializer.serialize_seq(Some(2))?;
            items.serialize_element(&1)?;
            items.end()
        }
    }
    for encoding in Encoding::ALL {
        let why = refusal(&[Liar], encoding);
        assert_eq!((why.path.as_str(), &why.why), ("$[0]", &Unsupported::WrongLength));
        assert!(why.to_string().contains("another number of items at $[0]"));
    }
}

#[test]
fn a_serialize_that_gives_up_is_quoted() {
    struct Sulking;
    impl Serialize for Sulking {
        fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("not today"))
        }
    }
    for encoding in Encoding::ALL {
        let why = refusal(&(0, Sulking), encoding);
        assert_eq!(why.why, Unsupported::Other("not today".into()));
        assert_eq!(why.to_string(), "the type's Serialize failed at $[1]: not today");
    }
}

#[test]
fn more_than_32_bits_of_length_are_refused_in_messagepack() {
    struct Endless;
    impl Serialize for Endless {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_seq(Some(1 << 32))?.end()
        }
    }
    let why = refusal(&[Endless], Encoding::MsgPack);
    assert_eq!((why.path.as_str(), &why.why), ("$[0]", &Unsupported::TooLong));
    assert_eq!(why.to_string(), "the value at $[0] has more than 2^32-1 items or bytes");
}
