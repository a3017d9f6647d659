//! What the protocol does not allow ends the link, with its name, and every caller is told.

use super::*;
use crate::codec::BadTriple;

/// One call is written, one request is served; then the peer sends this.
fn ends_with(config: Config, bytes: &[u8], why: PeerMisbehaved) {
    let id = u64::from(config.dialect == Dialect::Full && config.side == Side::Dialler);
    transcript(config)
        .we_call(0, "x")
        .we_call(1, "y")
        .we_cancel(1)
        .call_gives(1, not_sent(NotSent::Cancelled))
        .we_write_all()
        .written_frames(1)
        .peer_sends(request(id, "z"))
        .we_serve("z")
        .we_call(1, "unsent")
        .peer_sends_bytes(bytes)
        .calls_end_with_protocol_and_no_route(&why)
        .link_ends_because_the_peer(why)
        .everything_is_freed()
        .we_reply(0, "nobody hears it")
        .feed(Input::Received(b"nor this"))
        .peer_closes()
        .we_send_nothing()
        .nothing_happens();
}

impl Transcript {
    fn calls_end_with_protocol_and_no_route(self, why: &PeerMisbehaved) -> Self {
        self.call_gives(0, Err(CallError::Protocol { why: why.to_string() })).call_gives(1, not_sent(NotSent::NoRoute))
    }
}

#[test]
fn frame_too_large() {
    let config = Config { frame_bytes: 1000, ..plain_json() };
    let why = |size| PeerMisbehaved::FrameTooLarge { size, limit: 1000 };
    ends_with(config.clone(), &1001_u32.to_be_bytes(), why(1001));
    ends_with(config, &[0xff; 4], why(u32::MAX));
}

#[test]
fn bad_frame() {
    let bad = PeerMisbehaved::BadFrame;
    ends_with(plain_json(), &framed(b""), bad(BadTriple::Empty));
    ends_with(plain_json(), &framed(b"[0, 1]"), bad(BadTriple::NotATriple));
    ends_with(plain_json(), &framed(b"[false, 1, \"x\"]"), bad(BadTriple::BadKind));
    ends_with(plain_json(), &framed(b"[0, -1, \"x\"]"), bad(BadTriple::BadId));
    ends_with(full_dialler(), &framed(b"\x93\x00"), bad(BadTriple::Truncated { at: 2 }));
    let other = BadTriple::OtherCodec { expected: Encoding::Json, found: Encoding::MsgPack };
    ends_with(plain_json(), &framed(b"\x93\0\0\xc0"), bad(other));
}

#[test]
fn unknown_codec() {
    for first in [b'{', 0, 0x92, 0xef] {
        transcript(Config { encoding: None, ..Config::default() })
            .peer_sends_body(&[first, b'x'])
            .link_ends_because_the_peer(PeerMisbehaved::UnknownCodec(first))
            .everything_is_freed();
    }
    transcript(Config { encoding: None, ..Config::default() })
        .peer_sends_body(b"")
        .link_ends_because_the_peer(PeerMisbehaved::BadFrame(BadTriple::Empty));
}

#[test]
fn unknown_kind() {
    for kind in [3, 4, 5, 6, 7, 31, 32, 64, 255] {
        ends_with(plain_json(), &frame(kind, 0, "?").bytes(Encoding::Json), PeerMisbehaved::UnknownKind(kind));
    }
    for kind in [8, 11, 44, 63] {
        ends_with(full_dialler(), &frame(kind, 0, "?").bytes(Encoding::MsgPack), PeerMisbehaved::UnknownKind(kind));
    }
}

#[test]
fn a_request_id_of_the_wrong_parity() {
    let sends = |id| request(id, "x").bytes(Encoding::MsgPack);
    ends_with(full(Side::Dialler), &sends(4), PeerMisbehaved::BadRequestId(4));
    ends_with(full(Side::Acceptor), &sends(3), PeerMisbehaved::BadRequestId(3));
}

#[test]
fn a_request_id_that_is_reused() {
    ends_with(full(Side::Dialler), &request(1, "x").bytes(Encoding::MsgPack), PeerMisbehaved::BadRequestId(1));
    ends_with(full(Side::Acceptor), &request(0, "x").bytes(Encoding::MsgPack), PeerMisbehaved::BadRequestId(0));
}

#[test]
fn a_request_id_that_falls() {
    transcript(full(Side::Acceptor))
        .peer_sends(request(u64::MAX - 1, "the last of all"))
        .we_serve("the last of all")
        .peer_sends(request(10, "x"))
        .link_ends_because_the_peer(PeerMisbehaved::BadRequestId(10));
}

#[test]
fn a_stopped_frame_whose_content_does_not_decode() {
    for content in [json!("stopped"), json!([1]), json!(-1), json!(null)] {
        let bytes = frame(4, 0, content).bytes(Encoding::MsgPack);
        ends_with(full_dialler(), &bytes, PeerMisbehaved::BadContent("stopped"));
    }
}

#[test]
fn a_busy_frame_whose_content_does_not_decode() {
    for content in [json!("busy"), json!([1]), json!([1, 2, 3]), json!([-1, 0]), json!(null)] {
        let bytes = frame(5, 0, content).bytes(Encoding::MsgPack);
        ends_with(full_dialler(), &bytes, PeerMisbehaved::BadContent("busy"));
    }
}

#[test]
fn a_rejected_frame_whose_content_does_not_decode() {
    for content in [json!("no"), json!([1]), json!([1, 2]), json!(["x", "x"]), json!(null)] {
        let bytes = frame(7, 0, content).bytes(Encoding::MsgPack);
        ends_with(full_dialler(), &bytes, PeerMisbehaved::BadContent("rejected"));
    }
}

#[test]
fn an_answer_to_what_was_never_asked() {
    for (kind, content) in [(13, Json::Null), (21, json!([0, 0])), (22, Json::Null)] {
        ends_with(full_dialler(), &frame(kind, 0, content).bytes(Encoding::MsgPack), PeerMisbehaved::Unasked(kind));
    }
}

#[test]
fn a_proposal_before_the_last_one_is_settled() {
    let twice = [frame(20, 1, json!([0, 0])), frame(20, 3, json!([1, 0]))].map(|frame| frame.bytes(Encoding::MsgPack));
    ends_with(full_dialler(), &twice.concat(), PeerMisbehaved::Unasked(20));
}

#[test]
fn a_word_on_forms_whose_content_does_not_decode() {
    for content in [json!("json"), json!([1]), json!([1, 2, 3]), json!([-1, 0]), json!(null)] {
        let bytes = frame(20, 1, content.clone()).bytes(Encoding::MsgPack);
        ends_with(full_dialler(), &bytes, PeerMisbehaved::BadContent("propose"));
        let bytes = frame(21, 1, content).bytes(Encoding::MsgPack);
        ends_with(full_dialler(), &bytes, PeerMisbehaved::BadContent("agree"));
    }
    let unknown = frame(21, 1, json!([0, 1])).bytes(Encoding::MsgPack);
    ends_with(full_dialler(), &unknown, PeerMisbehaved::BadContent("agree"));
}

#[test]
fn a_word_between_nodes_that_is_too_long() {
    for kind in Kind::ALL.into_iter().filter(|kind| kind.is_of_nodes()) {
        let limit = match kind {
            Kind::Introduction => limits::INTRODUCTION_BYTES_MAX,
            Kind::Discovered => limits::DISCOVERED_FRAME_BYTES_MAX,
            Kind::Summary => limits::SUMMARY_FRAME_BYTES_MAX,
            Kind::Services => limits::SERVICES_FRAME_BYTES_MAX,
            _ => limits::WORD_BYTES_MAX,
        };
        let head = Payload::encode(&"x".repeat(limit), Encoding::MsgPack).expect("a text").len() - limit;
        let number = kind.number();
        let longest = frame(number.into(), 0, "x".repeat(limit - head));
        transcript(full_dialler()).peer_sends(longest.clone()).our_node_is_told(kind, "x".repeat(limit - head));
        let longer = frame(number.into(), 0, "x".repeat(limit - head + 1));
        let misbehaved = PeerMisbehaved::WordTooLarge { kind: number, size: limit + 1, limit };
        ends_with(full_dialler(), &longer.bytes(Encoding::MsgPack), misbehaved);
    }
}

#[test]
fn an_introduction_that_comes_twice() {
    let introduction = frame(14, 0, "ada");
    transcript(full_dialler())
        .peer_sends(introduction.clone())
        .our_node_is_told(Kind::Introduction, "ada")
        .peer_sends(introduction)
        .link_ends_because_the_peer(PeerMisbehaved::Unasked(14))
        .everything_is_freed();
}

#[test]
fn a_compressed_frame_without_an_agreement() {
    for kind in [128, 129, 130] {
        let bytes = frame(kind, 3, "x".repeat(400)).bytes(Encoding::MsgPack);
        ends_with(full_dialler(), &bytes, PeerMisbehaved::NotAgreed(kind));
        let allowed = Config { compression: true, ..full_dialler() };
        ends_with(allowed, &bytes, PeerMisbehaved::NotAgreed(kind));
    }
}

#[test]
fn what_came_before_the_bad_frame_counts() {
    let good = [request(0, "served"), result(0, "answered")];
    let mut bytes: Vec<u8> = good.iter().flat_map(|frame| frame.bytes(Encoding::Json)).collect();
    bytes.extend_from_slice(&framed(b"garbage"));
    bytes.extend_from_slice(&request(1, "behind it").bytes(Encoding::Json));
    transcript(plain_json())
        .we_call(0, "x")
        .we_send(request(0, "x"))
        .peer_sends_bytes(&bytes)
        .we_serve("served")
        .call_returns(0, "answered")
        .link_ends_because_the_peer(PeerMisbehaved::BadFrame(BadTriple::NotATriple))
        .everything_is_freed();
}
