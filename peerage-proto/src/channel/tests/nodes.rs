//! What nodes say to each other over a link, and how a link is put aside and brought to rest.

use super::*;

fn number(kind: Kind) -> u64 {
    kind.number().into()
}

#[test]
fn a_link_of_nodes_speaks_the_full_dialect_in_messagepack_and_asks_after_a_silent_peer() {
    let config = Config::for_node(Side::Acceptor);
    assert_eq!((config.encoding, config.dialect), (Some(Encoding::MsgPack), Dialect::Full));
    assert_eq!((config.side, config.frame_bytes), (Side::Acceptor, 1 << 20));
    assert!(config.liveness.is_some());
}

#[test]
fn what_a_node_says_reaches_the_other_node_unopened() {
    for kind in Kind::ALL.into_iter().filter(|kind| kind.is_of_nodes()) {
        transcript(full_dialler())
            .our_node_says(kind, json!({"name": "ada"}))
            .we_send(frame(number(kind), 0, json!({"name": "ada"})))
            .peer_sends(frame(number(kind), 7, json!([1, {"later": true}])))
            .our_node_is_told(kind, json!([1, {"later": true}]))
            .nothing_happens();
    }
}

#[test]
fn what_a_node_says_is_put_into_the_encoding_of_the_link() {
    let json = Config { encoding: Some(Encoding::Json), ..full_dialler() };
    transcript(json).our_node_says(Kind::Draining, "bye").we_send(frame(19, 0, "bye"));
}

#[test]
fn only_kinds_of_nodes_and_only_in_the_full_dialect_are_said() {
    transcript(full_dialler()).our_node_says(Kind::Busy, json!([0, 0])).we_send_nothing();
    transcript(plain_json()).our_node_says(Kind::Draining, Json::Null).we_send_nothing();
}

#[test]
fn a_word_that_fits_into_no_frame_ends_the_link_instead_of_going_unsaid() {
    let config = Config { frame_bytes: 100, ..full_dialler() };
    let too_long = "x".repeat(200);
    let why = "a word to the peer's node cannot be sent: 203 bytes do not fit into one frame of at most 100 bytes";
    let why = why.replace("203", &Payload::encode(&too_long, Encoding::MsgPack).expect("a text").len().to_string());
    transcript(config)
        .our_node_says(Kind::Introduction, too_long)
        .link_ends(LinkLost::Broken(why))
        .everything_is_freed();
}

#[test]
fn a_ping_is_answered_by_a_pong_with_its_number() {
    transcript(full_dialler())
        .peer_sends(frame(12, 0, Json::Null))
        .we_send(frame(13, 0, Json::Null))
        .peer_sends(frame(12, u64::MAX, json!({"of": "a newer version"})))
        .we_send(frame(13, u64::MAX, Json::Null))
        .nothing_happens();
}

#[test]
fn a_retired_link_opens_nothing_more_and_finishes_what_was_begun() {
    transcript(full_dialler())
        .we_call(0, "before")
        .peer_sends(request(1, "before"))
        .we_serve("before")
        .feed(Input::Retire)
        .holds(|channel| channel.room() == Room::Retired && channel.wants_bytes())
        .we_call(1, "after")
        .call_gives(1, not_sent(NotSent::NoRoute))
        .we_send(request(0, "before"))
        .peer_sends(request(3, "the peer did not know yet"))
        .we_serve("the peer did not know yet")
        .peer_sends(result(0, "answered"))
        .call_returns(0, "answered")
        .we_reply(0, "first")
        .we_send(result(1, "first"))
        .nothing_happens()
        .we_reply(1, "second")
        .link_is_idle()
        .we_send(result(3, "second"))
        .nothing_happens();
}

#[test]
fn a_restored_link_carries_new_calls_again() {
    transcript(full_dialler())
        .feed(Input::Retire)
        .link_is_idle()
        .feed(Input::Restore)
        .holds(|channel| channel.room() == Room::Yes)
        .we_call(0, "again")
        .we_send(request(0, "again"))
        .peer_sends(result(0, "answered"))
        .call_returns(0, "answered")
        .nothing_happens()
        .feed(Input::Retire)
        .link_is_idle();
}

#[test]
fn a_draining_end_refuses_new_requests_and_finishes_those_it_accepted() {
    transcript(full(Side::Acceptor))
        .peer_sends(request(0, "accepted"))
        .we_serve("accepted")
        .feed(Input::Drain)
        .peer_sends(request(2, "too late"))
        .we_send(busy(2, Busy::Draining, 1_000))
        .holds(|channel| channel.room() == Room::Yes)
        .nothing_happens()
        .we_reply(0, "done")
        .link_is_idle()
        .we_send(result(0, "done"))
        .peer_sends(request(4, "still too late"))
        .we_send(busy(4, Busy::Draining, 1_000))
        .counters(|count| count.refused_busy == 2)
        .nothing_happens();
}

#[test]
fn rest_is_told_again_when_a_call_came_in_between() {
    transcript(full_dialler())
        .feed(Input::Drain)
        .link_is_idle()
        .feed(Input::Timeout)
        .nothing_happens()
        .we_call(0, "the last word of a handler")
        .we_send(request(0, "the last word of a handler"))
        .peer_sends(result(0, Json::Null))
        .call_returns(0, Json::Null)
        .link_is_idle();
}
