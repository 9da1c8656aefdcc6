//! The file in which a bridge keeps what people said until it is done: what a service was told is heard is not lost when
//! this process dies, and what comes again after that is known.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::heard::{Heard, Wants};

/// What was heard lately, so that it is not done twice. The warden knows answers by their keys as well.
const MAX_KEYS: usize = 4_096;

/// Bytes of something that was said which is kept over the end of this process. What is longer is done without that.
const MAX_LINE: usize = 16 * 1024;

/// Bytes beyond those that say something after which the file is written anew.
const SLACK: usize = 1024 * 1024;

/// Bytes of a file that is read. A longer one is none of ours.
const MAX_BYTES: u64 = 32 * 1024 * 1024;

/// A line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    /// Somebody said this, and it is to be done.
    Heard(Box<Heard>),
    /// This was heard, and needs not be done any more, or not after this process.
    Done(String),
}

/// What was heard.
#[derive(Debug, Default)]
pub(crate) struct Taps {
    /// `None`: nothing is kept.
    path: Option<PathBuf>,
    file: Option<File>,
    /// What is to be done, by its place in the order.
    open: BTreeMap<u64, Heard>,
    next: u64,
    known: HashSet<String>,
    order: VecDeque<String>,
    bytes: usize,
    least: usize,
    is_faulty: bool,
}

impl Taps {
    /// Reads what the last one with this name left. What cannot be read is set aside.
    pub(crate) fn open(folder: &Path, name: &str) -> Self {
        let path = folder.join(format!("{name}.taps.jsonl"));
        let mut taps = Self { path: Some(path.clone()), ..Self::default() };
        if let Err(error) = taps.read(&path) {
            let aside = path.with_extension("jsonl.unread");
            let moved = std::fs::rename(&path, &aside);
            let (path, aside) = (path.display(), aside.display());
            tracing::warn!(%path, %error, ?moved, %aside, "what people said last cannot be read and is set aside");
        }
        taps.write_anew();
        taps
    }

    fn read(&mut self, path: &Path) -> io::Result<()> {
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        let flags = flags.bits().cast_signed();
        let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            file => file?,
        };
        let about = file.metadata()?;
        if !about.is_file() || about.len() > MAX_BYTES {
            return Err(io::Error::other("it is no regular file of ours"));
        }
        for line in BufReader::new(file.take(MAX_BYTES)).split(b'\n') {
            match serde_json::from_slice(&line?) {
                Ok(Line::Heard(heard)) => {
                    self.note(&heard.key);
                    self.add(*heard);
                }
                Ok(Line::Done(key)) => {
                    self.note(&key);
                    self.open.retain(|_, heard| heard.key != key);
                }
                // It was being written: nobody was told that it was heard.
                Err(_) => {}
            }
        }
        Ok(())
    }

    /// What another one left to be done, in order.
    pub(crate) fn left(&self) -> Vec<Heard> {
        self.open.values().cloned().collect()
    }

    /// Keeps something until it is done. False: it came before.
    pub(crate) fn keep(&mut self, heard: &Heard) -> bool {
        if self.known.contains(&heard.key) {
            return false;
        }
        self.note(&heard.key);
        let line = Line::Heard(Box::new(heard.clone()));
        if is_worth_keeping(&heard.wants)
            && serde_json::to_vec(&line).is_ok_and(|text| text.len() <= MAX_LINE)
        {
            self.add(heard.clone());
            self.write(&line);
        } else {
            self.write(&Line::Done(heard.key.clone()));
        }
        true
    }

    /// It is done.
    pub(crate) fn done(&mut self, key: &str) {
        let before = self.open.len();
        self.open.retain(|_, heard| heard.key != key);
        if self.open.len() < before {
            self.write(&Line::Done(key.to_owned()));
        }
    }

    fn add(&mut self, heard: Heard) {
        self.open.insert(self.next, heard);
        self.next += 1;
    }

    fn note(&mut self, key: &str) {
        if !self.known.insert(key.to_owned()) {
            return;
        }
        self.order.push_back(key.to_owned());
        if self.order.len() > MAX_KEYS
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }

    fn write(&mut self, line: &Line) {
        let Ok(mut text) = serde_json::to_vec(line) else { return };
        text.push(b'\n');
        self.bytes += text.len();
        if self.bytes > 2 * self.least + SLACK {
            return self.write_anew();
        }
        let Some(file) = &mut self.file else { return };
        let written = file.write_all(&text);
        self.came(written);
    }

    /// Writes all of it into another file, which takes the place of the first.
    fn write_anew(&mut self) {
        let Some(path) = &self.path else { return };
        let mut text = Vec::new();
        let is_open: HashSet<&str> = self.open.values().map(|heard| &heard.key[..]).collect();
        let done = self.order.iter().filter(|key| !is_open.contains(&key[..]));
        let done = done.cloned().map(Line::Done);
        let open = self.open.values().cloned().map(|heard| Line::Heard(Box::new(heard)));
        for line in done.chain(open) {
            if serde_json::to_writer(&mut text, &line).is_ok() {
                text.push(b'\n');
            }
        }
        let written = replace(path, &text);
        (self.bytes, self.least) = (text.len(), text.len());
        let written = written.map(|file| self.file = Some(file));
        self.came(written);
    }

    /// What cannot be written is done all the same: whoever wants to stop something is not kept from it.
    fn came(&mut self, written: io::Result<()>) {
        match written {
            Ok(()) => self.is_faulty = false,
            Err(error) => {
                if !std::mem::replace(&mut self.is_faulty, true) {
                    tracing::warn!(%error, "what people say cannot be kept; what is under way is lost if the bridge ends");
                }
            }
        }
    }
}

/// What somebody would count on after they saw that it was taken. Codes are nobody's to keep.
fn is_worth_keeping(wants: &Wants) -> bool {
    matches!(wants, Wants::Answer { .. }) || wants.is_switch()
}

fn replace(path: &Path, text: &[u8]) -> io::Result<File> {
    let beside = path.with_extension("jsonl.new");
    let mut file =
        OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&beside)?;
    file.write_all(text)?;
    std::fs::rename(&beside, path)?;
    OpenOptions::new().append(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::tap;

    fn keys(taps: &Taps) -> Vec<String> {
        taps.left().into_iter().map(|heard| heard.key).collect()
    }

    #[test]
    fn what_is_not_done_is_there_again_and_what_came_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let mut taps = Taps::open(folder.path(), "ops");
        assert!(taps.keep(&tap("U1", "a")) && taps.keep(&tap("U1", "b")));
        assert!(!taps.keep(&tap("U1", "a")));
        taps.done("a");
        let path = folder.path().join("ops.taps.jsonl");
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"{\"heard\":{\"us").unwrap();
        let mut again = Taps::open(folder.path(), "ops");
        assert_eq!(keys(&again), ["b"]);
        assert!(!again.keep(&tap("U1", "a")) && !again.keep(&tap("U1", "b")));
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn codes_are_not_kept_and_the_file_is_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let mut taps = Taps::open(folder.path(), "ops");
        let path = folder.path().join("ops.taps.jsonl");
        let said = |words: &[&str], key: &str| Heard {
            wants: Wants::Command(words.iter().map(|&word| word.to_owned()).collect()),
            ..tap("U1", key)
        };
        assert!(taps.keep(&said(&["pair", "1234-5678"], "p")) && taps.keep(&said(&["KILL"], "k")));
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(!text.contains("1234") && text.contains("KILL"), "{text}");
        for n in 0..20_000 {
            let key = format!("{n}");
            taps.keep(&tap("U1", &key));
            taps.done(&key);
        }
        assert!(path.metadata().unwrap().len() < 2 * SLACK as u64);
        assert_eq!(keys(&Taps::open(folder.path(), "ops")), ["k"]);
        std::fs::write(&path, vec![0; usize::try_from(MAX_BYTES).unwrap() + 1]).unwrap();
        assert_eq!(keys(&Taps::open(folder.path(), "ops")), [""; 0]);
        assert!(path.with_extension("jsonl.unread").exists());
    }
}
