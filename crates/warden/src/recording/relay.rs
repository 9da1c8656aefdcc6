//! Standing between a client and its runner: bytes go on unchanged in both directions, and no more of them are held than
//! one piece each way, so that who reads slowly slows down who writes.
//!
//! It is a thread of its own for each recorded run: a disk that is slow, or hangs, keeps nobody else waiting.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown};
use tokio::sync::oneshot;

use super::Begun;
use super::tap::{Tap, Way};
use crate::ledger::Recorded;

/// Bytes of a piece.
const PIECE: usize = 256 * 1024;

/// Bytes that are held for a client that reads nothing, once its tool has ended: what a runner and a connection can hold
/// by then is less.
const LAST: usize = 4 * 1024 * 1024;

/// How long the end of a recording may take, until it counts as unfinished.
const PATIENCE: Duration = Duration::from_secs(10);

/// Bytes of the thread's stack.
const STACK: usize = 256 * 1024;

/// What the thread is told from outside.
#[derive(Debug)]
struct Wake {
    fd: OwnedFd,
    /// Nothing is carried any more; otherwise the tool has ended.
    lets_go: AtomicBool,
}

impl Wake {
    /// Wakes the thread.
    fn up(&self) {
        // It can only fail by a counter that is full, and then it is readable.
        let _ = rustix::io::write(&self.fd, &1_u64.to_ne_bytes());
    }
}

/// A thread that waits for a recording to carry. Dropped, it ends.
pub(crate) struct Ready {
    wake: Arc<Wake>,
    ours: OwnedFd,
    theirs: OwnedFd,
    give: mpsc::SyncSender<Carrier>,
    gone: oneshot::Receiver<()>,
}

impl Ready {
    /// All that standing between a client and its runner takes.
    ///
    /// # Errors
    /// When there is no descriptor or thread left.
    pub(crate) fn new() -> io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let (give, work) = mpsc::sync_channel::<Carrier>(1);
        let (here, gone) = oneshot::channel::<()>();
        std::thread::Builder::new().name("recording".to_owned()).stack_size(STACK).spawn(
            move || {
                if let Ok(carrier) = work.recv() {
                    carrier.run();
                }
                drop(here);
            },
        )?;
        let wake = Arc::new(Wake { fd, lets_go: AtomicBool::new(false) });
        Ok(Self { wake, ours: ours.into(), theirs: theirs.into(), give, gone })
    }

    /// Stands between `client` and a runner, and gives the end that is for the runner.
    pub(crate) fn carry(self, begun: Begun, client: OwnedFd, way: Way) -> (Relay, OwnedFd) {
        let Self { wake, ours, theirs, give, gone } = self;
        let (sender, done) = oneshot::channel();
        let carrier = Carrier {
            tap: Some(Tap::new(begun, way)),
            done: Some(sender),
            client: Some(client),
            runner: Some(ours),
            wake: Arc::clone(&wake),
            has_ended: false,
            out: Lane::default(),
            into: Lane::default(),
        };
        // It waits for this, and has room for it.
        let _ = give.send(carrier);
        (Relay { wake, done, gone }, theirs)
    }
}

/// A recording that goes on.
pub(crate) struct Relay {
    wake: Arc<Wake>,
    done: oneshot::Receiver<Recorded>,
    gone: oneshot::Receiver<()>,
}

impl Relay {
    /// The recording, once the tool has ended: what is left of its output is taken even if its client takes none.
    pub(crate) async fn end(&mut self) -> Recorded {
        self.wake.up();
        match tokio::time::timeout(PATIENCE, &mut self.done).await {
            Ok(Ok(recorded)) => recorded,
            Ok(Err(_)) => lost("what was recording it has failed"),
            Err(_) => Self::late(),
        }
    }

    /// What is told of one whose end nobody waits for any longer.
    pub(crate) fn late() -> Recorded {
        lost("it could not be finished in time")
    }

    /// Resolves when its client has all that was for it, or has gone: nothing of the relay is left. Cancel-safe.
    pub(crate) async fn gone(&mut self) {
        // Nothing is ever sent.
        let _ = (&mut self.gone).await;
    }

    /// Lets the client go, whatever is left for it.
    pub(crate) fn let_go(&self) {
        self.wake.lets_go.store(true, Ordering::Release);
        self.wake.up();
    }
}

/// What is told of a recording whose end is not known.
fn lost(why: &str) -> Recorded {
    Recorded { sha256: String::new(), bytes: 0, error: Some(why.to_owned()) }
}

/// Bytes on their way in one direction.
#[derive(Default)]
struct Lane {
    bytes: Vec<u8>,
    /// Of which so many have gone.
    gone: usize,
    /// No more come.
    ended: bool,
    /// The other side knows that.
    told: bool,
}

impl Lane {
    fn is_empty(&self) -> bool {
        self.gone == self.bytes.len()
    }

    /// Takes what is there, up to a piece. `false`: there is nothing more to come.
    fn fill(&mut self, from: BorrowedFd<'_>, mut look: impl FnMut(&[u8])) -> bool {
        if self.is_empty() {
            self.bytes.clear();
            self.gone = 0;
        }
        let before = self.bytes.len();
        self.bytes.reserve(PIECE);
        match recv(from, spare_capacity(&mut self.bytes), RecvFlags::DONTWAIT) {
            Ok(_) if self.bytes.len() > before => look(&self.bytes[before..]),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Ok(_) | Err(_) => {
                self.ended = true;
                return false;
            }
        }
        true
    }

    /// Sends what the other side takes. `false`: it takes no more, ever.
    fn drain(&mut self, into: BorrowedFd<'_>) -> bool {
        while !self.is_empty() {
            let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
            match send(into, &self.bytes[self.gone..], flags) {
                Ok(n) => self.gone += n,
                Err(Errno::AGAIN) => return true,
                Err(Errno::INTR) => {}
                Err(_) => return false,
            }
        }
        true
    }
}

struct Carrier {
    tap: Option<Tap>,
    done: Option<oneshot::Sender<Recorded>>,
    client: Option<OwnedFd>,
    runner: Option<OwnedFd>,
    wake: Arc<Wake>,
    /// The tool has ended.
    has_ended: bool,
    /// From the runner to the client.
    out: Lane,
    /// From the client to the runner.
    into: Lane,
}

impl Carrier {
    fn run(mut self) {
        while self.client.is_some() || self.runner.is_some() {
            let Some([client, runner]) = self.wait() else {
                return self.finish(Some("its run could not be followed any more"));
            };
            if self.wake.lets_go.load(Ordering::Acquire) {
                (self.client, self.runner) = (None, None);
                return self.finish(Some("its command was ended"));
            }
            self.hear_client(client);
            self.hear_runner(runner);
            self.pass_on();
        }
        self.finish(None);
    }

    /// Waits until something can be done, and says what of client and runner; `None` when that cannot be waited for.
    fn wait(&mut self) -> Option<[PollFlags; 2]> {
        let when = |is: bool, flag: PollFlags| if is { flag } else { PollFlags::empty() };
        let room = if self.has_ended { LAST } else { 1 };
        let hear_out = !self.out.ended && self.out.bytes.len() - self.out.gone < room;
        let hear_in = !self.into.ended && self.into.is_empty();
        let client = when(hear_in, PollFlags::IN) | when(!self.out.is_empty(), PollFlags::OUT);
        let runner = when(hear_out, PollFlags::IN) | when(!self.into.is_empty(), PollFlags::OUT);
        let mut fds = Vec::with_capacity(3);
        fds.extend(self.client.as_ref().map(|fd| PollFd::new(fd, client)));
        fds.extend(self.runner.as_ref().map(|fd| PollFd::new(fd, runner)));
        fds.push(PollFd::new(&self.wake.fd, PollFlags::IN));
        loop {
            match poll(&mut fds, None) {
                Ok(_) => break,
                Err(Errno::INTR) => {}
                Err(error) => {
                    tracing::error!(%error, "a recorded run cannot be followed");
                    return None;
                }
            }
        }
        let mut found = fds.iter().map(PollFd::revents);
        let mut of = |is: bool| {
            let flags = if is { found.next() } else { None };
            flags.unwrap_or(PollFlags::empty())
        };
        let (client, runner) = (of(self.client.is_some()), of(self.runner.is_some()));
        if of(true).contains(PollFlags::IN) {
            self.has_ended = true;
            // What is not read wakes again.
            let _ = rustix::io::read(&self.wake.fd, &mut [0; 8]);
        }
        Some([client, runner])
    }

    fn hear_client(&mut self, found: PollFlags) {
        let Some(client) = &self.client else { return };
        let has_gone = found.intersects(PollFlags::HUP | PollFlags::ERR);
        let Self { tap, into, .. } = self;
        let mut goes_on = true;
        if !into.ended && into.is_empty() && (found.contains(PollFlags::IN) || has_gone) {
            goes_on = into.fill(client.as_fd(), |bytes| {
                if let Some(tap) = tap {
                    tap.given(bytes);
                }
            });
        }
        // Who has gone is still heard to the end of what it said, as far as that can be passed on.
        if has_gone && (!goes_on || into.ended || !into.is_empty() && !self.passes_in()) {
            self.client_gone();
        }
    }

    /// Sends input on. `false`: some of it stays.
    fn passes_in(&mut self) -> bool {
        let Some(runner) = &self.runner else { return false };
        self.into.drain(runner.as_fd()) && self.into.is_empty()
    }

    /// The runner finds out by its own connection.
    fn client_gone(&mut self) {
        self.passes_in();
        self.client = None;
        // What it has sent and was not looked at is nobody's.
        let goes_on = self.runner.take().is_some();
        self.finish(goes_on.then_some("its caller has gone"));
    }

    fn hear_runner(&mut self, found: PollFlags) {
        let Some(runner) = &self.runner else { return };
        if !found.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) {
            return;
        }
        // Of one that has gone there is no more than a connection holds.
        let is_last = self.has_ended || found.contains(PollFlags::HUP);
        let room = if is_last { LAST } else { 1 };
        if self.out.ended || self.out.bytes.len() - self.out.gone >= room {
            return;
        }
        let Self { tap, out, .. } = self;
        let goes_on = out.fill(runner.as_fd(), |bytes| {
            if let Some(tap) = tap {
                tap.shown(bytes);
            }
        });
        if !goes_on {
            self.runner = None;
        }
    }

    fn pass_on(&mut self) {
        if let Some(client) = &self.client
            && !self.out.drain(client.as_fd())
        {
            return self.client_gone();
        }
        if let Some(runner) = &self.runner {
            // A runner that takes nothing more says how it ended all the same.
            if !self.into.drain(runner.as_fd()) {
                self.into.bytes.clear();
                self.into.gone = 0;
            }
            if self.into.ended && self.into.is_empty() && !self.into.told {
                self.into.told = true;
                let _ = shutdown(runner, Shutdown::Write);
            }
            return;
        }
        // Who waits for the command's end comes before who writes it down.
        if self.out.is_empty() {
            self.client = None;
        }
        self.finish(None);
    }

    /// Closes the recording and gives it away, once; `why` it may not be whole.
    fn finish(&mut self, why: Option<&str>) {
        if let (Some(tap), Some(done)) = (self.tap.take(), self.done.take()) {
            // Who does not listen any more has counted it as lost.
            let _ = done.send(tap.end(why));
        }
    }
}

#[cfg(test)]
mod tests;
