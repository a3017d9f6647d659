//! Credit: how many bytes one end may still send on one direction of a conversation.
//!
//! Whoever receives grants, whoever sends spends, and nothing is sent without. It is a type with two moves and not a
//! number, so that neither a peer's sum nor our own can go where no sum may go.

use crate::limits;

/// Bytes that may still be sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Credit(u32);

/// More was sent than had been granted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Overdrawn;

/// More was granted than a credit can hold.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Overflow;

impl Credit {
    /// What each direction begins with.
    pub(super) const START: Credit = Credit(limits::STREAM_CREDIT_START);

    /// How many bytes may still be sent.
    pub(super) fn left(self) -> usize {
        self.0 as usize
    }

    pub(super) fn spend(&mut self, bytes: usize) -> Result<(), Overdrawn> {
        let bytes = u32::try_from(bytes).map_err(|_| Overdrawn)?;
        self.0 = self.0.checked_sub(bytes).ok_or(Overdrawn)?;
        Ok(())
    }

    pub(super) fn grant(&mut self, bytes: u64) -> Result<(), Overflow> {
        let sum = u64::from(self.0).checked_add(bytes).filter(|sum| *sum <= u64::from(limits::STREAM_CREDIT_MAX));
        self.0 = u32::try_from(sum.ok_or(Overflow)?).map_err(|_| Overflow)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_is_sent_without_credit() {
        let mut credit = Credit::START;
        assert_eq!(credit.spend(limits::STREAM_CREDIT_START as usize), Ok(()));
        assert_eq!(credit.spend(1), Err(Overdrawn));
        assert_eq!(credit.grant(5), Ok(()));
        assert_eq!(credit.spend(usize::MAX), Err(Overdrawn));
        assert_eq!((credit.spend(5), credit.left()), (Ok(()), 0));
    }

    #[test]
    fn no_sum_of_grants_goes_beyond_what_there_may_be() {
        let mut credit = Credit::START;
        let most = u64::from(limits::STREAM_CREDIT_MAX - limits::STREAM_CREDIT_START);
        for bytes in [most + 1, u64::from(u32::MAX), u64::MAX] {
            assert_eq!(credit.grant(bytes), Err(Overflow));
        }
        assert_eq!(credit.grant(most), Ok(()));
        assert_eq!(credit.grant(1), Err(Overflow));
        assert_eq!(credit.left(), limits::STREAM_CREDIT_MAX as usize);
    }

    proptest! {
        #[test]
        fn every_course_of_grants_and_spending_is_that_of_a_wide_number(moves: Vec<(bool, u32)>) {
            let (mut credit, mut model) = (Credit::START, i128::from(limits::STREAM_CREDIT_START));
            for (grants, bytes) in moves {
                let after = if grants { model + i128::from(bytes) } else { model - i128::from(bytes) };
                let may_be = (0..=i128::from(limits::STREAM_CREDIT_MAX)).contains(&after);
                let moved = if grants { credit.grant(bytes.into()).is_ok() } else { credit.spend(bytes as usize).is_ok() };
                prop_assert_eq!(moved, may_be);
                model = if may_be { after } else { model };
                prop_assert_eq!(credit.left() as i128, model);
            }
        }
    }
}
