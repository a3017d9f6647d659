//! Whom a node dials, and when.

use super::*;

fn answer(connect: u64, result: Result<NodeId, ConnectError>) -> Order {
    Order::Answer { connect: ConnectId(connect), result }
}

fn failed(why: DialError) -> Result<NodeId, ConnectError> {
    Err(ConnectError::Dial(why))
}

/// The dial leads to this node, and a link with it.
fn reaches(scene: &mut Scene, dial: DialId, peer: NodeId) -> LinkId {
    let link = scene.proved_by(peer, epoch(1), Trust::Proven, Some(dial));
    scene.feed(Input::Up { link });
    link
}

#[test]
fn a_connect_dials_at_once_and_is_answered_when_the_link_is_up() {
    let mut scene = Scene::new();
    scene.connect(1, "tls://bob");
    let dial = scene.dials("tls://bob");
    let link = scene.proved_by(BOB, epoch(1), Trust::Proven, Some(dial));
    scene.ordered(&[Order::Admit { link }]);
    scene.feed(Input::Up { link });
    scene.ordered(&[Order::Activate { link, peer: BOB }, answer(1, Ok(BOB))]);
    scene.told(&[Event::LinkUp { peer: BOB, epoch: epoch(1), link, dialled: true }, Event::Connected]);
}

#[test]
fn a_connect_that_fails_is_answered_once_with_the_reason_and_not_tried_again() {
    let mut scene = Scene::new();
    scene.connect(1, "tls://bob");
    let dial = scene.dials("tls://bob");
    scene.fails(dial, unreachable());
    scene.ordered(&[answer(1, failed(unreachable()))]).told(&[]);
    scene.fails(dial, unreachable());
    scene.after(secs(4_000));
    scene.ordered(&[]).told(&[]);
}

#[test]
fn a_dial_that_leads_nowhere_is_given_up_after_three_seconds() {
    let mut scene = Scene::new();
    scene.connect(1, "tls://bob");
    let dial = scene.dials("tls://bob");
    assert_eq!(scene.waits(), secs(3));
    scene.ordered(&[Order::Abandon { dial }, answer(1, failed(DialError::TimedOut(secs(3))))]);
}

#[test]
fn once_the_peer_has_proved_itself_the_handshake_has_its_own_time() {
    let mut scene = Scene::new();
    scene.connect(1, "tls://bob");
    let dial = scene.dials("tls://bob");
    let link = scene.proved_by(BOB, epoch(1), Trust::Proven, Some(dial));
    scene.after(secs(4));
    scene.ordered(&[Order::Admit { link }]);
    // Its failure is that of the connect.
    scene.feed(Input::Down { link, why: WhyDown::Hello(HelloError::TimedOut) });
    scene.ordered(&[answer(1, failed(DialError::Hello(HelloError::TimedOut)))]);
}

#[test]
fn connects_to_one_address_share_one_dial_and_each_gets_an_answer() {
    let mut scene = Scene::new();
    scene.connect(1, "tls://bob");
    let dial = scene.dials("tls://bob");
    scene.connect(2, "tls://bob");
    scene.ordered(&[]);
    let link = reaches(&mut scene, dial, BOB);
    scene.connect(3, "tls://bob");
    scene.ordered(&[
        Order::Admit { link },
        Order::Activate { link, peer: BOB },
        answer(1, Ok(BOB)),
        answer(2, Ok(BOB)),
        answer(3, Ok(BOB)),
    ]);
}

#[test]
fn a_node_that_is_named_and_held_is_not_dialled() {
    let mut scene = Scene::new();
    scene.linked(BOB);
    let connect = |connect| Input::Connect {
        connect: Some(ConnectId(connect)),
        address: address("tls://elsewhere"),
        expected: Some(BOB),
        keep: Keep::Once,
    };
    scene.feed(connect(1));
    scene.ordered(&[answer(1, Ok(BOB))]);
    // One that is named in the address is as good.
    scene.feed(Input::Connect { connect: None, address: address("tls://cat"), expected: Some(CAT), keep: Keep::Once });
    match scene.orders.pop_front() {
        Some(Order::Dial { expected, .. }) => assert_eq!(expected, Some(CAT)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_number_of_a_dial_is_never_used_again() {
    let mut scene = Scene::new();
    let mut seen = Vec::new();
    for n in 0..5 {
        scene.connect(n, "tls://bob");
        match scene.orders.pop_front() {
            Some(Order::Dial { dial, dial_seq, .. }) => {
                assert!(!seen.contains(&dial_seq));
                seen.push(dial_seq);
                scene.fails(dial, refused(Refusal::StaleEpoch { newest: epoch(1_000 + n) }));
            }
            other => panic!("{other:?}"),
        }
        scene.forget();
    }
}

#[test]
fn a_connect_that_reaches_a_peer_there_is_a_link_with_follows_the_rule_and_is_answered() {
    let mut scene = Scene::new();
    let first = scene.linked(BOB);
    scene.connect(1, "tls://bob");
    let dial = scene.dials("tls://bob");
    let second = reaches(&mut scene, dial, BOB);
    // Ada's id is less than Bob's, so what she dialled gives way.
    let winner = LinkOrder { dialer: BOB, dial_seq: first.0, binding: [0; 32] };
    scene.ordered(&[
        Order::Admit { link: second },
        Order::Retire { link: second },
        Order::Send { link: second, control: Control::Superseded { winner, round: 0 } },
        answer(1, Ok(BOB)),
    ]);
    scene.told(&[]);
}

#[test]
fn waits_double_up_to_ten_seconds_and_are_a_random_part_of_that() {
    let mut scene = Scene::new();
    scene.seed("tls://bob");
    let mut steps = Vec::new();
    for _ in 0..200 {
        let dial = scene.dials("tls://bob");
        scene.fails(dial, unreachable());
        steps.push(scene.waits());
    }
    for (n, wait) in steps.iter().enumerate() {
        let step = millis(200 << n.min(10)).min(secs(10));
        assert!(*wait <= step, "wait {n} is {wait:?} of {step:?}");
    }
    let long = &steps[10..];
    let mean = long.iter().sum::<Duration>() / long.len() as u32;
    assert!((millis(4_000)..millis(6_000)).contains(&mean), "{mean:?}");
}

#[test]
fn a_seed_is_dialled_for_ever() {
    let mut scene = Scene::new();
    scene.seed("tls://bob");
    let began = scene.now;
    while scene.now < began + secs(90_000) {
        let dial = scene.dials("tls://bob");
        scene.fails(dial, unreachable());
        assert!(scene.waits() <= secs(10));
    }
}

#[test]
fn after_a_minute_of_health_the_first_wait_comes_again_and_after_less_it_does_not() {
    for (held_for, longest) in [(secs(60), millis(200)), (secs(59), secs(10))] {
        let mut scene = Scene::new();
        scene.seed("tls://bob");
        for _ in 0..9 {
            let dial = scene.dials("tls://bob");
            scene.fails(dial, unreachable());
            scene.waits();
        }
        let dial = scene.dials("tls://bob");
        let link = reaches(&mut scene, dial, BOB);
        scene.forget();
        scene.after(held_for);
        scene.lost(link);
        let mut waits = Vec::new();
        for _ in 0..6 {
            waits.push(scene.waits());
            let dial = scene.dials("tls://bob");
            let link = reaches(&mut scene, dial, BOB);
            scene.forget();
            scene.after(held_for);
            scene.lost(link);
        }
        let most = waits.iter().max().unwrap();
        assert!(*most <= longest && *most > longest / 4, "{waits:?}");
    }
}

#[test]
fn a_lost_member_is_dialled_often_for_ten_minutes_then_seldom_and_is_forgotten_after_an_hour() {
    let mut scene = Scene::new();
    scene.connect(1, "tls://bob");
    let dial = scene.dials("tls://bob");
    let link = reaches(&mut scene, dial, BOB);
    scene.after(secs(60));
    scene.forget();
    scene.lost(link);
    let lost = scene.now;
    let mut seldom = 0;
    while scene.node.next_timeout().is_some() {
        let wait = scene.waits_or_nothing();
        let age = scene.now - lost;
        let Some(wait) = wait else { break };
        if age < secs(600) {
            assert!(wait <= secs(10));
        } else if age > secs(620) {
            seldom += 1;
        }
        let dial = match scene.orders.pop_front() {
            Some(Order::Dial { dial, expected, .. }) => {
                assert_eq!(expected, Some(BOB), "whom we lost is whom we want");
                dial
            }
            other => panic!("{other:?}"),
        };
        scene.fails(dial, unreachable());
    }
    assert!((2..60).contains(&seldom), "{seldom}");
    assert!(scene.now - lost < secs(3_600 + 3_600));
    assert_eq!(scene.node.next_timeout(), None);
}

#[test]
fn where_a_peer_says_it_can_be_reached_it_is_dialled_when_it_is_lost_one_address_after_the_other() {
    let mut scene = Scene::new();
    let link = scene.linked(BOB);
    let addresses = vec![address("tls://b1"), address("tls://b2")];
    scene.feed(Input::Addresses { peer: BOB, addresses });
    scene.lost(link);
    assert!(scene.waits() <= millis(200));
    let dial = scene.dials("tls://b1");
    scene.fails(dial, unreachable());
    let dial = scene.dials("tls://b2");
    scene.fails(dial, unreachable());
    assert!(scene.waits() <= millis(400));
    let dial = scene.dials("tls://b1");
    reaches(&mut scene, dial, BOB);
    // What it says anew takes the place of what it said before.
    scene.forget();
    scene.feed(Input::Addresses { peer: BOB, addresses: vec![address("tls://b3")] });
    scene.lost(LinkId(2));
    scene.waits();
    scene.dials("tls://b3");
}

#[test]
fn a_contact_has_so_many_addresses_and_no_more() {
    let mut scene = Scene::new();
    let link = scene.linked(BOB);
    let addresses = (0..100).map(|n| address(&format!("tls://b{n}"))).collect();
    scene.feed(Input::Addresses { peer: BOB, addresses });
    scene.lost(link);
    scene.waits();
    for n in 0..limits::ADDRESSES_PER_CONTACT_MAX {
        let dial = scene.dials(&format!("tls://b{n}"));
        scene.fails(dial, unreachable());
    }
    scene.ordered(&[]);
}

#[test]
fn a_peer_that_dials_us_is_not_dialled_in_return() {
    let mut scene = Scene::new();
    let link = scene.linked(BOB);
    scene.feed(Input::Addresses { peer: BOB, addresses: vec![address("tls://bob")] });
    scene.lost(link);
    // It comes back by itself before we do.
    scene.link(BOB);
    scene.forget();
    scene.after(secs(59));
    scene.ordered(&[]);
}

#[test]
fn one_address_is_never_dialled_twice_at_once() {
    let mut scene = Scene::new();
    scene.seed("tls://shared");
    let dial = scene.dials("tls://shared");
    let pinned = Input::Connect {
        connect: Some(ConnectId(1)),
        address: address("tls://shared"),
        expected: Some(CAT),
        keep: Keep::Once,
    };
    scene.feed(pinned);
    scene.ordered(&[]);
    scene.fails(dial, unreachable());
    scene.dials("tls://shared");
}

#[test]
fn a_peer_without_room_is_left_alone_for_as_long_as_it_asks() {
    let mut scene = Scene::new();
    scene.seed("tls://bob");
    let dial = scene.dials("tls://bob");
    scene.fails(dial, refused(Refusal::Busy { retry_after: secs(7) }));
    assert_eq!(scene.waits(), secs(7));
    scene.dials("tls://bob");
}

#[test]
fn a_seed_that_is_this_node_itself_is_seldom_tried_and_no_fault() {
    let mut scene = Scene::new();
    scene.seed("tls://ada");
    for _ in 0..3 {
        let dial = scene.dials("tls://ada");
        scene.fails(dial, DialError::Hello(HelloError::ToMyself));
        assert!(scene.node.faults().is_empty());
        assert_eq!(scene.waits(), secs(3_600));
    }
}

#[test]
fn a_node_dials_so_many_at_once_and_the_others_when_one_of_them_is_done() {
    let mut scene = Scene::new();
    let many = limits::DIALS_AT_ONCE_MAX;
    (0..many + 2).for_each(|n| scene.seed(&format!("tls://s{n}")));
    assert_eq!(scene.orders.len(), many);
    let first = match scene.orders.front() {
        Some(Order::Dial { dial, .. }) => *dial,
        other => panic!("{other:?}"),
    };
    scene.forget();
    scene.fails(first, unreachable());
    scene.dials(&format!("tls://s{many}"));
}

#[test]
fn more_contacts_than_a_node_keeps_are_refused() {
    let mut scene = Scene::new();
    (0..limits::CONTACTS_MAX).for_each(|n| scene.seed(&format!("tls://s{n}")));
    scene.forget();
    scene.connect(1, "tls://one-more");
    scene.ordered(&[answer(1, Err(ConnectError::TooMany))]);
}

#[test]
fn who_waits_for_the_turn_of_an_address_is_answered_when_its_node_is_parted_from() {
    let mut scene = Scene::new();
    scene.connect(1, "tls://bob");
    let dial = scene.dials("tls://bob");
    let link = reaches(&mut scene, dial, BOB);
    scene.lost(link);
    let expected = Some(CAT);
    scene.feed(Input::Connect { connect: None, address: address("tls://bob"), expected, keep: Keep::Forever });
    scene.forget();
    scene.connect(2, "tls://bob");
    scene.ordered(&[]);
    scene.feed(Input::Disconnect { peer: BOB, reason: String::new() });
    scene.ordered(&[answer(2, failed(DialError::Lost(LinkLost::ClosedHere)))]);
}

#[test]
fn more_callers_than_may_wait_for_a_dial_are_refused() {
    let mut scene = Scene::new();
    (0..limits::CONNECTS_AT_ONCE_MAX as u64).for_each(|n| scene.connect(n, "tls://bob"));
    let dial = scene.dials("tls://bob");
    scene.connect(9_999, "tls://bob");
    scene.ordered(&[answer(9_999, Err(ConnectError::TooMany))]);
    scene.fails(dial, unreachable());
    assert_eq!(scene.orders.len(), limits::CONNECTS_AT_ONCE_MAX);
    scene.forget();
    scene.connect(10_000, "tls://bob");
    scene.dials("tls://bob");
}

#[test]
fn redial_drops_every_link_and_dials_every_known_address() {
    let mut scene = Scene::new();
    scene.seed("tls://bob");
    let dial = scene.dials("tls://bob");
    let bob = reaches(&mut scene, dial, BOB);
    scene.feed(Input::Addresses { peer: BOB, addresses: vec![address("unix:///bob"), address("tls://bob")] });
    let cat = scene.linked(CAT);
    scene.feed(Input::Redial);
    let closed = |link| Order::Close { link, why: WhyClosed::Redial };
    assert_eq!([scene.orders.pop_front(), scene.orders.pop_front()], [Some(closed(bob)), Some(closed(cat))]);
    let dialled: Vec<String> = scene
        .orders
        .drain(..)
        .map(|order| match order {
            Order::Dial { address, .. } => address.to_string(),
            other => panic!("{other}"),
        })
        .collect();
    assert_eq!(dialled, ["tls://bob:5000", "unix:///bob"]);
    let why = WhyDown::Closed(WhyClosed::Redial);
    scene.told(&[link_down(BOB, 1, why.clone()), link_down(CAT, 1, why), Event::Isolated]);
}

#[test]
fn of_several_dials_to_one_contact_the_first_that_leads_to_a_link_counts() {
    let mut scene = Scene::new();
    let link = scene.linked(BOB);
    scene.feed(Input::Addresses { peer: BOB, addresses: vec![address("tls://b1"), address("tls://b2")] });
    scene.feed(Input::Redial);
    let dials: Vec<DialId> = scene
        .orders
        .drain(..)
        .filter_map(|order| if let Order::Dial { dial, .. } = order { Some(dial) } else { None })
        .collect();
    scene.lost(link);
    reaches(&mut scene, dials[1], BOB);
    scene.forget();
    scene.fails(dials[0], unreachable());
    scene.after(secs(59));
    scene.ordered(&[]);
}

#[test]
fn a_seed_behind_which_another_node_stands_now_is_held_through_that_one() {
    let mut scene = Scene::new();
    scene.seed("tls://seed");
    let dial = scene.dials("tls://seed");
    let link = reaches(&mut scene, dial, BOB);
    scene.feed(Input::Addresses { peer: BOB, addresses: vec![address("tls://bob")] });
    scene.forget();
    scene.lost(link);
    scene.waits();
    let dial = scene.dials("tls://seed");
    let link = reaches(&mut scene, dial, CAT);
    scene.forget();
    scene.lost(link);
    // What Bob said about himself is not tried for Cat.
    scene.waits();
    let dial = scene.dials("tls://seed");
    scene.fails(dial, unreachable());
    scene.waits();
    scene.dials("tls://seed");
}
