//! What people say in a chat, taken to the warden, and what they are told of it.

use std::collections::HashMap;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use clawrden_api::{AnswerRequest, Answered, ErrorCode, GrantScope, KillRequest, ResumeRequest};
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::backoff::Backoff;
use crate::clock::now_ms;
use crate::desk::{Came, Desk, Seat};
use crate::heard::{Failure, Heard, ReplyTo, Scope, Wants};
use crate::service::Service;
use crate::shared::Shared;
use crate::warden::{Answer, Refusal, User, Warden};
use crate::words;

/// How long a warden that is away is tried again for one tap.
const PATIENCE: Duration = Duration::from_secs(90);

/// The longest pause between two of these tries: who comes behind waits for it.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// How long one thing that somebody wants may take in all. Then its seat is another's.
const LONGEST: Duration = Duration::from_secs(120);

/// How old something may be that was left by a bridge which died, in milliseconds: what was said long ago is not what is
/// wanted by now.
const LONGEST_LEFT_MS: u64 = 10 * 60 * 1_000;

/// How long a call to a service may take.
pub(crate) const SERVICE_TIMEOUT: Duration = Duration::from_secs(30);

/// How often a person is tried to be told something, and how long in all: later it helps nobody.
const TELLS: u32 = 3;
const TELL_TIMEOUT: Duration = Duration::from_secs(60);

/// What is being told at once, to all and to one person. Of more, people see only the message itself change.
const MAX_TELLS: usize = 64;
const MAX_TELLS_OF_ONE: usize = 8;

/// How long the event of an answer may be behind the refusal of a late one.
const LATE: Duration = Duration::from_millis(50);

/// Characters of a reason.
const MAX_REASON: usize = 2_000;

/// Digits of a request's id.
const DIGITS: usize = 32;

/// What somebody is told who wants too much at once.
const TOO_MUCH: &str = "Too much from you is under way; this was not done. Try again in a moment.";

/// Takes what people say to the warden.
pub(crate) struct Answers<S, W> {
    shared: Arc<Shared<S, W>>,
}

/// What is being done, and told.
#[derive(Default)]
struct Work {
    desk: Desk,
    answering: JoinSet<(Seat, Heard, String)>,
    telling: JoinSet<String>,
    /// To whom how much is being told.
    told: HashMap<String, usize>,
}

impl<S: Service, W: Warden> Answers<S, W> {
    pub(crate) fn new(shared: Arc<Shared<S, W>>) -> Arc<Self> {
        Arc::new(Self { shared })
    }

    /// Answers what is heard, until there is nobody to hear it from. Hearing goes on meanwhile, and so does answering while
    /// somebody is told something.
    pub(crate) async fn answer_all(self: Arc<Self>, mut heard: mpsc::Receiver<Heard>) {
        let mut work = Work::default();
        let left = self.shared.taps().left();
        for heard in left {
            let age_ms = now_ms().saturating_sub(heard.said_ms.unwrap_or_default());
            if age_ms <= LONGEST_LEFT_MS {
                self.came(&mut work, heard);
            } else {
                self.shared.taps().done(&heard.key);
                self.tell(&mut work, heard.user, heard.to, words::LEFT.to_owned());
            }
        }
        loop {
            while let Some((seat, heard)) = work.desk.next() {
                let this = Arc::clone(&self);
                work.answering.spawn(async move {
                    let text = timeout(LONGEST, this.answer(&heard)).await;
                    (seat, heard, text.unwrap_or_else(|_| words::TOO_LONG.to_owned()))
                });
            }
            tokio::select! {
                one = heard.recv(), if work.desk.has_room() => {
                    let Some(one) = one else { return };
                    self.came(&mut work, one);
                }
                Some(done) = work.answering.join_next() => {
                    let (seat, heard, text) = done.unwrap_or_else(|died| resume_unwind(died.into_panic()));
                    work.desk.free(seat);
                    self.shared.taps().done(&heard.key);
                    self.tell(&mut work, heard.user, heard.to, text);
                }
                Some(user) = work.telling.join_next() => {
                    let user = user.unwrap_or_else(|died| resume_unwind(died.into_panic()));
                    if let Some(count) = work.told.get_mut(&user) {
                        *count -= 1;
                        if *count == 0 {
                            work.told.remove(&user);
                        }
                    }
                }
            }
        }
    }

    fn came(self: &Arc<Self>, work: &mut Work, heard: Heard) {
        match work.desk.take(heard) {
            Came::Waits => self.shared.standing.note(|state| state.heard += 1),
            Came::TooMuch(heard) => {
                self.shared.standing.note(|state| {
                    state.heard += 1;
                    state.refused += 1;
                });
                self.shared.taps().done(&heard.key);
                self.tell(work, heard.user, heard.to, TOO_MUCH.to_owned());
            }
        }
    }

    /// Tells somebody what came of what they did, beside everything else.
    fn tell(self: &Arc<Self>, work: &mut Work, user: String, to: ReplyTo, text: String) {
        let told = work.told.entry(user.clone()).or_default();
        if *told >= MAX_TELLS_OF_ONE || work.telling.len() >= MAX_TELLS {
            if *told == 0 {
                work.told.remove(&user);
            }
            tracing::warn!(
                "so much is being told there that somebody is not told what came of what they did"
            );
            return;
        }
        *told += 1;
        let this = Arc::clone(self);
        work.telling.spawn(async move {
            if timeout(TELL_TIMEOUT, this.try_to_tell(&to, &text)).await.is_err() {
                tracing::warn!("a person could not be told in time what came of what they did");
            }
            user
        });
    }

    async fn try_to_tell(&self, to: &ReplyTo, text: &str) {
        let mut backoff = Backoff::default();
        for _ in 0..TELLS {
            let told = timeout(SERVICE_TIMEOUT, self.shared.service.tell(to, text)).await;
            let told = told.unwrap_or_else(|_| Err(Failure::Now("it does not answer".to_owned())));
            match told {
                Ok(()) => return,
                Err(Failure::Later(rest)) => sleep(rest).await,
                Err(Failure::Now(_)) => sleep(backoff.wait()).await,
                Err(Failure::Never(why)) => {
                    let why = self.shared.standing.said(&why);
                    tracing::warn!(why, "a person could not be told what came of what they did");
                    return;
                }
            }
        }
    }

    /// Does what somebody wants, and gives what they are told.
    async fn answer(&self, heard: &Heard) -> String {
        let service = self.shared.service.name();
        let id = format!("{service}:{}", heard.user);
        let user = User { id };
        let done = match &heard.wants {
            Wants::Answer { request, approve, reason, scope } => {
                if request.len() != DIGITS || !request.bytes().all(|b| b.is_ascii_hexdigit()) {
                    return "That is no request of this warden.".to_owned();
                }
                let answer = Answer {
                    request: request.to_ascii_lowercase(),
                    approve: *approve,
                    body: body(*approve, reason.as_deref(), scope),
                    key: key(service, &heard.key),
                };
                self.give(&user, heard, &answer).await
            }
            Wants::Command(words) => self.command(&user, words, heard.said_ms).await,
        };
        done.unwrap_or_else(|refusal| {
            self.shared.standing.note(|state| state.refused += 1);
            match refusal {
                Refusal::No(body) => words::refused(&body, heard, service),
                Refusal::Away(why) => {
                    let why = self.shared.standing.said(&why);
                    tracing::warn!(why, "the warden did not take what somebody said in a chat");
                    words::AWAY.to_owned()
                }
            }
        })
    }

    async fn give(&self, user: &User, heard: &Heard, answer: &Answer) -> Result<String, Refusal> {
        let given = self.patiently(|| self.shared.warden.answer(user, answer)).await;
        match given {
            Ok(answered) => Ok(taken(&answered, answer.approve)),
            Err(Refusal::No(body))
                if matches!(body.code, ErrorCode::Conflict | ErrorCode::NotFound) =>
            {
                // Its event may be on the way.
                for _ in 0..20 {
                    if let Some(text) = self.already(&answer.request) {
                        return Ok(text);
                    }
                    sleep(LATE).await;
                }
                Ok(words::refused(&body, heard, self.shared.service.name()))
            }
            Err(refusal) => Err(refusal),
        }
    }

    fn already(&self, entry: &str) -> Option<String> {
        words::already(self.shared.table().card(entry)?, now_ms())
    }

    /// Asks again while the warden is away: a restart takes no tap from anybody.
    async fn patiently<T, F>(&self, mut ask: impl FnMut() -> F) -> Result<T, Refusal>
    where
        F: Future<Output = Result<T, Refusal>>,
    {
        let mut backoff = Backoff::default();
        let again = async {
            loop {
                match ask().await {
                    Err(Refusal::Away(_)) => sleep(backoff.wait().min(LONGEST_PAUSE)).await,
                    came => return came,
                }
            }
        };
        let away = |_| Err(Refusal::Away("it is away for too long".to_owned()));
        timeout(PATIENCE, again).await.unwrap_or_else(away)
    }

    async fn command(
        &self,
        user: &User,
        given: &[String],
        said_ms: Option<u64>,
    ) -> Result<String, Refusal> {
        let warden = &self.shared.warden;
        let mut rest = given.iter().map(String::as_str);
        let verb = rest.next().unwrap_or("help").to_ascii_lowercase();
        let of = rest.next();
        if rest.next().is_some() {
            return Ok(format!("That is one word too many.\n{}", words::HELP));
        }
        match (&verb[..], of) {
            ("status", None) => Ok(words::status(&warden.status(user).await?, now_ms())),
            ("queue", None) => Ok(words::queue(&warden.queue_for(user).await?, now_ms())),
            ("kill", jail) => {
                let request = KillRequest {
                    reason: Some(format!("said in {}", self.shared.service.name())),
                    jail: jail.map(str::to_owned),
                    ..KillRequest::default()
                };
                let report = self.patiently(|| warden.kill(user, &request)).await?;
                Ok(words::killed(&report, jail))
            }
            ("resume", jail) => {
                let request = ResumeRequest {
                    jail: jail.map(str::to_owned),
                    // What was stopped after that stays so, however late this comes.
                    said_ms,
                    ..ResumeRequest::default()
                };
                let report = self.patiently(|| warden.resume(user, &request)).await?;
                Ok(words::resumed(&report, jail))
            }
            ("pair", Some(code)) => {
                let person = warden.pair(user, code).await?;
                let person = clawrden_api::display::text(&person);
                Ok(format!("You are {person} for the warden from here on."))
            }
            ("pair", None) => {
                Ok("pair CODE: whoever runs the warden gives you the code.".to_owned())
            }
            ("help", _) => Ok(words::HELP.to_owned()),
            _ => Ok(format!("That is none of the commands.\n{}", words::HELP)),
        }
    }
}

fn body(approve: bool, reason: Option<&str>, scope: &Scope) -> AnswerRequest {
    let reason = reason.map(str::trim).filter(|reason| !reason.is_empty());
    let reason = reason.map(|reason| reason.chars().take(MAX_REASON).collect());
    let (scope, for_ms) = match scope {
        Scope::Session if approve => (GrantScope::Session, None),
        Scope::Time(ms) if approve => (GrantScope::Time, Some(*ms)),
        // A no is for this one.
        _ => (GrantScope::Once, None),
    };
    AnswerRequest { reason, scope, for_ms, ..AnswerRequest::default() }
}

/// The key of a tap, as the warden takes keys: of visible characters, and never too long.
fn key(service: &str, key: &str) -> String {
    let digest = Sha256::new().chain_update(service).chain_update([0]).chain_update(key).finalize();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn taken(answered: &Answered, approve: bool) -> String {
    if let Some(progress) = &answered.progress {
        return format!("Counted: {}.", clawrden_api::display::text(progress));
    }
    match (approve, answered.delivered) {
        (true, true) => "Approved.".to_owned(),
        (true, false) => {
            "Approved; its caller has gone, and the next identical request runs.".to_owned()
        }
        (false, _) => "Denied.".to_owned(),
    }
}
