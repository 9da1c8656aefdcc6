//! Handoff: the tool takes the shim's place, or, where the warden wants to be told how it ends, runs as its child.

use alloc::ffi::CString;
use alloc::string::String;
use alloc::vec::Vec;
use core::ffi::CStr;

use clawrden_protocol::frame::{FromClient, Handoff, Status};
use clawrden_protocol::limits::{EXIT_NO_SUCH_TOOL, EXIT_UNREACHABLE};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags};

use crate::say::{self, words};
use crate::socket::send_all;
use crate::sys::process::{self, Change, Waited, Words};
use crate::sys::signal::{self, Signals};
use crate::sys::start::Start;
use crate::sys::waits::{IN, Waits};

/// Carries out the plan; never comes back.
pub(crate) fn run(start: &Start, plan: &Handoff<'_>, socket: &OwnedFd) -> ! {
    if plan.report { report(start, plan, socket) } else { execute(start, plan) }
}

/// Becomes the tool. The connection closes by itself.
fn execute(start: &Start, plan: &Handoff<'_>) -> ! {
    let path = process::c_string(plan.path);
    let set: Vec<CString> = plan.set.iter().map(process::c_string).collect();
    let mut argv = Words::new();
    let name = plan.by_path.then_some(path.as_c_str());
    name.into_iter().chain(start.args().skip(name.map_or(0, |_| 1))).for_each(|arg| argv.push(arg));
    let mut env = Words::new();
    environment(start.env(), &set, |entry| env.push(entry));
    let error = process::execute_or_shell(&path, &argv, &env);
    let code = if error == Errno::NOENT { EXIT_NO_SUCH_TOOL } else { EXIT_UNREACHABLE };
    let path = say::shown(plan.path);
    say::fail(code, &["allowed, but ", &path, " cannot be executed (", &words(error), ")"].concat())
}

/// Gives `env` with each entry of `set` in the place of the first of its name, or at the end. Other entries of that name go,
/// and of several in `set` the last one counts.
fn environment<'a>(
    env: impl Iterator<Item = &'a CStr>,
    set: &'a [CString],
    mut give: impl FnMut(&'a CStr),
) {
    let last = |of: &CStr| set.iter().rposition(|entry| name(entry) == name(of));
    let mut given = alloc::vec![false; set.len()];
    for entry in env {
        match last(entry) {
            None => give(entry),
            Some(at) if core::mem::replace(&mut given[at], true) => {}
            Some(at) => give(&set[at]),
        }
    }
    for (at, entry) in set.iter().enumerate() {
        if !given[at] && last(entry) == Some(at) {
            give(entry);
        }
    }
}

/// An entry's name; an entry without `=` is all name.
fn name(entry: &CStr) -> &[u8] {
    entry.to_bytes().split(|&b| b == b'=').next().unwrap_or_default()
}

/// Runs the tool as a child, tells the warden how it ended, and ends the same way.
fn report(start: &Start, plan: &Handoff<'_>, socket: &OwnedFd) -> ! {
    let before = signal::set_blocked(!0);
    let signals = Signals::of(!0);
    let child = match process::fork() {
        Ok(Some(child)) => child,
        Ok(None) => {
            signal::set_blocked(before);
            execute(start, plan)
        }
        Err(error) => say::fail(EXIT_UNREACHABLE, &cannot("fork", error)),
    };
    let signals = match signals {
        Ok(signals) => signals,
        Err(error) => {
            let _ = signal::kill(child.as_raw_nonzero().get(), signal::KILL);
            say::fail(EXIT_UNREACHABLE, &cannot("watch signals", error))
        }
    };
    let status = follow(child, &signals);
    let mut frame = Vec::new();
    FromClient::Exited(status).encode(&mut frame);
    // The warden may be gone; the tool ran all the same, and how it ended is for the caller.
    let _ = send_all(socket, &frame);
    end_as(status)
}

fn cannot(what: &str, error: Errno) -> String {
    ["allowed, but the shim cannot ", what, " (", &words(error), "); nothing ran"].concat()
}

/// Waits for the child's end. Stops with it, and passes on what was sent to this process alone: what a terminal sends
/// has reached the child as well.
fn follow(child: Pid, signals: &Signals) -> Status {
    let raw = child.as_raw_nonzero().get();
    // Where pidfds are not to be had, SIGCHLD alone wakes us, which is enough.
    let pidfd = rustix::process::pidfd_open(child, PidfdFlags::empty()).ok();
    loop {
        match process::wait(Some(child), false) {
            Waited::Child(_, Change::Ended(status)) => return status,
            Waited::Child(_, Change::Stopped(by)) => {
                signal::act(by);
                let _ = signal::kill(raw, signal::CONT);
                continue;
            }
            Waited::NoChild => return Status::Exited(EXIT_UNREACHABLE),
            Waited::Nothing => {}
        }
        let mut waits = Waits::new();
        waits.add(signals.fd(), IN);
        if let Some(pidfd) = &pidfd {
            waits.add(pidfd.as_fd(), IN);
        }
        waits.wait(None);
        while let Some(received) = signals.next() {
            if received.by_process && received.signal != signal::CHLD {
                let _ = signal::kill(raw, received.signal);
            }
        }
    }
}

/// Ends this process as the tool has ended.
pub(crate) fn end_as(status: Status) -> ! {
    match status {
        Status::Exited(code) => process::exit(code),
        Status::Killed(by) => {
            let _ = rustix::process::set_dumpable_behavior(
                rustix::process::DumpableBehavior::NotDumpable,
            );
            let _ = process::limit(process::LIMIT_CORE, Some((0, 0)));
            signal::act(by);
            process::exit(128u8.saturating_add(by))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(env: &[&CStr], set: &[&CStr]) -> Vec<String> {
        let set: Vec<CString> = set.iter().map(|&s| s.into()).collect();
        let mut all = Vec::new();
        let give = |entry: &CStr| all.push(entry.to_string_lossy().into_owned());
        environment(env.iter().copied(), &set, give);
        all
    }

    #[test]
    fn an_entry_of_the_same_name_is_replaced_in_its_place() {
        assert_eq!(joined(&[c"A=1", c"B=2", c"C=3"], &[c"B=x"]), ["A=1", "B=x", "C=3"]);
    }

    #[test]
    fn a_name_that_was_not_there_comes_last() {
        assert_eq!(joined(&[c"A=1", c"AB=2"], &[c"B=x"]), ["A=1", "AB=2", "B=x"]);
    }

    #[test]
    fn duplicates_of_a_name_that_is_set_go() {
        assert_eq!(joined(&[c"A=1", c"B=2", c"A=3"], &[c"A=x"]), ["A=x", "B=2"]);
        assert_eq!(joined(&[c"A=1"], &[c"A=x", c"A=y"]), ["A=y"]);
        assert_eq!(joined(&[c"A=1"], &[c"B=x", c"B=y"]), ["A=1", "B=y"]);
    }

    #[test]
    fn what_is_not_set_stays_as_odd_as_it_was() {
        assert_eq!(joined(&[c"", c"=x", c"N", c"N"], &[c"M=1"]), ["", "=x", "N", "N", "M=1"]);
    }
}
