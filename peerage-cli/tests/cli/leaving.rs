//! Leaving, dying and coming back, as others see it.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;

use crate::home::Home;
use crate::node::{keys, pair};
use crate::program::{ended, finish};

#[test]
fn a_drain_through_the_control_socket_ends_the_node_with_zero() {
    let home = Home::new();
    let (mut a, mut b) = pair(&home);
    let drained = home.done(&["drain", "--node", "b", "--json"]).object();
    assert_eq!(keys(&drained), ["abandoned", "drained", "id", "name", "schema"]);
    assert_eq!((&drained["id"], &drained["drained"], &drained["abandoned"]), (&json!(b.id()), &json!(true), &json!(0)));
    assert_eq!(ended(&mut b.child), Some(0));
    a.event_of("left", "b");
    let text = home.done(&["drain"]).stdout;
    assert_eq!(text, "a has left; nothing was cut off\n");
    assert_eq!(ended(&mut a.child), Some(0));
}

#[test]
fn work_that_does_not_end_is_cut_off_at_the_deadline_and_counted() {
    let home = Home::new();
    let (mut a, b) = pair(&home);
    b.signal(Signal::STOP);
    let ping = home.peerage(&["ping", "b", "--node", "a", "--count", "1"]).spawn().expect("the program starts");
    let in_flight = || {
        let status = home.run(&["status", "--node", "a", "--json"]).object();
        status["links"].as_array().is_some_and(|links| links.iter().any(|link| link["calls_in_flight"] == 1))
    };
    assert!(crate::program::eventually(in_flight), "the call is under way");
    let drain = home.run(&["drain", "--node", "a", "--deadline", "200ms", "--json"]);
    b.signal(Signal::CONT);
    assert_eq!((drain.code, &drain.object()["drained"]), (Some(1), &json!(false)), "{drain:?}");
    assert_eq!(drain.object()["abandoned"], 1);
    assert_eq!(ended(&mut a.child), Some(1));
    finish(ping);
}

#[test]
fn a_drain_under_load_leaves_no_unknown_outcome() {
    let home = Home::new();
    let (_a, mut b) = pair(&home);
    let options = ["ping", "b", "--node", "a", "--count", "1000", "--interval", "2ms", "--jsonl"];
    let pings: Vec<_> = (0..2).map(|_| home.peerage(&options).spawn().expect("the program starts")).collect();
    let served = || {
        let status = home.run(&["status", "--node", "b", "--json"]).object();
        status["links"][0]["bytes_in"].as_u64() > Some(5_000)
    };
    assert!(crate::program::eventually(served), "the load is on");
    home.done(&["drain", "--node", "b"]);
    assert_eq!(ended(&mut b.child), Some(0), "{}", b.said());
    for ping in pings {
        let run = finish(ping);
        let records = run.records();
        let closing = records.last().expect("a closing record");
        let failed: Vec<_> = records.iter().filter_map(|record| record["outcome"].as_str()).collect();
        assert!(failed.iter().all(|outcome| ["busy", "not-sent"].contains(outcome)), "{failed:?}");
        assert!(closing["received"].as_u64() > Some(0), "{closing}");
    }
}

#[test]
fn a_killed_node_is_suspect_within_a_second_and_lost_within_three() {
    let home = Home::new();
    let (mut a, mut b) = pair(&home);
    let began = Instant::now();
    b.kill();
    let suspect = a.event_within("suspect", Duration::from_secs(1));
    assert_eq!((&suspect["id"], &suspect["epoch"]), (&json!(b.id()), &b.ready["epoch"]));
    a.event("isolated");
    a.event_within("lost", Duration::from_secs(3).saturating_sub(began.elapsed()));
    let again = home.up("b", &[]);
    let joined = a.event_of("joined", "b");
    assert_eq!((&joined["id"], &joined["epoch"]), (&json!(b.id()), &again.ready["epoch"]));
    assert_ne!(again.ready["epoch"], b.ready["epoch"], "a new run is a new epoch");
}

#[test]
fn a_node_that_stood_still_is_lost_and_back_within_five_seconds_in_the_same_epoch() {
    let home = Home::new();
    let (mut a, b) = pair(&home);
    b.signal(Signal::STOP);
    // Silence is noticed within 3 s, the verdict takes 6, and both wait for the next turn of the clock of pings.
    assert_eq!(a.event_within("lost", Duration::from_secs(9))["id"], b.id());
    b.signal(Signal::CONT);
    let joined = a.event_within("joined", Duration::from_secs(5));
    assert_eq!((&joined["id"], &joined["epoch"]), (&json!(b.id()), &b.ready["epoch"]));
    let peers = home.done(&["peers", "--node", "b", "--json"]).object();
    assert_eq!((&peers["peers"][0]["id"], &peers["peers"][0]["state"]), (&json!(a.id()), &json!("up")));
}
