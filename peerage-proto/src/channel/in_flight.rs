//! Requests sent and not yet answered, with their deadlines.
//!
//! Three questions are asked of it all the time, and each is answered without a search: *whose answer is this?* (a ring
//! by id), *what of this token?* (slots by token) and *when is somebody's time up?* (a count of calls for each millisecond
//! in which one is due; calls of one link come in bursts and mostly share one deadline, so these are few). Only when a time
//! has come is it asked whose it is, and then the slots are looked through once for all of them.
//!
//! An outcome lies in the slot of its call until the caller collects it. A small value is copied into memory that the slot
//! keeps from call to call, so the usual answer costs one copy, no allocation and no count of references.

#![allow(clippy::arithmetic_side_effects, reason = "counts of what lies in memory")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::codec::{self, DecodeError, Encoding, Payload};
use crate::id::RequestId;
use crate::outcome::CallError;
use crate::planted::{self, Bug};

/// The driver's own number for a call: small, dense, chosen by it, free again once the outcome is collected.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Token(pub u32);

/// Calls whose outcome has not been collected.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    slots: Vec<Slot>,
    by_id: ById,
    clock: Clock,
    due: Due,
    /// Calls without an outcome.
    count: usize,
    /// Outcomes that were not collected yet.
    uncollected: usize,
}

/// What belongs to one token.
///
/// The parts lie beside each other instead of in one enum, so that none is moved when another changes: this is the most
/// travelled memory of a link.
#[derive(Debug, Default)]
struct Slot {
    waiting: Option<Waiting>,
    outcome: Option<Result<Answer, Box<CallError>>>,
    /// The value that [`Answer::Copied`] speaks of, else only memory for the next one.
    value: Vec<u8>,
}

/// The value of a call as its caller gets it.
#[derive(Debug)]
pub enum Answer {
    /// A small one: copied into the buffer that the caller brought.
    Copied(Encoding),
    /// One with memory of its own.
    Owned(Payload),
}

impl Answer {
    /// The value opened; `buffer` is the one that the caller brought.
    ///
    /// # Errors
    /// As [`Payload::decode`].
    #[inline]
    pub fn decode<T: serde::de::DeserializeOwned>(&self, buffer: &[u8]) -> Result<T, DecodeError> {
        match self {
            Answer::Copied(encoding) => codec::decode_from(buffer, *encoding),
            Answer::Owned(payload) => payload.decode(),
        }
    }

    /// The value unopened; `buffer` is the one that the caller brought.
    pub fn into_payload(self, buffer: &[u8]) -> Payload {
        match self {
            Answer::Copied(encoding) => Payload::from_parts(encoding, Bytes::copy_from_slice(buffer)),
            Answer::Owned(payload) => payload,
        }
    }
}

/// How a call ends, as the machine learns it.
#[derive(Debug)]
pub(super) enum Ending<'a> {
    /// With a value that lies in what was just read.
    Value(Encoding, &'a [u8]),
    /// With a value of its own memory.
    Owned(Payload),
    /// With an error. Boxed, because errors are large and rare.
    Failed(Box<CallError>),
}

/// A call that has no outcome yet.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) id: RequestId,
    /// When the call ends without an answer; `None` for one that waits for ever.
    pub(super) deadline: Option<Instant>,
    /// The millisecond in which something must happen.
    due: Option<u64>,
    /// Place of its frame among the outgoing bytes, and its length.
    pub(super) place: u64,
    pub(super) len: usize,
    pub(super) state: State,
}

/// What a call waits for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum State {
    /// Its answer.
    Answer,
    /// The callee's word after the deadline passed.
    StopAfterDeadline,
    /// The callee's word after the caller gave up.
    StopAfterCancel,
}

impl InFlight {
    /// Calls without an outcome.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// Enters a call. Its token must be free.
    pub(super) fn open(
        &mut self,
        now: Instant,
        token: Token,
        id: RequestId,
        deadline: Option<Instant>,
        (place, len): (u64, usize),
    ) {
        // Never before the deadline, so up to the next millisecond.
        let due =
            deadline.filter(|_| !planted::is(Bug::DeadlineForgotten)).map(|deadline| self.clock.up(now, deadline));
        if let Some(due) = due {
            self.due.enter(due);
        }
        let slot = self.slot(token);
        let free = slot.waiting.is_none() && slot.outcome.is_none();
        assert!(free, "the driver reuses a token only after its outcome was collected");
        slot.waiting = Some(Waiting { id, deadline, due, place, len, state: State::Answer });
        self.count += 1;
        self.by_id.enter(id.0, token.0, self.count, &self.slots);
    }

    #[inline]
    fn slot(&mut self, token: Token) -> &mut Slot {
        let slot = token.0 as usize;
        if self.slots.len() <= slot {
            self.slots.resize_with(slot + 1, Slot::default);
        }
        &mut self.slots[slot]
    }

    /// The call with this id.
    pub(super) fn by_id(&self, id: RequestId) -> Option<Token> {
        let token = Token(self.by_id.look_up(id.0)?);
        self.get(token).filter(|waiting| waiting.id == id || planted::is(Bug::LateAnswerSettlesAnother)).map(|_| token)
    }

    /// The call of this token.
    pub(super) fn get(&self, token: Token) -> Option<&Waiting> {
        self.slots.get(token.0 as usize)?.waiting.as_ref()
    }

    /// Lets a call wait for something else, not longer than until another time.
    pub(super) fn wait_for(&mut self, now: Instant, token: Token, state: State, until: Instant) {
        let due = self.clock.down(now, until);
        let slot = self.slots.get_mut(token.0 as usize);
        let Some(waiting) = slot.and_then(|slot| slot.waiting.as_mut()) else { return };
        waiting.state = state;
        let before = waiting.due.replace(due);
        self.due.enter(due);
        self.due.leave(before);
    }

    /// Gives a waiting call its outcome. False if this token has no such call.
    #[inline]
    pub(super) fn settle(&mut self, token: Token, ending: Ending<'_>) -> bool {
        let Some(slot) = self.slots.get_mut(token.0 as usize) else { return false };
        let Some(waiting) = &slot.waiting else { return false };
        let (id, due) = (waiting.id, waiting.due);
        slot.waiting = None;
        slot.end(ending);
        self.by_id.leave(id.0);
        self.due.leave(due);
        self.count -= 1;
        self.uncollected += 1;
        true
    }

    /// Gives a call its outcome that never came to wait.
    pub(super) fn refuse(&mut self, token: Token, error: CallError) {
        self.slot(token).end(Ending::Failed(Box::new(error)));
        self.uncollected += 1;
    }

    /// Ends what needed no answer, at once and with null.
    pub(super) fn accept(&mut self, token: Token, encoding: Encoding) {
        self.slot(token).end(Ending::Value(encoding, encoding.null()));
        self.uncollected += 1;
    }

    /// Hands out an outcome; its token is free then. A small value goes into `buffer`, whose memory the slot keeps in
    /// exchange.
    #[inline]
    pub(super) fn collect(&mut self, token: Token, buffer: &mut Vec<u8>) -> Option<Result<Answer, Box<CallError>>> {
        let slot = self.slots.get_mut(token.0 as usize)?;
        let outcome = slot.outcome.take()?;
        if let Ok(Answer::Copied(_)) = outcome {
            std::mem::swap(buffer, &mut slot.value);
            if slot.value.capacity() > SMALL_BYTES {
                slot.value = Vec::new();
            }
        }
        self.uncollected -= 1;
        if self.count + self.uncollected == 0 && self.slots.len() > KEEP_SLOTS {
            (self.slots, self.by_id) = (Vec::new(), ById::default());
        }
        Some(outcome)
    }

    /// All calls, in the order of their tokens.
    pub(super) fn tokens(&self) -> Vec<Token> {
        self.those(|_| true)
    }

    /// The next time at which a call needs attention.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.clock.at(self.due.first()?)
    }

    /// Calls whose time is up, in the order of their tokens.
    pub(super) fn expired(&mut self, now: Instant) -> Vec<Token> {
        let now = self.clock.down(now, now);
        match self.due.first() {
            Some(first) if first <= now => self.those(|waiting| waiting.due.is_some_and(|due| due <= now)),
            _ => Vec::new(),
        }
    }

    /// Moves the places of all calls behind `place` forward by `len`: a frame before them was taken out.
    pub(super) fn close_gap(&mut self, place: u64, len: usize) {
        let calls = self.slots.iter_mut().filter_map(|slot| slot.waiting.as_mut());
        for waiting in calls.filter(|waiting| waiting.place > place) {
            waiting.place -= len as u64;
        }
    }

    fn those(&self, which: impl Fn(&Waiting) -> bool) -> Vec<Token> {
        let calls = self.slots.iter().enumerate();
        let those = calls.filter(|(_, slot)| slot.waiting.as_ref().is_some_and(&which));
        those.map(|(slot, _)| Token(slot as u32)).collect()
    }
}

impl Slot {
    #[inline]
    fn end(&mut self, ending: Ending<'_>) {
        self.outcome = Some(match ending {
            Ending::Value(encoding, value) if value.len() <= SMALL_BYTES => {
                self.value.clear();
                self.value.extend_from_slice(value);
                Ok(Answer::Copied(encoding))
            }
            Ending::Value(encoding, value) => {
                Ok(Answer::Owned(Payload::from_parts(encoding, Bytes::copy_from_slice(value))))
            }
            Ending::Owned(payload) => Ok(Answer::Owned(payload)),
            Ending::Failed(error) => Err(error),
        });
    }
}

/// How many calls are due in which millisecond.
#[derive(Debug, Default)]
struct Due {
    /// The millisecond entered last: that of a whole burst of calls, so it is kept at hand.
    latest: (u64, u32),
    others: BTreeMap<u64, u32>,
}

impl Due {
    #[inline]
    fn enter(&mut self, due: u64) {
        if self.latest.0 != due {
            let (before, count) = std::mem::replace(&mut self.latest, (due, self.others.remove(&due).unwrap_or(0)));
            if count > 0 {
                self.others.insert(before, count);
            }
        }
        self.latest.1 += 1;
    }

    #[inline]
    fn leave(&mut self, due: Option<u64>) {
        let Some(due) = due else { return };
        if self.latest.0 == due {
            self.latest.1 -= 1;
        } else if let Some(count) = self.others.get_mut(&due) {
            *count -= 1;
            if *count == 0 {
                self.others.remove(&due);
            }
        }
    }

    fn first(&self) -> Option<u64> {
        let other = self.others.first_key_value().map(|(due, _)| *due);
        let latest = (self.latest.1 > 0).then_some(self.latest.0);
        other.into_iter().chain(latest).min()
    }
}

/// Counts milliseconds from the first time it is shown.
#[derive(Debug, Default)]
struct Clock {
    zero: Option<Instant>,
    /// The deadline that was looked at last, and its millisecond: calls of a burst share it.
    latest: Option<(Instant, u64)>,
}

impl Clock {
    /// The millisecond at or after `time`.
    #[inline]
    fn up(&mut self, now: Instant, time: Instant) -> u64 {
        match self.latest {
            Some((before, due)) if before == time => due,
            _ => {
                let due = self.up_anew(now, time);
                self.latest = Some((time, due));
                due
            }
        }
    }

    fn up_anew(&mut self, now: Instant, time: Instant) -> u64 {
        let since = self.since_zero(now, time);
        let millis = millis(since);
        if Duration::from_millis(millis) < since { millis.saturating_add(1) } else { millis }
    }

    /// The millisecond at or before `time`.
    fn down(&mut self, now: Instant, time: Instant) -> u64 {
        millis(self.since_zero(now, time))
    }

    /// The time of a millisecond.
    fn at(&self, millis: u64) -> Option<Instant> {
        self.zero?.checked_add(Duration::from_millis(millis))
    }

    fn since_zero(&mut self, now: Instant, time: Instant) -> Duration {
        time.saturating_duration_since(*self.zero.get_or_insert(now))
    }
}

/// Whole milliseconds of a duration, at most some hundred million years.
fn millis(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1_000).saturating_add(u64::from(duration.subsec_millis()))
}

/// Finds the token of an id.
///
/// Ids count up, so their low bits are a perfect spread over a ring of recent tokens. A place is only a hint: whether the
/// call there still lives and has this id is seen in its slot, so nothing need be cleared when a call ends. An id whose
/// place is taken by an older call that still waits goes into an ordinary map.
#[derive(Debug, Default)]
struct ById {
    /// A power of two; no token is [`NOBODY`].
    ring: Vec<u32>,
    crowded_out: BTreeMap<u64, u32>,
}

impl ById {
    /// Enters the call in slot `token`, one of `count`.
    fn enter(&mut self, id: u64, token: u32, count: usize, slots: &[Slot]) {
        if count > self.ring.len() / 2 {
            self.ring = vec![NOBODY; (count * 4).next_power_of_two().max(16)];
            self.crowded_out.clear();
            for (other, slot) in slots.iter().enumerate() {
                if let Some(waiting) = &slot.waiting {
                    self.place(waiting.id.0, other as u32, slots);
                }
            }
        } else {
            self.place(id, token, slots);
        }
    }

    fn place(&mut self, id: u64, token: u32, slots: &[Slot]) {
        let home = self.home(id);
        let there = slots.get(self.ring[home] as usize).and_then(|slot| slot.waiting.as_ref());
        if there.is_some_and(|there| there.id.0 != id && self.home(there.id.0) == home) {
            self.crowded_out.insert(id, token);
        } else {
            self.ring[home] = token;
        }
    }

    /// The token that this id may have.
    fn look_up(&self, id: u64) -> Option<u32> {
        if let Some(token) = self.crowded_out.get(&id) {
            return Some(*token);
        }
        if self.ring.is_empty() { None } else { Some(self.ring[self.home(id)]) }
    }

    fn leave(&mut self, id: u64) {
        if !self.crowded_out.is_empty() {
            self.crowded_out.remove(&id);
        }
    }

    fn home(&self, id: u64) -> usize {
        id as usize & (self.ring.len() - 1)
    }
}

/// A place in the ring that was never used.
const NOBODY: u32 = u32::MAX;

/// Slots that an emptied table keeps, so that an idle link holds little memory.
const KEEP_SLOTS: usize = 128;

/// Values up to this size, in bytes, are copied into the memory of their slot; a slot keeps no more than that.
const SMALL_BYTES: usize = 256;

#[cfg(test)]
mod tests;
