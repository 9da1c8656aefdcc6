//! What a key does.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use clawrden_api::GrantScope;

use super::model::{Mode, Model, Page, Reach, Typed};
use crate::verbs::approvals::needs_reason;

/// What is to be done beyond the screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Order {
    /// Ask the warden how things are.
    Look,
    Approve {
        id: String,
        reach: Reach,
        reason: Option<String>,
    },
    Deny {
        id: String,
        reason: Option<String>,
    },
    Stop {
        id: String,
        reason: Option<String>,
    },
    Kill {
        pause: bool,
    },
    Resume,
    Quit,
}

/// Takes a key.
pub(super) fn press(model: &mut Model, key: KeyEvent) -> Option<Order> {
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return matches!(key.code, KeyCode::Char('c')).then_some(Order::Quit);
    }
    model.told = None;
    match std::mem::replace(&mut model.mode, Mode::List) {
        Mode::List => list(model, key.code),
        Mode::Detail(at) => detail(model, at, key.code),
        Mode::Help => None,
        Mode::Resume => matches!(key.code, KeyCode::Char('r')).then_some(Order::Resume),
        Mode::Kill => match key.code {
            KeyCode::Char('e') => Some(Order::Kill { pause: false }),
            KeyCode::Char('p') => Some(Order::Kill { pause: true }),
            _ => None,
        },
        Mode::Reach(id, reach) => reaching(model, id, reach, key.code),
        Mode::Typing { what, text } => typing(model, what, text, key.code),
    }
}

fn list(model: &mut Model, key: KeyCode) -> Option<Order> {
    match key {
        KeyCode::Char('q') | KeyCode::Esc => return Some(Order::Quit),
        KeyCode::Char('1') => model.page = Page::Queue,
        KeyCode::Char('2') => model.page = Page::Running,
        KeyCode::Char('3') => model.page = Page::History,
        KeyCode::Tab => model.page = model.page.next(),
        KeyCode::Char('j') | KeyCode::Down => model.step(1),
        KeyCode::Char('k') | KeyCode::Up => model.step(-1),
        KeyCode::PageDown => model.step(10),
        KeyCode::PageUp => model.step(-10),
        KeyCode::Char('g') | KeyCode::Home => model.choose(0),
        KeyCode::Char('G') | KeyCode::End => model.choose(usize::MAX),
        KeyCode::Enter => {
            if let Some(row) = model.row() {
                model.choose(row);
                model.mode = Mode::Detail(0);
            }
        }
        KeyCode::Char('/') => {
            model.mode = Mode::Typing { what: Typed::Filter, text: model.filter.clone() };
        }
        KeyCode::Char('?') => model.mode = Mode::Help,
        KeyCode::Char('K') => model.mode = Mode::Kill,
        KeyCode::Char('R') => model.mode = Mode::Resume,
        KeyCode::Char(c) => return answer(model, c),
        _ => {}
    }
    None
}

fn detail(model: &mut Model, at: u16, key: KeyCode) -> Option<Order> {
    let to = match key {
        KeyCode::Char('j') | KeyCode::Down => at.saturating_add(1),
        KeyCode::Char('k') | KeyCode::Up => at.saturating_sub(1),
        KeyCode::PageDown | KeyCode::Char(' ') => at.saturating_add(10),
        KeyCode::PageUp => at.saturating_sub(10),
        KeyCode::Char(c) => return answer(model, c),
        _ => return None,
    };
    model.mode = Mode::Detail(to);
    None
}

/// `a`, `A`, `d` and `s`, for a row that was chosen: one that has slipped under the cursor is chosen first.
fn answer(model: &mut Model, key: char) -> Option<Order> {
    let is_for_page = match key {
        'a' | 'A' | 'd' => model.page == Page::Queue,
        's' => model.page == Page::Running,
        _ => false,
    };
    let row = model.row().filter(|_| is_for_page)?;
    if !model.is_chosen() {
        model.choose(row);
        model.told = Some("chosen; press again to answer it".to_owned());
        return None;
    }
    let id = model.id()?;
    let what = match key {
        'a' => return approve(model, id, Reach::default()),
        'A' => {
            model.mode = Mode::Reach(id, Reach::default());
            return None;
        }
        'd' => Typed::Denial(id),
        _ => Typed::Stop(id),
    };
    model.mode = Mode::Typing { what, text: String::new() };
    None
}

/// Approves, once it was said why where that is wanted.
fn approve(model: &mut Model, id: String, reach: Reach) -> Option<Order> {
    let entry = model.known.queue.iter().find(|entry| entry.id == id);
    if entry.is_some_and(needs_reason) {
        model.mode = Mode::Typing { what: Typed::Approval(id, reach), text: String::new() };
        return None;
    }
    Some(Order::Approve { id, reach, reason: None })
}

/// For what it is approved.
fn reaching(model: &mut Model, id: String, mut reach: Reach, key: KeyCode) -> Option<Order> {
    reach.scope = match key {
        KeyCode::Char('o') => GrantScope::Once,
        KeyCode::Char('s') => GrantScope::Session,
        KeyCode::Char('2') => GrantScope::Time,
        KeyCode::Char('w') => {
            reach.and_what_it_starts = !reach.and_what_it_starts;
            model.mode = Mode::Reach(id, reach);
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
            let given = Some(text.trim().to_owned()).filter(|text| !text.is_empty());
            return match what {
                Typed::Filter => {
                    model.filter = given.unwrap_or_default();
                    None
                }
                Typed::Approval(id, reach) => Some(Order::Approve { id, reach, reason: given }),
                Typed::Denial(id) => Some(Order::Deny { id, reason: given }),
                Typed::Stop(id) => Some(Order::Stop { id, reason: given }),
            };
        }
        KeyCode::Backspace => drop(text.pop()),
        KeyCode::Char(c) => text.push(c),
        _ => {}
    }
    model.mode = Mode::Typing { what, text };
    None
}
