//! How long to wait before trying again: longer each time, up to a cap, and never all at the same moment.
//!
//! When a listener goes away, everybody who talked to it starts to dial. If all of them waited the same time, each
//! round would arrive as one wave, so a part of every delay is left to chance:
//!
//! ```text
//!   step 0 = first          step n+1 = min(cap, step n × factor)
//!   delay  = step × (½ + ½ × jitter / 2³²)         a random length between half of the step and the whole of it
//! ```
//!
//! A delay is thus never longer than without jitter, and never so short that a try is wasted. Where very many may lose the
//! same peer at the same moment, as nodes do, the random part is the whole delay (`step × jitter / 2³²`), which spreads
//! them best. The random bits come from outside: the same bits give the same delays.

use std::time::Duration;

use crate::limits;

/// The delays between the tries of one undertaking.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Backoff {
    first: Duration,
    factor_percent: u32,
    cap: Duration,
    step: Duration,
}

impl Backoff {
    /// Delays of up to `first`, growing by `factor_percent` (150: half as long again each time; less than 100 is taken
    /// as 100), never longer than `cap`.
    pub fn new(first: Duration, factor_percent: u32, cap: Duration) -> Self {
        let first = first.min(cap);
        Backoff { first, factor_percent: factor_percent.max(100), cap, step: first }
    }

    /// For connecting a channel: 0.5 s, growing by half, at most 30 s.
    pub fn for_channel() -> Self {
        Backoff::new(CHANNEL_RETRY_FIRST, CHANNEL_RETRY_FACTOR_PERCENT, CHANNEL_RETRY_CAP)
    }

    /// For nodes that dial a lost one: 0.2 s, doubling, at most 10 s.
    pub fn for_node() -> Self {
        Backoff::new(limits::RECONNECT_FIRST, 200, limits::RECONNECT_LAST)
    }

    /// For a member that has been lost for long: 1 min, doubling, at most 60 min.
    pub fn for_lost_member() -> Self {
        Backoff::new(limits::RECONNECT_SLOWLY_FIRST, 200, limits::RECONNECT_SLOWLY_LAST)
    }

    /// How long to wait before the next try: between half a step and the whole of it. `jitter` are 32 random bits.
    pub fn next(&mut self, jitter: u32) -> Duration {
        let step = self.advance();
        let half = step / 2;
        half.saturating_add(scaled(step.saturating_sub(half), jitter.into(), 1 << 32))
    }

    /// Like [`next`](Self::next), but anything between nothing and the whole step.
    pub fn next_spread(&mut self, jitter: u32) -> Duration {
        scaled(self.advance(), jitter.into(), 1 << 32)
    }

    /// The longest step.
    pub fn cap(&self) -> Duration {
        self.cap
    }

    fn advance(&mut self) -> Duration {
        let step = self.step;
        self.step = scaled(step, self.factor_percent.into(), 100).min(self.cap);
        step
    }

    /// Starts again at the first delay: what was tried has succeeded.
    pub fn reset(&mut self) {
        self.step = self.first;
    }
}

/// `duration × numerator / denominator`, rounded down to nanoseconds; [`Duration::MAX`] if it does not fit.
fn scaled(duration: Duration, numerator: u64, denominator: u64) -> Duration {
    let nanos =
        duration.as_nanos().saturating_mul(numerator.into()).checked_div(denominator.into()).unwrap_or(u128::MAX);
    let seconds = nanos / NANOS_PER_SECOND;
    match u64::try_from(seconds) {
        // The remainder of a division by 10⁹ fits into 32 bits.
        Ok(seconds) => Duration::new(seconds, (nanos % NANOS_PER_SECOND) as u32),
        Err(_) => Duration::MAX,
    }
}

/// First delay of a channel that connects again.
const CHANNEL_RETRY_FIRST: Duration = Duration::from_millis(500);

/// Growth of that delay.
const CHANNEL_RETRY_FACTOR_PERCENT: u32 = 150;

/// Longest such delay.
const CHANNEL_RETRY_CAP: Duration = Duration::from_secs(30);

const NANOS_PER_SECOND: u128 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MOST: u32 = u32::MAX;

    fn millis(duration: Duration) -> u128 {
        // The largest jitter is one part in 2³² short of the whole step.
        (duration + Duration::from_micros(1)).as_millis()
    }

    #[test]
    fn a_channel_waits_half_a_second_then_half_as_long_again_up_to_thirty_seconds() {
        let mut backoff = Backoff::for_channel();
        let steps: Vec<_> = (0..13).map(|_| millis(backoff.next(MOST))).collect();
        assert_eq!(steps, [500, 750, 1_125, 1_687, 2_531, 3_796, 5_695, 8_542, 12_814, 19_221, 28_832, 30_000, 30_000]);
    }

    #[test]
    fn after_a_success_the_first_delay_comes_again() {
        let mut backoff = Backoff::for_channel();
        for _ in 0..20 {
            backoff.next(0);
        }
        backoff.reset();
        assert_eq!(backoff, Backoff::for_channel());
        assert_eq!(backoff.next(0), Duration::from_millis(250));
    }

    #[test]
    fn delays_never_shrink_whatever_the_factor() {
        let mut backoff = Backoff::new(Duration::from_secs(1), 0, Duration::from_secs(9));
        assert_eq!([backoff.next(0), backoff.next(0)], [Duration::from_millis(500); 2]);
    }

    #[test]
    fn a_first_delay_above_the_cap_is_the_cap() {
        let mut backoff = Backoff::new(Duration::MAX, MOST, Duration::from_secs(4));
        assert_eq!(backoff.next(0), Duration::from_secs(2));
    }

    #[test]
    fn the_longest_durations_do_not_overflow() {
        let mut backoff = Backoff::new(Duration::MAX, MOST, Duration::MAX);
        for _ in 0..3 {
            assert!(backoff.next(MOST) >= Duration::MAX / 2);
        }
    }

    proptest! {
        #[test]
        fn each_delay_follows_the_formula(
            first in 1u64..10_000, factor in 100u32..400, cap in 1u64..100_000, jitters: Vec<u32>,
        ) {
            let mut backoff = Backoff::new(Duration::from_millis(first), factor, Duration::from_millis(cap));
            // Each step is rounded down to a nanosecond, and none is shorter than the first; so is each delay, at half a step.
            let rounding = 1e-9 / (first.min(cap) as f64 / 1e3);
            for (n, jitter) in jitters.into_iter().enumerate() {
                let growth = (f64::from(factor) / 100.0).powf(n as f64);
                let step = (first as f64 / 1e3 * growth).min(cap as f64 / 1e3);
                let expected = step * (0.5 + 0.5 * f64::from(jitter) / 2f64.powi(32));
                let delay = backoff.next(jitter).as_secs_f64();
                let allowed = (n + 4) as f64 * rounding + 1e-12;
                prop_assert!((delay - expected).abs() <= allowed * expected, "{delay} instead of {expected}");
            }
        }
    }
}
