//! Which records are meant.

use serde_json::Value;

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

/// The same, understood.
pub(super) struct Filter {
    since: Option<u64>,
    until: Option<u64>,
    which: Which,
}

impl Filter {
    pub(super) fn new(which: Which) -> Result<Self, Failure> {
        let now = when::now_ms();
        let time = |flag: &str, text: &Option<String>| {
            let time = text.as_deref().map(|text| when::parse(text, now)).transpose();
            time.map_err(|e| Failure::Usage(format!("{flag}: {e}")))
        };
        let (since, until) = (time("--since", &which.since)?, time("--until", &which.until)?);
        Ok(Self { since, until, which })
    }

    /// Whether everything is meant.
    pub(super) fn fits(&self, record: &Value) -> bool {
        let number = |key: &str| record[key].as_u64();
        let text = |key: &str| record[key].as_str();
        let within = |value: Option<u64>, least: Option<u64>, most: Option<u64>| {
            least.is_none_or(|least| value.is_some_and(|value| value >= least))
                && most.is_none_or(|most| value.is_some_and(|value| value <= most))
        };
        let Which { from, to, event, jail, id, .. } = &self.which;
        within(number("time_ms"), self.since, self.until)
            && within(number("seq"), *from, *to)
            && (event.is_empty() || text("event").is_some_and(|e| event.iter().any(|x| x == e)))
            && jail.as_deref().is_none_or(|jail| text("jail") == Some(jail))
            && id.as_deref().is_none_or(|id| text("id").is_some_and(|x| x.starts_with(id)))
    }
}
