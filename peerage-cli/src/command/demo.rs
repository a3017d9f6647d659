//! `peerage demo`: shows what this release can do, with real processes, and what each step proves.
//!
//! The nodes and servers are this very program, started as anybody would start them, in a temporary directory that is removed at
//! the end. This process is their client, through the public API. Nothing sleeps and hopes: they are waited for by
//! their ready lines, and whatever takes longer than the whole demo may is a failed step.

use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::time::timeout;

use crate::args;
use crate::exit::{Abort, Exit};
use crate::output;
use crate::runtime::{self, Interrupts};

mod events;
mod member;
mod nodes;
mod servant;
mod services;
mod steps;

pub(super) fn run(typed: &args::Demo) -> Result<Exit, Abort> {
    let began = Instant::now();
    let mut report = Report { ok: true, steps: Vec::new(), as_json: typed.json };
    runtime::on_one_thread(async {
        let mut interrupts = Interrupts::listen()?;
        // However this ends, what was started is dropped with it: the processes are ended, the directory is removed.
        tokio::select! {
            done = timeout(TIME_MAX, steps(&mut report, typed)) => {
                done.unwrap_or_else(|_| report.failed("in time", format!("not over after {TIME_MAX:?}")))
            }
            () = interrupts.next() => report.failed("uninterrupted", "ended by a signal".to_owned()),
        }
    })?;
    report.close(began.elapsed())
}

async fn steps(report: &mut Report, typed: &args::Demo) -> Result<(), Abort> {
    nodes::all(report, usize::from(typed.nodes), typed.keep).await?;
    steps::all(report).await
}

/// What was shown so far.
#[derive(Serialize)]
struct Report {
    ok: bool,
    steps: Vec<Step>,
    #[serde(skip)]
    as_json: bool,
}

#[derive(Serialize)]
struct Step {
    name: &'static str,
    ok: bool,
    detail: String,
}

impl Report {
    /// Does one step; `detail` says what it proved, an error what it did not.
    async fn step(&mut self, name: &'static str, work: impl Future<Output = Shown>) -> Result<(), Abort> {
        match work.await {
            Ok(detail) => self.add(Step { name, ok: true, detail }),
            Err(detail) => self.failed(name, detail),
        }
    }

    fn failed(&mut self, name: &'static str, detail: String) -> Result<(), Abort> {
        self.add(Step { name, ok: false, detail })
    }

    fn add(&mut self, step: Step) -> Result<(), Abort> {
        if !self.as_json {
            let mark = if step.ok { "ok    " } else { "FAILED" };
            output::line(&format!("{mark}  {:<15}  {}", step.name, output::shown(&step.detail)))?;
        }
        self.ok &= step.ok;
        self.steps.push(step);
        Ok(())
    }

    fn close(&self, elapsed: Duration) -> Result<Exit, Abort> {
        if self.as_json {
            output::object(self)?;
        } else {
            let well = self.steps.iter().filter(|step| step.ok).count();
            output::line(&format!("{well} of {} steps ok in {:.1} s", self.steps.len(), elapsed.as_secs_f64()))?;
        }
        Ok(if self.ok { Exit::Ok } else { Exit::Failed })
    }
}

/// What a step proved, or what went wrong.
type Shown = Result<String, String>;

/// Longest time for all of it.
const TIME_MAX: Duration = Duration::from_secs(25);
