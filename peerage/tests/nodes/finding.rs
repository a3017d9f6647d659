//! Nodes that nobody told where the others are.

use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::Duration;

use peerage::node::Builder;
use peerage::node::snapshot::{DiscoveryStatus, PeerState};
use peerage::{Address, Node};

use crate::place::{Place, address, memory, soon, until};

/// A node with a link socket in the folder, that looks for others there.
fn meeting(place: &Place, name: &str) -> Builder {
    let folder = place.path("lab");
    peerage::private_file::private_folder(&folder).unwrap();
    let link = Address::unix(folder.join(format!("{name}.link"))).unwrap();
    place.node(name).listen(link).localhost(folder)
}

/// What a node says about one way of finding others.
fn method(node: &Node, name: &str) -> DiscoveryStatus {
    let status = node.status();
    let found = status.discovery.iter().find(|known| known.method == name);
    found.unwrap_or_else(|| panic!("no {name}: {:?}", status.discovery)).clone()
}

fn linked(node: &Node) -> usize {
    node.peers().peers.iter().filter(|peer| peer.state == PeerState::Up).count()
}

fn file_name(text: &str) -> &str {
    Path::new(text).file_name().unwrap().to_str().unwrap()
}

#[tokio::test]
async fn nodes_of_one_directory_find_each_other_and_whoever_comes_later() {
    let place = Place::new();
    let a = meeting(&place, "a").start().await.unwrap();
    let b = meeting(&place, "b").start().await.unwrap();
    until(|| linked(&a) == 1 && linked(&b) == 1).await;
    let c = meeting(&place, "c").start().await.unwrap();
    until(|| linked(&a) == 2 && linked(&b) == 2 && linked(&c) == 2).await;
    // Who was there at the start is known at once, who came later a look later.
    until(|| method(&a, "localhost").found.len() == 2).await;
    let shown = method(&a, "localhost");
    assert_eq!((shown.state.as_str(), &shown.last_error), ("watching", &None));
    assert_eq!(shown.found.iter().map(|found| file_name(&found.address)).collect::<Vec<_>>(), ["b.link", "c.link"]);
    assert!(shown.found.iter().all(|found| found.last_error.is_none()), "{shown:?}");
    assert_eq!(a.status().counters["peerage_found"], 2);
    // The link that the newcomer made is enough.
    assert_eq!(linked(&a), 2);
    assert!(a.status().links.iter().all(|link| link.path == "unix"));
    b.drain(Duration::from_secs(5)).await;
    until(|| method(&a, "localhost").found.len() == 1).await;
    assert!(a.status().nominal && c.status().nominal);
}

#[tokio::test]
async fn a_node_that_only_listens_is_found_by_those_who_were_there_before() {
    let place = Place::new();
    let a = meeting(&place, "a").start().await.unwrap();
    let quiet = place.node("quiet").listen(Address::unix(place.path("lab/quiet.link")).unwrap());
    let quiet = quiet.start().await.unwrap();
    until(|| linked(&a) == 1 && linked(&quiet) == 1).await;
    assert!(quiet.status().discovery.is_empty());
}

#[tokio::test]
async fn a_socket_that_was_left_behind_is_shown_with_the_reason_and_is_no_fault() {
    let place = Place::new();
    peerage::private_file::private_folder(&place.path("lab")).unwrap();
    drop(UnixListener::bind(place.path("lab/gone.link")).unwrap());
    let a = meeting(&place, "a").start().await.unwrap();
    until(|| method(&a, "localhost").found.iter().any(|found| found.last_error.is_some())).await;
    assert!(a.status().nominal, "{:?}", a.status().faults);
    // Its node comes back.
    let back = meeting(&place, "gone").start().await.unwrap();
    until(|| linked(&a) == 1 && linked(&back) == 1).await;
    until(|| method(&a, "localhost").found.iter().all(|found| found.last_error.is_none())).await;
}

#[tokio::test]
async fn a_directory_that_cannot_be_read_is_told() {
    let place = Place::new();
    let a = place.node("a").localhost(place.path("nowhere")).start().await.unwrap();
    until(|| method(&a, "localhost").state == "failing").await;
    let why = method(&a, "localhost").last_error.unwrap();
    assert!(why.contains("nowhere"), "{why}");
}

#[tokio::test]
async fn seeds_are_shown_with_why_their_dial_failed_and_names_that_do_not_resolve_with_that() {
    let place = Place::new();
    let b = place.node("b").listen(memory()).start().await.unwrap();
    let silent = memory();
    let nowhere = address("tls://no-such-name.invalid:5000");
    let builder = place.node("a").seed(b.addresses()[0].clone()).seed(silent.clone()).seed(nowhere.clone());
    let a = builder.start().await.unwrap();
    until(|| linked(&a) == 1).await;
    until(|| method(&a, "seeds").state == "failing").await;
    until(|| method(&a, "seeds").found.iter().filter(|found| found.last_error.is_some()).count() == 2).await;
    let shown = method(&a, "seeds");
    assert!(shown.last_error.as_ref().is_some_and(|why| why.contains("no-such-name.invalid")), "{shown:?}");
    let of = |address: &Address| shown.found.iter().find(|found| found.address == address.to_string()).unwrap();
    assert_eq!(of(&b.addresses()[0]).last_error, None);
    assert!(of(&silent).last_error.is_some() && of(&nowhere).last_error.is_some());
}

#[tokio::test]
async fn after_a_restart_a_node_finds_whom_it_was_linked_with_though_its_seed_is_gone_from_the_settings() {
    let place = Place::new();
    let at_loopback = |name: &str| place.node(name).listen(address("tls://127.0.0.1:0"));
    let a = at_loopback("a").start().await.unwrap();
    let file = place.path("state/b.anchors");
    let b = at_loopback("b").anchors(&file).seed(a.addresses()[0].clone()).start().await.unwrap();
    until(|| linked(&b) == 1).await;
    soon(b.stop()).await;
    let again = at_loopback("b").anchors(&file).start().await.unwrap();
    until(|| linked(&again) == 1).await;
    let shown = method(&again, "anchors");
    assert_eq!(shown.found.len(), 1);
    assert_eq!(shown.found[0].address, a.addresses()[0].clone().with_node(a.id()).to_string());
    // Whoever took that place meanwhile is not the one that was known.
    soon(again.stop()).await;
    let taken = a.addresses()[0].clone();
    soon(a.stop()).await;
    let stranger = place.node("stranger").listen(taken).start().await.unwrap();
    let last = at_loopback("b").anchors(&file).start().await.unwrap();
    until(|| method(&last, "anchors").found.iter().any(|found| found.last_error.is_some())).await;
    assert_eq!((linked(&last), linked(&stranger)), (0, 0));
    assert!(last.status().nominal, "{:?}", last.status().faults);
}

#[tokio::test]
async fn a_node_that_stops_looks_for_nobody_any_more() {
    let place = Place::new();
    let a = meeting(&place, "a").start().await.unwrap();
    soon(a.stop()).await;
    let b = meeting(&place, "b").start().await.unwrap();
    until(|| method(&b, "localhost").state == "watching").await;
    assert_eq!((linked(&b), a.status().links.len()), (0, 0));
}
