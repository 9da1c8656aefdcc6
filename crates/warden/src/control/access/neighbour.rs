//! Whose the other end of a TCP connection of this machine is, as the kernel says.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use super::diag::{self, Socket};

/// The socket that has the address `peer` and is connected to `own`; `None` when there is none such: it is gone, or in
/// another network namespace; `Some(None)` when its process has closed it, whose user the kernel no longer has.
///
/// # Errors
/// When the kernel does not tell.
pub(super) fn socket_of(peer: SocketAddr, own: SocketAddr) -> io::Result<Option<Option<Socket>>> {
    diag::socket_of(peer, own).or_else(|error| {
        tracing::debug!(%error, "the kernel is not asked for one socket, its tables are read");
        in_tables(peer, own)
    })
}

/// The same, as its tables in /proc say, which takes longer the more connections there are.
pub(super) fn in_tables(peer: SocketAddr, own: SocketAddr) -> io::Result<Option<Option<Socket>>> {
    for (table, wide) in [("/proc/net/tcp", false), ("/proc/net/tcp6", true)] {
        let text = match std::fs::read_to_string(table) {
            // A kernel without IPv6.
            Err(error) if wide && error.kind() == io::ErrorKind::NotFound => continue,
            text => text?,
        };
        let Some((peer, own)) = written(peer, wide).zip(written(own, wide)) else { continue };
        if let Some(found) = find(&text, &peer, &own) {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// Whether an address is this machine's own: what goes to it goes out from it. Sends nothing.
pub(super) fn is_of_this_machine(address: IpAddr) -> bool {
    let address = address.to_canonical();
    if address.is_loopback() {
        return true;
    }
    let any = match address {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    // Port 9 is as good as any.
    let source = UdpSocket::bind((any, 0)).and_then(|socket| {
        socket.connect((address, 9))?;
        socket.local_addr()
    });
    source.is_ok_and(|source| source.ip() == address)
}

fn find(table: &str, local: &str, remote: &str) -> Option<Option<Socket>> {
    table.lines().skip(1).find_map(|line| {
        let mut words = line.split_ascii_whitespace().skip(1);
        let is_it = words.next()? == local && words.next()? == remote;
        // State, queues, timer, retransmissions, then the user; a timeout, then the inode.
        is_it.then(|| {
            let uid = words.nth(4)?.parse().ok()?;
            Socket::held(uid, words.nth(1)?.parse().ok()?)
        })
    })
}

/// An address as the table has it: 32-bit words in the order of this machine's bytes, in hex.
fn written(address: SocketAddr, wide: bool) -> Option<String> {
    let bytes = match (address.ip(), wide) {
        (IpAddr::V4(v4), false) => v4.octets().to_vec(),
        (IpAddr::V4(v4), true) => v4.to_ipv6_mapped().octets().to_vec(),
        (IpAddr::V6(v6), true) => v6.octets().to_vec(),
        (IpAddr::V6(v6), false) => v6.to_ipv4_mapped()?.octets().to_vec(),
    };
    let words = bytes.chunks_exact(4).map(|word| {
        let word = <[u8; 4]>::try_from(word).unwrap_or_default();
        format!("{:08X}", u32::from_ne_bytes(word))
    });
    Some(format!("{}:{:04X}", words.collect::<String>(), address.port()))
}

#[cfg(test)]
pub(super) mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;
    use crate::process::holders;

    /// A connection of this process with itself.
    pub(in super::super) struct Loop {
        /// Its end that is the peer's to who accepted it.
        pub(in super::super) stream: TcpStream,
        pub(in super::super) peer: SocketAddr,
        pub(in super::super) own: SocketAddr,
        _accepted: TcpStream,
    }

    /// One from `target` to who listens at `address`; `None` on a machine without such addresses.
    pub(in super::super) fn connected(address: &str, target: &str) -> Option<Loop> {
        let listener = TcpListener::bind(address).ok()?;
        let port = listener.local_addr().unwrap().port();
        let stream = TcpStream::connect((target, port)).unwrap();
        let (accepted, peer) = listener.accept().unwrap();
        let own = accepted.local_addr().unwrap();
        Some(Loop { stream, peer, own, _accepted: accepted })
    }

    /// Where is listened, and by which address it is connected to.
    pub(in super::super) const LOOPS: [(&str, &str); 3] =
        [("127.0.0.1:0", "127.0.0.1"), ("[::1]:0", "::1"), ("[::]:0", "::1")];

    #[test]
    fn the_user_of_a_connection_is_found() {
        for (address, target) in LOOPS {
            let Some(Loop { stream, peer, own, _accepted }) = connected(address, target) else {
                continue;
            };
            let found = socket_of(peer, own).unwrap().flatten().unwrap();
            assert_eq!(found.uid, rustix::process::getuid().as_raw(), "{address}");
            assert_eq!(holders(found.number), [std::process::id()], "{address}");
            drop(stream);
            let closed = socket_of(peer, own).unwrap().flatten();
            assert_eq!(closed, None, "{address}: whose it was cannot be told any more");
        }
    }

    #[test]
    fn addresses_of_this_machine_are_known() {
        for near in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert!(is_of_this_machine(near.parse().unwrap()), "{near}");
        }
        for far in ["192.0.2.77", "2001:db8::77"] {
            assert!(!is_of_this_machine(far.parse().unwrap()), "{far}");
        }
    }

    #[test]
    fn a_connection_that_is_not_there_is_nobodys() {
        let (peer, own) = ("127.0.0.1:1".parse().unwrap(), "127.0.0.1:2".parse().unwrap());
        assert_eq!(socket_of(peer, own).unwrap(), None);
    }
}
