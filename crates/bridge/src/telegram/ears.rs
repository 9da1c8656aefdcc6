//! Ears: updates as they come, by either way, made heard once each.

use std::collections::VecDeque;

use serde_json::Value;
use tokio::time::sleep;

use super::client::Refusal;
use super::update::{Bot, Meaning, meaning};
use super::wire::Update;
use crate::backoff::Backoff;
use crate::clock::now_ms;
use crate::heard::Failure;
use crate::inbox::{self, Inbox};

/// The kinds of updates that mean anything to us.
pub(super) const KINDS: [&str; 2] = ["message", "callback_query"];

/// Updates that are remembered, so that one that comes again asks nobody again.
const MAX_REMEMBERED: usize = 1000;

/// People who are asked for a reason at once.
pub(super) const AT_ONCE: usize = 8;

/// Rests before the next try; as long as is asked for, where that is.
pub(super) async fn rest(backoff: &mut Backoff, refusal: &Refusal) {
    let pause = backoff.wait();
    sleep(match refusal {
        Refusal::Rest(rest) => (*rest).max(pause),
        _ => pause,
    })
    .await;
}

/// What is to be done about an update besides handing it on.
pub(super) struct Aside(pub(super) Meaning);

/// Makes heard what updates mean, each once.
pub(super) struct Ears<'a> {
    bot: Bot,
    inbox: &'a Inbox,
    recent: VecDeque<i64>,
}

impl<'a> Ears<'a> {
    pub(super) fn new(bot: Bot, inbox: &'a Inbox) -> Self {
        Self { bot, inbox, recent: VecDeque::new() }
    }

    /// Whether the bridge listens no more.
    pub(super) fn is_closed(&self) -> bool {
        self.inbox.is_closed()
    }

    /// Says that people are heard.
    pub(super) fn hearing(&self) -> inbox::Hearing {
        self.inbox.hearing()
    }

    /// Says why nobody is heard.
    pub(super) fn are_deaf(&self, why: &Refusal) {
        self.inbox.is_deaf(&why.clone().into());
    }

    /// Hands an update on, and gives back what else is to be done. `Err`: nobody listens any more.
    pub(super) async fn take(&mut self, update: Value) -> Result<(Option<i64>, Option<Aside>), ()> {
        // It is confirmed even where the rest is not understood.
        let number = update.get("update_id").and_then(Value::as_i64);
        if let Some(number) = number {
            if self.recent.contains(&number) {
                return Ok((Some(number), None));
            }
            if self.recent.len() == MAX_REMEMBERED {
                self.recent.pop_front();
            }
        }
        let read = serde_json::from_value::<Update>(update);
        let aside = match read.map(|update| meaning(update, &self.bot, now_ms())) {
            Err(error) => {
                tracing::debug!(number, %error, "an update of telegram is not understood");
                None
            }
            Ok(Meaning::Nothing) => None,
            Ok(Meaning::Heard(heard)) => {
                self.inbox.put(heard).await.map_err(drop)?;
                None
            }
            Ok(Meaning::Denied(all)) => {
                for heard in all {
                    self.inbox.put(heard).await.map_err(drop)?;
                }
                None
            }
            Ok(Meaning::InPublic(heard)) => {
                self.inbox.put(heard.clone()).await.map_err(drop)?;
                Some(Aside(Meaning::InPublic(heard)))
            }
            Ok(other) => Some(Aside(other)),
        };
        self.recent.extend(number);
        Ok((number, aside))
    }
}

/// What is said when the bridge listens no more.
pub(super) fn ended() -> Failure {
    Failure::Now("the bridge listens no more".to_owned())
}
