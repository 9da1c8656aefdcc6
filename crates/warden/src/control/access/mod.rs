//! Who may use the control API over TCP: by a token, or by a session of the web page. Nobody is let in by where they
//! come from; some are kept out by it.

mod behalf;
mod bridges;
mod codes;
mod cookie;
mod diag;
mod hosts;
mod lockout;
mod logins;
mod neighbour;
mod private;
mod secret;
mod sessions;
mod tls;
mod tokens;
mod visitor;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Instant;

use axum::http::request::Parts;
use axum::http::{Method, header};
use clawrden_api::{
    ChatService, ErrorCode, Revoked, Role, SessionInfo, TokenInfo, TokenList, TokenMade,
    TokenRequest,
};
use tokio_rustls::TlsAcceptor;

use super::actor::Actor;
use super::backend::{AccessChange, Backend};
use super::peer::{Peer, Refusal};
use super::reply::Failure;
use super::values::shown;
use crate::people::Doors;
pub(crate) use behalf::unknown;
pub(super) use bridges::BridgeStream;
use bridges::Bridges;
use codes::Codes;
pub use codes::{CODE_LIFE, LOCKED, MAX_CODES, MAX_WRONG, MAX_WRONG_IN_ALL};
use cookie::cookies;
use hosts::Hosts;
use lockout::{Failed, Lockout};
use sessions::Sessions;
use tls::Tls;
use tokens::Tokens;

pub use lockout::{TOLERATED, WINDOW};
pub(crate) use private::check as check_private;
pub use sessions::{LINK_LIFE_MS, MAX_SESSIONS, SESSION_LIFE_MS};
pub use tls::TlsError;
pub use tokens::{MAX_TOKENS, TokenError};
pub(super) use visitor::{Visitor, visitor};

/// The header that carries the second half of a session.
pub const CSRF: &str = "x-csrf-token";

/// Where the API is served over TCP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiConfig {
    /// Address and port; port 0 for one that is free.
    pub listen: SocketAddr,
    /// Certificate and key, as PEM files.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// TLS by a certificate that the warden makes for itself, where none is given.
    pub own_certificate: bool,
    /// Names by which it may be called, besides `localhost` and numbers.
    pub hosts: Vec<String>,
}

/// Why the API cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// The tokens cannot be had.
    #[error(transparent)]
    Tokens(#[from] TokenError),
    /// There is no TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// It would be spoken in the clear.
    #[error(
        "{0} can be reached from other machines, and tokens would travel there in the clear: give --api-cert and \
         --api-key, or --api-tls for a certificate of the warden's own, or listen on 127.0.0.1"
    )]
    InTheClear(SocketAddr),
    /// The address cannot be had.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The cause.
        source: std::io::Error,
    },
}

/// Everything that decides about who comes by TCP, and the tokens that are made for them.
pub struct Access {
    tokens: Tokens,
    sessions: Sessions,
    lockout: Lockout,
    /// Of the Unix socket: whoever fills the records of one leaves those of the other.
    socket: Lockout,
    /// Of answers that are not taken from whoever may be here.
    answers: Lockout,
    /// Of bridges, and of the users for whom they ask.
    chats: Lockout,
    /// Those that listen.
    bridges: Bridges,
    /// By which users of chats become people.
    codes: Codes,
    hosts: Hosts,
    named: Vec<String>,
    /// Where it is served, and how its certificate is known.
    place: Option<(String, Option<String>)>,
    tls: Option<TlsAcceptor>,
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Access").field("place", &self.place).finish_non_exhaustive()
    }
}

impl Access {
    /// Reads the tokens that are kept at `path`, and listens where that is wanted.
    ///
    /// # Errors
    /// [`AccessError`]: nothing is served then.
    pub fn open(
        path: &Path,
        api: Option<&ApiConfig>,
    ) -> Result<(Self, Option<std::net::TcpListener>), AccessError> {
        let tokens = Tokens::open(path)?;
        let named = api.map(|api| api.hosts.clone()).unwrap_or_default();
        let mut access = Self {
            tokens,
            sessions: Sessions::default(),
            lockout: Lockout::default(),
            socket: Lockout::default(),
            answers: Lockout::default(),
            chats: Lockout::default(),
            bridges: Bridges::default(),
            codes: Codes::default(),
            hosts: Hosts::new(&named),
            named,
            place: None,
            tls: None,
        };
        let Some(api) = api else { return Ok((access, None)) };
        let tls = match &api.certificate {
            Some((certificate, key)) => Some(Tls::given(certificate, key)?),
            None if api.own_certificate => {
                Some(Tls::own(&path.with_extension("tls.pem"), &api.hosts)?)
            }
            None => None,
        };
        if tls.is_none() && !api.listen.ip().to_canonical().is_loopback() {
            return Err(AccessError::InTheClear(api.listen));
        }
        let bind = || {
            let listener = std::net::TcpListener::bind(api.listen)?;
            listener.set_nonblocking(true)?;
            let address = listener.local_addr()?;
            Ok((listener, address))
        };
        let (listener, address) =
            bind().map_err(|source| AccessError::Bind { address: api.listen, source })?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let host = match (api.hosts.first(), address.ip().is_unspecified()) {
            (Some(name), _) => format!("{name}:{}", address.port()),
            (None, true) => format!("localhost:{}", address.port()),
            (None, false) => address.to_string(),
        };
        let (acceptor, fingerprint) = tls.map(|tls| (tls.acceptor, tls.fingerprint)).unzip();
        access.place = Some((format!("{scheme}://{host}"), fingerprint));
        access.tls = acceptor;
        Ok((access, Some(listener)))
    }

    /// Where it is served over TCP, and the certificate's SHA-256 there.
    #[must_use]
    pub fn place(&self) -> Option<(&str, Option<&str>)> {
        self.place.as_ref().map(|(url, print)| (url.as_str(), print.as_deref()))
    }

    /// Names by which it may be called, besides `localhost` and numbers.
    #[must_use]
    pub fn hosts(&self) -> &[String] {
        &self.named
    }

    pub(super) fn tls(&self) -> Option<&TlsAcceptor> {
        self.tls.as_ref()
    }

    /// Whether a request calls a host that is served here, from a page of it or from none.
    pub(super) fn is_called(&self, parts: &Parts) -> Result<(), Failure> {
        let called = self.hosts.called(&parts.uri, &parts.headers, parts.version);
        let called = called.map_err(|why| Failure::new(ErrorCode::Misdirected, why))?;
        hosts::from_own_page(&parts.headers, &called)
            .map_err(|why| Failure::new(ErrorCode::Forbidden, why))
    }

    /// Who a request over TCP comes from. May write a file.
    pub(super) fn admit(
        &self,
        parts: &Parts,
        visitor: &Visitor,
        backend: &dyn Backend,
    ) -> Result<Actor, Failure> {
        let asked = format!("{} {}", parts.method, shown(parts.uri.path()));
        self.not_a_prisoner(visitor, backend, &asked)?;
        let actor = self.by_credentials(parts, visitor, backend, &asked)?;
        // Looked at behind that: who has no token makes nobody read all of /proc.
        self.not_a_prisoners_socket(visitor, backend, &asked)?;
        Ok(actor)
    }

    fn by_credentials(
        &self,
        parts: &Parts,
        visitor: &Visitor,
        backend: &dyn Backend,
        asked: &str,
    ) -> Result<Actor, Failure> {
        let wrong = |why: &str| self.wrong(visitor, backend, asked, why);
        let mut given = parts.headers.get_all(header::AUTHORIZATION).iter();
        if let Some(given_first) = given.next() {
            let token =
                given_first.to_str().ok().and_then(bearer).filter(|_| given.next().is_none());
            let token = token.ok_or_else(|| wrong("its Authorization is no bearer token"))?;
            let info = self.tokens.find(token, now_ms());
            let info = info.ok_or_else(|| wrong("its token does not hold"))?;
            return Ok(Actor { from: Some(visitor.place()), ..token_actor(info) });
        }
        let cookies: Vec<&str> = cookies(&parts.headers, visitor.is_secure).collect();
        if cookies.is_empty() {
            let text =
                "this needs a token (`clawrden token create`) or a session (`clawrden dashboard`)";
            return Err(Failure::new(ErrorCode::Unauthorized, text));
        }
        let found = cookies.iter().find_map(|cookie| self.session(cookie));
        let (info, csrf, doors) = found.ok_or_else(|| wrong("its session does not hold"))?;
        // A cookie goes to every port of its host, whoever listens there: alone it opens nothing.
        let said = parts.headers.get(CSRF).map(header::HeaderValue::as_bytes);
        if !sessions::is_csrf(said, &csrf) {
            return Err(wrong("it has a session's cookie without its X-CSRF-Token"));
        }
        let site = parts.headers.get("sec-fetch-site").map(header::HeaderValue::as_bytes);
        if site.is_some_and(|site| site != b"same-origin" && site != b"none") {
            return Err(Failure::new(ErrorCode::Forbidden, "another page may not use a session"));
        }
        Ok(Actor {
            who: info.who,
            channel: "web",
            from: Some(visitor.place()),
            role: info.role,
            scope: info.scope,
            peer: None,
            session: Some(info.id),
            token: info.token,
            doors,
            speaks_for: None,
        })
    }

    fn session(&self, cookie: &str) -> Option<(SessionInfo, String, Doors)> {
        let now = now_ms();
        let (info, csrf, doors) = self.sessions.find(cookie, now)?;
        let holds = info.token.as_ref().is_none_or(|token| self.tokens.holds(token, now));
        holds.then_some((info, csrf, doors))
    }

    /// Whether what somebody came in by still opens. Waits for no disk.
    pub(super) fn still_holds(&self, actor: &Actor) -> bool {
        self.opens(actor.token.as_deref(), actor.session.as_deref())
    }

    /// Whether both still open, as far as there are any. Waits for no disk.
    fn opens(&self, token: Option<&str>, session: Option<&str>) -> bool {
        let now = now_ms();
        session.is_none_or(|session| self.sessions.holds(session, now))
            && token.is_none_or(|token| self.tokens.holds(token, now))
    }

    /// Whether the token of this id holds. Waits for no disk.
    pub(crate) fn token_holds(&self, id: &str) -> bool {
        self.tokens.holds(id, now_ms())
    }

    /// Everybody who could answer by a token what a rule asks in a jail. Waits for no disk.
    pub(crate) fn approvers(&self, jail: &str, rule: Option<&str>) -> Vec<Doors> {
        // Without a place nobody can come by one.
        let mut all = if self.place.is_some() { self.tokens.list(now_ms()) } else { Vec::new() };
        all.retain(|token| {
            token.role >= Role::Approver
                && token.speaks_for.is_none()
                && token.scope.has_jail(jail)
                && token.scope.has_rule(rule)
        });
        all.into_iter().map(|token| token_actor(token).doors).collect()
    }

    /// What somebody gets who tried to open with what does not open.
    fn wrong(&self, visitor: &Visitor, backend: &dyn Backend, asked: &str, why: &str) -> Failure {
        let locked = |text: &str| Failure::new(ErrorCode::TooMany, text);
        let now = Instant::now();
        match self.lockout.failed(visitor.key(), now) {
            Failed::Counted => {
                self.record_refusal(visitor, backend, asked, why.to_owned(), now);
                Failure::new(ErrorCode::Unauthorized, format!("nobody is let in: {why}"))
            }
            Failed::LockedOut => {
                let why = format!(
                    "{why}; it is the {TOLERATED}th failure within a minute, and further ones are not recorded"
                );
                self.record_refusal(visitor, backend, asked, why, now);
                locked("too many failures came from this address; wait a minute")
            }
            Failed::StillOut => locked("too many failures came from this address; wait a minute"),
        }
    }

    /// Writes a refusal down, as far as there is room for more of them within this minute.
    fn record_refusal(
        &self,
        visitor: &Visitor,
        backend: &dyn Backend,
        asked: &str,
        mut why: String,
        now: Instant,
    ) {
        let Some(note) = self.lockout.note(now) else { return };
        why.push_str(&note);
        backend.refused_at(&visitor.address.to_string(), asked, &why);
    }

    /// Writes down that somebody was refused on the Unix socket, as far as there is room for more of them within this minute.
    pub(super) fn refused(&self, peer: &Peer, backend: &dyn Backend, asked: &str, why: &Refusal) {
        if let Some(note) = self.socket.note(Instant::now()) {
            backend.refused(peer, asked, why, &note);
        }
    }

    /// What the record of an answer that is not taken says behind its reason; `None` where there is no room for one more
    /// within this minute.
    pub(crate) fn note_answer(&self) -> Option<String> {
        self.answers.note(Instant::now())
    }

    /// `POST /api/tokens`. It is recorded before it opens anything.
    pub(super) fn create_token(
        &self,
        actor: &Actor,
        request: TokenRequest,
        backend: &dyn Backend,
    ) -> Result<TokenMade, Failure> {
        let now = now_ms();
        let (info, token) = self.tokens.draft(request, &actor.who, now).map_err(token_failure)?;
        backend.access_changed(AccessChange::TokenCreated(info.clone()))?;
        self.tokens.add(info.clone(), &token, now).map_err(token_failure)?;
        Ok(TokenMade { token, info })
    }

    /// `GET /api/tokens`.
    pub(super) fn list(&self) -> TokenList {
        let now = now_ms();
        TokenList { tokens: self.tokens.list(now), sessions: self.sessions.list(now) }
    }

    /// `DELETE /api/tokens/{id}`: of a token, or of a session alone. It opens nothing more, recorded and kept or not;
    /// where it could not be kept it can be asked for again.
    pub(super) fn revoke(
        &self,
        actor: &Actor,
        id: &str,
        backend: &dyn Backend,
    ) -> Result<Revoked, Failure> {
        let removed = self.tokens.remove(id);
        let ends = |info: &SessionInfo| info.id == id || info.token.as_deref() == Some(id);
        let sessions = self.sessions.end(ends);
        if matches!(removed, Ok(false)) && sessions == 0 {
            let text = format!("there is no token or session {:?}", shown(id));
            return Err(Failure::new(ErrorCode::NotFound, text));
        }
        let (id, by) = (id.to_owned(), actor.who.clone());
        // It opens nothing more already, so this is recorded also where the file could not be written.
        backend.access_ended(&id, &by);
        removed.map_err(token_failure)?;
        Ok(Revoked { id, sessions })
    }
}

/// Whether a request only reads.
pub(super) fn only_reads(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

fn token_actor(info: TokenInfo) -> Actor {
    // A name that an id could be, of a token from before those were refused, makes nobody somebody else.
    let token_name = Some(info.name.clone()).filter(|name| !secret::is_id(name));
    let speaks_for = info.speaks_for;
    Actor {
        who: format!("{} (token {})", info.name, info.id),
        channel: speaks_for.map_or("api", ChatService::as_str),
        from: None,
        // Whatever its file says: a bridge decides nothing, and its users answer.
        role: if speaks_for.is_some() { info.role.min(Role::Approver) } else { info.role },
        scope: info.scope,
        peer: None,
        session: None,
        doors: Doors { token: Some(info.id.clone()), token_name, ..Doors::default() },
        token: Some(info.id),
        speaks_for,
    }
}

fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn no_random(error: &std::io::Error) -> Failure {
    Failure::new(ErrorCode::Internal, format!("the kernel gives no random bytes: {error}"))
}

// By value, as `map_err` gives it.
#[allow(clippy::needless_pass_by_value)]
fn token_failure(error: TokenError) -> Failure {
    let code = match &error {
        TokenError::Bad(_) => ErrorCode::BadRequest,
        TokenError::TooMany => ErrorCode::Conflict,
        TokenError::Unusable { .. } | TokenError::NotKept { .. } | TokenError::NoRandom(_) => {
            ErrorCode::Internal
        }
    };
    Failure::new(code, error.to_string())
}

fn now_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}
