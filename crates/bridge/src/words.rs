//! What people are told, as plain text: each service escapes it for its own markup.

use clawrden_api::{ErrorBody, ErrorCode, KillReport, QueueEntry, Status, display};

use crate::card::{By, Card, Outcome, Stage, touches};
use crate::heard::Heard;

/// Requests that a list shows.
const SHOWN: usize = 10;

/// Characters of a command in a list.
const COMMAND: usize = 160;

/// What can be typed.
pub(crate) const HELP: &str = "\
status: how the warden is
queue: what waits for an answer
kill [JAIL]: stop everything, or one jail, now
resume [JAIL]: take that back
pair CODE: say who you are, with a code from `clawrden people pair`
help: this";

/// Characters of a code, however it is written.
const CODE: usize = 64;

/// The words of a command, of which a code is one: people write it in parts, and to whom they say it.
pub(crate) fn with_code(mut words: Vec<String>) -> Vec<String> {
    if words.first().is_some_and(|verb| verb.eq_ignore_ascii_case("pair")) {
        let parts = words.split_off(1);
        let is_part = |word: &&String| !word.starts_with(['@', '<']);
        let code: String = parts.iter().filter(is_part).map(String::as_str).collect();
        words.extend((!code.is_empty()).then(|| code.chars().take(CODE).collect()));
    }
    words
}

/// What somebody is told when the warden was away for too long.
pub(crate) const AWAY: &str =
    "The warden cannot be reached, so this is not known to be done. Look again in a moment.";

/// What somebody is told when it did not come to an end.
pub(crate) const TOO_LONG: &str =
    "The warden takes too long over this, so it is not known to be done. Look again in a moment.";

/// What somebody is told when the bridge died over it, and came back late.
pub(crate) const LEFT: &str = "This came before the bridge was away for long, and is not known to be done. Do it again if it is still wanted.";

/// How long ago something was.
pub(crate) fn ago(then_ms: u64, now_ms: u64) -> String {
    let seconds = now_ms.saturating_sub(then_ms) / 1_000;
    match seconds {
        0..=1 => "just now".to_owned(),
        2..=59 => format!("{seconds} s ago"),
        60..=3_599 => format!("{} min ago", seconds / 60),
        3_600..=86_399 => format!("{} h ago", seconds / 3_600),
        _ => format!("{} d ago", seconds / 86_400),
    }
}

fn who(by: &By) -> String {
    let through = if by.through.is_empty() {
        String::new()
    } else {
        format!(" ({})", display::text(&by.through))
    };
    format!("{}{through}", display::text(&by.who))
}

/// What became of a request that cannot be answered any more; `None` while it can.
pub(crate) fn already(card: &Card, now_ms: u64) -> Option<String> {
    let text = match &card.stage {
        Stage::Waiting | Stage::Parked => return None,
        Stage::Approved(by) => {
            format!("Already approved by {} {}.", who(by), ago(by.at_ms, now_ms))
        }
        Stage::Finished(by, _) => {
            format!("Already approved by {} {}; it ran.", who(by), ago(by.at_ms, now_ms))
        }
        Stage::Denied(by) => format!("Already denied by {} {}.", who(by), ago(by.at_ms, now_ms)),
        Stage::Expired => "Nobody answered in time; it was denied.".to_owned(),
        Stage::CallerLeft => "Its caller has left; there is nothing to answer.".to_owned(),
    };
    Some(text)
}

/// In one sentence how far a request has come.
#[must_use]
pub fn headline(card: &Card) -> String {
    match &card.stage {
        Stage::Waiting => "A command waits for an answer".to_owned(),
        Stage::Parked => "A command waits; its caller has gone".to_owned(),
        Stage::Approved(by) => format!("Approved by {}{}", who(by), because(by)),
        Stage::Denied(by) => format!("Denied by {}{}", who(by), because(by)),
        Stage::Expired => "Denied: nobody answered in time".to_owned(),
        Stage::CallerLeft => "Its caller has left".to_owned(),
        Stage::Finished(by, outcome) => format!("Approved by {}; {}", who(by), ended(outcome)),
    }
}

fn because(by: &By) -> String {
    let scope = by.scope.as_ref().map(|scope| format!(", for {}", display::text(scope)));
    let reason = by.reason.as_ref().map(|reason| format!(": {}", display::text(reason)));
    format!("{}{}", scope.unwrap_or_default(), reason.unwrap_or_default())
}

/// How a command ended.
#[must_use]
pub fn ended(outcome: &Outcome) -> String {
    let how = match (outcome.exit, &outcome.signal) {
        (Some(0), _) => "it ended well".to_owned(),
        (Some(code), _) => format!("it ended with exit code {code}"),
        (None, Some(signal)) => format!("it was ended by {}", display::text(signal)),
        (None, None) => "it ended".to_owned(),
    };
    let after = outcome.duration_ms.map(|ms| format!(" after {}", spent(ms)));
    let error = outcome.error.as_ref().map(|error| format!(" ({})", display::text(error)));
    format!("{how}{}{}", after.unwrap_or_default(), error.unwrap_or_default())
}

/// A duration; short ones to the millisecond.
fn spent(ms: u64) -> String {
    if ms < 1_000 { format!("{ms} ms") } else { display::duration(ms) }
}

/// Why the warden does not take something from somebody, and what to do.
pub(crate) fn refused(body: &ErrorBody, heard: &Heard, service: &str) -> String {
    let said = display::text(&body.message);
    match body.code {
        ErrorCode::ReasonRequired => format!("A yes needs a reason here: {said}"),
        ErrorCode::NotFound => format!("It does not wait any more, or not for you: {said}"),
        ErrorCode::Forbidden | ErrorCode::NotApprover | ErrorCode::OwnRequest => {
            format!("Not taken: {said}")
        }
        ErrorCode::UnknownUser => unknown(heard, service),
        _ => format!("Not done: {said}"),
    }
}

/// Somebody whom the warden does not know.
fn unknown(heard: &Heard, service: &str) -> String {
    let user = display::text(&heard.user);
    format!(
        "You are {service}:{user}, and nobody whom the warden knows, so nothing was done. Whoever runs it can give you a \
         code (`clawrden people pair NAME`); then say: pair CODE"
    )
}

pub(crate) fn status(status: &Status, now_ms: u64) -> String {
    let mut lines = Vec::new();
    match &status.stopped {
        None => lines.push("The warden is running.".to_owned()),
        Some(stopped) => {
            let how = if stopped.paused { "PAUSED" } else { "STOPPED" };
            let by = display::text(&stopped.by);
            lines.push(format!("Everything is {how} by {by} {}.", ago(stopped.since_ms, now_ms)));
        }
    }
    for held in &status.held {
        let jail = held.jail.as_deref().map(|jail| format!("Jail {}", display::text(jail)));
        let container = held.container.as_ref();
        let container =
            container.map(|container| format!("Container {}", display::text(&container.name)));
        let what = jail.or(container).unwrap_or_default();
        let how = if held.stopped.paused { "PAUSED" } else { "STOPPED" };
        lines.push(format!("{what} is {how} by {}.", display::text(&held.stopped.by)));
    }
    lines.push(format!("{} waiting, {} running.", status.pending, status.running));
    if status.dry_run {
        lines.push("A dry run: what the policy asks or denies is let through.".to_owned());
    }
    if let Some(error) = &status.ledger.error {
        let error = display::text(error);
        lines.push(format!("The ledger cannot be written, so nothing runs: {error}"));
    }
    lines.join("\n")
}

pub(crate) fn queue(entries: &[QueueEntry], now_ms: u64) -> String {
    if entries.is_empty() {
        return "Nothing waits.".to_owned();
    }
    let mut lines: Vec<String> =
        entries.iter().take(SHOWN).map(|entry| line(entry, now_ms)).collect();
    if entries.len() > SHOWN {
        lines.push(format!("and {} more", entries.len() - SHOWN));
    }
    lines.join("\n")
}

/// One request on one line.
#[must_use]
pub fn line(entry: &QueueEntry, now_ms: u64) -> String {
    let command = display::command(&entry.argv);
    let mut shown: String = command.chars().take(COMMAND).collect();
    if shown.len() < command.len() {
        shown.push('…');
    }
    let (short, jail) = (display::text(&entry.short), display::text(&entry.jail));
    format!("{short} {jail} {}: {shown}", display::age(entry.since_ms, now_ms))
}

/// The paths that a command names, a line for each of so many. What is there stands before it: a path may say anything.
pub(crate) fn touched(entry: &QueueEntry, most: usize) -> Vec<String> {
    let all = touches(entry, most);
    let line = |(path, there): &(&str, _)| format!("may touch ({there}): {path}");
    all.shown.iter().map(line).chain(all.and_more()).collect()
}

pub(crate) fn killed(report: &KillReport, jail: Option<&str>) -> String {
    let what = jail
        .map_or_else(|| "Everything".to_owned(), |jail| format!("Jail {}", display::text(jail)));
    let ended =
        format!("{} processes and {} containers ended", report.processes, report.containers);
    let stays = match &report.stopped {
        Some(_) => "it stays stopped until somebody says resume",
        None => "it is not stopped",
    };
    problems(format!("{what} is stopped: {ended}; {stays}."), report)
}

pub(crate) fn resumed(report: &KillReport, jail: Option<&str>) -> String {
    let what = jail
        .map_or_else(|| "Everything".to_owned(), |jail| format!("Jail {}", display::text(jail)));
    let text = match &report.stopped {
        None => format!("{what} goes on."),
        Some(stopped) => format!("{what} is still stopped by {}.", display::text(&stopped.by)),
    };
    problems(text, report)
}

fn problems(mut text: String, report: &KillReport) -> String {
    for problem in &report.problems {
        text.push_str(&format!("\n{}", display::text(problem)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::kept;

    #[test]
    fn who_comes_late_hears_who_was_faster_and_when() {
        let mut card = kept("a").card;
        assert_eq!(already(&card, 0), None);
        let by = By { who: "alice\n".into(), through: "web".into(), at_ms: 1_000, ..By::default() };
        card.stage = Stage::Approved(by.clone());
        let said = already(&card, 122_000).unwrap();
        assert_eq!(said, "Already approved by alice\\n (web) 2 min ago.");
        card.stage = Stage::Denied(By { through: String::new(), ..by });
        assert_eq!(already(&card, 1_500).unwrap(), "Already denied by alice\\n just now.");
    }

    #[test]
    fn a_code_is_one_word_however_it_is_written() {
        let said = |text: &str| with_code(text.split_whitespace().map(str::to_owned).collect());
        for text in ["pair AB-CD", "pair AB - CD", "pair @bot AB-CD", "pair <@U1|bot> AB -CD"] {
            assert_eq!(said(text), ["pair", "AB-CD"], "{text}");
        }
        assert_eq!(said("PAIR AB CD"), ["PAIR", "ABCD"]);
        assert_eq!(said("pair @bot"), ["pair"]);
        assert_eq!(said("kill web shop"), ["kill", "web", "shop"]);
        assert_eq!(said(&format!("pair {}", "x".repeat(900)))[1].len(), CODE);
        assert!(said("").is_empty());
    }

    #[test]
    fn a_list_shows_what_cannot_be_seen_and_says_what_it_leaves_out() {
        let mut entry = crate::testing::entry("abcdef");
        entry.argv = vec!["echo".into(), "\u{202e}x\n".into(), "y".repeat(300)];
        let text = queue(&vec![entry; 12], 61_000);
        assert_eq!(text.lines().count(), 11, "{text}");
        assert!(text.ends_with("and 2 more") && !text.contains('\u{202e}'), "{text}");
    }
}
