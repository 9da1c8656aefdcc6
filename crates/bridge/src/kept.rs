//! What a bridge remembers of a message that it posted, over restarts.

use serde::{Deserialize, Serialize};

use crate::card::Card;
use crate::service::Posted;

/// A card, and where it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// What its messages are to say.
    pub card: Card,
    /// Grows whenever the card says something else.
    pub version: u64,
    /// Requests that its answer was for.
    pub requests: Vec<String>,
    /// Its messages.
    pub posts: Vec<Post>,
    /// The end of what its command wrote.
    pub tail: Tail,
    /// When it last changed, in milliseconds since 1970.
    pub changed_ms: u64,
}

/// A message, or one that is to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Post {
    /// The channel or chat.
    pub place: String,
    /// The message; `None` before it is posted.
    pub posted: Option<Posted>,
    /// The version that it says.
    pub said: u64,
    /// It has no message of its own: it is in the place's digest.
    pub folded: bool,
    /// The service will never take it.
    pub given_up: bool,
    /// The tail was said below it.
    pub has_tail: bool,
}

/// The end of what a command wrote.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tail {
    /// There is none, so far.
    #[default]
    None,
    /// This request's recording is to be read.
    Wanted(String),
    /// It is read.
    Text(String),
}

/// A digest, and what is in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptDigest {
    /// The channel or chat.
    pub place: String,
    /// The message; `None` before it is posted.
    pub posted: Option<Posted>,
    /// The entries that it tells of, oldest first.
    pub entries: Vec<String>,
    /// How many waited and how many were answered when it was last said.
    pub said: Option<(usize, usize)>,
    /// When the last entry was put into it, in milliseconds since 1970.
    pub grown_ms: u64,
    /// It takes no more entries.
    pub closed: bool,
}

impl Kept {
    /// Whether something is to be said of it still, or may be.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.card.stage.is_open()
    }

    /// Its messages say something else than before from here on.
    pub(crate) fn change(&mut self, now_ms: u64) {
        self.version += 1;
        self.changed_ms = now_ms;
    }
}

impl Post {
    pub(crate) fn to(place: String, folded: bool) -> Self {
        Self { place, posted: None, said: 0, folded, given_up: false, has_tail: false }
    }
}
