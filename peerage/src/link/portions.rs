//! How many requests of a batch are served before their answers are written.
//!
//! A batch that is answered with one write costs the fewest system calls, but it makes the two ends take turns: the caller
//! waits for the whole batch, then the callee waits for the next one, and each of them falls asleep in between. Where a link
//! is alone on its thread nothing fills that time. So there a large batch is answered in portions: the caller works on the
//! first answers while the next ones are made, and what it asks then arrives before this end has to sleep.
//!
//! ```text
//!   one write   callee ▓▓▓▓▓▓▓▓────────▓▓▓▓▓▓▓▓      portions   callee ▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓
//!               caller ────────▓▓▓▓▓▓▓▓────────                 caller ──▓▓▓▓▓▓▓▓▓▓▓▓▓▓
//! ```
//!
//! Where other links of the thread are at work too, their batches fill the time, and more writes would only cost.

use std::cell::Cell;

/// Whether a large batch of one link is answered in portions.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Portions {
    /// Other links are at work on this thread: all of it at once.
    Whole,
    /// The link is alone.
    Small,
}

impl Portions {
    /// For a turn of the link with this number, which is unique among the links that are alive.
    pub(super) fn of_turn(link: usize) -> Portions {
        // While the thread ends it does not matter.
        let before = LATEST.try_with(|latest| latest.replace(link));
        if before == Ok(link) { Portions::Small } else { Portions::Whole }
    }

    /// How many of the requests that wait are served before the next write.
    pub(super) fn next(self, waiting: usize) -> usize {
        match self {
            // A rest that is hardly worth a write of its own goes along.
            Portions::Small if waiting >= REQUESTS + REQUESTS / 2 => REQUESTS,
            Portions::Small | Portions::Whole => waiting,
        }
    }
}

thread_local! {
    /// The link that had the latest turn on this thread.
    static LATEST: Cell<usize> = const { Cell::new(0) };
}

/// Requests of a portion: about as much work, for the quickest of handlers, as the system calls of one write and one read.
/// `docs/decisions/002-data-path.md` has the measurement.
const REQUESTS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_that_is_alone_on_its_thread_answers_in_portions() {
        assert_eq!(Portions::of_turn(1), Portions::Whole, "nothing is known yet");
        assert_eq!(Portions::of_turn(1), Portions::Small);
        assert_eq!(Portions::of_turn(2), Portions::Whole);
        assert_eq!(Portions::of_turn(1), Portions::Whole, "another was at work in between");
        assert_eq!(Portions::of_turn(1), Portions::Small);
    }

    #[test]
    fn a_batch_is_divided_without_a_small_rest() {
        let divided = |mut waiting: usize| {
            let mut portions = Vec::new();
            while waiting > 0 {
                portions.push(Portions::Small.next(waiting));
                waiting -= portions.last().unwrap();
            }
            portions
        };
        assert_eq!(divided(1), [1]);
        assert_eq!(divided(23), [23]);
        assert_eq!(divided(24), [16, 8]);
        assert_eq!(divided(64), [16, 16, 16, 16]);
        assert_eq!(Portions::Whole.next(64), 64);
    }
}
