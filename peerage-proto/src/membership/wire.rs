//! How the words of neighbours about members travel (PROTOCOL §14).
//!
//! Bytes travel as hexadecimal text, so that a link whose encoding is JSON can carry them.

use std::time::Duration;

use bytes::Bytes;

use super::{Answer, Digest, Handed, Known, ServiceList, Word};
use crate::codec::{Encoding, Payload, Value};
use crate::frame::Kind;
use crate::id::NodeId;
use crate::limits;

/// A frame about who exists that does not say what its kind says.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a {0:?} frame whose content does not decode")]
pub struct InvalidWord(pub Kind);

impl Word {
    /// Kind and content of the frame.
    pub fn encode(&self) -> (Kind, Payload) {
        let (kind, value) = match self {
            Word::Discovered { records, at } => {
                let records = records.iter().map(Handed::value).collect();
                (
                    Kind::Discovered,
                    Value::List(vec![Value::List(records), at.map_or(Value::Null, |at| hex(&at.0).into())]),
                )
            }
            Word::Digest(Digest(digest)) => (Kind::Digest, hex(digest).into()),
            Word::Summary(lines) => {
                let numbers = lines.iter().flat_map(|line| [line.node, line.start, line.random, line.sequence]);
                (Kind::Summary, numbers.map(|number| format!("{number:016x}")).collect::<String>().into())
            }
            Word::Check { ask, node } => {
                (Kind::Check, Value::List(vec![u64::from(*ask).into(), hex(node.as_bytes()).into()]))
            }
            Word::Checked { ask, answer } => {
                let number = match answer {
                    Answer::Alive => 0,
                    Answer::Unreachable => 1,
                    Answer::CannotTell => 2_u64,
                };
                (Kind::Checked, Value::List(vec![u64::from(*ask).into(), number.into()]))
            }
            Word::Suspected => (Kind::Suspected, Value::Null),
            Word::Wanted(digests) => {
                (Kind::Wanted, digests.iter().map(|digest| hex(digest)).collect::<String>().into())
            }
            Word::Services { lists, whole } => {
                let list =
                    |list: &ServiceList| Value::List(list.tags().iter().map(|tag| tag.as_str().into()).collect());
                let lists = Value::List(lists.iter().map(list).collect());
                (Kind::Services, Value::List(vec![lists, Value::Bool(*whole)]))
            }
        };
        let content = Payload::encode(&value, Encoding::MsgPack).expect("text and numbers of 64 bits");
        (kind, content)
    }

    /// Reads a frame; `None` for a kind that is none of these.
    ///
    /// # Errors
    /// [`InvalidWord`] if the content is not that of the kind.
    pub fn decode(kind: Kind, content: &Payload) -> Result<Option<Word>, InvalidWord> {
        let invalid = InvalidWord(kind);
        let value = || content.decode::<Value>().map_err(|_| invalid);
        let word = match kind {
            Kind::Discovered => read_discovered(value()?),
            Kind::Digest => read_digest(value()?).map(Word::Digest),
            Kind::Summary => read_summary(value()?),
            Kind::Check => read_check(value()?),
            Kind::Checked => read_checked(value()?),
            // What it carries is for later versions.
            Kind::Suspected => Some(Word::Suspected),
            Kind::Wanted => read_wanted(value()?),
            Kind::Services => read_services(value()?),
            _ => return Ok(None),
        };
        word.map(Some).ok_or(invalid)
    }
}

impl Handed {
    fn value(&self) -> Value {
        let millis = u64::try_from(self.remaining.as_millis()).unwrap_or(u64::MAX);
        Value::List(vec![hex(self.record.bytes()).into(), millis.into()])
    }

    fn read(value: Value) -> Option<Handed> {
        let Ok([Value::Text(record), Value::Int(millis)]) = list(value)? else { return None };
        if record.len() > limits::RECORD_BYTES_MAX.saturating_mul(2) {
            return None;
        }
        let record = Payload::from_parts(Encoding::MsgPack, Bytes::from(read_hex(&record)?));
        let millis = u64::try_from(millis).ok()?;
        Some(Handed { record, remaining: Duration::from_millis(millis).min(limits::WIRE_TIME_MAX) })
    }
}

fn read_discovered(value: Value) -> Option<Word> {
    let Ok([Value::List(records), at]) = list(value)? else { return None };
    if records.len() > limits::DISCOVERED_RECORDS_MAX {
        return None;
    }
    let records: Option<Vec<Handed>> = records.into_iter().map(Handed::read).collect();
    let at = match at {
        Value::Null => None,
        at => Some(read_digest(at)?),
    };
    Some(Word::Discovered { records: records?, at })
}

fn read_digest(value: Value) -> Option<Digest> {
    let Value::Text(text) = value else { return None };
    Some(Digest(read_hex(&text)?.try_into().ok()?))
}

fn read_summary(value: Value) -> Option<Word> {
    let Value::Text(text) = value else { return None };
    let bytes = read_hex(&text)?;
    let (lines, rest) = bytes.as_chunks::<32>();
    if !rest.is_empty() || lines.len() > limits::SUMMARY_LINES_MAX {
        return None;
    }
    let line = |bytes: &[u8; 32]| {
        let (numbers, _) = bytes.as_chunks::<8>();
        let mut numbers = numbers.iter().map(|number| u64::from_be_bytes(*number));
        let mut next = || numbers.next().unwrap_or_default();
        Known { node: next(), start: next(), random: next(), sequence: next() }
    };
    Some(Word::Summary(lines.iter().map(line).collect()))
}

fn read_check(value: Value) -> Option<Word> {
    let Ok([Value::Int(ask), Value::Text(node)]) = list(value)? else { return None };
    let node = NodeId::from_bytes(read_hex(&node)?.try_into().ok()?);
    Some(Word::Check { ask: ask.try_into().ok()?, node })
}

fn read_checked(value: Value) -> Option<Word> {
    let Ok([Value::Int(ask), Value::Int(answer)]) = list(value)? else { return None };
    let answer = match answer {
        0 => Answer::Alive,
        1 => Answer::Unreachable,
        _ => Answer::CannotTell,
    };
    Some(Word::Checked { ask: ask.try_into().ok()?, answer })
}

fn read_wanted(value: Value) -> Option<Word> {
    let Value::Text(text) = value else { return None };
    let bytes = read_hex(&text)?;
    let (digests, rest) = bytes.as_chunks::<32>();
    (rest.is_empty() && digests.len() <= limits::WANTED_MAX).then(|| Word::Wanted(digests.to_vec()))
}

fn read_services(value: Value) -> Option<Word> {
    let Ok([Value::List(lists), Value::Bool(whole)]) = list(value)? else { return None };
    if lists.len() > limits::WANTED_MAX {
        return None;
    }
    let text = |tag| if let Value::Text(tag) = tag { Some(tag) } else { None };
    let tags = |list| if let Value::List(tags) = list { tags.into_iter().map(text).collect() } else { None };
    let lists: Option<Vec<ServiceList>> = lists.into_iter().map(|list| ServiceList::read(tags(list)?)).collect();
    Some(Word::Services { lists: lists?, whole })
}

/// The parts of a list of two. `None` if it is no list, an error if it has not two parts.
fn list(value: Value) -> Option<Result<[Value; 2], Vec<Value>>> {
    let Value::List(parts) = value else { return None };
    Some(parts.try_into())
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 0x0f]);
    digits.map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}

fn read_hex(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told() -> Handed {
        let record = Payload::from_parts(Encoding::MsgPack, Bytes::from_static(&[0xc4, 1, 0xff]));
        Handed { record, remaining: Duration::from_millis(89_750) }
    }

    fn offer(tags: &[&str]) -> ServiceList {
        ServiceList::of(tags.iter().copied()).unwrap()
    }

    fn content(value: impl Into<Value>) -> Payload {
        Payload::encode(&value.into(), Encoding::MsgPack).unwrap()
    }

    fn list(parts: impl IntoIterator<Item = Value>) -> Value {
        Value::List(parts.into_iter().collect())
    }

    #[test]
    fn every_word_is_read_as_it_was_said_over_links_of_both_encodings() {
        for word in [
            Word::Discovered { records: Vec::new(), at: None },
            Word::Discovered { records: vec![told(), told()], at: Some(Digest([0xd1; 16])) },
            Word::Digest(Digest([0x0f; 16])),
            Word::Summary(Vec::new()),
            Word::Summary(vec![
                Known { node: 1, start: 2, random: 3, sequence: 4 },
                Known { node: u64::MAX, start: 0, random: u64::MAX, sequence: 1 },
            ]),
            Word::Check { ask: u32::MAX, node: NodeId::from_bytes([7; 32]) },
            Word::Checked { ask: 0, answer: Answer::Alive },
            Word::Checked { ask: 1, answer: Answer::Unreachable },
            Word::Checked { ask: 2, answer: Answer::CannotTell },
            Word::Suspected,
            Word::Wanted(Vec::new()),
            Word::Wanted(vec![[0x0f; 32], [0xf0; 32]]),
            Word::Services { lists: Vec::new(), whole: true },
            Word::Services { lists: vec![offer(&["sum", "img/resize-2.x_Y"]), offer(&["a"])], whole: false },
        ] {
            let (kind, content) = word.encode();
            assert!(kind.is_of_nodes());
            assert_eq!(Word::decode(kind, &content), Ok(Some(word.clone())));
            let as_json = content.transcode(Encoding::Json).unwrap();
            assert_eq!(Word::decode(kind, &as_json), Ok(Some(word)));
        }
    }

    #[test]
    fn content_of_another_shape_is_refused_and_other_kinds_are_not_looked_at() {
        let (half, whole, id) = ("ab".repeat(8), "ab".repeat(32), "7b".repeat(32));
        let record = |record: &str, millis: i64| list([list([record.into(), millis.into()])]);
        for (kind, value) in [
            (Kind::Discovered, Value::Null),
            (Kind::Discovered, list([list([])])),
            (Kind::Discovered, list([list([]), half.clone().into()])),
            (Kind::Discovered, list([record("abc", 1), Value::Null])),
            (Kind::Discovered, list([record("zz", 1), Value::Null])),
            (Kind::Discovered, list([record("ab", -1), Value::Null])),
            (Kind::Discovered, list([record(&"ab".repeat(limits::RECORD_BYTES_MAX + 1), 1), Value::Null])),
            (Kind::Discovered, list([list(vec![Value::Null; limits::DISCOVERED_RECORDS_MAX + 1]), Value::Null])),
            (Kind::Digest, half.clone().into()),
            (Kind::Digest, 7_u64.into()),
            (Kind::Summary, half.clone().into()),
            (Kind::Summary, whole.repeat(limits::SUMMARY_LINES_MAX + 1).into()),
            (Kind::Summary, Value::Null),
            (Kind::Check, list([1_u64.into()])),
            (Kind::Check, list([(-1_i64).into(), id.clone().into()])),
            (Kind::Check, list([1_u64.into(), id[2..].into()])),
            (Kind::Checked, list([Value::Int(1 << 32), 0_u64.into()])),
            (Kind::Checked, list([1_u64.into(), Value::Null])),
            (Kind::Wanted, Value::Null),
            (Kind::Wanted, half.clone().into()),
            (Kind::Wanted, whole.repeat(2 * (limits::WANTED_MAX + 1)).into()),
            (Kind::Services, list([])),
            (Kind::Services, list([list([]), Value::Null])),
            (Kind::Services, list([list(["sum".into()]), true.into()])),
            (Kind::Services, list([list([list([1_u64.into()])]), true.into()])),
            (Kind::Services, list([list([list(["b".into(), "a".into()])]), true.into()])),
            (Kind::Services, list([list(vec![list([]); limits::WANTED_MAX + 1]), true.into()])),
        ] {
            assert_eq!(Word::decode(kind, &content(value.clone())), Err(InvalidWord(kind)), "{value:?}");
        }
        assert_eq!(Word::decode(Kind::Draining, &content(Value::Null)), Ok(None));
    }

    #[test]
    fn what_a_newer_version_may_answer_tells_nothing_and_long_leases_are_cut() {
        let newer = content(list([1_u64.into(), 9_u64.into()]));
        let unknown = Word::Checked { ask: 1, answer: Answer::CannotTell };
        assert_eq!(Word::decode(Kind::Checked, &newer), Ok(Some(unknown)));
        let long = content(list([list([list(["ab".into(), Value::Int(u64::MAX.into())])]), Value::Null]));
        let Ok(Some(Word::Discovered { records, .. })) = Word::decode(Kind::Discovered, &long) else { panic!("read") };
        assert_eq!(records[0].remaining, limits::WIRE_TIME_MAX);
    }
}
