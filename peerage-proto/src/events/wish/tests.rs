use super::*;
use crate::events::InvalidPointer;

fn wish(json: &str) -> Result<Wish, BadWish> {
    Wish::read(&Payload::parse(Encoding::Json, json.to_owned().into()).unwrap())
}

#[test]
fn a_wish_is_read_back_in_both_encodings() {
    let pattern = || "build/**".parse().unwrap();
    let mut all = Wish::new(pattern());
    all.policy = "latest-by:/id".parse().unwrap();
    (all.history, all.recover, all.shared) = (5, true, Some("workers".into()));
    all.positions = Some([("build/done".into(), u64::MAX), ("build/failed".into(), 0)].into());
    let mut back = Wish::new(pattern());
    back.positions = Some(BTreeMap::new());
    for wish in [Wish::new(pattern()), all, back] {
        for encoding in Encoding::ALL {
            assert_eq!(Wish::read(&wish.encode(encoding)), Ok(wish.clone()));
        }
    }
}

#[test]
fn what_is_not_said_is_the_default_and_what_is_not_known_is_skipped() {
    let read = wish(r#"{"pattern": "a", "policy": null, "later": [1], "history": null, "positions": null}"#).unwrap();
    assert_eq!(read, Wish::new("a".parse().unwrap()));
    assert_eq!(read.policy, Policy::Ring(limits::EVENT_QUEUE_DEFAULT));
    assert_eq!(wish(r#"{"pattern": "a", "history": 18446744073709551615}"#).unwrap().history, u32::MAX);
}

#[test]
fn a_wish_that_cannot_be_meant_is_refused_by_the_key_at_fault() {
    for (json, fault) in [
        ("[]", BadWish::Shape),
        ("null", BadWish::Shape),
        (r#"{"pattern": "a", "pattern": "b"}"#, BadWish::Shape),
        ("{}", BadWish::NoPattern),
        (r#"{"pattern": 1}"#, BadWish::Value("pattern")),
        (r#"{"pattern": "a b"}"#, BadWish::Value("pattern")),
        (r#"{"pattern": "a", "policy": 1}"#, BadWish::Value("policy")),
        (r#"{"pattern": "a", "policy": "all"}"#, BadWish::Policy(InvalidPolicy::Unknown)),
        (r#"{"pattern": "a", "policy": "ring:0"}"#, BadWish::Policy(InvalidPolicy::Ring)),
        (r#"{"pattern": "a", "policy": "latest-by:x"}"#, BadWish::Policy(InvalidPolicy::Pointer(InvalidPointer))),
        (r#"{"pattern": "a", "history": -1}"#, BadWish::Value("history")),
        (r#"{"pattern": "a", "history": "1"}"#, BadWish::Value("history")),
        (r#"{"pattern": "a", "recover": 1}"#, BadWish::Value("recover")),
        (r#"{"pattern": "a", "positions": [1]}"#, BadWish::Value("positions")),
        (r#"{"pattern": "a", "positions": {"a b": 1}}"#, BadWish::Value("positions")),
        (r#"{"pattern": "a", "positions": {"a": -1}}"#, BadWish::Value("positions")),
        (r#"{"pattern": "a", "shared": "a b"}"#, BadWish::Value("shared")),
        (r#"{"pattern": "a", "shared": 1}"#, BadWish::Value("shared")),
    ] {
        assert_eq!(wish(json), Err(fault), "{json}");
    }
    let no_text = Value::Map(vec![(Value::from(1_u8), Value::Null)]);
    assert_eq!(Wish::read(&Payload::encode(&no_text, Encoding::MsgPack).unwrap()), Err(BadWish::Shape));
    let cut = Payload::from_parts(Encoding::MsgPack, vec![0x81].into());
    assert_eq!(Wish::read(&cut), Err(BadWish::Shape));
}

#[test]
fn positions_are_bounded_by_number_and_by_bytes() {
    let with = |count: usize, width: usize| {
        let mut wish = Wish::new("a".parse().unwrap());
        wish.positions = Some((0..count).map(|number| (format!("{number:0width$}").into(), 1)).collect());
        Wish::read(&wish.encode(Encoding::MsgPack)).map(drop)
    };
    assert_eq!(with(limits::EVENT_POSITIONS_MAX, 4), Ok(()));
    assert_eq!(with(limits::EVENT_POSITIONS_MAX + 1, 4), Err(BadWish::TooManyPositions));
    assert_eq!(with(limits::EVENT_POSITIONS_BYTES_MAX / 128, 128), Ok(()));
    assert_eq!(with(limits::EVENT_POSITIONS_BYTES_MAX / 128 + 1, 128), Err(BadWish::TooManyPositions));
}
