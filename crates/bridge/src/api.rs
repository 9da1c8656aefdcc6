//! The warden over its control API. What changes something is asked for the user who wants it; whether that is anybody is
//! the warden's to say.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::Duration;

use clawrden_api::{
    Answered, ChatUser, Client, ErrorBody, ErrorCode, Event, EventQuery, History, HistoryQuery,
    KillReport, KillRequest, QueueEntry, RedeemRequest, ResumeRequest, Status, Trouble,
};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use crate::standing::Standing;
use crate::warden::{Answer, Refusal, User, Warden};

/// How long a service may be away before the warden is told: a connection that is made again at once is no news.
const SETTLE: Duration = Duration::from_millis(250);

/// A warden, spoken to over its control API by what speaks for a chat.
#[derive(Debug, Clone)]
pub struct OverApi {
    client: Client,
    /// What it calls itself there.
    name: String,
    /// Why people cannot answer by it.
    reach: watch::Receiver<Option<Trouble>>,
}

impl OverApi {
    /// Asks by this client, and tells the warden whether people can answer by the bridge that stands so.
    #[must_use]
    pub fn new(client: Client, standing: &Standing) -> Self {
        let random = RandomState::new().build_hasher().finish();
        Self { client, name: format!("{random:016x}"), reach: standing.reach() }
    }

    fn client_of(&self, user: &User) -> Result<Client, Refusal> {
        Ok(self.client.on_behalf(&chat_user(user)?))
    }

    /// Tells what happens, until something else is to be said of the service. Gives the last event that was passed on.
    async fn follow_while(
        &self,
        reach: &mut watch::Receiver<Option<Trouble>>,
        after: Option<String>,
        told: &mpsc::Sender<Event>,
    ) -> Result<Option<String>, Refusal> {
        let mut last = after;
        let reason = *reach.borrow_and_update();
        let bridge = Some(self.name.clone());
        let query = EventQuery { asked: true, bridge, hears: reason.is_none(), reason };
        let mut events = self.client.events_by(&query, last.as_deref()).await?;
        let mut settled: Option<Instant> = None;
        loop {
            let settles = sleep_until(settled.unwrap_or_else(Instant::now));
            tokio::select! {
                event = events.next() => match event? {
                    Some(event) => {
                        last = event.id.clone().or(last);
                        if told.send(event).await.is_err() {
                            return Err(Refusal::Away("nobody listens any more".to_owned()));
                        }
                    }
                    None => return Err(Refusal::Away("the warden tells nothing more".to_owned())),
                },
                // It is told on the next stream, which goes on where this one ends.
                () = settles, if settled.is_some() => return Ok(last),
                Ok(()) = reach.changed() => {
                    let by_now = *reach.borrow_and_update();
                    let rest = if by_now.is_none() { Duration::ZERO } else { SETTLE };
                    settled = (by_now != reason).then(|| settled.unwrap_or(Instant::now() + rest));
                }
            }
        }
    }

    /// Reading is the bridge's own right, so whether somebody may have it told is asked first.
    async fn known(&self, user: &User) -> Result<Client, Refusal> {
        let client = self.client_of(user)?;
        if chat_user(user)?.is_stranger(&client.session().await?.who) {
            let message = format!("{} is nobody whom the warden knows", user.id);
            return Err(Refusal::No(ErrorBody { code: ErrorCode::UnknownUser, message }));
        }
        Ok(client)
    }
}

fn chat_user(user: &User) -> Result<ChatUser, Refusal> {
    let bad = |message| Refusal::No(ErrorBody { code: ErrorCode::BadRequest, message });
    user.id.parse().map_err(bad)
}

impl Warden for OverApi {
    async fn follow(&self, after: Option<String>, told: mpsc::Sender<Event>) -> Refusal {
        let (mut reach, mut last) = (self.reach.clone(), after);
        loop {
            last = match self.follow_while(&mut reach, last, &told).await {
                Ok(last) => last,
                Err(refusal) => return refusal,
            };
        }
    }

    async fn queue(&self) -> Result<Vec<QueueEntry>, Refusal> {
        Ok(self.client.queue().await?.entries)
    }

    async fn history(&self, query: HistoryQuery) -> Result<History, Refusal> {
        Ok(self.client.history(&query).await?)
    }

    async fn tail(&self, request: &str) -> Result<String, Refusal> {
        Ok(self.client.recording_tail(request).await?.text)
    }

    async fn status(&self, user: &User) -> Result<Status, Refusal> {
        Ok(self.known(user).await?.status().await?)
    }

    async fn queue_for(&self, user: &User) -> Result<Vec<QueueEntry>, Refusal> {
        Ok(self.known(user).await?.queue().await?.entries)
    }

    async fn answer(&self, user: &User, answer: &Answer) -> Result<Answered, Refusal> {
        let client = self.client_of(user)?.with_key(&answer.key);
        let Answer { request, approve, body, .. } = answer;
        Ok(match approve {
            true => client.approve(request, body).await?,
            false => client.deny(request, body).await?,
        })
    }

    async fn kill(&self, user: &User, request: &KillRequest) -> Result<KillReport, Refusal> {
        Ok(self.client_of(user)?.kill(request).await?)
    }

    async fn resume(&self, user: &User, request: &ResumeRequest) -> Result<KillReport, Refusal> {
        Ok(self.client_of(user)?.resume(request).await?)
    }

    async fn pair(&self, user: &User, code: &str) -> Result<String, Refusal> {
        let body = RedeemRequest { code: code.to_owned() };
        Ok(self.client_of(user)?.redeem(&body).await?.person)
    }
}
