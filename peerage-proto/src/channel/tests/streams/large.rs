//! Large items, which travel in parts, and items of links that change their encoding.

use super::*;

#[test]
fn parts_that_nobody_reads_are_thrown_away_with_their_end() {
    let (link, stream) = serving();
    link.feed(Input::Deafen(stream))
        .peer_sends_body(&[0x93, 36, 0, 0xc4, 2, 0xa4, b'o'])
        .peer_sends(item(0, Json::Null))
        .peer_sends(item(0, "and another"))
        .we_take_nothing(stream);
}

#[test]
fn large_items_travel_in_parts_and_arrive_whole() {
    let value = "v".repeat(200_000);
    let (link, stream) = opened();
    let frames = link.we_say(stream, value.as_str()).peer_sends(credit(0, 1 << 20)).parts_and_rest();
    let (rest, parts) = frames.split_last().expect("frames");
    assert_eq!(*rest, (33, 1));
    assert!(parts.iter().all(|(kind, len)| *kind == 36 && *len <= limits::SEGMENT_BYTES), "{parts:?}");
    assert!(parts.len() >= 200_000 / limits::SEGMENT_BYTES);
}

#[test]
fn the_reader_of_a_large_item_is_granted_its_parts_as_they_come() {
    let (mut link, stream) = serving();
    let value = Payload::encode(&"v".repeat(500_000), Encoding::MsgPack).expect("a text");
    for chunk in value.bytes().chunks(20_000) {
        let mut body = Vec::new();
        Encoding::MsgPack.put_head(36, 0, &mut body);
        body.extend_from_slice(&[0xc5]);
        body.extend_from_slice(&(chunk.len() as u16).to_be_bytes());
        body.extend_from_slice(chunk);
        link = link.peer_sends_body(&body).we_take_nothing(stream).forget_what_was_sent();
    }
    link.peer_sends(item(0, Json::Null))
        .gets_readable(stream)
        .we_take(stream, "v".repeat(500_000))
        .forget_what_was_sent();
}

#[test]
fn parts_in_json_are_hexadecimal_text() {
    let config = Config { encoding: Some(Encoding::Json), ..full(Side::Acceptor) };
    let link = transcript(config).peer_sends(open(0, "talk")).we_serve("talk");
    let stream = link.theirs(0);
    let half = |text: &str| frame(36, 0, text);
    // `"häh"`, cut inside a letter.
    link.peer_sends_all(&[half("2268c3"), half("a46822"), item(0, Json::Null)])
        .gets_readable(stream)
        .we_take(stream, "häh")
        .we_say(stream, "w".repeat(limits::SEGMENT_BYTES))
        .parts_and_rest()
        .iter()
        .for_each(|(_, len)| assert!(*len <= limits::SEGMENT_BYTES));
}

#[test]
fn a_value_that_is_too_large_is_refused_at_both_ends() {
    let (link, stream) = opened();
    assert_eq!(link.channel.item_room(stream, limits::VALUE_BYTES_MAX), ItemRoom::Yes);
    assert_eq!(link.channel.item_room(stream, limits::VALUE_BYTES_MAX + 1), ItemRoom::TooLarge);
    let (mut link, stream) = serving();
    let mut part = Vec::new();
    Encoding::MsgPack.put_head(36, 0, &mut part);
    part.extend_from_slice(&[0xc5, 0x7f, 0x00]);
    part.extend_from_slice(&[0; 0x7f00]);
    for _ in 0..limits::VALUE_BYTES_MAX / 0x7f00 {
        link = link.peer_sends_body(&part).forget_what_was_sent();
    }
    link.peer_sends_body(&part)
        .gets_over(stream)
        .link_ends_because_the_peer(PeerMisbehaved::ValueTooLarge { limit: limits::VALUE_BYTES_MAX })
        .everything_is_freed();
}

#[test]
fn beginnings_of_large_items_do_not_fill_the_memory() {
    let mut link = transcript(full(Side::Acceptor));
    let mut part = Vec::new();
    for n in 0..40_u64 {
        link = link.peer_sends(open(2 * n, "talk")).we_serve("talk");
    }
    let mut granted = [u64::from(limits::STREAM_CREDIT_START); 40];
    // Each sends as much of a large item as it may.
    for _ in 0..400 {
        for n in 0..40_u64 {
            if granted[n as usize] < 0x7f00 + 19 {
                continue;
            }
            part.clear();
            Encoding::MsgPack.put_head(36, 2 * n, &mut part);
            part.extend_from_slice(&[0xc5, 0x7f, 0x00]);
            part.extend_from_slice(&[0; 0x7f00]);
            granted[n as usize] -= 0x7f00 + 19;
            link = link.peer_sends_body(&part).we_write_all();
            let written = std::mem::take(&mut link.written);
            let mut rest = &written[..];
            while let Some(body) = link.wire.next(&mut rest).expect("frames") {
                let frame = Frame::of(body.bytes());
                granted[frame.id as usize / 2] += frame.content.as_u64().expect("credit");
            }
        }
    }
    let held: usize = link.channel.streams.held();
    assert!(held > limits::VALUE_BYTES_MAX, "they did try: {held}");
    assert!(held < 2 * limits::VALUE_BYTES_MAX + 40 * limits::STREAM_WINDOW_MAX / 4, "{held}");
}

#[test]
fn items_in_another_encoding_than_the_link_has_by_now_are_put_into_it() {
    let (link, stream) = opened();
    let link = link
        .peer_sends(frame(20, 1, json!([0, 0])))
        .we_send(frame(21, 1, json!([0, 0])))
        .we_say(stream, json!({"a": [1]}))
        .we_send(item(0, json!({"a": [1]})));
    let bytes = Payload::from_parts(Encoding::MsgPack, Bytes::from_static(&[0xc4, 1, 0xff]));
    let mut link = link.feed(Input::Item { stream, content: Content::Shared(&bytes) });
    link = link.gets_writable(stream).has_room(stream, ItemRoom::Over).we_write_all();
    let written = String::from_utf8_lossy(&link.written).into_owned();
    assert!(written.contains("an item cannot be sent"), "{written}");
    link.written.clear();
}

#[test]
fn items_that_wait_when_the_encoding_changes_are_put_into_the_new_one() {
    let (mut link, stream) = opened();
    let quarter = text_of_window(4);
    for _ in 0..4 {
        link = link.we_say(stream, quarter.as_str());
    }
    link = link.forget_what_was_sent().we_say(stream, "in the new one");
    let bytes = Payload::from_parts(Encoding::MsgPack, Bytes::from_static(&[0xc4, 1, 0xff]));
    link = link.peer_sends(frame(20, 1, json!([0, 0]))).we_send(frame(21, 1, json!([0, 0])));
    link = link.peer_sends(frame(35, 0, 100_000));
    link = link.we_send(item(0, "in the new one"));
    // And one that the new one cannot carry is a hole, and says so.
    let (other, stream) = opened();
    let mut other = other;
    for _ in 0..4 {
        other = other.we_say(stream, quarter.as_str());
    }
    other = other.forget_what_was_sent().feed(Input::Item { stream, content: Content::Shared(&bytes) });
    other = other.peer_sends(frame(20, 1, json!([0, 0]))).gets_writable(stream).we_write_all();
    let written = String::from_utf8_lossy(&other.written).into_owned();
    assert!(written.contains("an item cannot be sent"), "{written}");
    other.written.clear();
    drop((link.forget_orders(), other.forget_orders()));
}
