//! Services on the command line: offered by one process, called by another, with the records and exit codes of the
//! contract.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::home::Home;
use crate::node::{Up, keys, pair};
use crate::program::{Run, ended, eventually, finish, signal};

/// `serve` as a process. Dropping it kills it.
pub(crate) struct Serving {
    pub(crate) child: Child,
    ready: Value,
    pub(crate) stdout: BufReader<ChildStdout>,
}

impl Serving {
    pub(crate) fn start(home: &Home, arguments: &[&str]) -> Serving {
        let mut child = home.peerage(&[&["serve", "--jsonl"], arguments].concat()).spawn().expect("the program starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("stdout can be read");
        let Ok(ready) = serde_json::from_str(&line) else {
            panic!("no ready line: {line:?} {:?}", finish(child));
        };
        Serving { child, ready, stdout }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // Already gone is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Two nodes, and a service of b.
fn served(arguments: &[&str]) -> (Home, Up, Up, Serving) {
    let home = Home::new();
    let (a, b) = pair(&home);
    let serving = Serving::start(&home, &[arguments, &["--node", "b"]].concat());
    (home, a, b, serving)
}

/// A asks b.
fn call(home: &Home, arguments: &[&str]) -> Run {
    home.run(&[&["call"], arguments, &["--node", "a", "--peer", "b", "--json"]].concat())
}

/// The same record without what differs from run to run.
fn steady(mut record: Value) -> Value {
    let fields = record.as_object_mut().expect("a record is an object");
    let elapsed = fields.remove("elapsed_us").expect("every record has its time");
    assert!(elapsed.is_u64(), "{elapsed}");
    record
}

#[test]
fn a_value_comes_back_and_its_record_has_exactly_these_keys() {
    let (home, _a, b, serving) = served(&["echo", "--echo"]);
    assert_eq!(keys(&serving.ready), ["event", "id", "mono_us", "name", "network", "pid", "schema", "tag"]);
    assert_eq!((&serving.ready["tag"], &serving.ready["id"]), (&json!("echo"), &json!(b.id())));
    let answer = call(&home, &["echo", "5"]);
    let wanted = json!({"schema":1,"outcome":"ok","class":"ok","value":5,"peer":b.id(),"attempts":1});
    assert_eq!((answer.code, steady(answer.object())), (Some(0), wanted));
    let text = home.done(&["call", "echo", r#"{"b":[1,2.0],"a":null}"#, "--node", "a", "--peer", &b.id()]);
    assert_eq!((text.stdout.as_str(), text.stderr.as_str()), ("{\"b\":[1,2.0],\"a\":null}\n", ""));
    let both = call(&home, &["echo", "1", "two", "--kwargs", r#"{"three":3}"#]).object();
    assert_eq!(both["value"], json!([[1, "two"], {"three": 3}]));
    for exact in [r#"{"$bin":"00ff"}"#, r#"{"$f64":"NaN"}"#, r#"{"$map":[[1,"one"],[null,2]]}"#, r#"{"$$flag":"x"}"#] {
        let same = home.done(&["call", "echo", exact, "--node", "a", "--peer", "b"]);
        assert_eq!(same.stdout.trim_end(), exact);
    }
}

#[test]
fn a_command_is_told_who_asks_what_and_for_how_long() {
    let (home, a, _b, _serving) = served(&["show", "--command", "cat"]);
    let told =
        call(&home, &["show", "1", r#"{"$bin":"00"}"#, "--kwargs", r#"{"k":"v"}"#, "--deadline", "10s"]).object();
    let told = &told["value"];
    assert_eq!(keys(told), ["args", "deadline_ms", "kwargs", "peer", "tag"]);
    assert_eq!((&told["tag"], &told["args"]), (&json!("show"), &json!([1, {"$bin":"00"}])));
    assert_eq!((&told["kwargs"], &told["peer"]), (&json!({"k":"v"}), &json!(a.id())));
    let left = told["deadline_ms"].as_u64().expect("the time that is left");
    assert!((5_000..=10_000).contains(&left), "{left}");
}

#[test]
fn a_command_that_fails_is_a_remote_error_with_its_code_and_data() {
    let (home, _a, b, _serving) = served(&["no", "--command", "sh -c 'echo no such record >&2; exit 3'"]);
    let failed = call(&home, &["no"]);
    let wanted = json!({"schema":1,"outcome":"remote","class":"failed","may_have_run":true,"code":"exit-3",
        "message":"no such record","data":{"exit":3},"peer":b.id(),"attempts":1});
    assert_eq!((failed.code, steady(failed.object())), (Some(8), wanted));
    let text = home.run(&["call", "no", "--node", "a", "--peer", "b"]);
    assert_eq!((text.code, text.stdout.as_str()), (Some(8), ""));
    assert_eq!(text.stderr, "error: remote: [exit-3] no such record\n");
}

#[test]
fn a_flag_is_in_the_result() {
    let (home, _a, b, _serving) = served(&["nothing", "--command", r#"echo '{"$flag":"null"}'"#]);
    let null = call(&home, &["nothing"]);
    let wanted = json!({"schema":1,"outcome":"ok","class":"ok","flag":"null","value":null,"peer":b.id(),"attempts":1});
    assert_eq!((null.code, steady(null.object())), (Some(0), wanted));
    let _later = Serving::start(&home, &["later", "--command", r#"echo '{"$flag":"later"}'"#, "--node", "b"]);
    let text = home.done(&["call", "later", "--node", "a", "--peer", "b"]);
    assert_eq!((text.stdout.as_str(), text.stderr.as_str()), ("null\n", "answered with the flag later\n"));
    let _gone =
        Serving::start(&home, &["gone", "--command", r#"echo '{"$flag":"invalid-connection"}'"#, "--node", "b"]);
    let gone = call(&home, &["gone"]);
    assert_eq!((gone.code, &gone.object()["why"]), (Some(5), &json!("no-such-service")));
}

#[test]
fn at_the_deadline_the_processes_of_a_command_are_ended_and_only_then_is_that_confirmed() {
    let home = Home::new();
    let (_a, _b) = pair(&home);
    let file = home.beside("pid");
    let command = format!("sh -c 'echo $$ > {}; sleep 60; sleep 60'", file.display());
    let _serving = Serving::start(&home, &["slow", "--command", &command, "--node", "b"]);
    let late = call(&home, &["slow", "--deadline", "400ms"]);
    let record = steady(late.object());
    assert_eq!(late.code, Some(6), "{late:?}");
    assert_eq!(keys(&record), ["attempts", "class", "may_have_run", "message", "outcome", "peer", "schema", "stop"]);
    assert_eq!((&record["outcome"], &record["class"]), (&json!("deadline"), &json!("unknown")));
    assert_eq!(record["stop"], "stopped");
    let pid = fs::read_to_string(&file).expect("the command ran");
    assert!(!is_alive(pid.trim()), "what is called stopped has ended");
}

#[test]
fn what_did_not_run_says_why() {
    let home = Home::new();
    let (_a, b) = pair(&home);
    let started = home.beside("started");
    let command = format!("sh -c 'touch {}; exec sleep 5'", started.display());
    let _one = Serving::start(&home, &["one", "--command", &command, "--concurrency", "1", "--node", "b"]);
    let none = call(&home, &["no.such", "1"]);
    let record = steady(none.object());
    assert_eq!(none.code, Some(5));
    assert_eq!(keys(&record), ["attempts", "class", "may_have_run", "message", "outcome", "peer", "schema", "why"]);
    assert_eq!((&record["outcome"], &record["why"]), (&json!("refused"), &json!("no-such-service")));
    assert_eq!((&record["class"], &record["may_have_run"]), (&json!("did-not-run"), &json!(false)));

    let arguments = ["call", "one", "--node", "a", "--peer", "b", "--deadline", "5s"];
    let mut first = crate::node::Killed(home.peerage(&arguments).spawn().expect("the program starts"));
    assert!(eventually(|| started.exists()), "the first call has the only place");
    let busy = call(&home, &["one"]);
    let (code, busy) = (busy.code, busy.object());
    assert_eq!((code, &busy["outcome"], &busy["may_have_run"]), (Some(7), &json!("busy"), &json!(false)));
    assert!(busy["retry_after_ms"].is_u64(), "{busy}");
    first.0.kill().expect("a child can be killed");

    let elsewhere = peerage::Identity::generate().id().to_string();
    let _denied = Serving::start(&home, &["mine", "--echo", "--allow", &elsewhere, "--node", "b"]);
    let denied = call(&home, &["mine", "1"]);
    assert_eq!((denied.code, &denied.object()["why"]), (Some(5), &json!("denied")));
    let again = home.run(&["serve", "mine", "--echo", "--node", "b"]);
    assert_eq!((again.code, again.stdout.as_str()), (Some(5), ""));
    assert!(again.stderr.contains("this node serves `mine` already"), "{}", again.stderr);
    assert_eq!(b.said(), "");
}

#[test]
fn a_peer_that_is_not_there_is_absent_and_the_record_says_so() {
    let home = Home::new();
    let (_a, _b) = pair(&home);
    let absent = home.run(&["call", "echo", "1", "--node", "a", "--peer", "nobody", "--json"]);
    let record = steady(absent.object());
    assert_eq!(absent.code, Some(3));
    assert_eq!(keys(&record), ["class", "may_have_run", "message", "outcome", "schema"]);
    assert_eq!((&record["outcome"], &record["class"]), (&json!("absent"), &json!("did-not-run")));
    let text = home.run(&["call", "echo", "1", "--node", "a", "--peer", "nobody"]);
    assert_eq!((text.code, text.stdout.as_str()), (Some(3), ""));
}

#[test]
fn when_the_serving_process_is_killed_its_calls_are_lost_and_its_name_is_free() {
    let home = Home::new();
    let (_a, _b) = pair(&home);
    let file = home.beside("started");
    let command = format!("sh -c 'touch {}; sleep 60'", file.display());
    let mut serving = Serving::start(&home, &["slow", "--command", &command, "--node", "b"]);
    let arguments = ["call", "slow", "--node", "a", "--peer", "b", "--json"];
    let lost = home.peerage(&arguments).spawn().expect("the program starts");
    assert!(eventually(|| file.exists()), "the call is at work");
    serving.child.kill().expect("a child can be killed");
    let killed = Instant::now();
    let lost = finish(lost);
    assert!(killed.elapsed() < Duration::from_secs(1), "{:?}", killed.elapsed());
    let record = lost.object();
    assert_eq!((lost.code, &record["outcome"]), (Some(9), &json!("connection-lost")));
    assert_eq!((&record["why"], &record["message"]), (&json!("handler-ended"), &json!("handler process ended")));
    let gone = call(&home, &["slow"]);
    assert_eq!((gone.code, &gone.object()["why"]), (Some(5), &json!("no-such-service")));
    let _again = Serving::start(&home, &["slow", "--echo", "--node", "b"]);
    assert_eq!(call(&home, &["slow", "1"]).object()["value"], 1);
}

#[test]
fn a_signal_lets_the_serving_process_finish_what_it_has() {
    let home = Home::new();
    let (_a, _b) = pair(&home);
    let (started, go) = (home.beside("started"), home.beside("go"));
    let wait = format!("until [ -e {} ]; do sleep 0.01; done; echo 7", go.display());
    let command = format!("sh -c 'touch {}; {wait}'", started.display());
    let mut serving = Serving::start(&home, &["last", "--command", &command, "--node", "b"]);
    let arguments = ["call", "last", "--node", "a", "--peer", "b", "--json"];
    let last = home.peerage(&arguments).spawn().expect("the program starts");
    assert!(eventually(|| started.exists()), "the call is at work");
    signal(&serving.child, Signal::TERM);
    assert!(eventually(|| call(&home, &["last", "--deadline", "500ms"]).code == Some(5)), "nothing new is taken");
    fs::write(&go, "").expect("a file can be written");
    let last = finish(last);
    assert_eq!((last.code, &last.object()["value"]), (Some(0), &json!(7)), "{last:?}");
    assert_eq!(ended(&mut serving.child), Some(0));
}

#[test]
fn several_calls_are_told_as_they_end_and_summed_up() {
    let (home, _a, b, _serving) = served(&["echo", "--echo"]);
    let arguments = ["call", "echo", "x", "--node", "a", "--peer", "b", "--repeat", "20", "--concurrency", "4"];
    let records = home.done(&[&arguments[..], &["--jsonl"]].concat()).records();
    let (end, each) = records.split_last().expect("there is a closing record");
    let mut numbers: Vec<u64> = each.iter().filter_map(|record| record["n"].as_u64()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=20).collect::<Vec<_>>());
    assert!(each.iter().all(|record| record["value"] == "x" && record["peer"] == b.id()), "{each:?}");
    assert_eq!((&end["end"], &end["asked"], &end["ok"]), (&json!(true), &json!(20), &json!(20)));
    assert!(end.get("outcome").is_none() && end["p99_us"].is_u64(), "{end}");
    let closing = home.done(&[&arguments[..], &["--json"]].concat()).object();
    assert_eq!(closing["outcomes"], json!({"ok": 20}));
}

#[test]
fn without_a_peer_any_node_that_offers_it_answers_and_the_calling_one_only_if_it_may() {
    let (home, a, b, _serving) = served(&["echo", "--echo"]);
    let any = |arguments: &[&str]| home.run(&[&["call"], arguments, &["--node", "a", "--json"]].concat());
    let answer = any(&["echo", "5"]);
    let wanted = json!({"schema":1,"outcome":"ok","class":"ok","value":5,"peer":b.id(),"attempts":1});
    assert_eq!((answer.code, steady(answer.object())), (Some(0), wanted));
    let nobody = any(&["nothing"]);
    let record = steady(nobody.object());
    assert_eq!((nobody.code, keys(&record)), (Some(3), vec!["class", "may_have_run", "message", "outcome", "schema"]));
    assert_eq!((&record["outcome"], &record["message"]), (&json!("absent"), &json!("nobody offers `nothing`")));
    for narrowed in [&["--hubs"][..], &["--group", "workers"], &["--any", "--peer", "a"]] {
        assert_eq!(any(&[&["echo", "5"], narrowed].concat()).code, Some(3), "{narrowed:?}");
    }
    for fitting in [&["--on-host"][..], &["--any", "--peer", "b", "--peer", "nobody"]] {
        assert_eq!(any(&[&["echo", "5"], fitting].concat()).code, Some(0), "{fitting:?}");
    }
    let _mine = Serving::start(&home, &["mine", "--echo", "--node", "a"]);
    assert_eq!(any(&["mine", "1"]).code, Some(3));
    assert_eq!(any(&["mine", "1", "--include-self"]).object()["peer"], a.id());
}

#[test]
fn where_a_call_certainly_did_not_run_another_node_is_asked() {
    let home = Home::new();
    let (_a, b) = pair(&home);
    let c = home.up("c", &[]);
    let (started, first) = (home.beside("started"), home.beside("first"));
    // Whoever is first holds its only place; the other one finds the file and answers.
    let script = format!(
        "if mkdir {} 2>/dev/null; then touch {}; exec sleep 20; else echo 7; fi",
        first.display(),
        started.display()
    );
    let command = format!("sh -c '{script}'");
    let _b = Serving::start(&home, &["one", "--command", &command, "--concurrency", "1", "--node", "b"]);
    let _c = Serving::start(&home, &["one", "--command", &command, "--concurrency", "1", "--node", "c"]);
    let both = || {
        home.run(&["describe", "one", "--node", "a", "--json"]).code == Some(0)
            && home.done(&["describe", "one", "--node", "a", "--json"]).object()["nodes"].as_array().map(Vec::len)
                == Some(2)
    };
    assert!(eventually(both), "both are known");
    let slow = ["call", "one", "--node", "a", "--deadline", "20s"];
    let _slow = crate::node::Killed(home.peerage(&slow).spawn().expect("the program starts"));
    assert!(eventually(|| started.exists()), "one of them is at work");
    let mut most = 0;
    for _ in 0..10 {
        let answer = home.run(&["call", "one", "--node", "a", "--json"]);
        let record = answer.object();
        assert_eq!((answer.code, &record["value"]), (Some(0), &json!(7)), "{record}");
        most = most.max(record["attempts"].as_u64().expect("a number"));
    }
    assert!((1..=2).contains(&most), "{most}");
    drop((b, c));
}

#[test]
fn all_who_offer_it_are_asked_and_each_answer_is_told() {
    let (home, mut a, b, _serving) = served(&["echo", "--echo"]);
    let c = home.up("c", &["--group", "workers"]);
    a.event_of("joined", "c");
    let _c = Serving::start(&home, &["echo", "--command", "false", "--node", "c"]);
    let all = |options: &[&str]| home.run(&[&["call", "echo", "x", "--all", "--node", "a"], options].concat());
    assert!(eventually(|| all(&["--json"]).object()["asked"] == 2), "both are known");
    let both = all(&["--jsonl"]);
    let records = both.records();
    let (end, each) = records.split_last().expect("there is a closing record");
    assert_eq!((both.code, each.len()), (Some(8), 2), "{both:?}");
    let of = |id: String| each.iter().find(|record| record["peer"] == id).expect("one of each");
    assert_eq!((&of(b.id())["value"], &of(c.id())["outcome"]), (&json!("x"), &json!("remote")));
    let mut numbers: Vec<u64> = each.iter().filter_map(|record| record["n"].as_u64()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 2]);
    assert_eq!((&end["asked"], &end["ok"], &end["failed"]), (&json!(2), &json!(1), &json!(1)));
    assert_eq!(end["outcomes"], json!({"ok": 1, "remote": 1}));
    let text = all(&["--peer", "b"]);
    assert_eq!((text.code, text.stdout.lines().next()), (Some(0), Some(format!("{}\t\"x\"", b.id()).as_str())));
    assert_eq!(all(&["--group", "workers", "--json"]).object()["failed"], 1);
    let nobody = home.run(&["call", "nothing", "--all", "--node", "a", "--json"]);
    assert_eq!((nobody.code, &nobody.object()["outcome"]), (Some(3), &json!("absent")));
}

#[test]
fn guests_call_and_serve_where_no_node_runs() {
    let (home, other) = (Home::new(), Home::new());
    home.done(&["network", "new", "lab"]);
    let mut a = home.up_at_loopback("a", "lab", &[]);
    home.invite(&other, "lab", &a.address("tls://"));
    let _serving = Serving::start(&home, &["echo", "--echo"]);
    for whom in [&["--peer", "a"][..], &["--any"]] {
        let answer = other.run(&[&["call", "echo", "hello", "--json"], whom].concat());
        assert_eq!((answer.code, &answer.object()["value"]), (Some(0), &json!("hello")), "{answer:?}");
    }

    let guest = Serving::start(&other, &["far", "--echo", "--group", "workers"]);
    let id = guest.ready["id"].as_str().expect("a ready line has an id").to_owned();
    a.event_of("joined", "cli");
    let answer = home.run(&["call", "far", "there", "--peer", &id, "--json"]);
    assert_eq!((answer.code, &answer.object()["value"]), (Some(0), &json!("there")), "{answer:?}");
    let seen = home.done(&["peers", "--group", "workers", "--json"]).object();
    assert_eq!((&seen["peers"][0]["id"], &seen["peers"][0]["ephemeral"]), (&json!(id), &json!(true)));
}

#[test]
fn services_are_listed_with_what_became_of_their_calls_and_described() {
    let (home, _a, b, _serving) = served(&["echo", "--echo", "--description", "gives back what it gets"]);
    let _no = Serving::start(&home, &["no", "--command", "false", "--node", "b"]);
    assert_eq!(call(&home, &["echo", "1"]).code, Some(0));
    assert_eq!(call(&home, &["no"]).code, Some(8));
    let listed = home.done(&["services", "--node", "a", "--json"]).object();
    assert_eq!(keys(&listed), ["complete", "missing", "schema", "services", "silent"]);
    let tags: Vec<&Value> = listed["services"].as_array().expect("a list").iter().map(|row| &row["tag"]).collect();
    assert_eq!(tags, ["echo", "no"]);
    let echo = &listed["services"][0];
    assert_eq!((&echo["peer"], &echo["name"], &echo["ok"]), (&json!(b.id()), &json!("b"), &json!(1)));
    assert_eq!((&listed["services"][1]["failed"], &echo["concurrency"]), (&json!(1), &json!(64)));
    assert!(echo["p99_us"].is_u64(), "{echo}");
    assert_eq!(home.done(&["services", "b", "--node", "a", "--json"]).object()["services"], listed["services"]);
    assert_eq!(home.done(&["services", "a", "--node", "a", "--json"]).object()["services"], json!([]));
    let text = home.done(&["services", "--node", "a"]).stdout;
    assert!(text.starts_with("echo\tb\t0\t1\t0\t0\t"), "{text}");

    let described = home.done(&["describe", "echo", "--node", "a", "--json"]).object();
    assert_eq!(keys(&described), ["description", "nodes", "schema", "tag"]);
    assert_eq!(
        (&described["description"], &described["nodes"][0]["peer"]),
        (&json!("gives back what it gets"), &json!(b.id()))
    );
    let text = home.done(&["describe", "echo", "--node", "a"]).stdout;
    assert!(text.starts_with("echo: gives back what it gets\necho\tb\t"), "{text}");
    assert_eq!(home.run(&["describe", "nothing", "--node", "a"]).code, Some(3));
}

#[test]
fn calls_between_two_nodes_are_measured() {
    let home = Home::new();
    let (_a, b) = pair(&home);
    let several = home.run(&["bench", "call", "--seconds", "1"]);
    assert_eq!((several.code, several.stdout.as_str()), (Some(2), ""), "{several:?}");
    let bench = home.done(&["bench", "call", "b", "--seconds", "1", "--inflight", "4", "--size", "1KiB", "--json"]);
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
    assert_eq!((&bench["workload"], &bench["peer"], &bench["path"]), (&json!("call"), &json!(b.id()), &json!("unix")));
    assert_eq!((&bench["size"], &bench["inflight"], &bench["failed"]), (&json!(1024), &json!(4), &json!(0)));
    let ops = bench["ops"].as_u64().expect("a number");
    assert!(ops > 100, "{bench}");
    let slow = home.done(&["bench", "call", "b", "--seconds", "1", "--rate", "50", "--json"]).object();
    assert!(slow["ops"].as_u64().is_some_and(|ops| (20..=60).contains(&ops)), "{slow}");
}

#[test]
fn a_command_line_that_makes_no_sense_is_refused_before_anything_is_done() {
    let home = Home::new();
    for (arguments, why) in [
        (&["call", "a b", "--peer", "b"][..], "a tag is 1 to 255 of the characters"),
        (&["call", "add", "--peer", "b", "--kwargs", "[1]"], "--kwargs is an object of JSON"),
        (&["call", "add", "-", "--kwargs", "-", "--peer", "b"], "there is one stdin"),
        (&["call", "add", "--peer", "b", "--concurrency", "2"], "say --repeat N too"),
        (&["call", "add", "{\"$bin\":\"0\"}", "--peer", "b"], "ARG: "),
        (&["call", "add", "--any", "--all"], "cannot be used with"),
        (&["call", "add", "--all", "--repeat", "2"], "cannot be used with"),
        (&["call", "add", "--peer", "b", "--peer", "c"], "say --any or --all too"),
        (&["call", "add", "--peer", "b", "--hubs"], "there is nothing to choose"),
        (&["serve", "add"], "required"),
        (&["serve", "add", "--command", "no-such-program-xyz"], "there is no program"),
        (&["serve", "add", "--echo", "--concurrency", "65"], "65"),
    ] {
        let run = home.run(arguments);
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{arguments:?}: {}", run.stderr);
        assert!(run.stderr.contains(why), "{arguments:?}: {}", run.stderr);
    }
    let run = home.run(&["serve", "peerage/mine", "--echo"]);
    assert_eq!(run.code, Some(7), "without a network there is nobody to ask: {}", run.stderr);
}

/// Whether a process of this id runs; one that has ended and is not waited for does not.
pub(crate) fn is_alive(pid: &str) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    status.rsplit(')').next().is_some_and(|rest| !rest.trim().is_empty() && !rest.trim_start().starts_with('Z'))
}
