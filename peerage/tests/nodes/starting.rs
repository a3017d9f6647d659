//! What a configuration can say, and what it cannot mean.

use peerage::limits;
use peerage::network::{Network, Secret};
use peerage::node::{Builder, Event, Limits, Mistake, StartError};
use peerage::{BindError, Identity, Listener, Node};

use crate::place::{Place, address, event, soon};

async fn mistake(builder: Builder) -> Mistake {
    match builder.start().await {
        Err(StartError::Mistake(mistake)) => mistake,
        other => panic!("a mistake was expected: {other:?}"),
    }
}

#[tokio::test]
async fn a_node_without_a_network_does_not_start() {
    assert_eq!(mistake(Node::builder(Identity::generate())).await, Mistake::NoNetwork);
}

#[tokio::test]
async fn each_address_that_cannot_be_meant_is_named_with_what_is_wrong() {
    let place = Place::new();
    let id = Identity::generate().id();
    for text in [
        &format!("tls://{id}@127.0.0.1:0"),
        "tls://127.0.0.1:0?dialect=plain",
        "quic://127.0.0.1:0?dialect=plain",
        "unix:///tmp/x?codec=json",
        "tls://127.0.0.1:0?services=a",
    ] {
        let refused = mistake(place.node("a").listen(address(text))).await;
        assert!(matches!(&refused, Mistake::Listen { address: named, .. } if *named == address(text)), "{refused:?}");
    }
    for text in
        ["tls://0.0.0.0:5000", "tls://[::]:5000", "tls://a.lab:0", "unix:///tmp/x?dialect=plain", "tls://a.lab?next=3"]
    {
        let refused = mistake(place.node("a").advertise(address(text))).await;
        assert!(
            matches!(&refused, Mistake::Advertise { address: named, .. } if *named == address(text)),
            "{refused:?}"
        );
        let refused = mistake(place.node("a").seed(address(text))).await;
        assert!(matches!(&refused, Mistake::Seed { address: named, .. } if *named == address(text)), "{refused:?}");
    }
    let network = Network::new("lab", Secret::generate()).unwrap().with_seed(address("tls://a.lab:0")).unwrap();
    assert!(matches!(mistake(place.node("a").network(network)).await, Mistake::Seed { .. }));
    let twice = address("tls://127.0.0.1:5000");
    let refused = mistake(place.node("a").listen(twice.clone()).listen(twice.clone())).await;
    assert_eq!(refused, Mistake::Twice { address: twice });
}

#[tokio::test]
async fn plaintext_between_nodes_must_be_asked_for_by_its_dangerous_name() {
    let place = Place::new();
    let tcp = address("tcp://127.0.0.1:0");
    let seed = address("tcp://127.0.0.1:5000");
    let refused = mistake(place.node("a").listen(tcp.clone())).await;
    assert_eq!(refused, Mistake::Plaintext { address: tcp });
    assert!(refused.to_string().contains("tls://") && refused.to_string().contains("dangerously_plaintext"));
    assert_eq!(mistake(place.node("a").seed(seed.clone())).await, Mistake::Plaintext { address: seed.clone() });
    assert_eq!(mistake(place.node("a").advertise(seed.clone())).await, Mistake::Plaintext { address: seed });
}

#[tokio::test]
async fn a_bound_outside_its_range_is_named_with_the_range() {
    let place = Place::new();
    for (limits, name) in [
        (Limits { links: 0, ..Limits::default() }, "links"),
        (Limits { links: limits::LINKS_MAX + 1, ..Limits::default() }, "links"),
        (Limits { accepts_per_second: 0, ..Limits::default() }, "accepts_per_second"),
        (Limits { accepts_per_second_from_one: 0, ..Limits::default() }, "accepts_per_second_from_one"),
        (Limits { half_open: limits::HALF_OPEN_MAX + 1, ..Limits::default() }, "half_open"),
        (Limits { half_open_from_one: 0, ..Limits::default() }, "half_open_from_one"),
        (Limits { full_mesh: limits::FULL_MESH_MAX + 1, ..Limits::default() }, "full_mesh"),
        (Limits { served: 0, ..Limits::default() }, "served"),
    ] {
        let refused = mistake(place.node("a").limits(limits)).await;
        assert!(matches!(refused, Mistake::Limit { name: named, .. } if named == name), "{refused:?}");
    }
    let groups = (0..=limits::GROUPS_MAX).map(|n| format!("g{n}").parse().unwrap());
    let refused = mistake(groups.fold(place.node("a"), Builder::group)).await;
    assert_eq!(refused, Mistake::TooManyGroups { groups: limits::GROUPS_MAX + 1 });
}

#[tokio::test]
async fn an_address_in_use_is_an_error_of_start_and_leaves_nothing_behind() {
    let place = Place::new();
    let taken = Listener::bind(&address("tcp://127.0.0.1:0")).await.unwrap();
    let plain = taken.local_address().clone().with_dialect(peerage::address::Dialect::Plain);
    let control = place.control("a");
    let error = place.node("a").control(&control).listen(plain.clone()).start().await.unwrap_err();
    assert!(matches!(&error, StartError::Bind(BindError::AddressInUse { .. })), "{error:?}");
    assert!(error.to_string().contains("choose another port"), "{error}");
    assert!(!control.exists(), "the control socket is gone");
    taken.close();
    let node = place.node("a").control(&control).listen(plain).start().await.unwrap();
    assert!(control.exists());
    node.stop().await;
    assert!(!control.exists());
}

#[tokio::test]
async fn a_control_socket_in_a_folder_of_others_is_refused() {
    let place = Place::new();
    let folder = place.path("open");
    std::fs::create_dir(&folder).unwrap();
    std::fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let error = place.node("a").control(folder.join("a.sock")).start().await.unwrap_err();
    assert!(matches!(error, StartError::Control(_)), "{error:?}");
    assert!(error.to_string().contains("chmod"), "it names the remedy: {error}");
    let long = place.control(&"x".repeat(120));
    let error = place.node("a").control(long).start().await.unwrap_err();
    assert!(error.to_string().contains("too long"), "{error}");
}

#[tokio::test]
async fn several_nodes_live_in_one_process_and_each_run_is_newer_than_the_last() {
    let place = Place::new();
    let identity = Identity::generate();
    let start = || Node::builder(identity.clone()).network(place.network.clone()).start();
    let (a, b) = (place.node("a").start().await.unwrap(), place.node("a").start().await.unwrap());
    assert_ne!(a.id(), b.id());
    assert_eq!(a.name(), b.name());
    let mut epochs = Vec::new();
    for _ in 0..3 {
        let node = start().await.unwrap();
        assert_eq!(&**node.name(), &identity.id().to_string()[..8]);
        epochs.push(node.epoch());
        node.stop().await;
    }
    assert!(epochs.is_sorted_by(|a, b| a < b), "{epochs:?}");
}

#[tokio::test]
async fn stopping_twice_is_harmless_and_dropping_the_last_handle_stops() {
    let place = Place::new();
    let control = place.control("a");
    let node = place.node("a").control(&control).start().await.unwrap();
    let (other, mut events) = (node.clone(), node.events());
    soon(node.stop()).await;
    soon(node.stop()).await;
    assert!(other.is_stopped());
    soon(other.drain(std::time::Duration::from_secs(1))).await;
    event(&mut events, |event| *event == Event::Stopped).await;
    assert_eq!(soon(events.next()).await.map(|record| record.event), None, "nothing comes after it");

    let node = place.node("a").control(&control).start().await.unwrap();
    let mut events = node.events();
    drop(node.clone());
    assert!(control.exists());
    drop(node);
    while soon(events.next()).await.is_some() {}
    assert!(!control.exists());
}
