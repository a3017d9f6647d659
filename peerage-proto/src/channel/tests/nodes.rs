//! What nodes say to each other over a link, and how a link is put aside and brought to rest.

use super::*;

impl Transcript {
    fn calls_end(mut self, tokens: std::ops::Range<u32>) -> Self {
        for token in tokens {
            self = match token {
                2 => self.call_gives(token, cancelled(Stop::Unconfirmed)),
                _ => self.call_gives(token, lost(broken())),
            };
        }
        self
    }
}

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
    let why = "a word to the peer's node cannot be sent: 205 bytes do not fit into one frame of at most 100 bytes";
    transcript(config)
        .our_node_says(Kind::Introduction, too_long)
        .link_ends(LinkLost::Broken(why.into()))
        .everything_is_freed();
}

#[test]
fn what_closes_a_chapter_or_may_be_long_stays_behind_the_requests_before_it_and_the_rest_leaves_ahead() {
    for kind in Kind::ALL.into_iter().filter(|kind| kind.is_of_nodes()) {
        let word = frame(number(kind), 0, "word");
        let link = transcript(full_dialler()).we_call(0, "x").our_node_says(kind, "word").we_call(1, "y");
        let link = match kind {
            Kind::Superseded
            | Kind::SupersededOk
            | Kind::Disconnect
            | Kind::Disconnected
            | Kind::Discovered
            | Kind::Summary
            | Kind::Services => link.we_send(request(0, "x")).we_send(word).we_send(request(2, "y")),
            _ => link.we_send(word).we_send(request(0, "x")).we_send(request(2, "y")),
        };
        link.nothing_happens();
    }
}

#[test]
fn control_frames_leave_ahead_of_bulk() {
    let large = "x".repeat(600_000);
    transcript(Config { served_at_once: 2, ..full(Side::Acceptor) })
        .peer_sends_all(&[request(0, "a"), request(2, "b")])
        .we_serve("a")
        .we_serve("b")
        .we_call(0, "given up")
        .we_send(request(1, "given up"))
        .we_reply(0, large.as_str())
        .peer_sends_all(&[request(4, "c"), request(6, "d"), frame(12, 5, Json::Null), cancel(2)])
        .we_serve("c")
        .we_are_told_to_stop(1)
        .we_stopped(1, Stop::Stopped)
        .we_cancel(0)
        .we_send(busy(6, Busy::LimitReached, 50))
        .we_send(frame(13, 5, Json::Null))
        .we_send(stopped(2, Stop::Stopped))
        .we_send(cancel(1))
        .we_send(result(0, large.as_str()))
        .nothing_happens()
        .after(ms(1_000))
        .call_gives(0, cancelled(Stop::Unconfirmed));
}

#[test]
fn a_cancel_never_overtakes_its_request() {
    let large = "x".repeat(100_000);
    let mut link = transcript(full_dialler());
    for token in 0..8 {
        link = link.we_call(token, large.as_str());
    }
    // The driver has the first ones in its hands; nothing of them is written, yet they may be.
    link = link.driver_takes_what_waits().we_cancel(2).we_cancel(7).call_gives(7, not_sent(NotSent::Cancelled));
    link = link.driver_gives_back().peer_sends(frame(12, 1, Json::Null));
    for id in [0, 2, 4] {
        link = link.we_send(request(id, large.as_str()));
    }
    link = link.we_send(cancel(4)).we_send(frame(13, 1, Json::Null));
    for id in [6, 8, 10, 12] {
        link = link.we_send(request(id, large.as_str()));
    }
    link.we_send_nothing().link_breaks().calls_end(0..7).link_ends(broken());
}

#[test]
fn a_peer_that_reads_nothing_is_too_slow_in_the_end() {
    let mut link =
        transcript(Config { served_at_once: 1, ..full(Side::Acceptor) }).peer_sends(request(0, "x")).we_serve("x");
    for id in 1..120_000 {
        if link.channel.is_ended() {
            break;
        }
        link = link.peer_sends(request(2 * id, Json::Null));
    }
    link.link_ends(LinkLost::TooSlow).everything_is_freed();
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
        .nothing_happens()
        .we_send(result(3, "second"))
        .link_is_idle()
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
        .nothing_happens()
        .we_send(result(0, "done"))
        .link_is_idle()
        .peer_sends(request(4, "still too late"))
        .we_send(busy(4, Busy::Draining, 1_000))
        .link_is_idle()
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
