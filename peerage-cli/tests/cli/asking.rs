//! Asking a running node: which one acts, whom it knows, how it is.

use crate::home::Home;
use rustix::process::Signal;

#[test]
fn without_a_running_node_nothing_was_done_and_the_remedy_is_named() {
    let home = Home::new();
    for command in ["status", "drain", "log"] {
        let run = home.run(&[command]);
        assert_eq!((run.code, run.stdout.as_str()), (Some(7), ""), "{command}");
        assert!(run.stderr.contains("no node of yours runs: start one with `peerage up`"), "{}", run.stderr);
    }
}

#[test]
fn the_only_node_acts_and_among_several_one_must_be_named() {
    let home = Home::new();
    let mut a = home.up("a", &[]);
    assert_eq!(home.done(&["status", "--json"]).object()["name"], "a");
    let b = home.up("b", &[]);
    for command in [&["status"][..], &["peers"], &["drain"], &["log"], &["ping", "b"]] {
        let run = home.run(command);
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{command:?}");
        let list = "say which one with --node:\n  a (network local)\n  b (network local)\n";
        assert!(run.stderr.ends_with(list), "{}", run.stderr);
    }
    assert_eq!(home.done(&["status", "--node", "b", "--json"]).object()["name"], "b");
    assert_eq!(home.done(&["status", "--node", &b.id(), "--json"]).object()["name"], "b");
    let other = home.run(&["status", "--node", "c"]);
    assert_eq!(other.code, Some(7));
    assert!(other.stderr.contains("no node c of yours runs; there is a (network local), b"), "{}", other.stderr);
    // A socket that outlived its node does not count.
    a.kill();
    assert!(home.socket("local", "a").exists());
    assert_eq!(home.done(&["status", "--json"]).object()["name"], "b");
}

#[test]
fn a_name_in_two_networks_needs_the_network_too() {
    let home = Home::new();
    home.done(&["network", "new", "lab"]);
    let _local = home.up("a", &["--network", "local"]);
    let _lab = home.up("b", &["--network", "lab", "--listen", "tls://127.0.0.1:0"]);
    assert_eq!(home.done(&["status", "--network", "lab", "--json"]).object()["name"], "b");
    let none = home.run(&["status", "--node", "a", "--network", "lab"]);
    assert_eq!(none.code, Some(7), "{}", none.stderr);
}

#[test]
fn metrics_are_open_metrics_text() {
    let home = Home::new();
    let _a = home.up("a", &[]);
    let text = home.done(&["status", "--metrics"]).stdout;
    assert!(text.contains("# TYPE peerage_") && text.ends_with("# EOF\n"), "{text}");
    let json = home.done(&["status", "--metrics", "--json"]).object();
    assert!(json["openmetrics"].as_str().is_some_and(|text| text.ends_with("# EOF\n")), "{json}");
}

#[test]
fn the_time_of_a_whole_command_is_bounded() {
    let home = Home::new();
    let a = home.up("a", &[]);
    a.signal(Signal::STOP);
    let status = home.run(&["status", "--timeout", "200ms"]);
    a.signal(Signal::CONT);
    assert_eq!((status.code, status.stdout.as_str()), (Some(6), ""), "{status:?}");
    assert!(status.stderr.contains("a longer --timeout allows more"), "{}", status.stderr);
    assert_eq!(home.run(&["status", "--timeout", "5"]).code, Some(2));
    home.done(&["status", "--timeout", "10s"]);
}
