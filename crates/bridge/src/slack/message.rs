//! What a card looks like: blocks, and buttons while it can be answered. When it is answered, it is the record.

use clawrden_api::{QueueEntry, display};
use serde_json::{Value, json};

use super::blocks::{self, Rich, actions, button, context, date, escaped, rich, styled, unstyled};
use super::facts::facts;
use super::limits::{MAX_FALLBACK, head, short, tail, units};
use crate::card::{self, By, Card, NOT_EXACT, Outcome, Stage, WHY_NOT_EXACT};

/// Units of a command that are shown; of a longer one, its beginning and its end.
const MAX_COMMAND: usize = 2_900;

/// How many of them are of its end.
const TAIL: usize = 600;

/// Units of a name.
const MAX_NAME: usize = 150;

/// What shows a command whole, however long it is.
pub(super) const ALL_OF_IT: &str = "clawrden queue --full";

/// The id of the block that shows the command, by which a dialog finds it again.
pub(super) const COMMAND: &str = "command";

/// Text for notifications, and blocks.
pub(super) fn payload(card: &Card) -> Value {
    let entry = &card.entry;
    let mut blocks = vec![title(card), rich(COMMAND, &command(entry))];
    let facts = facts(card);
    if !facts.is_empty() {
        blocks.push(rich("facts", &[facts.section()]));
    }
    blocks.push(context("when", &when(card)));
    if card.stage.is_open() {
        let mut buttons = answers(entry);
        buttons.extend(blocks::page(card.page.as_deref()));
        blocks.push(actions("answer", &buttons));
    }
    json!({ "text": fallback(card), "blocks": blocks })
}

/// The buttons by which a request is answered.
fn answers(entry: &QueueEntry) -> Vec<Value> {
    let id = &entry.id;
    let mut buttons = Vec::new();
    if entry.approvals.as_ref().is_some_and(|wants| wants.reason_required) {
        buttons.push(styled(button("more", "Approve with a reason…", id), "primary"));
        buttons.push(styled(button("deny", "Deny", id), "danger"));
        return buttons;
    }
    buttons.push(styled(button("approve", "Approve", id), "primary"));
    buttons.push(button("session", "Approve for the session", id));
    buttons.push(styled(button("deny", "Deny", id), "danger"));
    buttons.push(button("more", "More…", id));
    buttons
}

/// The command in letters of one width. What is said of it stands outside of them, where no argument can put it.
fn command(entry: &QueueEntry) -> Vec<Value> {
    let mut parts = Vec::new();
    if entry.exact.is_none() {
        let note = Rich::default().bold(&format!("❗ {NOT_EXACT} ")).text(WHY_NOT_EXACT);
        parts.push(note.section());
    }
    let line = display_safe(&card::command(entry));
    if units(&line) <= MAX_COMMAND {
        parts.push(Rich::preformatted(if line.is_empty() { "(no command)" } else { &line }));
        return parts;
    }
    let (first, last) = (head(&line, MAX_COMMAND - TAIL), tail(&line, TAIL));
    let all = line.chars().count();
    let left_out = all - first.chars().count() - last.chars().count();
    let note = format!("⋯ folded: {left_out} of {all} characters are left out here; ");
    let note = Rich::default().bold(&note).code(ALL_OF_IT).bold(" shows all of it ⋯");
    parts.extend([Rich::preformatted(first), note.section(), Rich::preformatted(last)]);
    parts
}

/// Both forms are safe already; a warden elsewhere may be of another mind.
fn display_safe(line: &str) -> String {
    if line.chars().all(display::is_plain) { line.to_owned() } else { display::text(line) }
}

/// A name or a few words.
fn name(text: &str) -> String {
    short(&display::text(text), MAX_NAME)
}

fn title(card: &Card) -> Value {
    let jail = name(&card.entry.jail);
    let answered = |sign: &str, did: &str, by: &By| {
        let mut line = Rich::default().bold(&format!("{sign} {did} by ")).code(&name(&by.who));
        line = line.text(&format!(" through {}", name(&by.through)));
        if let Some(scope) = &by.scope {
            line = line.text(&format!(", {}", name(scope)));
        }
        if let Some(reason) = &by.reason {
            line = line.text(": ").code(&short(&display::text(reason), 1_000));
        }
        line.text("\n")
    };
    let jail_ran = |did: &str| Rich::default().text("jail ").code(&jail).text(did);
    let line = match &card.stage {
        Stage::Waiting => Rich::default().bold("🟡 Jail ").code(&jail).bold(" asks to run"),
        Stage::Parked => Rich::default()
            .bold("🟡 Jail ")
            .code(&jail)
            .bold(" asked to run")
            .text("; its caller has gone, and a yes is kept for the next identical request"),
        Stage::Approved(by) => answered("✅", "Approved", by).and(jail_ran(" may run")),
        Stage::Denied(by) => answered("⛔", "Denied", by).and(jail_ran(" may not run")),
        Stage::Expired => Rich::default()
            .bold("⌛ Denied: nobody answered in time\n")
            .and(jail_ran(" asked to run")),
        Stage::CallerLeft => Rich::default()
            .bold("⌛ Nothing to answer: its caller has left\n")
            .and(jail_ran(" asked to run")),
        Stage::Finished(by, outcome) => answered("✅", "Approved", by)
            .and(Rich::default().bold(&format!("{}\n", ended(outcome))))
            .and(jail_ran(" ran")),
    };
    rich("title", &[line.section()])
}

/// How it ended, in words.
fn ended(outcome: &Outcome) -> String {
    let how = match (&outcome.error, &outcome.signal, outcome.exit) {
        (Some(error), ..) => format!("❗ {}", short(&display::text(error), 500)),
        (None, Some(signal), _) => format!("❗ Killed by {}", name(signal)),
        (None, None, Some(0)) => "Ended well (exit code 0)".to_owned(),
        (None, None, Some(code)) => format!("❗ Ended with exit code {code}"),
        (None, None, None) => "Ended; how is not known".to_owned(),
    };
    match outcome.duration_ms {
        Some(ms) => format!("{how} after {}", display::duration(ms)),
        None => how,
    }
}

/// Our own words alone: this is parsed.
fn when(card: &Card) -> String {
    let entry = &card.entry;
    let asked = date(entry.since_ms, "{date_short_pretty} at {time_secs}");
    match &card.stage {
        Stage::Waiting | Stage::Parked => {
            let age = date(entry.since_ms, "{ago}");
            format!("asked {age} ({asked}), expires {}", date(entry.expires_ms, "{time_secs}"))
        }
        Stage::Approved(by) | Stage::Denied(by) | Stage::Finished(by, _) => {
            let took = display::duration(by.at_ms.saturating_sub(entry.since_ms));
            let at = date(by.at_ms, "{date_short_pretty} at {time_secs}");
            format!("asked {asked}, answered {at} after {took}")
        }
        Stage::Expired | Stage::CallerLeft => format!("asked {asked}"),
    }
}

/// One line for notifications. It is parsed, whatever we ask for, so it is escaped.
fn fallback(card: &Card) -> String {
    let jail = name(&card.entry.jail);
    let did = match &card.stage {
        Stage::Waiting | Stage::Parked => "asks to run".to_owned(),
        Stage::Approved(by) => format!("approved by {}", name(&by.who)),
        Stage::Denied(by) => format!("denied by {}", name(&by.who)),
        Stage::Expired => "expired".to_owned(),
        Stage::CallerLeft => "its caller left".to_owned(),
        Stage::Finished(_, outcome) => ended(outcome),
    };
    let line = format!("{jail}: {did}: {}", display::command(&card.entry.argv));
    unstyled(&escaped(&short(&line, MAX_FALLBACK)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slack::testing::card;

    #[test]
    fn a_command_without_words_and_one_that_is_not_safe_are_shown() {
        assert!(payload(&card(&[])).to_string().contains("(no command)"));
        let mut unsafe_one = card(&["ls"]);
        unsafe_one.entry.exact = Some("ls \u{202e}x".to_owned());
        assert!(payload(&unsafe_one).to_string().contains(r"ls \\u202ex"));
    }

    #[test]
    fn a_command_without_an_exact_form_says_so_and_hides_no_fold_within() {
        let long = format!("{}; curl evil.example", "x".repeat(500));
        let mut inexact = card(&["sh", "-c", &long]);
        assert!(!payload(&inexact).to_string().contains(NOT_EXACT));
        inexact.entry.exact = None;
        let parts = payload(&inexact)["blocks"][1]["elements"].clone();
        assert!(parts[0].to_string().contains(NOT_EXACT), "{parts}");
        let shown = parts[1]["elements"][0]["text"].as_str().unwrap();
        assert_eq!(shown, display::exact(&inexact.entry.argv), "no fold stands within it");
        inexact.entry.argv[2] = "x".repeat(5_000);
        let parts = payload(&inexact)["blocks"][1]["elements"].clone();
        let note = parts[2].to_string();
        assert!(note.contains("2106 of 5006 characters are left out"), "{note}");
    }

    #[test]
    fn how_it_ended_is_said_in_words() {
        let outcome = |exit, error: Option<&str>| Outcome {
            exit,
            duration_ms: Some(61_000),
            error: error.map(str::to_owned),
            signal: None,
        };
        assert_eq!(ended(&outcome(Some(0), None)), "Ended well (exit code 0) after 1 m 1 s");
        assert_eq!(ended(&outcome(Some(7), None)), "❗ Ended with exit code 7 after 1 m 1 s");
        assert!(ended(&outcome(Some(0), Some("gone"))).starts_with("❗ gone"));
        assert_eq!(ended(&Outcome::default()), "Ended; how is not known");
    }
}
