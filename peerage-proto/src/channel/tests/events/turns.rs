//! Who goes first when much waits.

use super::*;

/// Kinds and ids of what leaves now.
fn kinds(mut transcript: Transcript) -> (Transcript, Vec<(u64, u64)>) {
    transcript = transcript.we_write_all();
    let written = std::mem::take(&mut transcript.written);
    let (mut rest, mut found) = (&written[..], Vec::new());
    while let Some(body) = transcript.wire.next(&mut rest).expect("we keep to our own limits") {
        let triple = Encoding::MsgPack.split(body.bytes()).expect("we write frames");
        found.push((triple.kind, triple.id));
    }
    (transcript, found)
}

#[test]
fn what_is_urgent_leaves_before_what_is_not_whichever_came_first() {
    let mut transcript = transcript(full(Side::Acceptor))
        .with_subscriber(0, "ring:10")
        .with_subscriber(1, "ring:10")
        .with_subscriber(2, "ring:10");
    for (number, priority) in [(0, Priority::Bulk), (1, Priority::Normal), (2, Priority::Control)] {
        assert!(transcript.offer(number, 1, 1, priority).queued);
    }
    let (mut transcript, found) = kinds(transcript);
    assert_eq!(found, [(38, 2), (38, 1), (38, 0)]);
    // A feed that has its place and gets something more urgent to say takes a better one.
    for (number, priority) in [(0, Priority::Bulk), (1, Priority::Normal), (0, Priority::Control)] {
        assert!(transcript.offer(number, 2, 2, priority).queued);
    }
    assert_eq!(kinds(transcript).1, [(38, 0), (38, 1)]);
}

#[test]
fn what_may_wait_longest_leaves_all_the_same_while_others_have_much_to_send() {
    let mut transcript = transcript(full(Side::Acceptor)).with_subscriber(0, "ring:10").with_subscriber(1, "ring:1000");
    for seq in 1..=3 {
        assert!(transcript.offer(0, seq, seq, Priority::Bulk).queued);
    }
    // Each of these fills a frame of its own; there is credit for all of them.
    transcript = transcript.peer_sends(grant(1, 100_000_000));
    for seq in 1..=200 {
        assert!(transcript.offer(1, seq, "x".repeat(50_000), Priority::Control).queued || seq > 80);
    }
    let (_, found) = kinds(transcript);
    let bulk = found.iter().position(|frame| *frame == (38, 0)).expect("it leaves");
    assert!((8..=32).contains(&bulk), "bulk events leave behind {bulk} frames of the others");
}

#[test]
fn a_feed_loses_its_turn_when_what_goes_first_by_now_has_no_credit() {
    let mut transcript = transcript(full(Side::Acceptor)).with_subscriber(0, "ring:10");
    for seq in 1..=4 {
        transcript = transcript.we_publish(0, seq, long_value());
    }
    let mut transcript = transcript.forget_what_was_sent().we_publish(0, 5, "small");
    assert!(transcript.channel.wants_to_write());
    assert!(transcript.offer(0, 1, long_value(), Priority::Control).queued);
    transcript
        .we_send_nothing()
        .peer_sends(grant(0, 20_000))
        .we_send(events(0, json!([[0, "a/control", 1, long_value()], [0, "a/normal", 5, "small"]])));
}

#[test]
fn streams_and_feeds_take_turns() {
    let mut transcript = transcript(full(Side::Acceptor))
        .with_subscriber(0, "ring:1000")
        .peer_sends(frame(32, 0, "chat"))
        .we_serve("chat");
    let stream = transcript.channel.stream_of_request(transcript.served[0]).expect("a conversation");
    for seq in 1..=4 {
        assert!(transcript.offer(0, seq, "x".repeat(20_000), Priority::Normal).queued);
        let item = Payload::encode(&"y".repeat(14_000), Encoding::MsgPack).expect("plain data");
        transcript = transcript.feed(Input::Item { stream, content: Content::Shared(&item) });
    }
    let (_, found) = kinds(transcript);
    let firsts: Vec<u64> = found.iter().take(2).map(|(kind, _)| *kind).collect();
    assert!(firsts == [38, 33] || firsts == [33, 38], "{found:?}");
}

#[test]
fn a_call_does_not_wait_behind_events() {
    let mut transcript = transcript(full(Side::Acceptor)).with_subscriber(0, "ring:1000");
    transcript = transcript.peer_sends(grant(0, 100_000_000));
    for seq in 1..=80 {
        assert!(transcript.offer(0, seq, "x".repeat(50_000), Priority::Bulk).queued);
    }
    transcript = transcript.driver_takes_what_waits();
    let ahead = transcript.channel.unsent_bytes();
    assert!(ahead <= limits::BULK_AHEAD_BYTES + limits::EVENTS_BYTES_MAX, "{ahead} bytes are ahead of whatever comes");
    let transcript = transcript.we_call(0, "quick").driver_gives_back();
    let (_, found) = kinds(transcript);
    let call = found.iter().position(|(kind, _)| *kind == 0).expect("it leaves");
    assert!(call <= 3, "behind {call} frames");
}
