//! Trying nodes for others.

use super::scene::{MS, Puppet, SECOND, Scene, discovered};
use crate::limits;
use crate::membership::{Answer, LinkEnd, Wish, Word};

fn check(scene: &mut Scene, from: &Puppet, ask: u32, node: &Puppet) {
    scene.told(from, Word::Check { ask, node: node.id });
}

fn answers(scene: &mut Scene, to: &Puppet) -> Vec<(u32, Answer)> {
    let words = scene.said_to(to).into_iter().filter_map(|word| match word {
        Word::Checked { ask, answer } => Some((ask, answer)),
        _ => None,
    });
    words.collect()
}

#[test]
fn a_node_with_a_link_is_probed_and_alive_only_when_it_answers() {
    let (mut scene, [bob, eve]) = Scene::linked_with([1, 2]);
    check(&mut scene, &bob, 5, &eve);
    assert_eq!(scene.other_wishes(), [Wish::Probe { peer: eve.id }]);
    scene.wait(SECOND - MS);
    assert_eq!(answers(&mut scene, &bob), []);
    scene.act(|ada, now| ada.answered(now, eve.id));
    let said = scene.said();
    assert_eq!(said[0], (bob.id, Word::Checked { ask: 5, answer: Answer::Alive }));
    assert_eq!(said[1], (eve.id, Word::Suspected), "it is told that somebody doubts it");
}

#[test]
fn a_node_that_gives_no_sign_of_life_within_a_second_is_unreachable() {
    let (mut scene, [bob, eve]) = Scene::linked_with([1, 2]);
    check(&mut scene, &bob, 5, &eve);
    scene.wait(SECOND);
    assert_eq!(answers(&mut scene, &bob), [(5, Answer::Unreachable)]);
    scene.act(|ada, now| ada.answered(now, eve.id));
    assert_eq!(scene.said(), []);
}

#[test]
fn a_node_whose_link_ends_meanwhile_is_unreachable_at_once() {
    let (mut scene, [bob, eve]) = Scene::linked_with([1, 2]);
    check(&mut scene, &bob, 5, &eve);
    scene.unlink(&eve, LinkEnd::Reset);
    assert_eq!(answers(&mut scene, &bob), [(5, Answer::Unreachable)]);
}

#[test]
fn without_a_link_the_answer_is_what_is_known() {
    let (mut scene, [bob, eve, mia]) = Scene::linked_with([1, 2, 3]);
    let [far, stranger] = [Puppet::of(8), Puppet::of(9)];
    scene.told(&bob, discovered([far.handed(1)]));
    scene.unlink(&eve, LinkEnd::Reset);
    scene.unlink(&mia, LinkEnd::Goodbye);
    scene.said();
    for (ask, node) in [&eve, &mia, &far, &stranger].into_iter().enumerate() {
        check(&mut scene, &bob, ask as u32, node);
    }
    let expected =
        [(0, Answer::Unreachable), (1, Answer::Unreachable), (2, Answer::CannotTell), (3, Answer::CannotTell)];
    assert_eq!(answers(&mut scene, &bob), expected);
    assert_eq!(scene.other_wishes().iter().filter(|wish| matches!(wish, Wish::Probe { .. })).count(), 0);
}

#[test]
fn whoever_asks_about_us_hears_that_we_live() {
    let (mut scene, [bob]) = Scene::linked_with([1]);
    let node = scene.id();
    scene.told(&bob, Word::Check { ask: 1, node });
    assert_eq!(answers(&mut scene, &bob), [(1, Answer::Alive)]);
}

#[test]
fn one_neighbour_has_sixteen_nodes_tried_at_once() {
    let (mut scene, [bob, eve, mia]) = Scene::linked_with([1, 2, 3]);
    for ask in 0..20 {
        check(&mut scene, &bob, ask, &eve);
    }
    assert_eq!(answers(&mut scene, &bob), (16..20).map(|ask| (ask, Answer::CannotTell)).collect::<Vec<_>>());
    check(&mut scene, &mia, 1, &eve);
    scene.act(|ada, now| ada.answered(now, eve.id));
    assert_eq!(answers(&mut scene, &mia), [(1, Answer::Alive)]);
}

#[test]
fn sixty_four_nodes_are_tried_at_once() {
    let (mut scene, puppets) = Scene::linked_with([1, 2, 3, 4, 5, 6]);
    for asker in &puppets[1..5] {
        for ask in 0..16 {
            check(&mut scene, asker, ask, &puppets[0]);
        }
    }
    check(&mut scene, &puppets[5], 1, &puppets[0]);
    assert_eq!(answers(&mut scene, &puppets[5]), [(1, Answer::CannotTell)]);
}

#[test]
fn nobody_is_probed_more_than_ten_times_a_second_however_often_others_ask() {
    let (mut scene, [bob, eve]) = Scene::linked_with([1, 2]);
    let mut probes = 0;
    let mut answered = 0;
    for ask in 0..1_000 {
        check(&mut scene, &bob, ask, &eve);
        scene.wait(MS);
        for wish in scene.other_wishes() {
            assert_eq!(wish, Wish::Probe { peer: eve.id });
            probes += 1;
            scene.act(|ada, now| ada.answered(now, eve.id));
        }
        let alive = answers(&mut scene, &bob).into_iter().filter(|(_, answer)| *answer == Answer::Alive);
        answered += alive.count();
    }
    assert!((9..=11).contains(&probes), "{probes}");
    assert!(answered >= 100, "each probe stands for all who wait: {answered}");
}

#[test]
fn whoever_doubted_a_node_that_lives_gets_its_next_record() {
    let (mut scene, [bob, eve, mia]) = Scene::linked_with([1, 2, 3]);
    check(&mut scene, &bob, 5, &eve);
    scene.act(|ada, now| ada.answered(now, eve.id));
    scene.said();
    scene.told(&eve, discovered([eve.handed(2)]));
    let said = scene.said();
    assert_eq!(said, [(bob.id, discovered([eve.handed(2)]))]);
    scene.told(&eve, discovered([eve.handed(3)]));
    assert_eq!(scene.said(), [], "once");
    check(&mut scene, &mia, 6, &eve);
    scene.wait(MS * 200);
    scene.act(|ada, now| ada.answered(now, eve.id));
    scene.wait(limits::REFUTATION_PASSED_ON);
    scene.said();
    scene.told(&eve, discovered([eve.handed(4)]));
    assert_eq!(scene.said(), [], "and not for ever");
}
