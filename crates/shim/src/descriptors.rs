//! The caller's descriptors, sent to the runner for the tool.

use alloc::string::String;
use alloc::vec::Vec;
use core::mem::MaybeUninit;

use clawrden_protocol::frame::{FromClient, Numbers};
use clawrden_protocol::limits::MAX_DESCRIPTORS;
use rustix::fd::{AsFd, AsRawFd, OwnedFd};
use rustix::fs::{Mode, OFlags, RawDir};
use rustix::io::Errno;

use crate::say::{decimal, number, words};
use crate::socket::send_all;
use crate::sys::fds;
use crate::terminal::is_terminal;

/// Numbers that are tried where /proc cannot be read.
const TRIED: i32 = 1024;

/// Sends every descriptor that the tool would inherit, and the working directory. Then closes what the tool alone
/// should hold: the ends of pipes and locks must end with the tool. Terminals and standard error stay.
///
/// # Errors
/// The line to say.
pub(crate) fn send(socket: &OwnedFd) -> Result<(), String> {
    let numbers = open_numbers(socket.as_raw_fd());
    if numbers.len() >= MAX_DESCRIPTORS {
        let (open, most) = (decimal_of(numbers.len()), decimal_of(MAX_DESCRIPTORS - 1));
        let parts = [
            &open,
            " open descriptors are more than the ",
            &most,
            " that can be passed on; nothing ran",
        ];
        return Err(parts.concat());
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let cwd = rustix::fs::open(c".", flags, Mode::empty())
        .map_err(|e| cannot_pass("the working directory", e))?;
    let mut bytes = Vec::new();
    let mut fds = Vec::new();
    for &number in &numbers {
        bytes.extend_from_slice(&number.to_be_bytes());
        fds.push(fds::numbered(number));
    }
    fds.push(cwd.as_fd());
    let mut frame = Vec::new();
    FromClient::Descriptors(Numbers::new(&bytes).unwrap_or_default()).encode(&mut frame);
    send_riding(socket, &frame, &fds).map_err(|e| cannot_pass("the descriptors", e))?;
    for number in numbers {
        if number != 2 && !((0..3).contains(&number) && is_terminal(number)) {
            fds::close(number);
        }
    }
    Ok(())
}

fn cannot_pass(what: &str, error: Errno) -> String {
    [what, " cannot be passed on (", &words(error), "); nothing ran"].concat()
}

fn decimal_of(n: usize) -> String {
    decimal(i32::try_from(n).unwrap_or(i32::MAX))
}

fn send_riding(
    socket: &OwnedFd,
    frame: &[u8],
    fds: &[rustix::fd::BorrowedFd<'_>],
) -> Result<(), Errno> {
    loop {
        match fds::send_with(socket.as_fd(), frame, fds) {
            Ok(sent) => return send_all(socket, &frame[sent..]),
            Err(Errno::INTR) => {}
            // A warden that has gone, or refuses after all, has said so; that is still to be read.
            Err(Errno::PIPE | Errno::CONNRESET) => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

/// The numbers of what the program was started with, rising, as the kernel lists them. Whatever would not survive an
/// exec is our own.
fn open_numbers(own: i32) -> Vec<i32> {
    let mut numbers = Vec::new();
    if !list(&mut numbers) {
        numbers = (0..TRIED).collect();
    }
    numbers.retain(|&number| {
        number != own
            && rustix::io::fcntl_getfd(fds::numbered(number))
                .is_ok_and(|flags| !flags.contains(rustix::io::FdFlags::CLOEXEC))
    });
    numbers
}

fn list(numbers: &mut Vec<i32>) -> bool {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let Ok(folder) = rustix::fs::open(c"/proc/self/fd", flags, Mode::empty()) else {
        return false;
    };
    let mut room = [MaybeUninit::uninit(); 4096];
    let mut entries = RawDir::new(&folder, &mut room);
    while let Some(Ok(entry)) = entries.next() {
        if let Some(number) = number(entry.file_name().to_bytes()) {
            numbers.push(number);
        }
    }
    true
}
