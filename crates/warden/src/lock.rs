//! Taking a lock file that one process holds for life, with its number in it. A living holder is found out at once; one
//! that is dying is waited for, since what a killed process held is free only when the kernel has taken it down.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

/// How long a holder that is dying may take, and a child that it had just forked.
const DYING_WITHIN: Duration = Duration::from_secs(5);
/// How often it is looked at meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// Bytes of a lock file that are looked at.
const MAX_TEXT: usize = 64;

/// Why a lock is not ours.
#[derive(Debug)]
pub(crate) enum NotOurs {
    /// Somebody has it; who, where that is known.
    Held(Option<u32>),
    /// The kernel says no.
    Failed(io::Error),
}

/// Takes the lock of `file`.
///
/// # Errors
/// As [`NotOurs`] says.
pub(crate) fn take(file: &File) -> Result<(), NotOurs> {
    let mut failed = None;
    let held = free_of_the_dying(|| match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => None,
        Err(Errno::WOULDBLOCK) => Some(written_pid(file)),
        Err(errno) => {
            failed = Some(NotOurs::Failed(errno.into()));
            None
        }
    });
    match held {
        Some(holder) => Err(NotOurs::Held(holder)),
        None => failed.map_or(Ok(()), Err),
    }
}

/// Asks `holder` until there is none, or one that lives, or the time is up. Gives the last answer. A holder that is not
/// known has not yet written its number, or no longer lives by it.
pub(crate) fn free_of_the_dying(
    mut holder: impl FnMut() -> Option<Option<u32>>,
) -> Option<Option<u32>> {
    let end = Instant::now() + DYING_WITHIN;
    let mut lived = false;
    loop {
        let held = holder()?;
        let lives = held.is_some_and(|pid| !is_dying(pid));
        // Twice: a process that has taken its SIGKILL looks alive until it has begun to end.
        if lives && lived || Instant::now() >= end {
            return Some(held);
        }
        lived = lives;
        thread::sleep(LOOK_EVERY);
    }
}

/// Whether the process has ended, or was killed and will.
fn is_dying(pid: u32) -> bool {
    const KILL: u64 = 1 << 8;
    const EXITING: u64 = 4;
    let Ok(status) = fs::read_to_string(format!("/proc/{pid}/status")) else { return true };
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.map(str::trim).unwrap_or_default()
    };
    let pending = |name| u64::from_str_radix(field(name), 16).is_ok_and(|set| set & KILL != 0);
    if field("State:").starts_with(['Z', 'X']) || pending("SigPnd:") || pending("ShdPnd:") {
        return true;
    }
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return true };
    // The ninth field; the second may hold anything up to the last bracket.
    let flags = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(6));
    flags.and_then(|flags| flags.parse().ok()).is_some_and(|flags: u64| flags & EXITING != 0)
}

fn written_pid(file: &File) -> Option<u32> {
    let mut text = [0; MAX_TEXT];
    let n = file.read_at(&mut text, 0).ok()?;
    std::str::from_utf8(&text[..n]).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn the_living_are_not_dying_and_the_dead_are() {
        assert!(!is_dying(std::process::id()));
        let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
        assert!(!is_dying(child.id()));
        child.kill().unwrap();
        // From the moment of the signal on, a zombie included, until nothing is left of it.
        let seen = || (0..100).all(|_| is_dying(child.id()));
        assert!(seen() || seen());
        child.wait().unwrap();
        assert!(is_dying(child.id()));
    }

    #[test]
    fn a_lock_that_a_killed_holders_child_still_has_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let mut holder = Command::new("bash")
            .args(["-c", "exec 9<>\"$0\"; flock 9; echo $$ >&9; sleep 0.3 & kill -9 $$"])
            .arg(&path)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        holder.wait().unwrap();
        let file = File::options().read(true).write(true).open(&path).unwrap();
        assert!(written_pid(&file).is_some());
        assert!(flock(&file, FlockOperation::NonBlockingLockExclusive).is_err(), "it is held");
        take(&file).unwrap();
    }

    #[test]
    fn a_living_holder_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        fs::write(&path, format!("{}\n", std::process::id())).unwrap();
        let first = File::open(&path).unwrap();
        take(&first).unwrap();
        let second = File::open(&path).unwrap();
        let own = std::process::id();
        assert!(matches!(take(&second), Err(NotOurs::Held(Some(pid))) if pid == own));
    }
}
