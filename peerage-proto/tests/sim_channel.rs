//! Whole links from one seed: whatever chance does to them, each promise holds at every step.
//!
//! `SEED=n cargo test -p peerage-proto NAME` runs one test with one seed.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use peerage_proto::codec::Encoding;
use peerage_proto::frame::Dialect;
use peerage_proto::outcome::Outcome;
use peerage_proto::sim::{Plan, Report, pair, targets};

/// Runs a test for each seed, or for that of the environment. A failure prints the line that replays it.
fn for_each_seed(test: &str, seeds: std::ops::Range<u64>, mut run: impl FnMut(u64)) {
    let given = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
    for seed in given.map_or(seeds, |seed: u64| seed..seed + 1) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| run(seed))) {
            eprintln!("replay with: SEED={seed} cargo test -p peerage-proto {test}");
            resume_unwind(panic);
        }
    }
}

/// Both dialects in both encodings.
fn all_links() -> Vec<Plan> {
    let dialects = [Dialect::Plain, Dialect::Full];
    let link = |dialect| Encoding::ALL.map(|encoding| Plan { dialect, encoding, ..Plan::default() });
    dialects.into_iter().flat_map(link).collect()
}

fn add(sum: &mut BTreeMap<Outcome, u32>, report: &Report) {
    for (outcome, count) in &report.outcomes {
        *sum.entry(*outcome).or_default() += count;
    }
}

#[test]
fn in_fair_weather_every_call_is_answered() {
    for_each_seed("in_fair_weather_every_call_is_answered", 0..6, |seed| {
        for plan in all_links() {
            let report = pair(seed, &plan);
            let answered = [Outcome::Ok, Outcome::Remote].iter().filter_map(|o| report.outcomes.get(o)).sum::<u32>();
            assert_eq!(u64::from(answered), report.calls, "{:?}", report.outcomes);
        }
    });
}

/// 4 links × 9 seeds × 2 ends × 160 calls: 11,520.
#[test]
fn ten_thousand_requests_have_one_outcome_each_and_in_time_whatever_happens() {
    let name = "ten_thousand_requests_have_one_outcome_each_and_in_time_whatever_happens";
    let (mut calls, mut outcomes) = (0, BTreeMap::new());
    for_each_seed(name, 0..9, |seed| {
        for plan in all_links() {
            let kill = seed % 3 == 0;
            let served_at_once = [2, 7, 1024][seed as usize % 3];
            let plan = Plan { calls: 160, cancels: 25, deadlines: 50, hangs: 5, kill, served_at_once, ..plan };
            let report = pair(seed, &plan);
            calls += report.calls;
            add(&mut outcomes, &report);
        }
    });
    if std::env::var("SEED").is_err() {
        assert!(calls >= 10_000, "{calls}");
        let met = [
            Outcome::Ok,
            Outcome::Remote,
            Outcome::NotSent,
            Outcome::Busy,
            Outcome::Deadline,
            Outcome::ConnectionLost,
            Outcome::Cancelled,
        ];
        for outcome in met {
            assert!(outcomes.contains_key(&outcome), "no call ended as {outcome}: {outcomes:?}");
        }
    }
}

#[test]
fn a_seed_run_twice_gives_the_same_run_and_another_seed_another() {
    for_each_seed("a_seed_run_twice_gives_the_same_run_and_another_seed_another", 0..3, |seed| {
        for plan in all_links() {
            let plan = Plan { calls: 60, cancels: 20, deadlines: 50, kill: true, ..plan };
            let once = pair(seed, &plan);
            assert_eq!(once, pair(seed, &plan));
            assert_ne!(once.trace, pair(seed + 1, &plan).trace);
        }
    });
}

#[test]
fn a_peer_of_random_bytes_breaks_no_promise() {
    for_each_seed("a_peer_of_random_bytes_breaks_no_promise", 0..3_000, |seed| {
        let mut dice = peerage_proto::sim::Dice::seeded(seed);
        let len = dice.between(0, 400) as usize;
        let input: Vec<u8> = (0..len).map(|_| dice.below(256) as u8).collect();
        targets::session(&input);
        targets::frame(&input);
        targets::payload(&input);
    });
}

/// Items of both directions, parts of large ones, ends, breaks and credit, between everything else that happens to calls.
#[test]
fn items_of_conversations_come_in_order_and_without_holes_whatever_happens() {
    let name = "items_of_conversations_come_in_order_and_without_holes_whatever_happens";
    let mut outcomes = BTreeMap::new();
    for_each_seed(name, 0..12, |seed| {
        for encoding in Encoding::ALL {
            let (kill, rough) = (seed % 4 == 0, seed % 2 == 0);
            let plan = Plan { dialect: Dialect::Full, encoding, calls: 40, conversations: 70, kill, ..Plan::default() };
            let plan = if rough { Plan { cancels: 25, deadlines: 30, hangs: 5, ..plan } } else { plan };
            add(&mut outcomes, &pair(seed, &plan));
        }
    });
    if std::env::var("SEED").is_err() {
        assert!(outcomes.contains_key(&Outcome::Ok) && outcomes.contains_key(&Outcome::Cancelled), "{outcomes:?}");
    }
}

#[test]
#[cfg(feature = "planted-bugs")]
fn credit_that_is_returned_twice_is_found() {
    use peerage_proto::sim::{Bug, planted_pair};

    let plan =
        Plan { dialect: Dialect::Full, encoding: Encoding::MsgPack, calls: 60, conversations: 100, ..Plan::default() };
    let found = (0..20).find_map(|seed| {
        let run = || planted_pair(Bug::CreditReturnedTwice, seed, &plan);
        catch_unwind(AssertUnwindSafe(run)).err()
    });
    let why = found.expect("some seed shows it");
    let why = why.downcast_ref::<String>().expect("an oracle says why");
    assert!(why.starts_with("O9"), "{why}");
}
