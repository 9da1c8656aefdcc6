//! The history, read back for a while: what patterns, candidates and suggestions are held against.

use std::time::{Duration, Instant};

use clawrden_api::{ErrorBody, HistoryEntry, HistoryQuery};

use super::control::Control;
use crate::control::Backend;

/// Requests that are read at once.
const PAGE: usize = 500;

impl Control {
    /// Hands on what the query finds, the newest first and a page at a time, until it is all, or `most` of it, or `patience`
    /// is over. Gives whether there was time for it.
    pub(super) fn read_back(
        &self,
        mut query: HistoryQuery,
        most: usize,
        patience: Duration,
        mut hear: impl FnMut(Vec<HistoryEntry>),
    ) -> Result<bool, ErrorBody> {
        let end = Instant::now() + patience;
        let mut left = most;
        loop {
            query.limit = Some(left.min(PAGE));
            let page = self.history(query.clone())?;
            left = left.saturating_sub(page.entries.len());
            hear(page.entries);
            match page.next {
                Some(next) if left > 0 => query.cursor = Some(next),
                _ => return Ok(true),
            }
            if Instant::now() >= end {
                return Ok(false);
            }
        }
    }
}
