//! The history that verbs about policies look at: which part of it, and fetching that.

use std::path::Path;

use clawrden_api::{HistoryEntry, HistoryQuery};

use crate::failure::Failure;
use crate::verbs::{Connection, block_on};
use crate::when;

/// Requests that are asked for at once, and the most that the warden gives.
const PAGE: usize = 1000;

/// Which requests are meant.
#[derive(Debug, clap::Args)]
pub(super) struct Past {
    /// Look at the warden's history, which is what is done without it as well
    #[arg(long)]
    history: bool,
    /// Only requests of this jail
    #[arg(long, value_name = "NAME")]
    jail: Option<String>,
    /// Not before: a span back from now, or a moment
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// At most so many of the newest requests
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    limit: usize,
}

impl Past {
    /// The newest of them.
    ///
    /// # Errors
    /// [`Failure::Usage`] for a time that is none, and whatever the warden says.
    pub(super) fn entries(&self, control: Option<&Path>) -> Result<Vec<HistoryEntry>, Failure> {
        let since = self.since.as_deref().map(|text| when::parse(text, when::now_ms())).transpose();
        let since_ms = since.map_err(|e| Failure::Usage(format!("--since: {e}")))?;
        let jail = self.jail.clone();
        let mut query = HistoryQuery { jail, since_ms, ..HistoryQuery::default() };
        let connection = Connection::new(control)?;
        let mut entries = Vec::new();
        block_on(async {
            loop {
                let left = self.limit.saturating_sub(entries.len());
                if left == 0 {
                    return Ok(());
                }
                query.limit = Some(left.min(PAGE));
                let page = connection.client.history(&query).await.map_err(Connection::failure)?;
                entries.extend(page.entries);
                match page.next {
                    Some(next) => query.cursor = Some(next),
                    None => return Ok(()),
                }
            }
        })??;
        Ok(entries)
    }
}
