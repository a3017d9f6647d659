//! The connect storm: sixteen living nodes drop all their links and dial all addresses they know at one agreed time,
//! again and again; two seconds later each pair holds exactly one established connection, counted from outside.
//!
//! How far apart the nodes begin is measured by themselves, where each dial really begins, and printed. Sixteen processes on two
//! CPUs cannot begin at once: programs that do nothing but compute for 4 to 12 ms from an agreed time on begin 18 to 24 ms apart
//! there (median of 20), those with 0.1 ms to do 5 ms. What matters is that each end of every pair has dialled before it hears of
//! the other, and the count of dials shows that.
//!
//! `PEERAGE_STORM_ROUNDS=200 cargo test -p peerage-cli --test processes storm` is the long form; 20 rounds are run for each change.

use std::collections::BTreeMap;
use std::env;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use peerage::{Address, Channel};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::home::Home;
use crate::node::Up;

const NODES: usize = 16;
const PAIRS: usize = NODES * (NODES - 1) / 2;

#[test]
fn after_each_storm_every_pair_holds_exactly_one_connection() {
    let _alone = crate::alone();
    let home = Home::new();
    home.done(&["network", "new", "storm"]);
    let nodes = start(&home);
    let together = Instant::now() + Duration::from_secs(30);
    while !faults(&nodes).is_empty() {
        assert!(Instant::now() < together, "not one mesh after 30 s: {:?}", faults(&nodes));
        thread::sleep(Duration::from_millis(100));
    }
    let before = dials(&home);
    let rounds = rounds();
    let (mut firsts, mut alls) = (Vec::new(), Vec::new());
    for round in 1..=rounds {
        let at = SystemTime::now() + Duration::from_millis(700);
        let began = redial(&home, at);
        let settled = at + Duration::from_secs(2);
        thread::sleep(settled.duration_since(SystemTime::now()).unwrap_or_default());
        let faults = faults(&nodes);
        assert!(faults.is_empty(), "round {round}: pairs without exactly one connection: {faults:?}");
        firsts.push(spread(began.iter().map(|(first, _)| *first)));
        alls.push(spread(began.iter().flat_map(|(first, last)| [*first, *last])));
    }
    let per_round = (dials(&home) - before) / rounds as u64;
    crate::tell(&format!(
        "connect storm: {rounds} rounds of {NODES} nodes, {PAIRS} of {PAIRS} pairs at one connection after each; the nodes began \
         to dial within {}, all dials of a round began within {}; {per_round} dials a round",
        shown(&mut firsts),
        shown(&mut alls),
    ));
    assert!(per_round as usize > PAIRS, "both ends of a pair are to dial: {per_round} dials for {PAIRS} pairs");
}

/// Nodes that each know the addresses of those before; the others they learn from their links.
fn start(home: &Home) -> Vec<Up> {
    let mut nodes: Vec<Up> = Vec::new();
    for number in 0..NODES {
        let mut options = vec!["--no-local".to_owned()];
        for earlier in &nodes {
            options.extend(["--seed".to_owned(), earlier.address("tls://")]);
        }
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        nodes.push(home.up_at_loopback(&format!("n{number}"), "storm", &options));
    }
    nodes
}

/// Tells every node when to dial all it knows. Gives when each began its first dial and its last one, by its own word, in
/// microseconds since 1970.
fn redial(home: &Home, at: SystemTime) -> Vec<(u64, u64)> {
    let at = at.duration_since(UNIX_EPOCH).expect("the clock is set").as_millis() as u64;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut told = JoinSet::new();
        for number in 0..NODES {
            let socket = Address::unix(home.socket("storm", &format!("n{number}"))).expect("a path");
            told.spawn(async move {
                let channel = Channel::connect(&socket).await.expect("the control socket takes us");
                let content = json!(["peerage/local/redial", [], { "at_unix_ms": at }]);
                let answer: Value = channel.request(&content).await.expect("a node dials anew when told to");
                let of = |name: &str| answer[name].as_u64().unwrap_or_else(|| panic!("{name} of {answer}"));
                assert!(of("first_unix_us") >= at * 1000, "dialled too early: {answer}, not before {at} ms");
                (of("first_unix_us"), of("last_unix_us"))
            });
        }
        told.join_all().await
    })
}

/// Pairs of nodes that do not hold exactly one connection, with the number they hold, as the system counts them.
fn faults(nodes: &[Up]) -> Vec<(usize, usize, usize)> {
    let listed = Command::new("ss").args(["-tnpH", "state", "established"]).output().expect("ss of iproute2 is there");
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    let number_of: BTreeMap<u32, usize> =
        nodes.iter().enumerate().map(|(number, up)| (up.child.id(), number)).collect();
    let mut ends: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for line in listed.lines() {
        let pid = line.split("pid=").nth(1).and_then(|rest| rest.split(',').next()).and_then(|pid| pid.parse().ok());
        let fields: Vec<&str> = line.split_whitespace().collect();
        if let Some(number) = pid.and_then(|pid: u32| number_of.get(&pid)) {
            ends.insert((fields[2], fields[3]), *number);
        }
    }
    let mut held: BTreeMap<(usize, usize), usize> = BTreeMap::new();
    for ((local, remote), number) in &ends {
        if let Some(other) = ends.get(&(*remote, *local)).filter(|other| number < *other) {
            *held.entry((*number, *other)).or_default() += 1;
        }
    }
    let pairs = (0..nodes.len()).flat_map(|a| (a + 1..nodes.len()).map(move |b| (a, b)));
    pairs.map(|(a, b)| (a, b, held.get(&(a, b)).copied().unwrap_or(0))).filter(|(_, _, count)| *count != 1).collect()
}

/// Dials of all nodes so far.
fn dials(home: &Home) -> u64 {
    let of = |number: usize| {
        let told = home.done(&["status", "--node", &format!("n{number}"), "--json"]);
        let status: Value = serde_json::from_str(&told.stdout).expect("status is JSON");
        status["counters"]["peerage_dials_total"].as_u64().expect("dials are counted")
    };
    (0..NODES).map(of).sum()
}

fn rounds() -> usize {
    let default = if env::var("CI").is_ok_and(|ci| ci == "true") { 20 } else { 2 };
    env::var("PEERAGE_STORM_ROUNDS").map_or(default, |rounds| rounds.parse().expect("a number of rounds"))
}

/// The time between the earliest and the latest.
fn spread(times: impl Iterator<Item = u64> + Clone) -> u64 {
    times.clone().max().zip(times.min()).map_or(0, |(last, first)| last - first)
}

/// Median and worst of several spreads.
fn shown(spreads: &mut [u64]) -> String {
    spreads.sort_unstable();
    let millis = |micros: Option<&u64>| micros.copied().unwrap_or_default() as f64 / 1000.0;
    format!("{:.1} ms ({:.1} ms at worst)", millis(spreads.get(spreads.len() / 2)), millis(spreads.last()))
}
