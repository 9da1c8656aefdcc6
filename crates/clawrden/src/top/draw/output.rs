//! What a command shows, from its newest line upward.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::Paragraph;

use super::list::end;
use super::style;
use super::wrap::{beginning, wrap};
use crate::output::{Tone, count};
use crate::top::model::Model;
use crate::top::output::{State, View};

pub(super) fn output(frame: &mut Frame<'_>, model: &Model, view: &View, area: Rect) {
    let [head, body] = Layout::vertical([Constraint::Length(1), Constraint::Min(1)]).areas(area);
    let width = usize::from(area.width);
    frame.render_widget(heading(model, view, width), head);
    view.room.set(room(view, width, usize::from(body.height)));
    let lines = match &view.state {
        State::Nothing(why) => said(why, width),
        State::Asked => said("the warden is asked", width),
        _ => rows(view, width, usize::from(body.height)),
    };
    frame.render_widget(Paragraph::new(Text::from(lines)), body);
}

fn heading(model: &Model, view: &View, width: usize) -> Line<'static> {
    let (state, tone) = match &view.state {
        State::Asked => (String::new(), Tone::Quiet),
        State::Live => ("live".to_owned(), Tone::Good),
        State::Reading => ("reading".to_owned(), Tone::Warn),
        State::Whole => {
            let past = model.known.history.iter().find(|entry| entry.id == view.id);
            let how = past.map(end).filter(|how| !how.is_empty());
            (how.map_or("ended".to_owned(), |how| format!("ended: {how}")), Tone::Warn)
        }
        State::Lost => ("broken off; o begins again".to_owned(), Tone::Bad),
        State::Nothing(_) => ("no output".to_owned(), Tone::Warn),
    };
    let below = match view.below() {
        0 => String::new(),
        below => format!(
            "{} below, G goes there",
            count(usize::try_from(below).unwrap_or(usize::MAX), "line", "lines")
        ),
    };
    let parts = [state, below].into_iter().filter(|part| !part.is_empty());
    let mark = format!(" {} ", parts.collect::<Vec<_>>().join("; "));
    let room = width.saturating_sub(mark.chars().count() + 2).max(20);
    Line::from(vec![
        Span::styled(mark, style(tone).reversed()),
        Span::styled(format!(" {}", beginning(&view.command, room)), style(Tone::Strong)),
    ])
}

fn said(text: &str, width: usize) -> Vec<Line<'static>> {
    let room = width.saturating_sub(2).max(1);
    let rows = text.lines().flat_map(|line| wrap(line, room, true));
    std::iter::once(Line::default()).chain(rows.map(|row| Line::from(format!(" {row}")))).collect()
}

/// Lines from the first on that there is room for, and for the one that says what is not held.
fn room(view: &View, width: usize, height: usize) -> u64 {
    let tail = &view.tail;
    let mut free = height - usize::from(tail.first() > 0).min(height);
    let mut lines = 0;
    for number in tail.first()..tail.end() {
        let takes = wrap(&tail.line(number).unwrap_or_default(), width.max(1), false).len();
        let Some(left) = free.checked_sub(takes) else { break };
        (free, lines) = (left, lines + 1);
    }
    lines.max(1)
}

fn rows(view: &View, width: usize, height: usize) -> Vec<Line<'static>> {
    let tail = &view.tail;
    if tail.end() == 0 {
        let text = match view.state {
            State::Whole => "it has shown nothing",
            _ => "it has shown nothing yet",
        };
        return said(text, width);
    }
    let mut rows: Vec<Line<'static>> = Vec::new();
    let mut number = view.bottom();
    while rows.len() < height && number > tail.first() {
        number -= 1;
        let line = tail.line(number).unwrap_or_default();
        rows.extend(wrap(&line, width.max(1), false).into_iter().rev().map(Line::from));
    }
    rows.truncate(height);
    rows.reverse();
    if number == tail.first() && number > 0 && rows.len() < height {
        let id = view.id.get(..8).unwrap_or(&view.id);
        let text =
            format!("[what was before is not held here: clawrden replay {id} --print has all]");
        rows.insert(0, Line::styled(text, style(Tone::Quiet)));
    }
    rows
}
