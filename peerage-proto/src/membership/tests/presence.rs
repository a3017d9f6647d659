//! When the view of the members is complete.

use super::scene::{Puppet, Scene, discovered};
use crate::limits;
use crate::membership::{Digest, LinkEnd, Missing, Word};

#[test]
fn without_a_link_the_view_is_never_complete() {
    let mut scene = Scene::new();
    assert_eq!(scene.ada.missing(), [Missing::Links]);
    let bob = Puppet::of(1);
    scene.link(&bob);
    scene.agree(std::slice::from_ref(&bob));
    assert_eq!(scene.ada.missing(), []);
    scene.unlink(&bob, LinkEnd::Fin);
    assert_eq!(scene.ada.missing(), [Missing::Links]);
}

#[test]
fn every_seed_and_way_of_discovery_is_tried_once_first() {
    let (mut scene, [_bob]) = Scene::linked_with([1]);
    scene.act(|ada, _| ada.expect("seed tls://a".to_owned()));
    scene.act(|ada, _| ada.expect("mdns".to_owned()));
    scene.act(|ada, _| ada.explored("mdns"));
    assert_eq!(scene.ada.missing(), [Missing::Source("seed tls://a".to_owned())]);
    scene.act(|ada, _| ada.explored("seed tls://a"));
    assert_eq!(scene.ada.missing(), []);
}

#[test]
fn every_neighbour_has_to_agree_or_to_have_told_what_it_knows() {
    let (mut scene, [bob, eve]) = Scene::linked_with([1, 2]);
    let mia = Puppet::of(3);
    scene.link(&mia);
    // The newcomer has said nothing, and the others know it not, as far as they have told.
    let all = [&bob, &eve, &mia].map(|puppet| Missing::Agreement(puppet.id));
    assert_eq!(scene.ada.missing(), all);
    scene.agree(&[bob.clone(), eve, mia]);
    assert_eq!(scene.ada.missing(), []);
    let differing = Digest([5; 16]);
    scene.told(&bob, Word::Digest(differing));
    assert_eq!(scene.ada.missing(), [Missing::Agreement(bob.id)]);
    scene.wait(limits::SUMMARY_DELAY);
    scene.told(&bob, Word::Discovered { records: Vec::new(), at: Some(differing) });
    assert_eq!(scene.ada.missing(), [], "there is nothing more to hear from it");
    scene.told(&bob, Word::Digest(Digest([6; 16])));
    assert_eq!(scene.ada.missing(), [Missing::Agreement(bob.id)]);
}

#[test]
fn a_neighbour_that_links_again_has_to_agree_again() {
    let (mut scene, [bob, eve]) = Scene::linked_with([1, 2]);
    scene.unlink(&bob, LinkEnd::Fin);
    scene.link(&bob);
    assert_eq!(scene.ada.missing(), [Missing::Agreement(bob.id)]);
    scene.agree(&[bob, eve]);
    assert_eq!(scene.ada.missing(), []);
}

#[test]
fn whoever_can_be_dialled_is_dialled_first() {
    let (mut scene, [bob]) = Scene::linked_with([1]);
    let [eve, mia, hidden] = [Puppet::of(2), Puppet::of(3), Puppet::of(4).hidden()];
    scene.told(&bob, discovered([eve.handed(1), mia.handed(1), hidden.handed(1)]));
    scene.agree(std::slice::from_ref(&bob));
    assert_eq!(scene.ada.missing(), [Missing::Dial(eve.id), Missing::Dial(mia.id)]);
    scene.act(|ada, _| ada.tried(&eve.id));
    scene.link(&mia);
    scene.agree(&[bob.clone(), mia.clone()]);
    assert_eq!(scene.ada.missing(), []);
    // A loss is no reason to try again before answering; a new address is.
    scene.unlink(&mia, LinkEnd::Fin);
    assert_eq!(scene.ada.missing(), []);
    scene.told(&bob, discovered([eve.moved("memory://elsewhere").handed(2)]));
    scene.agree(&[bob]);
    assert_eq!(scene.ada.missing(), [Missing::Dial(eve.id)]);
}

#[test]
fn whoever_is_gone_need_not_be_dialled() {
    let (mut scene, [bob]) = Scene::linked_with([1]);
    let eve = Puppet::of(2);
    scene.told(&bob, discovered([eve.handed(1)]));
    scene.told(&bob, discovered([eve.farewell(2)]));
    scene.agree(&[bob]);
    assert_eq!(scene.ada.missing(), []);
}

#[test]
fn an_answer_of_which_a_part_was_dropped_is_no_agreement() {
    let (mut scene, [bob]) = Scene::linked_with([1]);
    let differing = Digest([5; 16]);
    scene.told(&bob, Word::Digest(differing));
    scene.wait(limits::SUMMARY_DELAY);
    let many = (0..limits::RECORDS_ASKED_MAX).map(|_| bob.handed(1));
    scene.told(&bob, discovered(many));
    scene.told(&bob, Word::Discovered { records: vec![Puppet::of(9).handed(1)], at: Some(differing) });
    assert_eq!(scene.ada.missing(), [Missing::Agreement(bob.id)]);
}

#[test]
fn what_is_missing_says_so_in_words() {
    let bob = Puppet::of(1).id;
    let texts = [Missing::Links, Missing::Source("mdns".into()), Missing::Agreement(bob), Missing::Dial(bob)];
    let texts = texts.map(|missing| missing.to_string());
    assert_eq!(texts[..2], ["no link with any node", "mdns has not been tried yet"]);
    assert_eq!(
        texts[2..],
        [format!("what {bob} knows has not been heard yet"), format!("{bob} has not been dialled yet")]
    );
}
