//! Two hosts on one local network, and nothing but a ticket.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::cable::{Cable, HOSTS};
use crate::home::Home;
use crate::node::Up;
use crate::program::eventually;

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
    assert_eq!(status(&here, &a)["discovery"], json!([]));
}
