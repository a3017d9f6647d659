//! Streams and files on the command line.

use std::fs;
use std::io::BufRead;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::beside::beside;
use crate::home::{Home, names_in};
use crate::node::{keys, pair};
use crate::program::{eventually, finish, signal};
use crate::services::Serving;

#[test]
fn a_file_is_sent_to_a_folder_under_its_name_and_nothing_there_is_overwritten() {
    let home = Home::new();
    let (a, _b) = pair(&home);
    let (inbox, file) = (home.beside("inbox"), home.beside("report.txt"));
    fs::create_dir(&inbox).expect("a folder can be made");
    let content: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    fs::write(&file, &content).expect("a file can be written");
    let (folder, file) = (inbox.display().to_string(), file.display().to_string());
    let mut sink = Serving::start(&home, &["files", "--file-sink", &folder, "--node", "b"]);
    let sent = home.done(&["send", "b", &file, "--node", "a", "--json"]).object();
    assert_eq!((&sent["outcome"], &sent["value"]["name"]), (&json!("ok"), &json!("report.txt")));
    assert_eq!((&sent["value"]["size"], &sent["value"]["resumed_from"]), (&json!(3_000_000), &json!(0)));
    assert!(fs::read(inbox.join("report.txt")).is_ok_and(|there| there == content), "it is the same there");
    let mut line = String::new();
    sink.stdout.read_line(&mut line).expect("stdout can be read");
    let received: Value = serde_json::from_str(&line).expect("a record");
    assert_eq!((&received["event"], &received["from"]), (&json!("received"), &json!(a.id())));
    assert_eq!((&received["sha256"], &received["size"]), (&sent["value"]["sha256"], &json!(3_000_000)));
    let again = home.done(&["send", "b", &file, "--node", "a"]);
    assert_eq!(again.stdout, "b has it as report-1.txt: 3000000 bytes; the checksum is right\n");
    assert_eq!(again.stderr, "", "no bar where there is no terminal");

    let nobody = home.run(&["send", "b", &file, "--tag", "other", "--node", "a", "--json"]);
    assert_eq!((nobody.code, &nobody.object()["why"]), (Some(5), &json!("no-such-service")));
    assert_eq!(home.run(&["send", "b", "/no/such/file", "--node", "a"]).code, Some(2));
    assert_eq!(home.run(&["serve", "files", "--file-sink", "/no/such/folder", "--node", "b"]).code, Some(2));
}

#[test]
fn a_file_that_was_cut_off_goes_on_behind_what_has_arrived() {
    let home = Home::new();
    let (_a, _b) = pair(&home);
    let (inbox, file) = (home.beside("inbox"), home.beside("large.bin"));
    fs::create_dir(&inbox).expect("a folder can be made");
    let size: u64 = 192 << 20;
    fs::File::create(&file).and_then(|file| file.set_len(size)).expect("a file can be made");
    let (folder, file) = (inbox.display().to_string(), file.display().to_string());
    let _sink = Serving::start(&home, &["files", "--file-sink", &folder, "--node", "b"]);
    let send = ["send", "b", &file, "--node", "a", "--json"];
    let cut_off = home.peerage(&send).spawn().expect("the program starts");
    let arrived =
        || names_in(&inbox).iter().map(|name| fs::metadata(inbox.join(name)).map_or(0, |file| file.len())).sum();
    assert!(eventually(|| arrived() >= 1_u64 << 20), "it is under way");
    signal(&cut_off, Signal::INT);
    let cut_off = finish(cut_off);
    assert_eq!((cut_off.code, &cut_off.object()["outcome"]), (Some(1), &json!("cancelled")), "{cut_off:?}");
    // What had left is still written there.
    let mut before = 0;
    assert!(eventually(|| std::mem::replace(&mut before, arrived()) == arrived()), "nothing more comes");
    assert!((1..size).contains(&arrived()), "a part is there: {}", arrived());
    let sent = home.done(&send).object();
    let resumed = sent["value"]["resumed_from"].as_u64().expect("a number");
    assert!((1..size).contains(&resumed), "{sent}");
    assert_eq!((names_in(&inbox), arrived()), (vec!["large.bin".to_owned()], size));
    assert_eq!(sent["value"]["size"], json!(size));
}

#[test]
fn streams_between_two_nodes_are_measured() {
    let home = Home::new();
    let (_a, b) = pair(&home);
    let bench = home.done(&["bench", "stream", "b", "--seconds", "1", "--inflight", "2", "--size", "16KiB", "--json"]);
    let bench = bench.object();
    let wanted = [
        "bytes_per_s",
        "failed",
        "inflight",
        "max_us",
        "ops",
        "ops_per_s",
        "p50_us",
        "p99_us",
        "path",
        "peer",
        "schema",
        "size",
        "workload",
    ];
    assert_eq!(keys(&bench), wanted);
    assert_eq!(
        (&bench["workload"], &bench["peer"], &bench["path"]),
        (&json!("stream"), &json!(b.id()), &json!("unix"))
    );
    assert_eq!((&bench["size"], &bench["inflight"], &bench["failed"]), (&json!(16384), &json!(2), &json!(0)));
    assert!(bench["ops"].as_u64().is_some_and(|ops| ops > 100), "{bench}");
    let slow = home.done(&["bench", "stream", "b", "--seconds", "1", "--rate", "50", "--json"]).object();
    assert!(slow["ops"].as_u64().is_some_and(|ops| (20..=60).contains(&ops)), "{slow}");
    let text = home.done(&["bench", "stream", "b", "--seconds", "1", "--rate", "50"]).stdout;
    assert!(text.starts_with("b over unix: ") && text.contains(" items a second of 65536 bytes"), "{text}");
    let large = home.run(&["bench", "stream", "b", "--size", "9MiB"]);
    assert!(large.code == Some(2) && large.stderr.contains("1 byte to 8MiB"), "{}", large.stderr);
}

#[test]
fn the_items_of_a_stream_are_told_as_they_come_then_its_outcome_and_the_sum() {
    let home = Home::new();
    let count = |context: peerage::service::Context, to: u64| async move {
        let mut numbers = context.outgoing::<u64>()?;
        for n in 1..=to {
            numbers.send(&n).await?;
        }
        match to {
            13 => Err(peerage::Failure::new("thirteen is too many")),
            to => Ok(to),
        }
    };
    let (_a, _b) = beside(&home, |b| _ = b.serve("count", count).expect("a name of its own"));
    let stream = |to: &str, form: &[&str]| home.run(&[&["call", "count", to, "--stream"], form].concat());
    assert!(eventually(|| stream("1", &["--peer", "b"]).code == Some(0)), "it is there");
    let text = stream("3", &[]);
    assert_eq!((text.code, text.stdout.as_str()), (Some(0), "1\n2\n3\n3\n"), "{}", text.stderr);
    let records = stream("100", &["--jsonl"]).records();
    let (items, ends) = records.split_at(100);
    let fits = |(n, record): (usize, &Value)| {
        record["n"] == n + 1 && record["item"] == n + 1 && record.get("outcome").is_none()
    };
    assert!(items.iter().enumerate().all(fits), "{items:?}");
    assert_eq!((&ends[0]["outcome"], &ends[0]["value"]), (&json!("ok"), &json!(100)));
    assert_eq!((ends.len(), &ends[1]["end"], &ends[1]["ok"]), (2, &json!(true), &json!(1)));
    let failed = stream("13", &["--json"]);
    assert_eq!((failed.code, &failed.object()["failed"]), (Some(8), &json!(1)));
}
