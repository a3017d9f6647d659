//! The reasons inside the outcomes: why it was refused, why it was not sent, how the link ended, what the peer did.

use std::borrow::Cow;
use std::fmt;

/// Why a request was refused for good.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// The request is malformed, or holds a value that the codec of the link cannot carry.
    #[error("{0}")]
    BadRequest(String),
    /// The peer offers no service of this name to whoever asked.
    #[error("no service `{0}`")]
    NoSuchService(String),
    /// The peer does not serve whoever asked, or a check at either end did not let the call through.
    #[error("denied: {0}")]
    Denied(String),
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
    /// The reason that a peer gives by this number, with its detail (PROTOCOL §4). A number of a newer version is a bad
    /// request with the detail as its text.
    pub(crate) fn from_peer(number: u64, detail: String) -> Refused {
        match number {
            1 => Refused::NoSuchService(detail),
            2 => Refused::Denied(detail),
            _ => Refused::BadRequest(detail),
        }
    }

    /// Number and detail for a peer.
    pub(crate) fn for_peer(&self) -> (u64, String) {
        match self {
            Refused::NoSuchService(tag) => (1, tag.clone()),
            Refused::Denied(why) => (2, why.clone()),
            why => (0, why.to_string()),
        }
    }

    /// The name in records: kebab case.
    pub fn name(&self) -> &'static str {
        match self {
            Refused::BadRequest(_) => "bad-request",
            Refused::NoSuchService(_) => "no-such-service",
            Refused::Denied(_) => "denied",
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
    pub(super) fn name(self) -> &'static str {
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
        [Busy::Overloaded, Busy::LimitReached, Busy::Draining, Busy::Expired].into_iter().find(|b| b.number() == number)
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

    pub(super) fn name(self) -> &'static str {
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
    /// The peer gave no sign of life for longer than the link is patient.
    #[error("the peer is silent")]
    Silent,
    /// The peer left more unread than this end keeps for it.
    #[error("the peer does not read what is sent to it")]
    TooSlow,
    /// This end closed it.
    #[error("closed by this end")]
    ClosedHere,
    /// The peer lives, but the process that it had handed the request to has ended.
    #[error("handler process ended")]
    HandlerEnded,
    /// The peer was asked again after a link was lost, and has forgotten what came of the call.
    #[error("the peer has forgotten what came of the call")]
    AnswerForgotten,
}

impl LinkLost {
    pub(super) fn name(&self) -> &'static str {
        match self {
            LinkLost::PeerClosed => "peer-closed",
            LinkLost::Broken(_) => "broken",
            LinkLost::Misbehaved(_) => "misbehaved",
            LinkLost::Stalled => "stalled",
            LinkLost::Silent => "silent",
            LinkLost::TooSlow => "too-slow",
            LinkLost::ClosedHere => "closed-here",
            LinkLost::HandlerEnded => "handler-ended",
            LinkLost::AnswerForgotten => "answer-forgotten",
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
    /// More cancels, pings and other small frames than a peer may send.
    #[error("more cancels and other small frames than are allowed")]
    TooManyResets,
    /// The answer to a question this end never asked: a pong to no ping, a word on a form nobody proposed; or a proposal
    /// before the last one is settled.
    #[error("a frame of type {0} that answers nothing, or out of its turn")]
    Unasked(u64),
    /// A compressed content without an agreement on compression.
    #[error("a frame of type {0}, compressed, which was not agreed on")]
    NotAgreed(u64),
    /// More was sent on a stream than had been granted.
    #[error("more was sent on stream {0} than was granted")]
    OverCredit(u64),
    /// More was granted on a stream than a credit holds.
    #[error("more is granted on stream {0} than a credit holds")]
    CreditOverflow(u64),
    /// A frame of a stream that was never opened, or behind its end.
    #[error("a frame of stream {0}, which was never opened or has ended")]
    NoStream(u64),
    /// A large item that is larger than any may be.
    #[error("a value of more than {limit} bytes")]
    ValueTooLarge {
        /// Largest value accepted, in bytes.
        limit: usize,
    },
    /// A subscription whose number is not greater than all before it on the link.
    #[error("subscription {0} is reused, or its number falls")]
    BadSubscription(u64),
    /// A frame of a subscription that was never asked for.
    #[error("a frame of subscription {0}, which was never asked for")]
    NoSubscription(u64),
    /// More events were sent than had been granted.
    #[error("more was sent for subscription {0} than was granted")]
    OverGrant(u64),
    /// More was granted for events than a credit holds.
    #[error("more is granted for subscription {0} than a credit holds")]
    GrantOverflow(u64),
    /// A word on a mark that had not been sent.
    #[error("mark {mark} of subscription {number} is confirmed, which was never set")]
    NotMarked {
        /// Number of the subscription.
        number: u64,
        /// Number of the mark.
        mark: u64,
    },
    /// A word between nodes that is longer than any of its kind needs to be.
    #[error("a frame of type {kind} with {size} bytes of content, at most {limit} are accepted")]
    WordTooLarge {
        /// Number of the kind.
        kind: u8,
        /// Size of its content, in bytes.
        size: usize,
        /// Largest content accepted, in bytes.
        limit: usize,
    },
}

/// What kind of failure a handler reports, for programs: a short kebab-case word.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Code(Cow<'static, str>);

impl Code {
    /// The failure came over a plain link, which carries a text only.
    pub const PLAIN: Code = Code(Cow::Borrowed("plain"));
    /// The handler panicked, or its answer could not be encoded.
    pub const INTERNAL: Code = Code(Cow::Borrowed("internal"));
    /// The answer is no value but a flag; the message is the flag's name.
    pub const FLAG: Code = Code(Cow::Borrowed("flag"));
    /// The deadline passed while the handler was at work, and the caller had not cancelled.
    pub const EXPIRED: Code = Code(Cow::Borrowed("expired"));
    /// The request was handed to another process, which has ended: a caller takes it for [`LinkLost::HandlerEnded`].
    pub const HANDLER_LOST: Code = Code(Cow::Borrowed("handler-lost"));
    /// A request with a key was asked again, and what came of it is not known any more: a caller takes it for
    /// [`LinkLost::AnswerForgotten`].
    pub const ANSWER_LOST: Code = Code(Cow::Borrowed("answer-lost"));
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
    pub(super) fn prefix(&self) -> String {
        if *self == Code::PLAIN { String::new() } else { format!("[{self}] ") }
    }
}

impl From<&'static str> for Code {
    fn from(code: &'static str) -> Code {
        Code::new(code)
    }
}

impl From<String> for Code {
    fn from(code: String) -> Code {
        Code::new(code)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
