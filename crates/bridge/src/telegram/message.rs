//! What a card looks like: text, and buttons while it can be answered.

use clawrden_api::QueueEntry;
use clawrden_api::display::{age, command, duration, rfc3339};

use super::text::{MAX_TEXT, Text, short, split, units, visible};
use super::wire::Button;
use crate::card::{
    self, By, Card, MORE, MOST_TOUCHES, NOT_EXACT, Outcome, Stage, WHY_NOT_EXACT, marked, touches,
};

/// UTF-16 units of one value below the command.
const MAX_VALUE: usize = 300;

/// UTF-16 units of all that stands below the command.
const MAX_DETAILS: usize = 2000;

/// Lines of one kind, such as warnings.
const MAX_LINES: usize = 8;

/// Units that are kept for the words about what is left out of a command.
const FOLD: usize = 120;

/// How much of a folded command is its end, in parts of what is shown: one of so many.
const TAIL: usize = 4;

/// A message's text and its rows of buttons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rendered {
    pub(super) text: Text,
    pub(super) buttons: Vec<Vec<Button>>,
}

/// What a card looks like at the moment `now_ms`, in milliseconds since 1970.
pub(super) fn render(card: &Card, now_ms: u64) -> Rendered {
    let mut text = head(&card.stage);
    if card.entry.exact.is_none() {
        text.say("❗ ").bold(NOT_EXACT).say(" ").say(WHY_NOT_EXACT).say("\n");
    }
    let details = details(card, now_ms);
    let room = MAX_TEXT - text.units - details.units;
    text.append(folded(&card::command(&card.entry), room));
    text.append(details);
    let buttons = if card.stage.is_open() { buttons(&card.entry) } else { Vec::new() };
    Rendered { text, buttons }
}

/// What a tap sends is the verb and the whole id, 34 of at most 64 bytes.
fn buttons(entry: &QueueEntry) -> Vec<Vec<Button>> {
    let id = &entry.id;
    let button = |text: &'static str, verb: char| Button {
        text: text.into(),
        callback_data: format!("{verb}:{id}"),
    };
    let no = vec![button("Deny", 'd'), button("Deny with a reason…", 'r')];
    let wants_reason = entry.approvals.as_ref().is_some_and(|wanted| wanted.reason_required);
    if wants_reason {
        return vec![vec![button("Approve with a reason…", 'y')], no];
    }
    vec![vec![button("Approve", 'a'), button("For the session", 's')], no]
}

/// A command as a block, of at most `room` units. What is said of a fold stands outside of the block, where no argument
/// can put it.
fn folded(command: &str, room: usize) -> Text {
    let mut text = Text::default();
    let shown = visible(command, false);
    if units(&shown) < room {
        text.pre(&shown).say("\n");
        return text;
    }
    let room = room.saturating_sub(FOLD);
    let end = units(&shown).saturating_sub(room / TAIL);
    let (head, _) = split(&shown, room - room / TAIL);
    let (before, tail) = split(&shown, end);
    let left_out = before.chars().count().saturating_sub(head.chars().count());
    text.pre(head).say("\n✂️ ").bold("Not the whole command:").say(" ").number(left_out);
    text.say(" characters are left out here.\n").pre(tail).say("\n");
    text
}

fn head(stage: &Stage) -> Text {
    let mut text = Text::default();
    match stage {
        Stage::Waiting => text.say("⏳ ").bold("May this run?").say("\n"),
        Stage::Parked => text.say("⏳ ").bold("May this run?").say(
            "\nIts caller has gone: a yes is kept for the next time that exactly this is asked.\n",
        ),
        Stage::Approved(by) => person(text.say("✅ ").bold("Approved"), by),
        Stage::Denied(by) => person(text.say("⛔ ").bold("Denied"), by),
        Stage::Expired => {
            text.say("⌛ ").bold("Nobody answered in time").say("; it did not run.\n")
        }
        Stage::CallerLeft => {
            text.say("⌛ ").bold("Its caller left").say(" before there was an answer.\n")
        }
        Stage::Finished(by, outcome) => {
            ending(&mut text, outcome);
            person(text.say("Approved"), by)
        }
    };
    text
}

fn ending(text: &mut Text, outcome: &Outcome) {
    let went_well = outcome.exit == Some(0) && outcome.error.is_none();
    text.say(if went_well { "✅ " } else { "❌ " });
    match (outcome.exit, &outcome.signal) {
        (_, Some(signal)) => text.bold("Ended by").say(" ").code(&short(signal, MAX_VALUE)),
        (Some(0), None) => text.bold("Done, exit 0"),
        (Some(code), None) => text.bold("Failed, exit").say(" ").code(&code.to_string()),
        (None, None) => text.bold("Ended"),
    };
    if let Some(ms) = outcome.duration_ms {
        text.say(" after ").code(&duration(ms));
    }
    text.say("\n");
    if let Some(error) = &outcome.error {
        text.say("Error: ").code(&short(error, MAX_VALUE)).say("\n");
    }
}

fn person<'a>(text: &'a mut Text, by: &By) -> &'a mut Text {
    text.say(" by ").code(&short(&by.who, MAX_VALUE));
    text.say(" through ").code(&short(&by.through, MAX_VALUE));
    text.say(", ").code(&moment(by.at_ms));
    if let Some(scope) = &by.scope {
        text.say(", good for ").code(&short(scope, MAX_VALUE));
    }
    text.say("\n");
    if let Some(reason) = &by.reason {
        text.say("Reason: ").code(&short(reason, MAX_VALUE)).say("\n");
    }
    text
}

/// A moment to the second: `2026-11-03 14:03:12 UTC`.
fn moment(ms: u64) -> String {
    let whole = rfc3339(ms);
    match whole.split_once('T').and_then(|(day, time)| Some((day, time.split_once('.')?.0))) {
        Some((day, time)) => format!("{day} {time} UTC"),
        None => whole,
    }
}

/// What stands below the command, the weightiest first. What finds no room is counted.
fn details(card: &Card, now_ms: u64) -> Text {
    let entry = &card.entry;
    let mut lines = Lines::default();
    if let Some(marked) = marked(entry) {
        lines.text.say("⚠️ ").say(marked).say("\n");
    }
    for warning in entry.warnings.iter().take(MAX_LINES) {
        lines.add("⚠️ ", warning);
    }
    if let Some(progress) = &card.progress {
        lines.add("So far: ", progress);
    }
    lines.add("Jail: ", &entry.jail);
    lines.add_some("In: ", entry.cwd.as_ref());
    lines.add("Why it asks: ", &entry.reason);
    lines.add("Rule: ", entry.rule.as_deref().unwrap_or("the default action"));
    lines.add("From: ", &caller(entry));
    lines.add("Runs as: ", &runs(entry));
    for noticed in entry.noticed.iter().take(MAX_LINES) {
        lines.add("Noticed: ", noticed);
    }
    lines.add_touches(entry);
    lines.add_some("Instead: ", entry.suggest.as_ref());
    lines.add_some("File: ", entry.executable.as_ref());
    if !entry.context.parent.is_empty() {
        lines.add("Started by: ", &command(&entry.context.parent));
    }
    lines.add_some("Repository: ", entry.context.git_remote.as_ref());
    lines.add_some("Branch: ", entry.context.git_branch.as_ref());
    if let Some(times) = entry.context.approved_before {
        lines.add("Approved before: ", &times.to_string());
    }
    if !entry.labels.is_empty() {
        let labels: Vec<_> = entry.labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
        lines.add("Labels: ", &labels.join(" "));
    }
    let mut end = Text::default();
    end.say("Asked: ").code(&moment(entry.since_ms));
    if card.stage.is_open() {
        end.say(" (").code(&age(entry.since_ms, now_ms)).say("), until ");
        end.code(&moment(entry.expires_ms));
    }
    end.say("\nRequest: ").code(&short(&entry.id, MAX_VALUE));
    if let (Some(page), true) = (&card.page, card.stage.is_open()) {
        end.say("\n").link(page);
    }
    lines.finish(end)
}

fn caller(entry: &QueueEntry) -> String {
    let caller = &entry.caller;
    let number = |n: Option<u32>| n.map_or_else(|| "unknown".to_owned(), |n| n.to_string());
    let mut all = format!("uid {}, pid {}", number(caller.uid), number(caller.pid));
    if let Some(container) = &caller.container {
        all.push_str(&format!(", container {} of {}", container.name, container.image));
    }
    all
}

fn runs(entry: &QueueEntry) -> String {
    if entry.only_judged {
        return "the agent runs it by itself; what becomes of it is not known".to_owned();
    }
    match &entry.run_as {
        Some(user) => format!("{}, as the host's user {user}", entry.executor),
        None => entry.executor.clone(),
    }
}

/// Lines as far as there is room.
#[derive(Default)]
struct Lines {
    text: Text,
    left_out: usize,
}

/// Units that are kept for the end of the details.
const END: usize = 500;

impl Lines {
    fn add(&mut self, name: &'static str, value: &str) {
        let mut line = Text::default();
        line.say(name).code(&short(value, MAX_VALUE)).say("\n");
        self.add_line(line);
    }

    fn add_line(&mut self, line: Text) {
        if self.left_out == 0 && self.text.has_room_for(&line, MAX_DETAILS - END) {
            self.text.append(line);
        } else {
            self.left_out += 1;
        }
    }

    fn add_some(&mut self, name: &'static str, value: Option<&String>) {
        if let Some(value) = value {
            self.add(name, value);
        }
    }

    /// The paths that it names.
    fn add_touches(&mut self, entry: &QueueEntry) {
        let all = touches(entry, MOST_TOUCHES);
        for (path, there) in all.shown {
            let mut line = Text::default();
            line.say("May touch: ").code(&short(path, MAX_VALUE));
            line.say(" (").say(there).say(")\n");
            self.add_line(line);
        }
        if let Some((number, words)) = all.rest {
            let mut line = Text::default();
            line.say(MORE);
            if let Some(number) = number {
                line.number(number);
            }
            line.say(words).say("\n");
            self.add_line(line);
        }
    }

    fn finish(mut self, end: Text) -> Text {
        if self.left_out > 0 {
            self.text.say("Further facts that find no room here: ").number(self.left_out);
            self.text.say("\n");
        }
        if self.text.has_room_for(&end, MAX_DETAILS) {
            self.text.append(end);
        }
        self.text
    }
}

#[cfg(test)]
mod tests;
