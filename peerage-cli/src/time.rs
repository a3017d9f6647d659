//! `--timeout`: one bound on a whole command, and what its passing means.
//!
//! The exit code of a timeout tells how far the command had come: nothing was written, the view was not complete, or
//! somebody was asked and may have done the work.

use std::cell::Cell;
use std::time::Duration;

use crate::args::{Acting, written_duration};
use crate::exit::{Abort, Exit};

/// The time of one command.
pub(crate) struct Time {
    timeout: Option<Duration>,
    passed_now: Cell<Exit>,
}

impl Time {
    pub(crate) fn of(acting: &Acting) -> Time {
        Time { timeout: acting.timeout, passed_now: Cell::new(Exit::DidNotRun) }
    }

    /// From now on a member is sought: time that passes means that it is not yet known.
    pub(crate) fn seeking(&self) {
        self.passed_now.set(Exit::NotYetKnown);
    }

    /// From now on somebody works for us: time that passes means that we do not know what came of it.
    pub(crate) fn asking(&self) {
        self.passed_now.set(Exit::Deadline);
    }

    /// Does `work` within the timeout.
    pub(crate) async fn bound<T>(&self, work: impl Future<Output = Result<T, Abort>>) -> Result<T, Abort> {
        let Some(timeout) = self.timeout else { return work.await };
        tokio::time::timeout(timeout, work).await.unwrap_or_else(|_| {
            let what = match self.passed_now.get() {
                Exit::NotYetKnown => "what was asked for is not yet known",
                Exit::Deadline => "no answer, and the work may have been done,",
                _ => "nothing was done",
            };
            let within = written_duration(timeout);
            let text = format!("{what} within {within}; a longer --timeout allows more");
            Err(Abort::Ended(self.passed_now.get(), text))
        })
    }
}
