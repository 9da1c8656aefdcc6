//! The warden over its control API. What changes something is asked for the user who wants it; whether that is anybody is
//! the warden's to say.

use clawrden_api::{
    Answered, ChatUser, Client, ErrorBody, ErrorCode, Event, History, HistoryQuery, KillReport,
    KillRequest, QueueEntry, RecordingQuery, RedeemRequest, ResumeRequest, Status,
};
use tokio::sync::mpsc;

use crate::tail::TailReader;
use crate::warden::{Answer, Refusal, User, Warden};

/// Bytes of a recording that are read for its end. Of a longer one it is not told.
const MAX_RECORDING: usize = 64 * 1024 * 1024;

/// A warden, spoken to over its control API by what speaks for a chat.
#[derive(Debug, Clone)]
pub struct OverApi(Client);

impl OverApi {
    /// Asks by this client.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self(client)
    }

    fn client_of(&self, user: &User) -> Result<Client, Refusal> {
        Ok(self.0.on_behalf(&chat_user(user)?))
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
        let mut events = match self.0.events_of_asked(after.as_deref()).await {
            Ok(events) => events,
            Err(error) => return error.into(),
        };
        loop {
            match events.next().await {
                Ok(Some(event)) => {
                    if told.send(event).await.is_err() {
                        return Refusal::Away("nobody listens any more".to_owned());
                    }
                }
                Ok(None) => return Refusal::Away("the warden tells nothing more".to_owned()),
                Err(error) => return error.into(),
            }
        }
    }

    async fn queue(&self) -> Result<Vec<QueueEntry>, Refusal> {
        Ok(self.0.queue().await?.entries)
    }

    async fn history(&self, query: HistoryQuery) -> Result<History, Refusal> {
        Ok(self.0.history(&query).await?)
    }

    async fn tail(&self, request: &str) -> Result<String, Refusal> {
        let mut recording = self.0.recording(request, RecordingQuery::default()).await?;
        let (mut reader, mut read) = (TailReader::default(), 0);
        while let Some(bytes) = recording.next().await? {
            read += bytes.len();
            if read > MAX_RECORDING {
                let message = "the recording is too long for its end to be told".to_owned();
                return Err(Refusal::No(ErrorBody { code: ErrorCode::TooLarge, message }));
            }
            reader.take(&bytes);
        }
        Ok(reader.tail())
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
