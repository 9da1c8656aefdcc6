//! Which bridges to chats are there, and whether people can answer by them: those that listened to events within the last
//! minute, and say that their service is heard. A person who has nothing but a user there can answer as long as one is.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use clawrden_api::{BridgeStatus, ChatService, EventQuery, MAX_BRIDGE, Trouble};

use super::super::actor::Actor;
use super::{Access, now_ms};

/// How long a bridge counts as there after it was last seen to listen to events.
const THERE: Duration = Duration::from_secs(60);

/// How long one counts as before that does not hear its service any more: a connection that is made again is no reason to
/// deny what is asked meanwhile. Where the service refuses the bridge, it counts no more at once.
const BLINK: Duration = Duration::from_secs(15);

/// Bridges that are known at once of one service and token.
const MAX_OF_ONE: usize = 32;

/// Bridges, and how they are.
#[derive(Debug, Default)]
pub(super) struct Bridges(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    all: HashMap<Key, Seen>,
    streams: u64,
}

/// A bridge by its service, the token by which it came (`None` for the warden's own), and what it calls itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    service: ChatService,
    token: Option<String>,
    name: String,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    /// Its newest stream of events: what it said with an older one is not so any more.
    stream: u64,
    last: Instant,
    /// Why people cannot answer by it.
    reason: Option<Trouble>,
    since_ms: u64,
    /// Until when it counts all the same.
    blinks: Option<Instant>,
}

/// A stream of events of a bridge.
#[derive(Debug)]
pub(in super::super) struct BridgeStream {
    key: Key,
    number: u64,
}

impl Seen {
    fn can_be_answered_by(&self, now: Instant) -> bool {
        self.reason.is_none() || self.blinks.is_some_and(|until| now < until)
    }
}

impl Bridges {
    fn begin(&self, key: Key, reason: Option<Trouble>, now: Instant) -> BridgeStream {
        let mut known = self.there(now);
        known.streams += 1;
        let stream = known.streams;
        let fresh = Seen { stream, last: now, reason, since_ms: now_ms(), blinks: None };
        let seen = match known.all.get(&key) {
            None => {
                known.make_room(&key);
                fresh
            }
            Some(before) if before.reason == reason => Seen { stream, last: now, ..*before },
            Some(before) => {
                let is_refused = matches!(reason, Some(Trouble::Refused | Trouble::Broken));
                let blinks = match (is_refused, before.reason) {
                    (true, _) => None,
                    (false, None) => Some(now + BLINK),
                    (false, Some(_)) => before.blinks,
                };
                Seen { blinks, ..fresh }
            }
        };
        known.all.insert(key.clone(), seen);
        BridgeStream { key, number: stream }
    }

    fn goes_on(&self, stream: &BridgeStream, now: Instant) {
        let mut known = self.there(now);
        if let Some(seen) = known.all.get_mut(&stream.key)
            && seen.stream == stream.number
        {
            seen.last = now;
        }
    }

    /// Those that are there, and no others.
    fn there(&self, now: Instant) -> MutexGuard<'_, Known> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.all.retain(|_, seen| now.saturating_duration_since(seen.last) < THERE);
        known
    }
}

impl Known {
    /// Forgets the one of the same service and token that was seen longest ago, where there are as many as can be.
    fn make_room(&mut self, key: &Key) {
        let same = || {
            let all = self.all.iter();
            all.filter(|(it, _)| it.service == key.service && it.token == key.token)
        };
        if same().count() >= MAX_OF_ONE
            && let Some(oldest) = same().min_by_key(|(_, seen)| seen.last).map(|(it, _)| it.clone())
        {
            self.all.remove(&oldest);
        }
    }
}

impl Access {
    /// A bridge begins to listen to events, and says how it is. `None` for who is none.
    ///
    /// # Errors
    /// When it calls itself as nobody can.
    pub(in super::super) fn bridge_listens(
        &self,
        actor: &Actor,
        query: EventQuery,
    ) -> Result<Option<BridgeStream>, String> {
        let name = query.bridge.unwrap_or_default();
        if name.len() > MAX_BRIDGE || !name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(format!("bridge: at most {MAX_BRIDGE} letters and digits make its name"));
        }
        let Some(service) = actor.speaks_for else { return Ok(None) };
        let reason = (!query.hears).then(|| query.reason.unwrap_or(Trouble::Untold));
        let key = Key { service, token: actor.token.clone(), name };
        Ok(Some(self.bridges.begin(key, reason, Instant::now())))
    }

    /// It listens still. Waits for no disk.
    pub(in super::super) fn bridge_goes_on(&self, stream: &BridgeStream) {
        self.bridges.goes_on(stream, Instant::now());
    }

    /// The services by whose bridges somebody could answer what a rule asks in a jail. Waits for no disk.
    pub(crate) fn chats_for(&self, jail: &str, rule: Option<&str>) -> Vec<ChatService> {
        let now = Instant::now();
        let known = self.bridges.there(now);
        let there = known.all.iter().filter(|(_, seen)| seen.can_be_answered_by(now));
        let there: Vec<Key> = there.map(|(key, _)| key.clone()).collect();
        drop(known);
        if there.is_empty() {
            return Vec::new();
        }
        let tokens = self.tokens.list(now_ms());
        let may = |id: &String| {
            let token = tokens.iter().find(|token| token.id == *id);
            token.is_some_and(|t| t.scope.has_jail(jail) && t.scope.has_rule(rule))
        };
        let fit = there.into_iter().filter(|key| key.token.as_ref().is_none_or(may));
        fit.map(|key| key.service).collect()
    }

    /// The bridges that are there, one of each service and token: one by which people can answer, if there is any.
    pub(crate) fn bridges(&self) -> Vec<BridgeStatus> {
        let known = self.bridges.there(Instant::now());
        let mut all: Vec<BridgeStatus> = known
            .all
            .iter()
            .map(|(key, seen)| BridgeStatus {
                service: key.service,
                token: key.token.clone(),
                reason: seen.reason,
                since_ms: seen.since_ms,
            })
            .collect();
        drop(known);
        all.retain(|bridge| bridge.token.as_ref().is_none_or(|token| self.token_holds(token)));
        all.sort_by(|a, b| {
            let key = |it: &BridgeStatus| (it.service, it.token.clone(), it.reason, it.since_ms);
            key(a).cmp(&key(b))
        });
        all.dedup_by(|next, first| (next.service, &next.token) == (first.service, &first.token));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn key(service: ChatService, token: Option<&str>, name: &str) -> Key {
        Key { service, token: token.map(str::to_owned), name: name.to_owned() }
    }

    fn ops() -> Key {
        key(ChatService::Slack, None, "ops")
    }

    fn counts(bridges: &Bridges, key: &Key, now: Instant) -> bool {
        bridges.there(now).all.get(key).is_some_and(|seen| seen.can_be_answered_by(now))
    }

    #[test]
    fn a_bridge_is_there_for_a_minute_after_it_listened() {
        let bridges = Bridges::default();
        let now = Instant::now();
        let slack = bridges.begin(ops(), None, now);
        bridges.begin(key(ChatService::Telegram, Some("7"), ""), None, now + THERE / 2);
        bridges.goes_on(&slack, now + THERE / 2);
        assert_eq!(bridges.there(now + THERE).all.len(), 2);
        bridges.goes_on(&slack, now + THERE);
        assert_eq!(bridges.there(now + THERE + THERE / 2).all.len(), 1);
        assert!(bridges.there(now + 3 * THERE).all.is_empty());
    }

    #[test]
    fn nobody_answers_by_one_whose_service_is_not_heard_but_for_a_blink() {
        let bridges = Bridges::default();
        let now = Instant::now();
        for reason in [Trouble::Starting, Trouble::Untold, Trouble::Refused, Trouble::Unreachable] {
            bridges.begin(ops(), Some(reason), now);
            assert!(!counts(&bridges, &ops(), now), "{reason:?}: it never heard");
        }
        for (reason, blinks) in [
            (Trouble::Refused, false),
            (Trouble::Broken, false),
            (Trouble::Unreachable, true),
            (Trouble::Resting, true),
            (Trouble::Starting, true),
        ] {
            let heard = bridges.begin(ops(), None, now);
            assert!(counts(&bridges, &ops(), now + THERE - SECOND));
            bridges.goes_on(&heard, now + 10 * SECOND);
            let gone = now + 10 * SECOND;
            let deaf = bridges.begin(ops(), Some(reason), gone);
            assert_eq!(counts(&bridges, &ops(), gone), blinks, "{reason:?}");
            // Another reason makes it no longer, and no more does the stream that is no more.
            bridges.begin(ops(), Some(Trouble::Unreachable), gone + BLINK - SECOND);
            bridges.goes_on(&deaf, gone + BLINK);
            bridges.goes_on(&heard, gone + BLINK);
            assert!(!counts(&bridges, &ops(), gone + BLINK), "{reason:?}");
            bridges.begin(ops(), None, gone + BLINK);
            assert!(counts(&bridges, &ops(), gone + BLINK));
        }
    }

    #[test]
    fn two_of_one_token_are_two_and_there_are_so_many_at_most() {
        let bridges = Bridges::default();
        let now = Instant::now();
        let other = key(ChatService::Slack, None, "other");
        bridges.begin(ops(), None, now);
        bridges.begin(other.clone(), Some(Trouble::Refused), now);
        assert!(counts(&bridges, &ops(), now) && !counts(&bridges, &other, now));
        let telegram = key(ChatService::Telegram, Some("7"), "");
        bridges.begin(telegram.clone(), None, now);
        for n in 0..2 * MAX_OF_ONE {
            bridges.begin(key(ChatService::Slack, None, &n.to_string()), None, now + SECOND);
        }
        assert_eq!(bridges.there(now + SECOND).all.len(), MAX_OF_ONE + 1);
        assert!(counts(&bridges, &telegram, now), "of another one");
    }
}
