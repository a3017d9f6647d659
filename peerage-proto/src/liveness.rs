//! Whether a peer still lives: when to ask, and when to give up.
//!
//! A connection that nobody cut and nobody answers on looks like one on which nothing happens. So a link on which nothing
//! arrived for a while is asked for a sign of life, and one that gives none is suspected and then given up:
//!
//! ```text
//!   last byte heard ──interval──▶ ping ──interval──▶ ping ─ … ─ 3 × interval: suspect ─ … ─ 6 × interval: lost
//! ```
//!
//! Any byte that arrives counts as life, so a busy link is never asked.

mod profile;

pub use profile::Profile;
