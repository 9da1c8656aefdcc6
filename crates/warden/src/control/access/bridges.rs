//! Which bridges to chats are there: those that listened to events within the last minute. A person who has nothing but a
//! user there can answer as long as one is.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use clawrden_api::{BridgeStatus, ChatService};

use super::super::actor::Actor;
use super::{Access, now_ms};

/// How long a bridge counts as there after it was last seen to listen.
const THERE: Duration = Duration::from_secs(60);

/// Bridges by their service, and the token by which they came; `None` for the warden's own.
#[derive(Debug, Default)]
pub(super) struct Bridges(Mutex<HashMap<(ChatService, Option<String>), Seen>>);

#[derive(Debug, Clone, Copy)]
struct Seen {
    since_ms: u64,
    last: Instant,
}

impl Bridges {
    fn listens(&self, service: ChatService, token: Option<String>, now: Instant) {
        let mut all = self.there(now);
        let fresh = Seen { since_ms: now_ms(), last: now };
        all.entry((service, token)).or_insert(fresh).last = now;
    }

    /// Those that are there, and no others.
    fn there(&self, now: Instant) -> MutexGuard<'_, HashMap<(ChatService, Option<String>), Seen>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, seen| now.saturating_duration_since(seen.last) < THERE);
        all
    }
}

impl Access {
    /// Somebody listens to events. Waits for no disk.
    pub(in super::super) fn listens(&self, actor: &Actor) {
        if let Some(service) = actor.speaks_for {
            self.bridges.listens(service, actor.token.clone(), Instant::now());
        }
    }

    /// The services by whose bridges somebody could answer what a rule asks in a jail. Waits for no disk.
    pub(crate) fn chats_for(&self, jail: &str, rule: Option<&str>) -> Vec<ChatService> {
        let there: Vec<_> = self.bridges.there(Instant::now()).keys().cloned().collect();
        if there.is_empty() {
            return Vec::new();
        }
        let tokens = self.tokens.list(now_ms());
        let may = |id: &String| {
            let token = tokens.iter().find(|token| token.id == *id);
            token.is_some_and(|t| t.scope.has_jail(jail) && t.scope.has_rule(rule))
        };
        let fit = there.into_iter().filter(|(_, token)| token.as_ref().is_none_or(may));
        fit.map(|(service, _)| service).collect()
    }

    /// The bridges that are there.
    pub(crate) fn bridges(&self) -> Vec<BridgeStatus> {
        let there = self.bridges.there(Instant::now());
        let mut all: Vec<BridgeStatus> = there
            .iter()
            .map(|((service, token), seen)| BridgeStatus {
                service: *service,
                token: token.clone(),
                since_ms: seen.since_ms,
            })
            .collect();
        drop(there);
        all.retain(|bridge| bridge.token.as_ref().is_none_or(|token| self.token_holds(token)));
        all.sort_by(|a, b| (a.service, &a.token).cmp(&(b.service, &b.token)));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bridge_is_there_for_a_minute_after_it_listened() {
        let bridges = Bridges::default();
        let now = Instant::now();
        bridges.listens(ChatService::Slack, None, now);
        bridges.listens(ChatService::Telegram, Some("7".to_owned()), now + THERE / 2);
        bridges.listens(ChatService::Slack, None, now + THERE / 2);
        assert_eq!(bridges.there(now + THERE).len(), 2);
        bridges.listens(ChatService::Slack, None, now + THERE);
        assert_eq!(bridges.there(now + THERE + THERE / 2).len(), 1);
        assert!(bridges.there(now + 3 * THERE).is_empty());
    }
}
