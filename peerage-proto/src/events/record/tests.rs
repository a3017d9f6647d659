use proptest::prelude::*;

use super::super::tests::told;
use super::*;
use crate::codec::{Payload, Value};

fn msgpack(json: &str) -> Vec<u8> {
    let value = Payload::parse(Encoding::Json, json.to_owned().into()).unwrap();
    value.transcode(Encoding::MsgPack).unwrap().bytes().to_vec()
}

/// Every record and value of a content, or where it is at fault.
fn read(encoding: Encoding, content: &[u8]) -> Result<usize, BadRecords> {
    let mut records = Records::new(encoding, content)?;
    let mut count = 0;
    while let Some(record) = records.next_record()? {
        count += 1;
        if let Record::Events { .. } = record {
            while records.next_value()?.is_some() {
                count += 1;
            }
        }
    }
    Ok(count)
}

const EVERYTHING: &str = concat!(
    r#"[[2, "a/b", 18446744073709551615], [3, 2],[0,"a/b",7, {"k": [1, "]"]},null , "x"],"#,
    r#"[1,"c",1,9,2],[4,3],[0,"c",10,1]]"#
);

#[test]
fn every_record_is_read_in_both_encodings() {
    for (encoding, content) in
        [(Encoding::Json, EVERYTHING.as_bytes().to_vec()), (Encoding::MsgPack, msgpack(EVERYTHING))]
    {
        let lines = [
            "a/b stands at 18446744073709551615",
            "attached to 2",
            "a/b 7: {\"k\":[1,\"]\"]}",
            "a/b 8: null",
            "a/b 9: \"x\"",
            "c lacks 1-9 (expired)",
            "mark 3",
            "c 10: 1",
        ];
        assert_eq!(told(encoding, &content), lines, "{encoding}");
    }
}

#[test]
fn values_that_are_not_read_are_skipped() {
    for (encoding, content) in
        [(Encoding::Json, EVERYTHING.as_bytes().to_vec()), (Encoding::MsgPack, msgpack(EVERYTHING))]
    {
        for taken in 0..3 {
            let mut records = Records::new(encoding, &content).unwrap();
            let mut kinds = 0;
            while let Some(record) = records.next_record().unwrap() {
                kinds += 1;
                for _ in 0..taken {
                    let is_events = matches!(record, Record::Events { .. });
                    assert!(is_events || records.next_value().unwrap().is_none());
                    records.next_value().unwrap();
                }
            }
            assert_eq!(kinds, 6);
        }
    }
}

#[test]
fn records_of_another_kind_and_further_elements_are_skipped() {
    let content = r#"[[5],[9,"x",[1]],[4,7,"more",{}],[3,1,null],[1,"a",1,2,77,0],[2,"a",5,6],[255]]"#;
    for (encoding, content) in [(Encoding::Json, content.as_bytes().to_vec()), (Encoding::MsgPack, msgpack(content))] {
        assert_eq!(told(encoding, &content), ["mark 7", "attached to 1", "a lacks 1-2 (queue-full)", "a stands at 5"]);
    }
    assert_eq!(read(Encoding::Json, b"[ ]"), Ok(0));
    assert_eq!(read(Encoding::MsgPack, &[0x90]), Ok(0));
}

#[test]
fn names_may_be_written_in_every_form_of_a_text() {
    for head in [&[0xa1][..], &[0xd9, 1], &[0xda, 0, 1], &[0xdb, 0, 0, 0, 1]] {
        let content = [&[0x91, 0x93, 2][..], head, b"a", &[5]].concat();
        assert_eq!(told(Encoding::MsgPack, &content), ["a stands at 5"]);
    }
}

#[test]
fn what_is_no_content_of_events_is_refused() {
    for content in [
        "null",
        "{}",
        "[1]",
        "[[]]",
        "[[\"x\"]]",
        "[[-1]]",
        "[[0]]",
        "[[0,\"a\"]]",
        "[[0,\"a\",1]]",
        "[[0,\"a\",0,null]]",
        "[[0,\"a\",18446744073709551615,1,2]]",
        "[[0,\"\",1,null]]",
        "[[0,\"a b\",1,null]]",
        "[[0,7,1,null]]",
        "[[0,\"a\",1.5,null]]",
        "[[1,\"a\",1,2]]",
        "[[1,\"a\",3,2,0]]",
        "[[1,\"a\",0,2,0]]",
        "[[2,\"a\"]]",
        "[[2,\"a\",null]]",
        "[[3]]",
        "[[4,\"x\"]]",
    ] {
        assert!(read(Encoding::Json, content.as_bytes()).is_err(), "{content}");
        assert!(read(Encoding::MsgPack, &msgpack(content)).is_err(), "{content}");
    }
    for content in [
        "",
        "[",
        "[[2,\"a\",1]",
        "[[2,\"a\",1]] ",
        "[[2,\"a\",1]][3,1]",
        "[[2,\"a\" 1]]",
        "[[2,\"a\",01]]",
        "[[2,\"\\u0061\",1]]",
        "[[4,1],]",
        "[[4,1] [4,2]]",
    ] {
        assert!(read(Encoding::Json, content.as_bytes()).is_err(), "{content}");
    }
    assert_eq!(read(Encoding::MsgPack, &[0x91, 0x92, 4, 1, 0xc0]), Err(BadRecords { at: 4 }));
    assert_eq!(BadRecords { at: 4 }.to_string(), "no records of events at byte 4");
}

#[test]
fn a_content_that_is_cut_off_anywhere_is_refused() {
    for (encoding, content) in
        [(Encoding::Json, EVERYTHING.as_bytes().to_vec()), (Encoding::MsgPack, msgpack(EVERYTHING))]
    {
        assert_eq!(read(encoding, &content), Ok(10));
        for end in 0..content.len() {
            assert!(read(encoding, &content[..end]).is_err(), "{encoding}, {end} bytes");
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic_or_go_on_for_ever(bytes: Vec<u8>) {
        for encoding in Encoding::ALL {
            if let Ok(count) = read(encoding, &bytes) {
                prop_assert!(count <= bytes.len());
            }
        }
    }

    #[test]
    fn a_content_with_a_byte_changed_is_read_or_refused(at in 0..80_usize, byte: u8) {
        for (encoding, mut content) in [(Encoding::Json, EVERYTHING.as_bytes().to_vec()), (Encoding::MsgPack, msgpack(EVERYTHING))] {
            let len = content.len();
            content[at % len] = byte;
            let _ = read(encoding, &content);
        }
    }

    #[test]
    fn values_come_as_they_are_encoded(values in proptest::collection::vec(any::<(u64, String, Vec<u8>)>(), 1..20)) {
        let values: Vec<Value> = values
            .into_iter()
            .map(|(number, text, bytes)| Value::List(vec![number.into(), text.into(), bytes.into()]))
            .collect();
        let elements = [Value::from(0_u8), Value::from("a"), Value::from(5_u8)].into_iter().chain(values.iter().cloned());
        let content = Value::List(vec![Value::List(elements.collect())]);
        let content = Payload::encode(&content, Encoding::MsgPack).unwrap();
        let mut records = Records::new(Encoding::MsgPack, content.bytes()).unwrap();
        let count = values.len() as u64;
        prop_assert_eq!(records.next_record(), Ok(Some(Record::Events { name: "a", first: 5, count })));
        for value in values {
            let encoded = Payload::encode(&value, Encoding::MsgPack).unwrap();
            prop_assert_eq!(records.next_value(), Ok(Some(&encoded.bytes()[..])));
        }
        prop_assert_eq!(records.next_value(), Ok(None));
        prop_assert_eq!(records.next_record(), Ok(None));
    }
}
