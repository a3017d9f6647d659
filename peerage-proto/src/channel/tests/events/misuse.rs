//! What nobody can have meant ends the link, by its name.

use super::*;

fn listener() -> Transcript {
    transcript(full_dialler()).we_subscribe(0).we_send(subscribe(0, wish()))
}

fn publisher() -> Transcript {
    transcript(full(Side::Acceptor)).with_subscriber(3, "ring:10")
}

fn ends(transcript: Transcript, frame: Frame, why: PeerMisbehaved) {
    let mut transcript = transcript.peer_sends(frame);
    transcript.orders.retain(|order| !matches!(order, Output::Events(_) | Output::FeedOver { .. }));
    transcript.link_ends_because_the_peer(why).everything_is_freed();
}

#[test]
fn a_subscription_whose_number_does_not_rise() {
    ends(publisher(), subscribe(3, wish()), PeerMisbehaved::BadSubscription(3));
    ends(publisher(), subscribe(0, wish()), PeerMisbehaved::BadSubscription(0));
}

#[test]
fn a_frame_for_a_subscription_that_never_was() {
    ends(publisher(), unsubscribe(4, false), PeerMisbehaved::NoSubscription(4));
    ends(publisher(), grant(4, 10_000), PeerMisbehaved::NoSubscription(4));
    ends(publisher(), confirmed(4, 1), PeerMisbehaved::NoSubscription(4));
    ends(listener(), events(1, json!([])), PeerMisbehaved::NoSubscription(1));
    ends(listener(), over(1, Json::Null), PeerMisbehaved::NoSubscription(1));
    ends(transcript(full_dialler()), frame(42, 0, Json::Null), PeerMisbehaved::NoSubscription(0));
}

#[test]
fn an_answer_to_a_subscription_that_was_not_said_yet() {
    let most = u64::from(limits::SUBSCRIPTION_CHANGES_UNANSWERED_MAX);
    let mut transcript = transcript(full_dialler());
    for number in 0..=most {
        transcript = transcript.we_subscribe(number);
    }
    ends(transcript.forget_what_was_sent(), over(most, Json::Null), PeerMisbehaved::NoSubscription(most));
}

#[test]
fn more_events_than_were_granted() {
    let content = json!([[0, "a/x", 1, "x".repeat(33_000)]]);
    let transcript = listener().peer_sends(events(0, content.clone())).gets_events(0);
    ends(transcript, events(0, content), PeerMisbehaved::OverGrant(0));
}

#[test]
fn more_credit_than_there_may_be() {
    let too_much = u64::from(limits::STREAM_CREDIT_MAX);
    ends(publisher(), grant(3, too_much), PeerMisbehaved::GrantOverflow(3));
    ends(publisher(), grant(3, u64::MAX), PeerMisbehaved::GrantOverflow(3));
}

#[test]
fn a_word_on_a_mark_that_was_never_set() {
    ends(publisher(), confirmed(3, 9), PeerMisbehaved::NotMarked { number: 3, mark: 9 });
    let asked = transcript(full(Side::Acceptor)).peer_sends(subscribe(0, wish())).our_node_is_asked(0, wish());
    ends(asked, confirmed(0, 0), PeerMisbehaved::NotMarked { number: 0, mark: 0 });
}

#[test]
fn contents_of_another_form() {
    let bad = PeerMisbehaved::BadContent;
    ends(publisher(), frame(39, 3, "please"), bad("unsubscribe"));
    ends(publisher(), frame(41, 3, "much"), bad("grant"));
    ends(publisher(), frame(43, 3, json!([])), bad("confirmed"));
    ends(listener(), events(0, Json::Null), bad("events"));
    ends(listener(), events(0, "text"), bad("events"));
    ends(listener(), frame(42, 0, "zz"), bad("events-part"));
    ends(listener(), over(0, "why"), bad("over"));
    let json = Config { encoding: Some(Encoding::Json), ..full_dialler() };
    let listener = transcript(json).we_subscribe(0).we_send(subscribe(0, wish()));
    ends(listener, frame(42, 0, "0g"), bad("events-part"));
}

#[test]
fn a_large_event_that_is_no_value_or_does_not_end_as_it_should() {
    let part = |transcript: Transcript, bytes: &[u8]| {
        let mut body = Vec::new();
        Encoding::MsgPack.put_head(42, 0, &mut body);
        body.extend_from_slice(&[0xc4, bytes.len() as u8]);
        body.extend_from_slice(bytes);
        transcript.peer_sends_body(&body)
    };
    ends(part(listener(), b"\x92\xc0"), events(0, Json::Null), PeerMisbehaved::BadContent("events"));
    ends(part(listener(), b"\x91"), events(0, json!([])), PeerMisbehaved::BadContent("events"));
    ends(part(listener(), b"\xa1x"), events(0, Json::Null), PeerMisbehaved::BadContent("events"));
}

#[test]
fn a_large_event_that_is_larger_than_any_may_be() {
    let mut transcript = listener();
    let mut part = Vec::new();
    Encoding::MsgPack.put_head(42, 0, &mut part);
    part.extend_from_slice(&[0xc5, 0x75, 0x30]);
    part.resize(part.len() + 30_000, 0);
    for _ in 0..limits::VALUE_BYTES_MAX / 30_000 {
        transcript = transcript.peer_sends_body(&part).nothing_happens().forget_what_was_sent();
    }
    transcript
        .peer_sends_body(&part)
        .gets_events(0)
        .link_ends_because_the_peer(PeerMisbehaved::ValueTooLarge { limit: limits::VALUE_BYTES_MAX });
}

#[test]
fn a_subscription_longer_than_any_needs_to_be() {
    let limit = limits::WISH_BYTES_MAX;
    let long = "x".repeat(limit);
    let size = limit + 5;
    ends(publisher(), subscribe(4, long), PeerMisbehaved::WordTooLarge { kind: 37, size, limit });
}

#[test]
fn subscribing_and_unsubscribing_again_and_again() {
    let mut transcript = transcript(full(Side::Acceptor));
    let burst = u64::from(limits::SUBSCRIPTION_CHANGES_BURST);
    for number in 0..burst / 2 {
        transcript = transcript
            .peer_sends(subscribe(number, wish()))
            .our_node_is_asked(number, wish())
            .peer_sends(unsubscribe(number, false))
            .feed_is_over(number, FeedEnd::Unsubscribed, 0);
    }
    let transcript = transcript.forget_what_was_sent();
    ends(transcript, subscribe(burst, wish()), PeerMisbehaved::TooManyResets);
}

#[test]
fn grants_of_a_few_bytes_without_end() {
    let mut transcript = publisher();
    for _ in 0..limits::SMALL_FRAMES_BURST {
        transcript = transcript.peer_sends(grant(3, 1));
    }
    ends(transcript, grant(3, 1), PeerMisbehaved::TooManyResets);
}

#[test]
fn records_that_the_application_cannot_read() {
    listener()
        .peer_sends(events(0, json!([7])))
        .gets_events(0)
        .we_take_records(0, json!([7]))
        .feed(Input::Garbled { number: 0 })
        .gets_events(0)
        .link_ends_because_the_peer(PeerMisbehaved::BadContent("events"))
        .feed(Input::Garbled { number: 0 })
        .nothing_happens();
}

#[test]
fn kinds_of_events_do_not_exist_in_the_plain_dialect() {
    for kind in 37..=43 {
        transcript(plain_json())
            .peer_sends(frame(kind, 0, Json::Null))
            .link_ends_because_the_peer(PeerMisbehaved::UnknownKind(kind));
    }
}
