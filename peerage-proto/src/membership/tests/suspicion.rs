//! From doubt to verdict.

use super::scene::{MS, Puppet, SECOND, Scene, discovered};
use crate::limits;
use crate::membership::{Answer, ChangedTo, Evidence, LinkEnd, State, Word};

/// Whom ada asked about a suspect, and under which number.
fn asked(scene: &mut Scene, about: &Puppet) -> Vec<(crate::id::NodeId, u32)> {
    let checks = scene.said().into_iter().filter_map(|(to, word)| match word {
        Word::Check { ask, node } if node == about.id => Some((to, ask)),
        _ => None,
    });
    checks.collect()
}

fn say(scene: &mut Scene, (whom, ask): (crate::id::NodeId, u32), answer: Answer) {
    scene.act(|ada, now| ada.told(now, whom, Word::Checked { ask, answer }));
}

#[test]
fn each_end_of_a_link_has_its_evidence() {
    for (end, evidence) in [
        (LinkEnd::Fin, Evidence::Fin),
        (LinkEnd::Reset, Evidence::Reset),
        (LinkEnd::Silence, Evidence::Silence),
        (LinkEnd::Cut, Evidence::Cut),
    ] {
        let (mut scene, [bob]) = Scene::linked_with([1]);
        scene.unlink(&bob, end);
        assert_eq!(scene.changes(), [(bob.id, ChangedTo::Suspect)]);
        let last = scene.last(&bob);
        assert_eq!((last.evidence, last.path.as_deref()), (evidence, Some("tls://p1")));
        assert_eq!((last.detail.as_str(), last.local_health), ("so says the test", 1));
    }
}

#[test]
fn a_lost_link_leads_to_loss_after_six_seconds_if_nobody_can_be_asked() {
    let (mut scene, [bob]) = Scene::linked_with([1]);
    scene.unlink(&bob, LinkEnd::Reset);
    scene.wait(SECOND * 6 - MS);
    assert_eq!(scene.state(&bob), Some(State::Suspect));
    scene.wait(MS);
    assert_eq!(scene.state(&bob), Some(State::Lost));
    assert_eq!(scene.last(&bob).evidence, Evidence::Reset);
}

#[test]
fn a_silent_link_makes_suspect_and_its_end_is_the_verdict() {
    let (mut scene, [bob]) = Scene::linked_with([1]);
    scene.act(|ada, now| ada.quiet(now, bob.id));
    assert_eq!(scene.changes(), [(bob.id, ChangedTo::Suspect)]);
    // As long as the link stands, its watch decides.
    scene.wait(SECOND * 20);
    assert_eq!(scene.state(&bob), Some(State::Suspect));
    scene.unlink(&bob, LinkEnd::Silence);
    assert_eq!(scene.changes(), [(bob.id, ChangedTo::Lost)]);
    assert_eq!(scene.last(&bob).evidence, Evidence::Silence);
}

#[test]
fn a_silent_link_that_ends_early_leaves_the_rest_of_three_seconds() {
    let (mut scene, [bob]) = Scene::linked_with([1]);
    scene.act(|ada, now| ada.quiet(now, bob.id));
    scene.wait(SECOND);
    scene.unlink(&bob, LinkEnd::Reset);
    scene.wait(SECOND * 2 - MS);
    assert_eq!(scene.state(&bob), Some(State::Suspect));
    scene.wait(MS);
    assert_eq!(scene.state(&bob), Some(State::Lost));
}

#[test]
fn a_silent_link_that_speaks_again_or_a_new_link_ends_the_suspicion() {
    let (mut scene, [bob]) = Scene::linked_with([1]);
    scene.act(|ada, now| ada.quiet(now, bob.id));
    scene.act(|ada, now| ada.heard(now, bob.id));
    scene.unlink(&bob, LinkEnd::Fin);
    scene.link(&bob);
    let changed = [ChangedTo::Suspect, ChangedTo::Up, ChangedTo::Suspect, ChangedTo::Up];
    assert_eq!(scene.changes_of(&bob), changed);
    let seen = [Evidence::Link, Evidence::Silence, Evidence::Heard, Evidence::Fin, Evidence::Link];
    assert_eq!(scene.evidence(&bob), seen);
    scene.wait(SECOND * 60);
    assert_eq!(scene.state(&bob), Some(State::Up));
}

#[test]
fn another_link_in_the_place_of_a_silent_one_ends_the_suspicion() {
    let (mut scene, [bob]) = Scene::linked_with([1]);
    scene.act(|ada, now| ada.quiet(now, bob.id));
    scene.wait(SECOND * 10);
    scene.act(|ada, now| ada.moved(now, bob.id, "quic://p1"));
    assert_eq!(scene.changes_of(&bob), [ChangedTo::Suspect, ChangedTo::Up]);
    scene.wait(SECOND * 30);
    assert!(!scene.said_to(&bob).is_empty(), "it is spoken with again");
}

#[test]
fn two_neighbours_are_asked_never_the_suspect_and_never_a_suspect() {
    let (mut scene, [bob, eve, mia, tom]) = Scene::linked_with([1, 2, 3, 4]);
    scene.act(|ada, now| ada.quiet(now, mia.id));
    scene.said();
    scene.unlink(&bob, LinkEnd::Reset);
    let mut whom: Vec<_> = asked(&mut scene, &bob).into_iter().map(|(whom, _)| whom).collect();
    whom.sort();
    assert_eq!(whom, [eve.id, tom.id]);
}

#[test]
fn whom_is_asked_is_left_to_chance() {
    let numbers: [u8; 20] = std::array::from_fn(|number| number as u8 + 1);
    let (mut scene, puppets) = Scene::linked_with(numbers);
    let mut whom = std::collections::BTreeSet::new();
    for _ in 0..40 {
        scene.unlink(&puppets[0], LinkEnd::Reset);
        whom.extend(asked(&mut scene, &puppets[0]).into_iter().map(|(whom, _)| whom));
        scene.link(&puppets[0]);
    }
    assert!(whom.len() > 15, "{}", whom.len());
}

#[test]
fn somebody_who_reaches_the_suspect_puts_the_verdict_off_and_is_asked_again() {
    let (mut scene, [bob, eve]) = Scene::linked_with([1, 2]);
    scene.unlink(&bob, LinkEnd::Reset);
    for _ in 0..3 {
        let [question] = asked(&mut scene, &bob)[..] else { panic!("eve is asked once a round") };
        assert_eq!(question.0, eve.id);
        say(&mut scene, question, Answer::Alive);
        scene.wait(SECOND * 6);
        assert_eq!(scene.state(&bob), Some(State::Suspect));
    }
    scene.wait(SECOND * 6);
    assert_eq!(scene.state(&bob), Some(State::Lost));
    assert_eq!(scene.changes_of(&bob), [ChangedTo::Suspect, ChangedTo::Lost]);
}

#[test]
fn a_verdict_names_those_who_could_not_reach_the_suspect_either() {
    let (mut scene, [bob, eve, mia]) = Scene::linked_with([1, 2, 3]);
    scene.unlink(&bob, LinkEnd::Reset);
    let questions = asked(&mut scene, &bob);
    let of = |who: &Puppet| *questions.iter().find(|(whom, _)| *whom == who.id).unwrap();
    say(&mut scene, of(&eve), Answer::Unreachable);
    scene.wait(SECOND * 6);
    let last = scene.last(&bob);
    assert_eq!((last.to, last.evidence), (State::Lost, Evidence::Indirect));
    let mut answers = last.asked.clone();
    answers.sort();
    assert_eq!(answers, [(eve.id, Some(Answer::Unreachable)), (mia.id, None)]);
}

#[test]
fn where_all_addresses_refuse_and_all_who_were_asked_agree_the_verdict_falls_at_once() {
    for answer in [Answer::Unreachable, Answer::CannotTell] {
        let (mut scene, [bob, _eve, _mia]) = Scene::linked_with([1, 2, 3]);
        scene.unlink(&bob, LinkEnd::Reset);
        let questions = asked(&mut scene, &bob);
        say(&mut scene, questions[0], answer);
        scene.act(|ada, now| ada.refused(now, bob.id));
        assert_eq!(scene.state(&bob), Some(State::Suspect), "one answer is missing");
        say(&mut scene, questions[1], answer);
        assert_eq!(scene.state(&bob), Some(State::Lost));
        assert_eq!((scene.last(&bob).evidence, scene.last(&bob).asked.len()), (Evidence::Refused, 2));
    }
}

#[test]
fn where_all_addresses_refuse_an_answer_is_waited_for_no_longer_than_it_counts() {
    let (mut scene, [bob, _eve]) = Scene::linked_with([1, 2]);
    scene.unlink(&bob, LinkEnd::Reset);
    scene.act(|ada, now| ada.refused(now, bob.id));
    scene.wait(limits::CHECK_ANSWER - MS);
    assert_eq!(scene.state(&bob), Some(State::Suspect));
    scene.wait(MS);
    assert_eq!(scene.state(&bob), Some(State::Lost));
}

#[test]
fn where_nobody_can_be_asked_addresses_that_refuse_are_enough() {
    let (mut scene, [bob]) = Scene::linked_with([1]);
    scene.unlink(&bob, LinkEnd::Fin);
    scene.act(|ada, now| ada.refused(now, bob.id));
    assert_eq!(scene.changes_of(&bob), [ChangedTo::Suspect, ChangedTo::Lost]);
}

#[test]
fn somebody_who_reaches_the_suspect_outweighs_addresses_that_refuse() {
    let (mut scene, [bob, _eve]) = Scene::linked_with([1, 2]);
    scene.unlink(&bob, LinkEnd::Reset);
    let question = asked(&mut scene, &bob)[0];
    say(&mut scene, question, Answer::Alive);
    scene.act(|ada, now| ada.refused(now, bob.id));
    scene.wait(SECOND * 5);
    assert_eq!(scene.state(&bob), Some(State::Suspect));
}

#[test]
fn a_member_that_is_known_by_its_record_alone_becomes_suspect_when_all_its_addresses_refuse() {
    let (mut scene, [bob]) = Scene::linked_with([1]);
    let eve = Puppet::of(2);
    scene.told(&bob, discovered([eve.handed(1)]));
    scene.act(|ada, now| ada.refused(now, eve.id));
    assert_eq!(scene.changes_of(&eve), [ChangedTo::Joined, ChangedTo::Suspect]);
    let question = asked(&mut scene, &eve)[0];
    assert_eq!(question.0, bob.id);
    say(&mut scene, question, Answer::CannotTell);
    assert_eq!(scene.changes_of(&eve), [ChangedTo::Lost]);
}

#[test]
fn a_member_that_refuses_dials_and_lives_does_not_flap() {
    let (mut scene, [bob]) = Scene::linked_with([1]);
    let eve = Puppet::of(2);
    scene.told(&bob, discovered([eve.handed(1)]));
    scene.act(|ada, now| ada.refused(now, eve.id));
    scene.told(&bob, discovered([eve.handed(2)]));
    assert_eq!(scene.changes_of(&eve), [ChangedTo::Joined, ChangedTo::Suspect, ChangedTo::Up]);
    for _ in 0..5 {
        scene.act(|ada, now| ada.refused(now, eve.id));
        scene.wait(SECOND);
    }
    assert_eq!(scene.changes_of(&eve), []);
    // At a new address it is worth trying again.
    let moved = eve.moved("memory://elsewhere");
    scene.told(&bob, discovered([moved.handed(3)]));
    scene.act(|ada, now| ada.refused(now, eve.id));
    assert_eq!(scene.changes_of(&eve), [ChangedTo::Suspect]);
}

#[test]
fn a_newer_record_refutes_and_the_same_one_does_not() {
    let (mut scene, [bob, eve]) = Scene::linked_with([1, 2]);
    scene.told(&eve, discovered([eve.handed(7)]));
    scene.unlink(&eve, LinkEnd::Reset);
    scene.changes();
    scene.told(&bob, discovered([eve.handed(7), eve.handed(6)]));
    assert_eq!(scene.changes(), []);
    scene.told(&bob, discovered([eve.handed(8)]));
    assert_eq!(scene.changes(), [(eve.id, ChangedTo::Up)]);
    let last = scene.last(&eve);
    assert_eq!((last.evidence, last.informant), (Evidence::Refuted, Some(bob.id)));
    scene.wait(SECOND * 60);
    assert_eq!(scene.state(&eve), Some(State::Up));
}

#[test]
fn a_node_that_is_slow_itself_takes_longer_to_judge() {
    let (mut scene, [bob]) = Scene::linked_with([1]);
    scene.act(|ada, now| ada.local_health(now, 4));
    scene.unlink(&bob, LinkEnd::Reset);
    assert_eq!(scene.last(&bob).local_health, 4);
    scene.wait(SECOND * 24 - MS);
    assert_eq!(scene.state(&bob), Some(State::Suspect));
    scene.wait(MS);
    assert_eq!(scene.state(&bob), Some(State::Lost));
    // And one that is well again judges sooner.
    scene.link(&bob);
    scene.act(|ada, now| ada.local_health(now, 200));
    scene.unlink(&bob, LinkEnd::Reset);
    scene.wait(SECOND * 40);
    assert_eq!((scene.state(&bob), scene.last(&bob).local_health), (Some(State::Suspect), 8));
    scene.act(|ada, now| ada.local_health(now, 0));
    assert_eq!(scene.state(&bob), Some(State::Lost));
}

#[test]
fn after_a_pause_verdicts_wait_until_everybody_could_be_heard() {
    let (mut scene, [bob, _eve]) = Scene::linked_with([1, 2]);
    let mia = Puppet::of(3);
    scene.told(&bob, discovered([mia.handed(1)]));
    scene.unlink(&bob, LinkEnd::Reset);
    scene.changes();
    scene.now += SECOND * 600;
    scene.act(|ada, now| ada.jumped(now));
    scene.act(|ada, now| ada.timeout(now));
    scene.wait(SECOND * 3 - MS);
    assert_eq!(scene.changes(), []);
    scene.wait(MS);
    assert_eq!(scene.changes(), [(bob.id, ChangedTo::Lost), (mia.id, ChangedTo::Lost)]);
}

#[test]
fn a_pause_that_nobody_tells_of_is_noticed_by_a_timer_that_rings_late() {
    let (mut scene, [bob, eve]) = Scene::linked_with([1, 2]);
    let mia = Puppet::of(3);
    scene.told(&bob, discovered([mia.handed(1)]));
    scene.unlink(&eve, LinkEnd::Reset);
    scene.changes();
    scene.now += SECOND * 600;
    scene.act(|ada, now| ada.timeout(now));
    assert_eq!(scene.changes(), []);
    scene.wait(SECOND * 3);
    assert_eq!(scene.changes(), [(eve.id, ChangedTo::Lost), (mia.id, ChangedTo::Lost)]);
}

#[test]
fn answers_that_are_late_unasked_or_somebody_elses_do_not_count() {
    let (mut scene, [bob, _eve, mia]) = Scene::linked_with([1, 2, 3]);
    scene.unlink(&bob, LinkEnd::Reset);
    let [first, second] = asked(&mut scene, &bob)[..] else { panic!("two are asked") };
    say(&mut scene, (second.0, first.1), Answer::Alive);
    say(&mut scene, (mia.id, 999), Answer::Alive);
    say(&mut scene, second, Answer::Unreachable);
    say(&mut scene, second, Answer::Alive);
    scene.wait(limits::CHECK_ANSWER);
    say(&mut scene, first, Answer::Alive);
    scene.wait(SECOND * 6);
    assert_eq!(scene.state(&bob), Some(State::Lost));
    let mut answers = scene.last(&bob).asked.clone();
    answers.sort();
    let mut expected = [(first.0, None), (second.0, Some(Answer::Unreachable))];
    expected.sort();
    assert_eq!(answers, expected);
}

#[test]
fn answers_alone_make_nobody_suspect_or_lost() {
    let (mut scene, [bob, eve]) = Scene::linked_with([1, 2]);
    scene.act(|ada, now| ada.quiet(now, eve.id));
    let question = asked(&mut scene, &eve)[0];
    scene.changes();
    say(&mut scene, question, Answer::Unreachable);
    for ask in 0..50 {
        say(&mut scene, (bob.id, ask), Answer::Unreachable);
    }
    scene.wait(SECOND * 60);
    assert_eq!((scene.changes(), scene.state(&eve)), (Vec::new(), Some(State::Suspect)));
    scene.act(|ada, now| ada.heard(now, eve.id));
    assert_eq!(scene.state(&eve), Some(State::Up));
}

#[test]
fn refusals_quiet_and_life_of_those_who_are_gone_or_unknown_have_no_effect() {
    let (mut scene, [bob]) = Scene::linked_with([1]);
    scene.unlink(&bob, LinkEnd::Goodbye);
    scene.changes();
    for peer in [bob.id, Puppet::of(9).id] {
        scene.act(|ada, now| ada.refused(now, peer));
        scene.act(|ada, now| ada.quiet(now, peer));
        scene.act(|ada, now| ada.heard(now, peer));
        scene.act(|ada, now| ada.answered(now, peer));
        scene.act(|ada, now| ada.unlinked(now, peer, LinkEnd::Reset, ""));
    }
    assert_eq!((scene.changes(), scene.state(&bob)), (Vec::new(), Some(State::Left)));
}

#[test]
fn a_neighbour_with_a_link_does_not_become_suspect_because_an_address_refuses() {
    let (mut scene, [bob]) = Scene::linked_with([1]);
    scene.act(|ada, now| ada.refused(now, bob.id));
    assert_eq!((scene.changes(), scene.state(&bob)), (Vec::new(), Some(State::Up)));
}
