use super::*;

fn map<const N: usize>(entries: [(&str, Value); N]) -> Value {
    Value::Map(entries.into_iter().map(|(key, value)| (key.into(), value)).collect())
}

#[test]
fn each_value_has_the_notation_that_the_table_says() {
    let table = [
        (Value::Null, "null"),
        (1.into(), "1"),
        (1.0.into(), "1.0"),
        ((-0.0).into(), "-0.0"),
        (u64::MAX.into(), "18446744073709551615"),
        (i64::MIN.into(), "-9223372036854775808"),
        (f64::INFINITY.into(), r#"{"$f64":"inf"}"#),
        (f64::NEG_INFINITY.into(), r#"{"$f64":"-inf"}"#),
        (Value::Bytes(vec![0, 255]), r#"{"$bin":"00ff"}"#),
        (Value::Bytes(vec![]), r#"{"$bin":""}"#),
        (map([("b", 1.into()), ("a", Value::List(vec![true.into()]))]), r#"{"b":1,"a":[true]}"#),
        (Value::Map(vec![]), "{}"),
        (Value::Map(vec![(1.into(), "x".into())]), r#"{"$map":[[1,"x"]]}"#),
        (map([("a", 1.into()), ("a", 2.into())]), r#"{"$map":[["a",1],["a",2]]}"#),
        (map([("$x", 1.into())]), r#"{"$$x":1}"#),
        (map([("$bin", "00".into())]), r#"{"$$bin":"00"}"#),
        (map([("$$map", Value::Null)]), r#"{"$$$map":null}"#),
        (map([("$x", 1.into()), ("y", 2.into())]), r#"{"$x":1,"y":2}"#),
        (map([("$map", Value::Bytes(vec![1]))]), r#"{"$$map":{"$bin":"01"}}"#),
    ];
    for (value, text) in table {
        assert_eq!(value.to_string(), text);
        assert_eq!(text.parse(), Ok(value.clone()), "{text}");
        let json: serde_json::Value = serde_json::from_str(text).unwrap();
        assert_eq!(value.to_notation(), json);
        assert_eq!(Value::from_notation(json).unwrap().to_notation(), value.to_notation());
    }
    assert_eq!(Value::Float(f64::NAN).to_string(), r#"{"$f64":"NaN"}"#);
    assert!(matches!(r#"{"$f64":"NaN"}"#.parse(), Ok(Value::Float(n)) if n.is_nan()));
}

#[test]
fn more_is_read_than_is_written() {
    assert_eq!(r#"{"$f64":"1.5"}"#.parse(), Ok(Value::Float(1.5)));
    assert_eq!(r#"{"$f64":"1e+300"}"#.parse(), Ok(Value::Float(1e300)));
    assert_eq!(r#"{"$bin":"FFff"}"#.parse(), Ok(Value::Bytes(vec![255, 255])));
    assert_eq!(r#"{"$map":[]}"#.parse(), Ok(Value::Map(vec![])));
    assert_eq!(r#"{"$map":[["a",{"$bin":""}]]}"#.parse(), Ok(map([("a", Value::Bytes(vec![]))])));
    assert_eq!(r#"{"$x":1}"#.parse(), Ok(map([("$x", 1.into())])), "only the known marks mean something");
}

#[test]
fn a_mark_that_holds_something_else_is_explained() {
    for text in [r#"{"$bin":"0"}"#, r#"{"$bin":"xy"}"#, r#"{"$bin":1}"#, r#"{"$bin":"äöü"}"#] {
        assert_eq!(text.parse::<Value>(), Err(NotationError::Bytes), "{text}");
    }
    for text in [r#"{"$f64":"x"}"#, r#"{"$f64":1.5}"#] {
        assert_eq!(text.parse::<Value>(), Err(NotationError::Float), "{text}");
    }
    for text in [r#"{"$map":{}}"#, r#"{"$map":[1]}"#, r#"{"$map":[[1]]}"#, r#"{"$map":[[1,2,3]]}"#] {
        assert_eq!(text.parse::<Value>(), Err(NotationError::Map), "{text}");
        assert_eq!(Value::from_notation(serde_json::from_str(text).unwrap()), Err(NotationError::Map));
    }
    assert!(NotationError::Bytes.to_string().contains("write $$bin for a map with that key"));
    assert!(NotationError::Float.to_string().starts_with(r#"{"$f64":…} holds a float"#));
}

#[test]
fn a_text_that_would_lose_something_is_refused() {
    let json = |text: &str| match text.parse::<Value>() {
        Err(NotationError::Json(why)) => why,
        other => panic!("{other:?}"),
    };
    assert_eq!(json("18446744073709551616"), DecodeError::IntegerOutOfRange { at: 0 });
    assert_eq!(json("NaN"), DecodeError::NotFinite { at: 0 });
    assert!(matches!(json("ohai"), DecodeError::Malformed { .. }));
    assert!(matches!(json(&"[".repeat(1_000)), DecodeError::NestedTooDeep { .. }));
}

#[test]
fn the_deepest_value_that_can_be_opened_can_be_written_and_read() {
    let deepest = (0..NESTING_DEFAULT).fold(Value::Null, |inner, n| Value::Map(vec![((n as u64).into(), inner)]));
    assert_eq!(deepest.to_string().parse(), Ok(deepest));
}

#[test]
fn an_integer_that_no_codec_carries_is_shown_as_text() {
    assert_eq!(Value::Int(i128::MAX).to_string(), format!("\"{}\"", i128::MAX));
}
