//! Bugs planted on purpose, to see whether the simulator finds them.
//!
//! A simulator that never fails proves nothing about what it would have seen. So each rule that is easily got wrong can be
//! broken, one at a time and only where the feature `planted-bugs` is on: then the oracle that watches over this rule has
//! to say so within a few seeds. Without the feature the question is answered by the compiler, and nothing is left of it.

/// A rule that can be broken.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[cfg_attr(not(feature = "planted-bugs"), allow(unreachable_pub, reason = "only tests plant"))]
pub enum Bug {
    /// Signatures are not looked at.
    SignatureUnchecked,
    /// A process of an older epoch is let in.
    OlderEpochAccepted,
    /// Of two links that stays which came first, wherever one looks from.
    TieBreakByArrival,
    /// A link that lost is closed before the peer has confirmed.
    LoserClosedUnconfirmed,
    /// After the death of the winner the loser is not taken up again.
    LoserNotRestored,
    /// After a pause what waits in the socket is started at once.
    PauseRuleSkipped,
    /// The callee says of work that it never started, when it did.
    StoppedAsNotStarted,
    /// A late answer goes to whoever has the place of the call it was for.
    LateAnswerSettlesAnother,
    /// Nobody looks at the deadlines of calls.
    DeadlineForgotten,
    /// One request more is served at once than there may be.
    WindowOffByOne,
    /// A silent peer is waited for, for ever.
    SilenceForgiven,
    /// Records of other nodes are believed whoever signed them.
    RecordUnverified,
    /// A record of an earlier run takes the place of that of a later one.
    OlderRecordAccepted,
    /// A member that somebody else doubts counts as lost.
    HearsayEvicts,
    /// A member whose lease is over stays.
    GhostNeverExpires,
    /// What was taken from a stream is granted again and again.
    CreditReturnedTwice,
    /// A list of services is believed to be the one that was asked for.
    ListUnchecked,
    /// That the last event of a name was dropped is not told.
    LastGapForgotten,
    /// What was delivered before is delivered again.
    DuplicateDelivered,
    /// Of a name that appeared while there was no link, what was published before is taken as heard.
    NewNameTakenAsHeard,
    /// Of each name two events wait where only the newest should.
    LatestKeepsTwo,
    /// A ring has room for one more than was asked for.
    RingOffByOne,
    /// An event with a higher priority goes before an earlier one of its name.
    PriorityBeforeOrder,
    /// A receipt counts what was dropped as delivered.
    DroppedCountedAsLeft,
    /// An event that was taken out of its feed and had no room is forgotten.
    CutEventForgotten,
    /// What a feed holds goes between the parts of a large event.
    PartsInterleaved,
}

#[cfg(feature = "planted-bugs")]
impl Bug {
    /// Those that feeds and positions of events show by themselves.
    #[cfg(test)]
    pub(crate) const OF_EVENTS: [Bug; 7] = [
        Bug::LastGapForgotten,
        Bug::DuplicateDelivered,
        Bug::NewNameTakenAsHeard,
        Bug::LatestKeepsTwo,
        Bug::RingOffByOne,
        Bug::PriorityBeforeOrder,
        Bug::DroppedCountedAsLeft,
    ];

    /// Those that a network shows. A single link shows [`Bug::CreditReturnedTwice`].
    pub const ALL: [Bug; 16] = [
        Bug::SignatureUnchecked,
        Bug::OlderEpochAccepted,
        Bug::TieBreakByArrival,
        Bug::LoserClosedUnconfirmed,
        Bug::LoserNotRestored,
        Bug::PauseRuleSkipped,
        Bug::StoppedAsNotStarted,
        Bug::LateAnswerSettlesAnother,
        Bug::DeadlineForgotten,
        Bug::WindowOffByOne,
        Bug::SilenceForgiven,
        Bug::RecordUnverified,
        Bug::OlderRecordAccepted,
        Bug::HearsayEvicts,
        Bug::GhostNeverExpires,
        Bug::ListUnchecked,
    ];

    /// The bug of this name, as `Debug` writes it.
    pub fn named(name: &str) -> Option<Bug> {
        Bug::ALL.into_iter().find(|bug| format!("{bug:?}") == name)
    }
}

pub(crate) use switch::*;

#[cfg(feature = "planted-bugs")]
mod switch {
    use std::cell::Cell;

    use super::Bug;

    thread_local! {
        /// A run has one thread, and threads may run different bugs.
        static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
    }

    /// Breaks this rule for all machines of this thread, or none any more.
    pub(crate) fn plant(bug: Option<Bug>) {
        PLANTED.set(bug);
    }

    #[inline]
    pub(crate) fn is(bug: Bug) -> bool {
        PLANTED.get() == Some(bug)
    }
}

#[cfg(not(feature = "planted-bugs"))]
mod switch {
    use super::Bug;

    /// Nothing can be broken.
    #[cfg(any(test, feature = "sim"))]
    pub(crate) fn plant(_: Option<Bug>) {}

    #[inline(always)]
    pub(crate) const fn is(_: Bug) -> bool {
        false
    }
}
