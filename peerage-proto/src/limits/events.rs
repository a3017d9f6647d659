//! The bounds of events: queues, subscriptions, what is kept of the past.

use std::time::Duration;

/// Events that wait for one subscriber, unless its policy says otherwise.
pub const EVENT_QUEUE_DEFAULT: u32 = 1_024;

/// Bytes of the values of events that wait for one subscriber, unless its policy says otherwise. One larger value may wait
/// alone.
pub const EVENT_QUEUE_BYTES_DEFAULT: usize = 4 << 20;

/// Bytes for each event of a ring: a ring of the default size has the default bytes.
pub const EVENT_RING_BYTES_EACH: usize = 4 << 10;

/// Most events that a policy can ask to be queued, and most keys that are told apart in one queue.
///
/// 65,536: what is remembered of that many events, beside their values, is as much as the values of the default may be.
pub const EVENT_QUEUE_MAX: u32 = 65_536;

/// Most bytes of values that wait for one subscriber, whatever it asks for.
pub const EVENT_QUEUE_BYTES_MAX: usize = 64 << 20;

/// Longest time that a publisher can be asked to wait for a subscriber. Then the subscriber is cut.
pub const EVENT_BLOCK_MAX: Duration = Duration::from_secs(5);

/// Longest time in which something waits for a subscriber and nothing leaves for it. Then it is cut as too slow.
pub const EVENT_STALL: Duration = Duration::from_secs(10);

/// Largest value of an event, in bytes.
///
/// As large as a value may be that is held whole, less what stands around it in a frame.
pub const EVENT_BYTES_MAX: usize = super::VALUE_BYTES_MAX - 1_024;

/// How long a publisher waits for the word of its subscribers, unless it says otherwise.
pub const RECEIPT_TIME: Duration = Duration::from_secs(5);

/// Largest content of a frame of events, in bytes, unless one value alone is larger.
///
/// 65 KiB: a value of 64 KiB with its name fits whole, a thousand small events share one frame, and others on the link wait for
/// it no longer than 0.6 ms at 1 Gbit/s.
pub const EVENTS_BYTES_MAX: usize = 65 << 10;

/// Values from this size on are shared with the frames that carry them instead of copied, in bytes: about where a copy costs
/// more than a piece of memory of its own to be written.
pub const EVENT_SHARED_FROM_BYTES: usize = 16 << 10;

/// Names with nothing to tell that a queue remembers nevertheless, so that the next event is queued a little faster.
pub const EVENT_IDLE_NAMES_KEPT: usize = 64;

/// Marks of receipts in one queue of events that are not yet confirmed. More receipts end without the word of the subscriber.
pub const EVENT_MARKS_MAX: usize = 1_024;

/// Runs of lost events of one name that a member of a group is told one by one. More are told as one.
pub const EVENT_LOST_RUNS_MAX: usize = 64;

/// Longest pointer into values, in bytes.
pub const EVENT_POINTER_BYTES_MAX: usize = 255;

/// Longest key that is kept as it stands, in bytes. Of a longer one a hash is kept.
pub const EVENT_KEY_BYTES_MAX: usize = 64;

/// Subscriptions of one peer at this node.
pub const SUBSCRIPTIONS_PER_PEER_MAX: usize = 1_024;

/// Subscriptions of all peers at this node.
pub const SUBSCRIPTIONS_MAX: usize = 65_536;

/// Names of events that a node counts in one epoch. None is forgotten, or its sequence would begin again.
pub const EVENT_NAMES_MAX: usize = 65_536;

/// Events of one name that can be kept for those who come later, or come back.
pub const EVENTS_KEPT_MAX: u32 = 65_536;

/// Bytes of the values that are kept of one name.
pub const EVENTS_KEPT_BYTES: usize = 4 << 20;

/// Positions that a subscriber tells when it comes back, at most. Names beyond begin where the publisher stands.
pub const EVENT_POSITIONS_MAX: usize = 1_024;

/// Bytes of the names of these positions, together.
pub const EVENT_POSITIONS_BYTES_MAX: usize = 64 << 10;

const _: () = assert!(EVENT_QUEUE_DEFAULT as usize * EVENT_RING_BYTES_EACH == EVENT_QUEUE_BYTES_DEFAULT);
const _: () = assert!(EVENT_QUEUE_BYTES_DEFAULT <= EVENT_QUEUE_BYTES_MAX && EVENT_QUEUE_DEFAULT <= EVENT_QUEUE_MAX);
