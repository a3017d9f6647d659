//! Events on the command line: published by one process, heard by another, every loss told.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::home::Home;
use crate::node::{keys, pair};
use crate::program::{ended, eventually, finish, signal};

/// `sub` as a process that is subscribed. Dropping it kills it.
struct Subscribed {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Subscribed {
    fn start(home: &Home, arguments: &[&str]) -> Subscribed {
        let mut child = home.peerage(&[&["sub", "--jsonl"], arguments].concat()).spawn().expect("the program starts");
        let stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let mut subscribed = Subscribed { child, stdout };
        let first = subscribed.next();
        assert_eq!(first["event"], "attached", "{first}");
        subscribed
    }

    fn next(&mut self) -> Value {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("stdout can be read");
        serde_json::from_str(&line).unwrap_or_else(|why| panic!("{why}: {line:?}"))
    }

    /// The next event; words on the stream itself are skipped.
    fn event(&mut self) -> Value {
        loop {
            let record = self.next();
            if record.get("seq").is_some() {
                return record;
            }
            assert!(record.get("gap").is_none(), "{record}");
        }
    }

    fn stop(mut self) -> (Option<i32>, Vec<Value>) {
        signal(&self.child, Signal::INT);
        let rest = (&mut self.stdout).lines().map_while(Result::ok);
        let rest = rest.map(|line| serde_json::from_str(&line).expect("a record")).collect();
        (ended(&mut self.child), rest)
    }
}

impl Drop for Subscribed {
    fn drop(&mut self) {
        // Already gone is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn an_event_reaches_its_subscriber_and_records_and_receipts_have_exactly_these_keys() {
    let home = Home::new();
    let (a, b) = pair(&home);
    let mut sub = Subscribed::start(&home, &["build/**", "--node", "a"]);
    let receipt = home.done(&["pub", "build/done", r#"{"id":7}"#, "--node", "b", "--receipt", "--json"]);
    let wanted = json!({"schema":1,"event":"build/done","published":1,"matched":1,"due":1,"delivered":1,"dropped":[],"unknown":[]});
    assert_eq!(receipt.object(), wanted);
    let event = sub.next();
    assert_eq!(keys(&event), ["epoch", "event", "from", "mono_us", "name", "schema", "seq", "value"]);
    assert_eq!((&event["event"], &event["from"], &event["name"]), (&json!("build/done"), &json!(b.id()), &json!("b")));
    assert_eq!((&event["epoch"], &event["seq"], &event["value"]), (&b.ready["epoch"], &json!(1), &json!({"id":7})));
    let receipt = home.done(&["pub", "build/done", "--node", "b", "--json"]).object();
    let wanted = json!({"schema":1,"event":"build/done","published":1,"matched":1,"queued":1,"dropped":[]});
    assert_eq!(receipt, wanted);
    assert_eq!((&sub.next()["value"], sub.child.try_wait().expect("it runs")), (&json!(null), None));
    // Programs of one user share a node, and hear each other.
    let text = home.done(&["pub", "build/own", "x", "--node", "a"]).stdout;
    assert_eq!(text, "build/own: 1 published, 1 matched, 1 queued\n");
    let own = sub.next();
    assert_eq!((&own["from"], &own["name"], &own["value"]), (&json!(a.id()), &json!("a"), &json!("x")));
    let text = home.done(&["pub", "build", "x", "--node", "a", "--receipt"]).stdout;
    assert_eq!(text, "build: 1 published, 1 matched, 1 of 1 delivered\n", "** is no segment too");
    assert_eq!(sub.next()["event"], "build");
    let nobody = home.done(&["pub", "other", "x", "--node", "b", "--receipt"]).stdout;
    assert_eq!(nobody, "other: 1 published, 0 matched, 0 of 0 delivered\n");
    assert_eq!(sub.stop(), (Some(0), vec![]));
}

#[test]
fn values_are_counted_paced_and_read_line_by_line() {
    let home = Home::new();
    let (_a, _b) = pair(&home);
    let mut sub = Subscribed::start(&home, &["n/*", "--node", "a", "--policy", "block:5s"]);
    let many = home.done(&["pub", "n/many", "7", "--node", "b", "--count", "3000", "--receipt", "--json"]).object();
    assert_eq!((&many["published"], &many["due"], &many["delivered"]), (&json!(3000), &json!(3000), &json!(3000)));
    assert!((1..=3000).all(|seq| sub.next()["seq"] == seq), "in order");
    let lines = b"1\ntwo\n{\"$bin\":\"00\"}\n\n";
    let read = home.run_with(lines, &["pub", "n/lines", "-", "--node", "b", "--receipt", "--json"]);
    assert_eq!((read.code, &read.object()["delivered"]), (Some(0), &json!(4)), "{read:?}");
    let values: Vec<Value> = (0..4).map(|_| sub.next()["value"].take()).collect();
    assert_eq!(values, [json!(1), json!("two"), json!({"$bin":"00"}), json!("")]);
    let began = std::time::Instant::now();
    home.done(&["pub", "n/slow", "--node", "b", "--count", "6", "--rate", "20", "--priority", "control"]);
    assert!(began.elapsed() >= std::time::Duration::from_millis(240), "{:?}", began.elapsed());
    assert_eq!(sub.stop().1.len(), 6);
}

#[test]
fn a_subscriber_that_stands_still_finds_an_exact_gap_and_the_receipt_tells() {
    let home = Home::new();
    let (_a, _b) = pair(&home);
    let mut sub = Subscribed::start(&home, &["tick", "--node", "a", "--policy", "ring:10"]);
    let mut other = Subscribed::start(&home, &["tick", "--node", "a", "--policy", "block:5s"]);
    signal(&sub.child, Signal::STOP);
    let large = "x".repeat(10_000);
    let publish = ["pub", "tick", &large, "--node", "b", "--count", "2000", "--json"];
    let publish = home.peerage(&publish).spawn().expect("the program starts");
    for seq in 1..=2000 {
        let record = other.next();
        assert_eq!(record["seq"], seq, "nobody else waits for it: {}", &record.to_string()[..200]);
    }
    let receipt = finish(publish).object();
    assert_eq!((&receipt["published"], &receipt["matched"]), (&json!(2000), &json!(2)), "{receipt}");
    let dropped: u64 = receipt["dropped"][0]["count"].as_u64().expect("some were dropped");
    assert_eq!(receipt["queued"].as_u64().map(|queued| queued + dropped), Some(4000), "{receipt}");
    assert_eq!(receipt["dropped"][0]["why"], "queue-full");
    signal(&sub.child, Signal::CONT);
    let (mut next, mut missing) = (1, 0);
    while next <= 2000 {
        let record = sub.next();
        if let Some(gap) = record.get("gap") {
            assert_eq!((&gap["first"], &gap["why"]), (&json!(next), &json!("queue-full")), "{gap}");
            assert_eq!(keys(gap), ["epoch", "event", "first", "from", "last", "why"]);
            let last = gap["last"].as_u64().expect("it is known");
            missing += last - next + 1;
            next = last + 1;
        } else {
            assert_eq!(record["seq"], next);
            next += 1;
        }
    }
    assert_eq!(missing, dropped, "the receipt has said so");
}

#[test]
fn what_is_kept_comes_first_and_a_count_ends_it() {
    let home = Home::new();
    let (_a, _b) = pair(&home);
    home.done(&["pub", "state", "old", "--node", "b", "--keep", "3", "--count", "5"]);
    let sub = home.done(&["sub", "state", "--node", "a", "--history", "2", "--count", "2", "--jsonl"]).records();
    assert_eq!((&sub[0]["event"], &sub[0]["matching"]), (&json!("attached"), &json!(1)));
    let seqs: Vec<&Value> = sub[1..].iter().map(|record| &record["seq"]).collect();
    assert_eq!(seqs, [4, 5]);
    let text = home.done(&["sub", "state", "--node", "a", "--history", "1", "--count", "1"]);
    assert_eq!((text.stdout.as_str(), text.stderr.as_str()), ("state\tb\t\"old\"\n", "subscribed; 1 names match\n"));
    // Only of whom is meant.
    for (narrowed, matching) in
        [(&["--peer", "b"][..], 1), (&["--peer", "a"], 0), (&["--hubs"], 0), (&["--on-host"], 1)]
    {
        let arguments = [&["sub", "state", "--node", "a", "--jsonl"], narrowed].concat();
        let mut sub = crate::node::Killed(home.peerage(&arguments).spawn().expect("the program starts"));
        let mut line = String::new();
        BufReader::new(sub.0.stdout.take().expect("stdout is piped")).read_line(&mut line).expect("stdout can be read");
        let attached: Value = serde_json::from_str(&line).expect("a record");
        assert_eq!(attached["matching"], matching, "{narrowed:?}");
    }
}

#[test]
fn a_command_runs_for_each_event_in_order_and_its_failures_end_nothing() {
    let home = Home::new();
    let (_a, _b) = pair(&home);
    let log = home.beside("log");
    let script = format!("read -r r; echo \"$r\" >> {}; case $r in *bad*) exit 3;; esac; echo done", log.display());
    let command = format!("sh -c '{script}'");
    let arguments = ["sub", "job", "--node", "a", "--count", "3", "--command", &command];
    let sub = home.peerage(&arguments).spawn().expect("the program starts");
    let publish = ["pub", "job", "-", "--node", "b", "--wait-matching", "1"];
    home.run_with(b"first\nbad\nlast\n", &publish);
    let sub = finish(sub);
    assert_eq!((sub.code, sub.stdout.as_str()), (Some(0), "done\ndone\n"), "{sub:?}");
    assert!(sub.stderr.contains("error: job 2: [exit-3] "), "{}", sub.stderr);
    let told: Vec<Value> = fs::read_to_string(&log)
        .expect("a file")
        .lines()
        .map(|line| serde_json::from_str(line).expect("each is a record"))
        .collect();
    let values: Vec<&Value> = told.iter().map(|record| &record["value"]).collect();
    assert_eq!(values, ["first", "bad", "last"]);
    assert_eq!(keys(&told[0]), ["epoch", "event", "from", "name", "seq", "value"]);
}

#[test]
fn of_a_shared_subscription_each_event_goes_to_one() {
    let home = Home::new();
    let (_a, _b) = pair(&home);
    let one = Subscribed::start(&home, &["job", "--node", "a", "--shared", "workers"]);
    let other = Subscribed::start(&home, &["job", "--node", "b", "--shared", "workers"]);
    let receipt = home.done(&["pub", "job", "x", "--node", "b", "--count", "100", "--receipt", "--json"]).object();
    assert_eq!((&receipt["due"], &receipt["delivered"]), (&json!(100), &json!(100)), "{receipt}");
    let seqs = |records: Vec<Value>| records.iter().filter_map(|record| record["seq"].as_u64()).collect::<Vec<_>>();
    let (one, other) = (seqs(one.stop().1), seqs(other.stop().1));
    let mut all = [one.clone(), other.clone()].concat();
    all.sort_unstable();
    assert_eq!(all, (1..=100).collect::<Vec<_>>(), "{one:?} and {other:?}");
}

#[test]
fn after_the_end_of_a_publisher_the_unknown_rest_is_named_and_its_new_run_begins_at_one() {
    let home = Home::new();
    let (mut a, mut b) = pair(&home);
    let mut sub = Subscribed::start(&home, &["tick", "--node", "a"]);
    home.done(&["pub", "tick", "1", "--node", "b", "--count", "3"]);
    assert!((1..=3).all(|seq| sub.next()["seq"] == seq));
    b.kill();
    let lost = sub.next();
    assert_eq!((&lost["event"], &lost["from"]), (&json!("source-lost"), &json!(b.id())), "{lost}");
    a.event_of("lost", "b");
    let again = home.up("b", &[]);
    a.event_of("joined", "b");
    home.done(&["pub", "tick", "2", "--node", "b", "--wait-matching", "1"]);
    let mut records = Vec::new();
    while records.last().is_none_or(|record: &Value| record.get("seq").is_none()) {
        records.push(sub.next());
    }
    let gap = &records.iter().find(|record| record.get("gap").is_some()).expect("the rest is not known")["gap"];
    assert_eq!((&gap["first"], &gap["last"], &gap["why"]), (&json!(4), &json!(null), &json!("source-restarted")));
    assert_eq!(gap["epoch"], b.ready["epoch"]);
    let event = records.last().expect("an event");
    assert_eq!((&event["seq"], &event["epoch"], &event["value"]), (&json!(1), &again.ready["epoch"], &json!(2)));
}

#[test]
fn guests_publish_and_subscribe_where_no_node_runs() {
    let (home, other) = (Home::new(), Home::new());
    home.done(&["network", "new", "lab"]);
    let mut a = home.up_at_loopback("a", "lab", &[]);
    home.invite(&other, "lab", &a.address("tls://"));
    let mut sub = Subscribed::start(&home, &["x"]);
    let told = other.done(&["pub", "x", "from afar", "--wait-matching", "1", "--receipt", "--json"]).object();
    assert_eq!((&told["matched"], &told["delivered"]), (&json!(1), &json!(1)));
    let event = sub.event();
    assert_eq!((&event["value"], &event["name"]), (&json!("from afar"), &json!("cli")));
    let mut far = Subscribed::start(&other, &["y"]);
    a.event_of("joined", "cli");
    home.done(&["pub", "y", "1", "--wait-matching", "1"]);
    assert_eq!((&far.event()["value"], far.stop().0), (&json!(1), Some(0)));
}

#[test]
fn what_cannot_be_published_or_heard_is_said_before_anything_is_done() {
    let home = Home::new();
    for (arguments, why) in [
        (&["pub", "a b", "1"][..], "1 to 255 of the characters"),
        (&["pub", "x", "-", "--count", "2"], "stdin says how many there are"),
        (&["pub", "x", r#"{"$bin":"0"}"#], "VALUE: "),
        (&["pub", "x", "--count", "0"], "--count"),
        (&["sub", "x", "--policy", "ring:0"], "ring:N holds 1 to"),
        (&["sub", "x", "--policy", "block:1h"], "block:D waits for"),
        (&["sub", "x", "--policy", "newest"], "a policy is ring:N, latest"),
        (&["sub", "x", "--command", "no-such-program-xyz"], "there is no program"),
    ] {
        let run = home.run(arguments);
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{arguments:?}: {}", run.stderr);
        assert!(run.stderr.contains(why), "{arguments:?}: {}", run.stderr);
    }
    let _a = home.up("a", &[]);
    let pattern = home.run(&["sub", "a b"]);
    assert_eq!(pattern.code, Some(5), "{pattern:?}");
    assert!(pattern.stderr.contains("is no name or pattern of events"), "{}", pattern.stderr);
    let nobody = home.run(&["pub", "x", "1", "--wait-matching", "1", "--timeout", "300ms"]);
    assert_eq!((nobody.code, nobody.stdout.as_str()), (Some(4), ""), "{nobody:?}");
    let bad = home.run_with(b"1\n{\"$f64\":\"x\"}\n", &["pub", "x", "-", "--json"]);
    assert_eq!(bad.code, Some(2), "{bad:?}");
    assert!(bad.stderr.contains("stdin: "), "{}", bad.stderr);
}

#[test]
fn events_between_two_nodes_are_measured() {
    let home = Home::new();
    let (_a, b) = pair(&home);
    let bench = home.done(&["bench", "pub", "b", "--seconds", "1", "--size", "1KiB", "--json"]).object();
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
    assert_eq!((&bench["workload"], &bench["peer"], &bench["path"]), (&json!("pub"), &json!(b.id()), &json!("unix")));
    assert_eq!((&bench["size"], &bench["failed"]), (&json!(1024), &json!(0)));
    assert!(bench["ops"].as_u64().is_some_and(|ops| ops > 1_000), "{bench}");
    let slow = home.done(&["bench", "pub", "b", "--seconds", "1", "--rate", "50", "--json"]).object();
    assert!(slow["ops"].as_u64().is_some_and(|ops| (20..=60).contains(&ops)), "{slow}");
}

#[test]
fn a_subscriber_ends_well_with_its_node_and_knows_when_it_is_gone() {
    let home = Home::new();
    let (a, mut b) = pair(&home);
    let mut orderly = Subscribed::start(&home, &["x", "--node", "b"]);
    home.done(&["drain", "--node", "b"]);
    assert_eq!(ended(&mut b.child), Some(0));
    let mut last = orderly.next();
    while last["event"] != "stopped" {
        last = orderly.next();
    }
    assert_eq!(ended(&mut orderly.child), Some(0));
    let mut cut = Subscribed::start(&home, &["x", "--node", "a"]);
    let mut a = a;
    a.kill();
    assert!(eventually(|| cut.child.try_wait().expect("a child").is_some()));
    assert_eq!(ended(&mut cut.child), Some(9));
}
