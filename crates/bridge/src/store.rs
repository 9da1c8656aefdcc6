//! The file in which a bridge remembers its messages: a line for each change, the last word of each key holds. It is
//! written anew when most of its lines say nothing any more.
//!
//! What is lost with the machine's power is posted twice at the worst: nothing here gives anybody any authority.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::kept::{Kept, KeptDigest};

/// Lines beyond those that say something after which the file is written anew.
const SLACK: usize = 1_000;

/// Bytes of a file that is read. A longer one is none of ours.
const MAX_BYTES: u64 = 256 * 1024 * 1024;

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
    /// Why the last line was not written, if it was not.
    fault: Option<String>,
}

impl Store {
    /// Opens the file of the bridge `name` in `folder`, and gives what it remembers. What is torn is left out.
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
        let memory = read(&path).map_err(unusable)?;
        let (file, lines) = write_anew(&path, &memory).map_err(unusable)?;
        Ok((Self { path, file, _lock: lock, lines, fault: None }, memory))
    }

    /// Writes lines. One that cannot be written is lost with this process, and the log says so once.
    pub fn write(&mut self, lines: &[Line], memory: impl Fn() -> Memory, live: usize) {
        let mut bytes = Vec::new();
        for line in lines {
            if serde_json::to_writer(&mut bytes, line).is_ok() {
                bytes.push(b'\n');
            }
        }
        let written = if self.lines + lines.len() > 4 * live + SLACK {
            write_anew(&self.path, &memory()).map(|(file, lines)| {
                (self.file, self.lines) = (file, lines);
            })
        } else {
            self.lines += lines.len();
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

fn read(path: &Path) -> io::Result<Memory> {
    let mut memory = Memory::default();
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(memory),
        file => file?,
    };
    let about = file.metadata()?;
    if !about.is_file() || about.len() > MAX_BYTES {
        let why = format!("it is no regular file of at most {MAX_BYTES} bytes");
        return Err(io::Error::other(why));
    }
    for line in BufReader::new(file).split(b'\n') {
        match serde_json::from_slice(&line?) {
            Ok(Line::Card(id, Some(card))) => drop(memory.cards.insert(id, *card)),
            Ok(Line::Card(id, None)) => drop(memory.cards.remove(&id)),
            Ok(Line::Digest(number, Some(digest))) => {
                drop(memory.digests.insert(number, *digest));
            }
            Ok(Line::Digest(number, None)) => drop(memory.digests.remove(&number)),
            Ok(Line::Heard(id)) => memory.heard = Some(id),
            Err(_) => {}
        }
    }
    Ok(memory)
}

/// Writes all of it into another file, which takes the place of the first.
fn write_anew(path: &Path, memory: &Memory) -> io::Result<(File, usize)> {
    let beside = path.with_extension("jsonl.new");
    let file =
        OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&beside)?;
    let mut out = BufWriter::new(file);
    let mut lines = 0;
    let mut put = |line: Line| -> io::Result<()> {
        serde_json::to_writer(&mut out, &line)?;
        lines += 1;
        out.write_all(b"\n")
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
    Ok((private(path)?, lines))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::kept;

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
