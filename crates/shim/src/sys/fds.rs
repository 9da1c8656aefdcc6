//! Descriptors by their numbers, and reading into room that is not yet used.

use alloc::vec::Vec;
use core::mem::MaybeUninit;

use rustix::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use rustix::io::{self, Errno};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};

use super::{arch, call, int};
use clawrden_protocol::limits::MAX_DESCRIPTORS;

/// The descriptor of this number, which need not be open: then every use of it is `EBADF`.
pub(crate) fn numbered(number: RawFd) -> BorrowedFd<'static> {
    // SAFETY: the number is one that the program was started with or never -1; a closed one makes syscalls fail
    // and nothing else. Callers pass numbers that no owned descriptor of ours has.
    unsafe { BorrowedFd::borrow_raw(number) }
}

/// Closes the descriptor of this number, if it is open.
pub(crate) fn close(number: RawFd) {
    // SAFETY: callers pass numbers that the program was started with, which nothing here owns.
    let _ = unsafe { call(arch::nr::CLOSE, [int(number), 0, 0, 0, 0, 0]) };
}

/// Takes a descriptor that the program was started with as its own.
pub(crate) fn take(number: RawFd) -> OwnedFd {
    // SAFETY: callers take each number once, at the start, before anything else uses it.
    unsafe { OwnedFd::from_raw_fd(number) }
}

/// Closes every descriptor from `first` to `last`, if those are any.
pub(crate) fn close_range(first: RawFd, last: RawFd) {
    // SAFETY: callers use it while they own no descriptor there, or none that is used or closed again.
    let _ = unsafe { call(arch::nr::CLOSE_RANGE, [int(first), int(last), 0, 0, 0, 0]) };
}

/// Numbers from which on descriptors are not [few](are_few).
pub(crate) const FEW: RawFd = 64;

/// Whether no descriptor of number [`FEW`] or above is open. `false` where that cannot be told.
///
/// A select takes no notice of numbers that the process's table is too small for, and fails for others that are not open.
pub(crate) fn are_few() -> bool {
    let (mut set, now) = ([0u64, !0], [0u64; 2]);
    // SAFETY: the kernel reads and writes 128 bits at most, which `set` has, and reads two 64-bit values.
    let asked = unsafe {
        let (set, now) = (set.as_mut_ptr() as usize, now.as_ptr() as usize);
        call(arch::nr::PSELECT6, [128, 0, 0, set, now, 0])
    };
    // Where all of these are open it says the same.
    asked == Ok(0) && io::fcntl_getfd(numbered(FEW)).is_err()
}

/// Makes `number` a copy of `fd` that survives an exec.
pub(crate) fn place(fd: BorrowedFd<'_>, number: RawFd) -> Result<(), Errno> {
    if fd.as_raw_fd() == number {
        return io::fcntl_setfd(fd, io::FdFlags::empty());
    }
    // SAFETY: nothing here owns `number`: it is one of those that the tool gets.
    unsafe { call(arch::nr::DUP3, [int(fd.as_raw_fd()), int(number), 0, 0, 0, 0]) }.map(drop)
}

/// What a read took: how many bytes, and the rest of the room stays unused.
fn append(
    bytes: &mut Vec<u8>,
    max: usize,
    read: impl FnOnce(&mut [MaybeUninit<u8>]) -> Result<usize, Errno>,
) -> Result<usize, Errno> {
    let room = bytes.spare_capacity_mut();
    let max = max.min(room.len());
    let n = read(&mut room[..max])?.min(max);
    // SAFETY: the read filled that many bytes of the spare room, which is within the capacity.
    unsafe { bytes.set_len(bytes.len() + n) };
    Ok(n)
}

/// Reads at most `max` bytes behind those in `bytes`, never more than its capacity has room for. 0 is the end.
pub(crate) fn read_append(
    fd: BorrowedFd<'_>,
    bytes: &mut Vec<u8>,
    max: usize,
) -> Result<usize, Errno> {
    append(bytes, max, |room| io::read(fd, room).map(|(filled, _)| filled.len()))
}

/// Receives at most `max` bytes behind those in `bytes`, never more than its capacity has room for. 0 is the end.
pub(crate) fn receive_append(
    fd: BorrowedFd<'_>,
    bytes: &mut Vec<u8>,
    max: usize,
    flags: RecvFlags,
) -> Result<usize, Errno> {
    append(bytes, max, |room| rustix::net::recv(fd, room, flags).map(|(_, n)| n))
}

/// Bytes of control data for as many descriptors as the kernel takes in one message.
const RIGHTS: usize = rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS));

/// Sends `bytes` with `fds` riding on the first of them. Gives how many bytes went.
pub(crate) fn send_with(
    socket: BorrowedFd<'_>,
    bytes: &[u8],
    fds: &[BorrowedFd<'_>],
) -> Result<usize, Errno> {
    let mut room = [MaybeUninit::uninit(); RIGHTS];
    let mut control = SendAncillaryBuffer::new(&mut room);
    if !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(Errno::TOOMANYREFS);
    }
    let parts = [io::IoSlice::new(bytes)];
    rustix::net::sendmsg(socket, &parts, &mut control, SendFlags::NOSIGNAL)
}

/// Receives at most `room.len()` bytes, and appends the descriptors that came with them to `fds`, all of them
/// closed on exec. `EAGAIN` when nothing is there, `EMSGSIZE` when the kernel had to drop descriptors.
pub(crate) fn receive_with(
    socket: BorrowedFd<'_>,
    room: &mut [u8],
    fds: &mut Vec<OwnedFd>,
) -> Result<usize, Errno> {
    let mut space = [MaybeUninit::uninit(); RIGHTS];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut parts = [io::IoSliceMut::new(room)];
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
    let received = rustix::net::recvmsg(socket, &mut parts, &mut control, flags)?;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            fds.extend(rights);
        }
    }
    if received.flags.contains(ReturnFlags::CTRUNC) {
        return Err(Errno::MSGSIZE);
    }
    Ok(received.bytes)
}
