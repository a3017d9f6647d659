//! What happens when events come faster than a subscriber takes them.
//!
//! The subscriber chooses; the publisher's node does it, in the subscriber's own queue. So nobody pays for it but who chose.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::{InvalidPointer, Pointer};
use crate::limits;

/// What happens to events of which there is no room, and how much room there is.
///
/// Parsed from the words of the command line, and printed as them: `ring:N`, `latest`, `latest-by:/json/pointer`, `block:D`
/// (as `200ms` or `3s`), `close`.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Policy {
    /// So many events wait; the oldest is dropped for a new one. Their values have
    /// [`EVENT_RING_BYTES_EACH`](limits::EVENT_RING_BYTES_EACH) bytes each on average, and
    /// [`EVENT_QUEUE_BYTES_DEFAULT`](limits::EVENT_QUEUE_BYTES_DEFAULT) together at least.
    Ring(u32),
    /// The newest event of each name waits.
    Latest,
    /// The newest event of each name and key waits, where the key is what stands at this place of the value.
    LatestBy(Pointer),
    /// The publisher waits for room, this long at most. Then the subscriber is cut.
    Block(Duration),
    /// The subscriber is cut as soon as there is no room.
    Close,
}

/// A text that is no policy.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidPolicy {
    /// It is none of the words.
    #[error("a policy is ring:N, latest, latest-by:/json/pointer, block:D or close")]
    Unknown,
    /// The ring has no room, or too much, or no number.
    #[error("ring:N holds 1 to {} events", limits::EVENT_QUEUE_MAX)]
    Ring,
    /// The time is none, or too long.
    #[error("block:D waits for 1ms to {}s", limits::EVENT_BLOCK_MAX.as_secs())]
    Block,
    /// What follows `latest-by:` is no pointer.
    #[error("latest-by: {0}")]
    Pointer(#[from] InvalidPointer),
}

/// How much may wait under a policy.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Room {
    pub(super) events: u32,
    /// Bytes of values. One larger value may wait alone.
    pub(super) bytes: usize,
}

impl Room {
    /// Whether a value of this size fits in beside so many events and bytes. One that is larger than all the room may wait alone.
    #[inline]
    pub(super) fn has_space(self, events: u32, bytes: usize, size: usize) -> bool {
        events < self.events && (events == 0 || bytes.saturating_add(size) <= self.bytes)
    }
}

impl Policy {
    /// Whether newer events take the place of older ones.
    pub(super) fn is_latest(&self) -> bool {
        matches!(self, Policy::Latest | Policy::LatestBy(_))
    }

    pub(super) fn room(&self) -> Room {
        let default = limits::EVENT_QUEUE_BYTES_DEFAULT;
        match self {
            Policy::Ring(events) => {
                let bytes = limits::EVENT_RING_BYTES_EACH.saturating_mul(*events as usize);
                Room { events: *events, bytes: bytes.clamp(default, limits::EVENT_QUEUE_BYTES_MAX) }
            }
            Policy::Latest | Policy::LatestBy(_) => Room { events: limits::EVENT_QUEUE_MAX, bytes: default },
            Policy::Block(_) | Policy::Close => Room { events: limits::EVENT_QUEUE_DEFAULT, bytes: default },
        }
    }
}

/// A ring of the default size.
impl Default for Policy {
    fn default() -> Policy {
        Policy::Ring(limits::EVENT_QUEUE_DEFAULT)
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Policy::Ring(events) => write!(f, "ring:{events}"),
            Policy::Latest => f.write_str("latest"),
            Policy::LatestBy(pointer) => write!(f, "latest-by:{pointer}"),
            Policy::Block(time) => write!(f, "block:{}ms", time.as_millis()),
            Policy::Close => f.write_str("close"),
        }
    }
}

impl FromStr for Policy {
    type Err = InvalidPolicy;

    fn from_str(text: &str) -> Result<Policy, InvalidPolicy> {
        match text.split_once(':').unwrap_or((text, "")) {
            ("ring", events) => {
                let events = number(events).and_then(|events| u32::try_from(events).ok());
                let events = events.filter(|events| (1..=limits::EVENT_QUEUE_MAX).contains(events));
                Ok(Policy::Ring(events.ok_or(InvalidPolicy::Ring)?))
            }
            ("latest-by", pointer) if text.contains(':') => Ok(Policy::LatestBy(pointer.parse()?)),
            ("block", time) => Ok(Policy::Block(duration(time).ok_or(InvalidPolicy::Block)?)),
            ("latest", _) if text == "latest" => Ok(Policy::Latest),
            ("close", _) if text == "close" => Ok(Policy::Close),
            _ => Err(InvalidPolicy::Unknown),
        }
    }
}

fn duration(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let millis = match unit {
        "ms" => number(digits)?,
        "s" => number(digits)?.checked_mul(1_000)?,
        _ => return None,
    };
    let time = Duration::from_millis(millis);
    (!time.is_zero() && time <= limits::EVENT_BLOCK_MAX).then_some(time)
}

fn number(digits: &str) -> Option<u64> {
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_read_and_printed_in_the_words_of_the_command_line() {
        for (text, policy) in [
            ("ring:500", Policy::Ring(500)),
            ("latest", Policy::Latest),
            ("latest-by:/id", Policy::LatestBy("/id".parse().unwrap())),
            ("latest-by:", Policy::LatestBy("".parse().unwrap())),
            ("block:200ms", Policy::Block(Duration::from_millis(200))),
            ("close", Policy::Close),
        ] {
            assert_eq!(text.parse(), Ok(policy.clone()), "{text}");
            assert_eq!(policy.to_string(), text);
        }
        assert_eq!("block:3s".parse(), Ok(Policy::Block(Duration::from_secs(3))));
        assert_eq!(Policy::default().to_string(), "ring:1024");
    }

    #[test]
    fn what_is_no_policy_is_refused_by_its_fault() {
        for (text, fault) in [
            ("", InvalidPolicy::Unknown),
            ("rings", InvalidPolicy::Unknown),
            ("latest:", InvalidPolicy::Unknown),
            ("latest-by", InvalidPolicy::Unknown),
            ("close:1", InvalidPolicy::Unknown),
            ("ring", InvalidPolicy::Ring),
            ("ring:0", InvalidPolicy::Ring),
            ("ring:+1", InvalidPolicy::Ring),
            ("ring:65537", InvalidPolicy::Ring),
            ("ring:99999999999999999999", InvalidPolicy::Ring),
            ("block:5", InvalidPolicy::Block),
            ("block:0ms", InvalidPolicy::Block),
            ("block:6s", InvalidPolicy::Block),
            ("block:1h", InvalidPolicy::Block),
            ("block:18446744073709551615s", InvalidPolicy::Block),
            ("latest-by:id", InvalidPolicy::Pointer(InvalidPointer)),
        ] {
            assert_eq!(text.parse::<Policy>(), Err(fault), "{text}");
        }
    }

    #[test]
    fn a_ring_has_room_for_values_of_four_kilobytes() {
        let bytes = |events| Policy::Ring(events).room().bytes;
        assert_eq!((bytes(1), bytes(1_024), bytes(2_048), bytes(65_536)), (4 << 20, 4 << 20, 8 << 20, 64 << 20));
    }
}
