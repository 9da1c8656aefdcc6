//! One request, whole.

use clawrden_api::{HistoryEntry, QueueEntry, RunningEntry, display};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::Paragraph;

use super::list::{end, verdict};
use super::style;
use super::wrap::wrap;
use crate::output::Tone;
use crate::top::model::Model;
use crate::top::page::Page;
use crate::verbs::approvals;
use crate::verbs::queue::{before, beside};

/// Columns of the names, and behind them.
const NAMES: usize = 13;

pub(super) fn detail(frame: &mut Frame<'_>, model: &Model, now: u64, at: u16, area: Rect) {
    let room = usize::from(area.width).saturating_sub(NAMES).max(1);
    let mut lines: Vec<Line<'_>> = Vec::new();
    for (name, value) in pairs(model, now).into_iter().filter(|(_, value)| !value.is_empty()) {
        let tone = if name == "command" { Tone::Strong } else { Tone::Plain };
        for (row, text) in wrap(&value, room, true).into_iter().enumerate() {
            let name = if row == 0 { name } else { "" };
            let head = Span::styled(format!("{name:>11}  "), style(Tone::Quiet));
            lines.push(Line::from(vec![head, Span::styled(text, style(tone))]));
        }
    }
    let deepest = u16::try_from(lines.len()).unwrap_or(u16::MAX).saturating_sub(area.height);
    model.deepest.set(deepest);
    frame.render_widget(Paragraph::new(Text::from(lines)).scroll((at.min(deepest), 0)), area);
}

/// What was chosen, and where it is there no longer, what became of it.
fn pairs(model: &Model, now: u64) -> Pairs {
    let known = &model.known;
    let Some(id) = model.chosen() else { return Vec::new() };
    let past = || known.history.iter().find(|entry| entry.id == id);
    match model.page {
        Page::Queue => match known.queue.iter().find(|entry| entry.id == id) {
            Some(entry) => of_queued(entry, now),
            None => vec![("!", "it waits no longer; 3 shows what came of it".to_owned())],
        },
        Page::Running => match (known.running.iter().find(|entry| entry.id == id), past()) {
            (Some(entry), _) => of_running(entry, now),
            (None, Some(entry)) => std::iter::once(("!", "it has ended".to_owned()))
                .chain(of_past(entry, now))
                .collect(),
            (None, None) => vec![("!", "it has ended; 3 shows how".to_owned())],
        },
        Page::History => match past() {
            Some(entry) => of_past(entry, now),
            None => {
                vec![("!", "newer ones have taken its place; clawrden history finds it".to_owned())]
            }
        },
    }
}

type Pairs = Vec<(&'static str, String)>;

fn text(value: Option<&String>) -> String {
    value.map_or(String::new(), |value| display::text(value))
}

fn of_queued(entry: &QueueEntry, now: u64) -> Pairs {
    let mut pairs = vec![
        ("command", display::exact(&entry.argv)),
        ("why", display::text(&entry.reason)),
        ("rule", text(entry.rule.as_ref())),
        ("instead", text(entry.suggest.as_ref())),
        ("directory", text(entry.cwd.as_ref())),
        ("runs", text(entry.executable.as_ref())),
        ("sha256", text(entry.sha256.as_ref())),
        (
            "where",
            match &entry.run_as {
                Some(user) => format!("{} as {}", entry.executor, display::text(user)),
                None => entry.executor.clone(),
            },
        ),
        ("jail", display::text(&entry.jail)),
        ("caller", caller(&entry.caller)),
        ("asked", display::age(entry.since_ms, now)),
        ("expires in", display::age(now, entry.expires_ms).trim_end_matches(" ago").to_owned()),
        ("callers", entry.callers.to_string()),
        ("id", entry.id.clone()),
    ];
    if entry.exact.is_none() {
        pairs.insert(
            1,
            ("!", "what is shown is not all of it, or secrets in it are marked".to_owned()),
        );
    }
    pairs.extend(approvals::lines(entry, now).into_iter().map(|line| ("approvals", line)));
    pairs.extend(beside(entry).into_iter().map(|line| ("note", line)));
    pairs.extend(before(entry).map(|line| ("history", line)));
    pairs.extend(entry.labels.iter().map(|(k, v)| ("label", display::text(&format!("{k}={v}")))));
    pairs
}

fn of_running(entry: &RunningEntry, now: u64) -> Pairs {
    vec![
        ("command", display::exact(&entry.argv)),
        ("state", display::text(&entry.state)),
        (
            "where",
            match (&entry.run_as, entry.cooperative) {
                (Some(user), _) => format!("{} as {}", entry.executor, display::text(user)),
                (None, true) => format!("{}, in the prisoner's own process", entry.executor),
                (None, false) => entry.executor.clone(),
            },
        ),
        ("rule", text(entry.rule.as_ref())),
        ("jail", display::text(&entry.jail)),
        ("caller", caller(&entry.caller)),
        ("started", display::age(entry.started_ms, now)),
        ("cpu", entry.cpu_ms.map_or("unknown".to_owned(), display::duration)),
        (
            "memory",
            entry
                .memory
                .map_or("unknown".to_owned(), |bytes| format!("{} MB", bytes.div_ceil(1_000_000))),
        ),
        ("processes", entry.processes.map_or(String::new(), |n| n.to_string())),
        (
            "output",
            match &entry.recording {
                Some(what) => format!("recorded ({}): o follows it", display::text(what)),
                None => "not recorded: o says why".to_owned(),
            },
        ),
        ("id", entry.id.clone()),
    ]
}

fn of_past(entry: &HistoryEntry, now: u64) -> Pairs {
    vec![
        ("command", display::exact(&entry.argv)),
        ("decision", verdict(entry)),
        ("end", end(entry)),
        ("asked", display::age(entry.time_ms, now)),
        ("rule", text(entry.rule.as_ref())),
        ("why", text(entry.reason.as_ref())),
        ("answered by", text(entry.approver.as_ref())),
        ("from", text(entry.answered_from.as_ref())),
        ("saying", text(entry.answer.as_ref())),
        ("directory", text(entry.cwd.as_ref())),
        ("where", text(entry.executor.as_ref())),
        ("took", entry.duration_ms.map_or(String::new(), display::duration)),
        ("jail", display::text(&entry.jail)),
        ("caller", caller(&entry.caller)),
        ("failed", text(entry.error.as_ref())),
        ("id", entry.id.clone()),
    ]
}

fn caller(who: &clawrden_api::Caller) -> String {
    let number = |name: &str, value: Option<u32>| value.map(|value| format!("{name} {value}"));
    let container =
        who.container.as_ref().map(|one| format!("container {}", display::text(&one.name)));
    let prisoner = who.prisoner.as_ref().map(|id| format!("prisoner {}", display::text(id)));
    let parts = [number("uid", who.uid), number("pid", who.pid), container, prisoner];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}
