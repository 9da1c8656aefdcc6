//! Calls about the ledger: its proof, its index, and its records.

use hyper::body::Bytes;
use hyper::header::{self, HeaderValue};

use super::stream::Stream;
use super::{Client, ClientError, TIMEOUT, protocol, query_string};
use crate::audit::{EXPORT_END, EXPORT_HEADER, ExportEnd, ExportFacts, ExportQuery, LedgerProof};

/// An export that is being read.
#[derive(Debug)]
pub struct ExportStream {
    /// What is known of it before its first byte.
    pub facts: ExportFacts,
    stream: Stream,
}

impl Client {
    /// `GET /api/audit/verify`.
    ///
    /// # Errors
    /// [`ClientError`], as for every call.
    pub async fn proof(&self) -> Result<LedgerProof, ClientError> {
        self.get("/api/audit/verify".to_owned()).await
    }

    /// `POST /api/audit/verify`: begins a proof.
    ///
    /// # Errors
    /// [`ClientError`]; `Conflict` while one is under way.
    pub async fn prove(&self) -> Result<LedgerProof, ClientError> {
        self.post("/api/audit/verify".to_owned(), &serde_json::json!({}), TIMEOUT).await
    }

    /// `GET /api/audit/export`.
    ///
    /// # Errors
    /// [`ClientError`]; `BadRequest` is about the query, `TooMany` about others who export.
    pub async fn export(&self, query: &ExportQuery) -> Result<ExportStream, ClientError> {
        let uri = format!("/api/audit/export{}", query_string(query)?);
        let stream =
            self.stream(&uri, &[(header::TE, "trailers"), (header::CONNECTION, "te")]).await?;
        let facts = stream.headers.get(EXPORT_HEADER).map(HeaderValue::as_bytes);
        let facts = serde_json::from_slice(facts.unwrap_or_default()).map_err(protocol)?;
        Ok(ExportStream { facts, stream })
    }
}

impl ExportStream {
    /// The next bytes; `None` at the end.
    ///
    /// # Errors
    /// [`ClientError::BrokenOff`] when the warden breaks off: then it is not whole.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        self.stream.next().await
    }

    /// Behind the end, what came of it; `None` where something between here and the warden took that away.
    ///
    /// # Errors
    /// [`ClientError::Protocol`] when it is not understood.
    pub fn end(&self) -> Result<Option<ExportEnd>, ClientError> {
        let end = self.stream.trailers.as_ref().and_then(|trailers| trailers.get(EXPORT_END));
        end.map(|end| serde_json::from_slice(end.as_bytes()).map_err(protocol)).transpose()
    }
}
