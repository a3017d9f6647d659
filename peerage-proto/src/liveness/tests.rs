//! What is asked of a peer, when, and when it is given up.

use super::*;
use crate::sim::epoch;

const LOST: [Act; 1] = [Act::Lost];

/// A peer of which nothing is heard unless a step says so, watched second by second.
struct Story {
    now: Instant,
    liveness: Liveness,
}

fn at(ms: u64) -> Instant {
    epoch() + Duration::from_millis(ms)
}

fn watched(profile: Profile) -> Story {
    watched_on(profile, 0)
}

/// With a grid that goes through so many milliseconds.
fn watched_on(profile: Profile, phase: u64) -> Story {
    let liveness = Liveness::new(at(0), profile, at(phase));
    Story { now: at(0), liveness }.does(0, &[Act::Ping(0)])
}

impl Story {
    /// Wakes at every time asked for up to `ms`; nothing may be done before, and exactly this then.
    fn does(mut self, ms: u64, expected: &[Act]) -> Story {
        let until = at(ms);
        loop {
            let next = self.liveness.due();
            if next >= until {
                break;
            }
            self.now = self.now.max(next);
            assert_eq!(self.liveness.act(self.now), None, "at {:?}", self.now - at(0));
            assert!(self.liveness.due() > self.now, "a time that has come is not asked for again");
        }
        self.now = until;
        let done: Vec<Act> = std::iter::from_fn(|| self.liveness.act(until)).take(9).collect();
        assert_eq!(done, expected, "at {ms} ms");
        self
    }

    fn hears(mut self, ms: u64, was_quiet: bool) -> Story {
        self = self.does(ms, &[]);
        assert_eq!(self.liveness.heard(self.now), was_quiet);
        self.liveness.spoke(self.now);
        self
    }

    /// The peer talks, and this end has nothing to say.
    fn only_hears(mut self, ms: u64) -> Story {
        self = self.does(ms, &[]);
        assert!(!self.liveness.heard(self.now));
        self
    }

    fn hears_pong(mut self, ms: u64, number: u64) -> Story {
        self = self.hears(ms, false);
        assert_eq!(self.liveness.pong(self.now, number), Ok(()));
        self
    }

    fn told(mut self, tell: impl FnOnce(&mut Liveness, Instant)) -> Story {
        tell(&mut self.liveness, self.now);
        assert!(!self.liveness.has_jumped(self.now), "other settings are no jump of the time");
        self
    }

    fn has_rtt(self, ms: u64) -> Story {
        assert_eq!(self.liveness.rtt(), Some(Duration::from_millis(ms)));
        self
    }
}

#[test]
fn a_silent_peer_is_asked_each_second_suspected_after_three_and_lost_after_six() {
    watched(Profile::LAN)
        .does(1_000, &[Act::Ping(1)])
        .does(2_000, &[Act::Ping(2)])
        .does(3_000, &[Act::Quiet, Act::Ping(3)])
        .does(4_000, &[Act::Ping(4)])
        .does(5_000, &[Act::Ping(5)])
        .does(6_000, &LOST);
}

#[test]
fn the_slow_profiles_take_five_and_fifteen_times_as_long() {
    for (profile, times) in [(Profile::WAN, 5), (Profile::IDLE, 15)] {
        watched(profile)
            .does(1_000 * times, &[Act::Ping(1)])
            .does(2_000 * times, &[Act::Ping(2)])
            .does(3_000 * times, &[Act::Quiet, Act::Ping(3)])
            .does(4_000 * times, &[Act::Ping(4)])
            .does(5_000 * times, &[Act::Ping(5)])
            .does(6_000 * times, &LOST);
    }
}

#[test]
fn whatever_is_heard_puts_the_next_ping_off() {
    watched(Profile::LAN)
        .hears(900, false)
        .does(1_250, &[])
        .hears(1_800, false)
        .does(3_000, &[Act::Ping(1)])
        .does(4_000, &[Act::Ping(2)])
        // Suspected exactly three seconds after the last byte, not at the next moment of the grid.
        .does(4_800, &[Act::Quiet])
        .does(5_000, &[Act::Ping(3)])
        .does(6_000, &[Act::Ping(4)])
        .does(7_000, &[Act::Ping(5)])
        .does(7_800, &LOST);
}

/// Its own pings may wait behind megabytes that a slow connection has taken already, so that nobody answers them.
#[test]
fn an_end_that_hears_much_and_says_nothing_is_heard_by_its_pings() {
    watched(Profile::LAN)
        .only_hears(500)
        .only_hears(900)
        .does(1_000, &[Act::Ping(1)])
        .only_hears(1_900)
        .does(2_000, &[Act::Ping(2)])
        .hears(2_900, false)
        .only_hears(3_500)
        .does(4_000, &[Act::Ping(3)]);
}

#[test]
fn a_suspected_peer_that_is_heard_again_is_suspected_no_more_and_may_be_again() {
    watched(Profile::LAN)
        .does(1_000, &[Act::Ping(1)])
        .does(2_000, &[Act::Ping(2)])
        .does(3_000, &[Act::Quiet, Act::Ping(3)])
        .hears(3_500, true)
        .hears(3_500, false)
        .does(4_500, &[Act::Ping(4)])
        .does(5_500, &[Act::Ping(5)])
        .does(6_500, &[Act::Quiet, Act::Ping(6)]);
}

#[test]
fn pings_leave_on_the_grid_of_their_node() {
    for phase in [0, 1, 100, 249] {
        let next = |quiet_since: u64| {
            let after = quiet_since + 1_000;
            (after..).find(|ms| ms % 250 == phase).expect("within a step")
        };
        let first = next(0);
        watched_on(Profile::LAN, phase)
            .does(first, &[Act::Ping(1)])
            .hears(first + 30, false)
            .does(next(first + 30), &[Act::Ping(2)]);
    }
    // A grid that is counted from a moment to come is the same grid.
    watched_on(Profile::LAN, 10_100).does(1_100, &[Act::Ping(1)]);
}

#[test]
fn the_slower_profile_of_both_ends_rules() {
    watched(Profile::LAN)
        .told(|liveness, now| liveness.peer_announces(now, Profile::WAN))
        .does(5_000, &[Act::Ping(1)])
        .told(|liveness, now| liveness.peer_announces(now, Profile::from_millis(0)))
        .told(|liveness, _| assert_eq!(liveness.profile(), Profile::LAN))
        // Announced again, the silence so far is judged by the new measure.
        .does(5_000, &[Act::Quiet])
        .does(6_000, &LOST);
    let story = watched(Profile::IDLE).told(|liveness, now| liveness.peer_announces(now, Profile::LAN));
    assert_eq!(story.liveness.profile(), Profile::IDLE);
}

#[test]
fn a_slow_process_asks_as_often_and_judges_later() {
    let mut story = watched(Profile::LAN).told(|liveness, now| liveness.set_local_health(now, 2));
    for second in 1..6 {
        story = story.does(second * 1_000, &[Act::Ping(second)]);
    }
    story = story.does(6_000, &[Act::Quiet, Act::Ping(6)]);
    for second in 7..12 {
        story = story.does(second * 1_000, &[Act::Ping(second)]);
    }
    story.does(12_000, &LOST);
    for (given, taken) in [(0, 1), (1, 1), (8, 8), (255, 8)] {
        let story = watched(Profile::LAN).told(|liveness, now| liveness.set_local_health(now, given));
        assert_eq!(story.liveness.health, taken);
    }
}

#[test]
fn a_pong_tells_the_round_trip_and_answers_all_pings_before_its_own() {
    watched(Profile::LAN)
        .hears_pong(40, 0)
        .has_rtt(40)
        .does(1_250, &[Act::Ping(1)])
        .does(2_250, &[Act::Ping(2)])
        .hears_pong(2_300, 2)
        .has_rtt(50)
        // The pong of the ping before comes late, or again: it says nothing new.
        .hears_pong(2_400, 1)
        .hears_pong(2_400, 2)
        .has_rtt(50);
}

#[test]
fn a_pong_to_a_ping_that_was_never_sent_is_an_error() {
    let mut story = watched(Profile::LAN);
    assert_eq!(story.liveness.pong(at(1), 1), Err(Unasked));
    assert_eq!(story.liveness.pong(at(1), u64::MAX), Err(Unasked));
    assert_eq!(story.liveness.rtt(), None);
}

#[test]
fn a_jump_is_told_from_a_timer_that_was_due_long_ago() {
    let story = watched(Profile::WAN);
    assert_eq!(story.liveness.due(), at(5_000));
    assert!(!story.liveness.has_jumped(at(4_999)), "the link was idle, and nothing was due");
    assert!(!story.liveness.has_jumped(at(5_999)), "a little late is no jump");
    assert!(story.liveness.has_jumped(at(6_000)));
}

#[test]
fn after_a_jump_the_silence_counts_anew_behind_a_new_ping() {
    let mut story = watched(Profile::LAN).does(1_000, &[Act::Ping(1)]);
    story.now = at(60_000);
    assert!(story.liveness.has_jumped(story.now));
    assert_eq!(story.liveness.begin_round(story.now), 2);
    story
        .does(60_000, &[])
        .does(61_000, &[Act::Ping(3)])
        .does(62_000, &[Act::Ping(4)])
        .does(63_000, &[Act::Quiet, Act::Ping(5)])
        .does(64_000, &[Act::Ping(6)])
        .does(65_000, &[Act::Ping(7)])
        .does(66_000, &LOST);
}

#[test]
fn time_in_which_nobody_listened_is_no_silence_of_the_peer() {
    let mut story = watched(Profile::LAN).does(1_000, &[Act::Ping(1)]).does(2_000, &[Act::Ping(2)]);
    story.liveness.skip(at(2_500));
    let story = story.does(3_000, &[Act::Ping(3)]).does(4_000, &[Act::Ping(4)]).does(5_000, &[Act::Ping(5)]);
    story.does(5_500, &[Act::Quiet]);
}

#[test]
fn unanswered_pings_are_remembered_up_to_a_bound() {
    let mut liveness = Liveness::new(at(0), Profile::LAN, at(0));
    for n in 0..100 {
        assert_eq!(liveness.begin_round(at(n)), n);
    }
    assert_eq!(liveness.asked.len(), ASKED_MAX);
    assert_eq!(liveness.pong(at(100), 0), Ok(()));
    assert_eq!(liveness.rtt(), None, "nobody knows any more when it left");
    assert_eq!(liveness.pong(at(100), 99), Ok(()));
    assert_eq!((liveness.rtt(), liveness.asked.len()), (Some(Duration::from_millis(1)), 0));
}
