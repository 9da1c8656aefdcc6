//! Events: what happens, told to who listens at the control plane at this moment.
//!
//! All listeners read one ring of bounded length; none has a buffer of its own, and nobody is waited for. While nobody
//! listens, and nobody did a minute ago, an event costs one atomic load. While only those listen who want to know what came of
//! what people were asked, as channels do, commands that nobody was asked about are told to nobody.

mod listener;
mod ring;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use clawrden_api::Scope;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::ledger::{self, Id, Record};
use crate::redaction;

pub(crate) use listener::{Listener, News, Wants};
pub use ring::MAX_EVENTS;
use ring::{About, Kept, Ring};

/// Listeners, and watchers of recordings, at once. A further one is refused.
pub const MAX_LISTENERS: usize = 256;

/// How long events are kept after the last listener went, for one that comes back.
const LINGER: Duration = Duration::from_secs(60);

/// What happens. Clones are the same.
#[derive(Clone)]
pub struct Events(Arc<Shared>);

struct Shared {
    /// Events are kept.
    is_wanted: AtomicBool,
    /// Listeners who want all of it.
    whole: AtomicUsize,
    listeners: AtomicUsize,
    /// Listeners, and who else stands beside the seats.
    standing: AtomicUsize,
    ring: Mutex<Ring>,
    /// The number of the next event; the highest number says that there will be none.
    next: watch::Sender<u64>,
}

/// What who is bounded to some jails is told of a ledger that cannot be written.
pub(crate) const UNWRITABLE: &str = "it cannot be written";

/// One who stands beside the seats, until this is dropped.
pub(crate) struct Standing(Arc<Shared>);

impl Drop for Standing {
    fn drop(&mut self) {
        self.0.standing.fetch_sub(1, Ordering::SeqCst);
    }
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}

impl Default for Events {
    fn default() -> Self {
        Self(Arc::new(Shared {
            is_wanted: AtomicBool::new(false),
            whole: AtomicUsize::new(0),
            listeners: AtomicUsize::new(0),
            standing: AtomicUsize::new(0),
            ring: Mutex::default(),
            next: watch::Sender::new(0),
        }))
    }
}

impl Events {
    /// Whether anybody would hear.
    pub(crate) fn is_wanted(&self) -> bool {
        self.0.is_wanted.load(Ordering::Relaxed)
    }

    /// Whether this listener is the first since nothing was kept; then what is open is to be made known by
    /// [`Events::know`]. `last` is the id that the listener heard last.
    ///
    /// # Errors
    /// When there are enough listeners.
    pub(crate) fn listen(
        &self,
        scope: Scope,
        last: Option<&str>,
        wants: Wants,
    ) -> Result<(Listener, bool), ()> {
        let standing = self.stand()?;
        self.0.listeners.fetch_add(1, Ordering::SeqCst);
        let mut ring = self.ring();
        if wants == Wants::Whole {
            self.0.whole.fetch_add(1, Ordering::SeqCst);
            let end = ring.end();
            ring.whole_from.get_or_insert(end);
        }
        let is_first = !self.0.is_wanted.swap(true, Ordering::SeqCst);
        if is_first {
            // Unlike that of another start of the warden.
            let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            let clock = u64::try_from(clock.unwrap_or_default().as_micros()).unwrap_or(u64::MAX);
            ring.epoch = clock.max(ring.epoch + 1);
        }
        let end = ring.end();
        let resumed = last.and_then(|last| ring.behind(last));
        let whole_from = ring.whole_from.unwrap_or(end);
        let resumed = resumed.filter(|&next| wants == Wants::Asked || next >= whole_from);
        let greeting = match (last, resumed) {
            (Some(_), None) => Some(ring.reset("events are missing: read everything anew")),
            _ => Some(format!(
                "id: {:x}-{}\nevent: hello\ndata: {{}}\n\n",
                ring.epoch,
                resumed.unwrap_or(end)
            )),
        };
        let listener = Listener {
            _standing: standing,
            events: self.clone(),
            scope,
            wants,
            epoch: ring.epoch,
            next: resumed.unwrap_or(end),
            news: self.0.next.subscribe(),
            greeting,
            rests_until: None,
        };
        Ok((listener, is_first))
    }

    /// A place for one more who stays for long.
    ///
    /// # Errors
    /// When there are enough.
    pub(crate) fn stand(&self) -> Result<Standing, ()> {
        let standing = Standing(Arc::clone(&self.0));
        let before = self.0.standing.fetch_add(1, Ordering::SeqCst);
        if before >= MAX_LISTENERS { Err(()) } else { Ok(standing) }
    }

    /// In which jail an open request or entry is.
    pub(crate) fn know(&self, id: String, jail: &str) {
        self.ring().know(id, jail);
    }

    /// This request runs because somebody was asked, as far as is known.
    pub(crate) fn was_asked(&self, id: String) {
        self.ring().note_asked(id);
    }

    /// Whether an event about this request has somebody who wants it.
    fn is_about_somebody(&self, id: &Id) -> bool {
        let mut ring = self.ring();
        let is_whole = self.0.whole.load(Ordering::SeqCst) > 0
            || ring.whole_left.is_some_and(|left| left.elapsed() <= LINGER);
        if !is_whole {
            ring.whole_from = None;
        }
        is_whole || ring.asked.contains(&id.to_string())
    }

    /// Something waits for a person. `entry` is made only if anybody would hear.
    pub(crate) fn waiting(&self, entry: impl FnOnce() -> Option<clawrden_api::QueueEntry>) {
        if self.is_wanted()
            && let Some(entry) = entry()
        {
            let about = About::Jail(entry.jail.clone());
            self.ring().know(entry.id.clone(), &entry.jail);
            self.publish("waiting", about, &json!({ "entry": entry }));
        }
    }

    /// The ledger cannot be written.
    pub fn alarm(&self, error: &str) {
        if self.is_wanted() {
            // That nothing runs is for everybody; why says where things are.
            let bounded = json!({ "error": UNWRITABLE });
            let whole = json!({ "error": error });
            self.publish_as("ledger_failed", About::Everybody, &whole, Some(&bounded));
        }
    }

    /// There will be no more: every listener is let go.
    pub(crate) fn close(&self) {
        self.0.next.send_replace(u64::MAX);
    }

    fn record(&self, record: &Record) {
        match record {
            Record::Approved(r) | Record::GrantUsed(r) => self.was_asked(r.id.to_string()),
            Record::Started(r) if !self.is_about_somebody(&r.id) => return,
            Record::Finished(r) if !self.is_about_somebody(&r.id) => {
                return self.ring().forget_one(&r.id.to_string());
            }
            _ => {}
        }
        let of = |id: &Id| self.ring().about(&id.to_string());
        let either = |of_request: About, entry: &Id| match of_request {
            About::Unknown => of(entry),
            known => known,
        };
        let about = match record {
            Record::Requested(requested) => {
                return self.ring().know(requested.id.to_string(), &requested.jail);
            }
            Record::Approved(r) | Record::Denied(r) | Record::GrantUsed(r) => {
                either(of(&r.id), &r.entry)
            }
            Record::Expired(r) => either(of(&r.id), &r.entry),
            Record::Voted(r) => either(of(&r.id), &r.entry),
            Record::Escalated(r) => either(of(&r.id), &r.entry),
            Record::CallerLeft(r) => of(&r.id),
            Record::Parked(r) => either(of(&r.id), &r.entry),
            Record::Started(r) => of(&r.id),
            Record::Finished(r) => of(&r.id),
            Record::Killed(r) => r.id.as_ref().map_or(About::Unknown, of),
            Record::Stopped(r) => stopped(r.jail.as_ref(), r.container.is_some()),
            Record::Resumed(r) => stopped(r.jail.as_ref(), r.container.is_some()),
            Record::PolicyLoaded(r) => jail(&r.jail),
            Record::PolicyRefused(r) => jail(&r.jail),
            Record::PrisonerStarted(r) => jail(&r.jail),
            // Nothing more is told of it.
            Record::Failed(r) => return self.ring().forget_one(&r.id.to_string()),
            Record::Decided(r) if r.decision == "deny" && !r.let_through => {
                return self.ring().forget_one(&r.id.to_string());
            }
            _ => return,
        };
        // As in the ledger, secrets are marked.
        let Ok(json) = serde_json::to_vec(record) else { return };
        let marked = redaction::ours().json(&json, &ledger::FIELDS);
        let Ok(mut data) = serde_json::from_slice::<Value>(&marked.unwrap_or(json)) else { return };
        let Some(name) = data.get("event").and_then(Value::as_str).map(str::to_owned) else {
            return;
        };
        if let About::Jail(jail) = &about {
            data["jail"] = json!(jail);
        }
        self.publish(&name, about, &data);
        let over = match record {
            Record::Finished(r) => &r.id,
            Record::Denied(r) => &r.id,
            Record::Expired(r) => &r.id,
            _ => return,
        };
        self.ring().forget_one(&over.to_string());
    }

    fn publish(&self, name: &str, about: About, data: &Value) {
        self.publish_as(name, about, data, None);
    }

    /// The same, with what who is bounded to some jails is told instead.
    fn publish_as(&self, name: &str, about: About, data: &Value, bounded: Option<&Value>) {
        // Whoever appends to the ledger may wait for the lock: what can be done before is.
        let rest = |data: &Value| format!("\nevent: {name}\ndata: {data}\n\n");
        let (rest, bounded) = (rest(data), bounded.map(rest));
        let mut ring = self.ring();
        if self.0.listeners.load(Ordering::SeqCst) == 0
            && ring.last_left.is_none_or(|left| left.elapsed() > LINGER)
        {
            self.0.is_wanted.store(false, Ordering::SeqCst);
            ring.forget();
            return;
        }
        // The number of the event behind it: who has heard this one goes on there.
        let number = ring.end() + 1;
        let id = format!("id: {:x}-{number}", ring.epoch);
        let bounded = bounded.map(|rest| format!("{id}{rest}"));
        ring.push(Kept { about, frame: id + &rest, bounded });
        drop(ring);
        self.0.next.send_if_modified(|next| {
            let is_open = *next != u64::MAX;
            if is_open {
                *next = number;
            }
            is_open
        });
    }

    /// How many listen.
    fn listeners(&self) -> usize {
        self.0.listeners.load(Ordering::SeqCst)
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.0.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn jail(name: &str) -> About {
    if name == "*" { About::Everybody } else { About::Jail(name.to_owned()) }
}

fn stopped(jail: Option<&String>, has_container: bool) -> About {
    match jail {
        Some(jail) => About::Jail(jail.clone()),
        None if has_container => About::Unknown,
        None => About::Everybody,
    }
}

impl ledger::Listener for Events {
    fn recorded(&self, records: &[Record]) {
        if !self.is_wanted() {
            return;
        }
        for record in records {
            self.record(record);
        }
        // Behind all of them: an answer has a record for each request that it is for.
        for record in records {
            let entry = match record {
                Record::Denied(r) => &r.entry,
                Record::Expired(r) => &r.entry,
                _ => continue,
            };
            self.ring().forget_one(&entry.to_string());
        }
    }

    fn alarm(&self, error: &str) {
        Self::alarm(self, error);
    }
}

#[cfg(test)]
mod tests;
