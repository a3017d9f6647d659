//! Requests of the peer that are not answered yet.
//!
//! Each gets a key of our own, because the peer's id need not be unique: a plain peer may use one id twice and is then
//! served twice. A key is used up by the answer, so a second answer finds nothing and is never sent.

#![allow(clippy::arithmetic_side_effects, reason = "counts of what lies in memory")]

use std::collections::{BTreeMap, VecDeque};

use crate::codec::Payload;
use crate::id::RequestId;

/// A request being served: our own key for it, never reused on a link.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Served {
    slot: u32,
    sort: Sort,
    serial: u64,
}

/// What its caller waits for.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) enum Sort {
    /// An answer.
    Request,
    /// Nothing.
    Notification,
    /// An answer behind streams of items.
    Conversation,
}

impl Served {
    /// Whether nobody waits for an answer: whatever it is, it is not sent.
    pub fn is_notification(self) -> bool {
        self.sort == Sort::Notification
    }

    /// Whether both directions of it are streams.
    pub fn is_conversation(self) -> bool {
        self.sort == Sort::Conversation
    }

    pub(super) fn sort(self) -> Sort {
        self.sort
    }
}

/// Requests that wait for their answer.
#[derive(Debug, Default)]
pub(super) struct Serving {
    slots: Vec<Option<Entry>>,
    free: Vec<u32>,
    by_id: BTreeMap<RequestId, Served>,
    next_serial: u64,
    /// Bytes of content that the application has not fetched yet.
    unread: usize,
    /// Requests that the application has not been told of yet, oldest first.
    withheld: VecDeque<(Served, Payload)>,
}

#[derive(Debug)]
struct Entry {
    serial: u64,
    id: RequestId,
    /// Bytes of content that count as unread.
    unread: usize,
    /// Whether its caller no longer waits, and the application has been told.
    stopping: bool,
}

impl Serving {
    /// How many are not answered yet.
    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Bytes of content that the application has not fetched yet.
    pub(super) fn unread(&self) -> usize {
        self.unread
    }

    /// Enters a request. With `indexed` it can be found by its id later.
    pub(super) fn open(&mut self, sort: Sort, id: RequestId, bytes: usize, indexed: bool) -> Served {
        let serial = self.next_serial;
        self.next_serial += 1;
        self.unread += bytes;
        let entry = Some(Entry { serial, id, unread: bytes, stopping: false });
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = entry;
                slot
            }
            None => {
                self.slots.push(entry);
                (self.slots.len() - 1) as u32
            }
        };
        let served = Served { slot, sort, serial };
        if indexed {
            self.by_id.insert(id, served);
        }
        served
    }

    /// The request with this id, if it was entered as findable and is not answered yet.
    pub(super) fn by_id(&self, id: RequestId) -> Option<Served> {
        self.by_id.get(&id).copied()
    }

    /// The id of a request that is not answered yet.
    pub(super) fn id_of(&self, served: Served) -> Option<RequestId> {
        let place = self.slots.get(served.slot as usize).and_then(Option::as_ref);
        place.filter(|entry| entry.serial == served.serial).map(|entry| entry.id)
    }

    /// Whether this request is not answered yet.
    pub(super) fn is_open(&self, served: Served) -> bool {
        let place = self.slots.get(served.slot as usize).and_then(Option::as_ref);
        place.is_some_and(|entry| entry.serial == served.serial)
    }

    /// Whether the application has been told that nobody waits for this request.
    pub(super) fn is_stopping(&self, served: Served) -> bool {
        let place = self.slots.get(served.slot as usize).and_then(Option::as_ref);
        place.is_some_and(|entry| entry.serial == served.serial && entry.stopping)
    }

    /// Nobody waits for this request any more.
    pub(super) fn stopping(&mut self, served: Served) {
        if let Some(Some(entry)) = self.slots.get_mut(served.slot as usize)
            && entry.serial == served.serial
        {
            entry.stopping = true;
        }
    }

    /// The application has the content now.
    pub(super) fn fetched(&mut self, served: Served) {
        if let Some(Some(entry)) = self.slots.get_mut(served.slot as usize)
            && entry.serial == served.serial
        {
            self.unread -= std::mem::take(&mut entry.unread);
        }
    }

    /// Takes a request out for its answer and returns its id on the wire; `None` if it has been answered.
    pub(super) fn answer(&mut self, served: Served) -> Option<RequestId> {
        let place = self.slots.get_mut(served.slot as usize)?;
        let entry = place.take_if(|entry| entry.serial == served.serial)?;
        self.unread -= entry.unread;
        self.free.push(served.slot);
        if self.by_id.get(&entry.id) == Some(&served) {
            self.by_id.remove(&entry.id);
        }
        if self.free.len() == self.slots.len() && self.slots.len() > KEEP_SLOTS {
            (self.slots, self.free) = (Vec::new(), Vec::new());
        }
        Some(entry.id)
    }

    /// Keeps a request back from the application.
    pub(super) fn withhold(&mut self, served: Served, content: Payload) {
        self.withheld.push_back((served, content));
    }

    /// Whether requests are kept back.
    pub(super) fn is_withholding(&self) -> bool {
        !self.withheld.is_empty()
    }

    /// The request that was kept back longest.
    pub(super) fn next_withheld(&mut self) -> Option<(Served, Payload)> {
        self.withheld.pop_front()
    }

    /// Takes a request out of those that are kept back. False if it is not one of them.
    pub(super) fn take_withheld(&mut self, served: Served) -> bool {
        let before = self.withheld.len();
        self.withheld.retain(|(withheld, _)| *withheld != served);
        self.withheld.len() < before
    }

    /// Forgets all of them: nobody will hear the answers.
    pub(super) fn clear(&mut self) {
        let next_serial = self.next_serial;
        *self = Serving { next_serial, ..Serving::default() };
    }
}

/// Slots that an emptied table keeps, so that an idle link holds little memory.
const KEEP_SLOTS: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_id_used_twice_is_served_twice_and_each_answer_counts_once() {
        let mut serving = Serving::default();
        let first = serving.open(Sort::Request, RequestId(5), 10, false);
        let second = serving.open(Sort::Request, RequestId(5), 10, false);
        assert_ne!(first, second);
        assert_eq!(serving.answer(first), Some(RequestId(5)));
        assert_eq!(serving.answer(first), None);
        assert_eq!(serving.answer(second), Some(RequestId(5)));
        assert_eq!((serving.len(), serving.unread()), (0, 0));
    }

    #[test]
    fn a_key_outlives_its_slot_without_answering_the_next_request_in_it() {
        let mut serving = Serving::default();
        let old = serving.open(Sort::Request, RequestId(0), 0, true);
        serving.answer(old);
        let new = serving.open(Sort::Request, RequestId(2), 0, true);
        assert_eq!(old.slot, new.slot);
        assert_eq!(serving.answer(old), None);
        assert_eq!(serving.by_id(RequestId(2)), Some(new));
    }

    #[test]
    fn content_counts_as_unread_until_it_is_fetched_or_answered() {
        let mut serving = Serving::default();
        let (a, b) = (
            serving.open(Sort::Request, RequestId(0), 100, false),
            serving.open(Sort::Request, RequestId(1), 11, false),
        );
        serving.fetched(a);
        assert_eq!(serving.unread(), 11);
        serving.answer(b);
        serving.fetched(b);
        assert_eq!(serving.unread(), 0);
    }

    #[test]
    fn keys_stay_fresh_when_everything_is_forgotten() {
        let mut serving = Serving::default();
        let old = serving.open(Sort::Request, RequestId(0), 1, false);
        serving.clear();
        let new = serving.open(Sort::Request, RequestId(1), 1, false);
        assert_ne!(old, new);
        assert_eq!(serving.answer(old), None);
    }
}
