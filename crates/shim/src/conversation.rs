//! The talk with the warden up to its decision, and doing what was decided.

use alloc::string::String;
use alloc::vec::Vec;

use clawrden_protocol::Ack;
use clawrden_protocol::error::ProtocolError;
use clawrden_protocol::frame::{ToClient, starts_frame};
use clawrden_protocol::limits::{EXIT_DENIED, EXIT_STILL_WAITING, EXIT_UNREACHABLE, RECONNECT};
use rustix::fd::{AsFd, OwnedFd};
use rustix::net::RecvFlags;

use crate::inbox::{Inbox, Next, ROOM};
use crate::say::{self, words};
use crate::socket::{self, send_all};
use crate::sys::waits::{IN, Waits};
use crate::sys::{process, start::Start};
use crate::{caller, handoff, streams};

/// Milliseconds between two looks for a warden that has gone.
const PAUSE: u64 = 100;

/// How far the warden has come with our request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Asked,
    Pending,
    Allowed,
}

/// Asks the warden, and does what it says.
pub(crate) fn run(start: &Start) -> ! {
    // Before connecting, which wakes the warden: what it is woken for is there at once then.
    let request = match caller::request(start) {
        Ok(request) => request,
        Err(error) => {
            say::fail(EXIT_UNREACHABLE, &[say::problem(&error), "; nothing ran"].concat())
        }
    };
    let path = socket::address(start);
    let connection = socket::connect(&path);
    let socket = match connection {
        Ok(socket) => socket,
        Err(error) => say::fail(EXIT_UNREACHABLE, &socket::unreachable(&path, error)),
    };
    // A warden that closes early may have said why before, so the answer is read in any case.
    let _ = send_all(&socket, &request);
    let (patience, left) = (RECONNECT.as_secs() * 1000, 0);
    let inbox = Inbox::new();
    Conversation { path, request, socket, inbox, stage: Stage::Asked, patience, left }.run(start)
}

struct Conversation {
    path: Vec<u8>,
    request: Vec<u8>,
    socket: OwnedFd,
    inbox: Inbox,
    stage: Stage,
    /// Milliseconds for which the warden is looked for again, should it go while a person is asked.
    patience: u64,
    /// What is left of them. None before a person is asked, nor once the command is allowed: it might run twice.
    left: u64,
}

impl Conversation {
    fn run(mut self, start: &Start) -> ! {
        loop {
            let byte = self.peek();
            if self.stage == Stage::Pending && starts_frame(byte) {
                self.waiting();
                continue;
            }
            let _ = self.inbox.byte();
            match Ack::try_from(byte) {
                Ok(Ack::Allowed) => self.allowed(start),
                Ok(Ack::Denied) => self.denied(),
                Ok(Ack::Pending) if self.stage == Stage::Asked => {
                    self.stage = Stage::Pending;
                    self.left = self.patience;
                }
                Ok(Ack::Pending) => self.malformed(&ProtocolError::UnknownAck(byte)),
                Err(error) => self.malformed(&error),
            }
        }
    }

    /// A frame while a person is asked.
    fn waiting(&mut self) {
        // Cut off, it comes again or not; what was asked once more is answered from the front.
        let Some((kind, payload)) = self.frame() else { return };
        match ToClient::parse(kind, &payload) {
            Ok(ToClient::Notice(text)) => say::line(text),
            Ok(ToClient::StillWaiting(text)) => say::fail(EXIT_STILL_WAITING, text),
            Ok(ToClient::Reconnect(seconds)) => {
                self.patience = u64::from(seconds) * 1000;
                self.left = self.patience;
            }
            Ok(ToClient::Failure { code, text }) => say::fail(code, text),
            Ok(_) => self.malformed(&ProtocolError::UnknownFrame(kind)),
            Err(error) => self.malformed(&error),
        }
    }

    fn denied(&mut self) -> ! {
        self.left = 0;
        let (kind, payload) = self.frame().unwrap_or_default();
        match ToClient::parse(kind, &payload) {
            Ok(ToClient::Denial { rule, reason }) => say::fail(EXIT_DENIED, &denial(rule, reason)),
            Ok(ToClient::Failure { code, text }) => say::fail(code, text),
            Ok(_) => self.malformed(&ProtocolError::UnknownFrame(kind)),
            Err(error) => self.malformed(&error),
        }
    }

    fn allowed(mut self, start: &Start) -> ! {
        self.stage = Stage::Allowed;
        self.left = 0;
        loop {
            match self.inbox.next() {
                Ok(Next::More) => drop(self.receive()),
                Ok(Next::Stream(..)) => streams::run(self.socket, self.inbox, streams::By::Frames),
                Ok(Next::Frame(kind, range)) => {
                    match ToClient::parse(kind, self.inbox.bytes(range)) {
                        Ok(ToClient::Handoff(plan)) => handoff::run(start, &plan, &self.socket),
                        Ok(ToClient::WantDescriptors) => {
                            streams::run(self.socket, self.inbox, streams::By::Descriptors)
                        }
                        Ok(ToClient::Notice(text)) => say::line(text),
                        Ok(ToClient::Failure { code, text }) => say::fail(code, text),
                        Ok(ToClient::Exit(code)) => process::exit(code),
                        Ok(_) => self.malformed(&ProtocolError::UnknownFrame(kind)),
                        Err(error) => self.malformed(&error),
                    }
                }
                Err(error) => self.malformed(&error),
            }
        }
    }

    /// A whole control frame; `None` when the request was made anew meanwhile. It is copied: these come once or twice in
    /// a request's life.
    fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        loop {
            match self.inbox.next() {
                Ok(Next::More) if self.receive() => return None,
                Ok(Next::More) => {}
                Ok(Next::Frame(kind, range)) => {
                    return Some((kind, self.inbox.bytes(range).into()));
                }
                Ok(Next::Stream(kind, _)) => {
                    self.malformed(&ProtocolError::UnknownFrame(kind));
                }
                Err(error) => self.malformed(&error),
            }
        }
    }

    fn peek(&mut self) -> u8 {
        loop {
            match self.inbox.peek() {
                Some(byte) => return byte,
                None => drop(self.receive()),
            }
        }
    }

    /// Receives something; `true` where that is the answer to the request that was made anew.
    fn receive(&mut self) -> bool {
        // Who sleeps in a receive is woken whenever the other side takes something; who polls is not.
        let mut waits = Waits::new();
        waits.add(self.socket.as_fd(), IN);
        if !waits.come_soon() {
            waits.wait(None);
        }
        match self.inbox.receive(self.socket.as_fd(), RecvFlags::empty(), ROOM) {
            Ok(1..) => return false,
            _ if self.left > 0 => self.again(),
            Ok(0) => say::fail(EXIT_UNREACHABLE, self.lost()),
            Err(error) => {
                say::fail(EXIT_UNREACHABLE, &[self.lost(), " (", &words(error), ")"].concat())
            }
        }
        true
    }

    /// Looks for a warden that has gone, and asks it the very same: it knows by the id what has waited before.
    fn again(&mut self) {
        self.stage = Stage::Asked;
        self.inbox = Inbox::new();
        while self.left > 0 {
            Waits::new().wait(Some(PAUSE));
            self.left = self.left.saturating_sub(PAUSE);
            if let Ok(socket) = socket::connect(&self.path) {
                let _ = send_all(&socket, &self.request);
                self.socket = socket;
                return;
            }
        }
        say::fail(
            EXIT_UNREACHABLE,
            "the warden went away while the command waited, and did not come back in time; nothing ran",
        )
    }

    fn lost(&self) -> &'static str {
        match self.stage {
            Stage::Asked => "the warden went away before it decided; nothing ran",
            Stage::Pending => "the warden went away while the command waited; nothing ran",
            Stage::Allowed => "the warden went away; the command had been allowed and may have run",
        }
    }

    fn malformed(&self, error: &ProtocolError) -> ! {
        let ran = match self.stage {
            Stage::Asked | Stage::Pending => "nothing ran",
            Stage::Allowed => "the command had been allowed and may have run",
        };
        say::fail(
            EXIT_UNREACHABLE,
            &["the warden's answer is not understood: ", say::problem(error), "; ", ran].concat(),
        )
    }
}

/// `denied: REASON (RULE)`, without what is empty.
fn denial(rule: &str, reason: &str) -> String {
    let mut line = String::from("denied");
    if !reason.is_empty() {
        line += &[": ", reason].concat();
    }
    if !rule.is_empty() {
        line += &[" (", rule, ")"].concat();
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denial_says_reason_and_rule_where_there_are_any() {
        assert_eq!(denial("policy.yaml:3", "no deletion"), "denied: no deletion (policy.yaml:3)");
        assert_eq!(denial("", "no"), "denied: no");
        assert_eq!(denial("p:1", ""), "denied (p:1)");
        assert_eq!(denial("", ""), "denied");
    }
}
