//! Who may use the control API: tokens, sessions and their bounds.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::chat::ChatService;
use crate::role::Role;

/// What somebody's role holds for. Empty lists bound nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Scope {
    /// These jails alone; nothing of others is seen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub jails: Vec<String>,
    /// Answers to what these rules ask alone, such as `policy.yaml:12`; one that ends in `*` is a beginning.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<String>,
}

impl Scope {
    /// Whether nothing is bounded.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.jails.is_empty() && self.rules.is_empty()
    }

    /// Whether this jail is within it.
    #[must_use]
    pub fn has_jail(&self, jail: &str) -> bool {
        self.jails.is_empty() || self.jails.iter().any(|name| name == jail)
    }

    /// Whether what this rule asks may be answered; `None` is the default action, which no list of rules names.
    #[must_use]
    pub fn has_rule(&self, rule: Option<&str>) -> bool {
        let fits = |wanted: &String| match (wanted.strip_suffix('*'), rule) {
            (_, None) => false,
            (Some(beginning), Some(rule)) => rule.starts_with(beginning),
            (None, Some(rule)) => wanted == rule,
        };
        self.rules.is_empty() || self.rules.iter().any(fits)
    }
}

/// The body of `POST /api/tokens`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenRequest {
    /// What its owner may do.
    pub role: Role,
    /// Whose it is, for people and the ledger: 1 to 64 letters, digits, spaces and `._@-`.
    #[serde(default)]
    pub name: Option<String>,
    /// These jails alone; none: all. Not for `admin`.
    #[serde(default)]
    pub jails: Vec<String>,
    /// Answers to what these rules ask alone; none: all. Only for `approver`.
    #[serde(default)]
    pub rules: Vec<String>,
    /// How long it holds: a second to 366 days; 90 days when absent.
    #[serde(default)]
    pub expires_in_ms: Option<u64>,
    /// It is a bridge's, which says for which user of this service it asks, on everything that changes something. Only for
    /// `approver`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speaks_for: Option<ChatService>,
}

/// The answer to `POST /api/tokens`. Nobody can be told the token again.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TokenMade {
    /// The token itself.
    pub token: String,
    /// What is kept of it.
    pub info: TokenInfo,
}

impl std::fmt::Debug for TokenMade {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenMade").field("info", &self.info).finish_non_exhaustive()
    }
}

/// A token, without what makes it one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TokenInfo {
    /// Its id: 8 hex digits.
    pub id: String,
    /// Whose it is.
    pub name: String,
    /// What its owner may do.
    pub role: Role,
    /// For what.
    pub scope: Scope,
    /// Since when there is one.
    pub created_ms: u64,
    /// Who made it.
    pub created_by: String,
    /// Until when it holds.
    pub expires_ms: u64,
    /// When it was last used, to the minute; `None` for never.
    pub last_used_ms: Option<u64>,
    /// For whose users a bridge asks by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speaks_for: Option<ChatService>,
}

/// `GET /api/tokens`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TokenList {
    /// Oldest first, those that no longer hold left out.
    pub tokens: Vec<TokenInfo>,
    /// Sessions of the web page, oldest first.
    pub sessions: Vec<SessionInfo>,
}

/// A session of the web page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SessionInfo {
    /// Its id: 8 hex digits.
    pub id: String,
    /// Whose it is.
    pub who: String,
    /// What they may do.
    pub role: Role,
    /// For what.
    pub scope: Scope,
    /// The id of the token that it was opened with; `None` for a link of `clawrden dashboard`.
    pub token: Option<String>,
    /// From where it was opened.
    pub address: String,
    /// Since when.
    pub created_ms: u64,
    /// Until when it holds.
    pub expires_ms: u64,
}

/// The answer to `DELETE /api/tokens/{id}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Revoked {
    /// What holds no more.
    pub id: String,
    /// Sessions that ended.
    pub sessions: usize,
}

/// The answer to `POST /api/login-links`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LoginLink {
    /// To be opened once. What opens a session stands behind the `#`, which browsers send to nobody.
    pub url: String,
    /// Until when it can be used.
    pub expires_ms: u64,
}

impl std::fmt::Debug for LoginLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoginLink").field("expires_ms", &self.expires_ms).finish_non_exhaustive()
    }
}

/// The body of `POST /api/session`: one of the two.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LoginRequest {
    /// What stood behind the `#` of a link of `clawrden dashboard`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// A token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

impl std::fmt::Debug for LoginRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoginRequest").finish_non_exhaustive()
    }
}

/// `GET /api/session`, and the answer to `POST /api/session`: who asks.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Session {
    /// Who it is.
    pub who: String,
    /// What they may do.
    pub role: Role,
    /// For what.
    pub scope: Scope,
    /// What `X-CSRF-Token` must say on everything that changes something; `None` without a cookie.
    pub csrf: Option<String>,
    /// Until when it holds.
    pub expires_ms: Option<u64>,
    /// For whose users it speaks, where it is a bridge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speaks_for: Option<ChatService>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("who", &self.who).finish_non_exhaustive()
    }
}

/// `GET /api/config`: what the warden was started with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConfigInfo {
    /// The default jail's intercom socket.
    pub intercom: String,
    /// The control socket.
    pub control: String,
    /// The ledger.
    pub ledger: String,
    /// Where the policy comes from.
    pub policy: String,
    /// Between SIGTERM and SIGKILL.
    pub grace_ms: u64,
    /// It ends with its last prisoner.
    pub ephemeral: bool,
    /// What the policy asks or denies is recorded and let through.
    pub dry_run: bool,
    /// Where the API is served over TCP, such as `https://127.0.0.1:8080`.
    pub api: Option<String>,
    /// SHA-256 of the certificate there, in hex.
    pub api_fingerprint: Option<String>,
    /// Names by which it may be called, besides `localhost` and numbers.
    pub api_hosts: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_bounds_jails_and_rules_and_an_empty_one_nothing() {
        assert!(Scope::default().is_all());
        assert!(Scope::default().has_jail("a") && Scope::default().has_rule(None));
        let scope = Scope {
            jails: vec!["a".to_owned()],
            rules: vec!["policy.yaml:1".to_owned(), "rules.d/x.yaml:*".to_owned()],
        };
        assert!(scope.has_jail("a") && !scope.has_jail("ab") && !scope.has_jail(""));
        assert!(scope.has_rule(Some("policy.yaml:1")) && !scope.has_rule(Some("policy.yaml:12")));
        assert!(scope.has_rule(Some("rules.d/x.yaml:7")) && !scope.has_rule(None));
    }

    #[test]
    fn what_opens_a_door_is_not_written_by_debug() {
        let session = Session {
            who: "x".to_owned(),
            role: Role::Viewer,
            scope: Scope::default(),
            csrf: Some("SECRET".to_owned()),
            expires_ms: None,
            speaks_for: None,
        };
        let login =
            LoginRequest { code: Some("SECRET".to_owned()), token: Some("SECRET".to_owned()) };
        let link = LoginLink { url: "SECRET".to_owned(), expires_ms: 0 };
        assert!(!format!("{session:?}{login:?}{link:?}").contains("SECRET"));
    }
}
