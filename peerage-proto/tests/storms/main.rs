//! Storms: many nodes that dial each other at once, again and again, while links break and processes crash.
//!
//! What the search through all interleavings (`tests/model`) proves for two nodes and a few dials is tried here with up to 64
//! nodes, real waits and every trouble at once, on the same shipped machine. The promises are those of docs/guarantees.md,
//! watched from outside at every step.
//!
//! `PEERAGE_STORMS=n` runs so many storms instead of the usual number, `SEED=n` that one, or so many from it on; `TRACE=1`
//! prints what happens.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

mod driver;
mod network;
mod oracle;
mod planted;
mod storm;
mod weather;
mod wire;

use oracle::{Broken, Oracle};
use planted::Planted;
use storm::{Storm, Tally};

fn run(seed: u64, planted: Option<Planted>) -> Result<Tally, Broken> {
    let storm = Storm::new(seed, planted);
    if std::env::var("TRACE").is_ok() { storm.told().run() } else { storm.run() }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Runs the storm of each seed, on all processors, until one of them has broken a promise.
fn storms(seeds: Range<u64>, each: impl Fn(Tally) + Sync) -> Option<(u64, Broken)> {
    let (next, first) = (AtomicU64::new(seeds.start), Mutex::new(None::<(u64, Broken)>));
    let work = || {
        while first.lock().expect("nobody panics while holding it").is_none() {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return;
            }
            match run(seed, None) {
                Ok(tally) => each(tally),
                Err(broken) => _ = first.lock().expect("nobody panics while holding it").get_or_insert((seed, broken)),
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    first.into_inner().expect("nobody panics while holding it")
}

#[test]
fn in_every_storm_each_pair_of_nodes_ends_with_one_link_and_is_never_without() {
    let (first, count) = (number("SEED"), number("PEERAGE_STORMS"));
    let count = count.unwrap_or(if first.is_some() { 1 } else { STORMS });
    let first = first.unwrap_or(0);
    let seeds = first..first + count;
    let sum = Mutex::new((0, 0, 0, 0, BTreeMap::<&str, u32>::new()));
    let broken = storms(seeds.clone(), |tally| {
        let mut sum = sum.lock().expect("nobody panics while holding it");
        sum.0 += tally.dials;
        sum.1 += tally.calls;
        sum.2 += tally.steps;
        sum.3 = sum.3.max(tally.most_links);
        for marker in tally.markers {
            *sum.4.entry(marker).or_default() += 1;
        }
    });
    if let Some((seed, broken)) = broken {
        let test = "in_every_storm_each_pair_of_nodes_ends_with_one_link_and_is_never_without";
        panic!("{broken}\n    SEED={seed} TRACE=1 cargo test -p peerage-proto --test storms {test} -- --nocapture");
    }
    let (dials, calls, steps, most_links, markers) = sum.into_inner().expect("nobody panics while holding it");
    println!(
        "{count} storms, {dials} dials, {calls} calls, {steps} steps; at most {most_links} links between two nodes"
    );
    println!("storms with: {markers:#?}");
    if count >= STORMS {
        for marker in MARKERS {
            assert!(markers.contains_key(marker), "not tried in {count} storms: {marker}");
        }
    }
}

#[test]
fn storms_notice_wrong_rules_and_drivers() {
    for (planted, oracles) in [
        (Planted::NewestWins, vec![Oracle::Continuity]),
        (Planted::SmallerWinsAtOnce, vec![Oracle::Continuity, Oracle::NoLoss]),
        (Planted::CloseAtOnce, vec![Oracle::Continuity, Oracle::NoLoss]),
        (Planted::IdleAtOnce, vec![Oracle::NoLoss]),
        (Planted::DeafToLoss, vec![Oracle::Agreement, Oracle::Continuity, Oracle::Termination]),
        (Planted::DialsOnce, vec![Oracle::Isolation]),
    ] {
        let noticed = |seed| run(seed, Some(planted)).err().map(|broken| (seed, broken));
        let (seed, broken) = (0..STORMS).find_map(noticed).expect("the mistake is noticed");
        println!("{planted:?}, storm {seed}: {broken}");
        assert!(oracles.contains(&broken.oracle), "{planted:?} is noticed as {broken}");
        // The same storm without the mistake breaks nothing.
        run(seed, None).expect("the shipped rule breaks no promise");
    }
}

#[test]
fn a_storm_is_the_same_each_time() {
    for seed in 0..20 {
        let tallies = [run(seed, None), run(seed, None)].map(|tally| tally.expect("no promise is broken"));
        assert_eq!(tallies[0], tallies[1], "storm {seed}");
    }
}

/// Storms of a usual run.
const STORMS: u64 = 2_000;

/// Rare things that some storm of a usual run must have met.
const MARKERS: [&str; 6] = [
    "a link was given up for another one",
    "a loser came back because the winner had died",
    "a link was kept or asked back",
    "one link too many was refused",
    "a stale epoch was refused",
    "a peer was asked for a sign of life",
];
