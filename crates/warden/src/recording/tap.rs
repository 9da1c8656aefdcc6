//! What of the bytes that pass gets into the recording.

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use clawrden_protocol::FromClient;
use clawrden_protocol::frame::{STDERR, STDIN, STDOUT};

use super::Begun;
use super::cast::{Cast, Stream};
use super::echo::{shows, terminal_of};
use super::frames::{Frames, Seen};
use super::relay::Way;
use crate::ledger::Recorded;

/// Looks at what passes between a client and its runner.
pub(super) struct Tap {
    cast: Cast,
    path: PathBuf,
    from_runner: Frames,
    from_client: Frames,
    keys: Keys,
}

/// Where what is typed goes.
struct Keys {
    way: Way,
    /// Input comes from a terminal.
    are_there: bool,
    /// The tool's terminal, once it was looked for; `None` where it cannot be looked at.
    terminal: Option<Option<OwnedFd>>,
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
        }
    }

    /// Bytes on their way to the client. They are in the file when this returns, as far as it takes them.
    pub(super) fn shown(&mut self, bytes: &[u8]) {
        let Self { cast, from_runner, .. } = self;
        if !cast.is_open() {
            return;
        }
        from_runner.look(bytes, |seen| match seen {
            Seen::Stream(STDOUT, part) => cast.bytes(Stream::Output, part),
            Seen::Stream(STDERR, part) => cast.bytes(Stream::Error, part),
            Seen::Stream(..) | Seen::Frame(..) => {}
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

    /// Closes the recording. Blocks until it is on the disk.
    pub(super) fn end(self) -> Recorded {
        self.cast.end(&self.path)
    }
}

impl Keys {
    /// Whether the tool's terminal shows what is typed at this moment. What cannot be told counts as hidden, and so does
    /// what comes from no terminal: it may be a password for a tool that reads one so.
    fn are_shown(&mut self) -> bool {
        if !self.are_there {
            return false;
        }
        let Way { pid, is_ours } = self.way;
        let terminal = self.terminal.get_or_insert_with(|| terminal_of(pid, is_ours));
        terminal.as_ref().is_some_and(shows)
    }
}
