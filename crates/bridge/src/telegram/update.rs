//! What an update means. Whatever is not plainly a person's own tap or command is nothing.

use super::question::{Answering, asked};
use super::text::short;
use super::wire::{CallbackQuery, Message, Tapped, Update, User};
use crate::card::is_request;
use crate::heard::{Heard, ReplyTo, Scope, Wants};
use crate::words::with_code;

/// Characters of a reason; of a longer one the beginning is taken.
pub const MAX_REASON: usize = 1000;

/// Words of a command, and characters of each; a command with more is none.
pub const MAX_WORDS: usize = 16;
const MAX_WORD: usize = 128;

/// UTF-16 units of a user's name.
const MAX_SHOWN: usize = 64;

/// Bytes of a callback query's id; the longest that is known has 20.
const MAX_CALLBACK: usize = 64;

/// How far from now a command may have been written that opens what is stopped, in milliseconds: one from before the bridge
/// was away is not what is wanted now.
pub const MAX_AGE: u64 = 10 * 60 * 1000;

/// What the button sends by which all are denied that a message shows.
pub(super) const DENY_ALL: &str = "deny-all";

/// Requests that are denied at once.
pub(super) const MAX_DENIED: usize = 10;

/// The commands that are known: each with what it is for, as Telegram's menu shows it.
pub(super) const COMMANDS: [(&str, &str); 7] = [
    ("status", "How the warden is"),
    ("queue", "What waits for an answer"),
    ("kill", "Stop everything, or one jail"),
    ("resume", "Let things run again"),
    ("pair", "Say by a code who you are"),
    ("help", "What can be done here"),
    ("start", "What can be done here"),
];

/// Who we are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bot {
    /// Our user's id.
    pub id: i64,
    /// Our user's name, without the `@`.
    pub username: String,
}

/// What an update means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meaning {
    /// Nothing to us.
    Nothing,
    /// Somebody wants something.
    Heard(Heard),
    /// Somebody denies several requests at once.
    Denied(Vec<Heard>),
    /// Somebody wants to answer with a reason, and is to be asked for it.
    Ask {
        /// The tap; what it wants is the answer without the reason.
        tap: Heard,
        /// The message whose button it was.
        message: i64,
        /// Which answer.
        answering: Answering,
    },
    /// Somebody says a code where others see it: it is taken, so that none of them can use it, and they are told to write to
    /// us alone.
    InPublic(Heard),
    /// A command that is not of this time, and not to be done.
    TooLate {
        /// To whom that is said.
        to: ReplyTo,
    },
    /// A command in the name of a group or a channel: whose it is, nobody tells.
    Anonymous {
        /// Where that is said.
        to: ReplyTo,
    },
}

/// Understands an update as it came over the network. `now_ms` is in milliseconds since 1970.
#[must_use]
pub fn understand(update: &[u8], bot: &Bot, now_ms: u64) -> Meaning {
    serde_json::from_slice(update).map_or(Meaning::Nothing, |update| meaning(update, bot, now_ms))
}

pub(super) fn meaning(update: Update, bot: &Bot, now_ms: u64) -> Meaning {
    match update {
        Update { callback_query: Some(tap), message: None } => of_tap(tap, bot),
        Update { callback_query: None, message: Some(message) } => {
            of_message(&message, bot, now_ms)
        }
        _ => Meaning::Nothing,
    }
}

fn of_tap(tap: CallbackQuery, bot: &Bot) -> Meaning {
    let is_known = !tap.id.is_empty()
        && tap.id.len() <= MAX_CALLBACK
        && tap.id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    let (Some(message), Some(data)) = (tap.message, tap.data) else { return Meaning::Nothing };
    if tap.from.is_bot || !is_known {
        return Meaning::Nothing;
    }
    if data == DENY_ALL {
        return denied(&tap.id, &tap.from, &message, bot);
    }
    let Some((verb, request)) = data.split_once(':').filter(|(_, id)| is_request(id)) else {
        return Meaning::Nothing;
    };
    let (approve, scope, answering) = match verb {
        "a" => (true, Scope::Once, None),
        "s" => (true, Scope::Session, None),
        "d" => (false, Scope::Once, None),
        "y" => (true, Scope::Once, Some(Answering::Approve)),
        "r" => (false, Scope::Once, Some(Answering::Deny)),
        _ => return Meaning::Nothing,
    };
    let wants = Wants::Answer { request: request.to_owned(), approve, reason: None, scope };
    let tapped = tapped(&tap.id, &tap.from, &message, wants);
    match answering {
        None => Meaning::Heard(tapped),
        Some(answering) => Meaning::Ask { tap: tapped, message: message.message_id, answering },
    }
}

fn tapped(id: &str, from: &User, message: &Tapped, wants: Wants) -> Heard {
    let thread = message.message_thread_id.filter(|_| message.is_topic_message);
    let user = from.id.to_string();
    let address = format!("{CALLBACK}{id}");
    let place = place(message.chat.id, thread);
    let to = ReplyTo { place, address: Some(address.clone()), user: user.clone() };
    Heard { shown: shown(from), key: address, said_ms: None, to, user, wants }
}

/// Every request that has a button to be denied in a message of ours. Of an old message Telegram does not tell the buttons.
fn denied(id: &str, from: &User, message: &Tapped, bot: &Bot) -> Meaning {
    if message.from.as_ref().is_none_or(|author| author.id != bot.id) {
        return Meaning::Nothing;
    }
    let buttons = message.reply_markup.inline_keyboard.iter().flatten();
    let requests = buttons.filter_map(|button| button.callback_data.as_deref()?.strip_prefix("d:"));
    let requests = requests.filter(|request| is_request(request)).take(MAX_DENIED);
    let all = requests.enumerate().map(|(at, request)| {
        let request = request.to_owned();
        let wants = Wants::Answer { request, approve: false, reason: None, scope: Scope::Once };
        let heard = tapped(id, from, message, wants);
        Heard { key: format!("{}:{at}", heard.key), ..heard }
    });
    Meaning::Denied(all.collect())
}

fn of_message(message: &Message, bot: &Bot, now_ms: u64) -> Meaning {
    let (Some(from), Some(text)) = (&message.from, &message.text) else { return Meaning::Nothing };
    if !message.is_original() || message.chat.kind == "channel" {
        return Meaning::Nothing;
    }
    let is_private = message.chat.kind == "private";
    let thread = message.message_thread_id.filter(|_| message.is_topic_message);
    let to = ReplyTo {
        place: place(message.chat.id, thread),
        address: Some(format!("{MESSAGE}{}", message.message_id)),
        user: from.id.to_string(),
    };
    // What answers to a question is a reason, whatever it begins with.
    let is_to_us_alone = is_private && message.reply_to_message.is_none();
    let command = command(text, bot, is_to_us_alone);
    if message.sender_chat.is_some() {
        return if command.is_some() { Meaning::Anonymous { to } } else { Meaning::Nothing };
    }
    if from.is_bot {
        return Meaning::Nothing;
    }
    let heard = |wants| Heard {
        user: from.id.to_string(),
        shown: shown(from),
        key: format!("{MESSAGE}{}:{}", message.chat.id, message.message_id),
        said_ms: Some(message.date.saturating_mul(1000)),
        to: to.clone(),
        wants,
    };
    if let Some(words) = command {
        let says_a_code = words[0] == "pair" && words.len() > 1;
        let age = now_ms.abs_diff(message.date.saturating_mul(1000));
        if words[0] == "resume" && age > MAX_AGE {
            return Meaning::TooLate { to };
        }
        let heard = heard(Wants::Command(words));
        return if says_a_code && !is_private {
            Meaning::InPublic(heard)
        } else {
            Meaning::Heard(heard)
        };
    }
    let question = message.reply_to_message.as_deref();
    let Some((answering, request)) = question.and_then(|q| asked(q, bot.id, from.id)) else {
        return Meaning::Nothing;
    };
    let reason: String = text.trim().chars().take(MAX_REASON).collect();
    if reason.is_empty() {
        return Meaning::Nothing;
    }
    let approve = answering == Answering::Approve;
    Meaning::Heard(heard(Wants::Answer {
        request,
        approve,
        reason: Some(reason),
        scope: Scope::Once,
    }))
}

/// The words of a command to us: `/kill@our_bot web` is `kill web`. One for another bot, or that is not known, is none.
/// A code needs no slash where it is said to us: that it is not heard would leave it to who sees it.
fn command(text: &str, bot: &Bot, is_to_us_alone: bool) -> Option<Vec<String>> {
    let is_us = |name: &str| name.eq_ignore_ascii_case(&bot.username);
    let mut words = text.split_whitespace().peekable();
    let to_us = words.next_if(|word| word.strip_prefix('@').is_some_and(is_us)).is_some();
    let first = words.next()?;
    let is_code = (to_us || is_to_us_alone) && first.eq_ignore_ascii_case("pair");
    let first = match first.strip_prefix('/') {
        Some(first) if to_us || text.starts_with('/') => first,
        None if is_code => first,
        _ => return None,
    };
    let (name, to) = first.split_once('@').map_or((first, None), |(name, to)| (name, Some(to)));
    if to.is_some_and(|to| !is_us(to)) {
        return None;
    }
    let (name, _) = COMMANDS.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
    // It is said by the button with which everybody begins.
    if name == "start" {
        return Some(vec!["help".to_owned()]);
    }
    let mut all = vec![name.to_owned()];
    for word in words {
        if all.len() == MAX_WORDS || word.chars().count() > MAX_WORD {
            return None;
        }
        all.push(word.to_owned());
    }
    Some(with_code(all))
}

/// Before the id of a callback query, in the address of a reply.
pub(super) const CALLBACK: &str = "tap:";

/// Before the id of a message, in the address of a reply.
pub(super) const MESSAGE: &str = "message:";

/// A chat, and the topic in it where it has any: `-1001234567890/17`.
pub(super) fn place(chat: i64, thread: Option<i64>) -> String {
    thread.map_or_else(|| chat.to_string(), |thread| format!("{chat}/{thread}"))
}

/// How a user is shown: for people, and of no authority.
fn shown(user: &User) -> String {
    let mut name = user.first_name.clone();
    for (before, more) in [(" ", &user.last_name), (" @", &user.username)] {
        if let Some(more) = more {
            name.push_str(before);
            name.push_str(more);
        }
    }
    short(&name, MAX_SHOWN)
}

#[cfg(test)]
mod tests;
