//! From the plan to the fork. Whatever fails here ends the runner, and both sides are told.

use alloc::vec::Vec;

use clawrden_protocol::runner::{FromRunner, Plan, Streams};
use clawrden_protocol::{Ack, ToClient};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::pipe::PipeFlags;
use rustix::process::Pid;

use super::carry::{Carry, Ends};
use super::client::Client;
use super::identity::is_same;
use super::launch::Launch;
use super::{Failure, cannot};
use crate::socket::send_all;
use crate::sys::turns::Flag;
use crate::sys::{child, process};

/// Both sides before there is a child.
pub(super) struct Beginning<'a> {
    warden: &'a OwnedFd,
    client: Client,
}

impl<'a> Beginning<'a> {
    pub(super) fn new(warden: &'a OwnedFd, client: Client) -> Self {
        Self { warden, client }
    }

    /// The client, once the child is there.
    pub(super) fn into_client(self) -> Client {
        self.client
    }

    /// What was got, or the end of it all: both sides are told what the runner could not do.
    pub(super) fn need<T>(&mut self, what: &str, got: Result<T, Errno>) -> T {
        match got {
            Ok(got) => got,
            Err(error) => self.fail(&cannot(what, error)),
        }
    }

    fn fail(&mut self, failure: &Failure) -> ! {
        let Failure { code, ref text } = *failure;
        self.client.tell_failure(code, text);
        self.client.send();
        let mut told = Vec::new();
        FromRunner::Failed { code, text: text.clone() }.encode(&mut told);
        let _ = send_all(self.warden, &told);
        process::exit(0)
    }

    /// Says that the plan has come, and forks. What the client must know goes out before the child can speak to it.
    pub(super) fn start(
        &mut self,
        plan: &Plan,
        files: Vec<OwnedFd>,
        (limit, going): ((u64, u64), Flag),
    ) -> (Pid, OwnedFd, Carry) {
        let mut files = files.into_iter();
        let executable = self.need("execute nothing", files.next().ok_or(Errno::NOENT));
        let (carry, Ends { standard, terminal }) = Carry::new(plan, self);
        // Whose descriptors are wanted has been told so by the warden.
        if plan.streams == Streams::Frames {
            self.client.outbox.put(|out| {
                out.push(Ack::Allowed as u8);
                // An empty frame says that streams are frames: only then may the client read its standard input.
                if plan.version_2 {
                    ToClient::Stdout(&[]).encode(out);
                }
            });
            self.client.send();
        }
        let pipe = rustix::pipe::pipe_with(PipeFlags::CLOEXEC);
        let (status, childs_status) = self.need("make a pipe", pipe);
        let _ = rustix::fs::fcntl_setfl(&status, OFlags::NONBLOCK);
        let launch = Launch {
            plan,
            client: self.client.socket.as_fd(),
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
        let main = self.need("fork", started);
        // The child does the same; whoever comes first, both may rely on it.
        let _ = rustix::process::setpgid(Some(main), Some(main));
        (main, status, carry)
    }
}
