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

enum Cell {
    Free,
    /// The caller waits.
    Waiting(Waker),
    /// The caller is gone; the outcome goes nowhere.
    Abandoned,
    /// The outcome waits for the caller.
    Done(Outcome),
}

impl Cells {
    /// A cell for a new call.
    pub(super) fn open(&mut self, waker: &Waker) -> Token {
        let cell = Cell::Waiting(waker.clone());
        match self.free.pop() {
            Some(slot) => {
                self.cells[slot as usize] = cell;
                Token(slot)
            }
            None => {
                self.cells.push(cell);
                Token((self.cells.len() - 1) as u32)
            }
        }
    }

    /// Puts the outcome into its cell and returns the waker of whoever waits for it.
    pub(super) fn settle(&mut self, token: Token, result: Outcome) -> Option<Waker> {
        let cell = self.cells.get_mut(token.0 as usize)?;
        match std::mem::replace(cell, Cell::Done(result)) {
            Cell::Waiting(waker) => Some(waker),
            Cell::Abandoned | Cell::Free => {
                *cell = Cell::Free;
                self.free.push(token.0);
                None
            }
            Cell::Done(_) => unreachable!("the machine settles a call once"),
        }
    }

    /// The outcome, if it is there; the cell is free then.
    pub(super) fn take(&mut self, token: Token) -> Option<Outcome> {
        let cell = self.cells.get_mut(token.0 as usize)?;
        if !matches!(cell, Cell::Done(_)) {
            return None;
        }
        self.free.push(token.0);
        let Cell::Done(result) = std::mem::replace(cell, Cell::Free) else {
            return None;
        };
        if self.free.len() == self.cells.len() && self.cells.len() > KEEP_CELLS {
            (self.cells, self.free) = (Vec::new(), Vec::new());
        }
        Some(result)
    }

    /// The outcome, or the caller's waker is kept for it.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, token: Token) -> Poll<Outcome> {
        if let Some(result) = self.take(token) {
            return Poll::Ready(result);
        }
        if let Some(Cell::Waiting(waker)) = self.cells.get_mut(token.0 as usize) {
            waker.clone_from(cx.waker());
        }
        Poll::Pending
    }

    /// The caller is gone. Returns whether the call is still on its way.
    pub(super) fn abandon(&mut self, token: Token) -> bool {
        if self.take(token).is_some() {
            return false;
        }
        match self.cells.get_mut(token.0 as usize) {
            Some(cell @ Cell::Waiting(_)) => {
                *cell = Cell::Abandoned;
                true
            }
            _ => false,
        }
    }
}

/// Cells that an emptied slab keeps, so that an idle link holds little memory.
const KEEP_CELLS: usize = 128;
