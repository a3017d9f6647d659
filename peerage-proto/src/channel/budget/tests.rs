//! Who is cut and who is not, whatever the network does to the time between frames.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;
use crate::sim::epoch;

fn at(ms: u64) -> Instant {
    epoch() + Duration::from_millis(ms)
}

#[test]
fn two_hundred_small_frames_at_once_and_a_hundred_a_second_are_allowed() {
    let mut allowance = Allowance::default();
    for _ in 0..200 {
        assert_eq!(allowance.spend(at(0)), Ok(()));
    }
    assert_eq!(allowance.spend(at(0)), Err(Exceeded));
    assert_eq!(allowance.spend(at(9)), Err(Exceeded));
    assert_eq!(allowance.spend(at(10)), Ok(()));
    for ms in 2..5_000 {
        assert_eq!(allowance.spend(at(ms * 10)), Ok(()), "at {ms}0 ms");
    }
    assert_eq!(allowance.spend(at(49_990)), Err(Exceeded));
}

#[test]
fn what_is_not_used_is_saved_up_to_the_burst_only() {
    let mut allowance = Allowance::default();
    assert_eq!(allowance.spend(at(0)), Ok(()));
    for _ in 0..200 {
        assert_eq!(allowance.spend(at(3_600_000)), Ok(()));
    }
    assert_eq!(allowance.spend(at(3_600_000)), Err(Exceeded));
}

#[test]
fn each_completed_call_earns_one_more() {
    let mut allowance = Allowance::default();
    (0..50).for_each(|_| allowance.completed());
    for _ in 0..250 {
        assert_eq!(allowance.spend(at(0)), Ok(()));
    }
    assert_eq!(allowance.spend(at(0)), Err(Exceeded));
}

#[test]
fn who_cancels_all_it_asks_is_cut_even_if_it_is_slow() {
    // Fifty a second are well within the rate, but nothing is ever completed.
    let cut = |completed_each: usize| {
        let mut allowance = Allowance::default();
        (0..3_000).find(|n| {
            if completed_each > 0 && n % completed_each == 0 {
                allowance.completed();
            }
            allowance.spend_cancel(at(*n as u64 * 20)).is_err()
        })
    };
    assert_eq!(cut(0), Some(200), "the burst is spent after four seconds");
    assert_eq!(cut(10), None, "ten cancels for each completed call");
    assert!(cut(100).is_some(), "a hundred");
}

#[test]
fn cancels_beyond_the_thrift_wait_and_leave_in_order() {
    let mut thrift = Thrift::default();
    for id in 0..30 {
        assert_eq!(thrift.cancel(at(0), id), Fate::Leaves);
    }
    assert_eq!((thrift.cancel(at(0), 30), thrift.cancel(at(0), 31)), (Fate::Waits, Fate::Waits));
    assert_eq!(thrift.due(), Some(at(50)));
    assert_eq!(thrift.release(at(0)), None);
    // Over twelve seconds no more than thirty without a completed call.
    assert_eq!(thrift.release(at(11_999)), None);
    assert_eq!((thrift.release(at(12_000)), thrift.release(at(12_000))), (Some(30), Some(31)));
    assert_eq!((thrift.release(at(12_000)), thrift.due()), (None, None));
}

#[test]
fn completed_calls_let_more_cancels_leave() {
    let mut thrift = Thrift::default();
    (0..100).for_each(|_| thrift.completed());
    for id in 0..130 {
        assert_eq!(thrift.cancel(at(0), id), Fate::Leaves, "{id}");
    }
    assert_eq!(thrift.cancel(at(0), 130), Fate::Waits);
    assert_eq!(thrift.release(at(13)), None, "three quarters of a token");
    assert_eq!(thrift.release(at(14)), Some(130));
}

#[test]
fn no_more_than_sixty_cancels_that_were_not_earned_are_under_way() {
    let mut thrift = Thrift::default();
    // One completed call allows five cancels and earns one.
    (0..20).for_each(|_| thrift.completed());
    let mut left = 0;
    for id in 0..200 {
        left += u32::from(thrift.cancel(at(id * 20), id) == Fate::Leaves);
    }
    assert_eq!(left, 20 + 60);
    assert_eq!(thrift.release(at(4_000)), None);
    thrift.answered(25);
    assert_eq!(thrift.release(at(4_000)), None, "its cancel may still be under way");
    thrift.stopped(25);
    assert_eq!((thrift.release(at(4_000)), thrift.release(at(4_000))), (Some(80), None));
}

#[test]
fn a_cancel_that_is_not_needed_any_more_never_leaves() {
    let mut thrift = Thrift::default();
    for id in 0..33 {
        thrift.cancel(at(0), id);
    }
    thrift.answered(31);
    let left: Vec<u64> = std::iter::from_fn(|| thrift.release(at(20_000))).collect();
    assert_eq!(left, [30, 32]);
}

#[test]
fn cancels_that_wait_are_bounded() {
    let mut thrift = Thrift::default();
    let fates: Vec<Fate> = (0..2_000).map(|id| thrift.cancel(at(0), id)).collect();
    let count = |fate| fates.iter().filter(|found| **found == fate).count();
    assert_eq!((count(Fate::Leaves), count(Fate::Waits)), (30, limits::CANCELS_WITHHELD_MAX));
    assert_eq!(count(Fate::Dropped), 2_000 - 30 - limits::CANCELS_WITHHELD_MAX);
}

/// What happens at the sender within some milliseconds.
#[derive(Clone, Debug)]
struct Burst {
    /// Milliseconds until the next one, by the sender's clock.
    after: u64,
    calls: u32,
    /// How many of 100 are cancelled at once; the others are completed.
    cancels: u32,
    /// Until when the network holds everything back from now on.
    stall: u64,
}

fn burst() -> impl Strategy<Value = Burst> {
    let after = prop_oneof![4 => 0_u64..20, 2 => 20_u64..2_000, 1 => 2_000_u64..20_000];
    let stall = prop_oneof![6 => Just(0_u64), 2 => 0_u64..300, 1 => 300_u64..6_000];
    (after, 0_u32..400, 0_u32..=100, stall).prop_map(|(after, calls, cancels, stall)| Burst {
        after,
        calls,
        cancels,
        stall,
    })
}

/// One direction of a network that keeps the order and loses nothing.
#[derive(Default)]
struct Road {
    frames: VecDeque<(u64, Frame)>,
    latest: u64,
}

#[derive(Clone, Copy)]
enum Frame {
    Request {
        completes: bool,
    },
    Cancel(u64),
    Small,
    /// The answer to a call, or to a cancel.
    Result,
    Stopped(u64),
}

impl Road {
    fn send(&mut self, at: u64, frame: Frame) {
        self.latest = self.latest.max(at);
        self.frames.push_back((self.latest, frame));
    }

    fn arrived(&mut self, now: u64) -> Option<Frame> {
        self.frames.pop_front_if(|(at, _)| *at <= now).map(|(_, frame)| frame)
    }
}

/// Both ends, on a clock of true milliseconds.
struct World {
    thrift: Thrift,
    allowance: Allowance,
    there: Road,
    back: Road,
    now: u64,
    /// Percent by which the sender's clock is faster, plus 100.
    rate: u64,
    next: u64,
    delay: u64,
    free_from: u64,
    cancels: u64,
}

impl World {
    fn sender_now(&self) -> Instant {
        at(self.now * self.rate / 100)
    }

    fn put(&mut self, frame: Frame) {
        self.cancels += u64::from(matches!(frame, Frame::Cancel(_)));
        self.there.send((self.now + self.delay).max(self.free_from), frame);
    }

    fn burst(&mut self, burst: &Burst) {
        self.free_from = self.free_from.max(self.now + burst.stall);
        for n in 0..burst.calls {
            let id = self.next;
            self.next += 1;
            let cancelled = n * 100 < burst.cancels * burst.calls;
            self.put(Frame::Request { completes: !cancelled || n % 3 == 0 });
            if cancelled && self.thrift.cancel(self.sender_now(), id) == Fate::Leaves {
                self.put(Frame::Cancel(id));
            }
        }
    }

    /// Everything that arrives until then, a millisecond at a time.
    fn pass(&mut self, millis: u64) {
        for _ in 0..millis {
            self.now += 1;
            if self.now.is_multiple_of(1_000) {
                let now = self.sender_now();
                self.thrift.spend(now);
                self.put(Frame::Small);
            }
            while let Some(frame) = self.there.arrived(self.now) {
                self.read(frame);
            }
            while let Some(frame) = self.back.arrived(self.now) {
                match frame {
                    Frame::Result => self.thrift.completed(),
                    Frame::Stopped(id) => self.thrift.stopped(id),
                    _ => {}
                }
            }
            while let Some(id) = self.thrift.release(self.sender_now()) {
                self.put(Frame::Cancel(id));
            }
        }
    }

    fn read(&mut self, frame: Frame) {
        let back = (self.now + self.delay).max(self.free_from);
        let spent = match frame {
            Frame::Request { completes } => {
                if completes {
                    self.allowance.completed();
                    self.back.send(back, Frame::Result);
                }
                Ok(())
            }
            Frame::Cancel(id) => {
                self.back.send(back, Frame::Stopped(id));
                self.allowance.spend_cancel(at(self.now))
            }
            _ => self.allowance.spend(at(self.now)),
        };
        assert_eq!(spent, Ok(()), "an honest sender is cut at {} ms", self.now);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn an_honest_sender_is_never_cut_whatever_the_network_and_the_clocks_do(
        bursts in prop::collection::vec(burst(), 1..60), rate in 90_u64..=110, delay in 0_u64..400
    ) {
        let mut world = World {
            thrift: Thrift::default(),
            allowance: Allowance::default(),
            there: Road::default(),
            back: Road::default(),
            now: 0,
            rate,
            next: 0,
            delay,
            free_from: 0,
            cancels: 0,
        };
        for burst in &bursts {
            world.burst(burst);
            world.pass(burst.after);
        }
        world.pass(60_000);
        prop_assert!(!world.thrift.is_withholding() || world.cancels > 0);
    }
}
