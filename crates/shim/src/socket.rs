//! Finding the warden's socket and connecting to it.
//!
//! The address is all that the shim takes from its environment; who points it elsewhere gains nothing.

use alloc::string::String;
use alloc::vec::Vec;

use rustix::fd::{AsRawFd, OwnedFd};
use rustix::fs::{Access, AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType};

use crate::say::{self, decimal, words};
use crate::sys::process::c_string;
use crate::sys::{signal::above_standard, start::Start};

/// The variable that names the socket.
const VARIABLE: &[u8] = b"CLAWRDEN_SOCKET";
/// Where the socket is when nothing else says so.
const DEFAULT: &[u8] = b"/run/clawrden/warden.sock";
/// The longest path that a socket's address holds, its NUL not counted.
const SUN_PATH: usize = 107;

/// Where the warden's socket should be.
pub(crate) fn address(start: &Start) -> Vec<u8> {
    if let Some(path) = start.variable(VARIABLE).filter(|p| !p.is_empty()) {
        return path.into();
    }
    let beside = beside_program().filter(|path| {
        let path = c_string(path);
        rustix::fs::accessat(CWD, &*path, Access::EXISTS, AtFlags::empty()).is_ok()
    });
    beside.unwrap_or_else(|| DEFAULT.into())
}

/// The socket of the jail whose folder of shims this program lies in.
fn beside_program() -> Option<Vec<u8>> {
    let program = rustix::fs::readlinkat(CWD, c"/proc/self/exe", Vec::new()).ok()?.into_bytes();
    let folder = program.iter().rposition(|&b| b == b'/')?;
    Some([&program[..folder], b"/../warden.sock"].concat())
}

/// Connects. The descriptor is none of 0, 1 and 2 and is closed on exec, so that the tool finds its own descriptors
/// as the caller left them.
///
/// # Errors
/// What the kernel says.
pub(crate) fn connect(path: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    let socket = above_standard(socket)?;
    if path.len() <= SUN_PATH {
        retry_connect(&socket, path)?;
        return Ok(socket);
    }
    let slash = path.iter().rposition(|&b| b == b'/').ok_or(Errno::NAMETOOLONG)?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = rustix::fs::open(&*c_string(&path[..=slash]), flags, Mode::empty())?;
    let short = ["/proc/self/fd/", &decimal(folder.as_raw_fd()), "/"].concat();
    retry_connect(&socket, &[short.as_bytes(), &path[slash + 1..]].concat())?;
    Ok(socket)
}

fn retry_connect(socket: &OwnedFd, path: &[u8]) -> Result<(), Errno> {
    let address = SocketAddrUnix::new(&*c_string(path))?;
    loop {
        match rustix::net::connect(socket, &address) {
            // A blocking connect to a Unix socket that a signal broke has not begun.
            Err(Errno::INTR) => {}
            other => return other,
        }
    }
}

/// Sends all of `bytes`.
///
/// # Errors
/// What the kernel says.
pub(crate) fn send_all(socket: &OwnedFd, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match rustix::net::send(socket, bytes, SendFlags::NOSIGNAL) {
            Ok(n) => bytes = &bytes[n..],
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The line that says that the warden cannot be reached, and what cures it.
pub(crate) fn unreachable(path: &[u8], error: Errno) -> String {
    let path = say::shown(path);
    let remedy = match error {
        Errno::PERM => {
            "The agent's own sandbox forbids Unix sockets; allow them: Claude Code \
             `sandbox.network.allowUnixSockets` (or `allowAllUnixSockets`), Codex `sandbox_mode` or `network_access`"
        }
        Errno::ACCESS => {
            "The socket is another user's, or the agent's own sandbox forbids it: Claude Code \
             `sandbox.network.allowUnixSockets`, Codex `sandbox_mode` or `network_access`"
        }
        _ => "Start it with: clawrden warden",
    };
    let words = words(error);
    ["the warden cannot be reached at ", &path, " (", &words, "); nothing ran. ", remedy].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_socket_is_cured_by_starting_the_warden() {
        assert_eq!(
            unreachable(b"/run/x.sock", Errno::NOENT),
            "the warden cannot be reached at /run/x.sock (No such file or directory); nothing ran. \
             Start it with: clawrden warden"
        );
    }

    #[test]
    fn a_forbidden_socket_names_the_settings_of_the_agents() {
        for error in [Errno::PERM, Errno::ACCESS] {
            let line = unreachable(b"/x", error);
            assert!(line.contains("allowUnixSockets") && line.contains("network_access"), "{line}");
        }
    }
}
