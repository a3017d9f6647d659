//! What a mesh costs in which nothing happens: the processor time of its processes, as the kernel counts it.
//!
//! `.ci/long idle_mesh` is the long form: 64 processes of a release build.

use std::env;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use crate::home::Home;
use crate::node::Up;

/// Most that a node may take of a core, in percent. What is built for tests is not optimised.
const PERCENT: f64 = if cfg!(debug_assertions) { 3.0 } else { 1.0 };

fn setting(name: &str, default: u64) -> u64 {
    env::var(name).map_or(default, |value| value.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// Processor time that a process has taken, in clock ticks.
fn ticks(node: &Up) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", node.child.id())).expect("it runs");
    // Behind the name, which may hold anything: the 12th and 13th field are the times in user and in kernel mode.
    let fields: Vec<&str> = stat.rsplit(')').next().expect("a name in brackets").split_whitespace().collect();
    [11, 12].iter().map(|field| fields[*field].parse::<u64>().expect("a number")).sum()
}

#[test]
fn a_mesh_in_which_nothing_happens_takes_hardly_any_time() {
    let (count, seconds) = (setting("PEERAGE_IDLE_NODES", 8), setting("PEERAGE_IDLE_SECONDS", 5));
    let _alone = crate::alone();
    let home = Home::new();
    let started = Instant::now();
    let nodes: Vec<Up> = (0..count).map(|number| home.up(&format!("n{number}"), &[])).collect();
    let knows_all = |number: u64| {
        let peers = home.done(&["peers", "--node", &format!("n{number}"), "--json"]).object();
        let entries = peers["peers"].as_array().expect("peers");
        let linked = entries.iter().filter(|entry| entry["state"] == "up" && entry["path"] == "unix").count();
        linked as u64 == count - 1 && peers["complete"] == true
    };
    let limit = started + Duration::from_secs(60 + count);
    while !(0..count).all(knows_all) {
        assert!(Instant::now() < limit, "one mesh in which all know all");
        thread::sleep(Duration::from_millis(200));
    }
    let settled = started.elapsed();
    thread::sleep(Duration::from_secs(2));
    let before: Vec<u64> = nodes.iter().map(ticks).collect();
    let measured = Instant::now();
    thread::sleep(Duration::from_secs(seconds));
    let passed = measured.elapsed().as_secs_f64();
    let per_second = rustix::param::clock_ticks_per_second() as f64;
    let share = |(node, before): (&Up, &u64)| (ticks(node) - before) as f64 / per_second / passed * 100.0;
    let shares: Vec<f64> = nodes.iter().zip(&before).map(share).collect();
    let (mean, worst) = (shares.iter().sum::<f64>() / shares.len() as f64, shares.iter().copied().fold(0.0, f64::max));
    crate::tell(&format!(
        "idle mesh: {count} processes, one mesh after {settled:.1?}; {mean:.2} % of a core a node ({worst:.2} % at most) over {passed:.0} s"
    ));
    assert!(mean <= PERCENT, "{mean:.2} %");
}
