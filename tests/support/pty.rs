//! A terminal for a test: a shell on one end, the test on the other.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::Winsize;

use super::PATIENCE;

/// A process with a terminal of its own.
pub struct Pty {
    master: File,
    pub child: Child,
    /// Everything that was shown.
    pub shown: Vec<u8>,
    read_to: usize,
}

impl Pty {
    /// Runs `command` on a new terminal of 30 rows and 100 columns, as the leader of its session.
    pub fn spawn(command: &mut Command) -> Self {
        Self::spawn_sized(command, 30, 100)
    }

    /// The same, on one of so many rows and columns.
    pub fn spawn_sized(command: &mut Command, rows: u16, cols: u16) -> Self {
        let master =
            openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let slave = rustix::fs::open(name.as_c_str(), flags, Mode::empty()).unwrap();
        resize(master.as_fd().try_clone_to_owned().unwrap(), rows, cols);
        command.stdin(slave.try_clone().unwrap()).stdout(slave.try_clone().unwrap()).stderr(slave);
        // SAFETY: both calls are plain system calls, which is all that may be done between fork and exec.
        unsafe {
            command.pre_exec(|| {
                rustix::process::setsid()?;
                rustix::process::ioctl_tiocsctty(rustix::stdio::stdin())?;
                Ok(())
            });
        }
        let child = command.spawn().unwrap();
        // The parent's copies of the slave would keep the terminal open.
        command.stdin(std::process::Stdio::null());
        command.stdout(std::process::Stdio::null());
        command.stderr(std::process::Stdio::null());
        Self { master: master.into(), child, shown: Vec::new(), read_to: 0 }
    }

    /// Types.
    pub fn send(&mut self, text: &str) {
        self.master.write_all(text.as_bytes()).unwrap();
    }

    /// Gives the window another size.
    pub fn resize(&self, rows: u16, cols: u16) {
        resize(self.master.as_fd().try_clone_to_owned().unwrap(), rows, cols);
    }

    /// How the terminal is set.
    pub fn modes(&self) -> rustix::termios::Termios {
        rustix::termios::tcgetattr(&self.master).unwrap()
    }

    /// Reads until `wanted` is shown behind what was waited for before, and gives what came up to its end.
    pub fn expect(&mut self, wanted: &str) -> String {
        let start = Instant::now();
        loop {
            let fresh = &self.shown[self.read_to..];
            if let Some(at) = find(fresh, wanted.as_bytes()) {
                let end = at + wanted.len();
                let text = String::from_utf8_lossy(&fresh[..end]).into_owned();
                self.read_to += end;
                return text;
            }
            let left = PATIENCE.checked_sub(start.elapsed());
            let more = left.is_some_and(|_| self.read_within(PATIENCE));
            assert!(
                more,
                "{wanted:?} did not come; shown: {:?}",
                String::from_utf8_lossy(&self.shown)
            );
        }
    }

    /// Reads what is shown within this time. `false`: there was nothing, or every process has closed the terminal.
    pub fn read_within(&mut self, time: Duration) -> bool {
        let timeout = Timespec::try_from(time).unwrap();
        let fd = self.master.as_fd();
        let mut fds = [PollFd::new(&fd, PollFlags::IN)];
        if poll(&mut fds, Some(&timeout)).unwrap() == 0 {
            return false;
        }
        let mut chunk = [0; 4096];
        match self.master.read(&mut chunk) {
            Ok(n) if n > 0 => {
                self.shown.extend_from_slice(&chunk[..n]);
                true
            }
            // EIO: every process has closed the terminal.
            _ => false,
        }
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn resize(master: OwnedFd, rows: u16, cols: u16) {
    let size = Winsize { ws_row: rows, ws_col: cols, ws_xpixel: 0, ws_ypixel: 0 };
    rustix::termios::tcsetwinsize(master, size).unwrap();
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
