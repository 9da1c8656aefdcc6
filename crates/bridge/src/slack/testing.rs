//! What the tests of this module share.

use clawrden_api::QueueEntry;

use crate::card::{Card, Stage};

/// A request of a command.
pub(crate) fn entry(argv: &[&str]) -> QueueEntry {
    let argv = argv.iter().map(|&argument| argument.to_owned()).collect();
    QueueEntry { argv, ..crate::testing::entry(&"7f3a".repeat(8)) }
}

/// The same, waiting.
pub(crate) fn card(argv: &[&str]) -> Card {
    Card { entry: entry(argv), stage: Stage::Waiting, progress: None, page: None }
}
