//! Nodes that nobody told where the others are, as processes.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::home::Home;
use crate::node::Up;
use crate::program::eventually;

/// Whether a node shows exactly one other, with the path and the round trip of a link to it.
fn sees_one_with_path_and_rtt(home: &Home, name: &str) -> bool {
    let peers = home.done(&["peers", "--node", name, "--json"]).object()["peers"].clone();
    let peers = peers.as_array().expect("a list");
    peers.len() == 1 && peers[0]["path"] == "unix" && peers[0]["rtt_us"].is_u64()
}

#[test]
fn two_nodes_without_any_configuration_see_each_other_with_path_and_round_trip_within_half_a_second() {
    let _machine = crate::alone();
    let home = Home::new();
    let _a = home.up("a", &[]);
    let began = Instant::now();
    let _b = home.up("b", &[]);
    assert!(eventually(|| sees_one_with_path_and_rtt(&home, "a") && sees_one_with_path_and_rtt(&home, "b")));
    let took = began.elapsed();
    crate::tell(&format!("both see each other with path and round trip {took:?} after the start of the second"));
    assert!(took < Duration::from_millis(500), "{took:?}");
}

#[test]
fn a_node_that_was_killed_leaves_a_socket_that_is_no_fault_and_is_found_again_when_it_is_back() {
    let _machine = crate::beside_others();
    let home = Home::new();
    let mut a = home.up("a", &[]);
    let mut b = home.up("b", &[]);
    a.event_of("joined", "b");
    b.kill();
    a.event_of("lost", "b");
    let localhost = |up: &Up| -> Value {
        let name = up.ready["name"].as_str().expect("a name").to_owned();
        let discovery = home.done(&["status", "--node", &name, "--json"]).object()["discovery"].clone();
        discovery.as_array().expect("a list").iter().find(|way| way["method"] == "localhost").expect("it looks").clone()
    };
    assert!(eventually(|| localhost(&a)["found"][0]["last_error"].is_string()), "{}", localhost(&a));
    assert_eq!(home.done(&["status", "--node", "a", "--json"]).object()["nominal"], true);
    let _b = home.up("b", &[]);
    a.event_of("joined", "b");
    assert!(eventually(|| localhost(&a)["found"][0]["last_error"].is_null()), "{}", localhost(&a));
}
