//! What is wrong with a node is listed with its remedy, and gone once it is cured.

use super::*;
use crate::hello::Versions;

fn too_slow(link: LinkId) -> Input {
    Input::Down { link, why: WhyDown::TooSlow }
}

#[track_caller]
fn raised(scene: &mut Scene, name: &str) -> Fault {
    let fault =
        scene.events.drain(..).find_map(|event| if let Event::Fault(fault) = event { Some(fault) } else { None });
    let fault = fault.expect("a fault was raised");
    assert_eq!(fault.kind.name(), name);
    assert_eq!(scene.fault_names(), [name]);
    fault
}

#[track_caller]
fn cleared(scene: &mut Scene, name: &str) {
    let is_it = |event: &Event| matches!(event, Event::Cleared(fault) if fault.kind.name() == name);
    assert!(scene.events.iter().any(is_it), "{name} was not cleared: {:?}", scene.events);
    assert!(scene.node.faults().is_empty());
    scene.events.clear();
}

#[test]
fn what_keeps_a_seed_from_being_a_link_is_a_fault_until_it_is_one() {
    let mismatch = HelloError::IdentityMismatch { expected: BOB, found: CAT };
    let versions = Versions::SPOKEN;
    let incompatible = HelloError::Incompatible { ours: versions, theirs: versions };
    for (why, name) in [
        (DialError::Hello(HelloError::WrongNetwork), "wrong-network"),
        (DialError::Hello(mismatch), "identity-mismatch"),
        (DialError::Hello(incompatible), "incompatible"),
        (refused(Refusal::Incompatible), "incompatible"),
        (refused(Refusal::IdentityConflict), "identity-conflict"),
    ] {
        let mut scene = Scene::new();
        scene.seed("tls://bob");
        let dial = scene.dials("tls://bob");
        scene.fails(dial, why.clone());
        let fault = raised(&mut scene, name);
        assert!(fault.detail.contains("tls://bob") && fault.detail.contains(&why.to_string()), "{}", fault.detail);
        // The same again is no second fault.
        scene.waits();
        let dial = scene.dials("tls://bob");
        scene.fails(dial, why);
        scene.told(&[]);
        scene.waits();
        let dial = scene.dials("tls://bob");
        let link = scene.proved_by(BOB, epoch(1), Trust::Proven, Some(dial));
        scene.feed(Input::Up { link });
        cleared(&mut scene, name);
    }
}

#[test]
fn a_seed_counts_as_unreachable_after_three_rounds_and_no_longer_once_there_is_a_link() {
    let mut scene = Scene::new();
    scene.seed("tls://bob");
    for _ in 0..2 {
        let dial = scene.dials("tls://bob");
        scene.fails(dial, unreachable());
        assert!(scene.node.faults().is_empty());
        scene.waits();
    }
    let dial = scene.dials("tls://bob");
    scene.fails(dial, unreachable());
    raised(&mut scene, "seed-unreachable");
    scene.waits();
    let dial = scene.dials("tls://bob");
    let link = scene.proved_by(BOB, epoch(1), Trust::Proven, Some(dial));
    scene.feed(Input::Up { link });
    cleared(&mut scene, "seed-unreachable");
}

#[test]
fn a_seed_that_dials_us_is_not_unreachable() {
    let mut scene = Scene::new();
    let seed =
        Input::Connect { connect: None, address: address("tls://bob"), expected: Some(BOB), keep: Keep::Forever };
    scene.feed(seed);
    for _ in 0..3 {
        let dial = scene.dials("tls://bob");
        scene.fails(dial, unreachable());
        scene.waits();
    }
    raised(&mut scene, "seed-unreachable");
    scene.link(BOB);
    cleared(&mut scene, "seed-unreachable");
}

#[test]
fn one_fault_at_a_time_for_one_seed() {
    let mut scene = Scene::new();
    scene.seed("tls://bob");
    let dial = scene.dials("tls://bob");
    scene.fails(dial, DialError::Hello(HelloError::WrongNetwork));
    raised(&mut scene, "wrong-network");
    scene.waits();
    let dial = scene.dials("tls://bob");
    scene.fails(dial, refused(Refusal::Incompatible));
    assert!(matches!(&scene.events[0], Event::Cleared(fault) if fault.kind == FaultKind::WrongNetwork));
    raised(&mut scene, "incompatible");
}

#[test]
fn a_peer_that_declines_for_now_is_no_fault_and_neither_is_a_connect_that_fails() {
    let mut scene = Scene::new();
    scene.seed("tls://bob");
    for why in [Refusal::Draining, busy(), Refusal::StaleEpoch { newest: epoch(200) }, Refusal::Other(77)] {
        let dial = scene.dials("tls://bob");
        scene.fails(dial, refused(why));
        scene.forget();
        scene.waits();
    }
    scene.forget();
    scene.connect(1, "tls://cat");
    let dial = scene.dials("tls://cat");
    scene.fails(dial, DialError::Hello(HelloError::WrongNetwork));
    scene.told(&[]);
}

#[test]
fn what_the_driver_has_trouble_with_is_a_fault_until_it_works_again() {
    let at = address("tls://[::]:5000");
    for (trouble, name) in [(Trouble::Listen(at.clone()), "listen"), (Trouble::Accept(at), "accept")] {
        let mut scene = Scene::new();
        scene.feed(Input::Troubled { trouble: trouble.clone(), detail: "too many open files".to_owned() });
        let fault = raised(&mut scene, name);
        assert_eq!(fault.detail, "tls://[::]:5000: too many open files");
        assert_eq!(fault.since, scene.now);
        scene.feed(Input::Cured { trouble: trouble.clone() });
        cleared(&mut scene, name);
        scene.feed(Input::Cured { trouble });
        scene.told(&[]);
    }
}

#[test]
fn a_peer_that_does_not_read_is_a_fault_until_it_was_well_for_a_minute() {
    let mut scene = Scene::new();
    let link = scene.linked(BOB);
    scene.feed(too_slow(link));
    raised(&mut scene, "too-slow");
    scene.link(BOB);
    scene.after(secs(59));
    assert_eq!(scene.fault_names(), ["too-slow"]);
    scene.after(secs(1));
    cleared(&mut scene, "too-slow");
}

#[test]
fn a_slow_link_beside_another_one_is_a_fault_too() {
    let mut scene = Scene::new();
    let link = scene.linked(BOB);
    scene.linked(BOB);
    scene.after(secs(100));
    scene.feed(too_slow(link));
    raised(&mut scene, "too-slow");
    assert_eq!(scene.node.connected(), 1);
    scene.after(secs(60));
    cleared(&mut scene, "too-slow");
}

#[test]
fn the_fault_of_a_peer_is_forgotten_with_the_peer() {
    let mut scene = Scene::new();
    let link = scene.linked(BOB);
    scene.feed(too_slow(link));
    raised(&mut scene, "too-slow");
    scene.after(secs(3_600));
    cleared(&mut scene, "too-slow");
    assert_eq!(scene.node.next_timeout(), None);
}

#[test]
fn no_more_peers_are_remembered_than_there_is_room_for_and_their_faults_go_with_them() {
    let mut scene = Scene::new();
    let link = scene.linked(BOB);
    scene.feed(too_slow(link));
    raised(&mut scene, "too-slow");
    for n in 0..limits::PEERS_REMEMBERED_MAX {
        scene.after(millis(1));
        let mut id = [9; 32];
        id[..8].copy_from_slice(&n.to_be_bytes());
        let link = scene.link(NodeId::from_bytes(id));
        scene.lost(link);
        scene.orders.clear();
        scene.events.retain(|event| matches!(event, Event::Fault(_) | Event::Cleared(_)));
    }
    cleared(&mut scene, "too-slow");
    // Nothing is known of it any more, its epoch neither.
    assert_eq!((scene.node.connected(), scene.fault_names().len()), (0, 0));
    let link = scene.proved(BOB, 0);
    scene.ordered(&[Order::Admit { link }]);
}

#[test]
fn faults_are_listed_oldest_first_and_not_more_of_them_than_one_can_read() {
    let mut scene = Scene::new();
    for port in (1..200).rev() {
        let trouble = Trouble::Listen(address(&format!("tls://[::]:{port}")));
        scene.feed(Input::Troubled { trouble, detail: "in use".to_owned() });
        scene.after(millis(1));
    }
    let faults = scene.node.faults();
    assert_eq!(faults.len(), limits::FAULTS_MAX);
    assert!(faults.is_sorted_by_key(|fault| fault.since));
    assert!(faults[0].detail.starts_with("tls://[::]:199:"));
}

#[test]
fn every_fault_has_a_name_of_its_own_and_a_remedy() {
    let mut names: Vec<&str> = FaultKind::ALL.iter().map(|kind| kind.name()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), FaultKind::ALL.len());
    assert!(FaultKind::ALL.iter().all(|kind| kind.remedy().len() > 10));
}
