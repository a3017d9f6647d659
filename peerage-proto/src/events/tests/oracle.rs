//! What must be so whatever happens: the accounts of one subscription, and those of one feed.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use crate::codec::Encoding;
use crate::events::{Feed, Heard, Missing, Positions, Record, Records, Why};
use crate::id::Epoch;

/// Fails the case, with the reason.
macro_rules! ensure {
    ($holds:expr, $($why:tt)*) => {
        if !$holds {
            return Err(format!($($why)*));
        }
    };
}
pub(super) use ensure;

/// What one subscription has got, by epoch and name.
#[derive(Default)]
pub(super) struct Accounts {
    lines: BTreeMap<(Epoch, String), Line>,
    pub(super) seen: Seen,
}

/// What has happened how often, so that a test can tell that it tested something.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    pub(super) delivered: u64,
    /// Values that were left out because they had come before.
    pub(super) known: u64,
    /// Reports of what is missing, by reason.
    pub(super) gaps: [u64; 6],
    pub(super) confirmed: u64,
}

impl Seen {
    pub(super) fn add(&mut self, other: &Seen) {
        self.delivered += other.delivered;
        self.known += other.known;
        self.confirmed += other.confirmed;
        for (sum, more) in self.gaps.iter_mut().zip(other.gaps) {
            *sum += more;
        }
    }
}

/// Of one name in one epoch.
#[derive(Debug, Default)]
struct Line {
    /// The last event before those that the subscription is about.
    begin: u64,
    at: u64,
    delivered: u64,
    missing: u64,
    is_tail_unknown: bool,
}

impl Accounts {
    /// Hears a content as a node does: every record in its turn, every value that is new.
    pub(super) fn hear(
        &mut self,
        positions: &mut Positions,
        encoding: Encoding,
        content: &[u8],
    ) -> Result<Vec<u64>, String> {
        let mut marks = Vec::new();
        let epoch = positions.epoch().ok_or("nothing is attached")?;
        let mut records = Records::new(encoding, content).map_err(|why| why.to_string())?;
        while let Some(record) = records.next_record().map_err(|why| why.to_string())? {
            match record {
                Record::Position { name, seq } if !positions.has_begun() => {
                    let begin = Line { begin: seq, at: seq, ..Line::default() };
                    self.lines.entry((epoch, name.to_owned())).or_insert(begin);
                }
                Record::Mark { number } => marks.push(number),
                _ => {}
            }
            match positions.hear(&record).map_err(|why| why.to_string())? {
                Heard::Events { name, first, known, missing } => {
                    if let Some(missing) = missing {
                        self.miss(&missing)?;
                    }
                    self.seen.known += known;
                    let mut seq = first;
                    for _ in 0..known {
                        records.next_value().map_err(|why| why.to_string())?;
                    }
                    while let Some(value) = records.next_value().map_err(|why| why.to_string())? {
                        self.deliver(epoch, &name, seq, value)?;
                        seq += 1;
                    }
                }
                Heard::Gap(missing) => self.miss(&missing)?,
                Heard::Attached { .. } | Heard::Nothing => {}
            }
        }
        Ok(marks)
    }

    fn deliver(&mut self, epoch: Epoch, name: &str, seq: u64, value: &[u8]) -> Result<(), String> {
        let line = self.lines.entry((epoch, name.to_owned())).or_default();
        ensure!(seq == line.at + 1, "{name} {seq} delivered behind {}", line.at);
        ensure!(number_of(value) == Some(seq), "{name} {seq} came with the value {value:?}");
        line.at = seq;
        line.delivered += 1;
        self.seen.delivered += 1;
        Ok(())
    }

    /// Something is reported missing.
    pub(super) fn miss(&mut self, missing: &Missing) -> Result<(), String> {
        self.seen.gaps[missing.why as usize] += 1;
        let line = self.lines.entry((missing.epoch, missing.name.to_string())).or_default();
        ensure!(missing.first == line.at + 1, "{missing:?} behind {}", line.at);
        match missing.last {
            Some(last) => {
                ensure!(last >= missing.first && missing.why != Why::SourceRestarted, "{missing:?}");
                line.missing += missing.count().unwrap_or(0);
                line.at = last;
            }
            None => {
                ensure!(missing.why == Why::SourceRestarted && !line.is_tail_unknown, "{missing:?}");
                line.is_tail_unknown = true;
            }
        }
        Ok(())
    }

    /// A publisher was restarted before any attachment was completed: nothing was promised.
    pub(super) fn forget(&mut self) {
        self.lines.clear();
    }

    /// Everything has come that will come: the accounts are closed.
    pub(super) fn close(&self, present: Epoch, published: &BTreeMap<String, u64>) -> Result<(), String> {
        for ((epoch, name), line) in &self.lines {
            let sum = line.delivered + line.missing;
            ensure!(line.begin + sum == line.at, "{name}: {line:?}");
            ensure!(line.is_tail_unknown == (*epoch != present), "{name} in {epoch:?}: {line:?}");
        }
        for (name, seq) in published {
            let at = self.lines.get(&(present, name.clone())).map_or(0, |line| line.at);
            ensure!(at == *seq, "{name}: {seq} were published, {at} are accounted for");
        }
        Ok(())
    }
}

/// The number at the end of an encoded value: its sequence, as the world made it.
fn number_of(value: &[u8]) -> Option<u64> {
    if let [b'[', .., b']'] = value {
        let text = std::str::from_utf8(value).ok()?;
        return text.trim_end_matches(']').rsplit(',').next()?.parse().ok();
    }
    let number = crate::codec::msgpack::skip(value, 1).ok()?;
    crate::codec::msgpack::uint(value, number).map(|(number, _)| number)
}

/// What a feed has written.
#[derive(Default)]
pub(super) struct Written {
    events: BTreeSet<(String, u64)>,
    gaps: u64,
}

impl Written {
    /// Takes in a content, and looks whether the feed's own accounts agree.
    pub(super) fn add(&mut self, feed: &Feed, encoding: Encoding, content: &[u8]) -> Result<(), String> {
        let mut records = Records::new(encoding, content).map_err(|why| why.to_string())?;
        while let Some(record) = records.next_record().map_err(|why| why.to_string())? {
            match record {
                Record::Events { name, first, count } => {
                    for seq in first..first + count {
                        ensure!(self.events.insert((name.to_owned(), seq)), "{name} {seq} was written twice");
                    }
                }
                // What was no longer kept never came in.
                Record::Gap { why: Why::Expired, .. } => {}
                Record::Gap { first, last, .. } => self.gaps += last - first + 1,
                _ => {}
            }
        }
        self.check(feed)
    }

    /// How many of these have been written.
    pub(super) fn count(&self, name: &str, range: RangeInclusive<u64>) -> u64 {
        self.events.iter().filter(|(of, seq)| of == name && range.contains(seq)).count() as u64
    }

    pub(super) fn check(&self, feed: &Feed) -> Result<(), String> {
        let ledger = feed.ledger();
        ensure!(self.events.len() as u64 == ledger.left, "{} events were written: {ledger:?}", self.events.len());
        ensure!(self.gaps <= ledger.dropped, "{} events were told as gaps: {ledger:?}", self.gaps);
        let waiting = feed.waiting().events as u64;
        ensure!(ledger.offered == ledger.left + ledger.dropped + waiting, "{ledger:?}, {waiting} wait");
        ensure!(!feed.is_empty() || self.gaps == ledger.dropped, "{} told as gaps: {ledger:?}", self.gaps);
        Ok(())
    }
}
