//! The caller's descriptors, sent to the runner for the tool.

use alloc::string::String;
use alloc::vec::Vec;
use core::mem::MaybeUninit;

use clawrden_protocol::frame::{FromClient, Numbers};
use clawrden_protocol::limits::MAX_DESCRIPTORS;
use rustix::fd::{AsFd, AsRawFd, OwnedFd};
use rustix::fs::{Mode, OFlags, RawDir, SeekFrom};
use rustix::io::{Errno, FdFlags};

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

/// The numbers of what the program was started with, rising. Whatever would not survive an exec is our own.
fn open_numbers(own: i32) -> Vec<i32> {
    let mut numbers = Vec::new();
    let mut look = |number| {
        let flags = rustix::io::fcntl_getfd(fds::numbered(number));
        if number != own && flags == Ok(FdFlags::empty()) {
            numbers.push(number);
        }
    };
    // A try costs a small part of what /proc takes for each that is open.
    (0..fds::FEW).for_each(&mut look);
    if !fds::are_few() && list(&mut look).is_none() {
        (fds::FEW..TRIED).for_each(look);
    }
    numbers
}

/// The numbers from [`fds::FEW`] on of what is open, rising, as the kernel lists them; `None` where it does not.
fn list(look: &mut dyn FnMut(i32)) -> Option<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = rustix::fs::open(c"/proc/self/fd", flags, Mode::empty()).ok()?;
    // The folder's position is that of the number, behind the two entries that every folder has.
    rustix::fs::seek(&folder, SeekFrom::Start(2 + u64::from(fds::FEW.unsigned_abs()))).ok()?;
    let mut room = [MaybeUninit::uninit(); 4096];
    let mut entries = RawDir::new(&folder, &mut room);
    while let Some(Ok(entry)) = entries.next() {
        number(entry.file_name().to_bytes()).filter(|&n| n >= fds::FEW).map(&mut *look);
    }
    Some(())
}
