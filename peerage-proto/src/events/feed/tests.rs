use std::time::Duration;

use super::super::tests::{Letters, value};
use super::super::{Event, Keep, Wish};
use super::*;
use crate::codec::{Encoding, Value};

const ALL: usize = usize::MAX;

#[test]
fn a_feed_tells_first_where_the_names_stand() {
    let mut letters = Letters::unread("latest", |_| {});
    letters.publish("b", 10);
    assert_eq!(letters.read(ALL), ["a stands at 0", "b stands at 0", "c stands at 0", "attached to 3", "b 1: 10"]);
    assert_eq!(letters.read(ALL), [""; 0]);
    assert!(letters.feed.is_empty());
}

#[test]
fn consecutive_events_share_a_record_and_a_frame() {
    let mut letters = Letters::with("ring:9");
    for (name, number) in [("a", 1), ("a", 2), ("b", 3), ("a", 4)] {
        assert_eq!(letters.publish(name, number), Offered { queued: true, dropped: 0, cut: None });
    }
    assert_eq!(letters.feed.waiting(), Waiting { events: 4, bytes: 4 });
    let mut out = Vec::new();
    let filled = letters.feed.fill(letters.now, Encoding::MsgPack, ALL, &mut out);
    assert_eq!((filled.events, filled.bytes), (4, out.len()));
    let expected = [
        &[0xdc, 0, 3][..],
        &[0xdc, 0, 5, 0, 0xa1, b'a', 1, 1, 2],
        &[0xdc, 0, 4, 0, 0xa1, b'b', 1, 3],
        &[0xdc, 0, 4, 0, 0xa1, b'a', 3, 4],
    ];
    assert_eq!(out, expected.concat());
}

#[test]
fn a_ring_drops_the_oldest_and_tells_it_before_the_next_of_its_name() {
    let mut letters = Letters::with("ring:2");
    letters.publish("a", 1);
    letters.publish("b", 2);
    letters.publish("a", 3);
    assert_eq!(letters.publish("a", 4), Offered { queued: true, dropped: 1, cut: None });
    // Of b nothing waits any more: its gap waits for nothing. That of a stands before the event behind it.
    let told = ["b lacks 1-1 (queue-full)", "a lacks 1-1 (queue-full)", "a 2: 3", "a 3: 4"];
    assert_eq!(letters.read(ALL), told);
    assert_eq!(letters.feed.ledger(), Ledger { offered: 4, left: 2, dropped: 2 });
}

#[test]
fn a_ring_drops_by_bytes_too_and_lets_one_larger_value_wait_alone() {
    let mut letters = Letters::with("ring:100");
    let large = value("x".repeat(limits::EVENT_QUEUE_BYTES_DEFAULT / 2));
    letters.publish_value("a", &large, Priority::Normal);
    assert_eq!(letters.publish_value("a", &large, Priority::Normal), Offered { queued: true, dropped: 1, cut: None });
    let huge = value("x".repeat(limits::EVENT_QUEUE_BYTES_DEFAULT));
    assert_eq!(letters.publish_value("b", &huge, Priority::Normal), Offered { queued: true, dropped: 1, cut: None });
    assert_eq!(letters.feed.waiting(), Waiting { events: 1, bytes: huge.len() });
}

#[test]
fn what_is_dropped_first_is_the_oldest_of_the_lowest_priority() {
    let mut letters = Letters::with("ring:2");
    let [one, two, three, four] = [1, 2, 3, 4].map(value);
    letters.publish_value("a", &one, Priority::Control);
    letters.publish_value("b", &two, Priority::Bulk);
    assert_eq!(letters.publish_value("a", &three, Priority::Control).dropped, 1);
    // There is room for control events only: a bulk one is dropped at once.
    let dropped = Offered { queued: false, dropped: 1, cut: None };
    assert_eq!(letters.publish_value("b", &four, Priority::Bulk), dropped);
    assert_eq!(letters.read(ALL), ["b lacks 1-2 (queue-full)", "a 1: 1", "a 2: 3"]);
}

#[test]
fn control_events_leave_first_and_bulk_ones_last() {
    let mut letters = Letters::with("ring:9");
    let of = [("a", Priority::Bulk), ("b", Priority::Normal), ("c", Priority::Control)];
    for number in [1, 2] {
        for (name, priority) in of {
            letters.publish_value(name, &value(number), priority);
        }
    }
    assert_eq!(letters.feed.next_priority(), Some(Priority::Control));
    assert_eq!(Letters::unread("ring:9", |_| {}).feed.next_priority(), Some(Priority::Normal));
    assert_eq!(letters.read(ALL), ["c 1: 1", "c 2: 2", "b 1: 1", "b 2: 2", "a 1: 1", "a 2: 2"]);
    assert_eq!(letters.feed.next_priority(), None);
}

#[test]
fn no_priority_puts_an_event_before_an_earlier_one_of_its_name() {
    let mut letters = Letters::with("ring:9");
    for (number, priority) in [(1, Priority::Bulk), (2, Priority::Control), (3, Priority::Normal)] {
        letters.publish_value("a", &value(number), priority);
    }
    letters.publish_value("b", &value(4), Priority::Normal);
    assert_eq!(letters.read(ALL), ["b 1: 4", "a 1: 1", "a 2: 2", "a 3: 3"]);
}

#[test]
fn of_the_latest_one_of_each_name_waits_in_the_turn_of_the_first() {
    let mut letters = Letters::with("latest");
    letters.publish("a", 1);
    letters.publish("b", 2);
    assert_eq!(letters.publish("a", 3), Offered { queued: true, dropped: 1, cut: None });
    letters.publish("a", 4);
    assert_eq!(letters.feed.waiting().events, 2);
    assert_eq!(letters.read(ALL), ["a lacks 1-2 (policy)", "a 3: 4", "b 1: 2"]);
}

#[test]
fn of_the_latest_by_key_one_of_each_key_waits_in_the_order_of_the_numbers() {
    let mut letters = Letters::with("latest-by:/0");
    for (key, number) in [("x", 1), ("y", 2), ("x", 3), ("z", 4), ("y", 5)] {
        letters.publish_value("a", &value((key, number)), Priority::Normal);
    }
    letters.publish("b", 6);
    letters.publish("b", 7);
    assert_eq!(letters.feed.waiting().events, 4);
    let told = [
        "a lacks 1-2 (policy)",
        "a 3: [\"x\",3]",
        "a 4: [\"z\",4]",
        "a 5: [\"y\",5]",
        "b lacks 1-1 (policy)",
        "b 2: 7",
    ];
    assert_eq!(letters.read(ALL), told);
    assert_eq!(letters.feed.keys.len(), 0);
}

#[test]
fn a_feed_that_blocks_takes_no_more_than_it_has_room_for() {
    let mut letters = Letters::with("block:1s");
    for number in 0..u64::from(limits::EVENT_QUEUE_DEFAULT) {
        assert!(letters.feed.has_room());
        assert!(letters.publish("a", number).queued);
    }
    assert!(!letters.feed.has_room());
    assert_eq!(letters.publish("a", 9), Offered { queued: false, dropped: 0, cut: None });
    // The same event again, when there is room.
    assert!(!letters.read(100).is_empty() && letters.feed.has_room());
    let (name, value) = ("a".into(), value(9));
    let (seq, priority) = (u64::from(limits::EVENT_QUEUE_DEFAULT) + 1, Priority::Normal);
    assert!(letters.feed.offer(letters.now, &Event { topic: 0, name: &name, seq, value: &value, priority }).queued);
    assert_eq!(letters.feed.ledger().dropped, 0);
}

#[test]
fn a_feed_that_is_to_be_closed_tells_what_it_dropped_and_takes_no_more() {
    let mut letters = Letters::with("close");
    for number in 0..u64::from(limits::EVENT_QUEUE_DEFAULT) {
        assert!(letters.publish("a", number).queued);
    }
    let cut = Offered { queued: false, dropped: 1_025, cut: Some(Cut::Overflow) };
    assert_eq!(letters.publish("b", 1), cut);
    assert_eq!(letters.publish("b", 2).cut, Some(Cut::Finishing));
    assert!(!letters.feed.is_over());
    assert_eq!(letters.read(ALL), ["a lacks 1-1024 (queue-full)", "b lacks 1-1 (queue-full)"]);
    assert!(letters.feed.is_over());
}

#[test]
fn a_feed_that_finishes_sends_what_waits_and_takes_no_more() {
    let mut letters = Letters::with("ring:9");
    letters.publish("a", 1);
    letters.feed.finish();
    assert_eq!(letters.publish("a", 2), Offered { queued: false, dropped: 0, cut: Some(Cut::Finishing) });
    assert!(!letters.feed.is_over());
    assert_eq!(letters.read(ALL), ["a 1: 1"]);
    assert!(letters.feed.is_over());
}

#[test]
fn events_of_the_past_come_behind_the_positions_and_no_policy_drops_them() {
    for policy in ["ring:1", "latest", "close"] {
        let mut letters = Letters::with(policy);
        for number in 1..=5 {
            letters.publish("a", number);
        }
        letters.publish("b", 6);
        let mut wish = Wish::new("*".parse().unwrap());
        (wish.policy, wish.history) = (policy.parse().unwrap(), 2);
        let attachment = letters.topics.subscribe(letters.now, 2, super::super::tests::node(2), &wish).unwrap();
        assert_eq!((attachment.matching(), attachment.backlog()), (3, 3));
        letters.feed = Feed::new(letters.now, wish.policy, attachment);
        letters.publish("a", 7);
        let told = ["a stands at 3", "b stands at 0", "c stands at 0", "attached to 3"];
        let events = ["a 4: 4", "a 5: 5", "b 1: 6", "a 6: 7"];
        assert_eq!(letters.read(ALL), [&told[..], &events].concat(), "{policy}");
        assert_eq!(letters.feed.ledger(), Ledger { offered: 4, left: 4, dropped: 0 });
    }
}

#[test]
fn a_content_has_no_more_bytes_than_there_is_room_for() {
    let mut letters = Letters::with("ring:1000");
    let text = value("x".repeat(100));
    for _ in 0..100 {
        letters.publish_value("a", &text, Priority::Normal);
    }
    let mut events = 0;
    while !letters.feed.is_empty() {
        let mut out = Vec::new();
        let filled = letters.feed.fill(letters.now, Encoding::MsgPack, 500, &mut out);
        assert!((1..=500).contains(&filled.bytes) && filled.value.is_none());
        events += filled.events;
    }
    assert_eq!(events, 100);
    letters.publish("a", 1);
    assert_eq!(letters.read(20), [""; 0]);
    assert_eq!(letters.read(100), ["a 101: 1"]);
}

#[test]
fn a_large_value_is_written_alone_whatever_the_room_and_not_copied() {
    for encoding in Encoding::ALL {
        let mut letters = Letters::with("ring:1000");
        let large = value("x".repeat(limits::SEGMENT_BYTES));
        letters.publish("a", 1);
        letters.publish_value("a", &large, Priority::Normal);
        letters.publish("a", 3);
        assert_eq!(letters.read_as(encoding, 1_000), ["a 1: 1"]);
        let mut out = Vec::new();
        let filled = letters.feed.fill(letters.now, encoding, 1_000, &mut out);
        if encoding == Encoding::MsgPack {
            assert_eq!(filled.value.as_ref().map(|value| value.as_ptr()), Some(large.as_ptr()));
        }
        assert!(filled.bytes > limits::SEGMENT_BYTES && filled.events == 1);
        assert_eq!(letters.read_as(encoding, 1_000), ["a 3: 3"]);
    }
}

#[test]
fn json_is_told_which_values_it_cannot_carry() {
    let mut letters = Letters::unread("ring:9", |_| {});
    letters.publish("a", 1);
    letters.publish_value("a", &value(Value::Bytes(vec![1])), Priority::Normal);
    letters.publish("a", 3);
    let mut out = Vec::new();
    letters.feed.fill(letters.now, Encoding::Json, ALL, &mut out);
    let expected = concat!(r#"[[2,"a",0],[2,"b",0],[2,"c",0],[3,3],"#, r#"[0,"a",1,1],[1,"a",2,2,3],[0,"a",3,3]]"#);
    assert_eq!(String::from_utf8(out).unwrap(), expected);
    assert_eq!(letters.feed.ledger(), Ledger { offered: 3, left: 2, dropped: 1 });
}

#[test]
fn a_mark_is_sent_when_nothing_of_its_events_waits_and_counts_what_became_of_them() {
    let mut letters = Letters::with("ring:2");
    let mark = |number, topic, first, last| Mark { number, topic, first, last, events: last - first + 1 };
    letters.publish("b", 0);
    assert!(letters.feed.mark(letters.now, mark(7, 0, 1, 3)));
    assert!(!letters.feed.mark(letters.now, mark(7, 0, 4, 4)), "a mark of this name is there");
    letters.publish("a", 1);
    assert_eq!(letters.feed.confirmed(7), None, "it has not left");
    assert_eq!(letters.read(ALL), ["b 1: 0", "a 1: 1"]);
    letters.publish("a", 2);
    letters.publish("a", 3);
    letters.publish("a", 4);
    assert_eq!(letters.read(ALL), ["a lacks 2-2 (queue-full)", "a 3: 3"]);
    assert_eq!(letters.read(ALL), ["mark 7", "a 4: 4"], "a mark stands in front of its content");
    assert_eq!(letters.feed.confirmed(8), None);
    assert_eq!(letters.feed.confirmed(7), Some(Tally { left: 2, dropped: 1, waiting: 0 }));
    assert_eq!(letters.feed.confirmed(7), None);
}

#[test]
fn marks_without_an_answer_say_how_far_their_events_had_come() {
    let mut letters = Letters::with("ring:9");
    assert!(letters.feed.mark(letters.now, Mark { number: 1, topic: 0, first: 1, last: 2, events: 2 }));
    letters.publish("a", 1);
    letters.read(ALL);
    letters.publish("a", 2);
    assert_eq!(letters.feed.unconfirmed(), [(1, Tally { left: 1, dropped: 0, waiting: 1 })]);
    for number in 0..limits::EVENT_MARKS_MAX as u64 {
        assert!(letters.feed.mark(letters.now, Mark { number, topic: 0, first: 9, last: 9, events: 1 }));
    }
    assert!(!letters.feed.mark(letters.now, Mark { number: u64::MAX, topic: 0, first: 9, last: 9, events: 1 }));
}

#[test]
fn a_subscriber_is_too_slow_when_something_waits_and_nothing_leaves_for_ten_seconds() {
    let mut letters = Letters::with("ring:9");
    let start = letters.now;
    let after = |seconds| start + Duration::from_secs(seconds);
    assert_eq!(letters.feed.stalls_at(), None);
    let text = value("x".repeat(80));
    letters.publish_value("a", &text, Priority::Normal);
    letters.now = after(9);
    letters.publish_value("a", &text, Priority::Normal);
    assert!(!letters.feed.is_stalled(after(9)) && letters.feed.is_stalled(after(10)));
    assert_eq!(letters.read(160).len(), 1);
    assert_eq!(letters.feed.stalls_at(), Some(after(19)), "one of two has left");
    letters.read(160);
    assert_eq!(letters.feed.stalls_at(), None);
}

#[test]
fn places_and_names_are_given_back_when_nothing_waits() {
    let mut letters = Letters::with("ring:5000");
    for number in 0..2_000 {
        letters.topics.declare(&format!("n{number}"), Keep::default(), None).unwrap();
        letters.publish(&format!("n{number}"), number);
    }
    while !letters.feed.is_empty() {
        letters.read(limits::EVENTS_BYTES_MAX);
    }
    assert_eq!(letters.feed.ledger(), Ledger { offered: 2_000, left: 2_000, dropped: 0 });
    assert_eq!(letters.feed.names.len(), limits::EVENT_IDLE_NAMES_KEPT);
}
