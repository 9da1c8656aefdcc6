//! Who is asking, as the kernel says: from the socket's peer, never from what a client claims.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, OnceLock};

use crate::process::Identity;
use crate::process::pidfd::{has_ended, open_identity};
use crate::sys::peer::PeerCred;
use crate::whereabouts::Whereabouts;

/// The peer of an intercom connection.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// `None` for a user that cannot be mapped here.
    pub(crate) uid: Option<u32>,
    /// `None` where `uid` is.
    pub(crate) gid: Option<u32>,
    /// `None` in a pid namespace that cannot be seen from here.
    pub(crate) pid: Option<u32>,
    /// See [`Caller::identity`].
    identity: OnceLock<Option<Identity>>,
    /// Ready for reading once the process has ended. Kept while a request is looked at and while its command runs.
    pub(crate) pidfd: Option<Arc<OwnedFd>>,
    /// The container that it is in.
    pub(crate) container: Whereabouts,
}

impl Caller {
    /// The caller behind a connection's credentials.
    pub(crate) fn new(peer: PeerCred) -> Self {
        let uid = peer.known_uid();
        let identity = OnceLock::new();
        let mut pidfd = peer.pidfd;
        if !peer.pidfd_exact {
            // Without a descriptor from the socket itself, what was seen first has to do.
            let seen = *identity.get_or_init(|| peer.pid.and_then(|pid| Identity::of(pid).ok()));
            pidfd = seen.and_then(|who| open_identity(who).ok());
        }
        Self {
            uid,
            gid: uid.map(|_| peer.gid),
            pid: peer.pid,
            identity,
            pidfd: pidfd.map(Arc::new),
            container: Whereabouts::default(),
        }
    }

    /// The process with its start time, which tells it from a later one of the same pid. Read when it is first
    /// needed, and `None` when the process had ended by then.
    pub(crate) fn identity(&self) -> Option<Identity> {
        *self.identity.get_or_init(|| {
            let seen = self.pid.and_then(|pid| Identity::of(pid).ok());
            let pidfd = self.pidfd.as_ref()?;
            seen.filter(|_| !has_ended(pidfd.as_fd()))
        })
    }

    /// Whether its process is in a pid namespace that cannot be seen from here: then nothing is known of its files.
    pub(crate) fn is_unseen(&self) -> bool {
        self.pid.is_none()
    }

    /// Whether the process still is: then everything read of its pid until this moment was its own.
    pub(crate) fn is_alive(&self) -> bool {
        match &self.pidfd {
            Some(pidfd) => !has_ended(pidfd.as_fd()),
            None => self.identity().is_some_and(Identity::is_alive),
        }
    }

    /// The descriptor of its process, while that is held.
    pub(crate) fn handle(&self) -> Option<BorrowedFd<'_>> {
        self.pidfd.as_ref().map(|pidfd| pidfd.as_fd())
    }

    /// Lets go of the descriptor, for as long as the request waits.
    pub(crate) fn forget_pidfd(&mut self) {
        self.identity();
        self.pidfd = None;
    }

    /// Opens the process again; whether it is still there.
    pub(crate) fn recall_pidfd(&mut self) -> bool {
        let opened = self.identity().and_then(|who| open_identity(who).ok());
        self.pidfd = opened.map(Arc::new);
        self.pidfd.is_some()
    }
}

impl From<&Caller> for clawrden_api::Caller {
    fn from(caller: &Caller) -> Self {
        Self {
            uid: caller.uid,
            gid: caller.gid,
            pid: caller.pid,
            prisoner: None,
            container: told_container(&caller.container),
        }
    }
}

/// The container, as it is told.
pub(crate) fn told_container(place: &Whereabouts) -> Option<clawrden_api::CallerContainer> {
    place.container().map(|found| clawrden_api::CallerContainer {
        id: found.id.clone(),
        name: found.name.clone(),
        image: found.image.clone(),
    })
}
