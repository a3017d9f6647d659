//! How many strangers may stand at the door.
//!
//! A connection that has been accepted and not yet admitted costs a descriptor and memory, and whoever opened it has
//! proved nothing. So they are counted, over all and for each source; one too many makes the *oldest* give way, since an
//! honest newcomer is through in milliseconds and who has stood there for long is probably not one. Every one of them
//! has the same time, which no progress extends.
//!
//! ```text
//!   accepted ──enter──▶ Slot ──TLS, admission──▶ dropped when admitted, or when the connection is
//!                        │ └──▶ ended(): over time, or given way to a newcomer
//!                        └ refused at once: too many from there within a second
//! ```
//!
//! Everything a caller of the outside can make grow here has a bound: slots by their limit, sources by the rate at which
//! connections are let in.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use peerage_proto::limits;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// Counts connections that are accepted and not yet admitted. Clones share one count: a node has one for all its
/// listeners.
#[derive(Clone, Debug)]
pub(crate) struct Gate {
    state: Arc<Mutex<State>>,
}

/// How many a [`Gate`] lets stand there, and how fast they may come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct GateLimits {
    /// Connections that are not admitted yet.
    pub(crate) half_open: usize,
    /// Of these, those from one source that is not this machine.
    pub(crate) half_open_source: usize,
    /// Connections a second over all sources; `None`: as they come.
    pub(crate) accepts: Option<Pace>,
    /// Connections a second from one source that is not this machine; `None`: as they come.
    pub(crate) accepts_source: Option<Pace>,
    /// Time to be admitted, from the moment a connection was accepted.
    pub(crate) time: Duration,
}

/// A rate and how many may come at once after a quiet time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Pace {
    pub(crate) per_second: u32,
    pub(crate) burst: u32,
}

/// A connection's place among those that are not admitted yet. Dropping it gives the place back.
#[derive(Debug)]
pub(crate) struct Slot {
    state: Arc<Mutex<State>>,
    number: u64,
    deadline: Instant,
    gave_way: CancellationToken,
}

impl GateLimits {
    /// Those of a node.
    #[allow(dead_code, reason = "for nodes, which come next")]
    pub(crate) fn for_node() -> GateLimits {
        let per_second = limits::ACCEPTS_PER_SECOND_DEFAULT;
        let per_second_source = limits::ACCEPTS_PER_SECOND_SOURCE_DEFAULT;
        GateLimits {
            accepts: Some(Pace { per_second, burst: limits::ACCEPTS_BURST_DEFAULT }),
            accepts_source: Some(Pace { per_second: per_second_source, burst: limits::ACCEPTS_BURST_SOURCE_DEFAULT }),
            ..GateLimits::for_channel()
        }
    }

    /// Those of a plain listener, which takes connections as fast as they come.
    pub(crate) fn for_channel() -> GateLimits {
        GateLimits {
            half_open: limits::HALF_OPEN_DEFAULT,
            half_open_source: limits::HALF_OPEN_SOURCE_DEFAULT,
            accepts: None,
            accepts_source: None,
            time: limits::HANDSHAKE_TIME_DEFAULT,
        }
    }
}

impl Gate {
    pub(crate) fn new(limits: GateLimits) -> Gate {
        let limits = GateLimits { half_open: limits.half_open.clamp(1, limits::HALF_OPEN_MAX), ..limits };
        let state = State { limits, slots: BTreeMap::new(), next: 0, due: None, due_by_source: BTreeMap::new() };
        Gate { state: Arc::new(Mutex::new(state)) }
    }

    /// A place for a connection accepted just now from `source`, which is `None` for one that can only be of this
    /// machine. `None` if too many came too fast.
    pub(crate) fn enter(&self, source: Option<IpAddr>) -> Option<Slot> {
        let now = Instant::now();
        let gave_way = CancellationToken::new();
        let mut state = lock(&self.state);
        let source = source.and_then(Source::of);
        if !state.may_come(source, now) {
            return None;
        }
        state.make_room(source);
        let number = state.next;
        state.next += 1;
        state.slots.insert(number, Occupant { source, gave_way: gave_way.clone() });
        let deadline = now + state.limits.time;
        Some(Slot { state: self.state.clone(), number, deadline, gave_way })
    }

    /// Whether half of the places are taken: time to ask newcomers whether they are where they claim to be.
    #[allow(dead_code, reason = "for nodes, which come next")]
    pub(crate) fn is_crowded(&self) -> bool {
        let state = lock(&self.state);
        2 * state.slots.len() >= state.limits.half_open
    }

    /// Connections that are not admitted yet.
    #[allow(dead_code, reason = "for nodes, which come next")]
    pub(crate) fn half_open(&self) -> usize {
        lock(&self.state).slots.len()
    }
}

impl Slot {
    /// When the time to be admitted is over.
    #[allow(dead_code, reason = "for nodes, which come next")]
    pub(crate) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Waits until the connection must go: its time is over, or it had to give way to a newcomer.
    pub(crate) async fn ended(&self) {
        tokio::select! {
            () = sleep_until(self.deadline) => {}
            () = self.gave_way.cancelled() => {}
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        lock(&self.state).slots.remove(&self.number);
    }
}

/// Who counts as one: an IPv4 address, an IPv6 network of the size that one customer gets.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Source(IpAddr);

impl Source {
    /// `None` for this machine.
    fn of(address: IpAddr) -> Option<Source> {
        let address = address.to_canonical();
        if address.is_loopback() {
            return None;
        }
        Some(Source(match address {
            IpAddr::V4(_) => address,
            IpAddr::V6(ip) => {
                let [a, b, c, d, ..] = ip.segments();
                IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
            }
        }))
    }
}

#[derive(Debug)]
struct State {
    limits: GateLimits,
    /// By number, so that the oldest comes first.
    slots: BTreeMap<u64, Occupant>,
    next: u64,
    /// When the next connection would be due if they came evenly. Ahead of the clock by what a burst has used up.
    due: Option<Instant>,
    due_by_source: BTreeMap<Source, Instant>,
}

#[derive(Debug)]
struct Occupant {
    source: Option<Source>,
    gave_way: CancellationToken,
}

impl State {
    fn may_come(&mut self, source: Option<Source>, now: Instant) -> bool {
        let due = match self.limits.accepts {
            Some(pace) => match pace.next_due(self.due, now) {
                Some(due) => Some(due),
                None => return false,
            },
            None => None,
        };
        if let (Some(source), Some(pace)) = (source, self.limits.accepts_source) {
            // A source whose burst is whole again is as good as unknown. What is left came within one burst.
            self.due_by_source.retain(|_, due| *due > now);
            match pace.next_due(self.due_by_source.get(&source).copied(), now) {
                Some(due) => self.due_by_source.insert(source, due),
                None => return false,
            };
        }
        self.due = due.or(self.due);
        true
    }

    /// Makes the oldest give way until one more has room, of its own source if that one has too many.
    fn make_room(&mut self, source: Option<Source>) {
        let limits = self.limits;
        if source.is_some() {
            let of_source: Vec<u64> =
                self.slots.iter().filter(|(_, slot)| slot.source == source).map(|(number, _)| *number).collect();
            let too_many = (of_source.len() + 1).saturating_sub(limits.half_open_source.max(1));
            for number in &of_source[..too_many] {
                self.send_away(*number);
            }
        }
        while self.slots.len() >= limits.half_open {
            let Some((&oldest, _)) = self.slots.first_key_value() else { break };
            self.send_away(oldest);
        }
    }

    fn send_away(&mut self, number: u64) {
        if let Some(occupant) = self.slots.remove(&number) {
            occupant.gave_way.cancel();
        }
    }
}

impl Pace {
    /// When the one after this would be due, if this one may come now.
    fn next_due(self, due: Option<Instant>, now: Instant) -> Option<Instant> {
        let step = Duration::from_secs(1) / self.per_second.max(1);
        let next = due.map_or(now, |due| due.max(now)) + step;
        (next <= now + step * self.burst.max(1)).then_some(next)
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn from(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    fn is_sent_away(slot: &Slot) -> bool {
        slot.gave_way.is_cancelled()
    }

    #[tokio::test(start_paused = true)]
    async fn one_too_many_makes_the_oldest_give_way() {
        let gate = Gate::new(GateLimits { half_open: 3, ..GateLimits::for_channel() });
        let slots: Vec<Slot> = (0..5).map(|_| gate.enter(from("127.0.0.1")).unwrap()).collect();
        assert_eq!(gate.half_open(), 3);
        assert_eq!(slots.iter().map(is_sent_away).collect::<Vec<_>>(), [true, true, false, false, false]);
        slots[0].ended().await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_with_too_many_loses_its_own_oldest_and_nobody_elses() {
        let gate = Gate::new(GateLimits { half_open_source: 2, ..GateLimits::for_channel() });
        let other = gate.enter(from("10.0.0.2")).unwrap();
        let slots: Vec<Slot> = (0..3).map(|_| gate.enter(from("10.0.0.1")).unwrap()).collect();
        assert_eq!(slots.iter().map(is_sent_away).collect::<Vec<_>>(), [true, false, false]);
        assert!(!is_sent_away(&other));
    }

    #[tokio::test(start_paused = true)]
    async fn an_ipv6_network_is_one_source_and_this_machine_is_none() {
        let gate = Gate::new(GateLimits { half_open_source: 1, ..GateLimits::for_channel() });
        let first = gate.enter(from("2001:db8::1")).unwrap();
        let _second = gate.enter(from("2001:db8::ffff")).unwrap();
        assert!(is_sent_away(&first));
        let local: Vec<Slot> = ["127.0.0.1", "::1", "::ffff:127.0.0.1"].map(|ip| gate.enter(from(ip)).unwrap()).into();
        assert!(!local.iter().any(is_sent_away));
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_is_free_again_when_its_slot_is_dropped() {
        let gate = Gate::new(GateLimits { half_open: 1, ..GateLimits::for_channel() });
        drop(gate.enter(None));
        let slot = gate.enter(None).unwrap();
        assert_eq!(gate.half_open(), 1);
        assert!(!is_sent_away(&slot));
    }

    #[tokio::test(start_paused = true)]
    async fn time_is_over_five_seconds_after_the_connection_was_accepted() {
        let start = Instant::now();
        let slot = Gate::new(GateLimits::for_node()).enter(None).unwrap();
        slot.ended().await;
        assert_eq!(start.elapsed(), Duration::from_secs(5));
        assert_eq!(slot.deadline(), start + Duration::from_secs(5));
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_that_comes_too_fast_is_turned_away_until_it_has_slowed_down() {
        let gate = Gate::new(GateLimits::for_node());
        let admitted = |from| (0..100).filter(|_| gate.enter(from).is_some()).count();
        assert_eq!(admitted(from("10.0.0.1")), 40);
        assert_eq!(admitted(from("10.0.0.2")), 40);
        advance(Duration::from_secs(1)).await;
        assert_eq!(admitted(from("10.0.0.1")), 20);
        advance(Duration::from_secs(60)).await;
        assert_eq!(admitted(from("10.0.0.1")), 40);
        assert_eq!(lock(&gate.state).due_by_source.len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn all_sources_together_have_a_rate_as_well() {
        let gate = Gate::new(GateLimits::for_node());
        let admitted = |from| (0..2_000).filter(|_| gate.enter(from).is_some()).count();
        assert_eq!(admitted(from("127.0.0.1")), 1_024);
        assert_eq!(admitted(from("10.0.0.1")), 0);
        advance(Duration::from_secs(1)).await;
        assert_eq!(admitted(None), 200);
    }

    #[tokio::test(start_paused = true)]
    async fn a_plain_listener_has_no_rate() {
        let gate = Gate::new(GateLimits::for_channel());
        assert!((0..10_000).all(|_| gate.enter(from("10.0.0.1")).is_some()));
        assert!(!gate.is_crowded());
    }
}
