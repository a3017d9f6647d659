//! Two hosts on one local network, and nothing but a ticket.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::cable::{Cable, HOSTS};
use crate::home::Home;
use crate::node::Up;
use crate::program::eventually;
use crate::spoof;

/// Options of a node that can only be found over the network.
const LAN: [&str; 3] = ["--network", "lab", "--no-local"];

/// Gives `other` the ticket of the network, in which there are no seeds.
fn invite(home: &Home, other: &Home) {
    let ticket = home.done(&["network", "ticket", "--network", "lab"]).stdout;
    let joined = other.run_with(ticket.as_bytes(), &["network", "join", "-"]);
    assert_eq!(joined.code, Some(0), "{}", joined.stderr);
}

fn status(home: &Home, up: &Up) -> Value {
    home.done(&["status", "--node", up.ready["name"].as_str().expect("a name"), "--json"]).object()
}

fn mdns(status: &Value) -> Value {
    let all = status["discovery"].as_array().expect("a list");
    all.iter().find(|way| way["method"] == "mdns").unwrap_or_else(|| panic!("no mdns: {status}")).clone()
}

#[test]
fn two_hosts_with_one_ticket_and_no_seed_find_each_other_within_three_seconds() {
    let _machine = crate::beside_others();
    let Some(cable) = Cable::lay() else { return };
    let (inviter, guest) = (Home::new(), Home::new());
    inviter.done(&["network", "new", "lab"]);
    invite(&inviter, &guest);
    let mut a = cable.up(0, &inviter, "a", &LAN);
    let began = Instant::now();
    let mut b = cable.up(1, &guest, "b", &LAN);
    b.event_of("joined", "a");
    a.event_of("joined", "b");
    let took = began.elapsed();
    crate::tell(&format!("found over the local network {took:?} after the start of the second process"));
    assert!(took < Duration::from_secs(3), "{took:?}");
    for (home, up, other) in [(&inviter, &a, HOSTS[1]), (&guest, &b, HOSTS[0])] {
        let found = |way: &Value| {
            way["found"]
                .as_array()
                .expect("a list")
                .iter()
                .any(|found| found["address"].as_str().is_some_and(|at| at.contains(other)))
        };
        assert!(eventually(|| found(&mdns(&status(home, up)))), "{}", mdns(&status(home, up)));
        assert_eq!(status(home, up)["nominal"], json!(true));
    }
    // Who leaves says so.
    b.stop();
    a.event_of("left", "b");
    assert!(eventually(|| mdns(&status(&inviter, &a))["found"] == json!([])), "{}", mdns(&status(&inviter, &a)));
}

#[test]
fn a_record_of_another_network_leads_to_no_dial() {
    let _machine = crate::beside_others();
    let Some(cable) = Cable::lay() else { return };
    let (here, there) = (Home::new(), Home::new());
    here.done(&["network", "new", "lab"]);
    // The same name, another secret.
    there.done(&["network", "new", "lab"]);
    let a = cable.up(0, &here, "a", &LAN);
    let b = cable.up(1, &there, "b", &LAN);
    std::thread::sleep(Duration::from_secs(3));
    for (home, up) in [(&here, &a), (&there, &b)] {
        let status = status(home, up);
        assert_eq!(mdns(&status)["state"], json!("watching"), "{status}");
        assert_eq!((&mdns(&status)["found"], &status["counters"]["peerage_dials_total"]), (&json!([]), &json!(0)));
        assert_eq!(status["counters"]["peerage_connections_accepted_total"], json!(0));
    }
}

#[test]
fn ten_thousand_made_up_records_a_second_lead_to_no_dial_and_take_little_time() {
    let _machine = crate::beside_others();
    let Some(cable) = Cable::lay() else { return };
    let home = Home::new();
    home.done(&["network", "new", "lab"]);
    let a = cable.up(0, &home, "a", &LAN);
    assert!(eventually(|| mdns(&status(&home, &a))["state"] == "watching"));
    // They are heard at all: a few do no harm.
    assert_eq!(spoof::flood(cable.pid(1), HOSTS[1], 20, Duration::from_secs(1)) / 10, 1);
    assert_eq!(mdns(&status(&home, &a))["state"], json!("watching"));
    let before = processor_time(&a);
    let sent = spoof::flood(cable.pid(1), HOSTS[1], 10_000, FLOOD);
    let share = (processor_time(&a) - before).as_secs_f64() / FLOOD.as_secs_f64();
    crate::tell(&format!("{sent} made-up records in {FLOOD:?}: {:.1} % of a core", share * 100.0));
    let status = status(&home, &a);
    assert_eq!((&mdns(&status)["state"], &mdns(&status)["found"]), (&json!("failing"), &json!([])));
    assert!(mdns(&status)["last_error"].as_str().is_some_and(|why| why.starts_with("flooded")), "{status}");
    assert_eq!((&status["counters"]["peerage_dials_total"], &status["nominal"]), (&json!(0), &json!(true)));
    assert!(sent > 30_000 && share < 0.05, "{sent} records took {share} of a core");
}

/// What the processor has done for a node so far.
fn processor_time(up: &Up) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", up.child.id())).expect("the process lives");
    // The name in brackets may hold blanks; after it come the third field and those that follow.
    let fields: Vec<&str> = stat.rsplit(')').next().expect("a name").split_whitespace().collect();
    let ticks: u64 = [11, 12].iter().map(|at: &usize| fields[*at].parse::<u64>().expect("a number")).sum();
    Duration::from_millis(ticks * 1_000 / rustix::param::clock_ticks_per_second())
}

/// How long a flood is.
const FLOOD: Duration = Duration::from_secs(5);

#[test]
fn an_address_that_appears_is_told_and_whoever_was_waited_for_is_dialled_within_two_seconds() {
    let _machine = crate::beside_others();
    let Some(cable) = Cable::lay() else { return };
    let (here, there) = (Home::new(), Home::new());
    here.done(&["network", "new", "lab"]);
    invite(&here, &there);
    cable.address(0, "del", HOSTS[0]);
    let seed = format!("tls://{}:5000", HOSTS[1]);
    let options = [&LAN[..], &["--no-lan", "--listen", "tls://[::]:5000"]].concat();
    let _b = cable.up(1, &there, "b", &options);
    let mut a = cable.up(0, &here, "a", &[&options[..], &["--seed", &seed]].concat());
    // Until the waits between two dials are long.
    let dials = |status: &Value| status["counters"]["peerage_dials_total"].as_u64().expect("a number");
    assert!(eventually(|| dials(&status(&here, &a)) >= 7), "{}", status(&here, &a));
    let told = |status: &Value| status["addresses"].to_string().contains(HOSTS[0]);
    assert!(!told(&status(&here, &a)));
    cable.address(0, "add", HOSTS[0]);
    let began = Instant::now();
    a.event_of("joined", "b");
    assert!(eventually(|| told(&status(&here, &a))), "{}", status(&here, &a));
    let took = began.elapsed();
    crate::tell(&format!("linked and told {took:?} after an interface got its address"));
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[test]
fn a_node_without_lan_neither_announces_itself_nor_looks() {
    let _machine = crate::beside_others();
    let Some(cable) = Cable::lay() else { return };
    let (here, there) = (Home::new(), Home::new());
    here.done(&["network", "new", "lab"]);
    invite(&here, &there);
    let a = cable.up(0, &here, "a", &[&LAN[..], &["--no-lan"]].concat());
    let b = cable.up(1, &there, "b", &LAN);
    assert!(eventually(|| mdns(&status(&there, &b))["state"] == "watching"));
    assert_eq!(mdns(&status(&there, &b))["found"], json!([]));
    let of_a = status(&here, &a)["discovery"].clone();
    assert!(of_a.as_array().expect("a list").iter().all(|way| way["method"] != "mdns"), "{of_a}");
}

#[test]
fn each_address_of_a_seed_that_is_a_name_is_a_seed() {
    let _machine = crate::beside_others();
    let Some(cable) = Cable::lay() else { return };
    let (here, there) = (Home::new(), Home::new());
    here.done(&["network", "new", "lab"]);
    invite(&here, &there);
    let (second, hosts) = ("10.209.0.3", here.beside("hosts"));
    cable.address(1, "add", second);
    std::fs::write(&hosts, format!("{} nodes.lab\n{second} nodes.lab\n", HOSTS[1])).expect("a file can be written");
    let at = |host: &str| format!("tls://{host}:5000");
    let up = |name: &str, host: &str| {
        let listen = at(host);
        cable.up(1, &there, name, &[&LAN[..], &["--no-lan", "--listen", &listen]].concat())
    };
    let (_b, _c) = (up("b", HOSTS[1]), up("c", second));
    let options = [&LAN[..], &["--no-lan", "--listen", "tls://10.209.0.1:0", "--seed", "tls://nodes.lab"]].concat();
    let a = cable.up_with_names(0, &hosts, &here, "a", &options);
    let linked = || status(&here, &a)["links"].as_array().expect("a list").len();
    assert!(eventually(|| linked() == 2), "{}", status(&here, &a));
    let seeds = status(&here, &a)["discovery"][0].clone();
    let found: Vec<&str> =
        seeds["found"].as_array().expect("a list").iter().filter_map(|found| found["address"].as_str()).collect();
    assert_eq!(found, [at("nodes.lab"), at(HOSTS[1]), at(second)], "{seeds}");
}
