//! The life of a supervised run: start the tool, carry its streams and signals, end its tree, reap what is left.

mod telling;

use alloc::vec::Vec;

use clawrden_protocol::frame::{self, FromClient, Status};
use clawrden_protocol::limits::EXIT_UNREACHABLE;
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use rustix::process::Pid;

use super::beginning::Beginning;
use super::carry::Carry;
use super::client::{Client, Heard, warden_gone};
use super::intake::{Order, Orders};
use super::start::start;
use super::tree::Tree;
use super::{Failure, Received};
use crate::inbox::Next;
use crate::sys::process::{self, Change, Waited};
use crate::sys::signal::{self, Signals};
use crate::sys::turns::{Flag, Kept};
use crate::sys::waits::{ERROR, HANG_UP, IN, Key, OUT, Waits};
use crate::sys::{fds, now_ms};

/// Signals that a client may pass on.
const PASSED: u64 = signal::set(&signal::PASSED);
/// Those of them that reach the tool's group whoever sent them: they are job control, and a shell sends them to a group.
const JOB_CONTROL: u64 = signal::set(&[signal::CONT, signal::TSTP]);
/// Milliseconds after which the warden is told that the tool runs. Of one that ends before it hears both at once: each time it
/// is woken costs the tool.
const RUNS_ON: u64 = 4;
/// A time that does not come.
const NEVER: u64 = u64::MAX;
/// Milliseconds between attempts to kill what is left of a tree.
const AGAIN: u64 = 20;
/// Milliseconds of killing after which what is left is taken for unkillable: another user's, or stuck in the kernel.
const UNKILLABLE: u64 = 2000;
/// Milliseconds that a client has, after its command was ended, to take what is left for it.
const LAST_WORDS: u64 = 5000;
/// Bytes that a failed start tells at most.
const TOLD: usize = 4096;

/// An end that is not the tool's own.
struct Ending {
    /// What the client is told; without it, how the tool ended.
    tell: Option<Failure>,
    /// When the tree is killed next, or first.
    kill_at: u64,
    /// When the client is told, though there is something left that cannot be killed.
    tell_at: u64,
    /// When the client is no longer waited for.
    give_up_at: u64,
}

struct Supervisor<'a> {
    warden: Option<&'a OwnedFd>,
    orders: Orders,
    client: Option<Client>,
    signals: &'a Signals,
    main: Pid,
    /// Where the child tells why it has not started; it ends with the start.
    status: Option<OwnedFd>,
    /// The child was about to execute the tool.
    going: Flag,
    told_by_child: Vec<u8>,
    started: bool,
    /// When the warden is told that it has; [`NEVER`] where it has been told, or need not.
    start_told_at: u64,
    failed: Option<Failure>,
    ended: Option<Status>,
    /// Signals meant to end the tool that were given to it alone.
    struck: u64,
    childless: bool,
    carry: Carry,
    ending: Option<Ending>,
    cancelled: bool,
    told_client: bool,
    told_warden: bool,
    grace_ms: u64,
    /// See [`Plan::warden_first`].
    ///
    /// [`Plan::warden_first`]: clawrden_protocol::runner::Plan::warden_first
    warden_first: bool,
    tree: Tree,
}

/// Starts the plan's tool and stays until nothing of it is left.
pub(super) fn run(kept: &Kept, received: Received) {
    let &Kept { ref warden, ref signals, files: limit, going } = kept;
    let Received { plan, client, files } = received;
    let client = Client::new(client, plan.version_2);
    let mut beginning = Beginning::new(warden, client);
    going.set(false);
    let (main, status, carry) = start(&mut beginning, &plan, files, (limit, going));
    let client = beginning.into_client();
    Supervisor {
        warden: Some(warden),
        orders: Orders::default(),
        client: Some(client),
        signals,
        main,
        status: Some(status),
        going,
        told_by_child: Vec::with_capacity(TOLD),
        started: false,
        start_told_at: NEVER,
        failed: None,
        ended: None,
        struck: 0,
        childless: false,
        carry,
        ending: None,
        cancelled: false,
        told_client: false,
        told_warden: false,
        grace_ms: plan.grace_ms.into(),
        warden_first: plan.warden_first,
        tree: Tree::default(),
    }
    .run();
}

/// What one wait was for.
struct Keys {
    warden: Option<Key>,
    status: Option<Key>,
    client: Option<Key>,
    carry: super::carry::Keys,
}

impl Supervisor<'_> {
    fn run(mut self) {
        loop {
            self.reap();
            self.progress();
            if self.is_done() {
                return self.rest();
            }
            let mut waits = Waits::new();
            let keys = self.waits(&mut waits);
            waits.wait(self.timeout());
            self.handle(&waits, &keys);
            self.kill_if_due();
        }
    }

    fn waits(&self, waits: &mut Waits) -> Keys {
        let settled = self.status.is_none();
        let sending = self.client.as_ref().is_some_and(|c| !c.outbox.is_empty());
        let client = self.client.as_ref().map(|client| {
            let hear = settled && client.is_heard() && !self.carry.stdin_blocked;
            let events = if hear { IN } else { 0 } | if sending { OUT } else { 0 };
            waits.add(client.socket.as_fd(), events)
        });
        waits.add(self.signals.fd(), IN);
        // One wait looks at one descriptor after the other: a tool that starts meanwhile would be read before the client
        // has learned that it runs, and has made its terminal ready for what a terminal has already converted.
        let outputs = settled && !sending && !self.carry.wrote_too_much();
        Keys {
            warden: self.warden.map(|w| waits.add(w.as_fd(), IN)),
            status: self.status.as_ref().map(|s| waits.add(s.as_fd(), IN)),
            client,
            carry: self.carry.waits(waits, outputs),
        }
    }

    fn timeout(&self) -> Option<u64> {
        let sending = self.client.as_ref().is_some_and(|c| !c.outbox.is_empty());
        if self.ended.is_some() && !self.told_client && !sending && !self.carry.is_drained() {
            return Some(0);
        }
        let next = self
            .ending
            .as_ref()
            .map(|ending| if self.childless { ending.give_up_at } else { ending.kill_at });
        let next = next.unwrap_or(NEVER).min(self.start_told_at);
        (next != NEVER).then(|| next.saturating_sub(now_ms()))
    }

    fn handle(&mut self, waits: &Waits, keys: &Keys) {
        while let Some(received) = self.signals.next() {
            if received.signal == signal::TERM {
                self.end(failure("the runner was told to end; the command was ended"), false);
            }
        }
        if keys.warden.is_some_and(|key| waits.any(key)) {
            self.hear_warden();
        }
        if keys.status.is_some_and(|key| waits.any(key)) {
            self.hear_child();
        }
        if let Some(key) = keys.client {
            self.hear_client(waits, key);
        }
        self.carry.write_stdin(waits, &keys.carry);
        self.obey_client();
        self.carry_out(waits, &keys.carry);
    }

    fn hear_warden(&mut self) {
        let Some(warden) = self.warden else { return };
        match self.orders.receive(warden) {
            Order::None => {}
            Order::Stop(failure, now) => self.end(Some(failure), now),
            Order::Gone => {
                self.warden = None;
                self.end(failure(&warden_gone(self.started)), false);
            }
        }
    }

    /// The child's start: nothing but the end, of one that was about to execute, is an exec that went well.
    fn hear_child(&mut self) {
        let Some(status) = &self.status else { return };
        // To the end if it is there: the tool may have written already, and the client is told first that it runs.
        loop {
            match fds::read_append(status.as_fd(), &mut self.told_by_child, TOLD) {
                Ok(1..) if self.told_by_child.len() < TOLD => {}
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                _ => break,
            }
        }
        self.status = None;
        match &self.told_by_child[..] {
            [] if self.going.is_set() => {
                self.started = true;
                self.start_told_at = now_ms() + RUNS_ON;
                if self.carry.has_keyboard() {
                    self.tell_keyboard();
                }
            }
            [] => {
                let text = "the command was ended before it had started";
                self.failed = Some(Failure::new(EXIT_UNREACHABLE, text));
            }
            [code, text @ ..] => self.failed = Some(Failure::new(*code, text)),
        }
    }

    fn hear_client(&mut self, waits: &Waits, key: Key) {
        let Some(client) = &mut self.client else { return };
        let mut here = client.send();
        let hears = self.status.is_none() && client.is_heard() && !self.carry.stdin_blocked;
        let pipe = self.carry.pipe().is_some();
        let passes = pipe && client.inbox.coming().is_some();
        if hears && !passes && waits.found(key, IN | HANG_UP | ERROR) {
            here &= client.receive(client.inbox.portion(pipe)) != Heard::Gone;
        }
        // What it sent last counts: it has gone once that is read, or cannot be.
        if !here || waits.found(key, HANG_UP | ERROR) && (!hears || client.silent) {
            self.client_gone();
        }
    }

    fn client_gone(&mut self) {
        self.client = None;
        if !self.told_client {
            self.cancelled = true;
            self.end(None, false);
        }
    }

    /// Does what the client has asked for, as far as standard input takes it.
    fn obey_client(&mut self) {
        let Some(client) = &mut self.client else { return };
        loop {
            let heard = match client.inbox.next() {
                Ok(Next::More) => {
                    let taken = self.carry.pipe().is_some();
                    let coming =
                        client.inbox.coming().filter(|&(kind, _)| taken && kind == frame::STDIN);
                    let Some((_, left)) = coming else {
                        if client.silent {
                            self.carry.end_stdin();
                        }
                        return;
                    };
                    match self.carry.pass_stdin(client.socket.as_fd(), left) {
                        0 => return,
                        n => {
                            client.inbox.passed(n);
                        }
                    }
                    continue;
                }
                Ok(Next::Stream(frame::STDIN, range)) => {
                    let used = self.carry.take_stdin(client.inbox.bytes(range.clone()));
                    client.inbox.took(used);
                    if used < range.len() {
                        return;
                    }
                    continue;
                }
                Ok(Next::Stream(..)) | Err(_) => None,
                Ok(Next::Frame(kind, range)) => {
                    FromClient::parse(kind, client.inbox.bytes(range)).ok()
                }
            };
            match heard {
                Some(FromClient::StdinEnd) => self.carry.end_stdin(),
                Some(FromClient::WindowSize { rows, cols }) => self.carry.resize(rows, cols),
                Some(FromClient::Signal(signal::PIPE)) => self.carry.close_stdout(),
                Some(FromClient::Signal(number)) if signal::bit(number) & JOB_CONTROL == 0 => {
                    if self.ended.is_none() && PASSED & signal::bit(number) != 0 {
                        self.struck |= signal::bit(number) & signal::ENDING;
                        let _ = signal::kill(self.main.as_raw_nonzero().get(), number);
                    }
                }
                Some(FromClient::Signal(number) | FromClient::SignalGroup(number)) => {
                    pass(self.main, self.ended, &self.carry, number);
                }
                Some(FromClient::Cancel) => {
                    self.cancelled = true;
                    return self.end(None, false);
                }
                // What no client says ends the command as if the client had gone.
                _ => return self.client_gone(),
            }
        }
    }

    /// Carries output, one piece at a time, so that a client that takes nothing holds nothing up but itself.
    fn carry_out(&mut self, waits: &Waits, keys: &super::carry::Keys) {
        match &mut self.client {
            Some(client) => {
                self.carry.read_output(&mut client.outbox, waits, keys);
                if !client.send() {
                    self.client_gone();
                }
                if self.carry.wrote_too_much() {
                    self.end(failure("the command wrote more than it may and was ended"), true);
                }
            }
            None => self.carry.discard_output(waits, keys),
        }
    }

    fn reap(&mut self) {
        loop {
            match process::wait(None, false) {
                Waited::Nothing => return,
                Waited::NoChild => {
                    self.childless = true;
                    return;
                }
                Waited::Child(pid, Change::Ended(status)) if pid == self.main => {
                    while self.status.is_some() {
                        self.hear_child();
                    }
                    self.ended = Some(status);
                    // Nobody can say whether it was meant for the tool alone or for its group. A tool that handles it
                    // sees to its children; what a tool that does not would leave behind is out of its caller's reach.
                    if let Status::Killed(by) = status
                        && self.struck & signal::bit(by) != 0
                    {
                        let _ = signal::kill(-self.main.as_raw_nonzero().get(), by);
                    }
                    self.carry.tool_ended();
                }
                Waited::Child(pid, Change::Stopped(by)) if pid == self.main => {
                    self.tool_stopped(by);
                }
                Waited::Child(..) => {}
            }
        }
    }

    fn tool_stopped(&mut self, by: u8) {
        if matches!(by, signal::TTIN | signal::TTOU) && self.carry.give_keyboard(self.main) {
            let _ = signal::kill(-self.main.as_raw_nonzero().get(), signal::CONT);
            self.tell_keyboard();
            return;
        }
        if let (None, Some(client)) = (&self.ending, &mut self.client) {
            client.tell_stopped(by);
        }
    }

    fn is_done(&self) -> bool {
        let given_up = self.ending.as_ref().is_some_and(|e| now_ms() >= e.give_up_at);
        self.childless && self.told_client && (self.client.is_none() || given_up)
    }

    /// Begins to end the tree: politely, or at once. What was said first is what the client is told.
    fn end(&mut self, tell: Option<Failure>, at_once: bool) {
        // A child that has not started hears no polite signal.
        let at_once = at_once || self.status.is_some();
        let now = now_ms();
        if let Some(ending) = &mut self.ending {
            if at_once && ending.kill_at > now {
                ending.kill_from(now);
            }
        } else {
            let mut ending = Ending { tell, kill_at: 0, tell_at: 0, give_up_at: 0 };
            ending.kill_from(if at_once { now } else { now + self.grace_ms });
            self.ending = Some(ending);
            if !at_once && !self.childless {
                self.tree.signal(self.main, signal::TERM);
                self.tree.signal(self.main, signal::CONT);
            }
        }
        self.kill_if_due();
    }

    fn kill_if_due(&mut self) {
        let Some(ending) = &mut self.ending else { return };
        let now = now_ms();
        if !self.childless && now >= ending.kill_at {
            self.tree.kill(self.main);
            ending.kill_at = now + AGAIN;
        }
    }
}

impl Ending {
    fn kill_from(&mut self, then: u64) {
        self.kill_at = then;
        self.tell_at = then + UNKILLABLE;
        self.give_up_at = self.tell_at + LAST_WORDS;
    }
}

fn failure(text: &str) -> Option<Failure> {
    Some(Failure::new(EXIT_UNREACHABLE, text))
}

/// Passes a client's signal on to the tool's process group, or to the foreground of its terminal.
fn pass(main: Pid, ended: Option<Status>, carry: &Carry, number: u8) {
    if PASSED & signal::bit(number) == 0 || ended.is_some() {
        return;
    }
    let main = main.as_raw_nonzero().get();
    let foreground = carry.foreground().filter(|&group| group != rustix::process::getpgrp());
    let group = foreground.map_or(main, |group| group.as_raw_nonzero().get());
    // A tool that has made a group of its own is reached alone.
    if signal::kill(-group, number).is_err() {
        let _ = signal::kill(main, number);
    }
}
