//! What the files of a request hold: the executable, and for a script its interpreter, by SHA-256.
//!
//! Looked at for what a person is asked about only. When and by whom a file was changed is told by its inode and times;
//! what it holds is told by nothing but itself.

use std::collections::HashMap;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags, Timespec};
use sha2::{Digest, Sha256};

use super::root::{Depth, FileId, Opened, Root, join, read_head};
use super::turns::Turns;
use super::{Plan, PlanError, Workers};
use crate::intercom::Account;

/// Bytes of the largest file that is read. A larger one is told by its inode, size and times alone.
const MAX_READ: u64 = 512 * 1024 * 1024;

/// Bytes of the largest file that is read without waiting for a turn.
const SMALL: u64 = 1024 * 1024;

/// How long a thread reads on. Longer than anybody waits for it: what it has by then nobody hears.
const GIVEN_UP: Duration = Duration::from_secs(6);

/// Files whose digests are remembered; beyond it all are forgotten, and read again.
const MAX_KNOWN: usize = 1024;

/// Bytes of the first line of a script, as the kernel reads it.
const FIRST_LINE: usize = 256;

/// Files that one start goes through, as far as the kernel goes: five scripts, and the interpreter of the last.
const MAX_DEPTH: usize = 6;

type Sum = [u8; 32];

/// A file in one of its states: which it is, and when it was changed last.
type State = (FileId, (i64, u32));

/// The digests of files that were read before, and whose turn it is to have one read.
#[derive(Debug, Default)]
pub(crate) struct Digests {
    known: Mutex<HashMap<State, Sum>>,
    turns: Turns,
}

/// A file that is executed: the tool first, then the interpreter that its first line names, and so on.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Part {
    /// Absolute, but for an interpreter that is looked for from a directory that is not known.
    path: Vec<u8>,
    /// `None` where nothing is there, or it cannot be looked for.
    id: Option<FileId>,
    /// `None` where it cannot be read, or is too large.
    sum: Option<Sum>,
}

/// What the files of a request hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Contents {
    parts: Vec<Part>,
}

impl Contents {
    /// Whether it is known of every file where it would be.
    fn is_told(&self) -> bool {
        self.parts.iter().all(|part| part.path.starts_with(b"/"))
    }

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
    /// Reads what its files hold, or remembers it. `None` when no file is meant.
    ///
    /// # Errors
    /// When it takes too long.
    pub(crate) async fn contents(
        &self,
        digests: &Arc<Digests>,
        workers: &Workers,
    ) -> Result<Option<Contents>, PlanError> {
        self.read(digests, true, workers).await
    }

    /// Whether its files still hold that. Nothing that was read before counts; what cannot be told is not so.
    ///
    /// # Errors
    /// When it takes too long.
    pub(crate) async fn still_holds(
        &self,
        contents: Option<&Contents>,
        digests: &Arc<Digests>,
        workers: &Workers,
    ) -> Result<bool, PlanError> {
        let now = self.read(digests, false, workers).await?;
        Ok(now.as_ref() == contents && contents.is_none_or(Contents::is_told))
    }

    /// With `remembered`, what was read before counts.
    async fn read(
        &self,
        digests: &Arc<Digests>,
        remembered: bool,
        workers: &Workers,
    ) -> Result<Option<Contents>, PlanError> {
        let Some(tool) = self.meant_tool() else { return Ok(None) };
        let (tool, cwd) = (tool.path.clone(), self.meant_cwd().map(|cwd| cwd.path.clone()));
        let pid = match &self.on_host {
            Some(_) => None,
            None => Some(self.caller.pid.ok_or(PlanError::CallerUnseen)?),
        };
        let known = remembered.then(|| Arc::clone(digests));
        let find = move |most: u64| {
            let root = match pid {
                Some(pid) => Root::of(pid),
                None => Root::own(),
            };
            root.ok().and_then(|root| walk(&root, (&tool, cwd.as_deref()), known.as_deref(), most))
        };
        let first = find.clone();
        if let Some(contents) = workers.run(move || first(SMALL)).await? {
            return Ok(Some(contents));
        }
        let account = Account::new(&self.jail, self.prisoner.as_deref(), self.caller.uid);
        let (turn, _any) = digests.turns.next(account, &self.jail.name).await?;
        workers
            .run(move || {
                let found = find(MAX_READ);
                drop(turn);
                found
            })
            .await
    }
}

/// The tool and its interpreters, as they are found by one that is in `cwd`; what is not there belongs to them, and
/// nothing comes behind it. `None` when one is not remembered and has more than `most` bytes.
fn walk(
    root: &Root,
    (tool, cwd): (&[u8], Option<&[u8]>),
    digests: Option<&Digests>,
    most: u64,
) -> Option<Contents> {
    let given_up = Instant::now() + GIVEN_UP;
    // Mostly one, which is kept for as long as the request waits.
    let mut parts = Vec::with_capacity(1);
    let mut path = tool.to_vec();
    while parts.len() < MAX_DEPTH {
        let is_absolute = path.starts_with(b"/");
        let Some(opened) = root.lookup(&path, Depth::Full).ok().filter(|_| is_absolute) else {
            parts.push(Part { path, id: None, sum: None });
            break;
        };
        let known = digests.and_then(|digests| digests.get(&opened));
        let sum = match known {
            Some(sum) => Some(sum),
            None if most < MAX_READ && opened.id.size > most => return None,
            None => {
                let sum = sum_of(&opened, given_up);
                if let (Some(sum), Some(digests)) = (sum, digests) {
                    digests.put(&opened, sum);
                }
                sum
            }
        };
        let next = interpreter(&opened, cwd);
        parts.push(Part { path, id: Some(opened.id), sum });
        match next {
            Some(next) => path = next,
            None => break,
        }
    }
    Some(Contents { parts })
}

/// The file that the first line of a script names, read as the kernel reads it: only spaces and tabs are passed over.
/// One without a slash at its front is looked for from where the tool is started.
fn interpreter(opened: &Opened, cwd: Option<&[u8]>) -> Option<Vec<u8>> {
    let head = read_head(opened.fd.as_fd(), FIRST_LINE).ok()?;
    let line = head.strip_prefix(b"#!")?.split(|&byte| byte == b'\n').next()?;
    let start = line.iter().position(|byte| !b" \t".contains(byte))?;
    let path = line[start..].split(|byte| b" \t\0".contains(byte)).next()?;
    match cwd {
        _ if path.is_empty() => None,
        Some(cwd) if !path.starts_with(b"/") => Some(join(cwd, path)),
        _ => Some(path.to_vec()),
    }
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
fn sum_of(opened: &Opened, given_up: Instant) -> Option<Sum> {
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
                if Instant::now() > given_up {
                    return None;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn contents(root: &Root, path: &str, digests: Option<&Digests>) -> Option<Contents> {
        walk(root, (path.as_bytes(), None), digests, MAX_READ)
    }

    fn paths(contents: &Contents) -> Vec<&str> {
        contents.parts.iter().map(|part| str::from_utf8(&part.path).unwrap()).collect()
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
        assert_eq!(paths(&before), [&outer[..], &inner, "/bin/sh"]);
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
    fn interpreters_are_followed_as_far_as_the_kernel_goes_and_no_further() {
        let (dir, root) = (tempfile::tempdir().unwrap(), Root::own().unwrap());
        let mut last = "/bin/true".to_owned();
        let starts = |path: &str| match std::process::Command::new(path).status() {
            Ok(_) => true,
            Err(error) => error.raw_os_error() != Some(libc::ELOOP),
        };
        for n in 0..10 {
            last = script(dir.path(), &n.to_string(), &format!("#!{last}\n"));
            let found = contents(&root, &last, None).unwrap();
            // Whatever the kernel comes to is among them.
            assert_eq!(paths(&found).contains(&"/bin/true"), starts(&last), "{n}");
        }
        let round = dir.path().join("round");
        let round = script(dir.path(), "round", &format!("#!{}\n", round.display()));
        assert_eq!(contents(&root, &round, None).unwrap().parts.len(), MAX_DEPTH);
    }

    #[test]
    fn an_interpreter_that_is_not_there_is_another_once_it_is() {
        let (dir, root) = (tempfile::tempdir().unwrap(), Root::own().unwrap());
        let none = dir.path().join("i").to_str().unwrap().to_owned();
        let path = script(dir.path(), "tool", &format!("#!{none}\n"));
        let before = contents(&root, &path, None).unwrap();
        assert_eq!(paths(&before), [&path[..], &none]);
        assert!(before.is_told() && before.parts[1].id.is_none());
        script(dir.path(), "i", "#!/bin/sh\n");
        assert_ne!(contents(&root, &path, None).unwrap(), before);
    }

    #[test]
    fn an_interpreter_is_looked_for_from_where_the_tool_is_started() {
        let (dir, root) = (tempfile::tempdir().unwrap(), Root::own().unwrap());
        let path = script(dir.path(), "tool", "#!./i\n");
        let inner = script(dir.path(), "i", "#!/bin/sh\n");
        let cwd = dir.path().to_str().unwrap();
        let found = walk(&root, (path.as_bytes(), Some(cwd.as_bytes())), None, MAX_READ).unwrap();
        assert_eq!(found.parts.len(), 3);
        assert_eq!(found.parts[1].id, Some(root.lookup(inner.as_bytes(), Depth::Full).unwrap().id));
        let unknown = contents(&root, &path, None).unwrap();
        assert_eq!(paths(&unknown), [&path[..], "./i"]);
        assert!(!unknown.is_told());
    }

    #[test]
    fn a_first_line_is_read_as_the_kernel_reads_it() {
        let (dir, root) = (tempfile::tempdir().unwrap(), Root::own().unwrap());
        let cwd = Some(&b"/app"[..]);
        for (line, expected) in [
            ("#! \t/bin/sh\t-e\n", Some("/bin/sh")),
            ("#!\r/bin/sh\n", Some("/app/\r/bin/sh")),
            ("#!/bin/sh\r\n", Some("/bin/sh\r")),
            ("#!\x0c/bin/sh\n", Some("/app/\x0c/bin/sh")),
            ("#!/bin/a\0b c\n", Some("/bin/a")),
            ("#! \t\n/bin/sh\n", None),
            ("#!", None),
        ] {
            let path = script(dir.path(), "tool", line);
            let opened = root.lookup(path.as_bytes(), Depth::Full).unwrap();
            let found = interpreter(&opened, cwd).map(|path| String::from_utf8(path).unwrap());
            assert_eq!(found.as_deref(), expected, "{line:?}");
        }
    }

    #[test]
    fn what_is_large_waits_for_a_turn_unless_it_is_remembered() {
        let root = Root::own().unwrap();
        let me = std::env::current_exe().unwrap();
        let me = (me.to_str().unwrap().as_bytes(), None);
        let digests = Digests::default();
        assert!(walk(&root, me, Some(&digests), SMALL).is_none());
        let whole = walk(&root, me, None, MAX_READ).unwrap();
        assert!(whole.parts[0].sum.is_some());
        let opened = root.lookup(me.0, Depth::Full).unwrap();
        digests.known.lock().unwrap().insert(key(&opened).unwrap(), whole.parts[0].sum.unwrap());
        assert_eq!(walk(&root, me, Some(&digests), SMALL), Some(whole));
        assert!(walk(&root, me, None, SMALL).is_none(), "nothing that was read before counts");
        let dir = tempfile::tempdir().unwrap();
        let small = script(dir.path(), "small", ":");
        assert!(walk(&root, (small.as_bytes(), None), None, SMALL).is_some());
    }

    #[test]
    fn what_cannot_be_read_is_told_by_its_inode() {
        let (dir, root) = (tempfile::tempdir().unwrap(), Root::own().unwrap());
        let path = script(dir.path(), "large", "");
        std::fs::File::options().write(true).open(&path).unwrap().set_len(MAX_READ + 1).unwrap();
        let large = contents(&root, &path, None).unwrap();
        assert_eq!((large.parts.len(), large.parts[0].sum), (1, None));
        let none = contents(&root, dir.path().join("none").to_str().unwrap(), None).unwrap();
        assert_eq!((none.parts.len(), none.parts[0].id), (1, None));
    }
}
