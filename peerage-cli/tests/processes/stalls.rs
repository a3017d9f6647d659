//! Processes that die or stand still while others count on them.

use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::home::Home;
use crate::node::Up;
use crate::program::{eventually, finish};

/// Two nodes that know each other by a TLS link alone.
fn pair(home: &Home) -> (Up, Up) {
    let mut a = home.up_at_loopback("a", "lab", &["--no-local"]);
    let mut b = home.up_at_loopback("b", "lab", &["--no-local", "--seed", &a.address("tls://")]);
    a.event_of("joined", "b");
    b.event_of("joined", "a");
    (a, b)
}

fn lab() -> Home {
    let home = Home::new();
    home.done(&["network", "new", "lab"]);
    home
}

/// A ping from a to b that is under way, as b stands still.
fn ping_in_flight(home: &Home) -> Child {
    let options = ["ping", "b", "--node", "a", "--count", "1", "--timeout", "60s", "--jsonl"];
    let ping = home.peerage(&options).spawn().expect("the program starts");
    let in_flight = || {
        let status = home.run(&["status", "--node", "a", "--json"]).object();
        status["links"].as_array().is_some_and(|links| links.iter().any(|link| link["calls_in_flight"] == 1))
    };
    assert!(eventually(in_flight), "the call is under way");
    ping
}

#[test]
fn calls_to_a_process_that_is_killed_end_within_a_second() {
    let _machine = crate::beside_others();
    let home = lab();
    let rounds = 5;
    let mut slowest = Duration::ZERO;
    let (mut a, mut b) = pair(&home);
    for _ in 0..rounds {
        b.signal(Signal::STOP);
        let ping = ping_in_flight(&home);
        let killed = Instant::now();
        b.kill();
        let run = finish(ping);
        slowest = slowest.max(killed.elapsed());
        assert_eq!(run.records()[0]["outcome"], "connection-lost", "{run:?}");
        b = home.up_at_loopback("b", "lab", &["--no-local", "--seed", &a.address("tls://")]);
        a.event_of("joined", "b");
    }
    crate::tell(&format!(
        "crash with reset: {rounds} of {rounds} calls ended connection-lost, the slowest {slowest:?} after the kill"
    ));
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
}

#[test]
fn a_process_that_was_stopped_is_linked_again_within_five_seconds_in_the_same_epoch() {
    let _machine = crate::beside_others();
    // The short form is just long enough for the verdict.
    let stop = Duration::from_secs(if crate::is_thorough() { 30 } else { 10 });
    let home = lab();
    let (mut a, b) = pair(&home);
    b.signal(Signal::STOP);
    let until = Instant::now() + stop;
    a.event_within("lost", Duration::from_secs(9));
    thread::sleep(until.saturating_duration_since(Instant::now()));
    b.signal(Signal::CONT);
    let again = Instant::now();
    let joined = a.event_within("joined", Duration::from_secs(5));
    assert_eq!((joined["id"].as_str(), &joined["epoch"]), (Some(b.id().as_str()), &b.ready["epoch"]));
    let linked = || {
        let peers = home.done(&["peers", "--node", "b", "--json"]).object();
        peers["peers"][0]["id"] == a.id() && peers["peers"][0]["state"] == "up"
    };
    assert!(eventually(linked), "the one that stood still knows the other again");
    let took = again.elapsed();
    crate::tell(&format!("stopped for {stop:?}: linked again {took:?} after it went on"));
    assert!(took < Duration::from_secs(5), "{took:?}");
}
