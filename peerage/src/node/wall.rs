//! Times on the wall, for people: RFC 3339 in UTC with microseconds. Nothing here is ever compared or waited for.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// A time as text, such as `2026-11-21T09:00:00.000001Z`.
pub(crate) fn wall(time: SystemTime) -> String {
    // A clock before 1970 is shown as 1970.
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, seconds) = (since.as_secs() / DAY, since.as_secs() % DAY);
    let (year, month, day) = date(days);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:06}Z", since.subsec_micros())
}

/// A moment of the past, or of the future, as such a text.
pub(crate) fn wall_at(at: Instant) -> String {
    let (now, wall_now) = (Instant::now(), SystemTime::now());
    let at = match now.checked_duration_since(at) {
        Some(past) => wall_now.checked_sub(past),
        None => wall_now.checked_add(at.saturating_duration_since(now)),
    };
    wall(at.unwrap_or(UNIX_EPOCH))
}

/// The same moment on this machine's monotonic clock, which all processes share, in microseconds.
pub(crate) fn mono_us_at(at: Instant) -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let now_us = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1_000;
    let past = at.elapsed().as_micros() as i128;
    u64::try_from(now_us - past).unwrap_or(0)
}

/// Year, month and day so many days after 1970-01-01.
///
/// Counted from 1 March of the year 0, so that leap days come last in their year: 400 years are 146,097 days, and the
/// months from March on have the same lengths in every year.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let (day, month) = (day - (153 * month + 2) / 5 + 1, if month < 10 { month + 3 } else { month - 9 });
    (era * 400 + year + u64::from(month <= 2), month, day)
}

const DAY: u64 = 86_400;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_are_written_as_rfc_3339_has_it() {
        for (seconds, micros, text) in [
            (0, 0, "1970-01-01T00:00:00.000000Z"),
            (951_782_399, 999_999, "2000-02-28T23:59:59.999999Z"),
            (951_782_400, 0, "2000-02-29T00:00:00.000000Z"),
            (951_868_800, 0, "2000-03-01T00:00:00.000000Z"),
            (1_763_712_000, 1, "2025-11-21T08:00:00.000001Z"),
            (4_107_542_399, 0, "2100-02-28T23:59:59.000000Z"),
            (4_107_542_400, 0, "2100-03-01T00:00:00.000000Z"),
        ] {
            assert_eq!(wall(UNIX_EPOCH + Duration::new(seconds, micros * 1_000)), text);
        }
    }

    #[test]
    fn each_day_of_eight_hundred_years_follows_the_one_before() {
        let mut before = date(0);
        for days in 1..292_194 {
            let (year, month, day) = date(days);
            let next = (year, month, day) == (before.0, before.1, before.2 + 1)
                || ((year, month, day) == (before.0, before.1 + 1, 1) && before.2 >= 28)
                || ((year, month, day) == (before.0 + 1, 1, 1) && (before.1, before.2) == (12, 31));
            assert!(next, "{before:?} is followed by {:?}", (year, month, day));
            before = (year, month, day);
        }
    }
}
