//! How long a call may take: from its first try on, not from when it was made.

use std::time::Duration;

use tokio::time::Instant;

/// When a call ends without an answer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Time {
    /// So long from the moment it is first tried on.
    From(Duration),
    /// At this time.
    At(Instant),
    /// When the connection ends.
    Never,
}

impl Time {
    /// Whether some milliseconds more or less do not matter.
    pub(super) fn is_long(&self) -> bool {
        matches!(self, Time::Never) || matches!(self, Time::From(so_long) if *so_long >= LONG)
    }

    /// Starts the time running, if it is not yet, and tells the deadline.
    pub(crate) fn settle(&mut self, now: Instant) -> Option<Instant> {
        if let Time::From(so_long) = *self {
            *self = Time::At(now + so_long);
        }
        match *self {
            Time::At(deadline) => Some(deadline),
            Time::From(_) | Time::Never => None,
        }
    }
}

/// A deadline from which on a few milliseconds do not matter.
const LONG: Duration = Duration::from_secs(1);
