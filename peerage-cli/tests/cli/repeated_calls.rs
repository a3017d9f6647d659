//! Many calls: a record each, and exactly one that closes them.

use std::io::{BufRead, BufReader, Read};
use std::process::Command;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::program::{Server, ended, finish, peerage, run, signal};

#[test]
fn each_call_has_its_record_and_one_closes_them() {
    let server = Server::start(&["--echo"]);
    let calls = server.call("7", &["--repeat", "20", "--concurrency", "4", "--jsonl"]);
    let records = calls.records();
    let (closing, each) = records.split_last().expect("there are records");
    let mut numbers: Vec<u64> = each.iter().filter_map(|record| record["n"].as_u64()).collect();
    numbers.sort_unstable();
    assert_eq!((calls.code, numbers), (Some(0), (1..=20).collect()));
    assert!(each.iter().all(|record| record["outcome"] == "ok" && record["value"] == 7 && record["schema"] == 1));
    let times: Vec<u64> = records.iter().filter_map(|record| record["mono_us"].as_u64()).collect();
    assert!(times.len() == 21 && times.is_sorted(), "{times:?}");

    let keys: Vec<&str> = closing.as_object().expect("an object").keys().map(String::as_str).collect();
    let wanted = [
        "asked",
        "did_not_run",
        "elapsed_us",
        "end",
        "failed",
        "mono_us",
        "ok",
        "outcomes",
        "p50_us",
        "p99_us",
        "schema",
        "unknown",
    ];
    assert_eq!(keys, wanted);
    assert_eq!((&closing["end"], &closing["asked"], &closing["ok"]), (&json!(true), &json!(20), &json!(20)));
    assert_eq!(closing["outcomes"], json!({"ok": 20}));
}

#[test]
fn json_prints_the_closing_object_alone_and_text_sums_up_in_a_line() {
    let server = Server::start(&["--echo"]);
    let calls = server.call("7", &["--repeat", "3", "--json"]);
    let closing = calls.object();
    assert_eq!((&closing["end"], &closing["ok"], &closing["mono_us"]), (&json!(true), &json!(3), &Value::Null));
    let calls = server.call("7", &["--repeat", "3"]);
    assert!(calls.stdout.starts_with("3 calls: 3 ok; half within ") && calls.stdout.lines().count() == 1);
}

#[test]
fn it_goes_on_after_errors_and_ends_with_their_common_code() {
    let calls = run(&["channel", "call", "127.0.0.1:1", "x", "--repeat", "3", "--jsonl"]);
    let records = calls.records();
    assert_eq!((calls.code, records.len()), (Some(7), 4));
    let closing = &records[3];
    assert_eq!((&closing["asked"], &closing["did_not_run"], &closing["p50_us"]), (&json!(3), &json!(3), &Value::Null));

    let home = tempfile::tempdir().expect("a temporary directory can be made");
    let mark = home.path().join("mark");
    // Leaves a mark, and fails where there is one: every second time.
    let command = format!("sh -c 'rm {0} 2>/dev/null && exit 3; touch {0}'", mark.display());
    let server = Server::start(&["--command", &command]);
    let calls = server.call("1", &["--repeat", "4", "--jsonl"]);
    assert_eq!(calls.records()[4]["outcomes"], json!({"ok": 2, "remote": 2}), "{}", calls.stdout);
    assert_eq!(calls.code, Some(8), "the others share a code");
}

#[test]
fn it_connects_anew_when_the_server_was_restarted() {
    let home = tempfile::tempdir().expect("a temporary directory can be made");
    let address = format!("unix://{}/a.sock", home.path().display());
    let mut server = Server::at(&address, &["--echo"]);
    let arguments = ["channel", "call", &address, "1", "--repeat", "10000000", "--jsonl", "--retry", "10s"];
    let mut calls = peerage(&arguments).spawn().expect("the program starts");
    let mut lines = BufReader::new(calls.stdout.take().expect("stdout is piped")).lines();
    let mut next = || -> Value {
        let line = lines.next().expect("there is no end").expect("stdout can be read");
        serde_json::from_str(&line).expect("a record")
    };
    assert_eq!(next()["outcome"], "ok");
    server.child.kill().and_then(|()| server.child.wait()).expect("a server can be killed");
    let server = Server::at(&address, &["--echo"]);
    // All processes of a machine share the clock, so this tells answers of the new server from those of the old one.
    let restarted_at = server.ready["mono_us"].as_u64();
    loop {
        let record = next();
        match record["outcome"].as_str() {
            Some("ok") if record["mono_us"].as_u64() > restarted_at => break,
            // In flight when the server was killed, unless that was between two calls.
            outcome => assert!(matches!(outcome, Some("ok" | "connection-lost")), "{record}"),
        }
    }
    signal(&calls, Signal::KILL);
    ended(&mut calls);
}

#[test]
fn an_interrupt_cancels_what_is_in_flight_and_closes() {
    let server = Server::start(&["--command", "sleep 60"]);
    let arguments = ["channel", "call", server.address(), "1", "--repeat", "100", "--concurrency", "3", "--jsonl"];
    let calls = peerage(&[&arguments[..], &["--log", "peerage=debug"]].concat()).spawn().expect("the program starts");
    // The server has started the commands once they are its children.
    let children = || {
        let list = Command::new("ps").args(["-o", "pid=", "--ppid", &server.child.id().to_string()]).output();
        list.map(|list| String::from_utf8_lossy(&list.stdout).lines().count()).unwrap_or_default()
    };
    assert!(crate::program::eventually(|| children() == 3), "three commands run");
    signal(&calls, Signal::INT);
    let calls = finish(calls);
    let records = calls.records();
    assert_eq!((calls.code, records.len()), (Some(1), 4), "{}", calls.stdout);
    assert_eq!(records[3]["outcomes"], json!({"cancelled": 3}));
    let (code, _) = server.stop();
    assert_eq!(code, Some(0), "its commands were ended with it");
}

#[test]
fn a_closed_pipe_ends_it_quietly() {
    let server = Server::start(&["--echo"]);
    let arguments = ["channel", "call", server.address(), "1", "--repeat", "10000000", "--jsonl"];
    let mut calls = peerage(&arguments).spawn().expect("the program starts");
    let mut stdout = BufReader::new(calls.stdout.take().expect("stdout is piped"));
    stdout.read_line(&mut String::new()).expect("a record is printed");
    drop(stdout);
    let code = ended(&mut calls);
    let mut stderr = String::new();
    calls.stderr.take().expect("stderr is piped").read_to_string(&mut stderr).expect("stderr can be read");
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
}
