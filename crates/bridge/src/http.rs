//! How bridges reach services: HTTPS by one client, and streams by the same trust.
//!
//! Nothing travels in the clear but to this machine, nothing is followed elsewhere, no answer is read without end, and no
//! error shows more of an address than its host: the rest may be a token.

use std::error::Error as _;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use clawrden_api::{RemoteError, Trust};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Method, Url};
use rustls::pki_types::ServerName;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::heard::Failure;
use crate::secret::Secret;

/// How long a connection may take to come about, TLS included.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a call may take in all, where it does not say otherwise.
pub const TIMEOUT: Duration = Duration::from_secs(15);

/// Bytes of an answer. A longer one is refused.
pub const MAX_ANSWER: usize = 1024 * 1024;

/// The longest rest that an answer may ask for; a longer one is taken for this.
pub const MAX_REST: Duration = Duration::from_secs(10 * 60);

/// Why a call gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// The address is none.
    #[error("the address is none that can be reached; write https://HOST/…")]
    BadAddress,
    /// The token or the message would travel in the clear.
    #[error("{0} would be sent in the clear; write https://, or http:// to this machine alone")]
    InTheClear(String),
    /// A header cannot be sent.
    #[error("the header {0:?} has characters that no header has")]
    BadHeader(String),
    /// What certificates are to be known by cannot be had.
    #[error("{0}")]
    NoTrust(String),
    /// It could not be reached, or broke off.
    #[error("{place} could not be reached: {why}")]
    Unreachable {
        /// Scheme, host and port.
        place: String,
        /// Why.
        why: String,
    },
    /// It took too long.
    #[error("{0} did not answer in time")]
    TooSlow(String),
    /// Its answer is longer than may be read.
    #[error("the answer of {0} is too long")]
    TooLong(String),
}

impl From<HttpError> for Failure {
    fn from(error: HttpError) -> Self {
        match error {
            HttpError::BadAddress
            | HttpError::InTheClear(_)
            | HttpError::BadHeader(_)
            | HttpError::NoTrust(_) => Self::Never(error.to_string()),
            HttpError::Unreachable { .. } | HttpError::TooSlow(_) | HttpError::TooLong(_) => {
                Self::Now(error.to_string())
            }
        }
    }
}

/// What is sent. It has no debug form: its address and headers may be secret.
pub struct Outgoing<'a> {
    method: Method,
    url: &'a str,
    headers: HeaderMap,
    bad_header: Option<String>,
    body: Vec<u8>,
    timeout: Duration,
}

impl<'a> Outgoing<'a> {
    /// Asks for something.
    #[must_use]
    pub fn get(url: &'a str) -> Self {
        let (headers, body) = (HeaderMap::new(), Vec::new());
        Self { method: Method::GET, url, headers, bad_header: None, body, timeout: TIMEOUT }
    }

    /// Sends bytes of a type, such as `text/plain`.
    #[must_use]
    pub fn post(url: &'a str, content_type: &str, body: Vec<u8>) -> Self {
        let outgoing = Self { method: Method::POST, body, ..Self::get(url) };
        outgoing.header("content-type", content_type)
    }

    /// Puts bytes of a type in the place of what was sent before.
    #[must_use]
    pub fn patch(url: &'a str, content_type: &str, body: Vec<u8>) -> Self {
        Self { method: Method::PATCH, ..Self::post(url, content_type, body) }
    }

    /// Sends JSON.
    #[must_use]
    pub fn json(url: &'a str, body: &Value) -> Self {
        Self::post(url, "application/json; charset=utf-8", body.to_string().into_bytes())
    }

    /// Shows a token.
    #[must_use]
    pub fn bearer(self, token: &Secret) -> Self {
        self.header("authorization", &format!("Bearer {}", token.expose()))
    }

    /// Sets a header. No log shows its value.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        match (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            (Ok(known), Ok(mut value)) => {
                value.set_sensitive(true);
                self.headers.insert(known, value);
            }
            _ => self.bad_header = Some(name.to_owned()),
        }
        self
    }

    /// How long it may take in all: longer where the other side is to wait for something.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }
}

/// What came back, whichever its status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status, such as 200.
    pub status: u16,
    /// How long the other side asks to be left in peace.
    pub retry_after: Option<Duration>,
    /// Its body, at most [`MAX_ANSWER`] bytes.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as JSON, where it is any.
    #[must_use]
    pub fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }
}

/// A stream to the other side, whatever carries it.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Duplex for S {}

/// The client. It keeps connections open for a while; a clone shares them.
#[derive(Debug, Clone)]
pub struct Http {
    client: Client,
    tls: Arc<rustls::ClientConfig>,
}

impl Http {
    /// Trusts the authorities of this system or of a file. Files are read here, once.
    ///
    /// # Errors
    ///
    /// [`HttpError::NoTrust`].
    pub fn new(trust: Trust<'_>) -> Result<Self, HttpError> {
        let no_trust = |error: String| HttpError::NoTrust(error);
        let tls = clawrden_api::client::tls(trust).map_err(|error| match error {
            RemoteError::NoTrust(why) => no_trust(why),
            other => no_trust(other.to_string()),
        })?;
        // A proxy of the environment would see what goes to this machine in the clear.
        let client = Client::builder()
            .tls_backend_preconfigured(tls.clone())
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .user_agent(concat!("clawrden/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| no_trust(error.to_string()))?;
        Ok(Self { client, tls: Arc::new(tls) })
    }

    /// Sends it once and reads the whole answer.
    ///
    /// # Errors
    ///
    /// [`HttpError`]. An answer with any status is none.
    pub async fn send(&self, outgoing: Outgoing<'_>) -> Result<Answer, HttpError> {
        let url = checked(outgoing.url)?;
        let place = place(&url);
        if let Some(name) = outgoing.bad_header {
            return Err(HttpError::BadHeader(name));
        }
        let sent = self
            .client
            .request(outgoing.method, url)
            .headers(outgoing.headers)
            .timeout(outgoing.timeout)
            .body(outgoing.body)
            .send();
        let failed = |error: reqwest::Error| failed(&place, error);
        let mut response = sent.await.map_err(failed)?;
        let status = response.status().as_u16();
        let retry_after = retry_after(response.headers());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > MAX_ANSWER {
                return Err(HttpError::TooLong(place));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status, retry_after, body })
    }

    /// Opens a stream to the host of a `wss://` or `https://` address (or `ws://`, `http://` to this machine).
    ///
    /// # Errors
    ///
    /// [`HttpError`].
    pub async fn dial(&self, address: &str) -> Result<Box<dyn Duplex>, HttpError> {
        let url = checked(address)?;
        let place = place(&url);
        let dialled = timeout(CONNECT_TIMEOUT, self.dialled(&url)).await;
        let dialled = dialled.map_err(|_| HttpError::TooSlow(place.clone()))?;
        dialled.map_err(|error| HttpError::Unreachable { place, why: error.to_string() })
    }

    async fn dialled(&self, url: &Url) -> std::io::Result<Box<dyn Duplex>> {
        let invalid = |why: &str| std::io::Error::new(std::io::ErrorKind::InvalidInput, why);
        let host = bare_host(url).ok_or_else(|| invalid("there is no host"))?.to_owned();
        let port = url.port_or_known_default().ok_or_else(|| invalid("there is no port"))?;
        let stream = TcpStream::connect((&host[..], port)).await?;
        stream.set_nodelay(true)?;
        if !is_secure(url) {
            return Ok(Box::new(stream));
        }
        let name = ServerName::try_from(host).map_err(|_| invalid("the host is no name"))?;
        let tls = TlsConnector::from(Arc::clone(&self.tls)).connect(name, stream).await?;
        Ok(Box::new(tls))
    }
}

/// Whether an address may be used: by TLS, or to this machine.
///
/// # Errors
///
/// [`HttpError::BadAddress`] and [`HttpError::InTheClear`].
pub fn check(address: &str) -> Result<(), HttpError> {
    checked(address).map(drop)
}

/// Scheme, host and port of an address: what of it may be shown.
#[must_use]
pub fn shown(address: &str) -> String {
    Url::parse(address).map_or_else(|_| "the address".to_owned(), |url| place(&url))
}

fn checked(address: &str) -> Result<Url, HttpError> {
    let url = Url::parse(address).map_err(|_| HttpError::BadAddress)?;
    let host = bare_host(&url).ok_or(HttpError::BadAddress)?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(HttpError::BadAddress);
    }
    match url.scheme() {
        "https" | "wss" => Ok(url),
        "http" | "ws" => {
            let is_here = host.parse::<IpAddr>().map_or(host == "localhost", |ip| ip.is_loopback());
            if is_here { Ok(url) } else { Err(HttpError::InTheClear(place(&url))) }
        }
        _ => Err(HttpError::BadAddress),
    }
}

fn is_secure(url: &Url) -> bool {
    matches!(url.scheme(), "https" | "wss")
}

fn bare_host(url: &Url) -> Option<&str> {
    url.host_str().map(|host| host.trim_start_matches('[').trim_end_matches(']'))
}

fn place(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{host}{port}", url.scheme())
}

/// The cause in words, without the address.
fn failed(place: &str, error: reqwest::Error) -> HttpError {
    let error = error.without_url();
    if error.is_timeout() {
        return HttpError::TooSlow(place.to_owned());
    }
    let mut why = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        why = format!("{why}: {inner}");
        cause = inner.source();
    }
    HttpError::Unreachable { place: place.to_owned(), why }
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(MAX_REST))
}

#[cfg(test)]
mod tests;
