//! Parting from one peer, and from all.

use super::*;

fn goodbye(link: LinkId, reason: &str) -> [Order; 2] {
    let control = Control::Disconnect { reason: reason.to_owned() };
    [Order::Retire { link }, Order::Send { link, control }]
}

fn closed(link: LinkId, reason: &str) -> Order {
    Order::Close { link, why: WhyClosed::Goodbye { reason: reason.to_owned() } }
}

fn disconnect(peer: NodeId, reason: &str) -> Input {
    Input::Disconnect { peer, reason: reason.to_owned() }
}

fn drain(within: Duration) -> Input {
    Input::Drain { within, reason: "moving".to_owned() }
}

fn stop() -> Input {
    Input::Stop { reason: "enough".to_owned() }
}

fn begins_to_drain(link: LinkId) -> [Order; 3] {
    let ask = u32::MAX;
    [Order::Send { link, control: Control::Draining }, Order::Drain { link }, Order::WhenIdle { link, ask }]
}

#[test]
fn a_peer_is_told_why_and_the_link_closed_when_it_has_heard() {
    let mut scene = Scene::new();
    let link = scene.linked(BOB);
    scene.feed(disconnect(BOB, "not you"));
    scene.ordered(&goodbye(link, "not you"));
    let why = WhyDown::Closed(WhyClosed::Goodbye { reason: "not you".to_owned() });
    scene.told(&[link_down(BOB, 1, why), Event::Isolated]);
    scene.feed(Input::Heard { link, control: Control::Disconnected });
    scene.ordered(&[closed(link, "not you")]);
    scene.lost(link);
    scene.ordered(&[]).told(&[]);
}

#[test]
fn a_peer_that_does_not_answer_a_goodbye_has_a_second() {
    let mut scene = Scene::new();
    let link = scene.linked(BOB);
    scene.feed(disconnect(BOB, ""));
    scene.forget();
    assert_eq!(scene.waits(), secs(1));
    scene.ordered(&[closed(link, "")]);
}

#[test]
fn a_long_reason_is_cut_between_characters() {
    let mut scene = Scene::new();
    let link = scene.linked(BOB);
    scene.feed(disconnect(BOB, &"é".repeat(200)));
    scene.ordered(&goodbye(link, &"é".repeat(128)));
}

#[test]
fn a_peer_we_parted_from_gets_no_new_link_before_the_goodbye_is_over() {
    let mut scene = Scene::new();
    scene.linked(BOB);
    scene.feed(disconnect(BOB, ""));
    scene.forget();
    let link = scene.proved(BOB, 1);
    scene.ordered(&[Order::Refuse { link, why: busy() }]);
    scene.after(secs(1));
    scene.forget();
    let link = scene.proved(BOB, 1);
    scene.ordered(&[Order::Admit { link }]);
}

#[test]
fn a_handshake_that_is_under_way_ends_with_the_goodbye() {
    let mut scene = Scene::new();
    let link = scene.proved(BOB, 1);
    scene.forget();
    scene.feed(disconnect(BOB, "not you"));
    scene.ordered(&[closed(link, "not you")]).told(&[]);
}

#[test]
fn whom_we_parted_from_is_not_dialled_until_somebody_wants_it() {
    let mut scene = Scene::new();
    scene.seed("tls://bob");
    let dial = scene.dials("tls://bob");
    let link = scene.proved_by(BOB, epoch(1), Trust::Proven, Some(dial));
    scene.feed(Input::Up { link });
    scene.feed(disconnect(BOB, ""));
    scene.after(secs(4_000));
    scene.forget();
    scene.connect(1, "tls://bob");
    scene.dials("tls://bob");
}

#[test]
fn a_peer_that_says_goodbye_is_answered_and_has_left() {
    let mut scene = Scene::new();
    let link = scene.linked(BOB);
    scene.feed(Input::Addresses { peer: BOB, addresses: vec![address("tls://bob")] });
    scene.feed(Input::Heard { link, control: Control::Disconnect { reason: "holidays".to_owned() } });
    scene.ordered(&[Order::Retire { link }, Order::Send { link, control: Control::Disconnected }]);
    scene.told(&[link_down(BOB, 1, WhyDown::Left { reason: "holidays".to_owned() }), Event::Isolated]);
    // It closes. If it does not, we do, and nobody dials it.
    assert_eq!(scene.waits(), secs(1));
    scene.ordered(&[closed(link, "holidays")]);
    scene.lost(link);
    scene.after(secs(3_599));
    scene.ordered(&[]);
}

#[test]
fn a_seed_that_said_goodbye_is_dialled_again() {
    let mut scene = Scene::new();
    scene.seed("tls://bob");
    let dial = scene.dials("tls://bob");
    let link = scene.proved_by(BOB, epoch(1), Trust::Proven, Some(dial));
    scene.feed(Input::Up { link });
    scene.feed(Input::Heard { link, control: Control::Disconnect { reason: String::new() } });
    scene.lost(link);
    scene.forget();
    assert!(scene.waits() <= millis(200));
    scene.dials("tls://bob");
}

#[test]
fn two_ends_that_say_goodbye_at_once_both_get_their_answer() {
    let mut scene = Scene::new();
    let link = scene.linked(BOB);
    scene.feed(disconnect(BOB, "you first"));
    scene.forget();
    scene.feed(Input::Heard { link, control: Control::Disconnect { reason: "no, you".to_owned() } });
    scene.ordered(&[Order::Send { link, control: Control::Disconnected }]);
    scene.feed(Input::Heard { link, control: Control::Disconnected });
    scene.ordered(&[closed(link, "you first")]);
}

#[test]
fn that_a_peer_is_about_to_leave_is_told() {
    let mut scene = Scene::new();
    let link = scene.linked(BOB);
    scene.feed(Input::Heard { link, control: Control::Draining });
    scene.ordered(&[]).told(&[Event::PeerDraining { peer: BOB }]);
}

#[test]
fn a_peer_that_says_again_and_again_that_it_leaves_is_one_event_until_it_is_back() {
    let mut scene = Scene::new();
    let link = scene.linked(BOB);
    for _ in 0..100 {
        scene.feed(Input::Heard { link, control: Control::Draining });
    }
    scene.told(&[Event::PeerDraining { peer: BOB }]);
    scene.lost(link);
    let link = scene.linked(BOB);
    scene.feed(Input::Heard { link, control: Control::Draining });
    scene.told(&[Event::PeerDraining { peer: BOB }]);
}

#[test]
fn a_draining_node_finishes_what_it_has_says_goodbye_and_stops() {
    let mut scene = Scene::new();
    let bob = scene.linked(BOB);
    let cat = scene.linked(CAT);
    scene.feed(drain(secs(10)));
    let orders: Vec<Order> =
        [Order::StopListening].into_iter().chain(begins_to_drain(bob)).chain(begins_to_drain(cat)).collect();
    scene.ordered(&orders).told(&[Event::Draining]);
    assert!(matches!(scene.node.phase(), Phase::Draining { .. }));
    scene.feed(Input::Idle { link: bob, ask: u32::MAX });
    scene.ordered(&[]).told(&[]);
    scene.feed(Input::Idle { link: cat, ask: u32::MAX });
    let orders: Vec<Order> = goodbye(bob, "moving").into_iter().chain(goodbye(cat, "moving")).collect();
    scene.ordered(&orders);
    let why = WhyDown::Closed(WhyClosed::Goodbye { reason: "moving".to_owned() });
    scene.told(&[
        Event::Leaving { idle: true },
        link_down(BOB, 1, why.clone()),
        link_down(CAT, 1, why),
        Event::Isolated,
    ]);
    scene.feed(Input::Heard { link: bob, control: Control::Disconnected });
    scene.ordered(&[closed(bob, "moving")]);
    scene.lost(bob);
    // The peer may also close by itself.
    scene.lost(cat);
    scene.ordered(&[Order::Stopped]);
    assert_eq!(*scene.node.phase(), Phase::Stopped);
    assert_eq!(scene.node.next_timeout(), None);
}

#[test]
fn a_drain_ends_at_its_time_whatever_is_open() {
    let mut scene = Scene::new();
    let link = scene.linked(BOB);
    scene.feed(drain(secs(10)));
    scene.forget();
    assert_eq!(scene.waits(), secs(10));
    scene.ordered(&goodbye(link, "moving"));
    assert_eq!(scene.events.pop_front(), Some(Event::Leaving { idle: false }));
    assert_eq!(scene.waits(), secs(1));
    scene.ordered(&[closed(link, "moving")]);
    // A connection that cannot even be closed does not keep a node.
    assert_eq!(scene.waits(), secs(1));
    scene.ordered(&[Order::Stopped]);
}

#[test]
fn no_drain_takes_longer_than_an_hour() {
    let mut scene = Scene::new();
    scene.linked(BOB);
    scene.feed(drain(Duration::MAX));
    scene.forget();
    assert_eq!(scene.waits(), secs(3_600));
}

#[test]
fn a_draining_node_takes_and_dials_nobody() {
    let mut scene = Scene::new();
    scene.linked(BOB);
    scene.connect(1, "tls://cat");
    let dial = scene.dials("tls://cat");
    let half = scene.proved(CAT, 1);
    scene.forget();
    scene.feed(drain(secs(10)));
    let shutting_down =
        |connect| Order::Answer { connect: ConnectId(connect), result: Err(ConnectError::ShuttingDown) };
    for expected in [Order::Abandon { dial }, shutting_down(1), Order::Close { link: half, why: WhyClosed::Stopped }] {
        assert!(scene.orders.contains(&expected), "{expected} is missing among {:?}", scene.orders);
    }
    scene.forget();
    let link = scene.proved(CAT, 2);
    scene.ordered(&[Order::Refuse { link, why: Refusal::Draining }]);
    scene.connect(2, "tls://cat");
    scene.ordered(&[shutting_down(2)]);
    scene.seed("tls://cat");
    scene.feed(Input::Redial);
    scene.after(secs(9));
    scene.ordered(&[]);
}

#[test]
fn a_newcomer_on_trial_is_refused_when_the_node_drains() {
    let mut scene = Scene::new();
    scene.linked(BOB);
    for start in 2..=3 {
        let link = scene.proved(BOB, start);
        scene.feed(Input::Up { link });
    }
    let newcomer = scene.proved(BOB, 4);
    scene.forget();
    scene.feed(drain(secs(1)));
    assert!(scene.orders.contains(&Order::Refuse { link: newcomer, why: Refusal::Draining }));
    scene.forget();
    scene.after(secs(9));
    assert!(!scene.orders.contains(&Order::Admit { link: newcomer }));
}

#[test]
fn links_of_a_draining_node_are_not_given_up_for_one_another() {
    let mut scene = Scene::new();
    let small = scene.linked(BOB);
    let large = scene.linked(BOB);
    scene.feed(drain(secs(10)));
    scene.forget();
    let winner = LinkOrder { dialer: BOB, dial_seq: large.0, binding: [0; 32] };
    scene.feed(Input::Heard { link: small, control: Control::Superseded { winner, round: 0 } });
    scene.lost(large);
    scene.ordered(&[]).told(&[]);
    scene.lost(small);
    let why = WhyDown::Lost(LinkLost::PeerClosed);
    scene.told(&[link_down(BOB, 1, why), Event::Isolated, Event::Leaving { idle: true }]);
    scene.ordered(&[Order::Stopped]);
}

#[test]
fn a_stopped_node_says_goodbye_without_waiting_for_what_is_open() {
    let mut scene = Scene::new();
    let link = scene.linked(BOB);
    scene.feed(stop());
    for order in goodbye(link, "enough") {
        assert!(scene.orders.contains(&order), "{order} is missing among {:?}", scene.orders);
    }
    scene.forget();
    scene.feed(Input::Heard { link, control: Control::Disconnected });
    scene.lost(link);
    scene.ordered(&[closed(link, "enough"), Order::Stopped]);
}

#[test]
fn a_second_stop_waits_for_nothing_and_a_third_is_harmless() {
    let mut scene = Scene::new();
    let link = scene.linked(BOB);
    scene.feed(drain(secs(10)));
    scene.feed(stop());
    scene.forget();
    scene.feed(stop());
    scene.ordered(&[Order::Close { link, why: WhyClosed::Stopped }, Order::Stopped]);
    for input in [stop(), drain(secs(1)), Input::Redial, Input::Timeout] {
        scene.feed(input);
    }
    scene.ordered(&[]).told(&[]);
}

#[test]
fn a_node_without_links_stops_at_once() {
    let mut scene = Scene::new();
    scene.feed(drain(secs(10)));
    scene.ordered(&[Order::StopListening, Order::Stopped]);
    scene.told(&[Event::Draining, Event::Leaving { idle: true }]);
}
