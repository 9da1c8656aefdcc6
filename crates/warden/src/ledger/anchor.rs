//! Anchors: what is told every signed head, so that whoever can write the ledger cannot take it back. One that does not
//! answer holds up nothing but the next head; only the newest one waits.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::options::Anchor;

/// How long a command may take.
const COMMAND_TIME: Duration = Duration::from_secs(30);

/// How often it is looked whether a command has ended.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How long a closing ledger waits for the last head to be taken.
const LAST_WAIT: Duration = Duration::from_secs(3);

/// `authpriv.notice`, as system logs write it.
const PRIORITY: u32 = 10 * 8 + 5;

/// The anchors of one ledger, on a thread of their own.
pub(super) struct Anchors(Option<Arc<Desk>>);

#[derive(Default)]
struct Desk {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    newest: Option<String>,
    busy: bool,
    closing: bool,
    error: Option<String>,
    errors: u64,
}

impl Anchors {
    /// Starts the thread, if there is an anchor.
    ///
    /// # Errors
    /// When the kernel gives no thread.
    pub(super) fn start(anchors: Vec<Anchor>) -> io::Result<Self> {
        if anchors.is_empty() {
            return Ok(Self(None));
        }
        let desk = Arc::<Desk>::default();
        let own = Arc::clone(&desk);
        let work = move || own.work(&anchors);
        thread::Builder::new().name("ledger-anchors".to_owned()).spawn(work)?;
        Ok(Self(Some(desk)))
    }

    /// Takes the newest head, a line of JSON.
    pub(super) fn give(&self, head: String) {
        let Some(desk) = &self.0 else { return };
        desk.state().newest = Some(head);
        desk.changed.notify_all();
    }

    /// Why the newest head is not where it should be; `None` if it is.
    pub(super) fn error(&self) -> Option<String> {
        self.0.as_ref().and_then(|desk| desk.state().error.clone())
    }

    /// How often an anchor did not take one.
    pub(super) fn errors(&self) -> u64 {
        self.0.as_ref().map_or(0, |desk| desk.state().errors)
    }

    /// Waits for the last head, but not for ever, and ends the thread.
    pub(super) fn close(&self) {
        let Some(desk) = &self.0 else { return };
        let end = Instant::now() + LAST_WAIT;
        let mut state = desk.state();
        state.closing = true;
        desk.changed.notify_all();
        while state.busy || state.newest.is_some() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let waited = desk.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Desk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self, anchors: &[Anchor]) {
        loop {
            let mut state = self.state();
            let head = loop {
                if let Some(head) = state.newest.take() {
                    state.busy = true;
                    break head;
                }
                if state.closing {
                    return;
                }
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            };
            drop(state);
            let failed: Vec<String> =
                anchors.iter().filter_map(|anchor| tell(anchor, &head).err()).collect();
            let mut state = self.state();
            state.busy = false;
            state.errors += failed.len() as u64;
            let error = (!failed.is_empty()).then(|| failed.join("; "));
            if let Some(error) = error.as_ref().filter(|_| state.error.is_none()) {
                tracing::warn!(error, "a signed head of the ledger could not be anchored");
            }
            state.error = error;
            self.changed.notify_all();
        }
    }
}

/// Gives a head to one anchor. The text says which one failed, and why.
fn tell(anchor: &Anchor, head: &str) -> Result<(), String> {
    match anchor {
        Anchor::File(path) => {
            append(path, head).map_err(|error| format!("the anchor {path:?}: {error}"))
        }
        Anchor::Command(words) => {
            run(words, head).map_err(|error| format!("the anchor command {words:?}: {error}"))
        }
        Anchor::Syslog(path) => {
            log(path, head).map_err(|error| format!("the anchor syslog at {path:?}: {error}"))
        }
    }
}

fn append(path: &Path, head: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(0o600);
    // A pipe without a reader is no place to wait at.
    options.custom_flags(libc::O_CLOEXEC | libc::O_NOCTTY | libc::O_NONBLOCK);
    let mut file = options.open(path)?;
    file.write_all(head.as_bytes())?;
    file.sync_all()
}

fn run(words: &[String], head: &str) -> io::Result<()> {
    let (program, args) =
        words.split_first().ok_or_else(|| io::Error::other("it names no program"))?;
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn()?;
    let end = Instant::now() + COMMAND_TIME;
    // A head is shorter than a pipe is deep: this does not wait.
    let written = child.stdin.take().map_or(Ok(()), |mut stdin| stdin.write_all(head.as_bytes()));
    let status = loop {
        match child.try_wait()? {
            Some(status) => break status,
            None if Instant::now() >= end => {
                child.kill()?;
                child.wait()?;
                return Err(io::Error::other(format!(
                    "it took longer than {} s and was ended",
                    COMMAND_TIME.as_secs()
                )));
            }
            None => thread::sleep(LOOK_EVERY),
        }
    };
    match written {
        // What it made of its input is its own affair; its exit code counts.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(error),
        _ => {}
    }
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("it ended with {status}"))) }
}

fn log(path: &Path, head: &str) -> io::Result<()> {
    let socket = UnixDatagram::unbound()?;
    // A log that is full is no place to wait at.
    socket.set_nonblocking(true)?;
    socket.connect(path)?;
    let text = format!("<{PRIORITY}>clawrden[{}]: {}", std::process::id(), head.trim_end());
    socket.send(text.as_bytes()).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(anchors: &Anchors) -> Option<String> {
        let desk = anchors.0.as_ref().unwrap();
        let mut state = desk.state();
        while state.busy || state.newest.is_some() {
            state = desk.changed.wait(state).unwrap();
        }
        state.error.clone()
    }

    #[test]
    fn a_head_reaches_a_file_a_command_and_the_system_log() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let log = UnixDatagram::bind(at("log")).unwrap();
        let copy = at("copy").display().to_string();
        let anchors = Anchors::start(vec![
            Anchor::File(at("heads")),
            Anchor::Command(vec!["sh".into(), "-c".into(), "cat >> \"$0\"".into(), copy]),
            Anchor::Syslog(at("log")),
        ])
        .unwrap();
        for head in ["{\"a\":1}\n", "{\"a\":2}\n"] {
            anchors.give(head.to_owned());
            assert_eq!(settled(&anchors), None);
            let mut datagram = [0; 200];
            let n = log.recv(&mut datagram).unwrap();
            let text = String::from_utf8_lossy(&datagram[..n]).into_owned();
            assert!(text.starts_with("<85>clawrden[") && text.ends_with(head.trim()), "{text}");
        }
        for name in ["heads", "copy"] {
            assert_eq!(std::fs::read_to_string(at(name)).unwrap(), "{\"a\":1}\n{\"a\":2}\n");
        }
        anchors.close();
    }

    #[test]
    fn an_anchor_that_fails_is_told_of_and_the_others_have_the_head() {
        let folder = tempfile::tempdir().unwrap();
        let heads = folder.path().join("heads");
        let anchors = Anchors::start(vec![
            Anchor::Command(vec!["false".into()]),
            Anchor::Syslog(folder.path().join("none")),
            Anchor::File(heads.clone()),
        ])
        .unwrap();
        anchors.give("x\n".to_owned());
        let error = settled(&anchors).unwrap();
        assert!(error.contains("exit status: 1") && error.contains("syslog"), "{error}");
        assert_eq!(
            (anchors.errors(), std::fs::read_to_string(heads).unwrap().as_str()),
            (2, "x\n")
        );
    }
}
