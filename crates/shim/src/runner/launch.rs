//! The child's side of a start: from the fork to the exec of the tool.
//!
//! The client's descriptors are received here and nowhere else: one that hangs can be ended with this process.

use alloc::vec::Vec;

use clawrden_protocol::limits::{EXIT_NO_SUCH_TOOL, EXIT_UNREACHABLE};
use clawrden_protocol::runner::{Plan, Streams};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::Mode;
use rustix::io::{Errno, FdFlags};

use super::intake::{self, Inherited};
use super::{Failure, OWN, identity};
use crate::say::{self, decimal, words};
use crate::sys::child::Work;
use crate::sys::modes::Modes;
use crate::sys::process::{self, Words};
use crate::sys::turns::Flag;
use crate::sys::{fds, signal};

/// What the child starts from. It owns descriptors, and nothing else.
pub(super) struct Launch<'a> {
    pub(super) plan: &'a Plan,
    pub(super) client: BorrowedFd<'a>,
    /// The runner's own limit of descriptors.
    pub(super) files: (u64, u64),
    /// The file to execute.
    pub(super) executable: OwnedFd,
    /// The working directory, where the warden opened it.
    pub(super) cwd: Option<OwnedFd>,
    /// Standard input, output and error, where they travel as frames.
    pub(super) standard: [Option<OwnedFd>; 3],
    /// The terminal that stands for the caller's.
    pub(super) terminal: Option<OwnedFd>,
    /// The terminal's foreground is the tool's from the start.
    pub(super) foreground: bool,
    /// Where a failure is told; closed by the exec.
    pub(super) status: OwnedFd,
    /// Set just before the exec.
    pub(super) going: Flag,
}

/// A descriptor for the tool, and the number that it gets.
type Numbered = (i32, OwnedFd);

impl Work for Launch<'_> {
    /// Becomes the tool, or tells why not.
    fn run(mut self) -> ! {
        // Its own process group, which alone is signalled.
        let _ = rustix::process::setpgid(None, None);
        if let Some(terminal) = self.terminal.as_ref().filter(|_| self.foreground) {
            let _ = rustix::termios::tcsetpgrp(terminal, rustix::process::getpid());
        }
        let tool = self.descriptors();
        self.place(tool);
        let plan = self.plan;
        let _ = rustix::process::umask(Mode::from_raw_mode(plan.umask & 0o777));
        // Only root may go below its own nice value; what cannot be had is not needed to run.
        let _ = rustix::process::setpriority_process(None, plan.nice);
        identity::set_limits(plan, self.files);
        if let Err(failure) = identity::become_user(plan) {
            self.tell(&failure)
        }
        self.go_to_place();
        identity::set_signals(plan);
        self.going.set(true);
        signal::set_blocked(plan.blocked);
        self.execute()
    }
}

impl Launch<'_> {
    fn tell(&self, failure: &Failure) -> ! {
        let _ = rustix::io::write(&self.status, &[&[failure.code], &failure.text[..]].concat());
        process::exit(failure.code)
    }

    fn fail(&self, parts: &[&str]) -> ! {
        self.tell(&Failure::new(EXIT_UNREACHABLE, [&parts.concat(), "; nothing ran"].concat()))
    }

    /// The tool's descriptors; goes to its working directory by the way.
    fn descriptors(&mut self) -> Vec<Numbered> {
        let plan = self.plan;
        let (mut tool, cwd) = match plan.streams {
            Streams::Descriptors => match intake::descriptors(self.client) {
                Ok(Inherited { files, cwd }) => (files, Some(cwd)),
                Err(failure) => self.tell(&failure),
            },
            Streams::Frames => {
                let mut tool = Vec::new();
                for (number, fd) in (0..).zip(&mut self.standard) {
                    tool.extend(fd.take().map(|fd| (number, fd)));
                }
                (tool, self.cwd.take())
            }
        };
        match cwd {
            _ if !plan.place.is_empty() => {}
            Some(cwd) => self.enter(&cwd),
            None => self.fail(&["the warden sent no working directory"]),
        }
        if let (Some(terminal), Some((bits, ..))) = (&self.terminal, plan.tty) {
            copy_modes(&tool, bits, terminal);
            for number in (0..3).filter(|&n| is_terminal(bits, n)) {
                tool.retain(|&(n, _)| n != number);
                tool.push((number, self.moved(terminal, OWN)));
            }
        }
        tool
    }

    /// Goes to the working directory, which must still be the one that was decided on.
    fn enter(&self, cwd: &OwnedFd) {
        let found = rustix::fs::fstat(cwd).map(|stat| (stat.st_dev, stat.st_ino));
        if self.plan.cwd.is_some_and(|decided| found != Ok(decided)) {
            self.fail(&["the working directory has changed after the decision"])
        }
        if let Err(error) = rustix::process::fchdir(cwd) {
            self.fail(&["the working directory cannot be entered (", &words(error), ")"])
        }
    }

    /// Goes to a working directory of the warden's side, by the rights of the user that the tool runs as.
    fn go_to_place(&self) {
        if self.plan.place.is_empty() {
            return;
        }
        if let Err(error) = rustix::process::chdir(&*process::c_string(&self.plan.place)) {
            self.fail(&["the working directory cannot be entered (", &words(error), ")"])
        }
        let found = rustix::fs::stat(c".").map(|stat| (stat.st_dev, stat.st_ino));
        if found.ok() != self.plan.cwd {
            self.fail(&["the working directory has changed after the decision"])
        }
    }

    /// Gives the tool's descriptors their numbers. What lies there and is still needed is moved out of the way before;
    /// what they had until then goes with the exec.
    fn place(&mut self, mut tool: Vec<Numbered>) {
        let above = tool.iter().map(|&(n, _)| n.saturating_add(1)).fold(OWN, i32::max);
        let is_taken = |fd: &OwnedFd| tool.iter().any(|&(n, _)| n == fd.as_raw_fd());
        if is_taken(&self.status) {
            self.status = self.moved(&self.status, above);
        }
        if is_taken(&self.executable) {
            self.executable = self.moved(&self.executable, above);
        }
        for at in 0..tool.len() {
            let Some(((number, fd), later)) = tool[at..].split_first_mut() else { break };
            if let Some((_, there)) = later.iter_mut().find(|(_, fd)| fd.as_raw_fd() == *number) {
                *there = self.moved(there, above);
            }
            if let Err(error) = fds::place(fd.as_fd(), *number) {
                let words = words(error);
                let number = decimal(*number);
                self.fail(&["descriptor ", &number, " cannot be had here (", &words, ")"])
            }
        }
        for number in (0..3).filter(|n| tool.iter().all(|(taken, _)| taken != n)) {
            fds::close(number);
        }
        core::mem::forget(tool);
    }

    fn moved(&self, fd: &OwnedFd, above: i32) -> OwnedFd {
        match rustix::io::fcntl_dupfd_cloexec(fd, above) {
            Ok(fd) => fd,
            Err(error) => {
                self.fail(&["the caller's descriptors cannot be kept (", &words(error), ")"])
            }
        }
    }

    /// Executes the tool by its descriptor, or a script by its path.
    fn execute(&self) -> ! {
        let plan = self.plan;
        let (mut argv, mut env) = (Words::new(), Words::new());
        plan.argv.iter().for_each(|word| argv.push_copy(word));
        plan.env.iter().for_each(|entry| env.push_copy(entry));
        if plan.keep_open {
            let _ = rustix::io::fcntl_setfd(&self.executable, FdFlags::empty());
        }
        let error = if plan.script.is_empty() || plan.keep_open {
            process::execute_open(self.executable.as_fd(), &argv, &env)
        } else {
            self.check_script();
            process::execute_or_shell(&process::c_string(&plan.script), &argv, &env)
        };
        let code = if error == Errno::NOENT { EXIT_NO_SUCH_TOOL } else { EXIT_UNREACHABLE };
        let name = plan.argv.first().map(Vec::as_slice).unwrap_or_default();
        let name = say::shown(name);
        let text = ["allowed, but ", &name, " cannot be executed (", &words(error), ")"].concat();
        self.tell(&Failure::new(code, text))
    }

    /// A script is opened by its interpreter once more, so its path must still lead to the file that was decided on.
    fn check_script(&self) {
        let by_path =
            rustix::fs::stat(&*process::c_string(&self.plan.script)).map(|s| (s.st_dev, s.st_ino));
        let decided = rustix::fs::fstat(&self.executable).map(|s| (s.st_dev, s.st_ino));
        if by_path == Err(Errno::NOENT) {
            let text = "the script has gone after the decision; nothing ran";
            self.tell(&Failure::new(EXIT_NO_SUCH_TOOL, text))
        }
        if by_path.is_err() || by_path != decided {
            self.fail(&["the script has changed after the decision"])
        }
    }
}

/// Gives the new terminal the modes of the caller's. Modes that cannot be read leave it as it is: usable.
fn copy_modes(tool: &[Numbered], bits: u8, terminal: &OwnedFd) {
    let theirs = tool.iter().filter(|&&(n, _)| is_terminal(bits, n));
    if let Some(modes) = theirs.filter_map(|(_, fd)| Modes::of(fd.as_fd()).ok()).next() {
        let _ = modes.set(terminal.as_fd());
    }
}

fn is_terminal(bits: u8, number: i32) -> bool {
    (0..3).contains(&number) && bits & (1 << number) != 0
}
