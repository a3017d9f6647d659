//! What a machine wants done: a draining iterator that borrows the machine.
//!
//! A machine answers an input with orders. The orders are handed out through [`Outputs`], which borrows the machine, so
//! the compiler itself enforces "carry out the orders before the next input". An iterator that is dropped half-read
//! loses nothing: what was not taken stays queued and comes first next time (std's `drain(..)` would throw it away).

use std::collections::VecDeque;
use std::hash::{Hash, Hasher};
use std::ops::{Deref, DerefMut};

/// Orders waiting to be carried out, oldest first.
#[must_use = "these are orders: iterate until empty"]
#[derive(Debug)]
pub struct Outputs<'a, T>(&'a mut VecDeque<T>);

impl<'a, T> Outputs<'a, T> {
    /// Hands out the orders in `queue`.
    pub fn new(queue: &'a mut VecDeque<T>) -> Self {
        Outputs(queue)
    }
}

impl<T> Iterator for Outputs<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.0.pop_front()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.0.len(), Some(self.0.len()))
    }
}

/// The queue of orders inside a machine that is compared and hashed as a whole.
///
/// It has no part in the hash: between two inputs it is empty, and its contents need not know how to be hashed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Outbox<T>(VecDeque<T>);

impl<T> Default for Outbox<T> {
    fn default() -> Self {
        Outbox(VecDeque::new())
    }
}

impl<T> Hash for Outbox<T> {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

impl<T> Deref for Outbox<T> {
    type Target = VecDeque<T>;

    fn deref(&self) -> &VecDeque<T> {
        &self.0
    }
}

impl<T> DerefMut for Outbox<T> {
    fn deref_mut(&mut self) -> &mut VecDeque<T> {
        &mut self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_that_were_not_taken_are_kept_for_the_next_reader() {
        let mut queue = VecDeque::from([1, 2, 3]);
        assert_eq!(Outputs::new(&mut queue).next(), Some(1));
        assert_eq!(Outputs::new(&mut queue).collect::<Vec<_>>(), [2, 3]);
    }
}
