//! How the words of two nodes about their links travel (PROTOCOL §10.5).

use crate::codec::{Encoding, Payload, Value};
use crate::frame::Kind;
use crate::id::{LinkOrder, NodeId};
use crate::limits;
use crate::peers::Control;

/// A frame of a node that does not say what its kind says.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a {0:?} frame whose content does not decode")]
pub struct InvalidControl(pub Kind);

impl Control {
    /// Kind and content of the frame.
    pub fn encode(&self) -> (Kind, Payload) {
        let (kind, value) = match self {
            Control::Superseded { winner, round } => (Kind::Superseded, naming(winner, *round)),
            Control::SupersededOk { winner, round } => (Kind::SupersededOk, naming(winner, *round)),
            Control::Disconnect { reason } => (Kind::Disconnect, Value::Text(reason.clone())),
            Control::Disconnected => (Kind::Disconnected, Value::Null),
            Control::Draining => (Kind::Draining, Value::Null),
        };
        let content = Payload::encode(&value, Encoding::MsgPack).expect("text, bytes and numbers of 64 bits");
        (kind, content)
    }

    /// Reads a frame; `None` for a kind that is none of these.
    ///
    /// # Errors
    /// [`InvalidControl`] if the content is not that of the kind.
    pub fn decode(kind: Kind, content: &Payload) -> Result<Option<Control>, InvalidControl> {
        let invalid = InvalidControl(kind);
        let value = || content.decode::<Value>().map_err(|_| invalid);
        let named = || read_naming(value()?).ok_or(invalid);
        Ok(Some(match kind {
            Kind::Superseded => {
                let (winner, round) = named()?;
                Control::Superseded { winner, round }
            }
            Kind::SupersededOk => {
                let (winner, round) = named()?;
                Control::SupersededOk { winner, round }
            }
            Kind::Disconnect => match value()? {
                Value::Text(reason) => Control::Disconnect { reason: cut(reason) },
                _ => return Err(invalid),
            },
            // What they carry is for later versions.
            Kind::Disconnected => Control::Disconnected,
            Kind::Draining => Control::Draining,
            _ => return Ok(None),
        }))
    }
}

/// A link and a round, as hexadecimal text and numbers, so that a link whose encoding is JSON can carry them.
fn naming(order: &LinkOrder, round: u32) -> Value {
    let LinkOrder { dialer, dial_seq, binding } = order;
    Value::List(vec![hex(dialer.as_bytes()).into(), (*dial_seq).into(), hex(binding).into(), u64::from(round).into()])
}

fn read_naming(value: Value) -> Option<(LinkOrder, u32)> {
    let Value::List(parts) = value else { return None };
    let parts = <[Value; 4]>::try_from(parts);
    let Ok([Value::Text(dialer), Value::Int(dial_seq), Value::Text(binding), Value::Int(round)]) = parts else {
        return None;
    };
    let dialer = NodeId::from_bytes(read_hex(&dialer)?);
    let order = LinkOrder { dialer, dial_seq: dial_seq.try_into().ok()?, binding: read_hex(&binding)? };
    Some((order, round.try_into().ok()?))
}

fn hex(bytes: &[u8; 32]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn read_hex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != bytes.len().saturating_mul(2) || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(bytes)
}

fn cut(mut reason: String) -> String {
    reason.truncate(reason.floor_char_boundary(limits::REASON_BYTES_MAX));
    reason
}

#[cfg(test)]
mod tests {
    use super::*;

    fn winner() -> LinkOrder {
        LinkOrder { dialer: NodeId::from_bytes([7; 32]), dial_seq: u64::MAX, binding: [0xfe; 32] }
    }

    #[test]
    fn every_word_is_read_as_it_was_said() {
        for control in [
            Control::Superseded { winner: winner(), round: 0 },
            Control::SupersededOk { winner: winner(), round: u32::MAX },
            Control::Disconnect { reason: "gone for lunch".into() },
            Control::Disconnected,
            Control::Draining,
        ] {
            let (kind, content) = control.encode();
            assert!(kind.is_of_nodes());
            assert_eq!(Control::decode(kind, &content), Ok(Some(control.clone())));
            let as_json = content.transcode(Encoding::Json).unwrap();
            assert_eq!(Control::decode(kind, &as_json), Ok(Some(control)));
        }
    }

    #[test]
    fn content_of_another_shape_is_refused_and_other_kinds_are_not_looked_at() {
        let content = |value: Value| Payload::encode(&value, Encoding::MsgPack).unwrap();
        let order = |dialer: &str, seq: i64, binding: &str, round: i64| {
            Value::List(vec![dialer.into(), seq.into(), binding.into(), round.into()])
        };
        let (id, hex) = ("7b".repeat(32), "0a".repeat(32));
        for value in [
            Value::Null,
            Value::List(Vec::new()),
            order(&id[1..], 1, &hex, 0),
            order(&id, -1, &hex, 0),
            order(&id, 1, &hex[2..], 0),
            order(&id, 1, &"+1".repeat(32), 0),
            order(&id, 1, &"é".repeat(32), 0),
            order(&id, 1, &hex, -1),
            order(&id, 1, &hex, 1 << 32),
        ] {
            for kind in [Kind::Superseded, Kind::SupersededOk] {
                assert_eq!(Control::decode(kind, &content(value.clone())), Err(InvalidControl(kind)));
            }
        }
        assert_eq!(Control::decode(Kind::Disconnect, &content(Value::Null)), Err(InvalidControl(Kind::Disconnect)));
        assert_eq!(Control::decode(Kind::Introduction, &content(Value::Null)), Ok(None));
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let long = Payload::encode(&"é".repeat(1_000), Encoding::MsgPack).unwrap();
        let read = Control::decode(Kind::Disconnect, &long).unwrap();
        assert_eq!(read, Some(Control::Disconnect { reason: "é".repeat(128) }));
    }
}
