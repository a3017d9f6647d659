//! Durations and sizes as people write them. A bare duration is an error: 5 of what?

use std::time::Duration;

use peerage::limits;

/// Reads a duration: a number with `ms`, `s`, `m` or `h`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = split(text);
    let unit_seconds = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        "" if !number.is_empty() => {
            return Err(format!("the unit is missing: write {number}ms, {number}s, {number}m or {number}h"));
        }
        _ => return Err(DURATION_FORM.to_owned()),
    };
    let number: f64 = number.parse().map_err(|_| DURATION_FORM.to_owned())?;
    let seconds = number * unit_seconds;
    if seconds > DURATION_MAX.as_secs_f64() {
        return Err(format!("at most {}h", DURATION_MAX.as_secs() / 3_600));
    }
    Ok(Duration::from_secs_f64(seconds))
}

/// A duration as [`duration`] reads it, in the largest unit that keeps it whole.
pub(crate) fn written(duration: Duration) -> String {
    let millis = duration.as_millis();
    match millis {
        0 => "0s".to_owned(),
        _ if millis.is_multiple_of(3_600_000) => format!("{}h", millis / 3_600_000),
        _ if millis.is_multiple_of(60_000) => format!("{}m", millis / 60_000),
        _ if millis.is_multiple_of(1_000) => format!("{}s", millis / 1_000),
        _ => format!("{millis}ms"),
    }
}

/// Reads a size of frames in bytes: a number alone, or with `KiB`, `MiB` or `GiB`.
pub(super) fn frame_size(text: &str) -> Result<u32, String> {
    let bytes = size(text)?;
    match u32::try_from(bytes) {
        Ok(bytes @ 1..=limits::FRAME_BYTES_MAX) => Ok(bytes),
        _ => Err(format!("a frame has 1 byte to {}MiB", limits::FRAME_BYTES_MAX >> 20)),
    }
}

/// Reads a size of what a call brings, which must fit into a frame with all that is around it.
pub(super) fn bench_size(text: &str) -> Result<u32, String> {
    match u32::try_from(size(text)?) {
        Ok(bytes @ 0..=BENCH_BYTES_MAX) => Ok(bytes),
        _ => Err(format!("a call that is measured brings at most {}KiB", BENCH_BYTES_MAX >> 10)),
    }
}

/// Reads a size of items of a stream.
pub(super) fn item_size(text: &str) -> Result<u32, String> {
    match u32::try_from(size(text)?) {
        Ok(bytes @ 1..=ITEM_BYTES_MAX) => Ok(bytes),
        _ => Err(format!("an item that is measured has 1 byte to {}MiB", ITEM_BYTES_MAX >> 20)),
    }
}

fn size(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text);
    let unit_bytes: u64 = match unit {
        "" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(SIZE_FORM.to_owned()),
    };
    let number: u64 = number.parse().map_err(|_| SIZE_FORM.to_owned())?;
    number.checked_mul(unit_bytes).ok_or_else(|| SIZE_FORM.to_owned())
}

/// The digits in front, and what follows them.
fn split(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    text.split_at(end)
}

/// Longest duration taken: a year. No sum of two overflows any clock.
const DURATION_MAX: Duration = Duration::from_secs(366 * 24 * 3_600);

/// Half of the frame that a link carries.
const BENCH_BYTES_MAX: u32 = 512 << 10;

/// Half of what a link holds of a value.
const ITEM_BYTES_MAX: u32 = (limits::VALUE_BYTES_MAX / 2) as u32;

const DURATION_FORM: &str = "write a number with its unit: ms, s, m or h, as in 500ms or 30s";

const SIZE_FORM: &str = "write bytes as a whole number, or one with KiB, MiB or GiB, as in 64KiB";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit() {
        let table = [("5ms", 5), ("1.5s", 1_500), ("2m", 120_000), ("1h", 3_600_000), ("0s", 0)];
        for (text, millis) in table {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        assert_eq!(duration("5").unwrap_err(), "the unit is missing: write 5ms, 5s, 5m or 5h");
        for text in ["", "s", "-5s", "5 s", "5sec", "1.2.3s", "infs", "5d"] {
            assert_eq!(duration(text).unwrap_err(), DURATION_FORM, "{text}");
        }
        assert_eq!(duration("9999999h").unwrap_err(), "at most 8784h");
    }

    #[test]
    fn durations_are_written_as_they_are_read() {
        for text in ["0s", "5ms", "1500ms", "30s", "2m", "1h"] {
            assert_eq!(duration(text).map(written), Ok(text.to_owned()));
        }
    }

    #[test]
    fn sizes_are_bytes_or_have_a_binary_unit() {
        assert_eq!(frame_size("100"), Ok(100));
        assert_eq!(frame_size("64KiB"), Ok(64 << 10));
        assert_eq!(frame_size("64MiB"), Ok(64 << 20));
        for text in ["", "KiB", "1MB", "1.5KiB", "1 KiB", "99999999999999999999GiB"] {
            assert_eq!(frame_size(text).unwrap_err(), SIZE_FORM, "{text}");
        }
        for text in ["0", "65MiB", "1GiB"] {
            assert_eq!(frame_size(text).unwrap_err(), "a frame has 1 byte to 64MiB", "{text}");
        }
    }
}
