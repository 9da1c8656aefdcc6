//! The file of tools that were handed off and run, which is worth nothing in another boot: so nothing of it waits for the
//! disk. Each line is a tool that began, was left behind by its warden, or ended.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Tool;
use crate::beside::beside;
use crate::ledger::Id;
use crate::process::steady_ms;

/// Tools that are written down at most; of more, the next warden knows nothing.
const MOST: usize = 16 * 1024;

/// Bytes that are read of the file: of so many tools, and lines that say of as many that they ended.
const MAX_FILE: u64 = 32 * 1024 * 1024;

/// Lines beyond those of what runs that the file may have before it is written anew.
const SPARE: usize = 4096;

/// A tool that was handed off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    /// Its process, and whom it runs for.
    pub(crate) tool: Tool,
    /// When it began, in milliseconds since the kernel booted.
    began_ms: u64,
    /// How long it may run, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    limit_ms: Option<u64>,
    /// The ledger has its end already, as one that is unknown: its warden went down.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) has_end: bool,
}

impl Entry {
    /// A tool that may run for so long, and has run for a while already.
    pub(crate) fn new(tool: Tool, limit: Option<Duration>, age: Duration) -> Self {
        let in_ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let began_ms = steady_ms().saturating_sub(in_ms(age));
        Self { tool, began_ms, limit_ms: limit.map(in_ms), has_end: false }
    }

    /// For how long it has run.
    pub(crate) fn age(&self) -> Duration {
        Duration::from_millis(steady_ms().saturating_sub(self.began_ms))
    }

    /// For how long it may run from here on; `None` without an end.
    pub(crate) fn time_left(&self) -> Option<Duration> {
        self.limit_ms.map(|limit| Duration::from_millis(limit).saturating_sub(self.age()))
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Began(Entry),
    Left(Id),
    Ended(Id),
}

/// What is handed off and runs.
#[derive(Debug)]
pub(crate) struct HandedOff {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    path: PathBuf,
    /// `None` where it could not be had, or written, the last time.
    file: Option<File>,
    /// It was said that it is not written.
    is_lost: bool,
    /// Lines in the file.
    lines: usize,
    tools: BTreeMap<[u8; 16], Entry>,
}

/// That one tool runs, for as long as this is held.
#[derive(Debug)]
pub(crate) struct Note {
    of: Arc<HandedOff>,
    id: Id,
    is_left: bool,
}

impl HandedOff {
    /// Reads what the last warden left, and begins the file anew with what of that may still run.
    pub(crate) fn open(path: &Path) -> Arc<Self> {
        let mut tools = read(path).unwrap_or_else(|error| {
            let path = path.display();
            tracing::warn!(%error, %path, "which tools run that an earlier warden handed off is not known");
            BTreeMap::new()
        });
        tools.retain(|_, entry| entry.tool.open().is_some());
        let mut state =
            State { path: path.to_owned(), file: None, is_lost: false, lines: 0, tools };
        state.renew();
        Arc::new(Self { state: Mutex::new(state) })
    }

    /// What is written down, oldest first.
    pub(crate) fn tools(&self) -> Vec<Entry> {
        let mut tools: Vec<Entry> = self.state().tools.values().cloned().collect();
        tools.sort_by_key(|entry| entry.began_ms);
        tools
    }

    /// One of them.
    pub(crate) fn get(&self, id: Id) -> Option<Entry> {
        self.state().tools.get(&id.0).cloned()
    }

    /// Writes down that a tool runs. `None` where that cannot be; then the next warden does not know of it.
    pub(crate) fn add(self: &Arc<Self>, entry: Entry) -> Option<Note> {
        let id = entry.tool.id;
        let mut state = self.state();
        if state.tools.len() >= MOST {
            return None;
        }
        state.tools.insert(id.0, entry.clone());
        state.write(&Line::Began(entry));
        drop(state);
        Some(self.note(id))
    }

    /// Takes one over that an earlier warden wrote down.
    pub(crate) fn note(self: &Arc<Self>, id: Id) -> Note {
        Note { of: Arc::clone(self), id, is_left: false }
    }

    /// Forgets one that has ended.
    pub(crate) fn remove(&self, id: Id) {
        let mut state = self.state();
        if state.tools.remove(&id.0).is_some() {
            state.write(&Line::Ended(id));
        }
    }

    fn leave(&self, id: Id) {
        let mut state = self.state();
        let Some(entry) = state.tools.get_mut(&id.0) else { return };
        entry.has_end = true;
        state.write(&Line::Left(id));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Note {
    /// The warden goes down, and says in the ledger that the end is not known. The tool stays written down.
    pub(crate) fn leave(mut self) {
        self.is_left = true;
        self.of.leave(self.id);
    }
}

impl Drop for Note {
    fn drop(&mut self) {
        if !self.is_left {
            self.of.remove(self.id);
        }
    }
}

impl State {
    fn write(&mut self, line: &Line) {
        let Some(file) = self.file.as_mut().filter(|_| self.lines <= self.tools.len() + SPARE)
        else {
            return self.renew();
        };
        match bytes(line).and_then(|bytes| file.write_all(&bytes)) {
            Ok(()) => self.lines += 1,
            Err(error) => self.give_up(&error),
        }
    }

    /// Puts a file in place that has what runs and nothing else.
    fn renew(&mut self) {
        match fresh(&self.path, self.tools.values()) {
            Ok(file) => {
                (self.file, self.lines, self.is_lost) = (Some(file), self.tools.len(), false);
            }
            Err(error) => self.give_up(&error),
        }
    }

    /// What stands in the file is no longer how it is, which the next warden must not believe.
    fn give_up(&mut self, error: &io::Error) {
        let path = self.path.display();
        // Once: it is tried again with each that begins or ends.
        if !std::mem::replace(&mut self.is_lost, true) {
            tracing::warn!(%error, %path, "tools that are handed off cannot be written down; the next warden will not know of them");
        }
        self.file = None;
        // Where not even that can be done, each process is looked at all the same before anybody touches it.
        let _ = fs::remove_file(&self.path);
    }
}

fn bytes(line: &Line) -> io::Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec(line)?;
    bytes.push(b'\n');
    Ok(bytes)
}

fn fresh<'a>(path: &Path, tools: impl Iterator<Item = &'a Entry>) -> io::Result<File> {
    let mut text = Vec::new();
    for entry in tools {
        text.extend(bytes(&Line::Began(entry.clone()))?);
    }
    let made = beside(path, ".new");
    // What a crash left behind under this name is ours; `create_new` follows no link that is there instead.
    match fs::remove_file(&made) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().append(true).create_new(true).mode(0o600).open(&made)?;
    file.write_all(&text)?;
    fs::rename(&made, path)?;
    Ok(file)
}

/// What the file says runs. A line that was torn off is passed over, as is one that is not understood.
fn read(path: &Path) -> io::Result<BTreeMap<[u8; 16], Entry>> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        opened => opened?,
    };
    let mut text = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut text)?;
    if text.len() as u64 > MAX_FILE {
        return Err(io::Error::other("it is too long"));
    }
    let mut tools = BTreeMap::new();
    for line in text.split(|&byte| byte == b'\n') {
        match serde_json::from_slice(line) {
            Ok(Line::Began(entry)) => {
                tools.insert(entry.tool.id.0, entry);
            }
            Ok(Line::Left(id)) => {
                if let Some(entry) = tools.get_mut(&id.0) {
                    entry.has_end = true;
                }
            }
            Ok(Line::Ended(id)) => {
                tools.remove(&id.0);
            }
            Err(_) => {}
        }
    }
    Ok(tools)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::process::{Child, Command};

    use super::*;
    use crate::jails::JailName;
    use crate::plan::Origin;
    use crate::process::Identity;

    /// A process that lives as long as this.
    struct Living(Child);

    impl Living {
        fn new() -> Self {
            Self(Command::new("sleep").arg("600").spawn().unwrap())
        }

        fn entry(&self, id: u8) -> Entry {
            let jails = vec![JailName::new("web").unwrap()];
            let origin = Origin { jails, container: None, is_told: true };
            let root = Identity::of(self.0.id()).unwrap();
            let tool = Tool::new(Id([id; 16]), root, None, &origin).unwrap();
            Entry::new(tool, Some(Duration::from_secs(60)), Duration::ZERO)
        }
    }

    impl Drop for Living {
        fn drop(&mut self) {
            self.0.kill().unwrap();
            self.0.wait().unwrap();
        }
    }

    fn place() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("handed.jsonl");
        (folder, path)
    }

    fn ids(of: &HandedOff) -> Vec<u8> {
        of.tools().iter().map(|entry| entry.tool.id.0[0]).collect()
    }

    #[test]
    fn the_next_warden_knows_what_runs_and_what_was_left() {
        let ((_folder, path), living) = (place(), Living::new());
        let first = HandedOff::open(&path);
        let notes: Vec<Note> = (1..=3).filter_map(|id| first.add(living.entry(id))).collect();
        let [ended, left, running] = <[Note; 3]>::try_from(notes).unwrap();
        drop(ended);
        left.leave();
        let next = HandedOff::open(&path);
        let told = next.tools();
        assert_eq!(told.iter().map(|entry| entry.has_end).collect::<Vec<_>>(), [true, false]);
        assert_eq!((ids(&next), told[1].tool.origin().jails[0].as_str()), (vec![2, 3], "web"));
        assert!(told[1].time_left().unwrap() <= Duration::from_secs(60));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        next.remove(Id([2; 16]));
        assert_eq!(ids(&HandedOff::open(&path)), [3]);
        drop(running);
    }

    #[test]
    fn a_number_that_another_process_has_by_now_or_another_boot_had_is_nobodys() {
        let ((_folder, path), living) = (place(), Living::new());
        let entry = living.entry(1);
        let line = serde_json::to_string(&Line::Began(entry.clone())).unwrap();
        let before = line.replace(
            &format!("\"start_ticks\":{}", entry.tool.root().start_ticks),
            &format!("\"start_ticks\":{}", entry.tool.root().start_ticks - 1),
        );
        let boot = crate::process::boot_id().unwrap();
        for other in [before, line.replace(boot, "another"), line.replace("\"pid\":", "\"pid\":9")]
        {
            assert_ne!(other, line);
            fs::write(&path, format!("{other}\n")).unwrap();
            assert_eq!(ids(&HandedOff::open(&path)), Vec::<u8>::new(), "{other}");
        }
        fs::write(&path, format!("{line}\n")).unwrap();
        assert_eq!(ids(&HandedOff::open(&path)), [1]);
    }

    #[test]
    fn what_is_torn_is_passed_over_and_a_link_is_not_followed() {
        let ((folder, path), living) = (place(), Living::new());
        let line = serde_json::to_string(&Line::Began(living.entry(1))).unwrap();
        let torn = &line[..line.len() - 7];
        fs::write(&path, format!("no line\n{line}\n\n{torn}")).unwrap();
        assert_eq!(ids(&HandedOff::open(&path)), [1]);
        let elsewhere = folder.path().join("elsewhere");
        fs::rename(&path, &elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
        assert_eq!(ids(&HandedOff::open(&path)), Vec::<u8>::new());
        assert!(fs::read_to_string(&elsewhere).unwrap().contains("start_ticks"));
    }

    #[test]
    fn the_file_stays_short_however_much_began_and_ended() {
        let ((_folder, path), living) = (place(), Living::new());
        let handed = HandedOff::open(&path);
        let stays = handed.add(living.entry(1)).unwrap();
        let entry = living.entry(2);
        for _ in 0..2 * SPARE {
            drop(handed.add(entry.clone()));
        }
        let lines = fs::read_to_string(&path).unwrap().lines().count();
        assert!(lines <= SPARE + 3, "{lines}");
        assert_eq!(ids(&HandedOff::open(&path)), [1]);
        drop(stays);
    }

    #[test]
    fn what_cannot_be_written_down_is_forgotten_and_nothing_fails() {
        let ((folder, path), living) = (place(), Living::new());
        let handed = HandedOff::open(&path);
        handed.state().file = Some(File::open("/dev/null").unwrap());
        let note = handed.add(living.entry(1));
        assert!(note.is_some() && !path.exists());
        drop((note, folder));
        let handed = HandedOff::open(&path);
        drop(handed.add(living.entry(1)));
        assert_eq!(ids(&handed), Vec::<u8>::new());
    }
}
