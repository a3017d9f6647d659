//! One process that hardly gets to run, among others that do: it must not take them for dead, and they must not lose each
//! other over it.
//!
//! The starved one runs for a quarter of a second in every five and stands still in between, which is worse than a share of
//! 5 % in small slices: it comes back to clocks that have jumped, links that were silent and timers that are all late.
//!
//! `.ci/long starved` is the long form: sixteen processes for five minutes.

use std::env;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::home::Home;
use crate::node::Up;
use crate::program::eventually;

/// How long the starved one runs, and how long it stands still after that.
const RUNS: Duration = Duration::from_millis(250);
const STANDS_STILL: Duration = Duration::from_millis(4_750);

fn setting(name: &str, default: u64) -> u64 {
    env::var(name).map_or(default, |value| value.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

#[test]
fn a_process_that_hardly_runs_loses_nobody_and_nobody_is_lost_over_it() {
    let (count, seconds) = (setting("PEERAGE_STARVED_NODES", 5), setting("PEERAGE_STARVED_SECONDS", 15));
    let _machine = crate::beside_others();
    let home = Home::new();
    let nodes: Vec<Up> = (0..count).map(|number| home.up(&format!("n{number}"), &[])).collect();
    let knows_all = |number: u64| {
        let peers = home.done(&["peers", "--node", &format!("n{number}"), "--json"]).object();
        let entries = peers["peers"].as_array().expect("peers");
        entries.len() as u64 == count - 1 && entries.iter().all(|entry| entry["state"] == "up")
    };
    assert!(eventually(|| (0..count).all(knows_all)), "one mesh");
    nodes.iter().for_each(|node| drop(node.records_so_far()));

    let starved = &nodes[0];
    let end = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < end {
        starved.signal(Signal::STOP);
        thread::sleep(STANDS_STILL);
        starved.signal(Signal::CONT);
        thread::sleep(RUNS);
    }
    // What the clocks of its own told it before it can recover.
    let health = home.done(&["status", "--node", "n0", "--json"]).object()["local_health"].as_u64().expect("a number");
    let mut suspected = 0;
    for (number, node) in nodes.iter().enumerate() {
        for record in node.records_so_far() {
            let about_starved = record["id"] == starved.id().as_str();
            assert!(record["event"] != "lost" || about_starved, "n{number} lost a node that ran well: {record}");
            suspected += u64::from(record["event"] == "suspect" && !about_starved);
        }
    }
    assert!(health > 1, "it has noticed how slow it is");
    for number in 1..count {
        let why = home.done(&["why", &format!("n{number}"), "--node", "n0", "--json"]).object();
        let transitions = why["transitions"].as_array().expect("transitions");
        let ill = |entry: &&serde_json::Value| entry["to"] == "suspect" && entry["local_health"].as_u64() > Some(1);
        let doubts = transitions.iter().filter(|entry| entry["to"] == "suspect").count();
        // The first doubt may come before it has measured anything.
        let told = transitions.iter().filter(ill).count();
        assert!(told + 1 >= doubts, "why tells how slow the observer was: {why}");
    }
    crate::tell(&format!(
        "starved: {count} processes for {seconds} s, one of them at 5 % in bursts (slowness {health}): no node that ran well was \
         lost, {suspected} doubts about such nodes"
    ));
    assert!(eventually(|| (0..count).all(knows_all)), "all is well again");
}
