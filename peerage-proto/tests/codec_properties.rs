//! What holds for every value and for every run of bytes. `PROPTEST_CASES` sets how many are tried per property.

#![allow(clippy::unwrap_used, reason = "a test's helpers may fail the test")]

use bytes::Bytes;
use peerage_proto::codec::{Encoding, Payload, Value};
use proptest::{collection::vec, prelude::*};

/// About ten thousand cases in all by default.
fn config() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(1_000);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

fn leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-200..70_000_i64).prop_map(Value::from),
        any::<f64>().prop_filter("JSON has finite numbers only", |n| n.is_finite()).prop_map(Value::from),
        text(),
    ]
}

fn text() -> impl Strategy<Value = Value> {
    let characters = prop_oneof![
        any::<char>(),
        prop::sample::select(vec!['$', '"', '\\', '\u{0}', '\n', '[', '}', 'ä', '\u{1f600}'])
    ];
    vec(characters, 0..12).prop_map(|characters| Value::Text(characters.into_iter().collect()))
}

fn in_containers(leaf: BoxedStrategy<Value>, key: BoxedStrategy<Value>) -> impl Strategy<Value = Value> {
    leaf.prop_recursive(4, 24, 6, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..20).prop_map(Value::List),
            vec((key.clone(), inner), 0..20).prop_map(Value::Map),
        ]
    })
}

/// What JSON can carry.
fn json_value() -> impl Strategy<Value = Value> {
    in_containers(leaf().boxed(), text().boxed())
}

/// Anything: bytes, NaN, keys of any type.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        4 => leaf(),
        1 => vec(any::<u8>(), 0..300).prop_map(Value::Bytes),
        1 => prop::sample::select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY]).prop_map(Value::Float),
    ]
    .boxed();
    in_containers(leaf.clone(), prop_oneof![3 => text(), 1 => leaf].boxed())
}

fn value_for(encoding: Encoding) -> BoxedStrategy<Value> {
    match encoding {
        Encoding::Json => json_value().boxed(),
        Encoding::MsgPack => value().boxed(),
    }
}

fn encoding() -> impl Strategy<Value = Encoding> {
    prop::sample::select(Encoding::ALL.to_vec())
}

fn encoding_and_value() -> impl Strategy<Value = (Encoding, Value)> {
    encoding().prop_flat_map(|encoding| (Just(encoding), value_for(encoding)))
}

/// Bytes that resemble what is read: random ones, the characters of JSON, and valid content with one byte changed.
fn bytes_alike() -> impl Strategy<Value = Vec<u8>> {
    let changed =
        (encoding_and_value(), any::<prop::sample::Index>(), any::<u8>()).prop_map(|((encoding, value), at, byte)| {
            let mut bytes = Payload::encode(&value, encoding).unwrap().bytes().to_vec();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            bytes
        });
    let jsonish = vec(prop::sample::select(&b"[]{}\",:\\ \n0123456789-+.eENaIfinitytrulls"[..]), 0..40);
    prop_oneof![vec(any::<u8>(), 0..40), jsonish, changed]
}

fn frame(encoding: Encoding, kind: u8, id: u64, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    encoding.put_head(kind, id, &mut out);
    out.extend_from_slice(content);
    encoding.put_tail(&mut out);
    out
}

/// Equal, where NaN equals itself and -0.0 does not equal 0.0.
fn same(a: &Value, b: &Value) -> bool {
    format!("{a:?}") == format!("{b:?}")
}

/// Entries of maps by key: `serde_json`'s maps do not keep the order.
fn sorted(value: &Value) -> Value {
    match value {
        Value::List(items) => Value::List(items.iter().map(sorted).collect()),
        Value::Map(entries) => {
            let mut entries: Vec<_> = entries.iter().map(|(key, value)| (sorted(key), sorted(value))).collect();
            entries.sort_by_key(|(key, _)| format!("{key:?}"));
            Value::Map(entries)
        }
        leaf => leaf.clone(),
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_value_comes_back_from_either_codec((encoding, value) in encoding_and_value()) {
        let payload = Payload::encode(&value, encoding).unwrap();
        prop_assert_eq!(&Payload::parse(encoding, payload.bytes().clone()).unwrap(), &payload);
        prop_assert!(same(&payload.decode::<Value>().unwrap(), &value));
    }

    #[test]
    fn a_frame_splits_into_what_was_joined(
        (encoding, value) in encoding_and_value(),
        kind: u8,
        id: u64,
        shift in 0..64,
    ) {
        let id = id >> shift;
        let content = Payload::encode(&value, encoding).unwrap().into_bytes();
        let body = frame(encoding, kind, id, &content);
        let triple = encoding.split(&body).unwrap();
        prop_assert_eq!((triple.kind, triple.id), (u64::from(kind), id));
        prop_assert_eq!(&body[triple.content], &content);
    }

    #[test]
    fn a_frame_that_is_cut_short_is_an_error(
        (encoding, value) in encoding_and_value(),
        id: u64,
        cut: prop::sample::Index,
    ) {
        let body = frame(encoding, 0, id, Payload::encode(&value, encoding).unwrap().bytes());
        prop_assert!(encoding.split(&body[..cut.index(body.len())]).is_err());
    }

    #[test]
    fn no_bytes_make_the_splitter_or_the_reader_panic(encoding in encoding(), bytes in bytes_alike()) {
        drop(encoding.split(&bytes));
        let in_frame = frame(encoding, 0, 1, &bytes);
        if let Ok(triple) = encoding.split(&in_frame) {
            prop_assert_eq!((triple.kind, triple.id), (0, 1));
            prop_assert!(in_frame.len() >= triple.content.end);
        }
        let payload = Payload::from_parts(encoding, Bytes::from(bytes));
        drop(payload.decode::<Value>());
        drop(payload.decode::<Vec<(u8, String, Option<f32>)>>());
    }

    #[test]
    fn what_opens_as_a_value_also_splits_as_content(encoding in encoding(), bytes in bytes_alike()) {
        let payload = Payload::from_parts(encoding, Bytes::from(bytes));
        if let Ok(value) = payload.decode::<Value>() {
            let body = frame(encoding, 2, 3, payload.bytes());
            let content = encoding.split(&body).unwrap().content;
            let content = Payload::from_parts(encoding, Bytes::copy_from_slice(&body[content]));
            prop_assert!(same(&content.decode::<Value>().unwrap(), &value));
        }
    }

    #[test]
    fn messagepack_ends_where_another_reader_says_it_ends(bytes in bytes_alike()) {
        let mut reader = rmp_serde::Deserializer::new(std::io::Cursor::new(&bytes));
        let theirs = <serde::de::IgnoredAny as serde::Deserialize>::deserialize(&mut reader).is_ok()
            && reader.position() == bytes.len() as u64;
        let ours = Payload::parse(Encoding::MsgPack, Bytes::copy_from_slice(&bytes)).is_ok();
        prop_assert_eq!(ours, theirs);
    }

    #[test]
    fn messagepack_is_what_another_writer_writes(value in value()) {
        let ours = Payload::encode(&value, Encoding::MsgPack).unwrap();
        prop_assert_eq!(ours.bytes(), &rmp_serde::to_vec_named(&value).unwrap());
    }

    #[test]
    fn json_is_what_another_writer_writes(value in json_value()) {
        let ours = Payload::encode(&value, Encoding::Json).unwrap();
        prop_assert_eq!(ours.bytes(), &serde_json::to_vec(&value).unwrap());
    }

    #[test]
    fn notation_says_every_value(value in value()) {
        let text = value.to_string();
        prop_assert!(same(&text.parse::<Value>().unwrap(), &value), "{}", text);
        let again = Value::from_notation(value.to_notation()).unwrap();
        prop_assert!(same(&sorted(&again), &sorted(&value)), "{}", text);
    }

    #[test]
    fn json_carries_a_value_or_names_the_reason(value in value()) {
        match Payload::encode(&value, Encoding::Json) {
            Ok(payload) => prop_assert!(same(&payload.decode::<Value>().unwrap(), &value)),
            Err(why) => {
                prop_assert!(why.path.starts_with('$'));
                prop_assert!(why.to_string().contains("use msgpack"), "{}", why);
            }
        }
    }
}
