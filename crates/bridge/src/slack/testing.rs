//! What the tests of this module share.

use crate::card::{Card, Stage};
pub(crate) use crate::entry::entry;

/// A request of a command, waiting.
pub(crate) fn card(argv: &[&str]) -> Card {
    Card { entry: entry(argv), stage: Stage::Waiting, progress: None, page: None }
}
