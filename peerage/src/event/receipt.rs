//! What a publisher learns of the events it published.

use std::ops::AddAssign;

use peerage_proto::codec::EncodeError;
use peerage_proto::id::NodeId;
use peerage_proto::limits;
use peerage_proto::outcome::{Class, Outcome};

use peerage_proto::events::{Undeclarable, Why};

/// What became of published events at this node, by the time `publish` was done.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Receipt {
    /// The number of the first of them.
    pub first: u64,
    /// The number of the last of them.
    pub last: u64,
    /// Subscriptions that they were for.
    pub matched: u64,
    /// Events that wait in queues of subscriptions now, each counted for each.
    pub queued: u64,
    /// Events that subscriptions will not get, newer ones having taken their place or the queue being full. They may be older
    /// than those that were just published. Each subscriber hears of its own as a gap.
    pub dropped: Vec<Dropped>,
}

/// Events that a subscriber will not get.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Dropped {
    /// Whose subscription.
    pub peer: NodeId,
    /// How many events.
    pub count: u64,
    /// Why.
    pub why: Why,
}

/// Events of which it is not known whether a subscriber got them.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Unknown {
    /// Whose subscription.
    pub peer: NodeId,
    /// How many events.
    pub count: u64,
}

/// What became of published events at those who subscribe to them: `due = delivered + dropped + unknown`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Confirmation {
    /// The number of the first of them.
    pub first: u64,
    /// The number of the last of them.
    pub last: u64,
    /// Subscriptions that they were for.
    pub matched: u64,
    /// Events, each counted for each subscription that it was for.
    pub due: u64,
    /// Those that lie in the subscriber's own queue at its node, or were taken from there.
    pub delivered: u64,
    /// Those that will not get there. Each subscriber hears of its own as a gap.
    pub dropped: Vec<Dropped>,
    /// Those of which nothing was heard in time, or whose link was lost meanwhile.
    pub unknown: Vec<Unknown>,
}

/// Why nothing was published. Nobody got anything of it, and no number was used up: the class is always
/// [`Class::DidNotRun`].
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The value cannot travel.
    #[error("the value cannot be published: {0}")]
    Encode(#[from] EncodeError),
    /// The value is larger than an event may be.
    #[error(
        "a value of {size} bytes is too large for an event, which holds at most {}: publish where it is, and let those who want it call for it",
        limits::EVENT_BYTES_MAX
    )]
    TooLarge {
        /// Its encoded size, in bytes.
        size: usize,
    },
    /// It is no name of an event.
    #[error("`{0}` is no name of an event: 1 to 255 letters and digits of ASCII and . _ / -")]
    NoName(String),
    /// The node counts as many names of events as it can, and none is forgotten while it runs.
    #[error(
        "this node publishes {} names of events already: put what varies into the value, not into the name",
        limits::EVENT_NAMES_MAX
    )]
    TooManyNames,
    /// Other nodes were allowed to subscribe to the name before.
    #[error("other nodes may subscribe to this event already: allow nodes once, before the name is used")]
    BoundOtherwise,
    /// The node has stopped.
    #[error("this node has stopped")]
    ShuttingDown,
}

impl PublishError {
    /// Why a name could not be declared.
    pub(super) fn of(name: &str, why: Undeclarable) -> PublishError {
        match why {
            Undeclarable::Limit => PublishError::TooManyNames,
            Undeclarable::BoundOtherwise => PublishError::BoundOtherwise,
            _ => PublishError::NoName(name.to_owned()),
        }
    }

    /// Which row of the outcome table this is.
    pub fn outcome(&self) -> Outcome {
        match self {
            PublishError::Encode(_)
            | PublishError::TooLarge { .. }
            | PublishError::NoName(_)
            | PublishError::BoundOtherwise => Outcome::Refused,
            PublishError::TooManyNames | PublishError::ShuttingDown => Outcome::NotSent,
        }
    }

    /// What is known: nothing was published.
    pub fn class(&self) -> Class {
        self.outcome().class()
    }

    /// Always false.
    pub fn may_have_run(&self) -> bool {
        self.outcome().may_have_run()
    }

    /// The reason inside the outcome in kebab case, as records print it.
    pub fn why(&self) -> &'static str {
        match self {
            PublishError::Encode(_) | PublishError::NoName(_) => "bad-request",
            PublishError::BoundOtherwise => "denied",
            PublishError::TooLarge { .. } => "too-large",
            PublishError::TooManyNames => "limit-reached",
            PublishError::ShuttingDown => "shutting-down",
        }
    }
}

/// Adds one more to a list with one row for each peer and reason.
pub(super) fn add_dropped(all: &mut Vec<Dropped>, peer: NodeId, count: u64, why: Why) {
    if count == 0 {
        return;
    }
    match all.iter_mut().find(|row| row.peer == peer && row.why == why) {
        Some(row) => row.count = row.count.saturating_add(count),
        None => all.push(Dropped { peer, count, why }),
    }
}

/// Adds one more to a list with one row for each peer.
pub(super) fn add_unknown(all: &mut Vec<Unknown>, peer: NodeId, count: u64) {
    if count == 0 {
        return;
    }
    match all.iter_mut().find(|row| row.peer == peer) {
        Some(row) => row.count = row.count.saturating_add(count),
        None => all.push(Unknown { peer, count }),
    }
}

/// One receipt for what was published in several goes.
impl AddAssign for Receipt {
    fn add_assign(&mut self, other: Receipt) {
        if self.first == 0 {
            self.first = other.first;
        }
        self.last = other.last.max(self.last);
        self.matched = self.matched.max(other.matched);
        self.queued = self.queued.saturating_add(other.queued);
        for row in other.dropped {
            add_dropped(&mut self.dropped, row.peer, row.count, row.why);
        }
    }
}
