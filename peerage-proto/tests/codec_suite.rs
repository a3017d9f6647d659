//! One suite, every codec: adding a codec means adding a word at the end.

#![allow(clippy::unwrap_used, reason = "a test's helpers may fail the test")]

use std::collections::BTreeMap;

use bytes::Bytes;
use peerage_proto::{
    codec::{BadTriple, DecodeError, Encoding, Payload, Unsupported, Value, encode_into},
    limits::NESTING_DEFAULT,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

#[derive(Debug, Deserialize, PartialEq, Serialize)]
struct Reading {
    sensor: String,
    at: u64,
    celsius: f64,
    tags: BTreeMap<String, Option<bool>>,
    kind: Kind,
    history: Vec<Kind>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

#[derive(Debug, Deserialize, PartialEq, Serialize)]
enum Kind {
    Unit,
    Newtype(i8),
    Tuple(u16, String),
    Struct { low: i64, high: u64 },
}

#[derive(Debug, Deserialize, PartialEq, Serialize)]
struct Wrapped(u32);

#[derive(Debug, Deserialize, PartialEq, Serialize)]
struct Nothing;

fn reading() -> Reading {
    Reading {
        sensor: "küche \"1\"".into(),
        at: u64::MAX,
        celsius: -0.1,
        tags: BTreeMap::from([("ok".into(), Some(true)), ("old".into(), None)]),
        kind: Kind::Struct { low: i64::MIN, high: 1 << 40 },
        history: vec![Kind::Unit, Kind::Newtype(-128), Kind::Tuple(65_535, String::new())],
        note: None,
    }
}

fn frame(encoding: Encoding, kind: u8, id: u64, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    encoding.put_head(kind, id, &mut out);
    out.extend_from_slice(content);
    encoding.put_tail(&mut out);
    out
}

fn there_and_back<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(value: T, encoding: Encoding) {
    let payload = Payload::encode(&value, encoding).unwrap();
    assert_eq!(Payload::parse(encoding, payload.bytes().clone()).as_ref(), Ok(&payload));
    assert_eq!(payload.decode(), Ok(value));
}

fn types_come_back_as_they_were(encoding: Encoding) {
    there_and_back(reading(), encoding);
    there_and_back((), encoding);
    there_and_back((true, false, 'ä', -1_i8, i64::MIN, u64::MAX), encoding);
    there_and_back((i128::from(i64::MIN), u128::from(u64::MAX)), encoding);
    there_and_back((1.5_f32, f64::MIN_POSITIVE, f64::MAX, 0.1 + 0.2), encoding);
    there_and_back((Wrapped(7), Nothing, Some(3), None::<u8>, [1_u16; 3]), encoding);
    there_and_back("x".repeat(70_000), encoding);
    there_and_back(vec![0_u32; 70_000], encoding);
    there_and_back((0..20).map(|n| (n.to_string(), n)).collect::<BTreeMap<_, _>>(), encoding);
    for n in [-1_i64, -32, -33, -128, -129, -32_768, -32_769, -2_147_483_648, -2_147_483_649, 127, 128, 65_536] {
        there_and_back(n, encoding);
    }
}

fn unknown_fields_and_variants_are_skipped_and_named(encoding: Encoding) {
    #[derive(Debug, Deserialize, PartialEq)]
    struct Less {
        at: u64,
    }
    let payload = Payload::encode(&reading(), encoding).unwrap();
    assert_eq!(payload.decode(), Ok(Less { at: u64::MAX }));
    for unknown in [Value::from("Other"), Value::Map(vec![("Other".into(), Value::Null)])] {
        let why = Payload::encode(&unknown, encoding).unwrap().decode::<Kind>().unwrap_err();
        assert!(why.to_string().contains("unknown variant `Other`"), "{why}");
    }
    let unit_with_content = Value::Map(vec![("Unit".into(), 1.into())]);
    let newtype_without = Value::from("Newtype");
    let two = Value::Map(vec![("Unit".into(), Value::Null), ("Newtype".into(), 1.into())]);
    for odd in [unit_with_content, newtype_without, two, Value::Null, Value::List(vec![])] {
        assert!(Payload::encode(&odd, encoding).unwrap().decode::<Kind>().is_err(), "{odd}");
    }
}

fn null_is_one_value_and_nothing_is_none(encoding: Encoding) {
    assert_eq!(Payload::null(encoding), Payload::encode(&(), encoding).unwrap());
    assert_eq!(Payload::null(encoding).decode(), Ok(Value::Null));
    assert_eq!(Payload::null(encoding).len(), encoding.null().len());
    let nothing = Payload::from_parts(encoding, Bytes::new());
    assert!(nothing.is_empty() && !Payload::null(encoding).is_empty());
    assert!(matches!(nothing.decode::<Value>(), Err(DecodeError::Malformed { .. })));
    assert_eq!(encoding.split(&[]), Err(BadTriple::Empty));
}

fn a_head_and_its_content_split_into_what_they_were(encoding: Encoding) {
    for kind in [0, 1, 2, 127, 128, 255] {
        for id in [0, 9, 10, 127, 128, 255, 256, 65_535, 65_536, 1 << 32, u64::MAX] {
            let content = Payload::encode(&reading(), encoding).unwrap().into_bytes();
            let body = frame(encoding, kind, id, &content);
            let triple = encoding.split(&body).unwrap();
            assert_eq!((triple.kind, triple.id), (kind.into(), id));
            assert_eq!(body[triple.content.clone()], content);
            assert_eq!(triple.content.end + encoding.tail_len(), body.len());
        }
    }
}

fn no_part_of_a_frame_is_a_frame(encoding: Encoding) {
    let body = frame(encoding, 0, 300, Payload::encode(&reading(), encoding).unwrap().bytes());
    for len in 0..body.len() {
        assert!(encoding.split(&body[..len]).is_err(), "cut to {len} bytes");
    }
    for extra in 0..=255 {
        let more = [&body[..], &[extra]].concat();
        let is_space = encoding == Encoding::Json && matches!(extra, b' ' | b'\t' | b'\n' | b'\r');
        let verdict = encoding.split(&more);
        assert_eq!(verdict.is_ok(), is_space);
        assert!(is_space || verdict == Err(BadTriple::Trailing { at: body.len() }));
    }
}

fn nesting_is_bounded_where_content_is_opened(encoding: Encoding) {
    let nested = |depth: usize| {
        let value = (1..depth).fold(Value::List(vec![]), |inner, _| Value::Map(vec![("a".into(), inner)]));
        Payload::encode(&value, encoding).unwrap()
    };
    assert!(nested(NESTING_DEFAULT).decode::<Value>().is_ok());
    let why = nested(NESTING_DEFAULT + 1).decode::<Value>().unwrap_err();
    assert_eq!(why, DecodeError::NestedTooDeep { limit: NESTING_DEFAULT });
    assert_eq!(why.to_string(), "the value nests containers deeper than 32");
    // Also where the type would not look: what is skipped is bounded too.
    assert!(nested(NESTING_DEFAULT + 1).decode::<serde::de::IgnoredAny>().is_err());
}

/// T14: a mebibyte of opening brackets on a stack of a quarter of that.
fn hostile_nesting_needs_no_stack(encoding: Encoding) {
    let (open, close) = match encoding {
        Encoding::Json => (b'[', &b"]"[..]),
        Encoding::MsgPack => (0x91, &[][..]),
    };
    let depth = 1 << 20;
    let unfinished = vec![open; depth];
    let core = match encoding {
        Encoding::Json => &b"0"[..],
        Encoding::MsgPack => &[0][..],
    };
    let finished = [&unfinished[..], core, &close.repeat(depth)].concat();
    let work = move || {
        assert!(matches!(encoding.split(&frame(encoding, 0, 0, &unfinished)), Err(BadTriple::Truncated { .. })));
        assert!(encoding.split(&frame(encoding, 0, 0, &finished)).is_ok(), "opaque content may nest as it likes");
        for bytes in [unfinished, finished] {
            let payload = Payload::from_parts(encoding, bytes.into());
            assert_eq!(payload.decode::<Value>(), Err(DecodeError::NestedTooDeep { limit: NESTING_DEFAULT }));
            drop(Payload::parse(encoding, payload.into_bytes()));
        }
    };
    std::thread::Builder::new().stack_size(256 << 10).spawn(work).unwrap().join().unwrap();
}

fn what_cannot_be_carried_leaves_the_output_as_it_was(encoding: Encoding) {
    let mut out = b"kept".to_vec();
    let why = encode_into(&("long text", [0, i128::MAX]), encoding, &mut out).unwrap_err();
    assert_eq!((why.encoding, why.path.as_str()), (encoding, "$[1][1]"));
    assert_eq!(why.why, Unsupported::IntegerOutOfRange);
    assert_eq!(out, b"kept");
    encode_into(&1, encoding, &mut out).unwrap();
    assert!(out.starts_with(b"kept") && out.len() == 5);
}

macro_rules! codec_suite {
    ($($codec:ident),*) => {$(
        mod $codec {
            codec_suite!(@tests $codec:
                types_come_back_as_they_were,
                unknown_fields_and_variants_are_skipped_and_named,
                null_is_one_value_and_nothing_is_none,
                a_head_and_its_content_split_into_what_they_were,
                no_part_of_a_frame_is_a_frame,
                nesting_is_bounded_where_content_is_opened,
                hostile_nesting_needs_no_stack,
                what_cannot_be_carried_leaves_the_output_as_it_was
            );
        }
    )*};
    (@tests $codec:ident: $($test:ident),*) => {$(
        #[test]
        fn $test() {
            super::$test(stringify!($codec).parse().unwrap());
        }
    )*};
}

codec_suite!(json, msgpack);
