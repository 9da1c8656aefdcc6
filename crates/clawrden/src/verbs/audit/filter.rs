//! Which records are meant.

use clawrden_api::ExportQuery;

use crate::failure::Failure;
use crate::when;

/// What a record must be; everything that is given must hold.
#[derive(Debug, clap::Args)]
pub(super) struct Which {
    /// Not before: a span back from now, or a moment
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Not after: a span back from now, or a moment
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// The first record
    #[arg(long, value_name = "N")]
    from: Option<u64>,
    /// The last record
    #[arg(long, value_name = "N")]
    to: Option<u64>,
    /// An event such as `decided`; may be given again
    #[arg(long, value_name = "EVENT")]
    event: Vec<String>,
    /// A jail; only `requested` and a few others name one
    #[arg(long, value_name = "NAME")]
    jail: Option<String>,
    /// A request's id, or its beginning
    #[arg(long, value_name = "ID")]
    id: Option<String>,
}

impl Which {
    /// The same, understood.
    ///
    /// # Errors
    /// [`Failure::Usage`] for a time that is none.
    pub(super) fn query(self) -> Result<ExportQuery, Failure> {
        let now = when::now_ms();
        let time = |flag: &str, text: &Option<String>| {
            let time = text.as_deref().map(|text| when::parse(text, now)).transpose();
            time.map_err(|e| Failure::Usage(format!("{flag}: {e}")))
        };
        let (since_ms, until_ms) = (time("--since", &self.since)?, time("--until", &self.until)?);
        let Self { from, to, event, jail, id, .. } = self;
        let event = (!event.is_empty()).then(|| event.join(","));
        Ok(ExportQuery { format: None, since_ms, until_ms, from, to, event, jail, id })
    }
}
