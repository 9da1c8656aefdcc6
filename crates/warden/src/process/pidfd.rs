//! Processes by descriptor: a pidfd names one process for ever, so a signal sent through it never hits another one.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{PidfdFlags, Signal, WaitId, WaitIdOptions, pidfd_open, pidfd_send_signal};

use super::proc::{self, Identity, ProcessError};
use crate::sys;

/// Opens the process that has this number at the moment.
///
/// # Errors
/// When there is none, or the descriptors are used up.
pub fn open(pid: u32) -> Result<OwnedFd, ProcessError> {
    let raw = proc::raw_pid(pid)?;
    pidfd_open(raw, PidfdFlags::empty()).map_err(|errno| match errno {
        rustix::io::Errno::SRCH | rustix::io::Errno::INVAL => ProcessError::Gone { pid },
        errno => ProcessError::Read { pid, file: "(pidfd)", source: errno.into() },
    })
}

/// Opens exactly this process.
///
/// # Errors
/// When it is gone, also when its number belongs to another process by now.
pub fn open_identity(identity: Identity) -> Result<OwnedFd, ProcessError> {
    let pidfd = open(identity.pid)?;
    // The order matters. The identity was taken before the open; if it still stands after it, the process had the
    // number all the time, and the descriptor is its own.
    if Identity::of(identity.pid)? == identity {
        Ok(pidfd)
    } else {
        Err(ProcessError::Gone { pid: identity.pid })
    }
}

/// Sends a signal to the process behind the descriptor.
///
/// # Errors
/// `ESRCH` when it has been reaped, `EPERM` when we may not.
pub fn send_signal(pidfd: BorrowedFd<'_>, signal: Signal) -> io::Result<()> {
    Ok(pidfd_send_signal(pidfd, signal)?)
}

/// Whether the process has ended, reaped or not. A descriptor that cannot be asked counts as ended.
#[must_use]
pub fn has_ended(pidfd: BorrowedFd<'_>) -> bool {
    let mut fds = [PollFd::new(&pidfd, PollFlags::IN)];
    loop {
        match poll(&mut fds, Some(&Timespec::default())) {
            Err(rustix::io::Errno::INTR) => {}
            Ok(0) => return false,
            Ok(_) | Err(_) => return true,
        }
    }
}

/// How a process ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExitStatus {
    /// It exited with this code.
    Code(u8),
    /// It was killed by this signal.
    Signal(u8),
    /// The kernel does not say.
    Unknown(Why),
}

/// Why the kernel does not say how a process ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// The process runs, or has ended and its parent has not reaped it. The pidfd polls `HUP` once it is.
    #[error("the process has not been reaped")]
    NotReaped,
    /// The kernel has no such question.
    #[error("the kernel tells exit codes by pidfd only from 6.15 on")]
    NoKernelSupport,
    /// The process belongs to a pid namespace that is not below ours.
    #[error("the process is in a foreign pid namespace")]
    ForeignNamespace,
    /// Something else, as the kernel puts it.
    #[error("the kernel refuses: {0}")]
    Refused(String),
}

impl ExitStatus {
    /// From the status that wait(2) gives.
    #[must_use]
    pub fn from_wait_status(status: i32) -> Self {
        let [low, code, ..] = status.to_le_bytes();
        match low & 0x7f {
            0 => Self::Code(code),
            0x7f => Self::Unknown(Why::NotReaped),
            signal => Self::Signal(signal),
        }
    }
}

/// Whether, and so how, exit codes can be had from a pidfd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExitInfo {
    available: bool,
}

impl ExitInfo {
    /// Finds out by making a child, ending it and asking. Blocks for that long: under a millisecond.
    #[must_use]
    pub fn probe() -> Self {
        const CODE: u8 = 37;
        let told = sys::process::fork_and_exit(CODE).ok().and_then(|pid| {
            let pidfd = open(pid);
            let reaped = proc::raw_pid(pid).and_then(|raw| {
                let waited = rustix::process::waitid(WaitId::Pid(raw), WaitIdOptions::EXITED);
                waited.map_err(|_| ProcessError::Gone { pid })
            });
            // A warden that was started with SIGCHLD ignored has no status to wait for; the kernel reaped it then.
            drop(reaped);
            pidfd.ok()
        });
        let available = told.is_some_and(|pidfd| {
            sys::process::pidfd_exit_status(pidfd.as_fd())
                .is_ok_and(|status| status == Some(i32::from(CODE) << 8))
        });
        Self { available }
    }

    /// Never asks the kernel, as before Linux 6.15.
    #[must_use]
    pub fn disabled() -> Self {
        Self { available: false }
    }

    /// Whether the kernel can be asked.
    #[must_use]
    pub fn is_available(self) -> bool {
        self.available
    }

    /// How the process behind the descriptor ended.
    #[must_use]
    pub fn exit_status(self, pidfd: BorrowedFd<'_>) -> ExitStatus {
        if !self.available {
            return ExitStatus::Unknown(Why::NoKernelSupport);
        }
        let asked = match sys::process::pidfd_exit_status(pidfd) {
            // It was reaped between the kernel's look for its end and its look at the process. The end is there by then.
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {
                sys::process::pidfd_exit_status(pidfd)
            }
            asked => asked,
        };
        match asked {
            Ok(Some(status)) => ExitStatus::from_wait_status(status),
            Ok(None) => ExitStatus::Unknown(Why::NotReaped),
            Err(error) => ExitStatus::Unknown(match error.raw_os_error() {
                Some(libc::EREMOTE) => Why::ForeignNamespace,
                _ => Why::Refused(error.to_string()),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command};

    use super::*;

    fn sleeper() -> Child {
        Command::new("sleep").arg("60").spawn().unwrap()
    }

    fn ended(script: &str) -> OwnedFd {
        let mut child = Command::new("sh").args(["-c", script]).spawn().unwrap();
        let pidfd = open(child.id()).unwrap();
        child.wait().unwrap();
        pidfd
    }

    #[test]
    fn a_signal_ends_the_process_and_the_descriptor_shows_it() {
        let mut child = sleeper();
        let pidfd = open_identity(Identity::of(child.id()).unwrap()).unwrap();
        assert!(!has_ended(pidfd.as_fd()));
        send_signal(pidfd.as_fd(), Signal::TERM).unwrap();
        child.wait().unwrap();
        assert!(has_ended(pidfd.as_fd()));
        assert_eq!(
            send_signal(pidfd.as_fd(), Signal::TERM).unwrap_err().raw_os_error(),
            Some(libc::ESRCH)
        );
    }

    #[test]
    fn a_reused_number_is_not_opened() {
        let mut child = sleeper();
        let identity = Identity::of(child.id()).unwrap();
        let former = Identity { start_ticks: identity.start_ticks - 1, ..identity };
        assert!(matches!(open_identity(former), Err(ProcessError::Gone { .. })));
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn numbers_that_are_no_process_do_not_open() {
        for pid in [0, u32::MAX, 0x7fff_ffff] {
            assert!(matches!(open(pid), Err(ProcessError::Gone { .. })), "{pid}");
        }
    }

    #[test]
    fn codes_and_signals_come_from_the_kernel_where_it_has_them() {
        let info = ExitInfo::probe();
        if !info.is_available() {
            return;
        }
        for code in [0, 1, 42, 255] {
            let pidfd = ended(&format!("exit {code}"));
            assert_eq!(info.exit_status(pidfd.as_fd()), ExitStatus::Code(code));
        }
        for signal in [9, 11, 15] {
            let pidfd = ended(&format!("kill -{signal} $$"));
            assert_eq!(info.exit_status(pidfd.as_fd()), ExitStatus::Signal(signal));
        }
    }

    #[test]
    fn a_process_that_is_not_reaped_has_no_status_yet() {
        let info = ExitInfo::probe();
        if !info.is_available() {
            return;
        }
        let mut child = sleeper();
        let pidfd = open(child.id()).unwrap();
        assert_eq!(info.exit_status(pidfd.as_fd()), ExitStatus::Unknown(Why::NotReaped));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(info.exit_status(pidfd.as_fd()), ExitStatus::Signal(9));
    }

    #[test]
    fn who_asks_while_it_is_reaped_is_told_how_it_ended() {
        let info = ExitInfo::probe();
        if !info.is_available() {
            return;
        }
        for round in 0..500 {
            let pid = sys::process::fork_and_exit(7).unwrap();
            let pidfd = open(pid).unwrap();
            let reaped = std::thread::spawn(move || {
                let raw = proc::raw_pid(pid).unwrap();
                rustix::process::waitid(WaitId::Pid(raw), WaitIdOptions::EXITED).unwrap();
            });
            let told = loop {
                match info.exit_status(pidfd.as_fd()) {
                    ExitStatus::Unknown(Why::NotReaped) => {}
                    told => break told,
                }
            };
            reaped.join().unwrap();
            assert_eq!(told, ExitStatus::Code(7), "in round {round}");
        }
    }

    #[test]
    fn the_descriptor_tells_an_ended_process_from_a_reaped_one() {
        let info = ExitInfo::probe();
        if !info.is_available() {
            return;
        }
        let shown = |pidfd: &OwnedFd| {
            let mut fds = [PollFd::new(pidfd, PollFlags::IN)];
            poll(&mut fds, None).unwrap();
            fds[0].revents()
        };
        let mut child = Command::new("true").spawn().unwrap();
        let pidfd = open(child.id()).unwrap();
        assert_eq!(shown(&pidfd), PollFlags::IN);
        assert!(has_ended(pidfd.as_fd()));
        child.wait().unwrap();
        assert!(shown(&pidfd).contains(PollFlags::HUP));
    }

    #[test]
    fn a_disabled_probe_says_unknown_with_its_cause() {
        let pidfd = ended("exit 3");
        let status = ExitInfo::disabled().exit_status(pidfd.as_fd());
        assert_eq!(status, ExitStatus::Unknown(Why::NoKernelSupport));
    }

    #[test]
    fn a_wait_status_is_taken_apart() {
        assert_eq!(ExitStatus::from_wait_status(0x0300), ExitStatus::Code(3));
        assert_eq!(ExitStatus::from_wait_status(0x008b), ExitStatus::Signal(11));
        assert_eq!(ExitStatus::from_wait_status(0x137f), ExitStatus::Unknown(Why::NotReaped));
    }
}
