//! What is found is dialled as long as it is found.

use super::*;

/// The dial leads to this node, and a link with it.
fn reaches(scene: &mut Scene, dial: DialId, peer: NodeId) -> LinkId {
    let link = scene.proved_by(peer, epoch(1), Trust::Proven, Some(dial));
    scene.feed(Input::Up { link });
    scene.forget();
    link
}

fn withdraw(scene: &mut Scene, at: &str) {
    scene.feed(Input::Withdraw { address: address(at) });
}

fn untried(scene: &Scene) -> Vec<String> {
    scene.node.untried().map(Address::to_string).collect()
}

#[test]
fn what_was_found_is_dialled_until_it_is_withdrawn_and_is_no_fault() {
    let mut scene = Scene::new();
    scene.found("unix:///run/bob.link");
    for _ in 0..20 {
        let dial = scene.dials("unix:///run/bob.link");
        scene.fails(dial, unreachable());
        assert!(scene.waits() <= limits::RECONNECT_LAST);
    }
    assert!(scene.fault_names().is_empty());
    let dial = scene.dials("unix:///run/bob.link");
    withdraw(&mut scene, "unix:///run/bob.link");
    scene.fails(dial, unreachable());
    scene.after(secs(8_000));
    scene.ordered(&[]).told(&[]);
}

#[test]
fn a_linked_node_that_is_found_no_more_is_a_member_like_any_other() {
    let mut scene = Scene::new();
    scene.found("unix:///run/bob.link");
    let dial = scene.dials("unix:///run/bob.link");
    let link = reaches(&mut scene, dial, BOB);
    withdraw(&mut scene, "unix:///run/bob.link");
    scene.ordered(&[]);
    scene.lost(link);
    scene.forget();
    scene.waits();
    let dial = scene.dials("unix:///run/bob.link");
    scene.fails(dial, unreachable());
    scene.after(limits::MEMBER_KEPT + limits::RECONNECT_SLOWLY_LAST);
    scene.forget();
    scene.after(secs(8_000));
    scene.ordered(&[]);
}

#[test]
fn an_address_that_a_linked_peer_named_itself_is_not_dialled_when_it_is_found() {
    let mut scene = Scene::new();
    scene.linked(BOB);
    scene.feed(Input::Addresses { peer: BOB, addresses: vec![address("unix:///run/bob.link")] });
    scene.found("unix:///run/bob.link");
    scene.ordered(&[]);
    assert!(untried(&scene).is_empty());
}

#[test]
fn a_node_that_left_is_dialled_again_if_it_is_still_found() {
    let mut scene = Scene::new();
    scene.found("unix:///run/bob.link");
    let dial = scene.dials("unix:///run/bob.link");
    let link = reaches(&mut scene, dial, BOB);
    scene.feed(Input::Heard { link, control: Control::Disconnect { reason: "drained".to_owned() } });
    scene.feed(Input::Down { link, why: WhyDown::Lost(LinkLost::PeerClosed) });
    scene.forget();
    scene.waits();
    scene.dials("unix:///run/bob.link");
}

#[test]
fn a_seed_that_is_also_found_stays_a_seed() {
    let mut scene = Scene::new();
    scene.seed("tls://bob");
    let dial = scene.dials("tls://bob");
    scene.found("tls://bob");
    withdraw(&mut scene, "tls://bob");
    scene.fails(dial, unreachable());
    scene.waits();
    scene.dials("tls://bob");
}

#[test]
fn who_waits_for_an_address_that_is_withdrawn_gets_the_answer_of_its_dial() {
    let mut scene = Scene::new();
    scene.found("tls://bob");
    let dial = scene.dials("tls://bob");
    scene.connect(1, "tls://bob");
    withdraw(&mut scene, "tls://bob");
    scene.fails(dial, unreachable());
    let result = Err(ConnectError::Dial(unreachable()));
    scene.ordered(&[Order::Answer { connect: ConnectId(1), result }]);
    scene.after(secs(8_000));
    scene.ordered(&[]);
}

#[test]
fn a_new_network_has_everybody_dialled_at_once_who_is_waited_for() {
    let mut scene = Scene::new();
    scene.seed("tls://bob");
    for _ in 0..10 {
        let dial = scene.dials("tls://bob");
        scene.fails(dial, unreachable());
        scene.waits();
    }
    let dial = scene.dials("tls://bob");
    scene.fails(dial, unreachable());
    let here = Here { plaintext: true, ..Here::default() };
    scene.feed(Input::NetworkChanged { here: here.clone() });
    assert_eq!(*scene.node.here(), here);
    let dial = scene.dials("tls://bob");
    scene.fails(dial, unreachable());
    assert!(scene.waits() <= limits::RECONNECT_FIRST, "and what follows are the waits of a beginning");
}

#[test]
fn seeds_and_what_was_found_are_untried_until_there_was_a_link_or_none() {
    let mut scene = Scene::new();
    scene.seed("tls://bob");
    let to_bob = scene.dials("tls://bob");
    scene.found("tls://cat");
    let to_cat = scene.dials("tls://cat");
    assert_eq!(untried(&scene), ["tls://bob:5000", "tls://cat:5000"]);
    scene.fails(to_bob, unreachable());
    assert_eq!(untried(&scene), ["tls://cat:5000"]);
    reaches(&mut scene, to_cat, CAT);
    assert!(untried(&scene).is_empty());
    assert!(!scene.node.has_searched());
    scene.feed(Input::Searched);
    assert!(scene.node.has_searched());
}
