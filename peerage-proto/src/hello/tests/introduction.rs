//! What a node says of itself, and what is not believed.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;

use crate::codec::{Encoding, Payload, Value};
use crate::hello::{Introduction, InvalidIntroduction};
use crate::limits;

fn ada() -> Introduction {
    Introduction {
        record: Payload::from_parts(Encoding::MsgPack, Bytes::from_static(b"opened elsewhere")),
        process: 4_711,
        encodings: Encoding::ALL.into(),
        compression: ["lz4".to_owned()].into(),
        build: "peerage 0.1.0".to_owned(),
        ping_interval: Duration::from_secs(1),
        sees_us_at: Some([192, 0, 2, 7].into()),
    }
}

/// The content with some entries of its map changed, added or (as `None`) left out.
fn with(changes: &[(&str, Option<Value>)]) -> Payload {
    let Value::Map(mut entries) = ada().encode().unwrap().decode().unwrap() else { panic!("a map") };
    for (key, value) in changes {
        let key = text(key);
        entries.retain(|(k, _)| *k != key);
        entries.extend(value.clone().map(|value| (key, value)));
    }
    Payload::encode(&Value::Map(entries), Encoding::MsgPack).unwrap()
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn texts(texts: impl IntoIterator<Item = String>) -> Option<Value> {
    Some(Value::List(texts.into_iter().map(Value::Text).collect()))
}

fn refused(key: &str, value: Option<Value>) -> InvalidIntroduction {
    Introduction::decode(&with(&[(key, value)])).unwrap_err()
}

#[test]
fn an_introduction_is_read_as_it_was_written() {
    assert_eq!(Introduction::decode(&ada().encode().unwrap()), Ok(ada()));
}

#[test]
fn what_a_newer_version_says_is_skipped_and_the_rest_is_served() {
    let content = with(&[
        ("favourite_colours", texts(["red".into()])),
        ("encodings", texts(["cbor".into(), "msgpack".into()])),
        ("compression", texts(["zstd".into(), "lz4".into()])),
        ("you", Some(text("an address of another kind"))),
    ]);
    let read = Introduction::decode(&content).unwrap();
    assert_eq!(read.sees_us_at, None);
    assert_eq!(read.encodings, BTreeSet::from([Encoding::MsgPack]));
    assert_eq!(read.compression, BTreeSet::from(["lz4".to_owned(), "zstd".to_owned()]));
}

#[test]
fn an_older_version_may_leave_out_what_has_a_default() {
    let left_out = ["encodings", "compression", "build", "you"];
    let read = Introduction::decode(&with(&left_out.map(|key| (key, None)))).unwrap();
    let bare = Introduction {
        encodings: BTreeSet::new(),
        compression: BTreeSet::new(),
        build: String::new(),
        sees_us_at: None,
        ..ada()
    };
    assert_eq!(read, bare);
    for key in ["record", "process", "ping_ms"] {
        assert!(matches!(refused(key, None), InvalidIntroduction::Content(_)), "{key}");
    }
}

#[test]
fn what_people_read_is_one_line_that_prints() {
    let build = |build: &str| refused("build", Some(text(build)));
    assert_eq!(build(&"x".repeat(256)), InvalidIntroduction::Length { field: "build", bytes: 256 });
    for character in ['\n', '\0', '\u{1b}', '\u{9b}', '\u{202e}', '\u{2066}', '\u{200b}', '\u{2028}', '\u{feff}'] {
        let expected = InvalidIntroduction::Unprintable { field: "build", character };
        assert_eq!(build(&format!("ada{character}")), expected);
    }
    let compression = refused("compression", texts(["".into()]));
    assert_eq!(compression, InvalidIntroduction::Length { field: "compression", bytes: 0 });
}

#[test]
fn a_record_that_no_record_can_be_as_large_as_is_refused() {
    let record = |bytes: usize| Some(Value::Bytes(vec![0; bytes]));
    assert!(Introduction::decode(&with(&[("record", record(limits::RECORD_BYTES_MAX))])).is_ok());
    let bytes = limits::RECORD_BYTES_MAX + 1;
    assert_eq!(refused("record", record(bytes)), InvalidIntroduction::Record { bytes });
}

#[test]
fn every_list_has_its_bound() {
    for (field, limit) in [("encodings", 16), ("compression", 16)] {
        let entries = |count| texts((0..count).map(|n| format!("g{n}")));
        assert!(Introduction::decode(&with(&[(field, entries(limit))])).is_ok(), "{field}");
        assert_eq!(refused(field, entries(limit + 1)), InvalidIntroduction::TooMany { field, limit });
    }
}

#[test]
fn an_introduction_larger_than_its_lists_can_make_it_is_not_opened() {
    let padding = text(&"x".repeat(limits::INTRODUCTION_BYTES_MAX));
    assert!(matches!(refused("padding", Some(padding)), InvalidIntroduction::TooLarge { .. }));
}

#[test]
fn an_introduction_at_all_its_limits_can_be_sent() {
    let full = Introduction {
        record: Payload::from_parts(Encoding::MsgPack, vec![7; limits::RECORD_BYTES_MAX].into()),
        compression: (0..16).map(|n| format!("{n:0>255}")).collect(),
        build: "x".repeat(255),
        ..ada()
    };
    assert_eq!(Introduction::decode(&full.encode().unwrap()), Ok(full));
}

#[test]
fn what_a_peer_would_refuse_is_not_sent() {
    let unprintable = Introduction { build: "a\nb".to_owned(), ..ada() };
    let why = unprintable.encode().unwrap_err();
    assert_eq!(why, InvalidIntroduction::Unprintable { field: "build", character: '\n' });
    assert_eq!(why.to_string(), "the build in an introduction holds '\\n', which does not print");
}

#[test]
fn a_pulse_of_years_is_cut_to_an_hour() {
    let read = Introduction::decode(&with(&[("ping_ms", Some(Value::Int(u64::MAX.into())))])).unwrap();
    assert_eq!(read.ping_interval, Duration::from_secs(3_600));
}

#[test]
fn bytes_are_bytes_and_no_list_of_numbers() {
    let list = Value::List((0..16).map(Value::Int).collect());
    assert!(matches!(refused("record", Some(list)), InvalidIntroduction::Content(_)));
    assert!(matches!(refused("record", Some(text(&"x".repeat(16)))), InvalidIntroduction::Content(_)));
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(bytes: Vec<u8>) {
        let _ = Introduction::decode(&Payload::from_parts(Encoding::MsgPack, bytes.into()));
    }
}
