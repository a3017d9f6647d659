//! The end that publishes.

use super::*;

#[test]
fn what_waits_leaves_in_one_frame_when_the_driver_comes() {
    transcript(full(Side::Acceptor))
        .peer_sends(subscribe(0, wish()))
        .our_node_is_asked(0, wish())
        .we_attach(0, "ring:10")
        .we_publish(0, 1, "one")
        .we_publish(0, 2, "two")
        .we_publish(0, 3, "three")
        .we_send(events(0, json!([[3, 0], [0, "a/normal", 1, "one", "two", "three"]])))
        .we_send_nothing()
        .we_publish(0, 4, "four")
        .we_send(events(0, json!([[0, "a/normal", 4, "four"]])))
        .holds(|channel| channel.feeds() == 1 && channel.feed_waiting(FeedId(0)) == (0, 0));
}

#[test]
fn what_was_dropped_is_told_in_its_place() {
    transcript(full_dialler())
        .with_subscriber(3, "ring:2")
        .we_publish(3, 1, 1)
        .we_publish(3, 2, 2)
        .after_offering(3, 3, Offered { queued: true, dropped: 1, cut: None })
        .we_send(events(3, json!([[1, "a/normal", 1, 1, 0], [0, "a/normal", 2, 2, 3]])));
}

#[test]
fn nothing_leaves_without_credit_and_all_of_it_with_it() {
    let value = long_value();
    transcript(full(Side::Acceptor))
        .with_subscriber(0, "ring:10")
        .we_publish_long(0, LONG_VALUES + 1)
        .we_send(events(0, json!([[0, "a/normal", 1, value, value, value, value]])))
        .we_send_nothing()
        .holds(|channel| channel.feed_waiting(FeedId(0)).0 == 1)
        .peer_sends(grant(0, 8_192))
        .we_send_nothing()
        .peer_sends(grant(0, 8_192))
        .we_send(events(0, json!([[0, "a/normal", 5, value]])))
        .we_send_nothing();
}

#[test]
fn an_event_that_costs_more_than_will_be_granted_leaves_in_parts() {
    let mut transcript =
        transcript(full(Side::Acceptor)).with_subscriber(0, "ring:10").we_publish(0, 1, "y".repeat(100_000));
    let mut parts = Vec::new();
    for _ in 0..5 {
        transcript = transcript.we_write_all();
        let written = std::mem::take(&mut transcript.written);
        let mut rest = &written[..];
        let mut cost = 0;
        while let Some(body) = transcript.wire.next(&mut rest).expect("we keep to our own limits") {
            let triple = Encoding::MsgPack.split(body.bytes()).expect("we write frames");
            assert!(triple.content.len() <= limits::SEGMENT_BYTES);
            cost += triple.content.len() + limits::ITEM_OVERHEAD_BYTES;
            parts.push((triple.kind, body.bytes()[triple.content].to_vec()));
        }
        if cost > 0 {
            transcript = transcript.peer_sends(grant(0, cost as u64));
        }
    }
    let (last, parts) = parts.split_last().expect("frames");
    assert_eq!((last.0, &last.1[..]), (38, &b"\xc0"[..]), "null ends it");
    assert!(parts.iter().all(|(kind, _)| *kind == 42) && parts.len() >= 4, "{} parts", parts.len());
    let header = |part: &[u8]| if part[0] == 0xc4 { 2 } else { 3 };
    let whole: Vec<u8> = parts.iter().flat_map(|(_, part)| &part[header(part)..]).copied().collect();
    let whole = Payload::from_parts(Encoding::MsgPack, Bytes::from(whole));
    assert_eq!(whole.decode::<Json>(), Ok(json!([[0, "a/normal", 1, "y".repeat(100_000)]])));
    transcript.we_publish(0, 2, "next").we_send(events(0, json!([[0, "a/normal", 2, "next"]]))).nothing_happens();
}

#[test]
fn whoever_unsubscribes_gets_nothing_more_but_the_word_that_it_is_over() {
    transcript(full(Side::Acceptor))
        .with_subscriber(0, "ring:10")
        .we_publish(0, 1, "never sent")
        .peer_sends(unsubscribe(0, false))
        .feed_is_over(0, FeedEnd::Unsubscribed, 1)
        .we_send(over(0, Json::Null))
        .after_offering(0, 2, Offered::default())
        .we_send_nothing()
        .peer_sends(grant(0, 20_000))
        .counters(|counters| counters.late_events == 1)
        .holds(|channel| channel.feeds() == 0 && channel.is_idle());
}

#[test]
fn whoever_wants_what_was_queued_gets_it_first() {
    let value = long_value();
    transcript(full(Side::Acceptor))
        .with_subscriber(0, "ring:10")
        .we_publish_long(0, LONG_VALUES + 1)
        .peer_sends(unsubscribe(0, true))
        .after_offering(0, 6, Offered::default())
        .we_send(events(0, json!([[0, "a/normal", 1, value, value, value, value]])))
        .we_send_nothing()
        .peer_sends(grant(0, 20_000))
        .we_send(events(0, json!([[0, "a/normal", 5, value]])))
        .we_send(over(0, Json::Null))
        .feed_is_over(0, FeedEnd::Unsubscribed, 0)
        .we_send_nothing();
}

#[test]
fn a_subscription_that_the_node_has_not_answered_is_over_at_once() {
    transcript(full(Side::Acceptor))
        .peer_sends(subscribe(0, wish()))
        .our_node_is_asked(0, wish())
        .peer_sends(unsubscribe(0, true))
        .feed_is_over(0, FeedEnd::Unsubscribed, 0)
        .we_send(over(0, Json::Null))
        .we_attach(0, "latest")
        .we_send_nothing();
}

#[test]
fn the_node_may_refuse() {
    let why = FeedEnd::Refused("not for you".to_owned());
    transcript(full(Side::Acceptor))
        .peer_sends(subscribe(7, wish()))
        .our_node_is_asked(7, wish())
        .we_end_feed(7, why.clone())
        .feed_is_over(7, why, 0)
        .we_send(over(7, json!(["refused", "not for you"])))
        .we_end_feed(7, FeedEnd::Draining)
        .we_send_nothing();
}

#[test]
fn a_long_reason_is_cut_to_fit_into_the_smallest_frames() {
    let config = Config { frame_bytes: limits::FRAME_BYTES_MIN, ..full(Side::Acceptor) };
    let why = FeedEnd::Refused("because ".repeat(1_000));
    transcript(config)
        .peer_sends(subscribe(0, wish()))
        .our_node_is_asked(0, wish())
        .we_end_feed(0, why.clone())
        .feed_is_over(0, why, 0)
        .we_send(over(0, json!(["refused", ""])));
}

#[test]
fn whoever_leaves_sends_what_waits_and_says_so() {
    transcript(full(Side::Acceptor))
        .with_subscriber(0, "ring:10")
        .we_publish(0, 1, "last")
        .feed(Input::Drain)
        .peer_sends(subscribe(1, wish()))
        .we_send(over(1, json!(["draining", ""])))
        .we_send(events(0, json!([[0, "a/normal", 1, "last"]])))
        .we_send(over(0, json!(["draining", ""])))
        .feed_is_over(0, FeedEnd::Draining, 0)
        .feed(Input::Timeout)
        .link_is_idle();
}

#[test]
fn a_subscriber_that_takes_nothing_for_ten_seconds_is_cut_and_the_link_lives() {
    let value = long_value();
    let why = FeedEnd::TooSlow("nothing was taken for 10 s".to_owned());
    transcript(full(Side::Acceptor))
        .with_subscriber(0, "ring:10")
        .with_subscriber(1, "ring:10")
        .we_publish_long(0, LONG_VALUES + 1)
        .we_send(events(0, json!([[0, "a/normal", 1, value, value, value, value]])))
        .after(limits::EVENT_STALL - ms(1))
        .nothing_happens()
        .after(ms(2))
        .feed_is_over(0, why, 1)
        .we_send(over(0, json!(["too-slow", "nothing was taken for 10 s"])))
        .we_publish(1, 1, "still here")
        .we_send(events(1, json!([[0, "a/normal", 1, "still here"]])))
        .after(ms(60_000))
        .nothing_happens();
}

#[test]
fn a_pause_of_this_process_is_no_fault_of_the_subscribers() {
    let value = long_value();
    let mut transcript = transcript(Config { liveness: None, ..Config::for_node(Side::Acceptor) })
        .with_subscriber(0, "ring:10")
        .we_publish_long(0, LONG_VALUES + 1)
        .we_send(events(0, json!([[0, "a/normal", 1, value, value, value, value]])));
    transcript.now += limits::EVENT_STALL * 2;
    transcript
        .feed(Input::Jumped)
        .feed(Input::Timeout)
        .nothing_happens()
        .after(limits::EVENT_STALL - ms(1))
        .nothing_happens()
        .peer_sends(grant(0, 60_000))
        .we_send(events(0, json!([[0, "a/normal", 5, value]])))
        .after(ms(60_000))
        .nothing_happens();
}

#[test]
fn a_subscriber_that_wants_to_be_cut_is_told_what_it_lost_and_cut() {
    let mut transcript = transcript(full(Side::Acceptor)).with_subscriber(0, "close");
    let mut cut = None;
    for seq in 1..=10_000 {
        let offered = transcript.offer(0, seq, seq, Priority::Normal);
        if offered.cut.is_some() {
            cut = Some(seq);
            break;
        }
    }
    assert_eq!(cut, Some(u64::from(limits::EVENT_QUEUE_DEFAULT) + 1));
    let why = "more was published than the subscriber keeps room for";
    transcript
        .we_send(events(0, json!([[1, "a/normal", 1, 1025, 0]])))
        .we_send(over(0, json!(["overflow", why])))
        .feed_is_over(0, FeedEnd::Overflow(why.to_owned()), 0);
}

#[test]
fn a_publisher_that_waits_for_room_learns_when_there_is_some() {
    let mut transcript = transcript(full(Side::Acceptor)).with_subscriber(0, "block:1s");
    let mut seq = 1;
    while transcript.channel.feed_takes(FeedId(0), [1].into_iter()) > 0 {
        assert!(transcript.offer(0, seq, seq, Priority::Normal).queued);
        seq += 1;
    }
    assert_eq!(transcript.offer(0, seq, seq, Priority::Normal), Offered::default(), "it is not taken");
    let mut transcript = transcript.forget_what_was_sent();
    assert!(matches!(transcript.next_order(), Output::FeedWritable(FeedId(0))));
    assert!(transcript.offer(0, seq, seq, Priority::Normal).queued);
    transcript.forget_what_was_sent().nothing_happens();
}

#[test]
fn the_subscriber_says_when_marked_events_have_arrived() {
    let mark = Mark { number: 9, topic: Priority::Normal as u32, first: 1, last: 2, events: 2 };
    let mut transcript = transcript(full(Side::Acceptor)).with_subscriber(0, "ring:10");
    assert!(transcript.channel.mark(transcript.now, FeedId(0), mark));
    let mut transcript = transcript
        .we_publish(0, 1, 1)
        .we_publish(0, 2, 2)
        .we_send(events(0, json!([[0, "a/normal", 1, 1, 2]])))
        .we_send(events(0, json!([[4, 9]])))
        .we_send_nothing()
        .peer_sends(confirmed(0, 9));
    match transcript.next_order() {
        Output::Confirmed { feed, mark, tally } => {
            assert_eq!((feed, mark, tally), (FeedId(0), 9, Tally { left: 2, dropped: 0, waiting: 0 }));
        }
        other => panic!("the mark should be confirmed, but: {other:?}"),
    }
    assert!(!transcript.channel.mark(transcript.now, FeedId(5), mark), "there is no such feed");
}

#[test]
fn what_became_of_marked_events_is_told_when_the_link_ends() {
    let mark = Mark { number: 9, topic: Priority::Normal as u32, first: 1, last: 3, events: 3 };
    let mut transcript = transcript(full(Side::Acceptor)).with_subscriber(0, "ring:10");
    assert!(transcript.channel.mark(transcript.now, FeedId(0), mark));
    let mut transcript = transcript
        .we_publish(0, 1, 1)
        .we_publish(0, 2, 2)
        .we_send(events(0, json!([[0, "a/normal", 1, 1, 2]])))
        .we_publish(0, 3, 3)
        .link_breaks();
    match transcript.next_order() {
        Output::FeedOver { feed, why, queued, unconfirmed } => {
            assert_eq!((feed, why, queued), (FeedId(0), FeedEnd::Lost(broken()), 1));
            assert_eq!(unconfirmed, [(9, Tally { left: 2, dropped: 0, waiting: 1 })]);
        }
        other => panic!("the feed should be over, but: {other:?}"),
    }
    transcript.link_ends(broken()).everything_is_freed();
}

#[test]
fn a_peer_has_as_many_subscriptions_as_it_may_have_and_not_one_more() {
    let most = limits::SUBSCRIPTIONS_PER_PEER_MAX as u64;
    let asked: Vec<Frame> = (0..most).map(|number| subscribe(number, wish())).collect();
    let mut transcript = transcript(full(Side::Acceptor)).peer_sends_all(&asked);
    for number in 0..most {
        transcript = transcript.our_node_is_asked(number, wish());
    }
    transcript
        .peer_sends(subscribe(most, wish()))
        .we_send(over(most, json!(["limit", "a peer may have 1024 subscriptions on a link"])))
        .peer_sends(unsubscribe(3, false))
        .feed_is_over(3, FeedEnd::Unsubscribed, 0)
        .we_send(over(3, Json::Null))
        .peer_sends(subscribe(most + 1, wish()))
        .our_node_is_asked(most + 1, wish());
}

#[test]
fn when_the_peer_or_this_end_closes_its_direction_feeds_are_over() {
    transcript(full(Side::Acceptor))
        .with_subscriber(0, "ring:10")
        .we_publish(0, 1, 1)
        .peer_closes()
        .feed_is_over(0, FeedEnd::Lost(LinkLost::PeerClosed), 1)
        .link_ends(LinkLost::PeerClosed)
        .everything_is_freed();
    transcript(full(Side::Acceptor))
        .with_subscriber(0, "ring:10")
        .we_close()
        .feed_is_over(0, FeedEnd::Lost(LinkLost::ClosedHere), 0)
        .link_ends(LinkLost::ClosedHere)
        .everything_is_freed();
}

#[test]
fn a_json_link_carries_what_json_can_carry_and_tells_what_it_cannot() {
    let config = Config { encoding: Some(Encoding::Json), ..full(Side::Acceptor) };
    let mut transcript = transcript(config).with_subscriber(0, "ring:10").we_publish(0, 1, json!({ "x": [1] }));
    let (name, bytes): (Arc<str>, _) = ("a/normal".into(), Bytes::from_static(b"\xc4\x02\x00\xff"));
    let event = Event { topic: 1, name: &name, seq: 2, value: &bytes, priority: Priority::Normal };
    assert!(transcript.channel.offer(transcript.now, FeedId(0), &event).queued);
    transcript.we_publish(0, 3, "after").we_send(events(
        0,
        json!([[0, "a/normal", 1, { "x": [1] }], [1, "a/normal", 2, 2, 3], [0, "a/normal", 3, "after"]]),
    ));
}

#[test]
fn events_that_wait_leave_in_the_encoding_that_the_link_has_by_then() {
    transcript(full(Side::Acceptor))
        .with_subscriber(0, "ring:10")
        .we_publish(0, 1, "one")
        .peer_sends(frame(20, 4, json!([0, 0])))
        .we_send(frame(21, 4, json!([0, 0])))
        .we_send(events(0, json!([[0, "a/normal", 1, "one"]])))
        .holds(|channel| channel.encoding() == Some(Encoding::Json));
}

impl Transcript {
    fn we_publish_long(mut self, number: u64, events: u64) -> Self {
        for seq in 1..=events {
            self = self.we_publish(number, seq, long_value());
        }
        self
    }

    fn after_offering(mut self, number: u64, seq: u64, expected: Offered) -> Self {
        assert_eq!(self.offer(number, seq, seq, Priority::Normal), expected);
        self
    }
}
