//! The file in which a bridge remembers its messages: a line for each change, the last word of each key holds. It is
//! written anew when most of its lines say nothing any more.
//!
//! What is lost with the machine's power is posted twice at the worst: nothing here gives anybody any authority.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::kept::{Kept, KeptDigest};

/// Lines, and bytes, beyond those that say something after which the file is written anew.
const SLACK: usize = 1_000;
const SLACK_BYTES: usize = 8 * 1024 * 1024;

/// Bytes of a file that is read: what says something is at most some 20 MiB. A longer one is none of ours.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// Everything that is remembered.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Memory {
    /// The cards by their ids.
    pub cards: BTreeMap<String, Kept>,
    /// The digests by their numbers.
    pub digests: BTreeMap<u64, KeptDigest>,
    /// The id of the last event that was taken up.
    pub heard: Option<String>,
}

/// A line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// A card as it is, or that it is forgotten.
    Card(String, Option<Box<Kept>>),
    /// A digest as it is, or that it is forgotten.
    Digest(u64, Option<Box<KeptDigest>>),
    /// The last event that was taken up.
    Heard(String),
}

/// Why nothing can be remembered.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file cannot be had.
    #[error("the bridge's state {path:?} cannot be used: {source}")]
    Unusable {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Another bridge has it.
    #[error(
        "another bridge uses {0:?}; end it, or give this one a name or a state directory of its own"
    )]
    InUse(PathBuf),
}

/// The file. One bridge has it at a time.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    file: File,
    /// Held for as long as this is.
    _lock: File,
    lines: usize,
    bytes: usize,
    /// Of how many bytes it was when it was written anew.
    least: usize,
    /// Why the last line was not written, if it was not.
    fault: Option<String>,
}

impl Store {
    /// Opens the file of the bridge `name` in `folder`, and gives what it remembers. A file that cannot be read is set
    /// aside, and one of which lines are not understood is kept beside, for somebody to look at.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(folder: &Path, name: &str) -> Result<(Self, Memory), StoreError> {
        let path = folder.join(format!("{name}.jsonl"));
        let unusable = |source| StoreError::Unusable { path: path.clone(), source };
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(unusable)?;
        // Beside it, as the file itself is replaced.
        let lock = private(&folder.join(format!("{name}.lock"))).map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => return Err(StoreError::InUse(path)),
            Err(std::fs::TryLockError::Error(source)) => return Err(unusable(source)),
        }
        let memory = match read(&path) {
            Ok((memory, 0)) => memory,
            Ok((memory, unread)) => {
                let aside = set_aside(&path, false).map_err(unusable)?;
                tracing::warn!(path = %path.display(), unread, aside = %aside.display(), "of what a bridge remembers some is not understood; the file as it was is kept");
                memory
            }
            Err(error) => {
                let aside = set_aside(&path, true).map_err(unusable)?;
                tracing::warn!(path = %path.display(), %error, aside = %aside.display(), "what a bridge remembers cannot be read and is set aside; messages that were posted before stay as they are");
                Memory::default()
            }
        };
        let (file, lines, bytes) = write_anew(&path, &memory).map_err(unusable)?;
        let store = Self { path, file, _lock: lock, lines, bytes, least: bytes, fault: None };
        Ok((store, memory))
    }

    /// Writes lines. One that cannot be written is lost with this process, and the log says so once.
    pub fn write(&mut self, lines: &[Line], memory: impl Fn() -> Memory, live: usize) {
        let mut bytes = Vec::new();
        for line in lines {
            if serde_json::to_writer(&mut bytes, line).is_ok() {
                bytes.push(b'\n');
            }
        }
        let is_long = self.lines + lines.len() > 4 * live + SLACK
            || self.bytes + bytes.len() > 2 * self.least + SLACK_BYTES;
        let written = if is_long {
            write_anew(&self.path, &memory()).map(|(file, lines, bytes)| {
                (self.file, self.lines, self.bytes, self.least) = (file, lines, bytes, bytes);
            })
        } else {
            self.lines += lines.len();
            self.bytes += bytes.len();
            self.file.write_all(&bytes)
        };
        match written {
            Ok(()) => self.fault = None,
            Err(error) => {
                if self.fault.is_none() {
                    let path = self.path.display();
                    tracing::warn!(%error, %path, "a bridge cannot remember its messages; after a restart some are posted twice");
                }
                // A torn line takes the next one with it unless that begins anew.
                let _ = self.file.write_all(b"\n");
                self.fault = Some(error.to_string());
            }
        }
    }

    /// Why the last line was not written, if it was not.
    #[must_use]
    pub fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }
}

fn private(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

/// Keeps a file under another name, of which there is one; or moves it there.
fn set_aside(path: &Path, moved: bool) -> io::Result<PathBuf> {
    let aside = path.with_extension("jsonl.unread");
    if moved {
        std::fs::rename(path, &aside)?;
        return Ok(aside);
    }
    match std::fs::remove_file(&aside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    std::fs::hard_link(path, &aside)?;
    Ok(aside)
}

/// What a file says, and how many of its lines are not understood; a torn one at its end is none of these.
fn read(path: &Path) -> io::Result<(Memory, usize)> {
    let mut memory = Memory::default();
    // Nothing is followed, and nobody waited for at the other end of a pipe.
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let flags = flags.bits().cast_signed();
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((memory, 0)),
        file => file?,
    };
    let about = file.metadata()?;
    if !about.is_file() || about.len() > MAX_BYTES {
        let why = format!("it is no regular file of at most {MAX_BYTES} bytes");
        return Err(io::Error::other(why));
    }
    let (mut unread, mut line) = (0, Vec::new());
    let mut reader = BufReader::new(file.take(MAX_BYTES));
    while reader.read_until(b'\n', &mut line)? > 0 {
        match serde_json::from_slice(&line) {
            Ok(Line::Card(id, Some(card))) => drop(memory.cards.insert(id, *card)),
            Ok(Line::Card(id, None)) => drop(memory.cards.remove(&id)),
            Ok(Line::Digest(number, Some(digest))) => {
                drop(memory.digests.insert(number, *digest));
            }
            Ok(Line::Digest(number, None)) => drop(memory.digests.remove(&number)),
            Ok(Line::Heard(id)) => memory.heard = Some(id),
            Err(_) => unread += usize::from(line.len() > 1 && line.ends_with(b"\n")),
        }
        line.clear();
    }
    Ok((memory, unread))
}

/// Writes all of it into another file, which takes the place of the first.
fn write_anew(path: &Path, memory: &Memory) -> io::Result<(File, usize, usize)> {
    let beside = path.with_extension("jsonl.new");
    let file =
        OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&beside)?;
    let mut out = BufWriter::new(file);
    let (mut lines, mut bytes) = (0, 0);
    let mut put = |line: Line| -> io::Result<()> {
        let mut text = serde_json::to_vec(&line)?;
        text.push(b'\n');
        lines += 1;
        bytes += text.len();
        out.write_all(&text)
    };
    for (id, card) in &memory.cards {
        put(Line::Card(id.clone(), Some(Box::new(card.clone()))))?;
    }
    for (number, digest) in &memory.digests {
        put(Line::Digest(*number, Some(Box::new(digest.clone()))))?;
    }
    if let Some(heard) = &memory.heard {
        put(Line::Heard(heard.clone()))?;
    }
    let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_data()?;
    std::fs::rename(&beside, path)?;
    drop(file);
    Ok((private(path)?, lines, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::kept;

    #[test]
    fn what_cannot_be_read_is_set_aside_and_the_bridge_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path();
        let (file, aside) = (place.join("ops.jsonl"), place.join("ops.jsonl.unread"));
        let card = |id: &str| Line::Card(id.into(), Some(Box::new(kept(id))));
        let line = serde_json::to_string(&card("a")).unwrap();
        // Of another version, perhaps.
        let text = format!("{line}\n{{\"card\":[\"b\",{{}}]}}\n");
        std::fs::write(&file, &text).unwrap();
        let (store, memory) = Store::open(place, "ops").unwrap();
        drop(store);
        assert_eq!(memory.cards.keys().collect::<Vec<_>>(), ["a"]);
        assert_eq!(std::fs::read_to_string(&aside).unwrap(), text, "nothing is lost silently");
        File::create(&file).unwrap().set_len(MAX_BYTES + 1).unwrap();
        let (store, memory) = Store::open(place, "ops").unwrap();
        drop(store);
        assert_eq!(memory, Memory::default());
        assert_eq!(std::fs::metadata(&aside).unwrap().len(), MAX_BYTES + 1);
        std::fs::remove_file(&file).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", &file).unwrap();
        Store::open(place, "ops").unwrap();
        assert!(aside.is_symlink() && file.metadata().unwrap().is_file());
    }

    #[test]
    fn the_file_is_bounded_in_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let (mut store, mut memory) = Store::open(folder.path(), "ops").unwrap();
        let mut heavy = kept("a");
        heavy.card.entry.argv.push("x".repeat(1024 * 1024));
        memory.cards.insert("a".into(), heavy.clone());
        let line = [Line::Card("a".into(), Some(Box::new(heavy)))];
        let mut most = 0;
        for _ in 0..40 {
            store.write(&line, || memory.clone(), 1);
            most = most.max(std::fs::metadata(folder.path().join("ops.jsonl")).unwrap().len());
        }
        assert!(most < 12 * 1024 * 1024, "{most}");
    }

    #[test]
    fn what_was_written_is_there_again_and_a_torn_line_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("state");
        let (mut store, memory) = Store::open(&place, "ops").unwrap();
        assert_eq!(memory, Memory::default());
        assert!(matches!(Store::open(&place, "ops"), Err(StoreError::InUse(_))));
        assert!(Store::open(&place, "other").is_ok(), "each has a file of its own");
        let lines = [
            Line::Card("a".into(), Some(Box::new(kept("a")))),
            Line::Card("b".into(), Some(Box::new(kept("b")))),
            Line::Heard("1-2".into()),
            Line::Card("b".into(), None),
        ];
        store.write(&lines, Memory::default, 2);
        store.file.write_all(b"{\"card\":[\"c\"").unwrap();
        drop(store);
        let (mut store, memory) = Store::open(&place, "ops").unwrap();
        assert_eq!(memory.cards.keys().collect::<Vec<_>>(), ["a"]);
        assert_eq!(memory.cards["a"], kept("a"));
        assert_eq!(memory.heard.as_deref(), Some("1-2"));
        use std::os::unix::fs::PermissionsExt as _;
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&place), mode(&place.join("ops.jsonl"))), (0o700, 0o600));
        for n in 0..5_000 {
            store.write(&[Line::Heard(n.to_string())], || memory.clone(), 1);
        }
        let text = std::fs::read_to_string(place.join("ops.jsonl")).unwrap();
        assert!(text.lines().count() <= SLACK + 8, "{}", text.lines().count());
    }
}
