//! How a call can end: one vocabulary for the library, the wire and the command line.
//!
//! A caller who gets no value wants to know one thing first: *may it have run?* So every way to end without a value
//! belongs to one of three classes, and the class "did not run" is a claim about the other side that is only made when
//! it is certain: no byte was written, or the peer's own refusal arrived before the handler started. In doubt the
//! outcome is *unknown*.
//!
//! ```text
//!   class         may_have_run   outcomes here
//!   did not run   false          refused, not-sent, busy
//!   failed        true           remote
//!   unknown       true           deadline, connection-lost, cancelled, protocol
//! ```

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use crate::codec::Payload;

/// Why a call gave no value.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
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
            CallError::Remote { .. }
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
    /// Somebody, or the local check, said no.
    Refused,
    /// No byte of it was written.
    NotSent,
    /// The peer's refusal for now.
    Busy,
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
    pub const ALL: [Outcome; 9] = [
        Outcome::Ok,
        Outcome::Refused,
        Outcome::NotSent,
        Outcome::Busy,
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
            Outcome::Refused | Outcome::NotSent | Outcome::Busy => Class::DidNotRun,
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
            Outcome::Refused => "refused",
            Outcome::NotSent => "not-sent",
            Outcome::Busy => "busy",
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

/// Why a request was refused for good.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// The request is malformed, or holds a value that the codec of the link cannot carry.
    #[error("{0}")]
    BadRequest(String),
    /// The encoded request is larger than the frame limit of this end, in bytes.
    #[error("{size} bytes do not fit into one frame of at most {limit} bytes")]
    TooLarge {
        /// Size of the frame body that was asked for, in bytes.
        size: u64,
        /// Largest frame body allowed, in bytes.
        limit: u32,
    },
}

impl Refused {
    fn name(&self) -> &'static str {
        match self {
            Refused::BadRequest(_) => "bad-request",
            Refused::TooLarge { .. } => "too-large",
        }
    }
}

/// Why no byte of a request was written.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum NotSent {
    /// There is no link, or it ended before the request left.
    #[error("there is no link to the peer")]
    NoRoute,
    /// The link had no room for it before its deadline.
    #[error("the link had no room before the deadline")]
    QueueFull,
    /// More callers wait for this link than are allowed to.
    #[error("too many callers wait for this link")]
    LimitReached,
    /// This end is closing or closed.
    #[error("this end is shutting down")]
    ShuttingDown,
    /// The caller gave up first.
    #[error("cancelled before it was sent")]
    Cancelled,
}

impl NotSent {
    fn name(self) -> &'static str {
        match self {
            NotSent::NoRoute => "no-route",
            NotSent::QueueFull => "queue-full",
            NotSent::LimitReached => "limit-reached",
            NotSent::ShuttingDown => "shutting-down",
            NotSent::Cancelled => "cancelled",
        }
    }
}

/// Why a peer refuses for now. The numbers are those of the wire (PROTOCOL §4).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Busy {
    /// More work is offered than gets done.
    #[error("overloaded")]
    Overloaded,
    /// As many requests are being served as are allowed at once.
    #[error("limit reached")]
    LimitReached,
    /// The peer is leaving.
    #[error("draining")]
    Draining,
    /// The request's deadline had passed when it was read.
    #[error("expired before it was read")]
    Expired,
}

impl Busy {
    /// The reason with this number on the wire; `None` for a number of a newer version.
    pub fn from_number(number: u64) -> Option<Busy> {
        [Busy::Overloaded, Busy::LimitReached, Busy::Draining, Busy::Expired]
            .into_iter()
            .find(|b| b.number() == number)
    }

    /// The number on the wire.
    pub fn number(self) -> u64 {
        match self {
            Busy::Overloaded => 0,
            Busy::LimitReached => 1,
            Busy::Draining => 2,
            Busy::Expired => 3,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Busy::Overloaded => "overloaded",
            Busy::LimitReached => "limit-reached",
            Busy::Draining => "draining",
            Busy::Expired => "expired",
        }
    }
}

/// The callee's word on work that its caller no longer waits for. The numbers are those of the wire (PROTOCOL §4).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Stop {
    /// The handler had not begun and never will.
    NotStarted,
    /// The handler was ended.
    Stopped,
    /// The handler had already finished.
    Completed,
    /// The handler goes on, because it was declared so.
    Detached,
    /// The callee did not say; a plain peer cannot.
    Unconfirmed,
}

impl Stop {
    /// The word with this number on the wire; `None` for a number of a newer version.
    pub fn from_number(number: u64) -> Option<Stop> {
        match number {
            0 => Some(Stop::NotStarted),
            1 => Some(Stop::Stopped),
            2 => Some(Stop::Completed),
            3 => Some(Stop::Detached),
            _ => None,
        }
    }

    /// The number on the wire; `None` for [`Stop::Unconfirmed`], which is never sent.
    pub fn number(self) -> Option<u64> {
        match self {
            Stop::NotStarted => Some(0),
            Stop::Stopped => Some(1),
            Stop::Completed => Some(2),
            Stop::Detached => Some(3),
            Stop::Unconfirmed => None,
        }
    }

    /// The name in records: kebab case.
    pub fn name(self) -> &'static str {
        match self {
            Stop::NotStarted => "not-started",
            Stop::Stopped => "stopped",
            Stop::Completed => "completed",
            Stop::Detached => "detached",
            Stop::Unconfirmed => "unconfirmed",
        }
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How a link ended.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkLost {
    /// The peer closed its side in order.
    #[error("closed by the peer")]
    PeerClosed,
    /// The operating system reports the connection broken.
    #[error("{0}")]
    Broken(String),
    /// The peer broke the protocol, so this end closed the link.
    #[error("{0}")]
    Misbehaved(PeerMisbehaved),
    /// The peer stood still in the middle of a frame for longer than [`crate::limits::FRAME_STALL`].
    #[error("the peer stood still in the middle of a frame")]
    Stalled,
    /// This end closed it.
    #[error("closed by this end")]
    ClosedHere,
}

impl LinkLost {
    fn name(&self) -> &'static str {
        match self {
            LinkLost::PeerClosed => "peer-closed",
            LinkLost::Broken(_) => "broken",
            LinkLost::Misbehaved(_) => "misbehaved",
            LinkLost::Stalled => "stalled",
            LinkLost::ClosedHere => "closed-here",
        }
    }
}

/// What a peer did that the protocol does not allow. Each ends the link it happened on, and no other.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PeerMisbehaved {
    /// A length prefix above the limit of this end.
    #[error("a frame of {size} bytes is announced, at most {limit} are accepted")]
    FrameTooLarge {
        /// Announced size of the body, in bytes.
        size: u32,
        /// Largest body accepted, in bytes.
        limit: u32,
    },
    /// The body is not a triple of this connection's codec.
    #[error("bad frame: {0}")]
    BadFrame(crate::codec::BadTriple),
    /// The first byte of a connection belongs to no codec we speak.
    #[error("the first byte 0x{0:02x} is neither JSON nor MessagePack")]
    UnknownCodec(u8),
    /// A frame type that does not exist in this dialect.
    #[error("invalid message type {0}")]
    UnknownKind(u64),
    /// A request id that breaks the rules of the full dialect: wrong parity, reused or falling.
    #[error("request id {0} is reused, falls or has the wrong parity")]
    BadRequestId(u64),
    /// The content of a control frame has the wrong shape.
    #[error("a {0} frame whose content does not decode")]
    BadContent(&'static str),
}

/// What kind of failure a handler reports, for programs: a short kebab-case word.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Code(Cow<'static, str>);

impl Code {
    /// The failure came over a plain link, which carries a text only.
    pub const PLAIN: Code = Code(Cow::Borrowed("plain"));
    /// The handler panicked, or its answer could not be encoded.
    pub const INTERNAL: Code = Code(Cow::Borrowed("internal"));
    /// The handler dropped the request without an answer.
    pub const DROPPED: Code = Code(Cow::Borrowed("dropped"));
    /// The content of the request does not have the form that the handler wants.
    pub const BAD_REQUEST: Code = Code(Cow::Borrowed("bad-request"));

    /// A code of the application's own.
    pub fn new(code: impl Into<Cow<'static, str>>) -> Code {
        Code(code.into())
    }

    /// The word itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The code in front of a message, where it says more than the message does.
    fn prefix(&self) -> String {
        if *self == Code::PLAIN {
            String::new()
        } else {
            format!("[{self}] ")
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_has_the_class_that_the_guarantees_give_it() {
        let table = [
            ("ok", "ok", true),
            ("refused", "did-not-run", false),
            ("not-sent", "did-not-run", false),
            ("busy", "did-not-run", false),
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
        let remote = |code| CallError::Remote {
            code,
            message: "boom".into(),
            data: None,
        };
        assert_eq!(remote(Code::INTERNAL).to_string(), "[internal] boom");
        assert_eq!(remote(Code::PLAIN).to_string(), "boom");
    }
}
