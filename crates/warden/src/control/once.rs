//! `Idempotency-Key`: an answer that is sent again, because nobody heard what came of it, is given once. What it came to
//! is kept for a while and told again.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::http::HeaderMap;
use clawrden_api::{Answered, ErrorBody, ErrorCode};
use sha2::{Digest as _, Sha256};

use super::actor::Actor;
use super::reply::Failure;

/// The header that carries a key.
pub(super) const KEY: &str = "idempotency-key";

/// The header of an answer that was given before.
pub(super) const REPLAYED: &str = "idempotency-replayed";

/// Characters of a key.
const MAX_KEY: usize = 128;

/// How long it is known what came of a request.
const KEPT: Duration = Duration::from_secs(10 * 60);

/// Keys that are known; the oldest is forgotten for a further one.
const MAX_KEYS: usize = 1024;

/// What came of an answer, and whether it was given before.
pub(super) type Came = (Result<Answered, ErrorBody>, bool);

/// The keys that were used lately.
#[derive(Debug, Default)]
pub(super) struct Once(Mutex<HashMap<(String, String), Known>>);

#[derive(Debug)]
struct Known {
    /// What was asked with it.
    asked: [u8; 32],
    since: Instant,
    /// `None` while it is being carried out.
    came: Option<Result<Answered, ErrorBody>>,
}

/// Forgets the name of what came to nothing that is kept: it failed, or panicked.
struct Open<'a> {
    once: &'a Once,
    name: Option<(String, String)>,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        if let Some(name) = self.name.take() {
            self.once.known().remove(&name);
        }
    }
}

/// The key of a request, if it has one.
pub(super) fn key(headers: &HeaderMap) -> Result<Option<String>, Failure> {
    let mut given = headers.get_all(KEY).iter();
    let (Some(first), more) = (given.next(), given.next()) else { return Ok(None) };
    let text = first.to_str().unwrap_or_default().trim();
    let fits = (1..=MAX_KEY).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
    if !fits || more.is_some() {
        let text = format!("{KEY}: give one, of 1 to {MAX_KEY} visible characters of ASCII");
        return Err(Failure::new(ErrorCode::BadRequest, text));
    }
    Ok(Some(text.to_owned()))
}

/// What is asked with a key: the same key means the same request.
pub(super) fn asked(what: &str, body: &[u8]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(what.len().to_be_bytes());
    hasher.update(what);
    hasher.update(body);
    hasher.finalize().into()
}

impl Once {
    /// Does it, unless it was done by this key before. Not for an async task: who is asked may go away meanwhile, and what
    /// was done is remembered all the same.
    pub(super) fn answer(
        &self,
        actor: &Actor,
        key: Option<String>,
        asked: [u8; 32],
        work: impl FnOnce() -> Result<Answered, ErrorBody>,
    ) -> Came {
        let Some(key) = key else { return (work(), false) };
        let name = (owner(actor), key);
        if let Some(came) = self.begin(&name, asked) {
            return came;
        }
        let mut open = Open { once: self, name: Some(name) };
        let came = work();
        // What failed may go better the next time.
        let is_kept = !matches!(&came, Err(body) if body.code.status() >= 500);
        if is_kept
            && let Some(name) = open.name.take()
            && let Some(entry) = self.known().get_mut(&name)
        {
            entry.came = Some(came.clone());
        }
        (came, false)
    }

    fn begin(&self, name: &(String, String), asked: [u8; 32]) -> Option<Came> {
        let refused = |text: &str| {
            let message = format!("{KEY}: {text}");
            Some((Err(ErrorBody { code: ErrorCode::Conflict, message }), false))
        };
        let mut known = self.known();
        let now = Instant::now();
        known.retain(|_, entry| entry.came.is_none() || now.duration_since(entry.since) < KEPT);
        if let Some(entry) = known.get(name) {
            return match &entry.came {
                _ if entry.asked != asked => refused("it was used for another request"),
                None => refused("the request is being carried out; ask again in a moment"),
                Some(came) => Some((came.clone(), true)),
            };
        }
        if known.len() >= MAX_KEYS {
            let done = known.iter().filter(|(_, entry)| entry.came.is_some());
            let oldest = done.min_by_key(|(_, entry)| entry.since).map(|(name, _)| name.clone());
            oldest.and_then(|oldest| known.remove(&oldest));
        }
        known.insert(name.clone(), Known { asked, since: now, came: None });
        None
    }

    fn known(&self) -> MutexGuard<'_, HashMap<(String, String), Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whose key it is: nobody hears what came of another's.
fn owner(actor: &Actor) -> String {
    let uid = actor.peer.as_ref().map(|peer| peer.uid);
    // A bridge's keys are those of the users for whom it asks.
    let (chat, bridge) = (&actor.doors.chat, actor.speaks_for);
    format!("{:?} {:?} {uid:?} {chat:?} {bridge:?}", actor.token, actor.session)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use clawrden_api::{Role, Scope};

    use super::*;

    fn actor(token: &str) -> Actor {
        Actor {
            who: String::new(),
            channel: "api",
            from: None,
            role: Role::Approver,
            scope: Scope::default(),
            peer: None,
            session: None,
            token: Some(token.to_owned()),
            doors: crate::people::Doors::default(),
            speaks_for: None,
        }
    }

    fn answered() -> Answered {
        let json = serde_json::json!({"id": "7f3a", "answer": "approved", "delivered": true, "kept_until_ms": null});
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn what_is_sent_again_is_done_once_and_told_again() {
        let (once, done) = (Once::default(), Cell::new(0));
        let send = |token, key: &str, body: &[u8]| {
            once.answer(&actor(token), Some(key.to_owned()), asked("approve", body), || {
                done.set(done.get() + 1);
                Ok(answered())
            })
        };
        assert_eq!(send("a", "k", b"{}"), (Ok(answered()), false));
        assert_eq!(send("a", "k", b"{}"), (Ok(answered()), true));
        assert_eq!(done.get(), 1);
        let (other, _) = send("a", "k", b"{\"reason\":\"x\"}");
        assert_eq!(other.unwrap_err().code, ErrorCode::Conflict);
        assert!(!send("b", "k", b"{}").1 && !send("a", "l", b"{}").1, "keys of their own");
        assert_eq!(done.get(), 3);
    }

    #[test]
    fn what_failed_may_be_tried_again_and_what_was_refused_stays_so() {
        let once = Once::default();
        let send = |code| {
            let work = || Err(ErrorBody { code, message: "no".to_owned() });
            once.answer(&actor("a"), Some("k".to_owned()), asked("", b""), work)
        };
        let code = |came: Came| (came.0.unwrap_err().code, came.1);
        assert_eq!(code(send(ErrorCode::Internal)), (ErrorCode::Internal, false));
        assert_eq!(code(send(ErrorCode::NotFound)), (ErrorCode::NotFound, false));
        assert_eq!(code(send(ErrorCode::Internal)), (ErrorCode::NotFound, true));
    }

    #[test]
    fn what_panicked_may_be_tried_again() {
        let once = Once::default();
        let send = |work: fn() -> Result<Answered, ErrorBody>| {
            once.answer(&actor("a"), Some("k".to_owned()), asked("", b""), work)
        };
        let failed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            send(|| panic!("while it is answered"))
        }));
        assert!(failed.is_err());
        assert_eq!(send(|| Ok(answered())), (Ok(answered()), false));
        assert!(send(|| Ok(answered())).1, "once it is done it is told again");
    }

    #[test]
    fn keys_are_bounded_and_what_is_being_done_is_not_done_beside_it() {
        let once = Once::default();
        for n in 0..MAX_KEYS + 10 {
            let _ =
                once.answer(&actor("a"), Some(n.to_string()), asked("", b""), || Ok(answered()));
        }
        assert_eq!(once.known().len(), MAX_KEYS);
        let key = || Some("k".to_owned());
        let (outer, _) = once.answer(&actor("a"), key(), asked("", b""), || {
            let (inner, _) = once.answer(&actor("a"), key(), asked("", b""), || Ok(answered()));
            assert_eq!(inner.unwrap_err().code, ErrorCode::Conflict);
            Ok(answered())
        });
        assert!(outer.is_ok());
    }

    #[test]
    fn a_key_is_one_short_word() {
        let headers = |keys: &[&str]| {
            keys.iter()
                .map(|key| (KEY.parse().unwrap(), key.parse().unwrap()))
                .collect::<HeaderMap>()
        };
        assert_eq!(key(&headers(&[])).unwrap(), None);
        assert_eq!(key(&headers(&["a-1"])).unwrap().as_deref(), Some("a-1"));
        for bad in [&[""][..], &["a b"], &["x"; 2], &[&"x".repeat(MAX_KEY + 1)]] {
            assert!(key(&headers(bad)).is_err(), "{bad:?}");
        }
    }
}
