//! Publishing and subscribing where loss is never invisible.
//!
//! Each event has a number: a sequence for each (publisher, epoch, name), which begins with 1 and grows by one with every
//! publish, whether or not anybody listens. So whoever hears the numbers can count what it has not heard. Everything a
//! subscriber must know comes *in order in one queue*, its **feed**: where each name stands when it attaches, the events,
//! and in the place of each event that was dropped, a gap that says which and why.
//!
//! ```text
//!   publisher's node                                                                     subscriber's node
//!   Topics ──event──▶ Feed (one for each subscriber, with its policy) ──Records──▶ Positions ──▶ events, gaps
//!     sequences,        queue, gaps, positions, marks of receipts       on a link    what is known of each name
//!     who matches,
//!     what is kept
//! ```
//!
//! What is lost with a link was in the feed or on its way. It is not resent and need not be: the feed of the next attachment
//! begins by telling where each name stands, and [`Positions`] know how far they had heard. For every (epoch, name,
//! subscription) it holds that *delivered + reported missing = published*; only the crash of a publisher leaves a tail whose
//! length nobody knows, and that is reported once, as such.
//!
//! A subscription that moves to another link of the same publisher attaches there first. Then the old feed is told to finish
//! and is **read to its end before the new one is read at all**: events that went into both are known by their numbers.
//!
//! The wire is PROTOCOL §17; the bounds stand in [`limits`](crate::limits).

mod attachment;
mod feed;
mod pointer;
mod policy;
mod positions;
mod record;
mod topics;
mod wish;

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

pub use attachment::Attachment;
pub use feed::{Cut, Feed, Filled, Ledger, Mark, Offered, Tally, Waiting};
pub use pointer::{InvalidPointer, Pointer};
pub use policy::{InvalidPolicy, Policy};
pub use positions::{Heard, Missing, Positions, Untrue};
pub use record::{BadRecords, Record, Records};
pub use topics::{Keep, Published, Topic, Topics, Undeclarable, Unsubscribable, member_for};
pub use wish::{BadWish, Wish};

#[cfg(test)]
mod tests;

/// An event on its way into the feeds of its subscribers. All of them share the value.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    /// The number of the name at the publisher, as [`Topics`] gave it.
    pub topic: u32,
    /// The name.
    pub name: &'a Arc<str>,
    /// The event's number among those of its name in this epoch, from 1.
    pub seq: u64,
    /// The value, in MessagePack.
    pub value: &'a Bytes,
    /// What goes first when several wait.
    pub priority: Priority,
}

/// What goes first of events of different names that wait for the same subscriber.
///
/// Events of one name keep their order whatever their priority, so all of them should have the same.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Priority {
    /// Before all others, and dropped last.
    Control,
    /// Neither.
    #[default]
    Normal,
    /// When nothing else waits, and dropped first.
    Bulk,
}

impl Priority {
    /// All of them, first the one that goes first.
    pub const ALL: [Priority; 3] = [Priority::Control, Priority::Normal, Priority::Bulk];
}

/// `control`, `normal` or `bulk`.
impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Priority::Control => "control",
            Priority::Normal => "normal",
            Priority::Bulk => "bulk",
        })
    }
}

/// Why events are missing.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Why {
    /// The subscriber's queue at the publisher was full.
    QueueFull,
    /// Newer events took their place, as the subscriber's policy has it.
    Policy,
    /// The publisher no longer had them when they were asked for.
    Expired,
    /// The encoding of the link cannot carry their values.
    Unencodable,
    /// They were lost with a link, or published while there was none.
    LinkLost,
    /// The publisher was restarted: what its earlier run published behind the last event that was heard is not known.
    SourceRestarted,
}

impl Why {
    /// The number on the wire. `None`: a publisher does not say this; the subscriber's node finds it out.
    pub fn number(self) -> Option<u64> {
        match self {
            Why::QueueFull => Some(0),
            Why::Policy => Some(1),
            Why::Expired => Some(2),
            Why::Unencodable => Some(3),
            Why::LinkLost | Why::SourceRestarted => None,
        }
    }

    /// What a number on the wire means. One that is not known is a full queue: whatever it is, the events are not there.
    pub fn from_number(number: u64) -> Why {
        match number {
            1 => Why::Policy,
            2 => Why::Expired,
            3 => Why::Unencodable,
            _ => Why::QueueFull,
        }
    }
}

/// In kebab case, as programs read it: `queue-full`.
impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Why::QueueFull => "queue-full",
            Why::Policy => "policy",
            Why::Expired => "expired",
            Why::Unencodable => "unencodable",
            Why::LinkLost => "link-lost",
            Why::SourceRestarted => "source-restarted",
        })
    }
}
