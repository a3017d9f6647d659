//! How a subscription ends at one publisher: the words of the wire, and what each end makes of them.

use super::{LinkLost, NotSent};

/// Why no more events come on a subscription, or go into one.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FeedEnd {
    /// The subscriber wants no more. What was queued is dropped, or was sent before if it asked for that.
    #[error("unsubscribed")]
    Unsubscribed,
    /// The publisher gives whoever asked no events of these names.
    #[error("refused: {0}")]
    Refused(String),
    /// The publisher has as many subscriptions as it may have.
    #[error("limit reached: {0}")]
    LimitReached(String),
    /// The subscriber took nothing for [`limits::EVENT_STALL`](crate::limits::EVENT_STALL), though something waited for it.
    #[error("too slow: {0}")]
    TooSlow(String),
    /// More was published than the subscriber's policy has room for, and it wants to be cut then.
    #[error("overflow: {0}")]
    Overflow(String),
    /// The publisher is about to leave.
    #[error("the publisher leaves")]
    Draining,
    /// The publisher does not understand what is asked for, or the link cannot carry it.
    #[error("{0}")]
    BadRequest(String),
    /// A reason of a newer version.
    #[error("{code}: {message}")]
    Other {
        /// Its word.
        code: String,
        /// What happened, for people.
        message: String,
    },
    /// It was never asked for: the link takes no subscriptions, or takes none any more.
    #[error("not sent: {0}")]
    NotSent(NotSent),
    /// The link has ended first.
    #[error("connection lost: {0}")]
    Lost(LinkLost),
}

impl FeedEnd {
    /// The name in records: kebab case.
    pub fn name(&self) -> &str {
        match self {
            FeedEnd::Unsubscribed => "unsubscribed",
            FeedEnd::Refused(_) => "refused",
            FeedEnd::LimitReached(_) => "limit",
            FeedEnd::TooSlow(_) => "too-slow",
            FeedEnd::Overflow(_) => "overflow",
            FeedEnd::Draining => "draining",
            FeedEnd::BadRequest(_) => "bad-request",
            FeedEnd::Other { code, .. } => code,
            FeedEnd::NotSent(_) => "not-sent",
            FeedEnd::Lost(_) => "connection-lost",
        }
    }

    /// Word and text for a peer (PROTOCOL §17.4); `None` is said as null, or not at all.
    pub(crate) fn for_peer(&self) -> Option<(&str, &str)> {
        match self {
            FeedEnd::Unsubscribed | FeedEnd::NotSent(_) | FeedEnd::Lost(_) => None,
            FeedEnd::Draining => Some((self.name(), "")),
            FeedEnd::Refused(text)
            | FeedEnd::LimitReached(text)
            | FeedEnd::TooSlow(text)
            | FeedEnd::Overflow(text)
            | FeedEnd::BadRequest(text)
            | FeedEnd::Other { message: text, .. } => Some((self.name(), text)),
        }
    }

    /// What a peer says by this word (PROTOCOL §17.4).
    pub(crate) fn from_peer(code: String, message: String) -> FeedEnd {
        match code.as_str() {
            "refused" => FeedEnd::Refused(message),
            "limit" => FeedEnd::LimitReached(message),
            "too-slow" => FeedEnd::TooSlow(message),
            "overflow" => FeedEnd::Overflow(message),
            "draining" => FeedEnd::Draining,
            "bad-request" => FeedEnd::BadRequest(message),
            _ => FeedEnd::Other { code, message },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_for_a_peer_reads_back_as_the_end_it_stands_for() {
        let text = || "why".to_owned();
        let ends = [
            FeedEnd::Refused(text()),
            FeedEnd::LimitReached(text()),
            FeedEnd::TooSlow(text()),
            FeedEnd::Overflow(text()),
            FeedEnd::Draining,
            FeedEnd::BadRequest(text()),
            FeedEnd::Other { code: "new".to_owned(), message: text() },
        ];
        for end in ends {
            let (code, message) = end.for_peer().expect("a word of the wire");
            assert_eq!(FeedEnd::from_peer(code.to_owned(), message.to_owned()), end);
        }
        for end in [FeedEnd::Unsubscribed, FeedEnd::NotSent(NotSent::NoRoute), FeedEnd::Lost(LinkLost::Silent)] {
            assert_eq!(end.for_peer(), None, "{end}");
        }
    }
}
