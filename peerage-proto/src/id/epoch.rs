//! Which run of a node: one start of its process.
//!
//! A node that comes back after a crash is the same node in a new epoch, and whoever still holds links or words of the old
//! one must be able to tell. Epochs of one node are ordered by their start counter, which a node raises at each start
//! (stored value + 1, or the unix time in seconds if that is more, so that a lost file does no harm); 128 random bits tell
//! two runs apart that believe in the same counter, as copies of one key do.

use std::fmt;
use std::str::FromStr;

/// One run of a node. Ordered: of two epochs of one node the greater is the newer.
///
/// `Display` is the start counter and the random bits in hexadecimal (`1763712000-9f…`), and is read back by `FromStr`.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Epoch {
    start: u64,
    random: [u8; EPOCH_RANDOM_BYTES],
}

impl Epoch {
    /// The run with this start counter and these random bits.
    pub const fn new(start: u64, random: [u8; EPOCH_RANDOM_BYTES]) -> Epoch {
        Epoch { start, random }
    }

    /// The counter that a node raises at each start.
    pub const fn start(&self) -> u64 {
        self.start
    }

    /// The bits that tell runs with the same counter apart.
    pub const fn random(&self) -> &[u8; EPOCH_RANDOM_BYTES] {
        &self.random
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-", self.start)?;
        self.random.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Epoch({}-{:02x}{:02x}…)", self.start, self.random[0], self.random[1])
    }
}

impl FromStr for Epoch {
    type Err = InvalidEpoch;

    fn from_str(text: &str) -> Result<Epoch, InvalidEpoch> {
        let (start, hex) = text.split_once('-').ok_or(InvalidEpoch)?;
        let is_plain =
            start.bytes().all(|byte| byte.is_ascii_digit()) && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_plain || hex.len() != 2 * EPOCH_RANDOM_BYTES {
            return Err(InvalidEpoch);
        }
        let start = start.parse().map_err(|_| InvalidEpoch)?;
        let random = u128::from_str_radix(hex, 16).map_err(|_| InvalidEpoch)?;
        Ok(Epoch { start, random: random.to_be_bytes() })
    }
}

/// A text that is no [`Epoch`].
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("an epoch is a number, a dash and 32 hexadecimal digits")]
pub struct InvalidEpoch;

/// Random bytes of an epoch.
const EPOCH_RANDOM_BYTES: usize = 16;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_later_start_is_newer_whatever_its_random_bits() {
        assert!(Epoch::new(8, [0; 16]) > Epoch::new(7, [255; 16]));
        assert!(Epoch::new(7, [1; 16]) > Epoch::new(7, [0; 16]));
    }

    #[test]
    fn what_is_no_epoch_is_refused() {
        let hex = "0".repeat(32);
        for text in
            ["", "7", "-", &format!("-{hex}"), &format!("+7-{hex}"), &format!("7-{hex}0"), &format!("7-+{}", &hex[1..])]
        {
            assert_eq!(text.parse::<Epoch>(), Err(InvalidEpoch), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_epoch_is_read_back_from_its_text(start: u64, random: [u8; 16]) {
            let epoch = Epoch::new(start, random);
            prop_assert_eq!(epoch.to_string().parse(), Ok(epoch));
        }
    }
}
