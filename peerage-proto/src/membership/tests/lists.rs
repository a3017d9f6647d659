//! Lists of services: who is asked for them, which are taken, what is told.

use super::scene::{MS, Puppet, SECOND, Scene, about, discovered};
use crate::limits;
use crate::membership::lists::Lists;
use crate::membership::{About, LinkEnd, Missing, ServiceList, Word};

fn list(tags: &[&str]) -> ServiceList {
    ServiceList::of(tags.iter().copied()).unwrap()
}

/// Lists of about so many bytes, of which each is another one.
fn large(number: usize, bytes: usize) -> ServiceList {
    let tags = (0..bytes / 250).map(|n| format!("{number}/{n:0>240}"));
    ServiceList::of(tags).unwrap()
}

fn services(lists: impl IntoIterator<Item = ServiceList>) -> Word {
    Word::Services { lists: lists.into_iter().collect(), whole: true }
}

/// What was asked of one neighbour.
fn wanted(scene: &mut Scene, puppet: &Puppet) -> Vec<[u8; 32]> {
    let words = scene.said_to(puppet).into_iter();
    words.flat_map(|word| if let Word::Wanted(digests) = word { digests } else { Vec::new() }).collect()
}

fn known<'a>(scene: &'a Scene, puppet: &Puppet) -> Option<&'a ServiceList> {
    scene.ada.member(&puppet.id).unwrap().services
}

#[test]
fn a_list_is_asked_of_its_owner_as_soon_as_its_record_counts_and_the_view_waits_for_it() {
    let (mut scene, [bob, eve]) = Scene::linked_with([1, 2]);
    let (bob, offer) = (bob.offering(&["sum", "img.resize"]), list(&["img.resize", "sum"]));
    scene.told(&bob, discovered([bob.handed(2)]));
    let said = scene.said();
    assert!(said.contains(&(bob.id, Word::Wanted(vec![offer.digest().unwrap()]))), "{said:?}");
    assert_eq!(known(&scene, &bob), None);
    assert!(scene.ada.missing().contains(&Missing::Services(bob.id)));
    let version = scene.ada.version();
    scene.told(&bob, services([offer.clone()]));
    assert_eq!(known(&scene, &bob), Some(&offer));
    assert!(!scene.ada.missing().contains(&Missing::Services(bob.id)));
    assert!(scene.ada.version() > version);
    assert_eq!(known(&scene, &eve), Some(&ServiceList::default()), "who offers nothing has no list to be asked for");
}

#[test]
fn without_a_link_with_the_owner_whoever_told_of_it_is_asked_and_then_the_others_in_turn() {
    let (mut scene, [bob, eve]) = Scene::linked_with([1, 2]);
    let (mia, offer) = (Puppet::of(3).offering(&["sum"]), list(&["sum"]));
    scene.told(&eve, discovered([mia.handed(1)]));
    let digest = offer.digest().unwrap();
    assert_eq!(wanted(&mut scene, &eve), [digest]);
    scene.wait(limits::WANTED_AGAIN - MS);
    assert!(!scene.said().iter().any(|(_, word)| matches!(word, Word::Wanted(_))));
    scene.wait(MS);
    assert_eq!(wanted(&mut scene, &bob), [digest], "she has not answered");
    scene.told(&bob, services([]));
    scene.wait(limits::WANTED_ELSEWHERE);
    assert_eq!(wanted(&mut scene, &eve), [digest], "he has said that he does not hold it");
    scene.unlink(&eve, LinkEnd::Reset);
    assert_eq!(wanted(&mut scene, &bob), [digest], "she is gone");
    scene.link(&mia);
    scene.wait(SECOND);
    assert_eq!(wanted(&mut scene, &mia), [digest], "now the owner can be asked");
    scene.told(&bob, services([offer]));
    assert_eq!(scene.ada.lists_due(), None);
}

#[test]
fn a_list_is_taken_from_anybody_and_only_if_its_digest_is_the_signed_one() {
    let (mut scene, [bob, eve]) = Scene::linked_with([1, 2]);
    let (bob, offer) = (bob.offering(&["sum"]), list(&["sum"]));
    scene.told(&bob, discovered([bob.handed(2)]));
    scene.told(&bob, services([list(&["another"]), ServiceList::default()]));
    assert_eq!(known(&scene, &bob), None);
    scene.told(&eve, services([offer.clone(), list(&["nobody.asked"])]));
    assert_eq!(known(&scene, &bob), Some(&offer));
}

#[test]
fn a_list_that_no_live_record_names_any_more_is_forgotten() {
    let (mut scene, [bob, eve]) = Scene::linked_with([1, 2]);
    let both = [bob.offering(&["sum"]), eve.offering(&["sum"])];
    both.iter().for_each(|puppet| scene.told(puppet, discovered([puppet.handed(2)])));
    let asked = scene.said().into_iter().filter(|(_, word)| matches!(word, Word::Wanted(_))).count();
    assert_eq!(asked, 1, "one list, however many name it");
    scene.told(&bob, services([list(&["sum"])]));
    assert!(both.iter().all(|puppet| known(&scene, puppet) == Some(&list(&["sum"]))));
    scene.told(&eve, discovered([eve.handed(3)]));
    assert_eq!(known(&scene, &eve), Some(&ServiceList::default()));
    assert_eq!(known(&scene, &bob), Some(&list(&["sum"])));
    scene.told(&bob, discovered([bob.offering(&[]).handed(3)]));
    let again = bob.offering(&["sum"]);
    scene.told(&bob, discovered([again.handed(4)]));
    assert_eq!(known(&scene, &bob), None, "asked for anew");
}

#[test]
fn what_is_held_is_told_and_what_is_not_is_left_out() {
    let (mut scene, [bob, eve]) = Scene::linked_with([1, 2]);
    let bob = bob.offering(&["sum"]);
    scene.told(&bob, discovered([bob.handed(2)]));
    scene.told(&bob, services([list(&["sum"])]));
    scene.act(|ada, now| ada.announce(now, About { services: list(&["own"]), ..about("ada") }).unwrap());
    scene.said();
    let digests = [list(&["sum"]), list(&["own"]), list(&["unknown"])].map(|list| list.digest().unwrap());
    scene.told(&eve, Word::Wanted([digests, digests].concat()));
    let words = scene.said_to(&eve);
    let [Word::Services { lists, whole: true }] = &words[..] else { panic!("{words:?}") };
    let mut tags: Vec<&str> = lists.iter().flat_map(|list| list.tags()).map(String::as_str).collect();
    tags.sort_unstable();
    assert_eq!(tags, ["own", "sum"]);
}

#[test]
fn long_answers_come_in_pieces_that_a_frame_holds_and_end_with_their_budget() {
    let (mut scene, [bob, eve]) = Scene::linked_with([1, 2]);
    let lists: Vec<ServiceList> = (0..40).map(|number| large(number, 40_000)).collect();
    let puppets: Vec<Puppet> = (0..40).map(|n| Puppet::of(n + 10).offering_all(&lists[usize::from(n)])).collect();
    puppets.iter().for_each(|puppet| scene.told(&bob, discovered([puppet.handed(1)])));
    lists.iter().for_each(|list| scene.told(&bob, services([list.clone()])));
    assert!(puppets.iter().all(|puppet| known(&scene, puppet).is_some()));
    scene.said();
    let digests: Vec<[u8; 32]> = lists.iter().map(|list| list.digest().unwrap()).collect();
    scene.told(&eve, Word::Wanted(digests.clone()));
    let told = told_bytes(&mut scene, &eve);
    assert!(told > limits::SERVICE_LISTS_TOLD_MAX - 50_000 && told <= limits::SERVICE_LISTS_TOLD_MAX, "{told}");
    scene.told(&eve, Word::Wanted(digests.clone()));
    assert_eq!(told_bytes(&mut scene, &eve), 0);
    scene.wait(limits::RECORDS_WINDOW);
    scene.told(&eve, Word::Wanted(digests));
    assert_eq!(told_bytes(&mut scene, &eve), told);
}

/// Bytes of the lists that one neighbour was told since this was asked last.
fn told_bytes(scene: &mut Scene, puppet: &Puppet) -> usize {
    let mut bytes = 0;
    for word in scene.said_to(puppet) {
        let Word::Services { lists, .. } = &word else { continue };
        let (_, content) = word.encode();
        assert!(content.len() <= limits::SERVICES_FRAME_BYTES_MAX, "{}", content.len());
        bytes += lists.iter().map(ServiceList::bytes).sum::<usize>();
    }
    bytes
}

#[test]
fn more_questions_than_anybody_has_are_not_answered() {
    let (mut scene, [bob]) = Scene::linked_with([1]);
    scene.said();
    for _ in 0..limits::WANTED_PER_SECOND * 2 {
        scene.told(&bob, Word::Wanted(vec![[7; 32]]));
    }
    assert_eq!(scene.said_to(&bob), vec![services([]); limits::WANTED_PER_SECOND]);
}

#[test]
fn beyond_what_can_be_kept_lists_are_left_out_and_asked_for_again_later() {
    let (now, mut lists) = (crate::sim::epoch(), Lists::default());
    let all: Vec<ServiceList> = (0..300).map(|number| large(number, 65_000)).collect();
    lists.need(now, &all.iter().filter_map(ServiceList::digest).collect());
    let taken = all.iter().take_while(|list| lists.take(now, (*list).clone())).count();
    let bytes: usize = all.iter().take(taken + 1).map(ServiceList::bytes).sum();
    assert!(bytes > limits::SERVICE_LISTS_BYTES_MAX && taken < all.len(), "{taken} lists, {bytes} bytes");
    assert_eq!(lists.of(all[taken].digest()), None);
    lists.need(now, &all[taken..].iter().filter_map(ServiceList::digest).collect());
    assert!(all[taken..].iter().all(|list| lists.take(now, list.clone())), "there is room again");
}
