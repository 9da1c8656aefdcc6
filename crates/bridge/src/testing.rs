//! What tests are made of.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use clawrden_api::{
    Answered, ErrorBody, ErrorCode, Event, History, HistoryEntry, HistoryQuery, KillReport,
    KillRequest, QueueEntry, ResumeRequest, Status, Stopped,
};
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use crate::card::{Card, Digest, Stage};
use crate::heard::{Failure, Heard, ReplyTo, Scope, Wants};
use crate::inbox::Inbox;
use crate::kept::{Kept, Tail};
use crate::service::{Posted, Service, Step};
use crate::warden::{Answer, Refusal, User, Warden};

pub(crate) fn entry(id: &str) -> QueueEntry {
    QueueEntry {
        id: id.to_owned(),
        short: id.chars().take(4).collect(),
        request: Some(format!("r-{id}")),
        jail: "web".to_owned(),
        argv: vec!["git".to_owned(), "push".to_owned(), id.to_owned()],
        rule: Some("policy.yaml:3".to_owned()),
        reason: "look first".to_owned(),
        executor: "mirror".to_owned(),
        since_ms: 1_000,
        expires_ms: 1_801_000,
        callers: 1,
        ..QueueEntry::default()
    }
}

pub(crate) fn kept(id: &str) -> Kept {
    let card = Card { entry: entry(id), stage: Stage::Waiting, progress: None, page: None };
    Kept { card, version: 1, requests: vec![], posts: vec![], tail: Tail::None, changed_ms: 1 }
}

/// A tap that says yes.
pub(crate) fn tap(user: &str, key: &str) -> Heard {
    let to = ReplyTo { place: "C1".into(), address: None, user: user.into() };
    let scope = Scope::Once;
    let wants = Wants::Answer { request: "a".into(), approve: true, reason: None, scope };
    let (user, shown, key) = (user.to_owned(), user.to_owned(), key.to_owned());
    Heard { user, shown, key, said_ms: None, to, wants }
}

/// What a fake service was asked to do.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Did {
    Post(String, Card),
    Edit(Posted, Card),
    Reply(Posted, String),
    Digest(String, Option<Posted>, Digest),
    Tell(String, String),
}

/// A chat service in memory.
#[derive(Default)]
pub(crate) struct FakeService {
    pub(crate) did: Mutex<Vec<Did>>,
    /// What the next calls fail with.
    pub(crate) failures: Mutex<VecDeque<Failure>>,
    /// Every call fails, and may go well later.
    pub(crate) is_down: AtomicBool,
    /// What it was asked to do and did not.
    pub(crate) failed: Mutex<Vec<Did>>,
    /// Users who can be told nothing: it hangs.
    pub(crate) deaf: Mutex<BTreeSet<String>>,
    /// Grows while it listens.
    pub(crate) beats: AtomicU64,
    /// It listens, and hears nobody.
    pub(crate) is_mute: AtomicBool,
    /// Listening comes to a bad end.
    pub(crate) is_broken: AtomicBool,
    /// Listening ends so, as often as there is one.
    pub(crate) ends: Mutex<VecDeque<Failure>>,
    /// When it was begun to listen.
    pub(crate) began: Mutex<Vec<Instant>>,
    inbox: Mutex<Option<Inbox>>,
    messages: AtomicU64,
}

impl FakeService {
    fn take(&self, did: Did) -> Result<(), Failure> {
        let is_down = self.is_down.load(Ordering::SeqCst);
        let down = || is_down.then(|| Failure::Now("it is down".to_owned()));
        let failure = self.failures.lock().unwrap().pop_front().or_else(down);
        if let Some(failure) = failure {
            self.failed.lock().unwrap().push(did);
            return Err(failure);
        }
        self.did.lock().unwrap().push(did);
        Ok(())
    }

    fn posted(&self, place: &str) -> Posted {
        let message = self.messages.fetch_add(1, Ordering::SeqCst).to_string();
        Posted { place: place.to_owned(), message }
    }

    pub(crate) fn did(&self) -> Vec<Did> {
        self.did.lock().unwrap().clone()
    }

    /// Somebody says something.
    pub(crate) async fn say(&self, user: &str, key: &str, wants: Wants) {
        self.say_at(None, user, key, wants).await;
    }

    /// Somebody said something then.
    pub(crate) async fn say_at(&self, said_ms: Option<u64>, user: &str, key: &str, wants: Wants) {
        let open = || self.inbox.lock().unwrap().clone().filter(|inbox| !inbox.is_closed());
        let inbox = until("a listener", open).await;
        inbox.put(Heard { said_ms, wants, ..tap(user, key) }).await.unwrap();
    }

    /// What somebody was told last, once there are so many tells.
    pub(crate) async fn told(&self, count: usize) -> String {
        until("a tell", || {
            let tells: Vec<String> = self
                .did()
                .into_iter()
                .filter_map(|did| if let Did::Tell(_, text) = did { Some(text) } else { None })
                .collect();
            (tells.len() >= count).then(|| tells.last().unwrap().clone())
        })
        .await
    }
}

impl Service for FakeService {
    fn name(&self) -> &'static str {
        "slack"
    }

    async fn post(&self, place: &str, card: &Card) -> Result<Posted, Failure> {
        self.take(Did::Post(place.to_owned(), card.clone()))?;
        Ok(self.posted(place))
    }

    async fn edit(&self, posted: &Posted, card: &Card) -> Result<(), Failure> {
        self.take(Did::Edit(posted.clone(), card.clone()))
    }

    async fn reply(&self, posted: &Posted, text: &str) -> Result<(), Failure> {
        self.take(Did::Reply(posted.clone(), text.to_owned()))
    }

    async fn digest(
        &self,
        place: &str,
        before: Option<&Posted>,
        digest: &Digest,
    ) -> Result<Posted, Failure> {
        self.take(Did::Digest(place.to_owned(), before.cloned(), digest.clone()))?;
        Ok(before.cloned().unwrap_or_else(|| self.posted(place)))
    }

    async fn tell(&self, to: &ReplyTo, text: &str) -> Result<(), Failure> {
        if self.deaf.lock().unwrap().contains(&to.user) {
            return std::future::pending().await;
        }
        self.did.lock().unwrap().push(Did::Tell(to.user.clone(), text.to_owned()));
        Ok(())
    }

    async fn listen(&self, inbox: Inbox) -> Failure {
        *self.inbox.lock().unwrap() = Some(inbox.clone());
        self.began.lock().unwrap().push(Instant::now());
        let mut hearing = None;
        loop {
            if let Some(failure) = self.ends.lock().unwrap().pop_front() {
                self.inbox.lock().unwrap().take();
                return failure;
            }
            assert!(!self.is_broken.load(Ordering::SeqCst), "it breaks");
            let is_mute = self.is_mute.load(Ordering::SeqCst);
            hearing = if is_mute { None } else { hearing.or_else(|| Some(inbox.hearing())) };
            self.beats.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }

    async fn test(&self, _: &str) -> Vec<Step> {
        Vec::new()
    }
}

/// A warden in memory: what it says is told to whoever follows.
#[derive(Default)]
pub(crate) struct FakeWarden {
    pub(crate) queue: Mutex<Vec<QueueEntry>>,
    pub(crate) history: Mutex<Vec<HistoryEntry>>,
    /// The history cannot be read.
    pub(crate) has_no_history: AtomicBool,
    pub(crate) answers: Mutex<Vec<(User, Answer)>>,
    /// What the next answers come to, `Ok` when there is none.
    pub(crate) refusals: Mutex<VecDeque<Refusal>>,
    /// Users whose answers come to no end.
    pub(crate) stuck: Mutex<BTreeSet<String>>,
    /// Who has stopped everything, and what was said to take it back.
    pub(crate) stopped: Mutex<Option<Stopped>>,
    pub(crate) resumes: Mutex<Vec<ResumeRequest>>,
    events: Mutex<Vec<Event>>,
    changed: Notify,
    /// Grows when everybody is let go.
    pub(crate) life: AtomicU64,
    pub(crate) follows: AtomicU64,
    /// How often the queue was read.
    pub(crate) reads: AtomicU64,
    /// It does nothing for anybody, though it tells what happens.
    pub(crate) is_away: AtomicBool,
    /// What it was asked to do for somebody, and which recordings it was asked for.
    pub(crate) asked: Mutex<Vec<&'static str>>,
}

impl FakeWarden {
    pub(crate) fn tell(&self, name: &str, data: &serde_json::Value) {
        let mut events = self.events.lock().unwrap();
        let id = Some(format!("1-{}", events.len() + 1));
        events.push(Event { name: name.to_owned(), id, data: data.to_string() });
        drop(events);
        self.changed.notify_waiters();
    }

    /// Something begins to wait.
    pub(crate) fn ask(&self, id: &str) {
        self.ask_for(&entry(id));
    }

    pub(crate) fn ask_for(&self, entry: &QueueEntry) {
        self.queue.lock().unwrap().push(entry.clone());
        self.tell("waiting", &serde_json::json!({ "entry": entry }));
    }

    /// Somebody answers it.
    pub(crate) fn close(&self, id: &str, event: &str, data: &serde_json::Value) {
        self.queue.lock().unwrap().retain(|entry| entry.id != id);
        self.tell(event, data);
    }

    /// Everybody who follows is let go.
    pub(crate) fn restart(&self) {
        self.life.fetch_add(1, Ordering::SeqCst);
        self.changed.notify_waiters();
    }

    /// Notes what it is asked.
    fn is_asked(&self, what: &'static str) -> Result<(), Refusal> {
        self.asked.lock().unwrap().push(what);
        let is_away = self.is_away.load(Ordering::SeqCst);
        if is_away { Err(Refusal::Away("it is away".to_owned())) } else { Ok(()) }
    }

    /// What came before is told to nobody any more.
    pub(crate) fn forget(&self) {
        self.events.lock().unwrap().clear();
        self.restart();
    }
}

impl Warden for FakeWarden {
    async fn follow(&self, after: Option<String>, told: mpsc::Sender<Event>) -> Refusal {
        self.follows.fetch_add(1, Ordering::SeqCst);
        let life = self.life.load(Ordering::SeqCst);
        let known = self.events.lock().unwrap().len();
        let number = after.as_deref().and_then(|after| after.strip_prefix("1-")?.parse().ok());
        let (name, mut next) = match (after, number) {
            (None, _) => ("hello", known),
            (Some(_), Some(number)) if number <= known => ("hello", number),
            _ => ("reset", known),
        };
        let id = Some(format!("1-{next}"));
        let greeting = Event { name: name.to_owned(), id, data: "{}".to_owned() };
        told.send(greeting).await.unwrap();
        loop {
            let changed = self.changed.notified();
            let mut changed = std::pin::pin!(changed);
            changed.as_mut().enable();
            if self.life.load(Ordering::SeqCst) != life {
                return Refusal::Away("it goes down".to_owned());
            }
            let event = self.events.lock().unwrap().get(next).cloned();
            match event {
                Some(event) => {
                    next += 1;
                    if told.send(event).await.is_err() {
                        return Refusal::Away("nobody listens".to_owned());
                    }
                }
                None => changed.await,
            }
        }
    }

    async fn queue(&self) -> Result<Vec<QueueEntry>, Refusal> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        Ok(self.queue.lock().unwrap().clone())
    }

    async fn history(&self, query: HistoryQuery) -> Result<History, Refusal> {
        if self.has_no_history.load(Ordering::SeqCst) {
            return Err(Refusal::Away("the index is being made".to_owned()));
        }
        let id = query.id.expect("a request is looked up by its id");
        let all = self.history.lock().unwrap();
        let meant = all.iter().filter(|of| of.id.starts_with(&id[..]));
        Ok(History { entries: meant.take(50).cloned().collect(), next: None })
    }

    async fn tail(&self, request: &str) -> Result<String, Refusal> {
        self.is_asked("tail")?;
        Ok(format!("the end of {request}"))
    }

    async fn status(&self, _: &User) -> Result<Status, Refusal> {
        self.is_asked("status")?;
        Err(Refusal::Away("not here".to_owned()))
    }

    async fn queue_for(&self, user: &User) -> Result<Vec<QueueEntry>, Refusal> {
        self.is_asked("queue")?;
        match &user.id[..] {
            "slack:U1" => self.queue().await,
            _ => Err(unknown()),
        }
    }

    async fn answer(&self, user: &User, answer: &Answer) -> Result<Answered, Refusal> {
        self.answers.lock().unwrap().push((user.clone(), answer.clone()));
        self.is_asked("answer")?;
        if self.stuck.lock().unwrap().contains(&user.id) {
            return std::future::pending().await;
        }
        if let Some(refusal) = self.refusals.lock().unwrap().pop_front() {
            return Err(refusal);
        }
        let event = if answer.approve { "approved" } else { "denied" };
        let data = serde_json::json!({
            "id": format!("r-{}", answer.request), "entry": answer.request, "approver": user.id, "channel": "slack",
        });
        self.close(&answer.request, event, &data);
        Ok(Answered {
            id: answer.request.clone(),
            answer: event.to_owned(),
            progress: None,
            delivered: true,
            kept_until_ms: None,
            holds_until_ms: None,
        })
    }

    async fn kill(&self, _: &User, request: &KillRequest) -> Result<KillReport, Refusal> {
        self.is_asked("kill")?;
        let since_ms = crate::clock::now_ms();
        let stopped = Some(Stopped { since_ms, by: "U1".to_owned(), paused: request.pause });
        self.stopped.lock().unwrap().clone_from(&stopped);
        Ok(KillReport { processes: 3, containers: 0, stopped, problems: vec![] })
    }

    async fn resume(&self, _: &User, request: &ResumeRequest) -> Result<KillReport, Refusal> {
        self.resumes.lock().unwrap().push(request.clone());
        self.is_asked("resume")?;
        let mut stopped = self.stopped.lock().unwrap();
        let since_ms = stopped.as_ref().map_or(0, |stopped| stopped.since_ms);
        if request.said_ms.is_some_and(|said_ms| said_ms < since_ms) {
            let message = "it was stopped after this was said".to_owned();
            return Err(Refusal::No(ErrorBody { code: ErrorCode::Conflict, message }));
        }
        *stopped = None;
        Ok(KillReport { processes: 0, containers: 0, stopped: None, problems: vec![] })
    }

    async fn pair(&self, _: &User, code: &str) -> Result<String, Refusal> {
        self.is_asked("pair")?;
        if code == "1234-5678" { Ok("alice".to_owned()) } else { Err(unknown()) }
    }
}

pub(crate) fn unknown() -> Refusal {
    let message = "nobody is bound to it".to_owned();
    Refusal::No(ErrorBody { code: ErrorCode::UnknownUser, message })
}

/// Polls until `ready` gives something.
pub(crate) async fn until<T>(what: &str, mut ready: impl FnMut() -> Option<T>) -> T {
    let start = std::time::Instant::now();
    loop {
        if let Some(value) = ready() {
            return value;
        }
        assert!(start.elapsed().as_secs() < 20, "waited in vain for {what}");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}
