//! Where callers wait for their outcomes: one cell a call, found by its token.

use std::task::{Context, Poll, Waker};

use peerage_proto::channel::Token;
use peerage_proto::codec::Payload;
use peerage_proto::outcome::CallError;

/// An outcome on its way to its caller. Boxed, because errors are large and rare.
pub(super) type Outcome = Result<Payload, Box<CallError>>;

/// A slab of cells.
#[derive(Default)]
pub(super) struct Cells {
    cells: Vec<Cell>,
    free: Vec<u32>,
}

/// One call's cell.
///
/// The parts lie beside each other instead of in one enum, so that none is moved when another changes: this is the most
/// travelled memory of a link.
#[derive(Default)]
struct Cell {
    /// A caller waits.
    waits: bool,
    /// Who waits, or who waited last: many callers of one task need only one copy each, made once.
    waker: Option<Waker>,
    /// The outcome, until its caller fetches it.
    outcome: Option<Outcome>,
}

impl Cell {
    #[inline]
    fn wait(&mut self, waker: &Waker) {
        self.waits = true;
        match &mut self.waker {
            Some(before) => before.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
    }
}

impl Cells {
    /// A cell for a new call.
    #[inline]
    pub(super) fn open(&mut self, waker: &Waker) -> Token {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.cells.push(Cell::default());
            (self.cells.len() - 1) as u32
        });
        self.cells[slot as usize].wait(waker);
        Token(slot)
    }

    /// Puts the outcome into its cell and adds whoever waits for it to those to be woken, unless that is the same task as
    /// the last one there.
    #[inline]
    pub(super) fn settle(&mut self, token: Token, outcome: Outcome, wake: &mut Vec<Waker>) {
        let Some(cell) = self.cells.get_mut(token.0 as usize) else { return };
        if !cell.waits {
            // The caller is gone, and the outcome goes nowhere.
            self.free.push(token.0);
            return;
        }
        cell.waits = false;
        cell.outcome = Some(outcome);
        let known = wake.last().zip(cell.waker.as_ref()).is_some_and(|(last, waker)| last.will_wake(waker));
        if !known {
            wake.extend(cell.waker.take());
        }
    }

    /// The outcome, if it is there; the cell is free then.
    #[inline]
    pub(super) fn take(&mut self, token: Token) -> Option<Outcome> {
        let outcome = self.cells.get_mut(token.0 as usize)?.outcome.take()?;
        self.free.push(token.0);
        if self.free.len() == self.cells.len() && self.cells.len() > KEEP_CELLS {
            (self.cells, self.free) = (Vec::new(), Vec::new());
        }
        Some(outcome)
    }

    /// The outcome, or the caller's waker is kept for it.
    #[inline]
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, token: Token) -> Poll<Outcome> {
        if let Some(outcome) = self.take(token) {
            return Poll::Ready(outcome);
        }
        if let Some(cell) = self.cells.get_mut(token.0 as usize) {
            cell.wait(cx.waker());
        }
        Poll::Pending
    }

    /// The caller is gone. Returns whether the call is still on its way.
    pub(super) fn abandon(&mut self, token: Token) -> bool {
        if self.take(token).is_some() {
            return false;
        }
        self.cells.get_mut(token.0 as usize).is_some_and(|cell| std::mem::take(&mut cell.waits))
    }
}

/// Cells that an emptied slab keeps, so that an idle link holds little memory.
const KEEP_CELLS: usize = 128;
