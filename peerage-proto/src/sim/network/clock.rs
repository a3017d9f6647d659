//! The clock of one node, which is nobody else's.

use std::time::{Duration, Instant};

/// Shows a node's own time: begun anywhere, a little fast or slow, now and then set forward. Never goes back, because the
/// clock that drivers read does not either.
#[derive(Clone, Debug)]
pub(super) struct Clock {
    /// A moment of the simulation, and what this clock showed then.
    from: (Instant, Instant),
    /// How far it goes in a thousand.
    per_mille: u64,
}

impl Clock {
    pub(super) fn new(now: Instant, shows: Instant, per_mille: u64) -> Clock {
        Clock { from: (now, shows), per_mille }
    }

    /// What it shows at a moment of the simulation.
    pub(super) fn local(&self, at: Instant) -> Instant {
        let (from, shown) = self.from;
        shown + scaled(at.saturating_duration_since(from), self.per_mille, 1_000)
    }

    /// The first moment of the simulation at which it shows this or more.
    pub(super) fn global(&self, local: Instant) -> Instant {
        let (from, shown) = self.from;
        let real = scaled(local.saturating_duration_since(shown), 1_000, self.per_mille);
        // Rounded down so far: one nanosecond more is enough whatever the rate.
        [Duration::ZERO, NANO, NANO * 2]
            .map(|more| from + real + more)
            .into_iter()
            .find(|at| self.local(*at) >= local)
            .unwrap_or(from + real + NANO * 3)
    }

    /// Sets it forward.
    pub(super) fn step(&mut self, now: Instant, by: Duration) {
        self.from = (now, self.local(now) + by);
    }
}

fn scaled(time: Duration, numerator: u64, denominator: u64) -> Duration {
    let nanos = time.as_nanos().saturating_mul(numerator.into()) / u128::from(denominator.max(1));
    Duration::from_nanos(nanos.try_into().unwrap_or(u64::MAX))
}

const NANO: Duration = Duration::from_nanos(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_rings_at_its_own_time_and_not_before() {
        let begin = crate::sim::epoch();
        for per_mille in [950, 999, 1_000, 1_001, 1_050] {
            let mut clock = Clock::new(begin, begin + Duration::from_secs(3_600), per_mille);
            clock.step(begin + Duration::from_secs(7), Duration::from_millis(1_700));
            for nanos in [0, 1, 999, 1_000_000_007, 60_000_000_000] {
                let local = clock.local(begin + Duration::from_secs(7)) + Duration::from_nanos(nanos);
                let at = clock.global(local);
                assert!(clock.local(at) >= local && (nanos == 0 || clock.local(at - NANO * 3) < local));
            }
        }
    }
}
