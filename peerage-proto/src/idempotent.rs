//! Requests that must not run twice although they are asked twice: what a callee remembers of them.
//!
//! A caller whose link is cut does not know whether its call ran. If it gave the call a key, it may ask again: the callee
//! runs what it has not seen, has the second request wait for the first where that still runs, and answers from memory where
//! it has ended. What it has forgotten it refuses, because it may have run. So within one run of the callee a key runs at most
//! once.
//!
//! ```text
//!   begin ──new key──▶ Run ──finish──▶ kept ──begin──▶ Known
//!     │                 ▲ └─undo: it did not run after all
//!     ├──runs already───┘ Waits, until it is finished
//!     └──below the window: Forgotten
//! ```
//!
//! The window of a caller ends below the newest of its keys that was forgotten. Whoever holds most makes way first, so
//! that one caller cannot have the answers of all others forgotten.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::codec::Payload;
use crate::id::{Epoch, NodeId};
use crate::limits;
use crate::outcome::Code;

/// Which call of which run of which caller: the same for each time it is asked.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct RequestKey {
    /// Who calls.
    pub caller: NodeId,
    /// Which run of it.
    pub epoch: Epoch,
    /// Which of its calls that have keys.
    pub sequence: u64,
}

/// How a request ended that ran.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Reply {
    /// With a value.
    Value(Payload),
    /// With a failure.
    Failure {
        /// What kind.
        code: Code,
        /// For people.
        message: String,
        /// More of it.
        data: Option<Payload>,
    },
}

/// What is to be done with a request. `W` is what is needed to answer it.
#[derive(Debug, Eq, PartialEq)]
pub enum Begun<W> {
    /// Run it, and tell the memory what came of it: with [`Memory::finish`], [`Memory::break_off`] or [`Memory::undo`].
    Run(W),
    /// It runs already, and will be answered when that has ended.
    Waits,
    /// It ran, and this came of it.
    Known(W, Reply),
    /// It may have run, and nobody knows what came of it.
    Forgotten(W),
    /// So many run that it cannot be remembered. It did not run.
    Full(W),
}

/// What one node remembers.
#[derive(Debug)]
pub struct Memory<W> {
    callers: BTreeMap<NodeId, Caller<W>>,
    count: usize,
    bytes: usize,
}

/// One caller.
#[derive(Debug)]
struct Caller<W> {
    epoch: Epoch,
    /// Keys below this were forgotten, unless they are still here.
    floor: u64,
    calls: BTreeMap<u64, Call<W>>,
    ended: usize,
    used: Instant,
}

#[derive(Debug)]
enum Call<W> {
    Runs(Vec<W>),
    Ended { at: Instant, reply: Option<Reply> },
}

impl<W> Default for Memory<W> {
    fn default() -> Memory<W> {
        Memory { callers: BTreeMap::new(), count: 0, bytes: 0 }
    }
}

impl<W> Memory<W> {
    /// A request with this key is asked.
    pub fn begin(&mut self, now: Instant, key: RequestKey, waiter: W) -> Begun<W> {
        self.forget_old(now);
        if !self.callers.contains_key(&key.caller) && !self.admit(now, key) {
            return Begun::Full(waiter);
        }
        let Some(caller) = self.callers.get_mut(&key.caller) else { return Begun::Full(waiter) };
        caller.used = now;
        if key.epoch < caller.epoch {
            return Begun::Forgotten(waiter);
        }
        if key.epoch > caller.epoch {
            // The caller was started again: nobody asks for what it asked before.
            self.drop_caller(&key.caller);
            self.admit(now, key);
        }
        let Some(caller) = self.callers.get_mut(&key.caller) else { return Begun::Full(waiter) };
        match caller.calls.get_mut(&key.sequence) {
            Some(Call::Runs(waiters)) if waiters.len() < limits::REQUEST_KEY_WAITERS_MAX => {
                waiters.push(waiter);
                return Begun::Waits;
            }
            Some(Call::Runs(_)) => return Begun::Full(waiter),
            Some(Call::Ended { reply: Some(reply), .. }) => return Begun::Known(waiter, reply.clone()),
            Some(Call::Ended { reply: None, .. }) => return Begun::Forgotten(waiter),
            None if key.sequence < caller.floor => return Begun::Forgotten(waiter),
            None => {}
        }
        while self.count >= limits::REQUEST_KEYS_MAX {
            if !self.forget_one() {
                return Begun::Full(waiter);
            }
        }
        let Some(caller) = self.callers.get_mut(&key.caller) else { return Begun::Full(waiter) };
        caller.calls.insert(key.sequence, Call::Runs(Vec::new()));
        self.count = self.count.saturating_add(1);
        Begun::Run(waiter)
    }

    /// What was to run has ended. Returns all who have asked since: each is to be told the reply.
    pub fn finish(&mut self, now: Instant, key: &RequestKey, reply: Reply) -> Vec<W> {
        let bytes = reply.bytes();
        let kept = Some(reply).filter(|_| bytes <= limits::KEPT_REPLY_BYTES_MAX);
        self.end(now, key, kept)
    }

    /// What was to run was broken off: it may have done something, and there is no answer. Returns all who wait for it.
    pub fn break_off(&mut self, now: Instant, key: &RequestKey) -> Vec<W> {
        self.end(now, key, None)
    }

    /// What was to run did not after all. Asked again, it will. Returns all who wait for it.
    pub fn undo(&mut self, key: &RequestKey) -> Vec<W> {
        let Some(caller) = self.of(key) else { return Vec::new() };
        match caller.calls.remove(&key.sequence) {
            Some(Call::Runs(waiters)) => {
                self.count = self.count.saturating_sub(1);
                waiters
            }
            Some(ended) => {
                caller.calls.insert(key.sequence, ended);
                Vec::new()
            }
            None => Vec::new(),
        }
    }

    /// How many keys are remembered.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether no key is remembered.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes of the replies that are kept.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    fn end(&mut self, now: Instant, key: &RequestKey, reply: Option<Reply>) -> Vec<W> {
        let Some(caller) = self.of(key) else { return Vec::new() };
        let bytes = reply.as_ref().map_or(0, Reply::bytes);
        let waiters = match caller.calls.get_mut(&key.sequence) {
            Some(call @ Call::Runs(_)) => match std::mem::replace(call, Call::Ended { at: now, reply }) {
                Call::Runs(waiters) => waiters,
                Call::Ended { .. } => Vec::new(),
            },
            _ => return Vec::new(),
        };
        caller.ended = caller.ended.saturating_add(1);
        self.bytes = self.bytes.saturating_add(bytes);
        while self.bytes > limits::KEPT_REPLIES_BYTES_MAX && self.forget_one() {}
        waiters
    }

    fn of(&mut self, key: &RequestKey) -> Option<&mut Caller<W>> {
        self.callers.get_mut(&key.caller).filter(|caller| caller.epoch == key.epoch)
    }

    /// Makes room for one more caller. Whether there is.
    fn admit(&mut self, now: Instant, key: RequestKey) -> bool {
        if self.callers.len() >= limits::REQUEST_KEY_CALLERS_MAX {
            // Who has not been heard of for so long asks for nothing any more that it asked then.
            let is_over = |caller: &Caller<W>| {
                caller.calls.is_empty() && now.saturating_duration_since(caller.used) >= limits::REQUEST_KEY_CALLER_KEPT
            };
            self.callers.retain(|_, caller| !is_over(caller));
        }
        if self.callers.len() >= limits::REQUEST_KEY_CALLERS_MAX {
            return false;
        }
        let caller = Caller { epoch: key.epoch, floor: 0, calls: BTreeMap::new(), ended: 0, used: now };
        self.callers.insert(key.caller, caller);
        true
    }

    fn drop_caller(&mut self, id: &NodeId) {
        let Some(caller) = self.callers.remove(id) else { return };
        self.count = self.count.saturating_sub(caller.calls.len());
        self.bytes = self.bytes.saturating_sub(caller.calls.values().map(Call::bytes).sum());
    }

    /// Forgets what ended long ago.
    fn forget_old(&mut self, now: Instant) {
        let is_old = |call: &Call<W>| match call {
            Call::Runs(_) => false,
            Call::Ended { at, .. } => now.saturating_duration_since(*at) >= limits::REQUEST_KEY_KEPT,
        };
        for caller in self.callers.values_mut() {
            // Nearly in the order in which they ended: whoever is behind one that is not old waits for it.
            while let Some((sequence, call)) = caller.calls.first_key_value().filter(|(_, call)| is_old(call)) {
                let (sequence, bytes) = (*sequence, call.bytes());
                caller.forget(sequence);
                self.count = self.count.saturating_sub(1);
                self.bytes = self.bytes.saturating_sub(bytes);
            }
        }
    }

    /// Forgets the first call that has ended of whoever has most of them. Whether there was one.
    fn forget_one(&mut self) -> bool {
        let Some(caller) = self.callers.values_mut().max_by_key(|caller| caller.ended) else { return false };
        let ended = caller.calls.iter().find(|(_, call)| matches!(call, Call::Ended { .. }));
        let Some((sequence, bytes)) = ended.map(|(sequence, call)| (*sequence, call.bytes())) else { return false };
        caller.forget(sequence);
        self.count = self.count.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
        true
    }
}

impl<W> Caller<W> {
    fn forget(&mut self, sequence: u64) {
        self.calls.remove(&sequence);
        self.ended = self.ended.saturating_sub(1);
        self.floor = self.floor.max(sequence.saturating_add(1));
    }
}

impl<W> Call<W> {
    fn bytes(&self) -> usize {
        match self {
            Call::Ended { reply: Some(reply), .. } => reply.bytes(),
            Call::Ended { reply: None, .. } | Call::Runs(_) => 0,
        }
    }
}

impl Reply {
    fn bytes(&self) -> usize {
        match self {
            Reply::Value(value) => value.len(),
            Reply::Failure { message, data, .. } => message.len().saturating_add(data.as_ref().map_or(0, Payload::len)),
        }
    }
}

#[cfg(test)]
mod tests;
