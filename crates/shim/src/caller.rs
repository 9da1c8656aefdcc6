//! What the shim tells the warden about its caller: what was executed, where, with which arguments, environment
//! and terminal. The warden believes none of it that the kernel can tell it.

use alloc::vec::Vec;
use core::ffi::CStr;

use clawrden_protocol::error::ProtocolError;
use clawrden_protocol::request::{RequestV2, Tty};
use rustix::fs::{Mode, OFlags};
use rustix::rand::GetRandomFlags;

use crate::sys::{fds, start::Start};

/// The request for this start, as it goes over the wire.
///
/// # Errors
/// A command that does not fit into a request.
pub(crate) fn request(start: &Start) -> Result<Vec<u8>, ProtocolError> {
    let mut id = [0; 16];
    // An id that is not random is only one that cannot be found again: the warden takes no authority from it.
    let _ = rustix::rand::getrandom(&mut id, GetRandomFlags::empty());
    let cwd = crate::sys::working_directory().unwrap_or_default();
    let exec = asked_for(start).to_bytes();
    // A caller may pass no argv[0] at all.
    let alone = start.args().next().is_none().then_some(exec);
    let argv = alone.into_iter().chain(start.args().map(CStr::to_bytes));
    RequestV2::new(id, terminal(), exec, &cwd, argv, start.env().map(CStr::to_bytes))?.encode()
}

/// The path by which the shim was executed. The kernel names the script where one asked for a shim in its first line;
/// the shim's own path then is `argv[0]`, which a bare name is not.
fn asked_for(start: &Start) -> &CStr {
    let exec = start.exec();
    let own = start.args().next().filter(|name| name.to_bytes().contains(&b'/'));
    own.filter(|_| is_script(exec)).unwrap_or(exec)
}

fn is_script(path: &CStr) -> bool {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let mut start = [0; 2];
    rustix::fs::open(path, flags, Mode::empty())
        .and_then(|file| rustix::io::read(&file, &mut start))
        .is_ok_and(|n| n == 2 && start == *b"#!")
}

/// Which of descriptors 0, 1 and 2 are terminals, and the window of the first that is.
fn terminal() -> Option<Tty> {
    let mut tty: Option<Tty> = None;
    for number in 0..3u8 {
        let Ok(size) = rustix::termios::tcgetwinsize(fds::numbered(number.into())) else {
            continue;
        };
        let first = Tty { fds: 0, rows: size.ws_row, cols: size.ws_col };
        tty.get_or_insert(first).fds |= 1 << number;
    }
    tty
}
