//! `up`: from nothing to a node, what it says, and how it ends.

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;

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
    let rest = format!("  control unix://{}/a.sock\n", run.display());
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
    home.run(&["drain"]);
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
fn the_first_signal_drains_and_leaves_nothing_behind() {
    let home = Home::new();
    for wanted in [Signal::TERM, Signal::INT] {
        let mut a = home.up("a", &[]);
        a.signal(wanted);
        a.event("draining");
        a.event("stopped");
        assert_eq!(ended(&mut a.child), Some(0), "{}", a.said());
        assert!(!home.socket("local", "a").exists());
    }
}
