//! What of the bytes that pass gets into the recording.

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use clawrden_protocol::frame::{STDERR, STDIN, STDOUT};
use clawrden_protocol::{FromClient, ToClient};

use super::Begun;
use super::cast::{Cast, Stream};
use super::echo::{shows, terminal_of};
use super::frames::{Frames, Seen};
use crate::ledger::Recorded;

/// Where a runner is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Way {
    /// Its process.
    pub(crate) pid: u32,
    /// It sees the warden's own files.
    pub(crate) is_ours: bool,
}

/// Looks at what passes between a client and its runner.
pub(super) struct Tap {
    cast: Cast,
    path: PathBuf,
    from_runner: Frames,
    from_client: Frames,
    keys: Keys,
    /// The client was told how its command ended: nothing comes behind that.
    is_told: bool,
}

/// Where what is typed goes.
struct Keys {
    way: Way,
    /// Input comes from a terminal.
    are_there: bool,
    /// The tool's terminal, once it was found: it may come after the first that is typed.
    terminal: Option<OwnedFd>,
}

impl Tap {
    pub(super) fn new(begun: Begun, way: Way) -> Self {
        let Begun { cast, path, keyboard } = begun;
        Self {
            cast,
            path,
            // The ack comes first.
            from_runner: Frames::behind(1),
            from_client: Frames::default(),
            keys: Keys { way, are_there: keyboard, terminal: None },
            is_told: false,
        }
    }

    /// Bytes on their way to the client. They are in the file when this returns, as far as it takes them.
    pub(super) fn shown(&mut self, bytes: &[u8]) {
        let Self { cast, from_runner, is_told, .. } = self;
        if !cast.is_open() {
            return;
        }
        from_runner.look(bytes, |seen| match seen {
            Seen::Stream(STDOUT, part) => cast.bytes(Stream::Output, part),
            Seen::Stream(STDERR, part) => cast.bytes(Stream::Error, part),
            Seen::Stream(..) => {}
            Seen::Frame(kind, payload) => *is_told |= is_last(kind, payload),
        });
        cast.flush();
    }

    /// Bytes on their way from the client, before the tool can have read them.
    pub(super) fn given(&mut self, bytes: &[u8]) {
        let Self { cast, from_client, keys, .. } = self;
        if !cast.wants_input() {
            return;
        }
        from_client.look(bytes, |seen| match seen {
            Seen::Stream(STDIN, part) if !part.is_empty() && keys.are_shown() => {
                cast.bytes(Stream::Input, part);
            }
            Seen::Frame(kind, payload) => {
                if let Ok(FromClient::WindowSize { rows, cols }) = FromClient::parse(kind, payload)
                {
                    cast.resized(rows, cols);
                }
            }
            Seen::Stream(..) => {}
        });
        cast.flush();
    }

    /// Closes the recording; `why` nothing more passes, where more could have come. Blocks until it is on the disk.
    pub(super) fn end(self, why: Option<&str>) -> Recorded {
        let is_understood = !self.from_runner.is_lost() && !self.from_client.is_lost();
        let why = why.filter(|_| !self.is_told);
        let why = if is_understood { why } else { Some("what came was not of the protocol") };
        self.cast.end(&self.path, why)
    }
}

/// Whether this frame tells a client how its command ended.
fn is_last(kind: u8, payload: &[u8]) -> bool {
    use ToClient::{Exit, ExitBySignal, Failure};
    matches!(ToClient::parse(kind, payload), Ok(Exit(_) | ExitBySignal(_) | Failure { .. }))
}

impl Keys {
    /// Whether the tool's terminal shows what is typed at this moment. What cannot be told counts as hidden, and so does
    /// what comes from no terminal: it may be a password for a tool that reads one so.
    fn are_shown(&mut self) -> bool {
        if !self.are_there {
            return false;
        }
        let Way { pid, is_ours } = self.way;
        if self.terminal.is_none() {
            self.terminal = terminal_of(pid, is_ours);
        }
        self.terminal.as_ref().is_some_and(shows)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::process::{Command, Stdio};

    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

    use super::*;

    #[test]
    fn what_is_typed_before_there_is_a_terminal_hides_nothing_that_is_typed_later() {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&ours).unwrap();
        unlockpt(&ours).unwrap();
        let name = ptsname(&ours, Vec::new()).unwrap().into_string().unwrap();
        let mut runner = Command::new("sh")
            .args(["-c", &format!("read -r x; exec 3<>{name}; echo open; read -r x")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let way = Way { pid: runner.id(), is_ours: false };
        let mut keys = Keys { way, are_there: true, terminal: None };
        assert!(!keys.are_shown());
        let mut stdin = runner.stdin.take().unwrap();
        stdin.write_all(b"go\n").unwrap();
        BufReader::new(runner.stdout.take().unwrap()).read_line(&mut String::new()).unwrap();
        assert!(keys.are_shown());
        drop(stdin);
        runner.wait().unwrap();
    }
}
