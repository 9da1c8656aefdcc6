//! The client's connection, in the words of the version that the client speaks.

use alloc::string::String;

use clawrden_protocol::ToClient;
use clawrden_protocol::frame::Status;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::OFlags;
use rustix::net::RecvFlags;

use crate::inbox::Inbox;
use crate::outbox::Outbox;
use crate::say;

/// A client that is still there.
pub(super) struct Client {
    pub(super) socket: OwnedFd,
    pub(super) inbox: Inbox,
    pub(super) outbox: Outbox,
    /// It has closed its sending side; it may still read.
    pub(super) silent: bool,
    version_2: bool,
}

/// What receiving gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    Something,
    /// It sends no more.
    Silence,
    /// It has gone.
    Gone,
}

impl Client {
    pub(super) fn new(socket: OwnedFd, version_2: bool) -> Self {
        // What goes from a pipe straight to the connection waits unless the connection itself says not to.
        let _ = rustix::fs::fcntl_setfl(&socket, OFlags::NONBLOCK);
        Self { socket, inbox: Inbox::new(), outbox: Outbox::new(), silent: false, version_2 }
    }

    /// Whether it may still say something, and there is room for it.
    pub(super) fn is_heard(&self) -> bool {
        !self.silent && self.inbox.has_room()
    }

    /// Receives at most `portion` bytes of what is there.
    pub(super) fn receive(&mut self, portion: usize) -> Heard {
        use rustix::io::Errno;
        match self.inbox.receive(self.socket.as_fd(), RecvFlags::DONTWAIT, portion) {
            Ok(1..) | Err(Errno::AGAIN | Errno::NOBUFS) => Heard::Something,
            Ok(0) => {
                self.silent = true;
                Heard::Silence
            }
            Err(_) => Heard::Gone,
        }
    }

    /// Queues how the tool ended.
    pub(super) fn tell_end(&mut self, status: Status) {
        let frame = match status {
            Status::Exited(code) => ToClient::Exit(code),
            Status::Killed(signal) if self.version_2 => ToClient::ExitBySignal(signal),
            Status::Killed(signal) => ToClient::Exit(128u8.saturating_add(signal)),
        };
        self.outbox.put(|out| frame.encode(out));
    }

    /// Queues that the command ended by our doing, or did not start.
    pub(super) fn tell_failure(&mut self, code: u8, text: &[u8]) {
        let text = say::shown(text);
        if self.version_2 {
            self.outbox.put(|out| ToClient::Failure { code, text: &text }.encode(out));
            return;
        }
        let line = say::line_of(&text);
        self.outbox.put(|out| {
            ToClient::Stderr(&line).encode(out);
            ToClient::Exit(code).encode(out);
        });
    }

    /// Queues that the tool was stopped; version 1 has no word for it.
    pub(super) fn tell_stopped(&mut self, by: u8) {
        if self.version_2 {
            self.outbox.put_spare(|out| ToClient::Stopped(by).encode(out));
        }
    }

    /// Sends what the client takes. `false`: it has gone.
    pub(super) fn send(&mut self) -> bool {
        self.outbox.send(self.socket.as_fd()).is_ok()
    }
}

/// The line for a client whose warden has gone. A child that has not told yet may be the tool already.
pub(super) fn warden_gone(started: bool) -> String {
    let ran =
        if started { "the command was ended" } else { "the command was ended and may have run" };
    ["the warden went away; ", ran].concat()
}
