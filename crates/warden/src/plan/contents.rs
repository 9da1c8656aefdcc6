//! What the files of a request hold: the executable, and for a script its interpreter, by SHA-256.
//!
//! Looked at for what a person is asked about only. When and by whom a file was changed is told by its inode and times;
//! what it holds is told by nothing but itself.

use std::collections::HashMap;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::fs::{Mode, OFlags, Timespec};
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use super::root::{Depth, FileId, Opened, Root, read_head};
use super::tool::Tool;
use super::{Plan, PlanError, Workers};

/// Bytes of the largest file that is read. A larger one is told by its inode, size and times alone.
const MAX_READ: u64 = 512 * 1024 * 1024;

/// Files that are read at once: a caller with many large ones keeps two processors busy at most.
const AT_ONCE: usize = 2;

/// How long one waits for its turn to be read.
const TURN: Duration = Duration::from_secs(20);

/// Files whose digests are remembered; beyond it all are forgotten, and read again.
const MAX_KNOWN: usize = 1024;

/// Bytes of the first line of a script, as the kernel reads it.
const FIRST_LINE: usize = 256;

/// Scripts whose interpreters are scripts, one inside the other, as far as the kernel goes.
const MAX_DEPTH: usize = 5;

type Sum = [u8; 32];

/// A file in one of its states: which it is, and when it was changed last.
type State = (FileId, (i64, u32));

/// The digests of files that were read before.
#[derive(Debug)]
pub(crate) struct Digests {
    known: Mutex<HashMap<State, Sum>>,
    turns: Semaphore,
}

impl Default for Digests {
    fn default() -> Self {
        Self { known: Mutex::default(), turns: Semaphore::new(AT_ONCE) }
    }
}

/// A file that is executed: the tool first, then the interpreter that its first line names, and so on.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Part {
    path: Vec<u8>,
    id: FileId,
    /// `None` where it cannot be read, or is too large.
    sum: Option<Sum>,
}

/// What the files of a request hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Contents {
    parts: Vec<Part>,
}

impl Contents {
    /// What tells this from other contents: for what a person approves.
    pub(crate) fn mark(&self) -> String {
        let part = |part: &Part| {
            let sum = part.sum.map(|sum| clawrden_protocol::request::hex(&sum));
            format!("{:?} {:?} {}", part.path, part.id, sum.unwrap_or_default())
        };
        self.parts.iter().map(part).collect::<Vec<_>>().join(";")
    }

    /// The digest of the executable, in hex.
    pub(crate) fn executable(&self) -> Option<String> {
        let sum = self.parts.first()?.sum?;
        Some(clawrden_protocol::request::hex(&sum))
    }
}

impl Plan {
    /// Reads what its files hold, or remembers it. `None` when there is no file.
    ///
    /// # Errors
    /// When it takes too long.
    pub(crate) async fn contents(
        &self,
        digests: &Arc<Digests>,
        workers: &Workers,
    ) -> Result<Option<Contents>, PlanError> {
        self.read(Some(digests), workers).await
    }

    /// Whether its files still hold that. Nothing that was read before counts.
    ///
    /// # Errors
    /// When it takes too long.
    pub(crate) async fn still_holds(
        &self,
        contents: &Contents,
        digests: &Arc<Digests>,
        workers: &Workers,
    ) -> Result<bool, PlanError> {
        let _turn = turn(digests).await?;
        Ok(self.read(None, workers).await?.as_ref() == Some(contents))
    }

    async fn read(
        &self,
        digests: Option<&Arc<Digests>>,
        workers: &Workers,
    ) -> Result<Option<Contents>, PlanError> {
        let Some(tool) = self.meant_tool().cloned() else { return Ok(None) };
        let pid = match &self.on_host {
            Some(_) => None,
            None => Some(self.caller.pid.ok_or(PlanError::CallerUnseen)?),
        };
        let find = move |digests: Option<Arc<Digests>>, may_read: bool| {
            let root = match pid {
                Some(pid) => Root::of(pid),
                None => Root::own(),
            };
            root.ok().and_then(|root| walk(&root, &tool, digests.as_deref(), may_read))
        };
        if let Some(digests) = digests {
            let (first, known) = (find.clone(), Arc::clone(digests));
            if let Some(contents) = workers.run(move || first(Some(known), false)).await? {
                return Ok(Some(contents));
            }
            let _turn = turn(digests).await?;
            let digests = Some(Arc::clone(digests));
            return workers.run(move || find(digests, true)).await;
        }
        workers.run(move || find(None, true)).await
    }
}

async fn turn(digests: &Digests) -> Result<tokio::sync::SemaphorePermit<'_>, PlanError> {
    match tokio::time::timeout(TURN, digests.turns.acquire()).await {
        Ok(Ok(turn)) => Ok(turn),
        Ok(Err(_)) | Err(_) => Err(PlanError::Busy),
    }
}

/// The tool and its interpreters. `None` when one is not there, or is not remembered and may not be read.
fn walk(root: &Root, tool: &Tool, digests: Option<&Digests>, may_read: bool) -> Option<Contents> {
    let mut parts = Vec::new();
    let mut path = tool.path.clone();
    while parts.len() < MAX_DEPTH {
        let opened = root.lookup(&path, Depth::Full).ok()?;
        let known = digests.and_then(|digests| digests.get(&opened));
        let sum = match known {
            Some(sum) => Some(sum),
            None if !may_read => return None,
            None => {
                let sum = sum_of(&opened);
                if let (Some(sum), Some(digests)) = (sum, digests) {
                    digests.put(&opened, sum);
                }
                sum
            }
        };
        let next = interpreter(&opened);
        parts.push(Part { path, id: opened.id, sum });
        match next {
            Some(next) => path = next,
            None => break,
        }
    }
    Some(Contents { parts })
}

/// The file that the first line of a script names. One without a slash at its front is looked for from where the caller
/// is by the time, and cannot be told here.
fn interpreter(opened: &Opened) -> Option<Vec<u8>> {
    let head = read_head(opened.fd.as_fd(), FIRST_LINE).ok()?;
    let line = head.strip_prefix(b"#!")?.split(|&byte| byte == b'\n').next()?;
    let line = line.trim_ascii_start();
    let path = line.split(|byte| b" \t\0".contains(byte)).next()?;
    path.starts_with(b"/").then(|| path.to_vec())
}

/// When it was written, which its owner can set, and what it was found to be.
fn key(opened: &Opened) -> Option<(FileId, (i64, u32))> {
    let stat = rustix::fs::fstat(&opened.fd).ok()?;
    Some((opened.id, (stat.st_mtime, u32::try_from(stat.st_mtime_nsec).ok()?)))
}

impl Digests {
    fn get(&self, opened: &Opened) -> Option<Sum> {
        let key = key(opened)?;
        self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&key).copied()
    }

    /// A file that was changed a moment ago may be changed again without showing it by its times.
    fn put(&self, opened: &Opened, sum: Sum) {
        let Some(key) = key(opened) else { return };
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
        if !is_settled(key.0.changed, now) {
            return;
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        known.insert(key, sum);
    }
}

fn is_settled(changed: (i64, u32), now: Timespec) -> bool {
    now.tv_sec.saturating_sub(changed.0) >= 2
}

/// Reads all of a regular file. It is no longer than it was found to be, or it has changed.
fn sum_of(opened: &Opened) -> Option<Sum> {
    if !opened.is_executable_file() || opened.id.size > MAX_READ {
        return None;
    }
    let own = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&opened.fd));
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = rustix::fs::open(own, flags, Mode::empty()).ok()?;
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 256 * 1024];
    let mut left = opened.id.size;
    loop {
        match rustix::io::read(&file, &mut buffer).ok()? {
            0 => return Some(digest.finalize().into()),
            n => {
                digest.update(&buffer[..n]);
                left = left.checked_sub(n as u64)?;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn contents(root: &Root, path: &str, digests: Option<&Digests>) -> Option<Contents> {
        let opened = root.lookup(path.as_bytes(), Depth::Full).ok()?;
        let tool = Tool {
            path: path.into(),
            resolved: path.into(),
            id: opened.id,
            script: false,
            locked: false,
        };
        walk(root, &tool, digests, true)
    }

    fn script(dir: &std::path::Path, name: &str, text: &str) -> String {
        let path = dir.join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path.to_str().unwrap().to_owned()
    }

    #[test]
    fn a_script_is_its_text_and_its_interpreter() {
        let (dir, root) = (tempfile::tempdir().unwrap(), Root::own().unwrap());
        let inner = script(dir.path(), "inner", "#! /bin/sh -e\n:\n");
        let outer = script(dir.path(), "outer", &format!("#!{inner}\nanything\n"));
        let before = contents(&root, &outer, None).unwrap();
        let paths: Vec<_> = before.parts.iter().map(|part| part.path.clone()).collect();
        assert_eq!(paths, [outer.as_bytes(), inner.as_bytes(), b"/bin/sh"]);
        assert!(before.parts.iter().all(|part| part.sum.is_some()));
        assert_eq!(contents(&root, &outer, None).unwrap(), before);
        script(dir.path(), "inner", "#! /bin/sh -e\nx\n");
        let after = contents(&root, &outer, None).unwrap();
        assert_ne!(after.mark(), before.mark());
        assert_eq!(after.executable(), before.executable());
    }

    #[test]
    fn what_a_file_held_before_is_not_what_it_holds() {
        let (dir, root) = (tempfile::tempdir().unwrap(), Root::own().unwrap());
        let digests = Digests::default();
        let path = script(dir.path(), "tool", "one");
        let one = contents(&root, &path, Some(&digests)).unwrap();
        script(dir.path(), "tool", "two");
        let two = contents(&root, &path, Some(&digests)).unwrap();
        assert_ne!(one.executable(), two.executable());
        // What was changed just now is not remembered; what has stood for long is.
        assert!(digests.known.lock().unwrap().is_empty());
        let sh = contents(&root, "/bin/sh", Some(&digests)).unwrap();
        assert_eq!(digests.known.lock().unwrap().len(), 1);
        assert_eq!(contents(&root, "/bin/sh", Some(&digests)).unwrap(), sh);
        assert_eq!(contents(&root, "/bin/sh", None).unwrap(), sh);
    }

    #[test]
    fn interpreters_that_go_round_come_to_an_end() {
        let (dir, root) = (tempfile::tempdir().unwrap(), Root::own().unwrap());
        let path = dir.path().join("round");
        let path = script(dir.path(), "round", &format!("#!{}\n", path.display()));
        assert_eq!(contents(&root, &path, None).unwrap().parts.len(), MAX_DEPTH);
    }

    #[test]
    fn what_cannot_be_read_is_told_by_its_inode() {
        let (dir, root) = (tempfile::tempdir().unwrap(), Root::own().unwrap());
        let path = script(dir.path(), "large", "");
        std::fs::File::options().write(true).open(&path).unwrap().set_len(MAX_READ + 1).unwrap();
        let large = contents(&root, &path, None).unwrap();
        assert_eq!((large.parts.len(), large.parts[0].sum), (1, None));
        assert!(contents(&root, dir.path().join("none").to_str().unwrap(), None).is_none());
    }
}
