//! How long an end reads on that has said everything.
//!
//! A socket that is closed answers the next byte of the peer with a reset, and that overtakes what is still under way to it.
//! So an end shuts its own direction and reads away what comes until the peer closes too. On a plain link the peer gets a
//! second for that. The peer at the end of a link between nodes may well be reading our last answers for much longer, over a
//! slow connection, and sends its pings meanwhile: as long as it is heard it is waited for.

use std::time::Duration;

use tokio::time::Instant;

/// Until when what the peer sends is read away.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Linger {
    until: Instant,
    /// How much longer each byte of the peer makes it, and until when at most; nothing on plain links.
    renewed: Option<(Duration, Instant)>,
}

impl Linger {
    /// From now on, at an end of a link between nodes or of a plain one.
    pub(super) fn from(now: Instant, is_of_nodes: bool) -> Linger {
        match is_of_nodes {
            true => Linger { until: now + SILENCE, renewed: Some((SILENCE, now + AT_MOST)) },
            false => Linger { until: now + PLAIN, renewed: None },
        }
    }

    /// Something came from the peer, which therefore still reads.
    pub(super) fn heard(&mut self, now: Instant) {
        if let Some((silence, at_most)) = self.renewed {
            self.until = (now + silence).min(at_most);
        }
    }

    pub(super) fn until(self) -> Instant {
        self.until
    }
}

/// Time for a plain peer to close its side.
const PLAIN: Duration = Duration::from_secs(1);

/// Silence after which a node at the other end counts as gone: it pings each second while it waits for an answer.
const SILENCE: Duration = Duration::from_secs(5);

/// Time in which even a slow connection has carried what a socket holds.
const AT_MOST: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_plain_peer_has_a_second_whatever_it_sends() {
        let now = Instant::now();
        let mut linger = Linger::from(now, false);
        linger.heard(now + Duration::from_millis(900));
        assert_eq!(linger.until(), now + Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_is_waited_for_as_long_as_it_is_heard_but_not_for_ever() {
        let now = Instant::now();
        let mut linger = Linger::from(now, true);
        assert_eq!(linger.until(), now + Duration::from_secs(5));
        linger.heard(now + Duration::from_secs(4));
        assert_eq!(linger.until(), now + Duration::from_secs(9));
        linger.heard(now + Duration::from_secs(58));
        assert_eq!(linger.until(), now + Duration::from_secs(60));
    }
}
