//! What happens, as the warden tells it while it is listened to.

use std::time::Duration;

use hyper::header::{self, HeaderName};
use tokio::time::{Instant, timeout_at};

use super::stream::Stream;
use super::{Client, ClientError};
use crate::EventQuery;

/// Bytes of one event. A longer one is refused.
pub const MAX_EVENT: usize = 16 * 1024 * 1024;

/// The header that names the event to go on behind.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// How long a warden that is there may say nothing: three times it had a comment to send, which comes every 15 s.
const SILENCE: Duration = Duration::from_secs(45);

/// Something that happened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Event {
    /// What: `waiting`, `approved` and their like.
    pub name: String,
    /// What to go on behind.
    pub id: Option<String>,
    /// JSON.
    pub data: String,
}

/// Events that are being listened to.
#[derive(Debug)]
pub struct EventStream {
    stream: Stream,
    lines: Lines,
    heard: Instant,
    silence: Duration,
}

#[derive(Debug, Default)]
struct Lines(Vec<u8>);

impl Client {
    /// `GET /api/events`.
    ///
    /// # Errors
    /// [`ClientError`], as for every call.
    pub async fn events(&self) -> Result<EventStream, ClientError> {
        self.events_after(None).await
    }

    /// The same, from behind the event of this id on. Where not all of that is known any more, the first event is `reset`.
    ///
    /// # Errors
    /// [`ClientError`], as for every call.
    pub async fn events_after(&self, last: Option<&str>) -> Result<EventStream, ClientError> {
        self.events_from("/api/events", last).await
    }

    /// The same for who says more of what they want: a bridge, for one, says whether people are heard and told by it.
    ///
    /// # Errors
    /// [`ClientError`], as for every call.
    pub async fn events_by(
        &self,
        query: &EventQuery,
        last: Option<&str>,
    ) -> Result<EventStream, ClientError> {
        let query = super::query_string(query)?;
        self.events_from(&format!("/api/events{query}"), last).await
    }

    async fn events_from(
        &self,
        path: &str,
        last: Option<&str>,
    ) -> Result<EventStream, ClientError> {
        let mut headers = vec![(header::ACCEPT, "text/event-stream")];
        headers.extend(last.map(|last| (LAST_EVENT_ID, last)));
        let stream = self.stream(path, &headers).await?;
        Ok(EventStream { stream, lines: Lines::default(), heard: Instant::now(), silence: SILENCE })
    }
}

impl EventStream {
    /// The next event; `None` when the warden ends it. Nothing is lost by giving up waiting for it.
    ///
    /// # Errors
    /// [`ClientError::BrokenOff`] when the connection ends in the middle; [`ClientError::Protocol`] when the warden says too
    /// much at once; [`ClientError::TimedOut`] when nothing came of it for 45 s, not even a comment.
    pub async fn next(&mut self) -> Result<Option<Event>, ClientError> {
        loop {
            if let Some(event) = self.lines.event() {
                return Ok(Some(event));
            }
            // Counted from what was heard: who gives up waiting and comes back does not begin anew.
            let bytes = timeout_at(self.heard + self.silence, self.stream.next()).await;
            let silent =
                |_| ClientError::TimedOut { path: self.stream.path.clone(), after: self.silence };
            let Some(bytes) = bytes.map_err(silent)?? else { return Ok(None) };
            self.heard = Instant::now();
            self.lines.0.extend_from_slice(&bytes);
            if self.lines.0.len() > MAX_EVENT {
                let text = format!("an event of more than {MAX_EVENT} bytes");
                return Err(ClientError::Protocol(text));
            }
        }
    }
}

impl Lines {
    /// The first event that is whole; comments are passed over.
    fn event(&mut self) -> Option<Event> {
        loop {
            let end = self.0.windows(2).position(|pair| pair == b"\n\n")?;
            let block: Vec<u8> = self.0.drain(..end + 2).collect();
            let block = String::from_utf8_lossy(&block);
            let mut event = Event::default();
            for line in block.lines() {
                match line.split_once(':').map(|(name, value)| (name, value.trim_start())) {
                    Some(("event", value)) => value.clone_into(&mut event.name),
                    Some(("id", value)) => event.id = Some(value.to_owned()),
                    Some(("data", value)) => {
                        if !event.data.is_empty() {
                            event.data.push('\n');
                        }
                        event.data.push_str(value);
                    }
                    _ => {}
                }
            }
            if !event.name.is_empty() {
                return Some(event);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixListener;

    use super::*;

    /// A warden that takes one connection, says `first` and then nothing.
    async fn silent_after(
        name: &str,
        first: &'static str,
    ) -> (PathBuf, tokio::task::JoinHandle<()>) {
        let path = std::env::temp_dir().join(format!("api-{name}-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path).unwrap();
        let warden = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(first.as_bytes()).await.unwrap();
            let mut asked = Vec::new();
            let _ = stream.read_to_end(&mut asked).await;
        });
        (path, warden)
    }

    #[tokio::test]
    async fn a_warden_that_does_not_begin_is_not_waited_for() {
        let (path, warden) = silent_after("begin", "").await;
        let client = Client::unix(&path).with_timeout(Duration::from_millis(200));
        let found = tokio::time::timeout(Duration::from_secs(10), client.events()).await.unwrap();
        assert!(matches!(found, Err(ClientError::TimedOut { .. })), "{found:?}");
        // Its connection is closed with it.
        tokio::time::timeout(Duration::from_secs(10), warden).await.unwrap().unwrap();
        std::fs::remove_file(path).unwrap();
    }

    #[tokio::test]
    async fn a_warden_that_fell_silent_is_gone() {
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\nevent: hello\ndata: {}\n\n";
        let (path, _warden) = silent_after("silent", head).await;
        let mut events = Client::unix(&path).events().await.unwrap();
        events.silence = Duration::from_millis(500);
        assert_eq!(events.next().await.unwrap().unwrap().name, "hello");
        let wait = async {
            loop {
                // Whoever comes back all the time hears of it as well.
                let patience = Duration::from_millis(50);
                if let Ok(found) = tokio::time::timeout(patience, events.next()).await {
                    break found;
                }
            }
        };
        let found = tokio::time::timeout(Duration::from_secs(10), wait).await.unwrap();
        assert!(matches!(found, Err(ClientError::TimedOut { .. })), "{found:?}");
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn events_are_read_in_pieces_of_any_size_and_comments_are_none() {
        let text = "event: hello\nid: a-1\ndata: {}\n\n: alive\n\nid: a-2\nevent: waiting\ndata: {\"n\":\ndata: 1}\n\nevent: half";
        for size in 1..text.len() {
            let mut lines = Lines::default();
            let mut found = Vec::new();
            for piece in text.as_bytes().chunks(size) {
                lines.0.extend_from_slice(piece);
                found.extend(std::iter::from_fn(|| lines.event()));
            }
            let names: Vec<_> = found.iter().map(|event| event.name.as_str()).collect();
            assert_eq!(names, ["hello", "waiting"], "pieces of {size}");
            assert_eq!(found[1].data, "{\"n\":\n1}");
            assert_eq!(found[1].id.as_deref(), Some("a-2"));
        }
    }
}
