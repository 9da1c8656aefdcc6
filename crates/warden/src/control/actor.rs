//! Who asks something of the warden, once that is known.

use std::sync::Arc;

use clawrden_api::Role;

use super::peer::Peer;

/// Somebody who may use the control plane.
#[derive(Debug, Clone)]
pub struct Actor {
    /// The person, for people and for the ledger.
    pub who: String,
    /// Through what: `cli` …
    pub channel: &'static str,
    /// What they may do.
    pub role: Role,
    /// The process, where it came by the Unix socket.
    pub peer: Option<Arc<Peer>>,
}

impl Actor {
    /// Who is at the other end of the Unix socket: the warden's own user, or root.
    pub(super) fn of_peer(peer: &Arc<Peer>) -> Self {
        let who = match crate::sys::users::name_of(peer.uid) {
            Some(name) => format!("{name} (uid {})", peer.uid),
            None => format!("uid {}", peer.uid),
        };
        Self { who, channel: "cli", role: Role::Admin, peer: Some(Arc::clone(peer)) }
    }
}
