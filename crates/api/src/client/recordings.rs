//! A recording, piece by piece as the warden sends it.

use hyper::body::Bytes;
use hyper::header::HeaderValue;

use super::stream::Stream;
use super::{Client, ClientError, encoded, protocol};
use crate::recordings::{RECORDING_HEADER, RecordingFacts, RecordingQuery, RecordingTail};

/// A recording that is being read.
#[derive(Debug)]
pub struct RecordingStream {
    /// What is known of it beside its bytes.
    pub facts: RecordingFacts,
    stream: Stream,
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
        let RecordingQuery { follow, new } = query;
        let uri = format!("/api/recordings/{}?follow={follow}&new={new}", encoded(id));
        let stream = self.stream(&uri, &[]).await?;
        let facts = stream.headers.get(RECORDING_HEADER).map(HeaderValue::as_bytes);
        let facts = serde_json::from_slice(facts.unwrap_or_default()).map_err(protocol)?;
        Ok(RecordingStream { facts, stream })
    }

    /// `GET /api/recordings/{id}/tail`; `id` may be a prefix.
    ///
    /// # Errors
    /// [`ClientError`]; `NotFound` and `Ambiguous` are about the id.
    pub async fn recording_tail(&self, id: &str) -> Result<RecordingTail, ClientError> {
        self.get(format!("/api/recordings/{}/tail", encoded(id))).await
    }
}

impl RecordingStream {
    /// The next bytes; `None` at the end.
    ///
    /// # Errors
    /// [`ClientError::BrokenOff`] when the warden breaks off.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        self.stream.next().await
    }
}
