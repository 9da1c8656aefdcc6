//! The tree under a runner: everything that descends from it, found under /proc. As its reaper the runner keeps every
//! orphan, so that nothing leaves the tree but by ending.

use alloc::vec::Vec;
use core::mem::MaybeUninit;

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Mode, OFlags, RawDir};
use rustix::process::{Pid, PidfdFlags, Signal};

use crate::say::{decimal, number};
use crate::sys::{fds, process, signal};

/// Rounds of stopping before killing; a fork in every one of them is caught by the next call.
const ROUNDS: usize = 16;

/// The processes of a tree, as last looked at. Its memory is used again and again.
#[derive(Default)]
pub(super) struct Tree {
    all: Vec<Process>,
    members: Vec<Process>,
    stopped: Vec<i32>,
    text: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Process {
    pid: i32,
    parent: i32,
    dead: bool,
}

impl Tree {
    /// Sends a signal to every process of the tree; `main` stands for the tree where /proc cannot be read.
    pub(super) fn signal(&mut self, main: Pid, number: u8) {
        if self.look().is_none() {
            let main = main.as_raw_nonzero().get();
            let _ = signal::kill(-main, number);
            let _ = signal::kill(main, number);
        }
        for i in 0..self.members.len() {
            self.send(self.members[i], number);
        }
    }

    /// Kills the tree. What is stopped first cannot fork while the rest is found.
    pub(super) fn kill(&mut self, main: Pid) {
        self.stopped.clear();
        for _ in 0..ROUNDS {
            let mut fresh = false;
            if self.look().is_none() {
                break;
            }
            for i in 0..self.members.len() {
                let member = self.members[i];
                if !self.stopped.contains(&member.pid) {
                    self.stopped.push(member.pid);
                    self.send(member, signal::STOP);
                    fresh = true;
                }
            }
            if !fresh {
                break;
            }
        }
        self.signal(main, signal::KILL);
    }

    /// Finds the members. `None` when /proc does not even show this process.
    fn look(&mut self) -> Option<()> {
        self.all.clear();
        self.members.clear();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let proc = rustix::fs::open(c"/proc", flags, Mode::empty()).ok()?;
        let mut room = [MaybeUninit::uninit(); 8192];
        let mut entries = RawDir::new(&proc, &mut room);
        while let Some(Ok(entry)) = entries.next() {
            let pid = number(entry.file_name().to_bytes());
            self.all.extend(pid.and_then(|pid| stat(&proc, pid, &mut self.text)));
        }
        let own = rustix::process::getpid().as_raw_nonzero().get();
        self.all.iter().find(|p| p.pid == own)?;
        let mut next = own;
        let mut at = 0;
        loop {
            let children = self.all.iter().filter(|p| p.parent == next).copied();
            self.members.extend(children);
            match self.members.get(at) {
                Some(member) => next = member.pid,
                None => break,
            }
            at += 1;
        }
        self.members.retain(|member| !member.dead);
        Some(())
    }

    /// Signals a member by a descriptor of it, once it is sure that its id still is what it was.
    fn send(&mut self, member: Process, number: u8) {
        let Some(pid) = Pid::from_raw(member.pid) else { return };
        let Ok(pidfd) = rustix::process::pidfd_open(pid, PidfdFlags::empty()) else {
            // Without pidfds the id is all there is; a process that has gone makes this fail too.
            let _ = signal::kill(member.pid, number);
            return;
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let Ok(proc) = rustix::fs::open(c"/proc", flags, Mode::empty()) else { return };
        let still = stat(&proc, member.pid, &mut self.text);
        let own = rustix::process::getpid().as_raw_nonzero().get();
        // A member whose parent has ended is ours.
        if !still.is_some_and(|p| p.parent == member.parent || p.parent == own) {
            return;
        }
        if let Some(signal) = Signal::from_named_raw(number.into()) {
            let _ = rustix::process::pidfd_send_signal(&pidfd, signal);
        }
    }
}

fn stat(proc: &OwnedFd, pid: i32, text: &mut Vec<u8>) -> Option<Process> {
    text.clear();
    text.reserve(512);
    let path = [&decimal(pid), "/stat"].concat();
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let file = rustix::fs::openat(proc, &*process::c_string(path.as_bytes()), flags, Mode::empty())
        .ok()?;
    fds::read_append(file.as_fd(), text, 512).ok()?;
    parse(pid, text)
}

/// Reads `PID (NAME) STATE PARENT …`; the name may hold anything.
fn parse(pid: i32, stat: &[u8]) -> Option<Process> {
    let end = stat.iter().rposition(|&b| b == b')')?;
    let mut fields = stat.get(end + 2..)?.split(|&b| b == b' ');
    let state = fields.next()?;
    let parent = number(fields.next()?)?;
    Some(Process { pid, parent, dead: matches!(state, b"Z" | b"X") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_full_of_traps_does_not_hide_the_parent() {
        let stat = b"7 (a) Z 1 (b) S 42 7 7 0";
        assert_eq!(parse(7, stat), Some(Process { pid: 7, parent: 42, dead: false }));
        assert_eq!(parse(7, b"7 (x) Z 1 7"), Some(Process { pid: 7, parent: 1, dead: true }));
        assert_eq!(parse(7, b"7 (x"), None);
        assert_eq!(parse(7, b"7 (x) S"), None);
    }

    #[test]
    fn a_child_is_found_and_a_stranger_is_not() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let mut tree = Tree::default();
        tree.look().unwrap();
        let id = i32::try_from(child.id()).unwrap();
        assert!(tree.members.iter().any(|p| p.pid == id));
        assert!(!tree.members.iter().any(|p| p.pid == 1));
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
