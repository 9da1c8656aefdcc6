//! How an app is set up.

use std::net::SocketAddr;

use crate::http::{self, HttpError};
use crate::secret::Secret;

/// Where the Web API is.
pub const API: &str = "https://slack.com/api";

/// How an app is set up.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The bot's token, `xoxb-…`, of the app's page *OAuth & Permissions*.
    pub bot_token: Secret,
    /// Where the Web API is; another for GovSlack.
    pub api: String,
    /// How people are heard.
    pub hearing: Hearing,
}

/// How people are heard.
#[derive(Debug, Clone)]
pub enum Hearing {
    /// Over a socket that we open: nothing has to be reachable.
    Socket {
        /// The app's token, `xapp-…`, of the page *Basic Information*, with the scope `connections:write`.
        app_token: Secret,
    },
    /// By being called.
    Events {
        /// Where that arrives here, from what ends TLS.
        listen: SocketAddr,
        /// What calls are signed with, of the page *Basic Information*.
        signing_secret: Secret,
    },
}

/// Why an app cannot be set up so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// The bot's token has another form.
    #[error(
        "the slack bot token is none; it begins with xoxb- and stands on the app's page OAuth & Permissions"
    )]
    BadBotToken,
    /// The app's token has another form.
    #[error(
        "the slack app token is none; it begins with xapp- and is made on the app's page Basic Information, with the scope connections:write"
    )]
    BadAppToken,
    /// The signing secret has another form.
    #[error("the slack signing secret is none; it stands on the app's page Basic Information")]
    BadSigningSecret,
    /// The Web API cannot be there.
    #[error("the slack api cannot be reached there: {0}")]
    BadApi(HttpError),
}

/// Characters of a signing secret at least: Slack's have 32.
const MIN_SECRET: usize = 16;

impl Settings {
    /// An app that is heard over a socket, at the usual place.
    #[must_use]
    pub fn socket(bot_token: Secret, app_token: Secret) -> Self {
        Self { bot_token, api: API.to_owned(), hearing: Hearing::Socket { app_token } }
    }

    /// An app that is called, at the usual place.
    #[must_use]
    pub fn events(bot_token: Secret, listen: SocketAddr, signing_secret: Secret) -> Self {
        let hearing = Hearing::Events { listen, signing_secret };
        Self { bot_token, api: API.to_owned(), hearing }
    }

    pub(super) fn check(&self) -> Result<(), SettingsError> {
        let bot = self.bot_token.expose();
        if !(bot.starts_with("xoxb-") || bot.starts_with("xoxe.xoxb-")) || !is_token(bot) {
            return Err(SettingsError::BadBotToken);
        }
        http::check(&self.api).map_err(SettingsError::BadApi)?;
        match &self.hearing {
            Hearing::Socket { app_token } => {
                let app = app_token.expose();
                let is_app = app.starts_with("xapp-") && is_token(app);
                if is_app { Ok(()) } else { Err(SettingsError::BadAppToken) }
            }
            Hearing::Events { signing_secret, .. } => {
                let secret = signing_secret.expose();
                let is_secret = secret.len() >= MIN_SECRET && is_token(secret);
                if is_secret { Ok(()) } else { Err(SettingsError::BadSigningSecret) }
            }
        }
    }
}

fn is_token(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket(bot: &str, app: &str) -> Result<(), SettingsError> {
        Settings::socket(Secret::new(bot), Secret::new(app)).check()
    }

    #[test]
    fn tokens_that_were_mixed_up_are_told() {
        assert_eq!(socket("xoxb-1-2-abc", "xapp-1-A1-2-abc"), Ok(()));
        assert_eq!(socket("xoxe.xoxb-1-abc\n", "xapp-1"), Ok(()));
        for bot in ["", "xapp-1", "xoxp-1", "xoxb-1\r\nx: y", "xoxb-é"] {
            assert_eq!(socket(bot, "xapp-1"), Err(SettingsError::BadBotToken), "{bot}");
        }
        for app in ["", "xoxb-1", "xapp-1 2"] {
            assert_eq!(socket("xoxb-1", app), Err(SettingsError::BadAppToken), "{app}");
        }
        let events = |secret: &str| {
            let listen = ([127, 0, 0, 1], 0).into();
            Settings::events(Secret::new("xoxb-1"), listen, Secret::new(secret)).check()
        };
        assert_eq!(events(&"8f".repeat(16)), Ok(()));
        assert_eq!(events(""), Err(SettingsError::BadSigningSecret));
    }

    #[test]
    fn the_api_is_never_reached_in_the_clear() {
        let mut settings = Settings::socket(Secret::new("xoxb-1"), Secret::new("xapp-1"));
        settings.api = "http://slack.com/api".to_owned();
        assert!(matches!(settings.check(), Err(SettingsError::BadApi(_))));
    }
}
