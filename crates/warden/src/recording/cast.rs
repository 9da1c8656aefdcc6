//! Writing an asciicast: a header, then one line for each event.
//!
//! What a player does not know it leaves out: `e` stands before an `o` that came by standard error, and carries nothing.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::time::{Instant, SystemTime};

use clawrden_policy::{Recorded as What, Recording};
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::sync::watch;

use super::redact::{Filter, Secrets};
use super::text::Text;
use super::{Progress, Subject};
use crate::ledger::{Id, Recorded};

/// Bytes that are left for saying why a recording ends.
const LAST_LINE: u64 = 256;

/// The window of a command that has no terminal.
const WINDOW: (u16, u16) = (24, 80);

/// Bytes of a chunk that become one event.
const PIECE: usize = 16 * 1024;

/// Bytes after which what was written is seen on the disk, so that little is left for the end.
const SYNCED_EVERY: u64 = 16 * 1024 * 1024;

/// The first line.
pub(super) struct Header(serde_json::Value);

impl Header {
    pub(super) fn of(subject: &Subject) -> Self {
        let (rows, cols) = match subject.tty {
            Some((_, rows, cols)) if rows > 0 && cols > 0 => (rows, cols),
            _ => WINDOW,
        };
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self(json!({
            "version": 2,
            "width": cols,
            "height": rows,
            "timestamp": now.as_secs(),
            "title": subject.title,
            "clawrden": {
                "id": Id(subject.id).to_string(),
                "jail": subject.jail,
                "record": subject.wanted.what.as_str(),
                "terminal": subject.tty.is_some(),
            },
        }))
    }
}

/// Which stream bytes belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    Output,
    Error,
    Input,
}

/// A recording that is written.
#[derive(Debug)]
pub(super) struct Cast {
    file: File,
    began: Instant,
    what: What,
    limit: u64,
    /// Of what is in the file.
    hash: Sha256,
    length: u64,
    /// Of these were seen on the disk.
    synced: u64,
    /// Lines that are not in the file yet.
    pending: Vec<u8>,
    /// Why nothing more is written.
    ended: Option<String>,
    streams: [Channel; 3],
    progress: watch::Sender<u64>,
}

/// One stream on its way into the file.
#[derive(Debug)]
struct Channel {
    filter: Filter,
    text: Text,
}

impl Cast {
    /// Writes the header.
    pub(super) fn begin(
        file: File,
        header: &Header,
        wanted: Recording,
        secrets: &Secrets,
    ) -> io::Result<(Self, Progress)> {
        let (progress, receiver) = watch::channel(0);
        let channel = || Channel { filter: Filter::new(secrets.clone()), text: Text::default() };
        let mut cast = Self {
            file,
            began: Instant::now(),
            what: wanted.what,
            limit: wanted.bytes,
            hash: Sha256::new(),
            length: 0,
            synced: 0,
            pending: Vec::new(),
            ended: None,
            streams: [channel(), channel(), channel()],
            progress,
        };
        serde_json::to_writer(&mut cast.pending, &header.0)?;
        cast.pending.push(b'\n');
        cast.write()?;
        Ok((cast, receiver))
    }

    /// Whether anything more gets into it.
    pub(super) fn is_open(&self) -> bool {
        self.ended.is_none()
    }

    /// Whether what is typed belongs into it.
    pub(super) fn wants_input(&self) -> bool {
        self.is_open() && self.what == What::Session
    }

    /// Bytes of a stream.
    pub(super) fn bytes(&mut self, stream: Stream, bytes: &[u8]) {
        for piece in bytes.chunks(PIECE) {
            let channel = &mut self.streams[stream as usize];
            let shown = channel.filter.pass(piece);
            let text = channel.text.take(&shown);
            self.text(stream, &text);
        }
    }

    fn text(&mut self, stream: Stream, text: &str) {
        if text.is_empty() {
            return;
        }
        if stream == Stream::Error {
            self.event("e", "");
        }
        self.event(if stream == Stream::Input { "i" } else { "o" }, text);
    }

    /// The window has another size.
    pub(super) fn resized(&mut self, rows: u16, cols: u16) {
        if self.what == What::Session {
            self.event("r", &format!("{cols}x{rows}"));
        }
    }

    fn event(&mut self, code: &str, data: &str) {
        if self.ended.is_some() {
            return;
        }
        let before = self.pending.len();
        self.line(code, data);
        let total = self.length + self.pending.len() as u64;
        if total > self.limit.saturating_sub(LAST_LINE) {
            self.pending.truncate(before);
            self.stop(format!("it has reached its limit of {} bytes", self.limit));
        }
    }

    /// Says why nothing more is written. There is room for that.
    fn stop(&mut self, why: String) {
        if self.ended.is_none() {
            self.line("m", &format!("clawrden: the recording ends here: {why}"));
            self.ended = Some(why);
        }
    }

    fn line(&mut self, code: &str, data: &str) {
        let at = self.began.elapsed();
        let out = &mut self.pending;
        // Neither can fail: it goes into memory.
        let _ = write!(out, "[{}.{:06}, \"{code}\", ", at.as_secs(), at.subsec_micros());
        let _ = serde_json::to_writer(&mut *out, data);
        out.extend_from_slice(b"]\n");
    }

    /// Puts what there is into the file. What fails ends the recording, and nothing else.
    pub(super) fn flush(&mut self) {
        if let Err(error) = self.write() {
            // A part of a line would not be what was hashed.
            let cut = self.file.set_len(self.length);
            self.pending.clear();
            let mut why = format!("it cannot be written: {error}");
            if let Err(error) = cut {
                why = format!("{why}; nor cut to its last whole line: {error}");
            }
            self.ended.get_or_insert(why);
        }
    }

    fn write(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        self.file.write_all(&self.pending)?;
        self.hash.update(&self.pending);
        self.length += self.pending.len() as u64;
        self.pending.clear();
        self.progress.send_replace(self.length);
        if self.length - self.synced >= SYNCED_EVERY {
            self.file.sync_data()?;
            self.synced = self.length;
        }
        Ok(())
    }

    /// Writes what was held back and `why` it is not whole, where it is not, and sees it on the disk. Blocks.
    pub(super) fn end(mut self, path: &Path, why: Option<&str>) -> Recorded {
        for stream in [Stream::Output, Stream::Error, Stream::Input] {
            let channel = &mut self.streams[stream as usize];
            let held = channel.filter.rest();
            let mut text = channel.text.take(&held);
            text.push_str(&channel.text.rest());
            self.text(stream, &text);
        }
        if let Some(why) = why {
            self.stop(why.to_owned());
        }
        self.flush();
        let synced = super::sync(path, &self.file);
        let error = self
            .ended
            .or_else(|| synced.err().map(|error| format!("it may not be on the disk: {error}")));
        let sha256 = self.hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Recorded { sha256, bytes: self.length, error }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(what: What, bytes: u64) -> Subject {
        Subject {
            id: [7; 16],
            jail: "dev".to_owned(),
            title: "psql".to_owned(),
            tty: Some((7, 30, 100)),
            wanted: Recording { what, bytes },
            secrets: Secrets::default(),
        }
    }

    fn record(what: What, bytes: u64, act: impl FnOnce(&mut Cast)) -> (Vec<u8>, Recorded) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.cast");
        let subject = subject(what, bytes);
        let file = File::create(&path).unwrap();
        let secrets = Secrets::default();
        let (mut cast, progress) =
            Cast::begin(file, &Header::of(&subject), subject.wanted, &secrets).unwrap();
        act(&mut cast);
        cast.flush();
        assert!(*progress.borrow() > 0);
        let recorded = cast.end(&path, None);
        assert!(progress.has_changed().is_err(), "whoever watches is told of the end");
        (std::fs::read(&path).unwrap(), recorded)
    }

    fn events(text: &[u8]) -> Vec<(String, String)> {
        let lines = text.split(|&b| b == b'\n').skip(1).filter(|line| !line.is_empty());
        lines
            .map(|line| {
                let (_, code, data): (f64, String, String) = serde_json::from_slice(line).unwrap();
                (code, data)
            })
            .collect()
    }

    fn pairs(all: &[(&str, &str)]) -> Vec<(String, String)> {
        all.iter().map(|&(code, data)| (code.to_owned(), data.to_owned())).collect()
    }

    #[test]
    fn streams_are_told_apart_and_characters_kept_whole() {
        let (text, recorded) = record(What::Session, 1 << 20, |cast| {
            cast.bytes(Stream::Output, "gr\u{fc}".as_bytes().split_last().unwrap().1);
            cast.bytes(Stream::Error, b"no\n\x1b[0m");
            cast.bytes(Stream::Output, &"\u{fc}\n".as_bytes()[1..]);
            cast.resized(40, 120);
            cast.bytes(Stream::Input, b"x\xff");
            cast.bytes(Stream::Output, b"\xc3");
        });
        let header: serde_json::Value =
            serde_json::from_slice(text.split(|&b| b == b'\n').next().unwrap()).unwrap();
        assert_eq!(
            (&header["version"], &header["width"], &header["height"]),
            (&json!(2), &json!(100), &json!(30))
        );
        assert_eq!(
            events(&text),
            pairs(&[
                ("o", "gr"),
                ("e", ""),
                ("o", "no\n\u{1b}[0m"),
                ("o", "\u{fc}\n"),
                ("r", "120x40"),
                ("i", "x\u{fffd}"),
                ("o", "\u{fffd}"),
            ])
        );
        assert_eq!((recorded.bytes, recorded.error), (text.len() as u64, None));
        let hash: String = Sha256::digest(&text).iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(recorded.sha256, hash);
    }

    #[test]
    fn a_recording_stops_at_its_limit_and_says_so() {
        let (text, recorded) = record(What::Output, 4096, |cast| {
            for _ in 0..1000 {
                cast.bytes(Stream::Output, &[b'x'; 100]);
                cast.flush();
            }
            assert!(!cast.is_open());
        });
        assert!(text.len() <= 4096 && text.len() > 3000, "{}", text.len());
        let (code, data) = events(&text).pop().unwrap();
        assert!(code == "m" && data.contains("4096 bytes"), "{code} {data}");
        assert_eq!(recorded.bytes, text.len() as u64);
        assert!(recorded.error.unwrap().contains("limit"));
    }

    #[test]
    fn output_alone_has_no_window() {
        let (text, _) = record(What::Output, 1 << 20, |cast| {
            assert!(!cast.wants_input());
            cast.resized(1, 2);
        });
        assert!(events(&text).is_empty());
    }

    #[test]
    fn what_cannot_be_written_ends_it_with_what_is_there() {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let subject = subject(What::Output, 1 << 20);
        let begun = Cast::begin(full, &Header::of(&subject), subject.wanted, &Secrets::default());
        assert!(begun.is_err(), "without room for its header there is none");
    }
}
