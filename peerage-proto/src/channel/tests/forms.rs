//! Changing the encoding and the compression of a link that is in use.

use super::*;
use crate::codec::{BadTriple, Form};

const JSON: Form = Form::plain(Encoding::Json);
const MSGPACK: Form = Form::plain(Encoding::MsgPack);

/// A dialler or acceptor that speaks MessagePack and may agree on compression.
fn open_minded(side: Side) -> Config {
    Config { compression: true, ..full(side) }
}

fn propose(id: u64, form: Form) -> Frame {
    frame(20, id, json!(form.numbers()))
}

fn agree(id: u64, form: Form) -> Frame {
    frame(21, id, json!(form.numbers()))
}

fn decline(id: u64) -> Frame {
    frame(22, id, Json::Null)
}

/// A text long enough to be compressed.
fn long_text() -> String {
    "what is said again and again ".repeat(100)
}

impl Transcript {
    fn we_propose(self, form: Form) -> Self {
        self.feed(Input::Propose(form))
    }

    fn form_is_agreed(mut self, form: Form) -> Self {
        match self.next_order() {
            Output::Agreed(agreed) => assert_eq!(agreed, form),
            other => panic!("{form} should be agreed on, but: {other:?}"),
        }
        assert_eq!((self.channel.form(), self.channel.reading), (Some(form), Some(form)));
        self
    }

    fn form_stays(mut self, form: Form) -> Self {
        match self.next_order() {
            Output::Declined(stays) => assert_eq!(stays, form),
            other => panic!("the form should stay {form}, but: {other:?}"),
        }
        assert_eq!((self.channel.form(), self.channel.reading), (Some(form), Some(form)));
        self
    }
}

/// A link on which both have agreed on compression.
fn compressed(side: Side) -> Transcript {
    let id = 0;
    match side {
        Side::Dialler => transcript(open_minded(side))
            .we_propose(Form::COMPRESSED)
            .we_send(propose(id, Form::COMPRESSED))
            .peer_sends(agree(id, Form::COMPRESSED))
            .form_is_agreed(Form::COMPRESSED)
            .we_send(agree(id, Form::COMPRESSED)),
        Side::Acceptor => transcript(open_minded(side))
            .peer_sends(propose(id, Form::COMPRESSED))
            .we_send(agree(id, Form::COMPRESSED))
            .peer_sends(agree(id, Form::COMPRESSED))
            .form_is_agreed(Form::COMPRESSED),
    }
}

#[test]
fn the_end_that_proposes_changes_behind_the_marks() {
    transcript(full_dialler())
        .we_propose(JSON)
        .we_send(propose(0, JSON))
        .we_call(0, "old")
        .peer_sends(request(1, "old"))
        .we_serve("old")
        .we_send(request(0, "old"))
        .peer_sends(agree(0, JSON))
        .form_is_agreed(JSON)
        .we_call(1, "new")
        .we_reply(0, "new")
        .we_write_all()
        .wrote_in(&[Encoding::MsgPack, Encoding::Json, Encoding::Json])
        .we_send(agree(0, JSON))
        .we_send(request(2, "new"))
        .we_send(result(1, "new"))
        .peer_sends(result(0, "answered"))
        .call_returns(0, "answered")
        .nothing_happens();
}

#[test]
fn the_end_that_agrees_writes_in_the_new_form_at_once_and_reads_the_old_one_up_to_the_mark() {
    transcript(full(Side::Acceptor))
        .peer_sends_all(&[propose(0, JSON), request(0, "still old")])
        .we_serve("still old")
        .we_reply(0, "new")
        .we_write_all()
        .wrote_in(&[Encoding::MsgPack, Encoding::Json])
        .we_send(agree(0, JSON))
        .we_send(result(0, "new"))
        .nothing_happens()
        .peer_sends(agree(0, JSON))
        .form_is_agreed(JSON)
        .peer_sends(request(2, "new"))
        .we_serve("new");
}

#[test]
fn calls_and_words_that_are_queued_leave_in_the_form_of_their_place() {
    transcript(full(Side::Acceptor))
        .we_call(0, "queued")
        .our_node_says(Kind::Draining, "queued")
        .peer_sends(propose(0, JSON))
        .we_call(1, "behind the mark")
        .our_node_says(Kind::Draining, "behind the mark")
        .we_write_all()
        .wrote_in(&[Encoding::MsgPack, Encoding::MsgPack, Encoding::MsgPack, Encoding::Json, Encoding::Json])
        .we_send(frame(19, 0, "queued"))
        .we_send(request(1, "queued"))
        .we_send(agree(0, JSON))
        .we_send(request(3, "behind the mark"))
        .we_send(frame(19, 0, "behind the mark"))
        .our_node_says(Kind::Draining, "later")
        .we_send(frame(19, 0, "later"));
}

#[test]
fn a_queued_call_before_the_mark_can_still_be_taken_back() {
    transcript(full(Side::Acceptor))
        .we_call(0, "queued")
        .we_call(1, "taken back")
        .peer_sends(propose(0, JSON))
        .we_call(2, "behind")
        .we_cancel(1)
        .call_gives(1, not_sent(NotSent::Cancelled))
        .peer_sends(frame(12, 1, Json::Null))
        .we_send(request(1, "queued"))
        .we_send(agree(0, JSON))
        .we_send(request(5, "behind"))
        .we_send(frame(13, 1, Json::Null));
}

#[test]
fn an_end_declines_compression_unless_it_was_allowed_and_a_form_it_does_not_know() {
    transcript(full(Side::Acceptor))
        .peer_sends(propose(0, Form::COMPRESSED))
        .we_send(decline(0))
        .peer_sends(frame(20, 2, json!([0, 1])))
        .we_send(decline(2))
        .peer_sends(frame(20, 4, json!([7, 0])))
        .we_send(decline(4))
        .nothing_happens();
    transcript(full(Side::Acceptor)).we_propose(Form::COMPRESSED).form_stays(MSGPACK).we_send_nothing();
}

#[test]
fn a_proposal_that_is_declined_changes_nothing() {
    transcript(open_minded(Side::Dialler))
        .we_propose(Form::COMPRESSED)
        .we_send(propose(0, Form::COMPRESSED))
        .peer_sends(decline(0))
        .form_stays(MSGPACK)
        .we_propose(JSON)
        .we_send(propose(2, JSON));
}

#[test]
fn the_present_form_is_agreed_on_without_a_word_and_a_plain_link_has_no_other() {
    transcript(full_dialler()).we_propose(MSGPACK).form_is_agreed(MSGPACK).we_send_nothing();
    transcript(plain_json()).we_propose(MSGPACK).form_stays(JSON).we_send_nothing();
}

#[test]
fn a_link_that_takes_no_words_any_more_stays_with_its_form_and_one_that_has_ended_says_nothing() {
    transcript(full(Side::Acceptor))
        .peer_sends(request(0, "x"))
        .we_serve("x")
        .feed(Input::PeerClosed)
        .we_propose(JSON)
        .form_stays(MSGPACK)
        .feed(Input::Broken("cut".into()))
        .link_ends(LinkLost::Broken("cut".into()))
        .we_propose(JSON)
        .nothing_happens();
}

#[test]
fn of_two_proposals_that_cross_the_diallers_stands() {
    transcript(open_minded(Side::Dialler))
        .we_propose(JSON)
        .we_send(propose(0, JSON))
        .peer_sends(propose(1, Form::COMPRESSED))
        .we_send_nothing()
        .peer_sends(agree(0, JSON))
        .form_is_agreed(JSON)
        .we_send(agree(0, JSON));
    transcript(open_minded(Side::Acceptor))
        .we_propose(Form::COMPRESSED)
        .we_send(propose(1, Form::COMPRESSED))
        .peer_sends(propose(0, JSON))
        .we_send(agree(0, JSON))
        .peer_sends(agree(0, JSON))
        .form_is_agreed(JSON)
        .nothing_happens();
}

#[test]
fn large_contents_of_calls_are_compressed_and_nothing_else_is() {
    let text = long_text();
    compressed(Side::Dialler)
        .we_call(0, text.as_str())
        .we_call(1, "short")
        .our_node_says(Kind::Draining, text.as_str())
        .peer_sends_all(&[frame(128, 1, text.as_str()), request(3, "short")])
        .we_serve(text.as_str())
        .we_serve("short")
        .we_reply(0, text.as_str())
        .we_fail(1, Code::INTERNAL, &text, None)
        .we_send(frame(19, 0, text.as_str()))
        .we_send(frame(128, 0, text.as_str()))
        .we_send(request(2, "short"))
        .we_send(frame(129, 1, text.as_str()))
        .we_send(frame(130, 3, json!(["internal", text, null])))
        .peer_sends(frame(129, 0, text.as_str()))
        .call_returns(0, text.as_str())
        .peer_sends(frame(130, 2, json!(["internal", text, null])))
        .call_gives(1, Err(CallError::Remote { code: Code::INTERNAL, message: text.clone(), data: None }))
        .nothing_happens();
}

#[test]
fn a_request_that_does_not_decompress_fails_alone_and_leads_to_no_compression() {
    let broken = b"\x93\xcc\x80\x00\xc4\x06\x10\0\0\0\xff\xff";
    compressed(Side::Acceptor)
        .peer_sends_body(broken)
        .we_send(rejected(0, 0, "the content does not decompress: the block is damaged"))
        .we_send(propose(1, MSGPACK))
        .nothing_happens()
        .peer_sends_all(&[frame(128, 2, long_text()), agree(1, MSGPACK)])
        .we_serve(long_text())
        .form_is_agreed(MSGPACK)
        .we_send(agree(1, MSGPACK))
        .peer_sends(propose(2, Form::COMPRESSED))
        .we_send(decline(2))
        .counters(|count| count.bad_blocks == 1 && count.requests == 2);
}

#[test]
fn a_request_that_does_not_decompress_is_rejected_in_the_smallest_frames_too() {
    let small = Config { frame_bytes: limits::FRAME_BYTES_MIN, ..open_minded(Side::Acceptor) };
    transcript(small)
        .peer_sends_all(&[propose(0, Form::COMPRESSED), agree(0, Form::COMPRESSED)])
        .form_is_agreed(Form::COMPRESSED)
        .we_send(agree(0, Form::COMPRESSED))
        .peer_sends_body(b"\x93\xcc\x80\xcf\xff\xff\xff\xff\xff\xff\xff\xf0\xc4\x06\x10\0\0\0\xff\xff")
        .we_send(rejected(u64::MAX - 15, 0, ""))
        .we_send(propose(1, MSGPACK))
        .nothing_happens();
}

#[test]
fn an_answer_that_does_not_decompress_fails_its_call_alone() {
    for (kind, id) in [(129, 0), (130, 2)] {
        let broken = [b"\x93\xcc", &[kind, id][..], b"\xa4text"].concat();
        let why = "the content does not decompress: compressed content is not bytes with a size and a block";
        compressed(Side::Dialler)
            .we_call(0, "x")
            .we_call(1, "y")
            .we_send(request(0, "x"))
            .we_send(request(2, "y"))
            .peer_sends_body(&broken)
            .call_gives(u32::from(id) / 2, Err(CallError::Protocol { why: why.into() }))
            .we_send(propose(2, MSGPACK))
            .peer_sends(result(2 - u64::from(id), "answered"))
            .call_returns(1 - u32::from(id) / 2, "answered")
            .peer_sends(agree(2, MSGPACK))
            .form_is_agreed(MSGPACK)
            .we_send(agree(2, MSGPACK))
            .nothing_happens();
    }
}

#[test]
fn many_blocks_that_do_not_decompress_are_each_answered_and_the_peer_is_asked_once() {
    let mut link = compressed(Side::Acceptor);
    for n in 0..2_000_u16 {
        let [a, b] = (2 * n).to_be_bytes();
        let body = [b"\x93\xcc\x80\xcd", &[a, b][..], b"\xc0"].concat();
        link = link.peer_sends_body(&body);
    }
    link = link.counters(|count| count.bad_blocks == 2_000).nothing_happens().we_write_all();
    assert!(!link.channel.is_ended());
    link = link.forget_what_was_sent().peer_sends(decline(1)).form_stays(Form::COMPRESSED);
    link.peer_sends_body(b"\x93\xcc\x80\xcd\xff\xf0\xc0").forget_what_was_sent().nothing_happens();
}

#[test]
fn content_in_the_encoding_of_before_is_put_into_that_of_now() {
    let old = Payload::encode(&json!({"a": [1, 2]}), Encoding::MsgPack).expect("plain data");
    let bytes = Payload::from_parts(Encoding::MsgPack, Bytes::from_static(b"\xc4\x01\xff"));
    transcript(full(Side::Acceptor))
        .peer_sends_all(&[request(0, "x"), request(2, "y"), propose(0, JSON), agree(0, JSON)])
        .we_serve("x")
        .we_serve("y")
        .form_is_agreed(JSON)
        .feed(Input::Call { token: Token(0), content: Content::Shared(&old), deadline: None })
        .feed(Input::Call { token: Token(1), content: Content::Shared(&bytes), deadline: None })
        .call_gives(
            1,
            Err(CallError::Refused { why: Refused::BadRequest("JSON cannot carry bytes at $; use msgpack".into()) }),
        )
        .answers_with(0, Content::Copied(Encoding::MsgPack, old.bytes()))
        .answers_with(1, Content::Shared(&bytes))
        .we_send(agree(0, JSON))
        .we_send(request(1, json!({"a": [1, 2]})))
        .we_send(result(0, json!({"a": [1, 2]})))
        .we_send(exception(2, json!(["internal", "the answer: JSON cannot carry bytes at $; use msgpack", null])));
}

#[test]
fn what_is_still_in_the_old_form_behind_the_mark_is_a_bad_frame() {
    transcript(full(Side::Acceptor))
        .peer_sends_all(&[propose(0, JSON), agree(0, JSON), request(0, "old")])
        .form_is_agreed(JSON)
        .link_ends_because_the_peer(PeerMisbehaved::BadFrame(BadTriple::OtherCodec {
            expected: Encoding::Json,
            found: Encoding::MsgPack,
        }))
        .forget_what_was_sent();
}

impl Transcript {
    /// The encodings of the frames written since frames were looked at last.
    fn wrote_in(self, expected: &[Encoding]) -> Self {
        let mut found = Vec::new();
        let mut rest = &self.written[..];
        while let Some((length, behind)) = rest.split_first_chunk::<4>() {
            let (body, behind) = behind.split_at(u32::from_be_bytes(*length) as usize);
            found.push(Encoding::recognise(body[0]).expect("a codec"));
            rest = behind;
        }
        assert_eq!(found, expected);
        self
    }

    fn answers_with(self, nth: usize, content: Content<'_>) -> Self {
        let request = self.served[nth];
        self.feed(Input::Reply { request, content })
    }
}
