//! Commands where no node runs: they join for the time being.

use serde_json::json;

use crate::home::{Home, names_in};

/// A home with a network and a node in it, and another home that was invited.
fn invited() -> (Home, crate::node::Up, Home) {
    let (home, other) = (Home::new(), Home::new());
    home.done(&["network", "new", "lab"]);
    let node = home.up_at_loopback("a", "lab", &[]);
    home.invite(&other, "lab", &node.address("tls://"));
    (home, node, other)
}

#[test]
fn a_guest_joins_under_the_key_of_commands_looks_around_and_leaves() {
    let (home, mut node, other) = invited();
    let peers = other.done(&["peers", "--json"]).object();
    assert_eq!((&peers["self"]["name"], &peers["complete"]), (&json!("cli"), &json!(true)));
    let seen = &peers["peers"][0];
    assert_eq!((&seen["id"], &seen["path"], &seen["direction"]), (&json!(node.id()), &json!("tls"), &json!("out")));
    let joined = node.event("joined");
    assert_eq!((&joined["id"], &joined["name"]), (&peers["self"]["id"], &json!("cli")));
    node.event("left");
    assert_eq!(names_in(&other.path("run/lab")), [""; 0], "nothing is left behind");
    let gone = home.done(&["peers", "--state", "left", "--json"]).object();
    assert_eq!(gone["peers"][0]["ephemeral"], json!(true));
    // The key is kept: it is the same guest the next time.
    assert_eq!(other.done(&["peers", "--json"]).object()["self"], peers["self"]);
}

#[test]
fn a_guest_pings_and_the_exit_code_tells_what_became_of_it() {
    let (_home, mut node, other) = invited();
    let ping = other.done(&["ping", "a", "--count", "2", "--interval", "1ms", "--json"]).object();
    assert_eq!((&ping["received"], &ping["path"]), (&json!(2), &json!("tls")));
    assert_eq!(other.run(&["ping", "nobody", "--count", "1"]).code, Some(3));
    node.kill();
    let gone = other.run(&["ping", "a", "--count", "1", "--timeout", "300ms"]);
    assert_eq!((gone.code, gone.stdout.as_str()), (Some(4), ""), "{gone:?}");
}

#[test]
fn two_guests_at_once_are_two_nodes() {
    let (_home, _node, other) = invited();
    let watch = other.peerage(&["peers", "--watch", "--jsonl"]).spawn().expect("the program starts");
    let mut watch = crate::node::Killed(watch);
    let mut line = String::new();
    let mut stdout = std::io::BufReader::new(watch.0.stdout.take().expect("stdout is piped"));
    std::io::BufRead::read_line(&mut stdout, &mut line).expect("the first record");
    let first: serde_json::Value = serde_json::from_str(&line).expect("a record of JSON");
    let second = other.done(&["peers", "--json"]).object();
    assert_ne!(first["self"]["id"], second["self"]["id"]);
}

#[test]
fn without_a_network_there_is_nothing_to_join_and_among_several_one_must_be_named() {
    let home = Home::new();
    let none = home.run(&["peers"]);
    assert_eq!((none.code, none.stdout.as_str()), (Some(7), ""));
    assert!(none.stderr.contains("start a node with `peerage up`"), "{}", none.stderr);
    home.done(&["network", "new", "lab"]);
    home.done(&["network", "new", "den"]);
    let several = home.run(&["peers"]);
    assert_eq!((several.code, several.stdout.as_str()), (Some(2), ""));
    assert!(several.stderr.contains("--network") && several.stderr.contains("den"), "{}", several.stderr);
    let unknown = home.run(&["peers", "--network", "lap"]);
    assert_eq!(unknown.code, Some(1));
    assert!(unknown.stderr.contains("lap"), "{}", unknown.stderr);
}
