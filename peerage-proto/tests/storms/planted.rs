//! Mistakes on purpose, made between the shipped machine and the network: storms that do not notice them are worth nothing.

/// A wrong rule for duplicate links, or a wrong driver.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Planted {
    /// Of two links the one that came last stays, as each end sees it.
    NewestWins,
    /// The link of the smaller id stays, and the other one is closed without a word.
    SmallerWinsAtOnce,
    /// The right link stays, and the others are closed without a word.
    CloseAtOnce,
    /// A loser counts as idle whatever is open on it.
    IdleAtOnce,
    /// A node is not told of the loss of links that it has accepted.
    DeafToLoss,
    /// Every address is dialled once, and never again.
    DialsOnce,
}

impl Planted {
    /// Losers are closed as soon as nothing new may go there.
    pub(crate) fn is_hasty(self) -> bool {
        matches!(self, Planted::SmallerWinsAtOnce | Planted::CloseAtOnce)
    }
}
