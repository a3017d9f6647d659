//! The time of day, read less often than it is asked for.
//!
//! Reading the clock is a good part of the cost of a call, and calls come in bursts: within one burst a single reading
//! serves all. How old a reading is can be told much cheaper than by reading the clock again, from the kernel's coarse
//! clock, which only moves every few milliseconds.

use tokio::time::Instant;

/// A reading of the clock that may be used for a while.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    read: Instant,
    /// What the coarse clock showed then.
    coarse: Coarse,
}

impl Clock {
    /// Reads the clock.
    pub(super) fn read() -> Clock {
        Clock { read: Instant::now(), coarse: coarse() }
    }

    /// The latest reading, however old.
    pub(super) fn latest(&self) -> Instant {
        self.read
    }

    /// Notes a reading made elsewhere.
    pub(super) fn note(&mut self, now: Instant) {
        self.read = now;
        self.coarse = coarse();
    }

    /// The time, at most one step of the coarse clock (4 ms, usually) ago.
    #[inline]
    pub(super) fn recent(&mut self) -> Instant {
        if coarse() != self.coarse {
            *self = Clock::read();
        }
        self.read
    }
}

#[cfg(target_os = "linux")]
type Coarse = (i64, i64);

#[cfg(target_os = "linux")]
fn coarse() -> Coarse {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::MonotonicCoarse);
    (time.tv_sec, time.tv_nsec)
}

/// Where there is no such clock, every reading is too old: this is not even equal to itself.
#[cfg(not(target_os = "linux"))]
type Coarse = f64;

#[cfg(not(target_os = "linux"))]
fn coarse() -> Coarse {
    f64::NAN
}
