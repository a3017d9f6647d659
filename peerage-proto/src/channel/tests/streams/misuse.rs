//! What no honest peer sends on a stream, and what bounds the one that does.

use super::*;
#[cfg(feature = "planted-bugs")]
use crate::planted::{self, Bug};

/// What an item of this content costs of the credit.
fn cost(content: &Json) -> usize {
    Payload::encode(content, Encoding::MsgPack).expect("plain data").len() + limits::ITEM_OVERHEAD_BYTES
}

#[test]
fn frames_of_streams_that_never_were_end_the_link() {
    let never =
        [(item(4, 1), 4), (item(1, 1), 1), (end(0, Json::Null), 0), (credit(0, 100_000), 0), (frame(36, 0, 1), 0)];
    for (frame, id) in never {
        transcript(full_dialler()).peer_sends(frame).link_ends_because_the_peer(PeerMisbehaved::NoStream(id));
    }
    // A request is no conversation, whoever asks.
    transcript(full_dialler())
        .we_call(0, "x")
        .we_send(request(0, "x"))
        .peer_sends(item(0, 1))
        .call_gives(0, Err(CallError::Protocol { why: PeerMisbehaved::NoStream(0).to_string() }))
        .link_ends_because_the_peer(PeerMisbehaved::NoStream(0));
    transcript(full(Side::Acceptor))
        .peer_sends(request(0, "x"))
        .we_serve("x")
        .peer_sends(item(0, 1))
        .link_ends_because_the_peer(PeerMisbehaved::NoStream(0));
    // Nobody can answer what was not sent.
    let link = transcript(full_dialler()).we_open(0, "x");
    let stream = link.ours(0);
    link.peer_sends(item(0, 1))
        .call_gives(0, not_sent(NotSent::NoRoute))
        .gets_over(stream)
        .link_ends_because_the_peer(PeerMisbehaved::NoStream(0));
}

fn serving_ends(frame: Frame, why: PeerMisbehaved) {
    let (link, stream) = serving();
    link.peer_sends(frame).gets_over(stream).link_ends_because_the_peer(why).everything_is_freed();
}

#[test]
fn nothing_comes_behind_an_end() {
    for frame in [item(0, 1), end(0, Json::Null), frame(36, 0, "x")] {
        let (link, stream) = serving();
        let link = link.peer_sends(end(0, Json::Null)).gets_readable(stream);
        let why = if frame.kind == 36 { PeerMisbehaved::BadContent("part") } else { PeerMisbehaved::NoStream(0) };
        link.peer_sends(frame).gets_over(stream).link_ends_because_the_peer(why);
    }
}

#[test]
fn more_credit_than_there_can_be_ends_the_link() {
    serving_ends(credit(0, u64::from(u32::MAX)), PeerMisbehaved::CreditOverflow(0));
    serving_ends(credit(0, u64::MAX), PeerMisbehaved::CreditOverflow(0));
    let most = u64::from(limits::STREAM_CREDIT_MAX - limits::STREAM_CREDIT_START);
    let (link, stream) = serving();
    link.peer_sends(credit(0, most))
        .peer_sends(credit(0, 1))
        .gets_over(stream)
        .link_ends_because_the_peer(PeerMisbehaved::CreditOverflow(0));
}

#[test]
fn contents_of_another_shape_end_the_link() {
    for content in [json!("x"), json!(-1), json!([1]), json!(null)] {
        serving_ends(credit(0, 0).with(content), PeerMisbehaved::BadContent("credit"));
    }
    for content in [json!("x"), json!(7), json!(["code"]), json!(["code", "message"]), json!(["a", "b", 1, 2])] {
        serving_ends(end(0, content), PeerMisbehaved::BadContent("end"));
    }
    for content in [json!("text"), json!(7), json!(null)] {
        serving_ends(frame(36, 0, content), PeerMisbehaved::BadContent("part"));
    }
    for text in ["2", "2g", "AB", "\u{e4}"] {
        let config = Config { encoding: Some(Encoding::Json), ..full(Side::Acceptor) };
        let link = transcript(config).peer_sends(open(0, "talk")).we_serve("talk");
        let stream = link.theirs(0);
        link.peer_sends(frame(36, 0, text))
            .gets_over(stream)
            .link_ends_because_the_peer(PeerMisbehaved::BadContent("part"));
    }
}

#[test]
fn parts_that_make_no_value_end_the_link() {
    for (bytes, rest) in [(&[0xc1][..], Json::Null), (&[0x92, 1], Json::Null), (&[1, 1], Json::Null), (&[1], json!(1))]
    {
        let (link, stream) = serving();
        let mut body = Vec::new();
        Encoding::MsgPack.put_head(36, 0, &mut body);
        body.extend_from_slice(&[0xc4, bytes.len() as u8]);
        body.extend_from_slice(bytes);
        link.peer_sends_body(&body)
            .peer_sends(item(0, rest))
            .gets_over(stream)
            .link_ends_because_the_peer(PeerMisbehaved::BadContent("item"));
    }
}

#[test]
fn small_grants_are_small_frames() {
    let (mut link, stream) = serving();
    for _ in 0..limits::SMALL_FRAMES_BURST {
        link = link.peer_sends(credit(0, 1));
    }
    link.peer_sends(credit(0, u64::from(limits::STREAM_CREDIT_START) / 8))
        .peer_sends(credit(0, 1))
        .gets_over(stream)
        .link_ends_because_the_peer(PeerMisbehaved::TooManyResets);
}

/// The row of a million empty frames: what nobody takes costs no more memory than its window.
#[test]
fn empty_items_are_bounded_by_the_window() {
    let (mut link, stream) = serving();
    let mut sent = 0;
    let cost = cost(&Json::Null);
    while (sent + 1) * cost <= limits::STREAM_CREDIT_START as usize {
        link = link.peer_sends(item(0, Json::Null));
        sent += 1;
    }
    assert!(sent < 4_000, "{sent} items");
    link.gets_readable(stream)
        .peer_sends(item(0, Json::Null))
        .gets_over(stream)
        .link_ends_because_the_peer(PeerMisbehaved::OverCredit(0));
}

#[test]
#[cfg(feature = "planted-bugs")]
fn credit_that_is_returned_twice_is_seen() {
    planted::plant(Some(Bug::CreditReturnedTwice));
    let (mut link, stream) = serving();
    let quarter = text_of_window(4);
    for n in 1..=3_u64 {
        link = link.peer_sends(item(0, quarter.as_str())).gets_readable(stream).we_take(stream, quarter.as_str());
        link = link.we_send(credit(0, n * 16_384));
    }
    planted::plant(None);
}

impl Frame {
    fn with(self, content: Json) -> Frame {
        Frame { content, ..self }
    }
}
