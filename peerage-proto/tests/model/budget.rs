//! How much may happen in one search.

use std::fmt;

use crate::rule::End;
use crate::world::WIRES;

/// How much may happen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    pub(crate) dials: u8,
    pub(crate) kills: u8,
    pub(crate) restarts: u8,
    /// Calls of each node.
    pub(crate) calls: u8,
    /// Who dials, first to last; `None`: anybody, so that all orders are among the interleavings.
    pub(crate) diallers: Option<[End; WIRES]>,
}

impl Budget {
    pub(crate) const NOTHING: Budget = Budget { dials: 0, kills: 0, restarts: 0, calls: 0, diallers: None };
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} dials", self.dials)?;
        if let Some(diallers) = self.diallers {
            write!(f, " {diallers:?}")?;
        }
        write!(f, ", {} kills, {} restarts, {} calls of each", self.kills, self.restarts, self.calls)
    }
}
