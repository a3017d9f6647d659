//! Two hosts with a ticket: linked within a second over TLS and QUIC; and what is seen when the cable between them is cut.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::cable::{Cable, HOSTS};
use crate::home::Home;
use crate::node::Up;

#[test]
fn with_a_ticket_two_hosts_are_linked_over_tls_within_a_second() {
    linked_within_a_second("tls");
}

#[test]
fn with_a_ticket_two_hosts_are_linked_over_quic_within_a_second() {
    linked_within_a_second("quic");
}

/// From the start of the second process until it holds its link.
fn linked_within_a_second(scheme: &str) {
    let _machine = crate::beside_others();
    let Some(cable) = Cable::lay() else { return };
    let (inviter, guest) = (Home::new(), Home::new());
    inviter.done(&["network", "new", "lab"]);
    let listen = |host: usize| format!("{scheme}://{}:0", HOSTS[host]);
    let mut a = cable.up(0, &inviter, "a", &["--network", "lab", "--no-local", "--listen", &listen(0)]);
    inviter.invite(&guest, "lab", &a.address(&format!("{scheme}://")));
    let began = Instant::now();
    let mut b = cable.up(1, &guest, "b", &["--network", "lab", "--no-local", "--listen", &listen(1)]);
    let joined = b.event_of("joined", "a");
    let took = began.elapsed();
    a.event_of("joined", "b");
    crate::tell(&format!("linked over {scheme} {took:?} after the start of the second process"));
    assert!(took < Duration::from_secs(1), "linked over {scheme} after {took:?}");
    assert!(joined["why"].as_str().is_some_and(|why| why.contains(scheme)), "{joined}");
    let peer = &guest.done(&["peers", "--node", "b", "--json"]).object()["peers"][0];
    assert!(peer["path"].as_str().is_some_and(|path| path.contains(scheme)), "{peer}");
}

/// Nodes on each of the two hosts.
const NODES: usize = 8;

#[test]
fn a_cut_cable_is_noticed_within_nine_seconds_and_a_mended_one_links_again() {
    let _machine = crate::beside_others();
    let Some(cable) = Cable::lay() else { return };
    let (here, there) = (Home::new(), Home::new());
    here.done(&["network", "new", "lab"]);
    let options = |host: usize| {
        ["--network", "lab", "--no-local", "--listen"]
            .map(str::to_owned)
            .into_iter()
            .chain([format!("tls://{}:0", HOSTS[host])])
    };
    let start = |host: usize, home: &Home, name: &str, seeds: &[String]| {
        let seeds = seeds.iter().flat_map(|seed| ["--seed".to_owned(), seed.clone()]);
        let options: Vec<String> = options(host).chain(seeds).collect();
        cable.up(host, home, name, &options.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let mut heres: Vec<Up> = (0..NODES).map(|number| start(0, &here, &format!("a{number}"), &[])).collect();
    let seeds: Vec<String> = heres.iter().map(|up| up.address("tls://")).collect();
    here.invite(&there, "lab", &seeds[0]);
    let mut theres: Vec<Up> = (0..NODES).map(|number| start(1, &there, &format!("b{number}"), &seeds)).collect();
    for (nodes, other) in [(&mut heres, 'b'), (&mut theres, 'a')] {
        for node in nodes {
            across(node, "joined", other, Duration::from_secs(30));
        }
    }

    let cut = now_us();
    cable.cut();
    let mut lost: Vec<u64> = Vec::new();
    let mut suspected: Vec<u64> = Vec::new();
    for (nodes, other) in [(&mut heres, 'b'), (&mut theres, 'a')] {
        for node in nodes {
            let limit = Duration::from_secs(20);
            suspected.extend(across(node, "suspect", other, limit).iter().map(|us| us - cut));
            lost.extend(across(node, "lost", other, limit).iter().map(|us| us - cut));
        }
    }
    let (suspect_p50, suspect_p99) = percentiles(&mut suspected);
    let (p50, p99) = percentiles(&mut lost);
    crate::tell(&format!(
        "silent death, {} observations: suspect p50 {suspect_p50:.1} s, p99 {suspect_p99:.1} s; \
         lost p50 {p50:.1} s, p99 {p99:.1} s",
        lost.len()
    ));
    assert_eq!(lost.len(), 2 * NODES * NODES);
    assert!(p99 <= 9.0 && p50 <= 6.5, "lost p50 {p50} s, p99 {p99} s");

    cable.mend();
    for (nodes, other) in [(&mut heres, 'b'), (&mut theres, 'a')] {
        for node in nodes {
            across(node, "joined", other, Duration::from_secs(45));
        }
    }
}

/// Waits for this event of every node on the other side; when each came.
fn across(node: &mut Up, event: &str, other: char, limit: Duration) -> Vec<u64> {
    let mut seen: Vec<(String, u64)> = Vec::new();
    let until = Instant::now() + limit;
    while seen.len() < NODES {
        let record = node.event_within(event, until.saturating_duration_since(Instant::now()));
        let name = record["name"].as_str().expect("a node has a name");
        if name.starts_with(other) && !seen.iter().any(|(earlier, _)| earlier == name) {
            seen.push((name.to_owned(), record["mono_us"].as_u64().expect("a record has a time")));
        }
    }
    seen.into_iter().map(|(_, us)| us).collect()
}

/// The clock of the records' `mono_us`.
fn now_us() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    u64::try_from(now.tv_sec).expect("after the start") * 1_000_000
        + u64::try_from(now.tv_nsec).expect("positive") / 1_000
}

/// Half of them, and 99 of 100, are no later than this, in seconds.
fn percentiles(micros: &mut [u64]) -> (f64, f64) {
    micros.sort_unstable();
    let at = |share: f64| micros[((micros.len() as f64 * share).ceil() as usize).saturating_sub(1)] as f64 / 1e6;
    (at(0.5), at(0.99))
}

#[test]
fn percentiles_are_values_that_were_seen() {
    let mut micros: Vec<u64> = (1..=100).rev().map(|second| second * 1_000_000).collect();
    assert_eq!(percentiles(&mut micros), (50.0, 99.0));
}

#[test]
fn records_are_on_the_clock_of_this_test() {
    let home = Home::new();
    let before = now_us();
    let node = home.up("a", &[]);
    let at = node.ready["mono_us"].as_u64().unwrap_or_else(|| panic!("no time: {}", Value::to_string(&node.ready)));
    assert!((before..=now_us()).contains(&at), "{before} {at}");
}
