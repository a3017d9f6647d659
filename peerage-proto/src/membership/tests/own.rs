//! The record that a node signs about itself.

use super::scene::{MS, Puppet, SECOND, Scene, about, discovered, epoch_at, lab};
use crate::id::NodeId;
use crate::limits;
use crate::membership::{About, Handed, Incarnation, InvalidRecord, Record, SignedRecord, Word};
use crate::sim::{Judge, Seal};

/// What was pushed to this neighbour: numbers of ada's own records.
fn pushed(scene: &mut Scene, to: &Puppet) -> Vec<(u64, bool)> {
    let words = scene.said_to(to).into_iter().filter_map(|word| match word {
        Word::Discovered { records, at: None } => Some(records),
        _ => None,
    });
    let own = words.flatten().map(|handed| {
        assert_eq!(handed.remaining, limits::RECORD_LEASE);
        let signed = SignedRecord::open(&handed.record, &lab(), &Judge).unwrap();
        (signed.record().incarnation.sequence, signed.record().left.is_some())
    });
    own.collect()
}

/// A record that ada signed, or somebody with a copy of its key.
fn of_ada(scene: &Scene, incarnation: Incarnation) -> Handed {
    let record = Record { incarnation, ..scene.ada.record().record().clone() };
    let signed = SignedRecord::sign(&record, &lab(), &Seal::of(scene.id())).unwrap();
    Handed { record: signed.encode(), remaining: limits::RECORD_LEASE }
}

#[test]
fn the_first_record_of_a_run_has_number_one_and_a_lease_of_ninety_seconds() {
    let scene = Scene::new();
    let record = scene.ada.record().record();
    assert_eq!((record.id, record.incarnation.sequence), (scene.id(), 1));
    assert_eq!((record.lease.as_secs(), record.left.is_some(), record.name.as_str()), (90, false, "ada"));
}

#[test]
fn a_record_is_renewed_every_thirty_seconds_or_a_little_earlier_and_pushed_to_all_neighbours() {
    let (mut scene, [bob, eve]) = Scene::linked_with([1, 2]);
    scene.wait(SECOND * 26);
    assert_eq!(scene.sequence(), 1);
    scene.wait(SECOND * 5);
    assert_eq!(scene.sequence(), 2);
    let said = scene.said();
    for peer in [bob.id, eve.id] {
        let is_record = |word: &Word| matches!(word, Word::Discovered { records, at: None } if records.len() == 1);
        assert_eq!(said.iter().filter(|(to, word)| *to == peer && is_record(word)).count(), 1);
        assert!(said.iter().any(|(to, word)| *to == peer && matches!(word, Word::Digest(_))), "and the digest with it");
    }
    scene.wait(SECOND * 60);
    assert!((4..=5).contains(&scene.sequence()), "{}", scene.sequence());
}

#[test]
fn what_changes_is_announced_at_once() {
    let (mut scene, [bob]) = Scene::linked_with([1]);
    let words = About { hub: true, ..about("ada") };
    scene.act(|ada, now| ada.announce(now, words).unwrap());
    assert_eq!(pushed(&mut scene, &bob), [(2, false)]);
    assert!(scene.ada.record().record().hub);
}

#[test]
fn what_is_no_record_is_not_announced() {
    let mut scene = Scene::new();
    let nameless = scene.ada.announce(scene.now, About { name: String::new(), ..about("ada") });
    assert!(matches!(nameless, Err(InvalidRecord::NameLength { bytes: 0 })), "{nameless:?}");
    let groups = (0..60).map(|n| format!("a-group-with-a-long-name-{n}").parse().unwrap()).collect();
    let too_large = scene.ada.announce(scene.now, About { groups, ..about("ada") });
    assert!(matches!(too_large, Err(InvalidRecord::TooLarge { .. })), "{too_large:?}");
    assert_eq!((scene.sequence(), scene.ada.record().record().name.as_str()), (1, "ada"));
}

#[test]
fn addresses_that_do_not_fit_are_left_out_the_last_first() {
    let mut scene = Scene::new();
    let addresses: Vec<_> =
        (0..40).map(|n| format!("tls://a-host-with-quite-a-long-name-{n}.example").parse().unwrap()).collect();
    scene.act(|ada, now| ada.announce(now, About { addresses: addresses.clone(), ..about("ada") }).unwrap());
    let kept = &scene.ada.record().record().addresses;
    assert!((10..32).contains(&kept.len()), "{}", kept.len());
    assert_eq!(kept[..], addresses[..kept.len()]);
    // However long the numbers grow, the record fits.
    scene.act(|ada, now| ada.renew(now, epoch_at(u64::MAX)));
    assert_eq!(scene.ada.record().record().incarnation.epoch.start(), u64::MAX);
}

#[test]
fn whoever_is_suspected_signs_a_new_record_at_once_but_not_more_than_one_a_second() {
    let (mut scene, [bob]) = Scene::linked_with([1]);
    scene.wait(SECOND);
    scene.told(&bob, Word::Suspected);
    assert_eq!(pushed(&mut scene, &bob), [(2, false)]);
    for _ in 0..100 {
        scene.told(&bob, Word::Suspected);
    }
    assert_eq!(pushed(&mut scene, &bob), []);
    scene.wait(SECOND);
    assert_eq!(pushed(&mut scene, &bob), [(3, false)]);
    scene.wait(SECOND * 5);
    assert_eq!(pushed(&mut scene, &bob), []);
}

#[test]
fn a_new_epoch_begins_with_a_record_of_its_own() {
    let (mut scene, [bob]) = Scene::linked_with([1]);
    scene.wait(SECOND * 31);
    scene.said();
    scene.act(|ada, now| ada.renew(now, epoch_at(500)));
    assert_eq!(scene.ada.record().record().incarnation, Incarnation { epoch: epoch_at(500), sequence: 1 });
    assert_eq!(pushed(&mut scene, &bob), [(1, false)]);
}

#[test]
fn the_farewell_is_the_last_word() {
    let (mut scene, [bob]) = Scene::linked_with([1]);
    scene.act(|ada, now| ada.leave(now, "lunch"));
    assert_eq!(pushed(&mut scene, &bob), [(2, true)]);
    scene.act(|ada, now| ada.leave(now, "lunch"));
    scene.told(&bob, Word::Suspected);
    scene.told(&bob, discovered([Puppet::of(5).handed(1)]));
    scene.act(|ada, now| ada.announce(now, about("ada")).unwrap());
    scene.act(|ada, now| ada.renew(now, epoch_at(500)));
    scene.wait(SECOND * 120);
    assert_eq!((scene.said(), scene.sequence()), (Vec::new(), 2));
    assert_eq!((scene.ada.next_timeout(), scene.state(&Puppet::of(5))), (None, None));
}

#[test]
fn a_record_of_ours_that_we_do_not_remember_is_outdone() {
    let (mut scene, [bob]) = Scene::linked_with([1]);
    let epoch = epoch_at(100);
    let newer = of_ada(&scene, Incarnation { epoch, sequence: 40 });
    scene.told(&bob, discovered([newer.clone()]));
    assert_eq!(pushed(&mut scene, &bob), [(41, false)]);
    scene.told(&bob, discovered([newer]));
    assert_eq!(scene.sequence(), 41);
}

#[test]
fn records_of_ours_from_elsewhere_have_no_other_effect() {
    let (mut scene, [bob]) = Scene::linked_with([1]);
    for incarnation in [
        Incarnation { epoch: epoch_at(100), sequence: 1 },
        Incarnation { epoch: epoch_at(100), sequence: u64::MAX },
        Incarnation { epoch: epoch_at(101), sequence: 5 },
        Incarnation { epoch: epoch_at(99), sequence: 5 },
    ] {
        let handed = of_ada(&scene, incarnation);
        scene.told(&bob, discovered([handed]));
        assert_eq!(scene.sequence(), 1, "{incarnation:?}");
    }
    let ada = Puppet { id: scene.id(), ..Puppet::of(1) };
    scene.told(&bob, discovered([ada.forged(7)]));
    assert_eq!((scene.sequence(), scene.ada.members().count()), (1, 1));
}

#[test]
fn an_introduction_holds_the_record_of_the_peer_and_of_nobody_else() {
    let scene = Scene::new();
    let [bob, eve] = [Puppet::of(1), Puppet::of(2)];
    let open = |peer: &NodeId, handed: &Handed| scene.ada.open_own(peer, &handed.record);
    assert_eq!(open(&bob.id, &bob.handed(3)), Ok(bob.signed(3)));
    assert_eq!(open(&eve.id, &bob.handed(3)), Err(InvalidRecord::NotOurs));
    assert_eq!(open(&bob.id, &bob.forged(3)), Err(InvalidRecord::Signature));
}

#[test]
fn two_nodes_do_not_renew_in_step() {
    let renewed_at = |seed| {
        let keys = super::scene::keys_of(NodeId::from_bytes([200; 32]));
        let now = crate::sim::epoch();
        let profile = crate::liveness::Profile::LAN;
        let node = crate::membership::Membership::new(keys, profile, about("x"), epoch_at(1), seed, now).unwrap();
        node.next_timeout().unwrap() - now
    };
    assert_ne!(renewed_at(1), renewed_at(2));
    assert!((0..50).map(renewed_at).all(|at| at > SECOND * 27 - MS && at <= SECOND * 30));
}
