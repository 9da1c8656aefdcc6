//! The history that verbs about policies look at: which part of it, and fetching that.

use std::path::Path;

use clawrden_api::{HistoryEntry, HistoryQuery, SimulateRequest};

use crate::connection::{Connection, block_on};
use crate::failure::Failure;
use crate::when;

/// Requests that are asked for at once, and the most that the warden gives.
const PAGE: usize = 1000;

/// Requests that are looked at unless somebody says otherwise.
const LIMIT: usize = 10_000;

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
    #[arg(long, value_name = "N", default_value_t = LIMIT)]
    limit: usize,
}

impl Past {
    /// The newest of them.
    ///
    /// # Errors
    /// [`Failure::Usage`] for a time that is none, and whatever the warden says.
    pub(super) fn entries(&self, control: Option<&Path>) -> Result<Vec<HistoryEntry>, Failure> {
        let since_ms = self.since_ms()?;
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

    /// Not before, in milliseconds since the epoch.
    fn since_ms(&self) -> Result<Option<u64>, Failure> {
        let since = self.since.as_deref().map(|text| when::parse(text, when::now_ms())).transpose();
        since.map_err(|e| Failure::Usage(format!("--since: {e}")))
    }

    /// A warden that is to judge the same by this text.
    ///
    /// # Errors
    /// [`Failure::Usage`] for a time that is none.
    pub(super) fn request(&self, text: String) -> Result<SimulateRequest, Failure> {
        let (jail, since_ms) = (self.jail.clone(), self.since_ms()?);
        Ok(SimulateRequest { text, jail, since_ms, limit: Some(self.limit) })
    }

    /// Which part of the history was asked for, if not the usual one.
    pub(super) fn narrowed(&self) -> Option<&'static str> {
        let since = self.since.as_ref().map(|_| "--since");
        let jail = self.jail.as_ref().map(|_| "--jail");
        since.or(jail).or((self.limit != LIMIT).then_some("--limit"))
    }
}
