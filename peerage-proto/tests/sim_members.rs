//! Members of simulated networks: whoever starts when, whatever parts them, whatever one of them says.
//!
//! What is promised all the time (events in order, nobody called absent who is there, all views equal in the end) is watched in
//! every run of `sim_nodes`. Here are the runs that are made for one promise each. `SEED=n` runs one seed alone.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use peerage_proto::sim::{Fault, Faults, Network};

const SECOND: Duration = Duration::from_secs(1);

/// Runs a network for each seed, or for that of the environment, on two threads.
fn for_each_seed(test: &str, seeds: u64, network: impl Fn(u64) -> Network + Sync) {
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
    let (first, end) = seed.map_or((0, seeds), |seed: u64| (seed, seed + 1));
    let next = AtomicU64::new(first);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        return;
                    }
                    let mut network = network(seed);
                    if std::env::var("TRACE").is_ok() {
                        network = network.traced(|line| eprintln!("{line}"));
                    }
                    if let Err(broken) = network.run() {
                        panic!("{broken}\nSEED={seed} cargo test -p peerage-proto --test sim_members {test}");
                    }
                }
            });
        }
    });
}

/// Both ways between each of the first and each of the second.
fn both_ways(first: &[usize], second: &[usize]) -> Vec<(usize, usize)> {
    [one_way(first, second), one_way(second, first)].concat()
}

fn one_way(from: &[usize], to: &[usize]) -> Vec<(usize, usize)> {
    from.iter().flat_map(|from| to.iter().map(|to| (*from, *to))).collect()
}

#[test]
fn in_whatever_order_nodes_start_nobody_is_called_absent_who_is_there() {
    for_each_seed("in_whatever_order_nodes_start_nobody_is_called_absent_who_is_there", 1_000, |seed| {
        Network::seeded(seed).starting_within(SECOND * 6)
    });
}

#[test]
fn after_a_minute_apart_nodes_find_each_other_and_see_the_same() {
    for_each_seed("after_a_minute_apart_nodes_find_each_other_and_see_the_same", 30, |seed| {
        let ways = match seed % 3 {
            0 => both_ways(&[0, 1, 2], &[3, 4, 5, 6]),
            1 => one_way(&[0, 1, 2], &[3, 4, 5, 6]),
            // The middle reaches both sides, which do not reach each other.
            _ => both_ways(&[0, 1], &[5, 6]),
        };
        Network::seeded(seed).nodes(7).faults(Faults::default()).apart(&ways, SECOND * 8, SECOND * 60)
    });
}

#[test]
fn two_dozen_nodes_that_come_and_go_agree_in_the_end() {
    for_each_seed("two_dozen_nodes_that_come_and_go_agree_in_the_end", 1, |seed| {
        Network::seeded(seed).nodes(24).faults(Faults::of(&[Fault::Crash, Fault::Reset]))
    });
}

/// Nodes start within half a minute, and meanwhile every third of them crashes or leaves and comes back; 10 s after the last of
/// it all views must be equal, true and complete. `PEERAGE_CHURN_NODES=64` is the long form.
#[test]
fn ten_seconds_after_the_last_change_many_nodes_that_come_and_go_agree() {
    let nodes = std::env::var("PEERAGE_CHURN_NODES").map_or(16, |nodes| nodes.parse().expect("a number of nodes"));
    let hosts: Vec<usize> = (0..nodes).step_by(3).collect();
    let every = SECOND * 8 / hosts.len() as u32;
    for_each_seed("ten_seconds_after_the_last_change_many_nodes_that_come_and_go_agree", 2, |seed| {
        Network::seeded(seed).nodes(nodes).starting_within(SECOND * 30).churning(&hosts, SECOND * 7, every)
    });
    eprintln!("churn: {nodes} nodes agree 10 s after the last change");
}

#[test]
fn ten_thousand_addresses_of_nobody_lead_to_few_dials_and_to_none_that_is_denied() {
    for_each_seed("ten_thousand_addresses_of_nobody_lead_to_few_dials_and_to_none_that_is_denied", 1, |seed| {
        let network = Network::seeded(seed).nodes(5).faults(Faults::default());
        // 4 neighbours × 10 times × 26 records × 10 addresses.
        (1..=10).fold(network, |network, time| network.luring(SECOND * 5 * time + SECOND * 5, 26))
    });
}

#[test]
fn a_node_that_lies_about_others_evicts_nobody() {
    for_each_seed("a_node_that_lies_about_others_evicts_nobody", 40, |seed| {
        Network::seeded(seed).faults(Faults::of(&[Fault::Poison, Fault::Drain]))
    });
}
