//! The streams that pass through a runner: pipes where they travel as frames, a terminal where the caller had one.
//!
//! At most one piece of output is held, and none of the input beyond what has arrived.

use alloc::rc::Rc;
use alloc::vec::Vec;

use clawrden_protocol::frame::{stderr_head, stdout_head};
use clawrden_protocol::limits::MAX_STREAM_FRAME;
use clawrden_protocol::runner::{Plan, Streams};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags};
use rustix::process::Pid;

use super::beginning::Beginning;
use super::pty::Pty;
use crate::outbox::{Outbox, StreamHead};
use crate::sys::fds;
use crate::sys::waits::{self, IN, OUT, Waits, is_writable};

/// Bytes that a pipe of ours holds, where the kernel lets us.
const PIPE: usize = 1024 * 1024;
/// Bytes of a terminal's output that are still carried once the tool has ended. More than a terminal holds.
const TERMINAL_REST: usize = 256 * 1024;

/// Bytes at once from which on copying costs more than what it takes to avoid it.
const FLOW: usize = 64 * 1024;

/// An output of the tool.
struct Output {
    fd: Rc<OwnedFd>,
    head: StreamHead,
    terminal: bool,
    /// The last read filled its room, so that there is probably more than is worth copying.
    flows: bool,
    /// Bytes that are still carried; counted once the tool has ended, since others may go on writing.
    left: Option<usize>,
}

/// Everything that passes through.
pub(super) struct Carry {
    pty: Option<Pty>,
    outputs: [Option<Output>; 3],
    stdin: Option<OwnedFd>,
    /// Input goes to the terminal.
    typed: bool,
    pub(super) stdin_blocked: bool,
    ended: bool,
    /// The tool is in the foreground of its terminal.
    keyboard: bool,
    turn: usize,
    pub(super) bytes_out: u64,
    most_out: u64,
    waste: Vec<u8>,
}

/// The tool's ends.
pub(super) struct Ends {
    pub(super) standard: [Option<OwnedFd>; 3],
    pub(super) terminal: Option<OwnedFd>,
}

/// What is waited for.
pub(super) struct Keys {
    outputs: [Option<waits::Key>; 3],
    stdin: Option<waits::Key>,
}

impl Carry {
    /// Makes pipes and terminal as the plan needs them; what the kernel does not give ends the beginning.
    pub(super) fn new(plan: &Plan, beginning: &mut Beginning<'_>) -> (Self, Ends) {
        let mut carry = Self {
            pty: None,
            outputs: [None, None, None],
            stdin: None,
            typed: false,
            stdin_blocked: false,
            ended: false,
            keyboard: false,
            turn: 0,
            bytes_out: 0,
            most_out: plan.most_out,
            waste: Vec::new(),
        };
        let mut standard = [None, None, None];
        let frames = plan.streams == Streams::Frames;
        if frames {
            let made = carry.pipes(plan, &mut standard);
            beginning.need("make pipes", made);
        }
        let mut terminal = None;
        if let Some((bits, rows, cols)) = plan.tty {
            let made = Pty::new(plan.uid, rows, cols).and_then(|pty| {
                terminal = Some(rustix::io::fcntl_dupfd_cloexec(&pty.tools, 0)?);
                Ok((rustix::io::fcntl_dupfd_cloexec(&pty.ours, 0)?, pty))
            });
            let (ours, pty) = beginning.need("make a terminal", made);
            // What a tool shows on a terminal that is not its standard output must not get into that.
            let aside = frames && bits & 2 == 0;
            let head = if aside { stderr_head } else { stdout_head };
            carry.outputs[2] = Some(Output::new(ours, head, true));
            // The first of a pipeline must not take the keys from the last, which may want them: it waits until it asks.
            carry.keyboard = bits & 0b11 != 0b01;
            carry.typed = bits & 1 != 0 || !frames;
            carry.pty = Some(pty);
        }
        (carry, Ends { standard, terminal })
    }

    fn pipes(&mut self, plan: &Plan, standard: &mut [Option<OwnedFd>; 3]) -> Result<(), Errno> {
        let bits = plan.tty.map_or(0, |(bits, ..)| bits);
        if bits & 1 == 0 && plan.version_2 {
            let (tools, ours) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
            rustix::fs::fcntl_setfl(&ours, OFlags::NONBLOCK)?;
            let _ = rustix::pipe::fcntl_setpipe_size(&ours, PIPE);
            (standard[0], self.stdin) = (Some(tools), Some(ours));
        } else if bits & 1 == 0 {
            let flags = OFlags::RDONLY | OFlags::CLOEXEC;
            standard[0] = Some(rustix::fs::open(c"/dev/null", flags, Mode::empty())?);
        }
        for (number, head) in [(1, stdout_head as StreamHead), (2, stderr_head)] {
            if bits & (1 << number) != 0 {
                continue;
            }
            let (ours, tools) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
            rustix::fs::fcntl_setfl(&ours, OFlags::NONBLOCK)?;
            let _ = rustix::pipe::fcntl_setpipe_size(&ours, PIPE);
            standard[number] = Some(tools);
            self.outputs[number - 1] = Some(Output::new(ours, head, false));
        }
        Ok(())
    }

    /// Adds what there is to wait for; outputs only while their bytes can go somewhere.
    pub(super) fn waits(&self, waits: &mut Waits, outputs: bool) -> Keys {
        let mut keys = Keys { outputs: [None; 3], stdin: None };
        for (key, output) in keys.outputs.iter_mut().zip(&self.outputs) {
            *key = output.as_ref().filter(|_| outputs).map(|o| waits.add(o.fd.as_fd(), IN));
        }
        if self.stdin_blocked {
            let fd = self.input();
            keys.stdin = fd.map(|fd| waits.add(fd.as_fd(), OUT));
        }
        keys
    }

    fn input(&self) -> Option<&OwnedFd> {
        if self.typed { self.pty.as_ref().map(|p| &p.ours) } else { self.stdin.as_ref() }
    }

    /// Notes that input flows again.
    pub(super) fn write_stdin(&mut self, waits: &Waits, keys: &Keys) {
        if keys.stdin.is_some_and(|key| waits.any(key)) {
            self.stdin_blocked = false;
        }
    }

    /// Gives input to the tool. Says how many of the bytes are done with; fewer when the tool takes no more.
    pub(super) fn take_stdin(&mut self, bytes: &[u8]) -> usize {
        let mut done = 0;
        while done < bytes.len() && !self.stdin_blocked {
            let Some(fd) = self.input() else { return bytes.len() };
            match rustix::io::write(fd, &bytes[done..]) {
                Ok(n) => done += n,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => self.stdin_blocked = true,
                Err(_) => {
                    // Nobody reads it any more.
                    self.stdin = None;
                    return bytes.len();
                }
            }
        }
        done
    }

    /// The pipe that is the tool's input.
    pub(super) fn pipe(&self) -> Option<&OwnedFd> {
        self.stdin.as_ref().filter(|_| !self.typed)
    }

    /// Lets at most `left` bytes of input go from the connection to the tool. Gives how many went; none when nothing has
    /// come, the tool takes no more, or its input has ended.
    pub(super) fn pass_stdin(&mut self, socket: BorrowedFd<'_>, left: usize) -> usize {
        let Some(pipe) = self.pipe().filter(|_| !self.stdin_blocked) else { return 0 };
        let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
        match rustix::pipe::splice(socket, None, pipe, None, left, flags) {
            // The end in the midst of a frame: the ordinary way finds it too.
            Ok(0) => self.stdin = None,
            Ok(n) => return n,
            Err(Errno::AGAIN) => self.stdin_blocked = !is_writable(pipe.as_fd()),
            Err(Errno::INTR) => {}
            Err(_) => self.stdin = None,
        }
        0
    }

    /// Ends the tool's input.
    pub(super) fn end_stdin(&mut self) {
        self.stdin = None;
        self.stdin_blocked = false;
    }

    /// Closes the tool's standard output, whose reader has gone: the tool finds that out as it would natively.
    pub(super) fn close_stdout(&mut self) {
        self.outputs[0] = None;
    }

    pub(super) fn resize(&self, rows: u16, cols: u16) {
        if let Some(pty) = &self.pty {
            pty.resize(rows, cols);
        }
    }

    /// Whether the tool reads a terminal, as far as is known.
    pub(super) fn has_keyboard(&self) -> bool {
        self.keyboard
    }

    /// Puts the tool into the foreground of its terminal. `false`: it is there, or there is none.
    pub(super) fn give_keyboard(&mut self, tool: Pid) -> bool {
        let Some(pty) = self.pty.as_ref().filter(|_| !self.keyboard) else { return false };
        self.keyboard = true;
        rustix::termios::tcsetpgrp(&pty.tools, tool).is_ok()
    }

    /// The foreground of the terminal, where there is one.
    pub(super) fn foreground(&self) -> Option<Pid> {
        self.pty.as_ref().and_then(Pty::foreground)
    }

    /// The tool has ended: what it wrote is still carried, if it may be; what others write from here on is not.
    pub(super) fn tool_ended(&mut self) {
        self.ended = true;
        for output in self.outputs.iter_mut().flatten() {
            if output.left.is_none() {
                let waiting = if output.terminal { TERMINAL_REST } else { waiting(&output.fd) };
                output.left = Some(waiting);
            }
        }
    }

    /// Whether all that the tool wrote was carried.
    pub(super) fn is_drained(&self) -> bool {
        self.outputs.iter().flatten().all(|output| output.left == Some(0))
    }

    /// Reads one piece of output, from the streams in turn, if the one before has gone. What is more than the tool may
    /// write is left unread; a byte is counted for it.
    pub(super) fn read_output(&mut self, outbox: &mut Outbox, waits: &Waits, keys: &Keys) {
        for _ in 0..self.outputs.len() {
            if !outbox.is_empty() {
                return;
            }
            self.turn = (self.turn + 1) % self.outputs.len();
            let at = self.turn;
            let ready = self.ended || keys.outputs[at].is_some_and(|key| waits.any(key));
            let Some(output) = self.outputs[at].as_mut().filter(|o| ready && o.left != Some(0))
            else {
                continue;
            };
            let room =
                usize::try_from(self.most_out.saturating_sub(self.bytes_out)).unwrap_or(usize::MAX);
            match output.carry(outbox, room) {
                Ok(n) if n > 0 => self.bytes_out += u64::try_from(n).unwrap_or_default(),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => output.left = output.left.map(|_| 0),
                Ok(_) | Err(_) => self.outputs[at] = None,
            }
        }
    }

    /// Whether the tool wanted to write more than it may.
    pub(super) fn wrote_too_much(&self) -> bool {
        self.bytes_out > self.most_out
    }

    /// Reads and forgets output for which there is nobody.
    pub(super) fn discard_output(&mut self, waits: &Waits, keys: &Keys) {
        const MOST: usize = 64 * 1024;
        for (output, key) in self.outputs.iter_mut().zip(keys.outputs) {
            let ready = key.is_some_and(|key| waits.any(key));
            let Some(open) = output.as_mut().filter(|_| ready) else { continue };
            self.waste.clear();
            self.waste.reserve(MOST);
            match fds::read_append(open.fd.as_fd(), &mut self.waste, MOST) {
                Ok(1..) | Err(Errno::INTR | Errno::AGAIN) => open.left = open.left.map(|_| 0),
                Ok(0) | Err(_) => *output = None,
            }
        }
    }
}

impl Output {
    fn new(fd: OwnedFd, head: StreamHead, terminal: bool) -> Self {
        Self { fd: Rc::new(fd), head, terminal, flows: false, left: None }
    }

    /// Gives the outbox one piece of at most `room` bytes: a small one as a copy, a big one from pipe to connection.
    /// `Ok(0)` is the end.
    fn carry(&mut self, outbox: &mut Outbox, room: usize) -> Result<usize, Errno> {
        let most = self.left.unwrap_or(usize::MAX).min(room);
        if room == 0 {
            self.left = Some(0);
            return Ok(waiting(&self.fd).min(1));
        }
        let waiting = if self.flows { waiting(&self.fd).min(most) } else { 0 };
        let n = if waiting >= FLOW {
            let limit = usize::try_from(MAX_STREAM_FRAME).unwrap_or(usize::MAX);
            let n = waiting.min(limit);
            outbox.pass(&self.fd, self.head, n);
            n
        } else {
            let n = outbox.read(self.fd.as_fd(), self.head, most)?;
            self.flows = n >= FLOW && !self.terminal;
            n
        };
        self.left = self.left.map(|left| left - n.min(left));
        Ok(n)
    }
}

/// Bytes that wait in a pipe.
fn waiting(pipe: &OwnedFd) -> usize {
    let n = rustix::io::ioctl_fionread(pipe).unwrap_or_default();
    usize::try_from(n).unwrap_or(usize::MAX)
}
