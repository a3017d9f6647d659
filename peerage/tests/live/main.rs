//! Promises kept between processes: one is killed, one is flooded, and time and memory are measured.
//!
//! ```text
//!   peer             the other process: this same program, started again
//!   stall            how long this process itself stood still, which no promise can exclude
//!   outcomes         ten thousand calls with cancels, deadlines and a peer that is killed
//!   hostile_lengths  a thousand connections that announce what they will never send
//! ```
//!
//! Figures go to the output of the test, past the capture of the test runner: a limit that was kept by a hair should be
//! seen.

mod hostile_lengths;
mod outcomes;
mod peer;
mod stall;

/// Held while something is measured, so that the tests of this program do not measure each other.
static ALONE: std::sync::Mutex<()> = std::sync::Mutex::new(());

/// Prints a line of figures.
fn report(line: &str) {
    use std::io::Write;
    // The test runner captures `println`, and nobody reads what a passing test prints there.
    writeln!(std::io::stdout().lock(), "{line}").unwrap();
}
