//! What a bridge asks of the warden. The control API answers it; tests answer it themselves.

use std::future::Future;

use clawrden_api::{
    AnswerRequest, Answered, ClientError, ErrorBody, Event, History, HistoryQuery, KillReport,
    KillRequest, QueueEntry, ResumeRequest, Status,
};
use tokio::sync::mpsc;

/// The warden, as a bridge needs it.
pub trait Warden: Send + Sync + 'static {
    /// Tells what happens until it cannot any more, and why. `after` is the id of the last event that was taken up: what
    /// came since is told first, or `reset` where not all of it is known any more.
    fn follow(
        &self,
        after: Option<String>,
        told: mpsc::Sender<Event>,
    ) -> impl Future<Output = Refusal> + Send;

    /// What waits for a person, oldest first.
    fn queue(&self) -> impl Future<Output = Result<Vec<QueueEntry>, Refusal>> + Send;

    /// What was asked, a page of it.
    fn history(&self, query: HistoryQuery)
    -> impl Future<Output = Result<History, Refusal>> + Send;

    /// The end of what a command wrote, as it was recorded.
    fn tail(&self, request: &str) -> impl Future<Output = Result<String, Refusal>> + Send;

    /// How the warden is, for a user who may see it.
    fn status(&self, user: &User) -> impl Future<Output = Result<Status, Refusal>> + Send;

    /// What waits for a person, for a user who may see it.
    fn queue_for(
        &self,
        user: &User,
    ) -> impl Future<Output = Result<Vec<QueueEntry>, Refusal>> + Send;

    /// A user's answer. The same key is the same answer.
    fn answer(
        &self,
        user: &User,
        answer: &Answer,
    ) -> impl Future<Output = Result<Answered, Refusal>> + Send;

    /// Throws the kill switch on a user's word.
    fn kill(
        &self,
        user: &User,
        request: &KillRequest,
    ) -> impl Future<Output = Result<KillReport, Refusal>> + Send;

    /// Takes it back on a user's word.
    fn resume(
        &self,
        user: &User,
        request: &ResumeRequest,
    ) -> impl Future<Output = Result<KillReport, Refusal>> + Send;

    /// Binds a user to the person whose code it is, and gives the person's name.
    fn pair(&self, user: &User, code: &str)
    -> impl Future<Output = Result<String, Refusal>> + Send;
}

/// Somebody in a chat. That they are anybody is for the warden to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The service and its id of them, such as `slack:T01/U02`: never a name that they can choose.
    pub id: String,
}

/// An answer to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The whole id of the queue's entry.
    pub request: String,
    /// Yes or no.
    pub approve: bool,
    /// Why, and for what a yes is good.
    pub body: AnswerRequest,
    /// Names this very tap.
    pub key: String,
}

/// Why the warden does not do something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It says no.
    #[error("{}", .0.message)]
    No(ErrorBody),
    /// It is not there, or broke off: it may do so later.
    #[error("{0}")]
    Away(String),
}

impl From<ClientError> for Refusal {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Api(body) if body.code.status() < 500 => Self::No(body),
            other => Self::Away(other.to_string()),
        }
    }
}
