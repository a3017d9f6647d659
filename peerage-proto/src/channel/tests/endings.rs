//! How a link ends, and what becomes of what was under way.

use super::*;

#[test]
fn a_call_of_which_no_byte_was_written_did_not_run() {
    for config in [plain_json(), full_dialler()] {
        transcript(config)
            .we_call(0, "x")
            .link_breaks()
            .call_gives(0, not_sent(NotSent::NoRoute))
            .link_ends(broken())
            .everything_is_freed();
    }
}

#[test]
fn a_call_of_which_one_byte_was_written_may_have_run() {
    for config in [plain_json(), full_dialler()] {
        transcript(config)
            .we_call(0, "x")
            .we_call(1, "y")
            .we_write(1)
            .link_breaks()
            .call_gives(0, lost(broken()))
            .call_gives(1, not_sent(NotSent::NoRoute))
            .link_ends(broken())
            .everything_is_freed();
    }
}

#[test]
fn the_border_between_sent_and_not_sent_lies_at_the_first_byte_of_the_frame() {
    let first = request(0, "x").bytes(Encoding::Json).len();
    for (written, second_left) in [(first - 1, false), (first, false), (first + 1, true), (2 * first, true)] {
        let second = if second_left { lost(broken()) } else { not_sent(NotSent::NoRoute) };
        transcript(plain_json())
            .we_call(0, "x")
            .we_call(1, "y")
            .we_write(written)
            .link_breaks()
            .call_gives(0, lost(broken()))
            .call_gives(1, second)
            .link_ends(broken());
    }
}

#[test]
fn a_call_in_the_hands_of_the_driver_may_have_run() {
    transcript(plain_json())
        .we_call(0, "handed out")
        .driver_takes_what_waits()
        .we_call(1, "behind it")
        .we_cancel(0)
        .call_gives(0, cancelled(Stop::Unconfirmed))
        .link_breaks()
        .call_gives(1, not_sent(NotSent::NoRoute))
        .link_ends(broken())
        .driver_gives_back()
        .everything_is_freed();
    transcript(plain_json())
        .we_call(0, "handed out")
        .driver_takes_what_waits()
        .link_breaks()
        .call_gives(0, lost(broken()))
        .link_ends(broken())
        .driver_writes(3)
        .driver_gives_back()
        .everything_is_freed();
}

#[test]
fn a_call_that_came_back_unwritten_from_the_driver_did_not_run_after_all() {
    transcript(plain_json())
        .we_call(0, "x")
        .driver_takes_what_waits()
        .driver_gives_back()
        .link_breaks()
        .call_gives(0, not_sent(NotSent::NoRoute))
        .link_ends(broken());
}

#[test]
fn every_waiting_call_learns_what_became_of_it_when_the_link_breaks() {
    transcript(full_dialler())
        .we_call_within(0, "its deadline passes", ms(10))
        .we_call_within(1, "cancelled", ms(5_000))
        .we_call(2, "answered? nobody knows")
        .we_write_all()
        .written_frames(3)
        .we_cancel(1)
        .after(ms(10))
        .we_call(3, "unsent")
        .link_breaks()
        .call_gives(0, deadline(Stop::Unconfirmed))
        .call_gives(1, cancelled(Stop::Unconfirmed))
        .call_gives(2, lost(broken()))
        .call_gives(3, not_sent(NotSent::NoRoute))
        .link_ends(broken())
        .link_breaks()
        .nothing_happens();
}

#[test]
fn when_the_peer_closes_calls_end_at_once_and_begun_requests_are_still_answered() {
    transcript(plain_json())
        .we_call(0, "x")
        .we_send(request(0, "x"))
        .we_call(1, "unsent")
        .peer_sends_all(&[request(0, "a"), request(1, "b")])
        .peer_closes()
        .we_serve("a")
        .we_serve("b")
        .call_gives(0, lost(LinkLost::PeerClosed))
        .call_gives(1, not_sent(NotSent::NoRoute))
        .nothing_happens()
        .holds(|channel| !channel.wants_bytes() && channel.room() == Room::Never)
        .we_call(2, "no more")
        .call_gives(2, not_sent(NotSent::NoRoute))
        .we_reply(0, "A")
        .we_send(result(0, "A"))
        .nothing_happens()
        .we_fail(1, Code::PLAIN, "B", None)
        .driver_takes_what_waits()
        .nothing_happens()
        .driver_writes(exception(1, "B").bytes(Encoding::Json).len())
        .driver_gives_back()
        .link_ends(LinkLost::PeerClosed)
        .written_frames(1)
        .everything_is_freed();
}

#[test]
fn a_peer_that_asked_nothing_and_closes_ends_the_link_at_once() {
    transcript(plain_json()).peer_closes().link_ends(LinkLost::PeerClosed).everything_is_freed();
}

#[test]
fn a_peer_that_closes_in_the_middle_of_a_frame_broke_off() {
    let why = LinkLost::Broken("closed in the middle of a frame".into());
    transcript(plain_json())
        .we_call(0, "x")
        .we_send(request(0, "x"))
        .peer_sends(request(0, "a"))
        .we_serve("a")
        .peer_sends_bytes(b"\0")
        .peer_closes()
        .call_gives(0, lost(why.clone()))
        .link_ends(why)
        .everything_is_freed();
}

#[test]
fn closing_ends_calls_at_once_and_still_writes_the_answers_already_given() {
    transcript(plain_json())
        .we_call(0, "x")
        .we_send(request(0, "x"))
        .peer_sends_all(&[request(0, "a"), request(1, "b")])
        .we_serve("a")
        .we_serve("b")
        .we_reply(0, "A")
        .we_call(1, "unsent")
        .we_close()
        .call_gives(0, lost(LinkLost::ClosedHere))
        .call_gives(1, not_sent(NotSent::ShuttingDown))
        .nothing_happens()
        .holds(|channel| channel.is_closing() && !channel.is_ended() && !channel.wants_bytes())
        .we_reply(1, "too late")
        .we_call(2, "no more")
        .call_gives(2, not_sent(NotSent::ShuttingDown))
        .feed(Input::Received(&request(2, "nor this").bytes(Encoding::Json)))
        .we_close()
        .nothing_happens()
        .we_send(result(0, "A"))
        .link_ends(LinkLost::ClosedHere)
        .we_send_nothing()
        .everything_is_freed()
        .we_call(0, "after the end")
        .call_gives(0, not_sent(NotSent::ShuttingDown));
}

#[test]
fn closing_a_quiet_link_ends_it_at_once() {
    transcript(full_dialler()).we_close().link_ends(LinkLost::ClosedHere).everything_is_freed();
}

#[test]
fn closing_frees_requests_that_still_waited() {
    transcript(Config { served_at_once: 1, ..plain_json() })
        .peer_sends_all(&[request(0, "a"), request(1, "b")])
        .we_serve("a")
        .we_close()
        .link_ends(LinkLost::ClosedHere)
        .everything_is_freed();
}

#[test]
fn a_frame_begun_before_closing_is_finished() {
    transcript(plain_json())
        .we_call(0, "begun")
        .we_write(6)
        .we_call(1, "unsent")
        .we_close()
        .call_gives(0, lost(LinkLost::ClosedHere))
        .call_gives(1, not_sent(NotSent::ShuttingDown))
        .we_send(request(0, "begun"))
        .link_ends(LinkLost::ClosedHere)
        .we_send_nothing();
}

#[test]
fn a_link_that_breaks_while_it_closes_is_broken() {
    transcript(plain_json())
        .peer_sends(request(0, "a"))
        .we_serve("a")
        .we_reply(0, "A")
        .we_close()
        .link_breaks()
        .link_ends(broken())
        .everything_is_freed();
}

#[test]
fn after_the_end_nothing_is_written_and_nothing_happens() {
    transcript(full(Side::Acceptor))
        .peer_sends_all(&[request(0, "a"), request(2, "b")])
        .we_serve("a")
        .we_serve("b")
        .we_reply(0, "A")
        .link_breaks()
        .link_ends(broken())
        .we_reply(1, "B")
        .we_fail(1, Code::INTERNAL, "B", None)
        .we_stopped(1, Stop::Stopped)
        .we_fetch(1)
        .feed(Input::Received(&request(4, "c").bytes(Encoding::MsgPack)))
        .feed(Input::Timeout)
        .we_cancel(0)
        .peer_closes()
        .we_close()
        .link_breaks()
        .nothing_happens()
        .we_send_nothing()
        .everything_is_freed();
}

#[test]
fn a_lent_frame_that_comes_back_after_the_end_is_freed() {
    let bytes = request(0, "x".repeat(200_000)).bytes(Encoding::Json);
    let mut link = transcript(plain_json()).peer_sends_bytes(&bytes[..100]);
    let lent = link.channel.lend().expect("a large frame is arriving");
    link = link.link_breaks().link_ends(broken());
    link.channel.take_back(lent);
    link.everything_is_freed();
}
