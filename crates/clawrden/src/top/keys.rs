//! What a key does.

use std::time::{Duration, Instant};

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use clawrden_api::GrantScope;

use super::model::{Model, Over, Reach, Typed};
use super::output::{State, View};
use super::page::{Body, Page};
use crate::verbs::approvals::needs_reason;

/// What is to be done beyond the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Order {
    /// Ask the warden for it.
    Ask(Ask),
    /// Read what this command shows.
    Follow { id: String },
    /// Draw everything anew.
    Redraw,
    /// Give the terminal back for as long as the shell wants.
    Suspend,
    /// End, `at_once` without what the warden says of the last answer.
    Quit { at_once: bool },
}

/// What the warden is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ask {
    Approve { id: String, reach: Reach, reason: Option<String> },
    Deny { id: String, reason: Option<String> },
    Stop { id: String, reason: Option<String> },
    Kill { pause: bool },
    Resume,
}

/// What was typed at a row sooner than this after it was chosen by slipping under the cursor was meant for another one.
pub(super) const READ_FIRST: Duration = Duration::from_millis(500);

/// Characters of a line that can be typed.
const TYPED: usize = 1000;

/// Takes a key.
pub(super) fn press(model: &mut Model, key: KeyEvent) -> Option<Order> {
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return control(model, key.code);
    }
    model.told = None;
    match model.over.take() {
        None => body(model, key.code),
        Some(Over::Help) => None,
        Some(Over::Resume) => {
            matches!(key.code, KeyCode::Char('r')).then_some(Order::Ask(Ask::Resume))
        }
        Some(Over::Kill) => match key.code {
            KeyCode::Char('e') => Some(Order::Ask(Ask::Kill { pause: false })),
            KeyCode::Char('p') => Some(Order::Ask(Ask::Kill { pause: true })),
            _ => None,
        },
        Some(Over::Reach(id, reach)) => reaching(model, id, reach, key.code),
        Some(Over::Typing { what, text }) => typing(model, what, text, key.code),
    }
}

fn control(model: &mut Model, key: KeyCode) -> Option<Order> {
    match key {
        KeyCode::Char('c') => return Some(Order::Quit { at_once: true }),
        KeyCode::Char('l') => return Some(Order::Redraw),
        KeyCode::Char('z') => return Some(Order::Suspend),
        KeyCode::Char('u') => {
            if let Some(Over::Typing { text, .. }) = &mut model.over {
                text.clear();
            }
        }
        _ => {}
    }
    None
}

/// A key that nothing lies over.
fn body(model: &mut Model, key: KeyCode) -> Option<Order> {
    let page = match key {
        KeyCode::Char('1') => Page::Queue,
        KeyCode::Char('2') => Page::Running,
        KeyCode::Char('3') => Page::History,
        KeyCode::Tab => model.page.next(),
        KeyCode::Char('?') => {
            model.over = Some(Over::Help);
            return None;
        }
        KeyCode::Char('K') => {
            model.over = Some(Over::Kill);
            return None;
        }
        KeyCode::Char('R') => {
            model.over = Some(Over::Resume);
            return None;
        }
        _ => {
            return match model.body {
                Body::List => list(model, key),
                Body::Detail(at) => detail(model, at, key),
                Body::Output => output(model, key),
            };
        }
    };
    (model.page, model.body, model.view) = (page, Body::List, None);
    None
}

fn list(model: &mut Model, key: KeyCode) -> Option<Order> {
    match key {
        KeyCode::Char('q') | KeyCode::Esc => return Some(Order::Quit { at_once: false }),
        KeyCode::Char('j') | KeyCode::Down => model.step(1),
        KeyCode::Char('k') | KeyCode::Up => model.step(-1),
        KeyCode::PageDown | KeyCode::Char(' ') => model.step(10),
        KeyCode::PageUp => model.step(-10),
        KeyCode::Char('g') | KeyCode::Home => model.choose(0),
        KeyCode::Char('G') | KeyCode::End => model.choose(usize::MAX),
        KeyCode::Enter => {
            if let Some(row) = model.row() {
                model.choose(row);
                model.body = Body::Detail(0);
            }
        }
        KeyCode::Char('/') => {
            let text = model.filter.clone();
            model.over = Some(Over::Typing { what: Typed::Filter, text });
        }
        KeyCode::Char('o') => {
            let row = model.row()?;
            model.choose(row);
            return follow(model);
        }
        KeyCode::Char(c) => return answer(model, c),
        _ => {}
    }
    None
}

fn detail(model: &mut Model, at: u16, key: KeyCode) -> Option<Order> {
    let deepest = model.deepest.get();
    let to = match key {
        KeyCode::Char('j') | KeyCode::Down => at.saturating_add(1),
        KeyCode::Char('k') | KeyCode::Up => at.saturating_sub(1),
        KeyCode::PageDown | KeyCode::Char(' ') => at.saturating_add(10),
        KeyCode::PageUp => at.saturating_sub(10),
        KeyCode::Char('g') | KeyCode::Home => 0,
        KeyCode::Char('G') | KeyCode::End => deepest,
        KeyCode::Enter | KeyCode::Esc | KeyCode::Char('q') => {
            model.body = Body::List;
            return None;
        }
        KeyCode::Char('o') => return follow(model),
        KeyCode::Char(c) => return answer(model, c),
        _ => return None,
    };
    model.body = Body::Detail(to.min(deepest));
    None
}

fn output(model: &mut Model, key: KeyCode) -> Option<Order> {
    let view = model.view.as_mut()?;
    let by = match key {
        KeyCode::Char('j') | KeyCode::Down => 1,
        KeyCode::Char('k') | KeyCode::Up => -1,
        KeyCode::PageDown | KeyCode::Char(' ') => 10,
        KeyCode::PageUp => -10,
        KeyCode::Char('g') | KeyCode::Home => i64::MIN,
        KeyCode::Char('G') | KeyCode::End => i64::MAX,
        KeyCode::Enter | KeyCode::Esc | KeyCode::Char('q') => {
            model.body = view.back;
            model.view = None;
            return None;
        }
        KeyCode::Char('o') if view.state == State::Lost => {
            view.again();
            return Some(Order::Follow { id: view.id.clone() });
        }
        KeyCode::Char(c) => return answer(model, c),
        _ => return None,
    };
    view.step(by);
    None
}

/// The output of what was chosen.
fn follow(model: &mut Model) -> Option<Order> {
    let chosen = model.chosen()?.to_owned();
    let back = model.body;
    let running = model.known.running.iter().find(|entry| entry.id == chosen);
    let past = model.known.history.iter().find(|entry| entry.id == chosen);
    let view = match (model.page, running, past) {
        (Page::Queue, ..) => {
            model.told = Some("it waits, and has shown nothing yet".to_owned());
            return None;
        }
        (_, Some(entry), _) => View::of_running(entry, back),
        (_, None, Some(entry)) => View::of_past(entry, back),
        (_, None, None) => {
            model.told = Some("it is not there any more".to_owned());
            return None;
        }
    };
    let order = (view.state == State::Asked).then_some(Order::Follow { id: chosen });
    (model.view, model.body) = (Some(view), Body::Output);
    order
}

/// `a`, `A`, `d` and `s`, for a row that was chosen: one that has slipped under the cursor is chosen first, and what was
/// on its way to the keyboard then does not answer it, nor does a key that is held down.
fn answer(model: &mut Model, key: char) -> Option<Order> {
    let is_for_page = match key {
        'a' | 'A' | 'd' => model.page == Page::Queue,
        's' => model.page == Page::Running,
        _ => false,
    };
    if !is_for_page {
        return None;
    }
    // What is shown whole waits or runs no longer, and another one is not answered in its place.
    if model.body != Body::List && !model.is_chosen() {
        model.told = Some("it is not there any more".to_owned());
        return None;
    }
    let row = model.row()?;
    let is_read = model.slipped.is_none_or(|since| since.elapsed() >= READ_FIRST);
    if !model.is_chosen() || !is_read {
        model.choose(row);
        model.slipped = Some(Instant::now());
        let what = if key == 's' { "stop" } else { "answer" };
        model.told =
            Some(format!("this one is chosen now: look at it, then press again to {what} it"));
        return None;
    }
    let id = model.id()?;
    let what = match key {
        'a' => return approve(model, id, Reach::default()),
        'A' => {
            model.over = Some(Over::Reach(id, Reach::default()));
            return None;
        }
        'd' => Typed::Denial(id),
        _ => Typed::Stop(id),
    };
    model.over = Some(Over::Typing { what, text: String::new() });
    None
}

/// Approves, once it was said why where that is wanted.
fn approve(model: &mut Model, id: String, reach: Reach) -> Option<Order> {
    let entry = model.known.queue.iter().find(|entry| entry.id == id);
    if entry.is_some_and(needs_reason) {
        let what = Typed::Approval(id, reach);
        model.over = Some(Over::Typing { what, text: String::new() });
        return None;
    }
    model.body = Body::List;
    Some(Order::Ask(Ask::Approve { id, reach, reason: None }))
}

/// For what it is approved.
fn reaching(model: &mut Model, id: String, mut reach: Reach, key: KeyCode) -> Option<Order> {
    reach.scope = match key {
        KeyCode::Char('o') => GrantScope::Once,
        KeyCode::Char('s') => GrantScope::Session,
        KeyCode::Char('2') => GrantScope::Time,
        KeyCode::Char('w') => {
            reach.and_what_it_starts = !reach.and_what_it_starts;
            model.over = Some(Over::Reach(id, reach));
            return None;
        }
        _ => return None,
    };
    approve(model, id, reach)
}

fn typing(model: &mut Model, what: Typed, mut text: String, key: KeyCode) -> Option<Order> {
    match key {
        KeyCode::Esc => return None,
        KeyCode::Enter => {
            let reason = Some(text.trim().to_owned()).filter(|text| !text.is_empty());
            let ask = match what {
                Typed::Filter => {
                    model.filter = reason.unwrap_or_default();
                    return None;
                }
                // What runs is looked at until it has ended.
                Typed::Stop(id) => return Some(Order::Ask(Ask::Stop { id, reason })),
                Typed::Approval(id, reach) => Ask::Approve { id, reach, reason },
                Typed::Denial(id) => Ask::Deny { id, reason },
            };
            model.body = Body::List;
            return Some(Order::Ask(ask));
        }
        KeyCode::Backspace => drop(text.pop()),
        KeyCode::Char(c) if text.chars().count() < TYPED => text.push(c),
        _ => {}
    }
    model.over = Some(Over::Typing { what, text });
    None
}
