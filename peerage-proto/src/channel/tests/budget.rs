//! Cancels, pings and other small frames: who sends too many of them is cut, and we never do.

use super::*;

fn ping(number: u64) -> Frame {
    frame(12, number, Json::Null)
}

#[test]
fn a_flood_of_calls_that_are_cancelled_at_once_is_cut() {
    let mut link = transcript(full(Side::Acceptor));
    let mut begun = 0;
    for n in 0..100_000 {
        link = link.peer_sends_all(&[request(2 * n, "x"), cancel(2 * n)]);
        if link.channel.is_ended() {
            break;
        }
        link = link.we_serve("x").we_are_told_to_stop(begun).we_stopped(begun, Stop::Stopped);
        begun += 1;
    }
    assert_eq!(begun, 200, "the burst");
    link.we_serve("x")
        .link_ends_because_the_peer(PeerMisbehaved::TooManyResets)
        .forget_what_was_sent()
        .everything_is_freed();
}

#[test]
fn a_caller_that_lets_most_calls_run_to_their_end_may_cancel_the_others() {
    let mut link = transcript(full(Side::Acceptor));
    for n in 0..2_000 {
        let id = 6 * n;
        let first = 3 * n as usize;
        link = link
            .peer_sends_all(&[request(id, "x"), request(id + 2, "x"), request(id + 4, "x"), cancel(id + 4)])
            .we_serve("x")
            .we_serve("x")
            .we_serve("x")
            .we_are_told_to_stop(first + 2)
            .we_stopped(first + 2, Stop::Stopped)
            .we_reply(first, "y")
            .we_fail(first + 1, Code::INTERNAL, "no", None);
    }
    link.nothing_happens();
}

#[test]
fn work_that_was_to_be_stopped_earns_nothing_even_if_it_is_answered() {
    let mut link = transcript(full(Side::Acceptor));
    let mut begun = 0;
    for n in 0..1_000 {
        link = link.peer_sends_all(&[request(2 * n, "x"), cancel(2 * n)]);
        if link.channel.is_ended() {
            break;
        }
        link = link.we_serve("x").we_are_told_to_stop(begun).we_reply(begun, "y");
        begun += 1;
    }
    link.we_serve("x").link_ends_because_the_peer(PeerMisbehaved::TooManyResets).forget_what_was_sent();
    assert_eq!(begun, 200);
}

#[test]
fn a_flood_of_any_other_small_frame_is_cut() {
    for small in [ping(1), frame(19, 0, Json::Null), frame(20, 0, json!([0, 1]))] {
        let mut link = transcript(full(Side::Acceptor));
        for n in 0..200 {
            link = link.peer_sends(small.clone());
            assert!(!link.channel.is_ended(), "{n}");
            link.orders.clear();
        }
        link.peer_sends(small).link_ends_because_the_peer(PeerMisbehaved::TooManyResets).forget_what_was_sent();
    }
}

#[test]
fn a_hundred_pings_a_second_are_answered_for_ever() {
    let mut link = transcript(full(Side::Acceptor));
    for n in 0..3_000 {
        link = link.peer_sends(ping(n)).we_send(frame(13, n, Json::Null)).after(ms(10));
    }
    link.nothing_happens();
}

/// Fifty calls that are written, and of which forty are given up: thirty cancels leave, ten wait.
fn with_cancels_withheld() -> Transcript {
    let mut link = transcript(full_dialler());
    for token in 0..50 {
        link = link.we_call(token, "x");
    }
    link = link.we_write_all();
    for token in 0..40 {
        link = link.we_cancel(token);
    }
    link = link.we_write_all().counters(|count| count.cancels_withheld == 10);
    for token in 0..50 {
        link = link.we_send(request(2 * token, "x"));
    }
    for token in 0..30 {
        link = link.we_send(cancel(2 * token));
    }
    link.we_send_nothing()
}

#[test]
fn records_and_summaries_beyond_the_budget_of_bytes_are_dropped_and_counted_and_the_link_stays() {
    let summary = frame(25, 0, "0".repeat(500 << 10));
    let mut link = transcript(full_dialler());
    for _ in 0..4 {
        link = link.peer_sends(summary.clone()).our_node_is_told(Kind::Summary, "0".repeat(500 << 10));
    }
    link.peer_sends(summary.clone())
        .nothing_happens()
        .counters(|count| count.gossip_dropped == 1)
        .after(Duration::from_secs(2))
        .peer_sends(summary)
        .our_node_is_told(Kind::Summary, "0".repeat(500 << 10))
        .counters(|count| count.gossip_dropped == 1);
}

#[test]
fn cancels_that_the_peer_would_take_amiss_are_kept_back_and_leave_later() {
    let mut link = with_cancels_withheld().after(ms(1_000));
    for token in 0..40 {
        link = link.call_gives(token, cancelled(Stop::Unconfirmed));
    }
    // Ten answers allow more cancels, and earn them.
    for token in 40..50 {
        link = link.peer_sends(result(2 * u64::from(token), "y")).call_returns(token, "y");
    }
    for token in 30..40 {
        link = link.we_send(cancel(2 * token));
    }
    link.we_send_nothing().nothing_happens();
}

#[test]
fn cancels_that_are_kept_back_leave_by_themselves_when_their_time_has_come() {
    let mut link = with_cancels_withheld().after(ms(11_000));
    for token in 0..40 {
        link = link.call_gives(token, cancelled(Stop::Unconfirmed));
    }
    link = link.we_send_nothing().after(ms(2_000));
    for token in 30..40 {
        link = link.we_send(cancel(2 * token));
    }
    link.we_send_nothing().holds(|channel| channel.next_timeout().is_none()).nothing_happens();
}

#[test]
fn a_cancel_that_is_kept_back_is_not_sent_once_its_call_is_answered() {
    let mut link = with_cancels_withheld();
    for token in 30..39 {
        link = link.peer_sends(result(2 * u64::from(token), "y")).call_gives(token, cancelled(Stop::Completed));
    }
    link = link.after(ms(13_000));
    for token in (0..30).chain(39..40) {
        link = link.call_gives(token, cancelled(Stop::Unconfirmed));
    }
    link.we_send(cancel(78)).we_send_nothing().counters(|count| count.late_replies == 9);
}

#[test]
fn cancels_that_are_kept_back_are_forgotten_with_the_link() {
    let mut link = with_cancels_withheld().link_breaks();
    for token in 0..40 {
        link = link.call_gives(token, cancelled(Stop::Unconfirmed));
    }
    for token in 40..50 {
        link = link.call_gives(token, lost(broken()));
    }
    link.link_ends(broken()).everything_is_freed();
}

#[test]
fn each_cancel_gets_its_word_even_when_the_work_is_answered_all_the_same() {
    transcript(full(Side::Acceptor))
        .peer_sends_all(&[request(0, "x"), request(2, "x"), request(4, "x")])
        .we_serve("x")
        .we_serve("x")
        .we_serve("x")
        .peer_sends_all(&[cancel(0), cancel(2), cancel(4)])
        .we_are_told_to_stop(0)
        .we_are_told_to_stop(1)
        .we_are_told_to_stop(2)
        .we_reply(0, "y")
        .we_fail(1, Code::INTERNAL, "no", None)
        .we_reject(2, &Refused::BadRequest("no".into()))
        .we_send(stopped(0, Stop::Completed))
        .we_send(stopped(2, Stop::Completed))
        .we_send(stopped(4, Stop::Completed))
        .we_send(result(0, "y"))
        .we_send(exception(2, json!(["internal", "no", null])))
        .we_send(rejected(4, 0, "no"));
}
