//! The words that two nodes exchange about their links.

use crate::id::LinkOrder;

/// A word about the link it travels on, or about the node that sends it.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Control {
    /// "I open nothing more on this link, the link with this order takes its place." Where it names the link it travels on
    /// it means "I keep this link", and takes back whatever its sender has said on it before.
    Superseded {
        /// The link that stays.
        winner: LinkOrder,
        /// How often the sender has kept this link so far, this word included.
        round: u32,
    },
    /// "The link that you named is up here too. I have given this one up."
    SupersededOk {
        /// The link that the peer had named.
        winner: LinkOrder,
        /// The peer's number, so that an answer which crosses a word of keeping is seen to be void.
        round: u32,
    },
    /// "I leave, or want no link with you."
    Disconnect {
        /// Why, for people; at most [`REASON_BYTES_MAX`](crate::limits::REASON_BYTES_MAX) bytes.
        reason: String,
    },
    /// "I have heard your Disconnect; close."
    Disconnected,
    /// "I finish what I have accepted, take nothing new, and will leave."
    Draining,
}
