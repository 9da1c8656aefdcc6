//! How a webhook is set up.

use std::net::SocketAddr;

use serde::Deserialize;

use crate::http::{self, HttpError};
use crate::secret::Secret;

/// Characters of the shortest secret.
const MIN_SECRET: usize = 16;

/// How a webhook is set up.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where messages go. Of chat services it is a secret by itself.
    pub url: Secret,
    /// What they look like.
    pub template: Template,
    /// What is signed with, and what answers are signed with.
    pub secret: Option<Secret>,
    /// Shown as `Authorization: Bearer`, where the other side wants one.
    pub token: Option<Secret>,
    /// Where callbacks arrive, from what ends TLS.
    pub listen: Option<SocketAddr>,
}

/// What messages look like.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Template {
    /// Events of our own, for programs.
    #[default]
    Json,
    /// Discord's webhooks. Messages are edited.
    Discord,
    /// Mattermost's incoming webhooks.
    Mattermost,
    /// A topic of ntfy.
    Ntfy,
}

/// Why a webhook cannot be set up so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// The address cannot be used.
    #[error("the webhook's address: {0}")]
    BadUrl(HttpError),
    /// Answers that nobody has signed.
    #[error("a webhook that listens for callbacks needs a secret; `secret_file` names its file")]
    NoSecret,
    /// The secret is short.
    #[error(
        "the webhook's secret is shorter than {MIN_SECRET} characters; `openssl rand -hex 32` makes one"
    )]
    ShortSecret,
    /// Nothing answers so.
    #[error("only webhooks of the template json are answered by callback; leave `listen` out")]
    CannotAnswer,
}

impl Settings {
    /// Checks what can be checked without asking anybody.
    pub(super) fn check(&self) -> Result<(), SettingsError> {
        http::check(self.url.expose()).map_err(SettingsError::BadUrl)?;
        if self.secret.as_ref().is_some_and(|secret| secret.expose().len() < MIN_SECRET) {
            return Err(SettingsError::ShortSecret);
        }
        match (self.listen, &self.secret, self.template) {
            (Some(_), None, _) => Err(SettingsError::NoSecret),
            (Some(_), Some(_), Template::Json) | (None, ..) => Ok(()),
            _ => Err(SettingsError::CannotAnswer),
        }
    }
}
