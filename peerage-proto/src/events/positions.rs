//! How far a subscription has heard each name of one publisher.
//!
//! The book of the subscriber's end, one for each (subscription, publisher's node). Links come and go, a publisher may start
//! again in a new epoch; the book stays, and of every record it says what is new in it: which events to deliver, which to
//! leave out because they came before, and what is missing.
//!
//! ```text
//!   first attachment          fixes where each name begins
//!   every later one           a name that stands further than it was heard: link-lost
//!                             a name that was not known, standing at q: 1 … q, link-lost
//!   a name that appears later begins with 1
//!   a new epoch               of every known name the tail is not known: source-restarted; all names begin with 1
//! ```
//!
//! Records are heard in the order of their feed, and feeds one after the other: when a subscription moves to another link,
//! the old feed is read to its end first. Then *delivered + missing* of a name is what was published of it, without overlap.
//!
//! A member of a group gets some events only. There a jump of the numbers is nobody's loss; what was dropped is told by gaps,
//! and of what was lost with a link only this much is known, that it is among the numbers that passed meanwhile.

#![allow(clippy::arithmetic_side_effects, reason = "numbers that were compared before they are subtracted")]

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Record, Why};
use crate::id::Epoch;
use crate::limits;
use crate::planted::{self, Bug};

#[cfg(test)]
mod tests;

/// What a subscription knows of the names of one publisher.
#[derive(Clone, Debug, Default)]
pub struct Positions {
    epoch: Option<Epoch>,
    /// The last event of each name that was delivered or reported missing, or where it began.
    names: BTreeMap<Arc<str>, u64>,
    /// Some attachment was completed: from then on nothing is lost unheard of.
    has_begun: bool,
    /// The present one is.
    is_attached: bool,
    is_shared: bool,
    /// Events reported missing since the present attachment began.
    missed: u64,
}

/// What is new in a record.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Heard {
    /// Events. First tell the gap before them, then leave out the first `known` of their values, then deliver the others.
    Events {
        /// The name.
        name: Arc<str>,
        /// The number of the first event that is delivered.
        first: u64,
        /// How many values come before it, which are known already; up to all of them.
        known: u64,
        /// What is missing before them.
        missing: Option<Missing>,
    },
    /// Events that are missing.
    Gap(Missing),
    /// The subscription holds at this publisher.
    Attached {
        /// How many of its names match.
        matching: u64,
        /// How many events were lost since the attachment before; 0 at the first.
        missed: u64,
    },
    /// Nothing for the application.
    Nothing,
}

/// Events that are missing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Missing {
    /// In which run of the publisher.
    pub epoch: Epoch,
    /// The name.
    pub name: Arc<str>,
    /// The number of the first.
    pub first: u64,
    /// The number of the last. `None`: not known, which is so for the tail of an epoch that has ended only.
    pub last: Option<u64>,
    /// Why.
    pub why: Why,
}

impl Missing {
    /// How many they are, if that is known.
    pub fn count(&self) -> Option<u64> {
        self.last.map(|last| last.saturating_sub(self.first).saturating_add(1))
    }
}

/// What a publisher said cannot be so: it does not keep to the protocol.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Untrue {
    /// There can be no so many names.
    #[error("more than {} names of events", limits::EVENT_NAMES_MAX)]
    TooManyNames,
    /// Nothing was attached.
    #[error("events without an attachment")]
    NotAttached,
    /// An older run of the publisher cannot come behind a newer one.
    #[error("events of an earlier epoch")]
    OlderEpoch,
}

impl Positions {
    /// Of a subscription that gets every event that matches.
    pub fn new() -> Positions {
        Positions::default()
    }

    /// Of a member of a group.
    pub fn shared() -> Positions {
        Positions { is_shared: true, ..Positions::default() }
    }

    /// A feed begins, on a link to the publisher in this epoch. Of an earlier epoch, the tail of every name is missing.
    ///
    /// # Errors
    /// [`Untrue::OlderEpoch`].
    pub fn attach(&mut self, epoch: Epoch) -> Result<Vec<Missing>, Untrue> {
        let before = self.epoch.unwrap_or(epoch);
        if epoch < before {
            return Err(Untrue::OlderEpoch);
        }
        self.epoch = Some(epoch);
        self.is_attached = false;
        self.missed = 0;
        if epoch == before {
            return Ok(Vec::new());
        }
        let ended = std::mem::take(&mut self.names);
        let tail = |(name, seq): (Arc<str>, u64)| {
            let first = seq.saturating_add(1);
            Missing { epoch: before, name, first, last: None, why: Why::SourceRestarted }
        };
        Ok(if self.has_begun { ended.into_iter().map(tail).collect() } else { Vec::new() })
    }

    /// What is new in a record of the feed that began last.
    ///
    /// # Errors
    /// [`Untrue`] if it cannot be so.
    #[inline]
    pub fn hear(&mut self, record: &Record<'_>) -> Result<Heard, Untrue> {
        let epoch = self.epoch.ok_or(Untrue::NotAttached)?;
        match *record {
            Record::Events { name, first, count } => self.hear_events(epoch, name, first, count),
            Record::Gap { name, first, last, why } => {
                let (name, at) = self.known(name, 0)?;
                // What is missing between was not told, which a publisher does not do; it is missing all the same.
                let at = if self.is_shared { at.max(first - 1) } else { at };
                Ok(self.miss(epoch, name, at, last, why).map_or(Heard::Nothing, Heard::Gap))
            }
            Record::Position { name, seq } => {
                let begin = if self.has_begun { 0 } else { seq };
                let begin = if planted::is(Bug::NewNameTakenAsHeard) { seq } else { begin };
                let (name, at) = self.known(name, begin)?;
                Ok(self.miss(epoch, name, at, seq, Why::LinkLost).map_or(Heard::Nothing, Heard::Gap))
            }
            Record::Attached { matching } => {
                self.has_begun = true;
                self.is_attached = true;
                Ok(Heard::Attached { matching, missed: self.missed })
            }
            Record::Mark { .. } => Ok(Heard::Nothing),
        }
    }

    fn hear_events(&mut self, epoch: Epoch, name: &str, first: u64, count: u64) -> Result<Heard, Untrue> {
        let (name, at) = self.known(name, 0)?;
        let last = first.saturating_add(count.saturating_sub(1));
        let missing = match self.is_shared {
            true => None,
            false => self.miss(epoch, name.clone(), at, first - 1, Why::LinkLost),
        };
        let mut known = at.saturating_sub(first - 1).min(count);
        if planted::is(Bug::DuplicateDelivered) {
            known = 0;
        }
        if let Some(at) = self.names.get_mut(&name) {
            *at = last.max(*at);
        }
        Ok(Heard::Events { name, first: first.saturating_add(known), known, missing })
    }

    /// The name as it is kept, and how far it was heard. One that is new begins behind `begin`.
    #[inline]
    fn known(&mut self, name: &str, begin: u64) -> Result<(Arc<str>, u64), Untrue> {
        if let Some((name, at)) = self.names.get_key_value(name) {
            return Ok((name.clone(), *at));
        }
        if self.names.len() >= limits::EVENT_NAMES_MAX {
            return Err(Untrue::TooManyNames);
        }
        let name: Arc<str> = name.into();
        self.names.insert(name.clone(), begin);
        Ok((name, begin))
    }

    /// What is missing behind `at` up to `last`, none of which was heard before.
    fn miss(&mut self, epoch: Epoch, name: Arc<str>, at: u64, last: u64, why: Why) -> Option<Missing> {
        if last <= at {
            return None;
        }
        self.missed = self.missed.saturating_add(last - at);
        self.names.insert(name.clone(), last);
        Some(Missing { epoch, name, first: at + 1, last: Some(last), why })
    }

    /// Whether the feed that began last has told all positions.
    pub fn is_attached(&self) -> bool {
        self.is_attached
    }

    /// Whether some attachment was completed, in whatever epoch.
    pub fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// The run of the publisher that was heard last.
    pub fn epoch(&self) -> Option<Epoch> {
        self.epoch
    }

    /// What to tell the publisher in this epoch, so that it sends again what it has kept: `None` before the first attachment,
    /// then how far each name was heard, as many names as may be told.
    pub fn for_wish(&self, epoch: Epoch) -> Option<BTreeMap<Arc<str>, u64>> {
        if !self.has_begun {
            return None;
        }
        let mut bytes = 0;
        let heard = self.names.iter().take_while(|(name, _)| {
            bytes += name.len();
            bytes <= limits::EVENT_POSITIONS_BYTES_MAX
        });
        let heard = heard.take(limits::EVENT_POSITIONS_MAX).map(|(name, seq)| (name.clone(), *seq));
        Some(if self.epoch == Some(epoch) { heard.collect() } else { BTreeMap::new() })
    }
}
