//! A recording, piece by piece as the warden sends it.

use http_body_util::{BodyExt, Empty, Limited};
use hyper::Request;
use hyper::body::{Bytes, Incoming};
use hyper::header;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;
use tokio::task::JoinHandle;

use super::remote::Wire;
use super::{Client, ClientError, MAX_ANSWER, encoded, protocol, refusal};
use crate::recordings::{RECORDING_HEADER, RecordingFacts, RecordingQuery};

/// A recording that is being read.
#[derive(Debug)]
pub struct RecordingStream {
    /// What is known of it beside its bytes.
    pub facts: RecordingFacts,
    body: Incoming,
    connection: JoinHandle<()>,
}

impl Client {
    /// `GET /api/recordings/{id}`; `id` may be a prefix.
    ///
    /// # Errors
    /// [`ClientError`]; `NotFound` and `Ambiguous` are about the id.
    pub async fn recording(
        &self,
        id: &str,
        query: RecordingQuery,
    ) -> Result<RecordingStream, ClientError> {
        let unreachable = |source| ClientError::Unreachable { path: self.path.clone(), source };
        match &self.remote {
            None => {
                let stream = UnixStream::connect(&self.path).await.map_err(unreachable)?;
                self.recording_over(stream, id, query).await
            }
            Some(remote) => match remote.connect().await.map_err(unreachable)? {
                Wire::Plain(stream) => self.recording_over(stream, id, query).await,
                Wire::Tls(stream) => self.recording_over(stream, id, query).await,
            },
        }
    }

    async fn recording_over<S>(
        &self,
        stream: S,
        id: &str,
        query: RecordingQuery,
    ) -> Result<RecordingStream, ClientError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(protocol)?;
        let RecordingQuery { follow, new } = query;
        let remote = self.remote.as_ref();
        let mut request = Request::builder()
            .uri(format!("/api/recordings/{}?follow={follow}&new={new}", encoded(id)))
            .header(header::HOST, remote.map_or("clawrden", |remote| &remote.authority));
        if let Some(remote) = remote {
            request = request.header(header::AUTHORIZATION, format!("Bearer {}", remote.token));
        }
        let request = request.body(Empty::<Bytes>::new()).map_err(protocol)?;
        let connection = tokio::spawn(async move {
            // How it ended is told by the body.
            let _ = connection.await;
        });
        let response = sender.send_request(request).await.map_err(protocol)?;
        let status = response.status();
        if !status.is_success() {
            let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
            let body = body.map_err(|error| ClientError::Protocol(error.to_string()))?.to_bytes();
            return Err(refusal(status, &body));
        }
        let facts = response.headers().get(RECORDING_HEADER).map(header::HeaderValue::as_bytes);
        let facts = serde_json::from_slice(facts.unwrap_or_default()).map_err(protocol)?;
        Ok(RecordingStream { facts, body: response.into_body(), connection })
    }
}

impl RecordingStream {
    /// The next bytes; `None` at the end.
    ///
    /// # Errors
    /// [`ClientError::Protocol`] when the warden breaks off.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        while let Some(frame) = self.body.frame().await {
            if let Ok(bytes) = frame.map_err(protocol)?.into_data() {
                return Ok(Some(bytes));
            }
        }
        Ok(None)
    }
}

impl Drop for RecordingStream {
    fn drop(&mut self) {
        self.connection.abort();
    }
}
