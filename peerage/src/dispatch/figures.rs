//! What happened to the calls of one service: how many ended how, and how long they took.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use peerage_proto::outcome::Outcome;

/// Counts and times of one service, since it was registered.
#[derive(Debug)]
pub(crate) struct Figures {
    at_work: AtomicU64,
    ok: AtomicU64,
    failed: AtomicU64,
    refused: AtomicU64,
    put_off: AtomicU64,
    stopped: AtomicU64,
    /// Calls by the time they took: place n counts those below `TIMES[n]`.
    times: [AtomicU64; PLACES],
    /// How long calls take, as an average that forgets: microseconds.
    usual: AtomicU64,
}

/// The same as numbers.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Counts {
    pub(crate) at_work: u64,
    pub(crate) ok: u64,
    pub(crate) failed: u64,
    pub(crate) refused: u64,
    pub(crate) put_off: u64,
    pub(crate) stopped: u64,
    pub(crate) p50_us: Option<u64>,
    pub(crate) p99_us: Option<u64>,
}

impl Default for Figures {
    fn default() -> Figures {
        Figures {
            at_work: AtomicU64::new(0),
            ok: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            put_off: AtomicU64::new(0),
            stopped: AtomicU64::new(0),
            times: std::array::from_fn(|_| AtomicU64::new(0)),
            usual: AtomicU64::new(0),
        }
    }
}

impl Figures {
    /// Work on a call begins.
    pub(super) fn began(&self) {
        add(&self.at_work);
    }

    /// Work on a call has ended, so that there is room for another.
    pub(super) fn left(&self) {
        self.at_work.fetch_sub(1, Ordering::Relaxed);
    }

    /// A call was not let through.
    pub(super) fn refused(&self) {
        add(&self.refused);
    }

    /// There was no room for a call, or no time.
    pub(super) fn put_off(&self) {
        add(&self.put_off);
    }

    /// A call has been answered, or its work was stopped.
    pub(super) fn ended(&self, outcome: Outcome, took: Option<Duration>) {
        add(match outcome {
            Outcome::Ok => &self.ok,
            Outcome::Remote => &self.failed,
            _ => &self.stopped,
        });
        let Some(took) = took else { return };
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        add(&self.times[place(us)]);
        // Which of two writers at once wins does not matter to an average.
        let usual = self.usual.load(Ordering::Relaxed);
        let next = if usual == 0 { us } else { usual - usual / 8 + us / 8 };
        self.usual.store(next, Ordering::Relaxed);
    }

    /// How long calls take these days.
    pub(super) fn usual_time(&self) -> Duration {
        Duration::from_micros(self.usual.load(Ordering::Relaxed))
    }

    /// All of it as numbers.
    pub(crate) fn counts(&self) -> Counts {
        let read = |of: &AtomicU64| of.load(Ordering::Relaxed);
        let times: Vec<u64> = self.times.iter().map(read).collect();
        Counts {
            at_work: read(&self.at_work),
            ok: read(&self.ok),
            failed: read(&self.failed),
            refused: read(&self.refused),
            put_off: read(&self.put_off),
            stopped: read(&self.stopped),
            p50_us: quantile(&times, 50),
            p99_us: quantile(&times, 99),
        }
    }
}

fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// Where a time is counted: four places for each doubling, so a figure read from them is at most a fifth too high.
fn place(us: u64) -> usize {
    if us < 4 {
        return us as usize;
    }
    let doublings = us.ilog2();
    let quarter = (us >> (doublings - 2)) & 3;
    ((doublings as usize - 1) * 4 + quarter as usize).min(PLACES - 1)
}

/// The end of a place, in microseconds.
fn end_of(place: usize) -> u64 {
    if place < 4 {
        return place as u64 + 1;
    }
    let (doublings, quarter) = (place / 4 + 1, place as u64 % 4);
    (4 + quarter + 1) << (doublings - 2)
}

/// The time that so many of a hundred calls stayed below.
fn quantile(times: &[u64], percent: u64) -> Option<u64> {
    let all: u64 = times.iter().sum();
    let rank = (all * percent).div_ceil(100);
    let mut below = 0;
    times.iter().enumerate().find_map(|(place, count)| {
        below += count;
        (all > 0 && below >= rank).then(|| end_of(place))
    })
}

/// Places for times of up to a day.
const PLACES: usize = 144;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_lies_in_its_place_and_at_most_a_quarter_below_its_end() {
        let mut times: Vec<u64> = (0..200).collect();
        times.extend((8..36).flat_map(|power| [(1_u64 << power) - 1, 1 << power, (1 << power) + (1 << (power - 1))]));
        for us in times {
            let end = end_of(place(us));
            assert!(us < end && end <= us + us / 4 + 1, "{us}: below {end}");
        }
    }

    #[test]
    fn quantiles_are_read_from_the_calls_that_were_counted() {
        let figures = Figures::default();
        assert_eq!(figures.counts().p50_us, None);
        for _ in 0..98 {
            figures.ended(Outcome::Ok, Some(Duration::from_micros(100)));
        }
        for _ in 0..2 {
            figures.ended(Outcome::Remote, Some(Duration::from_millis(50)));
        }
        let counts = figures.counts();
        assert_eq!((counts.ok, counts.failed), (98, 2));
        assert!(counts.p50_us.is_some_and(|us| (100..=125).contains(&us)), "{counts:?}");
        assert!(counts.p99_us.is_some_and(|us| (50_000..=62_500).contains(&us)), "{counts:?}");
    }
}
