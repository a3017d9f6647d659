//! Who gets a link.

use super::*;

#[test]
fn a_peer_can_be_called_once_both_ends_have_taken_the_link() {
    let mut scene = Scene::new();
    let link = scene.proved(BOB, 1);
    scene.ordered(&[Order::Admit { link }]).told(&[]);
    assert_eq!(scene.node.links().count(), 0);
    scene.feed(Input::Up { link });
    scene.ordered(&[Order::Activate { link, peer: BOB }]).told(&[link_up(BOB, 1, link), Event::Connected]);
    let view = scene.node.links().next().unwrap();
    assert_eq!((view.peer, view.epoch, view.active, view.dialled), (BOB, epoch(1), true, false));
    assert_eq!(scene.node.connected(), 1);
}

#[test]
fn connected_and_isolated_are_told_for_the_first_and_the_last_peer_each_time_anew() {
    let mut scene = Scene::new();
    for _ in 0..2 {
        let bob = scene.link(BOB);
        let cat = scene.link(CAT);
        scene.told(&[link_up(BOB, 1, bob), Event::Connected, link_up(CAT, 1, cat)]);
        scene.lost(bob);
        scene.lost(cat);
        let why = WhyDown::Lost(LinkLost::PeerClosed);
        scene.told(&[link_down(BOB, 1, why.clone()), link_down(CAT, 1, why), Event::Isolated]);
    }
}

#[test]
fn a_second_link_to_a_peer_changes_where_calls_go_and_is_no_event() {
    let mut scene = Scene::new();
    let first = scene.linked(BOB);
    let second = scene.link(BOB);
    let winner = LinkOrder { dialer: BOB, dial_seq: second.0, binding: [0; 32] };
    scene
        .ordered(&[
            Order::Admit { link: second },
            Order::Retire { link: first },
            Order::Send { link: first, control: Control::Superseded { winner, round: 0 } },
            Order::Activate { link: second, peer: BOB },
        ])
        .told(&[]);
    // Nor is it one when the loser ends, or when the winner dies and the loser takes its place.
    scene.lost(second);
    scene.told(&[]);
    assert_eq!(scene.node.connected(), 1);
}

#[test]
fn a_newer_epoch_ends_every_link_of_the_older_one() {
    let mut scene = Scene::new();
    let (old, older) = (scene.linked(BOB), scene.linked(BOB));
    scene.forget();
    let new = scene.proved(BOB, 2);
    let why = WhyClosed::NewerEpoch(epoch(2));
    let closed = |link| Order::Close { link, why: why.clone() };
    let restored: Vec<Order> =
        scene.orders.drain(..).filter(|order| matches!(order, Order::Close { .. } | Order::Admit { .. })).collect();
    assert_eq!(restored, [closed(old), closed(older), Order::Admit { link: new }]);
    scene.told(&[link_down(BOB, 1, WhyDown::Closed(why.clone())), Event::Isolated]);
    scene.feed(Input::Up { link: new });
    scene.ordered(&[Order::Activate { link: new, peer: BOB }]).told(&[link_up(BOB, 2, new), Event::Connected]);
    // The ends of the old ones are reported later and change nothing.
    scene.lost(old);
    scene.lost(older);
    scene.ordered(&[]).told(&[]);
}

#[test]
fn an_older_epoch_is_refused_and_told_the_newest_even_when_there_is_no_link() {
    let mut scene = Scene::new();
    let new = scene.proved(BOB, 5);
    scene.feed(Input::Up { link: new });
    scene.lost(new);
    scene.forget();
    let old = scene.proved(BOB, 4);
    scene.ordered(&[Order::Refuse { link: old, why: Refusal::StaleEpoch { newest: epoch(5) } }]);
    // For as long as the peer is remembered.
    scene.after(secs(3_600));
    scene.forget();
    let old = scene.proved(BOB, 4);
    scene.ordered(&[Order::Admit { link: old }]);
}

#[test]
fn a_node_that_is_told_of_a_newer_run_of_itself_raises_its_epoch_above_it_and_returns() {
    let mut scene = Scene::new();
    scene.seed("tls://bob");
    let dial = scene.dials("tls://bob");
    scene.fails(dial, refused(Refusal::StaleEpoch { newest: epoch(250) }));
    scene.ordered(&[Order::Renew { epoch: epoch(251) }]);
    assert_eq!(scene.node.epoch(), epoch(251));
    assert!(scene.waits() <= millis(200));
    scene.dials("tls://bob");
    // Said by a dialler after we had admitted it, it counts as well.
    let link = scene.proved(CAT, 1);
    scene.forget();
    let why = HelloError::Refused(Refusal::StaleEpoch { newest: epoch(300) });
    scene.feed(Input::Down { link, why: WhyDown::Hello(why) });
    scene.ordered(&[Order::Renew { epoch: epoch(301) }]);
}

#[test]
fn nobody_can_push_an_epoch_to_its_end() {
    let mut scene = Scene::new();
    for start in [99, 100 + limits::EPOCH_JUMP_MAX + 1, u64::MAX] {
        let link = scene.proved(BOB, 1);
        let why = HelloError::Refused(Refusal::StaleEpoch { newest: epoch(start) });
        scene.feed(Input::Down { link, why: WhyDown::Hello(why) });
    }
    assert_eq!(scene.node.epoch(), epoch(100));
}

#[test]
fn a_fifth_link_to_one_peer_is_refused() {
    let mut scene = Scene::new();
    (0..4).for_each(|_| _ = scene.linked(BOB));
    let link = scene.proved(BOB, 1);
    scene.ordered(&[Order::Refuse { link, why: busy() }]);
    let other = scene.proved(CAT, 1);
    scene.ordered(&[Order::Admit { link: other }]);
}

#[test]
fn a_node_has_so_many_links_and_gives_none_up_for_another() {
    let mut scene = Scene::of(Config { links_max: 2, ..Config::new(ADA, epoch(1), 0) });
    let first = scene.linked(BOB);
    scene.linked(BOB);
    let link = scene.proved(CAT, 1);
    scene.ordered(&[Order::Refuse { link, why: busy() }]);
    // A link that was closed counts until its end is reported.
    scene.feed(Input::Disconnect { peer: BOB, reason: String::new() });
    scene.after(secs(2));
    scene.forget();
    let link = scene.proved(CAT, 1);
    scene.ordered(&[Order::Refuse { link, why: busy() }]);
    scene.lost(first);
    let link = scene.proved(CAT, 1);
    scene.ordered(&[Order::Admit { link }]);
}

#[test]
fn the_same_link_under_two_numbers_is_refused() {
    let mut scene = Scene::new();
    let link = scene.linked(BOB);
    let order = LinkOrder { dialer: BOB, dial_seq: link.0, binding: [0; 32] };
    let proved = Proved { peer: BOB, trust: Trust::Proven, epoch: epoch(1), order };
    scene.feed(Input::Proved { link: LinkId(99), proved, dialled: None });
    scene.ordered(&[Order::Refuse { link: LinkId(99), why: busy() }]);
}

#[test]
fn a_number_that_is_in_use_is_not_taken_for_a_new_link() {
    let mut scene = Scene::new();
    let link = scene.linked(BOB);
    let order = LinkOrder { dialer: CAT, dial_seq: 1, binding: [1; 32] };
    let proved = Proved { peer: CAT, trust: Trust::Proven, epoch: epoch(1), order };
    scene.feed(Input::Proved { link, proved, dialled: None });
    scene.ordered(&[]);
    assert_eq!(scene.node.links().next().unwrap().peer, BOB);
}

#[test]
fn a_link_with_our_own_key_at_the_other_end_is_refused() {
    let mut scene = Scene::new();
    let link = scene.proved(ADA, 7);
    scene.ordered(&[Order::Refuse { link, why: Refusal::IdentityConflict }]);
}

#[test]
fn an_id_that_is_only_claimed_never_displaces_one_that_was_proved() {
    let mut scene = Scene::new();
    let proven = scene.linked(BOB);
    let claimed = scene.proved_by(BOB, epoch(9), Trust::Claimed, None);
    scene.ordered(&[Order::Refuse { link: claimed, why: Refusal::IdentityConflict }]);
    // Also while its owner is away.
    scene.lost(proven);
    scene.forget();
    let claimed = scene.proved_by(BOB, epoch(9), Trust::Claimed, None);
    scene.ordered(&[Order::Refuse { link: claimed, why: Refusal::IdentityConflict }]);
}

#[test]
fn who_proves_an_id_displaces_whoever_claimed_it_whatever_the_epochs() {
    let mut scene = Scene::new();
    let claimed = scene.proved_by(BOB, epoch(9), Trust::Claimed, None);
    scene.feed(Input::Up { link: claimed });
    scene.forget();
    let proven = scene.proved(BOB, 1);
    scene.ordered(&[Order::Close { link: claimed, why: WhyClosed::Proven }, Order::Admit { link: proven }]);
}

/// Bob's links so far were replaced twice within a minute; now a third newer epoch wants in.
fn on_trial() -> (Scene, LinkId, LinkId) {
    let mut scene = Scene::new();
    scene.linked(BOB);
    let mut established = LinkId(0);
    for start in 2..=3 {
        established = scene.proved(BOB, start);
        scene.feed(Input::Up { link: established });
    }
    scene.after(secs(59));
    scene.forget();
    let newcomer = scene.proved(BOB, 4);
    scene.ordered(&[Order::Probe { link: established }]);
    (scene, established, newcomer)
}

#[test]
fn of_two_processes_with_one_key_the_established_one_stays_if_it_answers() {
    let (mut scene, established, newcomer) = on_trial();
    scene.after(millis(1_900));
    scene.feed(Input::Answered { link: established });
    scene.ordered(&[Order::Refuse { link: newcomer, why: Refusal::IdentityConflict }]);
    assert!(scene.events.contains(&Event::IdentityConflict { peer: BOB }));
    assert_eq!(scene.fault_names(), ["identity-conflict"]);
    assert_eq!(scene.node.links().next().unwrap().link, established);
    // Whoever comes next within the minute is judged the same way.
    let next = scene.proved(BOB, 5);
    scene.ordered(&[Order::Probe { link: established }]);
    scene.feed(Input::Answered { link: established });
    scene.ordered(&[Order::Refuse { link: next, why: Refusal::IdentityConflict }]);
    scene.after(secs(61));
    assert!(scene.fault_names().is_empty());
}

#[test]
fn a_newcomer_takes_the_place_of_a_process_that_gives_no_sign_of_life() {
    let (mut scene, established, newcomer) = on_trial();
    // Only one at a time is judged.
    let third = scene.proved(BOB, 5);
    scene.ordered(&[Order::Refuse { link: third, why: busy() }]);
    scene.after(secs(2));
    let why = WhyClosed::NewerEpoch(epoch(4));
    scene.ordered(&[Order::Close { link: established, why }, Order::Admit { link: newcomer }]);
    assert!(scene.fault_names().is_empty());
    scene.feed(Input::Answered { link: established }); // too late
    scene.ordered(&[]);
}

#[test]
fn a_newcomer_need_not_wait_for_a_process_that_has_gone() {
    let (mut scene, established, newcomer) = on_trial();
    scene.lost(established);
    scene.ordered(&[Order::Admit { link: newcomer }]);
}

#[test]
fn a_newcomer_that_gives_up_waiting_changes_nothing() {
    let (mut scene, established, newcomer) = on_trial();
    scene.lost(newcomer);
    scene.feed(Input::Answered { link: established });
    scene.after(secs(3));
    scene.ordered(&[]).told(&[]);
}

#[test]
fn a_process_that_is_restarted_again_and_again_is_no_conflict() {
    let mut scene = Scene::new();
    for start in 1..20 {
        let link = scene.proved(BOB, start);
        scene.ordered(&[Order::Admit { link }]);
        scene.feed(Input::Up { link });
        scene.lost(link);
        scene.forget();
        scene.after(secs(1));
    }
    assert!(scene.fault_names().is_empty());
}

#[test]
fn a_peer_that_gives_up_a_link_for_a_lesser_one_misbehaves() {
    let mut scene = Scene::new();
    let link = scene.linked(BOB);
    let winner = LinkOrder { dialer: BOB, dial_seq: 0, binding: [0; 32] };
    scene.feed(Input::Heard { link, control: Control::Superseded { winner, round: 0 } });
    let why = WhyClosed::Misbehaved("it gives up a link for a lesser one");
    scene.ordered(&[Order::Close { link, why }]);
}

#[test]
fn words_on_links_that_are_not_known_are_not_heeded() {
    let mut scene = Scene::new();
    let link = LinkId(77);
    let winner = LinkOrder { dialer: BOB, dial_seq: 0, binding: [0; 32] };
    for input in [
        Input::Up { link },
        Input::Heard { link, control: Control::Superseded { winner, round: 0 } },
        Input::Heard { link, control: Control::Disconnect { reason: String::new() } },
        Input::Heard { link, control: Control::Disconnected },
        Input::Heard { link, control: Control::Draining },
        Input::Idle { link, ask: 1 },
        Input::Answered { link },
        Input::Down { link, why: WhyDown::TooSlow },
        Input::DialFailed { dial: DialId(9), why: unreachable() },
        Input::Addresses { peer: BOB, addresses: vec![address("tls://bob")] },
        Input::Disconnect { peer: BOB, reason: String::new() },
        Input::Timeout,
    ] {
        scene.feed(input);
    }
    scene.ordered(&[]).told(&[]);
    assert_eq!(scene.node.next_timeout(), None);
}
