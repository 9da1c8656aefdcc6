//! Times and durations as people read them, and the one form in which the ledger writes them.
//! Pure arithmetic: the caller says what time it is and how far its zone is from UTC.

use std::fmt::Write as _;

const SECOND: u64 = 1000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// How long something took, to two units: `850 ms`, `3.2 s`, `42 s`, `3 m 12 s`, `2 h 5 m`, `4 d 3 h`.
#[must_use]
pub fn duration(ms: u64) -> String {
    match ms {
        0..SECOND => format!("{ms} ms"),
        SECOND..10_000 => format!("{}.{} s", ms / SECOND, ms % SECOND / 100),
        10_000..MINUTE => format!("{} s", ms / SECOND),
        MINUTE..HOUR => two(ms / MINUTE, 'm', ms % MINUTE / SECOND, 's'),
        HOUR..DAY => two(ms / HOUR, 'h', ms % HOUR / MINUTE, 'm'),
        _ => two(ms / DAY, 'd', ms % DAY / HOUR, 'h'),
    }
}

fn two(many: u64, unit: char, rest: u64, smaller: char) -> String {
    if rest == 0 { format!("{many} {unit}") } else { format!("{many} {unit} {rest} {smaller}") }
}

/// How long ago something was, to one unit: `just now`, `12 s ago`, `3 m ago`, `2 h ago`, `5 d ago`. What lies in the
/// future, as after a clock was set back, is `just now`.
#[must_use]
pub fn age(then_ms: u64, now_ms: u64) -> String {
    match now_ms.saturating_sub(then_ms) {
        0..SECOND => "just now".to_owned(),
        ms @ SECOND..MINUTE => format!("{} s ago", ms / SECOND),
        ms @ MINUTE..HOUR => format!("{} m ago", ms / MINUTE),
        ms @ HOUR..DAY => format!("{} h ago", ms / HOUR),
        ms => format!("{} d ago", ms / DAY),
    }
}

/// A moment in a column of a table: `14:03:12` on the same day, `11-03 14:03` in the same year, else `2026-11-03`.
/// `offset` is the seconds by which the reader's zone is ahead of UTC.
#[must_use]
pub fn short_time(ms: u64, now_ms: u64, offset: i32) -> String {
    let (then, now) = (Civil::new(shifted(ms, offset)), Civil::new(shifted(now_ms, offset)));
    let Civil { year, month, day, hour, minute, second, .. } = then;
    if (year, month, day) == (now.year, now.month, now.day) {
        format!("{hour:02}:{minute:02}:{second:02}")
    } else if year == now.year {
        format!("{month:02}-{day:02} {hour:02}:{minute:02}")
    } else {
        format!("{year:04}-{month:02}-{day:02}")
    }
}

fn shifted(ms: u64, offset: i32) -> u64 {
    ms.saturating_add_signed(i64::from(offset) * 1000)
}

/// A moment as RFC 3339 has it, in UTC with milliseconds: `2026-11-03T14:03:12.045Z`.
#[must_use]
pub fn rfc3339(ms: u64) -> String {
    let Civil { year, month, day, hour, minute, second, millisecond } = Civil::new(ms);
    let mut out = String::with_capacity(24);
    // Writing into a String cannot fail.
    let _ = write!(
        out,
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millisecond:03}Z"
    );
    out
}

/// A moment in the Gregorian calendar, in UTC.
struct Civil {
    year: u64,
    month: u64,
    day: u64,
    hour: u64,
    minute: u64,
    second: u64,
    millisecond: u64,
}

impl Civil {
    fn new(ms: u64) -> Self {
        let (year, month, day) = date(ms / DAY);
        Self {
            year,
            month,
            day,
            hour: ms % DAY / HOUR,
            minute: ms % HOUR / MINUTE,
            second: ms % MINUTE / SECOND,
            millisecond: ms % SECOND,
        }
    }
}

/// Year, month and day of a day counted from 1970-01-01.
///
/// Years are counted from March, so that the leap day is the last of its year, and in eras of 400 years, which all
/// have 146,097 days.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468; // from 0000-03-01
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let leaps = day_of_era / 1_460 - day_of_era / 36_524 + day_of_era / 146_096;
    let year_of_era = (day_of_era - leaps) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // From March on, five months always have 153 days together.
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_at_most_two_units() {
        for (ms, shown) in [
            (0, "0 ms"),
            (999, "999 ms"),
            (3_250, "3.2 s"),
            (42_999, "42 s"),
            (192_000, "3 m 12 s"),
            (180_000, "3 m"),
            (7_500_000, "2 h 5 m"),
            (99 * HOUR, "4 d 3 h"),
        ] {
            assert_eq!(duration(ms), shown);
        }
        assert_eq!(duration(u64::MAX), "213503982334 d 14 h");
    }

    #[test]
    fn ages_have_one_unit_and_the_future_is_now() {
        for (ms, shown) in [
            (999, "just now"),
            (12_345, "12 s ago"),
            (HOUR - 1, "59 m ago"),
            (2 * HOUR + MINUTE, "2 h ago"),
            (DAY * 400, "400 d ago"),
        ] {
            assert_eq!(age(1_000_000, 1_000_000 + ms), shown);
        }
        assert_eq!(age(5_000, 0), "just now");
    }

    #[test]
    fn moments_are_written_in_the_calendar() {
        for (ms, shown) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_709_251_199_999, "2024-02-29T23:59:59.999Z"),
            (1_793_714_592_045, "2026-11-03T14:03:12.045Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(rfc3339(ms), shown);
        }
        assert!(rfc3339(u64::MAX).ends_with('Z'));
    }

    #[test]
    fn every_day_of_four_centuries_follows_the_one_before() {
        let lengths = |year: u64| {
            let leap =
                year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
            [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
        };
        let mut expected = (1970, 1, 1);
        for day in 0..=146_097 {
            assert_eq!(date(day), expected);
            let (year, month, last) = expected;
            let month_index = usize::try_from(month - 1).unwrap();
            expected = if last < lengths(year)[month_index] {
                (year, month, last + 1)
            } else if month < 12 {
                (year, month + 1, 1)
            } else {
                (year + 1, 1, 1)
            };
        }
    }

    #[test]
    fn a_table_shows_the_part_of_a_time_that_differs() {
        let now = 1_793_714_592_045;
        assert_eq!(short_time(now - HOUR, now, 0), "13:03:12");
        assert_eq!(short_time(now - HOUR, now, 3600), "14:03:12");
        assert_eq!(short_time(now - DAY, now, 0), "11-02 14:03");
        assert_eq!(short_time(now - 400 * DAY, now, 0), "2025-09-29");
        assert_eq!(short_time(0, now, -3600), "1970-01-01");
    }
}
