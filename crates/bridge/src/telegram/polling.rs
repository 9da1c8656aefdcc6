//! Long polling: an update is confirmed by asking for those behind it, which is done only when it was handed on.

use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};

use super::Telegram;
use super::client::Refusal;
use super::ears::{AT_ONCE, Aside, Ears, KINDS, ended, rest};
use super::speaking::TIMEOUT;
use crate::backoff::Backoff;
use crate::heard::Failure;

/// Seconds for which Telegram holds a call while there is nothing.
const HOLD: u64 = 50;

/// Updates of one call.
const MAX_UPDATES: u32 = 50;

/// How often somebody else may have taken our place before that is said.
const MAX_CONFLICTS: u32 = 3;

/// Polls until that makes no sense any more.
pub(super) async fn poll(telegram: &Telegram, mut ears: Ears<'_>) -> Failure {
    let (mut offset, mut limit) = (None, MAX_UPDATES);
    let mut backoff = Backoff::from(telegram.settings.pause);
    let mut conflicts = backoff.clone();
    let mut hearing = None;
    while !ears.is_closed() {
        // Whether anything is heard at all is to be known before there is something.
        let hold = if hearing.is_some() { HOLD } else { 0 };
        let refusal = match telegram.updates(offset, limit, hold).await {
            Ok(updates) => {
                hearing.get_or_insert_with(|| ears.hearing());
                conflicts.reset();
                limit = limit.saturating_mul(2).min(MAX_UPDATES);
                let is_empty = updates.is_empty();
                let Ok(next) = hand_on(telegram, &mut ears, updates).await else { break };
                // Where nothing is left, nothing is confirmed again: after a week of silence, numbers begin anywhere.
                if is_empty || next.is_some() {
                    offset = next;
                    backoff.reset();
                    continue;
                }
                Refusal::Away(Failure::Now("telegram sends updates without numbers".to_owned()))
            }
            // Of long messages fewer fit: half of them are asked for, as they would be too many again.
            Err(Refusal::TooLong(_)) if limit > 1 => {
                limit /= 2;
                tracing::debug!(limit, "fewer updates of telegram are asked for at once");
                continue;
            }
            Err(refusal) => refusal,
        };
        hearing = None;
        ears.are_deaf(&refusal);
        if refusal.is_conflict() && refusal.says("webhook is active") {
            match telegram.delete_webhook().await {
                Ok(()) => {
                    tracing::warn!("a webhook of this telegram bot was removed: it is polled");
                }
                Err(no) => rest(&mut backoff, &no).await,
            }
        } else if refusal.is_conflict() {
            rest(&mut conflicts, &refusal).await;
            if conflicts.failures() == MAX_CONFLICTS {
                return refusal.into();
            }
        } else if matches!(refusal, Refusal::No { .. }) {
            return refusal.into();
        } else {
            tracing::warn!(why = %Failure::from(refusal.clone()), "telegram cannot be heard");
            rest(&mut backoff, &refusal).await;
        }
    }
    ended()
}

/// Hands updates on, and gives the number from which on to ask. `Err`: nobody listens any more.
async fn hand_on(
    telegram: &Telegram,
    ears: &mut Ears<'_>,
    updates: Vec<Value>,
) -> Result<Option<i64>, ()> {
    let mut next: Option<i64> = None;
    let mut aside: Vec<Aside> = Vec::new();
    for update in updates {
        let (number, more) = ears.take(update).await?;
        next = next.max(number.map(|number| number.saturating_add(1)));
        aside.extend(more);
    }
    stream::iter(aside).for_each_concurrent(AT_ONCE, |aside| telegram.do_aside(aside)).await;
    Ok(next)
}

impl Telegram {
    async fn updates(
        &self,
        offset: Option<i64>,
        limit: u32,
        hold: u64,
    ) -> Result<Vec<Value>, Refusal> {
        let mut body = json!({ "timeout": hold, "limit": limit, "allowed_updates": KINDS });
        if let Some(offset) = offset {
            body["offset"] = json!(offset);
        }
        self.client.call("getUpdates", &body, TIMEOUT + Duration::from_secs(hold)).await
    }

    async fn delete_webhook(&self) -> Result<(), Refusal> {
        let body = json!({ "drop_pending_updates": false });
        self.client.call::<Value>("deleteWebhook", &body, TIMEOUT).await.map(drop)
    }
}
