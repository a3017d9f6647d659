//! Who is let in and who is not: other networks, other keys, other versions, and what each side learns of it.

use std::time::{Duration, Instant};

use peerage::network::{Network, Secret};
use peerage::node::{ConnectError, Event, Limits};
use peerage::{Address, Identity, Node};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::place::{LIMIT, Place, address, event, memory, soon, until};

fn places(place: &Place) -> Vec<Address> {
    let unix = Address::unix(place.path("door.link")).unwrap();
    vec![memory(), unix, address("tls://127.0.0.1:0"), address("quic://127.0.0.1:0"), address("tcp://127.0.0.1:0")]
}

#[tokio::test]
async fn another_network_is_silence_for_the_stranger_and_a_clear_word_for_the_one_who_dialled() {
    let place = Place::new();
    let other_secret = Network::new("lab", Secret::generate()).unwrap();
    let other_name = Network::new("lob", Secret::from_bytes(place.network.secret().as_bytes()).unwrap()).unwrap();
    for listen in places(&place) {
        let door = place.node("door").dangerously_plaintext().listen(listen).start().await.unwrap();
        for network in [&other_secret, &other_name] {
            let stranger = Node::builder(Identity::generate()).network(network.clone()).dangerously_plaintext();
            let stranger = stranger.start().await.unwrap();
            let refused = soon(stranger.connect(&door.addresses()[0])).await.unwrap_err();
            assert_eq!(refused, ConnectError::WrongNetwork, "{}", door.addresses()[0]);
            assert_eq!((refused.outcome().name(), &*refused.why()), ("refused", "wrong-network"));
            assert!(refused.to_string().contains("tickets"), "it names the remedy: {refused}");
        }
        until(|| door.status().counters["peerage_admissions_of_strangers_total"] == 2).await;
        assert!(door.peers().peers.is_empty());
        door.stop().await;
    }
}

#[tokio::test]
async fn whoever_proves_nothing_is_sent_nothing_and_is_gone_after_five_seconds() {
    let place = Place::new();
    let door = place.node("door").dangerously_plaintext().listen(address("tcp://127.0.0.1:0")).start().await.unwrap();
    let listening = &door.addresses()[0];
    let connect = || async {
        let ip = listening.host().and_then(|host| host.ip()).unwrap();
        tokio::net::TcpStream::connect((ip, listening.port().unwrap())).await.unwrap()
    };
    let started = Instant::now();
    let mut silent = connect().await;
    let mut garbage = connect().await;
    garbage.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut much = connect().await;
    let _ = much.write_all(&[&5_000_u32.to_be_bytes()[..], &[0; 5_000]].concat()).await;
    let mut told = Vec::new();
    for stream in [&mut garbage, &mut much] {
        let mut bytes = Vec::new();
        let _ = soon(stream.read_to_end(&mut bytes)).await;
        told.push(bytes);
    }
    assert!(started.elapsed() < Duration::from_secs(2), "what is no handshake ends at once");
    let mut bytes = Vec::new();
    soon(silent.read_to_end(&mut bytes)).await.unwrap();
    told.push(bytes);
    let after = started.elapsed();
    assert!((Duration::from_millis(4_900)..Duration::from_secs(8)).contains(&after), "{after:?}");
    // Without TLS the acceptor speaks first: a nonce and the id of its key, one frame, and not a byte more.
    assert!(told.iter().all(|bytes| bytes == &told[0] || bytes.len() == told[0].len()), "{told:02x?}");
    assert!(told[0].len() < 128);
    assert!(door.status().links.is_empty());
}

#[tokio::test]
async fn an_address_with_the_id_of_another_node_is_not_linked_with() {
    let place = Place::new();
    let expected = Identity::generate().id();
    for listen in places(&place) {
        let door = place.node("door").dangerously_plaintext().listen(listen).start().await.unwrap();
        let a = place.node("a").dangerously_plaintext().start().await.unwrap();
        let pinned = door.addresses()[0].clone().with_node(expected);
        let refused = soon(a.connect(&pinned)).await.unwrap_err();
        assert_eq!(refused, ConnectError::IdentityMismatch { expected, found: door.id() });
        assert_eq!((refused.outcome().name(), &*refused.why()), ("refused", "identity-mismatch"));
        let right = door.addresses()[0].clone().with_node(door.id());
        assert_eq!(soon(a.connect(&right)).await, Ok(door.id()));
        a.stop().await;
        door.stop().await;
    }
}

#[tokio::test]
async fn one_link_too_many_is_refused_as_busy_and_those_that_are_there_stay() {
    let place = Place::new();
    let limits = Limits { links: 2, ..Limits::default() };
    let door = place.node("door").limits(limits).listen(memory()).start().await.unwrap();
    let mut nodes = Vec::new();
    for name in ["a", "b", "c"] {
        nodes.push(place.node(name).start().await.unwrap());
    }
    for node in &nodes[..2] {
        soon(node.connect(&door.addresses()[0])).await.unwrap();
    }
    let refused = soon(nodes[2].connect(&door.addresses()[0])).await.unwrap_err();
    assert!(matches!(refused, ConnectError::Busy { retry_after } if retry_after > Duration::ZERO), "{refused:?}");
    assert_eq!((refused.outcome().name(), refused.class().name()), ("busy", "did-not-run"));
    assert_eq!(door.status().links.len(), 2);
    nodes[0].stop().await;
    until(|| door.status().links.len() == 1).await;
    soon(nodes[2].connect(&door.addresses()[0])).await.unwrap();
}

#[tokio::test]
async fn strangers_at_the_door_are_bounded_and_the_oldest_gives_way() {
    let place = Place::new();
    let limits = Limits { half_open: 8, ..Limits::default() };
    let builder = place.node("door").dangerously_plaintext().limits(limits);
    let door = builder.listen(address("tcp://127.0.0.1:0")).start().await.unwrap();
    let port = door.addresses()[0].port().unwrap();
    let mut strangers = Vec::new();
    for _ in 0..20 {
        strangers.push(tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap());
    }
    until(|| door.status().counters["peerage_connections_crowded_out_total"] >= 12).await;
    assert!(door.status().half_open <= 8, "{}", door.status().half_open);
    let honest = place.node("a").dangerously_plaintext().start().await.unwrap();
    let started = Instant::now();
    soon(honest.connect(&door.addresses()[0])).await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(1), "an honest node is through at once");
}

#[tokio::test]
async fn who_comes_too_fast_is_turned_away_and_counted() {
    let place = Place::new();
    let limits = Limits { accepts_per_second: 1, ..Limits::default() };
    let builder = place.node("door").dangerously_plaintext().limits(limits);
    let door = builder.listen(address("tcp://127.0.0.1:0")).start().await.unwrap();
    let port = door.addresses()[0].port().unwrap();
    let flood = async {
        for _ in 0..1_300 {
            drop(tokio::net::TcpStream::connect(("127.0.0.1", port)).await);
        }
    };
    tokio::time::timeout(LIMIT, flood).await.unwrap();
    until(|| door.status().counters["peerage_connections_over_rate_total"] > 100).await;
    assert_eq!(door.status().counters["peerage_accept_errors_total"], 0);
}

#[tokio::test]
async fn a_seed_of_another_network_is_a_fault_that_is_gone_when_the_right_one_takes_its_place() {
    let place = Place::new();
    let seed = memory();
    let other = Node::builder(Identity::generate())
        .network(Network::new("lab", Secret::generate()).unwrap())
        .listen(seed.clone())
        .start()
        .await
        .unwrap();
    let a = place.node("a").seed(seed.clone()).start().await.unwrap();
    let mut events = a.events();
    event(&mut events, |event| matches!(event, Event::Fault { .. })).await;
    let status = a.status();
    assert!(!status.nominal);
    assert_eq!((status.faults.len(), status.faults[0].fault.as_str()), (1, "wrong-network"));
    assert!(status.faults[0].remedy.contains("tickets") && status.faults[0].detail.contains(&seed.to_string()));
    assert!(!a.peers().complete && !a.peers().missing.is_empty());
    other.stop().await;
    let right = place.node("right").listen(seed).start().await.unwrap();
    event(&mut events, |event| matches!(event, Event::Cleared { .. })).await;
    until(|| a.status().nominal && a.peers().complete).await;
    assert_eq!(a.peers().peers[0].id, right.id().to_string());
}
