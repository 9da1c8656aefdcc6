//! Chats by their ids, and the ones that got another id.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use crate::heard::Failure;

/// A chat, and a topic in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    chat: Chat,
    thread: Option<i64>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Chat {
    Id(i64),
    /// A public one, with its `@`.
    Name(String),
}

impl Place {
    /// Reads `-1001234567890`, `@name`, and either with a topic's number behind a slash.
    pub(super) fn read(place: &str) -> Result<Self, Failure> {
        let bad = || {
            Failure::Never(format!(
                "{place:?} is no chat; write its number, such as -1001234567890, or -1001234567890/17 for a topic in it"
            ))
        };
        let (chat, thread) = match place.trim().split_once('/') {
            Some((chat, thread)) => (chat, Some(thread.parse().map_err(|_| bad())?)),
            None => (place.trim(), None),
        };
        let is_name = |name: &str| {
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        };
        let chat = match chat.strip_prefix('@') {
            Some(name) if is_name(name) => Chat::Name(chat.to_owned()),
            Some(_) => return Err(bad()),
            None => Chat::Id(chat.parse().map_err(|_| bad())?),
        };
        Ok(Self { chat, thread })
    }

    /// The same topic of the chat by another id.
    pub(super) fn moved(&self, to: i64) -> Self {
        Self { chat: Chat::Id(to), thread: self.thread }
    }

    /// The chat as the Bot API takes it.
    pub(super) fn chat(&self) -> Value {
        match &self.chat {
            Chat::Id(id) => json!(id),
            Chat::Name(name) => json!(name),
        }
    }

    /// The topic.
    pub(super) fn thread(&self) -> Option<i64> {
        self.thread
    }
}

/// Groups that became supergroups: what is meant for the old id goes to the other. Telegram tells of it again after a
/// restart, so nothing is kept.
#[derive(Debug, Default)]
pub(super) struct Moved(Mutex<BTreeMap<i64, i64>>);

/// Chats that are remembered; there are as many as are configured.
const MAX_MOVED: usize = 1000;

impl Moved {
    /// Where a place is by now.
    pub(super) fn now(&self, place: &Place) -> Place {
        let Chat::Id(id) = place.chat else { return place.clone() };
        let moved = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        moved.get(&id).map_or_else(|| place.clone(), |&to| place.moved(to))
    }

    /// Remembers that a chat goes by another id.
    pub(super) fn remember(&self, place: &Place, to: i64) {
        let Chat::Id(from) = place.chat else { return };
        let mut moved = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if moved.len() < MAX_MOVED && moved.insert(from, to) != Some(to) {
            tracing::warn!(
                from,
                to,
                "the telegram group has another id by now: write that into the settings"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chats_are_numbers_names_and_topics() {
        let read = |place| Place::read(place).map(|p| (p.chat(), p.thread()));
        assert_eq!(read("-1001234567890"), Ok((json!(-1_001_234_567_890_i64), None)));
        assert_eq!(read("42/17"), Ok((json!(42), Some(17))));
        assert_eq!(read("@ops_room"), Ok((json!("@ops_room"), None)));
        for bad in ["", "general", "@", "@a b", "1/", "1/x", "1/2/3", "99999999999999999999"] {
            let Err(Failure::Never(why)) = read(bad) else { panic!("{bad}") };
            assert!(why.contains("write its number"), "{why}");
        }
    }

    #[test]
    fn what_is_meant_for_a_group_that_moved_goes_where_it_is() {
        let (moved, old) = (Moved::default(), Place::read("-5/3").unwrap());
        assert_eq!(moved.now(&old), old);
        moved.remember(&old, -1005);
        assert_eq!(moved.now(&old), Place::read("-1005/3").unwrap());
    }
}
