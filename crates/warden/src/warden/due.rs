//! What time brings: approvals lapse and expire, who has ended is let go, and what the last warden left is taken up.

use std::sync::Arc;
use std::time::Duration;

use super::Warden;
use crate::approvals::{self, Now};
use crate::ledger::{self, Record};
use crate::process::Identity;

/// How long an ephemeral warden waits for its first prisoner.
const FIRST_PRISONER: Duration = Duration::from_secs(30);

/// Whether a process still is.
pub(super) fn is_there(key: approvals::CallerKey) -> bool {
    let identity = key.pid.zip(key.start).map(|(pid, start_ticks)| Identity { pid, start_ticks });
    identity.is_some_and(Identity::is_alive)
}

impl Warden {
    /// Takes up what the last warden left, once, and records what goes on.
    pub(crate) fn take_up_approvals(&self) {
        let Some(approvals::Recovered { restored, aside }) = self.approvals.take_up(Now::read())
        else {
            return;
        };
        if let Some(aside) = aside {
            tracing::warn!(aside = %aside.display(), "what waited and what was kept is asked anew: it cannot be understood");
        }
        self.due.notify_one();
        let record = |restored: &approvals::Restored| {
            let answered = restored.answered.clone();
            let from = answered.as_ref().and_then(|answered| answered.from.clone());
            let (approver, channel) = answered.map(|by| (by.who, by.channel)).unzip();
            Record::Restored(ledger::Restored {
                id: restored.request,
                entry: restored.entry,
                state: restored.state.to_owned(),
                until_ms: restored.until_ms,
                approver,
                channel,
                from,
            })
        };
        let records: Vec<Record> = restored.iter().map(record).collect();
        self.record(&records);
    }

    /// Does what is due when it is: approvals expire, ended prisoners are let go. Resolves when an ephemeral warden has
    /// nobody left.
    pub(super) async fn attend(self: &Arc<Self>) {
        let first = tokio::time::Instant::now() + FIRST_PRISONER;
        loop {
            self.expire();
            let left = self.discharge_ended();
            let may_be_deserted = self.config.ephemeral && tokio::time::Instant::now() < first;
            if self.config.ephemeral && left == 0 && self.close_if_deserted(first) {
                return;
            }
            let expiry = self.approvals.next_expiry().map(tokio::time::Instant::from_std);
            let next = expiry.into_iter().chain(may_be_deserted.then_some(first)).min();
            let time = async {
                match next {
                    Some(next) => tokio::time::sleep_until(next).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = time => {}
                () = self.due.notified() => {}
            }
        }
    }

    pub(super) fn expire(&self) {
        for approvals::Lapsed { request: id, parked } in self.approvals.lapse(Now::read()) {
            let left = Record::CallerLeft(ledger::CallerLeft { id });
            let parked = parked.map(|entry| Record::Parked(ledger::Parked { id, entry }));
            let records: Vec<Record> = [Some(left), parked].into_iter().flatten().collect();
            self.record(&records);
        }
        self.approvals.escalate(Now::read(), |escalated| {
            self.record(&[Record::Escalated(ledger::Escalated {
                id: escalated.request,
                entry: escalated.entry,
                to: escalated.to,
                after_ms: escalated.after_ms,
            })]);
        });
        for expired in self.approvals.expire(Now::read()) {
            let records: Vec<Record> = expired
                .requests
                .iter()
                .map(|&id| {
                    Record::Expired(ledger::Expired {
                        id,
                        entry: expired.entry,
                        after_ms: u64::try_from(expired.after.as_millis()).unwrap_or(u64::MAX),
                    })
                })
                .collect();
            self.record(&records);
        }
    }
}
