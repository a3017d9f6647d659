//! Where callers wait for their outcomes: one cell a call, found by its token. The outcome itself stays in the machine
//! until its caller collects it.

use std::task::Waker;

use peerage_proto::channel::Token;

/// A slab of cells.
#[derive(Default)]
pub(super) struct Cells {
    cells: Vec<Cell>,
    free: Vec<u32>,
}

/// One call's cell.
#[derive(Default)]
struct Cell {
    /// A caller waits, and there is no outcome yet.
    waits: bool,
    /// Who waits, or who waited last: many callers of one task need only one copy each, made once.
    waker: Option<Waker>,
}

impl Cells {
    /// A cell for a new call.
    #[inline]
    pub(super) fn open(&mut self, waker: &Waker) -> Token {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.cells.push(Cell::default());
            (self.cells.len() - 1) as u32
        });
        self.wait(Token(slot), waker);
        Token(slot)
    }

    /// Notes who waits in a cell.
    #[inline]
    pub(super) fn wait(&mut self, token: Token, waker: &Waker) {
        let Some(cell) = self.cells.get_mut(token.0 as usize) else { return };
        cell.waits = true;
        match &mut cell.waker {
            Some(before) => before.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
    }

    /// There is an outcome: adds whoever waits for it to those to be woken, unless that is the same task as the last one
    /// there. False if nobody waits for it any more.
    #[inline]
    pub(super) fn settle(&mut self, token: Token, wake: &mut Vec<Waker>) -> bool {
        let Some(cell) = self.cells.get_mut(token.0 as usize) else { return false };
        if !std::mem::take(&mut cell.waits) {
            return false;
        }
        let known = wake.last().zip(cell.waker.as_ref()).is_some_and(|(last, waker)| last.will_wake(waker));
        if !known {
            wake.extend(cell.waker.take());
        }
        true
    }

    /// The caller is gone. Returns whether the call is still on its way.
    pub(super) fn abandon(&mut self, token: Token) -> bool {
        self.cells.get_mut(token.0 as usize).is_some_and(|cell| std::mem::take(&mut cell.waits))
    }

    /// The outcome was collected: the cell is free.
    #[inline]
    pub(super) fn free(&mut self, token: Token) {
        self.free.push(token.0);
        if self.free.len() == self.cells.len() && self.cells.len() > KEEP_CELLS {
            (self.cells, self.free) = (Vec::new(), Vec::new());
        }
    }
}

/// Cells that an emptied slab keeps, so that an idle link holds little memory.
const KEEP_CELLS: usize = 128;
