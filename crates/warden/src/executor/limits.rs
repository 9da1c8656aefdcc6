//! Keeping a command to the `limits` of its rules: the last word before a start.

use std::time::Instant;

use clawrden_policy::{Bounds, Executor};

use super::Start;
use crate::ledger::{Id, Record};
use crate::quotas::{Full, Seats};
use crate::request::denied;
use crate::running::Run;
use crate::warden::Warden;

/// Lets `run` take its seats. Where there are none left, the client knows and it is recorded.
pub(super) async fn take(warden: &Warden, start: &mut Start, run: &mut Run) -> bool {
    match seats(warden, start).await {
        Ok(seats) => {
            seats.into_iter().for_each(|seats| run.takes(seats));
            true
        }
        Err(()) => false,
    }
}

/// The seats of a command that counts towards quotas, and none of another. `Err` where there are none left: then the client
/// knows and it is recorded.
pub(super) async fn seats(warden: &Warden, start: &mut Start) -> Result<Option<Seats>, ()> {
    let Some(bounds) = start.approved.bounds().filter(|bounds| !bounds.quotas.is_empty()) else {
        return Ok(None);
    };
    let plan = start.approved.plan();
    let full = match warden.quotas.take(&plan.jail.name, bounds, Instant::now()) {
        Ok(seats) => return Ok(Some(seats)),
        Err(full) => full,
    };
    let Full { rule, text } = full;
    let mut record = denied(Id(plan.id), Some(rule.to_string()), text.clone());
    // A dry run lets through what takes nothing but the prisoner's own authority.
    if warden.config.dry_run && start.approved.executor() == Executor::Mirror {
        if let Record::Decided(decided) = &mut record {
            decided.let_through = true;
            Executor::Mirror.as_str().clone_into(&mut decided.executor);
        }
        start.records.push(record);
        return Ok(None);
    }
    start.give_up(warden, record);
    // A caller that has left needs no answer.
    let _ = start.reply.deny(&rule.to_string(), &text).await;
    Err(())
}

/// Why a client that only asks, and then runs it by itself, is not told that it may.
pub(super) fn only_asked(start: &Start) -> Option<String> {
    let Bounds { limits, quotas } = &**start.approved.bounds()?;
    let limit = if !limits.is_empty() {
        "its rule limits what it uses"
    } else if quotas.iter().any(|quota| quota.concurrent.is_some()) {
        "its rule limits how many run at once"
    } else {
        return None;
    };
    Some(format!("{limit}, and who only asks runs it by itself; run it by its shim"))
}

/// Why a command does not run outside of a ghost, where its limits would hold nobody.
pub(super) fn unkept(start: &Start) -> Option<String> {
    let limits = &start.approved.bounds()?.limits;
    (!limits.is_empty()).then(|| {
        "its rules limit what it uses, which only a ghost keeps to; give the rule `executor: ghost`".to_owned()
    })
}
