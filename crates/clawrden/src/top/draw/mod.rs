//! The picture. Nothing is said by colour alone; what a prisoner wrote is made harmless first.

mod detail;
mod list;
mod output;
mod wrap;

use clawrden_api::display;
use ratatui::Frame;
use ratatui::layout::{Constraint, Flex, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::symbols::border;
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::{Block, Clear, Paragraph};

use super::model::{Model, Over, Reach, Typed};
use super::output::State;
use super::page::{Body, Page};
use crate::output::{Tone, colours, count};
use wrap::wrap;

/// Columns of what lies over the rest.
const OVER: u16 = 72;

/// Lines that a sentence from the warden may take.
const SENTENCE: usize = 3;

const HELP: &str = "\
1 2 3, Tab    queue, running, history
j k, arrows   move           g G      first, last
Enter         the whole request, and back
a             approve (queue)
A             approve for more than this run (queue)
d             deny, with a reason for the agent (queue)
o             what a command shows, live where it is recorded
s             stop, with a reason (running)
/             filter by command or jail
K             stop or pause everything
R             resume after a stop, once you say so
Ctrl-L        draw anew      Ctrl-Z   back to the shell
q, Ctrl-C     quit

Any key goes back.";

const RESUME: &str = "\
What is paused goes on, and commands are decided by the policy again.

  r  resume

Any other key goes back.";

/// For terminals that may not know the others.
const ASCII: border::Set<'static> = border::Set {
    top_left: "+",
    top_right: "+",
    bottom_left: "+",
    bottom_right: "+",
    vertical_left: "|",
    vertical_right: "|",
    horizontal_top: "-",
    horizontal_bottom: "-",
};

fn style(tone: Tone) -> Style {
    let style = Style::new();
    match tone {
        Tone::Plain => style,
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
    let width = usize::from(frame.area().width);
    let (alarm, foot) = (alarm(model, now, width), bottom(model, width));
    let rows = |lines: &[Line<'_>]| Constraint::Length(u16::try_from(lines.len()).unwrap_or(1));
    let parts = [Constraint::Length(1), rows(&alarm), Constraint::Min(1), rows(&foot)];
    let [head, warning, body, feet] = Layout::vertical(parts).areas(frame.area());
    frame.render_widget(tabs(model), head);
    frame.render_widget(Paragraph::new(Text::from(alarm)), warning);
    match (model.body, &model.view) {
        (Body::Detail(at), _) => detail::detail(frame, model, now, at, body),
        (Body::Output, Some(view)) => output::output(frame, model, view, body),
        _ => list::list(frame, model, now, body),
    }
    frame.render_widget(Paragraph::new(Text::from(foot)), feet);
    match &model.over {
        Some(Over::Reach(id, reach)) => {
            over(frame, "Approve for", &reaching(model, id, *reach), Tone::Warn);
        }
        Some(Over::Help) => over(frame, "Keys", HELP, Tone::Strong),
        Some(Over::Resume) => over(frame, "Resume", RESUME, Tone::Warn),
        Some(Over::Kill) => over(frame, "Stop everything", &kill(model), Tone::Bad),
        Some(Over::Typing { .. }) | None => {}
    }
}

/// For what the request is approved, as it stands.
fn reaching(model: &Model, id: &str, reach: Reach) -> String {
    let entry = model.known.queue.iter().find(|entry| entry.id == id);
    let command = entry.map_or_else(String::new, |entry| display::command(&entry.argv));
    let command = wrap::beginning(&command, SENTENCE * usize::from(OVER - 2));
    let starts = if reach.and_what_it_starts { "x" } else { " " };
    format!(
        "{command}\n\n  o  this run\n  s  every run of the same, as long as this prisoner lives\n  2  every run of the \
         same within 2 hours\n\n [{starts}] w  and whatever a process below it asks, as long as it runs\n\nWhat the policy denies stays denied. Any other key goes back."
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
        let style = match page {
            _ if page == model.page => Style::new().reversed(),
            Page::Queue if !known.queue.is_empty() => style(Tone::Warn),
            _ => Style::new(),
        };
        line.push(Span::styled(text, style));
    }
    if !model.filter.is_empty() {
        line.push(Span::styled(format!("  /{}", display::text(&model.filter)), style(Tone::Warn)));
    }
    Line::from(line)
}

/// What is wrong, on as many lines as it takes.
fn alarm(model: &Model, now: u64, width: usize) -> Vec<Line<'static>> {
    let Some((tone, text)) = wrong(model, now) else { return Vec::new() };
    let room = width.saturating_sub(2).max(1);
    let rows = wrap(&text, room, true).into_iter().take(SENTENCE);
    // The whole width of it stands out, without colours as well.
    rows.map(|row| Line::styled(format!(" {row:<width$}"), style(tone).reversed())).collect()
}

fn wrong(model: &Model, now: u64) -> Option<(Tone, String)> {
    let status = &model.known.status;
    if let Some(stale) = &model.stale {
        let since = display::duration(now.saturating_sub(model.heard_ms));
        let text = format!(
            "No answer for {since}, what is shown is from before: {}",
            display::text(stale)
        );
        return Some((Tone::Bad, text));
    }
    if let Some(stopped) = &status.stopped {
        let how = if stopped.paused { "paused" } else { "stopped" };
        let by = display::text(&stopped.by);
        return Some((Tone::Bad, format!("Everything is {how} by {by}; R resumes")));
    }
    if let Some(error) = &status.ledger.error {
        let text =
            format!("The ledger cannot be written, so nothing runs: {}", display::text(error));
        return Some((Tone::Bad, text));
    }
    if !status.held.is_empty() {
        let held = count(status.held.len(), "jail or container is", "jails or containers are");
        return Some((Tone::Bad, format!("{held} stopped alone: clawrden status says which")));
    }
    if status.policy.error.is_some() {
        let text = "The changed policy does not load: clawrden status says why";
        return Some((Tone::Bad, text.to_owned()));
    }
    let text = "Dry run: what the policy asks or denies is let through, disasters excepted";
    status.dry_run.then(|| (Tone::Warn, text.to_owned()))
}

fn bottom(model: &Model, width: usize) -> Vec<Line<'static>> {
    if let Some(Over::Typing { what, text }) = &model.over {
        return vec![typed(what, text, width)];
    }
    if let Some(told) = &model.told {
        let rows = wrap(&display::text(told), width.saturating_sub(2).max(1), true);
        return rows.into_iter().take(SENTENCE).map(|row| Line::from(format!(" {row}"))).collect();
    }
    let begins_again = model.view.as_ref().is_some_and(|view| view.state == State::Lost);
    let runs = model
        .view
        .as_ref()
        .is_some_and(|view| model.known.running.iter().any(|entry| entry.id == view.id));
    let keys = match (model.body, model.page) {
        (Body::Output, _) if begins_again => " j k scroll  o begin again  q back  ? keys",
        (Body::Output, Page::Running) if runs => {
            " j k scroll  g G first, newest  s stop  q back  ? keys"
        }
        (Body::Output, _) => " j k scroll  g G first, newest  q back  ? keys",
        (Body::Detail(_), Page::Queue) => {
            " a approve  A for more  d deny  j k scroll  q back  ? keys"
        }
        (Body::Detail(_), Page::Running) => " o output  s stop  j k scroll  q back  ? keys",
        (Body::Detail(_), Page::History) => " o output  j k scroll  q back  ? keys",
        (Body::List, Page::Queue) => {
            " a approve  A for more  d deny  Enter whole  / filter  K stop  ? keys  q quit"
        }
        (Body::List, Page::Running) => {
            " o output  s stop  Enter whole  / filter  K stop all  ? keys  q quit"
        }
        (Body::List, Page::History) => " o output  Enter whole  / filter  ? keys  q quit",
    };
    vec![Line::styled(keys, style(Tone::Quiet))]
}

/// The line that is typed, its end where it is longer than the screen.
fn typed(what: &Typed, text: &str, width: usize) -> Line<'static> {
    let short = |id: &str| id.get(..4).unwrap_or(id).to_owned();
    let asks = match what {
        Typed::Filter => "filter".to_owned(),
        Typed::Approval(id, _) => format!("approve {}, because", short(id)),
        Typed::Denial(id) => format!("deny {}, because", short(id)),
        Typed::Stop(id) => format!("stop {}, because", short(id)),
    };
    let head = format!(" {asks}: ");
    let hint = if text.is_empty() { "  Enter sends, Esc gives up" } else { "" };
    let room = width.saturating_sub(head.chars().count() + 2).max(1);
    let shown = display::text(text);
    let from = shown.chars().count().saturating_sub(room);
    Line::from(vec![
        Span::styled(head, style(Tone::Strong)),
        Span::raw(format!("{}_", shown.chars().skip(from).collect::<String>())),
        Span::styled(hint, style(Tone::Quiet)),
    ])
}

fn kill(model: &Model) -> String {
    let jails = &model.known.status.jails;
    let prisoners = jails.iter().map(|jail| jail.prisoners.len()).sum();
    format!(
        "This reaches {}, {} and {} with their containers, and denies every new command.\n\n  e  end everything\n  p  pause \
         everything\n\nAny other key goes back.",
        count(model.known.running.len(), "running command", "running commands"),
        count(prisoners, "prisoner", "prisoners"),
        count(jails.len(), "jail", "jails"),
    )
}

fn over(frame: &mut Frame<'_>, title: &str, text: &str, tone: Tone) {
    let width = OVER.min(frame.area().width);
    let room = usize::from(width.saturating_sub(2)).max(1);
    let rows: Vec<Line<'_>> =
        text.lines().flat_map(|line| wrap(line, room, true)).map(Line::from).collect();
    let height = u16::try_from(rows.len()).unwrap_or(u16::MAX).saturating_add(2);
    let [column] =
        Layout::horizontal([Constraint::Max(width)]).flex(Flex::Center).areas(frame.area());
    let [area]: [Rect; 1] =
        Layout::vertical([Constraint::Max(height)]).flex(Flex::Center).areas(column);
    let mut block = Block::bordered().title(format!(" {title} ")).border_style(style(tone));
    if !draws_lines() {
        block = block.border_set(ASCII);
    }
    frame.render_widget(Clear, area);
    frame.render_widget(Paragraph::new(Text::from(rows)).block(block), area);
}

/// Whether characters beyond ASCII are known to be shown: the locale says so.
fn draws_lines() -> bool {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let locale = set("LC_ALL").or_else(|| set("LC_CTYPE")).or_else(|| set("LANG"));
    let locale = locale.unwrap_or_default().to_ascii_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}
