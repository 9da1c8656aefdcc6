//! Who asks something of the warden, once that is known.

use std::sync::Arc;

use clawrden_api::{ChatService, ErrorBody, ErrorCode, KillRequest, ResumeRequest, Role, Scope};

use super::peer::Peer;
use super::values::shown;
use crate::people::Doors;

/// Somebody who may use the control plane.
#[derive(Debug, Clone)]
pub struct Actor {
    /// The person, for people and for the ledger.
    pub who: String,
    /// Through what: `cli` for the Unix socket, `api` for a token, `web` for a session; for a user of a chat its service.
    pub channel: &'static str,
    /// From where: the other end of the connection over TCP, or the process behind the Unix socket. What the warden itself
    /// says is from nowhere.
    pub from: Option<String>,
    /// What they may do.
    pub role: Role,
    /// For what.
    pub scope: Scope,
    /// The process, where it came by the Unix socket.
    pub peer: Option<Arc<Peer>>,
    /// The id of the session, where it is one.
    pub session: Option<String>,
    /// The id of the token, where it came by one.
    pub token: Option<String>,
    /// By what it is known who it is.
    pub doors: Doors,
    /// It is a bridge: whatever it changes, it changes for a user of this service.
    pub speaks_for: Option<ChatService>,
}

impl Actor {
    /// Who is at the other end of the Unix socket: the warden's own user, or root.
    pub(super) fn of_peer(peer: &Arc<Peer>) -> Self {
        let who = match crate::sys::users::name_of(peer.uid) {
            Some(name) => format!("{name} (uid {})", peer.uid),
            None => format!("uid {}", peer.uid),
        };
        Self {
            who,
            channel: "cli",
            from: Some(peer.place()),
            role: Role::Admin,
            scope: Scope::default(),
            peer: Some(Arc::clone(peer)),
            session: None,
            token: None,
            doors: Doors { uid: Some(peer.uid), ..Doors::default() },
            speaks_for: None,
        }
    }

    /// The warden's own bridge to a service: an approver, for the users who come by it.
    #[must_use]
    pub fn of_bridge(service: ChatService) -> Self {
        Self {
            who: format!("the warden's bridge to {service}"),
            channel: service.as_str(),
            from: None,
            role: Role::Approver,
            scope: Scope::default(),
            peer: None,
            session: None,
            token: None,
            doors: Doors::default(),
            speaks_for: Some(service),
        }
    }

    /// Whether it may see anything of this jail. Of others it is told what it would be told of none.
    pub(super) fn may_see(&self, jail: &str) -> Result<(), ErrorBody> {
        if self.scope.has_jail(jail) {
            return Ok(());
        }
        let text = format!("there is no jail {:?} for {}", shown(jail), self.who);
        Err(ErrorBody { code: ErrorCode::NotFound, message: text })
    }

    /// Whether it may stop what the request is about.
    pub(super) fn may_kill(&self, request: &KillRequest) -> Result<(), ErrorBody> {
        self.may_stop(request.jail.as_deref(), request.container.is_some())
    }

    /// Whether it may let go on what the request is about.
    pub(super) fn may_resume(&self, request: &ResumeRequest) -> Result<(), ErrorBody> {
        let is_everything = request.jail.is_none() && request.container.is_none();
        if is_everything && !self.scope.rules.is_empty() {
            let text = format!(
                "{} is there for what some rules ask, and may not let go on what was stopped for everybody",
                self.who
            );
            return Err(ErrorBody { code: ErrorCode::Forbidden, message: text });
        }
        self.may_stop(request.jail.as_deref(), request.container.is_some())
    }

    fn may_stop(&self, jail: Option<&str>, has_container: bool) -> Result<(), ErrorBody> {
        let within = jail.is_some_and(|jail| self.scope.has_jail(jail)) && !has_container;
        if self.scope.jails.is_empty() || within {
            return Ok(());
        }
        let text = format!(
            "{} may stop and resume the jails {} alone; name one of them",
            self.who,
            self.scope.jails.join(", ")
        );
        Err(ErrorBody { code: ErrorCode::Forbidden, message: text })
    }
}
