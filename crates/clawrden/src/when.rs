//! Times as people write and read them. The wire has milliseconds since the Unix epoch.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::sys;

/// Why a time was not understood.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no time; write a span such as `90s`, `15m`, `1h`, `2d`, `1h30m`, or a moment such as \
     `2026-05-04`, `2026-05-04 13:30`, `13:30` (local), `2026-05-04T13:30:00Z`"
)]
pub(crate) struct NoTime(String);

/// Milliseconds since the epoch.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Reads a span before `now_ms`, or a moment; gives milliseconds since the epoch.
///
/// # Errors
/// [`NoTime`] for anything else.
pub(crate) fn parse(text: &str, now_ms: u64) -> Result<u64, NoTime> {
    let text = text.trim();
    span_ms(text)
        .map(|span| now_ms.saturating_sub(span))
        .or_else(|| moment_ms(text, now_ms))
        .ok_or_else(|| NoTime(text.to_owned()))
}

/// `1h30m` in milliseconds. Every number needs its unit: s, m, h, d or w.
fn span_ms(text: &str) -> Option<u64> {
    let mut total: u64 = 0;
    let mut number: Option<u64> = None;
    for c in text.chars() {
        if let Some(digit) = c.to_digit(10) {
            number = Some(number.unwrap_or(0).checked_mul(10)?.checked_add(u64::from(digit))?);
            continue;
        }
        let seconds: u64 = match c {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            'w' => 604_800,
            _ => return None,
        };
        total = total.checked_add(number.take()?.checked_mul(seconds)?.checked_mul(1000)?)?;
    }
    (number.is_none() && !text.is_empty()).then_some(total)
}

fn moment_ms(text: &str, now_ms: u64) -> Option<u64> {
    let (date, clock) = match text.split_once(['T', ' ']) {
        Some((date, clock)) => (date_of(date)?, clock),
        None if text.contains(':') => {
            let today = sys::local_time(i64::try_from(now_ms / 1000).ok()?)?;
            ((today.year, today.month, today.day), text)
        }
        None => (date_of(text)?, "00:00"),
    };
    let (clock, zone) = zone_of(clock)?;
    let mut parts = clock.split(':').map(two_digits);
    let (hour, minute) = (parts.next()??, parts.next()??);
    let second = parts.next().unwrap_or(Some(0))?;
    if hour > 23 || minute > 59 || second > 60 || parts.next().is_some() {
        return None;
    }
    let (year, month, day) = date;
    let seconds = match zone {
        Some(east) => {
            days_since_epoch(year, month, day) * 86_400
                + i64::from(hour) * 3600
                + i64::from(minute) * 60
                + i64::from(second)
                - east
        }
        None => sys::from_local_time(sys::LocalTime { year, month, day, hour, minute, second })?,
    };
    u64::try_from(seconds).ok()?.checked_mul(1000)
}

fn date_of(text: &str) -> Option<(i32, u32, u32)> {
    let mut parts = text.split('-');
    let year = parts.next().filter(|y| y.len() == 4)?.parse().ok()?;
    let (month, day) = (two_digits(parts.next()?)?, two_digits(parts.next()?)?);
    let fits = (1..=12).contains(&month) && (1..=31).contains(&day) && parts.next().is_none();
    fits.then_some((year, month, day))
}

fn two_digits(text: &str) -> Option<u32> {
    let fits = (1..=2).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    if fits { text.parse().ok() } else { None }
}

/// Splits a zone off the end of a clock time: seconds east of Greenwich, `None` for local time.
fn zone_of(clock: &str) -> Option<(&str, Option<i64>)> {
    if let Some(utc) = clock.strip_suffix(['Z', 'z']) {
        return Some((utc, Some(0)));
    }
    let Some(at) = clock.find(['+', '-']) else { return Some((clock, None)) };
    let (hours, minutes) = clock[at + 1..].split_once(':')?;
    let east = i64::from(two_digits(hours)?) * 3600 + i64::from(two_digits(minutes)?) * 60;
    let east = if clock[at..].starts_with('-') { -east } else { east };
    Some((&clock[..at], Some(east)))
}

/// Days from 1970-01-01 in the proleptic Gregorian calendar, counting years from March so that leap days come last.
fn days_since_epoch(year: i32, month: u32, day: u32) -> i64 {
    let (month, day) = (i64::from(month), i64::from(day));
    let year = i64::from(year) - i64::from(month <= 2);
    let months_since_march = (month + 9) % 12;
    let day_of_year = (153 * months_since_march + 2) / 5 + day - 1;
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    // 1970-01-01 is day 719468 counted from 0000-03-01.
    year * 365 + leap_days + day_of_year - 719_468
}

/// A moment in local time, for people: the clock alone when it is of the same day as `now_ms`.
pub(crate) fn moment(ms: u64, now_ms: u64) -> String {
    let local = |ms: u64| i64::try_from(ms / 1000).ok().and_then(sys::local_time);
    let (Some(t), Some(now)) = (local(ms), local(now_ms)) else { return format!("{ms} ms") };
    let clock = format!("{:02}:{:02}:{:02}", t.hour, t.minute, t.second);
    if (t.year, t.month, t.day) == (now.year, now.month, now.day) {
        clock
    } else {
        format!("{:04}-{:02}-{:02} {clock}", t.year, t.month, t.day)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_777_900_000_000;

    #[test]
    fn a_span_counts_back_from_now() {
        assert_eq!(parse("1h", NOW), Ok(NOW - 3_600_000));
        assert_eq!(parse("1h30m", NOW), Ok(NOW - 5_400_000));
        assert_eq!(parse("90s", NOW), Ok(NOW - 90_000));
        assert_eq!(parse("2w", NOW), Ok(NOW - 14 * 86_400_000));
    }

    #[test]
    fn a_moment_with_a_zone_is_exact() {
        assert_eq!(parse("1970-01-02T00:00:00Z", NOW), Ok(86_400_000));
        assert_eq!(parse("2000-02-29T12:00:00Z", NOW), Ok(951_825_600_000));
        assert_eq!(parse("2000-02-29T12:00:00+02:00", NOW), Ok(951_818_400_000));
        assert_eq!(parse("2000-02-29T12:00-00:30", NOW), Ok(951_827_400_000));
    }

    #[test]
    fn a_local_moment_comes_back_as_it_was_written() {
        let ms = parse("2026-01-15 13:30", NOW).unwrap();
        assert_eq!(moment(ms, NOW), "2026-01-15 13:30:00");
        assert_eq!(moment(ms, ms + 1000), "13:30:00");
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in ["", "1", "h", "1y", "yesterday", "2026-13-01", "25:00", "1h2", "2026-01-01T"] {
            assert!(parse(text, NOW).is_err(), "{text}");
        }
        assert!(parse("99999999999999999999d", NOW).is_err());
        assert!(parse("18446744073709551615w", NOW).is_err());
    }
}
