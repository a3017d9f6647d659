//! Which records count, and who pays for those that do not.

use std::time::Duration;

use super::scene::{Puppet, SECOND, Scene, discovered};
use crate::codec::{Encoding, Payload};
use crate::limits;
use crate::membership::{ChangedTo, Evidence, Handed, LinkEnd, Missing, State, Wish, Word};

#[test]
fn a_record_from_a_neighbour_makes_a_member_and_a_wish_for_a_link() {
    let (mut scene, [bob]) = Scene::linked_with([1]);
    let eve = Puppet::of(2);
    scene.told(&bob, discovered([eve.handed(1)]));
    assert_eq!(scene.changes(), [(eve.id, ChangedTo::Joined)]);
    assert_eq!(scene.state(&eve), Some(State::Up));
    let last = scene.last(&eve);
    assert_eq!((last.evidence, last.informant, last.from), (Evidence::Record, Some(bob.id), None));
    let reach = Wish::Reach { peer: eve.id, addresses: eve.about.addresses.clone(), informant: Some(bob.id) };
    assert_eq!(scene.other_wishes(), [reach]);
    assert_eq!(scene.ada.missing().last(), Some(&Missing::Dial(eve.id)));
}

#[test]
fn the_same_record_again_changes_nothing_and_does_not_extend_the_lease() {
    let (mut scene, [bob]) = Scene::linked_with([1]);
    let eve = Puppet::of(2);
    scene.told(&bob, discovered([eve.handed(1)]));
    let version = scene.ada.version();
    for _ in 0..8 {
        scene.wait(SECOND * 10);
        scene.told(&bob, discovered([eve.handed(1)]));
    }
    assert_eq!(scene.ada.version(), version);
    scene.wait(SECOND * 9);
    assert_eq!(scene.state(&eve), Some(State::Up));
    scene.wait(SECOND);
    assert_eq!(scene.state(&eve), Some(State::Lost));
}

#[test]
fn a_lease_is_believed_as_long_as_its_record_says_and_no_longer() {
    let (mut scene, [bob]) = Scene::linked_with([1]);
    let [eve, mia] = [Puppet::of(2), Puppet::of(3)];
    let long = Handed { remaining: Duration::from_secs(1_000_000), ..eve.handed(1) };
    let short = Handed { remaining: SECOND * 3, ..mia.handed(1) };
    scene.told(&bob, discovered([long, short]));
    scene.wait(SECOND * 3);
    assert_eq!([scene.state(&eve), scene.state(&mia)], [Some(State::Up), Some(State::Lost)]);
    scene.wait(SECOND * 87);
    assert_eq!(scene.state(&eve), Some(State::Lost));
}

#[test]
fn records_that_are_over_or_older_are_not_looked_at() {
    let (mut scene, [bob]) = Scene::linked_with([1]);
    let eve = Puppet::of(2);
    scene.told(&bob, discovered([Handed { remaining: Duration::ZERO, ..eve.handed(1) }]));
    assert_eq!(scene.state(&eve), None);
    let new = eve.restarted();
    scene.told(&bob, discovered([new.handed(5)]));
    scene.changes();
    let version = scene.ada.version();
    for old in [eve.handed(900), new.handed(4), new.handed(5), eve.farewell(901), new.farewell(5)] {
        scene.told(&bob, discovered([old]));
    }
    assert_eq!((scene.changes(), scene.ada.version()), (Vec::new(), version));
}

#[test]
fn the_last_record_ever_is_not_believed() {
    let (mut scene, [bob, eve]) = Scene::linked_with([1, 2]);
    scene.told(&bob, discovered([eve.handed(5)]));
    let jump = limits::INCARNATION_JUMP_MAX;
    let far = Puppet { epoch: super::scene::epoch_at(eve.epoch.start() + jump + 1), ..eve.clone() };
    for forgotten in [eve.handed(u64::MAX), eve.handed(5 + jump + 1), eve.farewell(u64::MAX), far.handed(1)] {
        scene.told(&bob, discovered([forgotten]));
    }
    assert_eq!(scene.changes_of(&eve), []);
    scene.told(&bob, discovered([eve.handed(5 + jump)]));
    assert_eq!(scene.ada.member(&eve.id).unwrap().record.incarnation.sequence, 5 + jump);
}

#[test]
fn a_renewal_is_no_change_and_a_new_address_is() {
    let (mut scene, [bob]) = Scene::linked_with([1]);
    let eve = Puppet::of(2);
    scene.told(&bob, discovered([eve.handed(1)]));
    let (version, digest) = (scene.ada.version(), scene.digest());
    scene.other_wishes();
    scene.told(&bob, discovered([eve.handed(2)]));
    assert_eq!((scene.ada.version(), scene.digest()), (version, digest));
    assert_eq!(scene.other_wishes(), []);
    let moved = eve.moved("memory://elsewhere");
    scene.told(&bob, discovered([moved.handed(3)]));
    assert!(scene.ada.version() > version && scene.digest() != digest);
    let reach = Wish::Reach { peer: eve.id, addresses: moved.about.addresses.clone(), informant: Some(bob.id) };
    assert_eq!(scene.other_wishes(), [reach]);
}

#[test]
fn forgeries_are_dropped_and_the_third_within_a_minute_costs_the_link() {
    let (mut scene, [bob, eve]) = Scene::linked_with([1, 2]);
    let mia = Puppet::of(3);
    scene.told(&bob, discovered([mia.forged(1), eve.forged(9)]));
    assert_eq!(scene.other_wishes(), []);
    scene.wait(SECOND * 61);
    scene.told(&bob, discovered([mia.forged(1), eve.forged(9)]));
    assert_eq!(scene.other_wishes(), []);
    let nonsense = Handed { record: Payload::null(Encoding::MsgPack), remaining: SECOND };
    scene.told(&bob, discovered([nonsense]));
    assert!(matches!(scene.other_wishes()[..], [Wish::Cut { peer, .. }] if peer == bob.id));
    assert_eq!(scene.state(&mia), None);
    assert_eq!(scene.ada.member(&eve.id).unwrap().record.incarnation.sequence, 1);
    assert_eq!(scene.changes(), []);
}

#[test]
fn of_what_nobody_asked_for_sixty_four_records_in_five_seconds_are_looked_at() {
    let (mut scene, [bob]) = Scene::linked_with([1]);
    let crowd: Vec<Puppet> = (2..=150).map(Puppet::of).collect();
    for some in crowd.chunks(10) {
        scene.told(&bob, discovered(some.iter().map(|puppet| puppet.handed(1))));
    }
    assert_eq!(scene.ada.members().count(), 1 + limits::RECORDS_UNASKED_MAX);
    scene.wait(limits::RECORDS_WINDOW);
    scene.told(&bob, discovered(crowd[100..].iter().map(|puppet| puppet.handed(1))));
    assert_eq!(scene.ada.members().count(), 1 + 64 + 49);
}

#[test]
fn beyond_the_budget_not_even_forgeries_are_looked_at() {
    let (mut scene, [bob]) = Scene::linked_with([1]);
    for _ in 0..limits::RECORDS_UNASKED_MAX {
        scene.told(&bob, discovered([bob.handed(1)]));
    }
    for _ in 0..10 {
        scene.told(&bob, discovered([Puppet::of(3).forged(1)]));
    }
    assert_eq!(scene.other_wishes(), []);
}

#[test]
fn of_what_was_asked_for_more_is_taken_but_not_without_end() {
    let (mut scene, [bob]) = Scene::linked_with([1]);
    scene.told(&bob, Word::Digest(Default::default()));
    scene.wait(limits::SUMMARY_DELAY);
    assert!(scene.said_to(&bob).iter().any(|word| matches!(word, Word::Summary(_))));
    let crowd: Vec<Puppet> = (2..=199).map(Puppet::of).collect();
    scene.told(&bob, discovered(crowd.iter().map(|puppet| puppet.handed(1))));
    assert_eq!(scene.ada.members().count(), 1 + crowd.len());
    for sequence in 2..20 {
        scene.told(&bob, discovered(crowd.iter().map(|puppet| puppet.handed(sequence))));
    }
    let taken = scene.ada.members().map(|member| member.record.incarnation.sequence).max();
    assert_eq!(taken, Some(11), "2,048 records: ten times 198, and a part");
}

#[test]
fn strangers_words_are_not_heard() {
    let mut scene = Scene::new();
    let [bob, eve] = [Puppet::of(1), Puppet::of(2)];
    scene.told(&bob, discovered([eve.handed(1)]));
    scene.told(&bob, Word::Suspected);
    scene.told(&bob, Word::Check { ask: 1, node: eve.id });
    assert_eq!((scene.ada.members().count(), scene.said(), scene.sequence()), (0, Vec::new(), 1));
}

#[test]
fn those_gone_for_longest_make_way_then_those_without_a_link_whose_record_is_oldest() {
    let (mut scene, [bob]) = Scene::linked_with([1]);
    let [gone, old, new] = [Puppet::of(2), Puppet::of(3), Puppet::of(4)];
    scene.told(&bob, discovered([gone.handed(1)]));
    scene.told(&bob, discovered([gone.farewell(2)]));
    scene.wait(SECOND);
    scene.told(&bob, discovered([old.handed(1)]));
    scene.wait(SECOND);
    scene.told(&bob, discovered([new.handed(1)]));
    assert_eq!(scene.ada.table.dispensable(), Some(gone.id));
    scene.ada.forget(gone.id);
    assert_eq!(scene.ada.table.dispensable(), Some(old.id));
    scene.ada.forget(old.id);
    scene.ada.forget(new.id);
    assert_eq!(scene.ada.table.dispensable(), None);
}

#[test]
fn a_member_that_makes_way_is_told_as_lost_first() {
    let (mut scene, [bob]) = Scene::linked_with([1]);
    // Filled behind the machine's back: 16,384 records would only take time.
    let [old, new] = [Puppet::of(2), Puppet::of(3)];
    scene.told(&bob, discovered([old.handed(1)]));
    for number in 0..limits::MEMBERS_MAX - 2 {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&(number as u64 + 1).to_be_bytes());
        let puppet = Puppet { id: crate::id::NodeId::from_bytes(bytes), ..Puppet::of(9) };
        let member =
            crate::membership::table::Member::new(puppet.signed(1), puppet.id, scene.now + SECOND, SECOND * 90);
        scene.ada.table.insert(member);
    }
    scene.changes();
    scene.told(&bob, discovered([new.handed(1)]));
    assert_eq!(scene.changes(), [(old.id, ChangedTo::Lost), (new.id, ChangedTo::Joined)]);
    assert_eq!((scene.ada.members().count(), scene.state(&old)), (limits::MEMBERS_MAX, None));
    assert!(scene.other_wishes().contains(&Wish::Forget { peer: old.id }));
}

#[test]
fn a_flood_of_forged_and_extreme_records_evicts_nobody() {
    let (mut scene, [bob, eve, mia]) = Scene::linked_with([1, 2, 3]);
    let far = Puppet::of(4);
    scene.told(&bob, discovered([far.handed(3)]));
    scene.changes();
    for round in 0..200_u64 {
        for victim in [&eve, &mia, &far] {
            let lies = [
                victim.forged(round + 2),
                victim.restarted().forged(1),
                victim.forged(u64::MAX),
                Puppet { epoch: super::scene::epoch_at(1), ..victim.clone() }.handed(round + 1),
                Handed { remaining: Duration::ZERO, ..victim.handed(round + 50) },
            ];
            scene.told(&bob, discovered(lies));
            scene.told(&bob, Word::Check { ask: 1, node: victim.id });
            for answer in [crate::membership::Answer::Unreachable, crate::membership::Answer::CannotTell] {
                scene.told(&bob, Word::Checked { ask: round as u32, answer });
            }
            scene.told(&bob, Word::Suspected);
        }
        scene.wait(Duration::from_millis(100));
        for honest in [&eve, &mia] {
            scene.told(honest, discovered([far.handed(4 + round)]));
        }
    }
    assert_eq!(scene.changes(), []);
    assert_eq!([&eve, &mia, &far].map(|victim| scene.state(victim)), [Some(State::Up); 3]);
    assert!(scene.other_wishes().iter().any(|wish| matches!(wish, Wish::Cut { peer, .. } if *peer == bob.id)));
}

#[test]
fn a_link_that_ended_long_ago_is_no_reason_to_believe_a_replay() {
    let (mut scene, [bob, eve]) = Scene::linked_with([1, 2]);
    scene.told(&eve, discovered([eve.handed(2)]));
    scene.unlink(&eve, LinkEnd::Goodbye);
    scene.changes();
    for replay in [eve.handed(1), eve.handed(2)] {
        scene.told(&bob, discovered([replay]));
    }
    assert_eq!((scene.changes(), scene.state(&eve)), (Vec::new(), Some(State::Left)));
}
