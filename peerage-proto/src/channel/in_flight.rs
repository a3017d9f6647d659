//! Requests sent and not yet answered, with their deadlines.
//!
//! Three questions are asked of it all the time, and each is answered without a search: *whose answer is this?* (a table
//! by id), *whose time is up?* (a queue in the order of deadlines) and *what of this token?* (slots by token). Most calls
//! of a link share one deadline, so a new one nearly always goes to the end of the queue; only an unusual one goes into
//! an ordered set beside it. Neither is searched when a call ends: its entry is found to be stale when it comes up.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;

use crate::id::RequestId;

/// The driver's own number for a call: small, dense, chosen by it, free again once the call is settled.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Token(pub u32);

/// Calls that have no outcome yet.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    slots: Vec<Option<Waiting>>,
    by_id: ById,
    due: Due,
    count: usize,
}

/// A call that has no outcome yet.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) id: RequestId,
    /// When something must happen; `None` for a call without a deadline.
    pub(super) until: Option<Instant>,
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
    pub(super) fn open(&mut self, token: Token, id: RequestId, until: Option<Instant>, place: u64, len: usize) {
        let slot = token.0 as usize;
        if self.slots.len() <= slot {
            self.slots.resize_with(slot + 1, || None);
        }
        assert!(
            self.slots[slot].is_none(),
            "the driver reuses a token only after its call was settled"
        );
        self.slots[slot] = Some(Waiting {
            id,
            until,
            place,
            len,
            state: State::Answer,
        });
        self.count += 1;
        self.by_id.enter(id.0, token.0, self.count, &self.slots);
        if let Some(until) = until {
            self.due.enter(until, token, id);
            self.due.tidy(self.count, &self.slots);
        }
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

    /// Lets a call wait for something else, until another time.
    pub(super) fn wait_for(&mut self, token: Token, state: State, until: Instant) {
        if let Some(Some(waiting)) = self.slots.get_mut(token.0 as usize) {
            waiting.state = state;
            waiting.until = Some(until);
            self.due.enter(until, token, waiting.id);
        }
        self.due.drop_stale(&self.slots);
    }

    /// Takes a call out: it has its outcome.
    pub(super) fn settle(&mut self, token: Token) -> Option<Waiting> {
        let waiting = self.slots.get_mut(token.0 as usize)?.take()?;
        self.by_id.leave(waiting.id.0);
        if self.due.is_first(waiting.id) {
            self.due.drop_stale(&self.slots);
        }
        self.count -= 1;
        if self.count == 0 && self.slots.len() > KEEP_SLOTS {
            (self.slots, self.by_id, self.due) = (Vec::new(), ById::default(), Due::default());
        }
        Some(waiting)
    }

    /// Some call, if there is one: the one with the nearest deadline first.
    pub(super) fn any(&self) -> Option<Token> {
        let nearest = self.due.first().map(|entry| entry.token);
        nearest.or_else(|| {
            self.slots
                .iter()
                .position(Option::is_some)
                .map(|slot| Token(slot as u32))
        })
    }

    /// The next time at which a call needs attention.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.due.first().map(|entry| entry.until)
    }

    /// A call whose time is up.
    pub(super) fn expired(&self, now: Instant) -> Option<Token> {
        self.due
            .first()
            .filter(|entry| entry.until <= now)
            .map(|entry| entry.token)
    }

    /// Moves the places of all calls behind `place` forward by `len`: a frame before them was taken out.
    pub(super) fn close_gap(&mut self, place: u64, len: usize) {
        for waiting in self.slots.iter_mut().flatten().filter(|waiting| waiting.place > place) {
            waiting.place -= len as u64;
        }
    }
}

/// Deadlines in order. The first one always belongs to a call that still waits for it; others may be stale.
#[derive(Debug, Default)]
struct Due {
    /// Deadlines that came in order.
    queue: VecDeque<Deadline>,
    /// The others.
    odd: BTreeSet<Deadline>,
}

/// Until when a call waits.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Deadline {
    until: Instant,
    token: Token,
    id: RequestId,
}

impl Deadline {
    fn is_stale(&self, slots: &[Option<Waiting>]) -> bool {
        let waiting = slots.get(self.token.0 as usize).and_then(Option::as_ref);
        !waiting.is_some_and(|waiting| waiting.id == self.id && waiting.until == Some(self.until))
    }
}

impl Due {
    fn enter(&mut self, until: Instant, token: Token, id: RequestId) {
        let deadline = Deadline { until, token, id };
        if self.queue.back().is_none_or(|last| last.until <= until) {
            self.queue.push_back(deadline);
        } else {
            self.odd.insert(deadline);
        }
    }

    fn first(&self) -> Option<&Deadline> {
        match (self.queue.front(), self.odd.first()) {
            (Some(queued), Some(odd)) => Some(queued.min(odd)),
            (queued, odd) => queued.or(odd),
        }
    }

    /// Whether a deadline of this call comes up next.
    #[inline]
    fn is_first(&self, id: RequestId) -> bool {
        self.queue.front().is_some_and(|first| first.id == id) || self.odd.first().is_some_and(|first| first.id == id)
    }

    /// Restores the promise that the first one is not stale.
    fn drop_stale(&mut self, slots: &[Option<Waiting>]) {
        while self.queue.front().is_some_and(|first| first.is_stale(slots)) {
            self.queue.pop_front();
        }
        while self.odd.first().is_some_and(|first| first.is_stale(slots)) {
            self.odd.pop_first();
        }
    }

    /// Keeps the number of stale ones in proportion to the `count` of calls that wait.
    #[inline]
    fn tidy(&mut self, count: usize, slots: &[Option<Waiting>]) {
        if self.queue.len() + self.odd.len() > 2 * count + KEEP_SLOTS {
            self.queue.retain(|deadline| !deadline.is_stale(slots));
            self.odd.retain(|deadline| !deadline.is_stale(slots));
        }
    }
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
        if self.ring.is_empty() {
            None
        } else {
            Some(self.ring[self.home(id)])
        }
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
                        calls.open(Token(token), RequestId(n as u64), after.map(at), 0, 1);
                        model.push((token, after));
                    }
                    Some(found) if what == 0 => {
                        let later = after.unwrap_or(7);
                        calls.wait_for(Token(token), State::StopAfterCancel, at(later));
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
                prop_assert_eq!(calls.any().is_some(), !model.is_empty());
            }
            let mut last = None;
            while let Some(token) = calls.expired(epoch() + Duration::from_secs(1)) {
                let until = calls.settle(token).and_then(|w| w.until);
                prop_assert!(last <= until);
                last = until;
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
                    calls.open(Token(token), RequestId(id), None, 0, 1);
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
        calls.open(Token(3), RequestId(7), None, 0, 1);
        assert_eq!(calls.by_id(RequestId(7)), Some(Token(3)));
        assert!(calls.settle(Token(3)).is_some());
        assert_eq!(calls.by_id(RequestId(7)), None);
        assert!(calls.settle(Token(3)).is_none());
    }
}
