//! The end that subscribes.

use super::*;

#[test]
fn what_is_published_can_be_taken_and_what_was_taken_is_granted_anew() {
    let value = "x".repeat(30_000);
    let records = json!([[0, "a/x", 1, value]]);
    transcript(full_dialler())
        .holds(|channel| channel.next_subscription() == 0)
        .we_subscribe(0)
        .we_send(subscribe(0, wish()))
        .we_take_no_records(0)
        .peer_sends(events(0, json!([[2, "a/x", 0], [3, 1]])))
        .gets_events(0)
        .peer_sends(events(0, records.clone()))
        .nothing_happens()
        .we_take_records(0, json!([[2, "a/x", 0], [3, 1]]))
        .we_send_nothing()
        .we_take_records(0, records)
        .we_send(grant(0, 30_054))
        .we_take_no_records(0)
        .peer_sends(over(0, json!(["refused", "no more for you"])))
        .gets_events(0)
        .subscription_is_over(0, FeedEnd::Refused("no more for you".to_owned()))
        .holds(|channel| channel.subscriptions() == 0 && channel.next_subscription() == 1 && channel.is_idle());
}

#[test]
fn a_window_that_is_really_read_grows() {
    let value = "x".repeat(30_000);
    let mut transcript = transcript(full_dialler()).we_subscribe(0).we_send(subscribe(0, wish()));
    let mut granted = 0;
    for seq in 1..=40 {
        let records = json!([[0, "a/x", seq, value]]);
        transcript = transcript.peer_sends(events(0, records.clone())).gets_events(0).we_take_records(0, records);
        transcript = transcript.we_write_all();
        let written = std::mem::take(&mut transcript.written);
        let mut rest = &written[..];
        while let Some(body) = transcript.wire.next(&mut rest).expect("we keep to our own limits") {
            granted += Frame::of(body.bytes()).content.as_u64().expect("a grant");
        }
    }
    let spent = 40 * 30_027;
    assert!(granted > spent && granted <= spent + limits::STREAM_WINDOW_MAX as u64, "{granted} for {spent}");
}

#[test]
fn marks_are_confirmed_when_they_come_whoever_reads_or_not() {
    transcript(full_dialler())
        .we_subscribe(5)
        .we_send(subscribe(5, wish()))
        .peer_sends(events(5, json!([[0, "a/x", 1, 1]])))
        .gets_events(5)
        .peer_sends(events(5, json!([[4, 7], [4, 8], [0, "a/x", 2, 2]])))
        .we_send(confirmed(5, 7))
        .we_send(confirmed(5, 8))
        .peer_sends(events(5, json!([[0, "a/x", 3, 3], [4, 9]])))
        .we_send_nothing()
        .forget_subscription(5);
}

#[test]
fn whoever_unsubscribes_hears_nothing_more_of_it() {
    transcript(full_dialler())
        .we_subscribe(0)
        .we_send(subscribe(0, wish()))
        .peer_sends(events(0, json!([[3, 0]])))
        .gets_events(0)
        .we_unsubscribe(0, false)
        .subscription_is_over(0, FeedEnd::Unsubscribed)
        .we_send(unsubscribe(0, false))
        .holds(|channel| !channel.is_idle())
        .peer_sends(events(0, json!([[4, 1], [0, "a/x", 1, 1]])))
        .nothing_happens()
        .peer_sends(over(0, Json::Null))
        .nothing_happens()
        .holds(Channel::is_idle)
        .peer_sends(events(0, json!([[0, "a/x", 2, 2]])))
        .counters(|counters| counters.late_events == 1)
        .we_unsubscribe(0, false)
        .we_send_nothing();
}

#[test]
fn whoever_finishes_reads_on_to_the_end() {
    transcript(full_dialler())
        .we_subscribe(0)
        .we_send(subscribe(0, wish()))
        .peer_sends(events(0, json!([[3, 0]])))
        .gets_events(0)
        .we_take_records(0, json!([[3, 0]]))
        .we_unsubscribe(0, true)
        .we_send(unsubscribe(0, true))
        .peer_sends(events(0, json!([[0, "a/x", 1, 1]])))
        .gets_events(0)
        .peer_sends(over(0, Json::Null))
        .nothing_happens()
        .we_take_records(0, json!([[0, "a/x", 1, 1]]))
        .subscription_is_over(0, FeedEnd::Unsubscribed)
        .we_unsubscribe(0, true)
        .we_send_nothing();
}

#[test]
fn what_came_before_the_end_of_the_link_can_still_be_taken() {
    for ends in [Input::Broken("cable cut".into()), Input::PeerClosed, Input::Close] {
        let why = match ends {
            Input::Broken(_) => broken(),
            Input::PeerClosed => LinkLost::PeerClosed,
            _ => LinkLost::ClosedHere,
        };
        transcript(full_dialler())
            .we_subscribe(0)
            .we_subscribe(1)
            .we_send(subscribe(0, wish()))
            .we_send(subscribe(1, wish()))
            .peer_sends(events(0, json!([[0, "a/x", 1, 1]])))
            .gets_events(0)
            .feed(ends)
            .gets_events(1)
            .link_ends(why.clone())
            .we_take_records(0, json!([[0, "a/x", 1, 1]]))
            .we_send_nothing()
            .subscription_is_over(0, FeedEnd::Lost(why.clone()))
            .subscription_is_over(1, FeedEnd::Lost(why))
            .everything_is_freed()
            .holds(|channel| channel.subscriptions() == 0);
    }
}

#[test]
fn a_link_that_takes_no_subscription_says_so_at_once() {
    let refused = |transcript: Transcript, why: FeedEnd| {
        let mut transcript = transcript.we_subscribe(0);
        assert!(matches!(transcript.orders.pop_front(), Some(Output::Events(0))));
        transcript.subscription_is_over(0, why).we_send_nothing()
    };
    let no_route = || FeedEnd::NotSent(NotSent::NoRoute);
    let plain = "a plain link carries no events: its peer knows requests and answers only";
    refused(transcript(plain_json()), FeedEnd::BadRequest(plain.to_owned()));
    let retired = transcript(full_dialler()).feed(Input::Retire).link_is_idle();
    refused(retired, no_route()).feed(Input::Timeout).link_is_idle();
    refused(transcript(full_dialler()).link_breaks().link_ends(broken()), no_route());
    let closed = transcript(full_dialler()).we_close().link_ends(LinkLost::ClosedHere);
    refused(closed, FeedEnd::NotSent(NotSent::ShuttingDown));
    let long = json!({ "pattern": "a", "more": "x".repeat(limits::WISH_BYTES_MAX) });
    let long = Payload::encode(&long, Encoding::MsgPack).expect("plain data");
    let mut transcript = transcript(full_dialler()).feed(Input::Subscribe { number: 0, wish: &long }).gets_events(0);
    assert!(matches!(transcript.channel.take_events(0), Listened::Over(FeedEnd::BadRequest(_))));
    transcript.we_send_nothing();
}

#[test]
fn a_number_that_was_used_is_not_used_again() {
    transcript(full_dialler())
        .we_subscribe(4)
        .we_send(subscribe(4, wish()))
        .we_subscribe(4)
        .we_subscribe(3)
        .we_send_nothing()
        .holds(|channel| channel.subscriptions() == 1 && channel.next_subscription() == 5);
}

#[test]
fn more_subscriptions_than_the_peer_wants_to_hear_of_at_once_wait() {
    let most = u64::from(limits::SUBSCRIPTION_CHANGES_UNANSWERED_MAX);
    let mut transcript = transcript(full_dialler());
    for number in 0..most + 2 {
        transcript = transcript.we_subscribe(number);
    }
    for number in 0..most {
        transcript = transcript.we_send(subscribe(number, wish()));
    }
    // One that was never said need not be taken back on the wire.
    transcript
        .we_send_nothing()
        .counters(|counters| counters.changes_withheld == 2)
        .after(ms(5_000))
        .we_send_nothing()
        .we_unsubscribe(most, true)
        .gets_events(most)
        .subscription_is_over(most, FeedEnd::Unsubscribed)
        .we_send_nothing()
        .peer_sends(events(0, json!([[3, 0]])))
        .gets_events(0)
        .we_send(subscribe(most + 1, wish()))
        .after(ms(60_000))
        .we_send_nothing();
}

#[test]
fn a_large_event_comes_whole_and_its_parts_are_granted_as_they_come() {
    let value = "z".repeat(200_000);
    let whole = Payload::encode(&json!([[0, "a/x", 1, value]]), Encoding::MsgPack).expect("plain data");
    let mut transcript = transcript(full_dialler()).we_subscribe(0).we_send(subscribe(0, wish()));
    for part in whole.bytes().chunks(30_000) {
        let mut body = Vec::new();
        Encoding::MsgPack.put_head(42, 0, &mut body);
        body.push(0xc5);
        body.extend_from_slice(&(part.len() as u16).to_be_bytes());
        body.extend_from_slice(part);
        transcript = transcript.peer_sends_body(&body).nothing_happens();
    }
    let mut transcript = transcript.peer_sends(events(0, Json::Null)).gets_events(0);
    let Listened::Records(records) = transcript.channel.take_events(0) else { panic!("the event should be there") };
    assert_eq!(records.bytes(), whole.bytes());
    transcript.forget_what_was_sent();
}

#[test]
fn json_links_listen_as_well() {
    let config = Config { encoding: Some(Encoding::Json), ..full_dialler() };
    let text = Payload::encode(&json!([[0, "a/x", 1, "oh"]]), Encoding::Json).expect("plain data");
    let digits = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    transcript(config)
        .we_subscribe(0)
        .we_send(subscribe(0, wish()))
        .peer_sends(events(0, json!([[4, 3]])))
        .gets_events(0)
        .we_send(confirmed(0, 3))
        .peer_sends(frame(42, 0, digits(&text.bytes()[..5])))
        .peer_sends(frame(42, 0, digits(&text.bytes()[5..])))
        .peer_sends(events(0, Json::Null))
        .we_take_records(0, json!([[4, 3]]))
        .we_take_records(0, json!([[0, "a/x", 1, "oh"]]))
        .forget_subscription(0);
}

#[test]
fn a_retired_link_is_at_rest_when_its_subscriptions_are_over() {
    transcript(full_dialler())
        .we_subscribe(0)
        .we_send(subscribe(0, wish()))
        .peer_sends(events(0, json!([[3, 0]])))
        .gets_events(0)
        .we_take_records(0, json!([[3, 0]]))
        .feed(Input::Retire)
        .nothing_happens()
        .peer_sends(events(0, json!([[0, "a/x", 1, 1]])))
        .gets_events(0)
        .we_unsubscribe(0, true)
        .we_send(unsubscribe(0, true))
        .peer_sends(over(0, Json::Null))
        .nothing_happens()
        .we_take_records(0, json!([[0, "a/x", 1, 1]]))
        .subscription_is_over(0, FeedEnd::Unsubscribed)
        .feed(Input::Timeout)
        .link_is_idle();
}

impl Transcript {
    fn forget_subscription(self, number: u64) -> Self {
        self.we_unsubscribe(number, false).we_send(unsubscribe(number, false)).peer_sends(over(number, Json::Null))
    }
}
