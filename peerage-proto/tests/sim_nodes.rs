//! Whole networks from one seed: whatever befalls them, each promise holds at every step.
//!
//! `SEED=n cargo test -p peerage-proto --features sim --test sim_nodes NAME` runs a test with one seed, and with `TRACE=1` it
//! prints what happens. `PEERAGE_SEEDS=n` runs so many seeds instead of the usual number.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use peerage_proto::outcome::Outcome;
use peerage_proto::sim::{Network, NetworkReport};

/// Runs the network of a seed, as the environment wants it.
fn network(seed: u64) -> Network {
    let network = Network::seeded(seed);
    if std::env::var("TRACE").is_ok() { network.traced(|line| eprintln!("{line}")) } else { network }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Runs a test for each seed, or for that of the environment, two at a time. All failures are told, each with the line that
/// replays it.
fn for_each_seed(test: &str, seeds: std::ops::Range<u64>, run: impl Fn(u64) -> Result<(), String> + Sync) {
    let seeds = number("SEED").map_or(seeds, |seed| seed..seed + 1);
    let (next, failures) = (AtomicU64::new(seeds.start), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    if let Err(why) = run(seed) {
                        let replay =
                            format!("SEED={seed} cargo test -p peerage-proto --features sim --test sim_nodes {test}");
                        failures.lock().expect("nobody panics while holding it").push(format!("{why}\n    {replay}"));
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().expect("nobody panics while holding it");
    assert!(failures.is_empty(), "{} seeds break a promise:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn whatever_befalls_a_network_no_promise_is_broken() {
    let seeds = number("PEERAGE_SEEDS").unwrap_or(SEEDS);
    let sum = Mutex::new((0, BTreeMap::<Outcome, u32>::new(), BTreeMap::<&str, u32>::new()));
    for_each_seed("whatever_befalls_a_network_no_promise_is_broken", 0..seeds, |seed| {
        let NetworkReport { calls, outcomes, markers, .. } =
            network(seed).run().map_err(|broken| broken.to_string())?;
        let mut sum = sum.lock().unwrap();
        sum.0 += calls;
        for (outcome, count) in outcomes {
            *sum.1.entry(outcome).or_default() += count;
        }
        for marker in markers {
            *sum.2.entry(marker).or_default() += 1;
        }
        Ok(())
    });
    let (calls, outcomes, markers) = sum.into_inner().unwrap();
    println!("{seeds} seeds, {calls} calls: {outcomes:?}\n{markers:#?}");
}

#[test]
fn a_seed_run_twice_gives_the_same_run_and_another_seed_another() {
    for_each_seed("a_seed_run_twice_gives_the_same_run_and_another_seed_another", 0..20, |seed| {
        let run = |seed| network(seed).run().map_err(|broken| broken.to_string());
        let once = run(seed)?;
        if once != run(seed)? {
            return Err(format!("seed {seed} does not always give the same run"));
        }
        if once.trace == run(seed + 1_000_000)?.trace {
            return Err(format!("seed {seed} and another give the same run"));
        }
        Ok(())
    });
}

/// Seeds of a usual run.
const SEEDS: u64 = 200;
