//! Processes that start in any order and look for each other at once: nobody who is ready is called absent, and nobody waits
//! for anything but an answer.

use std::io::{BufRead as _, BufReader};
use std::thread;
use std::time::Duration;

use crate::home::Home;
use crate::node::{Killed, Up};
use crate::program::finish;

const NODES: usize = 4;

#[test]
fn what_is_served_is_called_in_whatever_order_processes_start() {
    let _alone = crate::alone();
    let rounds = if crate::is_thorough() { 30 } else { 4 };
    for seed in 0..rounds {
        let home = Home::new();
        let mut state: u64 = seed;
        let mut dice = |below: u64| {
            // Constants of Knuth's MMIX generator.
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        let waits: Vec<Duration> = (0..NODES).map(|_| Duration::from_millis(dice(150))).collect();
        let server = dice(NODES as u64) as usize;
        let caller = (server + 1 + dice(NODES as u64 - 1) as usize) % NODES;
        let started: Vec<(Up, Option<Killed>)> = thread::scope(|scope| {
            let start = |number: usize, wait: Duration| {
                let home = &home;
                scope.spawn(move || {
                    thread::sleep(wait);
                    let node = home.up(&format!("n{number}"), &[]);
                    (node, (number == server).then(|| serve(home, number)))
                })
            };
            let started: Vec<_> = waits.iter().enumerate().map(|(number, wait)| start(number, *wait)).collect();
            started.into_iter().map(|started| started.join().expect("it starts")).collect()
        });
        // The very first call, at the moment at which the service says that it is there.
        let from = format!("n{caller}");
        let call = home.peerage(&["call", "echo", "hello", "--node", &from, "--deadline", "10s", "--json"]).spawn();
        let called = finish(call.expect("the program starts"));
        assert_eq!(called.code, Some(0), "seed {seed}: {from} calls n{server}: {called:?}");
        assert_eq!(called.object()["value"], "hello", "seed {seed}");
        assert_eq!(called.object()["peer"], started[server].0.id(), "seed {seed}");
    }
    crate::tell(&format!("calling in any order of starts: {rounds} of {rounds} first calls were answered"));
}

/// A service at this node, once it says that it is there.
fn serve(home: &Home, node: usize) -> Killed {
    let serve = home.peerage(&["serve", "echo", "--echo", "--node", &format!("n{node}")]).spawn();
    let mut serve = Killed(serve.expect("the program starts"));
    let mut line = String::new();
    let mut stdout = BufReader::new(serve.0.stdout.take().expect("stdout is piped"));
    stdout.read_line(&mut line).expect("stdout can be read");
    assert!(line.starts_with("ready echo"), "{line}");
    serve
}

#[test]
fn whoever_is_ready_is_found_in_whatever_order_processes_start() {
    let _alone = crate::alone();
    let rounds = if crate::is_thorough() { 30 } else { 4 };
    for seed in 0..rounds {
        let home = Home::new();
        // A network that is made while all start is the harder case; half of the rounds have it.
        if seed % 2 == 0 {
            home.done(&["network", "new", "local"]);
        }
        let mut state: u64 = seed;
        let mut dice = |below: u64| {
            // Constants of Knuth's MMIX generator.
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        let waits: Vec<Duration> = (0..NODES).map(|_| Duration::from_millis(dice(150))).collect();
        let nodes: Vec<Up> = thread::scope(|scope| {
            let started: Vec<_> = waits
                .iter()
                .enumerate()
                .map(|(number, wait)| {
                    let home = &home;
                    scope.spawn(move || {
                        thread::sleep(*wait);
                        home.up(&format!("n{number}"), &[])
                    })
                })
                .collect();
            started.into_iter().map(|started| started.join().expect("it starts")).collect()
        });
        let (from, to) = (dice(NODES as u64), dice(NODES as u64 - 1));
        let to = (from + 1 + to) % NODES as u64;
        let (from, to) = (format!("n{from}"), format!("n{to}"));
        let find = home.peerage(&["find", &to, "--node", &from, "--timeout", "10s", "--json"]).spawn();
        let found = finish(find.expect("the program starts"));
        assert_eq!(found.code, Some(0), "seed {seed}: {from} looks for {to}: {found:?}");
        assert_eq!(found.object()["presence"], "present", "seed {seed}");
        drop(nodes);
    }
    crate::tell(&format!("starting in any order: {rounds} of {rounds} times found at once"));
}
