//! Logging in to the web page and out of it, and links that log in.

use clawrden_api::{ErrorCode, LoginLink, LoginRequest, Revoked, Session, SessionInfo};

use super::super::actor::Actor;
use super::super::backend::{AccessChange, Backend};
use super::super::reply::Failure;
use super::cookie::set_cookie;
use super::sessions::{NoLink, Owner};
use super::visitor::Visitor;
use super::{Access, no_random, now_ms, token_actor};

impl Access {
    /// `POST /api/session`, by who is no prisoner. Gives what to answer, and the cookie to set.
    pub(in super::super) fn log_in(
        &self,
        given: LoginRequest,
        visitor: &Visitor,
        backend: &dyn Backend,
    ) -> Result<(Session, String), Failure> {
        let asked = "POST /api/session";
        let wrong = |why: &str| self.wrong(visitor, backend, asked, why);
        let now = now_ms();
        let (owner, until) = match given {
            LoginRequest { code: Some(code), token: None } => {
                let owner = self.sessions.spend(&code, visitor.uid, now);
                let owner = owner.map_err(|error| {
                    wrong(match error {
                        NoLink::Unknown => "the link was used before, or is older than a minute",
                        NoLink::Anothers => "the link is another user's",
                    })
                })?;
                (owner, u64::MAX)
            }
            LoginRequest { code: None, token: Some(token) } => {
                let info = self.tokens.find(&token, now);
                let info = info.ok_or_else(|| wrong("its token does not hold"))?;
                if let Some(service) = info.speaks_for {
                    return Err(wrong(&format!(
                        "its token is of a bridge to {service}, which has no page"
                    )));
                }
                let (id, until) = (info.id.clone(), info.expires_ms);
                let Actor { who, role, scope, doors, .. } = token_actor(info);
                (Owner { who, role, scope, token: Some(id), doors }, until)
            }
            _ => {
                let text = "give either the code of a link of `clawrden dashboard`, or a token";
                return Err(Failure::new(ErrorCode::BadRequest, text));
            }
        };
        self.not_a_prisoners_socket(visitor, backend, asked)?;
        let opened = self.sessions.open(owner, visitor.address.ip().to_string(), now, until);
        let opened = opened.map_err(|error| no_random(&error))?;
        let recorded = backend.access_changed(AccessChange::SessionOpened(opened.info.clone()));
        if let Err(error) = recorded {
            self.sessions.end(|info| info.id == opened.info.id);
            return Err(error.into());
        }
        let SessionInfo { who, role, scope, expires_ms, .. } = opened.info;
        let life = (expires_ms.saturating_sub(now)) / 1000;
        let cookie = set_cookie(&opened.cookie, life, visitor.is_secure);
        let (csrf, expires_ms) = (Some(opened.csrf), Some(expires_ms));
        let session = Session { who, role, scope, csrf, expires_ms, speaks_for: None };
        Ok((session, cookie))
    }

    /// `DELETE /api/session`. Gives the cookie that takes the other away.
    pub(in super::super) fn log_out(&self, actor: &Actor, is_secure: bool) -> (Revoked, String) {
        let id = actor.session.clone().unwrap_or_default();
        let sessions = self.sessions.end(|info| info.id == id);
        (Revoked { id, sessions }, set_cookie("", 0, is_secure))
    }

    /// `POST /api/login-links`.
    pub(in super::super) fn link(&self, actor: &Actor) -> Result<LoginLink, Failure> {
        let Some((url, _)) = self.place() else {
            let text = "this warden serves no web page; start it with --api 127.0.0.1:8080";
            return Err(Failure::new(ErrorCode::Conflict, text));
        };
        let Some(peer) = &actor.peer else {
            let text = "links are made on the Unix socket only; log in with a token instead";
            return Err(Failure::new(ErrorCode::Forbidden, text));
        };
        let (who, role, scope) = (actor.who.clone(), actor.role, actor.scope.clone());
        let doors = actor.doors.clone();
        let owner = Owner { who, role, scope, token: None, doors };
        let made = self.sessions.link(owner, peer.uid, now_ms());
        let (code, expires_ms) = made.map_err(|error| no_random(&error))?;
        Ok(LoginLink { url: format!("{url}/login#{code}"), expires_ms })
    }
}
