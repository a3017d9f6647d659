//! Events: from one process to the subscribers in another.
//!
//! Every event holds its number, so that the subscriber knows what is missing. The publisher does not pay for that: the
//! contents are overlapping windows of one buffer, which is written once, and each window begins with its own number.
//!
//! ```text
//!   buffer    │ 0 │ 1 │ 2 │ 3 │ … │ 8190 │ … filled up to the length of an event
//!   event 2           └── content ──────────…
//! ```

use std::io;

use bytes::Bytes;

use crate::{tally::Counter, workload::Workload};

/// One way to bring events to other processes.
///
/// Every future is spawned on the runtime that `--runtime` chose. The path has to be bounded from end to end: a publisher
/// that is faster than its subscribers waits for them, and nothing is dropped.
pub trait Events: Clone + Send + Sync + Sized + 'static {
    /// The peer in the variant that `--mode` names; the empty text is its ordinary one.
    ///
    /// # Errors
    /// When the peer has no such mode.
    fn with_mode(mode: &str) -> io::Result<Self>;

    /// Listens, calls [`announce`](crate::announce) with the address, and publishes what `source` gives to all its
    /// subscribers until one of them leaves or the process ends.
    fn publish(self, source: Source) -> impl Future<Output = io::Result<()>> + Send;

    /// Subscribes on a connection of its own, gives everything that comes to `receiver` until the process ends, and returns
    /// once that has begun.
    fn subscribe(&self, address: &str, receiver: Receiver) -> impl Future<Output = io::Result<()>> + Send;
}

/// What a publisher sends.
#[derive(Debug)]
pub struct Source {
    buffer: Bytes,
    payload_bytes: usize,
    subscribers: usize,
    next: usize,
}

impl Source {
    pub(crate) fn of(workload: Workload) -> Self {
        let payload_bytes = workload.payload_bytes();
        let mut buffer = Vec::with_capacity(NUMBERS * NUMBER_BYTES + payload_bytes);
        (0..NUMBERS as u64).for_each(|number| buffer.extend_from_slice(&number.to_le_bytes()));
        buffer.resize(NUMBERS * NUMBER_BYTES + payload_bytes, b'.');
        Self { buffer: buffer.into(), payload_bytes, subscribers: workload.subscribers(), next: 0 }
    }

    /// How many subscriber connections there will be.
    pub fn subscribers(&self) -> usize {
        self.subscribers
    }

    /// Length of every event's content.
    pub fn payload_bytes(&self) -> usize {
        self.payload_bytes
    }

    /// The content of the next event, shared and not copied.
    pub fn next_bytes(&mut self) -> Bytes {
        let window = self.next_window();
        self.buffer.slice(window)
    }

    /// The content of the next event.
    pub fn next_slice(&mut self) -> &[u8] {
        let window = self.next_window();
        &self.buffer[window]
    }

    /// The contents of one whole turn, for a peer that prepares its messages: after the last comes the first.
    pub fn turn(&self) -> impl Iterator<Item = Bytes> + '_ {
        (0..NUMBERS).map(|number| self.buffer.slice(self.window(number)))
    }

    fn next_window(&mut self) -> std::ops::Range<usize> {
        let window = self.window(self.next);
        self.next = if self.next + 1 == NUMBERS { 0 } else { self.next + 1 };
        window
    }

    fn window(&self, number: usize) -> std::ops::Range<usize> {
        let from = number * NUMBER_BYTES;
        from..from + self.payload_bytes
    }
}

/// Counts what one subscriber connection hears, and what it misses.
#[derive(Debug)]
pub struct Receiver {
    index: usize,
    payload_bytes: usize,
    /// The number that the next event has; none before the first.
    expected: Option<u64>,
    heard: Counter,
    lost: Counter,
}

impl Receiver {
    pub(crate) fn new(index: usize, payload_bytes: usize, heard: Counter, lost: Counter) -> Self {
        Self { index, payload_bytes, expected: None, heard, lost }
    }

    /// Which of the connections this one is, from 0.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Length of every event's content.
    pub fn payload_bytes(&self) -> usize {
        self.payload_bytes
    }

    /// Takes the content of one event.
    ///
    /// # Errors
    /// When it is not as long as what was published, or does not begin with a number.
    pub fn hear(&mut self, content: &[u8]) -> io::Result<()> {
        match content.first_chunk() {
            Some(beginning) => self.hear_parts(content.len(), *beginning),
            None => Err(io::Error::other("an event is too short to hold its number")),
        }
    }

    /// Takes one event whose content lies in pieces: its length and how it begins.
    ///
    /// # Errors
    /// See [`Receiver::hear`].
    pub fn hear_parts(&mut self, length: usize, beginning: [u8; NUMBER_BYTES]) -> io::Result<()> {
        let number = u64::from_le_bytes(beginning);
        if length != self.payload_bytes || number >= NUMBERS as u64 {
            return Err(io::Error::other(format!("an event of {length} bytes, number {number}, was never published")));
        }
        if let Some(expected) = self.expected
            && expected != number
        {
            self.lost.add((number + NUMBERS as u64 - expected) % NUMBERS as u64);
        }
        self.expected = Some(if number + 1 == NUMBERS as u64 { 0 } else { number + 1 });
        self.heard.add(1);
        Ok(())
    }

    /// Says that nothing more will come, and why.
    pub fn fail(self, why: io::Error) {
        self.heard.fail(why);
    }
}

/// Events until the numbers begin anew. A prime: what queues drop comes in powers of two and tens, and a gap of exactly one
/// turn would look like none.
const NUMBERS: usize = 8191;
/// Length of the number at the beginning of each event, little endian.
const NUMBER_BYTES: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tally::Tally;

    fn receiver(workload: Workload) -> (Receiver, Tally, Tally) {
        let (heard, lost) = (Tally::default(), Tally::default());
        (Receiver::new(0, workload.payload_bytes(), heard.counter(), lost.counter()), heard, lost)
    }

    #[test]
    fn whoever_hears_everything_misses_nothing_over_many_turns() {
        for workload in [Workload::W3Bytes64, Workload::W3Kib1, Workload::W3Kib64] {
            let mut source = Source::of(workload);
            let (mut receiver, heard, lost) = receiver(workload);
            for _ in 0..3 * NUMBERS {
                receiver.hear(source.next_slice()).unwrap();
            }
            assert_eq!((heard.total(), lost.total()), (3 * NUMBERS as u64, 0), "{workload}");
        }
    }

    #[test]
    fn what_is_missing_between_two_events_is_counted_exactly() {
        let mut source = Source::of(Workload::W5);
        let (mut receiver, heard, lost) = receiver(Workload::W5);
        for number in 0..NUMBERS + 100 {
            let content = source.next_bytes();
            // Events 10 to 14, and 7 around the end of the turn.
            if !(10..15).contains(&number) && !(NUMBERS - 3..NUMBERS + 4).contains(&number) {
                receiver.hear(&content).unwrap();
            }
        }
        assert_eq!((heard.total(), lost.total()), (NUMBERS as u64 + 88, 12));
    }

    #[test]
    fn who_comes_late_has_lost_nothing() {
        let mut source = Source::of(Workload::W5);
        (0..40).for_each(|_| drop(source.next_bytes()));
        let (mut receiver, _, lost) = receiver(Workload::W5);
        receiver.hear(source.next_slice()).unwrap();
        assert_eq!(lost.total(), 0);
    }

    #[test]
    fn a_turn_of_prepared_events_is_what_comes_one_by_one() {
        let mut source = Source::of(Workload::W3Kib1);
        let turn: Vec<Bytes> = source.turn().collect();
        assert!((0..2 * NUMBERS).all(|number| source.next_bytes() == turn[number % NUMBERS]));
    }

    #[test]
    fn an_event_of_another_length_or_with_a_number_beyond_the_turn_is_refused() {
        let (mut receiver, ..) = receiver(Workload::W3Bytes64);
        assert!(receiver.hear(&[0; 63]).is_err());
        assert!(receiver.hear(&[0; 3]).is_err());
        assert!(receiver.hear(&[255; 64]).is_err());
        assert!(receiver.hear(&[0; 64]).is_ok());
    }
}
