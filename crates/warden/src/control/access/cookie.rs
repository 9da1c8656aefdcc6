//! The cookie of a session.

use axum::http::{HeaderMap, header};

/// Under TLS the name itself says that the cookie came from this host, for all of it, by TLS.
fn cookie_name(is_secure: bool) -> &'static str {
    if is_secure { "__Host-clawrden_session" } else { "clawrden_session" }
}

/// The values of every cookie that could be a session's: another page of this host may have set one as well.
pub(super) fn cookies(headers: &HeaderMap, is_secure: bool) -> impl Iterator<Item = &str> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs =
        lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(move |(name, _)| *name == cookie_name(is_secure)).map(|(_, value)| value)
}

pub(super) fn set_cookie(value: &str, life_s: u64, is_secure: bool) -> String {
    let secure = if is_secure { "; Secure" } else { "" };
    let name = cookie_name(is_secure);
    format!("{name}={value}; Path=/; Max-Age={life_s}; HttpOnly; SameSite=Strict{secure}")
}
