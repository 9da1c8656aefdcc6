//! From the plan to the fork.

use alloc::vec::Vec;

use clawrden_protocol::runner::{Plan, Streams};
use clawrden_protocol::{Ack, ToClient};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::pipe::PipeFlags;
use rustix::process::Pid;

use super::beginning::Beginning;
use super::carry::{Carry, Ends};
use super::identity::is_same;
use super::launch::Launch;
use crate::sys::child;
use crate::sys::turns::Flag;

/// Says that the plan has come, and forks. What the client must know goes out before the child can speak to it.
pub(super) fn start(
    beginning: &mut Beginning<'_>,
    plan: &Plan,
    files: Vec<OwnedFd>,
    (limit, going): ((u64, u64), Flag),
) -> (Pid, OwnedFd, Carry) {
    let mut files = files.into_iter();
    let executable = beginning.need("execute nothing", files.next().ok_or(Errno::NOENT));
    let (carry, Ends { standard, terminal }) = Carry::new(plan, beginning);
    // Whose descriptors are wanted has been told so by the warden.
    if plan.streams == Streams::Frames {
        beginning.client.outbox.put(|out| {
            out.push(Ack::Allowed as u8);
            // An empty frame says that streams are frames: only then may the client read its standard input.
            if plan.version_2 {
                ToClient::Stdout(&[]).encode(out);
            }
        });
        beginning.client.send();
    }
    let pipe = rustix::pipe::pipe_with(PipeFlags::CLOEXEC);
    let (status, childs_status) = beginning.need("make a pipe", pipe);
    let _ = rustix::fs::fcntl_setfl(&status, OFlags::NONBLOCK);
    let launch = Launch {
        plan,
        client: beginning.client.socket.as_fd(),
        files: limit,
        executable,
        cwd: files.next(),
        standard,
        terminal,
        foreground: carry.has_keyboard(),
        status: childs_status,
        going,
    };
    // The memory of one who becomes somebody else may be open to that somebody, by the kernel's settings. It is not to be
    // ours.
    let started = child::start(is_same(plan) == (true, true), launch);
    let main = beginning.need("fork", started);
    // The child does the same; whoever comes first, both may rely on it.
    let _ = rustix::process::setpgid(Some(main), Some(main));
    (main, status, carry)
}
