use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;
use crate::codec::Value;
use crate::keys::Ed25519;
use crate::sim::Key;

fn lab() -> NetworkKey {
    NetworkKey::new("lab", &[7; 32]).unwrap()
}

fn record_of(key: &Key) -> Record {
    Record {
        id: key.id(),
        incarnation: Incarnation { epoch: Epoch::new(1_763_712_000, [9; 16]), sequence: 4 },
        name: "node-7".to_owned(),
        machine: [3; 16],
        groups: ["rack/7", "gpu"].iter().map(|name| name.parse().unwrap()).collect(),
        hub: true,
        ephemeral: false,
        addresses: vec!["tls://192.0.2.7:5000".parse().unwrap(), "quic://[2001:db8::7]:5000".parse().unwrap()],
        services: Some([1; 32]),
        sealing_key: Some([2; 32]),
        left: None,
        lease: Duration::from_secs(90),
    }
}

fn bare(key: &Key) -> Record {
    Record {
        groups: BTreeSet::new(),
        hub: false,
        addresses: Vec::new(),
        services: None,
        sealing_key: None,
        ..record_of(key)
    }
}

fn open(content: &Payload) -> Result<Record, InvalidRecord> {
    SignedRecord::open(content, &lab(), &Ed25519).map(|signed| signed.record().clone())
}

/// A record whose signature is right and whose body is this.
fn signed(key: &Key, body: &[u8]) -> Payload {
    let signature = key.sign(&signed_text(&lab(), body));
    Payload::encode(&(Blob(body.to_vec()), Bin(signature)), Encoding::MsgPack).unwrap()
}

/// The map of a record as it travels, with some of its entries changed; null leaves one out.
fn changed(key: &Key, changes: Json) -> Payload {
    let body = Payload::encode(&record_of(key).map(), Encoding::MsgPack).unwrap();
    let Value::Map(mut entries) = body.decode::<Value>().unwrap() else { panic!("a record is a map") };
    for (name, value) in changes.as_object().unwrap() {
        entries.retain(|(key, _)| *key != Value::Text(name.clone()));
        if !value.is_null() {
            entries.push((Value::Text(name.clone()), Value::from_notation(value.clone()).unwrap()));
        }
    }
    signed(key, Payload::encode(&Value::Map(entries), Encoding::MsgPack).unwrap().bytes())
}

#[test]
fn a_record_is_read_as_it_was_signed() {
    let key = Key::of(1);
    for record in [record_of(&key), bare(&key), Record { left: Some("lunch".to_owned()), ..bare(&key) }] {
        let signed = SignedRecord::sign(&record, &lab(), &key).unwrap();
        assert_eq!(signed.record(), &record);
        assert_eq!(SignedRecord::open(&signed.encode(), &lab(), &Ed25519), Ok(signed));
    }
}

#[test]
fn what_a_newer_version_adds_is_skipped_and_handed_on_byte_for_byte() {
    let key = Key::of(1);
    let content =
        changed(&key, json!({ "colour": "blue", "addresses": ["tls://192.0.2.7:5000", "carrier-pigeon://x"] }));
    let opened = SignedRecord::open(&content, &lab(), &Ed25519).unwrap();
    assert_eq!(opened.record().addresses, ["tls://192.0.2.7:5000".parse().unwrap()]);
    assert_eq!(opened.encode().bytes(), content.bytes());
}

#[test]
fn a_mark_is_equal_for_what_only_renews_and_differs_for_what_says_something_new() {
    let key = Key::of(1);
    let mark = |record: &Record| SignedRecord::sign(record, &lab(), &key).unwrap().mark();
    let first = record_of(&key);
    let Incarnation { epoch, .. } = first.incarnation;
    let renewed = Record { incarnation: Incarnation { epoch, sequence: 500 }, ..first.clone() };
    assert_eq!(mark(&Record { lease: Duration::from_secs(300), ..renewed }), mark(&first));
    let restarted = Incarnation { epoch: Epoch::new(1_763_712_001, [9; 16]), sequence: 4 };
    for other in [
        Record { incarnation: restarted, ..first.clone() },
        Record { left: Some("lunch".to_owned()), ..first.clone() },
        Record { addresses: Vec::new(), ..first.clone() },
    ] {
        assert_ne!(mark(&other), mark(&first), "{other:?}");
    }
    // What this version does not know counts as well.
    let blue = SignedRecord::open(&changed(&key, json!({ "colour": "blue" })), &lab(), &Ed25519).unwrap();
    assert_ne!(blue.mark(), mark(&first));
}

#[test]
fn nobody_speaks_for_another() {
    let (victim, other) = (Key::of(1), Key::of(2));
    assert_eq!(SignedRecord::sign(&record_of(&victim), &lab(), &other), Err(InvalidRecord::NotOurs));
    // The name of the victim under the signature of another.
    let body = Payload::encode(&record_of(&victim).map(), Encoding::MsgPack).unwrap();
    assert_eq!(open(&signed(&other, body.bytes())), Err(InvalidRecord::Signature));
}

#[test]
fn in_another_network_a_record_is_worth_nothing() {
    let key = Key::of(1);
    let content = SignedRecord::sign(&record_of(&key), &lab(), &key).unwrap().encode();
    for (name, secret) in [("lab2", [7; 32]), ("lab", [8; 32])] {
        let other = NetworkKey::new(name, &secret).unwrap();
        assert_eq!(SignedRecord::open(&content, &other, &Ed25519), Err(InvalidRecord::Signature), "{name}");
    }
}

#[test]
fn each_flipped_bit_is_noticed() {
    let key = Key::of(1);
    let content = SignedRecord::sign(&record_of(&key), &lab(), &key).unwrap().encode();
    for bit in 0..content.len() * 8 {
        let mut bytes = content.bytes().to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let damaged = Payload::from_parts(Encoding::MsgPack, Bytes::from(bytes));
        assert!(open(&damaged).is_err(), "bit {bit}");
    }
}

#[test]
fn each_damage_has_its_own_error() {
    let key = Key::of(1);
    let many = |count: usize, name: &str| (0..count).map(|n| format!("{name}{n}")).collect::<Vec<_>>();
    for (changes, wanted) in [
        (json!({ "name": "" }), InvalidRecord::NameLength { bytes: 0 }),
        (json!({ "name": "x".repeat(256) }), InvalidRecord::NameLength { bytes: 256 }),
        (json!({ "name": "a\u{202e}b" }), InvalidRecord::Unprintable { character: '\u{202e}' }),
        (json!({ "seq": 0 }), InvalidRecord::NoSequence),
        (json!({ "lease_s": 0 }), InvalidRecord::NoLease),
        (json!({ "groups": many(65, "g") }), InvalidRecord::TooMany { field: "groups", limit: 64 }),
        (json!({ "addresses": many(33, "h") }), InvalidRecord::TooMany { field: "addresses", limit: 32 }),
        (json!({ "groups": ["a b"] }), InvalidRecord::Group(InvalidName::Character { character: ' ', at: 1 })),
    ] {
        assert_eq!(open(&changed(&key, changes.clone())), Err(wanted), "{changes}");
    }
    for changes in [
        json!({ "id": null }),
        json!({ "id": { "$bin": "00" } }),
        json!({ "epoch": [1] }),
        json!({ "seq": -1 }),
        json!({ "machine": "text" }),
        json!({ "key": { "$bin": "0011" } }),
        json!({ "left": 1 }),
        json!({ "lease_s": 1.5 }),
    ] {
        let refused = open(&changed(&key, changes.clone()));
        assert!(matches!(refused, Err(InvalidRecord::Content(_))), "{changes}: {refused:?}");
    }
    for body in [&[][..], &[0x90], &[0x80], &[0xc0]] {
        assert!(matches!(open(&signed(&key, body)), Err(InvalidRecord::Content(_))), "{body:02x?}");
    }
}

#[test]
fn a_lease_from_elsewhere_is_at_most_an_hour() {
    let key = Key::of(1);
    let record = open(&changed(&key, json!({ "lease_s": u64::MAX }))).unwrap();
    assert_eq!(record.lease, limits::WIRE_TIME_MAX);
}

#[test]
fn a_record_that_is_too_large_is_neither_signed_nor_opened() {
    let key = Key::of(1);
    let groups = (0..30).map(|n| format!("group-with-a-long-name-{n:020}").parse().unwrap()).collect();
    let refused = SignedRecord::sign(&Record { groups, ..record_of(&key) }, &lab(), &key);
    assert!(
        matches!(refused, Err(InvalidRecord::TooLarge { bytes }) if bytes > limits::RECORD_BYTES_MAX),
        "{refused:?}"
    );
    let padded = changed(&key, json!({ "padding": "x".repeat(limits::RECORD_BYTES_MAX) }));
    assert_eq!(open(&padded), Err(InvalidRecord::TooLarge { bytes: padded.len() }));
}

#[test]
fn eight_addresses_and_eight_groups_fit() {
    let key = Key::of(1);
    let addresses = (0..4).flat_map(|n| {
        [format!("tls://[2001:db8:1234:5678:9abc:def0:1234:{n}]:51234"), format!("quic://192.168.100.10{n}:51234")]
    });
    let record = Record {
        addresses: addresses.map(|address| address.parse().unwrap()).collect(),
        groups: (0..8).map(|n| format!("rack/{n}/machines").parse().unwrap()).collect(),
        ..record_of(&key)
    };
    assert!(SignedRecord::sign(&record, &lab(), &key).is_ok());
}

#[test]
fn a_later_run_is_newer_whatever_the_numbers() {
    let in_run = |start, sequence| Incarnation { epoch: Epoch::new(start, [0; 16]), sequence };
    assert!(in_run(2, 1) > in_run(1, u64::MAX));
    assert!(in_run(2, 2) > in_run(2, 1));
}

proptest! {
    #[test]
    fn whatever_arrives_is_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let key = Key::of(1);
        let _ = open(&Payload::from_parts(Encoding::MsgPack, Bytes::from(bytes.clone())));
        let _ = open(&signed(&key, &bytes));
    }
}
