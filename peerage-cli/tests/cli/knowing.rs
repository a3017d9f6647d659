//! What a node knows of others, and what it tells: peers, ping, status, log.

use rustix::process::Signal;
use serde_json::json;

use crate::home::Home;
use crate::node::{keys, pair};
use crate::program::{ended, eventually, signal};

#[test]
fn peers_have_exactly_the_keys_of_the_contract() {
    let home = Home::new();
    let (a, b) = pair(&home);
    let peers = home.done(&["peers", "--node", "a", "--json"]).object();
    assert_eq!(keys(&peers), ["complete", "missing", "peers", "schema", "self", "version"]);
    assert_eq!(keys(&peers["self"]), ["id", "machine", "name"]);
    assert_eq!((&peers["self"]["id"], &peers["complete"]), (&json!(a.id()), &json!(true)));
    let peer = &peers["peers"][0];
    let wanted = [
        "addresses",
        "build",
        "direction",
        "ephemeral",
        "epoch",
        "groups",
        "hub",
        "id",
        "machine",
        "name",
        "path",
        "rtt_us",
        "services",
        "since_ms",
        "state",
    ];
    assert_eq!(keys(peer), wanted);
    assert_eq!((&peer["id"], &peer["name"], &peer["state"]), (&json!(b.id()), &json!("b"), &json!("up")));
    assert_eq!((&peer["path"], &peer["epoch"]), (&json!("unix"), &b.ready["epoch"]));
    assert_eq!(peer["addresses"], b.ready["addresses"]);
}

#[test]
fn peers_for_people_are_lines_with_tabs_where_there_is_no_terminal() {
    let home = Home::new();
    let (_a, b) = pair(&home);
    let line = home.done(&["peers", "--node", "a"]).stdout;
    let cells: Vec<&str> = line.trim_end().split('\t').collect();
    assert_eq!((cells[0], cells[1], cells[2], cells.last()), ("b", "up", "unix", Some(&b.id().as_str())), "{line}");
    let wide = home.done(&["peers", "--node", "a", "--wide"]).stdout;
    assert!(wide.trim_end().split('\t').count() > cells.len() && wide.contains(&b.address("unix://")), "{wide}");
}

#[test]
fn peers_are_chosen_by_group_name_hub_host_and_state() {
    let home = Home::new();
    let mut a = home.up("a", &[]);
    let b = home.up("b", &["--group", "red", "--group", "blue"]);
    let mut c = home.up("c", &["--hub", "--group", "green"]);
    a.event_of("joined", "b");
    a.event_of("joined", "c");
    let names = |options: &[&str]| {
        let peers = home.done(&[&["peers", "--node", "a", "--json"], options].concat()).object();
        let mut names: Vec<String> = peers["peers"]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(|peer| peer["name"].as_str())
            .map(str::to_owned)
            .collect();
        names.sort();
        names.join(" ")
    };
    assert_eq!(names(&[]), "b c");
    assert_eq!(names(&["--group", "red"]), "b");
    assert_eq!(names(&["--group", "blue", "--group", "green"]), "b c");
    assert_eq!(names(&["--hubs"]), "c");
    assert_eq!(names(&["--peer", &b.id()]), "b");
    assert_eq!(names(&["--peer", "c", "--group", "red"]), "");
    assert_eq!(names(&["--on-host"]), "b c");
    assert_eq!(names(&["--state", "up"]), "b c");
    assert_eq!(c.stop(), Some(0));
    a.event_of("left", "c");
    assert_eq!((names(&[]).as_str(), names(&["--state", "left"]).as_str()), ("b", "c"));
    assert_eq!((names(&["--state", "lost"]).as_str(), names(&["--state", "all"]).as_str()), ("", "b c"));
}

#[test]
fn watching_peers_tells_each_change_until_the_node_stops() {
    let home = Home::new();
    let mut a = home.up("a", &[]);
    let mut command = home.peerage(&["peers", "--node", "a", "--watch", "--jsonl"]);
    let mut watch = command.spawn().expect("the program starts");
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(watch.stdout.take().expect("stdout is piped")));
    let mut next = || -> serde_json::Value {
        let line = lines.next().expect("another record").expect("stdout can be read");
        serde_json::from_str(&line).expect("a record of JSON")
    };
    assert_eq!(next()["peers"], json!([]));
    let b = home.up("b", &[]);
    let mut until = |event: &str| loop {
        let record = next();
        if record["event"] == event {
            return record;
        }
    };
    let joined = until("joined");
    assert_eq!(keys(&joined), ["epoch", "event", "id", "mono_us", "name", "schema", "version", "wall", "why"]);
    assert_eq!(joined["id"], b.id());
    drop(b);
    until("suspect");
    assert_eq!(a.stop(), Some(0));
    until("stopped");
    assert_eq!(ended(&mut watch), Some(0));
}

#[test]
fn a_ping_is_measured_and_summed_up() {
    let home = Home::new();
    let (_a, b) = pair(&home);
    let ping = home.done(&["ping", "b", "--node", "a", "--count", "3", "--interval", "1ms", "--json"]).object();
    assert_eq!(keys(&ping), ["min_us", "p50_us", "p99_us", "path", "peer", "received", "schema", "sent"]);
    assert_eq!((&ping["peer"], &ping["sent"], &ping["received"]), (&json!(b.id()), &json!(3), &json!(3)));
    assert_eq!(ping["path"], "unix");
    let records =
        home.done(&["ping", &b.id(), "--node", "a", "--count", "2", "--interval", "1ms", "--jsonl"]).records();
    assert_eq!((keys(&records[0]), &records[0]["n"]), (vec!["mono_us", "n", "rtt_us", "schema"], &json!(1)));
    assert_eq!((records.len(), &records[2]["sent"], &records[2]["end"]), (3, &json!(2), &json!(true)));
    let text = home.done(&["ping", "b", "--node", "a", "--count", "1"]).stdout;
    assert!(text.starts_with("1  b  ") && text.contains("b over unix: 1 of 1 answered"), "{text}");
}

#[test]
fn a_peer_is_absent_not_yet_known_or_one_of_several() {
    let home = Home::new();
    let (mut a, _b) = pair(&home);
    let ping = |options: &[&str]| home.run(&[&["ping", "--node", "a", "--count", "1"], options].concat());
    let absent = ping(&["nobody"]);
    assert_eq!((absent.code, absent.stdout.as_str()), (Some(3), ""));
    assert!(absent.stderr.contains("no node has the name nobody"), "{}", absent.stderr);
    assert_eq!(ping(&["a"]).code, Some(3), "never itself");

    // Two nodes of one name: the second lives in another home and was invited.
    let other = Home::new();
    home.invite(&other, "local", &a.address("unix://"));
    let twin = other.up("b", &[]);
    a.event_of("joined", "b");
    let several = ping(&["b"]);
    assert_eq!(several.code, Some(2));
    assert!(
        several.stderr.contains("several nodes are called b") && several.stderr.contains(&twin.id()),
        "{}",
        several.stderr
    );

    let lonely = Home::new();
    let _c = lonely.up("c", &[]);
    let unknown = lonely.run(&["ping", "d", "--deadline", "200ms"]);
    assert_eq!((unknown.code, unknown.stdout.as_str()), (Some(4), ""));
    assert!(unknown.stderr.contains("d is not yet known"), "{}", unknown.stderr);
    assert_eq!(lonely.run(&["ping", "d", "--timeout", "200ms"]).code, Some(4));
}

#[test]
fn peers_can_be_asked_for_anew() {
    let home = Home::new();
    let (_a, b) = pair(&home);
    let peers = home.done(&["peers", "--node", "a", "--refresh", "--timeout", "5s", "--json"]).object();
    assert_eq!((&peers["peers"][0]["id"], &peers["complete"]), (&json!(b.id()), &json!(true)), "{peers}");
    let lonely = Home::new();
    let _c = lonely.up("c", &[]);
    let peers = lonely.done(&["peers", "--refresh", "--json"]).object();
    assert_eq!((&peers["peers"], &peers["complete"]), (&json!([]), &json!(false)), "nobody to ask: {peers}");
}

#[test]
fn a_ping_that_nobody_answers_ends_at_its_deadline() {
    let home = Home::new();
    let (_a, b) = pair(&home);
    b.signal(Signal::STOP);
    let ping = home.run(&["ping", "b", "--node", "a", "--count", "1", "--deadline", "300ms", "--jsonl"]);
    b.signal(Signal::CONT);
    let records = ping.records();
    assert_eq!((ping.code, &records[0]["outcome"]), (Some(6), &json!("deadline")), "{ping:?}");
    assert_eq!((&records[1]["received"], &records[1]["min_us"]), (&json!(0), &json!(null)));
}

#[test]
fn an_interrupted_ping_still_sums_up() {
    let home = Home::new();
    let (_a, _b) = pair(&home);
    let mut command =
        home.peerage(&["ping", "b", "--node", "a", "--count", "1000000", "--interval", "10ms", "--jsonl"]);
    let mut ping = command.spawn().expect("the program starts");
    let mut stdout = std::io::BufReader::new(ping.stdout.take().expect("stdout is piped"));
    let mut line = String::new();
    std::io::BufRead::read_line(&mut stdout, &mut line).expect("a first answer");
    signal(&ping, Signal::INT);
    let mut rest = String::new();
    std::io::Read::read_to_string(&mut stdout, &mut rest).expect("the rest");
    assert_eq!(ended(&mut ping), Some(1));
    assert!(rest.lines().last().is_some_and(|last| last.contains("\"end\":true")), "{rest}");
}

#[test]
fn status_has_the_keys_of_the_contract_and_is_nominal_when_all_is_well() {
    let home = Home::new();
    let (a, b) = pair(&home);
    let status = home.done(&["status", "--node", "a", "--json"]).object();
    for key in [
        "schema",
        "id",
        "name",
        "network",
        "epoch",
        "build",
        "uptime_ms",
        "nominal",
        "faults",
        "links",
        "discovery",
        "queues",
        "counters",
    ] {
        assert!(!status[key].is_null(), "{key}: {status}");
    }
    assert_eq!((&status["nominal"], &status["id"], &status["faults"]), (&json!(true), &json!(a.id()), &json!([])));
    let link = &status["links"][0];
    for key in ["peer", "direction", "path", "proven", "bytes_in", "bytes_out"] {
        assert!(!link[key].is_null(), "{key}: {link}");
    }
    assert!(link.as_object().is_some_and(|link| link.contains_key("compression")));
    assert_eq!((&link["peer"], &link["path"], &link["proven"]), (&json!(b.id()), &json!("unix"), &json!(true)));
    for queue in status["queues"].as_array().expect("a list") {
        assert!(queue["depth"].as_u64() <= queue["cap"].as_u64() && queue["dropped"] == 0, "{queue}");
    }
    let text = home.done(&["status", "--node", "a"]).stdout;
    assert!(text.starts_with("Nominal\n") && text.contains(&b.id()), "{text}");
}

#[test]
fn status_can_be_watched() {
    let home = Home::new();
    let mut a = home.up("a", &[]);
    let mut watch = home.peerage(&["status", "--watch", "--jsonl"]).spawn().expect("the program starts");
    let lines = std::io::BufRead::lines(std::io::BufReader::new(watch.stdout.take().expect("stdout is piped")));
    let mut records = lines.map(|line| -> serde_json::Value {
        serde_json::from_str(&line.expect("stdout can be read")).expect("a record of JSON")
    });
    assert_eq!(records.next().expect("the first")["links"], json!([]));
    let _b = home.up("b", &[]);
    assert!(records.any(|status| status["links"].as_array().is_some_and(|links| links.len() == 1)));
    assert_eq!(a.stop(), Some(0));
    assert!(records.all(|status| status["name"] == "a"));
    assert_eq!(ended(&mut watch), Some(0));
}

#[test]
fn the_log_filter_of_a_running_node_is_shown_and_changed() {
    let home = Home::new();
    let a = home.up("a", &["--log", "error"]);
    assert_eq!(home.done(&["log"]).stdout, "error\n");
    assert_eq!(home.done(&["log", "peerage=debug,warn", "--json"]).object()["name"], "a");
    let shown = home.done(&["log", "--json"]).object();
    assert!(shown["filter"].as_str().is_some_and(|filter| filter.contains("peerage=debug")), "{shown}");
    // Something happens that is logged in detail only.
    let mut b = home.up("b", &[]);
    b.event_of("joined", "a");
    assert!(eventually(|| a.said().contains("DEBUG")), "{}", a.said());
    let wrong = home.run(&["log", "x=y=z", "--node", "a"]);
    assert_eq!(wrong.code, Some(2));
    assert!(wrong.stderr.contains("write a level such as debug"), "{}", wrong.stderr);
}

#[test]
fn a_log_in_json_has_one_object_a_line_with_its_node_and_follows_the_filter_at_once() {
    let home = Home::new();
    let mut a = home.up("a", &["--log", "error", "--log-format", "json"]);
    assert_eq!(a.said(), "");
    home.done(&["log", "peerage=info", "--node", "a"]);
    let mut b = home.up("b", &[]);
    a.event_of("joined", "b");
    assert_eq!(b.stop(), Some(0));
    a.event_of("left", "b");
    assert_eq!(a.stop(), Some(0));
    let said = a.said();
    let lines: Vec<serde_json::Value> =
        said.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|why| panic!("{why}: {line}"))).collect();
    let message = |wanted: &str| lines.iter().find(|line| line["fields"]["message"] == wanted);
    assert!(message("log filter changed").is_some(), "{said}");
    let linked = message("linked").unwrap_or_else(|| panic!("{said}"));
    assert_eq!((&linked["level"], &linked["fields"]["peer"]), (&json!("INFO"), &json!(b.id())));
    // Only what has been made since the filter lets it pass stands in a span.
    assert!(lines.iter().all(|line| line["timestamp"].is_string() && line["target"].is_string()), "{said}");
}

#[test]
fn who_is_ready_is_never_absent_however_little_the_node_that_is_asked_knows_yet() {
    let home = Home::new();
    let (_a, _b) = pair(&home);
    let ping = |name: &str| home.run(&["ping", name, "--node", "a", "--count", "1", "--deadline", "1s"]);
    // At once: whether a has heard of it yet is a matter of microseconds.
    for name in ["c", "d", "e"] {
        let _up = home.up(name, &[]);
        let answered = ping(name);
        assert_eq!(answered.code, Some(0), "{}", answered.stderr);
    }
    // And one that a can hear nothing of.
    let _hidden = home.up("f", &["--no-local"]);
    let unknown = ping("f");
    assert_eq!((unknown.code, unknown.stdout.as_str()), (Some(4), ""));
    assert!(unknown.stderr.contains("f is not yet known: it runs on this machine"), "{}", unknown.stderr);
}
