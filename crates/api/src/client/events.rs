//! What happens, as the warden tells it while it is listened to.

use super::stream::Stream;
use super::{Client, ClientError};

/// Bytes of one event. A longer one is refused.
pub const MAX_EVENT: usize = 16 * 1024 * 1024;

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
}

#[derive(Debug, Default)]
struct Lines(Vec<u8>);

impl Client {
    /// `GET /api/events`.
    ///
    /// # Errors
    /// [`ClientError`], as for every call.
    pub async fn events(&self) -> Result<EventStream, ClientError> {
        let stream = self.stream("/api/events", Some("text/event-stream")).await?;
        Ok(EventStream { stream, lines: Lines::default() })
    }
}

impl EventStream {
    /// The next event; `None` when the warden ends it. Nothing is lost by giving up waiting for it.
    ///
    /// # Errors
    /// [`ClientError::Protocol`] when the warden breaks off, or says too much at once.
    pub async fn next(&mut self) -> Result<Option<Event>, ClientError> {
        loop {
            if let Some(event) = self.lines.event() {
                return Ok(Some(event));
            }
            let Some(bytes) = self.stream.next().await? else { return Ok(None) };
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
    use super::*;

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
