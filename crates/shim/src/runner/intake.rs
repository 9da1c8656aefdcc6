//! Messages from the warden, and the descriptors that a client sends.

use alloc::vec::Vec;

use clawrden_protocol::frame::{FromClient, HEAD, parse_head};
use clawrden_protocol::limits::EXIT_UNREACHABLE;
use clawrden_protocol::runner::{self, ToRunner};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::RecvFlags;

use super::{Failure, OWN, Received};
use crate::inbox::cut_front;
use crate::sys::waits::{IN, Waits};
use crate::sys::{fds, now_ms};

/// Milliseconds that the warden has for its plan, and a client for its descriptors.
const DEADLINE: u64 = 10_000;
/// Bytes of a message that comes after the plan.
const LATER: u32 = 64 * 1024;

/// The plan; `None` when none comes. The wait for its first bytes has no end but the warden's.
pub(super) fn plan(warden: &OwnedFd) -> Option<Received> {
    let mut files = Vec::new();
    let mut head = [0; 5];
    fill(warden.as_fd(), &mut head, &mut files, u64::MAX).ok()?;
    let until = now_ms() + DEADLINE;
    let (kind, length) = runner::parse_head(head).ok()?;
    let mut payload = alloc::vec![0; usize::try_from(length).ok()?];
    fill(warden.as_fd(), &mut payload, &mut files, until).ok()?;
    match ToRunner::parse(kind, &payload) {
        Ok(ToRunner::Plan(plan)) if !files.is_empty() => {
            let client = rustix::io::fcntl_dupfd_cloexec(files.remove(0), OWN).ok()?;
            Some(Received { plan, client, files })
        }
        _ => None,
    }
}

/// Receives exactly `room.len()` bytes, and what descriptors come with them.
fn fill(
    socket: BorrowedFd<'_>,
    room: &mut [u8],
    files: &mut Vec<OwnedFd>,
    until: u64,
) -> Result<(), Errno> {
    let mut at = 0;
    while at < room.len() {
        match fds::receive_with(socket, &mut room[at..], files) {
            Ok(0) => return Err(Errno::CONNRESET),
            Ok(n) => at += n,
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                let left = until.saturating_sub(now_ms());
                if left == 0 {
                    return Err(Errno::TIMEDOUT);
                }
                let mut waits = Waits::new();
                waits.add(socket, IN);
                waits.wait(Some(left));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// What a client's descriptors are: each with the number that it had, and the working directory.
pub(super) struct Inherited {
    pub(super) files: Vec<(i32, OwnedFd)>,
    pub(super) cwd: OwnedFd,
}

/// Receives the client's descriptors. Not a byte beyond their frame is read.
///
/// # Errors
/// The client is gone, too slow, or sends something else.
pub(super) fn descriptors(client: BorrowedFd<'_>) -> Result<Inherited, Failure> {
    let until = now_ms() + DEADLINE;
    let mut files = Vec::new();
    let mut payload = Vec::new();
    let kind = frame(client, &mut payload, &mut files, until)
        .map_err(|_| bad("the caller did not send its descriptors; nothing ran"))?;
    match FromClient::parse(kind, &payload) {
        Ok(FromClient::Descriptors(numbers)) => pair(numbers.iter(), files)
            .ok_or(bad("the caller's descriptors are not as it says; nothing ran")),
        Ok(FromClient::Cancel) => Err(bad("the caller cancelled; nothing ran")),
        _ => Err(bad("the caller sent something else than its descriptors; nothing ran")),
    }
}

fn frame(
    client: BorrowedFd<'_>,
    payload: &mut Vec<u8>,
    files: &mut Vec<OwnedFd>,
    until: u64,
) -> Result<u8, Errno> {
    let mut head = [0; HEAD];
    fill(client, &mut head, files, until)?;
    let (kind, length) = parse_head(head).map_err(|_| Errno::PROTO)?;
    payload.resize(usize::try_from(length).map_err(|_| Errno::PROTO)?, 0);
    fill(client, payload, files, until)?;
    Ok(kind)
}

fn bad(text: &str) -> Failure {
    Failure::new(EXIT_UNREACHABLE, text)
}

/// Numbers must rise, so that none comes twice; the last descriptor has none.
fn pair(numbers: impl Iterator<Item = u32>, mut files: Vec<OwnedFd>) -> Option<Inherited> {
    let cwd = files.pop()?;
    let numbers: Vec<i32> = numbers.map(i32::try_from).collect::<Result<_, _>>().ok()?;
    if numbers.len() != files.len() || !numbers.is_sorted_by(|a, b| a < b) {
        return None;
    }
    Some(Inherited { files: numbers.into_iter().zip(files).collect(), cwd })
}

/// Messages from the warden after the plan, as they arrive.
#[derive(Default)]
pub(super) struct Orders {
    bytes: Vec<u8>,
}

/// What came from the warden.
pub(super) enum Order {
    /// Nothing whole yet.
    None,
    /// To end the tree, with what to tell the client.
    Stop(Failure, bool),
    /// The warden has gone, or says what no warden says: a second plan is as bad as none.
    Gone,
}

impl Orders {
    /// Receives once and gives the next order.
    pub(super) fn receive(&mut self, warden: &OwnedFd) -> Order {
        self.bytes.reserve(1024);
        match fds::receive_append(warden.as_fd(), &mut self.bytes, 1024, RecvFlags::DONTWAIT) {
            Ok(1..) => self.next(),
            Err(Errno::AGAIN | Errno::INTR) => Order::None,
            Ok(0) | Err(_) => Order::Gone,
        }
    }

    fn next(&mut self) -> Order {
        let Some(head) = self.bytes.first_chunk() else { return Order::None };
        let (kind, length) = match runner::parse_head(*head) {
            Ok((kind, length)) if length <= LATER => (kind, length),
            _ => return Order::Gone,
        };
        let end = 5 + usize::try_from(length).unwrap_or(usize::MAX - 5);
        let Some(payload) = self.bytes.get(5..end) else { return Order::None };
        let message = ToRunner::parse(kind, payload);
        cut_front(&mut self.bytes, end);
        match message {
            Ok(ToRunner::Stop { code, text, now }) => Order::Stop(Failure { code, text }, now),
            Ok(ToRunner::Plan(_)) | Err(_) => Order::Gone,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(n: usize) -> Vec<OwnedFd> {
        (0..n).map(|_| rustix::io::dup(fds::numbered(0)).unwrap()).collect()
    }

    #[test]
    fn numbers_and_descriptors_pair_with_the_directory_last() {
        let paired = pair([0u32, 2, 255].into_iter(), files(4)).unwrap();
        let numbers: Vec<i32> = paired.files.iter().map(|&(n, _)| n).collect();
        assert_eq!(numbers, [0, 2, 255]);
    }

    #[test]
    fn numbers_that_repeat_fall_or_do_not_fit_are_refused() {
        assert!(pair([1u32, 1].into_iter(), files(3)).is_none());
        assert!(pair([2u32, 1].into_iter(), files(3)).is_none());
        assert!(pair([u32::MAX].into_iter(), files(2)).is_none());
        assert!(pair([1u32, 2].into_iter(), files(2)).is_none());
        assert!(pair([1u32].into_iter(), files(3)).is_none());
        assert!(pair([].into_iter(), files(0)).is_none());
    }
}
