//! What happened: as a fingerprint, and as lines for people when asked.

use std::fmt;
use std::time::Instant;

use crate::sim::trace::Trace;

/// Notes every step.
#[derive(Debug)]
pub(super) struct Log {
    trace: Trace,
    prints: Option<fn(&str)>,
}

impl Log {
    pub(super) fn new() -> Log {
        Log { trace: Trace::new(), prints: None }
    }

    pub(super) fn print(&mut self, prints: fn(&str)) {
        self.prints = Some(prints);
    }

    /// Something happened. The numbers are its fingerprint.
    pub(super) fn note(&mut self, now: Instant, numbers: &[u64], line: impl FnOnce() -> String) {
        self.trace.note(now, numbers);
        self.say(now, line);
    }

    /// Bytes were written.
    pub(super) fn note_bytes(&mut self, now: Instant, numbers: &[u64], bytes: &[u8]) {
        self.trace.note(now, numbers);
        self.trace.note_bytes(bytes);
    }

    /// Something for people alone.
    pub(super) fn say(&mut self, now: Instant, line: impl FnOnce() -> String) {
        if let Some(prints) = self.prints {
            let at = now.duration_since(crate::sim::epoch());
            prints(&format!("{:>11.6}  {}", At(at.as_secs_f64()), line()));
        }
    }

    pub(super) fn value(&self) -> u64 {
        self.trace.value()
    }
}

struct At(f64);

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
