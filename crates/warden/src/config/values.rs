//! Values as people write them in settings: spans of time, sizes, places.

use std::path::PathBuf;
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// A span of time such as `50ms` or `24h`; never zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span(pub(super) Duration);

/// A number of bytes such as `64MiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bytes(pub(super) u64);

/// Reads a span.
pub(super) fn span(text: &str) -> Result<Duration, String> {
    match clawrden_policy::parse_duration(text) {
        Ok(Duration::ZERO) => Err(format!("`{text}` is no time; write one such as `30s`")),
        Ok(time) => Ok(time),
        Err(form) => Err(format!("`{text}` is no time: {form}, such as `30s`")),
    }
}

fn bytes(text: &str) -> Result<u64, String> {
    let wrong =
        || format!("`{text}` is no size; write a number with KiB, MiB or GiB, such as `64MiB`");
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let unit = match unit.trim() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(wrong()),
    };
    number.checked_mul(unit).filter(|&bytes| bytes > 0).ok_or_else(wrong)
}

/// A place that does not depend on where the warden was started.
pub(super) fn absolute(path: PathBuf) -> Result<PathBuf, String> {
    if path.is_absolute() {
        return Ok(path);
    }
    Err(format!("{path:?} is not absolute; write the whole path, from `/` on"))
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        span(&text).map(Self).map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        bytes(&text).map(Self).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_binary_units_and_are_never_nothing() {
        assert_eq!(bytes("512"), Ok(512));
        assert_eq!(bytes("64 MiB"), Ok(64 << 20));
        assert_eq!(bytes("2GiB"), Ok(2 << 30));
        for text in ["", "0", "MiB", "1MB", "-1", "99999999999GiB"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }
}
