//! The rows of a page, in as many columns as the screen is wide enough for.

use clawrden_api::{HistoryEntry, QueueEntry, RunningEntry, display};
use ratatui::Frame;
use ratatui::layout::{Constraint, Rect};
use ratatui::text::Span;
use ratatui::widgets::{Cell, Paragraph, Row, Table, TableState};

use super::style;
use crate::output::Tone;
use crate::top::model::Model;
use crate::top::page::Page;
use crate::verbs::approvals;

/// Columns of a screen that has room for more.
const WIDE: u16 = 110;
/// Of one that has room for sentences.
const WIDEST: u16 = 150;

/// A column, from which width of the screen on there is one, and what stands in it.
struct Column<T> {
    head: &'static str,
    width: Constraint,
    from: u16,
    cell: fn(&T, u64) -> (Tone, String),
}

const fn column<T>(
    head: &'static str,
    width: Constraint,
    from: u16,
    cell: fn(&T, u64) -> (Tone, String),
) -> Column<T> {
    Column { head, width, from, cell }
}

pub(super) fn list(frame: &mut Frame<'_>, model: &Model, now: u64, area: Rect) {
    let width = area.width;
    let table = match model.page {
        Page::Queue => table(&of_queue(), &model.queue(), now, width),
        Page::Running => table(&of_running(), &model.running(), now, width),
        Page::History => table(&of_history(), &model.history(), now, width),
    };
    let Some(row) = model.row() else {
        let text = match model.page {
            _ if !model.filter.is_empty() => "nothing matches the filter",
            Page::Queue => "nothing waits",
            Page::Running => "nothing runs",
            Page::History => "nothing was asked yet",
        };
        frame.render_widget(Paragraph::new(format!("\n {text}")), area);
        return;
    };
    frame.render_stateful_widget(table, area, &mut TableState::new().with_selected(row));
}

fn table<T>(columns: &[Column<T>], entries: &[&T], now: u64, width: u16) -> Table<'static> {
    let columns: Vec<&Column<T>> = columns.iter().filter(|column| width >= column.from).collect();
    let cells = |entry: &&T| {
        let cells = columns.iter().map(|column| {
            let (tone, text) = (column.cell)(entry, now);
            Cell::from(Span::styled(text, style(tone)))
        });
        Row::new(cells.collect::<Vec<_>>())
    };
    let heads = Row::new(columns.iter().map(|column| column.head).collect::<Vec<_>>());
    Table::new(
        entries.iter().map(cells).collect::<Vec<_>>(),
        columns.iter().map(|column| column.width),
    )
    .header(heads.style(style(Tone::Quiet)))
    .row_highlight_style(ratatui::style::Style::new().reversed())
    .highlight_symbol("> ")
}

fn of_queue() -> [Column<QueueEntry>; 7] {
    use Constraint::{Fill, Length};
    [
        column("ID", Length(6), 0, |entry, _| (Tone::Strong, entry.short.clone())),
        column("AGE", Length(8), 0, |entry, now| (Tone::Quiet, display::age(entry.since_ms, now))),
        column("TIME LEFT", Length(9), WIDE, |entry, now| {
            (Tone::Quiet, display::duration(entry.expires_ms.saturating_sub(now)))
        }),
        column("JAIL", Length(12), 0, |entry, _| (Tone::Quiet, display::text(&entry.jail))),
        column("WHERE", Length(8), WIDE, |entry, _| (Tone::Quiet, display::text(&entry.executor))),
        column("COMMAND", Fill(3), 0, |entry, _| (Tone::Plain, asked(entry))),
        column("WHY IT ASKS", Fill(2), WIDEST, |entry, _| {
            (Tone::Quiet, display::text(&entry.reason))
        }),
    ]
}

fn of_running() -> [Column<RunningEntry>; 10] {
    use Constraint::{Fill, Length};
    [
        column("ID", Length(6), 0, |entry, _| (Tone::Strong, entry.short.clone())),
        column("AGE", Length(8), 0, |entry, now| {
            (Tone::Quiet, display::age(entry.started_ms, now))
        }),
        column("STATE", Length(8), WIDE, |entry, _| (tone(entry), display::text(&entry.state))),
        column("CPU", Length(8), 0, |entry, _| {
            (Tone::Quiet, entry.cpu_ms.map_or("?".to_owned(), display::duration))
        }),
        column("MEMORY", Length(8), 0, |entry, _| {
            let memory = entry.memory.map(|bytes| format!("{} MB", bytes.div_ceil(1_000_000)));
            (Tone::Quiet, memory.unwrap_or("?".to_owned()))
        }),
        column("OUTPUT", Length(8), WIDE, |entry, _| {
            (Tone::Quiet, if entry.recording.is_some() { "recorded" } else { "" }.to_owned())
        }),
        column("JAIL", Length(12), WIDE, |entry, _| (Tone::Quiet, display::text(&entry.jail))),
        column("WHERE", Length(8), WIDE, |entry, _| (Tone::Quiet, display::text(&entry.executor))),
        column("COMMAND", Fill(3), 0, |entry, _| {
            // On a narrow screen it is said here alone.
            let state = match &*entry.state {
                "" | "running" => String::new(),
                state => format!("({}) ", display::text(state)),
            };
            (Tone::Plain, format!("{state}{}", display::command(&entry.argv)))
        }),
        column("RULE", Fill(1), WIDEST, |entry, _| (Tone::Quiet, rule(entry.rule.as_ref()))),
    ]
}

fn of_history() -> [Column<HistoryEntry>; 8] {
    use Constraint::{Fill, Length};
    [
        column("AGE", Length(8), 0, |entry, now| (Tone::Quiet, display::age(entry.time_ms, now))),
        column("DECISION", Length(11), 0, |entry, _| {
            let verdict = verdict(entry);
            let tone = match &*verdict {
                "allow" | "approved" => Tone::Good,
                "deny" | "denied" | "failed" => Tone::Bad,
                _ => Tone::Warn,
            };
            (tone, verdict)
        }),
        column("END", Length(9), 0, |entry, _| {
            let is_good = entry.exit_code == Some(0) && entry.error.is_none();
            (if is_good { Tone::Quiet } else { Tone::Warn }, end(entry))
        }),
        column("JAIL", Length(12), WIDE, |entry, _| (Tone::Quiet, display::text(&entry.jail))),
        column("TOOK", Length(8), WIDE, |entry, _| {
            (Tone::Quiet, entry.duration_ms.map_or(String::new(), display::duration))
        }),
        column("ANSWERED BY", Length(16), WIDE, |entry, _| {
            (Tone::Quiet, entry.approver.as_ref().map_or(String::new(), |who| display::text(who)))
        }),
        column("COMMAND", Fill(3), 0, |entry, _| (Tone::Plain, display::command(&entry.argv))),
        column("RULE", Fill(1), WIDEST, |entry, _| (Tone::Quiet, rule(entry.rule.as_ref()))),
    ]
}

/// The command, and before it how far its approvals are and whether its caller has gone.
fn asked(entry: &QueueEntry) -> String {
    let parked = if entry.callers == 0 { "(parked) " } else { "" };
    let mark = match approvals::mark(entry) {
        mark if mark.is_empty() => parked.to_owned(),
        mark => format!("({mark}) {parked}"),
    };
    format!("{mark}{}", display::command(&entry.argv))
}

fn tone(entry: &RunningEntry) -> Tone {
    if entry.state == "running" { Tone::Good } else { Tone::Warn }
}

fn rule(rule: Option<&String>) -> String {
    rule.map_or("the default action".to_owned(), |rule| display::text(rule))
}

/// What was decided, or answered.
pub(super) fn verdict(entry: &HistoryEntry) -> String {
    let word = entry.outcome.as_ref().or(entry.decision.as_ref());
    word.map_or("failed".to_owned(), |word| word.replace('_', " "))
}

/// How it ended.
pub(super) fn end(entry: &HistoryEntry) -> String {
    match (entry.signal, entry.exit_code) {
        _ if entry.timed_out => "timed out".to_owned(),
        (Some(signal), _) => format!("signal {signal}"),
        (None, Some(code)) => format!("exit {code}"),
        (None, None) if entry.error.is_some() => "failed".to_owned(),
        (None, None) => String::new(),
    }
}
