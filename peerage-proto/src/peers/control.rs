//! The words that two nodes exchange about their links.

use crate::id::LinkOrder;

/// A word about the link it travels on, or about the node that sends it.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Control {
    /// "I open nothing more on this link, the link with this order takes its place." Named after the link it travels on,
    /// it is a word of keeping: "I use this link (again)."
    Superseded {
        /// The link that stays.
        winner: LinkOrder,
    },
    /// "You named that link as the one that stays; it, or a greater one, carries my calls. I have given this one up."
    SupersededOk {
        /// The link that the peer had named.
        winner: LinkOrder,
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
