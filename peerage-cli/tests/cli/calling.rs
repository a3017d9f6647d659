//! Calls that are more than a question and an answer: told to nobody in particular, asked again, with a file.

use std::fs;

use bytes::Bytes;
use peerage::service::Context;
use peerage::{Address, Channel, Failure};
use serde_json::{Value, json};

use crate::beside::beside;
use crate::home::Home;
use crate::node::{keys, pair};
use crate::program::{eventually, finish};
use crate::services::Serving;

#[test]
fn a_notification_is_accepted_and_nobody_waits_for_its_handler() {
    let home = Home::new();
    let (_a, b) = pair(&home);
    let (started, go, done) = (home.beside("started"), home.beside("go"), home.beside("done"));
    let script = format!(
        "touch {}; until [ -e {} ]; do sleep 0.01; done; touch {}",
        started.display(),
        go.display(),
        done.display()
    );
    let _serving = Serving::start(&home, &["note", "--command", &format!("sh -c '{script}'"), "--node", "b"]);
    let told = home.done(&["call", "note", "x", "--notify", "--node", "a"]);
    assert_eq!((told.stdout.as_str(), told.stderr.as_str()), ("", ""));
    assert!(eventually(|| started.exists()) && !done.exists(), "it runs, and nobody has waited for it");
    fs::write(&go, "").expect("a file can be written");
    assert!(eventually(|| done.exists()), "its work is not given up when the command has ended");
    let record = home.done(&["call", "note", "--notify", "--node", "a", "--peer", "b", "--json"]).object();
    assert_eq!(keys(&record), ["attempts", "class", "elapsed_us", "outcome", "peer", "schema", "value"]);
    assert_eq!((&record["outcome"], &record["value"], &record["peer"]), (&json!("ok"), &json!(null), &json!(b.id())));
    let nobody = home.run(&["call", "nothing", "--notify", "--node", "a", "--json"]);
    assert_eq!((nobody.code, &nobody.object()["outcome"]), (Some(3), &json!("absent")));
    let several = home.done(&["call", "note", "--notify", "--node", "a", "--repeat", "5", "--json"]).object();
    assert_eq!(several["outcomes"], json!({"ok": 5}));
}

/// Makes a node drop all its links and dial anew.
fn redial(home: &Home, name: &str) {
    let socket = Address::unix(home.socket("local", name)).expect("a path");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("there is a runtime");
    runtime.block_on(async {
        let channel = Channel::connect(&socket).await.expect("the control socket takes us");
        channel.request::<Value>(&json!(["peerage/local/redial", [], {}])).await.expect("it dials anew");
    });
}

#[test]
fn an_idempotent_call_across_a_cut_link_runs_once_and_is_answered_and_another_is_lost() {
    let home = Home::new();
    let (_a, _b) = pair(&home);
    for (options, code) in [(&["--idempotent"][..], 0), (&["--idempotent", "--peer", "b"], 0), (&[], 9)] {
        let (runs, go) = (home.beside("runs"), home.beside("go"));
        let script =
            format!("echo run >> {}; until [ -e {} ]; do sleep 0.01; done; echo 7", runs.display(), go.display());
        let _serving = Serving::start(&home, &["once", "--command", &format!("sh -c '{script}'"), "--node", "b"]);
        let arguments = [&["call", "once", "--node", "a", "--json"], options].concat();
        let call = home.peerage(&arguments).spawn().expect("the program starts");
        assert!(eventually(|| runs.exists()), "it is at work");
        redial(&home, "a");
        let is_linked = || home.run(&["ping", "b", "--node", "a", "--count", "1"]).code == Some(0);
        assert!(eventually(is_linked), "there is a link again");
        fs::write(&go, "").expect("a file can be written");
        let call = finish(call);
        assert_eq!(call.code, Some(code), "{options:?}: {call:?}");
        if code == 0 {
            assert_eq!((&call.object()["outcome"], &call.object()["value"]), (&json!("ok"), &json!(7)));
        }
        assert_eq!(fs::read_to_string(&runs).expect("a file"), "run\n", "{options:?}");
        fs::remove_file(&runs).and_then(|()| fs::remove_file(&go)).expect("files");
    }
}

/// Takes all bytes that come along, tells how many have come so far, and answers with their sum.
async fn weigh(context: Context, factor: u64) -> Result<u64, Failure> {
    let (mut pieces, mut totals) = (context.incoming::<Bytes>()?, context.outgoing::<u64>()?);
    let (mut bytes, mut sum) = (0, 0);
    while let Some(piece) = pieces.next_bytes().await {
        let piece = piece?;
        bytes += piece.len() as u64;
        sum += piece.iter().copied().map(u64::from).sum::<u64>();
        totals.send(&bytes).await?;
    }
    Ok(sum * factor)
}

#[test]
fn a_file_goes_along_with_a_call_as_a_stream_of_bytes() {
    let home = Home::new();
    let refuse = || async { Err::<(), _>(Failure::new("not now").code("closed")) };
    let (_a, b) = beside(&home, |b| {
        b.serve("weigh", weigh).expect("a name of its own");
        b.serve("refuse", refuse).expect("a name of its own");
    });
    let content: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    let sum: u64 = content.iter().copied().map(u64::from).sum();
    let (file, empty) = (home.beside("large.bin"), home.beside("empty"));
    fs::write(&file, &content).and_then(|()| fs::write(&empty, "")).expect("files can be written");
    let (file, empty) = (file.display().to_string(), empty.display().to_string());
    let call = |arguments: &[&str]| home.run(&[&["call"], arguments].concat());
    assert!(eventually(|| call(&["weigh", "1", "--file", &empty]).code == Some(0)), "it is there");
    let weighed = call(&["weigh", "2", "--file", &file, "--json"]);
    let record = weighed.object();
    assert_eq!((weighed.code, &record["value"]), (Some(0), &json!(2 * sum)), "{record}");
    assert_eq!((&record["peer"], &record["attempts"]), (&json!(b.node.id().to_string()), &json!(1)));
    let records = call(&["weigh", "1", "--peer", "b", "--file", &file, "--stream", "--jsonl"]).records();
    let items: Vec<u64> = records.iter().filter_map(|record| record["item"].as_u64()).collect();
    assert!(items.is_sorted() && items.last() == Some(&3_000_000), "{items:?}");
    assert_eq!((&records[items.len()]["value"], &records[items.len() + 1]["ok"]), (&json!(sum), &json!(1)));
    // Whoever answers before all has come has answered.
    let refused = call(&["refuse", "--file", &file, "--json"]);
    assert_eq!((refused.code, &refused.object()["code"]), (Some(8), &json!("closed")));
    let missing = call(&["weigh", "1", "--file", "/no/such/file"]);
    assert_eq!((missing.code, missing.stdout.as_str()), (Some(2), ""));
    assert!(missing.stderr.starts_with("error: /no/such/file: "), "{}", missing.stderr);
    let folder = call(&["weigh", "1", "--file", "/"]);
    assert_eq!((folder.code, folder.stderr.as_str()), (Some(2), "error: / is no ordinary file\n"));
}

#[test]
fn ways_of_calling_that_exclude_each_other_are_refused_by_command_and_node() {
    let home = Home::new();
    for options in [
        &["--notify", "--all"][..],
        &["--notify", "--stream"],
        &["--notify", "--idempotent"],
        &["--idempotent", "--all"],
        &["--idempotent", "--stream"],
        &["--file", "/dev/null", "--all"],
        &["--file", "/dev/null", "--repeat", "2"],
        &["--file", "/dev/null", "--notify"],
    ] {
        let run = home.run(&[&["call", "x"], options].concat());
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{options:?}");
        assert!(run.stderr.contains("cannot be used with"), "{}", run.stderr);
    }
    let _a = home.up("a", &[]);
    let socket = Address::unix(home.socket("local", "a")).expect("a path");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("there is a runtime");
    runtime.block_on(async {
        let channel = Channel::connect(&socket).await.expect("the control socket takes us");
        for (wanted, why) in [
            (json!({"all": 1, "notify": true}), "all are asked for one answer each"),
            (json!({"notify": true, "stream": 1}), "a notification has neither answer nor streams"),
            (json!({"idempotent": true, "file": "/x"}), "a conversation cannot be asked again"),
            (json!({"file": "x"}), "file is an absolute path"),
        ] {
            let refused = channel.request::<Value>(&json!(["peerage/local/call", ["x", [], {}], wanted])).await;
            let why_refused = refused.expect_err("it cannot be had").to_string();
            assert!(why_refused.contains("[bad-request]") && why_refused.contains(why), "{wanted}: {why_refused}");
        }
        let wanted = json!({"file": "/no/such/file", "include_self": true});
        let refused = channel.request::<Value>(&json!(["peerage/local/call", ["peerage/null", [], {}], wanted])).await;
        let why = refused.expect_err("there is no such file").to_string();
        assert!(why.contains("[bad-request] the file /no/such/file cannot be read"), "{why}");
    });
}
