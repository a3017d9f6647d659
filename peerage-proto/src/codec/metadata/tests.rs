use super::*;
use crate::codec::{Invocation, Value, put_call, put_kwargs};

fn full() -> Metadata {
    Metadata {
        left: Some(Duration::from_millis(30_000)),
        trace: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().unwrap()),
        state: TraceState::new("congo=t61,rojo=\"00f0\""),
        key: Some(u64::MAX),
        app: Some(app(&[("user", "ada".into()), ("n", Value::List(vec![1_u64.into()]))])),
    }
}

fn app(entries: &[(&str, Value)]) -> AppMetadata {
    try_app(entries).unwrap()
}

fn try_app(entries: &[(&str, Value)]) -> Result<AppMetadata, BadMetadata> {
    let entries = entries.iter().map(|(key, value)| ((*key).into(), value.clone())).collect();
    AppMetadata::new(Payload::encode(&Value::Map(entries), Encoding::MsgPack).unwrap())
}

fn call(metadata: &Metadata, encoding: Encoding) -> Payload {
    let mut out = b"before".to_vec();
    put_call("t", &[1], encoding, &mut out).unwrap();
    put_kwargs(None, encoding, &mut out);
    put_metadata(metadata, encoding, 6, &mut out);
    Payload::parse(encoding, Bytes::from(out).slice(6..)).unwrap()
}

fn read(value: &Value) -> Result<Metadata, BadMetadata> {
    let in_json = Payload::encode(value, Encoding::Json).map(|content| Metadata::read(&content));
    let read = Metadata::read(&Payload::encode(value, Encoding::MsgPack).unwrap());
    assert!(in_json.is_err() || in_json.as_ref() == Ok(&read), "both codecs agree: {in_json:?}, {read:?}");
    read
}

fn map(entries: &[(&str, Value)]) -> Value {
    Value::Map(entries.iter().map(|(key, value)| ((*key).into(), value.clone())).collect())
}

#[test]
fn what_is_said_about_a_call_is_read_again_in_both_codecs() {
    for encoding in Encoding::ALL {
        let content = call(&full(), encoding);
        let invocation = Invocation::of(&content).unwrap();
        assert_eq!(invocation.metadata_of(&content), Ok(full()), "{encoding}");
        assert_eq!(invocation.args_of(&content).decode::<[u8; 1]>(), Ok([1]));
        assert_eq!(
            full().app.unwrap().payload().decode::<Value>().unwrap(),
            read(&map(&[])).map_or_else(
                |why| panic!("{why}"),
                |_| map(&[("user", "ada".into()), ("n", Value::List(vec![1_u64.into()]))])
            )
        );
    }
}

#[test]
fn a_call_without_facts_has_three_elements() {
    for encoding in Encoding::ALL {
        let content = call(&Metadata::default(), encoding);
        let invocation = Invocation::of(&content).unwrap();
        assert_eq!(invocation.metadata, None);
        assert_eq!(invocation.metadata_of(&content), Ok(Metadata::default()));
    }
}

#[test]
fn the_time_left_alone_takes_nine_bytes() {
    let without = call(&Metadata::default(), Encoding::MsgPack).len();
    let left = Metadata { left: Some(Duration::from_secs(30)), ..Metadata::default() };
    assert_eq!(call(&left, Encoding::MsgPack).len(), without + 9);
}

#[test]
fn unknown_keys_are_skipped() {
    let found = read(&map(&[("later", Value::List(vec![])), ("left", 5_u64.into()), ("x", Value::Null)]));
    assert_eq!(found.unwrap().left, Some(Duration::from_millis(5)));
}

#[test]
fn a_trace_without_an_id_is_none() {
    for numbers in [[0, 0, 7, 1], [0, 1, 0, 1], [0, 0, 0, 0]] {
        let numbers = numbers.map(|number: u64| Value::from(number)).to_vec();
        assert_eq!(read(&map(&[("trace", Value::List(numbers))])).unwrap().trace, None);
    }
}

#[test]
fn values_of_another_form_are_refused_with_their_key() {
    let wrong = [
        ("left", Value::from("5")),
        ("left", Value::from(-5_i64)),
        ("key", Value::Null),
        ("trace", Value::from("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")),
        ("trace", Value::List([1_u64, 2, 3].map(Value::from).to_vec())),
        ("trace", Value::List([1_u64, 2, 3, 256].map(Value::from).to_vec())),
        ("state", Value::from(7_u64)),
        ("state", Value::from("")),
        ("state", Value::from("a=\u{e4}")),
        ("state", Value::from("x".repeat(limits::TRACE_STATE_BYTES_MAX + 1))),
        ("app", Value::List(vec![])),
        ("app", Value::Map(vec![(1_u64.into(), Value::Null)])),
    ];
    for (key, value) in wrong {
        assert_eq!(read(&map(&[(key, value.clone())])), Err(BadMetadata::Value(key)), "{key}: {value}");
    }
}

#[test]
fn what_is_no_map_with_text_keys_or_has_a_key_twice_is_refused() {
    for value in [Value::Null, Value::from(1_u64), Value::List(vec![]), Value::Map(vec![(1_u64.into(), 1_u64.into())])]
    {
        assert_eq!(read(&value), Err(BadMetadata::Shape), "{value}");
    }
    for (key, value) in [("left", Value::from(1_u64)), ("key", 1_u64.into()), ("state", "a".into()), ("app", map(&[]))]
    {
        let twice = Payload::encode(&map(&[(key, value.clone()), (key, value)]), Encoding::MsgPack).unwrap();
        assert_eq!(Metadata::read(&twice), Err(BadMetadata::Shape), "{key}");
    }
    for cut in [&[0x81, 0xa4][..], &[0x81, 0xa1, b'x'], &[0x80, 1], &[]] {
        let content = Payload::from_parts(Encoding::MsgPack, Bytes::copy_from_slice(cut));
        assert_eq!(Metadata::read(&content), Err(BadMetadata::Shape), "{cut:02x?}");
    }
}

#[test]
fn an_application_says_only_so_much() {
    let names: Vec<String> = (0..=limits::APP_METADATA_ENTRIES_MAX).map(|n| n.to_string()).collect();
    let entries: Vec<(&str, Value)> = names.iter().map(|name| (name.as_str(), Value::Null)).collect();
    assert!(try_app(&entries[1..]).is_ok());
    assert_eq!(try_app(&entries), Err(BadMetadata::TooLarge));
    let long = |bytes: usize| try_app(&[("k", "x".repeat(bytes).into())]);
    assert!(long(limits::APP_METADATA_BYTES_MAX - 6).is_ok());
    assert_eq!(long(limits::APP_METADATA_BYTES_MAX - 5), Err(BadMetadata::TooLarge));
    let hostile = map(&[("app", map(&[("k", "x".repeat(limits::APP_METADATA_BYTES_MAX).into())]))]);
    assert_eq!(read(&hostile), Err(BadMetadata::TooLarge));
}

#[test]
fn traces_are_written_as_the_header_has_them_and_read_back() {
    let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let trace: Trace = text.parse().unwrap();
    assert_eq!((trace.to_string(), trace.flags), (text.to_owned(), 1));
    assert!(format!("01{}-later", &text[2..]).parse::<Trace>().is_ok(), "a later version may say more");
    for bad in [
        "",
        "00",
        "00-4BF92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
    ] {
        assert_eq!(bad.parse::<Trace>(), Err(NoTrace), "{bad}");
    }
}

#[test]
fn only_printable_text_of_some_length_is_a_state() {
    assert_eq!(TraceState::new("a=b").unwrap().as_str(), "a=b");
    for bad in ["", "a\nb", "\u{e4}", &"x".repeat(limits::TRACE_STATE_BYTES_MAX + 1)] {
        assert_eq!(TraceState::new(bad), None, "{bad}");
    }
}

#[test]
fn no_bytes_make_reading_panic() {
    proptest::proptest!(|(bytes: Vec<u8>)| {
        for encoding in Encoding::ALL {
            let _ = Metadata::read(&Payload::from_parts(encoding, Bytes::from(bytes.clone())));
        }
    });
}
