//! How patient a link is.

use std::time::Duration;

use crate::limits;

/// How long a link may be silent: the interval of its pings, which everything else is a multiple of.
///
/// | profile | ping after | suspect after | lost after |
/// |---|---|---|---|
/// | [`LAN`](Profile::LAN) (default) | 1 s | 3 s | 6 s |
/// | [`WAN`](Profile::WAN) | 5 s | 15 s | 30 s |
/// | [`IDLE`](Profile::IDLE) | 15 s | 45 s | 90 s |
///
/// Each end announces its own, and the slower of both rules the link; so the order of profiles is from quick to slow.
/// Choose at least ten times the round trip.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Profile {
    interval: Duration,
}

impl Profile {
    /// For nodes of one network: a dead peer is noticed within 6 s.
    pub const LAN: Profile = Profile { interval: limits::PING_LAN };
    /// For nodes far apart: 30 s.
    pub const WAN: Profile = Profile { interval: limits::PING_WAN };
    /// For many links that are mostly idle: 90 s.
    pub const IDLE: Profile = Profile { interval: limits::PING_IDLE };

    /// A profile with pings after this much silence, moved into [`limits::PING_MIN`] … [`limits::PING_MAX`].
    pub fn every(interval: Duration) -> Profile {
        Profile { interval: interval.clamp(limits::PING_MIN, limits::PING_MAX) }
    }

    /// The profile a peer announces, in milliseconds, moved into the same bounds.
    pub fn from_millis(interval: u64) -> Profile {
        Profile::every(Duration::from_millis(interval))
    }

    /// What to announce: the interval in milliseconds.
    pub fn as_millis(self) -> u64 {
        self.interval.as_millis().try_into().unwrap_or(u64::MAX)
    }

    /// Silence after which a ping is sent, and between two pings.
    pub fn interval(self) -> Duration {
        self.interval
    }

    /// Silence after which the peer is suspected.
    pub fn suspect_after(self) -> Duration {
        self.interval.saturating_mul(SUSPECT_INTERVALS)
    }

    /// Silence after which the link is lost.
    pub fn lost_after(self) -> Duration {
        self.interval.saturating_mul(LOST_INTERVALS)
    }
}

impl Default for Profile {
    fn default() -> Profile {
        Profile::LAN
    }
}

/// Silent intervals until a peer is suspected: two lost pings alone do not make one.
const SUSPECT_INTERVALS: u32 = 3;

/// Silent intervals until a link is lost: as long again, for a check by others in between.
const LOST_INTERVALS: u32 = 6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_profiles_are_those_of_the_guarantees() {
        let seconds = |profile: Profile| {
            [profile.interval(), profile.suspect_after(), profile.lost_after()].map(|time| time.as_secs())
        };
        assert_eq!(seconds(Profile::LAN), [1, 3, 6]);
        assert_eq!(seconds(Profile::WAN), [5, 15, 30]);
        assert_eq!(seconds(Profile::IDLE), [15, 45, 90]);
        assert_eq!(Profile::default(), Profile::LAN);
        assert!(Profile::LAN < Profile::WAN && Profile::WAN < Profile::IDLE, "the slower one is the greater");
    }

    #[test]
    fn an_announced_profile_is_moved_into_its_bounds() {
        assert_eq!(Profile::from_millis(Profile::WAN.as_millis()), Profile::WAN);
        assert_eq!(Profile::from_millis(0).as_millis(), 250);
        assert_eq!(Profile::from_millis(u64::MAX).as_millis(), 60_000);
    }
}
