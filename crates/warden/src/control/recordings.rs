//! The route of recordings. What a watcher gets is read of the file, beside the command and its recording: whoever reads
//! slowly holds nobody up, and is let go.

use std::convert::Infallible;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::Extension;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use axum::response::{IntoResponse, Response};
use clawrden_api::{
    ErrorBody, ErrorCode, HistoryQuery, RECORDING_HEADER, RecordingQuery, RecordingTail,
    dropped_line, revoked_line,
};
use clawrden_bridge::tail::TailReader;
use hyper::body::{Body, Bytes, Frame};
use tokio::sync::{mpsc, watch};

use super::actor::Actor;
use super::answer::{Answer, ask, blocking};
use super::backend::Source;
use super::reply::Failure;
use super::seats::Seat;
use super::state::Control;
use super::streams::CHECK_EVERY;
use super::values::{command_id, of_query};
use crate::events::Standing;
use crate::redaction;

/// The type of a recording.
pub(super) const CAST: &str = "application/x-asciicast";

/// Bytes that are read at once.
const PIECE: usize = 64 * 1024;

/// Bytes of a recording that are read for its end.
const MAX_TAIL: u64 = 64 * 1024 * 1024;

/// Pieces that wait for a watcher.
const WAITING: usize = 4;

/// How long a watcher may take for a piece.
const PATIENCE: Duration = Duration::from_millis(if cfg!(test) { 100 } else { 10_000 });

pub(super) async fn recording(
    State(control): State<Control>,
    Extension(actor): Extension<Arc<Actor>>,
    Extension(seat): Extension<Arc<Seat>>,
    id: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Answer {
    let id = command_id(id)?;
    let query: RecordingQuery = of_query(&uri)?;
    let backend = Arc::clone(&control.backend);
    let watching = blocking(move || {
        let source = backend.recording(&id)?;
        let standing = backend.events().stand().map_err(|()| {
            Failure::new(ErrorCode::TooMany, "there are enough watchers; close some of them")
        })?;
        Ok((source, standing))
    });
    let (source, standing) = watching.await?;
    // It may stay for long, and takes no seat from those who ask and go.
    seat.stand();
    let holds = move || control.access.still_holds(&actor);
    Ok(answer(source, query, holds, Some(standing)))
}

/// The end of what a command wrote, for who tells people of it.
pub(super) async fn tail(
    State(control): State<Control>,
    Extension(actor): Extension<Arc<Actor>>,
    headers: HeaderMap,
    id: Result<Path<String>, PathRejection>,
) -> Answer {
    let id = command_id(id)?;
    ask(&headers, move || {
        let Source { facts, file, .. } = control.backend.recording(&id)?;
        let jails = actor.scope.jails.clone();
        if !jails.is_empty() {
            // Which jail's it is the history knows.
            let query = HistoryQuery { id: Some(facts.id), jails, ..HistoryQuery::default() };
            if control.backend.history(query)?.entries.is_empty() {
                let message = format!("there is no recording of {id}");
                return Err(ErrorBody { code: ErrorCode::NotFound, message });
            }
        }
        let unread = |error: io::Error| ErrorBody {
            code: ErrorCode::Internal,
            message: format!("the recording cannot be read: {error}"),
        };
        let text = end_of(&file).map_err(unread)?.ok_or_else(|| ErrorBody {
            code: ErrorCode::TooLarge,
            message: "the recording is too long for its end to be told".to_owned(),
        })?;
        Ok(RecordingTail { text })
    })
    .await
}

/// The end of a recording; `None` where it is too long to look for it.
fn end_of(file: &File) -> io::Result<Option<String>> {
    let (mut reader, mut piece, mut at) = (TailReader::default(), vec![0; PIECE], 0);
    loop {
        let n = file.read_at(&mut piece, at)?;
        if n == 0 {
            return Ok(Some(reader.tail(|text| redaction::ours().clean(text))));
        }
        at += n as u64;
        if at > MAX_TAIL {
            return Ok(None);
        }
        reader.take(&piece[..n]);
    }
}

fn answer(
    source: Source,
    query: RecordingQuery,
    holds: impl Fn() -> bool + Send + Sync + 'static,
    standing: Option<Standing>,
) -> Response {
    let Source { facts, file, mut progress } = source;
    // What is written from here on is what comes, however late it is read.
    let now = progress.as_mut().map_or(0, |progress| *progress.borrow_and_update());
    let (pieces, receiver) = mpsc::channel(WAITING);
    let last = Arc::new(OnceLock::new());
    let watched =
        Watched { pieces: receiver, last: Arc::clone(&last), ended: false, _standing: standing };
    tokio::spawn(async move {
        let (holds, checked) = (Box::new(holds), Instant::now());
        let pump = Pump { file: Arc::new(file), at: 0, pieces, last, holds, checked };
        if let Err(error) = pump.run(progress, now, query).await {
            tracing::warn!(%error, "a recording cannot be read");
        }
    });
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(CAST));
    // A connection that stands is for this one answer, also where the answer is none, as for HEAD.
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    // What a header cannot carry is of no use to a program.
    let text = serde_json::to_string(&facts).unwrap_or_default();
    let text: String = text.chars().map(|c| if c.is_ascii() { c } else { '?' }).collect();
    if let Ok(value) = HeaderValue::from_str(&text) {
        headers.insert(RECORDING_HEADER, value);
    }
    (headers, axum::body::Body::new(watched)).into_response()
}

/// Reads a recording for one watcher.
struct Pump {
    file: Arc<File>,
    at: u64,
    pieces: mpsc::Sender<Bytes>,
    /// Why the watcher was let go, if it was.
    last: Arc<OnceLock<String>>,
    /// Whether what the watcher came in by still opens.
    holds: Box<dyn Fn() -> bool + Send + Sync>,
    checked: Instant,
}

impl Pump {
    async fn run(
        mut self,
        progress: Option<watch::Receiver<u64>>,
        now: u64,
        query: RecordingQuery,
    ) -> io::Result<()> {
        let Some(mut progress) = progress else {
            if query.new {
                return self.first_line().await.map(|_| ());
            }
            return self.up_to(u64::MAX).await.map(|_| ());
        };
        if query.new {
            if !self.first_line().await? {
                return Ok(());
            }
            self.at = now;
        } else if !self.up_to(now).await? {
            return Ok(());
        }
        if !query.follow {
            return Ok(());
        }
        loop {
            tokio::select! {
                changed = progress.changed() => {
                    let end = if changed.is_ok() { *progress.borrow_and_update() } else { u64::MAX };
                    if !self.up_to(end).await? || changed.is_err() {
                        return Ok(());
                    }
                }
                () = self.pieces.closed() => return Ok(()),
                () = tokio::time::sleep(CHECK_EVERY) => {
                    if !self.may_see() {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Gives what there is up to `end`. `false`: the watcher has gone, or must go.
    async fn up_to(&mut self, end: u64) -> io::Result<bool> {
        while self.at < end {
            let most = usize::try_from(end - self.at).map_or(PIECE, |left| left.min(PIECE));
            let piece = self.read(most).await?;
            if piece.is_empty() {
                break;
            }
            if !self.may_see() {
                return Ok(false);
            }
            self.at += piece.len() as u64;
            if !self.give(piece).await {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn first_line(&mut self) -> io::Result<bool> {
        let piece = self.read(PIECE).await?;
        let end = piece.iter().position(|&b| b == b'\n').map_or(0, |at| at + 1);
        self.at = end as u64;
        Ok(self.give(piece.slice(..end)).await)
    }

    async fn read(&self, most: usize) -> io::Result<Bytes> {
        let (file, at) = (Arc::clone(&self.file), self.at);
        let reading = move || {
            let mut piece = vec![0; most];
            let n = file.read_at(&mut piece, at)?;
            piece.truncate(n);
            Ok(Bytes::from(piece))
        };
        tokio::task::spawn_blocking(reading).await.map_err(io::Error::other)?
    }

    /// Looks once in a while whether the watcher still may.
    fn may_see(&mut self) -> bool {
        if self.checked.elapsed() < CHECK_EVERY {
            return true;
        }
        self.checked = Instant::now();
        let holds = (self.holds)();
        if !holds {
            self.last.get_or_init(revoked_line);
        }
        holds
    }

    async fn give(&self, piece: Bytes) -> bool {
        match tokio::time::timeout(PATIENCE, self.pieces.send(piece)).await {
            Ok(sent) => sent.is_ok(),
            Err(_) => {
                self.last.get_or_init(dropped_line);
                false
            }
        }
    }
}

/// The body of an answer.
struct Watched {
    pieces: mpsc::Receiver<Bytes>,
    last: Arc<OnceLock<String>>,
    ended: bool,
    _standing: Option<Standing>,
}

impl Body for Watched {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        match self.pieces.poll_recv(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Some(piece)) => Poll::Ready(Some(Ok(Frame::data(piece)))),
            Poll::Ready(None) => {
                self.ended = true;
                let last = self.last.get().map(|line| Ok(Frame::data(Bytes::from(line.clone()))));
                Poll::Ready(last)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use clawrden_api::RecordingFacts;
    use http_body_util::BodyExt;

    use super::*;

    fn source(progress: Option<watch::Receiver<u64>>, text: &str) -> (Source, File) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let mut writer = File::create(&path).unwrap();
        writer.write_all(text.as_bytes()).unwrap();
        let file = File::open(&path).unwrap();
        (Source { facts: RecordingFacts::default(), file, progress }, writer)
    }

    fn answer(source: Source, query: RecordingQuery) -> Response {
        super::answer(source, query, || true, None)
    }

    async fn whole(response: Response) -> String {
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn a_recording_that_goes_on_is_followed_to_its_end() {
        let (sender, progress) = watch::channel(4);
        let (source, mut writer) = source(Some(progress), "one\ntwo\n");
        let response = answer(source, RecordingQuery { follow: true, new: false });
        let reading = tokio::spawn(whole(response));
        sender.send_replace(8);
        writer.write_all(b"three\n").unwrap();
        drop(sender);
        assert_eq!(reading.await.unwrap(), "one\ntwo\nthree\n");
    }

    #[tokio::test]
    async fn from_now_on_is_the_first_line_and_what_comes() {
        let (sender, progress) = watch::channel(8);
        let (source, mut writer) = source(Some(progress), "one\ntwo\n");
        let response = answer(source, RecordingQuery { follow: true, new: true });
        let reading = tokio::spawn(whole(response));
        writer.write_all(b"three\n").unwrap();
        sender.send_replace(14);
        drop(sender);
        assert_eq!(reading.await.unwrap(), "one\nthree\n");
    }

    #[tokio::test]
    async fn a_watcher_whose_token_is_revoked_is_let_go_and_told_so() {
        let (_sender, progress) = watch::channel(4);
        let (source, _writer) = source(Some(progress), "one\n");
        let query = RecordingQuery { follow: true, new: false };
        let reading = whole(super::answer(source, query, || false, None));
        let text = tokio::time::timeout(Duration::from_secs(30), reading).await.unwrap();
        assert!(text.starts_with("one\n") && text.ends_with(&revoked_line()), "{text}");
    }

    #[tokio::test]
    async fn a_watcher_that_reads_nothing_is_let_go_and_told_so() {
        let (_sender, progress) = watch::channel(u64::MAX);
        let (source, _writer) = source(Some(progress), &"x".repeat(PIECE * (WAITING + 3)));
        let response = answer(source, RecordingQuery { follow: true, new: false });
        tokio::time::sleep(PATIENCE * 3).await;
        let text = whole(response).await;
        assert!(text.ends_with(&dropped_line()), "{}", &text[text.len() - 90..]);
        assert!(text.len() < PIECE * (WAITING + 2), "{}", text.len());
    }
}
