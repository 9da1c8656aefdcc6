//! The client of the control API: one connection to the warden's Unix socket for each call.
//!
//! It never waits without end, never holds more than [`MAX_ANSWER`] bytes, and never takes an answer that it does not
//! understand for a yes.

mod access;
mod audit;
mod channels;
mod error;
mod events;
mod grants;
mod people;
mod policy;
mod recordings;
mod remote;
mod running;
mod stream;

pub use audit::ExportStream;
pub use error::ClientError;
use error::{cut_off, protocol, refusal};
pub use events::{Event, EventStream, MAX_EVENT};
pub use recordings::RecordingStream;

use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::{Method, Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;

use crate::chat::{ChatUser, ON_BEHALF};
use crate::history::{History, HistoryQuery};
use crate::jails::{JailInfo, JailList, JailRequest};
use crate::overview::{Overview, OverviewQuery};
use crate::prisoners::{PrisonerAnswer, PrisonerRequest};
use crate::queue::{AnswerRequest, Answered, Queue};
use crate::status::{IndexStatus, Status};
use crate::switch::{KillReport, KillRequest, ResumeRequest};
use remote::{Remote, Wire};
pub use remote::{RemoteError, Trust, tls};

/// Bytes of an answer's body. A longer one is refused.
pub const MAX_ANSWER: usize = 64 * 1024 * 1024;

/// How long a call may take. `kill` ends processes with a grace and has [`KILL_TIMEOUT`].
pub const TIMEOUT: Duration = Duration::from_secs(10);

/// How long `kill` and `resume` may take.
pub const KILL_TIMEOUT: Duration = Duration::from_secs(60);

/// A client of one warden's control API.
#[derive(Debug, Clone)]
pub struct Client {
    /// The control socket, or for a warden elsewhere its address, to be shown.
    path: PathBuf,
    remote: Option<Remote>,
    timeout: Option<Duration>,
    /// For whom a bridge asks.
    on_behalf: Option<ChatUser>,
    /// By which an answer that is sent again is known.
    key: Option<String>,
}

/// What is sent, and where.
struct Call<'a> {
    method: Method,
    path: String,
    body: Vec<u8>,
    socket: &'a Path,
    remote: Option<&'a Remote>,
    client: &'a Client,
}

impl Client {
    /// A client of the warden whose control socket is at `path`. Nothing is connected yet.
    #[must_use]
    pub fn unix(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), remote: None, timeout: None, on_behalf: None, key: None }
    }

    /// A client of the warden that serves its API at `url` over TCP, with a token. Nothing is connected yet.
    ///
    /// # Errors
    /// [`RemoteError`]: nothing is sent then.
    pub fn remote(url: &str, token: &str, trust: Trust<'_>) -> Result<Self, RemoteError> {
        let remote = Some(Remote::new(url, token, trust)?);
        Ok(Self { path: PathBuf::from(url), remote, timeout: None, on_behalf: None, key: None })
    }

    /// The same client, with another limit to how long any call may take.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// The same client, which asks for this user of a chat. Only who speaks for the chat may.
    #[must_use]
    pub fn on_behalf(&self, user: &ChatUser) -> Self {
        Self { on_behalf: Some(user.clone()), ..self.clone() }
    }

    /// The same client, whose answer to what waits is given once, however often it is sent with this key: 1 to 128 visible
    /// characters of ASCII.
    #[must_use]
    pub fn with_key(&self, key: impl Into<String>) -> Self {
        Self { key: Some(key.into()), ..self.clone() }
    }

    /// The control socket.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// `GET /api/status`.
    ///
    /// # Errors
    /// [`ClientError`], as for every call.
    pub async fn status(&self) -> Result<Status, ClientError> {
        self.get("/api/status".to_owned()).await
    }

    /// `GET /metrics`, in Prometheus' text format.
    ///
    /// # Errors
    /// [`ClientError`], as for every call.
    pub async fn metrics(&self) -> Result<String, ClientError> {
        self.text("/metrics").await
    }

    /// `GET /healthz`: a warden lives there.
    ///
    /// # Errors
    /// [`ClientError`], as for every call.
    pub async fn alive(&self) -> Result<String, ClientError> {
        self.text("/healthz").await
    }

    /// `GET /readyz`: `ready`, and a line for each thing that should be known.
    ///
    /// # Errors
    /// [`ClientError`]; `NotReady` says what is missing.
    pub async fn ready(&self) -> Result<String, ClientError> {
        self.text("/readyz").await
    }

    /// `GET /api/openapi.json`.
    ///
    /// # Errors
    /// [`ClientError`], as for every call.
    pub async fn description(&self) -> Result<serde_json::Value, ClientError> {
        self.get("/api/openapi.json".to_owned()).await
    }

    /// `GET /api/overview`.
    ///
    /// # Errors
    /// [`ClientError`]; `NotReady` while the ledger's index is being made.
    pub async fn overview(&self, query: &OverviewQuery) -> Result<Overview, ClientError> {
        let query = query_string(query)?;
        self.get(format!("/api/overview{query}")).await
    }

    /// `GET /api/queue`.
    ///
    /// # Errors
    /// [`ClientError`], as for every call.
    pub async fn queue(&self) -> Result<Queue, ClientError> {
        self.get("/api/queue".to_owned()).await
    }

    /// `POST /api/queue/{id}/approve`; `id` may be a prefix.
    ///
    /// # Errors
    /// [`ClientError`]; `NotFound`, `Conflict` and `Ambiguous` are about the id.
    pub async fn approve(&self, id: &str, body: &AnswerRequest) -> Result<Answered, ClientError> {
        self.post(format!("/api/queue/{}/approve", encoded(id)), body, TIMEOUT).await
    }

    /// `POST /api/queue/{id}/deny`; `id` may be a prefix.
    ///
    /// # Errors
    /// [`ClientError`]; `NotFound`, `Conflict` and `Ambiguous` are about the id.
    pub async fn deny(&self, id: &str, body: &AnswerRequest) -> Result<Answered, ClientError> {
        self.post(format!("/api/queue/{}/deny", encoded(id)), body, TIMEOUT).await
    }

    /// `GET /api/history`.
    ///
    /// # Errors
    /// [`ClientError`]; `BadRequest` is about a filter.
    pub async fn history(&self, query: &HistoryQuery) -> Result<History, ClientError> {
        let query = query_string(query)?;
        self.get(format!("/api/history{query}")).await
    }

    /// `POST /api/index/rebuild`: the ledger's index is made anew, in the background.
    ///
    /// # Errors
    /// [`ClientError`], as for every call.
    pub async fn rebuild_index(&self) -> Result<IndexStatus, ClientError> {
        let nothing = serde_json::json!({});
        self.post("/api/index/rebuild".to_owned(), &nothing, TIMEOUT).await
    }

    /// `POST /api/kill`.
    ///
    /// # Errors
    /// [`ClientError`], as for every call.
    pub async fn kill(&self, body: &KillRequest) -> Result<KillReport, ClientError> {
        self.post("/api/kill".to_owned(), body, KILL_TIMEOUT).await
    }

    /// `POST /api/resume`.
    ///
    /// # Errors
    /// [`ClientError`], as for every call.
    pub async fn resume(&self, body: &ResumeRequest) -> Result<KillReport, ClientError> {
        self.post("/api/resume".to_owned(), body, KILL_TIMEOUT).await
    }

    /// `GET /api/jails`.
    ///
    /// # Errors
    /// [`ClientError`], as for every call.
    pub async fn jails(&self) -> Result<JailList, ClientError> {
        self.get("/api/jails".to_owned()).await
    }

    /// `GET /api/jails/{name}`.
    ///
    /// # Errors
    /// [`ClientError`]; `NotFound` for none of that name.
    pub async fn jail(&self, name: &str) -> Result<JailInfo, ClientError> {
        self.get(format!("/api/jails/{}", encoded(name))).await
    }

    /// `POST /api/jails`.
    ///
    /// # Errors
    /// [`ClientError`]; `BadRequest` for a name that no jail or tool can have, `Conflict` for one that is taken.
    pub async fn create_jail(&self, body: &JailRequest) -> Result<JailInfo, ClientError> {
        self.post("/api/jails".to_owned(), body, TIMEOUT).await
    }

    /// `DELETE /api/jails/{name}`.
    ///
    /// # Errors
    /// [`ClientError`]; `Conflict` for a jail that is in use or in the policy.
    pub async fn delete_jail(&self, name: &str) -> Result<JailInfo, ClientError> {
        let path = format!("/api/jails/{}", encoded(name));
        self.call(Method::DELETE, path, Vec::new(), TIMEOUT).await
    }

    /// `POST /api/prisoners`.
    ///
    /// # Errors
    /// [`ClientError`]; `BadPolicy` carries the policy's diagnosis.
    pub async fn register_prisoner(
        &self,
        body: &PrisonerRequest,
    ) -> Result<PrisonerAnswer, ClientError> {
        self.post("/api/prisoners".to_owned(), body, TIMEOUT).await
    }

    async fn get<T: DeserializeOwned>(&self, path: String) -> Result<T, ClientError> {
        self.call_get(path, TIMEOUT).await
    }

    async fn call_get<T: DeserializeOwned>(
        &self,
        path: String,
        timeout: Duration,
    ) -> Result<T, ClientError> {
        self.call(Method::GET, path, Vec::new(), timeout).await
    }

    async fn text(&self, path: &str) -> Result<String, ClientError> {
        let page = self.answer(Method::GET, path.to_owned(), Vec::new(), TIMEOUT).await?;
        String::from_utf8(page.into()).map_err(protocol)
    }

    async fn post<B: Serialize, T: DeserializeOwned>(
        &self,
        path: String,
        body: &B,
        timeout: Duration,
    ) -> Result<T, ClientError> {
        let body = serde_json::to_vec(body).map_err(protocol)?;
        self.call(Method::POST, path, body, timeout).await
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: String,
        body: Vec<u8>,
        timeout: Duration,
    ) -> Result<T, ClientError> {
        serde_json::from_slice(&self.answer(method, path, body, timeout).await?).map_err(protocol)
    }

    /// The body of an answer that is no refusal.
    async fn answer(
        &self,
        method: Method,
        path: String,
        body: Vec<u8>,
        timeout: Duration,
    ) -> Result<Bytes, ClientError> {
        let timeout = self.timeout.unwrap_or(timeout);
        let (socket, remote) = (&*self.path, self.remote.as_ref());
        let call = Call { method, path, body, socket, remote, client: self };
        let (status, bytes) = tokio::time::timeout(timeout, exchange(call))
            .await
            .map_err(|_| ClientError::TimedOut { path: self.path.clone(), after: timeout })??;
        if status.is_success() {
            return Ok(bytes);
        }
        Err(refusal(status, &bytes))
    }
}

async fn exchange(call: Call<'_>) -> Result<(StatusCode, Bytes), ClientError> {
    let unreachable = |source| ClientError::Unreachable { path: call.socket.to_owned(), source };
    match call.remote {
        None => {
            let stream = UnixStream::connect(call.socket).await.map_err(unreachable)?;
            converse(stream, call).await
        }
        Some(remote) => match remote.connect().await.map_err(unreachable)? {
            Wire::Plain(stream) => converse(stream, call).await,
            Wire::Tls(stream) => converse(stream, call).await,
        },
    }
}

async fn converse<S>(stream: S, call: Call<'_>) -> Result<(StatusCode, Bytes), ClientError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let socket = call.socket;
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|e| cut_off(socket, e))?;
    let mut request = Request::builder()
        .method(call.method)
        .uri(call.path)
        .header(header::HOST, call.remote.map_or("clawrden", |remote| &remote.authority))
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::ACCEPT, "application/json");
    if let Some(remote) = call.remote {
        request = request.header(header::AUTHORIZATION, format!("Bearer {}", remote.token));
    }
    if let Some(user) = &call.client.on_behalf {
        request = request.header(ON_BEHALF, user.to_string());
    }
    if let Some(key) = &call.client.key {
        request = request.header("idempotency-key", key);
    }
    let request = request.body(Full::new(Bytes::from(call.body))).map_err(protocol)?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(|e| cut_off(socket, e))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
        let body = body.map_err(|e| cut_off(socket, e))?.to_bytes();
        Ok((status, body))
    };
    let mut answer = std::pin::pin!(answer);
    tokio::select! {
        biased;
        done = &mut answer => done,
        // When the connection ends first, what it still had to say is already with the answer.
        _ = connection => answer.await,
    }
}

fn query_string(query: &impl Serialize) -> Result<String, ClientError> {
    let mut out = String::new();
    let serde_json::Value::Object(fields) = serde_json::to_value(query).map_err(protocol)? else {
        return Ok(out);
    };
    for (name, value) in fields {
        let value = match value {
            serde_json::Value::String(text) => text,
            other => other.to_string(),
        };
        out.push(if out.is_empty() { '?' } else { '&' });
        out.push_str(&name);
        out.push('=');
        out.push_str(&encoded(&value));
    }
    Ok(out)
}

/// Percent-encodes all but the characters that mean nothing in any part of a URI.
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests;
