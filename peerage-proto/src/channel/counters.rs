//! What happened on a link, counted.

/// What happened on a link so far. All counts are since its beginning.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counters {
    /// Requests sent.
    pub calls: u64,
    /// Requests received, refused ones included.
    pub requests: u64,
    /// Answers that came after their call had ended, or twice, or to nothing that was asked.
    pub late_replies: u64,
    /// Notifications that were dropped where a request would have been refused as busy.
    pub notifications_dropped: u64,
    /// Requests refused as busy.
    pub refused_busy: u64,
    /// Frames of a newer version that were skipped.
    pub skipped_frames: u64,
    /// Frames of records and summaries beyond what a peer may send of them, which were not looked at.
    pub gossip_dropped: u64,
    /// Cancels that had to wait so that the peer does not take offence.
    pub cancels_withheld: u64,
    /// Cancels that were never sent for the same reason; the callee's deadline ends that work.
    pub cancels_dropped: u64,
    /// Items, and other frames of conversations, that came after their call had ended here.
    pub late_items: u64,
    /// Events, and other frames of subscriptions, that came after their subscription had ended here.
    pub late_events: u64,
    /// Subscriptions, and their ends, that had to wait so that the peer does not take offence.
    pub changes_withheld: u64,
    /// Contents that did not decompress.
    pub bad_blocks: u64,
    /// Jumps of the time after which requests were kept back.
    pub pauses: u64,
    /// Bytes received, as frames count them.
    pub bytes_in: u64,
    /// Bytes written.
    pub bytes_out: u64,
}

/// Counts so many more.
pub(super) fn count(counter: &mut u64, more: u64) {
    *counter = counter.saturating_add(more);
}
