//! Times of many calls in little memory: counted in places that are at most a sixty-fourth wide, so a figure read from them is
//! at most 1.6 % too high.

/// How often which time was measured, in microseconds.
#[derive(Clone, Debug)]
pub(crate) struct Latencies {
    places: Vec<u64>,
    count: u64,
    max: u64,
}

impl Default for Latencies {
    fn default() -> Latencies {
        Latencies { places: vec![0; PLACES], count: 0, max: 0 }
    }
}

impl Latencies {
    /// Counts a time.
    pub(crate) fn add(&mut self, us: u64) {
        self.places[place(us)] += 1;
        self.count += 1;
        self.max = self.max.max(us);
    }

    /// Counts all that another one has counted.
    pub(crate) fn merge(&mut self, other: &Latencies) {
        for (place, more) in self.places.iter_mut().zip(&other.places) {
            *place += more;
        }
        self.count += other.count;
        self.max = self.max.max(other.max);
    }

    /// How many there were.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// The longest.
    pub(crate) fn max(&self) -> Option<u64> {
        (self.count > 0).then_some(self.max)
    }

    /// The time within which so many of a hundred were.
    pub(crate) fn percentile(&self, per_cent: u64) -> Option<u64> {
        let rank = (self.count * per_cent).div_ceil(100).max(1);
        let mut below = 0;
        let found = self.places.iter().position(|count| {
            below += count;
            below >= rank
        })?;
        Some(last_of(found).min(self.max))
    }
}

/// Where a time is counted.
fn place(us: u64) -> usize {
    // The number of bits that are left out of a time in its place.
    let dropped = (u64::BITS - us.leading_zeros()).saturating_sub(BITS + 1);
    let place = (u64::from(dropped) << BITS) + (us >> dropped);
    (place as usize).min(PLACES - 1)
}

/// The longest time that is counted in a place.
fn last_of(place: usize) -> u64 {
    let place = place as u64;
    if place < 2 << BITS {
        return place;
    }
    let dropped = (place >> BITS) - 1;
    let leading = place - (dropped << BITS);
    ((leading + 1) << dropped) - 1
}

/// Each doubling of a time has 2⁶ places.
const BITS: u32 = 6;

/// Enough for times of an hour.
const PLACES: usize = 28 << BITS;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_is_counted_at_most_a_sixty_fourth_too_high() {
        for us in (0..10_000).chain((0..3_600_000_000).step_by(1_234_567)) {
            let read = last_of(place(us));
            assert!(us <= read && read - us <= us / 64, "{us} is read as {read}");
        }
    }

    #[test]
    fn percentiles_are_of_all_that_was_counted() {
        let mut times = Latencies::default();
        assert_eq!((times.percentile(50), times.max()), (None, None));
        (1..=100).for_each(|us| times.add(us));
        assert_eq!((times.percentile(50), times.percentile(99), times.max()), (Some(50), Some(99), Some(100)));
        let mut both = Latencies::default();
        both.add(9);
        both.merge(&times);
        assert_eq!((both.count(), both.percentile(1)), (101, Some(2)));
    }
}
