//! How a call can end: one vocabulary for the library, the wire and the command line.
//!
//! A caller who gets no value wants to know one thing first: *may it have run?* So every way to end without a value
//! belongs to one of three classes, and the class "did not run" is a claim about the other side that is only made when
//! it is certain: no byte was written, or the peer's own refusal arrived before the handler started. In doubt the
//! outcome is *unknown*.
//!
//! ```text
//!   class         may_have_run   outcomes here
//!   did not run   false          absent, not-yet-known, refused, not-sent, busy, incompatible
//!   failed        true           remote
//!   unknown       true           deadline, connection-lost, cancelled, protocol
//! ```

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use crate::codec::Payload;

mod feed;
mod reason;

pub use feed::FeedEnd;
pub use reason::{Busy, Code, LinkLost, NotSent, PeerMisbehaved, Refused, Stop};

/// Why a call gave no value.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// All there is to know is known, and nobody offers it. Nothing ran; it may be there when somebody joins.
    #[error("absent: nobody offers `{what}`")]
    Absent {
        /// What was looked for: a function, or a node.
        what: String,
        /// Number of the view of the members that says so.
        as_of: u64,
    },
    /// Time passed before all there is to know was known, and nobody that is known offers it. Nothing ran.
    #[error("`{what}` is not yet known: {}", missing.join("; "))]
    NotYetKnown {
        /// What was looked for: a function, or a node.
        what: String,
        /// What was missing.
        missing: Vec<String>,
    },
    /// Somebody said no before the handler started, or the local check did. Nothing ran; asking again changes nothing.
    #[error("refused: {why}")]
    Refused {
        /// What was wrong.
        why: Refused,
    },
    /// No byte of the request was written. Nothing ran; trying again is safe.
    #[error("not sent: {why}")]
    NotSent {
        /// What kept it from leaving.
        why: NotSent,
    },
    /// The peer refused for now, before the handler started.
    #[error("busy: {why}, try again after {retry_after:?}")]
    Busy {
        /// What the peer is short of.
        why: Busy,
        /// When the peer asks to be tried again.
        retry_after: Duration,
    },
    /// The handler ran and failed. Never retried by us.
    #[error("{}{message}", .code.prefix())]
    Remote {
        /// What kind of failure, for programs. [`Code::PLAIN`] from a peer that sends only a text.
        code: Code,
        /// What happened, for people.
        message: String,
        /// More of it, if the handler gave any.
        data: Option<Payload>,
    },
    /// The deadline passed after bytes were written. The link stays up; `stop` is the callee's word on the work.
    #[error("deadline passed, callee: {stop}")]
    Deadline {
        /// What became of the work.
        stop: Stop,
    },
    /// The link ended first. Nothing is known about the work.
    #[error("connection lost: {why}")]
    ConnectionLost {
        /// How the link ended.
        why: LinkLost,
    },
    /// The caller gave up after bytes were written.
    #[error("cancelled, callee: {stop}")]
    Cancelled {
        /// What became of the work.
        stop: Stop,
    },
    /// The answer broke the protocol or does not decode.
    #[error("protocol error: {why}")]
    Protocol {
        /// What was wrong with it.
        why: String,
    },
}

impl CallError {
    /// Which row of the outcome table this is.
    pub fn outcome(&self) -> Outcome {
        match self {
            CallError::Absent { .. } => Outcome::Absent,
            CallError::NotYetKnown { .. } => Outcome::NotYetKnown,
            CallError::Refused { .. } => Outcome::Refused,
            CallError::NotSent { .. } => Outcome::NotSent,
            CallError::Busy { .. } => Outcome::Busy,
            CallError::Remote { .. } => Outcome::Remote,
            CallError::Deadline { .. } => Outcome::Deadline,
            CallError::ConnectionLost { .. } => Outcome::ConnectionLost,
            CallError::Cancelled { .. } => Outcome::Cancelled,
            CallError::Protocol { .. } => Outcome::Protocol,
        }
    }

    /// What is known about the work.
    pub fn class(&self) -> Class {
        self.outcome().class()
    }

    /// False only where it is certain that the handler never started.
    pub fn may_have_run(&self) -> bool {
        self.outcome().may_have_run()
    }

    /// How long the peer asks us to wait before another try, if it said so.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            CallError::Busy { retry_after, .. } => Some(*retry_after),
            _ => None,
        }
    }

    /// The reason inside the outcome in kebab case, as records print it; `None` where the outcome says it all.
    pub fn why(&self) -> Option<Cow<'static, str>> {
        match self {
            CallError::Refused { why } => Some(why.name().into()),
            CallError::NotSent { why } => Some(why.name().into()),
            CallError::Busy { why, .. } => Some(why.name().into()),
            CallError::ConnectionLost { why } => Some(why.name().into()),
            CallError::Absent { .. }
            | CallError::NotYetKnown { .. }
            | CallError::Remote { .. }
            | CallError::Deadline { .. }
            | CallError::Cancelled { .. }
            | CallError::Protocol { .. } => None,
        }
    }
}

/// The rows of the outcome table. `Display` is the name used in records.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Outcome {
    /// A value arrived.
    Ok,
    /// Nobody offers it.
    Absent,
    /// Time passed before that was certain.
    NotYetKnown,
    /// Somebody, or the local check, said no.
    Refused,
    /// No byte of it was written.
    NotSent,
    /// The peer's refusal for now.
    Busy,
    /// No common version or encoding.
    Incompatible,
    /// The handler ran and failed.
    Remote,
    /// Time is over after bytes were written.
    Deadline,
    /// The link ended after bytes were written.
    ConnectionLost,
    /// The caller gave up after bytes were written.
    Cancelled,
    /// The answer broke the protocol.
    Protocol,
}

impl Outcome {
    /// Every row, for tables and tests.
    pub const ALL: [Outcome; 12] = [
        Outcome::Ok,
        Outcome::Absent,
        Outcome::NotYetKnown,
        Outcome::Refused,
        Outcome::NotSent,
        Outcome::Busy,
        Outcome::Incompatible,
        Outcome::Remote,
        Outcome::Deadline,
        Outcome::ConnectionLost,
        Outcome::Cancelled,
        Outcome::Protocol,
    ];

    /// What is known about the work after this outcome.
    pub fn class(self) -> Class {
        match self {
            Outcome::Ok => Class::Ok,
            Outcome::Absent
            | Outcome::NotYetKnown
            | Outcome::Refused
            | Outcome::NotSent
            | Outcome::Busy
            | Outcome::Incompatible => Class::DidNotRun,
            Outcome::Remote => Class::Failed,
            Outcome::Deadline | Outcome::ConnectionLost | Outcome::Cancelled | Outcome::Protocol => Class::Unknown,
        }
    }

    /// False only where it is certain that the handler never started.
    pub fn may_have_run(self) -> bool {
        self.class() != Class::DidNotRun
    }

    /// The name in records: kebab case.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Ok => "ok",
            Outcome::Absent => "absent",
            Outcome::NotYetKnown => "not-yet-known",
            Outcome::Refused => "refused",
            Outcome::NotSent => "not-sent",
            Outcome::Busy => "busy",
            Outcome::Incompatible => "incompatible",
            Outcome::Remote => "remote",
            Outcome::Deadline => "deadline",
            Outcome::ConnectionLost => "connection-lost",
            Outcome::Cancelled => "cancelled",
            Outcome::Protocol => "protocol",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What is known about the work of a call that has ended.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Class {
    /// It ran and gave a value.
    Ok,
    /// The handler certainly never started.
    DidNotRun,
    /// The handler ran and failed.
    Failed,
    /// Nothing is certain.
    Unknown,
}

impl Class {
    /// The name in records: kebab case.
    pub fn name(self) -> &'static str {
        match self {
            Class::Ok => "ok",
            Class::DidNotRun => "did-not-run",
            Class::Failed => "failed",
            Class::Unknown => "unknown",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_has_the_class_that_the_guarantees_give_it() {
        let table = [
            ("ok", "ok", true),
            ("absent", "did-not-run", false),
            ("not-yet-known", "did-not-run", false),
            ("refused", "did-not-run", false),
            ("not-sent", "did-not-run", false),
            ("busy", "did-not-run", false),
            ("incompatible", "did-not-run", false),
            ("remote", "failed", true),
            ("deadline", "unknown", true),
            ("connection-lost", "unknown", true),
            ("cancelled", "unknown", true),
            ("protocol", "unknown", true),
        ];
        let ours = Outcome::ALL.map(|o| (o.name(), o.class().name(), o.may_have_run()));
        assert_eq!(ours, table);
    }

    #[test]
    fn numbers_of_the_wire_read_back_as_the_word_they_stand_for() {
        for stop in [Stop::NotStarted, Stop::Stopped, Stop::Completed, Stop::Detached] {
            assert_eq!(stop.number().and_then(Stop::from_number), Some(stop));
        }
        assert_eq!(Stop::Unconfirmed.number(), None);
        for busy in [Busy::Overloaded, Busy::LimitReached, Busy::Draining, Busy::Expired] {
            assert_eq!(Busy::from_number(busy.number()), Some(busy));
        }
        assert_eq!((Stop::from_number(4), Busy::from_number(4)), (None, None));
    }

    #[test]
    fn a_code_stands_in_brackets_before_the_message_unless_it_says_nothing() {
        let remote = |code| CallError::Remote { code, message: "boom".into(), data: None };
        assert_eq!(remote(Code::INTERNAL).to_string(), "[internal] boom");
        assert_eq!(remote(Code::PLAIN).to_string(), "boom");
    }
}
