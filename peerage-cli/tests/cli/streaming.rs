//! Streams and files on the command line.

use std::fs;
use std::io::BufRead;

use serde_json::{Value, json};

use crate::beside::beside;
use crate::home::Home;
use crate::node::pair;
use crate::program::eventually;
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
