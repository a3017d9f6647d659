//! Two nodes become one pair: over every transport, in time, with what each says of itself.

use std::time::{Duration, Instant};

use peerage::node::snapshot::{Direction, PeerState};
use peerage::node::{ConnectError, Event};
use peerage::{Address, CallError, Identity, Node};

use crate::place::{Place, address, event, memory, pair, soon, until};

/// A place of each kind.
fn places(place: &Place) -> Vec<Address> {
    let unix = Address::unix(place.path("a.link")).unwrap();
    vec![memory(), unix, address("tls://127.0.0.1:0"), address("quic://127.0.0.1:0"), address("tcp://127.0.0.1:0")]
}

#[tokio::test]
async fn two_nodes_are_linked_within_a_second_over_every_transport() {
    let place = Place::new();
    for listen in places(&place) {
        let scheme = listen.scheme().to_string();
        let b = place.node("b").dangerously_plaintext().listen(listen).group("g".parse().unwrap()).hub(true);
        let b = b.start().await.unwrap();
        let a = place.node("a").dangerously_plaintext().start().await.unwrap();
        let started = Instant::now();
        assert_eq!(soon(a.connect(&b.addresses()[0])).await, Ok(b.id()));
        let took = started.elapsed();
        assert!(took < Duration::from_secs(1), "{scheme}: {took:?}");
        println!("{scheme}: linked after {took:?}");

        let peers = a.peers();
        let entry = &peers.peers[0];
        assert_eq!((entry.id.as_str(), entry.name.as_str(), entry.state), (&*b.id().to_string(), "b", PeerState::Up));
        assert_eq!((entry.direction, entry.path.as_deref()), (Some(Direction::Out), Some(&*scheme)));
        assert_eq!((entry.groups.as_slice(), entry.hub, entry.ephemeral), (&["g".to_owned()][..], true, false));
        assert_eq!(entry.epoch, b.epoch().to_string());
        until(|| a.peers().complete).await;
        let link = &a.status().links[0];
        assert_eq!((link.path.as_str(), link.active, link.proven), (&*scheme, true, scheme != "tcp"));
        let seen: peerage::Value = soon(a.call("peerage/pass_through").peer(b.id()).arg(&"hello")).await.unwrap();
        assert_eq!(seen, "hello".into());
        a.stop().await;
        b.stop().await;
    }
}

#[tokio::test]
async fn each_end_of_a_link_calls_the_other_over_it() {
    let place = Place::new();
    let (a, b) = pair(&place).await;
    for (from, to) in [(&a, &b), (&b, &a)] {
        let info: peerage::node::Info = soon(from.call("peerage/info").peer(to.id())).await.unwrap();
        assert_eq!((info.id, info.pid), (to.id().to_string(), std::process::id()));
        assert!(info.executable.is_some(), "a member is told");
    }
    let (out, inward) = (a.status().links, b.status().links);
    assert_eq!((out.len(), inward.len()), (1, 1));
    assert_eq!((out[0].direction, inward[0].direction), (Direction::Out, Direction::In));
}

#[tokio::test]
async fn a_seed_is_found_when_it_starts_late_and_again_after_it_was_started_anew() {
    let place = Place::new();
    let (seed, identity) = (memory(), Identity::generate());
    let a = place.node("a").seed(seed.clone()).start().await.unwrap();
    let mut events = a.events();
    let start = || Node::builder(identity.clone()).network(place.network.clone()).listen(seed.clone()).start();
    let first = start().await.unwrap();
    let epoch = |event: Event| match event {
        Event::Joined { epoch, .. } => epoch,
        other => panic!("{other:?}"),
    };
    let is_joined = |event: &Event| matches!(event, Event::Joined { .. });
    assert_eq!(epoch(event(&mut events, is_joined).await), first.epoch().to_string());
    first.stop().await;
    let second = start().await.unwrap();
    assert!(second.epoch() > first.epoch());
    assert_eq!(epoch(event(&mut events, is_joined).await), second.epoch().to_string());
    until(|| a.peers().peers[0].state == PeerState::Up).await;
    soon(a.call("peerage/ping").peer::<()>(second.id())).await.unwrap();
}

#[tokio::test]
async fn nodes_that_dial_each_other_at_once_end_with_one_link_and_lose_no_call() {
    let place = Place::new();
    for _ in 0..20 {
        let start = |name: &str| place.node(name).listen(memory()).start();
        let (a, b) = (start("a").await.unwrap(), start("b").await.unwrap());
        let dial = |from: &Node, to: &Node| {
            let (from, to) = (from.clone(), to.addresses()[0].clone());
            tokio::spawn(async move { from.connect(&to).await })
        };
        let dials: Vec<_> = (0..4).flat_map(|_| [dial(&a, &b), dial(&b, &a)]).collect();
        for dial in dials {
            soon(dial).await.unwrap().unwrap();
            soon(a.call("peerage/ping").peer::<()>(b.id())).await.unwrap();
            soon(b.call("peerage/ping").peer::<()>(a.id())).await.unwrap();
        }
        until(|| a.status().links.len() == 1 && b.status().links.len() == 1).await;
        assert_ne!(a.status().links[0].direction, b.status().links[0].direction, "it is the same one");
        soon(a.call("peerage/ping").peer::<()>(b.id())).await.unwrap();
        a.stop().await;
        b.stop().await;
    }
}

#[tokio::test]
async fn a_node_does_not_link_with_itself() {
    let place = Place::new();
    let a = place.node("a").listen(memory()).start().await.unwrap();
    let refused = soon(a.connect(&a.addresses()[0])).await.unwrap_err();
    assert_eq!((refused.clone(), refused.class().name()), (ConnectError::ToMyself, "did-not-run"));
    assert!(a.peers().peers.is_empty() && a.status().links.is_empty());
}

#[tokio::test]
async fn nobody_at_an_address_and_an_address_that_cannot_be_are_told_apart_from_a_refusal() {
    let place = Place::new();
    let a = place.node("a").start().await.unwrap();
    let nobody = soon(a.connect(&memory())).await.unwrap_err();
    assert!(matches!(nobody, ConnectError::Dial { refused: true, .. }), "{nobody:?}");
    assert_eq!((nobody.outcome().name(), &*nobody.why()), ("not-sent", "no-route"));
    let port = soon(a.connect(&address("tls://127.0.0.1:0"))).await.unwrap_err();
    assert!(matches!(port, ConnectError::Dial { refused: false, .. }), "{port:?}");
}

#[tokio::test]
async fn parting_tells_the_peer_why_and_is_not_undone_by_itself() {
    let place = Place::new();
    let (a, b) = pair(&place).await;
    let (mut told, mut tells) = (b.events(), a.events());
    soon(a.disconnect(b.id(), "lunch")).await.unwrap();
    assert!(a.status().links.is_empty());
    let left = event(&mut told, |event| matches!(event, Event::Left { .. })).await;
    assert!(matches!(&left, Event::Left { why, .. } if why == "left: lunch (memory)"), "{left:?}");
    event(&mut told, |event| *event == Event::Isolated).await;
    event(&mut tells, |event| *event == Event::Isolated).await;
    assert_eq!(b.peers().peers[0].state, PeerState::Left);
    let not_sent = soon(a.call("peerage/ping").peer::<()>(b.id())).await.unwrap_err();
    assert!(matches!(not_sent, CallError::NotSent { why: peerage::outcome::NotSent::NoRoute }), "{not_sent:?}");
    assert!(soon(a.disconnect(b.id(), "again")).await.is_err());
    soon(a.connect(&b.addresses()[0])).await.unwrap();
    event(&mut tells, |event| *event == Event::Connected).await;
}

#[tokio::test]
async fn a_peer_that_vanishes_is_suspect_at_once_and_lost_when_its_address_refuses() {
    let place = Place::new();
    let elsewhere = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let builder = place.node("b").listen(memory());
    let b = elsewhere.spawn(async { builder.start().await.unwrap() }).await.unwrap();
    let a = place.node("a").start().await.unwrap();
    soon(a.connect(&b.addresses()[0])).await.unwrap();
    let mut events = a.events();
    let gone = Instant::now();
    // With its runtime everything of it ends, and no goodbye is said.
    elsewhere.shutdown_background();
    event(&mut events, |event| matches!(event, Event::Suspect { .. })).await;
    assert!(gone.elapsed() < Duration::from_secs(1));
    event(&mut events, |event| matches!(event, Event::Lost { .. })).await;
    assert!(gone.elapsed() < Duration::from_secs(3), "{:?}", gone.elapsed());
    assert_eq!(a.peers().peers[0].state, PeerState::Lost);
}
