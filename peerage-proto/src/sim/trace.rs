//! The fingerprint of a run.

use std::time::Instant;

/// Folds what happened into one number: two runs that differ anywhere differ here.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trace(u64);

impl Trace {
    pub(super) fn new() -> Trace {
        Trace(0xcbf2_9ce4_8422_2325)
    }

    /// Something happened.
    pub(super) fn note(&mut self, now: Instant, what: &[u64]) {
        let micros = now.duration_since(super::epoch()).as_micros() as u64;
        for word in [micros].iter().chain(what) {
            for byte in word.to_le_bytes() {
                // FNV-1a: no dependency, and every byte counts.
                self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
            }
        }
    }

    /// These bytes went by, eight at a time.
    pub(super) fn note_bytes(&mut self, bytes: &[u8]) {
        let words = bytes.chunks(8).map(|chunk| chunk.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)));
        for word in words.chain([bytes.len() as u64]) {
            self.0 = (self.0 ^ word).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23);
        }
    }

    pub(super) fn value(self) -> u64 {
        self.0
    }
}
