//! What helps to judge a request besides its command: one line each, bounded, and what is somebody's word marked as such.

use clawrden_api::{QueueContext, QueueEntry, display};

use super::blocks::Rich;
use super::limits::short;
use crate::card::{Card, MOST_TOUCHES, marked, touches};

/// Units of one value.
const MAX_VALUE: usize = 300;

/// Units of everything.
const MAX_FACTS: usize = 2_900;

/// Lines of one kind, such as warnings.
const MAX_LINES: usize = 8;

/// Digits of a container's id that are shown.
const DIGITS: usize = 12;

/// All of them; lines that do not fit are counted. What warns comes first.
pub(super) fn facts(card: &Card) -> Rich {
    let entry = &card.entry;
    let mut lines = warnings(entry);
    lines.extend(place(entry));
    lines.extend(why(card));
    lines.extend(touched(entry));
    lines.extend(beside(&entry.context));
    lines.extend(
        entry
            .labels
            .iter()
            .take(MAX_LINES)
            .map(|(name, value)| said("label ", &format!("{name}={value}"))),
    );
    let mut all = Rich::default();
    let count = lines.len();
    for (at, line) in lines.into_iter().enumerate() {
        if all.units() + line.units() > MAX_FACTS {
            return all.text(&format!("\nand {} more lines", count - at));
        }
        let separator = if all.is_empty() { "" } else { "\n" };
        all = all.text(separator).and(line);
    }
    all
}

/// One value after a word of ours.
fn said(what: &str, value: &str) -> Rich {
    Rich::default().text(what).code(&short(&display::text(value), MAX_VALUE))
}

fn warnings(entry: &QueueEntry) -> Vec<Rich> {
    let all: Vec<&String> = entry.warnings.iter().chain(&entry.noticed).collect();
    let mut lines: Vec<Rich> = all.iter().take(MAX_LINES).map(|text| said("⚠️ ", text)).collect();
    if all.len() > MAX_LINES {
        lines.push(Rich::default().text(&format!("⚠️ and {} more", all.len() - MAX_LINES)));
    }
    lines.extend(marked(entry).map(|text| Rich::default().text(&format!("⚠️ {text}"))));
    if entry.only_judged {
        let text = "⚠️ the agent runs it by itself: what becomes of it is never known";
        lines.push(Rich::default().text(text));
    }
    lines
}

fn place(entry: &QueueEntry) -> Vec<Rich> {
    let mut lines = Vec::new();
    lines.extend(entry.cwd.as_ref().map(|cwd| said("in ", cwd)));
    if let Some(executable) = &entry.executable {
        let mut line = said("runs ", executable)
            .text(&format!(" ({}", short(&display::text(&entry.executor), 40)));
        if let Some(user) = &entry.run_as {
            line = line.text(", as ").code(&short(&display::text(user), 100));
        }
        lines.push(line.text(")"));
    }
    let known =
        |value: Option<u32>| value.map_or_else(|| "unknown".to_owned(), |id| id.to_string());
    let caller = &entry.caller;
    let mut line = Rich::default();
    line = line.text(&format!("caller uid {}, pid {}", known(caller.uid), known(caller.pid)));
    if let Some(prisoner) = &caller.prisoner {
        line = line.and(said(", prisoner ", prisoner));
    }
    if let Some(container) = &caller.container {
        let id: String = container.id.chars().take(DIGITS).collect();
        line = line.and(said(", container ", &format!("{} ({id})", container.name)));
        line = line.and(said(", image ", &container.image));
    }
    lines.push(line);
    lines
}

fn why(card: &Card) -> Vec<Rich> {
    let entry = &card.entry;
    let mut lines = Vec::new();
    lines.push(match &entry.rule {
        Some(rule) => said("rule ", rule),
        None => Rich::default().text("the default action"),
    });
    if !entry.reason.is_empty() {
        lines.push(said("because ", &entry.reason));
    }
    lines.extend(entry.suggest.as_ref().map(|text| said("instead: ", text)));
    let progress = card.progress.as_ref();
    let progress = progress.or(entry.approvals.as_ref().map(|wants| &wants.summary));
    lines.extend(progress.map(|text| said("", text)));
    lines
}

fn touched(entry: &QueueEntry) -> Vec<Rich> {
    let all = touches(entry, MOST_TOUCHES);
    let line = |(path, there): &(&str, _)| said("may touch ", path).text(&format!(" ({there})"));
    let mut lines: Vec<Rich> = all.shown.iter().map(line).collect();
    lines.extend(all.and_more().map(|text| Rich::default().text(&text)));
    lines
}

fn beside(context: &QueueContext) -> Vec<Rich> {
    let mut lines = Vec::new();
    if !context.parent.is_empty() {
        let parent = short(&display::command(&context.parent), MAX_VALUE);
        lines.push(Rich::default().text("started by ").code(&parent).text(" (its word)"));
    }
    let git = [("git remote ", &context.git_remote), ("branch ", &context.git_branch)];
    let git =
        git.into_iter().filter_map(|(what, value)| value.as_ref().map(|value| said(what, value)));
    lines.extend(git.map(|line| line.text(" (its files say so)")));
    lines.extend(context.approved_before.map(|times| {
        Rich::default().text(&match times {
            0 => "never approved before".to_owned(),
            1 => "approved once before".to_owned(),
            times => format!("approved {times} times before"),
        })
    }));
    lines
}
