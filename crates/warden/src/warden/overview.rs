//! What people are told in numbers.

use std::sync::{Mutex, PoisonError};

use clawrden_api::{ErrorBody, ErrorCode, Overview};

use super::control::Control;
use super::refused;
use crate::approvals::Now;
use crate::control::Counting;
use crate::index::{Stretch, waiting};

/// Counting is done one after the other.
static COUNTING: Mutex<()> = Mutex::new(());

impl Counting for Control {
    fn overview(&self, back_ms: u64, jails: &[String]) -> Result<Overview, ErrorBody> {
        let _alone = COUNTING.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Now::read().ms;
        let stretch = Stretch { times: (now.saturating_sub(back_ms), now), jails };
        let Some(mut overview) = self.0.index.overview(&self.0.ledger, stretch) else {
            let text = "the ledger's index is being made, and nothing is counted without it; `clawrden status` tells \
                        how far it is";
            return Err(refused(ErrorCode::NotReady, text.to_owned()));
        };
        let in_jail = |jail: &str| jails.is_empty() || jails.iter().any(|one| one == jail);
        overview.waiting = waiting(self.0.approvals.since(in_jail).into_iter(), now);
        Ok(overview)
    }
}
