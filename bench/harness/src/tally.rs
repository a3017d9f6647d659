//! Counting answers from many tasks without making them wait for each other.

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

/// The answers of all callers together.
///
/// Each caller adds to a [`Counter`] of its own, on a cache line of its own, so that counting costs a peer with two workers
/// no more than a peer with one. A caller that fails says so here: a silent end would only look like a lower rate.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    shared: Arc<Mutex<Shared>>,
}

impl Tally {
    /// A new counter, at zero, that is part of the total.
    pub fn counter(&self) -> Counter {
        let cell = Arc::new(Cell::default());
        self.with(|shared| shared.cells.push(Arc::clone(&cell)));
        Counter { cell, tally: self.clone() }
    }

    /// All answers counted so far.
    pub fn total(&self) -> u64 {
        self.with(|shared| shared.cells.iter().map(|cell| cell.0.load(Ordering::Relaxed)).sum())
    }

    /// # Errors
    /// The first failure that any caller reported.
    pub fn check(&self) -> io::Result<()> {
        self.with(|shared| shared.failure.take()).map_or(Ok(()), Err)
    }

    fn with<T>(&self, act: impl FnOnce(&mut Shared) -> T) -> T {
        act(&mut self.shared.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// One caller's part of a [`Tally`].
#[derive(Debug)]
pub struct Counter {
    cell: Arc<Cell>,
    tally: Tally,
}

impl Counter {
    /// Counts `answers` more.
    pub fn add(&mut self, answers: u64) {
        // `&mut self` makes this the only writer, so no locked instruction is needed.
        let before = self.cell.0.load(Ordering::Relaxed);
        self.cell.0.store(before + answers, Ordering::Relaxed);
    }

    /// Says that the caller ended, and why.
    pub fn fail(self, why: io::Error) {
        self.tally.with(|shared| {
            shared.failure.get_or_insert(why);
        });
    }
}

#[derive(Debug, Default)]
struct Shared {
    cells: Vec<Arc<Cell>>,
    failure: Option<io::Error>,
}

/// Two cache lines: neighbouring lines are fetched in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Cell(AtomicU64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_the_sum_of_all_counters() {
        let tally = Tally::default();
        let (mut one, mut two) = (tally.counter(), tally.counter());
        one.add(3);
        two.add(4);
        one.add(1);
        assert_eq!(tally.total(), 8);
        assert!(tally.check().is_ok());
    }

    #[test]
    fn the_first_failure_is_the_one_that_is_told() {
        let tally = Tally::default();
        tally.counter().fail(io::Error::other("first"));
        tally.counter().fail(io::Error::other("second"));
        assert_eq!(tally.check().unwrap_err().to_string(), "first");
    }
}
