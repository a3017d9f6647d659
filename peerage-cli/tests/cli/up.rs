//! `up`: from nothing to a node, what it says, and how it ends.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;

use crate::home::Home;
use crate::node::{Up, keys};
use crate::program::{ended, eventually, signal};

#[test]
fn the_first_node_needs_no_configuration_and_nothing_leaves_the_machine() {
    let home = Home::new();
    let node = Up::start(home.peerage(&["up", "--jsonl"]));
    let ready = &node.ready;
    let wanted = ["addresses", "control", "epoch", "event", "id", "mono_us", "name", "network", "pid", "schema"];
    assert_eq!(keys(ready), wanted);
    assert_eq!((&ready["network"], &ready["pid"]), (&json!("local"), &json!(node.child.id())));
    let name = ready["name"].as_str().expect("a node has a name");
    let run = home.path("run/local");
    assert_eq!(ready["addresses"], json!([format!("unix://{}/{name}.link", run.display())]));
    assert_eq!(ready["control"], json!(format!("unix://{}/{name}.sock", run.display())));
    let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!(mode(&home.path("networks/local.network")), 0o600);
    assert_eq!(mode(&home.path(&format!("identity/{name}.key"))), 0o600);
    assert_eq!((mode(&run), mode(&home.socket("local", name))), (0o700, 0o600));
}

#[test]
fn without_a_name_a_node_takes_that_of_the_host_and_counts_on() {
    let home = Home::new();
    let names: Vec<String> = (0..3)
        .map(|_| Up::start(home.peerage(&["up", "--jsonl"])))
        .collect::<Vec<_>>()
        .iter()
        .map(|node| node.ready["name"].as_str().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(names[1..], [format!("{}-2", names[0]), format!("{}-3", names[0])]);
}

#[test]
fn the_name_of_a_running_node_is_refused_with_its_process() {
    let home = Home::new();
    let node = home.up("a", &[]);
    let second = home.run(&["up", "--name", "a"]);
    assert_eq!((second.code, second.stdout.as_str()), (Some(2), ""));
    assert!(second.stderr.contains(&node.child.id().to_string()), "{}", second.stderr);
}

#[test]
fn the_ready_line_names_node_addresses_and_control_socket_and_goes_to_a_descriptor_too() {
    let home = Home::new();
    let binary = env!("CARGO_BIN_EXE_peerage");
    let mut shell = std::process::Command::new("sh")
        .args(["-c", &format!("exec '{binary}' up --name a --ready-fd 3 3>&1 >/dev/null")])
        .env("PEERAGE_HOME", home.path(""))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a shell starts");
    let mut line = String::new();
    shell.stdout.take().expect("stdout is piped").read_to_string(&mut line).expect("the descriptor is closed");
    signal(&shell, Signal::TERM);
    assert_eq!(ended(&mut shell), Some(0));
    let run = home.path("run/local");
    assert!(line.starts_with("ready a "), "{line}");
    let rest = format!("  unix://{0}/a.link  control unix://{0}/a.sock\n", run.display());
    assert!(line.ends_with(&rest), "{line}");
}

#[test]
fn a_detached_node_outlives_the_command_that_started_it() {
    let home = Home::new();
    let up = home.run(&["up", "--name", "a", "--detach", "--jsonl"]);
    assert_eq!(up.code, Some(0), "{}", up.stderr);
    let ready = up.object();
    assert_eq!(ready["event"], "ready");
    assert_eq!(home.done(&["status", "--json"]).object()["id"], ready["id"]);
    // Its log goes where it can be read.
    assert!(home.path("run/local/a.log").exists());
    home.done(&["drain"]);
    assert!(eventually(|| !home.socket("local", "a").exists()));
}

#[test]
fn a_node_that_cannot_start_says_so_detached_or_not() {
    let home = Home::new();
    let _a = home.up("a", &[]);
    for options in [&["up", "--name", "a"][..], &["up", "--name", "a", "--detach"]] {
        let run = home.run(options);
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{options:?}");
        assert!(run.stderr.starts_with("error: "), "{}", run.stderr);
    }
}

#[test]
fn nodes_started_together_in_an_empty_home_agree_on_one_network_and_find_each_other() {
    let home = Home::new();
    let started: Vec<_> = (0..3)
        .map(|_| home.peerage(&["up", "--jsonl"]))
        .map(|command| std::thread::spawn(|| Up::start(command)))
        .collect();
    let mut nodes: Vec<Up> = started.into_iter().map(|start| start.join().expect("each node starts")).collect();
    for node in &mut nodes {
        let joined = [node.event("joined")["id"].clone(), node.event("joined")["id"].clone()];
        assert!(joined[0] != joined[1] && !joined.contains(&node.ready["id"]), "{joined:?}");
    }
    assert_eq!(fs::read_dir(home.path("networks")).expect("it was made").count(), 1);
    for node in &nodes {
        let name = node.ready["name"].as_str().expect("a node has a name");
        let peers = home.done(&["peers", "--node", name, "--json"]).object();
        assert_eq!(peers["peers"].as_array().map(Vec::len), Some(2), "{peers}");
    }
}

#[test]
fn the_first_signal_drains_and_leaves_nothing_behind() {
    let home = Home::new();
    let mut b = home.up("b", &[]);
    for wanted in [Signal::TERM, Signal::INT] {
        let mut a = home.up("a", &[]);
        a.event_of("joined", "b");
        a.signal(wanted);
        a.event("draining");
        a.event("stopped");
        assert_eq!(ended(&mut a.child), Some(0), "{}", a.said());
        assert!(!home.socket("local", "a").exists());
        assert_eq!(b.event_of("left", "a")["id"], a.id());
    }
}

#[test]
fn a_second_signal_ends_it_within_a_second_and_tells_what_was_abandoned() {
    let home = Home::new();
    let (mut a, b) = (home.up("a", &[]), home.up("b", &[]));
    a.event_of("joined", "b");
    // A call that has no end: its callee stands still.
    b.signal(Signal::STOP);
    let call = home.peerage(&["ping", "b", "--node", "a", "--count", "1"]).spawn().expect("the program starts");
    let in_flight = || {
        let status = home.run(&["status", "--node", "a", "--json"]).object();
        status["links"].as_array().is_some_and(|links| links.iter().any(|link| link["calls_in_flight"] == 1))
    };
    assert!(eventually(in_flight), "the call is under way");
    a.signal(Signal::TERM);
    a.event("draining");
    let began = Instant::now();
    a.signal(Signal::TERM);
    assert_eq!(ended(&mut a.child), Some(1));
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert!(eventually(|| a.said().contains("1 call was abandoned")), "{}", a.said());
    b.signal(Signal::CONT);
    crate::program::finish(call);
}

#[test]
fn a_node_stays_when_its_reader_has_gone() {
    let home = Home::new();
    let mut child = home.peerage(&["up", "--name", "a"]).spawn().expect("the program starts");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("stdout is piped")).read_line(&mut line).expect("a ready line");
    // Nobody reads any more; what happens next would be told.
    let mut b = home.up("b", &[]);
    b.event_of("joined", "a");
    drop(b);
    home.done(&["status", "--node", "a"]);
    signal(&child, Signal::TERM);
    assert_eq!(ended(&mut child), Some(0));
}

#[test]
fn an_address_in_use_is_named_with_the_remedy() {
    let home = Home::new();
    home.done(&["network", "new", "lab"]);
    let a = home.up_at_loopback("a", "lab", &[]);
    let address = a.address("tls://");
    let b = home.run(&["up", "--name", "b", "--network", "lab", "--listen", &address]);
    assert_eq!((b.code, b.stdout.as_str()), (Some(1), ""));
    assert!(b.stderr.contains("is in use: choose another port"), "{}", b.stderr);
}
