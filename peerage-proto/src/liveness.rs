//! Whether a peer still lives: when to ask, and when to give up.
//!
//! A connection that nobody cut and nobody answers on looks like one on which nothing happens. So a link on which nothing
//! arrived for a while is asked for a sign of life, and one that gives none is suspected and then given up (PROTOCOL §10.1):
//!
//! ```text
//!   last byte heard ──interval──▶ ping ──interval──▶ ping ─ … ─ 3 × interval: Quiet ─ … ─ 6 × interval: Lost
//! ```
//!
//! * Any byte that arrives counts as life. The first ping follows the start at once.
//! * Who hears much and says nothing asks as well, so that it is heard: the ping of the other end may wait behind megabytes
//!   that a slow connection has taken already. Where both ends talk nobody is asked.
//! * Pings leave on a grid of time that all links of a node share, so that a node with many idle links seldom wakes.
//! * A node that knows itself to be slow is slow to judge: all verdicts wait so many times as long (Lifeguard; Dadgar,
//!   Phillips, Currey, 2018).
//! * Silence that this end did not listen to proves nothing. After a **jump** of the time (the process was stopped, the
//!   machine suspended) the silence counts anew from there, behind a ping of a new round.
//!
//! A pong answers its ping and all before it. The machine holds no clock: it is told the time and says when it wants to be
//! woken, rather too early than too late; a link that hears something all the time moves nothing but one number.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::limits;

mod profile;
#[cfg(test)]
mod tests;

pub use profile::Profile;

/// Watches one peer.
#[derive(Debug)]
pub struct Liveness {
    own: Profile,
    /// The slower one of both ends.
    ruling: Profile,
    grid: Instant,
    health: u8,
    /// When the peer was heard last, or when listening began.
    heard: Instant,
    /// When anything was sent last.
    spoke: Instant,
    /// When the last ping left; none before the first.
    pinged: Option<Instant>,
    /// Number of the next ping.
    next: u64,
    /// Pings that have no answer yet, oldest first, and when they left. The oldest are forgotten.
    asked: VecDeque<(u64, Instant)>,
    is_quiet: bool,
    rtt: Option<Duration>,
    due: Instant,
}

/// What is to be done about a peer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Act {
    /// Send a ping with this number.
    Ping(u64),
    /// The peer is suspected from now on.
    Quiet,
    /// The peer is lost. Nothing more is to be expected of it.
    Lost,
}

/// A pong with a number that no ping had.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a pong to no ping")]
pub struct Unasked;

impl Liveness {
    /// Begins to watch. The first ping is due at once.
    ///
    /// Pings leave at moments of the `grid`, counted in steps of [`limits::PING_GRID`] from there.
    pub fn new(now: Instant, profile: Profile, grid: Instant) -> Liveness {
        Liveness {
            own: profile,
            ruling: profile,
            grid,
            health: 1,
            heard: now,
            spoke: now,
            pinged: None,
            next: 0,
            asked: VecDeque::new(),
            is_quiet: false,
            rtt: None,
            due: now,
        }
    }

    /// Something of the peer arrived. Returns whether it was suspected until now.
    #[inline]
    pub fn heard(&mut self, now: Instant) -> bool {
        self.heard = self.heard.max(now);
        std::mem::take(&mut self.is_quiet)
    }

    /// Something was sent.
    #[inline]
    pub fn spoke(&mut self, now: Instant) {
        self.spoke = self.spoke.max(now);
    }

    /// A pong arrived.
    ///
    /// # Errors
    /// [`Unasked`] if no ping had this number.
    pub fn pong(&mut self, now: Instant, number: u64) -> Result<(), Unasked> {
        if number >= self.next {
            return Err(Unasked);
        }
        while let Some((oldest, at)) = self.asked.front().copied()
            && oldest <= number
        {
            self.asked.pop_front();
            if oldest == number {
                self.rtt = Some(now.saturating_duration_since(at));
            }
        }
        Ok(())
    }

    /// What is to be done now. To be asked until there is nothing, whenever [`due`](Self::due) has come.
    pub fn act(&mut self, now: Instant) -> Option<Act> {
        if now < self.due {
            return None;
        }
        let silence = now.saturating_duration_since(self.heard);
        if silence >= self.patience(self.ruling.lost_after()) {
            self.due = later(now, self.ruling.lost_after());
            return Some(Act::Lost);
        }
        if silence >= self.patience(self.ruling.suspect_after()) && !self.is_quiet {
            self.is_quiet = true;
            return Some(Act::Quiet);
        }
        if self.next_ping().is_none_or(|at| at <= now) {
            return Some(Act::Ping(self.ping(now)));
        }
        self.plan(now);
        None
    }

    /// Notes that the time jumped: silence counts anew from now. Returns the number of the ping that must leave now.
    #[must_use = "the round begins with this ping"]
    pub fn begin_round(&mut self, now: Instant) -> u64 {
        self.skip(now);
        self.ping(now)
    }

    /// Notes that until now this end did not listen, so that the silence says nothing.
    pub fn skip(&mut self, now: Instant) {
        self.heard = self.heard.max(now);
    }

    /// The peer announces how patient it is. The slower end rules the link.
    pub fn peer_announces(&mut self, now: Instant, profile: Profile) {
        self.ruling = self.own.max(profile);
        self.plan(now);
    }

    /// How slow this process is: 1 (not at all) to 8, moved into these bounds.
    pub fn set_local_health(&mut self, now: Instant, factor: u8) {
        self.health = factor.clamp(1, limits::LOCAL_HEALTH_MAX);
        self.plan(now);
    }

    /// Whether the time jumped: it is [`limits::JUMP`] or more after the time for which waking was asked.
    #[inline]
    pub fn has_jumped(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.due) >= limits::JUMP
    }

    /// When to ask [`act`](Self::act) again.
    #[inline]
    pub fn due(&self) -> Instant {
        self.due
    }

    /// Whether the peer is suspected.
    pub fn is_quiet(&self) -> bool {
        self.is_quiet
    }

    /// When the peer was heard last, or when listening began anew.
    pub fn heard_at(&self) -> Instant {
        self.heard
    }

    /// The latest round trip: from a ping to its pong.
    pub fn rtt(&self) -> Option<Duration> {
        self.rtt
    }

    /// The profile that rules the link.
    pub fn profile(&self) -> Profile {
        self.ruling
    }

    /// Pings sent so far.
    pub fn pings(&self) -> u64 {
        self.next
    }

    /// Notes that a ping leaves now, whether it is due or not. Returns its number.
    #[must_use = "a ping with this number must leave"]
    pub fn ping(&mut self, now: Instant) -> u64 {
        let number = self.next;
        self.next = self.next.saturating_add(1);
        if self.asked.len() >= ASKED_MAX {
            self.asked.pop_front();
        }
        self.asked.push_back((number, now));
        self.pinged = Some(now);
        self.plan(now);
        number
    }

    /// When the next ping is due; none: at once.
    fn next_ping(&self) -> Option<Instant> {
        let quiet_since = self.pinged?.max(self.heard.min(self.spoke));
        Some(on_grid(self.grid, later(quiet_since, self.ruling.interval())))
    }

    /// Never plans for a time that is over: it would look like a jump.
    fn plan(&mut self, now: Instant) {
        let verdict = if self.is_quiet { self.ruling.lost_after() } else { self.ruling.suspect_after() };
        let verdict = later(self.heard, self.patience(verdict));
        self.due = self.next_ping().map_or(now, |ping| ping.min(verdict)).max(now);
    }

    fn patience(&self, time: Duration) -> Duration {
        time.saturating_mul(u32::from(self.health))
    }
}

/// The first moment of the grid at or after `at`.
fn on_grid(grid: Instant, at: Instant) -> Instant {
    let step = limits::PING_GRID.as_nanos();
    let missing = match at.checked_duration_since(grid) {
        Some(since) => match since.as_nanos().checked_rem(step) {
            Some(beyond) if beyond > 0 => step.saturating_sub(beyond),
            _ => 0,
        },
        None => grid.saturating_duration_since(at).as_nanos().checked_rem(step).unwrap_or(0),
    };
    // Less than a step, which is far less than 2^64 nanoseconds.
    later(at, Duration::from_nanos(missing.try_into().unwrap_or(0)))
}

/// `at + time`, or `at` where that is beyond what an `Instant` can hold.
fn later(at: Instant, time: Duration) -> Instant {
    at.checked_add(time).unwrap_or(at)
}

/// Unanswered pings whose times are remembered: as many as a link survives without an answer.
const ASKED_MAX: usize = 8;
