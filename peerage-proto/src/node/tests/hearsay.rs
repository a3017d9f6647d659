//! An insider who tells of nodes that do not exist, at addresses of his choice.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::*;
use crate::address::Host;
use crate::codec::Payload;
use crate::hello::NetworkKey;
use crate::liveness::Profile;
use crate::membership::{About, Handed, Incarnation, Keys, Record, ServiceList, SignedRecord, Word};
use crate::sim::{Judge, Seal};

fn lab() -> NetworkKey {
    NetworkKey::new("lab", &[7; 32]).unwrap()
}

/// A node of this id that says it can be reached there. Whoever is in the network can make any number of them.
fn record_of(id: NodeId, addresses: Vec<Address>) -> Payload {
    let record = Record {
        id,
        incarnation: Incarnation { epoch: epoch(1), sequence: 1 },
        name: "n".to_owned(),
        // Another machine than ours.
        machine: [9; 16],
        groups: BTreeSet::new(),
        hub: false,
        ephemeral: false,
        addresses,
        services: None,
        sealing_key: None,
        left: None,
        lease: secs(3_600),
    };
    SignedRecord::sign(&record, &lab(), &Seal::of(id)).unwrap().encode()
}

/// Ada, who lives in a private network and listens on all interfaces, loopback included.
fn ada() -> Scene {
    let here = Here {
        own: vec![address("tls://10.1.2.3:5000")],
        listening: vec![address("tls://[::]:5000"), address("unix:///run/own.link")],
        interfaces: vec!["10.1.2.3".parse().unwrap()],
        plaintext: false,
    };
    let about = About {
        name: "ada".to_owned(),
        machine: [3; 16],
        groups: BTreeSet::new(),
        hub: false,
        ephemeral: false,
        addresses: here.own.clone(),
        services: ServiceList::default(),
        sealing_key: None,
    };
    let config = Config { here, ..Config::new(ADA, epoch(100), 4711) };
    let keys = Keys { signer: Arc::new(Seal::of(ADA)), verifier: Arc::new(Judge), network: lab() };
    let keeps = KeepsMembers { keys, profile: Profile::LAN, about };
    let mut scene = Scene::new();
    scene.node_keeps_members = true;
    scene.node = Node::with_members(scene.now, config, keeps).unwrap();
    scene
}

/// The address with this number: most are of kinds that no peer can have, some look like those of nodes.
fn hostile(number: u32) -> Address {
    let [_, a, b, c] = number.to_be_bytes();
    let text = match number % 10 {
        0 => format!("tls://127.0.0.1:{}", 1 + number % 60_000),
        1 => format!("tls://169.254.{b}.{c}:80"),
        2 => format!("quic://[fe80::{number:x}]:53"),
        3 => format!("tls://224.{a}.{b}.{c}:1900"),
        4 => format!("unix:///run/{number}.sock"),
        5 => format!("tls://10.1.2.3:{}", 5_000),
        6 => format!("tls://[::ffff:127.0.{b}.{c}]:22"),
        7 => format!("tls://host-{number}.lab:5000"),
        8 => format!("tls://9.{a}.{b}.{c}:5000"),
        // One victim, again and again.
        _ => "tls://9.9.9.9:443".to_owned(),
    };
    text.parse().unwrap()
}

fn is_denied(address: &Address) -> bool {
    !address.host().and_then(Host::ip).is_some_and(|ip| ip.to_string().starts_with("9."))
}

#[test]
fn ten_thousand_hostile_addresses_lead_to_no_denied_range_and_to_few_dials_of_others() {
    let mut scene = ada();
    let link = scene.proved(BOB, 1);
    scene.feed(Input::Introduced { link, record: record_of(BOB, Vec::new()), path: "tls".to_owned() });
    scene.forget();
    let start = scene.now;
    let mut dials: Vec<(Duration, Address)> = Vec::new();
    let mut told: u32 = 0;
    while scene.now < start + secs(900) {
        // As much as a neighbour may tell unasked.
        let mut records = Vec::new();
        while records.len() < 64 && told < 10_000 {
            let mut id = [0; 32];
            id[..4].copy_from_slice(&told.to_be_bytes());
            let addresses = (told..told + 10).map(hostile).collect();
            records.push(Handed { record: record_of(NodeId::from_bytes(id), addresses), remaining: secs(3_600) });
            told += 10;
        }
        for records in records.chunks(32) {
            scene.feed(Input::Told { link, word: Word::Discovered { records: records.to_vec(), at: None } });
        }
        for _ in 0..50 {
            while let Some(order) = scene.orders.pop_front() {
                if let Order::Dial { dial, address, .. } = order {
                    dials.push((scene.now - start, address));
                    scene.fails(dial, DialError::TimedOut(secs(3)));
                }
            }
            scene.after(millis(100));
        }
    }
    assert!(told >= 10_000, "{told}");
    assert_eq!(dials.iter().filter(|(_, to)| is_denied(to)).collect::<Vec<_>>(), Vec::<&(Duration, Address)>::new());
    let within = |from: Duration, to: Duration| dials.iter().filter(|(at, _)| (from..to).contains(at)).count();
    let first = within(secs(0), secs(60));
    assert!((1..=64).contains(&first), "{first} in the first minute");
    for minute in 1..15 {
        let made = within(secs(60 * minute), secs(60 * (minute + 1)));
        assert!(made <= 10, "{made} in minute {minute}");
    }
    let victim: Vec<Duration> =
        dials.iter().filter(|(_, to)| to.to_string().contains("9.9.9.9")).map(|(at, _)| *at).collect();
    assert!(victim.len() > 1 && victim.windows(2).all(|two| two[1] - two[0] >= secs(30)), "{victim:?}");
}
