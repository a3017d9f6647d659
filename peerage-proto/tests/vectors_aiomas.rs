//! The frames that the original aiomas package wrote, read and written again by our codec.

#![allow(clippy::unwrap_used, reason = "a test's helpers may fail the test")]

use bytes::Bytes;
use peerage_proto::codec::{BadTriple, DecodeError, Encoding, Payload, Value, encode_into};
use serde_json::Value as Json;

fn vectors() -> Json {
    serde_json::from_str(include_str!("vectors/aiomas.json")).unwrap()
}

/// The body of a frame in hexadecimal, its length prefix checked.
fn body(frame: &Json) -> Vec<u8> {
    let digits = frame.as_str().unwrap();
    let bytes: Vec<u8> =
        (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect();
    let (length, body) = bytes.split_first_chunk::<4>().unwrap();
    assert_eq!(u32::from_be_bytes(*length) as usize, body.len());
    body.to_vec()
}

fn joined(encoding: Encoding, kind: u8, id: u64, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    encoding.put_head(kind, id, &mut out);
    out.extend_from_slice(content);
    encoding.put_tail(&mut out);
    out
}

/// Splits, joins the content again unopened and compares; returns the triple's numbers and its content.
fn carried(encoding: Encoding, body: &[u8]) -> (u64, u64, Payload) {
    let triple = encoding.split(body).unwrap();
    let content = &body[triple.content.clone()];
    let again = joined(encoding, u8::try_from(triple.kind).unwrap(), triple.id, content);
    assert_eq!(again, body, "carried unopened, the frame is the same to the byte");
    (triple.kind, triple.id, Payload::from_parts(encoding, Bytes::copy_from_slice(content)))
}

#[test]
fn every_frame_reads_as_stated_and_our_own_form_of_it_reads_the_same() {
    let vectors = vectors();
    let mut count = 0;
    for encoding in Encoding::ALL {
        for vector in vectors["vectors"][encoding.to_string()].as_array().unwrap() {
            let name = &vector["name"];
            let (kind, id, payload) = carried(encoding, &body(&vector["frame"]));
            assert_eq!(kind, vector["msg_type"].as_u64().unwrap(), "{name}");
            assert_eq!(id, vector["msg_id"].as_u64().unwrap(), "{name}");
            let stated = Value::from_notation(vector["content"].clone()).unwrap();
            let value: Value = payload.decode().unwrap();
            assert_eq!(value, stated, "{name}");
            // Equal floats may differ in sign or kind of zero; their texts do not.
            assert_eq!(format!("{value:?}"), format!("{stated:?}"), "{name}");
            if let Some(read_back) = vector.get("decoded_by_aiomas") {
                assert_eq!(Value::from_notation(read_back[2].clone()).unwrap(), value, "{name}");
            }

            let mut ours = Vec::new();
            encode_into(&value, encoding, &mut ours).unwrap();
            let (_, _, again) = carried(encoding, &joined(encoding, kind as u8, id, &ours));
            assert_eq!(again.decode(), Ok(value), "{name}");
            if encoding == Encoding::MsgPack {
                assert_eq!(again, payload, "{name}: shortest forms, as the package writes them");
            }
            count += 1;
        }
    }
    println!("{count} frames read, carried, opened and written again");
    assert_eq!(count, 54 + 62);
}

#[test]
fn every_frame_of_the_recorded_exchanges_is_carried_to_the_byte() {
    let vectors = vectors();
    let mut count = 0;
    for (exchange, steps) in vectors["live"].as_object().unwrap() {
        let encoding: Encoding = exchange.split('_').next().unwrap().parse().unwrap();
        for step in steps.as_object().unwrap().values() {
            for frame in step["frames"].as_array().unwrap() {
                if frame[1] == "EOF" {
                    continue;
                }
                let (kind, _, payload) = carried(encoding, &body(&frame[1]));
                assert!(kind <= 2);
                payload.decode::<Value>().unwrap();
                count += 1;
            }
        }
    }
    println!("{count} recorded frames carried");
    assert!(count > 20);
}

/// What a splitter can judge of odd input; the frame layer and the channel judge kinds and ids that split.
#[test]
fn odd_and_hostile_input_gets_the_verdict_of_the_plain_dialect() {
    let vectors = vectors();
    for (name, case) in vectors["edge_cases"].as_object().unwrap() {
        let sent = case["sent"].as_str().unwrap();
        let verdict = Encoding::Json.split(sent.as_bytes());
        let content = |kind, id| {
            let triple = verdict.clone().unwrap();
            assert_eq!((triple.kind, triple.id), (kind, id), "{name}");
            Payload::from_parts(Encoding::Json, Bytes::copy_from_slice(&sent.as_bytes()[triple.content]))
        };
        match name.as_str() {
            "garbage" | "not_triple" => assert_eq!(verdict, Err(BadTriple::NotATriple), "{name}"),
            "type_bool" => assert_eq!(verdict, Err(BadTriple::BadKind), "{name}"),
            "string_id" | "null_id" | "negative_id" | "float_id" => {
                assert_eq!(verdict, Err(BadTriple::BadId), "{name}");
            }
            "empty_frame" => assert_eq!(verdict, Err(BadTriple::Empty), "{name}"),
            "bom" => assert_eq!(verdict, Err(BadTriple::ByteOrderMark), "{name}"),
            "nan" => {
                let payload = content(0, 1);
                assert_eq!(payload.bytes(), "NaN", "carried as it is");
                assert_eq!(payload.decode::<Value>(), Err(DecodeError::NotFinite { at: 0 }), "opened it fails");
            }
            "invalid_type_7" => assert_eq!(content(7, 0).decode(), Ok(Value::Null)),
            "result_unknown_id" => assert_eq!(content(1, 99).decode(), Ok(Value::Null)),
            "dup_id" => assert_eq!(content(0, 1).decode(), Ok(Value::from("x"))),
            "compact_json" => assert_eq!(content(0, 1).bytes(), r#"{"a":1}"#),
            "unknown___type__" => {
                let data = r#"{"__type__":[5,1]}"#.parse::<Value>();
                assert_eq!(content(0, 1).decode(), Ok(data.unwrap()), "data like any other");
            }
            "half_close_then_slow_reply" => drop(content(0, 0)),
            other => panic!("no verdict for the case {other}"),
        }
    }
}
