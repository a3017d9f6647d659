//! Who is there: found by id or name, chosen by filters, told apart from who is not, and why.

use std::collections::BTreeSet;
use std::future::IntoFuture as _;
use std::time::Duration;

use peerage::node::snapshot::PeerState;
use peerage::node::{Change, Event, Filter, FindError, Mistake, Presence, SetError};
use peerage::{Address, Node};

use crate::place::{Place, address, event, memory, pair, soon, until};

/// A node that the others meet, and where.
async fn meeting_place(place: &Place) -> (Node, Address) {
    let at = memory();
    let hub = place.node("meeting").listen(at.clone()).start().await.unwrap();
    (hub, at)
}

async fn all_know(nodes: &[&Node], count: usize) {
    for node in nodes {
        until(|| {
            let peers = node.peers();
            peers.complete && peers.peers.iter().filter(|entry| entry.state == PeerState::Up).count() == count
        })
        .await;
    }
}

#[tokio::test]
async fn nodes_that_met_at_one_place_know_and_reach_each_other() {
    let place = Place::new();
    let (hub, at) = meeting_place(&place).await;
    let mut nodes = vec![hub];
    for n in 0..5 {
        let node = place.node(&format!("n{n}")).seed(at.clone()).listen(memory());
        nodes.push(node.start().await.unwrap());
    }
    all_know(&nodes.iter().collect::<Vec<_>>(), 5).await;
    for node in &nodes {
        let peers = node.peers().peers;
        assert!(peers.iter().all(|entry| entry.path.as_deref() == Some("memory") && entry.direction.is_some()));
        for other in nodes.iter().filter(|other| other.id() != node.id()) {
            soon(node.call("peerage/ping").peer::<()>(other.id())).await.unwrap();
        }
    }
}

#[tokio::test]
async fn nodes_that_cannot_be_dialled_are_members_through_the_links_they_open() {
    let place = Place::new();
    let (hub, at) = meeting_place(&place).await;
    let a = place.node("a").seed(at.clone()).start().await.unwrap();
    let b = place.node("b").seed(at).start().await.unwrap();
    all_know(&[&hub, &a, &b], 2).await;
    let entry = soon(a.find("b").into_future()).await.unwrap();
    assert_eq!((entry.id, entry.state, entry.path, entry.direction), (b.id().to_string(), PeerState::Up, None, None));
    let why = a.why("b").await.unwrap();
    let told = &why.transitions[0];
    assert_eq!((&*told.evidence, told.told_by.clone()), ("record", Some(hub.id().to_string())));

    // It says goodbye to whom it is linked with, and all others hear of it.
    let mut events = a.events();
    b.drain(Duration::from_secs(1)).await;
    let left = event(&mut events, |event| matches!(event, Event::Left { .. })).await;
    assert!(matches!(&left, Event::Left { name, .. } if name == "b"), "{left:?}");
}

#[tokio::test]
async fn who_is_looked_for_is_present_absent_or_not_yet_known() {
    let place = Place::new();
    let lonely = place.node("lonely").start().await.unwrap();
    assert!(matches!(lonely.presence("b"), Presence::NotYetKnown { .. }));
    let unknown = soon(lonely.find("b").within(Duration::from_millis(50)).into_future()).await.unwrap_err();
    assert_eq!(unknown, FindError::NotYetKnown { who: "b".into(), missing: vec!["no link with any node".into()] });
    assert!(matches!(lonely.presence("lonely"), Presence::Present { .. }), "a node knows that it is there itself");

    let (a, b) = pair(&place).await;
    let found = soon(a.find("b").into_future()).await.unwrap();
    assert_eq!(found.id, b.id().to_string());
    assert_eq!(soon(a.find(&found.id).into_future()).await.unwrap().name, "b");
    let absent = soon(a.find("nobody").into_future()).await.unwrap_err();
    assert!(matches!(&absent, FindError::Absent { who, .. } if who == "nobody"), "{absent:?}");

    // Whoever looked before the other was there is told as soon as he comes.
    let late = memory();
    let waits = place.node("waits").seed(late.clone()).start().await.unwrap();
    let looking = tokio::spawn(async move { waits.find("late").await });
    let late = place.node("late").listen(late).start().await.unwrap();
    assert_eq!(soon(looking).await.unwrap().unwrap().id, late.id().to_string());
    a.stop().await;
    assert_eq!(a.joined().await.unwrap_err(), FindError::ShuttingDown);
    assert_eq!(soon(a.find("x").into_future()).await.unwrap_err(), FindError::ShuttingDown);
}

#[tokio::test]
async fn a_name_that_fits_several_is_an_error_that_lists_their_ids() {
    let place = Place::new();
    let (hub, at) = meeting_place(&place).await;
    let first = place.node("twin").seed(at.clone()).start().await.unwrap();
    let second = place.node("twin").seed(at).start().await.unwrap();
    all_know(&[&hub], 2).await;
    let ids = BTreeSet::from([first.id().to_string(), second.id().to_string()]);
    let several = hub.find("twin").await.unwrap_err();
    assert!(matches!(&several, FindError::Ambiguous { ids: found, .. } if BTreeSet::from_iter(found.clone()) == ids));
    assert!(matches!(hub.why("twin").await.unwrap_err(), FindError::Ambiguous { .. }));
    assert_eq!(hub.find(&first.id().to_string()).await.unwrap().name, "twin");
}

#[tokio::test]
async fn a_filter_chooses_by_groups_hubs_names_machine_and_state_alike_wherever_it_is_used() {
    let place = Place::new();
    let (hub, at) = meeting_place(&place).await;
    let join = async |name: &str, groups: &[&str], is_hub: bool| {
        let node = place.node(name).seed(at.clone()).hub(is_hub);
        let node = groups.iter().fold(node, |node, group| node.group(group.parse().unwrap()));
        node.start().await.unwrap()
    };
    let (_a, _b, _c) = (join("a", &["x"], true).await, join("b", &["x", "y"], false).await, join("c", &[], true).await);
    let gone = join("gone", &["x"], false).await;
    all_know(&[&hub], 4).await;
    gone.drain(Duration::from_secs(1)).await;
    all_know(&[&hub], 3).await;

    let group = |name: &str| name.parse().unwrap();
    let table: &[(Filter, &[&str])] = &[
        (Filter::new(), &["a", "b", "c"]),
        (Filter::new().group(group("x")), &["a", "b"]),
        (Filter::new().group(group("y")), &["b"]),
        (Filter::new().groups([group("x"), group("y")]), &["a", "b"]),
        (Filter::new().group(group("z")), &[]),
        (Filter::new().hubs_only(), &["a", "c"]),
        (Filter::new().hubs_only().group(group("x")), &["a"]),
        (Filter::new().peer("b"), &["b"]),
        (Filter::new().peers(["a", "c", "nobody"]), &["a", "c"]),
        (Filter::new().peers(["a", "b"]).hubs_only(), &["a"]),
        (Filter::new().on_host(), &["a", "b", "c"]),
        (Filter::new().on_host().group(group("y")).hubs_only(), &[]),
        (Filter::new().state(PeerState::Up), &["a", "b", "c"]),
        (Filter::new().state(PeerState::Left), &["gone"]),
        (Filter::new().state(PeerState::Lost), &[]),
        (Filter::new().state(PeerState::Left).state(PeerState::Up).group(group("x")), &["a", "b", "gone"]),
        (Filter::new().any_state(), &["a", "b", "c", "gone"]),
        (Filter::new().any_state().peer("gone").hubs_only(), &[]),
    ];
    for (filter, wanted) in table {
        let chosen: BTreeSet<String> = hub.peers().matching(filter).peers.into_iter().map(|entry| entry.name).collect();
        assert_eq!(chosen, wanted.iter().map(ToString::to_string).collect(), "{filter:?}");
    }
    let elsewhere = hub.peers();
    let on_host = Filter::new().on_host();
    assert!(elsewhere.peers.iter().all(|entry| !on_host.admits(entry, "another machine")));
}

#[tokio::test]
async fn what_a_node_says_of_itself_can_be_changed_while_it_runs_and_all_others_learn_it() {
    let place = Place::new();
    let (hub, at) = meeting_place(&place).await;
    let a = place.node("a").seed(at.clone()).group("old".parse().unwrap()).start().await.unwrap();
    let b = place.node("b").seed(at).start().await.unwrap();
    all_know(&[&hub, &b], 2).await;
    let change = Change::new()
        .join("new".parse().unwrap())
        .leave("old".parse().unwrap())
        .hub(true)
        .advertise(vec![address("tls://192.0.2.7:5000")]);
    a.set(change).await.unwrap();
    assert_eq!((a.status().groups, a.status().hub), (vec!["new".to_owned()], true));
    assert_eq!(a.addresses().len(), 1);
    for node in [&hub, &b] {
        until(|| {
            let found = node.peers().matching(&Filter::new().peer("a")).peers;
            found
                .iter()
                .any(|entry| entry.hub && entry.groups == ["new"] && entry.addresses == ["tls://192.0.2.7:5000"])
        })
        .await;
    }
    let long = Change::new();
    let long = (0..64).fold(long, |change, n| change.join(format!("{n:0>200}").parse().unwrap()));
    let why = a.set(long).await.unwrap_err();
    assert!(matches!(&why, SetError::Mistake(Mistake::Record(_))), "{why:?}");
    let plain = Change::new().advertise(vec![address("tcp://192.0.2.7:1?dialect=plain")]);
    assert!(matches!(a.set(plain).await.unwrap_err(), SetError::Mistake(Mistake::Advertise { .. })));
    assert_eq!(a.status().groups, ["new"], "what cannot be said changes nothing");
    a.stop().await;
    assert_eq!(a.set(Change::new().hub(false)).await.unwrap_err(), SetError::ShuttingDown);
}

#[tokio::test]
async fn refreshing_asks_the_neighbours_now_and_ends_with_their_answers() {
    let place = Place::new();
    let (a, b) = pair(&place).await;
    let peers = soon(a.refresh(Duration::from_secs(10))).await;
    assert_eq!(peers.peers[0].id, b.id().to_string());
    a.stop().await;
    soon(a.refresh(Duration::from_secs(10))).await;
}

#[tokio::test]
async fn why_tells_what_was_observed_of_a_node_that_came_back_after_a_crash() {
    let place = Place::new();
    let (a, b) = pair(&place).await;
    let mut events = a.events();
    b.disconnect(a.id(), "lunch").await.unwrap();
    event(&mut events, |event| matches!(event, Event::Left { .. })).await;
    let why = a.why("b").await.unwrap();
    assert_eq!((&*why.name, why.state), ("b", PeerState::Left));
    let told: Vec<_> = why.transitions.iter().map(|one| (one.from, one.to, &*one.evidence, &*one.detail)).collect();
    assert_eq!(told[0], (None, PeerState::Up, "link", ""));
    assert_eq!(*told.last().unwrap(), (Some(PeerState::Up), PeerState::Left, "left", "lunch"));
    assert!(why.transitions.iter().all(|one| one.observer == a.id().to_string() && one.local_health == 1));
    assert!(why.transitions.is_sorted_by_key(|one| one.mono_us));
    assert!(matches!(a.why("nobody").await.unwrap_err(), FindError::NotYetKnown { .. } | FindError::Absent { .. }));
}
