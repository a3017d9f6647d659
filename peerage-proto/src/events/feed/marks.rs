//! What became of the events of receipts.
//!
//! A publisher that wants to know what was delivered sets a mark before it offers its events: these numbers of this name. The
//! feed counts what leaves and what is dropped of them, and when nothing of them waits any more it sends the mark. The
//! subscriber's answer then says that what left before it has come in.

use super::{Mark, Tally};
use crate::limits;
use crate::planted::{self, Bug};

/// The marks of a feed that have no answer.
#[derive(Debug, Default)]
pub(super) struct Marks {
    all: Vec<Marked>,
    /// Those that are to be sent, oldest first.
    due: Vec<u64>,
}

#[derive(Debug)]
struct Marked {
    mark: Mark,
    tally: Tally,
}

impl Marks {
    /// Whether any event could belong to a mark.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(super) fn set(&mut self, mark: Mark) -> bool {
        let is_new = !self.all.iter().any(|marked| marked.mark.number == mark.number);
        if !is_new || self.all.len() >= limits::EVENT_MARKS_MAX {
            return false;
        }
        if mark.events == 0 {
            self.due.push(mark.number);
        }
        self.all.push(Marked { mark, tally: Tally { waiting: mark.events, ..Tally::default() } });
        true
    }

    /// An event has left.
    pub(super) fn left(&mut self, topic: u32, seq: u64) {
        self.accounted(topic, seq, |tally| &mut tally.left);
    }

    /// An event was dropped.
    pub(super) fn dropped(&mut self, topic: u32, seq: u64) {
        let is_left = planted::is(Bug::DroppedCountedAsLeft);
        self.accounted(topic, seq, |tally| if is_left { &mut tally.left } else { &mut tally.dropped });
    }

    fn accounted(&mut self, topic: u32, seq: u64, of: impl Fn(&mut Tally) -> &mut u64) {
        for Marked { mark, tally } in &mut self.all {
            if mark.topic == topic && (mark.first..=mark.last).contains(&seq) && tally.waiting > 0 {
                tally.waiting -= 1;
                *of(tally) += 1;
                if tally.waiting == 0 {
                    self.due.push(mark.number);
                }
            }
        }
    }

    /// The next mark to be sent.
    #[inline]
    pub(super) fn due(&self) -> Option<u64> {
        self.due.first().copied()
    }

    pub(super) fn sent(&mut self) {
        self.due.remove(0);
    }

    /// The subscriber's answer.
    pub(super) fn confirmed(&mut self, number: u64) -> Option<Tally> {
        let at = self.all.iter().position(|marked| marked.mark.number == number)?;
        if self.all[at].tally.waiting > 0 || self.due.contains(&number) {
            return None;
        }
        Some(self.all.remove(at).tally)
    }

    /// All that have no answer and will get none.
    pub(super) fn end(&mut self) -> Vec<(u64, Tally)> {
        self.due.clear();
        self.all.drain(..).map(|marked| (marked.mark.number, marked.tally)).collect()
    }
}
