//! What happens to a node and around it, as a stream.

use serde::{Deserialize, Serialize};

/// Something that happened, as [`Node::events`](super::Node::events) tells it.
///
/// For each other node the order is `joined`, then `suspect` and `up` as often as it takes, then `left` or `lost`; never a
/// second `joined` of one epoch without an end between.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Event {
    /// Another node is there.
    Joined {
        /// Its id.
        id: String,
        /// Its name.
        name: String,
        /// Its epoch.
        epoch: String,
        /// How we know.
        why: String,
    },
    /// A node that was suspect is well.
    Up {
        /// Its id.
        id: String,
        /// Its name.
        name: String,
        /// Its epoch.
        epoch: String,
        /// How we know.
        why: String,
    },
    /// A node is silent, or its link has gone.
    Suspect {
        /// Its id.
        id: String,
        /// Its name.
        name: String,
        /// Its epoch.
        epoch: String,
        /// What we saw.
        why: String,
    },
    /// A node said goodbye.
    Left {
        /// Its id.
        id: String,
        /// Its name.
        name: String,
        /// Its epoch.
        epoch: String,
        /// Its word.
        why: String,
    },
    /// A node is gone without a word.
    Lost {
        /// Its id.
        id: String,
        /// Its name.
        name: String,
        /// Its epoch.
        epoch: String,
        /// What we saw.
        why: String,
    },
    /// This node has its first link, at the start or after having had none.
    Connected,
    /// This node has no link any more.
    Isolated,
    /// Something is wrong that somebody can cure.
    Fault {
        /// Which, in kebab case.
        fault: String,
        /// What is wrong, with the address or the peer it is about.
        detail: String,
        /// What to do about it.
        remedy: String,
    },
    /// A fault is gone.
    Cleared {
        /// Which.
        fault: String,
        /// What was wrong.
        detail: String,
    },
    /// This node leaves: it finishes what it has and takes nothing new.
    Draining,
    /// This node has stopped. Nothing comes after it.
    Stopped,
    /// The reader was too slow, and these many events are missing here: read the present state from
    /// [`Node::peers`](super::Node::peers) and go on.
    Skipped {
        /// How many.
        count: u64,
    },
}
