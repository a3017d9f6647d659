//! Chance for waits, from bits given at the start.

/// Gives random bits, the same ones for the same seed. Good enough to spread waits, and for nothing else.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Jitter(u64);

impl Jitter {
    pub(crate) fn new(seed: u64) -> Jitter {
        Jitter(seed)
    }

    /// The next 32 bits (SplitMix64: Steele, Lea, Flood 2014).
    pub(crate) fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (bits >> 32) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_spread_and_depend_on_the_seed_alone() {
        let first = |seed| {
            std::iter::repeat_with({
                let mut jitter = Jitter::new(seed);
                move || jitter.next()
            })
        };
        assert!(first(1).take(9).eq(first(1).take(9)));
        assert!(first(1).take(9).ne(first(2).take(9)));
        let mean = first(7).take(10_000).map(f64::from).sum::<f64>() / 10_000.0 / f64::from(u32::MAX);
        assert!((0.49..0.51).contains(&mean), "{mean}");
    }
}
