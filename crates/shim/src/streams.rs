//! A supervised run as its caller sees it: streams, signals and terminal go back and forth until the last frame.
//!
//! Nothing here waits for one side while another has something to say, and no more is held than one piece each way.

use alloc::rc::Rc;
use alloc::string::String;

use clawrden_protocol::error::ProtocolError;
use clawrden_protocol::frame::{self, FromClient, Status, ToClient};
use clawrden_protocol::limits::EXIT_UNREACHABLE;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::net::RecvFlags;
use rustix::pipe::{PipeFlags, SpliceFlags};

use crate::inbox::{Inbox, Next};
use crate::outbox::Outbox;
use crate::say::{self, words};
use crate::sink::Sink;
use crate::sys::now_ms;
use crate::sys::signal::{self, Signals, above_standard};
use crate::sys::waits::{IN, Key, OUT, Waits};
use crate::terminal::{Terminal, is_terminal};
use crate::{descriptors, handoff};

/// Bytes of standard input that are read at a time.
const PIECE: usize = 64 * 1024;
/// Bytes of input that go on their way at a time when there is much.
const SIPHON: usize = 256 * 1024;
/// Milliseconds that such a signal may be held up by input that the tool does not read.
const PATIENCE: u64 = 1000;
/// Pieces that are taken from the connection before anything else has its turn.
const ROUNDS: usize = 16;
/// Milliseconds after which a shim in the background looks whether it has come to the foreground.
const LOOK: u64 = 250;

/// How the tool's streams travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    /// The descriptors ride along; only terminals are carried.
    Descriptors,
    /// As frames.
    Frames,
}

struct Relay {
    socket: OwnedFd,
    inbox: Inbox,
    outbox: Outbox,
    signals: Signals,
    terminal: Option<Terminal>,
    /// Where input comes from, until it ends.
    input: Option<BorrowedFd<'static>>,
    /// The sinks of standard output and standard error.
    sinks: [Sink; 2],
    /// The sink that takes nothing more at the moment.
    blocked: Option<usize>,
    /// The last read of input filled its room, so that there is probably more than is worth copying.
    pours: bool,
    siphon: Option<Siphon>,
    /// A signal that should end the tool, and when the tool's side is given up if it does not take it.
    urgent: Option<(u8, u64)>,
    /// The tool has learned what it is to know of the terminal's modes, which may change, and it reads the terminal.
    running: bool,
}

/// A pipe of our own. What is in it is nobody else's, as what is in the caller's pipe might be.
struct Siphon {
    from: Rc<OwnedFd>,
    into: OwnedFd,
}

impl Siphon {
    fn new() -> Result<Self, Errno> {
        let (from, into) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
        let _ = rustix::pipe::fcntl_setpipe_size(&into, SIPHON);
        Ok(Self { from: Rc::new(above_standard(from)?), into: above_standard(into)? })
    }
}

/// Carries everything to the end; never comes back.
pub(crate) fn run(socket: OwnedFd, inbox: Inbox, by: By) -> ! {
    let terminal = Terminal::find();
    // What the caller ignores stays ignored, as it does in the tool.
    let ignored = signal::PASSED.iter().filter(|&&s| signal::is_ignored(s));
    let ignored = ignored.fold(0, |set, &s| set | signal::bit(s));
    let passed = signal::set(&signal::PASSED) & !ignored;
    let before = signal::set_blocked(!0);
    let kept = signal::set(&[signal::PIPE, signal::TTIN, signal::TTOU]);
    let signals = Signals::of(passed);
    signal::set_blocked(before | passed | kept);
    let signals = match signals {
        Ok(signals) => signals,
        Err(error) => say::fail(
            EXIT_UNREACHABLE,
            &["the shim cannot watch signals (", &words(error), ")"].concat(),
        ),
    };
    // Not before: with its descriptors the tool can start, and whoever sees it run may signal it through this process.
    if by == By::Descriptors
        && let Err(line) = descriptors::send(&socket)
    {
        say::fail(EXIT_UNREACHABLE, &line);
    }
    // What goes from a pipe straight to the connection waits unless the connection itself says not to.
    let _ = rustix::fs::fcntl_setfl(&socket, OFlags::NONBLOCK);
    let keyboard = terminal.as_ref().map(Terminal::fd);
    let (input, out) = match by {
        By::Descriptors => (keyboard, [1, 2, 0].into_iter().find(|&n| is_terminal(n)).unwrap_or(1)),
        By::Frames => (Some(crate::sys::fds::numbered(0)), 1),
    };
    // A terminal that is not read needs no change.
    let terminal = terminal.filter(|_| by == By::Descriptors || is_terminal(0));
    Relay {
        socket,
        inbox,
        outbox: Outbox::new(),
        signals,
        running: by == By::Frames && terminal.is_none(),
        terminal,
        input,
        sinks: [Sink::new(out), Sink::new(2)],
        blocked: None,
        pours: false,
        siphon: None,
        urgent: None,
    }
    .run()
}

/// What one wait was for.
struct Keys {
    socket: Option<Key>,
    blocked: Option<Key>,
    signals: Key,
    input: Option<Key>,
}

impl Relay {
    fn run(mut self) -> ! {
        self.exchange();
        let mut is_first = true;
        loop {
            let readable = self.refresh();
            let mut waits = Waits::new();
            let keys = self.waits(&mut waits, readable);
            let looks = self.terminal.is_some() && !readable || self.urgent.is_some();
            if !core::mem::take(&mut is_first) || !waits.come_soon() {
                waits.wait(looks.then_some(LOOK));
            }
            self.insist();
            if waits.any(keys.signals) {
                self.pass_signals();
            }
            let ready = |key: Option<Key>| key.is_some_and(|key| waits.any(key));
            if ready(keys.blocked) {
                self.blocked = None;
            }
            if ready(keys.blocked) || ready(keys.socket) {
                self.exchange();
            }
            // The foreground may have changed while this waited.
            if ready(keys.input) && self.refresh() {
                self.read_input();
            }
        }
    }

    /// A tool that does not read its input may hold up the signal that should end it. Then the caller goes, and the
    /// runner ends the tool for that.
    fn insist(&mut self) {
        let Some((by, until)) = self.urgent else { return };
        if self.outbox.is_empty() && crate::sys::is_taken(self.socket.as_fd()) {
            self.urgent = None;
        } else if now_ms() >= until {
            self.end(Status::Killed(by))
        }
    }

    fn waits(&self, waits: &mut Waits, readable: bool) -> Keys {
        let hear = if self.blocked.is_none() { IN } else { 0 };
        let speak = if self.outbox.is_empty() { 0 } else { OUT };
        let blocked = self.blocked.and_then(|at| self.sinks.get(at));
        let input = self.input.filter(|_| readable && self.outbox.is_empty());
        Keys {
            // With nothing to wait for, a connection that has gone would be found again and again.
            socket: (hear | speak != 0).then(|| waits.add(self.socket.as_fd(), hear | speak)),
            blocked: blocked.map(|sink| waits.add(sink.fd(), OUT)),
            signals: waits.add(self.signals.fd(), IN),
            input: input.map(|fd| waits.add(fd, IN)),
        }
    }

    /// Makes the terminal what it should be; whether input may be read.
    fn refresh(&mut self) -> bool {
        self.terminal.as_mut().is_none_or(|terminal| self.running && terminal.refresh())
    }

    /// Sends what waits, and takes what has come, as far as the sinks take it. After some rounds others have their turn.
    fn exchange(&mut self) {
        if let Err(error) = self.outbox.send(self.socket.as_fd()) {
            // What the warden said before it went is still to be read.
            if !matches!(error, Errno::PIPE | Errno::CONNRESET) {
                self.fail(EXIT_UNREACHABLE, &[GONE, " (", &words(error), ")"].concat());
            }
            self.outbox = Outbox::new();
            self.input = None;
        }
        for _ in 0..ROUNDS {
            self.take_frames();
            if self.blocked.is_some() || !self.pass_through() && !self.receive() {
                return;
            }
        }
    }

    /// Receives once. Gives whether anything came.
    fn receive(&mut self) -> bool {
        let max = self.inbox.portion(self.sinks[0].pipe().is_some());
        match self.inbox.receive(self.socket.as_fd(), RecvFlags::DONTWAIT, max) {
            Ok(1..) => true,
            Ok(0) => self.fail(EXIT_UNREACHABLE, GONE),
            Err(Errno::AGAIN | Errno::NOBUFS) => false,
            Err(error) => self.fail(EXIT_UNREACHABLE, &[GONE, " (", &words(error), ")"].concat()),
        }
    }

    /// Lets a long frame's bytes go from the connection to the pipe that they are for. `false` when there is none.
    fn pass_through(&mut self) -> bool {
        let Some((kind, left)) = self.inbox.coming() else { return false };
        let at = usize::from(kind == frame::STDERR);
        let Some(pipe) = self.sinks[at].pipe() else { return false };
        let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
        match rustix::pipe::splice(&self.socket, None, pipe, None, left, flags) {
            Ok(n) if n > 0 => self.inbox.passed(n),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) if !self.sinks[at].takes() => self.blocked = Some(at),
            // Nothing has come, or the end, or the reader has gone: the ordinary way finds out.
            _ => return false,
        }
        true
    }

    /// Does what has arrived, as far as the sinks take it.
    fn take_frames(&mut self) {
        while self.blocked.is_none() {
            let (kind, range) = match self.inbox.next() {
                Ok(Next::More) => return,
                Ok(Next::Frame(kind, range)) => {
                    self.obey(kind, range);
                    continue;
                }
                Ok(Next::Stream(kind, range)) => {
                    if range.is_empty() {
                        self.running = true;
                        self.refresh();
                    }
                    (kind, range)
                }
                Err(error) => self.malformed(&error),
            };
            let at = match kind {
                frame::STDOUT => 0,
                frame::STDERR => 1,
                other => self.malformed(&ProtocolError::UnknownFrame(other)),
            };
            let length = range.len();
            match self.sinks[at].write(self.inbox.bytes(range)) {
                Ok(n) => self.inbox.took(n),
                Err(Errno::AGAIN) => self.blocked = Some(at),
                Err(_) => {
                    self.inbox.took(length);
                    if at == 0 {
                        self.send(&FromClient::Signal(signal::PIPE));
                    }
                }
            }
        }
    }

    fn obey(&mut self, kind: u8, range: core::ops::Range<usize>) {
        match ToClient::parse(kind, self.inbox.bytes(range)) {
            Ok(ToClient::Exit(code)) => self.end(Status::Exited(code)),
            Ok(ToClient::ExitBySignal(by)) => self.end(Status::Killed(by)),
            Ok(ToClient::Failure { code, text }) => {
                let text = String::from(text);
                self.fail(code, &text)
            }
            Ok(ToClient::Stopped(by)) => self.stop(by),
            Ok(ToClient::Notice(text)) => {
                let text = String::from(text);
                self.restore();
                say::line(&text);
            }
            Ok(_) => self.malformed(&ProtocolError::UnknownFrame(kind)),
            Err(error) => self.malformed(&error),
        }
    }

    /// Stops as the tool has. From a terminal of its own the tool's stop has reached nobody else of the caller's job.
    fn stop(&mut self, by: u8) {
        self.restore();
        if self.terminal.is_some() && by != signal::STOP {
            let _ = signal::kill(0, by);
        }
        signal::act(by);
        self.refresh();
        self.send_size();
        self.send(&FromClient::Signal(signal::CONT));
    }

    fn pass_signals(&mut self) {
        while let Some(received) = self.signals.next() {
            match received.signal {
                signal::WINCH if self.terminal.is_some() => self.send_size(),
                signal::CONT => {
                    self.refresh();
                    self.send_size();
                    self.send(&FromClient::Signal(signal::CONT));
                }
                other => {
                    // What a terminal sends is for its whole foreground.
                    let frame = if received.by_process {
                        FromClient::Signal(other)
                    } else {
                        FromClient::SignalGroup(other)
                    };
                    self.send(&frame);
                    if signal::bit(other) & signal::ENDING != 0 && self.urgent.is_none() {
                        self.urgent = Some((other, now_ms() + PATIENCE));
                    }
                }
            }
        }
    }

    fn send_size(&mut self) {
        if let Some((rows, cols)) = self.terminal.as_ref().and_then(Terminal::size) {
            self.send(&FromClient::WindowSize { rows, cols });
        }
    }

    fn send(&mut self, frame: &FromClient<'_>) {
        self.outbox.put_spare(|out| frame.encode(out));
        // A connection that is lost is noticed when it is read.
        let _ = self.outbox.send(self.socket.as_fd());
    }

    fn read_input(&mut self) {
        let Some(input) = self.input.filter(|_| self.outbox.is_empty()) else { return };
        if self.pours && self.siphon(input).is_ok() {
            let _ = self.outbox.send(self.socket.as_fd());
            return;
        }
        match self.outbox.read(input, frame::stdin_head, PIECE) {
            Ok(n @ 1..) => {
                self.pours = n == PIECE && self.siphon.is_some();
                if n == PIECE && self.siphon.is_none() {
                    self.siphon = Siphon::new().ok();
                }
                let _ = self.outbox.send(self.socket.as_fd());
            }
            Err(Errno::INTR | Errno::AGAIN) => {}
            // A terminal in the background, or one that was hung up; the latter also sends a signal.
            Err(Errno::IO) if self.terminal.as_ref().is_some_and(|t| !t.is_raw()) => {}
            Ok(0) | Err(_) => {
                self.input = None;
                self.send(&FromClient::StdinEnd);
            }
        }
    }

    /// Lets input go from the caller's pipe to the connection without passing through here.
    fn siphon(&mut self, input: BorrowedFd<'_>) -> Result<(), Errno> {
        self.pours = false;
        let Some(siphon) = &self.siphon else { return Err(Errno::INVAL) };
        let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
        match rustix::pipe::splice(input, None, &siphon.into, None, SIPHON, flags)? {
            0 => Err(Errno::PIPE),
            n => {
                self.pours = true;
                self.outbox.pass(&siphon.from, frame::stdin_head, n);
                Ok(())
            }
        }
    }

    fn restore(&mut self) {
        if let Some(terminal) = &mut self.terminal {
            terminal.restore();
        }
    }

    fn end(&mut self, status: Status) -> ! {
        self.restore();
        handoff::end_as(status)
    }

    fn fail(&mut self, code: u8, text: &str) -> ! {
        self.restore();
        say::fail(code, text)
    }

    fn malformed(&mut self, error: &ProtocolError) -> ! {
        let line = [
            "what the warden sends is not understood: ",
            say::problem(error),
            "; the command was ended",
        ]
        .concat();
        self.fail(EXIT_UNREACHABLE, &line)
    }
}

/// The line for a connection that was lost.
const GONE: &str =
    "the warden went away; the command had been allowed, and how it ended is not known";
