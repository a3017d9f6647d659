//! Round trip times of one measured period.

use std::time::Duration;

/// Every latency, kept as it was measured: at 100,000 round trips a second and a few seconds a plain list is small, exact,
/// and costs the measured loop one store. From [`LATENCIES_MAX`] on further ones are left out.
#[derive(Debug)]
pub(crate) struct Latencies {
    nanoseconds: Vec<u32>,
}

impl Latencies {
    /// An empty list whose memory is already there, so that no growth falls into the measured period.
    pub(crate) fn with_room() -> Self {
        Self { nanoseconds: Vec::with_capacity(LATENCIES_MAX) }
    }

    /// Adds one round trip; one of more than 4.2 s counts as 4.2 s.
    pub(crate) fn record(&mut self, latency: Duration) {
        if self.nanoseconds.len() < LATENCIES_MAX {
            self.nanoseconds.push(u32::try_from(latency.as_nanos()).unwrap_or(u32::MAX));
        }
    }

    /// Puts them in order for [`Quantiles::microseconds`].
    pub(crate) fn into_quantiles(mut self) -> Quantiles {
        self.nanoseconds.sort_unstable();
        Quantiles { nanoseconds: self.nanoseconds }
    }
}

/// Latencies in order.
#[derive(Debug)]
pub(crate) struct Quantiles {
    nanoseconds: Vec<u32>,
}

impl Quantiles {
    /// The latency that `share` (0 to 1) of all round trips did not exceed, in microseconds; 0 when there were none.
    pub(crate) fn microseconds(&self, share: f64) -> f64 {
        let last = self.nanoseconds.len().saturating_sub(1);
        let index = (share * last as f64).round() as usize;
        self.nanoseconds.get(index).map_or(0.0, |&nanoseconds| f64::from(nanoseconds) / 1e3)
    }
}

/// Most latencies that are kept: 16 MiB, or ten seconds at 2.4 µs each.
pub(crate) const LATENCIES_MAX: usize = 1 << 22;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_do_not_depend_on_the_order_of_arrival() {
        let mut latencies = Latencies::with_room();
        for microseconds in (1..=101).rev() {
            latencies.record(Duration::from_micros(microseconds));
        }
        let quantiles = latencies.into_quantiles();
        assert_eq!(quantiles.microseconds(0.0), 1.0);
        assert_eq!(quantiles.microseconds(0.5), 51.0);
        assert_eq!(quantiles.microseconds(0.99), 100.0);
        assert_eq!(quantiles.microseconds(1.0), 101.0);
    }

    #[test]
    fn without_a_round_trip_every_quantile_is_zero() {
        assert_eq!(Latencies::with_room().into_quantiles().microseconds(0.5), 0.0);
    }
}
