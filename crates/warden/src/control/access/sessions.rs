//! Sessions of the web page, and the links that open one. They are in memory only: a restart ends all of them.

use std::collections::HashMap;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use clawrden_api::{Role, Scope, SessionInfo};
use subtle::ConstantTimeEq;

use super::secret;
use crate::people::Doors;

/// Sessions at once. For a further one the oldest ends.
pub const MAX_SESSIONS: usize = 256;

/// Links that were not used yet. For a further one the oldest is worth nothing.
const MAX_LINKS: usize = 64;

/// How long a link can be used.
pub const LINK_LIFE_MS: u64 = 60 * 1000;

/// How long a session holds.
pub const SESSION_LIFE_MS: u64 = 12 * 3600 * 1000;

/// Whose a session is going to be.
#[derive(Debug, Clone)]
pub(super) struct Owner {
    pub(super) who: String,
    pub(super) role: Role,
    pub(super) scope: Scope,
    /// The token that it is opened with.
    pub(super) token: Option<String>,
    /// By what it is known whose it is.
    pub(super) doors: Doors,
}

#[derive(Debug, Clone)]
struct Kept {
    info: SessionInfo,
    csrf: String,
    doors: Doors,
}

struct Link {
    owner: Owner,
    /// The user who asked for it.
    maker: u32,
    expires_ms: u64,
}

/// Why a code opens nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoLink {
    /// There is none such, or no longer.
    Unknown,
    /// It is not for this user. It goes on holding.
    Anothers,
}

/// What opens a session, and what belongs to it.
pub(super) struct Opened {
    /// The cookie's value.
    pub(super) cookie: String,
    pub(super) csrf: String,
    pub(super) info: SessionInfo,
}

/// Both by the hash of what opens them: looking one up tells nothing of others by the time it takes.
#[derive(Default)]
struct State {
    sessions: HashMap<[u8; 32], Kept>,
    links: HashMap<[u8; 32], Link>,
}

#[derive(Default)]
pub(super) struct Sessions(Mutex<State>);

impl Sessions {
    /// A code that opens one session for `owner`, once, and until when. `maker` is the user who asked for it.
    ///
    /// # Errors
    /// When the kernel has no random bytes to give.
    pub(super) fn link(&self, owner: Owner, maker: u32, now_ms: u64) -> io::Result<(String, u64)> {
        let code = secret::fresh()?;
        let expires_ms = now_ms.saturating_add(LINK_LIFE_MS);
        let mut state = self.state();
        state.links.retain(|_, link| link.expires_ms > now_ms);
        if state.links.len() >= MAX_LINKS {
            let oldest = state.links.iter().min_by_key(|(_, link)| link.expires_ms);
            if let Some(oldest) = oldest.map(|(hash, _)| *hash) {
                state.links.remove(&oldest);
            }
        }
        state.links.insert(secret::hash(&code), Link { owner, maker, expires_ms });
        Ok((code, expires_ms))
    }

    /// Whose code this is. It is worth nothing from here on.
    ///
    /// A user of this machine, `uid`, opens its own links alone: a link that stands in a command line is read by all of
    /// them. Root opens all, and what root made is for whoever gets it.
    ///
    /// # Errors
    /// [`NoLink`].
    pub(super) fn spend(&self, code: &str, uid: Option<u32>, now_ms: u64) -> Result<Owner, NoLink> {
        let mut state = self.state();
        let hash = secret::hash(code);
        let link = state.links.get(&hash).ok_or(NoLink::Unknown)?;
        let (maker, holds) = (link.maker, link.expires_ms > now_ms);
        if holds && uid.is_some_and(|uid| maker != 0 && uid != 0 && uid != maker) {
            return Err(NoLink::Anothers);
        }
        let link = state.links.remove(&hash).filter(|_| holds);
        link.map(|link| link.owner).ok_or(NoLink::Unknown)
    }

    /// Opens a session.
    ///
    /// # Errors
    /// When the kernel has no random bytes to give.
    pub(super) fn open(
        &self,
        owner: Owner,
        address: String,
        now_ms: u64,
        no_longer_than_ms: u64,
    ) -> io::Result<Opened> {
        let (cookie, csrf) = (secret::fresh()?, secret::fresh()?);
        let doors = owner.doors.clone();
        let info = SessionInfo {
            id: secret::fresh_id()?,
            who: owner.who,
            role: owner.role,
            scope: owner.scope,
            token: owner.token,
            address,
            created_ms: now_ms,
            expires_ms: now_ms.saturating_add(SESSION_LIFE_MS).min(no_longer_than_ms),
        };
        let mut state = self.state();
        state.sessions.retain(|_, kept| kept.info.expires_ms > now_ms);
        if state.sessions.len() >= MAX_SESSIONS {
            let oldest = state.sessions.iter().min_by_key(|(_, kept)| kept.info.created_ms);
            if let Some(oldest) = oldest.map(|(hash, _)| *hash) {
                state.sessions.remove(&oldest);
            }
        }
        let kept = Kept { info: info.clone(), csrf: csrf.clone(), doors };
        state.sessions.insert(secret::hash(&cookie), kept);
        Ok(Opened { cookie, csrf, info })
    }

    /// The session of a cookie, if it holds, its value against forged requests, and by what it is known whose it is.
    pub(super) fn find(&self, cookie: &str, now_ms: u64) -> Option<(SessionInfo, String, Doors)> {
        let state = self.state();
        let kept = state.sessions.get(&secret::hash(cookie))?;
        let holds = kept.info.expires_ms > now_ms;
        holds.then(|| (kept.info.clone(), kept.csrf.clone(), kept.doors.clone()))
    }

    /// Whether the session of this id holds.
    pub(super) fn holds(&self, id: &str, now_ms: u64) -> bool {
        self.state()
            .sessions
            .values()
            .any(|kept| kept.info.id == id && kept.info.expires_ms > now_ms)
    }

    /// Ends those that `which` picks, and says how many.
    pub(super) fn end(&self, which: impl Fn(&SessionInfo) -> bool) -> usize {
        let mut state = self.state();
        let before = state.sessions.len();
        state.sessions.retain(|_, kept| !which(&kept.info));
        before - state.sessions.len()
    }

    /// Those that hold, oldest first.
    pub(super) fn list(&self, now_ms: u64) -> Vec<SessionInfo> {
        let state = self.state();
        let holds = state.sessions.values().filter(|kept| kept.info.expires_ms > now_ms);
        let mut all: Vec<SessionInfo> = holds.map(|kept| kept.info.clone()).collect();
        all.sort_by(|a, b| (a.created_ms, &a.id).cmp(&(b.created_ms, &b.id)));
        all
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether what a request says is the session's value against forged requests.
pub(super) fn is_csrf(said: Option<&[u8]>, csrf: &str) -> bool {
    said.is_some_and(|said| bool::from(said.ct_eq(csrf.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner() -> Owner {
        let (role, scope, doors) = (Role::Admin, Scope::default(), Doors::default());
        Owner { who: "a".to_owned(), role, scope, token: None, doors }
    }

    #[test]
    fn a_link_opens_once_and_within_its_time() {
        let sessions = Sessions::default();
        let (code, until) = sessions.link(owner(), 7, 5).unwrap();
        assert_eq!(until, 5 + LINK_LIFE_MS);
        assert!(sessions.spend("x", Some(7), 6).is_err());
        assert!(sessions.spend(&code, Some(7), 6).is_ok());
        assert!(sessions.spend(&code, Some(7), 6).is_err(), "twice");
        let (late, until) = sessions.link(owner(), 7, 5).unwrap();
        assert!(sessions.spend(&late, Some(7), until).is_err());
        let codes: Vec<_> =
            (0..=MAX_LINKS).map(|n| sessions.link(owner(), 7, n as u64).unwrap().0).collect();
        let spend = |code: &str| sessions.spend(code, None, 99);
        assert!(spend(&codes[0]).is_err() && spend(&codes[1]).is_ok());
    }

    #[test]
    fn a_link_is_its_makers_and_another_user_who_read_it_does_not_spend_it() {
        let sessions = Sessions::default();
        let (code, _) = sessions.link(owner(), 1000, 5).unwrap();
        assert_eq!(sessions.spend(&code, Some(1001), 6).unwrap_err(), NoLink::Anothers);
        assert!(sessions.spend(&code, Some(1000), 6).is_ok());
        for (maker, uid) in [(1000, Some(0)), (1000, None), (0, Some(1001))] {
            let (code, _) = sessions.link(owner(), maker, 5).unwrap();
            assert!(sessions.spend(&code, uid, 6).is_ok(), "{maker} {uid:?}");
        }
    }

    #[test]
    fn a_session_holds_for_its_time_and_until_it_is_ended() {
        let sessions = Sessions::default();
        let opened = sessions.open(owner(), "x".to_owned(), 5, 1000).unwrap();
        let (found, csrf, _) = sessions.find(&opened.cookie, 999).unwrap();
        assert_eq!((found.expires_ms, &csrf), (1000, &opened.csrf));
        assert!(sessions.find(&opened.cookie, 1000).is_none());
        assert!(sessions.find(&opened.csrf, 6).is_none());
        assert!(is_csrf(Some(csrf.as_bytes()), &csrf) && !is_csrf(Some(b""), &csrf));
        assert!(!is_csrf(None, &csrf));
        assert_eq!(sessions.end(|info| info.id == opened.info.id), 1);
        assert!(sessions.find(&opened.cookie, 6).is_none());
        for n in 0..2 * MAX_SESSIONS as u64 {
            sessions.open(owner(), "x".to_owned(), n, u64::MAX).unwrap();
        }
        assert_eq!(sessions.list(1).len(), MAX_SESSIONS);
    }
}
