//! An answer that is read while it comes, over a connection of its own.

use std::path::PathBuf;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::Request;
use hyper::body::{Bytes, Incoming};
use hyper::header::{self, HeaderMap, HeaderName};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;
use tokio::task::JoinHandle;

use super::remote::Wire;
use super::{Client, ClientError, MAX_ANSWER, TIMEOUT, cut_off, protocol, refusal};

/// A body, piece by piece. Its connection ends with it.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) headers: HeaderMap,
    /// What came behind the body.
    pub(super) trailers: Option<HeaderMap>,
    /// Of the warden, to be shown.
    pub(super) path: PathBuf,
    body: Incoming,
    _connection: Connection,
}

/// What moves the bytes, until this is dropped.
#[derive(Debug)]
struct Connection(JoinHandle<()>);

impl Client {
    /// `GET` of `uri` with these headers. The time of a call is for its beginning: its body may
    /// come for as long as it likes.
    pub(super) async fn stream(
        &self,
        uri: &str,
        headers: &[(HeaderName, &str)],
    ) -> Result<Stream, ClientError> {
        let after = self.timeout.unwrap_or(TIMEOUT);
        let timed_out = |_| ClientError::TimedOut { path: self.path.clone(), after };
        tokio::time::timeout(after, self.begin(uri, headers)).await.map_err(timed_out)?
    }

    async fn begin(
        &self,
        uri: &str,
        headers: &[(HeaderName, &str)],
    ) -> Result<Stream, ClientError> {
        let unreachable = |source| ClientError::Unreachable { path: self.path.clone(), source };
        match &self.remote {
            None => {
                let wire = UnixStream::connect(&self.path).await.map_err(unreachable)?;
                self.stream_over(wire, uri, headers).await
            }
            Some(remote) => match remote.connect().await.map_err(unreachable)? {
                Wire::Plain(wire) => self.stream_over(wire, uri, headers).await,
                Wire::Tls(wire) => self.stream_over(wire, uri, headers).await,
            },
        }
    }

    async fn stream_over<S>(
        &self,
        wire: S,
        uri: &str,
        headers: &[(HeaderName, &str)],
    ) -> Result<Stream, ClientError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(wire)).await;
        let (mut sender, connection) = handshake.map_err(|e| cut_off(&self.path, e))?;
        let remote = self.remote.as_ref();
        let mut request = Request::builder()
            .uri(uri)
            .header(header::HOST, remote.map_or("clawrden", |remote| &remote.authority));
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        if let Some(remote) = remote {
            request = request.header(header::AUTHORIZATION, format!("Bearer {}", remote.token));
        }
        let request = request.body(Empty::<Bytes>::new()).map_err(protocol)?;
        let connection = Connection(tokio::spawn(async move {
            // How it ended is told by the body.
            let _ = connection.await;
        }));
        let response = sender.send_request(request).await.map_err(|e| cut_off(&self.path, e))?;
        let status = response.status();
        if !status.is_success() {
            let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
            let body = body.map_err(|e| cut_off(&self.path, e))?.to_bytes();
            return Err(refusal(status, &body));
        }
        let (parts, body) = response.into_parts();
        let (headers, path) = (parts.headers, self.path.clone());
        Ok(Stream { headers, trailers: None, path, body, _connection: connection })
    }
}

impl Stream {
    /// The next bytes; `None` at the end. Nothing is lost by giving up waiting for them.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        while let Some(frame) = self.body.frame().await {
            match frame.map_err(|e| cut_off(&self.path, e))?.into_data() {
                Ok(bytes) => return Ok(Some(bytes)),
                Err(frame) => self.trailers = frame.into_trailers().ok(),
            }
        }
        Ok(None)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}
