//! Single members: whether one is there, why it counts as what it does, what a running one says of itself.

use std::time::{Duration, Instant};

use peerage::node::Filter;
use peerage::node::snapshot::{PeerState, Peers};
use serde_json::{Value, json};

use crate::home::Home;
use crate::node::{keys, pair};
use crate::program::eventually;

/// What the second terminal of the guide shows: `peers` of both, with path and round trip.
#[test]
fn of_two_nodes_without_any_configuration_each_shows_the_other_at_once() {
    let mut took = Vec::new();
    for _ in 0..5 {
        let home = Home::new();
        let _a = home.up("a", &[]);
        let second = Instant::now();
        let _b = home.up("b", &[]);
        for (name, other) in [("a", "b"), ("b", "a")] {
            let sees = || {
                let peers = home.done(&["peers", "--node", name, "--json"]).object();
                let peer = &peers["peers"][0];
                peer["name"] == other && peer["path"] == "unix" && peer["rtt_us"].is_u64()
            };
            assert!(eventually(sees), "{name} does not see {other}");
        }
        took.push(second.elapsed());
    }
    took.sort_unstable();
    println!("from the start of the second node until both show each other: {took:?}");
    // Not the slowest: this machine may have other work.
    assert!(took[1] <= Duration::from_millis(500), "{took:?}");
}

/// All choices that can be typed, against those of the library and against what is known of the nodes.
#[test]
fn every_choice_of_peers_gives_the_same_nodes_as_the_filters_of_the_library() {
    let home = Home::new();
    let mut a = home.up("a", &[]);
    let _b = home.up("b", &["--group", "red", "--group", "blue"]);
    let _c = home.up("c", &["--hub", "--group", "green"]);
    let mut d = home.up("d", &["--hub", "--group", "red"]);
    for name in ["b", "c", "d"] {
        a.event_of("joined", name);
    }
    assert_eq!(d.stop(), Some(0));
    a.event_of("left", "d");
    let facts: [(&str, &[&str], bool, &str); 3] =
        [("b", &["red", "blue"], false, "up"), ("c", &["green"], true, "up"), ("d", &["red"], true, "left")];
    let all = home.done(&["peers", "--node", "a", "--state", "all", "--json"]).stdout;
    let all: Peers = serde_json::from_str(&all).expect("the record of the library");
    let mut choices = 0;
    for groups in [&[][..], &["red"], &["blue", "green"]] {
        for (hubs, names) in [(false, &[][..]), (true, &[]), (false, &["b", "d"]), (true, &["c", "nobody"])] {
            for (on_host, state) in [
                (false, None),
                (true, None),
                (false, Some("up")),
                (true, Some("left")),
                (false, Some("lost")),
                (true, Some("all")),
            ] {
                let is_in = |(name, theirs, hub, is): &&(&str, &[&str], bool, &str)| {
                    (groups.is_empty() || groups.iter().any(|group| theirs.contains(group)))
                        && (!hubs || *hub)
                        && (names.is_empty() || names.contains(name))
                        && state.map_or(*is == "up", |state| state == "all" || state == *is)
                };
                let wanted: Vec<&str> = facts.iter().filter(is_in).map(|(name, ..)| *name).collect();
                let mut typed = vec!["peers", "--node", "a", "--json"];
                groups.iter().for_each(|group| typed.extend(["--group", group]));
                names.iter().for_each(|name| typed.extend(["--peer", name]));
                state.iter().for_each(|state| typed.extend(["--state", state]));
                typed.extend(hubs.then_some("--hubs"));
                typed.extend(on_host.then_some("--on-host"));
                let shown: Peers = serde_json::from_str(&home.done(&typed).stdout).expect("the record of the library");
                assert_eq!(names_of(&shown), wanted, "{typed:?}");
                let chosen = all.clone().matching(&filter(groups, hubs, names, on_host, state));
                assert_eq!(names_of(&chosen), wanted, "{typed:?}");
                choices += 1;
            }
        }
    }
    assert_eq!(choices, 72);
}

fn names_of(peers: &Peers) -> Vec<&str> {
    let mut names: Vec<&str> = peers.peers.iter().map(|peer| peer.name.as_str()).collect();
    names.sort_unstable();
    names
}

fn filter(groups: &[&str], hubs: bool, names: &[&str], on_host: bool, state: Option<&str>) -> Filter {
    let groups = groups.iter().map(|group| group.parse().expect("a group"));
    let mut filter = Filter::new().groups(groups).peers(names.iter().copied());
    if hubs {
        filter = filter.hubs_only();
    }
    if on_host {
        filter = filter.on_host();
    }
    match state {
        Some("up") => filter.state(PeerState::Up),
        Some("left") => filter.state(PeerState::Left),
        Some("lost") => filter.state(PeerState::Lost),
        Some(_) => filter.any_state(),
        None => filter,
    }
}

#[test]
fn find_says_that_a_node_is_there_that_it_is_not_or_that_too_little_is_known() {
    let home = Home::new();
    let (mut a, mut b) = pair(&home);
    let _third = home.up("third", &[]);
    a.event_of("joined", "third");
    let find = |who: &str, options: &[&str]| home.run(&[&["find", who, "--node", "a"], options].concat());
    let there = find("b", &["--json"]);
    let object = there.object();
    assert_eq!((there.code, keys(&object)), (Some(0), vec!["missing", "nodes", "presence", "schema"]));
    assert_eq!((&object["presence"], &object["missing"]), (&json!("present"), &json!([])));
    assert_eq!((&object["nodes"][0]["id"], &object["nodes"][0]["path"]), (&json!(b.id()), &json!("unix")));
    let line = find(&b.id(), &[]).stdout;
    assert!(line.starts_with("b\tup\tunix\t") && line.trim_end().ends_with(&b.id()), "{line}");

    let absent = find("nobody", &["--json"]);
    let object = absent.object();
    assert_eq!((absent.code, &object["presence"], &object["nodes"]), (Some(3), &json!("absent"), &json!([])));
    assert!(absent.stderr.contains("no node has the name nobody"), "{}", absent.stderr);
    let itself = find("a", &["--json"]);
    assert_eq!(
        (itself.code, &itself.object()["nodes"][0]["path"]),
        (Some(0), &json!(null)),
        "the one that tells is there"
    );
    let epoch = b.ready["epoch"].clone();
    assert_eq!(b.stop(), Some(0));
    assert_eq!(a.event_of("left", "b")["epoch"], epoch);
    let left = find("b", &[]);
    assert_eq!((left.code, left.stdout.as_str()), (Some(3), ""));
    assert!(left.stderr.contains("b has left; `peerage why b` tells"), "{}", left.stderr);

    let lonely = Home::new();
    let _c = lonely.up("c", &[]);
    let unknown = lonely.run(&["find", "d", "--deadline", "200ms", "--json"]);
    let object = unknown.object();
    assert_eq!((unknown.code, &object["presence"], &object["nodes"]), (Some(4), &json!("not-yet-known"), &json!([])));
    assert!(unknown.stderr.contains("d is not yet known"), "{}", unknown.stderr);
}

#[test]
fn find_waits_until_a_node_that_is_not_yet_known_is_there() {
    let home = Home::new();
    let _a = home.up("a", &[]);
    let find = home.peerage(&["find", "b", "--node", "a", "--json"]).spawn().expect("the program starts");
    let b = home.up("b", &[]);
    let found = crate::program::finish(find);
    assert_eq!((found.code, &found.object()["nodes"][0]["id"]), (Some(0), &json!(b.id())), "{found:?}");
}

#[test]
fn a_name_that_several_nodes_have_finds_them_all_and_is_an_error() {
    let (home, other) = (Home::new(), Home::new());
    let (mut a, b) = pair(&home);
    home.invite(&other, "local", &a.address("unix://"));
    let twin = other.up("b", &[]);
    a.event_of("joined", "b");
    let found = home.run(&["find", "b", "--node", "a", "--json"]);
    let object = found.object();
    let mut ids: Vec<&str> =
        object["nodes"].as_array().expect("a list").iter().filter_map(|node| node["id"].as_str()).collect();
    ids.sort_unstable();
    let mut wanted = [b.id(), twin.id()];
    wanted.sort_unstable();
    assert_eq!(
        (found.code, &object["presence"], ids),
        (Some(2), &json!("present"), wanted.iter().map(String::as_str).collect())
    );
    let text = home.run(&["find", "b", "--node", "a"]);
    assert_eq!((text.code, text.stdout.as_str()), (Some(2), ""));
    assert!(text.stderr.contains("several nodes are called b") && text.stderr.contains(&twin.id()), "{}", text.stderr);
    assert_eq!(home.run(&["find", &twin.id(), "--node", "a"]).code, Some(0));
}

#[test]
fn why_tells_the_chain_of_observations_from_every_node() {
    let home = Home::new();
    let (mut a, mut b) = pair(&home);
    let mut c = home.up("c", &[]);
    let id = c.id();
    a.event_of("joined", "c");
    b.event_of("joined", "c");
    c.kill();
    for (name, observer) in [("a", &mut a), ("b", &mut b)] {
        observer.event_of("lost", "c");
        let why = home.done(&["why", "c", "--node", name, "--json"]).object();
        assert_eq!(keys(&why), ["id", "name", "schema", "state", "transitions"]);
        assert_eq!((&why["id"], &why["name"], &why["state"]), (&json!(id), &json!("c"), &json!("lost")));
        let chain = why["transitions"].as_array().expect("a list");
        for one in chain {
            let wanted = [
                "asked",
                "detail",
                "epoch",
                "evidence",
                "from",
                "link",
                "local_health",
                "mono_us",
                "observer",
                "to",
                "told_by",
                "wall",
            ];
            assert_eq!(keys(one), wanted);
            assert_eq!((&one["observer"], &one["epoch"]), (&json!(observer.id()), &c.ready["epoch"]), "{one}");
        }
        let states: Vec<&Value> = chain.iter().map(|one| &one["to"]).collect();
        assert_eq!((states.first(), states.last()), (Some(&&json!("up")), Some(&&json!("lost"))), "{why}");
        let suspected = chain.iter().find(|one| one["to"] == "suspect").expect("it was suspected first");
        assert_eq!((&suspected["from"], &suspected["link"]), (&json!("up"), &json!("unix")), "{suspected}");
        assert!(["fin", "reset"].contains(&suspected["evidence"].as_str().unwrap_or("")), "{suspected}");
        assert!(chain.is_sorted_by_key(|one| one["mono_us"].as_u64()), "{why}");

        let text = home.done(&["why", &id, "--node", name]).stdout;
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!((lines[0], lines.len()), (format!("c  {id}  lost").as_str(), chain.len() + 1), "{text}");
        for (line, one) in lines[1..].iter().zip(chain) {
            let cells: Vec<&str> = line.split('\t').collect();
            assert_eq!(
                (cells.len(), cells[2], cells[3]),
                (9, &*text_of(one, "to"), &*text_of(one, "evidence")),
                "{line}"
            );
        }
        let lately = home.done(&["why", "c", "--node", name, "--since", "0s", "--json"]).object();
        assert_eq!(lately["transitions"], json!([]));
    }
}

#[test]
fn why_of_a_node_that_nobody_knows_says_so() {
    let home = Home::new();
    let (_a, _b) = pair(&home);
    let unknown = home.run(&["why", "nobody", "--node", "a"]);
    assert_eq!((unknown.code, unknown.stdout.as_str()), (Some(3), ""));
    assert!(unknown.stderr.contains("nobody"), "{}", unknown.stderr);
}

#[test]
fn a_guest_tells_why_it_knows_somebody() {
    let home = Home::new();
    let network = home.done(&["network", "new", "lab"]);
    drop(network);
    let a = home.up_at_loopback("a", "lab", &[]);
    let other = Home::new();
    home.invite(&other, "lab", &a.address("tls://"));
    let why = other.done(&["why", "a", "--json"]).object();
    assert_eq!((&why["id"], &why["state"]), (&json!(a.id()), &json!("up")), "{why}");
    assert_eq!(why["transitions"][0]["to"], "up", "{why}");
}

#[test]
fn a_running_node_joins_and_leaves_groups_and_all_others_learn_it() {
    let home = Home::new();
    let _a = home.up("a", &["--group", "red"]);
    let mut b = home.up("b", &[]);
    b.event_of("joined", "a");
    let seen_by_b = |options: &[&str]| {
        let peers = home.done(&[&["peers", "--node", "b", "--json"], options].concat()).object();
        peers["peers"][0].clone()
    };
    assert_eq!(seen_by_b(&[])["groups"], json!(["red"]));
    let said =
        home.done(&["set", "--node", "a", "--group", "+blue", "--group", "-red", "--hub", "on", "--json"]).object();
    assert_eq!(keys(&said), ["addresses", "groups", "hub", "id", "name", "schema"]);
    assert_eq!((&said["groups"], &said["hub"]), (&json!(["blue"]), &json!(true)));
    assert!(eventually(|| seen_by_b(&["--group", "blue", "--hubs"])["name"] == "a"), "{}", seen_by_b(&[]));
    assert_eq!(seen_by_b(&["--group", "red"]), json!(null));
    let text = home.done(&["set", "--node", "a", "--hub", "off", "--advertise", "tls://127.0.0.1:7"]).stdout;
    assert_eq!(text, "a: groups blue; no hub; found at tls://127.0.0.1:7\n");
    assert!(eventually(|| seen_by_b(&[])["addresses"] == json!(["tls://127.0.0.1:7"])), "{}", seen_by_b(&[]));
    let text = home.done(&["set", "--node", "a", "--advertise", "listening"]).stdout;
    assert!(text.contains("found at unix://"), "{text}");
}

#[test]
fn what_cannot_be_set_is_refused_and_changes_nothing() {
    let home = Home::new();
    let nobody = home.run(&["set", "--hub", "on"]);
    assert_eq!(nobody.code, Some(7), "{nobody:?}");
    let _a = home.up("a", &["--group", "red"]);
    assert_eq!(home.run(&["set"]).code, Some(2));
    assert_eq!(home.run(&["set", "--group", "+blue", "--group", "-blue"]).code, Some(2));
    let groups: Vec<String> = (0..200).flat_map(|n| ["--group".to_owned(), format!("+group-{n}")]).collect();
    let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
    let refused = home.run(&[&["set"], &groups[..]].concat());
    assert_eq!((refused.code, refused.stdout.as_str()), (Some(5), ""), "{refused:?}");
    assert_eq!(home.done(&["status", "--json"]).object()["groups"], json!(["red"]));
}

fn text_of(record: &Value, key: &str) -> String {
    record[key].as_str().unwrap_or_else(|| panic!("no text {key}: {record}")).to_owned()
}
