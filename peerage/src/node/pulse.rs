//! How well this process keeps time itself: late timers, and pauses in which it did not run at all.
//!
//! A node that is slow must not take others for dead. So the driver sets itself a timer for every second and looks how
//! late it rings: each late one raises a factor on what is waited for from others, up to 8; ten on time lower it by one
//! (Lifeguard; Dadgar, Phillips, Currey, 2018).
//!
//! A machine that was suspended runs on as if nothing had happened: its monotonic clock stood still as well. The clock on
//! the wall did not, so the two part, and that is how it is noticed.

use std::time::{Duration, Instant, SystemTime};

use peerage_proto::limits;

/// Measures how well this process keeps time.
#[derive(Debug)]
pub(crate) struct Pulse {
    due: Instant,
    factor: u8,
    on_time: u32,
    clocks: (Instant, SystemTime),
}

/// What was found out.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Beat {
    /// The timer rang late.
    pub(crate) late: bool,
    /// The factor is a new one.
    pub(crate) factor: Option<u8>,
    /// The process or the machine stood still, or the clock on the wall was set.
    pub(crate) jumped: bool,
}

impl Pulse {
    pub(crate) fn new(now: Instant, wall: SystemTime) -> Pulse {
        Pulse { due: now + BEAT, factor: 1, on_time: 0, clocks: (now, wall) }
    }

    /// When to look next.
    pub(crate) fn due(&self) -> Instant {
        self.due
    }

    /// Looks at the clocks, if it is time.
    pub(crate) fn beat(&mut self, now: Instant, wall: SystemTime) -> Beat {
        if now < self.due {
            return Beat::default();
        }
        let lateness = now.saturating_duration_since(self.due);
        let late = lateness >= LATE;
        let before = self.factor;
        if late {
            self.on_time = 0;
            self.factor = (self.factor + 1).min(FACTOR_MAX);
        } else {
            self.on_time += 1;
            if self.on_time >= CALM {
                self.on_time = 0;
                self.factor = (self.factor - 1).max(1);
            }
        }
        let jumped = self.clocks_parted(now, wall) || lateness >= limits::JUMP;
        self.clocks = (now, wall);
        self.due = now + BEAT;
        Beat { late, factor: (self.factor != before).then_some(self.factor), jumped }
    }

    /// Whether the two clocks went differently far since the last look.
    fn clocks_parted(&self, now: Instant, wall: SystemTime) -> bool {
        let (then, then_wall) = self.clocks;
        let ran = now.saturating_duration_since(then);
        // A clock on the wall that was set back has parted by as much as it was, and by what has run since.
        let went = wall.duration_since(then_wall);
        match went {
            Ok(went) => went.abs_diff(ran) >= limits::JUMP,
            Err(back) => back.duration() + ran >= limits::JUMP,
        }
    }
}

/// How often the node looks at its clocks.
const BEAT: Duration = Duration::from_secs(1);

/// How late a timer must be to count: far more than a busy scheduler makes of it, and half of a ping's interval.
const LATE: Duration = Duration::from_millis(500);

/// Timers on time that lower the factor by one.
const CALM: u32 = 10;

/// The largest factor.
const FACTOR_MAX: u8 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    struct Clocks {
        now: Instant,
        wall: SystemTime,
        pulse: Pulse,
    }

    impl Clocks {
        fn new() -> Clocks {
            let (now, wall) = (Instant::now(), SystemTime::now());
            Clocks { now, wall, pulse: Pulse::new(now, wall) }
        }

        /// Rings so late, while the clock on the wall goes on by so much.
        fn ring(&mut self, late: Duration, wall: Duration) -> Beat {
            self.now = self.pulse.due() + late;
            self.wall += wall;
            self.pulse.beat(self.now, self.wall)
        }

        fn ring_on_time(&mut self) -> Beat {
            self.ring(Duration::ZERO, BEAT)
        }
    }

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn late_timers_raise_the_factor_to_eight_and_ten_on_time_lower_it_by_one() {
        let mut clocks = Clocks::new();
        let factors: Vec<u8> = (0..9).filter_map(|_| clocks.ring(ms(600), BEAT + ms(600)).factor).collect();
        assert_eq!(factors, [2, 3, 4, 5, 6, 7, 8]);
        assert_eq!((0..9).filter_map(|_| clocks.ring_on_time().factor).count(), 0);
        assert_eq!(clocks.ring_on_time().factor, Some(7));
        let calm: Vec<u8> = (0..1_000).filter_map(|_| clocks.ring_on_time().factor).collect();
        assert_eq!(calm, [6, 5, 4, 3, 2, 1]);
    }

    #[test]
    fn a_timer_that_is_a_little_late_is_on_time() {
        assert_eq!(Clocks::new().ring(ms(499), BEAT + ms(499)), Beat::default());
        assert!(Clocks::new().ring(ms(500), BEAT + ms(500)).late);
    }

    #[test]
    fn nothing_is_looked_at_before_its_time() {
        let mut clocks = Clocks::new();
        let early = clocks.pulse.beat(clocks.now + ms(900), clocks.wall + ms(999_999));
        assert_eq!(early, Beat::default());
    }

    #[test]
    fn a_suspended_machine_and_a_stopped_process_are_both_a_jump() {
        assert!(Clocks::new().ring(ms(0), BEAT + ms(1_000)).jumped, "suspended: only the wall clock went on");
        assert!(Clocks::new().ring(ms(30_000), BEAT + ms(30_000)).jumped, "stopped: both went on, and we did not look");
        assert!(Clocks::new().ring(ms(0), ms(0)).jumped, "the clock on the wall was set back");
        assert!(!Clocks::new().ring(ms(0), BEAT + ms(900)).jumped, "it drifts a little");
    }

    #[test]
    fn a_clock_set_far_back_is_one_jump_and_then_forgotten() {
        let mut clocks = Clocks::new();
        clocks.now = clocks.pulse.due();
        clocks.wall -= Duration::from_secs(3_600);
        assert!(clocks.pulse.beat(clocks.now, clocks.wall).jumped);
        assert_eq!(clocks.ring_on_time(), Beat::default());
    }
}
