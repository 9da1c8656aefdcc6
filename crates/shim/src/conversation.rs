//! The talk with the warden up to its decision, and doing what was decided.

use alloc::string::String;
use alloc::vec::Vec;

use clawrden_protocol::Ack;
use clawrden_protocol::error::ProtocolError;
use clawrden_protocol::frame::{ToClient, starts_frame};
use clawrden_protocol::limits::{EXIT_DENIED, EXIT_STILL_WAITING, EXIT_UNREACHABLE};
use rustix::fd::{AsFd, OwnedFd};
use rustix::net::RecvFlags;

use crate::inbox::{Inbox, Next, ROOM};
use crate::say::{self, words};
use crate::socket::{self, send_all};
use crate::sys::waits::{IN, Waits};
use crate::sys::{process, start::Start};
use crate::{caller, handoff, streams};

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
    drop(request);
    Conversation { socket, inbox: Inbox::new(), stage: Stage::Asked }.run(start)
}

struct Conversation {
    socket: OwnedFd,
    inbox: Inbox,
    stage: Stage,
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
                Ok(Ack::Pending) if self.stage == Stage::Asked => self.stage = Stage::Pending,
                Ok(Ack::Pending) => self.malformed(&ProtocolError::UnknownAck(byte)),
                Err(error) => self.malformed(&error),
            }
        }
    }

    /// A frame while a person is asked.
    fn waiting(&mut self) {
        let (kind, payload) = self.frame();
        match ToClient::parse(kind, &payload) {
            Ok(ToClient::Notice(text)) => say::line(text),
            Ok(ToClient::StillWaiting(text)) => say::fail(EXIT_STILL_WAITING, text),
            Ok(ToClient::Failure { code, text }) => say::fail(code, text),
            Ok(_) => self.malformed(&ProtocolError::UnknownFrame(kind)),
            Err(error) => self.malformed(&error),
        }
    }

    fn denied(&mut self) -> ! {
        let (kind, payload) = self.frame();
        match ToClient::parse(kind, &payload) {
            Ok(ToClient::Denial { rule, reason }) => say::fail(EXIT_DENIED, &denial(rule, reason)),
            Ok(ToClient::Failure { code, text }) => say::fail(code, text),
            Ok(_) => self.malformed(&ProtocolError::UnknownFrame(kind)),
            Err(error) => self.malformed(&error),
        }
    }

    fn allowed(mut self, start: &Start) -> ! {
        self.stage = Stage::Allowed;
        loop {
            match self.inbox.next() {
                Ok(Next::More) => self.receive(),
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

    /// A whole control frame. It is copied: these come once or twice in a request's life.
    fn frame(&mut self) -> (u8, Vec<u8>) {
        loop {
            match self.inbox.next() {
                Ok(Next::More) => self.receive(),
                Ok(Next::Frame(kind, range)) => return (kind, self.inbox.bytes(range).into()),
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
                None => self.receive(),
            }
        }
    }

    fn receive(&mut self) {
        // Who sleeps in a receive is woken whenever the other side takes something; who polls is not.
        let mut waits = Waits::new();
        waits.add(self.socket.as_fd(), IN);
        waits.wait(None);
        match self.inbox.receive(self.socket.as_fd(), RecvFlags::empty(), ROOM) {
            Ok(1..) => {}
            Ok(0) => say::fail(EXIT_UNREACHABLE, self.lost()),
            Err(error) => {
                say::fail(EXIT_UNREACHABLE, &[self.lost(), " (", &words(error), ")"].concat())
            }
        }
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
