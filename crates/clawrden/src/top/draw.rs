//! The picture. Nothing is said by colour alone; what a prisoner wrote is made harmless first.

use clawrden_api::{HistoryEntry, QueueEntry, RunningEntry, display};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::{Block, Clear, Paragraph, Row, Table, TableState, Wrap};

use super::model::{Mode, Model, Page, Reach, Typed};
use crate::output::{Tone, colours};
use crate::verbs::approvals;
use crate::verbs::queue::{before, beside};

const HELP: &str = "\
1 2 3, Tab    queue, running, history
j k, arrows   move        g G   first, last
Enter         the whole request, and back
a             approve (queue)
A             approve for a session, two hours or what it starts (queue)
d             deny, with a reason for the agent (queue)
s             stop, with a reason (running)
/             filter by command or jail
K             stop or pause everything
R             resume after a stop, once you say so
q, Ctrl-C     quit

Any key goes back.";

const RESUME: &str = "\
What is paused goes on, and commands are decided by the policy again.

  r  resume

Any other key goes back.";

fn style(tone: Tone) -> Style {
    let style = Style::new();
    match tone {
        Tone::Strong => style.add_modifier(Modifier::BOLD),
        Tone::Quiet => style.add_modifier(Modifier::DIM),
        _ if !colours() => style,
        Tone::Good => style.fg(Color::Green),
        Tone::Warn => style.fg(Color::Yellow),
        Tone::Bad => style.fg(Color::Red).add_modifier(Modifier::BOLD),
    }
}

/// Draws everything.
pub(super) fn all(frame: &mut Frame<'_>, model: &Model, now: u64) {
    let [head, alarm, body, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(u16::from(alarm(model).is_some())),
        Constraint::Min(1),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    frame.render_widget(tabs(model), head);
    if let Some(text) = self::alarm(model) {
        frame.render_widget(Line::styled(text, style(Tone::Bad).reversed()), alarm);
    }
    match &model.mode {
        Mode::Detail(at) => detail(frame, model, now, *at, body),
        _ => list(frame, model, now, body),
    }
    frame.render_widget(bottom(model), foot);
    match &model.mode {
        Mode::Reach(id, reach) => {
            over(frame, "Approve for", &reaching(model, id, *reach), Tone::Warn);
        }
        Mode::Help => over(frame, "Keys", HELP, Tone::Strong),
        Mode::Resume => over(frame, "Resume", RESUME, Tone::Warn),
        Mode::Kill => over(frame, "Stop everything", &kill(model), Tone::Bad),
        _ => {}
    }
}

/// For what the request is approved, as it stands.
fn reaching(model: &Model, id: &str, reach: Reach) -> String {
    let entry = model.known.queue.iter().find(|entry| entry.id == id);
    let command = entry.map_or_else(String::new, |entry| display::command(&entry.argv));
    let starts = if reach.and_what_it_starts { "x" } else { " " };
    format!(
        "{command}\n\n  o  this run\n  s  every run of the same, as long as this prisoner lives\n  2  every run of the same \
         within 2 hours\n\n [{starts}] w  and what it starts, as long as it runs: whatever a process below it asks\n\n\
         What the policy denies stays denied. Any other key goes back."
    )
}

fn tabs(model: &Model) -> Line<'static> {
    let known = &model.known;
    let mut line = vec![Span::styled(" clawrden  ", style(Tone::Strong))];
    for (number, page) in (1..).zip(Page::ALL) {
        let count = match page {
            Page::Queue => format!(" {}", known.queue.len()),
            Page::Running => format!(" {}", known.running.len()),
            Page::History => String::new(),
        };
        let text = format!(" {number} {}{count} ", page.name());
        let chosen = page == model.page;
        line.push(Span::styled(text, if chosen { Style::new().reversed() } else { Style::new() }));
    }
    if !model.filter.is_empty() {
        line.push(Span::styled(format!("  /{}", display::text(&model.filter)), style(Tone::Warn)));
    }
    Line::from(line)
}

fn alarm(model: &Model) -> Option<String> {
    let status = &model.known.status;
    if let Some(stale) = &model.stale {
        return Some(format!(" No answer: {stale}"));
    }
    if let Some(stopped) = &status.stopped {
        let how = if stopped.paused { "paused" } else { "stopped" };
        return Some(format!(" Everything is {how} by {}; R resumes", display::text(&stopped.by)));
    }
    if let Some(error) = &status.ledger.error {
        return Some(format!(
            " The ledger cannot be written, so nothing runs: {}",
            display::text(error)
        ));
    }
    status
        .policy
        .error
        .as_ref()
        .map(|_| " The changed policy does not load: clawrden status says why".to_owned())
}

fn bottom(model: &Model) -> Line<'static> {
    if let Mode::Typing { what, text } = &model.mode {
        let asks = match what {
            Typed::Filter => "filter",
            Typed::Approval(..) => "approve, because",
            Typed::Denial(_) => "deny, because",
            Typed::Stop(_) => "stop, because",
        };
        return Line::from(vec![
            Span::styled(format!(" {asks}: "), style(Tone::Strong)),
            Span::raw(format!("{}_", display::text(text))),
        ]);
    }
    if let Some(told) = &model.told {
        return Line::from(format!(" {}", display::text(told)));
    }
    let keys = match (&model.mode, model.page) {
        (Mode::Detail(_), _) => " j k scroll  Enter back  q back",
        (_, Page::Queue) => {
            " a approve  A for more  d deny  Enter whole  / filter  K stop all  ? keys  q quit"
        }
        (_, Page::Running) => " s stop  Enter whole  / filter  K stop all  ? keys  q quit",
        (_, Page::History) => " Enter whole  / filter  ? keys  q quit",
    };
    Line::styled(keys, style(Tone::Quiet))
}

fn list(frame: &mut Frame<'_>, model: &Model, now: u64, area: Rect) {
    let (heads, widths, rows): (&[&str], &[Constraint], Vec<Row<'_>>) = match model.page {
        Page::Queue => (
            &["ID", "AGE", "JAIL", "COMMAND"],
            &[
                Constraint::Length(6),
                Constraint::Length(8),
                Constraint::Length(12),
                Constraint::Fill(1),
            ],
            model.queue().into_iter().map(|entry| queued(entry, now)).collect(),
        ),
        Page::Running => (
            &["ID", "AGE", "CPU", "MEMORY", "COMMAND"],
            &[
                Constraint::Length(6),
                Constraint::Length(8),
                Constraint::Length(8),
                Constraint::Length(8),
                Constraint::Fill(1),
            ],
            model.running().into_iter().map(|entry| running(entry, now)).collect(),
        ),
        Page::History => (
            &["AGE", "DECISION", "END", "COMMAND"],
            &[
                Constraint::Length(8),
                Constraint::Length(11),
                Constraint::Length(9),
                Constraint::Fill(1),
            ],
            model.history().into_iter().map(|entry| past(entry, now)).collect(),
        ),
    };
    if rows.is_empty() {
        let text = match model.page {
            _ if !model.filter.is_empty() => "nothing matches the filter",
            Page::Queue => "nothing waits",
            Page::Running => "nothing runs",
            Page::History => "nothing was asked yet",
        };
        frame.render_widget(Paragraph::new(format!("\n {text}")), area);
        return;
    }
    let table = Table::new(rows, widths.iter().copied())
        .header(Row::new(heads.iter().copied()).style(style(Tone::Quiet)))
        .row_highlight_style(Style::new().reversed())
        .highlight_symbol("> ");
    let mut state = TableState::new().with_selected(model.row());
    frame.render_stateful_widget(table, area, &mut state);
}

fn queued(entry: &QueueEntry, now: u64) -> Row<'static> {
    let parked = if entry.callers == 0 { "(parked) " } else { "" };
    let mark = match approvals::mark(entry) {
        mark if mark.is_empty() => parked.to_owned(),
        mark => format!("({mark}) {parked}"),
    };
    Row::new([
        entry.short.clone(),
        display::age(entry.since_ms, now),
        display::text(&entry.jail),
        format!("{mark}{}", display::command(&entry.argv)),
    ])
}

fn running(entry: &RunningEntry, now: u64) -> Row<'static> {
    let cpu = entry.cpu_ms.map_or("?".to_owned(), |ms| {
        format!("{:.1} s", std::time::Duration::from_millis(ms).as_secs_f64())
    });
    let memory =
        entry.memory.map_or("?".to_owned(), |bytes| format!("{} MB", bytes.div_ceil(1_000_000)));
    Row::new([
        entry.short.clone(),
        display::age(entry.started_ms, now),
        cpu,
        memory,
        display::command(&entry.argv),
    ])
}

fn past(entry: &HistoryEntry, now: u64) -> Row<'static> {
    Row::new([
        display::age(entry.time_ms, now),
        verdict(entry),
        end(entry),
        display::command(&entry.argv),
    ])
}

fn verdict(entry: &HistoryEntry) -> String {
    let word = entry.outcome.as_ref().or(entry.decision.as_ref());
    word.map_or("failed".to_owned(), |word| word.replace('_', " "))
}

fn end(entry: &HistoryEntry) -> String {
    match (entry.signal, entry.exit_code) {
        _ if entry.timed_out => "timed out".to_owned(),
        (Some(signal), _) => format!("signal {signal}"),
        (None, Some(code)) => format!("exit {code}"),
        (None, None) if entry.error.is_some() => "failed".to_owned(),
        (None, None) => String::new(),
    }
}

fn detail(frame: &mut Frame<'_>, model: &Model, now: u64, at: u16, area: Rect) {
    let Some(row) = model.row() else { return list(frame, model, now, area) };
    let pairs = match model.page {
        Page::Queue => of_queued(model.queue()[row], now),
        Page::Running => of_running(model.running()[row], now),
        Page::History => of_past(model.history()[row]),
    };
    let mut lines: Vec<Line<'_>> = Vec::new();
    for (name, value) in pairs.into_iter().filter(|(_, value)| !value.is_empty()) {
        let head = Span::styled(format!("{name:>11}  "), style(Tone::Quiet));
        lines.push(Line::from(vec![head, Span::raw(value)]));
    }
    frame.render_widget(
        Paragraph::new(Text::from(lines)).wrap(Wrap { trim: false }).scroll((at, 0)),
        area,
    );
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
        ("state", entry.state.clone()),
        (
            "where",
            if entry.cooperative {
                format!("{}, in the prisoner's own process", entry.executor)
            } else {
                entry.executor.clone()
            },
        ),
        ("rule", text(entry.rule.as_ref())),
        ("jail", display::text(&entry.jail)),
        ("caller", caller(&entry.caller)),
        ("started", display::age(entry.started_ms, now)),
        ("processes", entry.processes.map_or(String::new(), |n| n.to_string())),
        ("id", entry.id.clone()),
    ]
}

fn of_past(entry: &HistoryEntry) -> Pairs {
    vec![
        ("command", display::exact(&entry.argv)),
        ("decision", verdict(entry)),
        ("end", end(entry)),
        ("rule", text(entry.rule.as_ref())),
        ("why", text(entry.reason.as_ref())),
        ("answered by", text(entry.approver.as_ref())),
        ("from", text(entry.answered_from.as_ref())),
        ("saying", text(entry.answer.as_ref())),
        ("directory", text(entry.cwd.as_ref())),
        ("where", text(entry.executor.as_ref())),
        ("took", entry.duration_ms.map_or(String::new(), |ms| format!("{ms} ms"))),
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

fn kill(model: &Model) -> String {
    let jails = &model.known.status.jails;
    let prisoners: usize = jails.iter().map(|jail| jail.prisoners.len()).sum();
    format!(
        "This reaches {} running commands, {prisoners} prisoners, {} jails\nwith their containers, and denies every new \
         command.\n\n  e  end everything\n  p  pause everything\n\nAny other key goes back.",
        model.known.running.len(),
        jails.len()
    )
}

fn over(frame: &mut Frame<'_>, title: &str, text: &str, tone: Tone) {
    let lines = u16::try_from(text.lines().count()).unwrap_or(10).saturating_add(2);
    let [column] = Layout::horizontal([Constraint::Max(64)])
        .flex(ratatui::layout::Flex::Center)
        .areas(frame.area());
    let [area] = Layout::vertical([Constraint::Max(lines)])
        .flex(ratatui::layout::Flex::Center)
        .areas(column);
    let block = Block::bordered().title(format!(" {title} ")).border_style(style(tone));
    frame.render_widget(Clear, area);
    frame.render_widget(Paragraph::new(text).block(block), area);
}
