//! From the end of one run to the wait for the next: the runner executes itself anew, so that nothing of the first run
//! is left in it but its process id and its cgroup.

use clawrden_protocol::runner::{ARGV0, FromRunner};
use rustix::fd::{AsFd, OwnedFd};

use crate::socket::send_all;
use crate::sys::fds;
use crate::sys::process::{self, Words};

/// Says that there is nothing left, and becomes a runner without work, with `files` as its limit of descriptors again.
pub(super) fn run(warden: &OwnedFd, files: (u64, u64)) -> ! {
    let _ = process::limit(process::LIMIT_FILES, Some(files));
    let (mut argv, env) = (Words::new(), Words::new());
    argv.push_copy(ARGV0);
    if fds::place(warden.as_fd(), 0).is_ok() && send_all(warden, &FromRunner::Idle.encode()).is_ok()
    {
        process::execute(c"/proc/self/exe", &argv, &env);
    }
    // The warden notices that its runner has gone.
    process::exit(0)
}
