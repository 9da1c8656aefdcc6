//! Events: what happens, told to who listens at the control plane at this moment.
//!
//! All listeners read one ring of bounded length; none has a buffer of its own, and nobody is waited for. While nobody
//! listens, and nobody did a minute ago, an event costs one atomic load. While only those listen who want to know what came of
//! what people were asked, as channels do, commands that nobody was asked about are told to nobody.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use clawrden_api::Scope;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::ledger::{self, Id, Record};
use crate::redaction;

/// Events that are kept for who comes back or reads slowly.
pub const MAX_EVENTS: usize = 4096;

/// Bytes of kept events.
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// Listeners, and watchers of recordings, at once. A further one is refused.
pub const MAX_LISTENERS: usize = 256;

/// Bytes of frames after which a listener is given what there is.
const BATCH: usize = 64 * 1024;

/// How long events are kept after the last listener went, for one that comes back.
const LINGER: Duration = Duration::from_secs(60);

/// Requests and entries whose jails are known.
const MAX_KNOWN: usize = 64 * 1024;

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

#[derive(Default)]
struct Ring {
    /// Names the time since when every event is kept. Numbers of another one say nothing.
    epoch: u64,
    /// The number of the first that is kept.
    first: u64,
    events: VecDeque<Kept>,
    bytes: usize,
    last_left: Option<Instant>,
    /// The number of the first event since which none is left out; `None` while some are.
    whole_from: Option<u64>,
    /// When the last listener went who wanted all of it.
    whole_left: Option<Instant>,
    /// Requests that somebody let run, and that have not ended.
    asked: HashSet<String>,
    jails: HashMap<String, String>,
    known: VecDeque<String>,
}

struct Kept {
    /// `None`: it is about all jails.
    about: About,
    frame: String,
    /// What who is bounded to some jails is told instead, where that is less.
    bounded: Option<String>,
}

impl Kept {
    fn bytes(&self) -> usize {
        self.frame.len() + self.bounded.as_ref().map_or(0, String::len)
    }
}

/// What who is bounded to some jails is told of a ledger that cannot be written.
pub(crate) const UNWRITABLE: &str = "it cannot be written";

/// Whom an event is for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum About {
    Everybody,
    Jail(String),
    /// Only for who is bounded to no jails.
    Unknown,
}

/// What a listener wants to hear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wants {
    /// All of it.
    Whole,
    /// Not what starts and ends without anybody having been asked.
    Asked,
}

/// One who listens, until this is dropped.
pub(crate) struct Listener {
    _standing: Standing,
    events: Events,
    scope: Scope,
    wants: Wants,
    epoch: u64,
    next: u64,
    news: watch::Receiver<u64>,
    /// What is to be said first.
    greeting: Option<String>,
}

/// One who stands beside the seats, until this is dropped.
pub(crate) struct Standing(Arc<Shared>);

impl Drop for Standing {
    fn drop(&mut self) {
        self.0.standing.fetch_sub(1, Ordering::SeqCst);
    }
}

/// What a listener gets next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// Whole frames.
    Frames(String),
    /// The last frame; there will be none after it.
    Last(String),
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

    /// Records that are in the ledger.
    pub(crate) fn recorded(&self, records: &[Record]) {
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

impl Ring {
    /// The number of the next event.
    fn end(&self) -> u64 {
        self.first + self.events.len() as u64
    }

    /// The number at which who heard `last` goes on, if everything since is kept.
    fn behind(&self, last: &str) -> Option<u64> {
        let (epoch, number) = last.split_once('-')?;
        let number: u64 = number.parse().ok()?;
        let same = u64::from_str_radix(epoch, 16).ok()? == self.epoch;
        (same && (self.first..=self.end()).contains(&number)).then_some(number)
    }

    fn push(&mut self, kept: Kept) {
        self.bytes += kept.bytes();
        self.events.push_back(kept);
        while self.events.len() > MAX_EVENTS || self.bytes > MAX_BYTES {
            let Some(gone) = self.events.pop_front() else { break };
            self.bytes -= gone.bytes();
            self.first += 1;
        }
    }

    fn forget(&mut self) {
        self.first = self.end();
        self.events = VecDeque::new();
        self.bytes = 0;
        self.jails = HashMap::new();
        self.known = VecDeque::new();
        self.whole_from = None;
        self.asked = HashSet::new();
    }

    fn note_asked(&mut self, id: String) {
        // So many at once are not under way; what is beyond them has ended without being told.
        if self.asked.len() >= MAX_KNOWN {
            self.asked.clear();
        }
        self.asked.insert(id);
    }

    fn know(&mut self, id: String, jail: &str) {
        if self.jails.insert(id.clone(), jail.to_owned()).is_none() {
            self.known.push_back(id);
        }
        while self.jails.len() > MAX_KNOWN {
            let Some(oldest) = self.known.pop_front() else { break };
            self.jails.remove(&oldest);
        }
        if self.known.len() > 2 * MAX_KNOWN {
            let jails = &self.jails;
            self.known.retain(|id| jails.contains_key(id));
        }
    }

    /// What is over makes room for what is open.
    fn forget_one(&mut self, id: &str) {
        self.asked.remove(id);
        self.jails.remove(id);
    }

    fn about(&self, id: &str) -> About {
        self.jails.get(id).map_or(About::Unknown, |jail| About::Jail(jail.clone()))
    }

    fn reset(&self, why: &str) -> String {
        let data = json!({ "why": why });
        format!("id: {:x}-{}\nevent: reset\ndata: {data}\n\n", self.epoch, self.end())
    }
}

impl Listener {
    /// What is next. May be dropped and called again.
    pub(crate) async fn news(&mut self) -> News {
        if let Some(greeting) = self.greeting.take() {
            return News::Frames(greeting);
        }
        loop {
            if *self.news.borrow_and_update() == u64::MAX {
                return News::Last("event: bye\ndata: {}\n\n".to_owned());
            }
            match self.read() {
                // All of it is for others.
                Some(News::Frames(frames)) if frames.is_empty() => {}
                Some(news) => return news,
                None => {}
            }
            if self.news.changed().await.is_err() {
                return News::Last("event: bye\ndata: {}\n\n".to_owned());
            }
        }
    }

    /// What comes next, if there is anything: so much that nobody has to wait for the copying.
    fn read(&mut self) -> Option<News> {
        let ring = self.events.ring();
        if ring.epoch != self.epoch || self.next < ring.first {
            return Some(News::Last(ring.reset("you read too slowly: read everything anew")));
        }
        if self.next >= ring.end() {
            return None;
        }
        let from = usize::try_from(self.next - ring.first).unwrap_or(usize::MAX);
        let mut frames = String::new();
        for kept in ring.events.range(from..) {
            if frames.len() >= BATCH {
                break;
            }
            self.next += 1;
            let may = match &kept.about {
                About::Everybody => true,
                About::Jail(jail) => self.scope.has_jail(jail),
                About::Unknown => self.scope.jails.is_empty(),
            };
            if may {
                let told = kept.bounded.as_ref().filter(|_| !self.scope.jails.is_empty());
                frames.push_str(told.unwrap_or(&kept.frame));
            }
        }
        Some(News::Frames(frames))
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut ring = self.events.ring();
        ring.last_left = Some(Instant::now());
        if self.wants == Wants::Whole {
            ring.whole_left = ring.last_left;
            self.events.0.whole.fetch_sub(1, Ordering::SeqCst);
        }
        drop(ring);
        self.events.0.listeners.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(n: u8) -> Record {
        Record::CallerLeft(ledger::CallerLeft { id: Id([n; 16]) })
    }

    fn in_jail(jail: &str) -> Scope {
        Scope { jails: vec![jail.to_owned()], rules: Vec::new() }
    }

    fn answered(id: Id, entry: Id) -> ledger::Answered {
        ledger::Answered::new(id, entry, "me", "cli")
    }

    async fn frames(listener: &mut Listener) -> String {
        match listener.news().await {
            News::Frames(frames) | News::Last(frames) => frames,
        }
    }

    fn last_id(frames: &str) -> String {
        let line = frames.lines().rev().find_map(|line| line.strip_prefix("id: "));
        line.unwrap().to_owned()
    }

    #[tokio::test]
    async fn nothing_is_kept_while_nobody_listens() {
        let events = Events::default();
        events.recorded(&[left(1)]);
        assert!(!events.is_wanted() && events.ring().events.is_empty());
        let (mut listener, is_first) = events.listen(Scope::default(), None, Wants::Whole).unwrap();
        assert!(is_first && frames(&mut listener).await.contains("event: hello"));
        events.recorded(&[left(1)]);
        assert!(frames(&mut listener).await.contains("event: caller_left"));
    }

    #[tokio::test]
    async fn what_is_told_has_its_secrets_marked() {
        let events = Events::default();
        let (mut listener, _) = events.listen(Scope::default(), None, Wants::Whole).unwrap();
        frames(&mut listener).await;
        let labels = [("api_key".to_owned(), "abcdef".to_owned())].into();
        events.recorded(&[
            Record::PrisonerStarted(ledger::PrisonerStarted {
                prisoner: "p".to_owned(),
                jail: "default".to_owned(),
                pid: 1,
                uid: 1,
                argv: ledger::Argv::new(&["x"]),
                labels,
            }),
            Record::Stopped(ledger::Stopped {
                by: "me".to_owned(),
                reason: Some("password=hunter2".to_owned()),
                paused: false,
                jail: None,
                container: None,
            }),
        ]);
        let heard = frames(&mut listener).await;
        assert!(!heard.contains("abcdef") && !heard.contains("hunter2"), "{heard}");
        assert!(
            heard.contains("[redacted:api-key]") && heard.contains("event: stopped"),
            "{heard}"
        );
    }

    #[tokio::test]
    async fn who_comes_back_hears_what_it_missed_or_that_it_missed_something() {
        let events = Events::default();
        let (mut first, _) = events.listen(Scope::default(), None, Wants::Whole).unwrap();
        frames(&mut first).await;
        events.recorded(&[left(1)]);
        let heard = last_id(&frames(&mut first).await);
        drop(first);
        events.recorded(&[left(2), left(3)]);
        let (mut again, is_first) =
            events.listen(Scope::default(), Some(&heard), Wants::Whole).unwrap();
        assert!(!is_first && frames(&mut again).await.contains("event: hello"));
        let missed = frames(&mut again).await;
        assert_eq!(missed.matches("event: caller_left").count(), 2, "{missed}");
        for stranger in ["", "x", "1-1", "ffffffffffff-0", &format!("{heard}9")] {
            let (mut other, _) =
                events.listen(Scope::default(), Some(stranger), Wants::Whole).unwrap();
            assert!(frames(&mut other).await.contains("event: reset"), "{stranger}");
        }
        for _ in 0..=MAX_EVENTS {
            events.recorded(&[left(4)]);
        }
        let (mut late, _) = events.listen(Scope::default(), Some(&heard), Wants::Whole).unwrap();
        assert!(frames(&mut late).await.contains("event: reset"));
        let slow = again.news().await;
        assert!(matches!(&slow, News::Last(frame) if frame.contains("too slowly")), "{slow:?}");
    }

    #[tokio::test]
    async fn who_is_bounded_to_a_jail_hears_of_it_alone() {
        let events = Events::default();
        let (mut mine, _) = events.listen(in_jail("mine"), None, Wants::Whole).unwrap();
        frames(&mut mine).await;
        events.know(Id([1; 16]).to_string(), "mine");
        events.know(Id([2; 16]).to_string(), "other");
        events.recorded(&[left(2), left(3), left(1)]);
        let heard = frames(&mut mine).await;
        assert_eq!(heard.matches("event: ").count(), 1, "{heard}");
        assert!(heard.contains(r#""jail":"mine""#), "{heard}");
        let (mut whole, _) = events.listen(Scope::default(), None, Wants::Whole).unwrap();
        frames(&mut whole).await;
        events.alarm("/var/lib/x: disk full");
        let heard = frames(&mut mine).await;
        assert!(heard.contains("event: ledger_failed") && !heard.contains("/var"), "{heard}");
        assert!(heard.contains(UNWRITABLE) && heard.starts_with("id: "), "{heard}");
        assert!(frames(&mut whole).await.contains("/var/lib/x: disk full"));
    }

    #[tokio::test]
    async fn what_expires_or_parks_is_told_by_its_entry_where_the_request_is_not_known() {
        let events = Events::default();
        let (mut mine, _) = events.listen(in_jail("mine"), None, Wants::Whole).unwrap();
        frames(&mut mine).await;
        events.know(Id([9; 16]).to_string(), "mine");
        let (id, entry) = (Id([1; 16]), Id([9; 16]));
        events.recorded(&[
            Record::Parked(ledger::Parked { id, entry }),
            Record::Expired(ledger::Expired { id, entry, after_ms: 1 }),
            Record::Expired(ledger::Expired { id, entry: Id([8; 16]), after_ms: 1 }),
        ]);
        let heard = frames(&mut mine).await;
        assert_eq!(heard.matches("event: ").count(), 2, "{heard}");
    }

    #[tokio::test]
    async fn what_is_over_pushes_nothing_out_that_is_open() {
        let events = Events::default();
        let (_listener, _) = events.listen(Scope::default(), None, Wants::Whole).unwrap();
        events.know("open".to_owned(), "mine");
        for n in 0..3 * MAX_KNOWN {
            let id = Id((n as u128).to_be_bytes());
            events.know(id.to_string(), "other");
            events.recorded(&[crate::request::denied(id, None, String::new())]);
        }
        let (one, two, entry) = (Id([1; 16]), Id([2; 16]), Id([9; 16]));
        let answered = |id| answered(id, entry);
        let expired = |id| Record::Expired(ledger::Expired { id, entry, after_ms: 1 });
        let denied = [Record::Denied(answered(one)), Record::Denied(answered(two))];
        for records in [denied, [expired(one), expired(two)]] {
            // Of the other request only its entry is known.
            events.know(one.to_string(), "mine");
            events.know(entry.to_string(), "mine");
            events.recorded(&records);
            let ring = events.ring();
            for known in [&one, &entry] {
                assert_eq!(ring.about(&known.to_string()), About::Unknown);
            }
            let told = ring.events.iter().rev().take(2);
            assert!(told.map(|kept| &kept.about).all(|about| *about == About::Jail("mine".into())));
        }
        let ring = events.ring();
        assert_eq!(ring.about("open"), About::Jail("mine".to_owned()));
        assert!(ring.known.len() <= 2 * MAX_KNOWN + 1, "{}", ring.known.len());
    }

    #[tokio::test]
    async fn who_comes_back_late_is_given_what_it_missed_in_pieces() {
        let events = Events::default();
        let (mut first, _) = events.listen(Scope::default(), None, Wants::Whole).unwrap();
        let heard = last_id(&frames(&mut first).await);
        for _ in 0..200 {
            events.alarm(&"x".repeat(1000));
        }
        let (mut late, _) = events.listen(Scope::default(), Some(&heard), Wants::Whole).unwrap();
        frames(&mut late).await;
        let mut got = 0;
        while got < 200 {
            let piece = frames(&mut late).await;
            assert!(piece.len() < BATCH + 2000, "{}", piece.len());
            got += piece.matches("event: ledger_failed").count();
        }
        assert_eq!(got, 200);
    }

    #[tokio::test]
    async fn what_nobody_was_asked_about_is_told_to_who_wants_all_of_it_and_to_no_channel() {
        let events = Events::default();
        let ended = |n: u8| {
            let json = serde_json::json!({
                "event": "finished", "id": Id([n; 16]), "exit_source": "kernel", "duration_ms": 1,
            });
            serde_json::from_value::<Record>(json).unwrap()
        };
        let let_run = |n: u8| Record::Approved(answered(Id([n; 16]), Id([9; 16])));
        let (mut channel, _) = events.listen(Scope::default(), None, Wants::Asked).unwrap();
        let first = last_id(&frames(&mut channel).await);
        events.recorded(&[ended(1), let_run(2), ended(2), ended(2)]);
        let heard = frames(&mut channel).await;
        assert_eq!(heard.matches("event: finished").count(), 1, "{heard}");
        assert_eq!(heard.matches("event: ").count(), 2, "{heard}");
        // Who wants all of it cannot go on where some was left out.
        let (mut whole, _) = events.listen(Scope::default(), Some(&first), Wants::Whole).unwrap();
        assert!(frames(&mut whole).await.contains("event: reset"));
        events.recorded(&[ended(3)]);
        let heard = frames(&mut whole).await;
        assert_eq!(heard.matches("event: finished").count(), 1, "{heard}");
        let last = last_id(&heard);
        drop(whole);
        events.recorded(&[ended(4)]);
        let (mut again, is_first) =
            events.listen(Scope::default(), Some(&last), Wants::Whole).unwrap();
        assert!(!is_first && frames(&mut again).await.contains("event: hello"));
        assert!(frames(&mut again).await.contains("event: finished"), "it is waited for");
    }

    #[tokio::test]
    async fn listeners_are_bounded_and_let_go_at_the_end() {
        let events = Events::default();
        let mut all: Vec<_> = (0..MAX_LISTENERS)
            .map(|_| events.listen(Scope::default(), None, Wants::Whole).unwrap().0)
            .collect();
        assert!(events.listen(Scope::default(), None, Wants::Whole).is_err());
        drop(all.pop());
        assert!(events.listen(Scope::default(), None, Wants::Whole).is_ok());
        events.close();
        frames(&mut all[0]).await;
        assert!(matches!(all[0].news().await, News::Last(_)));
    }
}
