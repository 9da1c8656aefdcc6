//! Whose the other end of a TCP connection of this machine is, as the kernel says.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use super::diag;

/// A socket that some process has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Socket {
    /// Its user.
    pub(super) uid: u32,
    /// Its number, by which descriptors name it.
    pub(super) number: u64,
}

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
        // State, queues, timer, retransmissions, then the user; a timeout, then the inode, which is 0 once no process
        // has the socket any more: the table says root of it then.
        is_it.then(|| {
            let uid = words.nth(4)?.parse().ok()?;
            let number = words.nth(1)?.parse::<u64>().ok().filter(|&number| number != 0)?;
            Some(Socket { uid, number })
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
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;
    use crate::process::holders;

    #[test]
    fn the_user_of_a_connection_is_found() {
        for address in ["127.0.0.1:0", "[::1]:0", "[::]:0"] {
            let Ok(listener) = TcpListener::bind(address) else { continue };
            let port = listener.local_addr().unwrap().port();
            let target = if address.starts_with("127") { "127.0.0.1" } else { "::1" };
            let stream = TcpStream::connect((target, port)).unwrap();
            let (accepted, peer) = listener.accept().unwrap();
            let found = socket_of(peer, accepted.local_addr().unwrap()).unwrap().flatten();
            let found = found.unwrap();
            assert_eq!(found.uid, rustix::process::getuid().as_raw(), "{address}");
            assert_eq!(holders(found.number), [std::process::id()], "{address}");
            drop(stream);
            let closed = socket_of(peer, accepted.local_addr().unwrap()).unwrap().flatten();
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
