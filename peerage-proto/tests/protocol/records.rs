//! The record of `PROTOCOL.md` §13, byte for byte.

use std::time::Duration;

use bytes::Bytes;
use ed25519_dalek::{Signer as _, SigningKey};
use hmac::{Hmac, KeyInit, Mac};
use peerage_proto::codec::{Encoding, Payload};
use peerage_proto::hello::NetworkKey;
use peerage_proto::id::Epoch;
use peerage_proto::keys::{Ed25519, Signer};
use peerage_proto::membership::{Incarnation, Record, SignedRecord};
use sha2::{Digest as _, Sha256};

use crate::admission::Key;
use crate::vectors::Vectors;

fn ada(vectors: &Vectors) -> (Key, NetworkKey, Record) {
    let key = Key(SigningKey::from_bytes(&vectors.array("seed d")));
    let network = NetworkKey::new("lab", &vectors.bytes("secret")).expect("the document is right");
    let record = Record {
        id: key.id(),
        incarnation: Incarnation { epoch: Epoch::new(1_763_712_000, [0xda; 16]), sequence: 1 },
        name: "ada".to_owned(),
        machine: [0x3a; 16],
        groups: ["rack/7".parse().expect("the document is right")].into(),
        hub: false,
        ephemeral: false,
        addresses: vec!["tls://192.0.2.7:5000".parse().expect("the document is right")],
        services: None,
        sealing_key: None,
        left: None,
        lease: Duration::from_secs(90),
    };
    (key, network, record)
}

#[test]
fn the_record_of_the_document_is_what_is_signed_and_what_is_read() {
    let vectors = Vectors::read();
    let (key, network, record) = ada(&vectors);
    let signed = SignedRecord::sign(&record, &network, &key).expect("the document is right");
    assert_eq!(hex(signed.encode().bytes()), hex(&vectors.bytes("record")));
    let content = Payload::from_parts(Encoding::MsgPack, Bytes::from(vectors.bytes("record")));
    let opened = SignedRecord::open(&content, &network, &Ed25519).expect("the document is right");
    assert_eq!(opened.record(), &record);
    assert_eq!(hex(&opened.mark()), hex(&vectors.bytes("mark")));
}

#[test]
fn the_formula_of_the_document_gives_the_mark_of_its_record() {
    let vectors = Vectors::read();
    let record = vectors.bytes("record");
    let body = &record[3..3 + usize::from(record[2])];
    // `seq` is 1 and `lease_s` is 90, which take a byte each; one byte stands before all entries.
    let without = |text: &[u8], entry: &[u8]| {
        let at = text.windows(entry.len()).position(|window| window == entry).expect("the document is right");
        [&text[..at], &text[at + entry.len()..]].concat()
    };
    let entries = without(&without(&body[1..], b"\xa3seq\x01"), b"\xa7lease_s\x5a");
    let hash = Sha256::new().chain_update(b"peerage digest 1").chain_update(entries).finalize();
    assert_eq!(hex(&hash[..16]), hex(&vectors.bytes("mark")));
}

#[test]
fn the_formula_of_the_document_gives_the_signature_of_its_record() {
    let vectors = Vectors::read();
    let (key, _, _) = ada(&vectors);
    // `[bin, bin64]`: a body of less than 256 bytes stands behind three bytes, the signature is the last 64.
    let record = vectors.bytes("record");
    assert_eq!((record[0], record[1]), (0x92, 0xc4));
    let body = &record[3..3 + usize::from(record[2])];
    let mut mac = Hmac::<Sha256>::new_from_slice(&vectors.bytes("secret")).expect("the document is right");
    mac.update(b"peerage record network 1lab");
    let text = [b"peerage record 1", &mac.finalize().into_bytes()[..], body].concat();
    assert_eq!(key.0.sign(&text).to_bytes(), record[record.len() - 64..]);
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
