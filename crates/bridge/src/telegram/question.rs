//! Asking a person for a reason. The question says for which request it is, so that an answer to it can be understood after
//! any restart: nothing is kept.

use super::text::{Text, short, units};
use super::wire::Message;
use crate::card::{DIGITS, is_request};

/// UTF-16 units of a user's name.
const MAX_NAME: usize = 64;

/// What an answer to a question means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answering {
    /// A yes, with the reason.
    Approve,
    /// A no, with the reason.
    Deny,
}

impl Answering {
    const ALL: [Self; 2] = [Self::Approve, Self::Deny];

    fn words(self) -> &'static str {
        match self {
            Self::Approve => {
                ", why may this run? Answer to this message with the reason.\nRequest: "
            }
            Self::Deny => {
                ", why may this not run? Answer to this message with the reason.\nRequest: "
            }
        }
    }

    /// What stands in the field in which the answer is written, at most 64 characters.
    pub(super) fn placeholder(self) -> &'static str {
        match self {
            Self::Approve => "Why it may run",
            Self::Deny => "Why it may not run",
        }
    }
}

/// The question to a user.
pub(super) fn question(user: i64, shown: &str, answering: Answering, request: &str) -> Text {
    let mut text = Text::default();
    text.mention(user, &short(shown, MAX_NAME));
    text.say(answering.words()).code(request);
    text
}

/// For which request a message of ours asks for a reason, where it is a question and was put to this user.
///
/// Whatever anybody else chose stands in code, in every message of ours: where nothing is code but the id at the very
/// end, the words before it are our own, and the name before them is that of whom we ask.
pub(super) fn asked(message: &Message, bot: i64, user: i64) -> Option<(Answering, String)> {
    if message.from.as_ref()?.id != bot || message.sender_chat.is_some() || !message.is_original() {
        return None;
    }
    let text = message.text.as_deref()?;
    let mut in_code = message.entities.iter().filter(|e| matches!(&*e.kind, "code" | "pre"));
    let (code, None) = (in_code.next()?, in_code.next()) else { return None };
    let is_at_the_end = code.kind == "code" && code.length == DIGITS;
    if !is_at_the_end || code.offset.checked_add(DIGITS) != Some(units(text)) {
        return None;
    }
    let (before, id) = text.split_at_checked(text.len().checked_sub(DIGITS)?)?;
    let answering = Answering::ALL.into_iter().find(|a| before.ends_with(a.words()))?;
    // Who is asked is mentioned first, and nobody else is: a message that names two is a question to neither.
    let is_mention = |kind: &str| matches!(kind, "text_mention" | "mention");
    let mut mentioned = message.entities.iter().filter(|entity| is_mention(&entity.kind));
    let (mentioned, None) = (mentioned.next()?, mentioned.next()) else { return None };
    let is_theirs = mentioned.offset == 0 && mentioned.user.as_ref()?.id == user;
    (is_theirs && is_request(id)).then(|| (answering, id.to_owned()))
}
