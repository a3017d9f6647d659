use super::super::tests::{node, start, told, value};
use super::*;
use crate::codec::Encoding;
use crate::events::Feed;

fn wish(pattern: &str) -> Wish {
    Wish::new(pattern.parse().unwrap())
}

/// A node with these names.
fn topics<T: Clone + Ord>(names: &[&str]) -> Topics<T> {
    let mut topics = Topics::new();
    for name in names {
        topics.declare(name, Keep::default(), None).unwrap();
    }
    topics
}

/// The number that the next event of a name gets, and who gets it.
fn publish(topics: &mut Topics<u32>, name: &str) -> (u64, Vec<u32>) {
    let number = topics.number(name).unwrap();
    let value = value(1);
    let published = topics.publish(start(), number, &value, Priority::Normal).unwrap();
    (published.event.seq, published.targets.to_vec())
}

/// What a subscriber that asks for this is told first.
fn first_words(topics: &mut Topics<u32>, at: Instant, wish: &Wish) -> Vec<String> {
    let attachment = topics.subscribe(at, 99, node(99), wish).unwrap();
    let mut out = Vec::new();
    Feed::new(at, wish.policy.clone(), attachment).fill(at, Encoding::MsgPack, usize::MAX, &mut out);
    told(Encoding::MsgPack, &out)
}

#[test]
fn events_are_counted_whether_or_not_anybody_listens() {
    let mut topics = topics(&["a", "b"]);
    assert_eq!(publish(&mut topics, "a"), (1, vec![]));
    topics.subscribe(start(), 7, node(1), &wish("a")).unwrap();
    assert_eq!(publish(&mut topics, "a"), (2, vec![7]));
    assert_eq!(publish(&mut topics, "b"), (1, vec![]));
    assert_eq!(topics.unsubscribe(&7), [0]);
    assert_eq!(topics.unsubscribe(&7), [0; 0]);
    assert_eq!(publish(&mut topics, "a"), (3, vec![]));
    assert_eq!(topics.declare("a", Keep::default(), None), Ok(0), "a name keeps its number and its count");
    assert_eq!(topics.topic(0).map(Topic::seq), Some(3));
    let value = value(1);
    assert!(topics.publish(start(), 2, &value, Priority::Normal).is_none());
}

#[test]
fn names_that_appear_later_find_those_who_want_them() {
    let mut topics = topics(&["build/done"]);
    let patterns = ["build/done", "build/**", "*", "**", "build*/x", "*/done", "build", "build/*/x"];
    for (target, pattern) in patterns.iter().enumerate() {
        topics.subscribe(start(), target as u32, node(1), &wish(pattern)).unwrap();
    }
    for name in ["build/done", "build", "build/linux/x", "builds/x", "other", "a/done"] {
        topics.declare(name, Keep::default(), None).unwrap();
        let fits = |target: &u32| patterns[*target as usize].parse::<crate::id::Pattern>().unwrap().matches(name);
        let wanted: Vec<u32> = (0..patterns.len() as u32).filter(fits).collect();
        assert_eq!(publish(&mut topics, name).1, wanted, "{name}");
        let number = topics.number(name).unwrap();
        assert_eq!(topics.topic(number).map(Topic::matching), Some(wanted.len()));
    }
}

#[test]
fn those_who_come_later_find_the_names_that_are_there() {
    let names = ["a", "a-b", "a/b", "a/b/c", "ab", "b", "b/a"];
    for pattern in ["a", "a/**", "a*", "**", "*/a", "a/*", "**/a", "a**", "c", "a/b/**"] {
        let mut topics = topics(&names);
        let pattern = wish(pattern);
        let attachment = topics.subscribe(start(), 1, node(1), &pattern).unwrap();
        let wanted: Vec<&str> = names.into_iter().filter(|name| pattern.pattern.matches(name)).collect();
        let found: Vec<&str> = attachment.names.iter().map(|standing| &*standing.name).collect();
        assert_eq!(found, wanted, "{}", pattern.pattern);
    }
}

#[test]
fn the_links_that_end_take_their_subscriptions_with_them() {
    let mut topics = topics(&["a", "b"]);
    for target in 0..10 {
        topics.subscribe(start(), target, node(1), &wish(if target < 5 { "a" } else { "*" })).unwrap();
    }
    assert_eq!(topics.unsubscribe_all(|target| *target < 5), [0].into());
    assert_eq!(topics.unsubscribe_all(|target| target % 2 == 1), [0, 1].into());
    assert_eq!((publish(&mut topics, "a").1, publish(&mut topics, "b").1), (vec![6, 8], vec![6, 8]));
    assert_eq!(topics.subscriptions(), 2);
    topics.unsubscribe_all(|_| true);
    assert!(topics.subscriptions() == 0 && !topics.is_subscribed(&6));
    assert_eq!(format!("{:?}", topics.matching), format!("{:?}", Matching::<u32>::default()), "nothing is left");
}

#[test]
fn a_name_can_be_for_some_nodes_only() {
    let mut topics: Topics<u32> = topics(&["open"]);
    let for_one = Some(BTreeSet::from([node(1)]));
    topics.declare("secret", Keep::default(), for_one.clone()).unwrap();
    assert_eq!(topics.subscribe(start(), 2, node(2), &wish("secret")).unwrap_err(), Unsubscribable::Denied);
    assert_eq!(topics.subscribe(start(), 2, node(2), &wish("*")).unwrap().matching(), 1);
    assert_eq!(topics.subscribe(start(), 1, node(1), &wish("*")).unwrap().matching(), 2);
    assert_eq!(publish(&mut topics, "secret").1, [1]);
    // One that appears later does not match either.
    topics.subscribe(start(), 3, node(2), &wish("later")).unwrap();
    topics.declare("later", Keep::default(), for_one.clone()).unwrap();
    assert_eq!(publish(&mut topics, "later").1, [1]);
    assert_eq!(topics.declare("later", Keep::default(), for_one), Ok(2));
    assert_eq!(topics.declare("later", Keep::default(), None), Ok(2));
    let others = Some(BTreeSet::new());
    assert_eq!(topics.declare("later", Keep::default(), others.clone()), Err(Undeclarable::BoundOtherwise));
    assert_eq!(topics.declare("open", Keep::default(), others), Err(Undeclarable::BoundOtherwise));
}

#[test]
fn a_late_joiner_gets_the_history_it_asks_for_as_far_as_it_is_kept() {
    let mut topics = topics(&["a", "b"]);
    topics.declare("a", Keep { events: 3, time: None }, None).unwrap();
    (0..5).for_each(|_| drop(publish(&mut topics, "a")));
    (0..2).for_each(|_| drop(publish(&mut topics, "b")));
    for (history, words) in [
        (0, &["a stands at 5", "b stands at 2", "attached to 2"][..]),
        (1, &["a stands at 4", "b stands at 2", "attached to 2", "a 5: 1"]),
        (9, &["a stands at 2", "b stands at 2", "attached to 2", "a 3: 1", "a 4: 1", "a 5: 1"]),
    ] {
        let mut wish = wish("*");
        wish.history = history;
        assert_eq!(first_words(&mut topics, start(), &wish), words);
        // Who comes back has had its history.
        wish.positions = Some(BTreeMap::new());
        assert_eq!(first_words(&mut topics, start(), &wish), ["a stands at 5", "b stands at 2", "attached to 2"]);
    }
}

#[test]
fn who_comes_back_and_wants_to_recover_gets_what_is_kept_of_what_it_missed() {
    let mut topics = topics(&[]);
    topics.declare("a", Keep { events: 3, time: None }, None).unwrap();
    (0..5).for_each(|_| drop(publish(&mut topics, "a")));
    for (heard, words) in [
        (Some(5), &["a stands at 5", "attached to 1"][..]),
        (Some(4), &["a stands at 4", "attached to 1", "a 5: 1"]),
        (Some(2), &["a stands at 2", "attached to 1", "a 3: 1", "a 4: 1", "a 5: 1"]),
        (Some(1), &["a stands at 1", "a lacks 2-2 (expired)", "attached to 1", "a 3: 1", "a 4: 1", "a 5: 1"]),
        // It appeared while there was no link.
        (None, &["a stands at 0", "a lacks 1-2 (expired)", "attached to 1", "a 3: 1", "a 4: 1", "a 5: 1"]),
        (Some(u64::MAX), &["a stands at 5", "attached to 1"]),
    ] {
        let mut wish = wish("*");
        wish.recover = true;
        wish.positions = Some(heard.map(|heard| ("a".into(), heard)).into_iter().collect());
        assert_eq!(first_words(&mut topics, start(), &wish), words, "{heard:?}");
    }
}

#[test]
fn what_is_kept_is_bounded_by_number_bytes_and_time() {
    let mut topics: Topics<u32> = topics(&[]);
    let minute = Some(Duration::from_secs(60));
    let number = topics.declare("a", Keep { events: 3, time: minute }, None).unwrap();
    let after = |seconds| start() + Duration::from_secs(seconds);
    let put = |topics: &mut Topics<u32>, at, bytes: usize| {
        topics.publish(at, number, &value("x".repeat(bytes)), Priority::Normal).unwrap();
        topics.topic(number).unwrap().kept()
    };
    assert_eq!([0, 10, 20].map(|at| put(&mut topics, after(at), 1)), [1, 2, 3]);
    assert_eq!(put(&mut topics, after(69), 1), 3);
    assert_eq!(put(&mut topics, after(81), 1), 2);
    assert_eq!(put(&mut topics, after(82), limits::EVENTS_KEPT_BYTES - 20), 3);
    assert_eq!(put(&mut topics, after(83), 100), 1);
    assert_eq!(put(&mut topics, after(84), limits::EVENTS_KEPT_BYTES), 0, "larger than all that is kept");
    // More is kept if somebody else asks for more.
    topics.declare("a", Keep { events: 4, time: None }, None).unwrap();
    topics.declare("a", Keep { events: 1, time: minute }, None).unwrap();
    assert_eq!([100, 200, 300, 400, 500].map(|at| put(&mut topics, after(at), 1)), [1, 2, 3, 4, 4]);
}

#[test]
fn of_a_group_one_member_gets_each_event_by_the_length_of_its_queue() {
    let mut topics = topics(&["a"]);
    let mut member = wish("*");
    member.shared = Some("workers".into());
    for target in [1, 2, 3] {
        topics.subscribe(start(), target, node(1), &member).unwrap();
    }
    topics.subscribe(start(), 4, node(2), &wish("a")).unwrap();
    member.shared = Some("others".into());
    topics.subscribe(start(), 5, node(2), &member).unwrap();
    let one = value(1);
    let mut turn = |queue: &dyn Fn(&u32) -> usize| {
        let published = topics.publish(start(), 0, &one, Priority::Normal).unwrap();
        assert_eq!((published.targets, published.matched()), (&[4][..], 3));
        published.groups().map(|group| *published.one_of(group, queue).unwrap()).collect::<Vec<u32>>()
    };
    assert_eq!(turn(&|target| if *target == 3 { 0 } else { 1 }), [5, 3]);
    let mut turns: Vec<u32> = (0..6).map(|_| turn(&|_| 0)[1]).collect();
    turns.sort_unstable();
    assert_eq!(turns, [1, 1, 2, 2, 3, 3], "of equals each has its turn");
    assert_eq!(topics.topic(0).map(Topic::matching), Some(5));
    topics.unsubscribe_all(|target| *target != 5);
    let published = topics.publish(start(), 0, &one, Priority::Normal).unwrap();
    assert_eq!((published.matched(), published.groups().count()), (1, 1));
}

#[test]
fn names_and_subscriptions_are_bounded() {
    let mut topics: Topics<u32> = topics(&[]);
    assert!(matches!(topics.declare("a b", Keep::default(), None), Err(Undeclarable::Name(_))));
    for number in 0..limits::SUBSCRIPTIONS_PER_PEER_MAX as u32 {
        topics.subscribe(start(), number, node(1), &wish("*")).unwrap();
    }
    assert_eq!(topics.subscribe(start(), u32::MAX, node(1), &wish("a")).unwrap_err(), Unsubscribable::PeerLimit);
    topics.subscribe(start(), 0, node(1), &wish("a")).unwrap();
    for number in limits::SUBSCRIPTIONS_PER_PEER_MAX as u32..limits::SUBSCRIPTIONS_MAX as u32 {
        topics.subscribe(start(), number, node(2 + (number >> 10) as u8), &wish("a")).unwrap();
    }
    assert_eq!(topics.subscribe(start(), u32::MAX, node(1), &wish("a")).unwrap_err(), Unsubscribable::Limit);
    topics.unsubscribe_all(|_| true);
    for number in 0..limits::EVENT_NAMES_MAX {
        topics.declare(&number.to_string(), Keep::default(), None).unwrap();
    }
    assert_eq!(topics.declare("one-more", Keep::default(), None), Err(Undeclarable::Limit));
    assert_eq!(topics.declare("0", Keep::default(), None), Ok(0));
}
