//! Single values: durations, booleans, globs, names. Each reports what would be right.

use std::time::Duration;

use super::node::Node;
use super::report::Report;
use crate::action::{Action, Executor};
use crate::matchers::glob::{Glob, Kind};

/// Longest duration that is accepted.
const MAX_DURATION: Duration = Duration::from_secs(366 * 24 * 60 * 60);
/// Longest jail name; it becomes one component of a socket's path.
const MAX_JAIL_NAME: usize = 63;
/// Longest tool name; a file name on Linux has no more.
const MAX_TOOL_NAME: usize = 255;

const ACTIONS: &[(&str, Action)] =
    &[("allow", Action::Allow), ("ask", Action::Ask), ("deny", Action::Deny)];
const EXECUTORS: &[(&str, Executor)] =
    &[("mirror", Executor::Mirror), ("ghost", Executor::Ghost), ("local", Executor::Local)];

impl Report<'_> {
    pub(super) fn action(&mut self, node: &Node) -> Option<Action> {
        self.choice(node, "action", ACTIONS)
    }

    pub(super) fn executor(&mut self, node: &Node) -> Option<Executor> {
        self.choice(node, "executor", EXECUTORS)
    }

    pub(super) fn boolean(&mut self, node: &Node) -> Option<bool> {
        self.choice(node, "value", &[("true", true), ("false", false)])
    }

    /// `Some(None)` is a plain 0.
    pub(super) fn duration(&mut self, node: &Node) -> Option<Option<Duration>> {
        let text = self.word(node, "a duration such as `30s` or `5m`")?;
        match read_duration(text) {
            Ok(found) => Some(found),
            Err(help) => {
                self.add(node.at, format!("bad duration `{text}`"), help);
                None
            }
        }
    }

    pub(super) fn glob(&mut self, node: &Node, text: &str, kind: Kind) -> Option<Glob> {
        if !self.may_spell_out(node, text) {
            return None;
        }
        match Glob::new(text, kind) {
            Ok(glob) => Some(glob),
            Err(error) => {
                self.add(node.at, format!("bad glob `{text}`"), &error.to_string());
                None
            }
        }
    }

    /// A jail name: it becomes a folder, so nothing that could leave it.
    pub(super) fn jail_name(&mut self, node: &Node, name: &str) -> Option<String> {
        let mut bytes = name.bytes();
        let first = bytes.next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let rest = bytes.all(|b| {
            b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'.' | b'-')
        });
        if first && rest && name.len() <= MAX_JAIL_NAME {
            return Some(name.to_owned());
        }
        let help = "small letters, digits, `_`, `.` and `-`, a letter or digit first, 63 at most";
        self.add(node.at, format!("bad jail name `{name}`"), help);
        None
    }

    /// A bare tool name, as a link to the shim could be called.
    pub(super) fn tool_name(&mut self, node: &Node, name: &str) -> Option<String> {
        let help = if name.contains('/') {
            "a tool is a bare name without a slash, such as `git`"
        } else if name == "." || name == ".." || name.starts_with('-') {
            "that cannot be the name of a tool"
        } else if name != "[" && name.contains(['*', '?', '[', '{']) {
            "a tool is named exactly here; globs belong to `rules`"
        } else if name.is_empty() || name.chars().any(|c| c.is_whitespace() || c.is_control()) {
            "a tool's name is one word"
        } else if name.len() > MAX_TOOL_NAME {
            "a tool's name has at most 255 bytes"
        } else {
            return Some(name.to_owned());
        };
        self.add(node.at, format!("bad tool name `{name}`"), help);
        None
    }
}

/// Reads a duration as policies write it.
///
/// # Errors
/// What is wrong with it, and what would be right.
pub fn parse_duration(text: &str) -> Result<Duration, &'static str> {
    read_duration(text).map(Option::unwrap_or_default)
}

/// `500ms`, `30s`, `5m`, `2h`, `1d`, and their sums such as `1h30m`; `0` is `None`.
pub(super) fn read_duration(text: &str) -> Result<Option<Duration>, &'static str> {
    const FORM: &str = "write a number and a unit: `500ms`, `30s`, `5m`, `2h`, `1h30m`";
    if text == "0" {
        return Ok(None);
    }
    let mut total = Duration::ZERO;
    let mut last_unit = u64::MAX;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (count, after) = rest.split_at(digits);
        let letters = after.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, after) = after.split_at(letters);
        let count: u64 = count.parse().map_err(|_| FORM)?;
        let millis = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "" => return Err("a unit is missing: `30s`, `5m` or `2h`"),
            _ => return Err("the units are `ms`, `s`, `m`, `h` and `d`"),
        };
        if millis >= last_unit {
            return Err("the larger unit comes first, each unit once: `1h30m`");
        }
        last_unit = millis;
        total = count
            .checked_mul(millis)
            .and_then(|part| total.checked_add(Duration::from_millis(part)))
            .filter(|sum| *sum <= MAX_DURATION)
            .ok_or("a duration is at most 366 days")?;
        rest = after;
    }
    match total {
        Duration::ZERO if text.is_empty() => Err(FORM),
        Duration::ZERO => Ok(None),
        total => Ok(Some(total)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_sums_of_falling_units() {
        let of = |text| read_duration(text).unwrap();
        assert_eq!(of("30s"), Some(Duration::from_secs(30)));
        assert_eq!(of("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(of("1h30m"), Some(Duration::from_secs(5400)));
        assert_eq!(of("2d"), Some(Duration::from_secs(172_800)));
        assert_eq!(of("0"), None);
        assert_eq!(of("0s"), None);
    }

    #[test]
    fn a_duration_without_sense_is_refused() {
        for text in [
            "",
            "5",
            "s",
            "5 m",
            "-5s",
            "5x",
            "1m1h",
            "1m1m",
            "1.5h",
            "5S",
            "١s",
            "99999999999999999999s",
            "400d",
            "0x5s",
            "5s ",
            "00",
        ] {
            assert!(read_duration(text).is_err(), "{text:?}");
        }
    }
}
