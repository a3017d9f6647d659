//! Choices, seen from outside.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::{Candidate, Ended, Routes, moves_on};
use crate::codec::Payload;
use crate::id::NodeId;
use crate::jitter::Jitter;
use crate::limits;
use crate::outcome::{Busy, CallError, Code, LinkLost, NotSent, Refused, Stop};

const MS: Duration = Duration::from_millis(1);

fn peer(number: u8) -> NodeId {
    NodeId::from_bytes([number; 32])
}

fn candidate(number: u8) -> Candidate {
    Candidate { peer: peer(number), is_suspect: false, load: 0 }
}

fn candidates<const N: usize>(numbers: [u8; N]) -> [Candidate; N] {
    numbers.map(candidate)
}

/// Routes, a clock and dice.
struct Scene {
    routes: Routes,
    now: Instant,
    jitter: Jitter,
}

impl Scene {
    fn new() -> Scene {
        Scene { routes: Routes::default(), now: crate::sim::epoch(), jitter: Jitter::new(4_711) }
    }

    fn random(&mut self) -> u64 {
        u64::from(self.jitter.next()) << 32 | u64::from(self.jitter.next())
    }

    fn choose(&mut self, candidates: &[Candidate]) -> Option<NodeId> {
        self.choose_but(candidates, &[])
    }

    fn choose_but(&mut self, candidates: &[Candidate], tried: &[NodeId]) -> Option<NodeId> {
        let random = self.random();
        self.routes.choose(self.now, "sum", candidates, tried, random)
    }

    fn ended(&mut self, peer: NodeId, how: Ended) {
        self.routes.ended(self.now, "sum", peer, how);
    }

    /// How many of so many calls, each of which ends at once as its provider would end it, go to whom.
    fn shares(
        &mut self,
        calls: usize,
        candidates: &[Candidate],
        how: impl Fn(NodeId) -> Ended,
    ) -> BTreeMap<NodeId, usize> {
        let mut shares = BTreeMap::new();
        for _ in 0..calls {
            let chosen = self.choose(candidates).unwrap();
            *shares.entry(chosen).or_default() += 1;
            self.ended(chosen, how(chosen));
        }
        shares
    }
}

#[test]
fn among_equals_everybody_gets_a_share() {
    let mut scene = Scene::new();
    let shares = scene.shares(4_000, &candidates([1, 2, 3, 4]), |_| Ended::Took(MS));
    assert_eq!(shares.len(), 4);
    assert!(shares.values().all(|share| (800..1_200).contains(share)), "{shares:?}");
}

#[test]
fn calls_that_are_open_weigh_like_calls_that_it_says_it_has() {
    let mut scene = Scene::new();
    let both = candidates([1, 2]);
    for _ in 0..10 {
        scene.choose(&both);
    }
    let open: Vec<u32> = scene.routes.by_tag["sum"].values().map(|standing| standing.open).collect();
    assert_eq!(open, [5, 5], "each goes to the one with fewer");
    let loaded = [Candidate { load: 9, ..candidate(1) }, candidate(2)];
    assert_eq!(scene.choose(&loaded), Some(peer(2)));
}

#[test]
fn who_is_slow_gets_less_and_is_tried_again_later() {
    let mut scene = Scene::new();
    let all = candidates([1, 2, 3, 4]);
    let slow = |chosen| Ended::Took(if chosen == peer(1) { 200 * MS } else { 20 * MS });
    let shares = scene.shares(1_000, &all, slow);
    assert!(shares.get(&peer(1)).copied().unwrap_or(0) < 20, "{shares:?}");
    scene.now += limits::LATENCY_HALF_LIFE * 6;
    let shares = scene.shares(1_000, &all, |_| Ended::Took(20 * MS));
    assert!(shares[&peer(1)] > 100, "{shares:?}");
}

#[test]
fn who_refused_is_left_alone_until_the_time_it_named_unless_there_is_nobody_else() {
    let mut scene = Scene::new();
    let both = candidates([1, 2]);
    let first = scene.choose(&both).unwrap();
    scene.ended(first, Ended::Busy(50 * MS));
    let shares = scene.shares(100, &both, |_| Ended::Otherwise);
    assert_eq!((shares.len(), shares.contains_key(&first)), (1, false));
    assert_eq!(scene.choose(&[candidate(first.as_bytes()[0])]), Some(first));
    scene.ended(first, Ended::Otherwise);
    scene.now += 50 * MS;
    assert_eq!(scene.shares(100, &both, |_| Ended::Otherwise).len(), 2);
}

#[test]
fn suspects_come_last_and_before_those_that_refused() {
    let mut scene = Scene::new();
    let suspect = Candidate { is_suspect: true, ..candidate(1) };
    assert_eq!(scene.shares(50, &[suspect, candidate(2)], |_| Ended::Took(MS)).keys().count(), 1);
    assert_eq!(scene.choose_but(&[suspect, candidate(2)], &[peer(2)]), Some(peer(1)));
    scene.choose(&[candidate(2)]);
    scene.ended(peer(2), Ended::Busy(MS));
    assert_eq!(scene.choose(&[suspect, candidate(2)]), Some(peer(1)));
}

#[test]
fn nobody_is_asked_twice_by_one_call() {
    let mut scene = Scene::new();
    let all = candidates([1, 2, 3]);
    let mut tried = Vec::new();
    while let Some(next) = scene.choose_but(&all, &tried) {
        assert!(!tried.contains(&next));
        tried.push(next);
    }
    assert_eq!(tried.len(), 3);
    assert_eq!(scene.choose(&[]), None);
}

#[test]
fn what_is_remembered_is_bounded_and_open_calls_stay() {
    let mut scene = Scene::new();
    scene.choose(&[candidate(1)]);
    for number in 0..limits::ROUTES_MAX as u64 + 100 {
        scene.now += MS * 100;
        let mut bytes = [7; 32];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        let other = Candidate { peer: NodeId::from_bytes(bytes), ..candidate(0) };
        let chosen = scene.choose(&[other]).unwrap();
        scene.ended(chosen, Ended::Took(MS));
        assert!(scene.routes.len() <= limits::ROUTES_MAX);
    }
    assert_eq!(scene.routes.by_tag["sum"][&peer(1)].open, 1);
    let counted: usize = scene.routes.by_tag.values().map(BTreeMap::len).sum();
    assert_eq!((counted, scene.routes.is_empty()), (scene.routes.len(), false));
}

#[test]
fn only_what_certainly_did_not_run_moves_on_to_another_node() {
    let busy = CallError::Busy { why: Busy::Draining, retry_after: MS };
    let stale = CallError::Refused { why: Refused::NoSuchService("sum".into()) };
    let unsent = |why| CallError::NotSent { why };
    for why in [busy, stale, unsent(NotSent::NoRoute), unsent(NotSent::LimitReached)] {
        assert!(moves_on(&why) && !why.may_have_run(), "{why}");
    }
    let denied = CallError::Refused { why: Refused::BadRequest("no".into()) };
    let remote = CallError::Remote { code: Code::INTERNAL, message: "no".into(), data: None::<Payload> };
    let stop = Stop::Unconfirmed;
    let lost = CallError::ConnectionLost { why: LinkLost::Silent };
    let unknown = [CallError::Deadline { stop }, CallError::Cancelled { stop }, lost];
    for why in unknown.into_iter().chain([denied, remote, unsent(NotSent::ShuttingDown), unsent(NotSent::QueueFull)]) {
        assert!(!moves_on(&why), "{why}");
    }
}
