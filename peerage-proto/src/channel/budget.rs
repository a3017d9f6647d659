//! How many small frames a peer may send, and how an end stays within that.
//!
//! A cancel, a ping, a proposal: each costs its sender a few bytes and its reader a decision, and opening calls only to
//! cancel them makes the reader start and stop work for nothing (HTTP/2 met this as *rapid reset*, CVE-2023-44487). So the
//! reader has an [`Allowance`] for them: so many a second, a burst, one more for each call that ran to its end, and among
//! the ends of calls not too many cancels. Whoever goes beyond it is cut.
//!
//! No honest peer may be cut for what the network did. Frames that left in good order over ten seconds may arrive in one
//! instant, and the clocks of both ends differ. So the sender's [`Thrift`] is tighter than the allowance by a margin that no
//! delay can use up:
//!
//! ```text
//!   allowance of the reader ≥ thrift of the sender + what the sender has under way and not heard of
//!         200, 100 s⁻¹      ≥      30, 75 s⁻¹      +   60 cancels + some pings and pongs
//! ```
//!
//! A cancel beyond it is kept back and leaves when there is room again; too many of them are dropped, and the callee's own
//! deadline ends that work.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::limits;

#[cfg(test)]
mod tests;

/// What the peer may still send.
#[derive(Debug)]
pub(super) struct Allowance {
    bucket: Bucket,
    /// Of bytes.
    gossip: Bucket,
    earned: u32,
    cancels: Window<CANCEL_SECONDS>,
    completed: Window<COMPLETED_SECONDS>,
    /// Calls completed since the last look at the time.
    fresh: u32,
    /// Of subscriptions and their ends.
    changes: Bucket,
}

/// The peer sent more small frames than it may.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Exceeded;

impl Default for Allowance {
    fn default() -> Allowance {
        Allowance {
            bucket: Bucket::full(limits::SMALL_FRAMES_BURST),
            gossip: Bucket::full(limits::GOSSIP_BYTES_PER_PERIOD as u32),
            earned: 0,
            cancels: Window::default(),
            completed: Window::default(),
            fresh: 0,
            changes: Bucket::full(limits::SUBSCRIPTION_CHANGES_BURST),
        }
    }
}

impl Allowance {
    /// A call of the peer has run to its end.
    #[inline]
    pub(super) fn completed(&mut self) {
        self.fresh = self.fresh.saturating_add(1);
    }

    /// So many bytes of records or summaries arrived.
    pub(super) fn spend_gossip(&mut self, now: Instant, bytes: usize) -> Result<(), Exceeded> {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let is_there = self.gossip.take_many(now, bytes, GOSSIP_PER_SECOND, limits::GOSSIP_BYTES_PER_PERIOD as u32);
        if is_there { Ok(()) } else { Err(Exceeded) }
    }

    /// A small frame arrived.
    pub(super) fn spend(&mut self, now: Instant) -> Result<(), Exceeded> {
        self.settle_fresh(now);
        if self.bucket.take(now, limits::SMALL_FRAMES_PER_SECOND, limits::SMALL_FRAMES_BURST) {
            return Ok(());
        }
        self.earned = self.earned.checked_sub(1).ok_or(Exceeded)?;
        Ok(())
    }

    /// A cancel arrived, or something else that made work for nothing.
    pub(super) fn spend_cancel(&mut self, now: Instant) -> Result<(), Exceeded> {
        self.spend(now)?;
        self.cancels.add(now, 1);
        let completed = self.completed.sum(now).saturating_mul(limits::CANCELS_PER_COMPLETED);
        let allowed = completed.saturating_add(limits::SMALL_FRAMES_BURST);
        if self.cancels.sum(now) > allowed { Err(Exceeded) } else { Ok(()) }
    }

    /// The peer subscribes, or unsubscribes.
    pub(super) fn spend_change(&mut self, now: Instant) -> Result<(), Exceeded> {
        let (rate, burst) = (limits::SUBSCRIPTION_CHANGES_PER_SECOND, limits::SUBSCRIPTION_CHANGES_BURST);
        if self.changes.take(now, rate, burst) { Ok(()) } else { Err(Exceeded) }
    }

    fn settle_fresh(&mut self, now: Instant) {
        let fresh = std::mem::take(&mut self.fresh);
        if fresh > 0 {
            self.earned = self.earned.saturating_add(fresh).min(EARNED_MAX);
            self.completed.add(now, fresh);
        }
    }
}

/// What this end may still say about its subscriptions.
#[derive(Debug)]
pub(super) struct Changes {
    bucket: Bucket,
    /// Said, and not answered.
    unanswered: u32,
}

impl Default for Changes {
    fn default() -> Changes {
        Changes { bucket: Bucket::full(limits::SUBSCRIPTION_CHANGES_UNANSWERED_MAX), unanswered: 0 }
    }
}

impl Changes {
    /// Whether another one may be said now; then it counts as said.
    pub(super) fn pay(&mut self, now: Instant) -> bool {
        let (rate, burst) = (limits::SUBSCRIPTION_CHANGES_SENT_PER_SECOND, limits::SUBSCRIPTION_CHANGES_UNANSWERED_MAX);
        if self.unanswered >= burst || !self.bucket.take(now, rate, burst) {
            return false;
        }
        self.unanswered = self.unanswered.saturating_add(1);
        true
    }

    /// So many of them have been answered.
    pub(super) fn answered(&mut self, count: u32) {
        self.unanswered = self.unanswered.saturating_sub(count);
    }
}

/// What this end may still send, and the cancels it keeps back.
#[derive(Debug)]
pub(super) struct Thrift {
    bucket: Bucket,
    earned: u32,
    cancels: Window<THRIFT_CANCEL_SECONDS>,
    completed: Window<THRIFT_COMPLETED_SECONDS>,
    /// Calls completed since the last look at the time.
    fresh: u32,
    /// Cancels paid out of the bucket of which nothing has been heard.
    unanswered: BTreeSet<u64>,
    /// Cancels that are kept back, oldest first, by the order in which they came.
    withheld: BTreeMap<u64, u64>,
    order: u64,
    /// When to try to send them again.
    retry_at: Option<Instant>,
}

/// What becomes of a cancel.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Fate {
    /// It may leave.
    Leaves,
    /// It is kept back.
    Waits,
    /// It will never leave: too many are kept back.
    Dropped,
}

impl Default for Thrift {
    fn default() -> Thrift {
        Thrift {
            bucket: Bucket::full(limits::CANCELS_BURST),
            earned: 0,
            cancels: Window::default(),
            completed: Window::default(),
            fresh: 0,
            unanswered: BTreeSet::new(),
            withheld: BTreeMap::new(),
            order: 0,
            retry_at: None,
        }
    }
}

impl Thrift {
    /// A call of ours has been answered.
    #[inline]
    pub(super) fn completed(&mut self) {
        self.fresh = self.fresh.saturating_add(1);
    }

    /// A small frame leaves that cannot wait.
    pub(super) fn spend(&mut self, now: Instant) {
        // If there is nothing left, it leaves on the margin between both ends.
        self.bucket.take(now, limits::CANCELS_PER_SECOND, limits::CANCELS_BURST);
    }

    /// This call is to be cancelled.
    pub(super) fn cancel(&mut self, now: Instant, id: u64) -> Fate {
        if self.withheld.is_empty() && self.pay(now, id) {
            return Fate::Leaves;
        }
        if self.withheld.len() >= limits::CANCELS_WITHHELD_MAX {
            return Fate::Dropped;
        }
        self.withheld.insert(self.order, id);
        self.order = self.order.saturating_add(1);
        self.retry_at = now.checked_add(RETRY_AFTER);
        Fate::Waits
    }

    /// The next cancel that was kept back and may leave now.
    pub(super) fn release(&mut self, now: Instant) -> Option<u64> {
        self.retry_at = None;
        let (order, id) = self.withheld.first_key_value().map(|(order, id)| (*order, *id))?;
        if !self.pay(now, id) {
            self.retry_at = now.checked_add(RETRY_AFTER);
            return None;
        }
        self.withheld.remove(&order);
        Some(id)
    }

    /// The callee's word on a cancelled call arrived: so its cancel has.
    pub(super) fn stopped(&mut self, id: u64) {
        if !self.unanswered.is_empty() {
            self.unanswered.remove(&id);
        }
    }

    /// An answer arrived after all, maybe ahead of its cancel: one that was kept back is not needed any more.
    pub(super) fn answered(&mut self, id: u64) {
        if !self.withheld.is_empty() {
            self.withheld.retain(|_, withheld| *withheld != id);
        }
    }

    /// No cancel is of any use any more.
    pub(super) fn forget(&mut self) {
        self.withheld.clear();
        self.retry_at = None;
    }

    /// Whether cancels are kept back.
    #[inline]
    pub(super) fn is_withholding(&self) -> bool {
        !self.withheld.is_empty()
    }

    /// When to ask [`release`](Self::release) again.
    pub(super) fn due(&self) -> Option<Instant> {
        self.retry_at
    }

    fn pay(&mut self, now: Instant, id: u64) -> bool {
        let fresh = std::mem::take(&mut self.fresh);
        if fresh > 0 {
            self.earned = self.earned.saturating_add(fresh).min(EARNED_MAX / 2);
            self.completed.add(now, fresh);
        }
        let completed = self.completed.sum(now).saturating_mul(limits::CANCELS_PER_COMPLETED / 2);
        if self.cancels.sum(now) >= completed.saturating_add(limits::CANCELS_BURST) {
            return false;
        }
        if let Some(earned) = self.earned.checked_sub(1) {
            self.earned = earned;
        } else if self.unanswered.len() >= limits::CANCELS_UNANSWERED_MAX
            || !self.bucket.take(now, limits::CANCELS_PER_SECOND, limits::CANCELS_BURST)
        {
            return false;
        } else {
            self.unanswered.insert(id);
        }
        self.cancels.add(now, 1);
        true
    }
}

/// So many at once, so many more each second.
#[derive(Debug)]
struct Bucket {
    /// In thousandths.
    level: u64,
    at: Option<Instant>,
}

impl Bucket {
    fn full(burst: u32) -> Bucket {
        Bucket { level: u64::from(burst).saturating_mul(1_000), at: None }
    }

    /// Takes one, if there is one.
    fn take(&mut self, now: Instant, per_second: u32, burst: u32) -> bool {
        self.take_many(now, 1, per_second, burst)
    }

    /// Takes so many, if they are there.
    fn take_many(&mut self, now: Instant, count: u32, per_second: u32, burst: u32) -> bool {
        let at = *self.at.get_or_insert(now);
        let millis = u64::try_from(now.saturating_duration_since(at).as_millis()).unwrap_or(u64::MAX);
        // Only whole milliseconds are counted, and the rest is left for the next time.
        self.at = at.checked_add(Duration::from_millis(millis));
        let full = u64::from(burst).saturating_mul(1_000);
        self.level = self.level.saturating_add(millis.saturating_mul(per_second.into())).min(full);
        match self.level.checked_sub(u64::from(count).saturating_mul(1_000)) {
            Some(rest) => {
                self.level = rest;
                true
            }
            None => false,
        }
    }
}

/// Bytes of records and summaries in a second, in the long run.
const GOSSIP_PER_SECOND: u32 = limits::GOSSIP_BYTES_PER_PERIOD as u32 / limits::GOSSIP_PERIOD.as_secs() as u32;

/// How often something happened in the last `SECONDS` seconds, the present one included.
#[derive(Debug)]
struct Window<const SECONDS: usize> {
    zero: Option<Instant>,
    /// The second counted last, since `zero`.
    second: u64,
    counts: [u32; SECONDS],
}

impl<const SECONDS: usize> Default for Window<SECONDS> {
    fn default() -> Self {
        Window { zero: None, second: 0, counts: [0; SECONDS] }
    }
}

impl<const SECONDS: usize> Window<SECONDS> {
    fn add(&mut self, now: Instant, count: u32) {
        self.move_to(now);
        let present = self.place(self.second);
        self.counts[present] = self.counts[present].saturating_add(count);
    }

    fn sum(&mut self, now: Instant) -> u32 {
        self.move_to(now);
        self.counts.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }

    fn move_to(&mut self, now: Instant) {
        let zero = *self.zero.get_or_insert(now);
        let second = now.saturating_duration_since(zero).as_secs().max(self.second);
        if second.saturating_sub(self.second) >= SECONDS as u64 {
            self.counts = [0; SECONDS];
            self.second = second;
        }
        while self.second < second {
            self.second = self.second.saturating_add(1);
            let place = self.place(self.second);
            self.counts[place] = 0;
        }
    }

    fn place(&self, second: u64) -> usize {
        second.checked_rem(SECONDS as u64).map_or(0, |place| place as usize)
    }
}

/// Seconds over which the cancels of a peer are counted.
const CANCEL_SECONDS: usize = 10;

/// Seconds over which its completed calls are counted: longer, because their answers may have been under way for long when
/// it cancelled others on the strength of them.
const COMPLETED_SECONDS: usize = 30;

/// The same at the sender: cancels a little longer, for the difference of the clocks, completed calls shorter.
const THRIFT_CANCEL_SECONDS: usize = 12;
const THRIFT_COMPLETED_SECONDS: usize = 10;

/// How much completed calls can save up.
const EARNED_MAX: u32 = 65_536;

/// How long cancels, and changes of subscriptions, that are kept back wait for another look: some tokens' worth.
pub(super) const RETRY_AFTER: Duration = Duration::from_millis(50);
