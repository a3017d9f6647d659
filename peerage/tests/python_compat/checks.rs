//! Counting what was checked, and a deadline for every step.

use std::fmt::Debug;
use std::io::Write as _;
use std::time::Duration;

/// The checks of one test. A check that does not hold ends the test.
pub(crate) struct Checks {
    subject: String,
    passed: u32,
}

impl Checks {
    pub(crate) fn of(subject: impl Into<String>) -> Checks {
        Checks { subject: subject.into(), passed: 0 }
    }

    /// Counts a check whose claim is `name`.
    #[track_caller]
    pub(crate) fn holds(&mut self, name: &str, holds: bool) {
        assert!(holds, "{}: {name}", self.subject);
        self.passed += 1;
    }

    /// Counts a check whose claim is that `name` is `wanted`.
    #[track_caller]
    pub(crate) fn equal<T: PartialEq<W> + Debug, W: Debug>(&mut self, name: &str, found: T, wanted: W) {
        assert!(found == wanted, "{}: {name}: found {found:.300?}, wanted {wanted:.300?}", self.subject);
        self.passed += 1;
    }

    /// Counts checks that another program has made.
    pub(crate) fn made_elsewhere(&mut self, passed: u32) {
        self.passed += passed;
    }

    /// Says how many there were.
    pub(crate) fn report(self) {
        say(&format!("python interop: {} checks passed ({})", self.passed, self.subject));
    }
}

/// Waits for a step of a test at most [`STEP`].
#[track_caller]
pub(crate) fn within<F: IntoFuture>(step: &str, work: F) -> impl Future<Output = F::Output> {
    let place = std::panic::Location::caller();
    async move {
        match tokio::time::timeout(STEP, work.into_future()).await {
            Ok(done) => done,
            Err(_) => panic!("{place}: not within {STEP:?}: {step}"),
        }
    }
}

/// Prints a line past the test harness, which swallows what a passing test prints.
pub(crate) fn say(line: &str) {
    // Nobody is harmed if there is no terminal any more.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Longest any step may take. Far beyond what each needs, for machines that are busy with other things.
pub(crate) const STEP: Duration = Duration::from_secs(15);
