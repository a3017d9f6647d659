//! Deadlines and cancels.

use super::*;

#[test]
fn a_plain_deadline_acts_at_the_caller_only() {
    transcript(plain_json())
        .we_call_within(0, "x", ms(50))
        .we_send(request(0, "x"))
        .after(ms(49))
        .nothing_happens()
        .after(ms(1))
        .call_gives(0, deadline(Stop::Unconfirmed))
        .we_send_nothing();
}

#[test]
fn a_plain_cancel_acts_at_the_caller_only() {
    transcript(plain_json())
        .we_call(0, "x")
        .we_send(request(0, "x"))
        .we_cancel(0)
        .call_gives(0, cancelled(Stop::Unconfirmed))
        .we_cancel(0)
        .we_send_nothing();
}

#[test]
fn deadlines_come_in_their_own_order() {
    transcript(plain_json())
        .we_call_within(0, "a", ms(30))
        .we_call(1, "b")
        .we_call_within(2, "c", ms(10))
        .we_call_within(3, "d", ms(20))
        .we_write_all()
        .written_frames(4)
        .after(ms(20))
        .call_gives(2, deadline(Stop::Unconfirmed))
        .call_gives(3, deadline(Stop::Unconfirmed))
        .nothing_happens()
        .after(ms(1_000_000))
        .call_gives(0, deadline(Stop::Unconfirmed))
        .holds(|channel| channel.next_timeout().is_none() && channel.calls_in_flight() == 1);
}

#[test]
fn at_a_full_deadline_the_callee_is_told_and_its_word_awaited() {
    for stop in [Stop::NotStarted, Stop::Stopped, Stop::Completed, Stop::Detached] {
        transcript(full_dialler())
            .we_call_within(0, "x", ms(50))
            .we_send(request(0, "x"))
            .after(ms(50))
            .nothing_happens()
            .we_send(cancel(0))
            .after(ms(99))
            .peer_sends(stopped(0, stop))
            .call_gives(0, deadline(stop));
    }
}

#[test]
fn without_the_callees_word_a_full_deadline_ends_after_the_grace() {
    transcript(full_dialler())
        .we_call_within(0, "x", ms(50))
        .we_send(request(0, "x"))
        .after(ms(149))
        .we_send(cancel(0))
        .nothing_happens()
        .after(ms(1))
        .call_gives(0, deadline(Stop::Unconfirmed))
        .peer_sends(stopped(0, Stop::Stopped))
        .nothing_happens();
}

#[test]
fn a_timer_that_rings_late_does_not_prolong_the_grace() {
    let mut link = transcript(full_dialler()).we_call_within(0, "x", ms(50)).we_send(request(0, "x"));
    link.now += ms(500);
    link.feed(Input::Timeout).call_gives(0, deadline(Stop::Unconfirmed)).we_send(cancel(0));
}

#[test]
fn an_answer_within_the_grace_says_that_the_work_was_completed() {
    transcript(full_dialler())
        .we_call_within(0, "x", ms(50))
        .we_send(request(0, "x"))
        .after(ms(60))
        .we_send(cancel(0))
        .peer_sends(result(0, "just too late"))
        .call_gives(0, deadline(Stop::Completed))
        .counters(|c| c.late_replies == 1);
    transcript(full_dialler())
        .we_call_within(0, "x", ms(50))
        .we_send(request(0, "x"))
        .after(ms(60))
        .we_send(cancel(0))
        .peer_sends(busy(0, Busy::Overloaded, 5))
        .call_gives(0, deadline(Stop::NotStarted));
    transcript(full_dialler())
        .we_call_within(0, "x", ms(50))
        .we_send(request(0, "x"))
        .after(ms(60))
        .we_send(cancel(0))
        .peer_sends(rejected(0, 1, "x"))
        .call_gives(0, deadline(Stop::NotStarted));
}

#[test]
fn a_full_cancel_tells_the_callee_and_waits_a_second_for_its_word() {
    transcript(full_dialler())
        .we_call(0, "x")
        .we_send(request(0, "x"))
        .we_cancel(0)
        .we_send(cancel(0))
        .we_cancel(0)
        .we_send_nothing()
        .after(ms(999))
        .peer_sends(stopped(0, Stop::Stopped))
        .call_gives(0, cancelled(Stop::Stopped));
    transcript(full_dialler())
        .we_call(0, "x")
        .we_send(request(0, "x"))
        .we_cancel(0)
        .we_send(cancel(0))
        .after(ms(999))
        .nothing_happens()
        .after(ms(1))
        .call_gives(0, cancelled(Stop::Unconfirmed));
}

#[test]
fn a_full_cancel_never_waits_beyond_what_the_deadline_allows() {
    transcript(full_dialler())
        .we_call_within(0, "x", ms(50))
        .we_send(request(0, "x"))
        .after(ms(40))
        .we_cancel(0)
        .we_send(cancel(0))
        .after(ms(109))
        .nothing_happens()
        .after(ms(1))
        .call_gives(0, cancelled(Stop::Unconfirmed));
}

#[test]
fn a_word_about_work_that_nobody_cancelled_changes_nothing() {
    transcript(full_dialler())
        .we_call(0, "x")
        .we_send(request(0, "x"))
        .peer_sends(stopped(0, Stop::Stopped))
        .peer_sends(stopped(100, Stop::Stopped))
        .nothing_happens()
        .peer_sends(result(0, "y"))
        .call_returns(0, "y");
}

#[test]
fn a_word_of_a_newer_version_is_unconfirmed() {
    transcript(full_dialler())
        .we_call(0, "x")
        .we_send(request(0, "x"))
        .we_cancel(0)
        .we_send(cancel(0))
        .peer_sends(frame(4, 0, 77))
        .call_gives(0, cancelled(Stop::Unconfirmed));
}

#[test]
fn an_unsent_call_that_is_cancelled_takes_its_frame_with_it_and_harms_no_other() {
    for config in [plain_json(), full_dialler()] {
        let step = if config.dialect == Dialect::Full { 2 } else { 1 };
        transcript(config)
            .we_call(0, "first")
            .we_call(1, "second".repeat(5_000))
            .we_call(2, "third")
            .we_call(3, "fourth")
            .we_cancel(1)
            .call_gives(1, not_sent(NotSent::Cancelled))
            .we_cancel(3)
            .call_gives(3, not_sent(NotSent::Cancelled))
            .we_send(request(0, "first"))
            .we_send(request(2 * step, "third"))
            .we_send_nothing()
            .peer_sends(result(2 * step, 3))
            .call_returns(2, 3)
            .we_call(1, "fifth")
            .we_send(request(4 * step, "fifth"));
    }
}

#[test]
fn an_unsent_call_at_its_deadline_takes_its_frame_with_it() {
    for config in [plain_json(), full_dialler()] {
        transcript(config)
            .we_call_within(0, "x", ms(10))
            .we_call_within(1, "y", ms(20))
            .we_call(2, "z")
            .after(ms(20))
            .call_gives(0, not_sent(NotSent::QueueFull))
            .call_gives(1, not_sent(NotSent::QueueFull))
            .holds(|channel| channel.calls_in_flight() == 1)
            .we_cancel(2)
            .call_gives(2, not_sent(NotSent::Cancelled))
            .holds(|channel| channel.unsent_bytes() == 0)
            .we_send_nothing();
    }
}

#[test]
fn of_several_unsent_calls_each_takes_out_exactly_its_own_frame_in_any_order() {
    let orders = [[0, 1, 2, 3], [3, 2, 1, 0], [1, 3, 0, 2], [2, 0, 3, 1]];
    for order in orders {
        for kept in 0..4 {
            let mut link = transcript(plain_json()).we_call(9, "begun").we_write(5);
            for token in 0..4 {
                link = link.we_call(token, "abcdefgh"[..=token as usize].repeat(9_000 * token as usize + 1));
            }
            for token in order.into_iter().filter(|token| *token != kept) {
                link = link.we_cancel(token).call_gives(token, not_sent(NotSent::Cancelled));
            }
            link.we_send(request(0, "begun"))
                .we_send(request(u64::from(kept) + 1, "abcdefgh"[..=kept as usize].repeat(9_000 * kept as usize + 1)))
                .we_send_nothing();
        }
    }
}
