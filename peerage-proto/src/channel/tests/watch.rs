//! A link that is watched: pings, silence, and what a pause of this process does to requests.

use super::*;
use crate::liveness::{Liveness, Profile};

fn node(side: Side) -> Config {
    Config::for_node(side)
}

fn ping(number: u64) -> Frame {
    frame(12, number, Json::Null)
}

fn pong(number: u64) -> Frame {
    frame(13, number, Json::Null)
}

/// A link whose first ping has left and has been answered 20 ms later.
fn established(side: Side) -> Transcript {
    established_with(node(side))
}

fn established_with(config: Config) -> Transcript {
    transcript(config).feed(Input::Timeout).we_send(ping(0)).after(ms(20)).peer_sends(pong(0))
}

impl Transcript {
    /// The process stands still: the time goes on, and nobody rings.
    fn paused_for(mut self, time: Duration) -> Self {
        self.now += time;
        self
    }

    fn link_is_quiet(mut self) -> Self {
        assert!(matches!(self.next_order(), Output::Quiet));
        self
    }

    fn link_is_answered(mut self) -> Self {
        assert!(matches!(self.next_order(), Output::Answered));
        self
    }

    fn link_is_heard(mut self) -> Self {
        assert!(matches!(self.next_order(), Output::Heard));
        self
    }

    /// Lets time pass while the driver writes whatever waits.
    fn after_writing(mut self, time: Duration) -> Self {
        let end = self.now + time;
        while let Some(at) = self.channel.next_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self = self.feed(Input::Timeout).we_write_all();
        }
        self.now = end;
        self.feed(Input::Timeout).we_write_all()
    }
}

#[test]
fn a_plain_peer_is_never_asked_for_a_sign_of_life() {
    let config = Config { liveness: Some(Profile::LAN), ..plain_json() };
    transcript(config)
        .feed(Input::Timeout)
        .we_send_nothing()
        .after(ms(60_000))
        .we_send_nothing()
        .nothing_happens()
        .holds(|channel| channel.liveness().is_none() && channel.next_timeout().is_none());
}

#[test]
fn the_first_ping_follows_what_the_node_says_first() {
    transcript(node(Side::Dialler))
        .our_node_says(Kind::Introduction, "ada")
        .we_send(frame(14, 0, "ada"))
        .we_send(ping(0))
        .peer_sends(pong(0))
        .holds(|channel| channel.liveness().is_some_and(|live| live.rtt() == Some(Duration::ZERO)));
}

#[test]
fn a_silent_peer_is_asked_then_suspected_and_then_the_link_is_lost() {
    established(Side::Dialler)
        .holds(|channel| channel.liveness().is_some_and(|live| live.rtt() == Some(ms(20))))
        .we_call(0, "x")
        .we_send(request(0, "x"))
        .after(ms(1_230))
        .we_send(ping(1))
        .after(ms(1_000))
        .we_send(ping(2))
        .after(ms(769))
        .nothing_happens()
        .after(ms(1))
        .link_is_quiet()
        .after(ms(2_999))
        .we_send(ping(3))
        .we_send(ping(4))
        .we_send(ping(5))
        .nothing_happens()
        .after(ms(1))
        .call_gives(0, lost(LinkLost::Silent))
        .link_ends(LinkLost::Silent)
        .everything_is_freed();
}

#[test]
fn any_byte_counts_as_life_even_of_half_a_frame() {
    let mut link = established(Side::Dialler);
    for _ in 0..3 {
        link = link.after_writing(ms(2_900)).peer_sends_bytes(&[0]);
    }
    link.nothing_happens();
}

#[test]
fn a_peer_that_talks_is_asked_only_if_this_end_says_nothing() {
    established(Side::Dialler)
        .after(ms(900))
        .peer_sends(ping(0))
        .we_send(pong(0))
        .after(ms(900))
        .peer_sends(frame(64, 0, Json::Null))
        .we_send_nothing()
        .after(ms(200))
        .we_send(ping(1))
        .nothing_happens();
}

#[test]
fn bytes_read_into_place_count_as_life() {
    let mut link = established(Side::Dialler).peer_sends_bytes(&600_000_u32.to_be_bytes());
    for n in 0..5_u8 {
        link = link.after_writing(ms(2_900));
        let mut lent = link.channel.lend().expect("a large frame is under way");
        lent.buffer().0.push(n);
        link.channel.take_back(lent);
        link = link.feed(Input::Received(&[]));
    }
    link.nothing_happens();
}

#[test]
fn a_suspected_peer_that_is_heard_is_suspected_no_more() {
    established(Side::Dialler)
        .after_writing(ms(3_500))
        .link_is_quiet()
        .forget_what_was_sent()
        .peer_sends(pong(3))
        .link_is_heard()
        .after_writing(ms(2_900))
        .nothing_happens()
        .forget_what_was_sent();
}

#[test]
fn the_slower_profile_of_both_ends_rules_the_link() {
    established(Side::Dialler)
        .feed(Input::PeerProfile(Profile::WAN))
        .after_writing(ms(14_900))
        .forget_what_was_sent()
        .nothing_happens()
        .after_writing(ms(100))
        .link_is_quiet()
        .forget_what_was_sent();
}

#[test]
fn a_slow_process_is_slow_to_judge() {
    established(Side::Dialler)
        .feed(Input::LocalHealth(3))
        .after_writing(ms(8_900))
        .forget_what_was_sent()
        .nothing_happens()
        .after_writing(ms(100))
        .link_is_quiet()
        .forget_what_was_sent();
}

#[test]
fn pings_leave_on_the_grid_of_the_node() {
    let grid = Some(epoch() + ms(100));
    transcript(Config { grid, ..node(Side::Dialler) })
        .feed(Input::Timeout)
        .we_send(ping(0))
        .after(ms(1_099))
        .we_send_nothing()
        .after(ms(1))
        .we_send(ping(1));
}

#[test]
fn a_link_that_does_not_read_does_not_judge() {
    let unread = "x".repeat(900_000);
    let mut link = established(Side::Acceptor);
    for n in 0..19 {
        link = link.peer_sends(request(2 * n, unread.clone())).we_serve_next();
    }
    assert!(!link.channel.wants_bytes(), "16 MiB of requests are unread");
    link.after_writing(ms(60_000)).forget_what_was_sent().nothing_happens();
}

#[test]
fn after_a_pause_no_request_starts_before_the_pong_of_a_new_ping_is_read() {
    established(Side::Acceptor)
        .paused_for(ms(10_000))
        .peer_sends_all(&[request(0, "given up"), request(2, "still wanted"), cancel(0)])
        .nothing_happens()
        .holds(Channel::is_gated)
        .we_send(ping(1))
        .we_send(stopped(0, Stop::NotStarted))
        .peer_sends(pong(0))
        .nothing_happens()
        .peer_sends_all(&[request(4, "later"), cancel(4), pong(1)])
        .we_serve("still wanted")
        .we_send(stopped(4, Stop::NotStarted))
        .holds(|channel| !channel.is_gated())
        .peer_sends(request(6, "as ever"))
        .we_serve("as ever")
        .counters(|count| count.pauses == 1);
}

#[test]
fn a_pause_of_less_than_a_second_changes_nothing() {
    // The machine wants to be woken a second after the start, 980 ms from here.
    established(Side::Acceptor)
        .paused_for(ms(1_979))
        .peer_sends(request(0, "x"))
        .we_serve("x")
        .we_send(ping(1))
        .counters(|count| count.pauses == 0);
    established(Side::Acceptor)
        .paused_for(ms(1_980))
        .peer_sends(request(0, "x"))
        .nothing_happens()
        .we_send(ping(1))
        .counters(|count| count.pauses == 1);
}

#[test]
fn a_link_that_was_merely_idle_serves_at_once() {
    for profile in [Profile::LAN, Profile::WAN, Profile::IDLE] {
        let mut link = established_with(Config { liveness: Some(profile), ..node(Side::Acceptor) });
        for n in 1..20 {
            // The driver rings when it was asked to, and never else.
            let at = link.channel.next_timeout().expect("a watched link is never without a timer");
            link.now = link.now.max(at);
            link = link.feed(Input::Timeout).forget_what_was_sent();
            if link.channel.wants_to_write() {
                link = link.we_write_all().forget_what_was_sent();
                let number = link.channel.liveness().expect("watched").pings() - 1;
                link = link.peer_sends(pong(number));
            }
            link = link.peer_sends(request(2 * n, "x")).we_serve("x").counters(|count| count.pauses == 0);
        }
    }
}

#[test]
fn a_pause_that_only_the_driver_saw_counts_as_well() {
    established(Side::Acceptor)
        .feed(Input::Jumped)
        .we_send(ping(1))
        .peer_sends(request(0, "x"))
        .nothing_happens()
        .feed(Input::Jumped)
        .we_send(ping(2))
        .peer_sends(pong(1))
        .nothing_happens()
        .peer_sends(pong(2))
        .we_serve("x");
}

#[test]
fn what_was_kept_back_when_its_link_ends_never_starts() {
    let paused = || established(Side::Acceptor).paused_for(ms(9_000)).peer_sends(request(0, "x")).we_send(ping(1));
    paused().link_breaks().link_ends(broken()).everything_is_freed();
    // Half-closed: nobody can answer the ping any more, but the caller may still read.
    paused()
        .peer_closes()
        .we_send(busy(0, Busy::Overloaded, 100))
        .link_ends(LinkLost::PeerClosed)
        .everything_is_freed();
}

#[test]
fn silence_during_a_pause_is_not_held_against_the_peer() {
    established(Side::Dialler)
        .paused_for(ms(600_000))
        .feed(Input::Timeout)
        .we_send(ping(1))
        .nothing_happens()
        .after_writing(ms(2_999))
        .nothing_happens()
        .after_writing(ms(1))
        .link_is_quiet()
        .after_writing(ms(3_000))
        .link_ends(LinkLost::Silent)
        .forget_what_was_sent();
}

#[test]
fn requests_beyond_what_may_be_kept_back_are_refused_so_that_the_pong_is_read() {
    let large = "x".repeat(900_000);
    let mut link = established(Side::Acceptor).paused_for(ms(9_000)).feed(Input::Timeout).we_send(ping(1));
    for n in 0..19 {
        link = link.peer_sends(request(2 * n, large.clone()));
    }
    link = link.nothing_happens().peer_sends(request(38, "one more")).we_send(busy(38, Busy::Overloaded, 100));
    link = link.peer_sends(pong(1));
    for _ in 0..19 {
        link = link.we_serve_next();
    }
    link.nothing_happens();
}

#[test]
fn a_link_that_is_not_watched_never_asks_and_never_keeps_back() {
    transcript(full_dialler())
        .feed(Input::Timeout)
        .holds(|channel| channel.next_timeout().is_none() && channel.liveness().is_none())
        .paused_for(ms(600_000))
        .feed(Input::Jumped)
        .feed(Input::PeerProfile(Profile::WAN))
        .feed(Input::LocalHealth(2))
        .peer_sends(request(1, "x"))
        .we_serve("x")
        .we_send_nothing();
}

#[test]
fn a_jump_behind_the_end_of_the_peer_keeps_nothing_waiting() {
    established(Side::Acceptor)
        .peer_sends(request(0, "x"))
        .we_serve("x")
        .peer_closes()
        .paused_for(ms(9_000))
        .feed(Input::Timeout)
        .we_send_nothing()
        .we_reply(0, "y")
        .we_send(result(0, "y"))
        .link_ends(LinkLost::PeerClosed);
}

#[test]
fn a_node_that_wants_a_sign_of_life_gets_a_ping_sent_at_once_and_only_its_pong_counts() {
    established(Side::Dialler)
        .after(ms(1_000))
        .we_send(ping(1))
        .feed(Input::Probe)
        .we_send(ping(2))
        .peer_sends(request(1, "under way for long"))
        .we_serve("under way for long")
        .peer_sends(pong(1))
        .nothing_happens()
        .peer_sends(pong(2))
        .link_is_answered()
        .holds(|channel| channel.liveness().and_then(Liveness::rtt) == Some(ms(0)))
        .we_send_nothing();
    transcript(full_dialler()).feed(Input::Probe).we_send_nothing();
}
