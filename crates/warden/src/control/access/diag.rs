//! One socket of this machine, asked for by the addresses of both its ends: the kernel's answer takes as long with a hundred
//! thousand connections as with one (`NETLINK_SOCK_DIAG`, `linux/inet_diag.h`).

use std::io;
use std::net::{IpAddr, SocketAddr};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with,
};

/// `SOCK_DIAG_BY_FAMILY`, and the kind of its answer.
const BY_FAMILY: u16 = 20;
/// `NLMSG_ERROR`.
const ERROR: u16 = 2;
/// `NLM_F_REQUEST`: one socket, and no list.
const REQUEST: u16 = 1;
/// Bytes before what a message says.
const HEAD: usize = 16;
/// `struct inet_diag_req_v2`.
const ASKED: usize = 56;
/// `struct inet_diag_msg`, without the attributes behind it.
const TOLD: usize = 72;
/// `TCP_LISTEN`: whoever waits at the address is not whoever is connected.
const LISTENS: u8 = 10;

/// A socket that some process has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Socket {
    /// Its user.
    pub(super) uid: u32,
    /// Its number, by which descriptors name it.
    pub(super) number: u64,
}

impl Socket {
    /// `None` where no process has it any more: its number is 0 then, and the kernel says root of it.
    pub(super) fn held(uid: u32, number: u64) -> Option<Self> {
        (number != 0).then_some(Self { uid, number })
    }
}

/// The socket that has the address `local` and is connected to `remote`, in this network namespace; `Some(None)` where no
/// process has it any more.
///
/// # Errors
/// When the kernel cannot be asked this way.
pub(super) fn socket_of(
    local: SocketAddr,
    remote: SocketAddr,
) -> io::Result<Option<Option<Socket>>> {
    let Some(ends) = Ends::new(local, remote) else { return Ok(None) };
    let flags = SocketFlags::CLOEXEC;
    let protocol = Some(netlink::SOCK_DIAG);
    let kernel = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, protocol)?;
    send(&kernel, &ends.question(), SendFlags::empty())?;
    let mut answer = [0; 4096];
    // It is there once the question is taken.
    let (length, _) = recv(&kernel, &mut answer[..], RecvFlags::DONTWAIT)?;
    ends.read(&answer[..length])
}

/// Both ends, as the kernel wants them.
struct Ends {
    family: u8,
    /// Ports in the order of the network, then addresses, then the link.
    id: [u8; 40],
}

impl Ends {
    /// `None` where they are of different families: there is no such connection.
    fn new(local: SocketAddr, remote: SocketAddr) -> Option<Self> {
        let mut id = [0; 40];
        id[..2].copy_from_slice(&local.port().to_be_bytes());
        id[2..4].copy_from_slice(&remote.port().to_be_bytes());
        let family = match (local.ip().to_canonical(), remote.ip().to_canonical()) {
            (IpAddr::V4(local), IpAddr::V4(remote)) => {
                id[4..8].copy_from_slice(&local.octets());
                id[20..24].copy_from_slice(&remote.octets());
                AddressFamily::INET
            }
            (IpAddr::V6(local), IpAddr::V6(remote)) => {
                id[4..20].copy_from_slice(&local.octets());
                id[20..36].copy_from_slice(&remote.octets());
                AddressFamily::INET6
            }
            _ => return None,
        };
        if let SocketAddr::V6(local) = local {
            id[36..].copy_from_slice(&local.scope_id().to_ne_bytes());
        }
        Some(Self { family: u8::try_from(family.as_raw()).ok()?, id })
    }

    fn question(&self) -> Vec<u8> {
        let length = u32::try_from(HEAD + ASKED).unwrap_or_default();
        let mut bytes = length.to_ne_bytes().to_vec();
        bytes.extend(BY_FAMILY.to_ne_bytes());
        bytes.extend(REQUEST.to_ne_bytes());
        // Which question, and whose: there is no other.
        bytes.extend([0; 8]);
        // TCP, nothing besides, and in any state.
        bytes.extend([self.family, 6, 0, 0]);
        bytes.extend(u32::MAX.to_ne_bytes());
        bytes.extend(self.id);
        // No cookie is known.
        bytes.extend([0xff; 8]);
        bytes
    }

    fn read(&self, answer: &[u8]) -> io::Result<Option<Option<Socket>>> {
        let odd = || io::Error::other("the kernel's answer is not understood");
        let number = |at: usize| {
            let bytes = answer.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
            bytes.map(u32::from_ne_bytes).ok_or_else(odd)
        };
        let kind = answer.get(4..6).and_then(|bytes| bytes.try_into().ok()).map(u16::from_ne_bytes);
        match kind {
            Some(ERROR) => {
                let errno = number(HEAD)?.cast_signed().wrapping_neg();
                if errno == Errno::NOENT.raw_os_error() {
                    return Ok(None);
                }
                Err(io::Error::from_raw_os_error(errno))
            }
            Some(BY_FAMILY) if answer.len() >= HEAD + TOLD => {
                let (state, id) = (answer[HEAD + 1], &answer[HEAD + 4..HEAD + 40]);
                // Where nobody has these two ends, it may tell of who listens at the first.
                if state == LISTENS || id[..4] != self.id[..4] {
                    return Ok(None);
                }
                let (uid, inode) = (number(HEAD + 64)?, number(HEAD + 68)?);
                Ok(Some(Socket::held(uid, inode.into())))
            }
            _ => Err(odd()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::super::neighbour::{
        in_tables,
        tests::{LOOPS, Loop, connected},
    };
    use super::*;

    #[test]
    fn it_says_of_each_socket_what_the_table_says() {
        for (address, target) in LOOPS {
            let Some(Loop { stream, peer, own, .. }) = connected(address, target) else {
                continue;
            };
            let told = socket_of(peer, own).unwrap();
            assert_eq!(told, in_tables(peer, own).unwrap(), "{address}");
            assert!(told.flatten().is_some(), "{address}");
            // Our own end is another one.
            assert_ne!(socket_of(own, peer).unwrap(), told, "{address}");
            drop(stream);
            assert_eq!(socket_of(peer, own).unwrap().flatten(), None, "{address}: closed");
        }
    }

    #[test]
    fn an_ipv4_connection_to_a_socket_for_both_is_found() {
        let Some(looped) = connected("[::]:0", "127.0.0.1") else { return };
        let found = socket_of(looped.peer, looped.own).unwrap().flatten();
        assert_eq!(found.unwrap().uid, rustix::process::getuid().as_raw());
    }

    #[test]
    fn who_listens_at_an_address_is_not_whoever_was_connected_from_there() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let own = listener.local_addr().unwrap();
        assert_eq!(socket_of(own, "127.0.0.1:9".parse().unwrap()).unwrap(), None);
        assert_eq!(socket_of(own, "[::1]:9".parse().unwrap()).unwrap(), None);
    }
}
