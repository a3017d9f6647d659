//! Several calls: so many at a time, each told as it ends, and summed up in a closing record.
//!
//! ```text
//!   workers (--concurrency) ──call──▶ whoever makes them
//!         └── how each ended ──▶ print and count ──▶ closing record
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use peerage::outcome::{Class, Outcome};
use serde::Serialize;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::exit::{Abort, Exit};
use crate::outcome::micros;
use crate::output::{self, Form};
use crate::runtime::Interrupts;

/// How a call ended, whoever made it.
pub(crate) trait Ends: Send + 'static {
    /// The row of the table of outcomes.
    fn outcome(&self) -> Outcome;
    /// How long it took, in microseconds.
    fn elapsed_us(&self) -> u64;
    /// The line for people about a call without a value.
    fn complaint(&self) -> Option<String>;
    /// Prints its record, with the number of the call.
    fn record(&self, n: u64) -> Result<(), Abort>;
}

/// What is to be done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Several {
    /// How many calls.
    pub(crate) times: u32,
    /// How many of them at a time.
    pub(crate) at_once: u16,
    /// How they are told.
    pub(crate) form: Form,
}

/// Turns true when the user has had enough. Calls in flight end then.
pub(crate) type Stopped = watch::Receiver<bool>;

impl Several {
    /// Makes the calls, goes on after errors, and prints the closing record. The first signal ends it in order.
    pub(crate) async fn make<C, F, E>(self, call: C, interrupts: &mut Interrupts) -> Result<Exit, Abort>
    where
        C: Fn(Stopped) -> F + Clone + Send + 'static,
        F: Future<Output = E> + Send,
        E: Ends,
    {
        let began = Instant::now();
        let (stop, stopped) = watch::channel(false);
        let mut ends = self.start_workers(call, &stopped);
        let mut tally = Tally::default();
        loop {
            tokio::select! {
                end = ends.recv() => match end {
                    Some((n, ended)) => tally.tell(n, &ended, self.form)?,
                    None => break,
                },
                () = interrupts.next() => {
                    tally.interrupted = true;
                    stop.send_replace(true);
                }
            }
        }
        tally.close(began.elapsed(), self.form)
    }

    fn start_workers<C, F, E>(self, call: C, stopped: &Stopped) -> mpsc::Receiver<(u64, E)>
    where
        C: Fn(Stopped) -> F + Clone + Send + 'static,
        F: Future<Output = E> + Send,
        E: Ends,
    {
        let workers = self.times.min(u32::from(self.at_once));
        let (tell, ends) = mpsc::channel(usize::from(self.at_once));
        let taken = Arc::new(AtomicU64::new(0));
        for _ in 0..workers {
            let (call, stopped, tell, taken) = (call.clone(), stopped.clone(), tell.clone(), taken.clone());
            tokio::spawn(async move {
                while !*stopped.borrow() {
                    let n = taken.fetch_add(1, Ordering::Relaxed) + 1;
                    if n > u64::from(self.times) || tell.send((n, call(stopped.clone()).await)).await.is_err() {
                        break;
                    }
                }
            });
        }
        ends
    }
}

/// What several calls came to.
#[derive(Default)]
pub(crate) struct Tally {
    outcomes: BTreeMap<Outcome, u64>,
    /// Microseconds of the calls that were answered.
    ok_us: Vec<u32>,
    /// The user has ended it before it was over.
    pub(crate) interrupted: bool,
}

impl Tally {
    /// Counts a call, and prints what is to be printed of it.
    pub(crate) fn tell(&mut self, n: u64, ended: &impl Ends, form: Form) -> Result<(), Abort> {
        let is_new = self.count(ended.outcome(), ended.elapsed_us());
        match form {
            Form::Jsonl => ended.record(n)?,
            // One line for each kind of failure: the next thousand say nothing new.
            Form::Text if is_new => ended.complaint().iter().for_each(|text| output::complain(text)),
            Form::Text | Form::Json => {}
        }
        Ok(())
    }

    /// Counts a call; whether it is the first with this outcome.
    fn count(&mut self, outcome: Outcome, elapsed_us: u64) -> bool {
        if outcome == Outcome::Ok {
            self.ok_us.push(u32::try_from(elapsed_us).unwrap_or(u32::MAX));
        }
        let count = self.outcomes.entry(outcome).or_default();
        *count += 1;
        *count == 1
    }

    /// Prints the closing record; the exit code of all.
    pub(crate) fn close(mut self, elapsed: Duration, form: Form) -> Result<Exit, Abort> {
        let closing = self.closing(elapsed);
        match form {
            Form::Text => output::line(&closing.text())?,
            Form::Json => output::object(&closing)?,
            Form::Jsonl => output::record(&closing)?,
        }
        Ok(match Exit::of_all(self.outcomes.keys().copied()) {
            Exit::Ok if self.interrupted => Exit::Failed,
            exit => exit,
        })
    }

    fn closing(&mut self, elapsed: Duration) -> Closing {
        self.ok_us.sort_unstable();
        let of = |class| self.outcomes.iter().filter(|(outcome, _)| outcome.class() == class).map(|(_, n)| n).sum();
        Closing {
            end: true,
            asked: self.outcomes.values().sum(),
            ok: of(Class::Ok),
            failed: of(Class::Failed),
            unknown: of(Class::Unknown),
            did_not_run: of(Class::DidNotRun),
            outcomes: self.outcomes.iter().map(|(outcome, count)| (outcome.name(), *count)).collect(),
            p50_us: self.percentile(50),
            p99_us: self.percentile(99),
            elapsed_us: micros(elapsed),
        }
    }

    /// The time within which so many per cent of the answers came. The times are sorted.
    fn percentile(&self, per_cent: usize) -> Option<u32> {
        let rank = (self.ok_us.len() * per_cent).div_ceil(100);
        self.ok_us.get(rank.saturating_sub(1)).copied()
    }
}

/// The record that closes a run of several calls.
#[derive(Serialize)]
struct Closing {
    end: bool,
    asked: u64,
    ok: u64,
    failed: u64,
    unknown: u64,
    did_not_run: u64,
    outcomes: BTreeMap<&'static str, u64>,
    p50_us: Option<u32>,
    p99_us: Option<u32>,
    elapsed_us: u64,
}

impl Closing {
    fn text(&self) -> String {
        let outcomes: Vec<String> = self.outcomes.iter().map(|(name, count)| format!("{count} {name}")).collect();
        let times = match (self.p50_us, self.p99_us) {
            (Some(p50), Some(p99)) => format!("; half within {p50} µs, 99 of 100 within {p99} µs"),
            _ => String::new(),
        };
        let seconds = Duration::from_micros(self.elapsed_us).as_secs_f64();
        format!("{} calls: {}{times}; {seconds:.3} s in all", self.asked, outcomes.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_times_that_were_measured() {
        let tally = |times: &[u32]| Tally { ok_us: times.to_vec(), ..Tally::default() };
        assert_eq!(tally(&[]).percentile(50), None);
        assert_eq!(tally(&[7]).percentile(99), Some(7));
        assert_eq!(tally(&[1, 2, 3, 4]).percentile(50), Some(2));
        assert_eq!(tally(&(1..=200).collect::<Vec<_>>()).percentile(99), Some(198));
    }
}
