//! Digests, summaries, answers.

use std::time::Duration;

use super::scene::{MS, Puppet, SECOND, Scene, discovered};
use crate::limits;
use crate::membership::word::short;
use crate::membership::{Digest, Handed, Known, LinkEnd, Missing, State, Wish, Word};

fn digests(words: &[Word]) -> Vec<Digest> {
    words.iter().filter_map(|word| if let Word::Digest(digest) = word { Some(*digest) } else { None }).collect()
}

fn summaries(words: &[Word]) -> usize {
    words.iter().filter(|word| matches!(word, Word::Summary(_))).count()
}

/// The pieces of an answer: how many records each, and the digest it ends with.
fn pieces(words: Vec<Word>) -> Vec<(usize, Option<Digest>)> {
    let pieces = words.into_iter().filter_map(|word| match word {
        Word::Discovered { records, at } => Some((records.len(), at)),
        _ => None,
    });
    pieces.collect()
}

fn known(puppet: &Puppet, sequence: u64) -> Known {
    Known::of(&puppet.id, puppet.signed(sequence).record().incarnation)
}

#[test]
fn a_neighbour_is_told_the_digest_as_soon_as_its_link_is_up() {
    let mut scene = Scene::new();
    let bob = Puppet::of(1);
    scene.link(&bob);
    let expected = scene.digest();
    assert_eq!(scene.said_to(&bob), [Word::Digest(expected)]);
}

#[test]
fn two_nodes_that_hold_the_same_have_equal_digests() {
    let [mut a, mut b] = [Scene::new(), Scene::new()];
    let [bob, eve] = [Puppet::of(1), Puppet::of(2)];
    a.link(&bob);
    a.told(&bob, discovered([eve.handed(4)]));
    b.link(&eve);
    b.told(&eve, discovered([bob.handed(9)]));
    assert_eq!(a.digest(), b.digest());
    b.told(&eve, discovered([bob.moved("memory://elsewhere").handed(10)]));
    assert_ne!(a.digest(), b.digest());
    assert_eq!((a.ada.digest(), b.ada.digest()), (a.digest(), b.digest()));
}

#[test]
fn many_changes_are_told_in_one_digest_each_quarter_of_a_second() {
    let (mut scene, [bob]) = Scene::linked_with([1]);
    scene.wait(SECOND);
    for number in 2..60 {
        scene.told(&bob, discovered([Puppet::of(number).handed(1)]));
        scene.wait(MS * 10);
    }
    scene.wait(SECOND);
    let said = digests(&scene.said_to(&bob));
    assert!((3..=4).contains(&said.len()), "{}", said.len());
    assert_eq!(said.last(), Some(&scene.digest()));
    scene.wait(SECOND * 20);
    assert_eq!(digests(&scene.said_to(&bob)), []);
}

#[test]
fn who_agreed_before_is_told_of_newcomers_that_nobody_dials_ahead_of_the_digest() {
    let (mut scene, [bob]) = Scene::linked_with([1]);
    let (guest, open) = (Puppet::of(2).hidden(), Puppet::of(3));
    scene.link(&guest);
    scene.wait(SECOND);
    let said = scene.said_to(&bob);
    assert_eq!(pieces(said.clone()), [(1, None)]);
    assert!(matches!(said[..], [Word::Discovered { .. }, Word::Digest(_), ..]), "{said:?}");
    scene.agree(&[bob.clone(), guest.clone()]);
    scene.link(&open);
    scene.wait(SECOND);
    assert_eq!(pieces(scene.said_to(&bob)), [], "whoever can be dialled is met by itself");

    // The first of four is told at once. The others come in the pause after it, and are too many.
    scene.agree(&[bob.clone(), guest, open]);
    for number in 4..8 {
        scene.link(&Puppet::of(number).hidden());
        let digest = scene.digest();
        scene.told(&bob, Word::Digest(digest));
    }
    scene.wait(SECOND);
    assert_eq!(pieces(scene.said_to(&bob)), [(1, None)]);

    // A neighbour that holds something else has more to ask than one record answers.
    scene.told(&bob, Word::Digest(Digest([9; 16])));
    scene.link(&Puppet::of(8).hidden());
    scene.wait(SECOND);
    assert_eq!(pieces(scene.said_to(&bob)), []);
}

#[test]
fn a_digest_that_differs_leads_to_a_question_unless_it_agrees_in_time() {
    let (mut scene, [bob, eve]) = Scene::linked_with([1, 2]);
    let mia = Puppet::of(3);
    let before = scene.digest();
    scene.told(&eve, discovered([mia.handed(1)]));
    let with_mia = scene.digest();
    scene.told(&bob, Word::Digest(before));
    scene.wait(limits::SUMMARY_DELAY - MS);
    scene.told(&bob, Word::Digest(with_mia));
    scene.wait(SECOND * 10);
    assert_eq!(summaries(&scene.said_to(&bob)), 0);
    scene.told(&bob, Word::Digest(before));
    scene.wait(limits::SUMMARY_DELAY);
    assert_eq!(summaries(&scene.said_to(&bob)), 1);
}

#[test]
fn the_first_digest_on_a_link_is_answered_without_delay() {
    let mut scene = Scene::new();
    let bob = Puppet::of(1);
    scene.link(&bob);
    scene.said();
    scene.told(&bob, Word::Digest(Digest([1; 16])));
    let words = scene.said_to(&bob);
    let [Word::Summary(lines)] = &words[..] else { panic!("{words:?}") };
    let mut nodes: Vec<_> = lines.iter().map(|line| line.node).collect();
    nodes.sort_unstable();
    assert_eq!(nodes, [short(&bob.id), short(&scene.id())]);
}

#[test]
fn one_question_is_open_with_a_neighbour_and_asked_again_after_two_seconds() {
    let (mut scene, [bob]) = Scene::linked_with([1]);
    for byte in 0..20 {
        scene.told(&bob, Word::Digest(Digest([byte; 16])));
        scene.wait(MS * 50);
    }
    assert_eq!(summaries(&scene.said_to(&bob)), 1);
    scene.wait(limits::SUMMARY_AGAIN);
    assert_eq!(summaries(&scene.said_to(&bob)), 1);
    // An answer to what the neighbour held a while ago leads to the next question.
    scene.told(&bob, Word::Discovered { records: Vec::new(), at: Some(Digest([3; 16])) });
    scene.wait(limits::SUMMARY_DELAY * 2);
    assert_eq!(summaries(&scene.said_to(&bob)), 1);
    scene.told(&bob, Word::Discovered { records: Vec::new(), at: Some(Digest([19; 16])) });
    scene.wait(SECOND * 20);
    assert_eq!(summaries(&scene.said_to(&bob)), 0, "the digests still differ, but there is nothing to hear");
}

#[test]
fn nodes_that_judge_differently_compare_again_with_each_renewal() {
    let (mut scene, [bob, eve]) = Scene::linked_with([1, 2]);
    let differing = Digest([5; 16]);
    ask_and_answer(&mut scene, &bob, 5, limits::SUMMARY_DELAY, vec![]);
    scene.unlink(&eve, LinkEnd::Reset);
    scene.wait(SECOND * 20);
    assert_eq!((summaries(&scene.said_to(&bob)), scene.state(&eve)), (0, Some(State::Lost)));
    // Bob reaches her, and says so with each renewal of his own record. She has renewed hers meanwhile.
    scene.told(&bob, Word::Digest(differing));
    assert!(!scene.ada.missing().contains(&Missing::Agreement(bob.id)), "there is nothing that he has not told");
    scene.wait(limits::SUMMARY_DELAY * 2);
    assert_eq!(summaries(&scene.said_to(&bob)), 1);
    scene.told(&bob, Word::Discovered { records: vec![eve.handed(2)], at: Some(differing) });
    assert_eq!(scene.state(&eve), Some(State::Up));
    scene.wait(SECOND * 20);
    assert_eq!(summaries(&scene.said_to(&bob)), 0);
}

#[test]
fn an_answer_holds_what_the_other_lacks_or_has_older() {
    let (mut scene, [bob]) = Scene::linked_with([1]);
    let [new, older, same, newer] = [2, 3, 4, 5].map(Puppet::of);
    scene.told(&bob, discovered([new.handed(1), older.handed(5), same.handed(5), newer.handed(5)]));
    let (own, digest) = (Puppet { id: scene.id(), ..bob.clone() }, scene.digest());
    scene.said();
    let restarted = newer.restarted();
    scene.told(&bob, Word::Summary(vec![known(&own, 1), known(&older, 4), known(&same, 5), known(&restarted, 1)]));
    let said = scene.said_to(&bob);
    assert_eq!(said, [Word::Discovered { records: vec![new.handed(1), older.handed(5)], at: Some(digest) }]);
    scene.told(&bob, Word::Summary(Vec::new()));
    assert_eq!(pieces(scene.said_to(&bob)), [(5, Some(digest))], "without the asker's own");
}

#[test]
fn a_record_is_handed_on_with_what_is_left_of_its_lease() {
    let (mut scene, [bob]) = Scene::linked_with([1]);
    let eve = Puppet::of(2);
    scene.told(&bob, discovered([Handed { remaining: SECOND * 40, ..eve.handed(1) }]));
    scene.wait(SECOND * 15 - limits::DIGEST_PAUSE);
    scene.said();
    scene.told(&bob, Word::Summary(Vec::new()));
    let Some(Word::Discovered { records, .. }) = scene.said_to(&bob).pop() else { panic!("an answer") };
    assert_eq!(
        records.iter().map(|handed| handed.remaining).collect::<Vec<_>>(),
        [SECOND * 75, SECOND * 25 + limits::DIGEST_PAUSE]
    );
}

#[test]
fn the_lost_are_not_handed_on_and_farewells_only_to_those_who_do_not_know() {
    let (mut scene, [bob, lost, left]) = Scene::linked_with([1, 2, 3]);
    scene.unlink(&lost, LinkEnd::Reset);
    scene.act(|ada, now| ada.refused(now, lost.id));
    scene.told(&left, discovered([left.farewell(2)]));
    scene.wait(SECOND * 8);
    scene.said();
    let own = Puppet { id: scene.id(), ..bob.clone() };
    let digest = Some(scene.digest());
    let mut answer = |lines: Vec<Known>| {
        scene.told(&bob, Word::Summary([vec![known(&own, 1)], lines].concat()));
        let said = scene.said_to(&bob);
        scene.wait(SECOND);
        pieces(said)
    };
    assert_eq!(answer(vec![]), [(0, digest)]);
    assert_eq!(answer(vec![known(&lost, 1), known(&left, 2)]), [(0, digest)]);
    assert_eq!(answer(vec![known(&left, 1)]), [(1, digest)]);
}

#[test]
fn a_long_answer_comes_in_pieces_and_the_last_one_names_the_digest() {
    let (mut scene, [bob]) = Scene::linked_with([1]);
    scene.told(&bob, Word::Digest(Digest([5; 16])));
    scene.wait(limits::SUMMARY_DELAY);
    scene.told(&bob, discovered((2..=199).map(|number| Puppet::of(number).handed(1))));
    scene.said();
    scene.told(&bob, Word::Summary(Vec::new()));
    let digest = Some(scene.digest());
    assert_eq!(pieces(scene.said_to(&bob)), [(64, None), (64, None), (64, None), (7, digest)]);
}

#[test]
fn an_answer_that_does_not_fit_is_cut_and_claims_nothing() {
    let (mut scene, [bob]) = Scene::linked_with([1]);
    for number in 0..limits::ANSWER_RECORDS_MAX as u64 + 10 {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&(number + 1).to_be_bytes());
        let puppet = Puppet { id: crate::id::NodeId::from_bytes(bytes), ..Puppet::of(9) };
        let member = crate::membership::table::Member::new(puppet.signed(1), puppet.id, scene.now, SECOND * 90);
        scene.ada.table.insert(member);
    }
    scene.told(&bob, Word::Summary(Vec::new()));
    let pieces = pieces(scene.said_to(&bob));
    assert_eq!(pieces.iter().map(|(count, _)| count).sum::<usize>(), limits::ANSWER_RECORDS_MAX);
    assert!(pieces.iter().all(|(count, at)| *count <= limits::DISCOVERED_RECORDS_MAX && at.is_none()));
}

#[test]
fn large_records_fill_a_piece_by_their_bytes() {
    let large = |number: u8| {
        let mut puppet = Puppet::of(number);
        let groups = (0..20).map(|n| format!("a-group-with-a-long-name-{n:09}").parse().unwrap());
        puppet.about.groups = groups.collect();
        puppet.handed(1)
    };
    let (mut scene, [bob]) = Scene::linked_with([1]);
    let records: Vec<_> = (2..62).map(large).collect();
    assert!(records[0].record.len() > 900);
    scene.told(&bob, discovered(records));
    scene.said();
    scene.told(&bob, Word::Summary(Vec::new()));
    let Some(Word::Discovered { records, .. }) = scene.said_to(&bob).into_iter().next() else { panic!("an answer") };
    let bytes: usize = records.iter().map(|handed| handed.record.len()).sum();
    assert!(bytes <= limits::DISCOVERED_BYTES_MAX, "{bytes}");
}

#[test]
fn four_summaries_of_a_neighbour_are_answered_in_a_second() {
    let (mut scene, [bob]) = Scene::linked_with([1]);
    for _ in 0..20 {
        scene.told(&bob, Word::Summary(Vec::new()));
    }
    assert_eq!(pieces(scene.said_to(&bob)).len(), limits::SUMMARIES_PER_SECOND);
    scene.wait(SECOND);
    scene.told(&bob, Word::Summary(Vec::new()));
    assert_eq!(pieces(scene.said_to(&bob)).len(), 1);
}

#[test]
fn a_summary_with_more_lines_than_there_can_be_members_is_held_against_its_sender() {
    let (mut scene, [bob]) = Scene::linked_with([1]);
    let line = known(&bob, 1);
    for _ in 0..limits::FORGERIES_MAX {
        scene.told(&bob, Word::Summary(vec![line; limits::SUMMARY_LINES_MAX + 1]));
    }
    assert_eq!(scene.said(), []);
    assert!(matches!(scene.other_wishes()[..], [Wish::Cut { peer, .. }] if peer == bob.id));
}

#[test]
fn records_of_members_without_a_link_are_asked_for_when_half_of_the_lease_is_over() {
    let (mut scene, [bob]) = Scene::linked_with([1]);
    let eve = Puppet::of(2);
    scene.told(&bob, discovered([eve.handed(1)]));
    scene.agree(std::slice::from_ref(&bob));
    scene.wait(SECOND * 44);
    assert_eq!(summaries(&scene.said_to(&bob)), 0);
    scene.wait(SECOND * 2);
    assert_eq!(summaries(&scene.said_to(&bob)), 1);
    let digest = scene.digest();
    scene.told(&bob, Word::Discovered { records: vec![eve.handed(2)], at: Some(digest) });
    scene.wait(SECOND * 30);
    assert_eq!(summaries(&scene.said_to(&bob)), 0);
}

#[test]
fn not_more_than_one_neighbour_a_second_is_asked_only_to_keep_records_fresh() {
    let (mut scene, puppets) = Scene::linked_with([1, 2, 3, 4, 5]);
    scene.told(&puppets[0], discovered((10..40).map(|number| Puppet::of(number).handed(1))));
    scene.agree(&puppets);
    scene.wait(SECOND * 46);
    scene.said();
    scene.wait(SECOND * 10);
    let asked: Vec<_> = scene.said().into_iter().filter(|(_, word)| matches!(word, Word::Summary(_))).collect();
    assert!((9..=11).contains(&asked.len()), "{}", asked.len());
}

#[test]
fn a_refresh_asks_everybody_now() {
    let (mut scene, [bob, eve]) = Scene::linked_with([1, 2]);
    scene.act(|ada, now| ada.refresh(now));
    scene.act(|ada, now| ada.refresh(now));
    let said = scene.said();
    for peer in [bob.id, eve.id] {
        let to_peer: Vec<_> = said.iter().filter(|(to, _)| *to == peer).map(|(_, word)| word.clone()).collect();
        assert_eq!(summaries(&to_peer), 1);
    }
}

#[test]
fn digests_are_told_again_with_each_renewal() {
    let (mut scene, [bob]) = Scene::linked_with([1]);
    scene.wait(SECOND * 100);
    let said = digests(&scene.said_to(&bob));
    assert_eq!(said.len(), 3);
    assert!(said.iter().all(|digest| *digest == scene.digest()), "a renewal does not change it");
    scene.wait(Duration::ZERO);
}

#[test]
fn four_neighbours_are_asked_at_once_and_the_others_when_they_still_differ() {
    let (mut scene, puppets) = Scene::linked_with([1, 2, 3, 4, 5, 6]);
    let other = Digest([5; 16]);
    for puppet in &puppets {
        scene.told(puppet, Word::Digest(other));
    }
    scene.wait(limits::SUMMARY_DELAY);
    let said = scene.said();
    let asked: Vec<_> = said.iter().filter(|(_, word)| matches!(word, Word::Summary(_))).map(|(to, _)| *to).collect();
    assert_eq!(asked.len(), limits::SUMMARIES_AT_ONCE);
    for puppet in puppets.iter().filter(|puppet| asked.contains(&puppet.id)) {
        scene.told(puppet, Word::Discovered { records: Vec::new(), at: Some(other) });
    }
    scene.wait(limits::SUMMARY_DELAY);
    let said = scene.said();
    assert_eq!(said.iter().filter(|(to, word)| matches!(word, Word::Summary(_)) && !asked.contains(to)).count(), 2);
}

/// A neighbour tells a digest, is asked after this time and no sooner, and answers.
fn ask_and_answer(scene: &mut Scene, puppet: &Puppet, byte: u8, delay: Duration, records: Vec<Handed>) {
    let digest = Digest([byte; 16]);
    scene.told(puppet, Word::Digest(digest));
    scene.wait(delay - MS);
    assert_eq!(summaries(&scene.said_to(puppet)), 0, "{byte}");
    scene.wait(MS);
    assert_eq!(summaries(&scene.said_to(puppet)), 1, "{byte}");
    scene.told(puppet, Word::Discovered { records, at: Some(digest) });
}

#[test]
fn while_answers_bring_nothing_new_the_next_question_waits_longer() {
    let (mut scene, [bob, eve]) = Scene::linked_with([1, 2]);
    // In between all agree, in that nobody has anything more to tell: each trouble is a new one.
    for byte in 1..4 {
        ask_and_answer(&mut scene, &bob, byte, MS * 100, vec![]);
    }
    // While somebody is at odds with us all the time it is always the same.
    scene.link(&eve);
    scene.said();
    for (byte, millis) in [(4, 100), (5, 200), (6, 400), (7, 800), (8, 800)] {
        ask_and_answer(&mut scene, &bob, byte, MS * millis, vec![]);
    }
    ask_and_answer(&mut scene, &bob, 9, MS * 800, vec![Puppet::of(3).handed(1)]);
    ask_and_answer(&mut scene, &bob, 10, MS * 100, vec![]);
}

#[test]
fn nothing_that_would_only_wait_is_said_on_a_silent_link() {
    let (mut scene, [bob, eve]) = Scene::linked_with([1, 2]);
    scene.act(|ada, now| ada.quiet(now, bob.id));
    scene.said();
    for number in 10..40 {
        scene.told(&eve, discovered([Puppet::of(number).handed(1)]));
        scene.wait(MS * 500);
    }
    assert_eq!(scene.said_to(&bob), []);
    scene.act(|ada, now| ada.heard(now, bob.id));
    let digest = scene.digest();
    assert_eq!(scene.said_to(&bob), [Word::Digest(digest)]);
}
