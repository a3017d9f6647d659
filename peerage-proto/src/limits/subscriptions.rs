//! The bounds of what is said about subscriptions on a link.

use super::SUBSCRIPTIONS_PER_PEER_MAX;

/// Largest content of a subscribe frame, in bytes: a pattern, and 64 KiB of names with their positions.
pub const WISH_BYTES_MAX: usize = 72 << 10;

/// What a publisher that keeps its peers' credit may count on: so much is granted to it at some time whenever its subscriber
/// is at pace, in bytes. What costs more may never fit and is cut.
pub const GRANTED_AT_PACE: usize = super::STREAM_CREDIT_START as usize / 4 * 3;

/// Subscriptions and their ends that a peer may say in a second, in the long run.
pub const SUBSCRIPTION_CHANGES_PER_SECOND: u32 = 100;

/// The same at once, after a time without: twice what one peer may have, so that all of them come at once behind a lost link.
pub const SUBSCRIPTION_CHANGES_BURST: u32 = 2 * SUBSCRIPTIONS_PER_PEER_MAX as u32;

/// Subscriptions and their ends that this end says in a second: three quarters of that, as for cancels.
pub const SUBSCRIPTION_CHANGES_SENT_PER_SECOND: u32 = 75;

/// Changes under way of which nothing was heard, at most, and changes said at once: whatever a delay holds up and delivers in
/// one instant stays within [`SUBSCRIPTION_CHANGES_BURST`].
pub const SUBSCRIPTION_CHANGES_UNANSWERED_MAX: u32 = SUBSCRIPTIONS_PER_PEER_MAX as u32;
