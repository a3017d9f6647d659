//! The bounds of calling services: what is remembered of requests and of those who answer them.

use std::time::Duration;

/// Nodes that one call is sent to, one after the other, while each says that it did not run there.
pub const ATTEMPTS_MAX: usize = 3;

/// Providers that a caller remembers, each counted once for each service: how busy they are, how long they take.
pub const ROUTES_MAX: usize = 16_384;

/// How long they are remembered at least while others need the room.
pub const ROUTE_KEPT: Duration = Duration::from_secs(60);

/// After how long what was measured of a provider counts half, so that one which was slow is tried again.
pub const LATENCY_HALF_LIFE: Duration = Duration::from_secs(10);

/// Requests with keys that a callee remembers.
pub const REQUEST_KEYS_MAX: usize = 8_192;

/// How long it remembers them after they have ended.
pub const REQUEST_KEY_KEPT: Duration = Duration::from_secs(300);

/// Largest reply that is kept to be given again, in bytes.
pub const KEPT_REPLY_BYTES_MAX: usize = 64 << 10;

/// Bytes of all replies that are kept.
pub const KEPT_REPLIES_BYTES_MAX: usize = 16 << 20;

/// Callers of which a callee remembers which of their keys it has forgotten.
pub const REQUEST_KEY_CALLERS_MAX: usize = 4_096;

/// How long it remembers that of a caller that is not heard of, at least: longer than any call waits by default.
pub const REQUEST_KEY_CALLER_KEPT: Duration = Duration::from_secs(3_600);

/// Requests that may wait for one that runs under the same key: one for each link that was cut meanwhile.
pub const REQUEST_KEY_WAITERS_MAX: usize = 8;
