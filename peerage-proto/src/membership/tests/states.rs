//! The states of a member, each change with its evidence.

use super::scene::{Puppet, SECOND, Scene, discovered};
use crate::limits;
use crate::membership::{ChangedTo, Evidence, LinkEnd, State, Wish, Word};

#[test]
fn a_node_that_links_has_joined_by_this_nodes_own_observation() {
    let mut scene = Scene::new();
    let bob = Puppet::of(1);
    scene.link(&bob);
    assert_eq!(scene.changes(), [(bob.id, ChangedTo::Joined)]);
    let last = scene.last(&bob);
    assert_eq!((last.evidence, last.informant, last.path.as_deref()), (Evidence::Link, None, Some("tls://p1")));
    assert_eq!(scene.ada.member(&bob.id).unwrap().path, Some("tls://p1"));
}

#[test]
fn a_link_with_a_member_that_is_up_is_remembered_and_no_event() {
    let (mut scene, [bob]) = Scene::linked_with([1]);
    let eve = Puppet::of(2);
    scene.told(&bob, discovered([eve.handed(1)]));
    scene.changes();
    let version = scene.ada.version();
    scene.link(&eve);
    assert_eq!(scene.changes(), []);
    assert_eq!(scene.evidence(&eve), [Evidence::Record, Evidence::Link]);
    assert!(scene.ada.version() > version);
}

#[test]
fn a_link_that_moves_shows_its_new_path() {
    let (mut scene, [bob]) = Scene::linked_with([1]);
    let version = scene.ada.version();
    scene.act(|ada, now| ada.moved(now, bob.id, "quic://p1"));
    assert_eq!(scene.ada.member(&bob.id).unwrap().path, Some("quic://p1"));
    assert!(scene.ada.version() > version);
}

#[test]
fn a_goodbye_or_a_farewell_means_left_once() {
    for by_record in [false, true] {
        let (mut scene, [bob]) = Scene::linked_with([1]);
        if by_record {
            scene.told(&bob, discovered([bob.farewell(2)]));
        }
        scene.unlink(&bob, LinkEnd::Goodbye);
        assert_eq!(scene.changes(), [(bob.id, ChangedTo::Left)], "{by_record}");
        assert_eq!(scene.last(&bob).evidence, Evidence::Left);
        assert!(scene.other_wishes().contains(&Wish::Forget { peer: bob.id }));
    }
}

#[test]
fn a_farewell_travels_to_those_without_a_link() {
    let (mut scene, [bob]) = Scene::linked_with([1]);
    let eve = Puppet::of(2);
    scene.told(&bob, discovered([eve.handed(1), Puppet::of(3).farewell(1)]));
    scene.told(&bob, discovered([eve.farewell(2)]));
    assert_eq!(scene.changes(), [(eve.id, ChangedTo::Joined), (eve.id, ChangedTo::Left)]);
    assert_eq!(scene.state(&Puppet::of(3)), None, "nobody leaves who was not there");
}

#[test]
fn a_node_that_was_started_again_is_lost_and_joins() {
    let (mut scene, [bob, eve]) = Scene::linked_with([1, 2]);
    scene.unlink(&bob, LinkEnd::Reset);
    let again = bob.restarted();
    scene.link(&again);
    let changed = [ChangedTo::Suspect, ChangedTo::Lost, ChangedTo::Joined];
    assert_eq!(scene.changes_of(&bob), changed);
    assert_eq!(scene.evidence(&bob)[1..], [Evidence::Reset, Evidence::Restarted, Evidence::Link]);
    assert_eq!(scene.ada.member(&bob.id).unwrap().record.incarnation.epoch, again.epoch);
    // The same by hearsay, while the link with the run before still seems to stand.
    scene.told(&bob, discovered([eve.restarted().handed(1)]));
    assert_eq!(scene.changes_of(&eve), [ChangedTo::Lost, ChangedTo::Joined]);
    assert_eq!(scene.ada.member(&eve.id).unwrap().path, None);
    assert!(scene.other_wishes().contains(&Wish::Outdated { peer: eve.id, newest: again.epoch }));
    scene.unlink(&eve, LinkEnd::Reset);
    assert_eq!((scene.changes_of(&eve), scene.state(&eve)), (vec![], Some(State::Up)));
}

#[test]
fn a_run_of_which_only_the_farewell_is_heard_ends_the_one_before_and_does_not_join() {
    let (mut scene, [bob]) = Scene::linked_with([1]);
    let eve = Puppet::of(2);
    scene.told(&bob, discovered([eve.handed(1)]));
    scene.told(&bob, discovered([eve.restarted().farewell(2)]));
    assert_eq!(scene.changes_of(&eve), [ChangedTo::Joined, ChangedTo::Lost]);
    assert_eq!(scene.state(&eve), Some(State::Left));
    let third = eve.restarted().restarted();
    scene.told(&bob, discovered([third.handed(1)]));
    assert_eq!(scene.changes_of(&eve), [ChangedTo::Joined]);
}

#[test]
fn a_lost_member_is_not_revived_by_hearsay_of_the_same_record() {
    let (mut scene, [bob, eve]) = Scene::linked_with([1, 2]);
    scene.unlink(&eve, LinkEnd::Reset);
    scene.wait(SECOND * 10);
    assert_eq!(scene.state(&eve), Some(State::Lost));
    scene.changes();
    scene.told(&bob, discovered([eve.handed(1)]));
    assert_eq!((scene.changes(), scene.state(&eve)), (Vec::new(), Some(State::Lost)));
    scene.told(&bob, discovered([eve.handed(2)]));
    assert_eq!(scene.changes(), [(eve.id, ChangedTo::Joined)]);
}

#[test]
fn a_process_that_stood_still_comes_back_in_the_same_epoch() {
    let (mut scene, [bob, _eve]) = Scene::linked_with([1, 2]);
    scene.unlink(&bob, LinkEnd::Silence);
    scene.wait(SECOND * 30);
    scene.link(&bob);
    assert_eq!(scene.changes_of(&bob), [ChangedTo::Suspect, ChangedTo::Lost, ChangedTo::Joined]);
    assert_eq!((scene.state(&bob), scene.last(&bob).epoch), (Some(State::Up), bob.epoch));
    assert!(scene.other_wishes().iter().any(|wish| matches!(wish, Wish::Reach { peer, .. } if *peer == bob.id)));
}

#[test]
fn a_link_does_not_undo_a_farewell() {
    let (mut scene, [bob]) = Scene::linked_with([1]);
    scene.told(&bob, discovered([bob.farewell(2)]));
    scene.unlink(&bob, LinkEnd::Goodbye);
    scene.changes();
    scene.link_with(&bob, 1);
    assert_eq!((scene.changes(), scene.state(&bob)), (Vec::new(), Some(State::Left)));
}

#[test]
fn a_ghost_is_lost_with_its_lease_and_forgotten_after_an_hour() {
    let (mut scene, [bob]) = Scene::linked_with([1]);
    let ghost = Puppet::of(2);
    scene.told(&bob, discovered([ghost.handed(1)]));
    scene.wait(limits::RECORD_LEASE);
    assert_eq!(scene.changes_of(&ghost), [ChangedTo::Joined, ChangedTo::Lost]);
    assert_eq!(scene.last(&ghost).evidence, Evidence::Lease);
    scene.other_wishes();
    scene.wait(limits::MEMBER_KEPT - SECOND);
    assert_eq!((scene.state(&ghost), scene.other_wishes()), (Some(State::Lost), Vec::new()));
    scene.wait(SECOND);
    assert_eq!((scene.state(&ghost), scene.other_wishes()), (None, vec![Wish::Forget { peer: ghost.id }]));
}

#[test]
fn a_member_with_a_link_needs_no_lease() {
    let (mut scene, [bob]) = Scene::linked_with([1]);
    scene.wait(limits::RECORD_LEASE * 3);
    assert_eq!(scene.state(&bob), Some(State::Up));
    // And when the link is lost it is judged like any other, not at once.
    scene.unlink(&bob, LinkEnd::Reset);
    scene.wait(SECOND * 5);
    assert_eq!(scene.state(&bob), Some(State::Suspect));
}

#[test]
fn sixteen_transitions_are_remembered_and_long_texts_are_cut() {
    let (mut scene, [bob]) = Scene::linked_with([1]);
    for _ in 0..20 {
        scene.act(|ada, now| ada.unlinked(now, bob.id, LinkEnd::Reset, &"é".repeat(1_000)));
        scene.link(&bob);
    }
    assert_eq!(scene.evidence(&bob).len(), limits::TRANSITIONS_MAX);
    let reset = scene.ada.transitions(&bob.id).find(|transition| transition.evidence == Evidence::Reset).unwrap();
    assert_eq!(reset.detail, "é".repeat(128));
    scene.act(|ada, now| ada.moved(now, bob.id, &"é".repeat(1_000)));
    assert_eq!(scene.ada.member(&bob.id).unwrap().path, Some("é".repeat(128).as_str()));
}

#[test]
fn a_transition_tells_its_evidence_in_one_line() {
    let (mut scene, [bob, eve]) = Scene::linked_with([1, 2]);
    scene.act(|ada, now| ada.local_health(now, 3));
    scene.unlink(&eve, LinkEnd::Reset);
    let Some((_, Word::Check { ask, .. })) = scene.said().into_iter().find(|(to, _)| *to == bob.id) else {
        panic!("bob is asked")
    };
    scene.told(&bob, Word::Checked { ask, answer: crate::membership::Answer::Unreachable });
    scene.act(|ada, now| ada.local_health(now, 1));
    scene.wait(SECOND * 6);
    let lines: Vec<_> = scene.ada.transitions(&eve.id).map(|transition| transition.to_string()).collect();
    let reset = "reset: so says the test (tls://p2); this node was 3 times as slow as usual";
    let indirect = format!("indirect: so says the test (tls://p2); {} says unreachable", bob.id);
    assert_eq!(lines, ["admitted over tls://p2", reset, &indirect]);
    let mia = Puppet::of(3);
    scene.told(&bob, discovered([mia.handed(1)]));
    assert_eq!(scene.last(&mia).to_string(), format!("record, told by {}", bob.id));
}

#[test]
fn every_state_and_evidence_has_a_name_of_its_own() {
    let names: std::collections::BTreeSet<_> = State::ALL.iter().map(|state| state.to_string()).collect();
    assert_eq!(names, ["left", "lost", "suspect", "up"].map(str::to_owned).into());
    assert_eq!(Evidence::NoRoom.to_string(), "no-room");
}
