//! A window, for peers that would rather drop than wait.
//!
//! A broker that cuts off who is slow, or a queue that drops what it has no room for, loses events as soon as a publisher is
//! faster than its subscribers. With a window it never is: each subscriber tells now and then how much it has heard, over
//! whatever way back the peer has, and the publisher is never further ahead of the slowest than the window. That costs one
//! small message in a few thousand.

use std::io;

use crate::events::{Receiver, Source};

/// The publisher's end.
#[derive(Debug)]
pub struct Window {
    size: u64,
    sent: u64,
    /// Events that may be sent in all, by what the slowest has told; none before each has told something.
    limit: u64,
    /// What each subscriber has told.
    heard: Vec<Option<u64>>,
}

impl Window {
    /// A window that opens once every subscriber has told something.
    pub fn new(source: &Source) -> Self {
        Self { size: size(source.payload_bytes()), sent: 0, limit: 0, heard: vec![None; source.subscribers()] }
    }

    /// Most events that are ever under way to one subscriber.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Whether one more event may be sent now.
    pub fn is_open(&self) -> bool {
        self.sent < self.limit
    }

    /// Counts an event that was sent.
    pub fn send(&mut self) {
        self.sent += 1;
    }

    /// Takes what a subscriber tells: a text of [`Progress::told`].
    ///
    /// # Errors
    /// When it is none, or of a subscriber that there is not.
    pub fn hear(&mut self, told: &[u8]) -> io::Result<()> {
        let number = |from: usize| told.get(from..)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
        let (index, heard) = number(0).zip(number(8)).ok_or_else(|| io::Error::other("progress without numbers"))?;
        let place = usize::try_from(index).ok().and_then(|index| self.heard.get_mut(index));
        *place.ok_or_else(|| io::Error::other(format!("there is no subscriber {index}")))? = Some(heard);
        let slowest = self.heard.iter().copied().min().flatten();
        self.limit = slowest.map_or(0, |slowest| slowest + self.size);
        Ok(())
    }
}

/// A subscriber's end.
#[derive(Debug)]
pub struct Progress {
    index: u64,
    heard: u64,
    step: u64,
}

impl Progress {
    /// The progress of a subscriber that has heard nothing.
    pub fn of(receiver: &Receiver) -> Self {
        Self { index: receiver.index() as u64, heard: 0, step: size(receiver.payload_bytes()) / 8 }
    }

    /// What is to be told to the publisher now, if anything: at the beginning, and then eight times a window.
    pub fn told(&self) -> Option<[u8; 16]> {
        let mut told = [0; 16];
        told[..8].copy_from_slice(&self.index.to_le_bytes());
        told[8..].copy_from_slice(&self.heard.to_le_bytes());
        self.heard.is_multiple_of(self.step).then_some(told)
    }

    /// Counts an event.
    pub fn hear(&mut self) {
        self.heard += 1;
    }
}

/// A multiple of eight.
fn size(payload_bytes: usize) -> u64 {
    (WINDOW_BYTES / payload_bytes).min(WINDOW_EVENTS_MAX) as u64
}

/// Half of what the client of NATS keeps for a subscription; more gains nothing.
const WINDOW_EVENTS_MAX: usize = 32_768;
/// A quarter of what the server of NATS keeps for a slow subscriber.
const WINDOW_BYTES: usize = 16 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{tally::Tally, workload::Workload};

    fn progress(index: usize) -> Progress {
        let counter = || Tally::default().counter();
        Progress::of(&Receiver::new(index, Workload::W5.payload_bytes(), counter(), counter()))
    }

    #[test]
    fn nothing_is_sent_before_each_subscriber_has_told_something() {
        let mut window = Window::new(&Source::of(Workload::W5));
        for index in 0..8 {
            assert!(!window.is_open());
            window.hear(&progress(index).told().unwrap()).unwrap();
        }
        assert!(window.is_open());
    }

    #[test]
    fn the_publisher_is_never_further_ahead_of_the_slowest_than_the_window() {
        let mut window = Window::new(&Source::of(Workload::W3Kib64));
        let counter = || Tally::default().counter();
        let mut slowest = Progress::of(&Receiver::new(0, Workload::W3Kib64.payload_bytes(), counter(), counter()));
        window.hear(&slowest.told().unwrap()).unwrap();
        let mut send_all = || {
            let before = window.sent;
            while window.is_open() {
                window.send();
            }
            window.sent - before
        };
        assert_eq!(send_all(), 256);
        assert_eq!(send_all(), 0);
        let mut told = Vec::new();
        for _ in 0..40 {
            slowest.hear();
            told.extend(slowest.told());
        }
        assert_eq!(told.len(), 1);
        window.hear(&told[0]).unwrap();
        assert_eq!(window.limit - window.sent, 32);
    }

    #[test]
    fn what_is_no_progress_or_of_no_subscriber_is_refused() {
        let mut window = Window::new(&Source::of(Workload::W5));
        assert!(window.hear(&[0; 15]).is_err());
        assert!(window.hear(&progress(8).told().unwrap()).is_err());
    }
}
