use std::{cell::Cell, collections::BTreeMap};

use serde::{Deserialize, Serialize, Serializer};
use serde_bytes::ByteBuf;

use super::*;

fn payload(encoding: Encoding, bytes: &[u8]) -> Payload {
    Payload::from_parts(encoding, Bytes::copy_from_slice(bytes))
}

fn json(text: &str) -> Payload {
    payload(Encoding::Json, text.as_bytes())
}

fn msgpack(bytes: &[u8]) -> Payload {
    payload(Encoding::MsgPack, bytes)
}

#[test]
fn debug_shows_length_and_codec_but_no_content() {
    assert_eq!(format!("{:?}", json("\"secret\"")), "Payload(json, 8 bytes)");
}

#[test]
fn json_numbers_without_a_meaning_fail_with_a_clear_text() {
    let why = json("[1,NaN]").decode::<Value>().unwrap_err();
    assert_eq!(why, DecodeError::NotFinite { at: 3 });
    assert_eq!(why.to_string(), "NaN or an infinity at byte 3: JSON has no such value; use msgpack");
    let why = json("{\"n\":100000000000000000000}").decode::<Value>().unwrap_err();
    assert_eq!(why, DecodeError::IntegerOutOfRange { at: 5 });
    assert_eq!(why.to_string(), "integer out of range at byte 5: only -2^63 ... 2^64-1 can be opened");
}

#[test]
fn a_wrong_type_and_malformed_bytes_are_different_errors() {
    let wrong = |why: DecodeError| match why {
        DecodeError::WrongType { why } => why,
        other => panic!("{other}"),
    };
    assert_eq!(
        wrong(json("[1,\"x\"]").decode::<Vec<u8>>().unwrap_err()),
        "invalid type: string \"x\", expected u8 at line 1 column 6"
    );
    assert_eq!(
        wrong(msgpack(&[0x92, 1, 0xa1, b'x']).decode::<Vec<u8>>().unwrap_err()),
        "invalid type: string \"x\", expected u8 at byte 2"
    );
    assert!(matches!(json("[1,]").decode::<Value>(), Err(DecodeError::Malformed { .. })));
    assert!(matches!(json("1 2").decode::<Value>(), Err(DecodeError::Malformed { .. })));
    assert!(matches!(json("").decode::<Value>(), Err(DecodeError::Malformed { .. })));
    for bytes in [&[][..], &[0xc1], &[0x91], &[0xc0, 0xc0]] {
        assert!(matches!(msgpack(bytes).decode::<Value>(), Err(DecodeError::Malformed { .. })), "{bytes:?}");
    }
}

#[test]
fn strings_are_utf_8_and_no_bytes() {
    let not_utf8 = msgpack(&[0xa1, 0xff]);
    assert_eq!(
        not_utf8.decode::<Value>(),
        Err(DecodeError::Malformed { why: "a string is not UTF-8 at byte 0".into() })
    );
    assert!(matches!(json("\"\\ud800\"").decode::<Value>(), Err(DecodeError::Malformed { .. })));
    assert!(matches!(payload(Encoding::Json, b"\"\xff\"").decode::<Value>(), Err(DecodeError::Malformed { .. })));

    let (text, bytes) = (msgpack(&[0xa1, b'x']), msgpack(&[0xc4, 1, b'x']));
    assert_eq!(text.decode::<Value>(), Ok("x".into()));
    assert_eq!(bytes.decode::<Value>(), Ok(b"x"[..].into()));
    assert!(matches!(bytes.decode::<String>(), Err(DecodeError::WrongType { .. })));
    assert!(matches!(text.decode::<ByteBuf>(), Err(DecodeError::WrongType { .. })));
    assert_eq!(bytes.decode::<Vec<u8>>(), Ok(b"x".to_vec()));
    assert_eq!(bytes.decode::<[u8; 1]>(), Ok(*b"x"));
    assert!(matches!(bytes.decode::<[u8; 0]>(), Err(DecodeError::WrongType { .. })));
}

#[test]
fn extension_types_are_carried_but_not_opened() {
    let timestamp = [0xd6, 0xff, 0, 0, 0, 0];
    assert!(Payload::parse(Encoding::MsgPack, Bytes::copy_from_slice(&timestamp)).is_ok());
    assert_eq!(
        msgpack(&timestamp).decode::<Value>(),
        Err(DecodeError::WrongType { why: "extension types are not supported at byte 0".into() })
    );
}

#[test]
fn parse_takes_exactly_one_well_formed_value() {
    let parse = |encoding, bytes: &[u8]| Payload::parse(encoding, Bytes::copy_from_slice(bytes));
    assert!(parse(Encoding::Json, b" {\"a\": [1, 100000000000000000000]} ").is_ok());
    for bytes in [&b""[..], b"[", b"1 2", b"nonsense", b"NaN", b"\"\xff\""] {
        assert!(matches!(parse(Encoding::Json, bytes), Err(DecodeError::Malformed { .. })), "{bytes:?}");
    }
    assert!(parse(Encoding::MsgPack, &[0x81, 0xa1, b'a', 0x91, 1]).is_ok());
    for bytes in [&[][..], &[0x91], &[1, 2], &[0xc1], &[0x91, 0xc1]] {
        assert!(matches!(parse(Encoding::MsgPack, bytes), Err(DecodeError::Malformed { .. })), "{bytes:?}");
    }
}

#[test]
fn a_tuple_that_is_too_short_or_too_long_is_no_match() {
    for encoding in Encoding::ALL {
        let three = Payload::encode(&(1, 2, 3), encoding).unwrap();
        assert_eq!(three.decode::<(u8, u8, u8)>(), Ok((1, 2, 3)));
        assert!(three.decode::<(u8, u8)>().is_err());
        assert!(matches!(three.decode::<(u8, u8, u8, u8)>(), Err(DecodeError::WrongType { .. })));
    }
}

#[test]
fn transcoding_keeps_the_value_or_says_why_it_cannot() {
    let value = Value::Map(vec![("a".into(), Value::List(vec![1.into(), 1.0.into(), Value::Null]))]);
    let packed = Payload::encode(&value, Encoding::MsgPack).unwrap();
    let text = packed.transcode(Encoding::Json).unwrap();
    assert_eq!(text.bytes(), r#"{"a":[1,1.0,null]}"#);
    assert_eq!(text.transcode(Encoding::MsgPack), Ok(packed));
    assert_eq!(json("NaN").transcode(Encoding::Json), Ok(json("NaN")), "the same codec does not look");
    assert!(matches!(json("NaN").transcode(Encoding::MsgPack), Err(TranscodeError::Decode(_))));
    assert!(matches!(msgpack(&[0xc4, 0]).transcode(Encoding::Json), Err(TranscodeError::Encode(_))));
}

#[test]
fn a_map_without_a_known_length_gets_its_true_one() {
    #[derive(Debug, Deserialize, PartialEq, Serialize)]
    struct Open {
        a: u8,
        #[serde(flatten)]
        more: BTreeMap<String, u8>,
    }
    let open = Open { a: 1, more: (0..40).map(|n| (format!("k{n}"), n)).collect() };
    for encoding in Encoding::ALL {
        let payload = Payload::encode(&open, encoding).unwrap();
        assert_eq!(payload.decode::<Open>(), Ok(Open { a: 1, more: open.more.clone() }));
    }
}

#[test]
fn addresses_are_text_in_json_and_compact_in_messagepack_and_read_back_from_both() {
    let address = std::net::IpAddr::from([127, 0, 0, 1]);
    for encoding in Encoding::ALL {
        let payload = Payload::encode(&address, encoding).unwrap();
        assert_eq!(payload.decode(), Ok(address));
    }
    // Formatted straight into the output, its length put in front.
    struct Shown(String);
    impl Serialize for Shown {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_str(&self.0)
        }
    }
    for len in [0, 31, 32, 255, 256, 70_000] {
        let text = "x".repeat(len);
        for encoding in Encoding::ALL {
            assert_eq!(Payload::encode(&Shown(text.clone()), encoding), Payload::encode(&text, encoding));
        }
    }
}

#[test]
fn a_value_that_changes_between_check_and_writing_leaves_no_trace() {
    struct Fickle(Cell<bool>);
    impl Serialize for Fickle {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            match self.0.replace(true) {
                false => serializer.serialize_str("fine"),
                true => Err(serde::ser::Error::custom("changed")),
            }
        }
    }
    let mut out = vec![1];
    let why = encode_into(&(1, Fickle(Cell::new(false))), Encoding::Json, &mut out).unwrap_err();
    assert_eq!(why.why, Unsupported::Other("changed".into()));
    assert_eq!(out, [1]);
}
