//! Answering a client in the version that it speaks.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use clawrden_protocol::frame::Handoff;
use clawrden_protocol::limits::{EXIT_DENIED, RECONNECT};
use clawrden_protocol::{Ack, FrameBuffer, FromClient, ToClient};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::connection::Connection;
use crate::sys::limits;

/// How long a client may take to read an answer before it is given up.
const WRITE_DEADLINE: Duration = Duration::from_secs(5);

/// The longest text that goes into an answer, in bytes; longer ones are cut.
const MAX_TEXT: usize = 4096;

/// A connection whose request was read.
#[derive(Debug)]
pub(crate) struct Reply {
    connection: Connection,
    version_2: bool,
    /// It has been told that its command is allowed.
    allowed: bool,
    /// It has been told that it waits.
    pending: bool,
    incoming: FrameBuffer,
}

/// Why an answer did not reach a client.
#[derive(Debug)]
pub(crate) struct Unsent {
    pub(crate) error: io::Error,
    /// Some of it did.
    pub(crate) in_part: bool,
}

/// What a client does while it waits.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Interruption {
    /// It closed the connection, or sent what is not of the protocol.
    Gone,
    /// It asked for the command to be ended.
    Cancelled,
}

impl Reply {
    pub(crate) fn new(connection: impl Into<Connection>, version_2: bool) -> Self {
        let connection = connection.into();
        Self { connection, version_2, allowed: false, pending: false, incoming: FrameBuffer::new() }
    }

    /// Whether its descriptor may stay open for as long as a person takes to answer.
    pub(crate) fn may_wait(&self) -> bool {
        self.connection.fd().is_ok_and(|fd| !limits::is_last_descriptor(fd))
    }

    /// The policy, or a person, says no.
    pub(crate) async fn deny(&mut self, rule: &str, reason: &str) -> io::Result<()> {
        let (rule, reason) = (one_line(rule), one_line(reason));
        let frame = ToClient::Denial { rule: &rule, reason: &reason };
        let said = if rule.is_empty() {
            format!("clawrden: denied: {reason}\n")
        } else {
            format!("clawrden: denied: {reason} ({rule})\n")
        };
        self.refuse(&frame, &said, EXIT_DENIED).await
    }

    /// The command cannot run: `code` is one of our own exit codes.
    pub(crate) async fn fail(&mut self, code: u8, text: &str) -> io::Result<()> {
        let text = one_line(text);
        let frame = ToClient::Failure { code, text: &text };
        self.refuse(&frame, &format!("clawrden: {text}\n"), code).await
    }

    async fn refuse(&mut self, frame: &ToClient<'_>, said: &str, code: u8) -> io::Result<()> {
        if self.allowed {
            let text = said.strip_prefix("clawrden: ").unwrap_or(said).trim_end();
            return self.say(&ToClient::Failure { code, text }).await;
        }
        let mut bytes = vec![Ack::Denied as u8];
        if self.version_2 {
            frame.encode(&mut bytes);
        } else {
            ToClient::Stderr(said.as_bytes()).encode(&mut bytes);
            ToClient::Exit(code).encode(&mut bytes);
        }
        self.send(&bytes).await
    }

    /// A person is asked, or something takes long. Said once.
    pub(crate) async fn pending(&mut self) -> io::Result<()> {
        if std::mem::replace(&mut self.pending, true) {
            return Ok(());
        }
        self.send(&[Ack::Pending as u8]).await
    }

    /// The same for a client that looks for the warden again for so long, should this connection break.
    pub(crate) async fn pending_for(&mut self, reconnect: Duration) -> io::Result<()> {
        if self.pending || !self.version_2 || reconnect == RECONNECT {
            return self.pending().await;
        }
        self.pending = true;
        let mut bytes = vec![Ack::Pending as u8];
        let seconds = u16::try_from(reconnect.as_secs()).unwrap_or(u16::MAX);
        ToClient::Reconnect(seconds).encode(&mut bytes);
        self.send(&bytes).await
    }

    /// One line for whoever waits. Version 1 has no way to be told.
    pub(crate) async fn notice(&mut self, text: &str) -> io::Result<()> {
        self.say(&ToClient::Notice(&one_line(text))).await
    }

    /// Nobody has answered in the time that a caller waits. For version 1 this is a denial.
    pub(crate) async fn still_waiting(&mut self, text: &str) -> io::Result<()> {
        let text = one_line(text);
        if self.version_2 {
            self.say(&ToClient::StillWaiting(&text)).await
        } else {
            let code = clawrden_protocol::limits::EXIT_STILL_WAITING;
            self.fail(code, &text).await
        }
    }

    /// The client executes the tool itself.
    pub(crate) async fn handoff(&mut self, handoff: Handoff<'_>) -> Result<(), Unsent> {
        let mut bytes = vec![Ack::Allowed as u8];
        ToClient::Handoff(handoff).encode(&mut bytes);
        let mut left = &bytes[..];
        let sent = tokio::time::timeout(WRITE_DEADLINE, self.connection.write_all(&mut left)).await;
        let in_part = left.len() < bytes.len();
        let sent = sent.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        sent.map_err(|error| Unsent { error, in_part })
    }

    /// The command is allowed, and runs with the client's descriptors, which it is to send. They are for a runner: here
    /// nobody receives them.
    pub(crate) async fn want_descriptors(&mut self) -> io::Result<()> {
        let mut bytes = vec![Ack::Allowed as u8];
        ToClient::WantDescriptors.encode(&mut bytes);
        self.allowed = true;
        self.send(&bytes).await
    }

    /// What was waited for is there, and there is nothing to run: `clawrden wait` ends well.
    pub(crate) async fn done(&mut self, text: &str) -> io::Result<()> {
        let mut bytes = vec![Ack::Allowed as u8];
        ToClient::Notice(&one_line(text)).encode(&mut bytes);
        ToClient::Exit(0).encode(&mut bytes);
        self.send(&bytes).await
    }

    async fn say(&mut self, frame: &ToClient<'_>) -> io::Result<()> {
        if !self.version_2 {
            return Ok(());
        }
        let mut bytes = Vec::new();
        frame.encode(&mut bytes);
        self.send(&bytes).await
    }

    async fn send(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        match tokio::time::timeout(WRITE_DEADLINE, self.connection.write_all(&mut bytes)).await {
            Ok(result) => result,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    /// Resolves when the client goes away or cancels. Cancel-safe: bytes that were read are kept.
    pub(crate) async fn interrupted(&mut self) -> Interruption {
        loop {
            match self.incoming.next_frame() {
                Ok(Some((kind, payload))) => match FromClient::parse(kind, payload) {
                    Ok(FromClient::Cancel) => return Interruption::Cancelled,
                    Ok(_) => {}
                    Err(_) => return Interruption::Gone,
                },
                Ok(None) => {
                    // Small, as thousands may wait here, and nobody says much.
                    let mut chunk = [0; 64];
                    match self.connection.wait_read(&mut chunk).await {
                        Ok(0) | Err(_) => return Interruption::Gone,
                        Ok(n) => self.incoming.push(&chunk[..n]),
                    }
                }
                Err(_) => return Interruption::Gone,
            }
        }
    }

    /// Whether the client has closed the connection. Nothing is read: descriptors that it has sent stay for a runner.
    pub(crate) fn has_gone(&self) -> bool {
        let Ok(fd) = self.connection.fd() else { return true };
        let mut fds = [PollFd::from_borrowed_fd(fd, PollFlags::empty())];
        // Who cannot be looked at is found when it is answered.
        poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok()
            && fds[0].revents().intersects(PollFlags::HUP | PollFlags::ERR)
    }

    /// The status that a client reports of a tool that it waited for; `None` when it closes without.
    pub(crate) async fn report(&mut self) -> Option<clawrden_protocol::frame::Status> {
        loop {
            if let Some((kind, payload)) = self.incoming.next_frame().ok()? {
                if let FromClient::Exited(status) = FromClient::parse(kind, payload).ok()? {
                    return Some(status);
                }
                continue;
            }
            // Small, as thousands may wait here, and nobody says much.
            let mut chunk = [0; 64];
            match self.connection.wait_read(&mut chunk).await {
                Ok(0) | Err(_) => return None,
                Ok(n) => self.incoming.push(&chunk[..n]),
            }
        }
    }

    /// Closes the connection. Descriptors that the client has sent are closed with it, and one of a file system of its
    /// own can make that hang: a thread of its own does it then.
    pub(crate) fn close(self) {
        if self.allowed
            && let Ok(connection) = self.connection.into_fd()
        {
            close_apart(connection);
        }
    }

    /// The connection itself, for a runner to take over.
    pub(crate) fn into_connection(self) -> io::Result<OwnedFd> {
        self.connection.into_fd()
    }
}

/// Closes a connection beside the event loop. See [`Reply::close`].
pub(crate) fn close_apart(connection: OwnedFd) {
    tokio::task::spawn_blocking(move || drop(connection));
}

/// One harmless line: control characters and what reorders text are replaced, and it is cut to a sane length.
fn one_line(text: &str) -> String {
    let harmless = |c: char| match c {
        '\n' | '\t' => ' ',
        c if c.is_control() => '\u{fffd}',
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        c => c,
    };
    let mut line = String::new();
    for c in text.chars().map(harmless) {
        if line.len() + c.len_utf8() > MAX_TEXT {
            line.push('…');
            break;
        }
        line.push(c);
    }
    line
}

#[cfg(test)]
mod tests {
    use clawrden_protocol::frame::Strings;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::UnixStream;

    use super::*;

    #[test]
    fn a_reason_cannot_carry_escapes_or_lines() {
        assert_eq!(one_line("a\x1b[31mb\nc\u{202e}d"), "a\u{fffd}[31mb c\u{fffd}d");
        assert!(one_line(&"x".repeat(10_000)).len() <= MAX_TEXT + 3);
    }

    #[tokio::test]
    async fn version_1_is_denied_in_its_own_words() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut reply = Reply::new(ours, false);
        reply.deny("p.yaml:1", "no").await.unwrap();
        drop(reply);
        let mut all = Vec::new();
        theirs.read_to_end(&mut all).await.unwrap();
        let text = b"clawrden: denied: no (p.yaml:1)\n";
        let mut wanted = vec![1, 2, 0, 0, 0, u8::try_from(text.len()).unwrap()];
        wanted.extend(text);
        wanted.extend([3, 0, 0, 0, 1, 126]);
        assert_eq!(all, wanted);
    }

    #[tokio::test]
    async fn an_answer_that_was_read_in_part_is_told_from_one_that_was_not() {
        let path = vec![b'x'; 4 * 1024 * 1024];
        for read in [0, 1] {
            let (ours, mut theirs) = UnixStream::pair().unwrap();
            let mut reply = Reply::new(ours, true);
            let set = Strings::new(b"").unwrap();
            let handoff = Handoff { report: false, by_path: false, path: &path, set };
            let client = async move { theirs.read_exact(&mut vec![0; read]).await };
            let (sent, client) = if read == 0 {
                drop(client);
                (reply.handoff(handoff).await, Ok(0))
            } else {
                tokio::join!(reply.handoff(handoff), client)
            };
            client.unwrap();
            assert_eq!(sent.unwrap_err().in_part, read > 0);
        }
    }

    #[tokio::test]
    async fn who_has_left_is_told_from_who_only_says_no_more_and_nothing_is_read() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut reply = Reply::new(ours, true);
        theirs.write_all(&[4, 0, 0, 0, 0]).await.unwrap();
        assert!(!reply.has_gone());
        theirs.shutdown().await.unwrap();
        assert!(!reply.has_gone());
        drop(theirs);
        assert!(reply.has_gone());
        assert_eq!(reply.interrupted().await, Interruption::Cancelled);
    }

    #[test]
    fn a_client_that_says_things_without_end_keeps_nobody_from_their_turn() {
        let (told, turns) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                let (ours, mut theirs) = std::os::unix::net::UnixStream::pair().unwrap();
                ours.set_nonblocking(true).unwrap();
                std::thread::spawn(move || {
                    // Frames of standard input, each of one byte.
                    let frames = [16, 0, 0, 0, 1, b'x'].repeat(8 * 1024);
                    while std::io::Write::write_all(&mut theirs, &frames).is_ok() {}
                });
                let mut reply = Reply::new(Connection::Unwatched(ours), true);
                let turn = Duration::from_millis(200);
                let waits = tokio::time::timeout(turn, reply.interrupted()).await;
                told.send(waits.is_err()).unwrap();
            });
        });
        let waits = turns.recv_timeout(Duration::from_secs(20));
        assert_eq!(waits, Ok(true), "the clock had its turn, and it was no interruption");
    }

    #[tokio::test]
    async fn a_waiting_client_that_leaves_or_cancels_is_noticed() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut reply = Reply::new(ours, true);
        theirs.write_all(&[4, 0, 0, 0, 0]).await.unwrap();
        assert_eq!(reply.interrupted().await, Interruption::Cancelled);
        drop(theirs);
        assert_eq!(reply.interrupted().await, Interruption::Gone);
    }
}
