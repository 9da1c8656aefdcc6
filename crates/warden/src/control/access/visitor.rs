//! Who comes by TCP, and who of them is kept out for what they are: prisoners, by their user, their process or the network of
//! their container, as far as they can be told.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use clawrden_api::ErrorCode;

use super::lockout::{Failed, Key};
use super::{Access, neighbour};
use crate::control::backend::Backend;
use crate::control::reply::Failure;

/// Why a neighbour is refused of whom nothing is known.
const UNTOLD: &str = "whose connection this is cannot be told";

/// Where a connection over TCP comes from.
#[derive(Debug, Clone)]
pub(in crate::control) struct Visitor {
    pub(in crate::control) address: SocketAddr,
    /// When it came.
    since: Instant,
    /// The user at the other end, where that is on this machine.
    pub(in crate::control) uid: Option<u32>,
    /// The socket at the other end, where that is on this machine.
    socket: Option<Socket>,
    /// It comes from a network that prisoners are on, as the engine told when it came.
    is_of_prisoners: bool,
    /// The other end is on this machine, whether its user can be told or not.
    pub(in crate::control) is_near: bool,
    /// The connection is TLS.
    pub(in crate::control) is_secure: bool,
}

/// The other end of a connection on this machine.
#[derive(Debug, Clone)]
struct Socket {
    /// This end.
    own: SocketAddr,
    number: u64,
    /// Why it is refused, once it was looked whose it is.
    why_not: Arc<OnceLock<Option<&'static str>>>,
}

impl Visitor {
    /// The same, with what the engine says of its address. Whoever says anything on a connection of which this was asked
    /// before was there meanwhile. Asks the engine.
    pub(in crate::control) fn placed(mut self, backend: &dyn Backend) -> Self {
        self.is_of_prisoners =
            !self.is_near && backend.is_prisoners_address(self.address.ip(), self.since);
        self
    }

    /// By what its failures are counted.
    pub(super) fn key(&self) -> Key {
        Key::of(self.address.ip(), self.uid)
    }

    /// Where it is, as the ledger has it.
    pub(super) fn place(&self) -> String {
        SocketAddr::new(self.address.ip().to_canonical(), self.address.port()).to_string()
    }
}

/// Who is at the other end of a connection over TCP. Asks the kernel.
pub(in crate::control) fn visitor(
    address: SocketAddr,
    own: SocketAddr,
    is_secure: bool,
) -> Visitor {
    let since = Instant::now();
    let found = neighbour::socket_of(address, own).ok().flatten();
    let is_near = found.is_some() || neighbour::is_of_this_machine(address.ip());
    let socket = found.flatten();
    let uid = socket.map(|socket| socket.uid);
    let socket =
        socket.map(|socket| Socket { own, number: socket.number, why_not: Arc::default() });
    Visitor { address, since, uid, socket, is_of_prisoners: false, is_near, is_secure }
}

impl Access {
    /// Refuses a user whose processes are governed, who comes from a network of theirs, and a neighbour of whom nothing can
    /// be told. Asks the engine, and may write a file.
    pub(in crate::control) fn not_a_prisoner(
        &self,
        visitor: &Visitor,
        backend: &dyn Backend,
        asked: &str,
    ) -> Result<(), Failure> {
        let why = match visitor.uid {
            Some(uid) if backend.is_prisoners_user(uid) => {
                format!("prisoners run as uid {uid}, and prisoners may not use the control API")
            }
            None if visitor.is_near => UNTOLD.to_owned(),
            None if visitor.is_of_prisoners
                || backend.is_prisoners_address(visitor.address.ip(), visitor.since) =>
            {
                "prisoners in containers are on the network of this address, and may not use the control API".to_owned()
            }
            _ => return Ok(()),
        };
        Err(self.keep_out(visitor, backend, asked, why))
    }

    /// Refuses a process of a prisoner's, as far as whose a connection of this machine is can be told. Looks once for each.
    pub(super) fn not_a_prisoners_socket(
        &self,
        visitor: &Visitor,
        backend: &dyn Backend,
        asked: &str,
    ) -> Result<(), Failure> {
        let Some(Socket { own, number, why_not }) = &visitor.socket else { return Ok(()) };
        let why = why_not.get_or_init(|| match backend.is_prisoners_socket(*number) {
            None => None,
            Some(true) => {
                Some("you belong to a prisoner, and prisoners may not use the control API")
            }
            // Who has closed it meanwhile was not found for that.
            Some(false) => {
                let found = neighbour::socket_of(visitor.address, *own).ok().flatten().flatten();
                found.is_none_or(|found| found.number != *number).then_some(UNTOLD)
            }
        });
        why.map_or(Ok(()), |why| Err(self.keep_out(visitor, backend, asked, why.to_owned())))
    }

    fn keep_out(
        &self,
        visitor: &Visitor,
        backend: &dyn Backend,
        asked: &str,
        why: String,
    ) -> Failure {
        let now = Instant::now();
        if self.lockout.failed(visitor.key(), now) != Failed::StillOut {
            self.record_refusal(visitor, backend, asked, why.clone(), now);
        }
        Failure::new(ErrorCode::Forbidden, why)
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream, UdpSocket};

    use super::*;

    #[test]
    fn who_comes_by_another_address_of_this_machine_is_known_as_well() {
        // The address by which others are reached, if there is one. Nothing is sent.
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        let own = socket.connect("203.0.113.1:9").and_then(|()| socket.local_addr());
        let mut addresses = vec!["127.0.0.1".parse().unwrap()];
        addresses.extend(own.map(|own| own.ip()));
        for address in addresses {
            let listener = TcpListener::bind((address, 0)).unwrap();
            let own = listener.local_addr().unwrap();
            let stream = TcpStream::connect(own).unwrap();
            let seen = visitor(stream.local_addr().unwrap(), own, true);
            assert_eq!(seen.uid, Some(rustix::process::getuid().as_raw()), "{address}");
            assert!(seen.is_near, "{address}");
            let gone = visitor(SocketAddr::new(address, 1), own, true);
            assert!(gone.is_near && gone.uid.is_none(), "{address}: refused for it");
        }
        let far = visitor("203.0.113.1:5".parse().unwrap(), "127.0.0.1:9".parse().unwrap(), true);
        assert!(!far.is_near && far.uid.is_none());
    }
}
