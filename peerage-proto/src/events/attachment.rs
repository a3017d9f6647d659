//! What a subscriber is told first: where every name stands that matches, and what it asked for of the past.

use std::sync::Arc;

use bytes::Bytes;

use super::Priority;

/// With what a feed begins. Made by [`Topics::subscribe`](super::Topics::subscribe) in the same moment in which the
/// subscription begins to match: every event published later goes into the feed behind it.
#[derive(Clone, Debug, Default)]
pub struct Attachment {
    /// A member of a group gets some events only: what it does not get is not missing.
    pub(super) is_shared: bool,
    pub(super) names: Vec<Standing>,
    /// Events of the past, those of one name behind each other and up to where the name stands.
    pub(super) backlog: Vec<Kept>,
}

/// Where a name stands.
#[derive(Clone, Debug)]
pub(super) struct Standing {
    pub(super) topic: u32,
    pub(super) name: Arc<str>,
    /// The last event before those that are told.
    pub(super) seq: u64,
    /// The last event that was asked for and is no longer kept; `seq` if there is none.
    pub(super) expired: u64,
}

/// An event of the past.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    /// Which of the names.
    pub(super) name: usize,
    pub(super) seq: u64,
    pub(super) value: Bytes,
    pub(super) priority: Priority,
}

impl Attachment {
    /// How many names match.
    pub fn matching(&self) -> usize {
        self.names.len()
    }

    /// How many events of the past follow.
    pub fn backlog(&self) -> usize {
        self.backlog.len()
    }
}
