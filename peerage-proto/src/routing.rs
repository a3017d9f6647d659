//! Whom to ask when several nodes offer a service.
//!
//! Two of them are taken at random, and the one is asked that is likely to answer sooner (Mitzenmacher, *The power of two
//! choices in randomized load balancing*, 2001): by how many calls of ours it has open, how many of everybody it last said
//! it has in service, and how long it took lately. Asking always the best of all would send everybody to the same one at
//! the same moment.
//!
//! ```text
//!   healthy ones, else suspects, else those that were busy a moment ago ──two at random──▶ the cheaper one
//!        cost = (own calls open + its calls in service + 1) × how long it took lately
//! ```
//!
//! What a node said of itself in refusing holds until the time it named. How long it took is forgotten with time, so that
//! one which was slow is tried again.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::id::NodeId;
use crate::limits;
use crate::outcome::{CallError, NotSent, Refused};

/// A node that offers the service.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Candidate {
    /// Which.
    pub peer: NodeId,
    /// Something speaks against its being there.
    pub is_suspect: bool,
    /// How many requests it last said it has in service; 0 if it has not said anything yet.
    pub load: u32,
}

/// What this node has learnt of those it calls, by service.
#[derive(Clone, Debug, Default)]
pub struct Routes {
    by_tag: BTreeMap<String, BTreeMap<NodeId, Standing>>,
    count: usize,
}

/// How a try at one node ended, as far as the next choice is concerned.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ended {
    /// It answered, or its time was over, after so long.
    Took(Duration),
    /// It refuses for so long.
    Busy(Duration),
    /// Nothing is to be learnt from it.
    Otherwise,
}

/// What is known of one node as a provider of one service.
#[derive(Clone, Copy, Debug)]
struct Standing {
    open: u32,
    /// How long it took lately, and when that was noted.
    latency: Option<(Duration, Instant)>,
    busy_until: Option<Instant>,
    used: Instant,
}

impl Routes {
    /// Chooses whom to ask, and counts the call as open there until [`ended`](Self::ended). `tried`: whom this call has asked
    /// already. `random`: 64 random bits. `None`: there is nobody left.
    pub fn choose(
        &mut self,
        now: Instant,
        tag: &str,
        candidates: &[Candidate],
        tried: &[NodeId],
        random: u64,
    ) -> Option<NodeId> {
        let known = self.by_tag.get(tag);
        let of = |candidate: &Candidate| known.and_then(|known| known.get(&candidate.peer));
        let is_busy = |candidate: &Candidate| of(candidate).and_then(|s| s.busy_until).is_some_and(|until| now < until);
        let rank = |candidate: &Candidate| (is_busy(candidate), candidate.is_suspect);
        let left = || candidates.iter().filter(|candidate| !tried.contains(&candidate.peer));
        let best = left().map(rank).min()?;
        let eligible = || left().filter(|candidate| rank(candidate) == best);
        let (first, second) = two_of(eligible().count(), random);
        let (first, second) = (eligible().nth(first)?, eligible().nth(second)?);
        let chosen = if is_cheaper(now, (second, of(second)), (first, of(first))) { second } else { first }.peer;
        self.make_room(now);
        let standing = self.standing(now, tag, chosen);
        standing.open = standing.open.saturating_add(1);
        standing.used = now;
        Some(chosen)
    }

    /// What was begun with [`choose`](Self::choose) has ended.
    pub fn ended(&mut self, now: Instant, tag: &str, peer: NodeId, how: Ended) {
        let Some(standing) = self.by_tag.get_mut(tag).and_then(|known| known.get_mut(&peer)) else { return };
        standing.open = standing.open.saturating_sub(1);
        standing.used = now;
        match how {
            Ended::Took(time) => {
                let before = standing.latency.map(|latency| faded(now, latency));
                standing.latency = Some((smoothed(before, time), now));
                standing.busy_until = None;
            }
            Ended::Busy(time) => standing.busy_until = Some(now + time.min(limits::RETRY_AFTER_MAX)),
            Ended::Otherwise => {}
        }
    }

    /// How many nodes are remembered, each counted once for each service.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether nobody is remembered.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    fn standing(&mut self, now: Instant, tag: &str, peer: NodeId) -> &mut Standing {
        if !self.by_tag.contains_key(tag) {
            self.by_tag.insert(tag.to_owned(), BTreeMap::new());
        }
        let known = self.by_tag.get_mut(tag).expect("it was just put there");
        let count = &mut self.count;
        known.entry(peer).or_insert_with(|| {
            *count = count.saturating_add(1);
            Standing { open: 0, latency: None, busy_until: None, used: now }
        })
    }

    /// Forgets what has not been used for longest, if there is no room for one more.
    fn make_room(&mut self, now: Instant) {
        if self.count < limits::ROUTES_MAX {
            return;
        }
        for keep in [limits::ROUTE_KEPT, Duration::ZERO] {
            let is_kept =
                |standing: &Standing| standing.open > 0 || now.saturating_duration_since(standing.used) < keep;
            self.by_tag.values_mut().for_each(|known| known.retain(|_, standing| is_kept(standing)));
            self.by_tag.retain(|_, known| !known.is_empty());
            self.count = self.by_tag.values().map(BTreeMap::len).sum();
            if self.count < limits::ROUTES_MAX / 2 {
                return;
            }
        }
    }
}

/// Whether a call that ended like this is tried at another node. Only what certainly did not run is, and only where another
/// node may answer otherwise.
pub fn moves_on(why: &CallError) -> bool {
    match why {
        CallError::Busy { .. } | CallError::Refused { why: Refused::NoSuchService(_) } => true,
        CallError::NotSent { why } => matches!(why, NotSent::NoRoute | NotSent::LimitReached),
        _ => false,
    }
}

/// Two different numbers below `count`, or the same one twice if there is only one.
fn two_of(count: usize, random: u64) -> (usize, usize) {
    let count = count as u64;
    let first = (random >> 32).checked_rem(count).unwrap_or(0);
    let step = (random & 0xffff_ffff).checked_rem(count.saturating_sub(1)).map_or(0, |step| step.saturating_add(1));
    let second = first.saturating_add(step).checked_rem(count).unwrap_or(0);
    (first as usize, second as usize)
}

/// Whether the first is likely to answer sooner. Of whom nobody knows how long it takes, the calls alone are compared.
fn is_cheaper(now: Instant, one: (&Candidate, Option<&Standing>), other: (&Candidate, Option<&Standing>)) -> bool {
    let calls = |(candidate, standing): (&Candidate, Option<&Standing>)| {
        u64::from(candidate.load).saturating_add(standing.map_or(0, |standing| standing.open.into())).saturating_add(1)
    };
    let latency = |standing: Option<&Standing>| Some(faded(now, standing?.latency?).as_micros() as u64);
    match (latency(one.1), latency(other.1)) {
        (Some(ours), Some(theirs)) => {
            calls(one).saturating_mul(ours.max(1)) < calls(other).saturating_mul(theirs.max(1))
        }
        _ => calls(one) < calls(other),
    }
}

/// How long a node took, less with each second since.
fn faded(now: Instant, (latency, at): (Duration, Instant)) -> Duration {
    let half_lives = now.saturating_duration_since(at).as_secs_f64() / limits::LATENCY_HALF_LIFE.as_secs_f64();
    latency.mul_f64(0.5_f64.powf(half_lives.min(64.0)))
}

/// A new measurement counts half if it is worse than what was known, and an eighth if it is better: who has become slow is
/// avoided at once, and who was lucky once is not rushed at.
fn smoothed(before: Option<Duration>, time: Duration) -> Duration {
    match before {
        None => time,
        Some(before) if time > before => before.saturating_add((time.saturating_sub(before)) / 2),
        Some(before) => before.saturating_sub(before.saturating_sub(time) / 8),
    }
}

#[cfg(test)]
mod tests;
