//! Starting the prisoner and staying with it: terminal and job control are its own, orphans come back to us, and what
//! it leaves behind does not outlive the run.

use std::collections::{HashMap, HashSet};
use std::io;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, kill_process, wait};

use crate::failure::Failure;
use crate::sys::{self, Signals};

/// How long what is left behind has between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(2);
/// How long we look for the end of what got SIGKILL. Only a process stuck in the kernel takes longer.
const GIVE_UP: Duration = Duration::from_secs(2);
/// How often we look whether it has ended.
const LOOK_EVERY_MS: i32 = 20;
/// How often our children are looked at, one time right after the other, while new ones come.
const LOOKS: u32 = 64;

/// How the prisoner's first process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// With this code.
    Code(u8),
    /// By this signal.
    Signal(i32),
}

/// What there is to say at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Report {
    /// How the prisoner ended.
    pub(crate) ended: Ended,
    /// Processes that were left behind, and ended by us.
    pub(crate) left_behind: usize,
}

impl Ended {
    /// Ends this process the same way.
    pub(crate) fn imitate(self) -> ExitCode {
        match self {
            Self::Code(code) => ExitCode::from(code),
            Self::Signal(signal) => {
                sys::die_by(signal);
                // Only where the signal does not end a process, such as in an init.
                ExitCode::from(u8::try_from(128 + signal).unwrap_or(u8::MAX))
            }
        }
    }
}

/// Runs the command in the foreground until it ends, then ends what it left behind.
///
/// # Errors
/// A command that cannot be started, with the code that a shell would give: 127 or 126.
pub(crate) fn run(mut command: Command, shown: &str) -> Result<Report, Failure> {
    let system = |e: io::Error| Failure::Refused(format!("the command cannot be watched: {e}"));
    // What was ignored when we were started (`nohup`) stays ignored, for the command as well.
    let wanted =
        [libc::SIGTERM, libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGUSR1, libc::SIGUSR2];
    let mut taken: Vec<i32> = wanted.into_iter().filter(|&s| !sys::is_ignored(s)).collect();
    taken.push(libc::SIGCHLD);
    sys::restore_default(libc::SIGCHLD);
    sys::become_subreaper().map_err(system)?;
    let signals = Signals::take(&taken).map_err(system)?;
    signals.restore_in(&mut command);
    let child = command.spawn().map_err(|e| not_started(shown, &e))?;
    let main = Pid::from_child(&child);
    let ended = loop {
        if let Some(ended) = reap(main) {
            break ended;
        }
        match signals.next(-1).map_err(system)? {
            // Ctrl-C and Ctrl-\ reach the command from the terminal; a signal that somebody sent us is passed on.
            Some(came) if came.signal != libc::SIGCHLD && came.sent => {
                if let Some(signal) = Signal::from_named_raw(came.signal) {
                    // It may have ended a moment ago.
                    let _ = kill_process(main, signal);
                }
            }
            _ => {}
        }
    };
    Ok(Report { ended, left_behind: end_the_rest(&signals).map_err(system)? })
}

fn not_started(shown: &str, error: &io::Error) -> Failure {
    let code = if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 };
    Failure::Code { code, text: format!("{shown} cannot be started: {error}") }
}

/// Reaps whatever has ended; gives the end of `main` when it was among it.
fn reap(main: Pid) -> Option<Ended> {
    let mut ended = None;
    while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
        if pid != main {
            continue;
        }
        ended = status
            .exit_status()
            .map(|code| Ended::Code(u8::try_from(code & 0xff).unwrap_or(u8::MAX)))
            .or_else(|| status.terminating_signal().map(Ended::Signal))
            .or(ended);
    }
    ended
}

/// Ends every descendant that is left: SIGTERM, and SIGKILL after the grace. Gives how many there were.
fn end_the_rest(signals: &Signals) -> io::Result<usize> {
    if reap_all() {
        return Ok(0);
    }
    let left = descendants().len().max(1);
    let mut asked: HashSet<Pid> = HashSet::new();
    let start = Instant::now();
    loop {
        let kill = start.elapsed() > GRACE;
        let mut ask = |pid| {
            // That it has ended meanwhile is what we want.
            if kill {
                let _ = kill_process(pid, Signal::KILL);
            } else if asked.insert(pid) {
                let _ = kill_process(pid, Signal::TERM);
                // A stopped process gets to its end only when it goes on.
                let _ = kill_process(pid, Signal::CONT);
            }
        };
        descendants().into_iter().for_each(&mut ask);
        ask_children(&mut ask);
        if reap_all() || start.elapsed() > GRACE + GIVE_UP {
            return Ok(left);
        }
        signals.next(LOOK_EVERY_MS)?;
    }
}

/// Asks each child, the newest first, again and again while new ones come: one that begins another and ends at once has gone
/// before it is found among all processes.
fn ask_children(ask: &mut impl FnMut(Pid)) {
    let mut seen = HashSet::new();
    for _ in 0..LOOKS {
        let new: Vec<Pid> = children().into_iter().rev().filter(|&pid| seen.insert(pid)).collect();
        if new.is_empty() {
            return;
        }
        new.into_iter().for_each(&mut *ask);
    }
}

/// The children of this thread, on which it all runs, the newest last; none where the kernel lists none.
fn children() -> Vec<Pid> {
    let text = std::fs::read_to_string("/proc/thread-self/children").unwrap_or_default();
    text.split_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)).collect()
}

/// Reaps whatever has ended; whether there is no child, and so nothing below this process: orphans are its children.
fn reap_all() -> bool {
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some(_)) => {}
            Ok(None) => return false,
            Err(error) => return error == Errno::CHILD,
        }
    }
}

/// Every living process below this one. As we are their subreaper, no daemon escapes from the tree.
fn descendants() -> Vec<Pid> {
    let parents = parents();
    let own = rustix::process::getpid();
    let mut found = vec![own];
    let mut at = 0;
    while let Some(&parent) = found.get(at) {
        found.extend(parents.get(&parent).into_iter().flatten());
        at += 1;
    }
    found.swap_remove(0);
    found
}

/// Living processes by their parents.
fn parents() -> HashMap<Pid, Vec<Pid>> {
    let mut parents: HashMap<Pid, Vec<Pid>> = HashMap::new();
    let Ok(entries) = std::fs::read_dir("/proc") else { return parents };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(pid) = name.to_str().and_then(|n| n.parse().ok()).and_then(Pid::from_raw) else {
            continue;
        };
        let Ok(stat) = std::fs::read(entry.path().join("stat")) else { continue };
        if let Some(parent) = living_parent(&stat) {
            parents.entry(parent).or_default().push(pid);
        }
    }
    parents
}

/// The parent in a line of `/proc/PID/stat`; `None` for a process that has ended.
fn living_parent(stat: &[u8]) -> Option<Pid> {
    // The name in parentheses may hold anything, parentheses included.
    let end = stat.iter().rposition(|&b| b == b')')?;
    let mut fields = std::str::from_utf8(stat.get(end + 1..)?).ok()?.split_ascii_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X" | "x") {
        return None;
    }
    Pid::from_raw(fields.next()?.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_name_cannot_lie_about_its_parent() {
        assert_eq!(living_parent(b"7 (a) S 1 (b) R 42 7 7"), Pid::from_raw(42));
        assert_eq!(living_parent(b"7 (sh) S 42 7 7"), Pid::from_raw(42));
        assert_eq!(living_parent(b"7 (sh) Z 42 7 7"), None);
        assert_eq!(living_parent(b""), None);
        assert_eq!(living_parent(b"7 (sh)"), None);
    }

    #[test]
    fn a_grandchild_is_a_descendant_and_a_dead_child_is_none() {
        let script = "sleep 60 & echo $!; wait";
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdout(std::process::Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        let out = child.stdout.take().unwrap();
        io::BufRead::read_line(&mut io::BufReader::new(out), &mut line).unwrap();
        let grandchild = Pid::from_raw(line.trim().parse().unwrap()).unwrap();
        let found = descendants();
        assert!(found.contains(&grandchild) && found.contains(&Pid::from_child(&child)));
        kill_process(grandchild, Signal::KILL).unwrap();
        child.wait().unwrap();
        assert!(!descendants().contains(&grandchild));
    }
}
