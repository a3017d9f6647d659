//! What a node says of itself, and what is not believed.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;

use crate::address::Address;
use crate::codec::{Encoding, Payload, Value};
use crate::hello::{Introduction, InvalidIntroduction};
use crate::id::{Group, InvalidName};
use crate::limits;

fn ada() -> Introduction {
    Introduction {
        name: "Ada’s node".to_owned(),
        process: 4_711,
        machine: [0x3a; 16],
        groups: ["lab", "rack/7"].map(|name| name.parse().unwrap()).into(),
        hub: true,
        ephemeral: false,
        addresses: ["tls://node-7.lab:5001", "unix:///run/ada"].map(|text| text.parse().unwrap()).into(),
        encodings: Encoding::ALL.into(),
        compression: ["lz4".to_owned()].into(),
        build: "peerage 0.1.0".to_owned(),
        ping_interval: Duration::from_secs(1),
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
        ("addresses", texts(["warp://ship:1".into(), "tls://h?speed=9".into(), "tls://node-7.lab:5001".into()])),
        ("encodings", texts(["cbor".into(), "msgpack".into()])),
        ("compression", texts(["zstd".into(), "lz4".into()])),
    ]);
    let read = Introduction::decode(&content).unwrap();
    assert_eq!(read.addresses, ["tls://node-7.lab:5001".parse::<Address>().unwrap()]);
    assert_eq!(read.encodings, BTreeSet::from([Encoding::MsgPack]));
    assert_eq!(read.compression, BTreeSet::from(["lz4".to_owned(), "zstd".to_owned()]));
}

#[test]
fn an_older_version_may_leave_out_what_has_a_default() {
    let left_out = ["groups", "hub", "ephemeral", "addresses", "encodings", "compression", "build"];
    let read = Introduction::decode(&with(&left_out.map(|key| (key, None)))).unwrap();
    let bare = Introduction {
        groups: BTreeSet::new(),
        hub: false,
        addresses: Vec::new(),
        encodings: BTreeSet::new(),
        compression: BTreeSet::new(),
        build: String::new(),
        ..ada()
    };
    assert_eq!(read, bare);
    for key in ["name", "process", "machine", "ping_ms"] {
        assert!(matches!(refused(key, None), InvalidIntroduction::Content(_)), "{key}");
    }
}

#[test]
fn a_name_is_one_line_that_prints() {
    let name = |name: &str| refused("name", Some(text(name)));
    assert_eq!(name(""), InvalidIntroduction::Length { field: "name", bytes: 0 });
    assert_eq!(name(&"x".repeat(256)), InvalidIntroduction::Length { field: "name", bytes: 256 });
    for character in ['\n', '\0', '\u{1b}', '\u{9b}', '\u{202e}', '\u{2066}', '\u{200b}', '\u{2028}', '\u{feff}'] {
        let expected = InvalidIntroduction::Unprintable { field: "name", character };
        assert_eq!(name(&format!("ada{character}")), expected);
    }
    let build = refused("build", Some(text("x\n")));
    assert_eq!(build, InvalidIntroduction::Unprintable { field: "build", character: '\n' });
}

#[test]
fn groups_are_names() {
    let expected = InvalidIntroduction::Group(InvalidName::Character { character: ' ', at: 1 });
    assert_eq!(refused("groups", texts(["a b".into()])), expected);
}

#[test]
fn every_list_has_its_bound() {
    for (field, limit) in [("groups", 64), ("addresses", 32), ("encodings", 16), ("compression", 16)] {
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
        name: "ä".repeat(127),
        groups: (0..64).map(|n| format!("{n:0>255}").parse::<Group>().unwrap()).collect(),
        addresses: (0..32).map(|n| format!("unix:///{}?codec=json", "%25".repeat(992 + n)).parse().unwrap()).collect(),
        compression: (0..16).map(|n| format!("{n:0>255}")).collect(),
        build: "x".repeat(255),
        ..ada()
    };
    assert_eq!(Introduction::decode(&full.encode().unwrap()), Ok(full));
}

#[test]
fn what_a_peer_would_refuse_is_not_sent() {
    let unprintable = Introduction { name: "a\nb".to_owned(), ..ada() };
    let why = unprintable.encode().unwrap_err();
    assert_eq!(why, InvalidIntroduction::Unprintable { field: "name", character: '\n' });
    assert_eq!(why.to_string(), "the name in an introduction holds '\\n', which does not print");
}

#[test]
fn a_pulse_of_years_is_cut_to_an_hour() {
    let read = Introduction::decode(&with(&[("ping_ms", Some(Value::Int(u64::MAX.into())))])).unwrap();
    assert_eq!(read.ping_interval, Duration::from_secs(3_600));
}

#[test]
fn bytes_are_bytes_and_no_list_of_numbers() {
    let list = Value::List((0..16).map(Value::Int).collect());
    assert!(matches!(refused("machine", Some(list)), InvalidIntroduction::Content(_)));
    assert!(matches!(refused("machine", Some(text(&"x".repeat(16)))), InvalidIntroduction::Content(_)));
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(bytes: Vec<u8>) {
        let _ = Introduction::decode(&Payload::from_parts(Encoding::MsgPack, bytes.into()));
    }
}
