//! Who is at the other end of a connection, and whether it may use the control API.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::containers;
use crate::process::namespaces::is_below;
use crate::process::{Identity, ProcessError, pidfd};
use crate::sys::peer::{PeerCred, overflow_uid, peer_of};

/// The process that connected. Its ids are those of that moment; the descriptor may have gone on to others since.
#[derive(Debug)]
pub struct Peer {
    /// Effective user id.
    pub uid: u32,
    /// Effective group id.
    pub gid: u32,
    /// Process id; `None` for a process that we cannot see.
    pub pid: Option<u32>,
    /// The process itself; `None` when it was gone already.
    pub pidfd: Option<OwnedFd>,
}

/// Why somebody may not use the control API.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Its uid has no name in our user namespace.
    #[error(
        "your user is not known here; use the control API from outside of the container or user namespace"
    )]
    UnknownUser,
    /// It is another user, and not root.
    #[error("uid {0} may not use this warden's control API; its own user and root may")]
    ForeignUser(u32),
    /// It lives in a pid namespace that cannot be seen.
    #[error(
        "your process cannot be seen from here; use the control API from outside of the container"
    )]
    UnknownProcess,
    /// It lives in a container that is not the warden's, or in a pid namespace below the warden's.
    #[error(
        "you are in a container or in a pid namespace of your own, as prisoners are; use the control API from outside \
         of it"
    )]
    Inside,
    /// It has ended.
    #[error("the process that opened this connection has ended; connect again")]
    Ended,
    /// It belongs to a prisoner.
    #[error(
        "you belong to prisoner {0}, and prisoners may not use the control API; ask the person who runs you"
    )]
    Prisoner(String),
    /// It comes by the door of one of the warden's own bridges.
    #[error("this is the door of the warden's own bridge to {0}; use the control socket")]
    NotTheBridge(&'static str),
    /// Whether it belongs to a prisoner cannot be told.
    #[error("whether you belong to a prisoner cannot be told, so you are refused: {0}")]
    Unclear(String),
}

impl Peer {
    /// Where it is, as the ledger has it.
    pub(super) fn place(&self) -> String {
        match self.pid {
            Some(pid) => format!("local: pid {pid}, uid {}", self.uid),
            None => format!("local: uid {}", self.uid),
        }
    }

    /// Asks the kernel.
    ///
    /// # Errors
    /// When the descriptor is no connected Unix socket.
    pub fn of(socket: BorrowedFd<'_>) -> io::Result<Self> {
        let PeerCred { uid, gid, pid, pidfd, pidfd_exact: _ } = peer_of(socket)?;
        Ok(Self { uid, gid, pid, pidfd })
    }

    /// The process, as one that had not ended after its start time was read: number and time are its own.
    ///
    /// # Errors
    /// When it has ended, or cannot be seen.
    pub fn identity(&self) -> Result<Identity, ProcessError> {
        let pid = self.pid.unwrap_or(0);
        let identity = Identity::of(pid)?;
        if self.has_ended() { Err(ProcessError::Gone { pid }) } else { Ok(identity) }
    }

    /// Whether the process that connected has ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.pidfd.as_ref().is_none_or(|pidfd| pidfd::has_ended(pidfd.as_fd()))
    }

    /// Whether it is the warden itself: no other process has its number while it lives.
    #[must_use]
    pub fn is_this_process(&self) -> bool {
        self.pid == Some(std::process::id()) && self.uid == rustix::process::geteuid().as_raw()
    }

    /// Whether it may use the control API at this moment. Reads /proc. `prisoner_of` tells whose prisoner a process is.
    ///
    /// # Errors
    /// The reason why not.
    pub fn admit(
        &self,
        prisoner_of: impl FnOnce(u32) -> Result<Option<String>, String>,
    ) -> Result<(), Refusal> {
        let own = rustix::process::geteuid().as_raw();
        if self.uid == overflow_uid() {
            return Err(Refusal::UnknownUser);
        }
        if self.uid != own && self.uid != 0 {
            return Err(Refusal::ForeignUser(self.uid));
        }
        let pid = self.pid.ok_or(Refusal::UnknownProcess)?;
        let prisoner = prisoner_of(pid);
        let inside = is_below(pid).and_then(|below| Ok(below || containers::is_named(pid)?));
        // Asked after the look at /proc: as long as the process has not ended, the number was its own.
        if self.has_ended() {
            return Err(Refusal::Ended);
        }
        match prisoner {
            Ok(None) => match inside {
                Ok(false) => Ok(()),
                Ok(true) => Err(Refusal::Inside),
                Err(why) => Err(Refusal::Unclear(why.to_string())),
            },
            Ok(Some(id)) => Err(Refusal::Prisoner(id)),
            Err(why) => Err(Refusal::Unclear(why)),
        }
    }
}
