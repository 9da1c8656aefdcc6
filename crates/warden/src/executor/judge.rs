//! Telling a client that only asked that it may. Nothing is started here, and what comes of it is never learnt.

use std::sync::Arc;

use clawrden_policy::Executor;
use clawrden_protocol::limits::EXIT_UNREACHABLE;

use super::{Start, limits, returned, unspent};
use crate::approvals::{Loan, Now};
use crate::ledger::Id;
use crate::quotas::Seats;
use crate::warden::Warden;

/// Records the decision and tells it. A person's word is used up by that, unless the client did not get it.
pub(super) async fn run(warden: &Arc<Warden>, mut start: Start) {
    let id = Id(start.approved.plan().id);
    let refusal = match start.approved.executor() {
        // The client would run it bare, with what the rule keeps from it.
        Executor::Ghost => {
            Some("its rule wants a ghost, and who only asks runs it by itself".to_owned())
        }
        Executor::Mirror | Executor::Local => {
            warden.stopped_for(start.approved.plan()).or_else(|| limits::only_asked(&start))
        }
    };
    if let Some(text) = refusal {
        start.abandon(warden, text.clone());
        // A caller that has left needs no answer.
        let _ = start.reply.deny("", &text).await;
        return start.reply.close();
    }
    let Ok(mut seats) = limits::seats(warden, &mut start).await else {
        return start.reply.close();
    };
    if let Err(error) = warden.ledger.append(&start.records) {
        let text = format!("the ledger cannot be written, so nothing is allowed: {error}");
        tracing::error!(%error, "a decision could not be recorded");
        drop(start.approved.take_loan());
        let _ = start.reply.fail(EXIT_UNREACHABLE, &text).await;
        return start.reply.close();
    }
    let spent = match start.approved.take_loan().map(Loan::spend).transpose() {
        Ok(spent) => spent.flatten(),
        Err((loan, error)) => {
            let text =
                format!("that its approval is used cannot be kept, so nothing is allowed: {error}");
            unspent(warden, id, &loan, &text);
            drop(loan);
            let _ = start.reply.fail(EXIT_UNREACHABLE, &text).await;
            return start.reply.close();
        }
    };
    let told = start.reply.done("it may run").await;
    match (told, spent) {
        (Ok(()), _) => seats.iter_mut().for_each(Seats::begin),
        (Err(_), Some(approval)) => {
            warden.record(&returned(id, &approval).into_iter().collect::<Vec<_>>());
            warden.approvals.give_back(approval, Now::read());
        }
        (Err(_), None) => {}
    }
    start.reply.close();
}
