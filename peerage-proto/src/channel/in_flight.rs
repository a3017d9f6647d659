//! Requests sent and not yet answered, with their deadlines.
//!
//! Three questions are asked of it all the time, and each is answered without a search: *whose answer is this?* (a ring
//! by id), *what of this token?* (slots by token) and *when is somebody's time up?* (a count of calls for each millisecond
//! in which one is due; calls of one link come in bursts and mostly share one deadline, so these are few). Only when a time
//! has come is it asked whose it is, and then the slots are looked through once for all of them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::id::RequestId;

/// The driver's own number for a call: small, dense, chosen by it, free again once the call is settled.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Token(pub u32);

/// Calls that have no outcome yet.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    slots: Vec<Option<Waiting>>,
    by_id: ById,
    clock: Clock,
    due: Due,
    count: usize,
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
        let slot = token.0 as usize;
        if self.slots.len() <= slot {
            self.slots.resize_with(slot + 1, || None);
        }
        let free = self.slots[slot].is_none();
        assert!(free, "the driver reuses a token only after its call was settled");
        // Never before the deadline, so up to the next millisecond.
        let due = deadline.map(|deadline| self.clock.up(now, deadline));
        if let Some(due) = due {
            self.due.enter(due);
        }
        self.slots[slot] = Some(Waiting { id, deadline, due, place, len, state: State::Answer });
        self.count += 1;
        self.by_id.enter(id.0, token.0, self.count, &self.slots);
    }

    /// The call with this id.
    pub(super) fn by_id(&self, id: RequestId) -> Option<Token> {
        let token = Token(self.by_id.look_up(id.0)?);
        self.get(token).filter(|waiting| waiting.id == id).map(|_| token)
    }

    /// The call of this token.
    pub(super) fn get(&self, token: Token) -> Option<&Waiting> {
        self.slots.get(token.0 as usize)?.as_ref()
    }

    /// Lets a call wait for something else, not longer than until another time.
    pub(super) fn wait_for(&mut self, now: Instant, token: Token, state: State, until: Instant) {
        let due = self.clock.down(now, until);
        let Some(Some(waiting)) = self.slots.get_mut(token.0 as usize) else { return };
        waiting.state = state;
        let before = waiting.due.replace(due);
        self.due.enter(due);
        self.due.leave(before);
    }

    /// Takes a call out: it has its outcome.
    pub(super) fn settle(&mut self, token: Token) -> Option<Waiting> {
        let waiting = self.slots.get_mut(token.0 as usize)?.take()?;
        self.by_id.leave(waiting.id.0);
        self.due.leave(waiting.due);
        self.count -= 1;
        if self.count == 0 && self.slots.len() > KEEP_SLOTS {
            (self.slots, self.by_id) = (Vec::new(), ById::default());
        }
        Some(waiting)
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
        for waiting in self.slots.iter_mut().flatten().filter(|waiting| waiting.place > place) {
            waiting.place -= len as u64;
        }
    }

    fn those(&self, which: impl Fn(&Waiting) -> bool) -> Vec<Token> {
        let calls = self.slots.iter().enumerate();
        let those = calls.filter(|(_, waiting)| waiting.as_ref().is_some_and(&which));
        those.map(|(slot, _)| Token(slot as u32)).collect()
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
    fn enter(&mut self, id: u64, token: u32, count: usize, slots: &[Option<Waiting>]) {
        if count > self.ring.len() / 2 {
            self.ring = vec![NOBODY; (count * 4).next_power_of_two().max(16)];
            self.crowded_out.clear();
            for (other, waiting) in slots.iter().enumerate() {
                if let Some(waiting) = waiting {
                    self.place(waiting.id.0, other as u32, slots);
                }
            }
        } else {
            self.place(id, token, slots);
        }
    }

    fn place(&mut self, id: u64, token: u32, slots: &[Option<Waiting>]) {
        let home = self.home(id);
        let there = slots.get(self.ring[home] as usize).and_then(Option::as_ref);
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn epoch() -> Instant {
        // Any fixed instant will do; the machine never asks for the time itself.
        #[allow(clippy::disallowed_methods, reason = "tests need one instant to count from")]
        static EPOCH: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
        *EPOCH
    }

    proptest! {
        #[test]
        fn deadlines_come_up_in_order_whatever_is_opened_and_settled(
            steps in prop::collection::vec((0_u32..32, prop::option::of(0_u64..50), 0_u8..3), 1..200)
        ) {
            let mut calls = InFlight::default();
            let mut model: Vec<(u32, Option<u64>)> = Vec::new();
            for (n, (token, after, what)) in steps.into_iter().enumerate() {
                let at = |ms: u64| epoch() + Duration::from_millis(ms);
                match model.iter().position(|(t, _)| *t == token) {
                    None => {
                        calls.open(epoch(), Token(token), RequestId(n as u64), after.map(at), (0, 1));
                        model.push((token, after));
                    }
                    Some(found) if what == 0 => {
                        let later = after.unwrap_or(7);
                        calls.wait_for(epoch(), Token(token), State::StopAfterCancel, at(later));
                        model[found].1 = Some(later);
                    }
                    Some(found) => {
                        prop_assert!(calls.settle(Token(token)).is_some());
                        model.remove(found);
                    }
                }
                let nearest = model.iter().filter_map(|(_, until)| *until).min();
                prop_assert_eq!(calls.next_deadline(), nearest.map(at));
                prop_assert_eq!(calls.len(), model.len());
            }
            for ms in 0..50 {
                let mut due: Vec<u32> = model.iter().filter(|(_, until)| *until == Some(ms)).map(|(t, _)| *t).collect();
                due.sort_unstable();
                let expired = calls.expired(epoch() + Duration::from_millis(ms));
                prop_assert_eq!(expired.iter().map(|token| token.0).collect::<Vec<_>>(), due);
                for token in expired {
                    prop_assert!(calls.settle(token).is_some());
                }
            }
            prop_assert_eq!(calls.len(), model.iter().filter(|(_, until)| until.is_none()).count());
        }
    }

    proptest! {
        #[test]
        fn every_waiting_call_is_found_by_its_id_and_no_other_is(
            steps in prop::collection::vec((any::<bool>(), 0_usize..40), 1..400)
        ) {
            let mut calls = InFlight::default();
            let mut waiting: Vec<(u32, u64)> = Vec::new();
            let mut free: Vec<u32> = (0..64).collect();
            // Ids jump by a multiple of any ring now and then, so that new ones meet old ones that still wait.
            let mut id = 0;
            for (open, pick) in steps {
                if open && waiting.len() < 40 {
                    let token = free.pop().expect("more tokens than calls");
                    id += if pick == 0 { 1024 } else { 1 };
                    calls.open(epoch(), Token(token), RequestId(id), None, (0, 1));
                    waiting.push((token, id));
                } else if !waiting.is_empty() {
                    let (token, id) = waiting.remove(pick % waiting.len());
                    prop_assert!(calls.settle(Token(token)).is_some());
                    prop_assert_eq!(calls.by_id(RequestId(id)), None);
                    free.push(token);
                }
                for (token, id) in &waiting {
                    prop_assert_eq!(calls.by_id(RequestId(*id)), Some(Token(*token)));
                }
            }
        }
    }

    #[test]
    fn an_answer_finds_its_call_by_id_until_it_is_settled() {
        let mut calls = InFlight::default();
        calls.open(epoch(), Token(3), RequestId(7), None, (0, 1));
        assert_eq!(calls.by_id(RequestId(7)), Some(Token(3)));
        assert!(calls.settle(Token(3)).is_some());
        assert_eq!(calls.by_id(RequestId(7)), None);
        assert!(calls.settle(Token(3)).is_none());
    }
}
