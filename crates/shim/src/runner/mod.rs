//! The runner: the warden starts it, perhaps long before there is work, for one supervised run after the other. It
//! receives the plan and the client's connection, starts the tool as its child, carries streams and signals, and ends
//! the whole tree when it is told to.
//!
//! In a container it is started by the container's engine and connects to the warden; in one of its own it is the first
//! process, and the reaper of all.
//!
//! It takes orders from the warden alone, and never touches a descriptor of the client: those go to the child.

mod beginning;
mod carry;
mod client;
mod identity;
mod intake;
mod launch;
mod pty;
mod start;
mod supervise;
mod tree;

use alloc::boxed::Box;
use alloc::vec::Vec;

use clawrden_protocol::limits::EXIT_UNREACHABLE;
use clawrden_protocol::runner::{CONNECT, CONNECT_OPEN, Plan};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::DumpableBehavior;

use crate::say::words;
use crate::socket::connect;
use crate::sys::signal::Signals;
use crate::sys::start::Start;
use crate::sys::turns::{self, Flag, Kept};
use crate::sys::{child, fds, process, signal};

/// Where the runner keeps its own descriptors.
const OWN: i32 = 300;

/// What can be told about a start that failed: the code for the client, and a line.
pub(crate) struct Failure {
    code: u8,
    text: Vec<u8>,
}

impl Failure {
    fn new(code: u8, text: impl Into<Vec<u8>>) -> Self {
        Self { code, text: text.into() }
    }
}

/// The failure to do `what` before anything has started.
fn cannot(what: &str, error: Errno) -> Failure {
    let text = ["the runner cannot ", what, " (", &words(error), "); nothing ran"].concat();
    Failure::new(EXIT_UNREACHABLE, text)
}

/// Runs one plan after the other to its end; never comes back.
pub(crate) fn run(start: &Start) -> ! {
    let Ok(kept) = settle(start) else { process::exit(1) };
    turns::take(&kept, |kept| {
        // A warden that sends no plan, or half of one, is gone: there is nobody to tell.
        let Some(received) = intake::plan(&kept.warden) else { process::exit(1) };
        supervise::run(kept, received);
    })
}

/// Makes this process the reaper of all that it will start, out of reach of the tool and of terminals.
fn settle(start: &Start) -> Result<Kept, Errno> {
    fds::close_range(3, i32::MAX);
    let files = process::limit(process::LIMIT_FILES, None)?;
    let _ = process::limit(process::LIMIT_FILES, Some((files.1, files.1)));
    let mut args = start.args().skip(1);
    // In a container no descriptor of the warden's can be inherited.
    let warden = match args.next() {
        Some(word) if word.to_bytes().starts_with(CONNECT) => {
            let socket = connect(args.next().unwrap_or_default().to_bytes())?;
            if word.to_bytes() == CONNECT_OPEN {
                let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
                let root = rustix::fs::open(c"/", flags, Mode::empty())?;
                fds::send_with(socket.as_fd(), &[0], &[root.as_fd()])?;
            }
            socket
        }
        _ => fds::take(0),
    };
    let warden = rustix::io::fcntl_dupfd_cloexec(warden, OWN)?;
    let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
    let _ = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable);
    // Already a leader of a session is as good.
    let _ = rustix::process::setsid();
    signal::set_blocked(!0);
    identity::reset_signals();
    child::guard();
    let signals = Signals::of(signal::set(&[signal::CHLD, signal::TERM]))?;
    Ok(Kept { warden, signals, files, going: Flag::new()? })
}

/// What the warden sends: the plan, the client's connection, the executable, and the working directory where streams
/// are frames.
struct Received {
    plan: Box<Plan>,
    client: OwnedFd,
    files: Vec<OwnedFd>,
}
