//! The route that gives the ledger away. It is read while it is sent: so much of it is in memory, and no more, however long
//! it is and however slowly it is read. An answer that is not whole breaks off, and never ends as one that is.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use axum::response::{IntoResponse, Response};
use clawrden_api::{EXPORT_END, EXPORT_HEADER, ErrorCode, ExportQuery};
use hyper::body::{Body, Bytes, Frame};
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::actor::Actor;
use super::answer::{Answer, blocking};
use super::reply::Failure;
use super::state::{Control, MAX_EXPORTS};
use super::streams::CHECK_EVERY;
use super::values::{is_id, of_query};
use crate::jails::JailName;
use crate::ledger::Export;

/// The type of lines of JSON, and of CSV.
pub(super) const LINES: &str = "application/x-ndjson";
pub(super) const CSV: &str = "text/csv";

/// Pieces that wait for whoever reads.
const WAITING: usize = 4;

/// How long one may wait.
const PATIENCE: Duration = Duration::from_millis(if cfg!(test) { 100 } else { 20_000 });

/// Events that are named, and letters of one.
const MAX_EVENTS: usize = 100;
const MAX_EVENT: usize = 40;

pub(super) async fn export(
    State(control): State<Control>,
    Extension(actor): Extension<Arc<Actor>>,
    headers: HeaderMap,
    uri: Uri,
) -> Answer {
    let mut query = query(&uri)?;
    let format = query.format.get_or_insert_with(|| accepted(&headers).to_owned());
    let is_csv = *format == "csv";
    let turn = Arc::clone(&control.exports).try_acquire_owned().map_err(|_| {
        let text = format!("{MAX_EXPORTS} exports are under way; try again when one has ended");
        Failure::new(ErrorCode::TooMany, text)
    })?;
    let backend = Arc::clone(&control.backend);
    let export = blocking(move || Ok(backend.export(query)?)).await?;
    let holds = move || control.access.still_holds(&actor);
    Ok(answer(export, is_csv, (holds, CHECK_EVERY), turn))
}

fn query(uri: &Uri) -> Result<ExportQuery, Failure> {
    let bad = |message| Failure::new(ErrorCode::BadRequest, message);
    let mut query: ExportQuery = of_query(uri)?;
    check(&query).map_err(bad)?;
    if let Some(id) = &mut query.id {
        id.make_ascii_lowercase();
    }
    Ok(query)
}

fn check(query: &ExportQuery) -> Result<(), String> {
    if let Some(format) = query.format.as_deref().filter(|given| !["json", "csv"].contains(given)) {
        return Err(format!("format: {format:?} is neither json nor csv"));
    }
    let is_event = |event: &str| {
        (1..=MAX_EVENT).contains(&event.len())
            && event.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
    };
    if let Some(events) = &query.event
        && (events.split(',').count() > MAX_EVENTS || !events.split(',').all(is_event))
    {
        return Err("event: write events such as `decided`, with commas between them".to_owned());
    }
    if let Some(error) = query.jail.as_deref().and_then(|given| JailName::new(given).err()) {
        return Err(format!("jail: {error}"));
    }
    if let Some(id) = query.id.as_deref().filter(|id| !is_id(id)) {
        return Err(format!("id: {id:?} is no id; give 4 to 32 hex digits"));
    }
    for (name, least, most) in
        [("since_ms", query.since_ms, query.until_ms), ("from", query.from, query.to)]
    {
        if let (Some(least), Some(most)) = (least, most)
            && least > most
        {
            return Err(format!("{name}: {least} is after {most}"));
        }
    }
    Ok(())
}

/// The format that a client accepts first.
fn accepted(headers: &HeaderMap) -> &'static str {
    let listed = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let kinds = listed.flat_map(|value| value.split(','));
    let known = |kind: &str| match kind.split(';').next().unwrap_or_default().trim() {
        CSV => Some("csv"),
        LINES | "application/json" => Some("json"),
        _ => None,
    };
    kinds.filter_map(known).next().unwrap_or("json")
}

fn answer(
    export: Export,
    is_csv: bool,
    watch: (impl Fn() -> bool + Send + Sync + 'static, Duration),
    turn: OwnedSemaphorePermit,
) -> Response {
    let facts = in_a_header(export.facts());
    let (pieces, receiver) = mpsc::channel(WAITING);
    tokio::spawn(async move {
        let _turn = turn;
        if let Err(error) = pump(export, &pieces, watch).await {
            tracing::warn!(%error, "an export broke off");
            // Whoever reads no more is told nothing.
            let _ = pieces.try_send(Err(error));
        }
    });
    let (kind, name) = if is_csv { (CSV, "ledger.csv") } else { (LINES, "ledger.jsonl") };
    let headers = [
        (header::CONTENT_TYPE, kind.to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
        (header::TRAILER, EXPORT_END.to_owned()),
        (HeaderName::from_static(EXPORT_HEADER), facts),
    ];
    let body = Exported { pieces: receiver, is_over: false };
    (headers, axum::body::Body::new(body)).into_response()
}

type Piece = Result<Frame<Bytes>, io::Error>;

/// Reads the export for one client, who is told everything, or that it is not everything. Whether what they came in by
/// still holds is looked at so often.
async fn pump(
    mut export: Export,
    pieces: &mpsc::Sender<Piece>,
    (holds, often): (impl Fn() -> bool, Duration),
) -> io::Result<()> {
    let mut checked = Instant::now();
    loop {
        let (back, piece) = tokio::task::spawn_blocking(move || {
            let piece = export.read();
            (export, piece)
        })
        .await
        .map_err(io::Error::other)?;
        export = back;
        if checked.elapsed() >= often {
            checked = Instant::now();
            if !holds() {
                return Err(io::Error::other("what its reader came in by holds no longer"));
            }
        }
        let frame = match piece.map_err(io::Error::other)? {
            Some(piece) if piece.is_empty() => {
                if pieces.is_closed() {
                    return Ok(());
                }
                continue;
            }
            Some(piece) => Frame::data(Bytes::from(piece)),
            None => {
                let end = HeaderValue::from_str(&in_a_header(export.end()));
                let mut trailers = HeaderMap::new();
                let name = HeaderName::from_static(EXPORT_END);
                trailers.insert(name, end.map_err(io::Error::other)?);
                Frame::trailers(trailers)
            }
        };
        let is_last = frame.is_trailers();
        match tokio::time::timeout(PATIENCE, pieces.send(Ok(frame))).await {
            Err(_) => return Err(io::Error::other("its reader is too slow")),
            Ok(Err(_)) => return Ok(()),
            Ok(Ok(())) if is_last => return Ok(()),
            Ok(Ok(())) => {}
        }
    }
}

/// As JSON of ASCII alone.
fn in_a_header(of: &impl Serialize) -> String {
    let text = serde_json::to_string(of).unwrap_or_default();
    text.chars().map(|c| if c.is_ascii() { c } else { '?' }).collect()
}

/// The body of an answer.
struct Exported {
    pieces: mpsc::Receiver<Piece>,
    is_over: bool,
}

impl Body for Exported {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Piece>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        let Poll::Ready(piece) = self.pieces.poll_recv(cx) else { return Poll::Pending };
        // Nothing but the end ends it.
        let piece = piece.unwrap_or_else(|| Err(io::Error::other("it is not whole")));
        self.is_over = piece.as_ref().map_or(true, Frame::is_trailers);
        Poll::Ready(Some(piece))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use http_body_util::BodyExt;
    use tokio::sync::Semaphore;

    use super::*;

    fn ledger(folder: &Path, lines: usize) -> Export {
        let path = folder.join("ledger.jsonl");
        let pad = "x".repeat(1000);
        let line =
            |n| format!("{{\"seq\":{n},\"time_ms\":1,\"event\":\"sealed\",\"a\":\"{pad}\"}}\n");
        std::fs::write(&path, (1..=lines).map(line).collect::<String>()).unwrap();
        Export::open(&path, ExportQuery::default()).unwrap()
    }

    fn given(export: Export, holds: impl Fn() -> bool + Send + Sync + 'static) -> Response {
        let turn = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        answer(export, false, (holds, Duration::ZERO), turn)
    }

    #[tokio::test]
    async fn a_whole_one_ends_with_what_came_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let response = given(ledger(folder.path(), 1000), || true);
        assert_eq!(response.headers()[EXPORT_HEADER], "{\"first\":1,\"first_ms\":1}");
        let whole = response.into_body().collect().await.unwrap();
        let end = whole.trailers().unwrap()[EXPORT_END].to_str().unwrap().to_owned();
        assert!(end.contains("\"records\":1000,\"left_out\":0"), "{end}");
        assert_eq!(whole.to_bytes().iter().filter(|&&b| b == b'\n').count(), 1000);
    }

    #[tokio::test]
    async fn one_that_is_read_too_slowly_breaks_off_and_holds_no_more_than_it_may() {
        let folder = tempfile::tempdir().unwrap();
        let response = given(ledger(folder.path(), 2000), || true);
        tokio::time::sleep(PATIENCE * 3).await;
        let mut body = response.into_body();
        let mut bytes = 0;
        let broken = loop {
            match body.frame().await.unwrap() {
                Ok(frame) => bytes += frame.into_data().unwrap().len(),
                Err(error) => break error,
            }
        };
        assert!(broken.to_string().contains("not whole"), "{broken}");
        assert!(bytes < 70_000 * WAITING, "{bytes}");
    }

    #[tokio::test]
    async fn one_whose_reader_may_no_longer_breaks_off() {
        let folder = tempfile::tempdir().unwrap();
        let response = given(ledger(folder.path(), 2000), || false);
        let mut body = response.into_body();
        let broken = loop {
            match body.frame().await {
                Some(Ok(_)) => {}
                Some(Err(error)) => break error.to_string(),
                None => panic!("it ended as if it were whole"),
            }
        };
        assert!(broken.contains("holds no longer"), "{broken}");
    }

    #[test]
    fn the_format_is_the_first_that_is_accepted() {
        for (accept, format) in [
            ("", "json"),
            ("*/*", "json"),
            ("text/csv", "csv"),
            ("text/html, text/csv;q=0.9, */*", "csv"),
            ("application/x-ndjson, text/csv", "json"),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, accept.parse().unwrap());
            assert_eq!(accepted(&headers), format, "{accept}");
        }
    }

    #[test]
    fn a_bad_value_is_refused_with_its_field() {
        for (given, field) in [
            ("format=xml", "format"),
            ("format=", "format"),
            ("event=", "event"),
            ("event=decided,,denied", "event"),
            ("event=De", "event"),
            ("jail=../x", "jail"),
            ("id=abc", "id"),
            ("id=wxyz", "id"),
            ("from=x", "from"),
            ("from=2&to=1", "from"),
            ("since_ms=2&until_ms=1", "since_ms"),
            ("colour=red", "colour"),
        ] {
            let uri = format!("/api/audit/export?{given}").parse().unwrap();
            let message = query(&uri).unwrap_err().0.message;
            assert!(message.contains(field), "{given}: {message}");
        }
        let uri = "/api/audit/export?format=csv&event=decided,denied&id=00Ff&from=1&to=1";
        assert_eq!(query(&uri.parse().unwrap()).unwrap().id.as_deref(), Some("00ff"));
    }
}
