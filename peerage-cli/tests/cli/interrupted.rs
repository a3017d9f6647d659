//! Commands that are broken off, by whoever typed them or by the end of their node.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use rustix::process::Signal;
use serde_json::json;

use crate::home::Home;
use crate::node::{Killed, pair};
use crate::program::{ended, eventually, finish, signal};
use crate::services::{Serving, is_alive};

#[test]
fn ctrl_c_gives_up_a_call_in_flight_and_the_work_on_it_ends() {
    let home = Home::new();
    let (_a, _b) = pair(&home);
    let pid = home.beside("pid");
    let command = format!("sh -c 'echo $$ > {0}.new; mv {0}.new {0}; sleep 60; sleep 60'", pid.display());
    let _serving = Serving::start(&home, &["slow", "--command", &command, "--node", "b"]);
    for (options, keeps) in [(&["--json"][..], "one object"), (&["--jsonl"], "a closing record")] {
        let arguments = [&["call", "slow", "--node", "a"], options].concat();
        let call = home.peerage(&arguments).spawn().expect("the program starts");
        assert!(eventually(|| pid.exists()), "the call is at work");
        let worker = fs::read_to_string(&pid).expect("a file");
        fs::remove_file(&pid).expect("a file");
        signal(&call, Signal::INT);
        let call = finish(call);
        let records = call.records();
        assert_eq!((call.code, call.stderr.as_str()), (Some(1), ""), "{keeps}");
        assert_eq!((&records[0]["outcome"], &records[0]["stop"]), (&json!("cancelled"), &json!("unconfirmed")));
        if let Some(end) = records.get(1) {
            assert_eq!((&end["end"], &end["outcomes"]), (&json!(true), &json!({"cancelled": 1})));
        }
        assert!(eventually(|| !is_alive(worker.trim())), "nobody works for a caller that has gone");
    }
}

#[test]
fn ctrl_c_ends_a_serving_process_in_order_and_a_second_one_at_once() {
    let home = Home::new();
    let (_a, _b) = pair(&home);
    let (started, go) = (home.beside("started"), home.beside("go"));
    let wait = format!("until [ -e {} ]; do sleep 0.01; done; echo 7", go.display());
    let command = format!("sh -c 'echo $$ > {}; {wait}'", started.display());
    let mut serving = Serving::start(&home, &["last", "--command", &command, "--node", "b"]);
    let last = home.peerage(&["call", "last", "--node", "a", "--json"]).spawn().expect("the program starts");
    assert!(eventually(|| started.exists()), "the call is at work");
    signal(&serving.child, Signal::INT);
    let is_withdrawn = || home.run(&["call", "last", "--node", "a", "--deadline", "500ms"]).code == Some(3);
    assert!(eventually(is_withdrawn), "nothing new is taken");
    fs::write(&go, "").expect("a file can be written");
    let last = finish(last);
    assert_eq!((last.code, &last.object()["value"]), (Some(0), &json!(7)), "{last:?}");
    assert_eq!(ended(&mut serving.child), Some(0));

    fs::remove_file(&go).and_then(|()| fs::remove_file(&started)).expect("files");
    let mut serving = Serving::start(&home, &["last", "--command", &command, "--node", "b"]);
    let last = home.peerage(&["call", "last", "--node", "a", "--json"]).spawn().expect("the program starts");
    assert!(eventually(|| started.exists()), "the call is at work");
    signal(&serving.child, Signal::INT);
    assert!(eventually(is_withdrawn), "nothing new is taken");
    signal(&serving.child, Signal::INT);
    assert_eq!(ended(&mut serving.child), Some(1));
    let at_work = fs::read_to_string(&started).expect("the command has said who it is");
    let process = Path::new("/proc").join(at_work.trim());
    assert!(eventually(|| !process.exists()), "what it had started goes with it");
    let last = finish(last);
    assert!(matches!(last.code, Some(8 | 9)), "the work was stopped, or nobody could say so any more: {last:?}");
}

#[test]
fn whoever_depends_on_a_node_that_is_killed_is_told_what_happened_and_what_to_do() {
    let home = Home::new();
    let (mut a, _b) = pair(&home);
    let mut serving = Serving::start(&home, &["echo", "--echo", "--node", "a"]);
    let watch = |what: &str| {
        let watch = home.peerage(&[what, "--watch", "--jsonl", "--node", "a"]).spawn();
        let mut watch = Killed(watch.expect("the program starts"));
        let mut stdout = BufReader::new(watch.0.stdout.take().expect("stdout is piped"));
        stdout.read_line(&mut String::new()).expect("stdout can be read");
        (watch, stdout)
    };
    let [mut status, mut peers] = [watch("status"), watch("peers")];
    a.kill();
    for child in [&mut status.0.0, &mut peers.0.0, &mut serving.child] {
        let code = ended(child);
        let mut said = String::new();
        child.stderr.take().expect("stderr is piped").read_to_string(&mut said).expect("stderr can be read");
        let why = "error: the node has gone: it was stopped, or its process has ended; start it again with `peerage up`, \
                   then repeat the command\n";
        assert_eq!((code, said.as_str()), (Some(9), why));
    }
}
