//! A warden in memory, as a bridge sees one: a queue, events with numbers, people who are bound by codes, and answers that
//! are the same when they come again.

// Not every test uses everything.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use clawrden_api::{
    Answered, ErrorBody, ErrorCode, Event, History, HistoryQuery, IndexStatus, KillReport,
    KillRequest, LedgerStatus, PolicyStatus, QueueEntry, ResumeRequest, Status, Stopped,
};
use clawrden_bridge::warden::{Answer, Refusal, User, Warden};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};

/// The code by which anybody becomes bob.
pub const CODE: &str = "1234-5678";

/// The warden. Clones are the same.
#[derive(Clone)]
pub struct FakeWarden(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    /// Grows with everything that happens.
    changed: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    queue: Vec<QueueEntry>,
    events: Vec<Event>,
    /// Users of chats, and who they are.
    bound: BTreeMap<String, String>,
    answers: Vec<(String, Answer)>,
    done: BTreeMap<String, Answered>,
    is_away: bool,
    stopped: Option<Stopped>,
}

impl FakeWarden {
    /// One to whom these users are these people.
    pub fn with(bound: &[(&str, &str)]) -> Self {
        let bound = bound.iter().map(|&(user, name)| (user.to_owned(), name.to_owned())).collect();
        let state = Mutex::new(State { bound, ..State::default() });
        Self(Arc::new(Inner { state, changed: watch::Sender::new(0) }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap()
    }

    fn tell(&self, name: &str, data: &Value) {
        let mut state = self.state();
        let id = Some(format!("1-{}", state.events.len() + 1));
        state.events.push(Event { name: name.to_owned(), id, data: data.to_string() });
        drop(state);
        self.0.changed.send_modify(|changed| *changed += 1);
    }

    /// Something begins to wait.
    pub fn ask(&self, entry: &QueueEntry) {
        self.state().queue.push(entry.clone());
        self.tell("waiting", &json!({ "entry": entry }));
    }

    /// Somebody answers at the command line.
    pub fn answer_elsewhere(&self, entry: &str, who: &str, approve: bool) {
        self.close(entry, who, "cli", approve);
    }

    /// What was approved ends.
    pub fn finish(&self, entry: &str, exit: i32) {
        let recording = json!({ "sha256": "", "bytes": 1 });
        self.tell(
            "finished",
            &json!({
                "id": format!("r{entry}"), "exit_code": exit, "exit_source": "kernel",
                "duration_ms": 3_250, "recording": recording,
            }),
        );
    }

    /// Goes away, or comes back.
    pub fn set_away(&self, is_away: bool) {
        self.state().is_away = is_away;
        self.0.changed.send_modify(|changed| *changed += 1);
    }

    /// Every answer that was taken, with whose it was.
    pub fn answers(&self) -> Vec<(String, Answer)> {
        self.state().answers.clone()
    }

    /// Somebody throws the kill switch at the command line.
    pub fn stop_elsewhere(&self, since_ms: u64) {
        let by = "root".to_owned();
        self.state().stopped = Some(Stopped { since_ms, by, paused: false });
    }

    /// Who threw the kill switch.
    pub fn stopped_by(&self) -> Option<String> {
        self.state().stopped.as_ref().map(|stopped| stopped.by.clone())
    }

    fn close(&self, entry: &str, who: &str, through: &str, approve: bool) {
        self.state().queue.retain(|it| it.id != entry);
        let event = if approve { "approved" } else { "denied" };
        self.tell(
            event,
            &json!({
                "id": format!("r{entry}"), "entry": entry, "approver": who, "channel": through,
            }),
        );
    }

    fn there(&self) -> Result<MutexGuard<'_, State>, Refusal> {
        let state = self.state();
        if state.is_away { Err(Refusal::Away("no warden answers".to_owned())) } else { Ok(state) }
    }

    fn person(&self, user: &User) -> Result<String, Refusal> {
        let name = self.there()?.bound.get(&user.id).cloned();
        name.ok_or_else(|| no(ErrorCode::UnknownUser, "nobody is bound to it"))
    }
}

fn no(code: ErrorCode, message: &str) -> Refusal {
    Refusal::No(ErrorBody { code, message: message.to_owned() })
}

impl Warden for FakeWarden {
    async fn follow(&self, after: Option<String>, told: mpsc::Sender<Event>) -> Refusal {
        let away = || Refusal::Away("the warden goes down".to_owned());
        let mut changed = self.0.changed.subscribe();
        let mut next = {
            let Ok(state) = self.there() else { return away() };
            let known = state.events.len();
            let number = after.and_then(|after| after.strip_prefix("1-")?.parse().ok());
            number.filter(|number| *number <= known).unwrap_or(known)
        };
        let id = Some(format!("1-{next}"));
        let hello = Event { name: "hello".to_owned(), id, data: "{}".to_owned() };
        if told.send(hello).await.is_err() {
            return away();
        }
        loop {
            let event = {
                let Ok(state) = self.there() else { return away() };
                state.events.get(next).cloned()
            };
            let Some(event) = event else {
                if changed.changed().await.is_err() {
                    return away();
                }
                continue;
            };
            next += 1;
            if told.send(event).await.is_err() {
                return away();
            }
        }
    }

    async fn queue(&self) -> Result<Vec<QueueEntry>, Refusal> {
        Ok(self.there()?.queue.clone())
    }

    async fn history(&self, _: HistoryQuery) -> Result<History, Refusal> {
        // Nothing that it was asked is over before it is told of.
        self.there().map(|_| History { entries: Vec::new(), next: None })
    }

    async fn tail(&self, _: &str) -> Result<String, Refusal> {
        self.there().map(|_| "added 1 package\n@all /kill".to_owned())
    }

    async fn status(&self, user: &User) -> Result<Status, Refusal> {
        self.person(user)?;
        let state = self.there()?;
        Ok(Status {
            version: "0".to_owned(),
            pid: 1,
            uid: 0,
            started_ms: 0,
            stopped: state.stopped.clone(),
            held: Vec::new(),
            jails: Vec::new(),
            pending: state.queue.len(),
            running: 0,
            no_approver: None,
            dry_run: false,
            policy: PolicyStatus::default(),
            ledger: LedgerStatus::default(),
            index: IndexStatus::default(),
            engine: clawrden_api::EngineStatus::default(),
            methods: BTreeMap::new(),
            people: clawrden_api::PeopleStatus::default(),
            bridges: Vec::new(),
            channels: Vec::new(),
            cautions: Vec::new(),
        })
    }

    async fn queue_for(&self, user: &User) -> Result<Vec<QueueEntry>, Refusal> {
        self.person(user)?;
        self.queue().await
    }

    async fn answer(&self, user: &User, answer: &Answer) -> Result<Answered, Refusal> {
        let who = self.person(user)?;
        let answered = Answered {
            id: answer.request.clone(),
            answer: if answer.approve { "approved" } else { "denied" }.to_owned(),
            progress: None,
            delivered: true,
            kept_until_ms: None,
            holds_until_ms: None,
        };
        {
            // As one: two may answer at the same time.
            let mut state = self.state();
            if let Some(done) = state.done.get(&answer.key) {
                return Ok(done.clone());
            }
            let is_open = state.queue.iter().any(|entry| entry.id == answer.request)
                && !state.answers.iter().any(|(_, given)| given.request == answer.request);
            if !is_open {
                return Err(no(ErrorCode::Conflict, "it was answered already"));
            }
            state.answers.push((who.clone(), answer.clone()));
            state.done.insert(answer.key.clone(), answered.clone());
        }
        let through = user.id.split(':').next().unwrap_or_default();
        self.close(&answer.request, &who, through, answer.approve);
        Ok(answered)
    }

    async fn kill(&self, user: &User, request: &KillRequest) -> Result<KillReport, Refusal> {
        let by = self.person(user)?;
        let stopped = Some(Stopped { since_ms: 1, by, paused: request.pause });
        self.state().stopped.clone_from(&stopped);
        Ok(KillReport { processes: 3, containers: 0, stopped, problems: Vec::new() })
    }

    async fn resume(&self, user: &User, request: &ResumeRequest) -> Result<KillReport, Refusal> {
        self.person(user)?;
        let mut state = self.state();
        let since_ms = state.stopped.as_ref().map_or(0, |stopped| stopped.since_ms);
        if request.said_ms.is_some_and(|said_ms| said_ms < since_ms) {
            return Err(no(ErrorCode::Conflict, "it was stopped by root after this was said"));
        }
        state.stopped = None;
        Ok(KillReport { processes: 0, containers: 0, stopped: None, problems: Vec::new() })
    }

    async fn pair(&self, user: &User, code: &str) -> Result<String, Refusal> {
        let mut state = self.there()?;
        if code != CODE {
            return Err(no(ErrorCode::Forbidden, "there is no such code"));
        }
        state.bound.insert(user.id.clone(), "bob".to_owned());
        Ok("bob".to_owned())
    }
}
