//! The log filter of the program around a node, as far as the node may change it.

use std::fmt;

/// Shows and changes what the program logs. A library has no say in that by itself: who owns the log hands this to
/// [`Builder::log_filter`](super::Builder::log_filter), and the control socket can reach it then.
pub trait LogFilter: fmt::Debug + Send + Sync {
    /// The filter in force, in the form in which it can be set.
    fn filter(&self) -> String;

    /// Changes it.
    ///
    /// # Errors
    /// What is wrong with the text, for people.
    fn set(&self, filter: &str) -> Result<(), String>;
}
